"""Weights of whole episodes: figures by hand, what must be refused, what must not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.evaluation.diagnostics.weights import rarely_taken, weight_diagnosis
from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.weights import step_log_weights
from groundschool.policies.tabular import TabularPolicy
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, exact, hand_log, put


def choices(logger, n, *, seed=0, told=None, groups=None, actions=None):
    """One step, one state: actions drawn from `logger`, logged with the propensities `told`."""
    logger = np.asarray(logger, float)
    if actions is None:
        actions = np.random.default_rng(seed).choice(len(logger), n, p=logger)
    actions = np.asarray(actions).astype(int)
    return Dataset.from_arrays(
        np.zeros(n, int), actions, actions.astype(float), np.ones(n, bool), np.zeros(n, bool),
        propensities=(logger if told is None else np.asarray(told, float))[actions],
        n_actions=len(logger), groups=groups,
    )  # fmt: skip


def test_by_hand():
    found = weight_diagnosis(put(hand_log(), HAND_TARGET)).facts
    weights = np.array([3.2, 0.4, 16 / 15])
    assert found["ess"] == pytest.approx(weights.sum() ** 2 / np.square(weights).sum())
    assert found["largest_share"] == pytest.approx(3.2 / weights.sum())
    assert found["zero_share"] == 0.0
    np.testing.assert_allclose(found["by_step"]["mean"], [1.2, weights.mean()])
    np.testing.assert_allclose(
        found["by_step"]["standard_error"], [np.std([1.6, 0.4, 1.6], ddof=1) / 3**0.5, weights.std(ddof=1) / 3**0.5]
    )
    assert found["by_step"]["step"] == [1, 2]
    assert found["by_step"]["quantiles"]["0.5"] == [pytest.approx(1.6), pytest.approx(16 / 15)]
    assert found["lowest_mean"] == pytest.approx(1.2)


def test_facts_are_ready_for_json():
    for table in (HAND_TARGET, np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])):
        diagnosis = weight_diagnosis(put(hand_log(), table))
        assert diagnosis.name == "weights"
        json.dumps(dict(diagnosis.facts), allow_nan=False)


@pytest.mark.parametrize("n", [1, 5, 300])
def test_the_logger_itself_is_never_refused(n):
    diagnosis = weight_diagnosis(put(sample_log(MODEL, LOGGER, n, 1), LOGGER))
    assert diagnosis.reasons == ()
    assert diagnosis.facts["mean"] == 1.0
    assert diagnosis.facts["ess"] == pytest.approx(n)
    assert diagnosis.facts["rare_mass"] == 0.0


def test_a_mean_weight_of_two_fifths_is_refused_though_all_episodes_share_it():
    # The logger hardly knows what the target does in three of five cases; the rest is as good as equal.
    found = weight_diagnosis(put(choices([0.5, 0.4999, 0.0001], 200), np.array([[0.21, 0.21, 0.58]])))
    assert found.facts["mean"] == pytest.approx(0.42, abs=0.001)
    assert found.facts["ess"] == pytest.approx(200.0, rel=1e-6)
    assert any("average 0.42 after step 1" in reason for reason in found.reasons)


def test_a_rare_action_is_refused_that_the_mean_does_not_show():
    # One in fifty: the mean weight of .98 is within what a log of 200 shows by chance in its other actions.
    log = choices([0.8, 0.1999, 0.0001], 200, seed=1)
    problem = put(log, np.array([[0.50, 0.48, 0.02]]))
    found = weight_diagnosis(problem)
    assert found.facts["rare_mass"] == pytest.approx(0.02)
    assert abs(found.facts["worst_z"]) < 3.0
    assert [reason for reason in found.reasons if "In up to 2.0% of its episodes" in reason]
    # The same with all of the logger's probabilities known, and none where the log is long enough.
    table = np.tile([0.8, 0.1999, 0.0001], (200, 1))
    known = pose(log, TabularPolicy([[0.5, 0.48, 0.02]]), Question("return"), Behavior(log.propensities, table, True))
    assert rarely_taken(known, step_log_weights(known)).mass == pytest.approx(0.02)
    longer = put(choices([0.8, 0.1999, 0.0001], 60_000), np.array([[0.50, 0.48, 0.02]]))
    assert weight_diagnosis(longer).facts["rare_mass"] == 0.0


def test_a_rare_action_that_the_logger_takes_as_often_is_no_matter():
    log = choices([0.8, 0.1999, 0.0001], 200, seed=1)
    assert weight_diagnosis(put(log, np.array([[0.5, 0.4999, 0.0001]]))).facts["rare_mass"] == 0.0


def test_rare_actions_need_counts_or_probabilities():
    rng = np.random.default_rng(0)
    log = Dataset.from_arrays(
        rng.normal(size=(50, 2)), rng.integers(2, size=50), np.zeros(50), np.ones(50, bool), np.zeros(50, bool),
        propensities=np.full(50, 0.5), n_actions=2,
    )  # fmt: skip

    class Even(TabularPolicy):
        def probabilities(self, observations, *, masks=None):
            return np.full((len(observations), 2), 0.5)

    diagnosis = weight_diagnosis(
        pose(log, Even([[0.5, 0.5]]), Question("return"), Behavior(log.propensities, None, True))
    )
    assert diagnosis.facts["rare_mass"] is None
    assert "may go unseen" in diagnosis.notes[0]
    assert diagnosis.reasons == ()


@pytest.mark.parametrize("factor", [0.8, 1.3])
def test_wrong_propensities_are_seen_in_the_mean(factor):
    log = choices([0.7, 0.3], 400, told=np.array([0.7, 0.3]) * factor)
    reasons = weight_diagnosis(put(log, np.array([[0.6, 0.4]]))).reasons
    assert any("must average 1" in reason for reason in reasons)


def test_weights_all_alike_and_not_one():
    found = weight_diagnosis(put(choices([0.5, 0.5], 50, told=[0.4, 0.4]), np.array([[0.5, 0.5]])))
    assert any("average 1.25 after step 1, all of them alike" in reason for reason in found.reasons)
    assert found.facts["worst_z"] is None


def test_few_effective_episodes_and_one_that_carries_them():
    rare = np.array([0.97, 0.03])
    found = weight_diagnosis(put(choices(rare, 100, seed=3), np.array([[0.0, 1.0]])))
    assert any("equally weighted ones" in reason for reason in found.reasons)
    once = choices([0.5, 0.5], 40, told=[0.98, 0.02], actions=np.arange(40) == 7)
    found = weight_diagnosis(put(once, np.array([[0.7, 0.3]])))
    assert any("One episode of 40 carries" in reason for reason in found.reasons)


def test_groups_are_the_units():
    log = choices([0.5, 0.5], 40, groups=np.arange(40) // 10)
    found = weight_diagnosis(put(log, np.array([[0.45, 0.55]])))
    assert found.facts["effective_units"] <= 4.0
    assert found.facts["ess"] > 35.0
    assert found.reasons == ()  # four groups, much alike


def test_weights_all_zero():
    log = choices([1.0 - 1e-9, 1e-9], 30)
    found = weight_diagnosis(put(log, np.array([[0.0, 1.0]])))
    assert found.facts["zero_share"] == 1.0
    assert found.facts["ess"] == 0.0
    assert found.facts["largest_share"] == 0.0
    assert any("average 0 after step 1" in reason for reason in found.reasons)


def test_long_episodes_are_thinned_for_pictures():
    n, steps = 3, 400
    last = np.arange(n * steps) % steps == steps - 1
    log = Dataset.from_arrays(
        np.zeros(n * steps, int), np.arange(n * steps) % 2, np.zeros(n * steps), last, np.zeros(n * steps, bool),
        propensities=np.full(n * steps, 0.5), n_actions=2,
    )  # fmt: skip
    by_step = weight_diagnosis(put(log, np.array([[0.5, 0.5]]))).facts["by_step"]
    assert len(by_step["step"]) == 50
    assert (by_step["step"][0], by_step["step"][-1]) == (1, 400)


def test_false_alarms_are_few_where_the_log_holds_all_of_the_target():
    # 200 logs of 300: at most 5 % would be refused of a target near the logger; 10 % would be 3.2 of their errors more.
    near = 0.7 * LOGGER + 0.3 * TARGETS["stochastic"]
    refused = sum(bool(weight_diagnosis(put(sample_log(MODEL, LOGGER, 300, i), near)).reasons) for i in range(200))
    assert refused <= 20


@pytest.mark.slow
@pytest.mark.parametrize("of", ["return", "probability:harm"])
@pytest.mark.parametrize("method", ["is", "pdis", "wis", "pdwis", "dr"])
def test_bounds_of_what_passes_cover(method, of):
    # 600 logs of 150: a true coverage of .93 falls below .898 less than once in a thousand.
    table = TARGETS["stochastic"]
    truth, lower, upper = exact(table, of), [], []
    for i in range(600):
        problem = put(sample_log(MODEL, LOGGER, 150, 40_000 + i), table, of)
        if not weight_diagnosis(problem).reasons:
            bounds = estimator(method)(problem).bounds(0.05)
            lower.append(bounds[0] <= truth)
            upper.append(bounds[1] >= truth)
    assert len(lower) >= 300
    slack = 3.1 * math.sqrt(0.93 * 0.07 / len(lower))
    assert np.mean(lower) >= 0.93 - slack
    assert np.mean(upper) >= 0.93 - slack
