"""A network policy in NumPy: against JAX's forward pass, by hand, and with masks against its support."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from groundschool.errors import InputError
from groundschool.policies import GreedyPolicy, NetworkPolicy
from groundschool.policies.encoding import Encoder, fit_encoder
from groundschool.policies.support import fit_support
from learners import ensemble_of


def of_table(table, head, **more):
    """A policy over ids whose outputs are the rows of a table."""
    table = np.asarray(table, np.float32)
    layers = ((table[None], np.zeros((1, 1, table.shape[1]), np.float32)),)
    return NetworkPolicy("net", table.shape[1], Encoder((), n_ids=len(table)), layers, head, **more)


@pytest.mark.parametrize("hidden", [(), (5,), (7, 3)])
def test_forward_is_that_of_training(hidden):
    rng = np.random.default_rng(1)
    layers = tuple(
        (rng.normal(size=(3, i, o)).astype(np.float32), rng.normal(size=(3, 1, o)).astype(np.float32))
        for i, o in itertools.pairwise((4, *hidden, 2))
    )
    x = np.random.default_rng(0).normal(size=(11, 2, 2))
    encoder = fit_encoder(x, "standardize")
    policy = NetworkPolicy("net", 2, encoder, layers, "softmax")
    expected = np.asarray(ensemble_of(*layers)(jnp.asarray(encoder(x)))).mean(axis=0)
    np.testing.assert_allclose(policy.outputs(x), expected, rtol=1e-5, atol=1e-6)
    probabilities = policy.probabilities(x)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, jax.nn.softmax(expected), rtol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-12)


def test_hidden_layer_and_averaging_by_hand():
    encoder = fit_encoder(np.array([[0.0], [1.0]]), "raw")
    first = (np.array([[[1.0, -1.0]], [[2.0, 0.0]]], np.float32), np.array([[[0.0, 0.5]], [[1.0, 0.0]]], np.float32))
    second = (
        np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 1.0], [9.0, 9.0]]], np.float32),
        np.array([[[0.0, 0.25]], [[0.5, -1.0]]], np.float32),
    )
    policy = NetworkPolicy("net", 2, encoder, (first, second), "greedy", value_scale=10.0)
    # x = 2. network 0: relu(2, -1.5) = (2, 0) -> (2, 0.25). network 1: relu(5, 0) -> (3, 4). mean: (2.5, 2.125)
    np.testing.assert_allclose(policy.outputs([[2.0]]), [[2.5, 2.125]])
    np.testing.assert_allclose(policy.values([[2.0]]), [[25.0, 21.25]])
    np.testing.assert_array_equal(policy.probabilities([[2.0]]), [[1, 0]])


def test_softmax_by_hand_and_masked():
    policy = of_table([[np.log(1), np.log(3), np.log(4)]], "softmax")
    np.testing.assert_allclose(policy.probabilities([0]), [[1 / 8, 3 / 8, 4 / 8]], rtol=1e-6)
    masks = np.array([[True, True, False]])
    np.testing.assert_allclose(policy.probabilities([0], masks=masks), [[0.25, 0.75, 0.0]], rtol=1e-6)


def test_a_forbidden_logit_however_large_does_not_drown_the_others():
    # cloning under masks never looks at forbidden logits, so they may be anything
    policy = of_table([[2_000.0, np.log(3), 0.0]], "softmax")
    masks = np.array([[False, True, True]])
    np.testing.assert_allclose(policy.probabilities([0], masks=masks), [[0.0, 0.75, 0.25]], rtol=1e-6)


def test_huge_logits_stay_finite():
    np.testing.assert_array_equal(of_table([[3e38, -3e38]], "softmax").probabilities([0]), [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("mask", "chosen"),
    [
        (None, 1),
        ([True, True, True, True], 1),
        ([True, False, True, True], 0),  # the best one both allowed and supported
        ([False, False, True, True], 3),  # none is both: the best allowed one
        ([False, False, True, False], 2),
    ],
)
def test_greedy_head_with_masks_and_support(mask, chosen):
    support = fit_support(np.array([0, 0]), [0, 1], 4, min_count=1, min_share=0.0)  # actions 0 and 1 in state 0
    policy = of_table([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]], "greedy", support=support)
    masks = None if mask is None else np.array([mask])
    np.testing.assert_array_equal(policy.probabilities([0], masks=masks), np.eye(4)[[chosen]])
    np.testing.assert_array_equal(policy.probabilities([1]), np.eye(4)[[3]])  # never logged: all supported


def test_heads():
    cloned, learned = of_table([[0.0, 1.0]], "softmax"), of_table([[0.0, 1.0]], "greedy")
    assert learned.greedy() is learned
    assert isinstance(cloned.greedy(), GreedyPolicy)
    with pytest.raises(InputError, match="has no action values"):
        cloned.values([0])


def test_a_missing_value_is_refused_rather_than_acted_on():
    x = np.array([[0.25], [0.5]])
    policy = NetworkPolicy(
        "net", 2, fit_encoder(x), ((np.ones((1, 1, 2), np.float32), np.zeros((1, 1, 2), np.float32)),), "greedy"
    )
    with pytest.raises(InputError, match="NaN"):
        policy.act([[np.nan]], np.random.default_rng(0))
