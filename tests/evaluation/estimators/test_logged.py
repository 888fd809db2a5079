"""The logger's own mean: against Clopper-Pearson and Student, groups, censored episodes, never [0, 0]."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from groundschool.data import Dataset
from groundschool.evaluation.estimators.logged import estimate
from groundschool.evaluation.sampling import sample_log
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, exact, hand_log, put


def one_step_log(harm, rewards=None, *, horizon=1, terminated=None, **more):
    harm = np.asarray(harm, float)
    n = len(harm)
    done = np.ones(n, bool) if terminated is None else np.asarray(terminated)
    return Dataset.from_arrays(
        np.zeros(n, int), np.zeros(n, int), harm if rewards is None else rewards, done, ~done,
        costs={"harm": harm}, propensities=np.full(n, 0.5), n_actions=2, horizon=horizon, **more,
    )  # fmt: skip


ONE = np.array([[0.5, 0.5]])


def test_a_probability_gets_clopper_pearson():
    found = estimate(put(one_step_log([1, 0, 0, 2, 0, 0, 0, 0, 0, 0]), ONE, "probability:harm"))
    lower, upper = found.bounds(0.05)
    assert found.value == 0.2
    assert lower == pytest.approx(stats.beta.ppf(0.05, 2, 9))
    assert upper == pytest.approx(stats.beta.ppf(0.95, 3, 8))
    assert found.assurance == "exact"


@pytest.mark.parametrize("n", [1, 30])
def test_no_event_is_never_a_zero(n):
    found = estimate(put(one_step_log(np.zeros(n)), ONE, "probability:harm"))
    assert found.bounds(0.05) == (0.0, pytest.approx(1 - 0.05 ** (1 / n)))
    assert found.bounds(0.5)[1] > 0.0
    cost = estimate(put(one_step_log(np.zeros(n)), ONE, "cost:harm"))
    assert cost.bounds(0.05) == (0.0, math.inf)


def test_a_return_gets_student():
    rewards = np.array([1.0, 4.0, -2.0, 0.5])
    found = estimate(put(one_step_log(np.zeros(4), rewards), ONE))
    half = stats.t.isf(0.05, 3) * rewards.std(ddof=1) / 2
    assert found.bounds(0.05) == (pytest.approx(rewards.mean() - half), pytest.approx(rewards.mean() + half))
    assert found.assurance == "asymptotic"
    np.testing.assert_array_equal(found.values, rewards)


def test_bounds_stay_in_the_declared_range():
    found = estimate(put(one_step_log(np.zeros(3), np.array([0.0, 1.0, 1.0]), return_range=(0.0, 1.0)), ONE))
    assert found.bounds(0.005) == (0.0, 1.0)


def test_the_target_plays_no_part():
    log = sample_log(MODEL, LOGGER, 100, 0)
    one, other = (estimate(put(log, TARGETS[name], "cost:harm")) for name in ("logger", "deterministic"))
    assert one.value == other.value == log.cost_sums("harm").mean()
    assert one.bounds(0.1) == other.bounds(0.1)


def test_a_discount_counts():
    assert estimate(put(hand_log(), HAND_TARGET, discount=0.5)).value == pytest.approx((2.0 + 0.0 + 3.5) / 3)


def test_groups_of_one_change_nothing():
    harm = np.array([1, 0, 0, 1, 0, 0.0])
    alone = estimate(put(one_step_log(harm), ONE, "probability:harm"))
    named = estimate(put(one_step_log(harm, groups=np.arange(6)[::-1] + 4), ONE, "probability:harm"))
    assert named.bounds(0.05) == alone.bounds(0.05)
    assert named.assurance == "exact"


def test_copies_within_a_group_bring_no_precision():
    rng = np.random.default_rng(0)
    harm, reward = (rng.random(40) < 0.3).astype(float), rng.normal(size=40)
    groups = np.repeat(np.arange(40), 5)
    for of in ("return", "probability:harm"):
        alone = estimate(put(one_step_log(harm, reward), ONE, of))
        copied = estimate(put(one_step_log(np.repeat(harm, 5), np.repeat(reward, 5), groups=groups), ONE, of))
        assert copied.standard_error == pytest.approx(alone.standard_error, rel=1e-9)
        np.testing.assert_allclose(copied.bounds(0.05), alone.bounds(0.05), atol=0.01)
    assert copied.assurance == "asymptotic"


def test_no_event_in_groups_counts_groups():
    found = estimate(put(one_step_log(np.zeros(30), groups=np.repeat(np.arange(6), 5)), ONE, "probability:harm"))
    assert found.bounds(0.05)[1] == pytest.approx(1 - 0.05 ** (1 / 6))


def test_one_group_alone_bounds_nothing_of_a_return():
    found = estimate(put(one_step_log(np.zeros(3), np.array([1.0, 2.0, 3.0]), groups=np.zeros(3, int)), ONE))
    assert found.bounds(0.05) == (-math.inf, math.inf)
    assert found.standard_error == math.inf


def test_censored_episodes_count_as_the_worst_case():
    done = np.array([True, True, True, False, False])
    log = one_step_log([1, 0, 0, 0, 0], terminated=done, horizon=3)
    found = estimate(put(log, ONE, "probability:harm"))
    assert found.value == 0.2
    assert found.bounds(0.05) == (
        pytest.approx(stats.beta.ppf(0.05, 1, 5)),
        pytest.approx(stats.beta.ppf(0.95, 4, 2)),
    )
    assert found.reasons == ()
    assert "2 of 5 episodes were cut before the horizon" in found.notes[0]
    cost = estimate(put(log, ONE, "cost:harm"))
    assert cost.bounds(0.05)[1] == math.inf
    assert cost.bounds(0.05)[0] > -math.inf
    assert "is not bounded" in cost.reasons[0]
    assert estimate(put(log, ONE)).bounds(0.05) == (-math.inf, math.inf)
    ranged = estimate(put(one_step_log([1, 0, 0, 0, 0], terminated=done, horizon=3, return_range=(-1, 2)), ONE))
    low = np.array([1, 0, 0, -1, -1.0])
    assert ranged.bounds(0.05)[0] == pytest.approx(
        max(low.mean() - stats.t.isf(0.05, 4) * low.std(ddof=1) / math.sqrt(5), -1.0)
    )


def test_a_stratum_without_any_variance_is_no_point():
    found = estimate(put(one_step_log(np.zeros(20), np.ones(20), return_range=(0, 3)), ONE))
    lower, upper = found.bounds(0.05)
    assert 0.0 < lower < 1.0 < upper < 3.0


@pytest.mark.parametrize("of", ["return", "probability:harm"])
def test_one_sided_bounds_cover(of):
    # 400 logs: a true coverage of .94 falls below .9 less than once in a thousand.
    truth = exact(LOGGER, of)
    bounds = np.array(
        [estimate(put(sample_log(MODEL, LOGGER, 60, 400 + i), LOGGER, of)).bounds(0.05) for i in range(400)]
    )
    assert (bounds[:, 0] <= truth).mean() >= 0.9
    assert (bounds[:, 1] >= truth).mean() >= 0.9
