"""Write the figures of docs/gate.md and docs/certifiable.md from benchmarks/results/gate_*.json, as far as measured.

python benchmarks/gate_tables.py              # rewrites the pages between their markers
python benchmarks/gate_tables.py --check      # says whether it would change anything; exit code 1 if so
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from evaluation_tables import sources, table
from readme_tables import NOT_MEASURED, ROOT, read, rewrite, verdict

Result = dict[str, Any]
Line = tuple[str, str, str]
FILES = (
    "gate_decisions", "gate_advice", "gate_certifiable", "gate_certifiable_measured", "gate_guard", "gate_rollouts"
)  # fmt: skip
WORLDS = {"cartpole": "CartPole", "point_mass": "point mass"}
ENOUGH_GO, ENOUGH_DECIDED = 0.8, 0.7


def bars() -> str:
    """Return what was asked, and what came of it."""
    lines = [
        *decided(read("gate_decisions")),
        *advised(read("gate_advice")),
        *certified(read("gate_certifiable")),
        *certified_measured(read("gate_certifiable_measured")),
        *guarded(read("gate_guard")),
        *rolled_out(read("gate_rollouts")),
    ]
    return table(("measured", "wanted", ""), lines)


def decided(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"false GO and power: {NOT_MEASURED}", "", "–"
        return
    for assurance, wanted in (("finite-sample", "δ = 5 %"), ("asymptotic", "1.5 δ = 7.5 %")):
        cells = [one for one in result["false_go"] if one["assurance"] == assurance]
        worst = max(cells, key=lambda one: one["share"])
        edge = [one for one in cells if one["multiple"] == (1.0 if one["asked"] == "limit" else 0.0)]
        goes, studies = sum(one["go"] for one in edge), sum(one["studies"] for one in edge)
        lost = [one for one in cells if not one["held"]]
        about = "limit" if worst["asked"] == "limit" else "margin"
        yield (
            f"false GO, {assurance}, {result['studies']:,} studies, {len(cells)} cells: {goes:,} of {studies:,} at the "
            f"very limit ({goes / studies:.1%}); most in a cell {worst['share']:.1%} ({about} × {worst['multiple']:g}, "
            f"{worst['episodes']:,} episodes){named(lost)}",
            f"at most {wanted} in each cell, family-wise at 5 %",
            verdict(not lost),
        )
    for one in result["power"]:
        if one["asked"] == "good" and one["episodes"] == 5_000:
            bar = one["assurance"] == "asymptotic"
            yield (
                f"GO for a truly good candidate (hazard 3.6 %, limit 5 %), 5,000 episodes, {one['assurance']}: "
                f"{one['GO']:.0%} of {one['studies']}",
                f"≥ {ENOUGH_GO:.0%}" if bar else "",
                verdict(one["GO"] >= ENOUGH_GO) if bar else "reported",
            )


def named(lost: list[Result]) -> str:
    told = [f"{one['asked']} × {one['multiple']:g}, {one['episodes']:,}: {one['share']:.1%}" for one in lost]
    return f"; beyond chance: {'; '.join(told)}" if told else ""


def advised(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"advice followed: {NOT_MEASURED}", "", "–"
        return
    for assurance, one in result["advice"].items():
        yield (
            f"the advice followed up to five looks, {assurance}: {one['false_go']} false GO of {one['violating']} "
            f"({one['share']:.1%})",
            "at most δ = 5 % in all",
            verdict(one["held"]),
        )
        yield (
            f"one more look at the suggested number of episodes decides, {assurance}: "
            f"{one['decided_at_next_look']:.0%} of {one['advised']}, with the truth a fifth or more off the limit (of "
            f"{one['undecided']} undecided; the others were told of none, or of more than could be simulated)",
            f"≥ {ENOUGH_DECIDED:.0%}",
            verdict(one["decided_at_next_look"] >= ENOUGH_DECIDED),
        )


def certified(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"policies made to be certified: {NOT_MEASURED}", "", "–"
        return
    bars, rows = result["bars"], {one["episodes"]: one for one in result["rows"] if one["policy"] == "pruned"}
    for episodes, least in bars["go_at_10_percent"].items():
        one = rows[int(episodes)]
        share = one["at_10_percent"]["go_with_a_gain_of_15"]
        yield (
            f"`Pruned`, {int(episodes):,} episodes, hazard limit 10 % (logger 20.7 %): finite-sample GO with a true "
            f"gain of 15 or more in {share:.1%} of {one['logs']} logs",
            f"≥ {least:.0%}",
            verdict(share >= least),
        )
    few = rows[500]
    hazard, go, gain = few["certified_hazard"], few["at_15_percent"]["go"], few["gain_shown"]
    most, least = bars["mean_certified_hazard_at_500"], bars["go_at_15_percent_at_500"]
    head = f"`Pruned`, 500 episodes, {few['logs']} logs:"
    yield (
        f"{head} certified hazard {hazard:.3f} on average (truly {few['hazard']:.3f})",
        f"≤ {most:g}",
        verdict(hazard <= most),
    )
    yield f"{head} GO at 15 % in {go:.1%}", f"≥ {least:.0%}", verdict(go >= least)
    yield (
        f"{head} a gain above 0 shown in {gain:.1%}, {few['certified_gain']:.1f} on average (truly {few['gain']:.1f})",
        f"≥ {bars['gain_shown_at_500']:.0%}",
        verdict(gain >= bars["gain_shown_at_500"]),
    )
    missed = sum(one["hazard_missed"] + one["gain_missed"] for one in rows.values())
    asked = 2 * sum(one["logs"] for one in rows.values())
    false = sum(one[limit]["false_go"] for one in rows.values() for limit in ("at_10_percent", "at_15_percent"))
    yield (
        f"`Pruned`, all sizes: {missed} of {asked:,} bounds missed, {false} false GO",
        "≤ 5 %, family-wise",
        verdict(result["kept"]["pruned"]["misses and false GO at most 5 %, family-wise"]),
    )


def certified_measured(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"policies made to be certified, measured observations: {NOT_MEASURED}", "", "–"
        return
    kept = [one for name, one in result["kept"].items() if name != "argmax"]
    missed, bounds = sum(one["missed"] for one in kept), sum(one["bounds"] for one in kept)
    false = sum(one["false_go"] for one in result["rows"])
    yield (
        f"`Pruned`, measured observations, all sizes: {missed} of {bounds:,} bounds missed, {false} false GO",
        "≤ 5 %, each policy",
        verdict(all(one["held"] for one in kept)),
    )


def measured() -> str:
    """Return what was shown of policies made from measured observations."""
    result = read("gate_certifiable_measured")
    if result is None:
        return NOT_MEASURED
    names = {"pruned": "`Pruned()`", "pruned at 0.1": "from 0.1 on", "argmax": "argmax of the critic"}
    rows = [
        (
            f"{WORLDS[one['world']]}, {names[one['policy']]}",
            f"{one['episodes']:,}",
            f"{one['hazard']:.3f}",
            f"{one['certified_hazard']:.3f}",
            f"{one['gain']:.2f}",
            f"{one['certified_gain']:.2f}",
            f"{one['within']:.0%}",
            f"{one['go']:.0%} of {one['logs']}",
        )
        for one in sorted(result["rows"], key=lambda one: (one["world"], list(names).index(one["policy"])))
    ]
    head = ("", "episodes", "true hazard", "shown: at most", "true gain", "shown: at least", "hazard within", "GO")
    loggers = ", ".join(f"{WORLDS[name]} {one['hazard']:.1%}" for name, one in result["settings"]["loggers"].items())
    return f"{table(head, rows)}\n\nThe loggers' own hazards: {loggers}. Means over the logs."


def guarded(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"guard: {NOT_MEASURED}", "", "–"
        return
    wanted, found = result["bars"], result["guard"]
    yield (
        f"observations outside the log caught: {found['caught']:.1%}",
        "≥ 99 %",
        verdict(found["caught"] >= wanted["caught"]),
    )
    alarms = found["false_alarms"]["episodes"]
    yield f"fresh episodes with a false alarm: {alarms:.2%}", "≤ 2 %", verdict(alarms <= wanted["false_alarms"])
    above = found["above_fallback"]["dangerous_mean"]
    yield (
        f"P(hazard) of dangerous policies behind the guard, less the fallback's: {above:+.3f} on average",
        "≤ +.02",
        verdict(above <= wanted["above_fallback"]),
    )
    hostile = result["hostile"]
    yield (
        f"{hostile['inputs']:,} hostile inputs: {hostile['raised']} raised, {hostile['forbidden']} forbidden actions",
        "0, 0",
        verdict(not hostile["raised"] and not hostile["forbidden"]),
    )
    for name, one in result["latency"].items():
        median = one["median"]
        yield f"one decision, {name}: {median:.0f} µs (median)", "≤ 150 µs", verdict(median <= wanted["microseconds"])


def rolled_out(result: Result | None) -> Iterator[Line]:
    if result is None:
        yield f"rollouts that stop: {NOT_MEASURED}", "", "–"
        return
    for name, one in result["worlds"].items():
        for wrong, count in one["wrong"].items():
            share = count["campaigns"] / result["campaigns"]
            yield (
                f"truly {name}: wrongly “{wrong}” {share:.2%} of {result['campaigns']:,}",
                "≤ 5 %",
                verdict(count["kept"]),
            )
        if "ratio" in one:
            mean = one["ours"]["mean_episodes"]
            yield (
                f"truly {name}: {mean:.0f} episodes on average, {one['ratio']:.2f} × Wald's",
                f"≤ {result['bar']:g} ×",
                verdict(one["ratio_kept"]),
            )


BLOCKS: dict[str, Callable[[], str]] = {"gate": bars, "gate-sources": lambda: sources(FILES)}


PAGES = {
    "gate.md": BLOCKS,
    "certifiable.md": {"measured": measured, "measured-sources": lambda: sources(("gate_certifiable_measured",))},
}


if __name__ == "__main__":
    for page, blocks in PAGES.items():
        rewrite(ROOT / "docs" / page, blocks, __doc__)
