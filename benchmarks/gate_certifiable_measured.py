"""Certifiable policies where observations are measured numbers: what finite-sample evidence shows, log by fresh log.

Two worlds with continuous observations (`ope_worlds_continuous`): CartPole, where the fall is the cost, and a point
mass with a hazard on its way. A third of each log's episodes is studied; on the other two thirds the probability of the
cost is bounded from above and the gain over the logger from below, both by betting, each at 95 % one-sided, from the
logged propensities alone. GO is what shows both a hazard within three quarters of the logger's and a gain above zero.
Truths are Monte Carlo, and so are known to about 0.2 points of a probability.

* `pruned`: the logger without what adds 0.3 or more to the probability of the cost (`gs.Pruned()`).
* `pruned at 0.1`: the same, from 0.1 on.
* `argmax`: the action that the same critic fears least, among those that the logger takes in 2 of 100 cases or more.

Logs are drawn in turn for all worlds and sizes until the time is used up.

    python benchmarks/gate_certifiable_measured.py --json benchmarks/results/gate_certifiable_measured.json
"""

from __future__ import annotations

import argparse
import collections
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import record, write
from ope_worlds_continuous import WORLDS, World
from scipy import stats

import groundschool as gs
from groundschool.evaluation.behavior import logged_behavior
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.weights import episode_log_weights
from groundschool.policies.policy import DiscretePolicy, one_hot
from groundschool.safety.measured import MeasuredStudy

DELTA, SHARE, SIZES = 0.05, 0.75, (1_000, 2_000, 5_000)
NAMES = ("cartpole", "point_mass")
FAMILY_WISE = 0.05
FIRST_SEED = 200_000  # what was tuned was tuned on seeds below 200
EPISODES = 10_000  # of a truth
LEAST = 0.02


class Argmax(DiscretePolicy):
    """The action that a critic fears least, among those that the logger takes now and then."""

    def __init__(self, study: MeasuredStudy, of: str) -> None:
        self.name, self.logger, self.critic = "argmax", study.logger, study.criticism(of).critic
        self.n_actions = self.logger.n_actions

    def probabilities(self, observations: Any, *, masks: Any = None) -> Any:
        base = self.logger.probabilities(observations, masks=masks)
        fear = np.where(base >= LEAST, self.critic.losses(observations, base), np.inf)
        return one_hot(fear.argmin(axis=1), self.n_actions)


