"""The recipes, which re-run the FMix and PatchUp papers, as a folder of your own: `python -m mixmodal.recipes`.

They come with the package as files to copy, to read and to change, and nothing imports them from it:

    pip install "mixmodal[recipes]"
    python -m mixmodal.recipes --copy .
    python -m recipes.images --method fmix
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def source() -> Path:
    """The folder of the recipes: within the package, or beside it in a checkout.

    Raises:
        FileNotFoundError: neither is there.

    >>> (source() / "images.py").is_file()
    True
    """
    package = Path(__file__).parent
    for folder in (package / "_recipes", package.parent / "recipes"):
        if (folder / "images.py").is_file():
            return folder
    raise FileNotFoundError(f"{package} came without the recipes: install mixmodal from its wheel or a checkout")


def copy(folder: Path) -> Path:
    """Copy the recipes.

    Args:
        folder: where the folder `recipes` is to lie; it is made if it is not there.

    Returns:
        the copy.

    Raises:
        FileExistsError: there is something of that name, which is left as it is.
        FileNotFoundError: the package came without its recipes.
    """
    made = folder / "recipes"
    if made.exists():
        raise FileExistsError(f"{made} is there already, and may be changed: choose another folder, or move it away")
    shutil.copytree(source(), made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser("python -m mixmodal.recipes", description="The recipes as a folder of your own.")
    parser.add_argument("--copy", metavar="DIR", type=Path, required=True, help="copy them into DIR/recipes")
    try:
        made = copy(parser.parse_args(arguments).copy)
    except OSError as error:
        sys.exit(f"mixmodal.recipes: {error}")
    where = "" if made.parent.resolve() == Path.cwd() else f"in {made.parent}: "
    print(f"{made}\n{where}python -m recipes.images --help, or python -m recipes.experiments for the papers' list")


if __name__ == "__main__":
    main()
