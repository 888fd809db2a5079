"""What was logged as a policy: shares by hand, one observation as many, and tables that are none refused."""

from __future__ import annotations

import numpy as np
import pytest

import groundschool as gs
from groundschool.errors import InputError
from groundschool.policies import CountedPolicy
from groundschool.policies.places import Places

POINTS = np.array([[1.0, 0.0], [0.0, np.nan]])
COUNTS = np.array([[3, 1, 0], [0, 0, 4]])


def test_shares_of_what_was_logged_there_and_of_all_elsewhere():
    policy = CountedPolicy.as_logged(POINTS, COUNTS)
    asked = np.array([[0.0, np.nan], [1.0, -0.0], [5.0, 5.0]])
    assert policy.probabilities(asked).tolist() == [[0.0, 0.0, 1.0], [0.75, 0.25, 0.0], [0.375, 0.125, 0.5]]
    masked = policy.probabilities(asked[1:], masks=np.array([[0, 1, 1], [1, 1, 0]], bool))
    assert masked.tolist() == [[0.0, 1.0, 0.0], [0.75, 0.25, 0.0]]
    assert (policy.name, policy.n_actions) == ("as logged", 3)


@pytest.mark.parametrize("known", [POINTS, np.array([4, 2])])
def test_one_observation_is_decided_as_many_are(known):
    policy = CountedPolicy.as_logged(known, COUNTS)
    asked = np.concatenate([known, known + 1])
    together = policy.probabilities(asked)
    alone = [policy.probabilities(asked[i : i + 1])[0] for i in range(len(asked))]
    np.testing.assert_array_equal(together, alone)


def test_a_bundle_decides_as_what_was_saved(tmp_path):
    policy = CountedPolicy.as_logged(POINTS, COUNTS, name="ward")
    policy.save(tmp_path / "bundle")
    again = gs.load(tmp_path / "bundle")
    asked = np.concatenate([POINTS, POINTS + 1])
    np.testing.assert_array_equal(again.probabilities(asked), policy.probabilities(asked))
    assert again.name == "ward"


@pytest.mark.parametrize(
    "counts", [COUNTS[:1], COUNTS[0], COUNTS - 1, COUNTS * 0, np.where(COUNTS > 3, np.inf, COUNTS)]
)
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(InputError, match="counts: expected"):
        CountedPolicy.as_logged(POINTS, counts)


@pytest.mark.parametrize(
    ("table", "overall", "sentence"),
    [
        ([[0.5, 0.5]], [0.5, 0.5], "expected a row for each place"),
        ([[0.5, 0.5], [1.0, 0.0]], [0.2, 0.2, 0.6], "expected a row for each place"),
        ([[0.5, 0.5], [0.9, 0.0]], [0.5, 0.5], "sum to 1 in each place"),
        ([[0.5, 0.5], [1.5, -0.5]], [0.5, 0.5], "sum to 1 in each place"),
        ([[0.5, 0.5], [1.0, 0.0]], [np.nan, 0.5], "sum to 1 in each place"),
    ],
)
def test_tables_that_are_none_are_refused(table, overall, sentence):
    with pytest.raises(InputError, match=sentence):
        CountedPolicy("policy", Places(np.arange(2)), np.array(table), np.array(overall), None)
