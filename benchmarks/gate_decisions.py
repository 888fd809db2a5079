"""The gate over thousands of simulated studies: how often a GO is false, how soon a good policy goes, what advice is.

A study: candidates are learned from one log (cloned; cloned without what is rare; the best of what is not rare) or
fixed (the logger with less noise, the logger half turned to danger); of two of them, drawn at random, the one with the
most cautious return in a second log is taken to the gate on a third, of n episodes. The truth is exact. Limits are
multiples of what the selected one truly costs, so that at .5, .8 and 1 every GO is false, and margins are set about its
true gain. Estimates are made once a study and held against every limit by the gate's own rules.

With ``--follow``: studies of 300 episodes under a plan of five looks; whoever is told that evidence is insufficient
logs as many further episodes as the verdict suggests, and looks again on all of them.

    python benchmarks/gate_decisions.py --json benchmarks/results/gate_decisions.json
    python benchmarks/gate_decisions.py --follow --json benchmarks/results/gate_advice.json
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import math
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import ope_worlds
from machine import record, write
from ope_bounds import range_of_returns
from ope_targets import cloned, half_danger
from ope_worlds import Table, World, plan
from scipy import stats

import groundschool as gs
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.question import Question
from groundschool.safety.criteria import Criteria
from groundschool.safety.examination import once_more
from groundschool.safety.gate import ask, decide

MISSED, FAMILY_WISE = 0.05, 0.05
ALLOWED = {"finite-sample": MISSED, "asymptotic": 1.5 * MISSED}
WORLDS = ("grid-tutorial", "grid-10", "grid-12", "random-10x2", "random-10x4", "random-50x4")
SIZES = {200: 110, 500: 110, 1_000: 80, 2_000: 30, 5_000: 40, 20_000: 10}
RARE = 0.1  # of a state's actions
MULTIPLES = (0.5, 0.8, 1.0, 1.25, 1.6, 2.5)
MARGINS = (0.2, 0.0, -0.2, -0.5)  # of the size of the true gain, above it
GOOD, GOOD_LIMIT = "intent", 0.05
FIRST, LOOKS, MOST, FOLLOWED = 300, 5, 40_000, 60
FOLLOWED_WORLDS = ("grid-tutorial", "random-10x2", "random-10x4", "random-50x4")
FOLLOWED_MULTIPLES = (0.8, 1.0, 1.25, 1.6)


@functools.cache
def world(name: str) -> World:
    made = ope_worlds.WORLDS[name](name)
    # Rewards without noise on top have a range.
    return made if not made.reward_noise else World(**{**vars(made), "reward_noise": 0.0})


@functools.cache
def fixed(name: str) -> dict[str, Table]:
    place = world(name)
    return {"sharper": place.noisy(0.45 * place.epsilon), "half into danger": half_danger(place)}


def learned(name: str, episodes: int, seed: int) -> dict[str, Table]:
    """Return candidates learned from a log of their own."""
    place = world(name)
    log = place.sampler.log(episodes, seed)
    counts = np.zeros(place.intent.shape)
    np.add.at(counts, (place.states(log.observations), log.actions), 1.0)
    clone = cloned(place, counts)
    usual = clone >= RARE
    kept = np.where(usual, clone, 0.0)
    return {
        "cloned": clone,
        "cloned, usual": kept / kept.sum(axis=1, keepdims=True),
        "best of the usual": plan(place.model, usual, fallback=clone),
    }


def log_of(name: str, episodes: int, seed: int) -> gs.Dataset:
    """Return a log whose range of returns is declared, as the world's own tables allow."""
    return dataclasses.replace(world(name).sampler.log(episodes, seed), return_range=range_of(name))


@functools.cache
def range_of(name: str) -> tuple[float, float]:
    low, high = range_of_returns(world(name).model)
    return low - 1e-9, high + 1e-9


