"""The logger's probabilities: logged, given, and estimated by counts or by a clone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from groundschool.data import Dataset
from groundschool.envs import HazardGrid
from groundschool.errors import InputError
from groundschool.evaluation._behavior_model import STRENGTHS, counted
from groundschool.evaluation.behavior import (
    estimate_behavior,
    given_behavior,
    logged_behavior,
    resolve_behavior,
)
from groundschool.evaluation.simulate import collect
from groundschool.policies.tabular import TabularPolicy


def single_steps(states, actions, **columns):
    n = len(states)
    return Dataset.from_arrays(
        np.asarray(states), np.asarray(actions), np.zeros(n), np.ones(n, bool), np.zeros(n, bool), **columns
    )


LOG = single_steps([0, 0, 1, 1], [0, 1, 1, 0], propensities=[0.8, 0.2, 0.5, 0.5], n_actions=2)
UNNAMED = dataclasses.replace(LOG, propensities=None)
LOGGER = TabularPolicy([[0.8, 0.2], [0.5, 0.5]], name="logger")


def test_what_is_given_comes_before_what_is_logged_before_what_is_estimated():
    given = resolve_behavior(LOG, TabularPolicy([[0.6, 0.4], [0.1, 0.9]]))
    assert given.known
    assert given.propensities.tolist() == [0.6, 0.4, 0.9, 0.1]
    assert given.table.tolist() == [[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.1, 0.9]]
    logged = resolve_behavior(LOG)
    assert (logged.known, logged.table) == (True, None)
    assert logged.propensities.tolist() == LOG.propensities.tolist()
    estimated = resolve_behavior(UNNAMED)
    assert not estimated.known
    assert estimated.table.shape == (4, 2)


def test_counts_by_hand():
    # One fold: nothing is held out to choose by, and the prior counts as one row. Overall: 3 and 1 of 4, with one row
    # each besides: 4/6 and 2/6. State 0 took 0 0 1, state 1 took 0.
    table = counted(np.arange(4), np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]), None, 2, np.zeros(4, int))
    assert table[0] == pytest.approx([(2 + 4 / 6) / 4, (1 + 2 / 6) / 4])
    assert table[3] == pytest.approx([(1 + 4 / 6) / 2, (2 / 6) / 2])


def test_the_strength_is_the_one_that_predicts_held_out_folds_best():
    rng = np.random.default_rng(0)
    code, fold = rng.integers(0, 10, 400), rng.integers(0, 2, 400)
    action = (rng.random(400) < rng.beta(4, 4, 10)[code]).astype(int)

    def shares(rows, strength):
        """Return P(action 1) by state, from scratch."""
        overall = (action[rows].sum() + 1) / (rows.sum() + 2)
        ones = np.array([action[rows & (code == s)].sum() for s in range(10)])
        return (ones + strength * overall) / (np.array([(rows & (code == s)).sum() for s in range(10)]) + strength)

    def fit(strength):
        p = np.where(fold == 0, shares(fold == 1, strength)[code], shares(fold == 0, strength)[code])
        return np.log(np.where(action == 1, p, 1 - p)).sum()

    best = max(STRENGTHS, key=fit)
    table = counted(code, code, action, None, 2, fold)
    assert table[:, 1] == pytest.approx(shares(np.ones(400, bool), best)[code])


def test_masks_are_honored_and_nothing_allowed_is_impossible():
    rng = np.random.default_rng(1)
    states = rng.integers(0, 5, 600)
    masks = (np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 1]]) > 0)[states]
    actions = np.array([rng.choice(np.flatnonzero(mask)) for mask in masks])
    found = estimate_behavior(single_steps(states, actions, action_masks=masks))
    assert (found.table[~masks] == 0).all()
    assert (found.table[masks] > 0).all()
    assert found.table.sum(axis=1) == pytest.approx(np.ones(600))
    assert found.propensities == pytest.approx(found.table[np.arange(600), actions])
    assert (found.propensities[states == 3] == 1.0).all()


def test_counted_estimates_come_near_the_logger():
    grid = HazardGrid()
    logger = grid.logger(0.22)
    error = []
    for n in (100, 1_000):
        log = dataclasses.replace(collect(grid, logger, n, seed=7), propensities=None)
        found = estimate_behavior(log)
        true = logger.probabilities(log.observations)
        error.append(float(np.sqrt(np.square(found.table - true).mean())))
        # Weights 1/p of the rows of a state add up to them, about: what weighting by the model rests on.
        assert float((true[np.arange(log.n_steps), log.actions] / found.propensities).mean()) == pytest.approx(
            1, abs=0.03
        )
    assert error[0] <= 0.08
    assert error[1] <= 0.6 * error[0]


def test_a_clone_comes_near_the_logger_where_observations_do_not_repeat():
    rng = np.random.default_rng(2)
    n, steps = 150, 10
    x = rng.normal(size=(n * steps, 2))
    p = 1.0 / (1.0 + np.exp(-2.0 * x[:, 0]))
    action = (rng.random(n * steps) < p).astype(int)
    last = np.arange(n * steps) % steps == steps - 1
    log = Dataset.from_arrays(x, action, np.zeros(n * steps), last, np.zeros(n * steps, bool))
    found = estimate_behavior(log, folds=2)
    assert found.table.sum(axis=1) == pytest.approx(np.ones(n * steps))
    assert np.sqrt(np.square(found.table[:, 1] - p).mean()) <= 0.1
    # Calibrated: P(action 1) above and below one half is what was taken there. 4 standard errors and some misfit.
    for side in (found.table[:, 1] > 0.5, found.table[:, 1] <= 0.5):
        gap = action[side].mean() - found.table[side, 1].mean()
        assert abs(gap) <= 4.0 * np.sqrt(0.25 / side.sum()) + 0.02


def test_a_clone_has_not_seen_the_row():
    # Actions by chance, an observation for each: a clone that had seen its rows would be sure of them.
    rng = np.random.default_rng(3)
    n = 400
    log = single_steps(rng.normal(size=(n, 6)), rng.integers(0, 2, n))
    found = estimate_behavior(log, folds=2)
    right = int((found.propensities > 0.5).sum())
    assert stats.binom.ppf(1e-4, n, 0.5) <= right <= stats.binom.ppf(1 - 1e-4, n, 0.5)
    assert -np.log(found.propensities).mean() <= np.log(2.0) + 0.05


def test_groups_share_a_fold_and_one_unit_is_enough():
    log = single_steps([0, 1, 0, 1, 0], [0, 1, 0, 0, 1], groups=np.array([1, 1, 1, 1, 1]))
    found = estimate_behavior(log)
    assert found.table.sum(axis=1) == pytest.approx(np.ones(5))
    assert (found.propensities > 0).all()


def test_one_action_has_probability_one():
    log = single_steps(np.random.default_rng(0).normal(size=(30, 2)), np.zeros(30, int), n_actions=1)
    assert (estimate_behavior(log).table == 1.0).all()


def test_same_seed_same_estimate():
    log = dataclasses.replace(collect(HazardGrid(), HazardGrid().logger(0.3), 60, seed=1), propensities=None)
    assert np.array_equal(estimate_behavior(log, seed=4).table, estimate_behavior(log, seed=4).table)


def test_missing_propensities_are_a_sentence():
    with pytest.raises(InputError, match="the log has no propensities"):
        logged_behavior(UNNAMED)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            TabularPolicy([[1.0, 0.0], [0.5, 0.5]], name="wrong"),
            r"first at row 1: action 1 has probability 0.*behavior=",
        ),
        (TabularPolicy([[0.2, 0.3, 0.5]] * 2), "chooses among 3 actions, the log has 2"),
        (TabularPolicy([[0.5, 0.5]]), "cannot read observations|outside|id"),
    ],
)
def test_a_policy_that_did_not_write_the_log_is_refused(policy, said):
    with pytest.raises(InputError, match=said):
        given_behavior(LOG, policy)


def test_answers_that_are_no_distribution_are_refused():
    class Broken(TabularPolicy):
        def probabilities(self, observations, *, masks=None):
            return np.full((len(observations), 2), 0.4)

    with pytest.raises(InputError, match="sum to 1"):
        given_behavior(LOG, Broken([[0.5, 0.5]] * 2))


@pytest.mark.parametrize("p", [0.0, np.nan, -0.1, 1.2])
def test_a_log_refuses_propensities_that_are_none(p):
    with pytest.raises(InputError, match="propensities"):
        single_steps([0, 0], [0, 1], propensities=[0.5, p])


def test_continuous_actions_are_refused():
    log = single_steps([0, 0], np.zeros((2, 1)))
    for ask in (logged_behavior, estimate_behavior, lambda log: given_behavior(log, LOGGER)):
        with pytest.raises(InputError, match="continuous actions"):
            ask(log)


def test_too_few_folds_are_refused():
    with pytest.raises(InputError, match="folds is 1"):
        estimate_behavior(UNNAMED, folds=1)
