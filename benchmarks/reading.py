"""Reading, checking and drawing: how long a log takes to get in, and in how much memory.

A log of 20 features, episode, step, action, reward and flags is written once as Parquet. Then fresh processes take
turns, so that a disturbance hits all alike, and medians over the rounds count: `groundschool.read`, from the file to a
vouched-for Dataset, against ``pyarrow.parquet.read_table``, which only decodes. Seconds are of the call, imports before
it not counted; memory is the process's peak, imports and all. The file is in the page cache for everybody.
`groundschool.check` is one figure, from the file to its findings.

A million rows of arrays are then made into a Dataset, with its transitions, and into d3rlpy's MDPDataset, and batches
of 256 are drawn from both, each in processes of their own.

    python benchmarks/reading.py --json benchmarks/results/reading.json

d3rlpy comes from .venv-d3rlpy (`make test-d3rlpy` makes it).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from machine import ROOT, record, write

PEERS = ROOT / "benchmarks" / "peers"
BARS = {"time": 2.0, "memory": 2.0, "check_seconds": 60.0, "build": 10.0, "draw": 50.0}


def run(script: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Run a peer in a fresh process and return what its last line says."""
    done = subprocess.run([python, str(PEERS / script), *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{script} {' '.join(arguments)} stopped with code {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def turns(rounds: int, **peers: Any) -> dict[str, list[dict[str, Any]]]:
    """Let every peer run once a round, another one first each time."""
    names = list(peers)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(peers[name]())
    return found


def middle(runs: list[dict[str, Any]], key: str) -> float:
    return statistics.median(one[key] for one in runs)


def reading(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    run("table_reading.py", "write", str(path), f"--rows={options.rows}", f"--dtype={options.dtype}")
    run("table_reading.py", "pyarrow", str(path))  # the file is in the page cache from here on
    found = turns(
        options.rounds,
        groundschool=lambda: run("table_reading.py", "groundschool", str(path)),
        pyarrow=lambda: run("table_reading.py", "pyarrow", str(path)),
    )
    medians = {
        name: {"seconds": middle(runs, "seconds"), "peak_bytes": middle(runs, "peak_bytes"), "runs": runs}
        for name, runs in found.items()
    }
    ours, theirs = medians["groundschool"], medians["pyarrow"]
    time_ratio, memory_ratio = ours["seconds"] / theirs["seconds"], ours["peak_bytes"] / theirs["peak_bytes"]
    for name, one in medians.items():
        print(f"  {name:<13} {one['seconds']:>8.2f} s {one['peak_bytes'] / 2**20:>10,.0f} MiB")
    print(f"  ratio         {time_ratio:>8.2f}   {memory_ratio:>10.2f}")
    return {
        "rows": options.rows,
        "dtype": options.dtype,
        "file_bytes": path.stat().st_size,
        **medians,
        "time_ratio": time_ratio,
        "time_met": time_ratio <= BARS["time"],
        "memory_ratio": memory_ratio,
        "memory_met": memory_ratio <= BARS["memory"],
    }


def checking(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    runs = [run("table_reading.py", "check", str(path)) for _ in range(options.check_rounds)]
    seconds, peak = middle(runs, "seconds"), middle(runs, "peak_bytes")
    print(f"  check         {seconds:>8.2f} s {peak / 2**20:>10,.0f} MiB")
    return {
        "rows": options.rows,
        "seconds": seconds,
        "peak_bytes": peak,
        "runs": runs,
        "bar": BARS["check_seconds"],
        "met": seconds <= BARS["check_seconds"],
    }


def drawing(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    save_log(path, options.array_rows)
    own = f"--seconds={options.seconds}"
    found = turns(
        options.rounds,
        groundschool=lambda: run("datasets.py", "groundschool", str(path), own),
        d3rlpy=lambda: run("datasets.py", "d3rlpy", str(path), own, python=options.python),
    )
    medians = {
        name: {
            "build_seconds": middle(runs, "build_seconds"),
            "batches_per_second": middle(runs, "batches_per_second"),
            "runs": runs,
        }
        for name, runs in found.items()
    }
    ours, theirs = medians["groundschool"], medians["d3rlpy"]
    build = theirs["build_seconds"] / ours["build_seconds"]
    draw = ours["batches_per_second"] / theirs["batches_per_second"]
    for name, one in medians.items():
        print(f"  {name:<13} built in {one['build_seconds']:>7.3f} s {one['batches_per_second']:>12,.0f} batches/s")
    print(f"  ratio         {build:>16.1f} {draw:>14.1f}")
    return {
        "rows": options.array_rows,
        "batch_size": 256,
        **medians,
        "build_ratio": build,
        "build_met": build >= BARS["build"],
        "draw_ratio": draw,
        "draw_met": draw >= BARS["draw"],
    }


def save_log(path: Path, rows: int, steps: int = 50) -> None:
    """Write arrays of episodes of `steps` rows, in the types that both libraries keep."""
    rng = np.random.default_rng(0)
    last = np.arange(rows) % steps == steps - 1
    last[-1] = True
    np.savez(
        path,
        observations=rng.standard_normal((rows, 20), dtype=np.float32),
        actions=rng.integers(0, 5, rows),
        rewards=rng.standard_normal(rows, dtype=np.float32),
        terminated=last,
        truncated=np.zeros(rows, bool),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the Parquet file")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64", help="of its features")
    parser.add_argument("--array-rows", type=int, default=1_000_000, help="of the arrays")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check-rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long batches are drawn a turn")
    parser.add_argument("--without", nargs="*", default=[], choices=["reading", "check", "d3rlpy"])
    parser.add_argument("--python", default=str(ROOT / ".venv-d3rlpy" / "bin" / "python"), help="has d3rlpy")
    parser.add_argument("--directory", help="where the files are written meanwhile; some 2 GB")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    if "d3rlpy" not in options.without and not Path(options.python).exists():
        sys.exit(
            f"{options.python} is not there: run make test-d3rlpy, or name the Python that has d3rlpy with --python"
        )
    result = record("reading and checking a log, and drawing from it")
    result["versions"]["pyarrow"] = pa.__version__
    result["bars"] = BARS
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        path = Path(directory) / "log.parquet"
        if "reading" not in options.without:
            print(f"\nParquet, {options.rows:,} rows, {options.dtype} features", flush=True)
            result["reading"] = reading(path, options)
            if "check" not in options.without:
                result["check"] = checking(path, options)
        if "d3rlpy" not in options.without:
            print(f"\narrays, {options.array_rows:,} rows, batches of 256", flush=True)
            result["datasets"] = drawing(Path(directory) / "log.npz", options)
    write(result, options.json)


if __name__ == "__main__":
    main()