def selected(name: str, episodes: int, seed: int) -> tuple[str, Table]:
    """Return which of two candidates has the more cautious return on a selection part."""
    place = world(name)
    every = {**fixed(name), **learned(name, max(episodes // 2, 200), seed)}
    drawn = np.random.default_rng([seed, 7]).choice(sorted(every), 2, replace=False)
    candidates = {one: every[one] for one in drawn}
    evaluator = Evaluator(log_of(name, max(episodes // 4, 150), seed + 1))
    cautious = {
        one: once_more(evaluator, place.policy(table, one), Question("return")) for one, table in candidates.items()
    }
    best = max(cautious, key=lambda one: cautious[one])
    return best, candidates[best]


def study(job: tuple[str, int, int]) -> list[dict[str, Any]]:
    """Return every verdict of one study."""
    name, episodes, seed = job
    place = world(name)
    chosen, table = selected(name, episodes, 10 * seed + 1)
    holdout = log_of(name, episodes, 10 * seed + 3)
    found = verdicts(name, holdout, chosen, table)
    if name == "grid-tutorial":
        good = place.noisy(0.0)
        limit = gs.Constraint(place.cost, limit=GOOD_LIMIT)
        for assurance in ALLOWED:
            criteria = Criteria((limit,), assurance=assurance)  # type: ignore[arg-type]
            policy = place.policy(good, GOOD)
            verdict = decide(holdout, policy, ask(holdout, policy, criteria), criteria)
            found.append({"assurance": assurance, "asked": "good", "multiple": 1.0, "decision": verdict.decision})
    return [{"world": name, "episodes": episodes, "chosen": chosen, **one} for one in found]


def verdicts(name: str, holdout: gs.Dataset, chosen: str, table: Table) -> list[dict[str, Any]]:
    place = world(name)
    policy, exact, own = place.policy(table, chosen), place.model.evaluate(table), place.model.evaluate(place.logger)
    harm, gain = exact.probabilities[place.cost], exact.return_ - own.return_
    found = []
    for assurance in ALLOWED:
        asked = Criteria((gs.Constraint(place.cost, limit=0.5),), assurance=assurance)  # type: ignore[arg-type]
        estimates = ask(holdout, policy, asked)
        for multiple in MULTIPLES:
            if not 0.0 < (limit := harm * multiple) < 1.0:
                continue
            criteria = Criteria(
                (gs.Constraint(place.cost, limit=limit),),
                baseline=None,
                assurance=assurance,  # type: ignore[arg-type]
            )
            verdict = decide(holdout, policy, estimates, criteria)
            found.append({"assurance": assurance, "asked": "limit", "multiple": multiple, "decision": verdict.decision})
        for share in MARGINS:
            criteria = Criteria(margin=gain + share * abs(gain), assurance=assurance)  # type: ignore[arg-type]
            verdict = decide(holdout, policy, estimates, criteria)
            found.append({"assurance": assurance, "asked": "gain", "multiple": share, "decision": verdict.decision})
    return found


def follow(job: tuple[str, float, str, int]) -> dict[str, Any]:
    """Return what came of following the advice, look by look."""
    name, multiple, assurance, seed = job
    place = world(name)
    chosen, table = selected(name, FIRST, 10 * seed + 1)
    policy, harm = place.policy(table, chosen), place.model.evaluate(table).probabilities[place.cost]
    told = {"world": name, "multiple": multiple, "assurance": assurance, "chosen": chosen, "harm": harm, "looks": []}
    if not 0.0 < harm * multiple < 1.0:
        return told
    limit = gs.Constraint(place.cost, limit=harm * multiple)
    criteria = Criteria((limit,), baseline=None, assurance=assurance, looks=LOOKS)  # type: ignore[arg-type]
    logs = [log_of(name, FIRST, 10 * seed + 3)]
    for look in range(1, LOOKS + 1):
        holdout = gs.join(logs)
        verdict = decide(holdout, policy, ask(holdout, policy, criteria), criteria, look=look)
        told["looks"].append(
            {
                "episodes": holdout.n_episodes,
                "decision": verdict.decision,
                "further": verdict.logged,
                "trusted": all(one.estimate.trusted for one in verdict.findings),
            }
        )
        if verdict.decision != "INSUFFICIENT EVIDENCE" or verdict.logged is None:
            break
        if holdout.n_episodes + verdict.logged > MOST:
            break
        logs.append(log_of(name, verdict.logged, 10_000_000 + 10 * seed + look))
    return told


def false_goes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each cell in which every GO is false: how many there were, and whether that is too many by chance."""
    cells: dict[tuple[Any, ...], list[bool]] = collections.defaultdict(list)
    for row in rows:
        violated = row["multiple"] <= 1.0 if row["asked"] == "limit" else row["multiple"] >= 0.0
        if row["asked"] != "good" and violated:
            key = (row["assurance"], row["asked"], row["multiple"], row["episodes"])
            cells[key].append(row["decision"] == "GO")
    level = FAMILY_WISE / max(len(cells), 1)
    found = []
    for (assurance, asked, multiple, episodes), goes in sorted(cells.items()):
        p = stats.binomtest(sum(goes), len(goes), ALLOWED[assurance], alternative="greater").pvalue
        found.append(
            {
                "assurance": assurance, "asked": asked, "multiple": multiple, "episodes": episodes,
                "studies": len(goes), "go": sum(goes), "share": sum(goes) / len(goes), "p": float(p),
                "held": bool(p >= level),
            }
        )  # fmt: skip
    return found


def power(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the share of each decision where the criterion truly holds, by distance and size."""
    cells: dict[tuple[Any, ...], list[str]] = collections.defaultdict(list)
    for row in rows:
        holds = row["multiple"] > 1.0 if row["asked"] == "limit" else row["multiple"] < 0.0
        if row["asked"] == "good" or holds:
            cells[(row["assurance"], row["asked"], row["multiple"], row["episodes"])].append(row["decision"])
    return [
        {
            "assurance": assurance, "asked": asked, "multiple": multiple, "episodes": episodes,
            "studies": len(found), **{word: found.count(word) / len(found) for word in ("GO", "NO-GO")},
        }
        for (assurance, asked, multiple, episodes), found in sorted(cells.items())
    ]  # fmt: skip


def advice(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how often following the advice ended in a false GO, and how often one more look decided."""
    found: dict[str, Any] = {}
    for assurance in ALLOWED:
        mine = [run for run in runs if run["assurance"] == assurance and run["looks"]]
        bad = [run for run in mine if run["multiple"] <= 1.0]
        goes = sum(run["looks"][-1]["decision"] == "GO" for run in bad)
        p = stats.binomtest(goes, len(bad), MISSED, alternative="greater").pvalue if bad else math.nan
        # The truth is off the limit by a fifth or more, the first look could not tell, and a number was suggested.
        open_ = [run for run in mine if run["multiple"] != 1.0 and run["looks"][0]["decision"][0] == "I"]
        asked = [run for run in open_ if len(run["looks"]) > 1]
        decided = sum(run["looks"][1]["decision"] != "INSUFFICIENT EVIDENCE" for run in asked)
        found[assurance] = {
            "violating": len(bad), "false_go": goes, "share": goes / max(len(bad), 1), "p": float(p),
            "held": bool(p >= FAMILY_WISE / len(ALLOWED)), "undecided": len(open_), "advised": len(asked),
            "decided_at_next_look": decided / max(len(asked), 1),
            "episodes_at_next_look": statistics.median([run["looks"][1]["episodes"] for run in asked] or [math.nan]),
        }  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--follow", action="store_true", help="follow the advice, under a plan of five looks")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="of the studies, for a quick look")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    arguments = parser.parse_args()
    began = time.perf_counter()
    result: dict[str, Any] = record("advice followed" if arguments.follow else "verdicts of the gate")
    with ProcessPoolExecutor(arguments.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        if arguments.follow:
            seeds = range(arguments.first, arguments.first + max(1, round(FOLLOWED * arguments.share)))
            jobs = [
                (name, multiple, assurance, seed)
                for name in FOLLOWED_WORLDS
                for multiple in FOLLOWED_MULTIPLES
                for assurance in ALLOWED
                for seed in seeds
            ]
            runs = list(pool.map(follow, jobs, chunksize=4))
            result |= {"advice": advice(runs)}
            for assurance, row in result["advice"].items():
                held = "held" if row["held"] else "NOT held"
                print(
                    f"{assurance}: {row['false_go']} false GO in {row['violating']} studies ({row['share']:.3f}, "
                    f"{held}); one more look decided {row['decided_at_next_look']:.0%} of {row['advised']}"
                )
        else:
            studies = [
                (name, episodes, seed)
                for episodes, logs in sorted(SIZES.items(), reverse=True)
                for name in WORLDS
                for seed in range(arguments.first, arguments.first + max(1, round(logs * arguments.share)))
            ]
            rows = [row for found in pool.map(study, studies, chunksize=4) for row in found]
            result |= {"studies": len(studies), "false_go": false_goes(rows), "power": power(rows)}
            for row in result["false_go"]:
                print(
                    f"{row['assurance']:13s} {row['asked']:5s} x{row['multiple']:<5g} n={row['episodes']:<6d} false GO "
                    f"{row['go']:4d} of {row['studies']:<4d} ({row['share']:.3f}){'' if row['held'] else '  NOT held'}"
                )
            for row in result["power"]:
                print(
                    f"{row['assurance']:13s} {row['asked']:5s} x{row['multiple']:<5g} n={row['episodes']:<6d} GO "
                    f"{row['GO']:.2f}, NO-GO {row['NO-GO']:.2f} of {row['studies']}"
                )
    result["seconds"] = time.perf_counter() - began
    print(f"{result['seconds']:.0f} s")
    write(result, arguments.json)


if __name__ == "__main__":
    main()
