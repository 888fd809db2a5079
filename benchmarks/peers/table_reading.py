"""One reading of a Parquet log in this process: by groundschool, whole path, by pyarrow alone, or by the checks.

python benchmarks/peers/table_reading.py pyarrow log.parquet
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FEATURES = 20


def ours(path: str) -> Callable[[], int]:
    from groundschool import read

    said = columns()
    return lambda: read(path, columns=said).n_steps


def theirs(path: str) -> Callable[[], int]:
    import pyarrow.parquet as pq

    return lambda: pq.read_table(path).num_rows


def checks(path: str) -> Callable[[], int]:
    from groundschool import check

    said = columns()
    return lambda: check(path, said).n_rows


def columns() -> Any:
    from groundschool import Columns

    return Columns(
        observations=[f"x{i}" for i in range(FEATURES)],
        action="action",
        reward="reward",
        episode="episode",
        step="step",
        terminated="terminated",
        truncated="truncated",
    )


def write(path: str, rows: int, dtype: str, chunk: int = 1_000_000, steps: int = 50) -> int:
    """Write a log of episodes of `steps` rows in chunks: an autoregressive walk of 20 features, 5 actions, a reward."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    writer = None
    for first in range(0, rows, chunk):
        i = np.arange(first, min(first + chunk, rows))
        features = {f"x{j}": rng.standard_normal(len(i), dtype=np.float32).astype(dtype) for j in range(FEATURES)}
        action = rng.integers(0, 5, len(i))
        last = (i % steps == steps - 1) | (i == rows - 1)
        died = rng.random(len(i)) < 0.3
        table = pa.table(
            {
                "episode": i // steps,
                "step": i % steps,
                **features,
                "action": action,
                "reward": features["x0"] * (action - 2) + rng.standard_normal(len(i)),
                "terminated": last & died,
                "truncated": last & ~died,
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()
    return rows


def peak_bytes() -> int:
    """Return the most memory this process held; ru_maxrss may be that of the process that started it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    marks = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    unit = 1 if sys.platform == "darwin" else 1024
    return marks[0] if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["groundschool", "pyarrow", "check", "write"])
    parser.add_argument("path")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    arguments = parser.parse_args()
    if arguments.what == "write":
        act: Callable[[], int] = lambda: write(arguments.path, arguments.rows, arguments.dtype)  # noqa: E731
    else:
        act = {"groundschool": ours, "pyarrow": theirs, "check": checks}[arguments.what](arguments.path)
    imported = peak_bytes()
    began = time.perf_counter()
    rows = act()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "rows": rows, "peak_bytes": peak_bytes(), "peak_bytes_before": imported}))


if __name__ == "__main__":
    main()
