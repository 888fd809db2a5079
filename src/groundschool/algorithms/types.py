"""What the engine hands an algorithm, and what an algorithm is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from groundschool.algorithms.config import AlgorithmConfig
from groundschool.algorithms.networks import Ensemble
from groundschool.policies.network import Head

Hyper = dict[str, Array]
Metrics = dict[str, Array]


class Spec(NamedTuple):
    """Sizes a network is built for."""

    inputs: int
    n_actions: int


class Batch(NamedTuple):
    """Transitions of one update, encoded and scaled; ``None`` masks allow every action.

    ``mask`` is what the environment allowed; ``next_mask`` what it allowed and the log supports.

    Where the log holds no more distinct observations than a batch has rows, ``features`` and ``next_features`` are one
    table of the distinct ones, and ``row`` and ``next_row`` say which is meant: a network is then evaluated once for
    all that repeat, now and next alike, which gives the same update for fewer products.
    """

    features: Float[Array, "rows inputs"]
    action: Int[Array, " batch"]
    reward: Float[Array, " batch"]
    next_features: Float[Array, "rows inputs"]
    terminated: Float[Array, " batch"]
    mask: Bool[Array, "batch actions"] | None
    next_mask: Bool[Array, "batch actions"] | None
    row: Int[Array, " batch"] | None = None
    next_row: Int[Array, " batch"] | None = None
    propensity: Float[Array, " batch"] | None = None

    def values(self, network: Ensemble) -> Float[Array, "networks batch actions"]:
        """Return a network's outputs at the observations."""
        return _at(network(self.features), self.row)

    def next_values(self, network: Ensemble) -> Float[Array, "networks batch actions"]:
        """Return a network's outputs at the next observations."""
        return _at(network(self.next_features), self.next_row)


def _at(outputs: Float[Array, "networks rows actions"], row: Int[Array, " batch"] | None) -> Float[Array, "..."]:
    return outputs if row is None else outputs[:, row]


class Algorithm(NamedTuple):
    """One learner, as pure functions.

    Attributes
    ----------
    name : str
    init : (key, spec, config) -> state
    update : (state, batch, hyper, config) -> (state, metrics)
        ``hyper`` holds the configuration's ``TRACED`` numbers, and ``steps``, as arrays.
    networks : state -> Ensemble
        What the policy is read from.
    head : {"softmax", "greedy"}
        How it is read.
    bootstraps : bool
        Whether targets use the next observation: rows without one are then left out.
    """

    name: str
    init: Callable[[PRNGKeyArray, Spec, Any], Any]
    update: Callable[[Any, Batch, Hyper, Any], tuple[Any, Metrics]]
    networks: Callable[[Any], Ensemble]
    head: Head
    bootstraps: bool


__all__ = ["Algorithm", "AlgorithmConfig", "Batch", "Hyper", "Metrics", "Spec"]
