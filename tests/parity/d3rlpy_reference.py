"""Real d3rlpy algorithms asked for their weights, a batch and the parts of their loss, as NumPy arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


class Rows(NamedTuple):
    """One batch of transitions, (B, ...) each."""

    observations: NDArray[np.float32]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float32]
    next_observations: NDArray[np.float32]
    terminated: NDArray[np.float32]


class Reference(NamedTuple):
    """What d3rlpy has and says.

    Attributes
    ----------
    networks, targets : list of layers, one an ensemble member; a layer is (weight (in, out), bias (out,))
    parts : dict
        Its losses by its own names, and ``bootstrap``: the value of the next state, before discount and reward.
    """

    networks: list[Layers]
    targets: list[Layers]
    parts: dict[str, Any]


def random_rows(n: int, n_actions: int, seed: int, *, dim: int = 2, reward_scale: float = 30.0) -> Rows:
    """Rows with both small and large TD errors (both sides of Huber's bend), a third of them terminal."""
    rng = np.random.default_rng(seed)
    terminated = (rng.random(n) < 1 / 3).astype(np.float32)
    following = rng.uniform(0, 14, size=(n, dim)).astype(np.float32)
    following[terminated > 0] = 0.0  # as d3rlpy's transition picker does
    rewards = rng.normal(size=n) * np.where(rng.random(n) < 0.5, 0.1, reward_scale)
    return Rows(
        rng.uniform(0, 14, size=(n, dim)).astype(np.float32),
        rng.integers(0, n_actions, n),
        rewards.astype(np.float32),
        following,
        terminated,
    )


def discrete_cql(
    rows: Rows,
    n_actions: int,
    *,
    n_critics: int,
    alpha: float,
    discount: float = 0.99,
    updates: int = 0,
    **options: Any,
) -> tuple[Reference, Reference]:
    """Ask d3rlpy's DiscreteCQL before and after some updates on the same batch."""
    import d3rlpy

    config = d3rlpy.algos.DiscreteCQLConfig(learning_rate=3e-4, n_critics=n_critics, alpha=alpha, gamma=0.99, **options)
    algorithm, batch = _create(config, rows, n_actions)
    _separate(algorithm.impl.modules.targ_q_funcs)

    def ask() -> Reference:
        bootstrap = algorithm.impl.compute_target(batch)
        loss = algorithm.impl.compute_loss(batch, bootstrap)
        parts = {name: float(getattr(loss, name)) for name in ("loss", "td_loss", "conservative_loss")}
        modules = algorithm.impl.modules
        return Reference(
            [_layers(q) for q in modules.q_funcs],
            [_layers(q) for q in modules.targ_q_funcs],
            {**parts, "bootstrap": bootstrap.numpy()[:, 0]},
        )

    return _before_and_after(algorithm, batch, ask, updates)


def discrete_bc(rows: Rows, n_actions: int, *, beta: float, updates: int = 0) -> tuple[Reference, Reference]:
    """Ask d3rlpy's DiscreteBC before and after some updates on the same batch."""
    import d3rlpy

    algorithm, batch = _create(d3rlpy.algos.DiscreteBCConfig(learning_rate=3e-4, beta=beta), rows, n_actions)

    def ask() -> Reference:
        loss = algorithm.impl.compute_loss(batch.observations, batch.actions.long())
        parts = {name: float(getattr(loss, name)) for name in ("loss", "imitation_loss", "regularization_loss")}
        return Reference([_layers(algorithm.impl.modules.imitator)], [], parts)

    return _before_and_after(algorithm, batch, ask, updates)


def _create(config: Any, rows: Rows, n_actions: int) -> tuple[Any, Any]:
    import d3rlpy
    import torch

    d3rlpy.seed(0)
    algorithm = config.create(device="cpu:0")
    algorithm.create_impl(rows.observations.shape[1:], n_actions)
    column = {name: torch.as_tensor(getattr(rows, name))[:, None] for name in ("rewards", "terminated")}
    batch = d3rlpy.torch_utility.TorchMiniBatch(
        observations=torch.as_tensor(rows.observations),
        actions=torch.as_tensor(rows.actions)[:, None],
        rewards=column["rewards"],
        next_observations=torch.as_tensor(rows.next_observations),
        next_actions=torch.zeros(len(rows.actions), 1),
        returns_to_go=torch.zeros_like(column["rewards"]),
        terminals=column["terminated"],
        intervals=torch.ones_like(column["rewards"]),
        device="cpu:0",
    )
    return algorithm, batch


def _before_and_after(algorithm: Any, batch: Any, ask: Any, updates: int) -> tuple[Reference, Reference]:
    before = ask()
    for step in range(1, updates + 1):
        algorithm.impl.update(batch, step)
    return before, ask()


def _separate(targets: Any) -> None:
    """Move the targets away from the online networks, so that mixing the two up is seen."""
    import torch

    with torch.no_grad():
        for parameter in targets.parameters():
            parameter.mul_(1.3).add_(0.01)


def _layers(module: Any) -> Layers:
    import torch

    linear = [part for part in module.modules() if isinstance(part, torch.nn.Linear)]
    return [(part.weight.detach().numpy().T.copy(), part.bias.detach().numpy().copy()) for part in linear]
