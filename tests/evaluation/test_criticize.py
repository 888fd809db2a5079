"""From the networks of fitted Q evaluation to a critic: the same numbers in NumPy, averaged over steps."""

import jax
import numpy as np
import pytest

from groundschool.algorithms import fqe
from groundschool.algorithms.config import AlgorithmConfig
from groundschool.evaluation.criticize import _shares, averaged
from groundschool.policies.critic import Critic
from groundschool.policies.encoding import fit_encoder


def test_knots_count_as_often_as_steps_are_left():
    # Knots at 2 and 4: one step left is half of the first, three are half of either.
    assert _shares(np.array([1, 2, 3, 4]), np.array([2, 4])) == pytest.approx([(0.5 + 1 + 0.5) / 4, (0.5 + 1) / 4])


def test_numpy_says_what_jax_says():
    rng = np.random.default_rng(0)
    steps = fqe.knots(20, 4)
    horizon = fqe.Horizon.of(steps, np.full(4, -9.0), np.full(4, 9.0), rng.normal(size=4), 1.0)
    networks = [fqe.init(jax.random.key(i), 3, 5, 4, AlgorithmConfig(hidden=(8, 8))).q for i in range(2)]
    members = jax.tree.map(lambda *leaves: np.concatenate(leaves), *networks)
    layers = tuple(zip(members.weights, members.biases, strict=True))
    share = rng.dirichlet(np.ones(4))
    asked = rng.normal(size=(30, 3))
    encoder = fit_encoder(asked)
    critic = Critic("return", encoder, averaged(layers, np.asarray(horizon.start), share), -2.0)
    features = jax.numpy.asarray(encoder(asked))
    values = np.mean([np.asarray(fqe.action_values(one, features, horizon)) @ share for one in networks], axis=0)
    base = rng.dirichlet(np.ones(5), size=30)
    expected = -2.0 * (values - (base * values).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(critic.losses(asked, base), expected, atol=2e-5)
