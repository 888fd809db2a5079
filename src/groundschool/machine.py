"""What a run happened on: package versions, threads, extras, and whether a GPU goes unused."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "jax",
    "jaxlib",
    "equinox",
    "optax",
    "numpy",
    "scipy",
    "pyarrow",
    "pydantic",
    "gymnasium",
    "matplotlib",
    "safetensors",
)

EXTRAS = {
    "hdf5": "h5py",
    "minari": "minari",
    "d3rlpy": "d3rlpy",
    "ray": "ray",
    "serve": "fastapi",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "mujoco": "mujoco",
    "dev": "pytest",
    "docs": "sphinx",
}
"""One package by which each extra is known to be there."""


def versions() -> dict[str, str]:
    """Return the versions of Python, of groundschool and of what its numbers rest on."""
    found = {"python": platform.python_version(), "groundschool": metadata.version("groundschool")}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def extras() -> dict[str, bool]:
    """Return which optional extras are installed."""
    return {extra: importlib.util.find_spec(package) is not None for extra, package in EXTRAS.items()}


def threads() -> int:
    """Return how many threads the numerics may use: the cores this process is allowed on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def free_disk(path: Path) -> int:
    """Return the bytes free where a directory is or would be made."""
    there = next(place for place in (path.resolve(), *path.resolve().parents) if place.exists())
    return shutil.disk_usage(there).free