def work(world: World, logger: dict[str, float], episodes: int, seed: int) -> list[dict[str, Any]]:
    """Make the policies from a third of a fresh log, and show what can be shown of them on the rest."""
    of = f"probability:{world.cost}"
    log = world.simulate(world.targets()["logger"], episodes, seed)
    studied = np.zeros(episodes, np.bool_)
    studied[np.random.default_rng(seed).permutation(episodes)[: episodes // 3]] = True
    part, rest = log.select(studied), log.select(~studied)
    began = time.perf_counter()
    study = MeasuredStudy(part, None, 0)
    makers = {"pruned": gs.Pruned(), "pruned at 0.1": gs.Pruned({of: 0.1})}
    policies: dict[str, Any] = {name: maker.measured(study) for name, maker in makers.items()}
    policies["argmax"] = Argmax(study, of)
    making = time.perf_counter() - began
    evaluator = Evaluator(rest)
    own = pose(rest, study.logger, Question("return"), logged_behavior(rest))
    spread = float(np.std(episode_log_weights(own)))
    found = []
    for name, policy in policies.items():
        began = time.perf_counter()
        hazard = evaluator.evaluate(policy, of=of, method="betting").upper_bound(1.0 - DELTA)
        gain = evaluator.gain(policy).lower_bound(1.0 - DELTA)
        judging = time.perf_counter() - began
        truth = world.truth(policy, episodes=EPISODES, seed=10**7 + seed)
        found.append(
            {
                "world": world.name,
                "policy": name,
                "episodes": episodes,
                "hazard": truth[of][0],
                "certified_hazard": hazard,
                "gain": truth["return"][0] - logger["return"],
                "certified_gain": gain,
                "recalled_spread": spread,
                "making": making,
                "judging": judging,
            }
        )
    return found


def row_of(records: list[dict[str, Any]], limit: float) -> dict[str, Any]:
    """Sum up the logs of one world, policy and size."""
    n = len(records)
    row: dict[str, Any] = {name: records[0][name] for name in ("world", "policy", "episodes")}
    row |= {"logs": n, "limit": limit}
    for name in (
        "hazard", "certified_hazard", "gain", "certified_gain", "recalled_spread", "making", "judging"
    ):  # fmt: skip
        row[name] = statistics.fmean(one[name] for one in records)
    row["gain_shown"] = sum(one["certified_gain"] > 0.0 for one in records) / n
    row["within"] = sum(one["certified_hazard"] <= limit for one in records) / n
    row["below_the_logger"] = sum(one["certified_hazard"] < limit / SHARE for one in records) / n
    for name, side in (("hazard", -1.0), ("gain", 1.0)):
        missed = sum(side * one[f"certified_{name}"] > side * one[name] for one in records)
        row[f"{name}_missed"], row[f"{name}_p"] = missed, float(stats.binom.sf(missed - 1, n, DELTA))
    went = [one for one in records if one["certified_hazard"] <= limit and one["certified_gain"] > 0.0]
    row["go"] = len(went) / n
    row["false_go"] = sum(one["hazard"] > limit or one["gain"] <= 0.0 for one in went)
    return row


def summary(groups: dict[Any, list[dict[str, Any]]], loggers: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the rows, and the misses over all of them held against what is allowed."""
    rows = [row_of(records, SHARE * loggers[key[0]]["hazard"]) for key, records in sorted(groups.items())]
    kept = {}
    for name in dict.fromkeys(row["policy"] for row in rows):
        mine = [row for row in rows if row["policy"] == name]
        bounds = 2 * sum(row["logs"] for row in mine)
        missed = sum(row["hazard_missed"] + row["gain_missed"] for row in mine)
        p = float(stats.binom.sf(missed - 1, bounds, DELTA))
        kept[name] = {"bounds": bounds, "missed": missed, "p": p, "held": p >= FAMILY_WISE}
    return {"rows": rows, "kept": kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20, help="logs a world and size, at most")
    parser.add_argument("--seconds", type=float, default=3_600.0, help="start no log after so long")
    parser.add_argument("--n", nargs="+", type=int, default=list(SIZES), help="episodes a log")
    parser.add_argument("--worlds", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    began = time.perf_counter()
    result = record("policies certifiable by design, measured observations: GO by finite-sample bounds")
    loggers = {}
    for name in options.worlds:
        world = WORLDS[name]
        truth = world.truth(world.targets()["logger"], episodes=200_000)
        loggers[name] = {"hazard": truth[f"probability:{world.cost}"][0], "return": truth["return"][0]}
    groups: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
    jobs = [(s, n, name) for s in range(options.replicates) for n in options.n for name in options.worlds]
    for seed, episodes, name in jobs:
        # All worlds and sizes get as many logs.
        if (episodes, name) == (options.n[0], options.worlds[0]) and time.perf_counter() - began > options.seconds:
            break
        for one in work(WORLDS[name], loggers[name], episodes, options.first_seed + seed):
            groups[name, one["policy"], episodes].append(one)
            print(
                f"{time.perf_counter() - began:5.0f} s {name:10} {episodes:5,} {one['policy']:13} hazard "
                f"{one['hazard']:.3f} <= {one['certified_hazard']:.3f}, gain {one['gain']:6.3f} >= "
                f"{one['certified_gain']:7.3f}; recalled {one['recalled_spread']:.3f}; {one['making']:.0f} s",
                flush=True,
            )
        if options.json is None or (episodes, name) != (options.n[-1], options.worlds[-1]):
            continue
        write(
            result
            | {
                "settings": {
                    "first_seed": options.first_seed,
                    "confidence": 1.0 - DELTA,
                    "studied": "one third",
                    "limit": f"{SHARE:g} of the logger's hazard",
                    "loggers": loggers,
                    "truth_episodes": EPISODES,
                }
            }
            | summary(groups, loggers)
            | {"seconds": time.perf_counter() - began},
            options.json,
        )
    for row in summary(groups, loggers)["rows"]:
        print(
            f"{row['world']:10} {row['policy']:13} n={row['episodes']:5,} x {row['logs']}: "
            f"hazard {row['hazard']:.3f} <= {row['certified_hazard']:.3f} (missed {row['hazard_missed']}, within the "
            f"limit {row['within']:.0%}), gain {row['gain']:.3f} >= {row['certified_gain']:.3f} (missed "
            f"{row['gain_missed']}), GO {row['go']:.0%}, false {row['false_go']}"
        )
    print(summary(groups, loggers)["kept"])


if __name__ == "__main__":
    main()
