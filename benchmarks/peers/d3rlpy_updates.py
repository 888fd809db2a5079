"""The same update by d3rlpy's own ``fit``: its sampling, its loop, no progress bar, and a logger that writes nothing.

.venv-d3rlpy/bin/python benchmarks/peers/d3rlpy_updates.py --data log.npz --algorithm cql
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import d3rlpy
import numpy as np
import structlog
import torch
from rounds import parser, serve


def build(arguments: Any) -> tuple[Callable[[int], None], dict[str, Any]]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    torch.set_num_threads(arguments.threads)
    d3rlpy.seed(0)
    device = "cuda:0" if torch.cuda.is_available() else "cpu:0"
    with np.load(arguments.data) as log:
        dataset = d3rlpy.dataset.MDPDataset(
            observations=log["observations"].astype(np.float32),
            actions=log["actions"],
            rewards=log["rewards"].astype(np.float32),
            terminals=log["terminated"].astype(np.float32),
            timeouts=(log["truncated"] & ~log["terminated"]).astype(np.float32),
            action_size=int(log["n_actions"]),
        )
    common = {
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "encoder_factory": d3rlpy.models.VectorEncoderFactory(hidden_units=list(arguments.hidden)),
        "compile_graph": arguments.compile and device != "cpu:0",
    }
    config = (
        d3rlpy.algos.DiscreteBCConfig(beta=arguments.logit_penalty, **common)
        if arguments.algorithm == "bc"
        else d3rlpy.algos.DiscreteCQLConfig(
            gamma=arguments.discount,
            alpha=arguments.alpha,
            target_update_interval=arguments.target_every,
            **common,
        )
    )
    algorithm = config.create(device=device)

    def run(steps: int) -> None:
        algorithm.fit(
            dataset,
            n_steps=steps,
            n_steps_per_epoch=steps,
            show_progress=False,
            logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        )

    facts = {
        "peer": "d3rlpy",
        "d3rlpy": d3rlpy.__version__,
        "torch": torch.__version__,
        "device": device,
        "threads": torch.get_num_threads(),
    }
    return run, facts


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--compile", action="store_true", help="d3rlpy's compiled graph; needs a GPU")
    arguments = made.parse_args()
    run, facts = build(arguments)
    serve(run, arguments, facts)


if __name__ == "__main__":
    main()
