"""The same update by groundschool's own training loop, chunk ends and their metrics included.

python benchmarks/peers/groundschool_updates.py --data log.npz --algorithm cql
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from rounds import parser, serve

import groundschool as gs
from groundschool.algorithms import configure
from groundschool.algorithms.registry import ALGORITHMS
from groundschool.algorithms.types import Spec
from groundschool.training import loop
from groundschool.training.data import prepare
from groundschool.training.device import describe_device, resolve_device


def build(arguments: Any) -> tuple[Callable[[int], None], dict[str, Any]]:
    with np.load(arguments.data) as file:
        log = gs.Dataset.from_arrays(
            file["observations"],
            file["actions"],
            file["rewards"],
            file["terminated"],
            file["truncated"],
            final_observations=file["final_observations"],
            n_actions=int(file["n_actions"]),
        )
    options: dict[str, Any] = {
        "hidden": tuple(arguments.hidden),
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "schedule": "constant",
        "encoding": "raw",
        "networks": 1,
    }
    if arguments.algorithm == "bc":
        options |= {"logit_penalty": arguments.logit_penalty}
    else:
        options |= {
            "discount": arguments.discount,
            "conservative_weight": arguments.alpha,
            "td_loss": "huber",
            "target_every": arguments.target_every,
            "reward_scale": 1.0,
            "support": "none",
        }
    algorithm, config = ALGORITHMS[arguments.algorithm], configure(arguments.algorithm, options)
    device = resolve_device("auto")
    prepared = prepare(log, algorithm, config, device)
    if arguments.row_by_row and prepared.data.code is not None:
        data = prepared.data
        prepared = prepared._replace(data=data._replace(features=data.features[data.code], code=None))
    members = [loop.Member(seed, config) for seed in range(arguments.members)]
    program = loop.build(algorithm, members, prepared.data, device)
    state, taken = program.start(Spec(prepared.encoder.width, prepared.n_actions)), 0

    def run(steps: int) -> None:
        nonlocal state, taken
        for chunk in loop.run(program, state, taken + steps, taken):
            state, taken = chunk.state, chunk.step

    return run, {
        "peer": "groundschool",
        "groundschool": gs.__version__,
        "jax": jax.__version__,
        "device": describe_device(device),
        "members": arguments.members,
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--members", type=int, default=1, help="networks trained side by side; an update is one of each")
    made.add_argument("--row-by-row", action="store_true", help="evaluate every row, also where observations repeat")
    arguments = made.parse_args()
    run, facts = build(arguments)
    serve(run, arguments, facts)


if __name__ == "__main__":
    main()
