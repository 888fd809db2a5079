"""From estimates with their exact answers to rows of coverage, trust and error, and what each is held to.

A row is one target in one world at one size of log. The bound that matters is one-sided, 95 %: above for probabilities
of costs, below for the return. An estimate that is not trusted stands for the vacuous bound, which always covers; so
coverage is that among the trusted ones, and the trusted share stands beside it.

Where a share is held to a bar, it fails if a one-sided binomial test finds it below that bar at a family-wise level of
5 % (Bonferroni, over all tests of a run). Pooled rows have their logs as clusters, since one log serves all targets.
"""

from __future__ import annotations

import collections
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from ope_targets import LIKE_THE_LOGGER
from scipy import stats

Record = dict[str, Any]
Row = dict[str, Any]

LEVEL = 0.05
PEERS = ("wis", "dr", "fqe")
SUPPORTED = (*LIKE_THE_LOGGER, "restricted")
TO_TRUST = (*SUPPORTED, "half-danger")
TO_REFUSE = ("optimum", "uniform", "hidden")
POOLED = {"probability": 0.93, "return": 0.92}
EACH = 0.90
TRUSTED = REFUSED = 0.95
RMSE_RATIO = {"HazardGrid": {500: 1.4, 5_000: 1.2}, "other": {500: 1.6, 5_000: 1.3}}
HAZARD_RMSE = {500: 0.013, 5_000: 0.004}
NEAR = 1.1  # of the best error, in a comparison with peers


def summarize(records: Sequence[Record], *, estimated: bool = False) -> dict[str, Any]:
    """Return rows, pooled rows, and the bars with their verdicts.

    Where propensities were estimated, coverage is held to a bar, and the trusted share is stated.
    """
    groups: dict[tuple[Any, ...], list[Record]] = collections.defaultdict(list)
    for one in records:
        groups[(one["family"], one["world"], one["episodes"], one["of"], one["target"])].append(one)
    rows = [row(key, group) for key, group in groups.items()]
    rows.sort(key=lambda one: (one["family"], one["world"], one["episodes"], one["of"]))
    pools = list(pooled(records))
    tests = [*share_tests(rows), *pooled_tests(pools)]
    if estimated:
        tests = [test for test in tests if test["what"] == "coverage"]
    for test in tests:
        test["met"] = bool(test["p"] >= LEVEL / len(tests))
    return {"rows": rows, "pooled": pools, "tests": tests, "errors": error_bars(rows), "peers": against_peers(rows)}


def covers(one: Record) -> bool:
    return bool(one["upper"] >= one["truth"] if one["of"] == "probability" else one["lower"] <= one["truth"])


def row(key: tuple[Any, ...], group: list[Record]) -> Row:
    family, name, episodes, of, target = key
    trusted = [one for one in group if one["trusted"]]
    errors = np.array([one["value"] - one["truth"] for one in trusted])
    least = np.array([one["least_error"] for one in trusted])
    reasons = collections.Counter(kind(reason) for one in group for reason in one["reasons"])
    found = {
        "family": family,
        "world": name,
        "episodes": episodes,
        "of": of,
        "target": target,
        "logs": len(group),
        "truth": statistics.fmean(one["truth"] for one in group),
        "trusted": len(trusted),
        "covered": sum(map(covers, trusted)),
        "claimed_covered": sum(map(covers, group)),
        "bias": mean(errors),
        "bias_error": float(errors.std(ddof=1) / np.sqrt(len(errors))) if len(errors) > 1 else None,
        "rmse": root_mean_square(errors),
        "least_error": root_mean_square(least),
        "rmse_ratio": root_mean_square(errors / least) if len(errors) and (least > 0).all() else None,
        "seconds": statistics.fmean(one["seconds"] for one in group),
        "reasons": dict(reasons.most_common(4)),
    }
    both = [one for one in trusted if any(peer in one for peer in PEERS)]
    if both:  # on the same logs, which may be some of them only
        names = ["value", *(peer for peer in PEERS if peer in both[0])]
        errors_of = {name: np.array([one[name] - one["truth"] for one in both]) for name in names}
        found["beside_peers"] = {"logs": len(both), **{n: root_mean_square(e) for n, e in errors_of.items()}}
    return found


def kind(reason: str) -> str:
    """Return a reason without its figures, so that the same one counts as such."""
    return " ".join("#" if any(c.isdigit() for c in word) else word for word in reason.split())[:100]


def mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def root_mean_square(values: np.ndarray) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) and np.isfinite(values).all() else None


def pooled(records: Sequence[Record]) -> Iterable[Row]:
    """Yield the coverage over all targets, trusted, of each kind of world, size and question."""
    kinds: dict[str, Callable[[Record], bool]] = {
        "HazardGrid": lambda one: one["family"] == "HazardGrid",
        "the tutorial's grid": lambda one: one["world"] == "grid-tutorial",
        "other": lambda one: one["family"] != "HazardGrid",
    }
    for name, belongs in kinds.items():
        mine = [one for one in records if belongs(one)]
        for episodes in sorted({one["episodes"] for one in mine}):
            for of in ("probability", "return"):
                some = [one for one in mine if one["episodes"] == episodes and one["of"] == of]
                by_log: dict[tuple[str, int], list[bool]] = collections.defaultdict(list)
                for one in some:
                    if one["trusted"]:
                        by_log[one["world"], one["log"]].append(covers(one))
                hits = np.array([sum(each) for each in by_log.values()], float)
                sizes = np.array([len(each) for each in by_log.values()], float)
                share = float(hits.sum() / sizes.sum()) if len(sizes) else None
                spread = hits - (share or 0.0) * sizes
                yield {
                    "worlds": name,
                    "episodes": episodes,
                    "of": of,
                    "estimates": len(some),
                    "trusted": int(sizes.sum()),
                    "coverage": share,
                    "coverage_error": float(np.sqrt(np.square(spread).sum()) / sizes.sum()) if len(sizes) else None,
                    "claimed_coverage": statistics.fmean(map(covers, some)),
                }


def below(successes: int, trials: int, bar: float) -> float:
    """Return the one-sided binomial p-value of a true share of at least the bar."""
    return float(stats.binom.cdf(successes, trials, bar))


def share_tests(rows: Iterable[Row]) -> Iterable[Row]:
    """Yield the tests of coverage, trust and refusal of single rows."""
    for one in rows:
        where = {name: one[name] for name in ("world", "episodes", "of", "target")}
        grid, n = one["family"] == "HazardGrid", one["logs"]

        def test(what: str, bar: float, successes: int, trials: int, where: dict[str, Any] = where) -> dict[str, Any]:
            share = successes / trials
            return {"what": what, **where, "bar": bar, "share": share, "p": below(successes, trials, bar)}

        if one["trusted"] and (one["target"] in TO_TRUST or not grid):
            yield test("coverage", EACH, one["covered"], one["trusted"])
        if one["episodes"] == 500 and (one["target"] in TO_TRUST if grid else one["target"] == "logger"):
            yield test("trusted", TRUSTED, one["trusted"], n)
        if one["episodes"] == 500 and grid and one["target"] in TO_REFUSE:
            yield test("refused", REFUSED, n - one["trusted"], n)


def pooled_tests(pools: Iterable[Row]) -> Iterable[Row]:
    for one in pools:
        if one["worlds"] == "HazardGrid" and one["coverage"] is not None:
            bar = POOLED[one["of"]]
            error = max(one["coverage_error"], 1e-9)
            where = {"world": "HazardGrid", "episodes": one["episodes"], "of": one["of"], "target": "all"}
            p = float(stats.norm.cdf((one["coverage"] - bar) / error))
            yield {"what": "pooled coverage", **where, "bar": bar, "share": one["coverage"], "p": p}


def error_bars(rows: Iterable[Row]) -> list[Row]:
    """Hold root mean square errors to their bars; these are figures, without a test."""
    bars = []
    for one in rows:
        if one["target"] not in SUPPORTED or one["rmse"] is None:
            continue
        where = {name: one[name] for name in ("world", "episodes", "of", "target")}
        grid = one["family"] == "HazardGrid"
        limit = RMSE_RATIO["HazardGrid" if grid else "other"].get(one["episodes"])
        if limit is not None and one["rmse_ratio"] is not None and (one["of"] == "return" or not grid):
            bars.append({"what": "rmse ratio", **where, "bar": limit, "value": one["rmse_ratio"]})
        limit = HAZARD_RMSE.get(one["episodes"])
        if grid and limit is not None and one["of"] == "probability":
            error = {"value": one["rmse"], "least_possible": one["least_error"]}
            bars.append({"what": "hazard rmse", **where, "bar": limit, **error})
    return [bar | {"met": bar["value"] <= bar["bar"]} for bar in bars]


