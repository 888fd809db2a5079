"""Tabular `marginal_dr` on a million episodes of the tutorial's grid: seconds and memory, with the exact answer beside.

python benchmarks/ope_large.py --json benchmarks/results/ope_large.json
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
from machine import record, write

import groundschool as gs
from groundschool.evaluation.estimators import marginal_dr
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import Sampler

BAR = 60.0
LOGGED, JUDGED = 0.22, 0.1  # noise of the logger and of the target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = record("marginal_dr on a large log") | {"episodes": options.episodes, "bar_seconds": BAR}
    grid = gs.HazardGrid()
    model = grid.model()
    log = Sampler.of(model, grid.logger(LOGGED)).log(options.episodes, 1)
    sampled = peak()
    began = time.perf_counter()
    behavior = Behavior(np.asarray(log.propensities), None, True)
    problem = pose(log, grid.logger(JUDGED), Question.parse("probability:hazard", log), behavior)
    posed = time.perf_counter() - began
    found = marginal_dr.estimate(problem)
    seconds = time.perf_counter() - began
    lower, upper = found.bounds(0.025)
    result |= {
        "rows": log.n_steps,
        "seconds": seconds,
        "seconds_posing": posed,
        "peak_bytes": peak(),
        "peak_bytes_with_the_log_alone": sampled,
        "value": found.value,
        "lower": lower,
        "upper": upper,
        "exact": model.evaluate(grid.logger(JUDGED)).probabilities["hazard"],
        "met": seconds <= BAR,
    }
    print(
        f"{options.episodes:,} episodes, {log.n_steps:,} rows: {seconds:.1f} s ({posed:.1f} to pose the question), "
        f"at most {result['peak_bytes'] / 2**30:.1f} GiB; {found.value:.5f} in [{lower:.5f}, {upper:.5f}], "
        f"exactly {result['exact']:.5f} (bar {BAR:g} s)"
    )
    write(result, options.json)


def peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
