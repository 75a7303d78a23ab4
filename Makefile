PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test slow docs clean

demo: .venv/installed  ## see what mixing does, and train with it on noisy labels
	$(BIN)/python -m recipes.demo

test: .venv/installed  ## style, types, tests, doctests, README
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mixmodal recipes
	$(BIN)/pytest -q -n auto --dist worksteal -m "not slow"

slow: .venv/installed  ## the tests that `make test` leaves out: kills, several processes, long analyses
	$(BIN)/pytest -q -m slow

docs: .venv/installed  ## the site, with its gallery run anew, in docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:  ## remove the environment and all runs
	rm -rf .venv runs build dist docs/_build docs/auto_gallery .pytest_cache .mypy_cache .ruff_cache
