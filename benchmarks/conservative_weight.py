"""What ``conservative_weight`` does: exact return and hazard of CQL at 0, 0.5, 1 and 6, everything else default.

Five logs of the tutorial's grid, one training run for each log and weight, every final policy judged exactly, no
checkpoint picked. 200 rollouts of each only compare its action values with what then happened. About two minutes on
two quiet cores.

    python benchmarks/conservative_weight.py --json benchmarks/results/conservative_weight.json
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from machine import record, tutorial_log, write

import groundschool as gs

WEIGHTS = (0.0, 0.5, 1.0, 6.0)
DATA_SEEDS = (42, 43, 44, 45, 46)


def one(log: gs.Dataset, grid: gs.HazardGrid, weight: float, seed: int) -> dict[str, Any]:
    """Train on one log with one weight; judge exactly; say how far the log is left and how wrong values are."""
    policy = gs.train(log, "cql", seed=seed, conservative_weight=weight)
    exact = grid.model().evaluate(policy)
    differs = gs.mismatch(log, policy)
    sane = gs.q_sanity(policy, gs.rollout(grid, policy, episodes=200, seed=0))
    return {
        "conservative_weight": weight,
        "data_seed": seed,
        "return": exact.return_,
        "hazard": exact.ends["hazard"],
        "timeout": exact.ends["timeout"],
        "mismatch": differs.value,
        "deterministic_floor": differs.deterministic_floor,
        "value_bias": sane.bias,
        "steps": policy.training.steps,
        "seconds": policy.training.seconds,
    }


def summary(runs: list[dict[str, Any]], weight: float) -> dict[str, Any]:
    """Return one line of the table."""
    mine = [run for run in runs if run["conservative_weight"] == weight]
    return {
        "conservative_weight": weight,
        "runs": len(mine),
        "return_mean": statistics.fmean(run["return"] for run in mine),
        "return_worst": min(run["return"] for run in mine),
        "hazard_mean": statistics.fmean(run["hazard"] for run in mine),
        "hazard_worst": max(run["hazard"] for run in mine),
        "mismatch_mean": statistics.fmean(run["mismatch"] for run in mine),
        "value_bias_mean": statistics.fmean(run["value_bias"] for run in mine),
    }


def references(grid: gs.HazardGrid) -> dict[str, Any]:
    """Return what the policies may be compared with."""
    return {"optimum": grid.model().optimal().table, "logger": grid.logger(0.22), "noiseless": grid.logger(0.0)}


def reference(grid: gs.HazardGrid, policy: Any) -> dict[str, float]:
    """Return a policy's exact return and P(hazard)."""
    exact = grid.model().evaluate(policy)
    return {"return": exact.return_, "hazard": exact.ends["hazard"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    result = record("exact return and hazard of default CQL by conservative weight, tutorial's grid")
    grid = gs.HazardGrid()
    runs = []
    for seed in DATA_SEEDS:
        log = tutorial_log(seed)
        runs += [one(log, grid, weight, seed) for weight in WEIGHTS]
    result |= {
        "summary": [summary(runs, weight) for weight in WEIGHTS],
        "references": {name: reference(grid, policy) for name, policy in references(grid).items()},
        "runs": runs,
    }
    for line in result["summary"]:
        print(
            "weight {conservative_weight:g}: return mean {return_mean:.2f}, worst {return_worst:.2f}; "
            "hazard mean {hazard_mean:.3%}, worst {hazard_worst:.3%}; mismatch {mismatch_mean:.3f}; "
            "values too high by {value_bias_mean:.1f}".format(**line)
        )
    write(result, options.json)


if __name__ == "__main__":
    main()
