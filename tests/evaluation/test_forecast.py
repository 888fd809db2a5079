"""What bounds are expected to become, against what they became."""

import functools

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.bounds.betting import Wager, forecast_lower, forecast_lowers
from groundschool.evaluation.forecast import imagined
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.tabular import TabularModel
from small_worlds import LOGGER, MODEL, TARGETS, exact, put

FEW, MANY, LOGS, TAIL = 300, 3_000, 16, 0.05
STEPS = 8


def corridor():
    """Two rooms; action 1 in the first pays more and harms more; taken at .2 by the logger, at .4 by the target."""
    to, reward, cost = np.zeros((3, 2, 3)), np.zeros((3, 2, 3)), np.zeros((3, 2, 3))
    to[0, 0], to[0, 1] = [0.7, 0.298, 0.002], [0.5, 0.48, 0.02]
    to[1, 0], to[1, 1] = [0.5, 0.5, 0.0], [0.9, 0.1, 0.0]
    reward[0, 1, :2], cost[:2, :, 2] = 1.0, 1.0
    ends = np.array([False, False, True])
    model = TabularModel(to, reward, {"harm": cost}, ends, np.array([1.0, 0.0, 0.0]), STEPS)
    logger, target = np.array([[0.8, 0.2], [0.5, 0.5], [0.5, 0.5]]), np.array([[0.6, 0.4], [0.5, 0.5], [0.5, 0.5]])
    return model, logger, target


@functools.cache
def log_of(episodes, seed):
    model, logger, _ = corridor()
    log = sample_log(model, logger, episodes, seed)
    return gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
        propensities=log.propensities, final_observations=log.final_observations, n_actions=2, horizon=STEPS,
        return_range=(0.0, float(STEPS)),
    )  # fmt: skip


def logs(episodes):
    return (log_of(episodes, seed) for seed in range(LOGS))


def estimated(log, of):
    policy = gs.TabularPolicy(corridor()[2])
    return gs.gain(log, policy) if of == "gain" else gs.evaluate(log, policy, of=of, method="betting")


@pytest.mark.parametrize("of", ["probability:harm", "return", "gain"])
def test_from_few_episodes_it_says_how_wide_bounds_are_from_ten_times_as_many(of):
    """Medians over 16 logs. A bound's own noise is 1 / 1.645 of a width, that of the median 1.25 / 4 of it: .19."""
    model, logger, target = corridor()
    truth = exact(target, "return" if of == "gain" else of, model=model)
    truth -= exact(logger, "return", model=model) if of == "gain" else 0.0
    forecasts = [estimated(log, of).forecast() for log in logs(FEW)]
    expected = np.median([f.widths(TAIL, np.array([MANY])) for f in forecasts], axis=0)[:, 0]
    met = np.array([estimated(log, of).bounds(TAIL) for log in logs(MANY)])
    np.testing.assert_allclose(np.median([truth - met[:, 0], met[:, 1] - truth], axis=1), expected, rtol=3.0 * 0.19)
    # The values about which it forecasts have the error that it says.
    scores = np.array([(f.value - truth) / f.standard_error for f in forecasts])
    assert np.square(scores).mean() < 32.0 / LOGS  # the .99 quantile of chi-square with 16 degrees of freedom


def test_several_numbers_of_units_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    wagers = [Wager(rng.exponential(size=500), rng.random(500)), Wager(np.ones(500), rng.random(500), floor=-1.0)]
    rounds = np.array([10, 100, 5_000])
    assert forecast_lowers(wagers, 0.05, rounds).tolist() == [forecast_lower(wagers, 0.05, int(n)) for n in rounds]


def test_widths_shrink_and_reach_no_further_than_what_was_drawn():
    found = estimated(next(logs(FEW)), "probability:harm").forecast()
    low, high = found.widths(TAIL, np.array([300, 1_000, 10_000]))
    assert (np.diff(low) < 0.0).all()
    assert (np.diff(high) < 0.0).all()
    assert found.reach == 40_000


def test_a_cost_without_end_has_no_upper_bound_to_forecast():
    log = next(logs(FEW))
    found = estimated(log, "cost:harm").forecast()
    assert found.widths(TAIL, np.array([300]))[1].tolist() == [np.inf]


@pytest.mark.parametrize("why", ["groups", "cut", "alone"])
def test_nothing_is_forecast_of_what_steps_do_not_show(why):
    log = sample_log(MODEL, LOGGER, 40, 0)
    arrays = {
        "costs": log.costs, "propensities": log.propensities, "final_observations": log.final_observations,
        "n_actions": 2, "horizon": 3 if why != "cut" else 9,
    }  # fmt: skip
    if why == "groups":
        arrays["groups"] = np.repeat(np.arange(40) // 2, log.lengths)
    again = gs.Dataset.from_arrays(log.observations, log.actions, log.rewards, log.terminated, log.truncated, **arrays)
    if why == "alone":
        again = again.select(np.arange(40) < 1)
    assert imagined(put(again, TARGETS["stochastic"]), 0) is None


def test_what_cut_episodes_would_have_come_to_is_not_forecast():
    log = log_of(FEW, 0)
    whole = log.lengths == STEPS
    cut = gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
        propensities=log.propensities, final_observations=log.final_observations, n_actions=2, horizon=STEPS + 1,
        return_range=(0.0, STEPS + 1.0),
    )  # fmt: skip
    assert whole.any()
    for of in ("probability:harm", "gain"):
        assert estimated(cut, of).forecast is None
        assert estimated(log, of).forecast is not None
