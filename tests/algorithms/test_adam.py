"""The optimizer against Adam written in NumPy; clipping, decay and schedule by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from groundschool.algorithms import BCConfig, optimizer
from learners import hyper_of, linear

START = np.array([[[0.5, -1.0], [2.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
GRADIENTS = [
    np.array([[[3.0, -4.0], [0.0, 0.0]], [[0.1, 0.0], [0.0, 0.2]]]),
    np.array([[[1.0, 2.0], [2.0, 0.0]], [[-0.3, 0.4], [0.0, 0.0]]]),
    np.array([[[0.0, 0.0], [1.0, -1.0]], [[30.0, 0.0], [40.0, 0.0]]]),
]


def descend(config, gradients, **changes):
    """Weights and reported norm after each step."""
    networks = linear(*START)
    state = optimizer.start(networks)

    @jax.jit
    def one(networks, gradient, state, step):
        return optimizer.descend(networks, gradient, state, step, hyper_of(config, **changes), config)

    history = []
    for step, gradient in enumerate(gradients):
        networks, state, norm = one(networks, linear(*gradient), state, jnp.int32(step))
        history.append((np.asarray(networks.weights[0]), float(norm)))
    return history


@pytest.mark.parametrize(
    ("clip", "decay", "schedule"), [(None, 0.0, "constant"), (None, 0.2, "cosine"), (1.0, 0.2, "constant")]
)
def test_adam(clip, decay, schedule):
    config = BCConfig(schedule=schedule, gradient_clip=clip, networks=2)
    history = descend(config, GRADIENTS, learning_rate=0.1, weight_decay=decay, steps=4)
    weights, first, second = START.copy(), 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS):
        norms = np.sqrt(np.square(gradient).sum(axis=(1, 2)))
        if clip is not None:
            gradient = gradient * np.minimum(1.0, clip / norms)[:, None, None]
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        mean, spread = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
        rate = 0.1 * (0.5 * (1 + np.cos(np.pi * step / 4)) if schedule == "cosine" else 1.0)
        # decoupled: the decay is no part of the moments
        weights = weights - rate * (mean / (np.sqrt(spread) + 1e-8) + decay * weights)
        np.testing.assert_allclose(history[step][0], weights, rtol=1e-4, atol=1e-6, err_msg=f"step {step}")
        np.testing.assert_allclose(history[step][1], norms.max(), rtol=1e-6)


def test_norms_are_those_of_each_network_over_all_its_layers():
    networks = linear([[3.0]], [[0.5]])
    object.__setattr__(networks, "biases", [jnp.array([[[4.0]], [[0.0]]])])
    np.testing.assert_allclose(optimizer.member_norms(networks), [5.0, 0.5])


def test_no_gradient_no_step():
    config = BCConfig(schedule="constant", gradient_clip=1.0, weight_decay=0.0, networks=2)
    ((weights, norm),) = descend(config, [np.zeros_like(START)])
    np.testing.assert_array_equal(weights, START)
    assert norm == 0.0


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (25, 0.853553), (50, 0.5), (99, 0.000247), (100, 0.0)])
def test_cosine_falls_from_one_to_zero(step, share):
    rate = optimizer._schedule(jnp.int32(step), jnp.float32(100), "cosine")
    np.testing.assert_allclose(rate, share, atol=1e-6)
    assert optimizer._schedule(jnp.int32(step), jnp.float32(100), "constant") == 1.0
