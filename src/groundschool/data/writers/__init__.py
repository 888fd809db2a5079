"""Writers, one format a file: each takes whole episodes, part by part.

A writer has

- ``NAME``, and ``SUFFIXES``, the endings of file names that mean this format and no other;
- ``write(parts, target, *, notes=None)``, which writes the parts of a log (`Dataset`s of whole episodes, in order) to a
  path that does not exist yet, and returns one sentence for everything the log had that the format cannot hold.
  `notes`, to be called after the last part, returns what was done to the rows of all parts on the way, and stands for
  the parts' own notes; it is stored where the format has a place for it;
- ``replaceable(path)``, whether what is at `path` is a log in this format and nothing else;
- where it writes two files, ``BESIDE``, a `groundschool.data.placing.Beside`.

Listing the module here adds the format.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groundschool.data import storage
from groundschool.data.placing import Beside
from groundschool.errors import InputError, suggest

MODULES = ("minari", "dsrl", "d3rlpy", "csv")


def writers() -> dict[str, Any]:
    """Return every writer's module by the name of its format."""
    modules = [importlib.import_module(f"groundschool.data.writers.{name}") for name in MODULES]
    return {module.NAME: module for module in modules}


def writer_for(target: Path, format: str | None = None) -> tuple[str, Callable[..., Any]]:
    """Return the name and the writer of the format asked for, or else of the one that the target's name shows."""
    if format == storage.NAME or (format is None and not target.suffix):
        return storage.NAME, storage.write
    known = writers()
    names = (storage.NAME, *known)
    if format is not None:
        if format not in names:
            raise InputError(f"format {format!r} cannot be written.{suggest(format, names)} Known: {', '.join(names)}.")
        return format, known[format].write
    for name, module in known.items():
        if target.name.lower().endswith(tuple(module.SUFFIXES)):
            return name, module.write
    raise InputError(
        f"{target}: its name does not show a format. Say which to write: {', '.join(names)} (--to, to=...); a name "
        f"without an ending is a directory in {storage.NAME} format."
    )


def replaceable(path: Path, format: str) -> bool:
    """Return whether what is at `path` is a log of `format`, which may be replaced when that is asked for."""
    if format == storage.NAME:
        return storage.is_ours(path)
    return bool(writers()[format].replaceable(path))


def beside(format: str) -> Beside | None:
    """Return which second file a format has."""
    found: Beside | None = None if format == storage.NAME else getattr(writers()[format], "BESIDE", None)
    return found
