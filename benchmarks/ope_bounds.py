"""Bounds that hold at every number of episodes: how often each misses, and how wide it is beside empirical Bernstein.

Each log is of a noisy logger whose probabilities are known; the answers are exact. Asked are the probability of a
hazard and the return, in the range that the world's own tables allow. Every bound is one-sided at 95 %, above and
below, from the same log; its width is that of the two together. Targets: the logger itself; its intent with less noise
(`sharper`) or more (`milder`); without any (`intent`); every action alike (`uniform`); and the logger without those
actions that add .1 or more to the probability of a hazard (`deleted`).

Empirical Bernstein's bound is that of limited weighted outcomes, its limit learned on a tenth of the log; it makes no
use of the logger's other probabilities, so that `betting, propensities alone` is its like. Weights are said to allow a
bound where they leave the worth of 100 episodes on average (effective sample size).

    python benchmarks/ope_bounds.py --json benchmarks/results/ope_bounds.json
"""

from __future__ import annotations

import argparse
import collections
import functools
import multiprocessing
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import ope_worlds
from machine import record, write
from ope_worlds import Table, World, random_world
from scipy import stats

from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.tabular import TabularModel

TAIL, FAMILY_WISE, BAR, ENOUGH = 0.05, 0.05, 0.8, 100.0
SIZES = (500, 5_000)
REFERENCE = "empirical_bernstein"
METHODS = ("betting", "betting, propensities alone", "complement", "censored_weight", "rejection", REFERENCE)
TARGETS = {
    "grid-tutorial": ("logger", "deleted", "sharper", "milder", "intent"),
    "random-10x2": ("logger", "deleted", "sharper", "milder"),
    "random-10x4": ("sharper",),
    "random-50x4": ("deleted", "sharper"),
    "one step, 4 actions": ("deleted", "sharper", "intent", "uniform"),
    "one step, 10 actions": ("sharper", "uniform"),
}


@functools.cache
def world(name: str) -> World:
    if name == "one step, 4 actions":
        return random_world(name, 40, 4, 3, 1, 0.5, ending=0.05)
    if name == "one step, 10 actions":
        return random_world(name, 40, 10, 3, 1, 0.3, ending=0.05)
    made = ope_worlds.WORLDS[name](name)
    # Rewards without noise on top have a range.
    return made if not made.reward_noise else World(**{**vars(made), "reward_noise": 0.0})


def target(name: str, place: World) -> Table:
    return {
        "logger": lambda: place.logger,
        "deleted": lambda: deleted(place),
        "sharper": lambda: place.noisy(0.45 * place.epsilon),
        "milder": lambda: place.noisy(1.5 * place.epsilon),
        "intent": lambda: place.intent,
        "uniform": lambda: place.uniform,
    }[name]()


def deleted(place: World) -> Table:
    """Return the logger without actions after which it meets a hazard .1 or more above its own probability."""
    model = place.model
    event = (model.costs[place.cost] > 0).astype(float)
    kept = np.where(event > 0, 0.0, model.transitions)
    risk = np.zeros(model.n_states)
    for _ in range(model.horizon):
        after = (model.transitions * event).sum(axis=2) + kept @ risk
        risk = np.where(model.terminal, 0.0, (place.logger * after).sum(axis=1))
    safe = place.logger * (after < risk[:, None] + 0.1)
    total = safe.sum(axis=1, keepdims=True)
    return np.where(total > 0, safe / np.where(total > 0, total, 1.0), place.logger)


def range_of_returns(model: TabularModel) -> tuple[float, float]:
    """Return the least and the largest sum of rewards that any episode can have."""
    ends = []
    for sign in (-1.0, 1.0):
        best = np.zeros(model.n_states)
        for _ in range(model.horizon):
            ahead = np.where(model.transitions > 0, sign * model.rewards + best, -np.inf)
            best = np.where(model.terminal, 0.0, ahead.max(axis=(1, 2)))
        ends.append(sign * best[model.initial > 0].max())
    return ends[0], ends[1]


Job = tuple[str, int, int]


def work(job: Job) -> list[dict[str, Any]]:
    name, episodes, seed = job
    place = world(name)
    log = place.sampler.log(episodes, seed)
    low, high = range_of_returns(place.model)
    log = type(log).from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
        propensities=log.propensities, action_masks=log.action_masks, n_actions=log.n_actions, horizon=log.horizon,
        return_range=(low - 1e-9, high + 1e-9),
    )  # fmt: skip
    behavior = place.logger[place.states(log.observations)]
    found = []
    for wanted in TARGETS[name]:
        table = target(wanted, place)
        exact = place.model.evaluate(table)
        truths = {f"probability:{place.cost}": exact.probabilities[place.cost], "return": exact.return_}
        for of, truth in truths.items():
            question, policy = Question.parse(of, log), place.policy(table, wanted)
            for method in METHODS:
                known = None if method.endswith("alone") else behavior
                problem = pose(log, policy, question, Behavior(np.asarray(log.propensities), known, True))
                began = time.perf_counter()
                answer = estimator(method.split(",")[0])(problem, seed=seed)
                lower, upper = answer.bounds(TAIL)
                found.append(
                    {
                        "world": name,
                        "target": wanted,
                        "episodes": episodes,
                        "of": of.partition(":")[0],
                        "method": method,
                        "truth": truth,
                        "ess": answer.diagnostics["ess"],
                        "missed": (lower > truth, upper < truth),
                        "lower": lower,
                        "upper": upper,
                        "width": (upper - lower) / (problem.high - problem.low),
                        "seconds": time.perf_counter() - began,
                    }
                )
    return found


