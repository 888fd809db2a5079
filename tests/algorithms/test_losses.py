"""Losses and targets against numbers worked out by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy import log

from groundschool.algorithms import CQLConfig, bc, cql, optimizer
from groundschool.algorithms.networks import masked, select
from learners import batch_of, hyper_of, linear

YES, NO = True, False

# online and target values of states 0 and 1 in two networks
ONLINE = ([[1.0, 2.0, 0.0], [5.0, 4.0, 3.0]], [[3.0, 2.5, 0.0], [5.0, 0.0, 3.0]])
TARGET = ([[10.0, 20.0, 40.0], [1.0, 2.0, 3.0]], [[30.0, 15.0, 20.0], [7.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("networks", "double_q", "following", "next_mask", "terminated", "expected"),
    [
        # one network. Double: the online one takes action 1 in state 0, the target one says 20. Else: the largest, 40.
        (1, YES, 0, None, 0, 0.5 + 0.9 * 20),
        (1, NO, 0, None, 0, 0.5 + 0.9 * 40),
        (1, YES, 1, None, 0, 0.5 + 0.9 * 1),
        # a termination: the reward alone
        (1, YES, 0, None, 1, 0.5),
        (1, NO, 0, None, 1, 0.5),
        # masks change the argmax: without action 1, the online one takes action 0
        (1, YES, 0, [YES, NO, YES], 0, 0.5 + 0.9 * 10),
        (1, NO, 0, [YES, YES, NO], 0, 0.5 + 0.9 * 20),
        (1, YES, 0, [NO, NO, YES], 0, 0.5 + 0.9 * 40),
        # two: the online mean in state 0 is (2, 2.25, 0): action 1; the smaller of 20 and 15
        (2, YES, 0, None, 0, 0.5 + 0.9 * 15),
        # the mean of the target ones is (20, 17.5, 30): action 2; the smaller of 40 and 20
        (2, NO, 0, None, 0, 0.5 + 0.9 * 20),
        (2, YES, 0, [YES, NO, YES], 0, 0.5 + 0.9 * 10),
        (2, YES, 0, [NO, NO, NO], 1, 0.5),  # a terminal state may allow nothing
    ],
)
def test_td_target(networks, double_q, following, next_mask, terminated, expected):
    batch = batch_of(
        [0], [0], [0.5], [following], [terminated], 2, next_mask=None if next_mask is None else [next_mask]
    )
    target = cql.td_target(
        linear(*ONLINE[:networks]), linear(*TARGET[:networks]), batch, jnp.float32(0.9), double_q=double_q
    )
    np.testing.assert_allclose(target, [expected], rtol=1e-6)


def test_nothing_flows_through_the_target():
    batch = batch_of([0], [0], [0.5], [1], [0], 2)
    gradient = jax.grad(lambda q: cql.td_target(q, q, batch, jnp.float32(0.9), double_q=True).sum())(linear(ONLINE[0]))
    assert not np.asarray(gradient.weights[0]).any()


# Two rows. Taken values 0 and log 4, targets 3 and log 4 + .5: errors -3 and -.5.
VALUES = [[0.0, log(3.0), log(4.0)], [log(4.0), 0.0, log(3.0)]]
TAKEN, TARGETS = [0, 0], [3.0, log(4.0) + 0.5]


@pytest.mark.parametrize(
    ("td_loss", "mask", "td", "gap"),
    [
        # squares 9 and .25; the soft maximum is log 8 in both rows, the gaps log 8 and log 2
        ("squared", None, 4.625, (log(8) + log(2)) / 2),
        # huber 3 - .5 and .125
        ("huber", None, (2.5 + 0.125) / 2, (log(8) + log(2)) / 2),
        # without the last action: log 4 - 0 and log 5 - log 4
        ("squared", [[YES, YES, NO], [YES, YES, NO]], 4.625, (log(4) + log(1.25)) / 2),
        # only the taken one allowed: no gap
        ("squared", [[YES, NO, NO], [YES, NO, NO]], 4.625, 0.0),
    ],
)
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_cql_loss(weight, td_loss, mask, td, gap):
    batch = batch_of([0, 1], TAKEN, [0, 0], [0, 0], [0, 0], 2, mask=mask)
    values = jnp.array([VALUES], jnp.float32)
    loss, parts = cql.cql_loss(values, jnp.array(TARGETS), batch, jnp.float32(weight), td_loss=td_loss)
    np.testing.assert_allclose(loss, td + weight * gap, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts["td"], td, rtol=1e-5)
    np.testing.assert_allclose(parts["conservative_gap"], gap, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts["value"], log(4) / 2, rtol=1e-5)
    np.testing.assert_allclose(parts["largest_value"], log(4), rtol=1e-5)


def test_each_network_has_its_own_error_and_all_share_one_gap():
    """Networks (0, 2) and (4, 2), taken action 0: mean (2, 2), gap log 2; errors -1 and 3 to a target of 1."""
    batch = batch_of([0], [0], [0], [0], [0], 1)
    values = jnp.array([[[0.0, 2.0]], [[4.0, 2.0]]])
    loss, parts = cql.cql_loss(values, jnp.array([1.0]), batch, jnp.float32(3.0))
    np.testing.assert_allclose(loss, 1 + 9 + 3 * log(2), rtol=1e-6)
    np.testing.assert_allclose(parts["td"], 5.0)
    np.testing.assert_allclose(parts["conservative_gap"], log(2), rtol=1e-6)
    np.testing.assert_allclose(parts["largest_value"], 4.0)


def test_cql_gradient_by_hand():
    """d/dQ of (Q_taken - y)^2 + w (logsumexp Q - Q_taken) is 2 error at the taken action plus w (softmax - taken)."""
    batch = batch_of([0], [0], [0], [0], [0], 1)
    gradient = jax.grad(lambda v: cql.cql_loss(v, jnp.array([3.0]), batch, jnp.float32(2.0))[0])(
        jnp.array([[VALUES[0]]], jnp.float32)
    )
    np.testing.assert_allclose(gradient[0, 0], [2 * -3 + 2 * (1 / 8 - 1), 2 * 3 / 8, 2 * 4 / 8], rtol=1e-5)


@pytest.mark.parametrize(
    ("mask", "penalty", "likelihood", "squares"),
    [
        (None, 0.0, [log(8), log(2)], None),
        (None, 0.5, [log(8), log(2)], np.mean([log(8) ** 2, log(8 / 3) ** 2, log(2) ** 2])),
        ([[YES, YES, NO], [YES, YES, NO]], 0.0, [log(4), log(1.25)], None),
        (
            [[YES, YES, NO], [YES, NO, NO]],
            0.5,
            [log(4), 0.0],
            # three allowed entries in all: log 4 and log 4/3 of the first row, 0 of the second
            (log(4) ** 2 + log(4 / 3) ** 2) / 3,
        ),
    ],
)
def test_bc_loss(mask, penalty, likelihood, squares):
    logits = jnp.array([VALUES], jnp.float32)
    mask = None if mask is None else jnp.array(mask)
    loss, parts = bc.bc_loss(logits, jnp.array(TAKEN), mask, jnp.float32(penalty))
    np.testing.assert_allclose(parts["log_loss"], np.mean(likelihood), rtol=1e-5)
    np.testing.assert_allclose(loss, np.mean(likelihood) + penalty * (squares or 0.0), rtol=1e-5)


def test_bc_networks_add_up():
    """Adding the same network twice doubles the loss, not the log-loss shown."""
    one = bc.bc_loss(jnp.array([VALUES], jnp.float32), jnp.array(TAKEN), None, jnp.float32(0.5))
    two = bc.bc_loss(jnp.array([VALUES, VALUES], jnp.float32), jnp.array(TAKEN), None, jnp.float32(0.5))
    np.testing.assert_allclose(two[0], 2 * one[0], rtol=1e-6)
    np.testing.assert_allclose(two[1]["log_loss"], one[1]["log_loss"], rtol=1e-6)


def test_bc_comes_near_propensities():
    """Logits of .5, .3 and .2; logged were .25 of the first and .3 of the second: a ratio of 2, and one of 1."""
    logits = jnp.log(jnp.array([[[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]], jnp.float32))
    action, logged = jnp.array([0, 1]), jnp.array([0.25, 0.3], jnp.float32)
    loss, parts = bc.bc_loss(logits, action, None, jnp.float32(0.0), logged, 10.0)
    likelihood, off = -(log(0.5) + log(0.3)) / 2, log(2.0) ** 2 / 2
    np.testing.assert_allclose(loss, likelihood + 10.0 * off, rtol=1e-5)
    np.testing.assert_allclose(parts["log_ratio"], np.sqrt(off), rtol=1e-5)
    np.testing.assert_allclose(parts["log_loss"], likelihood, rtol=1e-5)


def test_forbidden_logits_have_no_gradient():
    mask = jnp.array([[YES, YES, NO], [YES, NO, YES]])
    gradient = jax.grad(lambda v: bc.bc_loss(v, jnp.array(TAKEN), mask, jnp.float32(0.5))[0])(
        jnp.array([VALUES], jnp.float32)
    )
    assert np.isfinite(np.asarray(gradient)).all()
    assert (np.asarray(gradient[0]) != 0).tolist() == np.asarray(mask).tolist()


def test_select_and_masked():
    values = jnp.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    np.testing.assert_array_equal(select(values, jnp.array([1, 0])), [[2, 3], [6, 7]])
    assert masked(values, None) is values
    mask = jnp.array([[True, False], [False, True]])
    np.testing.assert_array_equal(jnp.argmax(masked(values, mask), axis=-1), [[0, 1], [0, 1]])


def updates(config, count):
    """States before and after each of `count` updates on one batch."""
    q = linear([[0.0, 1.0], [1.0, 0.0]])
    state = cql.CQLState(q, linear([[5.0, 5.0], [5.0, 5.0]]), optimizer.start(q), jnp.zeros((), jnp.int32))
    batch = batch_of([0, 1], [0, 1], [1, 2], [1, 0], [0, 1], 2)
    step = jax.jit(lambda state: cql.update(state, batch, hyper_of(config), config)[0])
    states = [state]
    for _ in range(count):
        states.append(step(states[-1]))
    return states


def test_soft_target():
    before, after = updates(CQLConfig(networks=1, target_rate=0.25, target_every=None), 1)
    fast, slow = after.q.weights[0], before.target.weights[0]
    np.testing.assert_allclose(after.target.weights[0], 0.75 * slow + 0.25 * fast, rtol=1e-6)
    assert not np.allclose(fast, before.q.weights[0])
    assert (int(before.step), int(after.step)) == (0, 1)


def test_hard_target_is_copied_every_so_many_steps():
    states = updates(CQLConfig(networks=1, target_every=3, target_rate=0.25), 7)
    copied_at = [0, 0, 0, 3, 3, 3, 6, 6]
    for step, source in enumerate(copied_at):
        expected = states[source].q if source else states[0].target
        np.testing.assert_array_equal(states[step].target.weights[0], expected.weights[0], err_msg=f"step {step}")
