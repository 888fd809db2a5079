"""Write the figures of docs/evaluation.md from benchmarks/results/ope_*.json; the rest is "not measured".

python benchmarks/evaluation_tables.py              # rewrites the page between its markers
python benchmarks/evaluation_tables.py --check      # says whether it would change anything; exit code 1 if so
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from readme_tables import NOT_MEASURED, ROOT, read, rewrite, verdict

Result = dict[str, Any]
TARGETS = {
    "logger": "the logger",
    "sharper": ".45 × its noise",
    "intent": "without noise",
    "milder": "1.5 × its noise",
    "restricted": "optimum among supported pairs",
    "bc": "cloned (counted)",
    "cql": "CQL, greedy",
    "half-danger": "half into the hazards",
    "optimum": "optimum",
    "uniform": "uniform",
    "hidden": "hidden danger",
}
EVIDENCE = {"probability": "hazard", "return": "return"}


def bars() -> str:
    """Return what was asked of the whole, and what came of it."""
    found = [
        *calibrated(read("ope_calibration")),
        *bounded(read("ope_bounds")),
        *beside_peers(read("ope_calibration")),
        *estimated(read("ope_estimated"), "estimated propensities"),
        *measured(read("ope_continuous")),
        *self_tested(read("ope_self_test")),
        *selected(read("ope_selection")),
        *timed(read("ope_fqe"), read("ope_large")),
    ]
    return table(("measured", "wanted", ""), found)


Line = tuple[str, str, str]


def calibrated(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"calibration: {NOT_MEASURED}", "", "–"
        return
    for one in result["tests"]:
        if one["what"] == "pooled coverage":
            what = f"trusted bounds, HazardGrid, {one['episodes']:,} episodes, {EVIDENCE[one['of']]}: "
            yield f"{what}{one['share']:.3f} cover", f"≥ {one['bar']:g}", verdict(one["met"])
    wanted = {"coverage": "cover at least", "trusted": "are trusted in at least", "refused": "are refused in at least"}
    for kind, words in wanted.items():
        for grid in (True, False):
            yield from shares(result, kind, words, grid)
    for kind, words in (("rmse ratio", "the efficiency bound"), ("hazard rmse", "the error of P(hazard)")):
        groups: dict[Any, list[Result]] = {}
        for one in result["errors"]:
            if one["what"] == kind:
                groups.setdefault((is_grid(one), one["episodes"], one["bar"]), []).append(one)
        for (grid, episodes, bar), cells in sorted(groups.items(), key=lambda item: (not item[0][0], item[0][1])):
            over = [one for one in cells if not one["met"]]
            place = "HazardGrid" if grid else "other worlds"
            unit = " ×" if kind == "rmse ratio" else ""
            what = (
                f"{place}, {episodes:,} episodes: {len(cells) - len(over)} of {len(cells)} errors within {bar:g}{unit} "
            )
            yield what + words.removeprefix("the error of ") + listed(over), "all", verdict(not over)


def shares(result: Result, kind: str, words: str, grid: bool) -> Iterator[Line]:
    tests = [one for one in result["tests"] if one["what"] == kind and is_grid(one) == grid]
    if not tests:
        return
    missed = [one for one in tests if not one["met"]]
    least = min(tests, key=lambda one: one["share"])
    what = f"{'HazardGrid' if grid else 'other worlds'}, {len(tests)} cells that {words} {tests[0]['bar']:g}: "
    what += f"{len(tests) - len(missed)} hold, lowest {least['share']:.3f} ({place(least)}){listed(missed, 'share')}"
    yield what, "all, family-wise at 5 %", verdict(not missed)


def is_grid(one: Result) -> bool:
    return str(one["world"]).startswith(("grid-", "HazardGrid"))


def place(one: Result) -> str:
    return f"{one['world']}, {one['target']}, {one['episodes']:,}, {EVIDENCE[one['of']]}"


def listed(missed: Sequence[Result], figure: str = "value") -> str:
    return "".join(f"; missed: {place(one)} ({one[figure]:.3g})" for one in missed)


def beside_peers(result: Result | None) -> Iterator[Line]:
    if result is None or not result["peers"]["cells"]:
        return
    peers = result["peers"]
    what = f"least error, or within a tenth of it, beside `wis`, `dr`, `fqe`: {peers['near_or_best']:.1%} of "
    yield f"{what}{peers['cells']} trusted cells", "≥ 90 %", verdict(peers["near_or_best"] >= peers["bar"])


def bounded(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"finite-sample bounds: {NOT_MEASURED}", "", "–"
        return
    beyond = sum(one["cells_beyond_nominal"] for one in result["methods"].values())
    cells = sum(one["cells"] for one in result["methods"].values())
    yield (
        f"finite-sample bounds of 95 %: {beyond} of {cells} cells miss more often than they may",
        "none",
        verdict(not beyond),
    )
    for name, one in result["methods"].items():
        ratio = one["mean_width_ratio"]
        if name != "empirical_bernstein" and ratio is not None:
            what = f"`{name}`: {ratio:.2f} of empirical Bernstein's width, on average where weights allow"
            yield (
                what,
                f"≤ {result['bars']['width_ratio_at_most']:g}",
                verdict(ratio <= result["bars"]["width_ratio_at_most"]),
            )


def estimated(result: Result | None, what: str) -> Iterator[Line]:
    if result is None:
        yield f"{what}: {NOT_MEASURED}", "", "–"
        return
    trusted = sum(row["trusted"] for row in result["rows"])
    asked = sum(row["logs"] for row in result["rows"])
    covered = sum(row["covered"] for row in result["rows"])
    missed = [one for one in result["tests"] if not one["met"]]
    words = (
        f"{what}: {covered / max(trusted, 1):.3f} of {trusted:,} trusted bounds cover, {trusted / asked:.0%} trusted"
    )
    yield words + listed(missed, "share"), "≥ .90 of trusted", verdict(not missed)


def measured(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"measured observations: {NOT_MEASURED}", "", "–"
        return
    rows = result["rows"]
    logs = sum(row["logs"] for row in rows)
    trusted = sum(row["trusted"] * row["logs"] for row in rows)
    covered = sum((row["coverage"] or 0.0) * row["trusted"] * row["logs"] for row in rows)
    met = all(row.get("met", True) for row in rows)
    what = f"measured observations: {covered / max(trusted, 1e-9):.3f} of {trusted:,.0f} trusted bounds cover, "
    yield what + f"{trusted / logs:.0%} trusted", "≥ .90 of trusted", verdict(met)


def self_tested(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"self-test: {NOT_MEASURED}", "", "–"
        return
    for name, one in result["pooled"].items():
        false = name.startswith("false")
        if "looked" in name:
            continue
        bar = result["bars"]["false_alarms_at_most" if false else "detected_at_least"]
        words = name.replace("_", " ")
        what = f"self-test, {words}: {one['failed']:,} of {one['logs']:,} ({one['rate']:.2%})"
        met = one["rate"] <= bar if false else one["rate"] >= bar
        yield what, f"{'≤' if false else '≥'} {bar:.0%}", verdict(met)


def selected(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"selection: {NOT_MEASURED}", "", "–"
        return
    mean = {way: facts["mean"] for way, facts in result["regret"]["all"].items()}
    others = {way: value for way, value in mean.items() if not way.startswith("ours")}
    best = min(others, key=others.__getitem__)
    what = f"selection among {result['candidates']}, {len(result['runs'])} logs: mean regret {mean['ours']:.2f}, "
    what += f"{best} {others[best]:.2f}"
    yield what, "the lowest", verdict(mean["ours"] <= others[best])
    tutorial = result["regret"]["tutorial"]["ours"]["mean"]
    yield f"on the tutorial's layout: {tutorial:.2f}", "≤ 0.5", verdict(tutorial <= 0.5)


def timed(fqe: Result | None, large: Result | None) -> Iterator[Line]:
    if fqe is None:
        yield f"`fqe`'s ensemble: {NOT_MEASURED}", "", "–"
    else:
        slowest = fqe["slowest_ensemble_seconds"]
        what = f"`fqe`, {fqe['members']} networks on the tutorial's log: {slowest:.0f} s (the slowest of "
        what += f"{sum(row['model'] == 'network' for row in fqe['rows'])})"
        yield what, "≤ 60 s", verdict(slowest <= fqe["bar_seconds"])
    if large is None:
        yield f"`marginal_dr` on a large log: {NOT_MEASURED}", "", "–"
    else:
        what = f"`marginal_dr` on {large['episodes']:,} episodes ({large['rows'] / 1e6:.0f} M rows): "
        yield (
            f"{what}{large['seconds']:.0f} s, at most {large['peak_bytes'] / 2**30:.1f} GiB",
            "≤ 60 s",
            verdict(large["met"]),
        )


def tutorial() -> str:
    """Return the calibration on the tutorial's grid, by target."""
    result = read("ope_calibration")
    if result is None:
        return f"*{NOT_MEASURED}*"
    rows = {
        (row["target"], row["episodes"], row["of"]): row for row in result["rows"] if row["world"] == "grid-tutorial"
    }
    head = (
        "target",
        "trusted, 500",
        "covered: hazard / return",
        "error of return",
        "trusted, 5,000",
        "covered",
        "error",
    )
    lines = []
    for target, words in TARGETS.items():
        line = [words]
        for episodes in (500, 5_000):
            both = [rows.get((target, episodes, of)) for of in ("probability", "return")]
            known = [row for row in both if row is not None]
            if not known:
                line += ["–"] * 3
                continue
            line += [
                f"{min(row['trusted'] / row['logs'] for row in known):.0%}",
                " / ".join(share(row["covered"], row["trusted"]) for row in known),
                times(known[-1]["rmse_ratio"]),
            ]
        lines.append(line)
    return table(head, lines)


