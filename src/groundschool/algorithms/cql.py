"""Conservative Q-learning for discrete actions (Kumar et al. 2020, arXiv:2006.04779)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Float, Int, PRNGKeyArray

from groundschool.algorithms import optimizer
from groundschool.algorithms.config import CQLConfig
from groundschool.algorithms.networks import Ensemble, masked, select
from groundschool.algorithms.types import Algorithm, Batch, Hyper, Metrics, Spec


class CQLState(NamedTuple):
    """Online and target networks, Adam's moments, and the number of steps taken."""

    q: Ensemble
    target: Ensemble
    optimizer: Any
    step: Int[Array, ""]


def init(key: PRNGKeyArray, spec: Spec, config: CQLConfig) -> CQLState:
    """Draw the online networks; the target starts as their copy."""
    q = Ensemble(key, config.networks, (spec.inputs, *config.hidden, spec.n_actions))
    return CQLState(q, jax.tree.map(jnp.copy, q), optimizer.start(q), jnp.zeros((), jnp.int32))


def td_target(
    q: Ensemble, target: Ensemble, batch: Batch, discount: Float[Array, ""], *, double_q: bool
) -> Float[Array, " batch"]:
    """Return reward plus the discounted value of the best next action, pessimistic over the ensemble.

    Double Q (van Hasselt et al. 2016, arXiv:1509.06461): the mean of the online networks chooses the action, the
    smallest of the target networks values it. Nothing is bootstrapped past a termination.
    """
    next_target = batch.next_values(target)
    chooser = batch.next_values(q) if double_q else next_target
    best = jnp.argmax(masked(jnp.mean(chooser, axis=0), batch.next_mask), axis=-1)
    # terminated only: a truncated step still bootstraps.
    bootstrap = jnp.min(select(next_target, best), axis=0) * (1.0 - batch.terminated)
    return stop_gradient(batch.reward + discount * bootstrap)


def cql_loss(
    values: Float[Array, "networks batch actions"],
    target: Float[Array, " batch"],
    batch: Batch,
    weight: Float[Array, ""],
    *,
    td_loss: str = "squared",
) -> tuple[Float[Array, ""], Metrics]:
    """Temporal-difference error plus the conservative gap, eq. 4 in its closed form for discrete actions.

    Both are averaged over rows; the error is summed over networks, each learning by itself, and the gap is that of
    their mean, from which the policy is read (as in d3rlpy, so that weights mean the same there). The gap
    ``logsumexp_a Q(s, a) - Q(s, logged)`` is >= 0, and is 0 only where the logged action holds all of the soft maximum.
    ``huber`` is quadratic up to an error of 1.
    """
    taken = select(values, batch.action)
    error = taken - target
    pointwise = jnp.square(error) if td_loss == "squared" else _huber(error)
    td = jnp.sum(jnp.mean(pointwise, axis=-1))
    mean = jnp.mean(values, axis=0)
    gap = jnp.mean(jax.nn.logsumexp(masked(mean, batch.mask), axis=-1) - select(mean, batch.action))
    return td + weight * gap, {
        "td": td / values.shape[0],
        "conservative_gap": gap,
        "value": jnp.mean(taken),
        "largest_value": jnp.max(jnp.abs(taken)),
    }


def update(state: CQLState, batch: Batch, hyper: Hyper, config: CQLConfig) -> tuple[CQLState, Metrics]:
    """Take one gradient step and move the target."""
    target = td_target(state.q, state.target, batch, hyper["discount"], double_q=config.double_q)

    def objective(q: Ensemble) -> tuple[Float[Array, ""], Metrics]:
        return cql_loss(batch.values(q), target, batch, hyper["conservative_weight"], td_loss=config.td_loss)

    (loss, parts), gradients = jax.value_and_grad(objective, has_aux=True)(state.q)
    q, moments, norm = optimizer.descend(state.q, gradients, state.optimizer, state.step, hyper, config)
    step = state.step + 1
    if config.target_every is None:
        moved = jax.tree.map(lambda slow, fast: slow + hyper["target_rate"] * (fast - slow), state.target, q)
    else:
        copy = step % config.target_every == 0
        moved = jax.tree.map(lambda slow, fast: jnp.where(copy, fast, slow), state.target, q)
    return CQLState(q, moved, moments, step), {"loss": loss, **parts, "gradient_norm": norm}


def _huber(error: Float[Array, "..."]) -> Float[Array, "..."]:
    size = jnp.abs(error)
    return jnp.where(size <= 1.0, 0.5 * jnp.square(error), size - 0.5)


CQL = Algorithm("cql", init, update, lambda state: state.q, head="greedy", bootstraps=True)
