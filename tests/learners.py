"""Problems with known answers and networks with given weights, for tests of learners."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from groundschool.algorithms.networks import Ensemble
from groundschool.algorithms.types import Batch
from groundschool.data import Dataset

# A deterministic process of 4 states and 2 actions; the pair (3, 0) ends it.
NEXT = np.array([[1, 0], [2, 0], [3, 1], [0, 3]])
REWARD = np.array([[0.0, 0.5], [-1.0, 0.25], [0.5, -0.5], [6.0, 0.75]])
TERMINAL = np.array([[0, 0], [0, 0], [0, 0], [1, 0]], dtype=bool)


def action_values(discount, cut=TERMINAL, allowed=None):
    """Exact optimal values by value iteration; nothing follows the pairs in `cut`."""
    allowed = np.ones(NEXT.shape, bool) if allowed is None else allowed
    q = np.zeros(NEXT.shape)
    for _ in range(2_000):
        q = REWARD + discount * np.where(cut, 0.0, np.where(allowed, q, -np.inf).max(axis=1)[NEXT])
    return q


# Shared, so that one compiled program serves many tests. Every option a test depends on is said.
STATIC = {
    "hidden": (), "networks": 2, "batch_size": 8, "reward_scale": "auto", "support": "none", "td_loss": "squared",
    "double_q": True, "target_every": None, "schedule": "cosine", "gradient_clip": None,
}  # fmt: skip
TRACED = {"learning_rate": 0.01, "weight_decay": 0.0, "discount": 0.8, "conservative_weight": 0.5, "target_rate": 0.1}
SMALL = {**STATIC, **TRACED}


def pairs_log(**more):
    """Every state and action once, each an episode of one step, cut off (not ended) except at (3, 0)."""
    states, actions = np.divmod(np.arange(8), 2)
    ends = TERMINAL[states, actions]
    return Dataset.from_arrays(
        states, actions, REWARD[states, actions], ends, ~ends, final_observations=NEXT[states, actions], **more
    )


def walk_log(episodes=40, length=5, finals=True, seed=0, reward_scale=1.0, **more):
    """Random walks through the same process, cut off after `length` steps."""
    rng = np.random.default_rng(seed)
    rows, after = [], []
    for _ in range(episodes):
        state = int(rng.integers(4))
        for t in range(length):
            action = int(rng.integers(2))
            end = bool(TERMINAL[state, action])
            cut = not end and t == length - 1
            rows.append((state, action, reward_scale * REWARD[state, action], end, cut))
            state = int(NEXT[state, action])
            if end or cut:
                after.append(state)
                break
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Dataset.from_arrays(*columns, final_observations=np.array(after) if finals else None, n_actions=2, **more)


def linear(*tables):
    """An ensemble over one-hot states whose outputs are the rows of the given tables, one a network."""
    weights = np.array(tables, np.float32)
    return ensemble_of((weights, np.zeros((len(tables), 1, weights.shape[-1]), np.float32)))


def ensemble_of(*layers):
    """An ensemble of the given (weights, biases), layer by layer."""
    ensemble = object.__new__(Ensemble)
    object.__setattr__(ensemble, "weights", [jnp.asarray(weights) for weights, _ in layers])
    object.__setattr__(ensemble, "biases", [jnp.asarray(biases) for _, biases in layers])
    return ensemble


def batch_of(state, action, reward, following, terminated, n_states, mask=None, next_mask=None):
    """A batch of one-hot states."""
    return Batch(
        features=jax.nn.one_hot(jnp.array(state), n_states),
        action=jnp.array(action, jnp.int32),
        reward=jnp.array(reward, jnp.float32),
        next_features=jax.nn.one_hot(jnp.array(following), n_states),
        terminated=jnp.array(terminated, jnp.float32),
        mask=None if mask is None else jnp.array(mask),
        next_mask=None if next_mask is None else jnp.array(next_mask),
    )


def hyper_of(config, **changes):
    """The numbers an update reads."""
    numbers = {name: getattr(config, name) for name in (*config.TRACED, "steps")} | changes
    return {name: jnp.float32(value) for name, value in numbers.items()}


def assert_same_weights(one, other):
    """Two policies with the same bits."""
    assert len(one.layers) == len(other.layers)
    for (weight, bias), (other_weight, other_bias) in zip(one.layers, other.layers, strict=True):
        assert weight.tobytes() == other_weight.tobytes()
        assert bias.tobytes() == other_bias.tobytes()
