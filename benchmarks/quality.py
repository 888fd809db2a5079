"""Quality of default policies, judged exactly: no rollouts, no checkpoint picked, no seed chosen.

* CQL with default settings on the tutorial's grid, 20 data seeds (0 to 19), and on ten other layouts, 5 each.
  Layout k has size (10, 12, 15, 18, 20)[k % 5], slip (0.02, 0.05, 0.1)[k % 3] and hazard seed 100 + k; all other
  parameters are the tutorial's. The defaults were tuned on other layouts (``TUNED_ON``) and data seeds (901 to 924).
* BC with default settings on the tutorial's grid, as sampled and greedy, against the logger's exact values.
* Stability: standard deviation of CQL's exact return over its last five chunk ends.

    python benchmarks/quality.py --json benchmarks/results/quality.json
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from machine import record, write

import groundschool as gs
from groundschool.training import snapshots

EPISODES, EPSILON = 500, 0.22
TUTORIAL_SEEDS, LAYOUT_SEEDS = range(20), range(5)
LAYOUTS = [
    {"size": (10, 12, 15, 18, 20)[k % 5], "slip": (0.02, 0.05, 0.1)[k % 3], "hazard_seed": 100 + k} for k in range(10)
]
TUNED_ON = (
    "the tutorial's grid (data seeds 901-904); hazards (2,3) (3,4) (3,10) (5,6) (8,7) (10,2) (11,8) (911-912); "
    "sizes 10, 12, 18, 20 with slips .05, .1, .05, .02 and hazard seeds 7003, 7001, 7002, 7004 (921-924)"
)


def exact(grid: gs.HazardGrid, policy: Any) -> dict[str, float]:
    """Return a policy's exact return and P(hazard)."""
    value = grid.model().evaluate(policy)
    return {"return": value.return_, "hazard": value.ends["hazard"]}


def study(grid: gs.HazardGrid, seed: int) -> dict[str, Any]:
    """Train CQL with default settings on one log; exact values of the final policy and over its last chunk ends."""
    log = gs.collect(grid, grid.logger(EPSILON), EPISODES, seed)
    path = [(step, policy) for step, policy in snapshots(log, "cql", seed=seed)]
    returns = [exact(grid, policy)["return"] for _, policy in path[-5:]]
    final = exact(grid, path[-1][1])
    return {"data_seed": seed, **final, "last_five_returns": returns, "last_five_std": statistics.pstdev(returns)}


def tutorial() -> dict[str, Any]:
    """CQL on the tutorial's grid."""
    runs = [study(gs.HazardGrid(), seed) for seed in TUTORIAL_SEEDS]
    returns, hazards = [run["return"] for run in runs], [run["hazard"] for run in runs]
    result = {
        "return_mean": statistics.fmean(returns),
        "return_worst": min(returns),
        "below_19": sum(value < 19 for value in returns),
        "below_16": sum(value < 16 for value in returns),
        "hazard_mean": statistics.fmean(hazards),
        "hazard_worst": max(hazards),
        "runs": runs,
    }
    result["met"] = (
        result["return_mean"] >= 21.2
        and result["below_19"] <= 1
        and result["below_16"] == 0
        and result["hazard_mean"] <= 0.003
    )
    print(
        f"CQL, tutorial: return {result['return_mean']:.2f} (worst {result['return_worst']:.2f}), "
        f"hazard {result['hazard_mean']:.2%} (worst {result['hazard_worst']:.2%})",
        flush=True,
    )
    return result


def layouts() -> dict[str, Any]:
    """CQL on ten other layouts, against the logger and its noiseless mode."""
    runs = []
    for parameters in LAYOUTS:
        grid = gs.HazardGrid(**parameters)
        logger, mode = exact(grid, grid.logger(EPSILON)), exact(grid, grid.logger(0.0))
        best = grid.model().optimal().value
        for seed in LAYOUT_SEEDS:
            run = study(grid, seed)
            runs.append(
                {
                    "layout": parameters,
                    **run,
                    "logger": logger,
                    "mode": mode,
                    "optimum": {"return": best.return_, "hazard": best.ends["hazard"]},
                    "better_than_mode": run["return"] > mode["return"] and run["hazard"] < mode["hazard"],
                    "worse_than_logger": run["return"] < logger["return"] or run["hazard"] > logger["hazard"],
                }
            )
        last = runs[-len(LAYOUT_SEEDS) :]
        print(
            f"  {parameters}: mode {mode['return']:.1f} / {mode['hazard']:.2%}, CQL "
            + ", ".join(f"{run['return']:.1f} / {run['hazard']:.2%}" for run in last),
            flush=True,
        )
    share = statistics.fmean(run["better_than_mode"] for run in runs)
    worse = sum(run["worse_than_logger"] for run in runs)
    print(
        f"CQL, ten layouts: better return and lower hazard than the mode in {share:.0%}; worse than the logger: {worse}"
    )
    return {"share_better": share, "worse_than_logger": worse, "met": share >= 0.9 and worse == 0, "runs": runs}


def cloning() -> dict[str, Any]:
    """BC on the tutorial's grid, as sampled, with the greedy reading beside it."""
    grid = gs.HazardGrid()
    logger = exact(grid, grid.logger(EPSILON))
    runs = []
    for seed in TUTORIAL_SEEDS:
        policy = gs.train(gs.collect(grid, grid.logger(EPSILON), EPISODES, seed), "bc", seed=seed)
        runs.append({"data_seed": seed, **exact(grid, policy), "greedy": exact(grid, policy.greedy())})
    result = {
        "return_mae": statistics.fmean(abs(run["return"] - logger["return"]) for run in runs),
        "hazard_mae": statistics.fmean(abs(run["hazard"] - logger["hazard"]) for run in runs),
        "return_mean": statistics.fmean(run["return"] for run in runs),
        "hazard_mean": statistics.fmean(run["hazard"] for run in runs),
        "greedy_return_mean": statistics.fmean(run["greedy"]["return"] for run in runs),
        "greedy_hazard_mean": statistics.fmean(run["greedy"]["hazard"] for run in runs),
        "logger": logger,
        "runs": runs,
    }
    result["met"] = result["return_mae"] <= 3.0 and result["hazard_mae"] <= 0.025
    print(
        f"BC as sampled: mean absolute error {result['return_mae']:.2f} return, {result['hazard_mae']:.2%} hazard; "
        f"greedy {result['greedy_return_mean']:.1f} / {result['greedy_hazard_mean']:.2%}",
        flush=True,
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result here")
    arguments = parser.parse_args()
    result = {**record("exact quality of default policies"), "tuned_on": TUNED_ON}
    result["cql_tutorial"] = tutorial()
    spreads = [run["last_five_std"] for run in result["cql_tutorial"]["runs"]]
    median = statistics.median(spreads)
    result["stability"] = {"median_std": median, "worst_std": max(spreads), "met": median <= 0.3}
    print(f"Stability: median standard deviation over the last five chunk ends {median:.3f}")
    result["bc"] = cloning()
    result["cql_layouts"] = layouts()
    write(result, arguments.json)


if __name__ == "__main__":
    main()
