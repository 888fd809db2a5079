"""Rounds of updates on request, so that a driver can interleave several warm processes on one machine.

A peer script prints one JSON line with its facts when it is warm, then runs ``--rounds`` rounds and prints a JSON line
for each. With ``--interactive`` a round is run for each line on standard input, which holds its number of updates.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the arguments every peer takes: the update they all compute."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", required=True, help="the log as .npz: observations, actions, rewards, ...")
    made.add_argument("--algorithm", choices=["bc", "cql"], default="cql")
    made.add_argument("--hidden", type=int, nargs="+", default=[256, 256])
    made.add_argument("--batch-size", type=int, default=256)
    made.add_argument("--learning-rate", type=float, default=3e-4)
    made.add_argument("--discount", type=float, default=0.99)
    made.add_argument("--alpha", type=float, default=1.0, help="conservative weight")
    made.add_argument("--target-every", type=int, default=8_000, help="steps between hard target copies")
    made.add_argument("--logit-penalty", type=float, default=0.5, help="d3rlpy's beta in DiscreteBC")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--steps", type=int, default=500, help="updates a round")
    made.add_argument("--warmup", type=int, default=100, help="updates before the first round")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--interactive", action="store_true")
    return made


def serve(run: Callable[[int], None], arguments: argparse.Namespace, facts: dict[str, Any]) -> None:
    """Warm up, say the facts, and time rounds of ``run(steps)``."""
    began = time.perf_counter()
    run(arguments.warmup)
    say({"warmup_seconds": time.perf_counter() - began, **facts})
    for line in sys.stdin if arguments.interactive else [str(arguments.steps)] * arguments.rounds:
        steps = int(line)
        began = time.perf_counter()
        run(steps)
        seconds = time.perf_counter() - began
        say({"steps": steps, "seconds": seconds, "updates_per_second": steps / seconds})


def say(line: dict[str, Any]) -> None:
    """Print one JSON line at once."""
    print(json.dumps(line), flush=True)
