"""What all estimators that weight whole episodes owe a reader, whatever the log."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.sampling import sample_log
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, hand_log, put

METHODS = ("is", "pdis", "wis", "pdwis", "dr")
NORMALIZED = ("wis", "pdwis")


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def test_the_values_average_the_value(method):
    for of in ("return", "cost:harm", "probability:harm"):
        found = estimator(method)(put(sample_log(MODEL, LOGGER, 80, 1), TARGETS["stochastic"], of))
        assert found.values.mean() == pytest.approx(found.value, rel=1e-10)
        assert found.values.shape == (80,)


def test_one_episode_of_one_step_bounds_nothing(method):
    log = Dataset.from_arrays(
        np.array([0]), np.array([1]), np.array([2.0]), np.array([True]), np.array([False]),
        propensities=np.array([0.5]), n_actions=2, return_range=(-1.0, 3.0),
    )  # fmt: skip
    found = estimator(method)(put(log, np.array([[0.5, 0.5]])))
    assert found.value == 2.0
    assert found.bounds(0.05) == (-1.0, 3.0)
    assert found.standard_error == math.inf


def test_weights_that_are_all_zero_bound_nothing_and_say_so(method):
    never = put(hand_log().select([0, 2]), np.array([[0.0, 1.0], [1.0, 0.0]]), "probability:harm")
    found = estimator(method)(never)
    assert found.bounds(0.05) == (0.0, 1.0)
    assert any("all weights are zero" in reason for reason in found.reasons)
    assert math.isnan(found.value) == (method in NORMALIZED)
    assert found.diagnostics["ess"] == 0.0


def test_no_event_is_never_a_zero(method):
    # Without events the upper bound is that of as many episodes as the weights are worth, or wider.
    log = sample_log(MODEL, LOGGER, 50, 2)
    quiet = Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated,
        costs={"harm": np.zeros(log.n_steps)}, propensities=log.propensities, n_actions=2, horizon=3,
    )  # fmt: skip
    found = estimator(method)(put(quiet, TARGETS["stochastic"], "probability:harm"))
    assert found.bounds(0.05)[0] == 0.0
    assert found.bounds(0.05)[1] == pytest.approx(1 - 0.05 ** (1 / found.diagnostics["ess"]))
    assert found.diagnostics["ess"] < 50
    assert found.assurance == "heuristic"
    itself = estimator(method)(put(quiet, LOGGER, "probability:harm"))
    assert itself.bounds(0.05)[1] == pytest.approx(1 - 0.05 ** (1 / 50))
    assert estimator(method)(put(quiet, LOGGER, "cost:harm")).bounds(0.05) == (0.0, math.inf)


def test_the_logger_gets_its_own_mean(method):
    log = sample_log(MODEL, LOGGER, 200, 3)
    found = estimator(method)(put(log, LOGGER))
    if method == "dr":
        assert abs(found.value - log.returns.mean()) < 4 * found.standard_error
    else:
        assert found.value == pytest.approx(log.returns.mean())
        assert found.standard_error == pytest.approx(log.returns.std(ddof=1) / math.sqrt(200))
    assert found.assurance == "asymptotic"


def test_estimated_propensities_make_it_heuristic(method):
    assert estimator(method)(put(sample_log(MODEL, LOGGER, 50, 3), LOGGER, known=False)).assurance == "heuristic"


def test_bounds_narrow_with_the_tail_and_stay_possible(method):
    found = estimator(method)(put(sample_log(MODEL, LOGGER, 100, 4), TARGETS["deterministic"], "probability:harm"))
    lower, upper = np.array([found.bounds(tail) for tail in (0.001, 0.01, 0.05, 0.2, 0.5)]).T
    assert (np.diff(lower) >= 0).all()
    assert (np.diff(upper) <= 0).all()
    assert (lower >= 0).all()
    assert (upper <= 1).all()


def test_an_estimate_that_cannot_be_is_not_cut_to_certainty():
    # Two episodes out of three end in harm with weights of four: an estimate of 8 thirds is no proof of harm.
    n = 30
    harm = np.tile([1.0, 1.0, 0.0], n // 3)
    log = Dataset.from_arrays(
        np.zeros(n, int), np.zeros(n, int), np.zeros(n), np.ones(n, bool), np.zeros(n, bool),
        costs={"harm": harm}, propensities=np.full(n, 0.25), n_actions=2,
    )  # fmt: skip
    found = estimator("is")(put(log, np.array([[1.0, 0.0]]), "probability:harm"))
    assert found.value == pytest.approx(8 / 3)
    assert found.bounds(0.05) == (0.0, 1.0)
    assert any("lies outside of what is possible" in reason for reason in found.reasons)


def test_an_estimate_a_little_below_zero_is_noise():
    # A model may overshoot: without any event logged its correction can fall below 0, within its error.
    found = None
    for seed in range(200):
        found = estimator("dr")(put(sample_log(MODEL, LOGGER, 12, seed), TARGETS["deterministic"], "probability:harm"))
        if found.value < 0.0:
            break
    assert found.value < 0.0
    assert not any("lies outside" in reason for reason in found.reasons)
    assert found.bounds(0.05)[0] == 0.0
    assert found.bounds(0.05)[1] > 0.0


def test_groups_of_copies_bring_no_precision(method):
    log = sample_log(MODEL, LOGGER, 60, 5)
    rows = np.concatenate([np.tile(np.arange(a, b), 3) for a, b in zip(log.starts[:-1], log.starts[1:], strict=True)])
    copies = Dataset.from_arrays(
        log.observations[rows], log.actions[rows], log.rewards[rows], log.terminated[rows], log.truncated[rows],
        propensities=log.propensities[rows], n_actions=2, horizon=3, groups=np.repeat(np.arange(60), 3),
    )  # fmt: skip
    table = TARGETS["stochastic"]
    one, three = estimator(method)(put(log, table)), estimator(method)(put(copies, table))
    close = 0.1 if method == "dr" else 1e-9  # folds differ in what they count, by shrinkage alone
    assert three.value == pytest.approx(one.value, rel=close)
    assert three.standard_error == pytest.approx(one.standard_error, rel=close)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "dr"])
def test_censored_episodes_leave_open_what_they_would_have_come_to(method):
    log = sample_log(MODEL, LOGGER, 40, 6)
    first = log.starts[:-1]
    cut = Dataset.from_arrays(
        log.observations[first], log.actions[first], log.rewards[first], log.terminated[first], ~log.terminated[first],
        costs={"harm": log.costs["harm"][first] + 0.5}, propensities=log.propensities[first], n_actions=2, horizon=3,
    )  # fmt: skip
    assert put(cut, LOGGER).censored.any()
    for of, expected in [("return", (-math.inf, math.inf)), ("cost:harm", (None, math.inf))]:
        found = estimator(method)(put(cut, TARGETS["stochastic"], of))
        lower, upper = found.bounds(0.05)
        assert upper == expected[1]
        assert lower == expected[0] if expected[0] is not None else lower > 0.0
        assert any("cut before the horizon" in reason for reason in found.reasons)
        assert found.assurance == "heuristic"


def test_clipping_is_reported(method):
    problem = put(sample_log(MODEL, LOGGER, 100, 7), TARGETS["stochastic"])
    found = estimator(method)(problem, clip=1.5)
    assert found.diagnostics["clip"] == 1.5
    assert 0.0 < found.diagnostics["clipped_rows"] < 1.0
    assert any("were clipped" in sentence for sentence in found.reasons)
    assert found.assurance == "heuristic"
    whole = estimator(method)(problem, clip=1e6)
    assert whole.value == pytest.approx(estimator(method)(problem).value, rel=1e-12)
    assert whole.reasons == ()
    assert whole.assurance == "asymptotic"


@pytest.mark.parametrize("method", [m for m in METHODS if m != "dr"])
def test_weights_twice_as_large_double_what_is_not_normalized(method):
    log = hand_log()
    half = Dataset.from_arrays(
        log.observations,
        log.actions,
        log.rewards,
        log.terminated,
        log.truncated,
        propensities=np.where(np.isin(np.arange(5), log.starts[:-1]), log.propensities / 2, log.propensities),
        n_actions=2,
        horizon=2,
    )
    one, other = (estimator(method)(put(some, HAND_TARGET)).value for some in (log, half))
    assert other == pytest.approx(one if method in NORMALIZED else 2 * one)
