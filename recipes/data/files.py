"""What the readers of published files share."""

import tarfile
import zlib
from pathlib import Path

from torch import Tensor

Examples = tuple[Tensor, Tensor]


UNREADABLE = (tarfile.TarError, EOFError, OSError, zlib.error)


def listed(bases: tuple[Path, ...]) -> str:
    """Name the places that were looked at."""
    return " or ".join(str(base) for base in bases)
