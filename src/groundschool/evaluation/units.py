"""What is independent in a log."""

from __future__ import annotations

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.problem import BoolArray, IntArray


def units_of(log: Dataset) -> IntArray:
    """Return the unit of each episode, (E,) from 0: its group, where there are groups, else itself."""
    if log.groups is None:
        return np.arange(log.n_episodes)
    return np.unique(log.groups, return_inverse=True)[1].reshape(-1).astype(np.int64)


def parted(log: Dataset, share: float, seed: int) -> BoolArray:
    """Draw a share of the episodes, or of the groups where there are groups, (E,); at least one, and not all.

    Raises
    ------
    InputError
        If there is nothing to divide.
    """
    units = units_of(log)
    n = int(units.max()) + 1
    if n < 2:
        what = "one episode" if log.groups is None else "episodes of one group"
        raise InputError(f"there is {what} to divide, and some must be left that nothing else looks at. Log more.")
    drawn = np.zeros(n, np.bool_)
    drawn[np.random.default_rng([seed, 5]).permutation(n)[: min(max(round(share * n), 1), n - 1)]] = True
    return np.asarray(drawn[units])
