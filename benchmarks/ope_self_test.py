"""The self-test: how often it accuses honest logs, and how often it catches corrupted propensities.

Honest logs are of the worlds with exact answers, of random small processes (also of one step), of two worlds with
continuous observations and of a random smooth one; their loggers are noisy, or follow a fixed rule, whose propensities
truly are 1. Logs of loggers that looked at more than the observation (the time, who wrote the episode) are honest too,
and counted apart. Corrupted logs are the same ones of 500 episodes with propensities that stand in other rows, with
the probability of action 1 in place of that of the action taken, or all 1. A shuffle that changes nothing (a uniform
logger) is no corruption.

    python benchmarks/ope_self_test.py --json benchmarks/results/ope_self_test.json
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ope_worlds
import ope_worlds_continuous
from machine import record, write
from scipy import stats

import groundschool as gs
from groundschool.evaluation.behavior import logged_behavior
from groundschool.evaluation.diagnostics.self_test import self_test
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import Sampler

SIZES = (50, 500, 5_000)
CORRUPTED_SIZE = 500
MOST_FALSE, LEAST_FOUND = 0.05, 0.95
FAMILY_WISE = 0.05

Log = gs.Dataset
Maker = Callable[[int, int], Log]


def tabular(name: str, kind: str) -> Maker:
    """Return logs of a world by its logger, by that with another share of noise each time, or by its intent."""
    world = ope_worlds.world(name)
    fixed = world.sampler if kind == "noisy" else Sampler.of(world.model, world.intent, masks=world.masks)

    def make(episodes: int, seed: int) -> Log:
        if kind != "other noise":
            return fixed.log(episodes, seed)
        table = world.noisy(np.random.default_rng(seed).uniform(0.05, 0.9))
        return Sampler.of(world.model, table, masks=world.masks).log(episodes, seed)

    return make


def continuous(name: str, kind: str) -> Maker:
    world = ope_worlds_continuous.WORLDS[name]
    logger = world.targets()[kind if kind != "fixed rule" else "logger"]
    policy = logger.greedy() if kind == "fixed rule" else logger
    return lambda episodes, seed: world.simulate(policy, episodes, seed)


def small(kind: str, *, horizon: int | None = None, actions: int | None = None) -> Maker:
    """Return logs of random processes over ids, another each time; `kind` says what the logger looked at."""

    def make(episodes: int, seed: int) -> Log:
        rng = np.random.default_rng([seed, episodes])
        S, A, T = int(rng.integers(3, 31)), actions or int(rng.integers(2, 7)), horizon or int(rng.integers(3, 25))
        moves, values = rng.dirichlet(np.full(S, 0.3), (S, A)), rng.normal(size=(S, A))
        policies = rng.dirichlet(np.full(A, rng.choice([0.3, 1.0, 3.0])), (4, S))
        policies = np.eye(A)[policies.argmax(axis=2)] if kind == "fixed rule" else 0.95 * policies + 0.05 / A
        state, who = rng.integers(0, S, episodes), rng.integers(0, 4, episodes)
        columns = []
        for step in range(T):
            looked = {"the time": min(4 * step // T, 3), "the episode": who}.get(kind, 0)
            chances = policies[looked, state]
            action = drawn(chances, rng)
            reward = values[state, action] + rng.normal(size=episodes)
            columns.append((state, action, reward, chances[np.arange(episodes), action]))
            state = drawn(moves[state, action], rng)
        return packed(columns, A)

    return make


def smooth(kind: str, actions: int, width: int) -> Maker:
    """Return logs of a drifting point whose logger follows a random smooth rule, with noise or without."""

    def make(episodes: int, seed: int) -> Log:
        rng = np.random.default_rng([seed, episodes])
        inner, outer = rng.normal(size=(width, 12)), rng.normal(size=(12, actions))
        push = rng.normal(size=(actions, width))
        point, columns = rng.normal(size=(episodes, width)), []
        for _ in range(20):
            logits = 1.5 * np.tanh(point @ inner) @ outer
            chances = np.exp(logits - logits.max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
            if kind == "fixed rule":
                chances = np.eye(actions)[logits.argmax(axis=1)]
            action = drawn(chances, rng)
            columns.append((point, action, point[:, 0] + action, chances[np.arange(episodes), action]))
            point = 0.9 * point + 0.2 * push[action] + 0.3 * rng.normal(size=point.shape)
        return packed(columns, actions)

    return make


def drawn(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    at = (rng.random((len(chances), 1)) >= np.cumsum(chances, axis=1)).sum(axis=1)
    return np.minimum(at, chances.shape[1] - 1)


def packed(columns: list[tuple[np.ndarray, ...]], n_actions: int) -> Log:
    seen, actions, rewards, chances = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
    episodes, steps = actions.shape
    last = np.tile(np.arange(steps) == steps - 1, episodes)
    return gs.Dataset.from_arrays(
        seen.reshape(episodes * steps, *seen.shape[2:]),
        actions.reshape(-1),
        rewards.reshape(-1),
        np.zeros(len(last), bool),
        last,
        propensities=np.maximum(chances.reshape(-1), 1e-9),
        n_actions=n_actions,
    )


def makers() -> Iterator[tuple[str, str, str, Maker]]:
    """Yield family, world, logger and what makes its logs."""
    for name in ope_worlds.WORLDS:
        for kind in ("noisy", "other noise", "fixed rule"):
            yield ope_worlds.world(name).family, name, kind, tabular(name, kind)
    for name in ope_worlds_continuous.WORLDS:
        for kind in ("logger", "sharper", "fixed rule"):
            yield "continuous", name, kind, continuous(name, kind)
    for actions, width in ((2, 2), (2, 4), (4, 3), (3, 6)):
        for kind in ("noisy", "fixed rule"):
            yield "continuous", f"smooth, {actions} actions, {width} wide", kind, smooth(kind, actions, width)
    for kind in ("noisy", "fixed rule"):
        yield "small", "ids", kind, small(kind)
        yield "small", "ids, two actions", kind, small(kind, actions=2)
    yield "one step", "ids, one step", "noisy", small("noisy", horizon=1)
    for kind in ("the time", "the episode"):
        yield "looked at more", "ids", kind, small(kind)


def corruptions(log: Log, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    p = log.propensities
    assert p is not None
    if p.std() > 0.01:
        yield "shuffled", np.random.default_rng(seed).permutation(p)
    if log.n_actions == 2:
        yield "P(A=1)", np.maximum(np.where(log.actions == 1, p, 1.0 - p), 1e-9)
    yield "ones", np.ones(log.n_steps)


def failed(log: Log, seed: int) -> tuple[bool, str | None, float]:
    began = time.perf_counter()
    facts = self_test(log, Question("return"), logged_behavior(log), seed=seed).facts
    return facts["verdict"] == "failed", facts["cause"], time.perf_counter() - began


def judged(counts: dict[Any, list[int]], bar: float, *, most: bool, tests: int) -> list[dict[str, Any]]:
    """Return rows with their rates; `met` unless the binomial test, shared among all, says that the bar is missed."""
    rows = []
    for key, (events, logs) in sorted(counts.items()):
        p = float(stats.binom.sf(events - 1, logs, bar) if most else stats.binom.cdf(events, logs, bar))
        row = dict(zip(("family", "world", "logger", "episodes", "corruption"), key, strict=False))
        rows.append(row | {"failed": events, "logs": logs, "rate": events / logs, "met": p >= FAMILY_WISE / tests})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=40, help="a world, logger and size; a quarter of the largest")
    parser.add_argument("--families", nargs="*")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = record("the self-test on honest logs and on corrupted propensities")
    honest: dict[Any, list[int]] = collections.defaultdict(lambda: [0, 0])
    corrupted: dict[Any, list[int]] = collections.defaultdict(lambda: [0, 0])
    causes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    seconds = []
    for family, world, kind, make in makers():
        if options.families and family not in options.families:
            continue
        for episodes in SIZES:
            logs = options.logs if episodes <= CORRUPTED_SIZE else max(options.logs // 4, 1)
            for seed in range(logs):
                log = make(episodes, 1_000 + seed)
                wrong, _, spent = failed(log, seed)
                honest[family, world, kind, episodes][0] += wrong
                honest[family, world, kind, episodes][1] += 1
                if episodes == CORRUPTED_SIZE:
                    seconds.append(spent)
                if episodes != CORRUPTED_SIZE or kind in ("fixed rule", "the time", "the episode"):
                    continue
                for name, propensities in corruptions(log, seed):
                    found, cause, _ = failed(dataclasses.replace(log, propensities=propensities), seed)
                    corrupted[family, world, kind, episodes, name][0] += found
                    corrupted[family, world, kind, episodes, name][1] += 1
                    causes[name][str(cause)] += 1
        print(f"{family:15} {world:24} {kind:12}", *honest_words(honest, family, world, kind), flush=True)
    tests = len(honest) + len(corrupted)
    rows = judged(honest, MOST_FALSE, most=True, tests=tests)
    found = judged(corrupted, LEAST_FOUND, most=False, tests=tests)
    pooled = {
        "false_alarms": share(row for row in rows if row["family"] != "looked at more"),
        "false_alarms_looked_at_more": share(row for row in rows if row["family"] == "looked at more"),
        **{
            f"detected {name}": share(r for r in found if r["corruption"] == name and r["family"] != "one step")
            for name in causes
        },
        "detected_one_step": share(row for row in found if row["family"] == "one step"),
    }
    for name, one in pooled.items():
        print(f"{name:28} {one['failed']:6,} of {one['logs']:6,} {one['rate']:.4f}")
    for row in (*rows, *found):
        if not row["met"] or (row["rate"] > MOST_FALSE if "corruption" not in row else row["rate"] < LEAST_FOUND):
            print("  beside the bar:", row)
    print(f"seconds a test at {CORRUPTED_SIZE} episodes: median {statistics.median(seconds):.3f}, {max(seconds):.3f}")
    result |= {
        "bars": {"false_alarms_at_most": MOST_FALSE, "detected_at_least": LEAST_FOUND, "family_wise": FAMILY_WISE},
        "pooled": pooled,
        "causes_named": {name: dict(counter) for name, counter in causes.items()},
        "seconds": {"median": statistics.median(seconds), "largest": max(seconds)},
        "honest": rows,
        "corrupted": found,
    }
    write(result, options.json)


def honest_words(honest: dict[Any, list[int]], family: str, world: str, kind: str) -> Iterator[str]:
    for episodes in SIZES:
        events, logs = honest[family, world, kind, episodes]
        yield f"{episodes:,}: {events}/{logs}"


def share(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    some = list(rows)
    events, logs = sum(row["failed"] for row in some), sum(row["logs"] for row in some)
    return {"failed": events, "logs": logs, "rate": events / max(logs, 1)}


if __name__ == "__main__":
    main()
