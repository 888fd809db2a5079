"""What the calibration of off-policy evaluation stands on: its worlds, its targets and the efficiency bound."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from groundschool.envs import HazardGrid
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.tabular import TabularModel

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import ope_summary
import ope_targets
from ope_efficiency import efficiency_bound
from ope_worlds import WORLDS, random_world, world

OF = ("return", "cost:fee", "probability:fee")


def small_model(horizon: int = 4) -> TabularModel:
    """Three states and an end; costs that may come again and again, also in a step that goes on."""
    rng = np.random.default_rng(3)
    states, actions = 4, 2
    shape = (states, actions, states)
    return TabularModel(
        transitions=rng.dirichlet(np.ones(states), size=(states, actions)),
        rewards=rng.normal(size=shape),
        costs={"fee": rng.random(shape) * (rng.random(shape) < 0.3)},
        terminal=np.arange(states) == 3,
        initial=np.array([0.5, 0.3, 0.2, 0.0]),
        horizon=horizon,
    )


def policies(model: TabularModel) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    target, behavior = rng.dirichlet(np.full(model.n_actions, 2.0), size=(2, model.n_states))
    return target, behavior


def ending_at_events(model: TabularModel) -> TabularModel:
    """The same process with a further state where every first event leads, so that its sum is the probability."""
    S, A = model.n_states, model.n_actions
    event = model.costs["fee"] > 0
    transitions = np.zeros((S + 1, A, S + 1))
    transitions[:S, :, :S] = model.transitions * ~event
    transitions[:S, :, S] = (model.transitions * event).sum(axis=2)
    transitions[S, :, S] = 1.0
    terminal = np.append(model.terminal, True)
    return TabularModel(transitions, np.eye(S + 1)[S], {}, terminal, np.append(model.initial, 0.0), model.horizon)


def test_bound_of_a_bandit_by_hand() -> None:
    """One step, one state: the rewards of the two actions are 0 or 2 (p = .25) and -1 or 1 (p = .5).

    Variances .75 and 1; target (.6, .4), behavior (.2, .8): .36 / .2 * .75 + .16 / .8 * 1 = 1.35 + .2.
    """
    transitions = np.zeros((3, 2, 3))
    transitions[0] = [[0, 0.75, 0.25], [0, 0.5, 0.5]]
    transitions[1:] = np.eye(3)[1:, None]
    rewards = np.zeros((3, 2, 3))
    rewards[0] = [[0, 0, 2], [0, -1, 1]]
    model = TabularModel(transitions, rewards, {}, np.array([False, True, True]), np.array([1.0, 0, 0]), 1)
    target, behavior = np.tile([0.6, 0.4], (3, 1)), np.tile([0.2, 0.8], (3, 1))
    found = efficiency_bound(model, target, behavior)
    assert found.value == pytest.approx(0.6 * 0.5)
    assert found.variance == pytest.approx(1.55)
    assert found.standard_error(100) == pytest.approx(np.sqrt(0.0155))
    # Noise of variance .25 on each reward: .36 / .2 * .25 + .16 / .8 * .25 more.
    assert efficiency_bound(model, target, behavior, reward_noise=0.5).variance == pytest.approx(1.55 + 0.5)


def cramer_rao(model: TabularModel, target: np.ndarray, behavior: np.ndarray) -> float:
    """The bound of the categorical model, from nothing but exact values of models that differ a little.

    With G(o) the derivative of the value as p(.|s, a) moves toward o, its Fisher information gives sum_o p(o) G(o)^2
    over the expected number of visits to (s, a); likewise for the first state.
    """
    h = 1e-5

    def slope(change: dict[str, np.ndarray], back: dict[str, np.ndarray]) -> float:
        up, down = dataclasses.replace(model, **change), dataclasses.replace(model, **back)
        return (up.evaluate(target).return_ - down.evaluate(target).return_) / (2 * h)

    running = np.flatnonzero(~model.terminal)
    total = 0.0
    for s in running:
        if model.initial[s] == 0:
            continue
        step = h * (np.eye(model.n_states)[s] - model.initial)
        total += model.initial[s] * slope({"initial": model.initial + step}, {"initial": model.initial - step}) ** 2
    for s in running:
        # Expected visits to a state under the behavior policy: the return where every step there pays 1.
        pays = np.zeros(model.transitions.shape)
        pays[s] = 1.0
        visits = dataclasses.replace(model, rewards=pays).evaluate(behavior).return_
        for a in range(model.n_actions):
            for o in np.flatnonzero(model.transitions[s, a]):
                step = np.zeros(model.transitions.shape)
                step[s, a] = h * (np.eye(model.n_states)[o] - model.transitions[s, a])
                gradient = slope({"transitions": model.transitions + step}, {"transitions": model.transitions - step})
                total += model.transitions[s, a, o] * gradient**2 / (visits * behavior[s, a])
    return total


@pytest.mark.parametrize("horizon", [1, 2, 5])
def test_bound_is_that_of_cramer_and_rao(horizon: int) -> None:
    """Rewards are known functions of the transition there, so the categorical model is all there is to know."""
    model = small_model(horizon)
    target, behavior = policies(model)
    assert efficiency_bound(model, target, behavior).variance == pytest.approx(
        cramer_rao(model, target, behavior), rel=1e-6
    )
    costs = dataclasses.replace(model, rewards=model.costs["fee"])
    assert efficiency_bound(model, target, behavior, "cost:fee").variance == pytest.approx(
        cramer_rao(costs, target, behavior), rel=1e-6
    )
    # The event's own transitions make it coarser than the original ones: the same information, as all lead to one end.
    events = ending_at_events(model)
    more = [np.vstack([policy, np.full(2, 0.5)]) for policy in (target, behavior)]
    assert efficiency_bound(model, target, behavior, "probability:fee").variance == pytest.approx(
        cramer_rao(events, *more), rel=1e-6
    )


@pytest.mark.parametrize("of", OF)
def test_the_oracle_s_influence_values_have_that_variance(of: str) -> None:
    """Influence values with the true nuisances, over 40,000 episodes: their mean and their variance within 4.5 errors.

    The error of a variance is that of the mean of squared deviations. Nuisances come by enumeration of the steps.
    """
    model, n = small_model(), 40_000
    target, behavior = policies(model)
    log = sample_log(model, behavior, n, seed=1)
    assert log.final_observations is not None
    state, action = log.observations, log.actions
    arrival = np.append(state[1:], 0)
    arrival[log.starts[1:] - 1] = log.final_observations
    signal = {"return": model.rewards, "cost:fee": model.costs["fee"]}.get(of, (model.costs["fee"] > 0) * 1.0)
    on = model.transitions * ~model.terminal * (~(model.costs["fee"] > 0) if of == OF[2] else 1.0)
    H, S = model.horizon, model.n_states
    V, d, d_b = np.zeros((H + 1, S)), np.zeros((H, S)), np.zeros((H, S))
    goes = np.where(on > 0, 1.0, 0.0)
    for t in reversed(range(H)):
        for s in range(S - 1):
            for a in range(2):
                V[t, s] += target[s, a] * (model.transitions[s, a] * (signal[s, a] + goes[s, a] * V[t + 1])).sum()
    d[0] = d_b[0] = model.initial
    for t in range(1, H):
        d[t], d_b[t] = (
            np.einsum("s,sa,sao->o", was[t - 1], policy, on) for was, policy in ((d, target), (d_b, behavior))
        )
    ahead = np.einsum("ts,to->so", d, V[1:]) / np.maximum(d.sum(axis=0), 1e-300)[:, None]
    U = signal + goes * ahead[:, None, :]
    residual = U - (model.transitions * U).sum(axis=2, keepdims=True)
    weight = (d.sum(axis=0) / np.maximum(d_b.sum(axis=0), 1e-300))[:, None] * target / behavior
    rows = weight[state, action] * residual[state, action, arrival]
    if of == OF[2]:
        event = log.costs["fee"] > 0
        before = np.cumsum(event) - event
        rows = rows * (before == np.repeat(before[log.starts[:-1]], log.lengths))
    phi = V[0][state[log.starts[:-1]]] + np.add.reduceat(rows, log.starts[:-1])
    found = efficiency_bound(model, target, behavior, of)
    exact = model.evaluate(target)
    truth = {"return": exact.return_, "cost:fee": exact.costs["fee"]}.get(of, exact.probabilities["fee"])
    assert found.value == pytest.approx(truth, abs=1e-12)
    assert abs(phi.mean() - truth) < 4.5 * phi.std() / np.sqrt(n)
    squares = np.square(phi - truth)
    assert abs(squares.mean() - found.variance) < 4.5 * squares.std() / np.sqrt(n)


def test_bound_is_infinite_without_support() -> None:
    model = small_model()
    target, behavior = policies(model)
    behavior = np.where(np.arange(4)[:, None] == 1, [[1.0, 0.0]], behavior)
    assert efficiency_bound(model, target, behavior).variance == np.inf


@pytest.mark.parametrize("name", list(WORLDS))
def test_worlds_hold_together(name: str) -> None:
    """A policy that reads observations is the table it was made of; the logger takes every allowed action."""
    one = world(name)
    observations = np.asarray(one.model.observations)
    assert (one.policy(one.logger, "it").probabilities(observations) == one.logger).all()
    assert ((one.logger > 0) == (one.uniform > 0)).all()
    assert 0.01 < one.model.evaluate(one.logger).probabilities[one.cost] < 0.99


def test_taxi_drives_through_no_wall_and_is_fined_for_illegal_pickups() -> None:
    one = world("taxi")
    assert one.masks is not None
    model, running = one.model, ~one.model.terminal
    stays = model.transitions[np.arange(500), :, np.arange(500)] == 1.0
    assert not (stays[:, :4] & one.masks[:, :4])[running].any()
    assert one.masks[:, 4:].all()
    fined = (model.costs["illegal"] * model.transitions).sum(axis=2)
    assert (fined[running, :4] == 0).all()
    assert set(np.unique(fined[running, 4:])) == {0.0, 1.0}
    # The best plan is never fined, and each step but the last costs 1.
    best = model.evaluate(ope_targets.plan(model, one.masks))
    assert best.probabilities["illegal"] == 0.0
    assert best.ends["terminated"] == pytest.approx(1.0)
    assert best.return_ == pytest.approx(20 - (best.length - 1))


def test_targets_of_the_tutorial_are_those_described() -> None:
    grid = HazardGrid()
    one = world("grid-tutorial")
    tables = ope_targets.fixed(one, tuple(name for name in ope_targets.TARGETS if name != "cql"))
    hazard = {name: grid.model().evaluate(table).probabilities["hazard"] for name, table in tables.items()}
    assert hazard["logger"] == pytest.approx(0.207, abs=5e-4)
    assert hazard["half-danger"] == pytest.approx(0.825, abs=5e-4)
    assert hazard["hidden"] == pytest.approx(0.88, abs=0.01)
    assert hazard["optimum"] < 0.001
    assert np.array_equal(tables["logger"], grid.logger(0.22).table)
    np.testing.assert_allclose(tables["intent"], grid.logger(0.0).table)
    np.testing.assert_allclose(tables["milder"], grid.logger(0.33).table)


def test_the_hidden_danger_is_barely_logged() -> None:
    """More than half of its episodes take a pair that 500 episodes of the logger hold less than once."""
    for name in ("grid-tutorial", "random-50x4"):
        one = world(name)
        table = ope_targets.hidden(one)
        assert table is not None
        logged = 500 * ope_targets.visits(one, one.logger)[:, None] * one.logger
        barely = (ope_targets.visits(one, table)[:, None] * table)[logged < 1].sum()
        assert barely > 0.5
        assert one.model.evaluate(table).probabilities[one.cost] > 0.4


def test_learned_targets_come_from_their_own_log() -> None:
    one = world("grid-tutorial")
    first, second, more = (ope_targets.learned(one, n, seed) for n, seed in ((500, 1), (500, 2), (5_000, 1)))
    for made in (first, second, more):
        for table in made.values():
            np.testing.assert_allclose(table.sum(axis=1), 1.0)
    assert not np.array_equal(first["bc"], second["bc"])
    log = one.sampler.log(500, 1)
    counts = np.zeros(one.logger.shape)
    np.add.at(counts, (one.states(log.observations), log.actions), 1)
    often = counts >= ope_targets.OFTEN
    used = (first["restricted"] > 0)[often.any(axis=1)]
    assert not (used & ~often[often.any(axis=1)]).any()
    values = [one.model.evaluate(made["restricted"]).return_ for made in (first, more)]
    assert one.model.evaluate(one.intent).return_ < values[0] < values[1] < one.model.optimal().value.return_


def test_random_worlds_differ_by_seed_and_repeat() -> None:
    make = [random_world("one", 10, 2, 3, 10, 0.5, ending=0.05, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(make[0].model.transitions, make[1].model.transitions)
    assert not np.array_equal(make[0].model.transitions, make[2].model.transitions)


def record_of(log: int, target: str, of: str, *, value: float, width: float, trusted: bool = True) -> dict[str, Any]:
    """An estimate of .2 (return: of -14) on the tutorial's grid; the bounds lie `width` away from it."""
    truth = 0.2 if of == "probability" else -14.0
    where = {"world": "grid-tutorial", "family": "HazardGrid", "episodes": 500, "log": log, "target": target, "of": of}
    found = {"value": truth + value, "lower": truth + value - width, "upper": truth + value + width}
    rest = {
        "least_error": 0.01,
        "seconds": 0.1,
        "standard_error": width,
        "reasons": [] if trusted else ["Why: 3 of 4."],
    }
    return (
        where | found | rest | {"truth": truth, "trusted": trusted, "wis": truth + 2 * value, "fqe": truth + 4 * value}
    )