def against_peers(rows: Iterable[Row]) -> dict[str, Any]:
    """Return in which share of trusted cells the error is the least, or within a tenth of it."""
    cells = []
    for one in rows:
        beside = one.get("beside_peers", {})
        theirs = {peer: beside[peer] for peer in PEERS if beside.get(peer) is not None}
        if one["trusted"] < TRUSTED * one["logs"] or not theirs or beside["value"] is None:
            continue
        best = min(theirs, key=theirs.__getitem__)
        # Below a tenth of one episode of the log, errors of a probability are alike.
        alike = 0.1 / one["episodes"] if one["of"] == "probability" else 0.0
        cells.append(
            {
                **{name: one[name] for name in ("world", "episodes", "of", "target")},
                "rmse": beside["value"],
                "best_peer": best,
                "its_rmse": theirs[best],
                "near": bool(beside["value"] <= max(NEAR * theirs[best], alike)),
            }
        )
    return {
        "cells": len(cells),
        "near_or_best": statistics.fmean(one["near"] for one in cells) if cells else None,
        "bar": 0.9,
        "worse": [one for one in cells if not one["near"]],
    }


def print_rows(result: dict[str, Any]) -> None:
    """Print the table, the pooled rows and what was missed."""
    print(
        f"{'world':14}{'target':13}{'n':>5} {'of':11}{'logs':>5}{'truth':>9}{'trust':>7}{'cover':>7}{'claim':>7}"
        f"{'bias':>9}{'rmse':>8}{'ratio':>7}{'wis':>8}{'dr':>8}{'fqe':>8}{'ms':>6}"
    )
    for one in result["rows"]:
        peers = "".join(figure(one.get("beside_peers", {}).get(peer), 8) for peer in PEERS)
        coverage = one["covered"] / one["trusted"] if one["trusted"] else None
        print(
            f"{one['world']:14}{one['target']:13}{one['episodes']:5} {one['of']:11}{one['logs']:5}"
            f"{figure(one['truth'], 9)}{one['trusted'] / one['logs']:7.2f}{figure(coverage, 7)}"
            f"{one['claimed_covered'] / one['logs']:7.3f}{figure(one['bias'], 9)}{figure(one['rmse'], 8)}"
            f"{figure(one['rmse_ratio'], 7)}{peers}{1000 * one['seconds']:6.0f}"
        )
    for one in result["pooled"]:
        print(
            f"pooled {one['worlds']}, n={one['episodes']}, {one['of']}: coverage {figure(one['coverage'])} "
            f"(± {figure(one['coverage_error'])}) of {one['trusted']:,} trusted of {one['estimates']:,}; "
            f"claimed {one['claimed_coverage']:.3f}"
        )
    missed = [one for one in result["tests"] if not one["met"]]
    print(f"{len(result['tests'])} tests of shares at a family-wise 5 %, {len(missed)} missed:")
    for one in missed:
        print(f"  {place(one)}: {one['what']} {one['share']:.3f}, bar {one['bar']:g}, p = {one['p']:.1e}")
    places = {place(one) for one in missed if one["what"] == "trusted"}
    for one in result["rows"]:
        if place(one) in places:
            print(f"  why {place(one)} is refused: {one['reasons']}")
    over = [one for one in result["errors"] if not one["met"]]
    print(f"{len(result['errors'])} bars of errors, {len(over)} missed:")
    for one in over:
        least = f", efficiency bound {one['least_possible']:.4g}" if "least_possible" in one else ""
        print(f"  {place(one)}: {one['what']} {one['value']:.4g}, bar {one['bar']:g}{least}")
    peers = result["peers"]
    if peers["cells"]:
        print(f"best or within a tenth of the best: {peers['near_or_best']:.1%} of {peers['cells']} trusted cells")
        for one in peers["worse"]:
            print(f"  {place(one)}: {one['rmse']:.4g}, {one['best_peer']} {one['its_rmse']:.4g}")


def place(one: Row) -> str:
    return f"{one['world']} {one['target']} n={one['episodes']} {one['of']}"


def figure(value: float | None, width: int = 0) -> str:
    text = "–" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}"
    return f"{text:>{width}}"
