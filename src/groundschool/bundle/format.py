"""A directory that holds tensors and JSON and nothing else: ``tensors.safetensors`` and ``manifest.json``.

Hashes in the manifest detect corruption. They do not detect tampering: whoever can change a tensor can change its
hash. Only a signature would.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.errors import InputError

FORMAT_VERSION = 1
TENSORS = "tensors.safetensors"
MANIFEST = "manifest.json"

Tensors = dict[str, NDArray[Any]]


def write(path: str | Path, tensors: Tensors, manifest: dict[str, Any], *, force: bool = False) -> Path:
    """Write a bundle directory atomically: it appears whole, or not at all.

    Parameters
    ----------
    path : str or Path
    tensors : dict of arrays
    manifest : dict
        JSON-ready facts; keys ``format_version``, ``tensors_sha256`` and ``manifest_sha256`` are ours.
    force : bool
        Replace a bundle that is already there. Anything that is not a bundle, or holds other files, is never replaced.

    Raises
    ------
    InputError
        If the path exists and may not be replaced.
    """
    from safetensors.numpy import save

    target = require_free(path, force=force)
    payload = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    facts = {**manifest, "format_version": FORMAT_VERSION, "tensors_sha256": hashlib.sha256(payload).hexdigest()}
    facts["manifest_sha256"] = _manifest_hash(facts)
    try:
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror}); choose a writable place") from None
    try:
        (staging / TENSORS).write_bytes(payload)
        (staging / MANIFEST).write_text(json.dumps(facts, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        staging.chmod(0o755)
        if target.exists():
            # Two renames and not a deletion: a kill in between leaves the old bundle under the hidden name.
            os.replace(target, replaced := staging.with_name(f"{staging.name}-replaced"))
            os.replace(staging, target)
            shutil.rmtree(replaced)
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
    if target.exists():
        others = [] if not target.is_dir() else sorted({entry.name for entry in target.iterdir()} - {TENSORS, MANIFEST})
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
    """Read a bundle directory and verify it.

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
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{source / MANIFEST}: not a readable manifest ({error}); save the policy again") from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise InputError(f"{source}: bundle format {version}, this groundschool reads up to {FORMAT_VERSION}: upgrade")
    payload = (source / TENSORS).read_bytes()
    for name, found, wanted in (
        (MANIFEST, _manifest_hash(facts), claimed),
        (TENSORS, hashlib.sha256(payload).hexdigest(), expected),
    ):
        if found != wanted:
            raise InputError(f"{source / name}: its hash is not the one recorded, so it is corrupted; restore a copy")
    try:
        return load(payload), facts
    except SafetensorError as error:
        raise InputError(f"{source / TENSORS}: not readable ({error}); save the policy again") from None


def is_bundle(path: Path) -> bool:
    """Whether a path is a directory with a bundle's two files."""
    return (path / MANIFEST).is_file() and (path / TENSORS).is_file()


def _manifest_hash(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