def test_rows_count_coverage_on_the_side_that_matters() -> None:
    """Of 100 upper bounds 8 are below the truth, of 100 lower bounds 20 above; half of these are not trusted."""
    records = [record_of(i, "logger", "probability", value=-0.02 if i < 8 else 0.01, width=0.015) for i in range(100)]
    records += [
        record_of(i, "logger", "return", value=0.02 if i < 20 else -0.01, width=0.015, trusted=i % 2 == 0)
        for i in range(100)
    ]
    result = ope_summary.summarize(records)
    above, below = result["rows"]
    assert (above["of"], above["covered"], above["trusted"], above["claimed_covered"]) == ("probability", 92, 100, 92)
    assert above["rmse"] == pytest.approx(np.sqrt((8 * 4e-4 + 92 * 1e-4) / 100))
    assert above["rmse_ratio"] == pytest.approx(above["rmse"] / 0.01)
    assert above["bias"] == pytest.approx((8 * -0.02 + 92 * 0.01) / 100)
    assert above["beside_peers"]["wis"] == pytest.approx(2 * above["rmse"])
    assert (below["of"], below["covered"], below["trusted"], below["claimed_covered"]) == ("return", 40, 50, 80)
    assert below["reasons"] == {"Why: # of #": 50}
    tests = {(one["what"], one["of"]): one for one in result["tests"]}
    assert tests["coverage", "probability"]["p"] == pytest.approx(stats.binom.cdf(92, 100, 0.9))
    assert tests["coverage", "return"]["p"] == pytest.approx(stats.binom.cdf(40, 50, 0.9))
    assert tests["trusted", "return"]["share"] == 0.5
    # Five tests and two of pools: half trusted is a miss at any level, 92 of 100 is none.
    assert not tests["trusted", "return"]["met"]
    assert tests["coverage", "probability"]["met"]
    assert result["peers"]["cells"] == 1
    assert result["peers"]["near_or_best"] == 1.0


def test_an_exactly_calibrated_method_passes() -> None:
    """Coverage at the bars themselves, 40 rows of 200, in 200 runs: by Bonferroni at most 5 % of runs miss a test.

    More than 22 of 200 would come by chance in one run of 1,000.
    """
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(200):
        hits = rng.binomial(200, 0.9, size=40)
        missed += bool((np.array([ope_summary.below(int(k), 200, 0.9) for k in hits]) < ope_summary.LEVEL / 40).any())
    assert missed <= 22
