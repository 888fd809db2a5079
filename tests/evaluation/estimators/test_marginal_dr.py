"""Marginal doubly robust estimation: against loops, against exact values, and its coverage over many logs."""

import math

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.errors import InputError
from groundschool.evaluation.diagnostics.support import behavior_by_state
from groundschool.evaluation.estimators.marginal_dr import cross_fit, estimate
from groundschool.evaluation.finite_horizon import Model, count
from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.prior import prior
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import Sampler, sample_log
from groundschool.evaluation.tabular import TabularModel

LOGGER = np.array([[0.5, 0.5], [0.8, 0.2], [0.3, 0.7], [0.5, 0.5], [0.5, 0.5]])
TARGET = np.array([[0.2, 0.8], [0.5, 0.5], [0.6, 0.4], [0.5, 0.5], [0.5, 0.5]])


def process(horizon=8, seed=0):
    """Three states to walk in, a goal and a hazard."""
    rng = np.random.default_rng(seed)
    transitions = np.zeros((5, 2, 5))
    transitions[:3] = rng.dirichlet([2.0, 2.0, 2.0, 0.5, 0.3], size=(3, 2))
    rewards = np.zeros((5, 2, 5))
    rewards[:3] = rng.normal(size=(3, 2, 1))
    rewards[:, :, 4] -= 5.0
    cost = np.zeros((1, 1, 5))
    cost[..., 4] = 1.0
    ended = np.array([0, 0, 0, 1, 1], bool)
    return TabularModel(transitions, rewards, {"hazard": cost}, ended, np.array([0.6, 0.4, 0, 0, 0]), horizon)


def posed(log, table=TARGET, of="return", **more):
    return pose(log, gs.TabularPolicy(table), Question.parse(of, log), Behavior(log.propensities, None, True), **more)


def test_the_values_are_the_formula_written_out():
    log = sample_log(process(), LOGGER, 60, seed=4)
    problem = posed(log, discount=0.95)
    states, behavior = problem.states, behavior_by_state(problem)
    found = cross_fit(problem, behavior, 3, clip=1.3, shrinkage=0.4, seed=2)
    part = fold_of_episode(problem.units, 3, 2)
    others = count(problem, part, 3).counts.without_each()
    model = Model(others, states.target, problem.horizon, 0.95, 0.4)
    logger = Model(others, behavior, problem.horizon, 1.0, 0.4)
    by_hand, clipped = [], 0
    for e in range(problem.n_episodes):
        k = part[e]
        value = model.values[0, k, states.code[problem.starts[e]]]
        for i in range(problem.starts[e], problem.starts[e + 1]):
            s, a, o = states.code[i], problem.actions[i], states.then[i]
            pooled = sum(
                model.flow[t, k, s]
                * (
                    problem.signal[i]
                    + 0.95 * (model.values[t + 1, k, o] if o >= 0 else 0.0)
                    - _quality(model, k, s, a, t)
                )
                for t in range(problem.horizon)
            )
            base = logger.visits[k, s]
            ratio = model.visits[k, s] * states.target[s, a] / (base * problem.propensities[i])
            clipped += ratio > 1.3
            value += min(ratio, 1.3) * pooled / model.visits[k, s]
        by_hand.append(value)
    assert clipped > 10
    assert found.clipped.sum() == clipped
    assert found.values == pytest.approx(by_hand)


def _quality(model, k, s, a, t):
    c = model.counts
    rows, state = (c.state == s) & (c.action == a), c.state == s
    goes = state & (c.then >= 0)
    n = c.steps[k, rows].sum()
    got = c.signal[k, rows].sum() + 0.95 * _onward(model, k, rows & goes, t)
    anywhere = _onward(model, k, goes, t) / max(c.steps[k, goes].sum(), 1)
    gain, onward = (
        prior(_by_pair(c, each), _by_pair(c, c.steps))[k, s, a] for each in (c.signal, c.steps * (c.then >= 0))
    )
    return (got + 0.4 * (gain + 0.95 * onward * anywhere)) / (n + 0.4)


def _onward(model, k, rows, t):
    c = model.counts
    return float(c.steps[k, rows] @ model.values[t + 1, k, c.then[rows]])


def _by_pair(c, each):
    found = np.zeros((c.n_parts, c.n_states, c.n_actions))
    np.add.at(found, (slice(None), c.state, c.action), each)
    return found


def test_the_logger_itself_has_ratios_of_one():
    log = sample_log(process(), LOGGER, 200, seed=1)
    problem = posed(log, LOGGER)
    found = cross_fit(problem, behavior_by_state(problem), 10, clip=20.0)
    assert found.ratios == pytest.approx(np.ones(problem.n_rows))


def test_one_step_is_the_doubly_robust_bandit():
    """With a horizon of 1 and counts of all folds alike, the textbook's formula (Dudik et al. 2011)."""
    rng = np.random.default_rng(0)
    actions = rng.integers(2, size=400)
    rewards = rng.normal(size=400) + actions
    log = gs.Dataset.from_arrays(
        np.zeros(400, int), actions, rewards, np.ones(400, bool), np.zeros(400, bool), propensities=np.full(400, 0.5)
    )
    table = np.array([[0.1, 0.9]])
    problem = posed(log, table)
    values = cross_fit(problem, np.array([[0.5, 0.5]]), 4, clip=100.0, shrinkage=0.0).values
    part = fold_of_episode(problem.units, 4)
    for k in range(4):
        other, own = part != k, part == k
        means = np.array([rewards[other & (actions == a)].mean() for a in (0, 1)])
        weight = table[0, actions[own]] / 0.5
        assert values[own] == pytest.approx(means @ table[0] + weight * (rewards[own] - means[actions[own]]))


