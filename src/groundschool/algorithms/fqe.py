"""Fitted Q evaluation (Le, Voloshin & Yue 2019, arXiv:1903.08738) over a finite horizon, as a network's update.

A network gives, for each action, the expected sum of the signal over the next k steps, for several k at once: the
knots 0 < k_1 < ... < k_K = H. A value over k steps is bootstrapped from one over k - 1, never from itself, as in
fixed-horizon TD (De Asis et al. 2020, arXiv:1909.03906); between knots it is interpolated.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from groundschool.algorithms import optimizer
from groundschool.algorithms.config import AlgorithmConfig
from groundschool.algorithms.networks import Ensemble
from groundschool.algorithms.types import Metrics

Steps = NDArray[np.int64]
Numbers = NDArray[np.float64]

_ORDER = 4  # knots that an interpolated value is made of: a cubic


class FQEState(NamedTuple):
    """Online and target network, Adam's moments, and the number of steps taken."""

    q: Ensemble
    target: Ensemble
    optimizer: Any
    step: Int[Array, ""]


class Rows(NamedTuple):
    """Transitions of one update, encoded and scaled.

    ``next_policy`` holds the target policy's probabilities at the next observation, all 0 where nothing follows;
    ``weight`` is how many rows a row stands for.
    """

    features: Float[Array, "batch inputs"]
    action: Int[Array, " batch"]
    signal: Float[Array, " batch"]
    next_features: Float[Array, "batch inputs"]
    next_policy: Float[Array, "batch actions"]
    weight: Float[Array, " batch"]


class Horizon(NamedTuple):
    """What the knots mean, in units of the scaled signal.

    ``before`` turns values at the knots into values one step less; ``low`` and ``high`` are the sums possible over each
    knot's steps; ``start`` is what networks are added to, so that they begin with the logger's own mean.
    """

    before: Float[Array, "knots knots"]
    low: Float[Array, " knots"]
    high: Float[Array, " knots"]
    start: Float[Array, " knots"]
    discount: Float[Array, ""]

    @classmethod
    def of(cls, steps: Steps, low: Numbers, high: Numbers, start: Numbers, discount: float) -> Horizon:
        """Put what is known of knots at these steps on the device."""
        return cls(*(jnp.asarray(x, jnp.float32) for x in (one_step_before(steps), low, high, start, discount)))


def init(key: PRNGKeyArray, inputs: int, actions: int, knots: int, config: AlgorithmConfig) -> FQEState:
    """Draw the online network; the target starts as its copy."""
    q = Ensemble(key, 1, (inputs, *config.hidden, actions * knots))
    return FQEState(q, jax.tree.map(jnp.copy, q), optimizer.start(q), jnp.zeros((), jnp.int32))


def action_values(
    network: Ensemble, features: Float[Array, "batch inputs"], horizon: Horizon
) -> Float[Array, "batch actions knots"]:
    """Return the expected sum of the signal after each action, over as many steps as each knot says."""
    outputs = network(features)[0]
    return outputs.reshape(*outputs.shape[:-1], -1, horizon.start.shape[0]) + horizon.start


def fqe_target(
    next_values: Float[Array, "batch actions knots"], rows: Rows, horizon: Horizon
) -> Float[Array, "batch knots"]:
    """Return the signal plus what the target policy, as it is drawn, gets in one step less; what is possible of it.

    The expectation is over the policy's probabilities: a stochastic policy is judged as the stochastic policy it is.
    """
    following = jnp.sum(rows.next_policy[..., None] * next_values, axis=-2) @ horizon.before.T
    target = rows.signal[:, None] + horizon.discount * following
    return stop_gradient(jnp.clip(target, horizon.low, horizon.high))


def fqe_loss(
    values: Float[Array, "batch actions knots"], target: Float[Array, "batch knots"], rows: Rows
) -> tuple[Float[Array, ""], Metrics]:
    """Squared TD error of the taken actions, averaged over rows and knots.

    Squared only: the mean is asked for, and a robust loss (Huber's) pulls toward the median, away from rare harm.
    """
    taken = jnp.sum(values * jax.nn.one_hot(rows.action, values.shape[-2], dtype=values.dtype)[..., None], axis=-2)
    error = taken - target
    td = jnp.mean(rows.weight[:, None] * jnp.square(error))
    return td, {"td": td, "td_mean": jnp.mean(rows.weight[:, None] * error)}


def update(
    state: FQEState,
    rows: Rows,
    horizon: Horizon,
    rate: Float[Array, ""],
    target_rate: Float[Array, ""],
    config: AlgorithmConfig,
) -> tuple[FQEState, Metrics]:
    """Take one step of Adam at a learning rate, and move the target network."""
    target = fqe_target(action_values(state.target, rows.next_features, horizon), rows, horizon)

    def objective(q: Ensemble) -> tuple[Float[Array, ""], Metrics]:
        return fqe_loss(action_values(q, rows.features, horizon), target, rows)

    gradients, parts = jax.grad(objective, has_aux=True)(state.q)
    hyper = {"learning_rate": rate, "weight_decay": jnp.zeros(()), "steps": jnp.ones(())}
    q, moments, _ = optimizer.descend(state.q, gradients, state.optimizer, state.step, hyper, config)
    moved = jax.tree.map(lambda slow, fast: slow + target_rate * (fast - slow), state.target, q)
    return FQEState(q, moved, moments, state.step + 1), parts


def knots(horizon: int, most: int) -> Steps:
    """Return the numbers of steps that values are kept for: all of 1 ... H, or evenly spaced ones up to H."""
    return np.unique(np.round(np.linspace(0, horizon, min(horizon, most) + 1)).astype(np.int64))[1:]


def one_step_before(steps: Steps) -> Numbers:
    """Return the matrix (K, K) that turns values over k_1 ... k_K steps into values over k_1 - 1 ... k_K - 1 steps.

    Nothing is had in 0 steps. Elsewhere the value is the cubic through the four nearest knots (0 among them), which
    keeps the horizon sharp where a straight line would blur it.
    """
    at = np.concatenate([[0], steps]).astype(np.float64)
    n = min(_ORDER, len(at))
    weights = np.zeros((len(steps), len(at)))
    for row, step in enumerate(at[1:] - 1.0):
        left = int(np.searchsorted(at, step, side="right")) - 1
        if at[left] == step:
            weights[row, left] = 1.0
            continue
        low = min(max(left - (n // 2 - 1), 0), len(at) - n)
        used = range(low, low + n)
        weights[row, low : low + n] = 1.0
        for i, j in itertools.permutations(used, 2):
            weights[row, i] *= (step - at[j]) / (at[i] - at[j])
    return weights[:, 1:]
