"""A model of a logger, made as sure of itself as held-out actions show it may be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.policies.network import NetworkPolicy
from groundschool.policies.policy import DiscretePolicy, FloatArray, apply_masks


class TemperedPolicy(DiscretePolicy):
    """A network's probabilities to the power of 1 / temperature, mixed with fixed ones.

    Parameters
    ----------
    name : str
    policy : NetworkPolicy
    temperature : float
        Above 0; above 1 flattens.
    share : float
        Of `prior`, in [0, 1].
    prior : (n_actions,) float64
        A distribution over all actions.
    """

    def __init__(self, name: str, policy: NetworkPolicy, temperature: float, share: float, prior: FloatArray) -> None:
        self.name, self.policy, self.n_actions = name, policy, policy.n_actions
        self.temperature, self.share, self.prior = float(temperature), float(share), prior

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions): above 0 for allowed actions where the share is."""
        table = self.policy.probabilities(observations, masks=masks)
        prior = apply_masks(np.broadcast_to(self.prior, table.shape), masks)
        return tempered(table, prior, self.temperature, self.share)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the tensors and facts from which ``groundschool.load`` rebuilds this policy."""
        tensors, facts = self.policy.describe()
        return {"prior": self.prior, **{f"network.{name}": tensor for name, tensor in tensors.items()}}, {
            "kind": "tempered",
            "name": self.name,
            "n_actions": self.n_actions,
            "temperature": self.temperature,
            "share": self.share,
            "network": facts,
        }


def tempered(table: FloatArray, prior: FloatArray, temperature: float, share: float) -> FloatArray:
    """Return probabilities (N, A) at a temperature, mixed with a share of a prior (N, A)."""
    powers = table ** (1.0 / temperature)
    powers /= powers.sum(axis=1, keepdims=True)
    return np.asarray((1.0 - share) * powers + share * prior)
