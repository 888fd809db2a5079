"""Writing all of something or nothing: into a draft beside the target, moved into its place when complete."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from groundschool.errors import InputError

_DRAFT = re.compile(r"\.(?P<name>.+)\.(?P<token>[0-9a-f]{8})\.tmp")


class Beside(NamedTuple):
    """A second file that is written along with the target.

    Attributes
    ----------
    path : callable
        Where it stands, by the path of the target; by that of the target's draft, where its own draft stands.
    replaceable : callable
        Whether what is there may be replaced.
    what : str
        What may be replaced, in words.
    """

    path: Callable[[Path], Path]
    replaceable: Callable[[Path], bool]
    what: str


@contextlib.contextmanager
def in_place(
    target: Path, *, force: bool, replaceable: Callable[[Path], bool], what: str, beside: Beside | None = None
) -> Iterator[Path]:
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
    beside : Beside, optional
        A second file, moved with the target: both or neither. Where it is there already, it needs `force` too, unless
        the new one has the same bytes.

    Raises
    ------
    InputError
        If the target is taken, or cannot be written.
    """
    target = target.absolute()
    require_free(target, force=force, replaceable=replaceable, what=what)
    draft = draft_of(target, uuid.uuid4().hex[:8])
    second = None if beside is None else (beside.path(draft), beside.path(target))
    if beside is not None and second is not None:
        require_free(second[1], force=True, replaceable=beside.replaceable, what=beside.what)
    made = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    done = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        require_free(target, force=force, replaceable=replaceable, what=what)  # the work may have taken hours
        pairs = [(draft, target)]
        if beside is not None and second is not None and not _same(*second):
            require_free(second[1], force=force, replaceable=beside.replaceable, what=beside.what)
            pairs.insert(0, second)
        _move(pairs)
        done = True
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    finally:
        _remove(draft)
        if second is not None:
            _remove(second[0])
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


def draft_of(target: Path, token: str) -> Path:
    """Return where the draft of a target stands; `token` is 8 hexadecimal digits."""
    return target.with_name(f".{target.name}.{token}.tmp")


def token_of(path: Path) -> str | None:
    """Return the token of a draft, None for any other path."""
    draft = _DRAFT.fullmatch(path.name)
    return draft["token"] if draft else None


def final_path(path: Path) -> Path:
    """Return where a draft will stand once it is complete; any other path as it is."""
    draft = _DRAFT.fullmatch(path.name)
    return path.with_name(draft["name"]) if draft else path


def _same(one: Path, other: Path) -> bool:
    """Return whether two files hold the same bytes."""
    return other.is_file() and not other.is_symlink() and one.read_bytes() == other.read_bytes()


def _move(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Move each draft to its target; what was there comes back if one of them fails."""
    begun: list[tuple[Path, Path, bool]] = []
    try:
        for draft, target in pairs:
            old, taken = draft.with_suffix(".old"), target.exists()
            begun.append((old, target, taken))
            if taken:
                os.replace(target, old)
            os.replace(draft, target)
    except BaseException:
        for old, target, taken in reversed(begun):
            if old.exists():
                _remove(target)
                os.replace(old, target)
            elif not taken:
                _remove(target)
        raise
    for old, _, _ in begun:
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
