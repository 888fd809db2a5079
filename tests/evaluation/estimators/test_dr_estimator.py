"""Per-decision doubly robust: exactly unbiased whatever the model; the models themselves; censoring."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.estimators import _q_regression, dr, per_decision_is
from groundschool.evaluation.estimators._q_model import RowValues, counted, cross_fitted
from groundschool.evaluation.estimators._q_regression import regressed
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.weights import step_log_weights
from groundschool.policies.policy import DiscretePolicy
from small_worlds import END, LOGGER, MODEL, TARGETS, every_episode, exact, hand_log, put

QUESTIONS = [("return", 1.0), ("return", 0.8), ("cost:harm", 0.8), ("probability:harm", 1.0)]


def wrong_model(problem, seed=0):
    """Action values out of thin air, by step and state; nothing holds but that a value is their mean."""
    rng = np.random.default_rng(seed)
    q = rng.normal(0.0, 3.0, (problem.horizon + 1, problem.states.count, problem.n_actions))
    v = (problem.states.target * q).sum(axis=2)
    code, then, step = problem.states.code, problem.states.then, problem.step
    after = np.where(problem.ended | (step + 1 == problem.horizon), 0.0, v[step + 1, then])
    return RowValues(q[step, code, problem.actions], v[step, code], after)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("of", "discount"), QUESTIONS)
def test_unbiased_with_a_wrong_model(target, of, discount):
    log, chance = every_episode()
    problem = put(log, TARGETS[target], of, discount=discount)
    values = dr.corrected(problem, wrong_model(problem), step_log_weights(problem))
    assert chance @ values == pytest.approx(exact(TARGETS[target], of, discount), abs=1e-10)


def test_unbiased_where_masks_forbid_actions():
    masks = np.array([[True, True], [True, False], [True, True], [True, True]])
    logger, table = LOGGER.copy(), TARGETS["stochastic"].copy()
    logger[1], table[1] = [1.0, 0.0], [1.0, 0.0]
    log, chance = every_episode(logger=logger, masks=masks)
    problem = put(log, table, "return", discount=0.9)
    assert problem.masks is not None
    values = dr.corrected(problem, wrong_model(problem), step_log_weights(problem))
    assert chance @ values == pytest.approx(exact(table, "return", 0.9), abs=1e-10)
    assert chance @ per_decision_is.estimate(problem).values == pytest.approx(exact(table, "return", 0.9), abs=1e-12)
    assert np.isfinite(dr.estimate(problem).value)


def test_with_no_model_it_is_per_decision_importance_sampling():
    problem = put(sample_log(MODEL, LOGGER, 100, 1), TARGETS["stochastic"], discount=0.9)
    values = dr.corrected(problem, RowValues.zero(problem), step_log_weights(problem))
    np.testing.assert_allclose(values, per_decision_is.estimate(problem).values, rtol=1e-12)


@pytest.mark.parametrize(("of", "discount"), QUESTIONS)
def test_the_counted_model_is_the_exact_one_when_counts_are_proportions(of, discount):
    # Every episode as often as it happens, in two folds that hold the same: the model of either is the truth.
    log, chance = every_episode()
    times = np.round(chance * 200_000).astype(int)
    both = np.repeat(np.concatenate([np.arange(log.n_episodes)] * 2), np.concatenate([times, times]))
    rows = np.concatenate([np.arange(log.starts[e], log.starts[e + 1]) for e in range(log.n_episodes)])
    assert len(rows) == log.n_steps
    large = _taken(log, both)
    table = TARGETS["stochastic"]
    problem = put(large, table, of, discount=discount)
    fold = np.repeat([0, 1], times.sum())
    model = counted(problem, fold, shrinkage=0.0)
    # Rounding the counts moves frequencies by about 1e-5.
    assert model.now[problem.starts[:-1]].mean() == pytest.approx(exact(table, of, discount), abs=2e-3)
    if of == "return":
        q = MODEL.action_values(table, discount)
        first = problem.step == 0
        np.testing.assert_allclose(model.taken[first], q[large.observations[first], problem.actions[first]], atol=5e-3)


def _taken(log, episodes):
    lengths = log.lengths[episodes]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(starts[-1]) + np.repeat(log.starts[episodes] - starts[:-1], lengths)
    return Dataset.from_arrays(
        log.observations[rows], log.actions[rows], log.rewards[rows], log.terminated[rows], log.truncated[rows],
        costs={name: cost[rows] for name, cost in log.costs.items()},
        propensities=log.propensities[rows], final_observations=log.final_observations[episodes],
        n_actions=log.n_actions, horizon=log.horizon,
    )  # fmt: skip


def test_values_are_means_of_action_values_in_either_model():
    # What keeps the estimate unbiased. Every action of a state is logged, so that all of its values are seen.
    log = sample_log(MODEL, LOGGER, 400, 8)
    for table in TARGETS.values():
        problem = put(log, table)
        fold = np.arange(400) % 3
        for model in (counted(problem, fold), regressed(problem, fold, 0)):
            row_fold = np.repeat(fold, problem.lengths)
            key = np.stack([row_fold, problem.step, problem.states.code], axis=1)
            for where in np.unique(key, axis=0):
                rows = (key == where).all(axis=1)
                actions = problem.actions[rows]
                if len(np.unique(actions)) < 2:
                    continue
                q = np.array([model.taken[rows][actions == a][0] for a in (0, 1)])
                expected = q @ problem.target[rows][0]
                np.testing.assert_allclose(model.now[rows], expected, atol=1e-9)


@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize("kind", ["counted", "regression"])
def test_unbiased_in_replicates_with_fitted_models(kind, discount):
    # 150 logs: the mean lies within 4 of its standard errors (a miss once in 16,000).
    table, values = TARGETS["stochastic"], []
    for i in range(150):
        log = sample_log(MODEL, LOGGER, 60, 5_000 + i)
        problem = put(log, table, discount=discount)
        if kind == "counted":
            values.append(dr.estimate(problem, folds=3, seed=i).value)
        else:
            fold = np.random.default_rng(i).permutation(60) % 3
            values.append(dr.corrected(problem, regressed(problem, fold, i), step_log_weights(problem)).mean())
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(exact(table, "return", discount), abs=4 * error)


def test_it_is_narrower_than_without_a_model_and_covers():
    # 200 logs: a true coverage of .92 falls below .86 less than once in a thousand.
    table = TARGETS["stochastic"]
    truth, found, plain = exact(table), [], []
    for i in range(200):
        problem = put(sample_log(MODEL, LOGGER, 200, 6_000 + i), table)
        found.append(dr.estimate(problem))
        plain.append(per_decision_is.estimate(problem).standard_error)
    bounds = np.array([one.bounds(0.05) for one in found])
    assert (bounds[:, 0] <= truth).mean() >= 0.86
    assert (bounds[:, 1] >= truth).mean() >= 0.86
    assert np.mean([one.standard_error for one in found]) < 0.9 * np.mean(plain)


class Right(DiscretePolicy):
    name, n_actions = "right", 2

    def probabilities(self, observations, *, masks=None):
        return np.tile([0.2, 0.8], (len(observations), 1))


def measured(n, horizon, actions, seed):
    """Put a question about a log of random walks of two numbers, each step's cost a chance that grows with one."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, horizon + 1, n)
    rows = int(lengths.sum())
    ended = np.zeros(rows, bool)
    ended[np.cumsum(lengths) - 1] = lengths < horizon
    cut = np.zeros(rows, bool)
    cut[np.cumsum(lengths) - 1] = lengths == horizon
    log = Dataset.from_arrays(
        rng.normal(size=(rows, 2)), rng.integers(0, actions, rows), rng.normal(size=rows), ended, cut,
        propensities=np.full(rows, 1 / actions), n_actions=actions, horizon=horizon,
    )  # fmt: skip

    class Leaning(DiscretePolicy):
        n_actions = actions

        def probabilities(self, observations, *, masks=None):
            weight = np.exp(np.outer(observations[:, 0], np.arange(actions)) / actions)
            return weight / weight.sum(axis=1, keepdims=True)

    return pose(log, Leaning(), Question.parse("return", log), Behavior(log.propensities, None, True))


