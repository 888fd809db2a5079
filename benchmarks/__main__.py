"""`make bench`: the recorded benchmarks, one after another, each into its file in benchmarks/results.

Run it on a quiet machine. Arguments name some of them: ``python -m benchmarks updates``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = {
    "updates": ["updates.py"],
    "grid_logging": ["grid_logging.py"],
    "quality": ["quality.py"],
    "conservative_weight": ["conservative_weight.py"],
    "demo": ["demo.py", "--images", "docs/images"],
    "time_to_quality": ["time_to_quality.py", "--d3rlpy"],
    "reading": ["reading.py"],
    "checks": ["checks.py"],
}


def main() -> None:
    names = sys.argv[1:] or list(COMMANDS)
    unknown = [name for name in names if name not in COMMANDS]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]!r}; there are {', '.join(COMMANDS)}")
    for name in names:
        script, *options = COMMANDS[name]
        target = (HERE / "results" / f"{name}.json").relative_to(HERE.parent)
        print(f"== {name} -> {target}", flush=True)
        command = [sys.executable, f"benchmarks/{script}", *options, "--json", str(target)]
        subprocess.run(command, check=True, cwd=HERE.parent)


if __name__ == "__main__":
    main()
