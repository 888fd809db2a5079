"""Updates a second: groundschool against d3rlpy and against a plain hand-written PyTorch loop, in one run.

Everybody computes the same update (double-Q CQL with Huber error, alpha 1 and hard target copies; BC with d3rlpy's
penalty) on the tutorial's log, each in a process of its own. The processes are warmed up first, compilation included,
and then take turns, so that a disturbance hits all alike; medians over the rounds count. torch and d3rlpy are tried
with one and two threads, and their better one counts. The last turn of each round multiplies two 2048x2048 float32
matrices in NumPy, as the machine's limit.

The tutorial's log holds about 207 distinct observations. Where they are no more than a batch has rows, groundschool
evaluates each of them once an update: the same update for fewer products. ``row by row`` is our loop without that, and
the GFLOP/s are its.

    python benchmarks/updates.py --json benchmarks/results/updates.json

d3rlpy and torch come from .venv-d3rlpy (`make test-d3rlpy` makes it).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machine import ROOT, record, save_arrays, tutorial_log, write

PEERS = ROOT / "benchmarks" / "peers"
BARS = {  # the least ratio wanted, by (algorithm, width, peer)
    ("cql", 256, "d3rlpy"): 9.0,
    ("cql", 256, "torch eager"): 2.0,
    ("cql", 256, "torch compiled"): 1.5,
    ("cql", 64, "torch eager"): 4.0,
    ("cql", 64, "torch compiled"): 3.5,
}
# Matrix products in passes through the network: CQL three forward and a backward worth two, BC one and the backward.
PASSES = {"cql": 5, "bc": 3}


class Peer:
    """A warm process that runs a round of updates when asked."""

    def __init__(self, name: str, python: str, script: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.rates: list[float] = []
        self.steps = 0
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, str(PEERS / script), *arguments, "--interactive"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.facts = self._answer()

    def calibrate(self, seconds: float) -> None:
        """Choose the number of updates that takes about that long."""
        rate = self._round(20)
        rate = self._round(max(20, int(rate * seconds / 10)))
        self.steps = max(20, int(rate * seconds))

    def turn(self) -> None:
        self.rates.append(self._round(self.steps))

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _round(self, steps: int) -> float:
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return self._answer()["updates_per_second"]

    def _answer(self) -> dict[str, Any]:
        for line in self.process.stdout:
            if line.startswith("{"):  # d3rlpy talks in between
                return json.loads(line)
        self.errors.seek(0)
        sys.exit(f"{self.name} stopped:\n{self.errors.read()[-3000:]}")


def sgemm_gflops(size: int = 2048, repeats: int = 3) -> float:
    """Return the best rate of float32 matrix products in NumPy."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, size, size), dtype=np.float32)
    best = 0.0
    for _ in range(repeats):
        began = time.perf_counter()
        a @ b
        best = max(best, 2 * size**3 / (time.perf_counter() - began) / 1e9)
    return best


def update_gflop(algorithm: str, hidden: list[int], batch_size: int, inputs: int = 2, n_actions: int = 4) -> float:
    """Return the matrix products of one update, in 1e9 floating-point operations."""
    products = sum(a * b for a, b in itertools.pairwise([inputs, *hidden, n_actions]))
    return PASSES[algorithm] * 2 * batch_size * products / 1e9


def compare(algorithm: str, hidden: list[int], data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start everybody, let them take turns, and return medians and ratios."""
    shared = [f"--data={data}", f"--algorithm={algorithm}", f"--batch-size={options.batch_size}", "--hidden"]
    shared += map(str, hidden)
    ours_too = [Peer("row by row", sys.executable, "groundschool_updates.py", *shared, "--row-by-row")]
    peers = [Peer("groundschool", sys.executable, "groundschool_updates.py", *shared), *ours_too]
    for threads in options.threads:
        limited = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        for name, script, *flags in options.peers:
            arguments = [*shared, f"--threads={threads}", *flags]
            peers.append(Peer(name, options.python, script, *arguments, env=limited))
    try:
        for peer in peers:
            peer.calibrate(options.seconds)
        limits = []
        for turn in range(options.rounds):
            for peer in peers[turn % len(peers) :] + peers[: turn % len(peers)]:
                peer.turn()
            limits.append(sgemm_gflops())
    finally:
        for peer in peers:
            peer.close()

    measured = [
        {**p.facts, "peer": p.name, "median": statistics.median(p.rates), "rates": p.rates, "steps": p.steps}
        for p in peers
    ]
    ours, plain, limit = measured[0]["median"], measured[1]["median"], statistics.median(limits)
    gflop = update_gflop(algorithm, hidden, options.batch_size)
    ratios = {}
    for name in dict.fromkeys(p.name for p in peers[2:]):
        best = max(m["median"] for m in measured if m["peer"] == name)
        bar = BARS.get((algorithm, hidden[0], name))
        ratios[name] = {"updates_per_second": best, "ratio": ours / best, "bar": bar, "met": bar and ours / best >= bar}
    result = {
        "algorithm": algorithm,
        "hidden": hidden,
        "batch_size": options.batch_size,
        "updates_per_second": ours,
        "ratios": ratios,
        "row_by_row_updates_per_second": plain,
        "gflops": plain * gflop,
        "sgemm_gflops": limit,
        "share_of_sgemm": plain * gflop / limit,
        "measured": measured,
    }
    print(f"\n{algorithm.upper()} {'x'.join(map(str, hidden))}, batch {options.batch_size}")
    share = f"{plain * gflop:.0f} GFLOP/s = {plain * gflop / limit:.2f} sgemm"
    print(f"  {'groundschool':<16} {ours:>10,.0f} updates/s")
    print(f"  {'row by row':<16} {plain:>10,.0f} updates/s   {share}")
    for name, facts in ratios.items():
        wanted = f"   wanted {facts['bar']:g}, {'met' if facts['met'] else 'MISSED'}" if facts["bar"] else ""
        print(f"  {name:<16} {facts['updates_per_second']:>10,.0f} updates/s   ratio {facts['ratio']:.2f}{wanted}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", nargs="+", choices=["cql", "bc"], default=["cql", "bc"])
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 64], help="two hidden layers of each")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of torch and d3rlpy; the better counts")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every peer")
    parser.add_argument("--seconds", type=float, default=4.0, help="a turn takes about that long")
    parser.add_argument("--without", nargs="*", default=[], help="peers to leave out, e.g. d3rlpy 'torch compiled'")
    parser.add_argument("--python", default=str(ROOT / ".venv-d3rlpy" / "bin" / "python"), help="has torch and d3rlpy")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    known = [
        ("d3rlpy", "d3rlpy_updates.py"),
        ("torch eager", "torch_loop.py"),
        ("torch compiled", "torch_loop.py", "--compile"),
    ]
    options.peers = [peer for peer in known if peer[0] not in options.without]
    if options.peers and not Path(options.python).exists():
        sys.exit(
            f"{options.python} is not there: run make test-d3rlpy, or name the Python that has torch with --python"
        )
    result = record("updates per second, the same update on the tutorial's log")
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "log.npz"
        save_arrays(tutorial_log(), data)
        result["results"] = [
            compare(algorithm, [width, width], data, options)
            for algorithm in options.algorithms
            for width in options.widths
        ]
    write(result, options.json)


if __name__ == "__main__":
    main()
