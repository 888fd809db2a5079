"""Episodes of the target policy, drawn from weighted episodes of another."""

from __future__ import annotations

import numpy as np

from groundschool.evaluation.problem import BoolArray, FloatArray


def accepted(weights: FloatArray, cap: float, seed: int) -> BoolArray:
    """Keep each episode with probability weight / cap: what is kept are independent episodes of the target.

    Parameters
    ----------
    weights : (E,) float64
        In [0, cap].
    cap : float
        Known before the weights were: the largest seen is none.
    seed : int

    Returns
    -------
    (E,) bool
        About E / cap of them (von Neumann 1951).
    """
    return np.asarray(np.random.default_rng(seed).random(len(weights)) * cap < weights)
