"""A folder that one run has to itself; files that are whole or not there are `recipes.data.disk.kept.whole`."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Have a folder to oneself, made if it is not there.

    The system takes the lock back when the process ends, however it ends, so that none is ever stale.

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
            print(f"{out} cannot be locked ({error}): see that no other run writes into it", file=sys.stderr)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
