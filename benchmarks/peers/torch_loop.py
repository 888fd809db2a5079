"""The same update as a plain PyTorch loop: data on the device, no logging, fused Adam; eager or through torch.compile.

python benchmarks/peers/torch_loop.py --data log.npz --algorithm cql --threads 2 --compile
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rounds import parser, serve
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def network(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cql_loss(q: nn.Module, target: nn.Module, batch: tuple[Tensor, ...], discount: float, alpha: float) -> Tensor:
    """Huber error of double Q-learning, and the conservative gap."""
    observation, action, reward, following, terminated = batch
    with torch.no_grad():
        best = q(following).argmax(1, keepdim=True)
        goal = reward + discount * (1.0 - terminated) * target(following).gather(1, best)[:, 0]
    values = q(observation)
    taken = values.gather(1, action[:, None])[:, 0]
    return F.smooth_l1_loss(taken, goal) + alpha * (values.logsumexp(1) - taken).mean()


def bc_loss(logits: nn.Module, batch: tuple[Tensor, ...], penalty: float) -> Tensor:
    """Negative log-likelihood and the mean squared log-probability."""
    log_probabilities = F.log_softmax(logits(batch[0]), dim=1)
    return F.nll_loss(log_probabilities, batch[1]) + penalty * log_probabilities.square().mean()


def build(arguments: Any) -> tuple[Callable[[int], None], dict[str, Any]]:
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with np.load(arguments.data) as log:
        kinds = {"actions": torch.int64}
        columns = [
            torch.as_tensor(log[name], dtype=kinds.get(name, torch.float32), device=device)
            for name in ("observations", "actions", "rewards", "next_observations", "terminated")
        ]
        n_actions = int(log["n_actions"])
    rows = len(columns[0])
    online = network([columns[0].shape[1], *arguments.hidden, n_actions]).to(device)
    target = copy.deepcopy(online).requires_grad_(False)
    optimizer = torch.optim.Adam(online.parameters(), lr=arguments.learning_rate, fused=True)

    def loss_of(index: Tensor) -> Tensor:
        batch = tuple(column[index] for column in columns)
        if arguments.algorithm == "bc":
            return bc_loss(online, batch, arguments.logit_penalty)
        return cql_loss(online, target, batch, arguments.discount, arguments.alpha)

    compute = torch.compile(loss_of) if arguments.compile else loss_of
    pairs = list(zip(target.parameters(), online.parameters(), strict=True))
    step = 0

    def run(steps: int) -> None:
        nonlocal step
        for _ in range(steps):
            index = torch.randint(rows, (arguments.batch_size,), device=device)
            optimizer.zero_grad()
            compute(index).backward()
            optimizer.step()
            step += 1
            if step % arguments.target_every == 0 and arguments.algorithm == "cql":
                with torch.no_grad():
                    for slow, fast in pairs:
                        slow.copy_(fast)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run, {"peer": "torch", "torch": torch.__version__, "device": str(device), "threads": torch.get_num_threads()}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--compile", action="store_true")
    arguments = made.parse_args()
    run, facts = build(arguments)
    serve(run, arguments, {**facts, "compiled": arguments.compile})


if __name__ == "__main__":
    main()
