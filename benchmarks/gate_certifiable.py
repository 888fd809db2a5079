"""Policies that are certifiable by design: what finite-sample evidence shows of them, log by fresh log.

Each log is of the noisy logger on HazardGrid, drawn from the exact model. A third of its episodes is studied;
on the other two thirds the probability of a hazard is bounded from above and the gain over the logger from below, both
by betting, each at 95 % one-sided: no model, and no assumption beyond the logged propensities (which depend on the
observation alone) and the range of the return, which is declared from the grid's own rewards. GO is what shows both a
hazard within the limit and a gain above zero; a false GO is one whose policy truly has more hazard than the limit, or
no gain.

* `pruned`: the logger without actions of estimated danger, read off the log alone (`gs.Pruned()`).
* `pruned, logger known`: the same, with the logger at hand (`behavior=`) in making and in judging.
* `spibb`: the better of actions logged three times or more takes over from those that are a lot worse (`gs.Spibb()`).
* `argmax`: what planning in the counted model would do, among actions that the log supports.

    python benchmarks/gate_certifiable.py --json benchmarks/results/gate_certifiable.json
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import ope_worlds
from machine import record, write
from scipy import stats

import groundschool as gs
from groundschool.evaluation.advantages import advantages
from groundschool.evaluation.behavior import resolve_behavior
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.question import Question
from groundschool.policies.counted import CountedPolicy
from groundschool.policies.places import Places
from groundschool.policies.policy import one_hot

DELTA, LIMITS, SIZES = 0.05, (0.10, 0.15), (500, 1_000, 2_000, 5_000)
HAZARD = "probability:hazard"
POLICIES = ("pruned", "pruned, logger known", "spibb", "argmax")
BARS = {
    "go_at_10_percent": {1_000: 0.75, 2_000: 0.95, 5_000: 0.95},
    "gain_of_those_at_least": 15.0,
    "mean_certified_hazard_at_500": 0.135,
    "go_at_15_percent_at_500": 0.75,
    "gain_shown_at_500": 0.95,
}
FAMILY_WISE = 0.05
FIRST_SEED = 100_000  # what was tuned was tuned on seeds from 9,000 to 9,999


def declared_range(grid: gs.HazardGrid) -> tuple[float, float]:
    """Return the least and the largest return that any episode can have, from the grid's rewards and horizon alone."""
    low = grid.step_reward * (grid.horizon - 1) + grid.hazard_reward
    return low, grid.step_reward * (grid.layout.distance - 1) + grid.goal_reward


class Place:
    """The tutorial's grid, its logger, and exact answers."""

    def __init__(self) -> None:
        self.world = ope_worlds.WORLDS["grid-tutorial"]("grid-tutorial")
        self.grid = gs.HazardGrid()
        self.logger = self.grid.logger(0.22)
        exact = self.world.model.evaluate(self.world.logger)
        self.hazard, self.return_ = exact.probabilities["hazard"], exact.return_

    def log(self, episodes: int, seed: int) -> gs.Dataset:
        log = self.world.sampler.log(episodes, seed)
        return gs.Dataset.from_arrays(
            log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
            propensities=log.propensities, final_observations=log.final_observations, n_actions=log.n_actions,
            horizon=log.horizon, episode_ids=log.episode_ids, return_range=declared_range(self.grid),
        )  # fmt: skip


def argmax(log: gs.Dataset) -> CountedPolicy:
    """Improve the logger's policy by policy iteration on the counted model of a log."""
    policy: Any = gs.Pruned({"return": 1e9})(log).policy
    behavior, question = resolve_behavior(log, None), Question.parse("return", log)
    for _ in range(8):
        found = advantages(log, policy, question, behavior)
        most = found.counts.max(axis=1, keepdims=True)
        supported = (found.counts >= 3) & (found.counts >= 0.3 * most) | (found.counts == most)
        best = np.where(supported, found.advantages, -np.inf).argmax(axis=1)
        places, order = Places.of(log.observations[found.rows], None)
        table = one_hot(best, 4)[order]
        policy = CountedPolicy("argmax", places, table, table.mean(axis=0), np.ones(2))
    return policy


Job = tuple[int, int, tuple[str, ...]]
_PLACE: list[Place] = []


