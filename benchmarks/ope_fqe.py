"""Fitted Q evaluation on the tutorial's log: a compiled ensemble of 50 networks, and the recursion over counts.

The observations of that log are few enough to be counted, so that `gs.evaluate(..., method="fqe")` would count them;
here the networks are asked for by name. Time is that of one call: compilation, 50 bootstrap samples, training until the
answer is at rest. The bar is 60 s on two cores. Exact values stand beside.

    python benchmarks/ope_fqe.py --json benchmarks/results/ope_fqe.json
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import record, tutorial_log, write

import groundschool as gs
from groundschool.evaluation.estimators import fqe
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question

BAR = 60.0
QUESTIONS = ("return", "probability:hazard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.22, 0.1, 0.0], help="targets, as loggers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {**record("fitted Q evaluation on the tutorial's log"), "members": options.members, "bar_seconds": BAR}
    grid, log = gs.HazardGrid(), tutorial_log()
    behavior = Behavior(np.asarray(log.propensities), None, True)
    rows = []
    for epsilon in options.epsilon:
        policy, exact = grid.logger(epsilon), grid.model().evaluate(grid.logger(epsilon))
        for of in QUESTIONS:
            problem = pose(log, policy, Question.parse(of, log), behavior)
            truth = exact.return_ if of == "return" else exact.probabilities["hazard"]
            for model, members in (("network", options.members), ("counts", None)):
                rows.append({"target": f"logger with noise {epsilon:g}", "of": of, "exact": truth})
                rows[-1].update(ask(problem, model, members))
                print(line(rows[-1]), flush=True)
    slowest = max(row["seconds"] for row in rows if row["model"] == "network")
    result |= {"rows": rows, "slowest_ensemble_seconds": slowest, "met": slowest <= BAR}
    print(f"slowest ensemble of {options.members}: {slowest:.1f} s (bar {BAR:g} s)")
    write(result, options.json)


def ask(problem: Any, model: str, members: int | None) -> dict[str, Any]:
    """Return the answer, how long it took, and how long that would be on one core for itself."""
    started, worked = time.perf_counter(), time.process_time()
    found = fqe.estimate(problem, model=model, members=members)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
    lower, upper = found.bounds(0.025)
    more = {key: found.diagnostics[key] for key in ("updates", "converged", "moved") if key in found.diagnostics}
    return {
        "model": model,
        "value": found.value,
        "standard_error": found.standard_error,
        "lower": lower,
        "upper": upper,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "reasons": list(found.reasons),
        **more,
    }


def line(row: dict[str, Any]) -> str:
    rest = f", {row['updates']:,} updates, at rest: {row['converged']}" if "updates" in row else ""
    return (
        f"{row['target']}, {row['of']}: {row['model']} {row['value']:.4g} ± {row['standard_error']:.2g} "
        f"(exact {row['exact']:.4g}) in {row['seconds']:.1f} s ({row['cpu_seconds']:.1f} s of processor){rest}"
    )


if __name__ == "__main__":
    main()
