"""Coverage and trust where observations are measured: CartPole and a noisy point mass, against long Monte-Carlo truth.

python benchmarks/ope_continuous.py --json benchmarks/results/ope_continuous.json
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import record, write
from ope_worlds_continuous import CartPole, PointMass

from groundschool.evaluation.evaluator import Evaluator

WORLDS = {"cartpole": CartPole, "point_mass": PointMass}
CONFIDENCE = 0.90  # two-sided, so that each bound alone is one of 95 %


def logs(job: tuple[str, int, range, str]) -> list[dict[str, Any]]:
    name, episodes, seeds, method = job
    world = WORLDS[name]()
    targets = world.targets()
    found = []
    for seed in seeds:
        evaluator = Evaluator(world.simulate(targets["logger"], episodes, seed))
        for target, policy in targets.items():
            for of in ("return", f"probability:{world.cost}"):
                estimate = evaluator.evaluate(policy, of=of, method=method, confidence=CONFIDENCE)
                claimed = estimate.diagnostics["claimed"]
                found.append(
                    {
                        "world": name,
                        "episodes": episodes,
                        "target": target,
                        "of": of,
                        "method": estimate.method,
                        "value": estimate.value,
                        "trusted": estimate.trusted,
                        **claimed,
                    }
                )
    return found


def rows(records: list[dict[str, Any]], truths: dict[tuple[str, str, str], float]) -> list[dict[str, Any]]:
    """Return one row for each world, size, target and question."""
    table = []
    for cell in dict.fromkeys((r["world"], r["episodes"], r["target"], r["of"], r["method"]) for r in records):
        world, episodes, target, of, method = cell
        own = [r for r in records if (r["world"], r["episodes"], r["target"], r["of"], r["method"]) == cell]
        truth = truths[world, target, of]
        held = np.array([r["lower"] <= truth if of == "return" else r["upper"] >= truth for r in own])
        trusted = np.array([r["trusted"] for r in own])
        errors = np.array([r["value"] for r in own]) - truth
        table.append(
            {
                "world": world,
                "episodes": episodes,
                "target": target,
                "of": of,
                "method": method,
                "logs": len(own),
                "truth": truth,
                "trusted": float(trusted.mean()),
                "coverage": float(held[trusted].mean()) if trusted.any() else None,
                "coverage_claimed": float(held.mean()),
                "bias": float(errors.mean()),
                "rmse": float(np.sqrt(np.square(errors).mean())),
            }
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", nargs="+", type=int, default=[500, 2_000], help="episodes a log")
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--method", default="auto")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes that are started
    began = time.perf_counter()
    truths = {}
    for name, make in WORLDS.items():
        world = make()
        for target, policy in world.targets().items():
            for of, (value, _) in world.truth(policy, episodes=40_000).items():
                truths[name, target, of] = value
    jobs = [
        (name, n, range(begin, min(begin + 10, options.logs)), options.method)
        for n in options.n
        for name in WORLDS
        for begin in range(0, options.logs, 10)
    ]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        records = [found for part in pool.imap_unordered(logs, jobs) for found in part]
    table = rows(records, truths)
    for row in table:
        coverage = "     -" if row["coverage"] is None else f"{row['coverage']:6.3f}"
        print(
            f"{row['world']:11} {row['episodes']:6} {row['target']:10} {row['of']:18} {row['method']:12} "
            f"truth {row['truth']:8.3f} trusted {row['trusted']:5.2f} covered {coverage} "
            f"(claimed {row['coverage_claimed']:.3f}) rmse {row['rmse']:.3f}"
        )
    pooled = {
        kind: [row for row in table if row["of"].startswith(kind) and row["coverage"] is not None]
        for kind in ("return", "probability")
    }
    totals = {
        kind: sum(r["coverage"] * r["trusted"] * r["logs"] for r in found)
        / max(sum(r["trusted"] * r["logs"] for r in found), 1e-9)
        for kind, found in pooled.items()
    }
    print(f"pooled coverage of trusted bounds: {totals}; {time.perf_counter() - began:.0f} s")
    result = record("coverage and trust where observations are measured")
    write(result | {"pooled_coverage": totals, "rows": table, "seconds": time.perf_counter() - began}, options.json)


if __name__ == "__main__":
    main()
