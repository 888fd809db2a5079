"""Running weights in log space: by hand, against plain products, zero weights, clipping, effective numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.weights import (
    clipping,
    effective_sample_size,
    effective_units,
    episode_log_weights,
    linear,
    scaled,
    step_log_weights,
)
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, every_episode, hand_log, put


def test_running_weights_by_hand():
    problem = put(hand_log(), HAND_TARGET)
    np.testing.assert_allclose(np.exp(step_log_weights(problem)), [1.6, 3.2, 0.4, 1.6, 16 / 15], rtol=1e-12)
    np.testing.assert_allclose(np.exp(episode_log_weights(problem)), [3.2, 0.4, 16 / 15], rtol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_running_weights_are_products_within_each_episode(target):
    problem = put(sample_log(MODEL, LOGGER, 200, 3), TARGETS[target])
    plain = np.concatenate([np.cumprod(part) for part in np.split(problem.ratios, problem.starts[1:-1])])
    np.testing.assert_allclose(np.exp(step_log_weights(problem)), plain, rtol=1e-9, atol=0.0)


def test_running_weights_average_one_at_every_step_exactly():
    log, chance = every_episode()
    for table in TARGETS.values():
        problem = put(log, table)
        logs = step_log_weights(problem)
        for t in range(MODEL.horizon):
            kept = logs[problem.starts[:-1] + np.minimum(t, problem.lengths - 1)]
            assert chance @ np.exp(kept) == pytest.approx(1.0, abs=1e-12)


def test_a_weight_once_zero_stays_zero_and_touches_no_other_episode():
    problem = put(hand_log(), np.array([[1.0, 0.0], [1.0, 0.0]]))
    # ratios 2, 0 | 0 | 2, 4/3
    logs = step_log_weights(problem)
    np.testing.assert_array_equal(np.isneginf(logs), [False, True, True, False, False])
    np.testing.assert_allclose(np.exp(logs), [2.0, 0.0, 0.0, 2.0, 8 / 3], rtol=1e-12)


def test_long_products_neither_overflow_nor_vanish():
    n, steps = 2, 4_000
    last = np.arange(n * steps) % steps == steps - 1
    action = np.repeat([0, 1], steps)
    log = Dataset.from_arrays(
        np.zeros(n * steps, int), action, np.ones(n * steps), last, np.zeros(n * steps, bool),
        propensities=np.full(n * steps, 0.5), n_actions=2,
    )  # fmt: skip
    logs = episode_log_weights(put(log, np.array([[0.9, 0.1]])))
    np.testing.assert_allclose(logs, [steps * math.log(1.8), steps * math.log(0.2)], rtol=1e-12)
    assert np.isfinite(linear(logs)).all()
    assert effective_sample_size(logs) == 1.0
    np.testing.assert_array_equal(scaled(logs), [1.0, 0.0])


def test_clipping_caps_running_weights_and_says_what_it_took():
    problem = put(hand_log(), HAND_TARGET)
    np.testing.assert_allclose(np.exp(step_log_weights(problem, 1.2)), [1.2, 1.2, 0.4, 1.2, 16 / 15], rtol=1e-12)
    # A weight that was above the cap and comes back below it is not cut: the product itself is unclipped.
    told = clipping(problem, 1.2)
    assert told["clipped_rows"] == pytest.approx(3 / 5)
    assert told["clipped_episodes"] == pytest.approx(1 / 3)
    assert told["removed_weight"] == pytest.approx(2.0 / (3.2 + 0.4 + 16 / 15))


def test_clipping_removes_nothing_below_the_cap_nor_of_nothing():
    assert clipping(put(hand_log(), HAND_TARGET), 3.3)["removed_weight"] == 0.0
    told = clipping(put(hand_log(), np.array([[0.0, 1.0], [0.0, 1.0]])), 0.5)  # weights 0, 0 | 2 | 0, 0
    assert told["removed_weight"] == pytest.approx(0.75)


@pytest.mark.parametrize("clip", [0.0, -1.0, math.inf, math.nan, "5", True])
def test_a_clip_must_be_a_positive_number(clip):
    with pytest.raises(InputError, match=r"clip is .* expected a positive number"):
        step_log_weights(put(hand_log(), HAND_TARGET), clip)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1, 1, 1, 1], 4.0), ([4, 0, 0], 1.0), ([3, 1], 1.6), ([0, 0], 0.0), ([1e-300, 1e-300, 3e-300], 25 / 11)],
)
def test_effective_sample_size(weights, expected):
    with np.errstate(divide="ignore"):
        assert effective_sample_size(np.log(np.array(weights, float))) == pytest.approx(expected, rel=1e-12)


def test_effective_units_add_up_the_weights_of_a_group_first():
    problem = put(hand_log(groups=np.array([7, 7, 9])), HAND_TARGET)
    a, b = 3.6, 16 / 15
    logs = episode_log_weights(problem)
    assert effective_units(logs, problem) == pytest.approx((a + b) ** 2 / (a**2 + b**2))
    alone = put(hand_log(), HAND_TARGET)
    assert effective_units(logs, alone) == pytest.approx(effective_sample_size(logs))