def test_regressions_of_all_folds_at_once_are_those_of_each_fold():
    problem = measured(n=150, horizon=4, actions=3, seed=2)
    fold = np.arange(150) % 3
    found = regressed(problem, fold, 5)
    x = _q_regression._features(problem, np.random.default_rng(5))[: problem.n_rows]
    f, row_fold, step, actions = x.shape[1], fold[problem.episode], problem.step, problem.actions
    goes = ~problem.ended & (problem.lengths[problem.episode] > step + 1)  # the last step's next is not in the log
    for k in range(3):
        use = (row_fold != k) & (goes | problem.ended)
        value = np.zeros(problem.n_rows)
        for t in reversed(range(4)):
            following = np.append(value[1:], 0.0)
            y = problem.signal + np.where(goes, following, 0.0)
            low, high = problem.signal.min() * (4 - t), problem.signal.max() * (4 - t)
            both = np.linalg.solve(x[use].T @ x[use] + (1e-3 * use.sum() + 1e-9) * np.eye(f), x[use].T @ y[use])
            q = np.empty((problem.n_rows, 3))
            for a in range(3):
                mine = use & (actions == a)
                left = x[mine].T @ (y[mine] - x[mine] @ both)
                q[:, a] = x @ (both + np.linalg.solve(x[mine].T @ x[mine] + 10.0 * np.eye(f), left))
            q = q.clip(low, high)
            value = (q * problem.target).sum(axis=1)
            own = (row_fold == k) & (step == t)
            np.testing.assert_allclose(found.now[own], value[own], atol=2e-4)
            np.testing.assert_allclose(found.taken[own], q[own, actions[own]], atol=2e-4)
            before = np.flatnonzero((row_fold == k) & (step == t - 1) & goes)
            np.testing.assert_allclose(found.after[before], value[before + 1], atol=2e-4)


