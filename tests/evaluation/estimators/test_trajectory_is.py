"""Ordinary importance sampling: by hand, exactly unbiased over every episode, honest where the log is silent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundschool.evaluation.estimators.trajectory_is import estimate
from groundschool.evaluation.sampling import sample_log
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, every_episode, exact, hand_log, put

QUESTIONS = [("return", 1.0), ("return", 0.8), ("cost:harm", 0.8), ("probability:harm", 1.0)]


def test_by_hand():
    found = estimate(put(hand_log(), HAND_TARGET))
    np.testing.assert_allclose(found.values, [9.6, 0.0, 6.4], rtol=1e-12)
    assert found.value == pytest.approx(16 / 3)
    assert found.standard_error == pytest.approx(np.std([9.6, 0.0, 6.4], ddof=1) / math.sqrt(3))
    assert estimate(put(hand_log(), HAND_TARGET, "probability:harm")).value == pytest.approx(3.2 / 3)
    half = estimate(put(hand_log(), HAND_TARGET, discount=0.5))
    assert half.value == pytest.approx((3.2 * 2.0 + 16 / 15 * 3.5) / 3)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("of", "discount"), QUESTIONS)
def test_unbiased_over_every_episode_that_can_happen(target, of, discount):
    log, chance = every_episode()
    found = estimate(put(log, TARGETS[target], of, discount=discount))
    assert chance @ found.values == pytest.approx(exact(TARGETS[target], of, discount), abs=1e-12)


def test_the_logger_itself_gets_what_was_logged():
    log = sample_log(MODEL, LOGGER, 300, 1)
    found = estimate(put(log, LOGGER))
    np.testing.assert_allclose(found.values, log.returns, rtol=1e-12)
    assert found.diagnostics["ess"] == pytest.approx(300.0)
    assert found.reasons == ()
