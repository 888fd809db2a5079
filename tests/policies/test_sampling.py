"""Drawing actions, masks, and the greedy policy of another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from groundschool.errors import InputError
from groundschool.policies import GreedyPolicy, TabularPolicy, apply_masks, sample_actions

weights = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.one_of(st.just(0.0), st.floats(1e-300, 1.0)),
)


@pytest.mark.parametrize("row", [[0.5, 0.5], [0.1, 0.0, 0.2, 0.7], [0.97, 0.01, 0.02], [0.0, 0.0, 1.0]])
def test_frequencies(row):
    n = 100_000
    drawn = sample_actions(np.tile(row, (n, 1)), np.random.default_rng(3))
    counts = np.bincount(drawn, minlength=len(row))
    expected = n * np.array(row)
    assert counts[expected == 0].sum() == 0
    positive = expected > 0
    statistic = ((counts - expected)[positive] ** 2 / expected[positive]).sum()
    # one fixed seed: a right sampler fails this with probability 1e-4, once and for all
    assert statistic <= stats.chi2.ppf(1 - 1e-4, max(positive.sum() - 1, 1))


def test_rows_are_drawn_by_their_own_distribution():
    table = np.eye(5)[[3, 0, 4, 4, 1]]
    assert sample_actions(table, np.random.default_rng(0)).tolist() == [3, 0, 4, 4, 1]


@given(weights, st.integers(0, 2**32 - 1))
def test_an_impossible_action_is_never_drawn(table, seed):
    table = table[table.sum(axis=1) > 0]
    drawn = sample_actions(table, np.random.default_rng(seed))
    assert drawn.shape == (len(table),)
    assert (table[np.arange(len(table)), drawn] > 0).all()


class Extreme:
    """A generator of one given number."""

    def __init__(self, value):
        self.value = value

    def random(self, n):
        return np.full(n, self.value)


@pytest.mark.parametrize("total", [1.0, 1.0 + 2**-52, 1.0 - 2**-53, 0.7, 1.3, 3e-300])
@pytest.mark.parametrize(("draw", "expected"), [(0.0, 1), (1.0 - 2**-53, 2)], ids=["least", "most"])
def test_ends_of_the_unit_interval(draw, expected, total):
    table = np.array([[0.0, 0.5, 0.5, 0.0]]) * total
    assert sample_actions(table, Extreme(draw)).tolist() == [expected]


@given(weights, st.data())
def test_masks_renormalise_what_is_left(table, data):
    table = table[table.sum(axis=1) > 1e-200]
    table = table / table.sum(axis=1, keepdims=True)
    masks = data.draw(hnp.arrays(np.bool_, table.shape))
    masks[:, 0] |= ~masks.any(axis=1)
    result = apply_masks(table, masks)
    np.testing.assert_allclose(result.sum(axis=1), 1.0, rtol=1e-12)
    assert (result[~masks] == 0).all()
    kept = np.where(masks, table, 0).sum(axis=1)
    for row in np.flatnonzero(kept > 1e-200):
        np.testing.assert_allclose(result[row] * kept[row], np.where(masks[row], table[row], 0), rtol=1e-9, atol=1e-300)


def test_masks_by_hand():
    table = [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]
    masks = np.array([[True, True, False], [False, True, True]])
    np.testing.assert_allclose(apply_masks(table, masks), [[0.4, 0.6, 0.0], [0.0, 0.5, 0.5]])
    np.testing.assert_array_equal(apply_masks(table, None), table)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.ones((2, 2), np.bool_), r"expected bool of shape \(2, 3\), got bool of shape \(2, 2\)"),
        (np.ones((2, 3), np.int64), "got int64"),
        (np.array([[True, True, True], [False, False, False]]), r"1 of 2 rows allow no action \(first at row 1\)"),
    ],
)
def test_bad_masks(masks, message):
    with pytest.raises(InputError, match=message):
        apply_masks(np.full((2, 3), 1 / 3), masks)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([0.5, 0.5], r"expected shape \(n_states, n_actions\), got \(2,\)"),
        (np.zeros((0, 2)), r"got \(0, 2\)"),
        ([[0.5, 0.5], [0.5, 0.6]], r"1 of 2 rows are not distributions \(first: state 1, sum 1.1\)"),
        ([[1.5, -0.5]], "first: state 0"),
        ([[np.nan, 1.0]], "first: state 0"),
        ([[1.0, 0.0], [np.inf, 0.0]], "first: state 1"),
    ],
)
def test_a_table_that_is_no_policy(table, message):
    with pytest.raises(InputError, match=message):
        TabularPolicy(table)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0.0], "takes integer state ids"),
        ([[0]], r"of shape \(1, 1\)"),
        ([0, 2], "run from 0 to 2, the table has rows 0 to 1"),
        ([-1], "run from -1"),
    ],
)
def test_ids_out_of_the_table(ids, message):
    with pytest.raises(InputError, match=message):
        TabularPolicy([[1.0, 0.0], [0.0, 1.0]]).probabilities(ids)


def test_table():
    source = np.array([[0.25, 0.75], [1.0, 0.0]])
    policy = TabularPolicy(source, name="given")
    source[:] = 0.5
    np.testing.assert_array_equal(policy.probabilities([1, 0, 0]), [[1, 0], [0.25, 0.75], [0.25, 0.75]])
    np.testing.assert_array_equal(policy.probabilities([0], masks=np.array([[True, False]])), [[1, 0]])
    assert policy.probabilities(np.zeros(0, np.int64)).shape == (0, 2)
    assert policy.act([1, 1], np.random.default_rng(0)).tolist() == [0, 0]
    assert (policy.name, policy.n_actions) == ("given", 2)


def test_greedy_takes_the_first_most_probable_allowed_action():
    policy = TabularPolicy([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], name="table").greedy()
    assert isinstance(policy, GreedyPolicy)
    assert (policy.name, policy.n_actions) == ("table greedy", 3)
    np.testing.assert_array_equal(policy.probabilities([0, 1]), [[0, 1, 0], [1, 0, 0]])
    masks = np.array([[True, False, True], [False, True, True]])
    np.testing.assert_array_equal(policy.probabilities([0, 1], masks=masks), [[0, 0, 1], [0, 0, 1]])
    assert policy.greedy() is policy
