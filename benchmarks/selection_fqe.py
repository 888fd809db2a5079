"""Fitted Q evaluation by a network, of many policies side by side: what selection is compared with.

Le et al. 2019, arXiv:1903.08738: Q is fitted to r + discount * E[Q'(s', a')] under the policy, Q' being a slow copy.
Every step uses the whole log, so that batches add no noise, and targets are clipped to what an episode can bring.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import groundschool as gs
from groundschool.policies.encoding import fit_encoder

DISCOUNT, STEPS, WIDTH, RATE, TARGET_RATE, FREQUENCIES = 0.99, 600, 64, 3e-3, 0.08, None
ROWS = 256


def neural_fqe(log: gs.Dataset, policies: dict[str, Any], seed: int) -> dict[str, float]:
    """Return the value at the starts of episodes by policy; -inf for one that diverged."""
    usable = {name: policy for name, policy in policies.items() if not isinstance(policy, Exception)}
    moves = log.transitions()  # every transition of these logs is usable
    encoder = fit_encoder(log.observations, "auto", frequencies=FREQUENCIES)
    every = np.concatenate([moves.observations, moves.next_observations])
    distinct, code = np.unique(every, axis=0, return_inverse=True)
    rows, after = np.split(code.reshape(-1), 2)
    distinct = np.concatenate(
        [distinct, np.repeat(distinct[-1:], -len(distinct) % ROWS, axis=0)]
    )  # one program for all
    pi = np.stack([policy.probabilities(distinct) for policy in usable.values()]).astype(np.float32)
    scale = float(np.std(log.returns))
    count = np.zeros(pi.shape[1:], np.float32)
    reward, kernel = np.zeros_like(count), np.zeros((*count.shape, len(distinct)), np.float32)
    np.add.at(count, (rows, moves.actions), 1.0)
    np.add.at(reward, (rows, moves.actions), moves.rewards / scale)
    goes = ~moves.terminated
    np.add.at(kernel, (rows[goes], moves.actions[goes], after[goes]), 1.0)
    each = np.maximum(count, 1.0)
    ends = np.array([log.returns.min(), log.returns.max()], np.float32) / scale
    data = (encoder(distinct), count / count.sum(), reward / each, kernel / each[..., None], *ends, pi)
    q = np.asarray(_fit(jax.random.key(seed), *map(jnp.asarray, data)))
    values = scale * (q * pi).sum(axis=2)[:, rows[log.starts[:-1]]].mean(axis=1)
    found = dict.fromkeys(policies, -math.inf)
    found.update({name: float(value) for name, value in zip(usable, values, strict=True)})
    return found


@jax.jit
def _fit(key: Any, features: Any, share: Any, reward: Any, kernel: Any, lowest: Any, highest: Any, pi: Any) -> Any:
    """Fit one network a policy; return Q at the distinct observations, (policies, U, A)."""
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

    def fit(key: Any, pi: Any) -> Any:
        start = _network(key, (features.shape[1], WIDTH, WIDTH, pi.shape[1]))

        def step(carry: Any, _: None) -> tuple[Any, None]:
            online, target, moments = carry
            goal = reward + DISCOUNT * kernel @ (_apply(target, features) * pi).sum(axis=1)
            goal = jnp.clip(goal, lowest, highest)

            def loss(network: Any) -> Any:
                return jnp.sum(share * (_apply(network, features) - goal) ** 2)

            updates, moments = optimizer.update(jax.grad(loss)(online), moments, online)
            online = optax.apply_updates(online, updates)
            target = optax.incremental_update(online, target, TARGET_RATE)
            return (online, target, moments), None

        (online, _, _), _ = jax.lax.scan(step, (start, start, optimizer.init(start)), None, length=STEPS)
        return _apply(online, features)

    return jax.vmap(fit)(jax.random.split(key, len(pi)), pi)


def _network(key: Any, sizes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (n, m)) * math.sqrt(2.0 / n), jnp.zeros(m))
        for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def _apply(network: list[tuple[Any, Any]], x: Any) -> Any:
    for weight, bias in network[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    return x @ network[-1][0] + network[-1][1]