def test_a_regression_knows_nothing_of_its_own_fold():
    problem = measured(n=120, horizon=4, actions=2, seed=3)
    fold = np.arange(120) % 4
    mine = (fold == 1)[problem.episode]
    other = dataclasses.replace(problem, signal=np.where(mine, problem.signal[::-1].clip(-1, 1), problem.signal))
    np.testing.assert_allclose(regressed(other, fold, 0).now[mine], regressed(problem, fold, 0).now[mine], atol=1e-12)


def test_a_regression_learns_a_linear_value():
    # x moves by the action, and pays itself, for three steps: values are linear in x for each number of steps.
    rng = np.random.default_rng(0)
    n, horizon = 400, 3
    x = rng.normal(size=n)
    observations, actions, rewards = (np.empty((n, horizon)) for _ in range(3))
    for t in range(horizon):
        actions[:, t] = rng.random(n) < 0.5
        observations[:, t], rewards[:, t] = x, x
        x = x + actions[:, t]
    last = np.tile(np.arange(horizon) == horizon - 1, n)
    log = Dataset.from_arrays(
        observations.ravel()[:, None], actions.ravel().astype(int), rewards.ravel(), np.zeros(n * horizon, bool), last,
        propensities=np.full(n * horizon, 0.5), n_actions=2, horizon=horizon,
    )  # fmt: skip
    problem = pose(log, Right(), Question.parse("return", log), Behavior(log.propensities, None, True))
    assert problem.states is None
    model = regressed(problem, np.arange(n) % 2, 0)
    left = horizon - problem.step
    value = left * log.observations[:, 0] + 0.8 * left * (left - 1) / 2
    # Ridge and the belief that actions are alike shrink a little.
    assert np.corrcoef(model.now, value)[0, 1] > 0.995
    found, plain = dr.estimate(problem), per_decision_is.estimate(problem)
    assert found.standard_error < 0.6 * plain.standard_error
    assert found.diagnostics["model"] == "ridge regression"
    assert abs(found.value - 2.4) < 4.5 * found.standard_error


