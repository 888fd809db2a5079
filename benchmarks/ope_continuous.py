"""Coverage and trust where observations are measured: CartPole and a noisy point mass, against long Monte-Carlo truth.

From every log, every target's return and probability of the cost, by the method that ``auto`` chooses. The truth has an
error of its own: a bound only counts as covering if it covers the truth moved by three of its standard errors to the
side that is worse for us.

    python benchmarks/ope_continuous.py --json benchmarks/results/ope_continuous.json
    python benchmarks/ope_continuous.py --n 500 --logs 20 --worlds point_mass

With ``--keep DIR`` the truth and finished parts are kept there, and a second run of the same settings goes on from
them.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import kept, record, write
from ope_summary import EACH, LEVEL, below, figure, kind
from ope_worlds_continuous import CartPole, PointMass, World

from groundschool.evaluation.evaluator import Evaluator

WORLDS = {"cartpole": CartPole, "point_mass": PointMass}
TARGETS = ("logger", "milder", "sharper", "safer", "dangerous", "uniform", "hidden")
CONFIDENCE = 0.90  # two-sided, so that each bound alone is one of 95 %
TRUTH_EPISODES = 400_000
TRUTH_ERRORS = 3.0  # standard errors of the truth that count against us
SIZES = {500: 200, 2_000: 40}  # logs a world, by episodes a log
STEP = 5  # logs a part
WEIGHTS = ("effective_units", "largest_share", "mean", "lowest_mean", "worst_z")  # kept of each estimate


class Part(NamedTuple):
    """Some logs of one size in one world."""

    world: str
    episodes: int
    begin: int
    end: int
    targets: tuple[str, ...]
    method: str


def run(part: Part) -> list[dict[str, Any]]:
    """Return one record for each log, target and question."""
    world: World = WORLDS[part.world]()
    policies = world.targets()
    records = []
    for index in range(part.begin, part.end):
        evaluator = Evaluator(world.simulate(policies["logger"], part.episodes, 100_000 * (part.episodes % 97) + index))
        for target in part.targets:
            for of in ("return", f"probability:{world.cost}"):
                began = time.perf_counter()
                estimate = evaluator.evaluate(policies[target], of=of, method=part.method, confidence=CONFIDENCE)
                records.append(
                    {
                        "world": part.world,
                        "episodes": part.episodes,
                        "log": index,
                        "target": target,
                        "of": of.partition(":")[0],
                        "method": estimate.method,
                        "value": estimate.value,
                        "standard_error": estimate.standard_error,
                        "trusted": estimate.trusted,
                        "reasons": list(estimate.reasons),
                        "weights": {name: estimate.diagnostics["weights"].get(name) for name in WEIGHTS},
                        "seconds": time.perf_counter() - began,
                        **estimate.diagnostics["claimed"],
                    }
                )
    return records


def truth(name: str, target: str) -> dict[str, list[float]]:
    """Return the long Monte-Carlo value of each question with its standard error."""
    world: World = WORLDS[name]()
    found = world.truth(world.targets()[target], episodes=TRUTH_EPISODES)
    return {of.partition(":")[0]: [value, error] for of, (value, error) in found.items()}


def parts(options: argparse.Namespace) -> Iterator[Part]:
    for episodes, logs in sorted(zip(options.n, options.logs, strict=True)):
        for begin in range(0, logs, STEP):
            for name in options.worlds:
                yield Part(name, episodes, begin, min(begin + STEP, logs), tuple(options.targets), options.method)


def work(job: tuple[Part, Path | None]) -> list[dict[str, Any]]:
    part, keep = job
    name = hashlib.sha256(json.dumps(part).encode()).hexdigest()[:12]
    path = None if keep is None else keep / f"{part.world}-{part.episodes}-{part.begin}-{name}.json"
    return list(kept(path, lambda: run(part)))


def covers(one: dict[str, Any], true: float, error: float) -> bool:
    """Whether the bound that matters covers: return from below, cost from above, the truth's error counting against."""
    slack = TRUTH_ERRORS * error
    return bool(one["lower"] <= true - slack if one["of"] == "return" else one["upper"] >= min(true + slack, 1.0))


def row(group: list[dict[str, Any]], true: float, error: float) -> dict[str, Any]:
    first, logs = group[0], len(group)
    trusted = [one for one in group if one["trusted"]]
    covered = sum(covers(one, true, error) for one in trusted)
    apart = np.array([one["value"] for one in group]) - true
    relied = apart[[one["trusted"] for one in group]]
    reasons = collections.Counter(kind(reason) for one in group for reason in one["reasons"])
    return {
        **{name: first[name] for name in ("world", "episodes", "target", "of", "method")},
        "logs": logs,
        "truth": true,
        "truth_error": error,
        "trusted": len(trusted) / logs,
        "trusted_logs": len(trusted),
        "covered": covered,
        "coverage": covered / len(trusted) if trusted else None,
        "p": below(covered, len(trusted), EACH) if trusted else None,
        "coverage_without_allowance": sum(covers(one, true, 0.0) for one in trusted) / len(trusted)
        if trusted
        else None,
        "claimed_coverage": sum(covers(one, true, error) for one in group) / logs,
        "bias": float(relied.mean()) if trusted else None,
        "rmse": float(np.sqrt(np.square(apart).mean())),
        "rmse_of_trusted": float(np.sqrt(np.square(relied).mean())) if trusted else None,
        "seconds": sum(one["seconds"] for one in group) / logs,
        "reasons": dict(reasons.most_common(4)),
    }


