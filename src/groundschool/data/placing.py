"""Writing all of something or nothing: into a draft beside the target, moved into its place when complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from groundschool.errors import InputError


@contextlib.contextmanager
def in_place(target: Path, *, force: bool, replaceable: Callable[[Path], bool], what: str) -> Iterator[Path]:
    """Yield a path to write to, and move what is there to `target` when the block ends well.

    Parameters
    ----------
    target : Path
        Stays as it was if anything fails.
    force : bool
        Replace what is there already.
    replaceable : callable
        Whether what is there may be replaced: `force` is no licence to delete anything else.
    what : str
        What may be replaced, in words.

    Raises
    ------
    InputError
        If the target is taken, or cannot be written.
    """
    target = target.absolute()
    require_free(target, force=force, replaceable=replaceable, what=what)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    made = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    done = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        _move(draft, target)
        done = True
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    finally:
        _remove(draft)
        for parent in () if done else made:  # the innermost first
            with contextlib.suppress(OSError):
                parent.rmdir()


def require_free(target: Path, *, force: bool, replaceable: Callable[[Path], bool], what: str) -> None:
    """Raise InputError if `target` is taken and may not be replaced."""
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise InputError(f"{str(target)!r} exists. Choose another path, or replace it with force=True (--force).")
    if target.is_symlink() or not replaceable(target):
        raise InputError(
            f"{str(target)!r} is not {what} and nothing else, so force does not replace it. Choose another path."
        )


def _move(draft: Path, target: Path) -> None:
    """Move `draft` to `target`; what is replaced comes back if that fails."""
    if not target.exists():
        os.replace(draft, target)
        return
    old = draft.with_suffix(".old")
    os.replace(target, old)
    try:
        os.replace(draft, target)
    except OSError:
        os.replace(old, target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
