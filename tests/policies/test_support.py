"""The support rule on counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundschool.policies.support import fit_support, is_discrete

# state 0: counts 10, 3, 2, 0; state 1: 1, 0, 0, 0
IDS = [0] * 15 + [1]
ACTIONS = [0] * 10 + [1] * 3 + [2] * 2 + [0]
YES, NO = True, False


@pytest.mark.parametrize(
    ("min_count", "min_share", "first"),
    [
        (1, 0.0, [YES, YES, YES, NO]),
        (3, 0.0, [YES, YES, NO, NO]),
        (2, 0.2, [YES, YES, YES, NO]),
        (1, 0.3, [YES, YES, NO, NO]),
        (1, 0.31, [YES, NO, NO, NO]),
        (4, 0.0, [YES, NO, NO, NO]),
        (99, 1.0, [YES, NO, NO, NO]),
    ],
)
@pytest.mark.parametrize("form", ["ids", "rows", "images"])
def test_counts_rule(form, min_count, min_share, first):
    x = np.array(IDS)
    if form != "ids":
        x = np.stack([x, x + 0.5], axis=1).astype(np.float32)
        x = x[:, :, None] if form == "images" else x
    support = fit_support(x, ACTIONS, 4, min_count=min_count, min_share=min_share)
    # the most frequent action of a state is always supported, however rarely it was logged
    np.testing.assert_array_equal(support(x[[15, 0]]), [[YES, NO, NO, NO], first])


def test_equally_frequent_actions_are_supported_alike():
    support = fit_support(np.array([4, 4]), [1, 2], 3, min_count=3, min_share=0.0)
    np.testing.assert_array_equal(support([4]), [[NO, YES, YES]])


def test_an_unseen_state_supports_everything():
    support = fit_support(np.array(IDS), ACTIONS, 4, min_count=3, min_share=0.3)
    assert support([2, 99]).all()
    rows = fit_support(np.array([[1.0, 2.0], [3.0, 4.0]]), [0, 1], 2, min_count=1, min_share=0.0)
    np.testing.assert_array_equal(rows([[1.0, 4.0], [3.0, 4.0]]), [[YES, YES], [NO, YES]])
    located, seen = rows.locate([[3.0, 4.0], [9.0, 9.0], [-9.0, 0.0]])
    assert seen.tolist() == [True, False, False]
    np.testing.assert_array_equal(rows.observations[located[0]], [3.0, 4.0])


def test_zero_has_one_sign():
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 1.0]])
    support = fit_support(x, [0, 0, 0], 2, min_count=3, min_share=0.0)
    assert len(support.observations) == 1
    np.testing.assert_array_equal(support([[-0.0, 1.0], [0.0, 1.0]]), [[YES, NO], [YES, NO]])


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.integers(-300, 300), st.integers(-2, 2), st.integers(0, 2)), min_size=1, max_size=60),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_against_plain_counting(width, entries, min_count, min_share):
    x = np.array([[a, b, 0.5 * a][:width] for a, b, _ in entries], dtype=np.float32)
    actions = [action for *_, action in entries]
    support = fit_support(x, actions, 3, min_count=min_count, min_share=min_share)
    counts = Counter((*map(float, row), action) for row, action in zip(x, actions, strict=True))
    for row, allowed in zip(x, support(x), strict=True):
        here = [counts[(*map(float, row), action)] for action in range(3)]
        expected = [n == max(here) or (n >= min_count and n >= min_share * max(here)) for n in here]
        assert allowed.tolist() == expected


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        (np.array([3, 900_000]), True),
        (np.tile([[1.0, 2.0]], (4, 1)), True),
        (np.tile([[1.0, 2.5]], (4, 1)), False),
        (np.array([[1.0], [2.0], [3.0], [1.0]]), False),  # visited too rarely to be counted
        (np.tile(np.arange(5.0), 4)[:, None], True),
    ],
)
def test_what_counts_as_discrete(observations, expected):
    assert is_discrete(observations) is expected
