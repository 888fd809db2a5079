"""Weighted per-decision importance sampling: by hand, ended episodes keep their weight, influence by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.evaluation.estimators.weighted_per_decision_is import estimate, log_totals
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.weights import step_log_weights
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, exact, hand_log, put


def repeated(log, episodes):
    """The same episodes in another order and number."""
    parts = [np.arange(log.starts[e], log.starts[e + 1]) for e in episodes]
    rows = np.concatenate(parts)
    return Dataset.from_arrays(
        log.observations[rows], log.actions[rows], log.rewards[rows], log.terminated[rows], log.truncated[rows],
        propensities=log.propensities[rows], n_actions=log.n_actions, horizon=log.horizon,
    )  # fmt: skip


def test_by_hand():
    found = estimate(put(hand_log(), HAND_TARGET))
    # Step 1 over the weights 1.6, 0.4, 1.6; step 2 over 3.2, 0.4 (the ended episode keeps it), 16/15.
    first, second = (1.6 + 1.6) / 3.6, (3.2 * 2 + 16 / 15 * 5) / (3.2 + 0.4 + 16 / 15)
    assert found.value == pytest.approx(first + second)
    assert found.values.mean() == pytest.approx(found.value)
    half = estimate(put(hand_log(), HAND_TARGET, discount=0.5))
    assert half.value == pytest.approx(first + second / 2)


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_episodes_of_one_length_agree_with_padded_arrays(discount):
    # As scope-rl 0.2.1 writes it for trajectories of one length: weights over their mean at each step.
    log = sample_log(MODEL, LOGGER, 300, 6)
    log = log.select(log.lengths == 3)
    problem = put(log, TARGETS["stochastic"], discount=discount)
    weight = np.cumprod(problem.ratios.reshape(-1, 3), axis=1)
    reward = problem.signal.reshape(-1, 3) * discount ** np.arange(3)
    expected = (weight / weight.mean(axis=0) * reward).sum(axis=1).mean()
    assert estimate(problem).value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("discount", [1.0, 0.7])
@pytest.mark.parametrize("episode", [0, 1, 2])
def test_influence_is_what_one_more_such_episode_changes(episode, discount):
    log, many = hand_log(), 2_000
    found = estimate(put(log, HAND_TARGET, discount=discount))
    more = estimate(put(repeated(log, [*list(range(3)) * many, episode]), HAND_TARGET, discount=discount))
    moved = (more.value - found.value) * (3 * many + 1)
    assert moved == pytest.approx(found.values[episode] - found.value, rel=2e-3)


def test_totals_are_plain_sums():
    problem = put(sample_log(MODEL, LOGGER, 100, 5), TARGETS["deterministic"])
    logs = step_log_weights(problem)
    totals = [
        np.exp(logs[problem.starts[:-1] + np.minimum(t, problem.lengths - 1)]).sum()
        for t in range(problem.lengths.max())
    ]
    np.testing.assert_allclose(np.exp(log_totals(problem, logs)), totals, rtol=1e-9)


def test_steps_that_no_weight_reaches_leave_it_undefined():
    log = repeated(hand_log(), [1, 2])  # actions 1 | 0, 0
    gone = estimate(put(log, np.array([[1.0, 0.0], [0.0, 1.0]])))
    assert math.isnan(gone.value)
    assert gone.bounds(0.05) == (-math.inf, math.inf)
    assert any("From step 2 on all weights are zero" in reason for reason in gone.reasons)


def test_it_settles_on_the_exact_value():
    # 40 logs of 500: the mean is within 4.5 standard errors of the truth, and the bias of a ratio is far less.
    table = TARGETS["stochastic"]
    for of, discount in [("return", 0.9), ("cost:harm", 1.0)]:
        values = [
            estimate(put(sample_log(MODEL, LOGGER, 500, 700 + i), table, of, discount=discount)).value
            for i in range(40)
        ]
        error = np.std(values, ddof=1) / math.sqrt(40)
        assert np.mean(values) == pytest.approx(exact(table, of, discount), abs=4.5 * error)


def test_its_standard_error_is_that_of_replicates():
    # The spread of 200 values is known to 5 % (one standard error); the mean of their errors is held to 20 %.
    found = [estimate(put(sample_log(MODEL, LOGGER, 300, 900 + i), TARGETS["stochastic"])) for i in range(200)]
    spread = np.std([one.value for one in found], ddof=1)
    assert np.mean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.2)
