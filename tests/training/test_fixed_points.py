"""Learners end where theory says: action frequencies, maximum likelihood, exact optimal values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, special

import groundschool as gs
from groundschool.data import Dataset
from learners import NEXT, REWARD, action_values, pairs_log, walk_log

IDS = np.arange(4)
CLONE = {"hidden": (), "networks": 1, "batch_size": 256, "learning_rate": 0.05, "schedule": "cosine", "steps": 1_500}
VALUE = {
    "hidden": (), "networks": 1, "batch_size": 64, "learning_rate": 0.05, "schedule": "cosine", "target_rate": 0.1,
    "target_every": None, "reward_scale": 2.0, "support": "none", "conservative_weight": 0.0, "discount": 0.8,
    "td_loss": "squared", "double_q": True, "steps": 3_000, "gradient_clip": None, "weight_decay": 0.0,
}  # fmt: skip


def bandit(counts, **more):
    """One-step episodes, state s and action a logged counts[s, a] times."""
    states, actions = (np.repeat(index.ravel(), np.ravel(counts)) for index in np.indices(np.shape(counts)))
    ended = np.ones(len(states), bool)
    masks = {name: np.asarray(table)[states] for name, table in more.items()}
    return Dataset.from_arrays(states, actions, np.zeros(len(states)), ended, ~ended, n_actions=3, **masks)


def test_cloning_ends_in_the_frequencies():
    counts = np.array([[60, 30, 10], [0, 25, 75], [34, 33, 33]])
    masks = np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1]], bool)
    policy = gs.train(bandit(counts, action_masks=masks), "bc", **CLONE)
    expected = counts / counts.sum(axis=1, keepdims=True)
    result = policy.probabilities(np.arange(3), masks=masks)
    # what batches of 256 leave of noise at the end of a cosine schedule
    np.testing.assert_allclose(result, expected, atol=0.02)


def test_cloning_ends_in_the_maximum_likelihood():
    """Without hidden layers cloning is multinomial logistic regression; scipy finds the same optimum."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) * [1.0, 5.0] + [0.0, 40.0]
    logits = x @ np.array([[1.0, -0.5, 0.0], [0.1, 0.0, -0.2]]) - np.array([4.0, 0.0, -8.0])
    actions = (special.softmax(logits, axis=1).cumsum(axis=1) > rng.random((300, 1))).argmax(axis=1)
    ended = np.ones(300, bool)
    log = Dataset.from_arrays(x, actions, np.zeros(300), ended, ~ended, n_actions=3)
    policy = gs.train(log, "bc", **{**CLONE, "encoding": "standardize"})

    inputs = np.c_[(x - x.mean(axis=0)) / x.std(axis=0), np.ones(300)]

    def likelihood(weights):
        return -special.log_softmax(inputs @ weights.reshape(3, 3), axis=1)[np.arange(300), actions].mean()

    best = optimize.minimize(likelihood, np.zeros(9)).x.reshape(3, 3)
    expected = special.softmax(inputs @ best, axis=1)
    np.testing.assert_allclose(policy.probabilities(x), expected, atol=0.04)
    assert np.abs(policy.probabilities(x) - expected).mean() < 0.01
    assert expected.std(axis=0).min() > 0.1  # there was something to learn


@pytest.mark.parametrize("discount", [0.0, 0.8])
def test_values_of_transitions_that_were_all_cut_off(discount):
    """Every episode is one step and, but for one pair, cut off: values must still look past the cut."""
    policy = gs.train(pairs_log(), "cql", **{**VALUE, "discount": discount})
    exact = action_values(discount)
    np.testing.assert_allclose(policy.values(IDS), exact, atol=0.01)
    wrong = action_values(discount, cut=np.ones((4, 2), bool))
    assert np.abs(exact - wrong).max() > 3 or discount == 0
    np.testing.assert_array_equal(policy.probabilities(IDS).argmax(axis=1), exact.argmax(axis=1))


@pytest.mark.parametrize(
    "change",
    [
        {"td_loss": "huber", "double_q": False, "networks": 2, "target_every": 20},
        pytest.param({"networks": 2, "hidden": (16,), "learning_rate": 0.02}, marks=pytest.mark.slow),
    ],
    ids=["huber, single, hard", "hidden layer"],
)
def test_values_from_walks_without_final_observations(change):
    """The cut-off rows have no target and are left out; the other walks hold every pair."""
    log = walk_log(episodes=120, finals=False)
    policy = gs.train(log, "cql", **{**VALUE, **change})
    np.testing.assert_allclose(policy.values(IDS), action_values(0.8), atol=0.05)


def test_values_where_the_best_action_is_forbidden():
    allowed = np.array([[1, 1], [1, 1], [1, 1], [0, 1]], bool)
    log = pairs_log()
    kept = np.flatnonzero(allowed[log.observations, log.actions])
    states, actions = log.observations[kept], log.actions[kept]
    cut = np.ones(7, bool)
    log = Dataset.from_arrays(
        states, actions, REWARD[states, actions], ~cut, cut, action_masks=allowed[states],
        final_observations=NEXT[states, actions], final_action_masks=allowed[NEXT[states, actions]],
    )  # fmt: skip
    policy = gs.train(log, "cql", **VALUE)
    exact = action_values(0.8, cut=~allowed, allowed=allowed)
    np.testing.assert_allclose(policy.values(IDS)[allowed], exact[allowed], atol=0.01)
    assert np.abs(exact - action_values(0.8))[allowed].max() > 1


@pytest.mark.parametrize("weight", [0.5, 4.0])
def test_conservative_values(weight):
    """With nothing to bootstrap, scipy minimises the same objective: error and gap, pair by pair."""
    states, actions = np.divmod(np.arange(8), 2)
    rewards = REWARD[states, actions]
    ended = np.ones(8, bool)
    log = Dataset.from_arrays(states, actions, rewards, ended, ~ended, final_observations=states)
    policy = gs.train(log, "cql", **{**VALUE, "conservative_weight": weight, "discount": 0.0})

    def objective(q):
        q = q.reshape(4, 2)
        return np.mean(np.square(q - REWARD / 2.0)) + weight * np.mean(special.logsumexp(q, axis=1) - q.mean(axis=1))

    best = 2.0 * optimize.minimize(objective, np.zeros(8)).x.reshape(4, 2)
    np.testing.assert_allclose(policy.values(IDS), best, atol=0.02 * max(1.0, weight))
    assert np.abs(best - REWARD).max() > 0.3  # the gap does pull
