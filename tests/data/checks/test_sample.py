"""The rows that statistical checks look at, and what stands before and after them."""

from dataclasses import replace

import numpy as np

from groundschool.data.checks._comparable import nearest
from groundschool.data.checks._sample import LEAST_UNITS, Sample, codes, folds
from groundschool.data.checks._statistics import log_mean_exp, mean_above, rate_above, rate_below
from groundschool.data.checks.view import SAMPLE_ROWS, View
from groundschool.data.raw import RawLog


def log(*lengths, width=2):
    """Return a log whose observations count its rows, and whose final ones are negative."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    n = int(starts[-1])
    ends = np.zeros(n, bool)
    ends[starts[1:] - 1] = True
    return RawLog(
        observations=np.repeat(np.arange(n, dtype=np.float64)[:, None], width, axis=1),
        actions=np.zeros(n, np.int64),
        rewards=np.zeros(n),
        terminated=np.zeros(n, bool),
        truncated=ends,
        starts=starts,
        final_observations=-np.ones((len(lengths), width)),
    )


def test_all_rows_of_a_small_log_with_what_comes_before_and_after():
    sample = Sample.of(View(log(3, 1, 2)))
    assert sample.rows.tolist() == [0, 1, 2, 3, 4, 5]
    assert sample.unit.tolist() == [0, 0, 0, 1, 2, 2]
    assert sample.has_previous.tolist() == [False, True, True, False, False, True]
    assert sample.next_observations[:, 0].tolist() == [1, 2, -1, -1, 5, -1]


def test_no_final_observation_and_gaps_leave_the_next_one_unknown():
    raw = replace(log(3, 2), final_observations=None, steps=np.array([0.0, 2.0, 3.0, 0.0, 1.0]))
    sample = Sample.of(View(raw))
    assert sample.has_previous.tolist() == [False, False, True, False, True]
    np.testing.assert_array_equal(sample.next_observations[:, 0], [np.nan, 2, np.nan, 4, np.nan])
    left_out = replace(raw, steps=None, kept=np.array([0, 1, 3, 4, 5]))
    assert Sample.of(View(left_out)).has_previous.tolist() == [False, True, False, False, True]


def test_ids_have_no_next_one_where_it_is_minus_one():
    raw = replace(log(2, 2), observations=np.arange(4), final_observations=np.array([7, -1]))
    np.testing.assert_array_equal(Sample.of(View(raw)).next_observations[:, 0], [1, 7, 3, np.nan])


def test_large_logs_are_sampled_in_whole_episodes_long_ones_in_stretches():
    many = Sample.of(View(log(*[50] * 4_000)))
    assert SAMPLE_ROWS <= len(many) < SAMPLE_ROWS + 50
    assert (np.bincount(many.unit) == 50).all()
    few = Sample.of(View(log(*[20_000] * 30)))
    assert few.n_units == 30
    assert SAMPLE_ROWS // 2 < len(few) <= SAMPLE_ROWS
    assert (np.diff(few.rows)[np.diff(few.unit) == 0] == 1).all()
    assert len(Sample.of(View(log(1_000_000)))) == SAMPLE_ROWS


def test_groups_are_the_units_where_there_are_enough():
    raw = log(*[2] * 60)
    by_group = Sample.of(View(replace(raw, groups=np.arange(60) // 2)))
    assert by_group.n_units == 30
    assert Sample.of(View(replace(raw, groups=np.arange(60) % (LEAST_UNITS - 1)))).n_units == 60
    chosen = by_group.select(by_group.rows >= 60)
    assert (chosen.n_units, chosen.unit.min()) == (15, 0)


def test_codes_and_folds():
    values = np.array([[1.0, np.nan], [0.0, 2.0], [1.0, np.nan], [-0.0, 2.0], [1.0, 2.0]])
    found = codes(values)
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert len(set(found)) == 3
    unit = np.repeat(np.arange(23), 3)
    fold = folds(unit, 5, 0)
    assert all(len(set(fold[unit == u])) == 1 for u in range(23))
    assert set(np.bincount(fold) // 3) == {4, 5}


def test_nearest_is_the_same_by_tree_and_by_multiplication():
    rng = np.random.default_rng(0)
    points, queries = rng.normal(size=(700, 3)), rng.normal(size=(600, 3))
    wide = [np.hstack([some, np.zeros((len(some), 20))]) for some in (points, queries)]
    by_tree, by_product = nearest(points, queries, 5), nearest(*wide, 5)
    np.testing.assert_array_equal(by_tree[0], by_product[0])
    np.testing.assert_allclose(by_tree[1], by_product[1], atol=1e-6)


def test_statistics():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    # t = 2.5 / (1.2910 / 2) = 3.873 with 3 degrees of freedom
    np.testing.assert_allclose(mean_above(values), 0.01523, atol=1e-4)
    assert mean_above(np.ones(5)) == 0.0
    assert mean_above(np.zeros(5)) == 1.0
    # Nothing in n trials: 1 - alpha ** (1 / n); everything: alpha ** (1 / n).
    np.testing.assert_allclose(rate_below(0, 50, 0.05), 1 - 0.05 ** (1 / 50))
    np.testing.assert_allclose(rate_above(50, 50, 0.05), 0.05 ** (1 / 50))
    assert (rate_below(50, 50, 0.05), rate_above(0, 50, 0.05)) == (1.0, 0.0)
    np.testing.assert_allclose(log_mean_exp(np.array([1_000.0, 1_000.0 + np.log(3)])), 1_000 + np.log(2))