def pooled(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the coverage over all targets, trusted, of each world, size and question, and over both worlds."""
    found = []
    for episodes in sorted({one["episodes"] for one in table}):
        for world in (*dict.fromkeys(one["world"] for one in table), "all"):
            for of in ("return", "probability"):
                some = [
                    one
                    for one in table
                    if one["of"] == of and one["episodes"] == episodes and world in (one["world"], "all")
                ]
                trusted = sum(one["trusted_logs"] for one in some)
                found.append(
                    {
                        "world": world,
                        "episodes": episodes,
                        "of": of,
                        "estimates": sum(one["logs"] for one in some),
                        "trusted": trusted,
                        "coverage": sum(one["covered"] for one in some) / trusted if trusted else None,
                    }
                )
    return found


def summarize(records: list[dict[str, Any]], truths: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Return the rows, which of them are held to the bar and miss it at a family-wise 5 %, and pooled coverage."""
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = collections.defaultdict(list)
    for one in sorted(records, key=lambda one: (one["episodes"], one["log"])):
        cells[one["episodes"], one["world"], one["target"], one["of"]].append(one)
    table = [row(group, *truths[f"{world}/{target}"][of]) for (_, world, target, of), group in cells.items()]
    tested = [one for one in table if one["p"] is not None]
    for one in tested:
        one["met"] = one["p"] >= LEVEL / len(tested)
    return {
        "bar": {"coverage_of_trusted": EACH, "tests": len(tested), "missed": sum(not one["met"] for one in tested)},
        "rows": table,
        "pooled": pooled(table),
    }


def show(result: dict[str, Any]) -> None:
    print(
        f"{'world':12}{'n':>6} {'target':10}{'of':12}{'method':12}{'logs':>5}{'truth':>9}{'trust':>7}{'cover':>7}"
        f"{'claim':>7}{'bias':>8}{'rmse':>8}{'ms':>6}"
    )
    for one in result["rows"]:
        missed = "" if one.get("met", True) else f"  missed, p = {one['p']:.1e}"
        print(
            f"{one['world']:12}{one['episodes']:6} {one['target']:10}{one['of']:12}{one['method']:12}{one['logs']:5}"
            f"{figure(one['truth'], 9)}{one['trusted']:7.3f}{figure(one['coverage'], 7)}"
            f"{one['claimed_coverage']:7.3f}{figure(one['bias'], 8)}{figure(one['rmse_of_trusted'], 8)}"
            f"{1000 * one['seconds']:6.0f}{missed}"
        )
    for one in result["pooled"]:
        print(
            f"pooled {one['world']}, n={one['episodes']}, {one['of']}: coverage {figure(one['coverage'])} of "
            f"{one['trusted']:,} trusted of {one['estimates']:,}"
        )
    print(f"{result['bar']['tests']} tests of coverage at a family-wise 5 %, {result['bar']['missed']} missed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--n", nargs="+", type=int, default=list(SIZES), help="episodes a log")
    parser.add_argument("--logs", nargs="+", type=int, help=f"logs a world, for each of --n; by default {SIZES}")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="keep finished parts here, and go on from them")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    options.logs = options.logs or [SIZES.get(n, max(SIZES.values())) for n in options.n]
    if len(options.logs) != len(options.n):
        parser.error(f"--logs has {len(options.logs)} numbers, and --n {len(options.n)}: give one for each")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes that are started
    result = record("coverage and trust where observations are measured")
    began = time.perf_counter()
    truths = {}
    for name in options.worlds:
        for target in options.targets:
            path = None if options.keep is None else options.keep / f"truth-{TRUTH_EPISODES}-{name}-{target}.json"
            truths[f"{name}/{target}"] = kept(path, lambda name=name, target=target: truth(name, target))
    print(f"  truth, {time.perf_counter() - began:.0f} s", flush=True)
    jobs = [(part, options.keep) for part in parts(options)]
    records: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, found in enumerate(pool.imap_unordered(work, jobs), 1):
            records += found
            if done % 10 == 0 or done == len(jobs):
                print(f"  {done} of {len(jobs)} parts, {time.perf_counter() - began:.0f} s", flush=True)
    result |= {
        "settings": {
            "method": options.method,
            "confidence_of_each_bound": (1 + CONFIDENCE) / 2,
            "truth_episodes": TRUTH_EPISODES,
            "standard_errors_of_the_truth_counted_against": TRUTH_ERRORS,
        },
        "seconds": time.perf_counter() - began,
        "seconds_estimating": sum(one["seconds"] for one in records),
        **summarize(records, truths),
    }
    show(result)
    print(f"{len(records):,} estimates, {result['seconds']:.0f} s")
    write(result, options.json)


if __name__ == "__main__":
    main()
