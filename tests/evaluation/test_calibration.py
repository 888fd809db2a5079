"""Held-out log-loss, reliability and calibration in the large."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.envs import HazardGrid
from groundschool.errors import InputError
from groundschool.evaluation.calibration import calibration
from groundschool.evaluation.simulate import collect
from groundschool.policies.tabular import TabularPolicy


def make_log(states, actions, **columns):
    n = len(states)
    columns = {"n_actions": 2} | columns
    return Dataset.from_arrays(
        np.asarray(states), np.asarray(actions), np.zeros(n), np.ones(n, dtype=bool), np.zeros(n, dtype=bool), **columns
    )


LOG = make_log([0, 0, 1, 1], [0, 0, 1, 0], propensities=[0.5, 0.5, 0.25, 0.75])
MODEL = TabularPolicy([[0.8, 0.2], [0.5, 0.5]], name="model")


def test_by_hand():
    result = calibration(MODEL, LOG)
    assert (result.name, result.n, result.impossible, result.in_sample) == ("model", 4, 0, False)
    assert result.log_loss == pytest.approx(-(2 * math.log(0.8) + 2 * math.log(0.5)) / 4)
    assert result.logger_log_loss == pytest.approx(-(3 * math.log(0.5) + math.log(0.375)) / 4)
    # Eight pairs: .2 (two, none taken), .5 (four, two taken), .8 (two, both taken).
    assert [tuple(row) for row in result.table] == [
        pytest.approx((0.2, 0.0, 2)),
        pytest.approx((0.5, 0.5, 4)),
        pytest.approx((0.8, 1.0, 2)),
    ]
    assert result.expected_calibration_error == pytest.approx((0.2 * 2 + 0 * 4 + 0.2 * 2) / 8)
    assert [tuple(row) for row in result.actions] == [pytest.approx((0, 0.65, 0.75)), pytest.approx((1, 0.35, 0.25))]
    losses = -np.log([0.8, 0.8, 0.5, 0.5])
    assert result.log_loss_standard_error == pytest.approx(losses.std(ddof=1) / 2)
    assert json.loads(json.dumps(result.summary(), allow_nan=False))["table"][0] == {
        "predicted": pytest.approx(0.2),
        "observed": 0.0,
        "n": 2,
    }


def test_an_impossible_action_is_an_infinite_loss_and_counted():
    result = calibration(TabularPolicy([[1.0, 0.0], [1.0, 0.0]]), LOG)
    assert (result.log_loss, result.log_loss_standard_error, result.impossible) == (math.inf, math.inf, 1)
    assert result.summary()["log_loss"] is None
    assert result.table[-1] == (1.0, 0.75, 4)  # a probability of 1 belongs to the last bin


def test_forbidden_actions_are_no_pairs():
    log = make_log([0, 0], [0, 0], action_masks=np.array([[True, False], [True, True]]))
    result = calibration(TabularPolicy([[0.6, 0.4]]), log, bins=2)
    assert result.table == ((0.4, 0.0, 1), (0.8, 1.0, 2))
    assert result.logger_log_loss is None


def test_one_bin_is_calibration_in_the_large():
    result = calibration(MODEL, LOG, bins=1)
    assert result.table == (pytest.approx((0.5, 0.5, 8)),)
    assert result.expected_calibration_error == pytest.approx(0.0)


def test_the_true_logger_is_calibrated_and_a_wrong_one_is_not():
    grid = HazardGrid()
    logger = grid.logger(0.22)
    log = collect(grid, logger, 500, seed=0)
    true, wrong = calibration(logger, log), calibration(grid.logger(0.6), log)
    assert true.log_loss == pytest.approx(true.logger_log_loss, rel=1e-12)
    # Every pair of the true logger is a Bernoulli of its own probability: 4 sd of a bin's rate.
    for row in true.table:
        assert abs(row.observed - row.predicted) <= 4 * math.sqrt(0.25 / row.n)
    assert true.expected_calibration_error < 0.01
    assert wrong.expected_calibration_error > 0.1
    assert wrong.log_loss > true.log_loss + 4 * true.log_loss_standard_error


@pytest.mark.parametrize("nested", [False, True])
def test_a_policy_judged_on_what_it_studied_is_marked(nested):
    studied, fresh = make_log([0, 1], [0, 1]), make_log([1, 0], [1, 1])
    policy = TabularPolicy(MODEL.table)
    policy.training = SimpleNamespace(episode_hashes=tuple(studied.episode_hashes.tolist()))
    judged = policy.greedy() if nested else policy
    assert calibration(judged, studied.select([0])).in_sample
    assert not calibration(judged, fresh).in_sample


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration(MODEL, LOG, bins=0), "bins is 0"),
        (lambda: calibration(MODEL, LOG, bins=2.5), "bins is 2.5"),
        (lambda: calibration(TabularPolicy([[0.2, 0.3, 0.5]]), LOG), "chooses among 3 actions"),
        (lambda: calibration(HazardGrid().logger(), make_log([0], [3], n_actions=4)), "observations"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