@pytest.mark.parametrize("of", ["return", "probability:hazard", "cost:hazard"])
def test_it_covers_and_is_nearly_efficient(of):
    """300 logs of 200 episodes; a one-sided 95 % bound may miss as often as chance allows at 1 in 10,000."""
    model, n, logs = process(), 200, 300
    exact = model.evaluate(TARGET)
    truth = {"return": exact.return_, "cost:hazard": exact.costs["hazard"]}.get(of, exact.probabilities["hazard"])
    sampler = Sampler.of(model, LOGGER)
    below = above = 0
    errors, stated = [], []
    for seed in range(logs):
        found = estimate(posed(sampler.log(n, seed), of=of))
        lower, upper = found.bounds(0.05)
        below += lower > truth
        above += upper < truth
        errors.append(found.value - truth)
        stated.append(found.diagnostics["influence_error"])
        assert not found.reasons
    allowed = stats.binom.isf(1e-4, logs, 0.05)
    assert below <= allowed
    assert above <= allowed
    spread = float(np.std(errors))
    assert abs(np.mean(errors)) < 4 * spread / math.sqrt(logs)
    # The standard deviation of 300 errors is off by 4 % (one standard error), and its second order a few per cent.
    assert 0.8 < float(np.mean(stated)) / spread < 1.2


def test_it_is_right_where_the_model_is_wrong():
    """Rewards that depend on the step: a model pooled over time is wrong, and known propensities make up for it."""
    model = process()
    target = gs.TabularPolicy(LOGGER)
    logs = [sample_log(model, LOGGER, 400, seed) for seed in range(60)]
    errors = []
    for log in logs:
        step = np.arange(log.n_steps) - np.repeat(log.starts[:-1], log.lengths)
        late = gs.Dataset.from_arrays(
            log.observations,
            log.actions,
            log.rewards + step,
            log.terminated,
            log.truncated,
            propensities=log.propensities,
            final_observations=log.final_observations,
            n_actions=2,
            horizon=8,
        )
        problem = pose(late, target, Question("return"), Behavior(late.propensities, None, True))
        errors.append(estimate(problem).value - late.returns.mean())
    spread = np.std(errors)
    assert abs(np.mean(errors)) < 4 * spread / math.sqrt(len(errors))


def test_no_event_ever_seen_has_the_rule_of_three():
    log = gs.Dataset.from_arrays(
        np.zeros(300, int),
        np.tile([0, 1], 150),
        np.zeros(300),
        np.ones(300, bool),
        np.zeros(300, bool),
        costs={"harm": np.zeros(300)},
        propensities=np.full(300, 0.5),
    )
    found = estimate(posed(log, np.array([[0.5, 0.5]]), "probability:harm"))
    assert found.value == 0.0
    assert found.bounds(0.05)[0] == 0.0
    assert found.bounds(0.05)[1] == pytest.approx(3.0 / 300, rel=0.01)
    # A target that takes one action alone has half the episodes behind it.
    one_sided = estimate(posed(log, np.array([[1.0, 0.0]]), "probability:harm"))
    assert one_sided.bounds(0.05)[1] == pytest.approx(3.0 / 150, rel=0.02)
    assert estimate(posed(log, np.array([[0.5, 0.5]]), "cost:harm")).bounds(0.05)[1] == math.inf


def test_folds_do_not_divide_groups():
    log = sample_log(process(), LOGGER, 60, seed=3)
    grouped = gs.Dataset.from_arrays(
        log.observations,
        log.actions,
        log.rewards,
        log.terminated,
        log.truncated,
        propensities=log.propensities,
        final_observations=log.final_observations,
        groups=np.repeat(np.arange(20), 3),
        n_actions=2,
        horizon=8,
    )
    problem = posed(grouped)
    part = fold_of_episode(problem.units, 10)
    assert all(len(set(part[problem.units == u])) == 1 for u in range(20))
    assert problem.n_units == 20
    alone, together = estimate(posed(log)), estimate(problem)
    assert together.standard_error != alone.standard_error


def test_one_episode_bounds_nothing():
    log = sample_log(process(), LOGGER, 1, seed=3)
    found = estimate(posed(log, of="probability:hazard"))
    assert found.bounds(0.05) == (0.0, 1.0)
    assert "one episode" in found.reasons[0]


def test_fewer_than_two_folds_are_refused():
    with pytest.raises(InputError, match="folds is 1"):
        estimate(posed(sample_log(process(), LOGGER, 5)), folds=1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"folds": 2.5}, "folds is 2.5"),
        ({"folds": "x"}, "folds is 'x'"),
        ({"clip": 0.5}, "clip is 0.5"),
        ({"clip": float("nan")}, "clip is nan"),
        ({"clip": "x"}, "clip is 'x'"),
        ({"shrinkage": -1.0}, "shrinkage is -1.0"),
        ({"shrinkage": float("nan")}, "shrinkage is nan"),
    ],
)
def test_options_out_of_range_are_one_sentence(options, said):
    problem = posed(sample_log(process(), LOGGER, 20, seed=1))
    with pytest.raises(InputError, match=said):
        estimate(problem, **options)
