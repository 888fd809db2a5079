"""Write the README's figures from benchmarks/results/*.json: what no committed result holds is "not measured".

python benchmarks/readme_tables.py              # rewrites README.md between its markers
python benchmarks/readme_tables.py --check      # says whether it would change anything; exit code 1 if so
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NOT_MEASURED = "not measured"

Result = dict[str, Any]
Line = tuple[str, str, str]  # what was measured, the bar, the verdict


def verdict(met: bool | None) -> str:
    """Return the word of the last column; None is a figure without a bar."""
    return "reported" if met is None else "met" if met else "**missed**"


def updates(result: Result) -> Iterator[Line]:
    for one in result["results"]:
        size = "×".join(map(str, one["hidden"]))
        for peer, facts in one["ratios"].items():
            what = f"{one['algorithm'].upper()} {size}: {one['updates_per_second']:,.0f} updates/s, "
            what += f"{facts['ratio']:.1f}× {peer} ({facts['updates_per_second']:,.0f})"
            bar = facts["bar"]
            yield what, "–" if bar is None else f"≥ {bar:g}×", verdict(None if bar is None else bool(facts["met"]))


def limit(result: Result) -> Iterator[Line]:
    for one in result["results"]:
        size = "×".join(map(str, one["hidden"]))
        rates = (
            f"{one['gflops']:.0f} GFLOP/s, NumPy's sgemm {one['sgemm_gflops']:.0f}: {one['share_of_sgemm']:.2f} of it"
        )
        yield f"{one['algorithm'].upper()} {size}, row by row: {rates}", "stated", verdict(None)


def demo(result: Result) -> Iterator[Line]:
    one = result["demo"]
    yield f"`groundschool demo`, start to report: {one['seconds']:.1f} s", f"≤ {one['bar']:g} s", verdict(one["met"])
    both = read("time_to_quality") or {}
    if (ours := both.get("demo")) and (theirs := both.get("d3rlpy")):
        what = f"`demo --budget tutorial` {ours['budget_seconds']:.0f} s, d3rlpy's recipe "
        yield (
            what + f"{theirs['process_seconds']:.0f} s: 1/{1 / ours['budget_share']:.1f}",
            "≤ 1/7",
            verdict(ours["budget_share"] <= 1 / 7),
        )
    else:
        yield f"`demo --budget tutorial` against d3rlpy's recipe: {NOT_MEASURED}", "≤ 1/7", "–"


def quality_in_time(result: Result) -> Iterator[Line]:
    quality = result["quality"]
    what = (
        f"log to default CQL policy, one process: {result['median_seconds']:.1f} s (median of {len(result['runs'])}; "
    )
    what += f"exact return {quality['mean_return']:.2f}, hazard {quality['mean_hazard']:.2%})"
    if theirs := result.get("d3rlpy"):
        what += f"; d3rlpy's recipe {theirs['fit_seconds']:.0f} s for {theirs['return']:.2f}, {theirs['hazard']:.2%}: "
        what += f"{result['ratio']:.0f}× sooner"
        yield what, "≥ 50×, at the quality of 5", verdict(bool(result["ratio_met"]) and bool(quality["met"]))
    else:
        yield f"{what}; d3rlpy's recipe {NOT_MEASURED}", "≥ 50×, at the quality of 5", "–"


def value_learning(result: Result) -> Iterator[Line]:
    one = result["cql_tutorial"]
    what = f"CQL by default, exact, {len(one['runs'])} logs of the tutorial's grid: return {one['return_mean']:.2f} "
    what += f"(worst {one['return_worst']:.2f}, {one['below_19']} below 19), P(hazard) {one['hazard_mean']:.2%}"
    yield what, "mean ≥ 21.2, at most one below 19, none below 16, hazard ≤ 0.3 %", verdict(one["met"])
    one = result["cql_layouts"]
    layouts = len({json.dumps(run["layout"], sort_keys=True) for run in one["runs"]})
    what = (
        f"{layouts} other layouts, {len(one['runs'])} runs: better return and lower hazard than the noiseless logger "
    )
    what += f"in {one['share_better']:.0%}; worse than the logger in {one['worse_than_logger']}"
    yield what, "≥ 90 %; none worse", verdict(one["met"])


def cloning(result: Result) -> Iterator[Line]:
    one = result["bc"]
    what = (
        f"BC by default as it samples, {len(one['runs'])} logs: mean absolute error {one['return_mae']:.2f} of return, "
    )
    what += f"{100 * one['hazard_mae']:.2f} points of hazard; greedy BC {one['greedy_return_mean']:.1f} and "
    what += f"{one['greedy_hazard_mean']:.2%} (not cloning: smoothing)"
    yield what, "≤ 3 and ≤ 2.5 points", verdict(one["met"])


def stability(result: Result) -> Iterator[Line]:
    one = result["stability"]
    what = (
        f"CQL's exact return over its last five chunk ends: standard deviation {one['median_std']:.3f} (median seed), "
    )
    yield what + f"{one['worst_std']:.3f} (worst)", "≤ 0.3", verdict(one["met"])


def logging(result: Result) -> Iterator[Line]:
    for one in result["results"]:
        rate, ratio = one["groundschool"]["steps_per_second"], one["ratio"]
        what = (
            f"logging {one['episodes']:,} grid episodes: {rate / 1e6:.1f} M steps/s, {ratio:.0f}× a plain Python loop"
        )
        yield what, "≥ 50×", verdict(ratio >= 50)


def starting(result: Result) -> Iterator[Line]:
    times = f"`import groundschool` {result['import']['median_seconds']:.2f} s, `--help` "
    times += f"{result['help']['median_seconds']:.2f} s, no JAX"
    yield times, "< 0.4 s", verdict(result["import"]["met"] and result["help"]["met"])


def on_a_gpu(result: Result) -> Iterator[Line]:
    for one in result["results"]:
        what = f"{one['what']}: {one['updates_per_second']:,.0f} updates/s"
        ratio = one.get("ratio")
        yield what + (f", {ratio:.1f}× d3rlpy" if ratio else ""), "reported; aim ≥ 20× in the population", verdict(None)


def reading(result: Result) -> Iterator[Line]:
    one = result.get("reading")
    if one is None:
        yield f"reading a Parquet file: {NOT_MEASURED}", "≤ 2× the time and the memory of pyarrow's own full read", "–"
        return
    ours, theirs = one["groundschool"], one["pyarrow"]
    enough = one["rows"] >= AT_ROWS
    what = f"`gs.read` of {one['rows']:,} rows of Parquet: {ours['seconds']:.1f} s, "
    what += f"{one['time_ratio']:.2f}× pyarrow's own full read ({theirs['seconds']:.1f} s)"
    yield what, f"≤ 2× at {AT_ROWS:,} rows", verdict(one["time_met"] if enough else None)
    what = f"the same, at most in memory: {ours['peak_bytes'] / 2**30:.1f} GiB, {one['memory_ratio']:.2f}× pyarrow's "
    what += f"({theirs['peak_bytes'] / 2**30:.1f} GiB)"
    yield what, f"≤ 2× at {AT_ROWS:,} rows", verdict(one["memory_met"] if enough else None)


def checking(result: Result) -> Iterator[Line]:
    bar = f"≤ 60 s at {AT_ROWS:,} rows"
    one = result.get("check")
    if one is None:
        yield f"checking a log: {NOT_MEASURED}", bar, "–"
        return
    what = f"`gs.check` of {one['rows']:,} rows, from the file to its findings: {one['seconds']:.1f} s, at most "
    what += f"{one['peak_bytes'] / 2**30:.1f} GiB"
    yield what, bar, verdict(one["met"] if one["rows"] >= AT_ROWS else None)


def drawing(result: Result) -> Iterator[Line]:
    one = result.get("datasets")
    if one is None:
        yield f"a Dataset and batches against d3rlpy: {NOT_MEASURED}", "build ≥ 10×, draw ≥ 50×", "–"
        return
    ours, theirs = one["groundschool"], one["d3rlpy"]
    what = f"a Dataset and its transitions from arrays of {one['rows']:,} rows: {ours['build_seconds']:.2f} s, "
    what += f"{one['build_ratio']:.0f}× sooner than d3rlpy's ({theirs['build_seconds']:.1f} s)"
    yield what, "≥ 10×", verdict(one["build_met"])
    what = f"batches of {one['batch_size']} drawn from it: {ours['batches_per_second']:,.0f} a second, "
    what += f"{one['draw_ratio']:.0f}× d3rlpy ({theirs['batches_per_second']:,.0f})"
    yield what, "≥ 50×", verdict(one["draw_met"])


def planted_faults(result: Result) -> Iterator[Line]:
    one = result["planted"]
    what = f"faults planted for {one['checks']} checks, in {one['logs']:,} logs: {one['missed']:,} missed"
    yield what, "all found", verdict(one["missed"] == 0)


def clean_logs(result: Result) -> Iterator[Line]:
    one = result["clean"]
    share = one["warnings"] / one["logs"]
    what = (
        f"{one['logs']:,} clean logs: {one['errors']:,} with an error, {one['warnings']:,} ({share:.1%}) with a warning"
    )
    met = one["errors"] == 0 and share <= one["limit"]
    yield what, f"no error, warnings ≤ {100 * one['limit']:g} %", verdict(met)


def damaged_files(result: Result) -> Iterator[Line]:
    one = result["fuzz"]
    what = f"{one['files']:,} damaged files read in {one['seconds']:.0f} s: {one['bad']:,} ended otherwise than in a "
    yield what + "Dataset or a sentence", "none, of ≥ 10,000", verdict(one["bad"] == 0 and one["files"] >= 10_000)


AT_ROWS = 10_000_000  # at which reading and checking are judged

Row = tuple[int, str, str, Callable[[Result], Iterator[Line]]]
ROWS: list[Row] = [
    (1, "updates a second, the same update", "updates", updates),
    (2, "the machine's limit", "updates", limit),
    (3, "the demo", "demo", demo),
    (4, "time to quality", "time_to_quality", quality_in_time),
    (5, "CQL's quality", "quality", value_learning),
    (6, "BC as a behavior model", "quality", cloning),
    (7, "stability", "quality", stability),
    (8, "logging", "grid_logging", logging),
    (9, "starting", "demo", starting),
    (10, "on a GPU", "gpu", on_a_gpu),
]
LOGS: list[Row] = [
    (1, "reading a Parquet file, beside pyarrow", "reading", reading),
    (2, "checking a log", "reading", checking),
    (3, "a Dataset and batches, beside d3rlpy", "reading", drawing),
    (4, "planted faults", "checks", planted_faults),
    (5, "clean logs", "checks", clean_logs),
    (6, "damaged files", "checks", damaged_files),
]


def read(name: str) -> Result | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def results_table(table: list[Row] = ROWS) -> str:
    lines = ["| # | measured | wanted | |", "|---|---|---|---|"]
    for number, title, name, rows in table:
        result = read(name)
        if result is None:
            lines.append(f"| {number} | {title}: {NOT_MEASURED} | | – |")
            continue
        for index, (what, bar, word) in enumerate(rows(result)):
            lines.append(f"| {number if index == 0 else ''} | {what} | {bar} | {word} |")
    sources = [source(name, result) for name in dict.fromkeys(row[2] for row in table) if (result := read(name))]
    return "\n".join([*lines, *([""] if sources else []), *sources])


def logs_table() -> str:
    return results_table(LOGS)


def source(name: str, result: Result) -> str:
    """Say where a result comes from: file, date, hardware and command."""
    hardware = result["hardware"]
    load = hardware.get("load_average_before", (hardware.get("load") or [None])[0])
    where = hardware.get("device") or f"{hardware['processor']}, {hardware['cores']} cores"
    busy = "" if load is None else f", load {load:.1f} at the start"
    return (
        f"- [`{name}.json`](benchmarks/results/{name}.json): {result['date'][:10]}, {where}{busy}; "
        f"`{result['command']}`" + (f". {result['note']}" if "note" in result else "")
    )


def weights_table() -> str:
    result = read("conservative_weight")
    if result is None:
        return f"*{NOT_MEASURED} (`python benchmarks/conservative_weight.py`)*"
    lines = [
        "| `conservative_weight` | exact return | exact P(hazard) | mismatch | values too high by |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['conservative_weight']:g} | {one['return_mean']:.2f} ({one['return_worst']:.2f}) "
        f"| {one['hazard_mean']:.2%} ({one['hazard_worst']:.2%}) | {one['mismatch_mean']:.3f} "
        f"| {one['value_bias_mean']:.1f} |"
        for one in result["summary"]
    ]
    runs = result["summary"][0]["runs"]
    scale = {name: f"{one['return']:.2f} and {one['hazard']:.2%}" for name, one in result["references"].items()}
    lines += [
        "",
        f"{runs} logs a row, one training run each, final policies, mean (worst). *Values too high by*: predicted "
        "action values less the discounted returns of 200 rollouts.",
        f"For scale, exactly, on the same grid: the optimum {scale['optimum']}, the logger {scale['logger']}, the "
        f"logger without its noise, which perfect cloning of its intent would reach, {scale['noiseless']}.",
        "",
        source("conservative_weight", result),
    ]
    return "\n".join(lines)


def printed_demo() -> str:
    result = read("demo")
    if result is None:
        return f"*{NOT_MEASURED} (`python benchmarks/demo.py`)*"
    return "\n".join(["```text", *result["demo"]["printed"], "```"])


BLOCKS = {"results": results_table, "logs": logs_table, "weights": weights_table, "demo": printed_demo}


def fill(text: str, blocks: Mapping[str, Callable[[], str]] = BLOCKS) -> str:
    """Return a page's text with every block between its markers made anew."""
    for name, block in blocks.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            sys.exit(f"expected exactly one pair of markers for {name!r}")
        before, rest = text.split(begin)
        after = rest.split(end)[1]
        text = f"{before}{begin}{block()}\n{end}{after}"
    return text


def rewrite(path: Path, blocks: Mapping[str, Callable[[], str]], about: str | None) -> None:
    """Make a page's figures anew, or, with ``--check``, say whether that would change any."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is out of date")
    options = parser.parse_args()
    text = path.read_text(encoding="utf-8")
    made = fill(text, blocks)
    if options.check:
        if made != text:
            sys.exit(f"{path.name} is out of date: run python {sys.argv[0]}")
        return
    path.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    rewrite(ROOT / "README.md", BLOCKS, __doc__)
