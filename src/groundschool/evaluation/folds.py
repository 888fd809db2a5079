"""Folds for cross-fitting: no unit is on both sides."""

from __future__ import annotations

import numpy as np

from groundschool.evaluation.problem import IntArray


def fold_of_episode(units: IntArray, folds: int, seed: int = 0) -> IntArray:
    """Deal units into folds of equal size (to one) at random, and return the fold of each episode.

    Parameters
    ----------
    units : (E,) int64
        From 0, without gaps.
    folds : int
        At least 2; fewer where there are fewer units.
    seed : int
    """
    n = int(units.max()) + 1
    order = np.random.default_rng(seed).permutation(n)
    fold = np.empty(n, np.int64)
    fold[order] = np.arange(n) % min(folds, n)
    return fold[units]
