"""Adam with the options every learner shares; its numbers are traced, so one compilation serves a sweep."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from groundschool.algorithms.config import AlgorithmConfig
from groundschool.algorithms.networks import Ensemble
from groundschool.algorithms.types import Hyper

_ADAM = optax.scale_by_adam(eps=1e-8)


def start(networks: Ensemble) -> Any:
    """Return Adam's first state for these networks."""
    return _ADAM.init(networks)


def descend(
    networks: Ensemble, gradients: Ensemble, state: Any, step: Int[Array, ""], hyper: Hyper, config: AlgorithmConfig
) -> tuple[Ensemble, Any, Float[Array, ""]]:
    """Take one step of Adam (Kingma & Ba 2015, arXiv:1412.6980).

    Returns
    -------
    networks, state
        After the step.
    norm : scalar
        The largest gradient norm of a network, before clipping.
    """
    norms = member_norms(gradients)
    if config.gradient_clip is not None:
        shrink = jnp.minimum(1.0, config.gradient_clip / jnp.maximum(norms, 1e-12))[:, None, None]
        gradients = jax.tree.map(lambda g: g * shrink, gradients)
    updates, state = _ADAM.update(gradients, state)
    rate = hyper["learning_rate"] * _schedule(step, hyper["steps"], config.schedule)
    decay = hyper["weight_decay"]
    networks = jax.tree.map(lambda p, u: p - rate * (u + decay * p), networks, updates)
    return networks, state, jnp.max(norms)


def member_norms(gradients: Ensemble) -> Float[Array, " networks"]:
    """Return the global gradient norm of each network."""
    squares = [jnp.sum(jnp.square(leaf), axis=(1, 2)) for leaf in jax.tree.leaves(gradients)]
    return jnp.sqrt(sum(squares[1:], squares[0]))


def _schedule(step: Int[Array, ""], steps: Float[Array, ""], kind: str) -> Float[Array, ""] | float:
    return 0.5 * (1.0 + jnp.cos(jnp.pi * step / steps)) if kind == "cosine" else 1.0
