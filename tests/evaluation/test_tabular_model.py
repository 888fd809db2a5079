"""The exact solver against enumeration of every trajectory, hand-computed chains and plain dynamic programming."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundschool.errors import InputError
from groundschool.evaluation.tabular import ExactValue, TabularModel
from groundschool.policies import TabularPolicy


def random_model(seed: int, *, states: int = 4, actions: int = 2, horizon: int = 4) -> TabularModel:
    """Two ends (the last two states), a cost that may come again and again, and one that comes with an end."""
    rng = np.random.default_rng(seed)
    terminal = np.arange(states) >= states - 2
    initial = np.where(terminal, 0.0, rng.random(states))
    shape = (states, actions, states)
    transitions = rng.dirichlet(np.full(states, 0.7), size=(states, actions))
    transitions[0, 0] = np.eye(states)[0]  # some of it certain
    return TabularModel(
        transitions=transitions,
        rewards=rng.normal(size=shape),
        costs={"wear": rng.random(shape) * (rng.random(shape) < 0.5), "crash": np.eye(states)[-1]},
        terminal=terminal,
        initial=initial / initial.sum(),
        horizon=horizon,
        ends={"good": np.arange(states) == states - 2, "bad": np.arange(states) == states - 1},
    )


def random_policy(model: TabularModel, seed: int, *, stationary: bool) -> np.ndarray:
    leading = () if stationary else (model.horizon,)
    return np.random.default_rng(seed).dirichlet(np.ones(model.n_actions), size=(*leading, model.n_states))


def enumerate_trajectories(model: TabularModel, policy: np.ndarray) -> ExactValue:
    """Follow every trajectory to its end, one at a time."""
    steps = np.broadcast_to(policy, (model.horizon, *policy.shape[-2:]))
    total = {"return": 0.0, "length": 0.0}
    costs, events = dict.fromkeys(model.costs, 0.0), dict.fromkeys(model.costs, 0.0)
    ends = dict.fromkeys([*model.ends, "timeout"], 0.0)

    def follow(t: int, s: int, p: float, reward: float, spent: dict[str, float]) -> None:
        if p == 0.0:
            return
        if model.terminal[s] or t == model.horizon:
            total["return"] += p * reward
            total["length"] += p * t
            ends[next((name for name, at in model.ends.items() if at[s]), "timeout")] += p
            for name, cost in spent.items():
                costs[name] += p * cost
                events[name] += p * (cost > 0)
            return
        for a in range(model.n_actions):
            for o in range(model.n_states):
                probability = p * steps[t, s, a] * model.transitions[s, a, o]
                now = {name: cost + model.costs[name][s, a, o] for name, cost in spent.items()}
                follow(t + 1, o, probability, reward + model.rewards[s, a, o], now)

    for s in range(model.n_states):
        follow(0, s, model.initial[s], 0.0, dict.fromkeys(model.costs, 0.0))
    return ExactValue(total["return"], total["length"], costs, events, ends)


def assert_same(value: ExactValue, expected: ExactValue) -> None:
    for got, want in zip(dataclasses.astuple(value), dataclasses.astuple(expected), strict=True):
        assert got == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("stationary", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_every_trajectory(seed: int, stationary: bool) -> None:
    model = random_model(seed)
    policy = random_policy(model, seed, stationary=stationary)
    assert_same(model.evaluate(policy), enumerate_trajectories(model, policy))


def test_repeated_costs_by_hand() -> None:
    # One state that stays with 0.9 (cost 2 with it) and leaves for the end with 0.1 (no cost), at most 3 steps.
    model = TabularModel(
        transitions=np.array([[[0.9, 0.1]], [[0.0, 1.0]]]),
        rewards=np.array(1.0),
        costs={"wear": np.array([2.0, 0.0])},
        terminal=np.array([False, True]),
        initial=np.array([1.0, 0.0]),
        horizon=3,
    )
    value = model.evaluate(np.ones((2, 1)))
    assert value.length == pytest.approx(1 + 0.9 + 0.81)
    assert value.return_ == pytest.approx(2.71)
    assert value.costs == pytest.approx({"wear": 2 * (0.9 + 0.81 + 0.729)})
    assert value.probabilities == pytest.approx({"wear": 0.9})  # the first step decides: not the sum of three chances
    assert value.ends == pytest.approx({"terminated": 0.271, "timeout": 0.729})


def test_a_tiny_probability_keeps_its_digits() -> None:
    model = TabularModel(
        transitions=np.array([[[1.0 - 1e-14, 1e-14]], [[0.0, 1.0]]]),
        rewards=np.zeros(1),
        costs={"crash": np.array([0.0, 1.0])},
        terminal=np.array([False, True]),
        initial=np.array([1.0, 0.0]),
        horizon=10,
    )
    assert model.evaluate(np.ones((2, 1))).probabilities["crash"] == pytest.approx(1e-13, rel=1e-9)


def test_a_policy_is_asked_at_the_observations() -> None:
    model = random_model(5)
    table = random_policy(model, 5, stationary=True)
    assert_same(model.evaluate(TabularPolicy(table)), model.evaluate(table))
    shown = dataclasses.replace(model, observations=np.array([3, 2, 1, 0]))
    assert_same(shown.evaluate(TabularPolicy(table[::-1])), model.evaluate(table))


def test_terminal_rows_do_not_matter() -> None:
    model = random_model(6)
    table = random_policy(model, 6, stationary=True)
    changed, transitions = table.copy(), model.transitions.copy()
    changed[model.terminal] = [1.0, 0.0]
    transitions[model.terminal] = 0.0
    assert_same(dataclasses.replace(model, transitions=transitions).evaluate(changed), model.evaluate(table))


@pytest.mark.parametrize("fill", [0.0, np.nan])
def test_a_table_may_be_empty_in_terminal_states(fill: float) -> None:
    model = random_model(6)
    table = random_policy(model, 6, stationary=True)
    expected = model.evaluate(table)
    table[model.terminal] = fill
    assert_same(model.evaluate(table), expected)


def backward(model: TabularModel) -> list[float]:
    """The optimal values with all steps to go, by recursion on scalars."""
    values = [0.0] * model.n_states
    for _ in range(model.horizon):
        values = [
            0.0
            if model.terminal[s]
            else max(
                math.fsum(
                    model.transitions[s, a, o] * (model.rewards[s, a, o] + values[o]) for o in range(model.n_states)
                )
                for a in range(model.n_actions)
            )
            for s in range(model.n_states)
        ]
    return values


@pytest.mark.parametrize("seed", range(4))
def test_the_plan_has_the_optimal_value(seed: int) -> None:
    model = random_model(seed, states=6, actions=3, horizon=7)
    plan = model.optimal()
    values = backward(model)
    np.testing.assert_allclose(plan.state_values, values, atol=1e-12)
    assert plan.value.return_ == pytest.approx(float(model.initial @ values), abs=1e-12)
    assert plan.table.shape == (7, 6, 3)
    np.testing.assert_array_equal(np.sort(plan.table, axis=2)[..., -1], 1.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 12))
def test_no_policy_beats_the_plan(seed: int, stationary: bool, horizon: int) -> None:
    model = random_model(seed, states=5, actions=3, horizon=horizon)
    value = model.evaluate(random_policy(model, seed + 1, stationary=stationary))
    assert model.optimal().value.return_ >= value.return_ - 1e-10
    assert sum(value.ends.values()) == pytest.approx(1.0, abs=1e-12)
    assert 0.0 <= value.probabilities["wear"] <= 1.0 + 1e-12
    assert value.probabilities["crash"] == pytest.approx(value.ends["bad"], abs=1e-12)
    assert value.length <= horizon + 1e-12


def test_the_plan_minds_the_clock() -> None:
    # Action 0 earns 1 a step; action 1 costs 1 now and ends with 5 from the second state: worth it with 2 steps to go
    # (-1 + 5 > 1 + 1), not with 1.
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 0] = transitions[0, 1, 1] = transitions[1, :, 2] = transitions[2, :, 2] = 1.0
    rewards = np.zeros((3, 2, 1))
    rewards[0, 0], rewards[0, 1], rewards[1] = 1.0, -1.0, 5.0
    model = TabularModel(transitions, rewards, {}, np.array([False, False, True]), np.array([1.0, 0, 0]), horizon=3)
    plan = model.optimal()
    assert plan.value.return_ == pytest.approx(5.0)  # 1 - 1 + 5
    assert plan.table[:, 0].argmax(axis=1).tolist() == [0, 1, 0]


@pytest.mark.parametrize("stationary", [True, False])
def test_action_values(stationary: bool) -> None:
    model = random_model(8)
    policy = random_policy(model, 8, stationary=stationary)
    values = model.action_values(policy)
    first = policy if stationary else policy[0]
    assert float(model.initial @ (first * values).sum(axis=1)) == pytest.approx(model.evaluate(policy).return_)
    assert not values[model.terminal].any()
    # with discount 0 only the next reward counts
    expected = (model.transitions * model.rewards).sum(axis=2)
    np.testing.assert_allclose(model.action_values(policy, 0.0)[:2], expected[:2])


def test_discounted_action_values_by_hand() -> None:
    model = TabularModel(np.ones((1, 1, 1)), np.ones(1), {}, np.array([False]), np.ones(1), horizon=3)
    assert model.action_values(np.ones((1, 1)), 0.5)[0, 0] == pytest.approx(1 + 0.5 + 0.25)


def test_against_sampled_episodes() -> None:
    model = random_model(11, states=8, actions=3, horizon=25)
    table = random_policy(model, 11, stationary=True)
    rng, n = np.random.default_rng(0), 20_000
    state = rng.choice(8, size=n, p=model.initial)
    returns, wear, length = np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(model.horizon):
        alive = ~model.terminal[state]
        action = (rng.random(n)[:, None] > np.cumsum(table, axis=1)[state]).sum(axis=1).clip(max=2)
        following = (
            (rng.random(n)[:, None] > np.cumsum(model.transitions, axis=2)[state, action]).sum(axis=1).clip(max=7)
        )
        returns += alive * model.rewards[state, action, following]
        wear += alive * model.costs["wear"][state, action, following]
        length += alive
        state = np.where(alive, following, state)
    value = model.evaluate(table)
    samples = [(returns, value.return_), (wear, value.costs["wear"]), (length, value.length)]
    samples += [(wear > 0, value.probabilities["wear"]), (state == 6, value.ends["good"])]
    for sample, exact in samples:  # 4.5 standard errors: 7 in a million
        assert abs(sample.mean() - exact) < 4.5 * sample.std() / math.sqrt(n)


def fields(**changes: Any) -> dict[str, Any]:
    model = random_model(0)
    return {field.name: getattr(model, field.name) for field in dataclasses.fields(model)} | changes


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transitions": np.ones((4, 2, 3))}, "transitions have shape"),
        ({"transitions": np.ones((4, 2, 4))}, "transitions of non-terminal states"),
        ({"transitions": np.full((4, 2, 4), np.nan)}, "transitions of non-terminal states"),
        ({"transitions": np.where(np.arange(4)[:, None, None] < 2, 0.25, np.nan) * np.ones((4, 2, 4))}, "never used"),
        ({"transitions": "abc"}, "transitions: expected an array of numbers"),
        ({"rewards": np.ones(3)}, r"rewards has shape \(3,\)"),
        ({"rewards": np.array(np.inf)}, "rewards has entries that are not finite"),
        ({"costs": {"wear": np.array(-1.0)}}, "cost 'wear' is negative"),
        ({"costs": {"wear": np.ones((2, 2))}}, "cost 'wear' has shape"),
        ({"terminal": np.zeros(4)}, "terminal: expected bool"),
        ({"initial": np.full(4, 0.25)}, "initial puts probability on a terminal state"),
        ({"initial": np.array([0.5, 0.4, 0, 0])}, "initial: every row must be a distribution"),
        ({"initial": np.ones(3) / 3}, "initial has shape"),
        ({"horizon": 0}, "horizon is 0"),
        ({"horizon": 2.0}, "horizon is 2.0"),
        ({"observations": np.zeros((3, 2))}, "expected 4 rows"),
        ({"ends": {"good": np.arange(4) == 2}}, "ends must cover each terminal state exactly once"),
        ({"ends": {"a": np.arange(4) >= 2, "b": np.arange(4) == 2}}, "exactly once"),
        ({"ends": {"timeout": np.arange(4) >= 2}}, "kept for episodes cut at the horizon"),
    ],
)
def test_refuses_a_model(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        TabularModel(**fields(**changes))


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (np.ones((4, 2)), "policy table at non-terminal states"),
        (np.full((4, 2), -0.5), "policy table at non-terminal states"),
        (np.ones((4, 3)) / 3, r"shape \(4, 3\), expected \(4, 2\) or \(4, 4, 2\)"),
        (np.ones((3, 4, 2)) / 2, "expected"),
        (TabularPolicy(np.ones((4, 3)) / 3), "3 actions"),
        (TabularPolicy(np.ones((3, 2)) / 2), "state ids"),
        ("logger", "expected an array of numbers"),
    ],
)
def test_refuses_a_policy(policy: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        random_model(0).evaluate(policy)


@pytest.mark.parametrize("discount", [-0.1, 1.1, math.nan])
def test_refuses_a_discount(discount: float) -> None:
    with pytest.raises(InputError, match="discount is"):
        random_model(0).action_values(np.ones((4, 2)) / 2, discount)
