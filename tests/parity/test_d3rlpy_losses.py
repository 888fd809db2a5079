"""Our losses and updates against d3rlpy's own, on its weights and one batch; run by `make test-d3rlpy`."""

import jax.numpy as jnp
import numpy as np
import pytest
from d3rlpy_reference import discrete_bc, discrete_cql, random_rows

from groundschool.algorithms import BCConfig, CQLConfig, bc, cql, optimizer
from groundschool.algorithms.networks import Ensemble
from groundschool.algorithms.types import Batch

pytestmark = [pytest.mark.d3rlpy, pytest.mark.filterwarnings("ignore")]

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def ensemble(networks):
    """Our networks with d3rlpy's weights."""
    ours = object.__new__(Ensemble)
    depth = range(len(networks[0]))
    object.__setattr__(ours, "weights", [jnp.stack([net[i][0] for net in networks]) for i in depth])
    object.__setattr__(ours, "biases", [jnp.stack([net[i][1][None] for net in networks]) for i in depth])
    return ours


def batch_of(rows):
    return Batch(
        features=jnp.asarray(rows.observations),
        action=jnp.asarray(rows.actions, jnp.int32),
        reward=jnp.asarray(rows.rewards),
        next_features=jnp.asarray(rows.next_observations),
        terminated=jnp.asarray(rows.terminated),
        mask=None,
        next_mask=None,
    )


def hyper_of(config):
    return {name: jnp.float32(getattr(config, name)) for name in (*config.TRACED, "steps")}


def assert_same_networks(ours, theirs, **tolerance):
    for i, layer in enumerate(zip(*theirs, strict=True)):
        np.testing.assert_allclose(ours.weights[i], np.stack([weight for weight, _ in layer]), **tolerance)
        np.testing.assert_allclose(ours.biases[i][:, 0], np.stack([bias for _, bias in layer]), **tolerance)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n_actions", [2, 4])
@pytest.mark.parametrize("n_critics", [1, 2])
@pytest.mark.parametrize("alpha", [1.0, 6.0])
def test_cql_loss(alpha, n_critics, n_actions, seed):
    rows = random_rows(256, n_actions, seed)
    theirs, _ = discrete_cql(rows, n_actions, n_critics=n_critics, alpha=alpha)
    q, target, batch = ensemble(theirs.networks), ensemble(theirs.targets), batch_of(rows)

    expected_target = rows.rewards + 0.99 * theirs.parts["bootstrap"] * (1 - rows.terminated)
    ours = cql.td_target(q, target, batch, jnp.float32(0.99), double_q=True)
    np.testing.assert_allclose(ours, expected_target, **CLOSE)

    values = q(batch.features)
    loss, parts = cql.cql_loss(values, ours, batch, jnp.float32(alpha), td_loss="huber")
    np.testing.assert_allclose(parts["td"] * n_critics, theirs.parts["td_loss"], **CLOSE)
    np.testing.assert_allclose(parts["conservative_gap"], theirs.parts["conservative_loss"], **CLOSE)
    np.testing.assert_allclose(loss, theirs.parts["loss"], **CLOSE)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("n_actions", [2, 4])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_bc_loss(beta, n_actions, seed):
    rows = random_rows(256, n_actions, seed)
    theirs, _ = discrete_bc(rows, n_actions, beta=beta)
    batch = batch_of(rows)
    loss, parts = bc.bc_loss(ensemble(theirs.networks)(batch.features), batch.action, None, jnp.float32(beta))
    np.testing.assert_allclose(loss, theirs.parts["loss"], **CLOSE)
    np.testing.assert_allclose(parts["log_loss"], theirs.parts["imitation_loss"], **CLOSE)


def test_cql_updates():
    """Ten whole updates: gradients, Adam, and the hard target copy at every fourth."""
    rows = random_rows(256, 4, 0, reward_scale=3.0)
    before, after = discrete_cql(rows, 4, n_critics=1, alpha=1.0, updates=10, target_update_interval=4)
    config = CQLConfig(
        networks=1,
        hidden=(256, 256),
        learning_rate=3e-4,
        schedule="constant",
        td_loss="huber",
        conservative_weight=1.0,
        target_every=4,
    )
    q = ensemble(before.networks)
    state = cql.CQLState(q, ensemble(before.targets), optimizer.start(q), jnp.zeros((), jnp.int32))
    for _ in range(10):
        state, _ = cql.update(state, batch_of(rows), hyper_of(config), config)
    # A step of Adam is about the learning rate whatever the gradient's size: rounding in a gradient near zero moves a
    # weight by a share of 3e-4, so a wrong update (3e-3 after ten) is seen and rounding is not.
    assert_same_networks(state.q, after.networks, rtol=0, atol=1e-4)
    assert_same_networks(state.target, after.targets, rtol=0, atol=1e-4)
    moved = np.abs(np.asarray(state.q.weights[1]) - before.networks[0][1][0])
    assert moved.mean() > 3e-4


def test_bc_updates():
    rows = random_rows(256, 4, 0)
    before, after = discrete_bc(rows, 4, beta=0.5, updates=10)
    config = BCConfig(hidden=(256, 256), learning_rate=3e-4, schedule="constant", logit_penalty=0.5)
    logits = ensemble(before.networks)
    state = bc.BCState(logits, optimizer.start(logits), jnp.zeros((), jnp.int32))
    for _ in range(10):
        state, _ = bc.update(state, batch_of(rows), hyper_of(config), config)
    assert_same_networks(state.logits, after.networks, rtol=0, atol=1e-4)
