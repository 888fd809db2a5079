"""What every recorded benchmark says about itself: when, where, with what, and how it was started."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import groundschool as gs

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("groundschool", "jax", "jaxlib", "numpy", "gymnasium")


def processor() -> str:
    """Return the processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def record(what: str) -> dict[str, Any]:
    """Return the head of a result: date, command, hardware, load at the start, versions."""
    return {
        "what": what,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.argv]),
        "hardware": {
            "processor": processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "machine": platform.machine(),
            "load_average_before": os.getloadavg()[0],
        },
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}},
    }


def write(result: dict[str, Any], path: Path | None) -> None:
    """Write a result as JSON where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")


def kept(path: Path | None, make: Callable[[], Any]) -> Any:
    """Read a finished piece of work, or do it and keep it; without a path, only do it."""
    if path is not None and path.exists():
        return json.loads(path.read_text())
    made = make()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(made))
        unfinished.replace(path)
    return made


def tutorial_log(seed: int = 42, episodes: int = 500) -> gs.Dataset:
    """Return the tutorial's log: 500 episodes of the noisy logger on the default grid."""
    grid = gs.HazardGrid()
    return gs.collect(grid, grid.logger(0.22), episodes=episodes, seed=seed)


def save_arrays(log: gs.Dataset, path: Path) -> None:
    """Write the log's columns as .npz, for peers in other environments."""
    np.savez(
        path,
        observations=log.observations,
        actions=log.actions,
        rewards=log.rewards,
        terminated=log.terminated,
        truncated=log.truncated,
        next_observations=log.transitions().next_observations,
        final_observations=log.final_observations,
        n_actions=log.n_actions,
    )
