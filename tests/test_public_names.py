"""How public names are written: keywords, documentation, examples."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import mixmodal as mm

PUBLIC: dict[str, Any] = {name: getattr(mm, name) for name in mm.__all__ if not inspect.ismodule(getattr(mm, name))}
FUNCTIONS = {
    f"{module}.{name}": getattr(getattr(mm, module), name)
    for module in mm.__all__
    if inspect.ismodule(getattr(mm, module))
    for name in getattr(mm, module).__all__
    if inspect.isfunction(getattr(getattr(mm, module), name))
}
"""Mask generators, and functions that are public by their module: `mm.presets.patchup`."""


def callables() -> dict[str, Callable[..., Any]]:
    """Public functions, constructors, and the public methods that a class of ours defines."""
    found: dict[str, Callable[..., Any]] = {**PUBLIC, **FUNCTIONS}
    for name, value in PUBLIC.items():
        for attribute, method in vars(value).items() if inspect.isclass(value) else ():
            if inspect.isfunction(method) and (not attribute.startswith("_") or attribute == "__call__"):
                found[f"{name}.{attribute}"] = method
    return found


AS_DESIGNED = {
    "mask": {"generator"},
    "loss": {"criterion"},
    "saliency": {"criterion"},
    **{name: {"at"} for name in ("manifold_mixup", "feature_cutmix", "patchup")},
}
"""Written with a position in the design: `mask(lam, shape, generator)`, `mix.loss(preds, y, criterion)`,
`saliency(model, x, y, criterion)`; and `presets.patchup(net, sites)`, like `HiddenMix(net, sites)`."""
SAID = {"load_state_dict", "to", "choose", "HiddenMix.loss", "TokenMix.loss"}
"""Parameters that the sentence says, or the method that it names."""


@pytest.mark.parametrize("name", callables())
def test_what_is_optional_is_a_keyword(name: str) -> None:
    designed = AS_DESIGNED.get(name.split(".")[-1], set())
    optional = [
        parameter.name
        for parameter in inspect.signature(callables()[name]).parameters.values()
        if parameter.default is not parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY
    ]
    assert set(optional) <= designed


@pytest.mark.parametrize("name", callables())
def test_public_names_are_documented(name: str) -> None:
    """A sentence first (one line of a class or function); then every parameter by its name."""
    owner, _, attribute = name.rpartition(".")
    text = inspect.getdoc(getattr(PUBLIC[owner], attribute) if owner in PUBLIC else callables()[name])
    assert text
    assert re.split(r"\n\s*\n", text)[0].endswith((".", ":"))
    if SAID & {name, attribute}:
        return
    for parameter in inspect.signature(callables()[name]).parameters.values():
        passed_on = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.name != "self" and not passed_on:
            assert re.search(rf"\b{parameter.name}\b", text), parameter.name


@pytest.mark.parametrize(
    "name", [name for name, value in PUBLIC.items() if not inspect.isabstract(value)] + list(FUNCTIONS)
)
def test_public_names_have_an_example(name: str) -> None:
    assert ">>> " in (inspect.getdoc(callables()[name]) or "")


def test_all_is_sorted_and_complete() -> None:
    assert list(mm.__all__) == sorted(mm.__all__)
    assert all(value.__module__.startswith("mixmodal.") for value in PUBLIC.values())
    assert {"masks", "meshes", "presets", "sites"} == set(mm.__all__) - set(PUBLIC)
