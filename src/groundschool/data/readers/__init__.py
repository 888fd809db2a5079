"""Readers, one format a file: each turns a path into a `Source`. See `groundschool.data.source` for the contract."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from groundschool.data.readers._pickles import is_pickle, refuse_pickle
from groundschool.data.source import Source
from groundschool.errors import InputError, suggest

# In the order in which a path is tried: the telling ones first.
MODULES = ("minari", "parquet", "arrow", "npz", "d3rlpy", "dsrl", "d4rl", "csv")
OURS = "groundschool"


def formats() -> dict[str, Any]:
    """Return every reader's module by the name of its format."""
    modules = [importlib.import_module(f"groundschool.data.readers.{name}") for name in MODULES]
    return {module.NAME: module for module in modules}


def open_path(path: Path, format: str = "auto") -> Source:
    """Return the rows in `path`, in the format named or else recognised."""
    known = formats()
    if not path.exists():
        raise InputError(f"{path}: does not exist. Expected a log: a file or a directory.")
    if format == OURS:
        raise InputError(f"{path}: is not a directory that Dataset.save wrote: it has no schema.json.")
    if format != "auto":
        if format not in known:
            names = ("auto", OURS, *known)
            raise InputError(f"format {format!r} is not known.{suggest(format, names)} Known: {', '.join(names)}.")
        source: Source = known[format].open(path)
        return source
    if is_pickle(path):
        refuse_pickle(path)
    for module in known.values():
        if module.recognise(path):
            source = module.open(path)
            return source
    raise InputError(
        f"{path}: no reader recognises it. Known formats: {', '.join((OURS, *known))}; name one with format=... if "
        "its name or its first bytes do not show it."
    )


def open_frame(frame: Any) -> Source:
    """Return the rows of a frame in memory."""
    from groundschool.data.readers.frames import open_frame as opened

    return opened(frame)
