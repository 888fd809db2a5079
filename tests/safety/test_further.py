"""How many further episodes would plausibly decide."""

import math

import numpy as np
import pytest
from scipy import stats

from groundschool.safety.further import (
    logged_episodes,
    rolled_out_episodes,
    rolled_out_returns,
    rounded_up,
)


@pytest.mark.parametrize(
    ("number", "rounded"), [(0.2, 1), (1, 1), (9.5, 10), (10, 10), (10.1, 11), (99, 99), (101, 110), (1234, 1300)]
)
def test_numbers_are_rounded_up_to_two_digits(number, rounded):
    assert rounded_up(number) == rounded


def test_widths_shrink_with_the_root_of_the_episodes():
    # the bound is 2 away and must be 1 away with no room for error: four times the episodes, three times as many more
    assert logged_episodes(0.0, 2.0, 1.0, 0.0, 100) == 300
    # where widths shrink with the cube root, eight times the episodes
    assert logged_episodes(0.0, 2.0, 1.0, 0.0, 100, rate=1 / 3) == 700
    with_room = logged_episodes(0.0, 2.0, 1.0, 1.0, 100, power=0.8)
    assert with_room == rounded_up(100 * (2.0 + stats.norm.ppf(0.8)) ** 2 - 100)


@pytest.mark.parametrize(
    ("value", "bound", "threshold", "error"),
    [(1.0, 2.0, 1.0, 0.1), (0.0, math.inf, 1.0, 0.1), (0.0, 1.0, 0.5, math.inf), (0.0, 1.0, 0.001, 0.1)],
)
def test_no_number_is_named_where_none_is_plausible(value, bound, threshold, error):
    assert logged_episodes(value, bound, threshold, error, 1_000) is None


@pytest.mark.parametrize(
    ("value", "limit", "tail"), [(0.0, 0.05, 0.05), (0.01, 0.05, 0.05), (0.02, 0.1, 0.025), (0.1, 0.05, 0.05)]
)
def test_rolled_out_episodes_show_it_as_often_as_promised_and_hardly_fewer_would(value, limit, tail):
    """By brute force: the share of outcomes whose Clopper-Pearson bound is past the limit."""

    def shown(n):
        k = np.arange(n + 1)
        upper = np.where(k < n, stats.beta.isf(tail, k + 1, np.maximum(n - k, 1)), 1.0)
        lower = np.where(k > 0, stats.beta.ppf(tail, np.maximum(k, 1), n - k + 1), 0.0)
        past = upper <= limit if value < limit else lower > limit
        return float(stats.binom.pmf(k, n, value)[past].sum())

    n = rolled_out_episodes(value, limit, tail)
    assert shown(n) >= 0.8
    before = n - 1 if n < 100 else n - 10 ** (len(str(n)) - 2)
    assert shown(before) < 0.8


def test_a_clean_policy_needs_the_rule_of_three():
    assert rolled_out_episodes(0.0, 0.05, 0.05) == 59  # 1 - 0.05 ** (1 / 59) = 0.0495


def test_a_probability_at_its_limit_is_never_shown():
    assert rolled_out_episodes(0.05, 0.05, 0.05) is None


def test_a_mean_return_takes_the_usual_sample_size():
    z = stats.norm.isf(0.05) + stats.norm.ppf(0.8)
    assert rolled_out_returns(1.0, 0.0, 5.0, 0.05) == rounded_up((5.0 * z) ** 2)
    assert rolled_out_returns(1.0, 1.0, 5.0, 0.05) is None
    assert rolled_out_returns(1.0, 0.0, math.nan, 0.05) is None
