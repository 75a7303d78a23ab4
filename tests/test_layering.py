"""What a file may import, what `import mixmodal` needs, and how public names are written."""

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mixmodal as mm
from mixmodal import masks

PACKAGE = Path(mm.__file__).parent
CORE = ["selection", "memory", "masks", "grids", "blends", "losses", "mix", "mixer", "methods", "patches", "policies"]
INSIDE = ["replay", "arguments", "hidden", "sites", "presets"]
PUZZLE = ["transport", "cuts", "saliency"]
ORDER = [*CORE, *INSIDE, *PUZZLE]
ADAPTERS = ["images", "audio", "buckets", "text", "points", "meshes"]
LAYERS = [*ORDER, *ADAPTERS, "__init__"]
"""A file imports only from those before it; adapters not from one another."""
FILES = sorted(path.relative_to(PACKAGE).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))
files = pytest.mark.parametrize("file", FILES)
NUMBERS = ("bool", "int", "float")
HOST_DRAWS = {"policies": {"torch.multinomial"}, "hidden": {"torch.randint"}}
"""Draws that are read: on the host."""


def imports(file: str, *, top_level: bool = False) -> Iterator[str]:
    """Dotted names of the modules that a file imports, those within functions too unless `top_level`."""
    tree = ast.parse((PACKAGE / f"{file}.py").read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}.py has a relative import"
            assert node.module is not None
            if node.module == "mixmodal":
                yield from (f"mixmodal.{alias.name}" for alias in node.names)
            else:
                yield node.module


@files
def test_every_file_has_its_place(file: str) -> None:
    assert file in LAYERS


@files
def test_files_import_from_those_above_them(file: str) -> None:
    above = ORDER if file in ADAPTERS else LAYERS[: LAYERS.index(file)]
    own = {name for name in imports(file) if name.split(".")[0] == "mixmodal"}
    assert own <= {f"mixmodal.{name}" for name in above}


@files
def test_files_need_torch_and_nothing_else(file: str) -> None:
    roots = {name.split(".")[0] for name in imports(file, top_level=True)}
    assert roots <= {*sys.stdlib_module_names, "torch", "mixmodal"}


@files
def test_all_randomness_is_torchs(file: str) -> None:
    roots = {name.split(".")[0] for name in imports(file)}
    assert not roots & {"numpy", "random", "secrets"}
    source = (PACKAGE / f"{file}.py").read_text()
    assert "torch.distributions" not in source  # takes no generator


@pytest.mark.parametrize("file", [name for name in FILES if name in CORE + INSIDE])
def test_the_core_waits_for_no_device(file: str) -> None:
    """Values are read where `on_host` said that they can be, and nowhere else, but for Puzzle Mix, which solves on it.

    So they are in a function that is named in such places only.

    What is made a number of Python's is none of a tensor, but for draws that are made on the host: of a policy and of
    a hidden site.
    """
    tree = ast.parse((PACKAGE / f"{file}.py").read_text())
    guarded = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test).split(" and ")[-1].startswith("on_host(")
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        uses = {node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == function.name}
        if uses and uses <= guarded:
            guarded |= set(ast.walk(function))
    calls = {n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)} - guarded
    names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    assert not names & {"item", "tolist", "cpu", "numpy", "nonzero"}
    calls = {node for node in ast.walk(tree) if isinstance(node, ast.Call)} - guarded
    made = {call.args[0] for call in calls if ast.unparse(call.func) in NUMBERS and call.args}
    read = {ast.unparse(value.func) for value in made if isinstance(value, ast.Call)}
    assert {name for name in read if name.startswith("torch.")} <= HOST_DRAWS.get(file, set())


def needed_by(package: str) -> set[str]:
    """A distribution and all that it depends on without extras."""
    found: set[str] = set()
    left = [package]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for line in requires:
            match = re.match(r"[A-Za-z0-9._-]+", line)
            if match and "extra ==" not in line:
                left.append(re.sub(r"[-_.]+", "-", match[0]).lower())
    return found


BLOCKED = """
import sys

class Only:  # a finder that knows some packages and the standard library
    allowed = set({allowed!r})

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        own = root in self.allowed or root in sys.stdlib_module_names or root.startswith("_sysconfigdata")
        return self.finder.find_spec(name, path, target) if own else None

sys.meta_path[:] = map(Only, sys.meta_path)
sys.path.insert(0, {path!r})
for name in ("numpy", "scipy", "torchvision", "matplotlib", "accelerate"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(name + " is not hidden")

import torch
import torch.nn.functional as F
import mixmodal as mm

x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 1])
blocks = mm.PatchUp(block_size=3), mm.PatchUp(block_size=2, soft=False), mm.DropBlock(block_size=3)
whole = mm.FMix(), mm.CutMix(), mm.MixUp(), mm.Cutout(size=3), mm.NoMix(), mm.OneOf([mm.FMix(), mm.MixUp()])
for mixer in (*whole, *blocks):
    mixed, mix = mixer(x, valid=torch.rand(4, 8, 8) > 0.2)
    loss = mix.loss(mixed.flatten(1)[:, :3], y)
    assert loss.isfinite() and mix.targets(y, num_classes=3).shape == (4, 3)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3), torch.nn.Flatten())
preds, mix = mm.HiddenMix(net, {{net: mm.CutMix(), (net[0], "output"): mm.PatchUp(block_size=3)}})(x)
mix.loss(preds, y).backward()
assert "numpy" not in sys.modules
print("mixed")
"""


def test_import_needs_torch_and_nothing_else() -> None:
    distributions = needed_by("torch")
    allowed = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if any(re.sub(r"[-_.]+", "-", owner).lower() in distributions for owner in owners)
    }
    assert "numpy" not in allowed
    script = BLOCKED.format(
        allowed=sorted(allowed | {"torch", "mixmodal", "_distutils_hack"}), path=str(PACKAGE.parent)
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["mixed"]


def test_import_is_light() -> None:
    """The compiler, most of what an import could cost, is loaded by those who use it."""
    script = "import torch, sys; before = {*sys.modules}; import mixmodal; print(*sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    loaded = done.stdout.split()
    assert "mixmodal.hidden" in loaded
    assert [name for name in loaded if name.startswith(("torch._dynamo", "torch._inductor", "torchaudio"))] == []


# ---------------------------------------------------------------- how public names are written

PUBLIC: dict[str, Any] = {name: getattr(mm, name) for name in mm.__all__ if not inspect.ismodule(getattr(mm, name))}
MODULES = [masks, *(getattr(mm, name) for name in mm.__all__ if inspect.ismodule(getattr(mm, name)))]
FUNCTIONS = {
    f"{module.__name__.removeprefix('mixmodal.')}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if inspect.isfunction(value) and not name.startswith("_") and value.__module__ == module.__name__
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
    assert all(module.__name__.startswith("mixmodal.") for module in MODULES)
    assert {"presets", "sites"} <= set(mm.__all__) - set(PUBLIC)
