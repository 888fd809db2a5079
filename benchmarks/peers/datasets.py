"""A log of arrays made into a dataset, and batches drawn from it, by groundschool or by d3rlpy.

.venv-d3rlpy/bin/python benchmarks/peers/datasets.py d3rlpy log.npz
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def ours(log: dict[str, np.ndarray], batch_size: int) -> tuple[Callable[[], None], dict[str, Any]]:
    """Build the Dataset and its transitions, every one with what follows it; draw by index."""
    from groundschool import Dataset, __version__

    began = time.perf_counter()
    dataset = Dataset.from_arrays(
        log["observations"], log["actions"], log["rewards"], log["terminated"], log["truncated"]
    )
    transitions = dataset.transitions()
    seconds = time.perf_counter() - began
    rng = np.random.default_rng(0)
    columns = (
        transitions.observations,
        transitions.actions,
        transitions.rewards,
        transitions.next_observations,
        transitions.terminated,
    )

    def draw() -> None:
        index = rng.integers(0, len(transitions.rows), batch_size)
        batch = [column.take(index, axis=0) for column in columns]
        assert len(batch[0]) == batch_size

    return draw, {"build_seconds": seconds, "transitions": len(transitions.rows), "version": __version__}


def theirs(log: dict[str, np.ndarray], batch_size: int) -> tuple[Callable[[], None], dict[str, Any]]:
    import logging

    import d3rlpy
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    began = time.perf_counter()
    dataset = d3rlpy.dataset.MDPDataset(
        observations=log["observations"],
        actions=log["actions"],
        rewards=log["rewards"],
        terminals=log["terminated"].astype(np.float32),
        timeouts=log["truncated"].astype(np.float32),
        action_size=int(log["actions"].max()) + 1,
    )
    seconds = time.perf_counter() - began

    def draw() -> None:
        batch = dataset.sample_transition_batch(batch_size)
        assert len(batch.observations) == batch_size

    return draw, {"build_seconds": seconds, "transitions": dataset.transition_count, "version": d3rlpy.__version__}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["groundschool", "d3rlpy"])
    parser.add_argument("data", help="the log as .npz: observations, actions, rewards, terminated, truncated")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to draw")
    arguments = parser.parse_args()
    with np.load(arguments.data) as file:
        log = {name: file[name] for name in file.files}
    draw, facts = {"groundschool": ours, "d3rlpy": theirs}[arguments.peer](log, arguments.batch_size)
    for _ in range(5):
        draw()
    drawn, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < arguments.seconds:
        draw()
        drawn += 1
    print(json.dumps({**facts, "batches_per_second": drawn / spent}))


if __name__ == "__main__":
    main()
