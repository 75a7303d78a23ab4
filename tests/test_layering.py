"""Where files stand, what each may import, and what `import mixmodal` needs."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mixmodal as mm

ROOT = Path(mm.__file__).parents[1]
LIBRARY = [
    *("core.devices", "core.checks"),
    *("core.masks.operators", "core.masks.noise", "core.masks.selection", "core.masks.uniform", "core.masks.boxes"),
    *("core.masks.fields", "core.masks.blocks"),
    *("core.masks", "core.grids"),
    *("core.records.blends", "core.records.targets", "core.records.losses", "core.records.means"),
    *("core.records.views", "core.records.mix", "core.records"),
    *("core.draws", "core.mixer", "core"),
    *("methods.uniform", "methods.boxes", "methods.fields", "methods.blocks"),
    *("methods.policies", "methods.pairs", "methods"),
    *("methods.puzzle.saliency", "methods.puzzle.transport", "methods.puzzle.cuts", "methods.puzzle.puzzlemix"),
    "methods.puzzle",
    *("hidden.arguments", "hidden.hooks", "hidden.replay", "hidden.mixers", "hidden.acting"),
    *("hidden.hiddenmix", "hidden.sites", "hidden.presets", "hidden"),
    *("modalities.batches", "modalities.waves", "modalities.audio"),
    *("modalities.text.ends", "modalities.text.beside", "modalities.text.tokens", "modalities.text.trainer"),
    *("modalities.text.padding", "modalities.text.budgets", "modalities.text.buckets", "modalities.text"),
    *("modalities.points.voxels", "modalities.points.clouds"),
    *("modalities.points.polygons", "modalities.points.off", "modalities.points.meshes"),
    *("modalities.points", "modalities"),
    *("frameworks.pairs", "frameworks.lightning", "frameworks.trainer", "frameworks"),
    "recipes",
    "",
]
"""The files of the library: each imports only from those before it, and a modality not from another."""
RECIPES = ["data", "models", "pictures", "training", "reporting", "measuring", "experiments", "showing"]
"""The folders of the recipes: each imports only from itself and those before it; what one runs, from all of them."""
ON_RECIPES = "analyses"
"""The folder of the recipes that imports from what one runs too, and from itself."""
APART = [
    *(f"mixmodal.modalities.{name}" for name in ("images", "audio", "text", "points")),
    *(f"recipes.data.{name}" for name in ("images", "audio", "text", "points")),
    *(f"recipes.models.{name}" for name in ("images", "audio", "text", "points")),
    *(f"recipes.{name}" for name in ("images", "audio", "text", "points")),
]
"""Modalities, which know nothing of one another."""
MOST_FILES, MOST_LINES = 9, 335


def modules(package: str) -> list[str]:
    """Dotted names of all modules of a package."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / package).rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


FILES = modules("mixmodal")
files = pytest.mark.parametrize("file", FILES)
WAITING = ("mixmodal.methods.puzzle", "mixmodal.modalities", "mixmodal.core.records.views")
NUMBERS = ("bool", "int", "float")
HOST_DRAWS = {
    "mixmodal.methods.policies": {"torch.multinomial"},
    "mixmodal.hidden.acting": {"torch.randint"},
    "mixmodal.frameworks.trainer": {"torch.randint"},
}
"""Draws that are read: on the host."""
ADAPTED = {
    "mixmodal.frameworks.lightning": {"lightning", "pytorch_lightning"},
    "mixmodal.frameworks.trainer": {"transformers"},
}
"""The framework that an adapter is for, which `import mixmodal` leaves alone."""


def path_of(module: str) -> Path:
    """The file of a module."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(module: str, *, top_level: bool = False) -> Iterator[str]:
    """Dotted names of the modules that a module imports, those within functions too unless `top_level`."""
    tree = ast.parse(path_of(module).read_text())
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if path_of(name).exists() else node.module


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_every_file_has_its_place() -> None:
    assert sorted(f"mixmodal.{name}".rstrip(".") for name in LIBRARY) == FILES


@files
def test_files_import_from_those_before_them(file: str) -> None:
    before = {f"mixmodal.{name}".rstrip(".") for name in LIBRARY[: LIBRARY.index(file[len("mixmodal.") :])]}
    assert {name for name in imports(file) if within(name, "mixmodal")} <= before


@pytest.mark.parametrize("file", modules("recipes"))
def test_folders_of_the_recipes_import_from_those_before_them(file: str) -> None:
    folder = file.split(".")[1] if file.count(".") > 1 else None
    later = RECIPES[RECIPES.index(folder) + 1 :] if folder in RECIPES else []
    top = {name for name in modules("recipes") if name.count(".") == 1} - {f"recipes.{name}" for name in RECIPES}
    above = {f"recipes.{ON_RECIPES}"}
    forbidden = [*(f"recipes.{name}" for name in later), *(top if folder else above)]
    if folder == ON_RECIPES:
        forbidden = []
    assert not [name for name in imports(file) if any(within(name, each) for each in forbidden)]


@pytest.mark.parametrize("file", [*FILES, *modules("recipes")])
def test_modalities_know_nothing_of_one_another(file: str) -> None:
    own = [package for package in APART if within(file, package)]
    siblings = [
        each for each in APART if own and each.rpartition(".")[0] == own[0].rpartition(".")[0] and each not in own
    ]
    assert not [name for name in imports(file) if any(within(name, each) for each in siblings)]


@pytest.mark.parametrize("folder", ["mixmodal", "recipes", "tests", "docs", "docs/guide", "docs/scripts", "docs/api"])
def test_one_look_takes_a_folder_in(folder: str) -> None:
    """Few files side by side, and each of a length that one reads in one go."""
    deep = [ROOT / folder] if folder.startswith("docs") else [ROOT / folder, *(ROOT / folder).rglob("*/")]
    for each in deep:
        here = [path for path in each.iterdir() if path.is_file() and path.suffix in (".py", ".md")]
        assert len(here) <= MOST_FILES, each
    for path in (ROOT / folder).rglob("*.py"):
        if folder in ("mixmodal", "recipes"):
            assert len(path.read_text().splitlines()) <= MOST_LINES, path


@files
def test_files_need_torch_and_nothing_else(file: str) -> None:
    roots = {name.split(".")[0] for name in imports(file, top_level=True)}
    assert roots <= {*sys.stdlib_module_names, "torch", "mixmodal", *ADAPTED.get(file, ())}


@files
def test_all_randomness_is_torchs(file: str) -> None:
    roots = {name.split(".")[0] for name in imports(file)}
    assert not roots & {"numpy", "random", "secrets"}
    source = path_of(file).read_text()
    assert "torch.distributions" not in source  # takes no generator


@pytest.mark.parametrize("file", [name for name in FILES if not name.startswith(WAITING)])
def test_the_core_waits_for_no_device(file: str) -> None:
    """Values are read where `on_host` said that they can be, and nowhere else, but for views and Puzzle Mix.

    So they are in a function that is named in such places only.

    What is made a number of Python's is none of a tensor, but for draws that are made on the host: of a policy and of
    a hidden site.
    """
    tree = ast.parse(path_of(file).read_text())
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


def beside_torch() -> list[str]:
    """Modules that may be imported where torch and the library alone are installed."""
    distributions = needed_by("torch")
    allowed = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if any(re.sub(r"[-_.]+", "-", owner).lower() in distributions for owner in owners)
    }
    assert "numpy" not in allowed
    return sorted(allowed | {"torch", "mixmodal", "_distutils_hack"})


def test_import_needs_torch_and_nothing_else() -> None:
    script = BLOCKED.format(allowed=beside_torch(), path=str(ROOT))
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
