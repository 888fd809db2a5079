"""Behavior cloning for discrete actions: maximum likelihood of the logged actions, or closeness to propensities."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from groundschool.algorithms import optimizer
from groundschool.algorithms.config import BCConfig
from groundschool.algorithms.networks import Ensemble, masked, select
from groundschool.algorithms.types import Algorithm, Batch, Hyper, Metrics, Spec


class BCState(NamedTuple):
    """Parameters, Adam's moments, and the number of steps taken."""

    logits: Ensemble
    optimizer: Any
    step: Int[Array, ""]


def init(key: PRNGKeyArray, spec: Spec, config: BCConfig) -> BCState:
    """Draw the networks."""
    logits = Ensemble(key, config.networks, (spec.inputs, *config.hidden, spec.n_actions))
    return BCState(logits, optimizer.start(logits), jnp.zeros((), jnp.int32))


def bc_loss(
    logits: Float[Array, "networks batch actions"],
    action: Int[Array, " batch"],
    mask: Bool[Array, "batch actions"] | None,
    logit_penalty: Float[Array, ""],
    propensity: Float[Array, " batch"] | None = None,
    propensity_weight: float = 0.0,
) -> tuple[Float[Array, ""], Metrics]:
    """Negative log-likelihood, summed over networks, averaged over rows.

    With a ``logit_penalty`` the mean squared log-probability is added, as d3rlpy's ``DiscreteBC`` does; forbidden
    actions are left out of that mean. With propensities and a weight, the mean squared log of the ratio of the policy's
    probability to the logged one is added: what importance weights are made of.
    """
    log_probabilities = jax.nn.log_softmax(masked(logits, mask), axis=-1)
    taken = select(log_probabilities, action)
    likelihood = -jnp.sum(jnp.mean(taken, axis=-1))
    allowed = log_probabilities if mask is None else jnp.where(mask, log_probabilities, 0.0)
    penalty = jnp.sum(jnp.mean(jnp.square(allowed), axis=(-2, -1), where=mask))
    loss, metrics = likelihood + logit_penalty * penalty, {"log_loss": likelihood / logits.shape[0]}
    if propensity is None:
        return loss, metrics
    off = jnp.sum(jnp.mean(jnp.square(taken - jnp.log(propensity)), axis=-1))
    return loss + propensity_weight * off, {**metrics, "log_ratio": jnp.sqrt(off / logits.shape[0])}


def update(state: BCState, batch: Batch, hyper: Hyper, config: BCConfig) -> tuple[BCState, Metrics]:
    """Take one gradient step."""

    def objective(logits: Ensemble) -> tuple[Float[Array, ""], Metrics]:
        return bc_loss(
            batch.values(logits),
            batch.action,
            batch.mask,
            hyper["logit_penalty"],
            batch.propensity,
            config.propensity_weight,
        )

    (loss, parts), gradients = jax.value_and_grad(objective, has_aux=True)(state.logits)
    logits, moments, norm = optimizer.descend(state.logits, gradients, state.optimizer, state.step, hyper, config)
    return BCState(logits, moments, state.step + 1), {"loss": loss, **parts, "gradient_norm": norm}


BC = Algorithm("bc", init, update, lambda state: state.logits, head="softmax", bootstraps=False)
