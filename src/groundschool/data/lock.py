"""One process at a time in a directory; the system gives the lock back however a process ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from groundschool.errors import InputError

LOCK = ".lock"


def take(folder: Path, what: str) -> IO[str] | None:
    """Take the lock of a directory.

    Parameters
    ----------
    folder : Path
        Exists.
    what : str
        What another process is doing there, for the message: "is running it".

    Returns
    -------
    file, or None where the system has no such locks
        To `give_back`.

    Raises
    ------
    InputError
        If another process, or this one, has it.
    OSError
        If nothing can be written there.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    file = folder / LOCK
    handle = file.open("w", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        taken = True
    except OSError:
        return handle  # a file system without locks
    else:
        # Whoever had it may have removed the file since it was opened here, and somebody else made another.
        taken = not file.exists() or not os.path.samestat(os.fstat(handle.fileno()), file.stat())
    if taken:
        handle.close()
        raise InputError(f"{folder} is in use: another process {what}. Wait for it, or stop it first.")
    return handle


def give_back(folder: Path, handle: IO[str] | None) -> None:
    """Give back what `take` gave."""
    if handle is not None:
        (folder / LOCK).unlink(missing_ok=True)
        handle.close()
