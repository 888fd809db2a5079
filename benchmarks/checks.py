"""Checks of logs: planted faults that are found, clean logs that are left alone, damaged files that do no harm.

The makers of the logs and of the damage are those of the tests.

    python benchmarks/checks.py --json benchmarks/results/checks.json
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import time
from pathlib import Path

from machine import ROOT, record, write

sys.path[:0] = [str(ROOT / "tests" / part) for part in ("", "data", "data/checks", "data/readers")]

import battery_study  # noqa: E402
import test_fuzz  # noqa: E402

LIMIT = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="logs with each fault, a size")
    parser.add_argument("--clean", type=int, default=24, help="clean logs of each kind, a size")
    parser.add_argument("--files", type=int, default=12_000, help="damaged files")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = record("checks of logs with and without faults, and readers of damaged files")

    logs = list(battery_study.planted(range(options.seeds)))
    missed = [one for one in logs if not one.fired]
    planted = {"checks": len({one.check for one in logs}), "logs": len(logs), "missed": len(missed)}
    print(f"planted faults: {planted}")
    for one in missed:
        print(f"  missed: {one}")

    looked = list(battery_study.clean(range(options.clean)))
    warnings = collections.Counter(name for one in looked for name in one.warnings)
    clean = {
        "logs": len(looked),
        "errors": sum(bool(one.errors) for one in looked),
        "warnings": sum(bool(one.warnings) for one in looked),
        "limit": LIMIT,
        "by_check": dict(warnings),
    }
    print(f"clean logs: {clean}")

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "sound").mkdir()
        began = time.perf_counter()
        results = test_fuzz.outcomes(Path(folder), options.files, seed=1)
        seconds = time.perf_counter() - began
    fuzz = {
        "files": len(results),
        "bad": sum(not good for _, _, good in results),
        "refused": sum(answer.startswith("refused") for _, answer, _ in results),
        "seconds": seconds,
    }
    print(f"damaged files: {fuzz}")
    write(result | {"planted": planted, "clean": clean, "fuzz": fuzz}, options.json)


if __name__ == "__main__":
    main()
