"""Weighted importance sampling: by hand, its influence values by brute force, covered in replicates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundschool.evaluation.estimators.weighted_is import estimate
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.weights import episode_log_weights
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, every_episode, exact, hand_log, put


def test_by_hand():
    found = estimate(put(hand_log(), HAND_TARGET))
    total = 3.2 + 0.4 + 16 / 15
    value = (9.6 + 6.4) / total
    assert found.value == pytest.approx(value)
    pulls = np.array([3.2 * (3.0 - value), 0.4 * (0.0 - value), 16 / 15 * (6.0 - value)]) * 3 / total
    np.testing.assert_allclose(found.values, value + pulls, rtol=1e-12)
    assert found.standard_error == pytest.approx(math.sqrt(np.square(pulls).sum() / 2 / 3))


def test_over_every_episode_that_can_happen_it_is_exact():
    log, chance = every_episode()
    problem = put(log, TARGETS["stochastic"])
    weights = chance * np.exp(episode_log_weights(problem))
    assert weights @ problem.returns / weights.sum() == pytest.approx(exact(TARGETS["stochastic"]), abs=1e-12)


@pytest.mark.parametrize("episode", [0, 1, 2])
def test_influence_is_what_one_more_such_episode_changes(episode):
    log, many = hand_log(), 3_000
    found = estimate(put(log, HAND_TARGET))
    copies = np.concatenate([np.tile(np.arange(3), many), [episode]])
    # The log of an episode repeated is made of its weights alone.
    weights, sums = np.array([3.2, 0.4, 16 / 15])[copies], np.array([3.0, 0.0, 6.0])[copies]
    moved = (weights @ sums / weights.sum() - found.value) * len(copies)
    assert moved == pytest.approx(found.values[episode] - found.value, rel=2e-3)


def test_an_average_stays_among_what_was_logged():
    rng = np.random.default_rng(0)
    for seed in range(20):
        problem = put(sample_log(MODEL, LOGGER, 20, seed), rng.dirichlet([0.3, 0.3], 4))
        assert problem.returns.min() - 1e-12 <= estimate(problem).value <= problem.returns.max() + 1e-12


def test_one_sided_bounds_cover():
    # 400 logs: a true coverage of .92 falls below .878 less than once in a thousand.
    table, replicates = TARGETS["stochastic"], 400
    truth = exact(table)
    bounds = np.array(
        [estimate(put(sample_log(MODEL, LOGGER, 300, 20_000 + i), table)).bounds(0.05) for i in range(replicates)]
    )
    assert (bounds[:, 0] <= truth).mean() >= 0.878
    assert (bounds[:, 1] >= truth).mean() >= 0.878
