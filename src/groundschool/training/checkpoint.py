"""Checkpoints at chunk ends: one safetensors file, replaced whole, from which training goes on bit for bit."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from groundschool.errors import InputError

FILE = "checkpoint.safetensors"


class Checkpoint(NamedTuple):
    """Where training stood: updates taken, state, and the curves and seconds so far."""

    step: int
    state: Any
    curves: list[dict[str, list[float]]]
    seconds: float


def identity(facts: dict[str, Any]) -> str:
    """Hash what a run is made of (algorithm, options, seeds, data, versions): a checkpoint belongs to one identity."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save(directory: Path, checkpoint: Checkpoint, owner: str) -> None:
    """Replace the directory's checkpoint: at any moment the file there is a whole one."""
    from safetensors.numpy import save as serialise

    leaves = {f"{index:04d}": np.asarray(leaf) for index, leaf in enumerate(jax.tree.leaves(checkpoint.state))}
    facts = json.dumps({"step": checkpoint.step, "curves": checkpoint.curves, "seconds": checkpoint.seconds})
    payload = serialise(leaves, metadata={"owner": owner, "sha256": _digest(leaves, facts), "facts": facts})
    staging = directory / f".{FILE}.{os.getpid()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with staging.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staging, directory / FILE)
    except OSError as error:
        raise InputError(f"checkpoint {directory} cannot be written ({error.strerror}); choose another place") from None


def load(directory: Path, like: Any, owner: str) -> Checkpoint | None:
    """Return the directory's checkpoint, or None where there is none.

    Raises
    ------
    InputError
        If the file is corrupted, or belongs to another run.
    """
    from safetensors import SafetensorError, safe_open

    if directory.exists() and not directory.is_dir():
        raise InputError(f"checkpoint {directory}: it is a file, expected a directory to keep checkpoints in")
    path = directory / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            leaves = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable checkpoint ({error}); delete it to train from the start") from None
    if metadata.get("owner") != owner:
        raise InputError(
            f"{path}: belongs to another run (other options, seed, data or versions); delete it or choose another "
            "directory"
        )
    if metadata.get("sha256") != _digest(leaves, metadata.get("facts", "")):
        raise InputError(f"{path}: its hash is not the one recorded, so it is corrupted; delete it to start over")
    facts = json.loads(metadata["facts"])
    state = jax.tree.unflatten(jax.tree.structure(like), list(leaves.values()))
    return Checkpoint(facts["step"], state, facts["curves"], facts["seconds"])


def remove(directory: Path) -> None:
    """Delete the directory's checkpoint: the policy it led to is kept elsewhere."""
    (directory / FILE).unlink(missing_ok=True)


def _digest(leaves: dict[str, Any], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(leaves):
        digest.update(f"{name} {leaves[name].dtype} {leaves[name].shape}".encode())
        digest.update(np.ascontiguousarray(leaves[name]).tobytes())
    return digest.hexdigest()
