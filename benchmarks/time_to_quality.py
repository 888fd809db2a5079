"""Time to quality: wall seconds of one fresh process from the tutorial's saved log to a default CQL policy.

For each data seed a log of its own is written first. Then the clock runs over one new Python process that starts,
imports, reads the log, compiles, trains ``gs.train(log, "cql")`` with default settings and saves the policy: nothing is
warm and no checkpoint is picked. The saved policy is then judged exactly, outside the clock. With ``--d3rlpy`` the
whole recipe is run in the same run, in a fresh process of its own environment: of its CQL only the fit counts, not the
start. Beside the recipe's whole wall time stand those of ``groundschool demo`` and of ``groundschool demo --budget
tutorial``, which takes the recipe's own numbers of steps with its network and batch.

    python benchmarks/time_to_quality.py --d3rlpy --json benchmarks/results/time_to_quality.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import ROOT, record, tutorial_log, write

import groundschool as gs

CHILD = """
import sys
import groundschool as gs
log = gs.read(sys.argv[1])
gs.train(log, "cql", seed=int(sys.argv[3])).save(sys.argv[2])
"""


def one(seed: int, directory: Path) -> dict[str, Any]:
    """Log, train in a fresh process under the clock, judge exactly."""
    log, bundle = directory / f"log-{seed}", directory / f"policy-{seed}"
    tutorial_log(seed).save(log)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", CHILD, str(log), str(bundle), str(seed)], check=True)
    seconds = time.perf_counter() - began
    policy = gs.load(bundle)
    exact = gs.HazardGrid().model().evaluate(policy)
    training = policy.training
    return {
        "seed": seed,
        "seconds": seconds,
        "training_seconds": training.seconds,
        "compile_seconds": training.compile_seconds,
        "steps": training.steps,
        "return": exact.return_,
        "hazard": exact.ends["hazard"],
    }


def meets_the_bar(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the quality wanted of the policies, figure by figure, and whether all of it is met."""
    returns, hazards = [run["return"] for run in runs], [run["hazard"] for run in runs]
    figures = {
        "mean_return": statistics.fmean(returns),
        "worst_return": min(returns),
        "below_19": sum(value < 19.0 for value in returns),
        "mean_hazard": statistics.fmean(hazards),
    }
    met = (
        figures["mean_return"] >= 21.2
        and figures["worst_return"] >= 16.0
        and figures["below_19"] <= 1
        and figures["mean_hazard"] <= 0.003
    )
    return {**figures, "met": met, "wanted": "mean >= 21.2, worst >= 16, at most one below 19, mean hazard <= 0.003"}


def demo(directory: Path, *options: str) -> float:
    """Run ``groundschool demo`` in a fresh process and return its wall seconds, everything included."""
    out = directory / "-".join(["demo", *options]).replace(" ", "")
    began = time.perf_counter()
    command = [sys.executable, "-m", "groundschool", "demo", *options, "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def recipe(python: str, steps: int, threads: int, directory: Path) -> dict[str, Any]:
    """Run the whole recipe with d3rlpy in a fresh process; its own clock runs over its parts."""
    out = directory / "d3rlpy.json"
    command = [
        python,
        str(ROOT / "examples" / "tutorial_d3rlpy.py"),
        f"--bc-steps={steps * 25 // 80}",
        f"--cql-steps={steps}",
        f"--threads={threads}",
    ]
    began = time.perf_counter()
    subprocess.run([*command, f"--directory={directory}", f"--out={out}"], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    made = json.loads(out.read_text())
    result = made["results"]["CQL"]
    return {
        "process_seconds": seconds,
        "fit_seconds": result["fit_seconds"],
        "steps": result["steps"],
        "bc": {key: made["results"]["BC"][key] for key in ("fit_seconds", "steps", "exact")},
        "return": result["exact"]["return"],
        "hazard": result["exact"]["hazard"],
        "versions": made["versions"],
        "threads": made["hardware"]["threads"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="data seeds, from --first-seed on")
    parser.add_argument("--first-seed", type=int, default=42)
    parser.add_argument("--d3rlpy", action="store_true", help="run the recipe and our demos too: 15 minutes or more")
    parser.add_argument("--d3rlpy-steps", type=int, default=80_000)
    parser.add_argument("--d3rlpy-threads", type=int, default=1, help="torch's; take the faster of updates.py")
    parser.add_argument("--python", default=str(ROOT / ".venv-d3rlpy" / "bin" / "python"), help="has d3rlpy")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    if options.d3rlpy and not Path(options.python).exists():
        sys.exit(f"{options.python} is not there: run make test-d3rlpy, or name the Python that has d3rlpy by --python")
    result = record("wall seconds from the tutorial's log to a default CQL policy, one fresh process a seed")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        runs = []
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            runs.append(one(seed, directory))
            print("seed {seed}: {seconds:.2f} s, return {return:.2f}, hazard {hazard:.3%}".format(**runs[-1]))
        seconds = statistics.median(run["seconds"] for run in runs)
        quality = meets_the_bar(runs)
        result |= {"median_seconds": seconds, "quality": quality, "runs": runs}
        print(
            f"median {seconds:.2f} s; return mean {quality['mean_return']:.2f}, worst {quality['worst_return']:.2f}; "
            f"hazard mean {quality['mean_hazard']:.3%}; quality wanted {'met' if quality['met'] else 'MISSED'}"
        )
        if options.d3rlpy:
            theirs = recipe(options.python, options.d3rlpy_steps, options.d3rlpy_threads, directory)
            ratio = theirs["fit_seconds"] / seconds
            result |= {"d3rlpy": theirs, "ratio": ratio, "ratio_wanted": 50.0, "ratio_met": ratio >= 50.0}
            demos = {"seconds": demo(directory), "budget_seconds": demo(directory, "--budget", "tutorial")}
            share = demos["budget_seconds"] / theirs["process_seconds"]
            demos |= {"budget_share": share, "wanted": "seconds <= 30, budget_share <= 1/7"}
            result["demo"] = {**demos, "met": demos["seconds"] <= 30.0 and share <= 1 / 7}
            print(
                f"demo {demos['seconds']:.1f} s; --budget tutorial {demos['budget_seconds']:.0f} s, the recipe "
                f"{theirs['process_seconds']:.0f} s: 1/{1 / share:.1f}, wanted 1/7"
            )
            print(
                f"d3rlpy: {theirs['steps']:,} steps in {theirs['fit_seconds']:.0f} s, return {theirs['return']:.2f}, "
                f"hazard {theirs['hazard']:.2%}; ratio {ratio:.0f}, wanted 50"
            )
    write(result, options.json)


if __name__ == "__main__":
    main()
