"""A directory of ``tensors.safetensors``, ``manifest.json``, and attachments: files to read, never code to run.

Attachments, such as the verdict and the report of what is shipped, are named in the manifest with their hashes.

Hashes in the manifest detect corruption. They do not detect tampering: whoever can change a tensor can change its
hash. Only a signature would.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.errors import InputError

FORMAT_VERSION = 1
TENSORS = "tensors.safetensors"
MANIFEST = "manifest.json"

Tensors = dict[str, NDArray[Any]]


def write(
    path: str | Path,
    tensors: Tensors,
    manifest: dict[str, Any],
    *,
    attachments: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> Path:
    """Write a bundle directory atomically: it appears whole, or not at all.

    Parameters
    ----------
    path : str or Path
    tensors : dict of arrays
    manifest : dict
        JSON-ready facts; keys ``format_version``, ``tensors_sha256``, ``attachments_sha256`` and ``manifest_sha256``
        are ours.
    attachments : mapping from file name to bytes, optional
        Further files of the bundle.
    force : bool
        Replace a bundle that is already there. Anything that is not a bundle, or holds other files, is never replaced.

    Raises
    ------
    InputError
        If the path exists and may not be replaced, or an attachment has no plain file name.
    """
    from safetensors.numpy import save

    beside = {_file_name(name): content for name, content in (attachments or {}).items()}
    target = require_free(path, force=force)
    payload = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    facts = {**manifest, "format_version": FORMAT_VERSION, "tensors_sha256": hashlib.sha256(payload).hexdigest()}
    if beside:
        facts["attachments_sha256"] = {name: hashlib.sha256(content).hexdigest() for name, content in beside.items()}
    facts["manifest_sha256"] = _manifest_hash(facts)
    try:
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); choose a writable place") from None
    try:
        (staging / TENSORS).write_bytes(payload)
        for name, content in beside.items():
            (staging / name).write_bytes(content)
        (staging / MANIFEST).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        staging.chmod(0o755)
        if target.exists():
            # Two renames and not a deletion: a kill in between leaves the old bundle under the hidden name.
            os.replace(target, replaced := staging.with_name(f"{staging.name}-replaced"))
            os.replace(staging, target)
            shutil.rmtree(replaced, ignore_errors=True)  # the new bundle is there, whatever becomes of the old one
        else:
            os.replace(staging, target)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); choose a writable place") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def require_free(path: str | Path, *, force: bool = False) -> Path:
    """Return the path if a bundle may be written there, making its parent: to ask before long work, not after it.

    Raises
    ------
    InputError
        As ``write``.
    """
    target = Path(path)
    if target.is_symlink():
        raise InputError(f"{target} is a link; name the place itself, or choose another path")
    if target.exists():
        ours = {TENSORS, MANIFEST, *(_declared(target) if is_bundle(target) else ())}
        others = [] if not target.is_dir() else sorted({entry.name for entry in target.iterdir()} - ours)
        if not is_bundle(target) or others:
            beside = f" and holds {others[0]!r}, which is no part of a bundle" if others else ""
            raise InputError(f"{target} already exists{beside}; choose another path")
        if not force:
            raise InputError(f"{target} already exists; choose another path, or replace it with force")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); choose a writable place") from None
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target} cannot be written (no permission in {target.parent}); choose a writable place")
    return target


def read(path: str | Path) -> tuple[Tensors, dict[str, Any]]:
    """Read a bundle directory and verify all of it, its attachments too.

    Raises
    ------
    InputError
        If it is missing, corrupted, or written by a newer version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    source = Path(path)
    for name in (MANIFEST, TENSORS):
        if not (source / name).is_file():
            raise InputError(f"{source}: no {name} there; expected a bundle directory written by policy.save")
    try:
        facts = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        claimed = facts.pop("manifest_sha256")
        version, expected = facts["format_version"], facts["tensors_sha256"]
    except OSError as error:
        raise InputError(f"{source / MANIFEST}: cannot be read ({error.strerror}); restore a copy") from None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"{source / MANIFEST}: not a readable manifest ({error}); save the policy again") from None
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise InputError(
            f"{source}: bundle format {version!r}, this groundschool reads 1 to {FORMAT_VERSION}; upgrade it, or save "
            "the policy again"
        )
    if _manifest_hash(facts) != claimed:
        raise _corrupted(source / MANIFEST)
    payload = _verified(source / TENSORS, expected)
    beside = facts.get("attachments_sha256", {})
    if not isinstance(beside, dict):
        raise InputError(f"{source / MANIFEST}: attachments_sha256 is no mapping; save the policy again")
    for name, wanted in beside.items():
        _verified(source / _file_name(name), wanted)
    try:
        return load(payload), facts
    except (SafetensorError, KeyError) as error:  # a KeyError is a type of number that NumPy does not have
        raise InputError(f"{source / TENSORS}: not readable ({error}); save the policy again") from None


def attachments(path: str | Path) -> dict[str, bytes]:
    """Return the attachments of a bundle by file name, after verifying all of it.

    Raises
    ------
    InputError
        As ``read``.
    """
    _, facts = read(path)
    return {name: (Path(path) / name).read_bytes() for name in facts.get("attachments_sha256", {})}


def is_bundle(path: Path) -> bool:
    """Whether a path is a directory with a bundle's two files."""
    return (path / MANIFEST).is_file() and (path / TENSORS).is_file()


def _verified(file: Path, wanted: object) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}), and is part of the bundle; restore a copy"
        ) from None
    if hashlib.sha256(content).hexdigest() != wanted:
        raise _corrupted(file)
    return content


def _corrupted(file: Path) -> InputError:
    return InputError(f"{file}: its hash is not the one recorded, so it is corrupted; restore a copy")


def _declared(path: Path) -> set[str]:
    """Return the attachments that a bundle says it has, none where it cannot be read."""
    try:
        return set(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["attachments_sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()


def _file_name(name: object) -> str:
    plain = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}", name)
    if not isinstance(name, str) or not plain or name in (TENSORS, MANIFEST):
        raise InputError(
            f"attachment {name!r}: expected a plain file name of letters, digits, '.', '_', '-' and blanks, other than "
            f"{TENSORS} and {MANIFEST}"
        )
    return name


def _manifest_hash(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
