"""A folder reserved for one run; for files that are written whole or not at all, see `recipes.data.disk.kept`."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Reserve a folder, which is made if it is missing.

    The system releases the lock when the process ends, however it ends, so locks are never stale.

    Raises:
        BlockingIOError: another process has it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("a+", encoding="utf-8") as file:
        try:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            raise BlockingIOError(
                f"--out {out} is in use by {file.read().strip() or 'another process'}: wait until it has ended, or "
                f"choose another"
            ) from None
        except (ImportError, OSError) as error:
            print(f"{out} cannot be locked ({error}): make sure that no other run writes into it", file=sys.stderr)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
