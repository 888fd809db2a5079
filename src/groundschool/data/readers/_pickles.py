"""Files that run code when they are read: refused by name, with what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from groundschool.errors import InputError

_INSTEAD = {
    ".d3": "d3rlpy writes algorithms to .d3 files. Dump the dataset instead, with its ReplayBuffer.dump to an .h5 file",
    ".npy": "One .npy file is one array, perhaps a pickled one. Put all of a log's arrays in one file with numpy.savez",
}
_OTHERWISE = "Where you trust the file, load it with the tool that wrote it and save the arrays with numpy.savez"
SUFFIXES = (".pkl", ".pickle", ".pck", ".pcl", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".dill", *_INSTEAD)


def is_pickle(path: Path) -> bool:
    """Return whether a path is, by its name or its first bytes, a pickle or a file that may hold one."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except (OSError, ValueError):
        return False
    return path.suffix.lower() in SUFFIXES or (len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5)


def refuse_pickle(path: Path) -> NoReturn:
    """Raise InputError that says why `path` is not read, and what to do instead."""
    instead = _INSTEAD.get(path.suffix.lower(), _OTHERWISE)
    raise InputError(f"{path}: pickled files are not read, because reading one runs whatever code is in it. {instead}.")
