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
    """

    features: Float[Array, "batch inputs"]
    action: Int[Array, " batch"]
    reward: Float[Array, " batch"]
    next_features: Float[Array, "batch inputs"]
    terminated: Float[Array, " batch"]
    mask: Bool[Array, "batch actions"] | None
    next_mask: Bool[Array, "batch actions"] | None


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
