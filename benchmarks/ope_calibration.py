"""Coverage, trust and error of off-policy estimates in worlds with exact answers.

In every world, many logs; from every log, every target's return and probability of any cost, by `marginal_dr` through
the public interface, and by the peers (``wis``, ``dr``, ``fqe``) for their error alone. What is learned from a log
(`bc`, `restricted`) comes from a pool of separate logs; `cql` is trained once a world. ``--estimated`` takes the
propensities out of the logs first. The rows and their bars are made by `ope_summary`.

    python benchmarks/ope_calibration.py --json benchmarks/results/ope_calibration.json
    python benchmarks/ope_calibration.py --quick --worlds grid-tutorial taxi --targets logger hidden

The largest logs serve fewer targets, by default in fewer worlds, and the peers estimate from some logs only. All of it
takes about an hour on two cores. With ``--keep DIR`` finished parts are kept there, and a second run of the same
settings goes on from them.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import kept, record, write
from ope_efficiency import efficiency_bound
from ope_summary import print_rows, summarize
from ope_targets import LEARNED, TARGETS, fixed, learned
from ope_worlds import WORLDS, Table, World, world

import groundschool as gs
from groundschool.errors import InputError
from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question

SIZES = (500, 5_000)
DEFAULT = (
    "grid-tutorial",
    "grid-10",
    "grid-12",
    "grid-18",
    "lake-4",
    "taxi",
    "taxi-rain",
    "random-10x4",
    "random-50x4",
    "random-200x8",
)
AT_LENGTH = ("logger", "sharper", "intent", "restricted", "half-danger")  # targets of the largest logs, by default in
LONG = ("grid-tutorial", "lake-4")
PEER_LOGS = 60  # logs from which the peers estimate too, a world and size; a quarter of them of the largest
POOL = 20  # separate logs from which targets are learned, a world and size
PEERS = {"wis": {}, "dr": {}, "fqe": {"members": 2}}  # their values alone: two members are the fewest
ESTIMATED = ("grid-tutorial", "grid-10", "lake-4", "taxi", "random-50x4")
CONFIDENCE = 0.90  # two-sided, so that each bound alone is one of 95 %


class Part(NamedTuple):
    """Some logs of one size in one world."""

    world: str
    episodes: int
    begin: int
    end: int
    targets: tuple[str, ...]
    method: str
    peers: tuple[str, ...]
    estimated: bool
    peer_logs: int


def run(part: Part, cql: Table | None) -> list[dict[str, Any]]:
    """Return one record for each log, target and question."""
    one = world(part.world)
    tables = fixed(one, tuple(name for name in part.targets if name != "cql"))
    if cql is not None:
        tables["cql"] = cql
    facts = {name: truths(one, table) for name, table in tables.items()}
    records = []
    for index in range(part.begin, part.end):
        log = one.sampler.log(part.episodes, seed=100_000 * (part.episodes % 97) + index)
        if part.estimated:
            log = without_propensities(log)
        taught = learned(one, part.episodes, 50_000_000 + part.episodes * POOL + index % POOL, part.targets)
        facts |= {name: truths(one, table) for name, table in taught.items()}
        evaluator = Evaluator(log)
        for name, table in (tables | taught).items():
            policy = one.policy(table, name)
            for of, (truth, bound) in facts[name].items():
                found = judge(evaluator, policy, of, part.method, part.peers if index < part.peer_logs else ())
                where = {"world": part.world, "family": one.family, "episodes": part.episodes, "log": index}
                asked = {"target": name, "of": of.partition(":")[0], "truth": truth}
                records.append(where | asked | {"least_error": bound / math.sqrt(part.episodes)} | found)
    return records


def truths(one: World, table: Table) -> dict[str, tuple[float, float]]:
    """Return the exact value of each question, and the least standard error from one episode."""
    values = {}
    for of in ("return", f"probability:{one.cost}"):
        bound = efficiency_bound(one.model, table, one.logger, of, reward_noise=one.reward_noise)
        values[of] = (bound.value, math.sqrt(bound.variance))
    return values


def judge(evaluator: Evaluator, policy: Any, of: str, method: str, peers: tuple[str, ...]) -> dict[str, Any]:
    began = time.perf_counter()
    estimate = evaluator.evaluate(policy, of=of, method=method, confidence=CONFIDENCE)
    claimed = estimate.diagnostics["claimed"]
    found = {
        "seconds": time.perf_counter() - began,
        "value": estimate.value,
        "standard_error": estimate.standard_error,
        "lower": claimed["lower"],
        "upper": claimed["upper"],
        "trusted": estimate.trusted,
        "reasons": list(estimate.reasons),
    }
    if peers:
        problem = pose(evaluator.log, policy, Question.parse(of, evaluator.log), evaluator.behavior)
        found |= {name: estimator(name)(problem, **PEERS[name]).value for name in peers}
    return found


def without_propensities(log: gs.Dataset) -> gs.Dataset:
    return dataclasses.replace(log, propensities=None)


def parts(options: argparse.Namespace) -> Iterator[Part]:
    """Split the work: slices of logs of about as many rows."""
    largest = max(options.n)
    for episodes in sorted(options.n):
        long = episodes == largest and len(options.n) > 1
        targets = tuple(name for name in options.targets if not long or name in AT_LENGTH)
        step = 10 if long else 25
        for name in options.worlds:
            if long and options.by_default and name not in LONG:
                continue
            for begin in range(0, options.logs, step):
                yield Part(
                    name,
                    episodes,
                    begin,
                    min(begin + step, options.logs),
                    targets,
                    options.method,
                    tuple(options.peers),
                    options.estimated,
                    PEER_LOGS // 4 if long else PEER_LOGS,
                )


def key(part: Part) -> str:
    text = json.dumps(part, default=str)
    return f"{part.world}-{part.episodes}-{part.begin}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def work(job: tuple[Part, Table | None, Path | None]) -> list[dict[str, Any]]:
    part, cql, keep = job
    path = None if keep is None else keep / f"{key(part)}.json"
    return list(kept(path, lambda: run(part, cql)))


def trained(names: list[str], keep: Path | None) -> dict[str, Table]:
    """Train CQL once a world; kept beside the parts."""
    tables = {}
    for name in names:
        path = None if keep is None else keep / f"cql-{name}.npy"
        if path is not None and path.exists():
            tables[name] = np.load(path)
            continue
        tables[name] = fixed(world(name), ("cql",))["cql"]
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, tables[name])
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=["all", *WORLDS], help=f"by default {', '.join(DEFAULT)}")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--n", nargs="+", type=int, default=list(SIZES), help="episodes a log")
    parser.add_argument("--logs", type=int, default=200, help="logs a world and size")
    parser.add_argument("--method", default="marginal_dr", help="the method that is calibrated")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS), help="for their error alone")
    parser.add_argument("--estimated", action="store_true", help="take the propensities out of the logs")
    parser.add_argument("--quick", action="store_true", help="20 logs a world and size, without CQL and peers")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="keep finished parts here, and go on from them")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    if options.quick:
        options.logs, options.peers = min(options.logs, 20), []
        options.targets = [name for name in options.targets if name != "cql"]
    options.by_default = options.worlds is None
    options.worlds = options.worlds or list(ESTIMATED if options.estimated else DEFAULT)
    if "all" in options.worlds:
        options.worlds = list(WORLDS)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes that are started
    began = time.perf_counter()
    cql = trained(options.worlds, options.keep) if "cql" in options.targets else {}
    trained_in = time.perf_counter() - began
    jobs = [(part, cql.get(part.world), options.keep) for part in parts(options)]
    records: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        for done, found in enumerate(pool.imap_unordered(work, jobs), 1):
            records += found
            if done % 20 == 0 or done == len(jobs):
                print(f"  {done} of {len(jobs)} parts, {time.perf_counter() - began:.0f} s", flush=True)
    result = record("calibration of off-policy evaluation in worlds with exact answers") | {
        "settings": {
            "method": options.method,
            "propensities": "estimated" if options.estimated else "logged",
            "logs": options.logs,
            "confidence_of_each_bound": (1 + CONFIDENCE) / 2,
            "learned_from_pools_of": {"logs": POOL, "targets": LEARNED},
        },
        "seconds": time.perf_counter() - began,
        "seconds_training_cql": trained_in,
        **summarize(records, estimated=options.estimated),
    }
    print_rows(result)
    print(f"{len(records):,} estimates, {result['seconds']:.0f} s")
    write(result, options.json)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from error
