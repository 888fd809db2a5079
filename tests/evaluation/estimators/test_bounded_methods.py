"""Each estimator with finite-sample bounds: what is its own."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from groundschool.evaluation.bounds.bernstein import empirical_bernstein_bounds
from groundschool.evaluation.estimators import betting, censored_weight, complement, empirical_bernstein, rejection
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.tabular import TabularModel
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, exact, hand_log, put

EVENT = "probability:harm"


def third_action(problem):
    """The same with a third action that nobody takes: the logged propensities then no longer tell all."""
    return dataclasses.replace(problem, target=np.column_stack([problem.target, np.zeros(problem.n_rows)]))


def long_world(steps):
    """A corridor in which action 1 brings harm a little more often, and ends nothing; logged with action 1 at .2."""
    to = np.zeros((2, 2, 2))
    to[0, 0], to[0, 1] = [0.998, 0.002], [0.97, 0.03]
    cost = np.zeros((2, 2, 2))
    cost[0, :, 1] = 1.0
    model = TabularModel(to, np.zeros((2, 2, 2)), {"harm": cost}, np.array([False, True]), np.array([1.0, 0.0]), steps)
    return model, np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.9, 0.1], [0.5, 0.5]])


def test_the_value_by_hand():
    # Weights 3.2, 0.4, 16/15 and events 1, 0, 0: 3.2 / (14 / 3).
    found = betting.estimate(put(hand_log(), HAND_TARGET, EVENT))
    assert found.value == pytest.approx(3.2 / (14 / 3))


def test_for_the_logger_itself_all_are_nearly_clopper_pearson():
    log = sample_log(MODEL, LOGGER, 500, 0)
    events = int((put(log, LOGGER, EVENT).returns).sum())
    exact_high = stats.beta.isf(0.05, events + 1, 500 - events) - events / 500
    for module in (betting, complement, censored_weight):
        high = module.estimate(put(log, LOGGER, EVENT)).bounds(0.05)[1] - events / 500
        assert 0.7 * exact_high < high < 1.35 * exact_high  # which order was drawn matters a little
    kept = rejection.estimate(put(log, LOGGER, EVENT), threshold=1.0)
    assert kept.value == events / 500
    assert kept.bounds(0.05) == pytest.approx(
        (stats.beta.ppf(0.05, events, 500 - events + 1), stats.beta.isf(0.05, events + 1, 500 - events))
    )


def test_stopping_and_a_control_variate_pay_where_weights_vary():
    # Mean width of the upper bound over 8 logs of 3,000 episodes against the plain weighted outcomes'.
    model, logger, target = long_world(15)
    truth = model.evaluate(target).probabilities["harm"]
    plain, stopped, blind = [], [], []
    for seed in range(8):
        problem = put(sample_log(model, logger, 3_000, seed), target, EVENT)
        plain.append(complement.estimate(problem).bounds(0.05)[1] - truth)
        stopped.append(betting.estimate(problem).bounds(0.05)[1] - truth)
        blind.append(betting.estimate(third_action(problem)).bounds(0.05)[1] - truth)
    assert np.mean(stopped) < 0.8 * np.mean(plain)
    assert np.mean(blind) == pytest.approx(np.mean(plain))


def test_betting_says_when_it_lacks_probabilities_and_takes_a_declared_cap():
    problem = put(sample_log(MODEL, LOGGER, 500, 3), TARGETS["stochastic"], EVENT)
    assert len(betting.estimate(problem).notes) == 1
    blind = betting.estimate(third_action(problem))
    assert any("Only the logged actions' propensities are known" in note for note in blind.notes)
    cap = float(problem.ratios.max())
    assert len(betting.estimate(third_action(problem), ratio_cap=cap).notes) == 1


@pytest.mark.parametrize("threshold", [1.0, 2.0, 1e6])
def test_censored_weight_with_a_threshold(threshold):
    model, logger, target = long_world(8)
    log = sample_log(model, logger, 800, 1)
    truth = model.evaluate(target).probabilities["harm"]
    problem = put(log, target, EVENT)
    for one in (problem, third_action(problem)):
        found = censored_weight.estimate(one, threshold=threshold)
        low, high = found.bounds(0.05)
        assert low <= truth <= high
        assert found.diagnostics["threshold"] == threshold
        if threshold == 1.0:  # the first action is already too much: stopped, or above it, or at most 1
            assert high > 0.9
            assert found.diagnostics["lost_episodes"] > 400
        elif threshold == 1e6:
            assert high < 0.5
            assert found.diagnostics["lost_episodes"] == 0


def test_complement_needs_no_support():
    # The target does in state 2 what the logger never does: its weights miss that part, and the bounds stay valid.
    logger = LOGGER.copy()
    logger[2] = [1.0, 0.0]
    target = TARGETS["stochastic"]
    truth, missed = exact(target, EVENT), 0
    for seed in range(25):
        problem = put(sample_log(MODEL, logger, 200, seed), target, EVENT)
        low, high = complement.estimate(third_action(problem)).bounds(0.05)
        assert low <= truth
        missed += high < truth
    assert missed == 0


def test_empirical_bernstein_with_a_limit_is_the_closed_form():
    problem = put(sample_log(MODEL, LOGGER, 300, 2), TARGETS["stochastic"], EVENT)
    weights = np.array(
        [problem.ratios[a:b].prod() for a, b in zip(problem.starts[:-1], problem.starts[1:], strict=True)]
    )
    found = empirical_bernstein.estimate(problem, limit=3.0)
    cut = np.minimum(weights * problem.returns, 3.0), np.minimum(weights * (1 - problem.returns), 3.0)
    low, rest = (empirical_bernstein_bounds(values, 0.05, low=0.0, high=3.0)[0] for values in cut)
    assert found.bounds(0.05) == pytest.approx((low, 1 - rest))


def test_betting_is_narrower_than_empirical_bernstein():
    for target in ("stochastic", "deterministic"):
        ours, theirs = [], []
        for seed in range(10):
            problem = put(sample_log(MODEL, LOGGER, 1_000, seed), TARGETS[target], EVENT)
            for module, widths in ((betting, ours), (empirical_bernstein, theirs)):
                low, high = module.estimate(problem).bounds(0.05)
                widths.append(high - low)
        assert np.mean(ours) <= 0.8 * np.mean(theirs)


def test_rejection_with_a_declared_cap_keeps_its_share():
    # 4 binomial standard errors around 1 / cap of 4,000 episodes.
    problem = put(sample_log(MODEL, LOGGER, 4_000, 1), TARGETS["stochastic"], EVENT)
    cap = float((TARGETS["stochastic"] / LOGGER).max()) ** 3
    found = rejection.estimate(problem, cap=cap)
    assert found.assurance == "finite-sample"
    share = found.diagnostics["accepted"] / 4_000
    assert abs(share - 1 / cap) <= 4 * math.sqrt(1 / cap / 4_000)
    harm = exact(TARGETS["stochastic"], EVENT)
    assert abs(found.value - harm) <= 4 * math.sqrt(harm * (1 - harm) / found.diagnostics["accepted"])


def test_rejection_without_a_cap_known_beforehand_is_not_relied_on():
    problem = third_action(put(sample_log(MODEL, LOGGER, 500, 1), TARGETS["stochastic"], EVENT))
    found = rejection.estimate(problem)
    assert found.assurance == "heuristic"
    assert any("No limit of the weights is known beforehand" in reason for reason in found.reasons)
    sure = rejection.estimate(problem, ratio_cap=4.0, threshold=8.0)
    assert sure.assurance == "finite-sample"
    assert sure.diagnostics["cap"] == 8.0


def test_a_log_with_a_large_weight_raises_no_warning():
    # 400 steps of ratio 5: 10^280 would not fit twice.
    model, _, _ = long_world(400)
    log = sample_log(model, np.array([[0.8, 0.2], [0.5, 0.5]]), 30, 0)
    problem = put(log, np.array([[0.0, 1.0], [0.5, 0.5]]), EVENT)
    huge = dataclasses.replace(problem, propensities=np.full(problem.n_rows, 0.2), actions=np.ones(problem.n_rows, int))
    for module in (betting, complement, censored_weight, rejection, empirical_bernstein):
        found = module.estimate(huge)
        low, high = found.bounds(0.05)
        assert 0.0 <= low <= high <= 1.0
        assert any("A weight reached 10^" in reason for reason in found.reasons)
