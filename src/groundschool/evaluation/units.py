"""What is independent in a log."""

from __future__ import annotations

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.problem import IntArray


def units_of(log: Dataset) -> IntArray:
    """Return the unit of each episode, (E,) from 0: its group, where there are groups, else itself."""
    if log.groups is None:
        return np.arange(log.n_episodes)
    return np.unique(log.groups, return_inverse=True)[1].reshape(-1).astype(np.int64)
