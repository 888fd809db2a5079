"""What all estimators with finite-sample bounds owe a reader, whatever the log."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.estimators import estimator
from groundschool.evaluation.estimators._bounded import Weighted
from groundschool.evaluation.sampling import Sampler, sample_log
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, exact, hand_log, put

METHODS = ("betting", "complement", "censored_weight", "rejection", "empirical_bernstein")
RANGE = (-8.0, 20.0)  # no episode of MODEL returns less than -8 or more than 20


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def ranged(log, table, **more):
    """Ask for the return, in a declared range."""
    return dataclasses.replace(put(log, table, **more), low=RANGE[0], high=RANGE[1])


@pytest.mark.parametrize("of", ["probability:harm", "return"])
@pytest.mark.parametrize("target", ["stochastic", "deterministic"])
def test_each_bound_covers(method, target, of):
    # 100 logs of 40 episodes; at most .1 may miss on a side: 4 binomial standard errors above that.
    sampler, truth, missed = Sampler.of(MODEL, LOGGER), exact(TARGETS[target], of), np.zeros(2)
    for seed in range(100):
        log = sampler.log(40, seed)
        problem = ranged(log, TARGETS[target]) if of == "return" else put(log, TARGETS[target], of)
        low, high = estimator(method)(problem, seed=seed).bounds(0.1)
        missed += low > truth, high < truth
        assert problem.low <= low <= high <= problem.high
    assert (missed / 100 <= 0.1 + 4 * math.sqrt(0.1 * 0.9 / 100)).all()


@pytest.mark.parametrize(("bounds", "value"), [((0.0, 0.2), 0.2), ((0.8, 0.9), 0.8), ((0.0, 1.0), 3.2 / (14 / 3))])
def test_a_value_beside_its_bounds_goes_to_the_nearer_one(bounds, value):
    # By hand the value is 3.2 / (14 / 3) = .686.
    found = Weighted(put(hand_log(), HAND_TARGET, "probability:harm")).answer(lambda tail: bounds, "made up")
    assert found.value == pytest.approx(value)
    assert found.values.mean() == pytest.approx(value)


def test_more_episodes_narrow_both_kinds_of_question(method):
    for of in ("probability:harm", "return"):
        widths = []
        for n in (100, 1_000, 10_000):
            log = sample_log(MODEL, LOGGER, n, 5)
            problem = ranged(log, TARGETS["stochastic"]) if of == "return" else put(log, TARGETS["stochastic"], of)
            found = estimator(method)(problem)
            low, high = found.bounds(0.05)
            wide = found.bounds(0.001)
            assert wide[0] <= low
            assert high <= wide[1]
            widths.append(high - low)
        assert widths[0] > widths[1] > widths[2]


def test_what_the_answer_says_of_itself(method):
    log = sample_log(MODEL, LOGGER, 400, 1)
    found = estimator(method)(put(log, TARGETS["stochastic"], "probability:harm"))
    assert found.assurance == "finite-sample"
    assert found.reasons == ()
    assert any("seed 0" in note for note in found.notes)
    assert 0.0 < found.value < 1.0
    assert 0.0 < found.standard_error < 0.2
    assert found.bounds(0.05) is found.bounds(0.05)  # made once a tail
    if found.values is not None:
        assert found.values.mean() == pytest.approx(found.value)
    guessed = estimator(method)(put(log, TARGETS["stochastic"], "probability:harm", known=False))
    assert guessed.assurance == "heuristic"


def test_the_same_seed_gives_the_same_bound(method):
    problem = put(sample_log(MODEL, LOGGER, 200, 2), TARGETS["stochastic"], "probability:harm")
    one, again, other = (estimator(method)(problem, seed=seed).bounds(0.05) for seed in (3, 3, 4))
    assert one == again
    assert one != other


def test_no_event_is_never_a_zero(method):
    log = sample_log(MODEL, LOGGER, 50, 2)
    quiet = Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated,
        costs={"harm": np.zeros(log.n_steps)}, propensities=log.propensities, n_actions=2, horizon=3,
    )  # fmt: skip
    low, high = estimator(method)(put(quiet, LOGGER, "probability:harm")).bounds(0.05)
    assert low == 0.0
    assert high >= 1 - 0.05 ** (1 / 50) - 1e-9


def test_one_episode_of_one_step_bounds_next_to_nothing(method):
    log = Dataset.from_arrays(
        np.array([0]), np.array([1]), np.array([2.0]), np.array([True]), np.array([False]),
        propensities=np.array([0.5]), n_actions=2, return_range=(-1.0, 3.0),
    )  # fmt: skip
    found = estimator(method)(put(log, np.array([[0.5, 0.5]])))
    assert found.bounds(0.05) == (-1.0, 3.0)
    assert found.standard_error == math.inf


def test_weights_that_are_all_zero_bound_nothing_and_say_so(method):
    never = put(hand_log().select([0, 2]), np.array([[0.0, 1.0], [1.0, 0.0]]), "probability:harm")
    found = estimator(method)(never)
    assert found.bounds(0.05) == (0.0, 1.0)
    assert any("all weights are zero" in reason for reason in found.reasons)
    assert math.isnan(found.value)


def test_a_return_without_a_range_is_not_bounded(method):
    log = sample_log(MODEL, LOGGER, 100, 3)
    for problem in (put(log, TARGETS["stochastic"]), put(log, TARGETS["stochastic"], discount=0.9)):
        found = estimator(method)(problem)
        assert found.bounds(0.05) == (-math.inf, math.inf)
        assert any("Declare return_range" in reason for reason in found.reasons)


def test_a_cost_is_bounded_from_below_alone(method):
    sampler, truth, missed = Sampler.of(MODEL, LOGGER), exact(TARGETS["stochastic"], "cost:harm"), 0
    for seed in range(80):
        found = estimator(method)(put(sampler.log(80, seed), TARGETS["stochastic"], "cost:harm"), seed=seed)
        low, high = found.bounds(0.1)
        assert low >= 0.0
        assert high == math.inf
        missed += low > truth
    assert any("A cost has no upper end" in reason for reason in found.reasons)
    assert missed / 80 <= 0.1 + 4 * math.sqrt(0.1 * 0.9 / 80)


def test_groups_of_one_size_count_once_and_others_are_refused(method):
    log = sample_log(MODEL, LOGGER, 300, 4)
    problem = put(log, TARGETS["stochastic"], "probability:harm")
    threes = dataclasses.replace(problem, units=np.arange(300) // 3)
    found = estimator(method)(threes)
    if method == "rejection":  # episodes kept from one group are no independent trials
        assert found.bounds(0.05) == (0.0, 1.0)
        assert any("needs independent episodes" in reason for reason in found.reasons)
    else:
        assert found.reasons == ()
        assert 0.0 < found.bounds(0.05)[0] < found.bounds(0.05)[1] < 1.0
    uneven = estimator(method)(dataclasses.replace(problem, units=np.arange(300) // 7))
    assert uneven.bounds(0.05) == (0.0, 1.0)
    assert any("43 groups of different sizes" in reason for reason in uneven.reasons)


def test_copies_of_an_episode_in_one_group_add_nothing():
    log = sample_log(MODEL, LOGGER, 200, 6)
    problem = put(log, TARGETS["stochastic"], "probability:harm")
    columns = (log.observations, log.actions, log.rewards, log.terminated, log.truncated)
    copied = Dataset.from_arrays(
        *(np.tile(column, 2) for column in columns),
        costs={"harm": np.tile(log.costs["harm"], 2)}, propensities=np.tile(log.propensities, 2),
        n_actions=2, horizon=3,
    )  # fmt: skip
    grouped = dataclasses.replace(
        put(copied, TARGETS["stochastic"], "probability:harm"), units=np.tile(np.arange(200), 2)
    )
    for name in ("betting", "complement", "censored_weight"):
        one, two = (estimator(name)(p).bounds(0.05) for p in (problem, grouped))
        assert one == pytest.approx(two, abs=1e-9)


def test_open_ends_bound_nothing(method):
    log = sample_log(MODEL, LOGGER, 100, 7)
    problem = put(log, TARGETS["stochastic"], "probability:harm")
    cut = dataclasses.replace(problem, censored=np.arange(100) < 5)
    found = estimator(method)(cut)
    assert found.bounds(0.05) == (0.0, 1.0)
    assert any("5 of 100 episodes were cut before the horizon" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("censored_weight", {"threshold": 0.5}, "threshold is 0.5, expected a number of at least 1"),
        ("censored_weight", {"threshold": True}, "threshold is True"),
        ("rejection", {"threshold": math.inf}, "threshold is inf"),
        ("rejection", {"cap": 1.5}, "cap is 1.5, but an episode of the log has weight 3.2"),
        ("rejection", {"cap": 0.0}, "cap is 0.0, expected a number of at least 1"),
        ("rejection", {"learning_share": 1.0}, "learning_share is 1.0, expected a number between 0 and 1"),
        ("empirical_bernstein", {"limit": -1.0}, "limit is -1.0, expected a positive number"),
        ("empirical_bernstein", {"learning_share": 0}, "learning_share is 0"),
    ],
)
def test_options_out_of_range(name, options, sentence):
    with pytest.raises(InputError) as raised:
        estimator(name)(put(hand_log(), HAND_TARGET, "probability:harm"), **options)
    assert sentence in str(raised.value)