def work(job: Job) -> list[dict[str, Any]]:
    episodes, seed, wanted = job
    if not _PLACE:
        _PLACE.append(Place())
    place = _PLACE[0]
    log = place.log(episodes, seed)
    studied = np.zeros(episodes, np.bool_)
    studied[np.random.default_rng(seed).permutation(episodes)[: episodes // 3]] = True
    part, rest = log.select(studied), log.select(~studied)
    alone, known = Evaluator(rest), Evaluator(rest, behavior=place.logger)
    found = []
    for name in wanted:
        began = time.perf_counter()
        policy = {
            "pruned": lambda: gs.Pruned()(part),
            "pruned, logger known": lambda: gs.Pruned(behavior=place.logger)(part),
            "spibb": lambda: gs.Spibb()(part),
            "argmax": lambda: argmax(part),
        }[name]()
        made = time.perf_counter()
        evaluator = known if name.endswith("known") else alone
        hazard = evaluator.evaluate(policy, of=HAZARD, method="betting").upper_bound(1.0 - DELTA)
        gain = evaluator.gain(policy).lower_bound(1.0 - DELTA)
        exact = place.world.model.evaluate(policy)
        found.append(
            {
                "policy": name,
                "episodes": episodes,
                "hazard": exact.probabilities["hazard"],
                "certified_hazard": hazard,
                "gain": exact.return_ - place.return_,
                "certified_gain": gain,
                "making": made - began,
                "judging": time.perf_counter() - made,
            }
        )
    return found


def row_of(key: tuple[str, int], records: list[dict[str, Any]]) -> dict[str, Any]:
    def mean(name: str, some: list[dict[str, Any]] = records) -> float | None:
        return statistics.fmean(one[name] for one in some) if some else None

    n = len(records)
    row: dict[str, Any] = {"policy": key[0], "episodes": key[1], "logs": n}
    row |= {name: mean(name) for name in ("hazard", "certified_hazard", "gain", "certified_gain", "making", "judging")}
    row["gain_shown"] = sum(one["certified_gain"] > 0.0 for one in records) / n
    for name, side in (("hazard", -1.0), ("gain", 1.0)):
        missed = sum(side * one[f"certified_{name}"] > side * one[name] for one in records)
        row[f"{name}_missed"], row[f"{name}_p"] = missed, float(stats.binom.sf(missed - 1, n, DELTA))
    for limit in LIMITS:
        went = [one for one in records if one["certified_hazard"] <= limit and one["certified_gain"] > 0.0]
        false = sum(one["hazard"] > limit or one["gain"] <= 0.0 for one in went)
        row[f"at_{limit:.0%}".replace("%", "_percent")] = {
            "go": len(went) / n,
            "go_with_a_gain_of_15": sum(one["gain"] >= BARS["gain_of_those_at_least"] for one in went) / n,
            "mean_gain_of_those": mean("gain", went),
            "false_go": false,
            "false_go_p": float(stats.binom.sf(false - 1, n, DELTA)),
        }
    return row


def verdicts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Hold each policy's rows against the bars."""
    found: dict[str, Any] = {}
    tests = 4 * len(rows)
    for name in dict.fromkeys(row["policy"] for row in rows):
        mine = {row["episodes"]: row for row in rows if row["policy"] == name}
        checks = {
            f"GO at 10 % from {n:,} episodes, with a gain of 15": mine[n]["at_10_percent"]["go_with_a_gain_of_15"]
            >= bar
            for n, bar in BARS["go_at_10_percent"].items()
            if n in mine
        }
        if 500 in mine:
            row = mine[500]
            checks |= {
                "mean certified hazard from 500": row["certified_hazard"] <= BARS["mean_certified_hazard_at_500"],
                "GO at 15 % from 500": row["at_15_percent"]["go"] >= BARS["go_at_15_percent_at_500"],
                "gain shown from 500": row["gain_shown"] >= BARS["gain_shown_at_500"],
            }
        p = [
            p
            for row in mine.values()
            for p in (row["hazard_p"], row["gain_p"], *(row[f"at_{x}_percent"]["false_go_p"] for x in (10, 15)))
        ]
        checks["misses and false GO at most 5 %, family-wise"] = min(p) >= FAMILY_WISE / tests
        found[name] = checks
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=200, help="logs a size")
    parser.add_argument("--beside", type=int, default=40, help="logs a size for all policies but the first")
    parser.add_argument("--n", nargs="+", type=int, default=list(SIZES), help="episodes a log")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes that are started
    began = time.perf_counter()
    result = record("policies certifiable by design: GO by finite-sample bounds on hazard and on the paired gain")
    everybody = tuple(options.policies)
    jobs = [
        (n, options.first_seed + seed, everybody if seed < options.beside else everybody[:1])
        for n in options.n
        for seed in range(options.replicates)
    ]
    groups: dict[tuple[str, int], list[dict[str, Any]]] = collections.defaultdict(list)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, found in enumerate(pool.imap(work, jobs, chunksize=4), 1):
            for one in found:
                groups[one["policy"], one["episodes"]].append(one)
            if done % 100 == 0:
                print(f"  {done} of {len(jobs)} logs, {time.perf_counter() - began:.0f} s", flush=True)
    rows = [row_of(key, records) for key, records in groups.items()]
    for row in rows:
        print(
            f"{row['policy']:21} n={row['episodes']:5,} hazard {row['hazard']:.3f} <= {row['certified_hazard']:.3f} "
            f"(missed {row['hazard_missed']}), gain {row['gain']:6.2f} >= {row['certified_gain']:7.2f} (missed "
            f"{row['gain_missed']}, shown {row['gain_shown']:.1%}), GO at 10 %: {row['at_10_percent']['go']:.1%} "
            f"({row['at_10_percent']['go_with_a_gain_of_15']:.1%} with 15, {row['at_10_percent']['false_go']} false), "
            f"at 15 %: {row['at_15_percent']['go']:.1%}; {row['making']:.2f} + {row['judging']:.2f} s"
        )
    checked = verdicts(rows)
    for policy, checks in checked.items():
        print(policy, {name: bool(kept) for name, kept in checks.items()})
    place = Place()
    write(
        result
        | {
            "settings": {
                "replicates": options.replicates,
                "beside": options.beside,
                "first_seed": options.first_seed,
                "confidence": 1.0 - DELTA,
                "studied": "one third",
                "return_range": list(declared_range(place.grid)),
                "logger": {"hazard": place.hazard, "return": place.return_},
            },
            "bars": {**BARS, "go_at_10_percent": {str(n): bar for n, bar in BARS["go_at_10_percent"].items()}},
            "kept": checked,
            "rows": rows,
            "seconds": time.perf_counter() - began,
        },
        options.json,
    )


if __name__ == "__main__":
    main()