def test_censored_episodes_go_on_in_the_model():
    # Cut every third episode after its first step: the value stays, with a note.
    table, values = TARGETS["stochastic"], []
    for i in range(60):
        problem = put(cut(sample_log(MODEL, LOGGER, 300, 300 + i)), table)
        assert problem.censored.any()
        values.append(dr.estimate(problem).value)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    # The model is unbiased up to the shrinkage of pairs that are all seen often, a small part of a standard error.
    assert np.mean(values) == pytest.approx(exact(table), abs=4 * error + 0.02)
    found = dr.estimate(problem)
    assert "cut before the horizon and go on in the model" in found.notes[0]
    assert found.assurance == "heuristic"


def cut(log):
    keep = np.ones(log.n_steps, bool)
    long = (np.arange(log.n_episodes) % 3 == 0) & (log.lengths > 1)
    keep[np.repeat(long, log.lengths) & (np.arange(log.n_steps) != np.repeat(log.starts[:-1], log.lengths))] = False
    first = log.starts[:-1]
    finals = log.final_observations.copy()
    finals[long] = log.observations[first[long] + 1]
    terminated, truncated = log.terminated.copy(), log.truncated.copy()
    truncated[first[long]] = True
    return Dataset.from_arrays(
        log.observations[keep], log.actions[keep], log.rewards[keep], terminated[keep], truncated[keep],
        costs={name: cost[keep] for name, cost in log.costs.items()}, propensities=log.propensities[keep],
        final_observations=finals, n_actions=log.n_actions, horizon=log.horizon,
    )  # fmt: skip


def test_without_a_final_observation_the_last_step_is_left_to_the_model():
    log = cut(sample_log(MODEL, LOGGER, 100, 1))
    blind = Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated,
        propensities=log.propensities, n_actions=2, horizon=3,
    )  # fmt: skip
    problem = put(blind, TARGETS["stochastic"])
    found = dr.estimate(problem)
    assert math.isfinite(found.value)
    assert "have no final observation" in found.notes[0]
    # A cut first step tells nothing but where the episode began.
    early = problem.censored & (problem.lengths == 1)
    model = cross_fitted(problem, 5, 0)
    np.testing.assert_allclose(found.values[early], model.now[problem.starts[:-1]][early], rtol=1e-12)


def test_one_unit_has_no_model():
    problem = put(hand_log(groups=np.array([1, 1, 1])), np.array([[0.8, 0.2], [0.5, 0.5]]))
    found = dr.estimate(problem)
    assert found.diagnostics["model"] == "none"
    assert found.value == pytest.approx(per_decision_is.estimate(problem).value)
    assert found.bounds(0.05) == (-math.inf, math.inf)


def test_folds_divide_no_group():
    log = sample_log(MODEL, LOGGER, 60, 2)
    grouped = Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated,
        propensities=log.propensities, final_observations=log.final_observations, n_actions=2, horizon=3,
        groups=np.arange(60) // 20,
    )  # fmt: skip
    found = dr.estimate(put(grouped, TARGETS["stochastic"]), folds=10)
    assert found.diagnostics["folds"] == 3


@pytest.mark.parametrize("folds", [1, 0, 2.5, True])
def test_folds_must_be_two_or_more(folds):
    with pytest.raises(InputError, match=r"folds is .* expected a whole number of at least 2"):
        dr.estimate(put(hand_log(), np.array([[0.8, 0.2], [0.5, 0.5]])), folds=folds)


def test_terminal_states_are_never_asked():
    assert END[3]
    table = TARGETS["stochastic"].copy()
    table[3] = [1.0, 0.0]
    log = sample_log(MODEL, LOGGER, 100, 3)
    one, other = dr.estimate(put(log, TARGETS["stochastic"])), dr.estimate(put(log, table))
    assert one.value == pytest.approx(other.value, rel=1e-12)
