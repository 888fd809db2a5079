"""Asking a policy that may fail: for many observations, or for one as fast as may be."""

from __future__ import annotations

import bisect
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.policies.policy import BoolArray, FloatArray, Policy

_TOLERANCE = 1e-4  # a float32 softmax over many actions is off by less


def ask(policy: Policy, x: NDArray[Any], masks: BoolArray | None, n_actions: int) -> tuple[FloatArray, BoolArray]:
    """Return a policy's probabilities, (N, n_actions), and whether each row is a distribution; other rows are 0.

    Where a policy raises, the rows are halved until those that make it raise are alone.
    """
    if not len(x):
        return np.zeros((0, n_actions)), np.zeros(0, np.bool_)
    try:
        answers = np.asarray(policy.probabilities(x, masks=masks), dtype=np.float64)
        if answers.shape != (len(x), n_actions):
            return np.zeros((len(x), n_actions)), np.zeros(len(x), np.bool_)
    except Exception:  # noqa: BLE001 - whatever it raises, the fallback acts
        if len(x) == 1:
            return np.zeros((1, n_actions)), np.zeros(1, np.bool_)
        half = len(x) // 2
        parts = [
            ask(policy, x[rows], None if masks is None else masks[rows], n_actions)
            for rows in (slice(0, half), slice(half, None))
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    total = answers.sum(axis=1)
    sound = (np.abs(total - 1.0) <= _TOLERANCE) & (answers >= 0.0).all(axis=1)
    return np.where(sound[:, None], answers / np.where(sound, total, 1.0)[:, None], 0.0), sound


def ask_one(policy: Policy, x: NDArray[Any], masks: BoolArray | None, n_actions: int) -> FloatArray | None:
    """Return a policy's probabilities in one observation, shape (n_actions,); None where they are none."""
    try:
        answer = np.asarray(policy.probabilities(x, masks=masks), dtype=np.float64)
        if answer.shape != (1, n_actions):
            return None
        row = answer[0].tolist()
        if not (abs(sum(row) - 1.0) <= _TOLERANCE and min(row) >= 0.0):
            return None
    except Exception:  # noqa: BLE001 - whatever it raises, the fallback acts
        return None
    return np.asarray(answer[0])


def draw(weights: FloatArray, rng: np.random.Generator) -> int:
    """Draw an action in proportion to weights of which one is above 0; as `sample_actions` does."""
    cumulative = list(itertools.accumulate(weights.tolist()))
    return bisect.bisect_right(cumulative, rng.random() * cumulative[-1])