def worlds() -> str:
    """Return the calibration in every world, over all targets."""
    result = read("ope_calibration")
    if result is None:
        return f"*{NOT_MEASURED}*"
    head = (
        "world",
        "episodes",
        "trusted: all / the logger",
        "trusted bounds that cover: hazard / return",
        "largest error",
    )
    groups: dict[Any, list[Result]] = {}
    for row in result["rows"]:
        groups.setdefault((row["family"], row["world"], row["episodes"]), []).append(row)
    lines = []
    for (_, world, episodes), cells in groups.items():
        logger = [row for row in cells if row["target"] == "logger"]
        held = [row for row in cells if row["target"] in HELD and row["of"] == "return" and row["rmse_ratio"]]
        worst = max(held, key=lambda row: float(row["rmse_ratio"]), default=None)
        lines.append(
            [
                world,
                f"{episodes:,}",
                f"{total(cells, 'trusted', 'logs')} / {total(logger, 'trusted', 'logs')}",
                " / ".join(
                    share(
                        sum(r["covered"] for r in cells if r["of"] == of),
                        sum(r["trusted"] for r in cells if r["of"] == of),
                    )
                    for of in ("probability", "return")
                ),
                "–" if worst is None else f"{times(worst['rmse_ratio'])} ({TARGETS[worst['target']]})",
            ]
        )
    return table(head, lines)


