"""Weights stopped before a threshold, what is bet on them, and rejection: over every episode that can happen."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from groundschool.errors import InputError
from groundschool.evaluation.bounds.rejection import accepted
from groundschool.evaluation.bounds.stopping import Stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import arrange, limited_wagers, stopped_wagers
from small_worlds import HAND_TARGET, LOGGER, TARGETS, every_episode, exact, hand_log, put

THRESHOLDS = (1.0, 1.3, 2.0, 4.0, 50.0)


def stopping(problem, **more):
    return Stopping(problem, largest_ratios(problem, **more))


def test_by_hand():
    # Largest ratios: state 0 max(.8 / .5, .2 / .5) = 1.6; state 1, with propensities .25 and .75,
    # max(.5 / .25, .5 / .75) = 2. Running weights 1.6, 3.2 | 0.4 | 1.6, 16/15.
    problem = put(hand_log(), HAND_TARGET)
    np.testing.assert_allclose(largest_ratios(problem), [1.6, 2.0, 1.6, 1.6, 2.0])
    found = stopping(problem)
    for threshold, weights, stopped in (
        (1.5, [1.0, 1.0, 1.0], [True, True, True]),
        (1.6, [1.6, 0.4, 1.6], [True, False, True]),
        (3.1, [1.6, 0.4, 1.6], [True, False, True]),
        (3.2, [3.2, 0.4, 16 / 15], [False, False, False]),
    ):
        np.testing.assert_allclose(found.at(threshold)[0], weights)
        np.testing.assert_array_equal(found.at(threshold)[1], stopped)


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("target", TARGETS)
def test_stopped_weights_have_mean_one_and_stay_below(target, threshold):
    log, chance = every_episode()
    weights, stopped = stopping(put(log, TARGETS[target])).at(threshold)
    assert chance @ weights == pytest.approx(1.0)
    assert weights.max() <= threshold * (1 + 1e-9)
    assert weights.min() >= 0.0
    assert not stopped.any() or threshold < 50.0


@pytest.mark.parametrize("good", [False, True], ids=["events", "no events"])
@pytest.mark.parametrize("target", TARGETS)
def test_no_payoff_promises_more_than_there_is(target, good):
    # E[payoff] <= the target's mean, for every threshold, baseline and limit; equal where nothing is cut off.
    log, chance = every_episode()
    problem = put(log, TARGETS[target], "probability:harm")
    harm = exact(TARGETS[target], "probability:harm")
    outcomes, mean = (1 - problem.returns, 1 - harm) if good else (problem.returns, harm)
    taken = np.arange(problem.n_episodes)[:, None]
    found = stopping(problem)
    everything = slice(None)
    for wager in stopped_wagers(found, outcomes, taken, THRESHOLDS) + limited_wagers(found.weights, outcomes, taken):
        payoffs = wager.payoffs(everything)
        assert chance @ payoffs <= mean + 1e-9
        assert payoffs.min() >= wager.floor - 1e-9
        shortfall = 0.0 if wager.shortfall is None else chance @ wager.shortfall[:, 0]
        assert chance @ payoffs >= mean - shortfall - 1e-9


def test_what_the_logger_never_does_stops_an_episode_at_once():
    # Without support the weights' mean is below 1, and a baseline would promise too much; the stop keeps it right.
    log = hand_log()
    behavior = np.array([[1.0, 0.0], [0.5, 0.5]])
    problem = dataclasses.replace(
        put(log, HAND_TARGET), behavior=behavior[log.observations], propensities=behavior[log.observations, 0]
    )
    problem = dataclasses.replace(problem, actions=np.zeros(5, np.int64))
    largest = largest_ratios(problem)
    np.testing.assert_allclose(largest, [np.inf, 1.0, np.inf, np.inf, 1.0])
    weights, stopped = Stopping(problem, largest).at(1e6)
    np.testing.assert_allclose(weights, 1.0)
    assert stopped.all()


def test_more_than_two_actions_need_their_probabilities_or_a_cap():
    problem = put(hand_log(), HAND_TARGET)
    three = dataclasses.replace(problem, target=np.column_stack([problem.target, np.zeros(5)]))
    assert largest_ratios(three) is None
    np.testing.assert_allclose(largest_ratios(three, 3.0), 3.0)
    masked = dataclasses.replace(three, masks=np.tile([True, True, False], (5, 1)))
    np.testing.assert_allclose(largest_ratios(masked), largest_ratios(problem))
    with pytest.raises(InputError, match=r"ratio_cap is 1.5, but row 1 of the log has a ratio of 2 "):
        largest_ratios(three, 1.5)
    with pytest.raises(InputError, match=r"ratio_cap is 0\.5, expected a number of at least 1"):
        largest_ratios(three, 0.5)


def test_probabilities_that_contradict_the_propensities_are_not_used():
    problem = put(hand_log(), HAND_TARGET)
    wrong = dataclasses.replace(problem, behavior=np.tile([0.99, 0.99], (5, 1)))
    assert largest_ratios(wrong) is None


def test_arranged_by_unit_in_an_order_that_is_drawn():
    np.testing.assert_array_equal(np.sort(arrange(np.arange(6), 0)[:, 0]), np.arange(6))
    pairs = arrange(np.array([1, 0, 2, 1, 0, 2]), 3)
    assert {tuple(row) for row in pairs} == {(0, 3), (1, 4), (2, 5)}
    assert arrange(np.array([0, 0, 1]), 0) is None
    orders = {tuple(arrange(np.arange(8), seed)[:, 0]) for seed in range(5)}
    assert len(orders) > 1


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_kept_are_episodes_of_the_target(target):
    # 40,000 episodes drawn from all that can happen: the kept ones have the target's probability of harm, and are
    # 1 / cap of all. Tolerance: 4 binomial standard errors.
    log, chance = every_episode()
    problem = put(log, TARGETS[target], "probability:harm")
    drawn = np.random.default_rng(0).choice(len(chance), 40_000, p=chance / chance.sum())
    weights = stopping(problem).weights
    cap = float(weights.max())
    kept = accepted(weights[drawn], cap, 1)
    share, harm = kept.mean(), exact(TARGETS[target], "probability:harm")
    assert abs(share - 1 / cap) <= 4 * math.sqrt(1 / cap * (1 - 1 / cap) / 40_000)
    assert abs(problem.returns[drawn][kept].mean() - harm) <= 4 * math.sqrt(harm * (1 - harm) / kept.sum())


def test_the_logger_keeps_everything():
    log, _ = every_episode()
    assert accepted(stopping(put(log, LOGGER)).weights, 1.0, 0).all()
