"""From scores, one an action, to a policy: greedy or softmax, among the allowed actions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from groundschool.policies.policy import FloatArray, check_masks, one_hot


def greedy_of(values: FloatArray, masks: ArrayLike | None) -> FloatArray:
    """Return one-hot rows of the best allowed action (the first of several), shape (N, n_actions)."""
    if masks is not None:
        values = np.where(check_masks(masks, (values.shape[0], values.shape[1])), values, -np.inf)
    return one_hot(np.argmax(values, axis=1), values.shape[1])


def softmax(logits: FloatArray, masks: ArrayLike | None) -> FloatArray:
    """Return the softmax over the allowed actions, shape (N, n_actions)."""
    if masks is not None:
        logits = np.where(check_masks(masks, (logits.shape[0], logits.shape[1])), logits, -np.inf)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float64)
