"""Wall seconds of what a newcomer runs: import, help, the demo.

Every figure is the wall time of whole processes, start and imports included. The demo is run three times into fresh
directories and the middle one counts; import and help are run ten times, the first left out. What the last demo printed
is recorded too, and ``--images`` keeps two of its figures: the README shows both. (The tutorial's budget against
d3rlpy's recipe is in time_to_quality.py.)

    python benchmarks/demo.py --images docs/images --json benchmarks/results/demo.json
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import ROOT, record, write

DEMO_SECONDS, START_SECONDS = 30.0, 0.4
FIGURES = ("policy_map.png", "rates.png")
MODULE = (sys.executable, "-m", "groundschool")


def process(*command: str) -> tuple[float, str]:
    """Return the wall time and the standard output of one process that must succeed."""
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    return time.perf_counter() - began, done.stdout


def seconds(*command: str) -> float:
    """Return the wall time of one process that must succeed."""
    return process(*command)[0]


def starts(*command: str) -> dict[str, Any]:
    """Time a process that should be over at once."""
    times = [seconds(*command) for _ in range(10)][1:]
    middle = statistics.median(times)
    return {
        "median_seconds": middle,
        "slowest_seconds": max(times),
        "bar": START_SECONDS,
        "met": middle < START_SECONDS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="copy the figures that the README shows into this directory")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    result = record("wall seconds of import, help and demo")
    result["import"] = starts(sys.executable, "-c", "import groundschool")
    result["help"] = starts(*MODULE, "--help")
    for name in ("import", "help"):
        print(f"{name}: {result[name]['median_seconds']:.3f} s, wanted < {START_SECONDS}")
    with tempfile.TemporaryDirectory() as name:
        result["demo"] = demo(Path(name), options.images)
        print(f"demo: {result['demo']['seconds']:.1f} s, wanted <= {DEMO_SECONDS:g}")
    write(result, options.json)


def demo(directory: Path, images: Path | None) -> dict[str, Any]:
    """Time the demo three times; keep what it printed and, where asked, its figures."""
    times = []
    for turn in range(3):
        spent, printed = process(*MODULE, "demo", "--out", str(directory / f"demo{turn}"))
        times.append(spent)
    last = directory / "demo2"
    if images is not None:
        images.mkdir(parents=True, exist_ok=True)
        for figure in FIGURES:
            shutil.copyfile(last / "figures" / figure, images / figure)
    lines = [line.rstrip() for line in printed.replace(str(last.resolve()), "runs/tutorial").splitlines()]
    middle = statistics.median(times)
    met = middle <= DEMO_SECONDS
    return {"seconds": middle, "all": times, "bar": DEMO_SECONDS, "met": met, "printed": lines}


if __name__ == "__main__":
    main()
