PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/installed  ## train four methods on real digits and compare them
	$(BIN)/python -m recipes.demo

test: .venv/installed  ## style, types, tests, doctests, README
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mixmodal recipes
	$(BIN)/pytest -q -m "not slow"

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:  ## remove the environment and all runs
	rm -rf .venv runs build dist .pytest_cache .mypy_cache .ruff_cache
