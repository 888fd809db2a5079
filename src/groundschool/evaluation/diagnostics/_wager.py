"""Evidence against a martingale's mean being zero, from bets on its increments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

STAKES = (0.45, 0.15, 0.05, 0.015, 0.005)
_LEAST = 0.05


def log_evidence(increments: FloatArray) -> float:
    """Return the logarithm of what 1 has become by bets that increments are positive: an e-value.

    The same share of the capital is staked on every increment; several shares are, with equal parts of the capital.
    Where every increment is at least -2 and has, given those before, a mean of at most zero, the capital is a
    supermartingale, and exceeds 1 / alpha with a probability of at most alpha (Ville 1939; Waudby-Smith and Ramdas
    2024, doi:10.1093/jrsssb/qkad009, §4).

    Parameters
    ----------
    increments : (m,) float64
        In any order in which each is a consequence of nothing that comes later.
    """
    stakes = np.array(STAKES)
    logs = np.array([np.log(np.maximum(1.0 + stake * increments, _LEAST)).sum() for stake in stakes])
    return log_mean_exp(logs)


def log_mean_exp(values: FloatArray) -> float:
    """Return the logarithm of the mean of exp(values)."""
    top = float(values.max())
    return top + float(np.log(np.mean(np.exp(values - top)))) if np.isfinite(top) else top
