"""`make bench`, `make bench-ope` and `make bench-gate`: recorded benchmarks, each into its file in benchmarks/results.

Run it on a quiet machine. Arguments name some of them: ``python -m benchmarks updates``. ``ope`` stands for all those
about off-policy evaluation, ``gate`` for those about gate, guard and rollouts; where nothing is named, both are out.
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
    "ope_calibration": ["ope_calibration.py"],
    "ope_estimated": ["ope_calibration.py", "--estimated", "--n", "500", "--peers"],
    "ope_bounds": ["ope_bounds.py"],
    "ope_fqe": ["ope_fqe.py"],
    "ope_large": ["ope_large.py"],
    "ope_continuous": ["ope_continuous.py"],
    "ope_self_test": ["ope_self_test.py"],
    "ope_selection": ["ope_selection.py"],
    "gate_decisions": ["gate_decisions.py"],
    "gate_advice": ["gate_decisions.py", "--follow"],
    "gate_certifiable": ["gate_certifiable.py"],
    "gate_certifiable_measured": ["gate_certifiable_measured.py"],
    "gate_guard": ["gate_guard.py"],
    "gate_rollouts": ["gate_rollouts.py"],
}
SETS = {one: [name for name in COMMANDS if name.startswith(f"{one}_")] for one in ("ope", "gate")}


def main() -> None:
    asked = sys.argv[1:] or [name for name in COMMANDS if not any(name in names for names in SETS.values())]
    names = [name for one in asked for name in SETS.get(one, [one])]
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
