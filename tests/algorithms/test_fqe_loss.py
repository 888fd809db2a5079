"""Targets and the loss of fitted Q evaluation against numbers worked out by hand; knots against polynomials."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from groundschool.algorithms import fqe
from groundschool.algorithms.config import AlgorithmConfig
from groundschool.algorithms.fqe import Horizon, Rows
from learners import linear
from small_worlds import MODEL, TARGETS

WIDE = (-100.0, 100.0)

# values after each of two actions, over 1 and over 2 steps
NEXT = [[1.0, 4.0], [3.0, 10.0]]


def horizon_of(steps, low=WIDE[0], high=WIDE[1], discount=1.0):
    steps = np.asarray(steps)
    return Horizon.of(steps, np.full(len(steps), low), np.full(len(steps), high), np.zeros(len(steps)), discount)


def rows_of(signal, policy, action=(0,), weight=None):
    n = len(signal)
    return Rows(
        features=jnp.zeros((n, 1)),
        action=jnp.array(action, jnp.int32),
        signal=jnp.array(signal, jnp.float32),
        next_features=jnp.zeros((n, 1)),
        next_policy=jnp.array(policy, jnp.float32),
        weight=jnp.ones(n) if weight is None else jnp.array(weight, jnp.float32),
    )


@pytest.mark.parametrize(
    ("policy", "discount", "bounds", "expected"),
    [
        # in one step there is the signal alone; in two, one more step of the policy
        ([1.0, 0.0], 1.0, WIDE, [0.5, 0.5 + 1.0]),
        ([0.0, 1.0], 1.0, WIDE, [0.5, 0.5 + 3.0]),
        # a stochastic policy is the mean of what it does, not its most probable action (3.5)
        ([0.25, 0.75], 1.0, WIDE, [0.5, 0.5 + 0.25 * 1.0 + 0.75 * 3.0]),
        ([0.25, 0.75], 0.9, WIDE, [0.5, 0.5 + 0.9 * 2.5]),
        # nothing follows
        ([0.0, 0.0], 0.9, WIDE, [0.5, 0.5]),
        # what is possible
        ([0.25, 0.75], 1.0, (-100.0, 2.0), [0.5, 2.0]),
        ([0.25, 0.75], 1.0, (0.75, 100.0), [0.75, 3.0]),
    ],
)
def test_target(policy, discount, bounds, expected):
    rows, horizon = rows_of([0.5], [policy]), horizon_of([1, 2], *bounds, discount)
    np.testing.assert_allclose(fqe.fqe_target(jnp.array([NEXT]), rows, horizon), [expected], rtol=1e-6)


def test_loss():
    # Taken: (1, 2) and (5, 3); targets (0, 2) and (2, 2): errors 1, 0 and 3, 1; the second row stands for two.
    values = jnp.array([[[1.0, 2.0], [9.0, 9.0]], [[9.0, 9.0], [5.0, 3.0]]])
    target = jnp.array([[0.0, 2.0], [2.0, 2.0]])
    rows = rows_of([0.0, 0.0], np.zeros((2, 2)), action=(0, 1), weight=(1.0, 2.0))
    loss, parts = fqe.fqe_loss(values, target, rows)
    assert loss == pytest.approx((1 + 0 + 2 * 9 + 2 * 1) / 4)
    assert parts["td"] == loss
    assert parts["td_mean"] == pytest.approx((1 + 0 + 2 * 3 + 2 * 1) / 4)


def test_nothing_flows_through_the_target():
    rows, horizon = rows_of([0.5], [[0.5, 0.5]]), horizon_of([1, 2])
    gradient = jax.grad(lambda values: fqe.fqe_target(values, rows, horizon).sum())(jnp.array([NEXT]))
    assert not np.asarray(gradient).any()


def test_outputs_are_actions_times_knots_on_top_of_the_start():
    horizon = horizon_of([1, 2, 3])._replace(start=jnp.array([10.0, 20.0, 30.0]))
    network = linear([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    values = fqe.action_values(network, jnp.ones((1, 1)), horizon)
    np.testing.assert_allclose(values, [[[11, 22, 33], [14, 25, 36]]])


@pytest.mark.parametrize("discount", [1.0, 0.8])
@pytest.mark.parametrize("target", TARGETS)
def test_the_targets_of_an_exact_process_are_its_action_values(target, discount):
    # Every transition of the process, weighed by its probability; H rounds of the target from nothing.
    policy = TARGETS[target]
    state, action, then = np.nonzero(MODEL.transitions * ~MODEL.terminal[:, None, None])
    chance = MODEL.transitions[state, action, then]
    goes_on = ~MODEL.terminal[then]
    horizon = horizon_of(np.arange(1, MODEL.horizon + 1), discount=discount)
    rows = rows_of(MODEL.rewards[state, action, then], policy[then] * goes_on[:, None], action)
    values = np.zeros((4, 2, MODEL.horizon))
    for _ in range(MODEL.horizon):
        target_of_row = np.asarray(fqe.fqe_target(jnp.array(values[then], jnp.float32), rows, horizon))
        values = np.zeros_like(values)
        np.add.at(values, (state, action), chance[:, None] * target_of_row)
    np.testing.assert_allclose(values[..., -1], MODEL.action_values(policy, discount), atol=1e-5)


def test_an_update_moves_toward_the_target_and_the_target_network_follows():
    config = AlgorithmConfig(batch_size=1, hidden=(), schedule="constant")
    state = fqe.init(jax.random.key(0), 1, 2, 2, config)
    rows, horizon = rows_of([5.0], [[0.0, 0.0]])._replace(features=jnp.ones((1, 1))), horizon_of([1, 2])
    update = jax.jit(lambda state: fqe.update(state, rows, horizon, jnp.float32(0.05), jnp.float32(0.5), config))
    losses = []
    for _ in range(400):
        state, parts = update(state)
        losses.append(float(parts["td"]))
    assert losses[-1] < 1e-3 < losses[0]
    np.testing.assert_allclose(fqe.action_values(state.target, jnp.ones((1, 1)), horizon)[0, 0], [5.0, 5.0], atol=0.1)
    assert int(state.step) == 400


@pytest.mark.parametrize(
    ("horizon", "most", "expected"),
    [(1, 10, [1]), (3, 10, [1, 2, 3]), (10, 10, list(range(1, 11))), (80, 4, [20, 40, 60, 80]), (7, 3, [2, 5, 7])],
)
def test_knots(horizon, most, expected):
    assert fqe.knots(horizon, most).tolist() == expected


def test_where_every_step_is_a_knot_one_step_before_is_the_knot_before():
    np.testing.assert_array_equal(fqe.one_step_before(np.arange(1, 6)), np.eye(5, k=-1))


@pytest.mark.parametrize("steps", [[20, 40, 60, 80], [1, 5, 7, 30, 31], np.arange(8, 81, 8)])
def test_between_knots_cubics_are_exact(steps):
    # The value is 0 in 0 steps, so that these are all the cubics there are.
    steps = np.asarray(steps)
    for power in (1, 2, 3):
        expected = (steps - 1.0) ** power
        np.testing.assert_allclose(fqe.one_step_before(steps) @ steps.astype(float) ** power, expected, atol=1e-6)


def test_few_knots_interpolate_by_what_there_is():
    # One knot: a straight line from nothing.
    np.testing.assert_allclose(fqe.one_step_before(np.array([10])), [[0.9]])


def test_a_chance_of_ending_at_every_step_keeps_its_horizon():
    # A reward of 1 until an end that comes with probability .01: (1 - .99 ** H) / .01. Straight lines lose 2 % here.
    steps = fqe.knots(200, 10)
    values, before = np.zeros(len(steps)), fqe.one_step_before(steps)
    for _ in range(4_000):
        values = 1.0 + 0.99 * before @ values
    assert values[-1] == pytest.approx((1 - 0.99**200) / 0.01, rel=1e-3)