HELD = ("logger", "milder", "sharper", "intent", "restricted")


def bounds() -> str:
    """Return how often finite-sample bounds miss, and how wide they are."""
    result = read("ope_bounds")
    if result is None:
        return f"*{NOT_MEASURED}*"
    head = ("method", "missed", "most in a cell", "width, of empirical Bernstein's", "the same in every cell")
    lines = [
        [
            f"`{name}`",
            f"{one['miss_rate']:.2%} of {one['one_sided_bounds']:,}",
            f"{one['largest_miss_rate']:.1%}",
            "–" if one["mean_width_ratio"] is None else f"{one['mean_width_ratio']:.2f}",
            f"{one['mean_width_ratio_everywhere']:.2f}",
        ]
        for name, one in result["methods"].items()
    ]
    return table(head, lines)


def selection() -> str:
    """Return the regret of every way to choose."""
    result = read("ope_selection")
    if result is None:
        return f"*{NOT_MEASURED}*"
    layouts = list(result["regret"])
    head = ("chosen by", *(f"{layout}: mean (worst)" for layout in layouts))
    lines = [
        [
            way,
            *(
                f"{result['regret'][one][way]['mean']:.2f} ({result['regret'][one][way]['worst']:.2f})"
                for one in layouts
            ),
        ]
        for way in result["regret"]["all"]
    ]
    return table(head, lines)


def observed() -> str:
    """Return coverage and trust where observations are measured."""
    result = read("ope_continuous")
    if result is None:
        return f"*{NOT_MEASURED}*"
    head = ("world", "target", "episodes", "of", "trusted", "covered", "root mean square error", "truth")
    lines = [
        [
            row["world"].replace("_", " "),
            row["target"],
            f"{row['episodes']:,}",
            row["of"].partition(":")[0],
            f"{row['trusted']:.0%}",
            "–" if row["coverage"] is None else f"{row['coverage']:.3f}",
            f"{row['rmse']:.3g}",
            f"{row['truth']:.3g}",
        ]
        for row in result["rows"]
    ]
    return table(head, lines)


def sources(names: Sequence[str] = ()) -> str:
    """Say where all of it comes from."""
    found = []
    for name in names or NAMES:
        if (result := read(name)) is not None:
            hardware = result["hardware"]
            where = f"{hardware['processor']}, {hardware['cores']} cores, load "
            where += f"{hardware['load_average_before']:.1f} at the start"
            note = f". {result['note'].capitalize()}" if "note" in result else ""
            found.append(
                f"- `benchmarks/results/{name}.json`: {result['date'][:10]}, {where}; `{result['command']}`{note}"
            )
    return "\n".join(found) or f"*{NOT_MEASURED}*"


NAMES = (
    "ope_calibration",
    "ope_estimated",
    "ope_continuous",
    "ope_bounds",
    "ope_self_test",
    "ope_selection",
    "ope_fqe",
    "ope_large",
)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "–"


def total(rows: Iterable[Result], part: str, whole: str) -> str:
    rows = list(rows)
    n = sum(row[whole] for row in rows)
    return f"{sum(row[part] for row in rows) / n:.0%}" if n else "–"


def times(ratio: float | None) -> str:
    return "–" if ratio is None or not math.isfinite(ratio) else f"{ratio:.2f} ×"


BLOCKS: dict[str, Callable[[], str]] = {
    "bars": bars,
    "tutorial": tutorial,
    "worlds": worlds,
    "bounds": bounds,
    "selection": selection,
    "observed": observed,
    "sources": sources,
}

if __name__ == "__main__":
    rewrite(ROOT / "docs" / "evaluation.md", BLOCKS, __doc__)
