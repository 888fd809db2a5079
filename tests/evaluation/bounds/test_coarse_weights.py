"""Coarse weights of a policy that is made from the logger: mean 1, a known limit, and bets that promise no more."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.evaluation.behavior import logged_behavior
from groundschool.evaluation.bounds.stopping import coarse_stopping
from groundschool.evaluation.bounds.wagers import THRESHOLDS, all_wagers
from groundschool.evaluation.estimators.betting import estimate
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import Sampler
from small_worlds import LOGGER, MODEL, every_episode, exact

HARM = "probability:harm"


def few(seed, episodes=4):
    """A policy from so few episodes that some of what its logger does is guessed."""
    return gs.Pruned({HARM: 0.05}, largest_ratio=3.0)(Sampler.of(MODEL, LOGGER).log(episodes, seed))


@pytest.mark.parametrize("seed", range(6))
def test_their_mean_is_one_and_bets_promise_no_more_than_is_true(seed):
    log, chance = every_episode()
    policy = few(seed)
    problem = pose(log, policy, Question.parse(HARM, log), logged_behavior(log))
    assert problem.coarse is not None
    ratios, largest = problem.coarse
    assert (ratios <= largest + 1e-12).all()
    steady = coarse_stopping(problem)
    for threshold in THRESHOLDS:
        weights, _ = steady.at(threshold)
        assert chance @ weights == pytest.approx(1.0)
        assert weights.max() <= threshold + 1e-9
    outcomes = 1.0 - problem.returns
    weights = np.multiply.reduceat(problem.ratios, problem.starts[:-1])
    taken = np.arange(problem.n_episodes)[:, None]
    truth = 1.0 - exact(policy.probabilities(np.arange(4)), HARM)
    for wager in all_wagers(weights, outcomes, taken, None, steady, 2.0):
        payoffs = wager.payoffs(slice(None))
        assert chance @ payoffs <= truth + 1e-9
        assert payoffs.min() >= wager.floor - 1e-9


def test_propensities_of_another_logger_leave_them_out():
    other = 0.5 * LOGGER + 0.25
    log = Sampler.of(MODEL, other).log(100, 0)
    policy = few(0, 100)
    assert pose(log, policy, Question.parse(HARM, log), logged_behavior(log)).coarse is None
    same = Sampler.of(MODEL, LOGGER).log(100, 1)
    assert pose(same, policy, Question.parse(HARM, same), logged_behavior(same)).coarse is not None


def test_the_bound_is_tighter_and_covers_and_says_what_it_assumes():
    grid, of = gs.HazardGrid(size=6, hazards=[(2, 2), (3, 1)], horizon=20), "probability:hazard"
    sampler = Sampler.of(grid.model(), grid.logger(0.4))
    policy = gs.Pruned()(sampler.log(80, 1))
    truth, replicates = grid.model().evaluate(policy).probabilities["hazard"], 60
    missed, less = 0, []
    for seed in range(1_000, 1_000 + replicates):
        log = sampler.log(200, seed)
        problem = pose(log, policy, Question.parse(of, log), logged_behavior(log))
        upper = estimate(problem).bounds(0.05)[1]
        missed += upper < truth
        less.append(estimate(dataclasses.replace(problem, coarse=None, usual_weight=None)).bounds(0.05)[1] - upper)
    assert missed <= stats.binom.isf(1e-4, replicates, 0.05)
    assert np.mean(less) > 3.0 * np.std(less) / np.sqrt(replicates)
    found = gs.evaluate(sampler.log(100, 9), policy, of=of, method="betting")
    assert any("depend on the observation alone" in note for note in found.notes)