def rows_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = collections.defaultdict(list)
    for one in records:
        groups[one["world"], one["target"], one["episodes"], one["of"], one["method"]].append(one)
    rows = []
    for key, group in groups.items():
        below, above = (sum(one["missed"][side] for one in group) for side in (0, 1))
        rows.append(
            dict(zip(("world", "target", "episodes", "of", "method"), key, strict=True))
            | {
                "logs": len(group),
                "truth": group[0]["truth"],
                "ess": statistics.fmean(one["ess"] for one in group),
                "missed_below": below,
                "missed_above": above,
                "lower": statistics.fmean(one["lower"] for one in group),
                "upper": statistics.fmean(one["upper"] for one in group),
                "width": statistics.fmean(one["width"] for one in group),
                "seconds": statistics.fmean(one["seconds"] for one in group),
            }
        )
    reference = {key[:4]: row["width"] for key, row in zip(groups, rows, strict=True) if key[4] == REFERENCE}
    for key, row in zip(groups, rows, strict=True):
        row["width_over_empirical_bernstein"] = row["width"] / reference[key[:4]]
        row["weights_allow"] = row["ess"] >= ENOUGH
    return rows


def tested(rows: list[dict[str, Any]]) -> None:
    """Mark rows that miss more often than they may: one-sided binomial tests that share 5 % among all."""
    tests = 2 * len(rows)
    for row in rows:
        p = [float(stats.binom.sf(row[side] - 1, row["logs"], TAIL)) for side in ("missed_below", "missed_above")]
        row["p"], row["nominal"] = min(p), min(p) >= FAMILY_WISE / tests


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        allowed = [row for row in mine if row["weights_allow"]]
        ratios = [row["width_over_empirical_bernstein"] for row in allowed]
        everywhere = [row["width_over_empirical_bernstein"] for row in mine]
        found[method] = {
            "cells": len(mine),
            "cells_where_weights_allow": len(allowed),
            "one_sided_bounds": 2 * sum(row["logs"] for row in mine),
            "missed": sum(row["missed_below"] + row["missed_above"] for row in mine),
            "miss_rate": sum(row["missed_below"] + row["missed_above"] for row in mine)
            / (2 * sum(row["logs"] for row in mine)),
            "largest_miss_rate": max(max(row["missed_below"], row["missed_above"]) / row["logs"] for row in mine),
            "cells_beyond_nominal": sum(not row["nominal"] for row in mine),
            "mean_width_ratio": statistics.fmean(ratios) if ratios else None,
            "largest_width_ratio": max(ratios, default=None),
            "cells_at_most_the_bar": sum(ratio <= BAR for ratio in ratios),
            "mean_width_ratio_everywhere": statistics.fmean(everywhere),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=400, help="logs a world and size")
    parser.add_argument("--worlds", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--n", nargs="+", type=int, default=list(SIZES), help="episodes a log")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes that are started
    began = time.perf_counter()
    result = record("finite-sample bounds: misses, and width beside empirical Bernstein's")
    jobs = [(name, n, seed) for name in options.worlds for n in options.n for seed in range(options.replicates)]
    records: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, found in enumerate(pool.imap_unordered(work, jobs, chunksize=4), 1):
            records += found
            if done % 200 == 0:
                print(f"  {done} of {len(jobs)} logs, {time.perf_counter() - began:.0f} s", flush=True)
    rows = rows_of(records)
    tested(rows)
    for row in rows:
        print(
            f"{row['world']:21} {row['target']:8} {row['episodes']:5,} {row['of']:11} {row['method']:27} "
            f"truth {row['truth']:8.3f} in [{row['lower']:8.3f}, {row['upper']:8.3f}] missed {row['missed_below']:3} + "
            f"{row['missed_above']:3} of {row['logs']}, {row['width_over_empirical_bernstein']:.2f} of EB, "
            f"ESS {row['ess']:.0f}, {row['seconds']:.2f} s{'' if row['nominal'] else '  BEYOND NOMINAL'}"
        )
    methods = summary(rows)
    for method, facts in methods.items():
        print(method, facts)
    write(
        result
        | {
            "settings": {"replicates": options.replicates, "tail": TAIL, "episodes": options.n, "enough_ess": ENOUGH},
            "bars": {"miss_rate_at_most": TAIL, "family_wise": FAMILY_WISE, "width_ratio_at_most": BAR},
            "methods": methods,
            "rows": rows,
            "seconds": time.perf_counter() - began,
        },
        options.json,
    )


if __name__ == "__main__":
    main()
