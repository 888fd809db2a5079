"""Importance weights in log space, clipping as an explicit choice, and the effective number of episodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation.problem import FloatArray, Problem

LARGEST = 150.0  # the log of the largest weight that is told apart: its fourth power still fits a float


def step_log_weights(problem: Problem, clip: float | None = None, ratios: FloatArray | None = None) -> FloatArray:
    """Return the log of the running importance weight at each row.

    The running weight is the product of the ratios (target over behavior probability of the logged action) from the
    episode's first row through this one.

    Parameters
    ----------
    problem : Problem
    clip : float, optional
        No running weight counts for more than this: ``min(weight, clip)`` (Ionides 2008, Truncated importance
        sampling, doi:10.1198/106186008X320456). The product itself goes on unclipped, so that each weight is cut once.
    ratios : (N,) float64, optional
        Others than the problem's own.

    Returns
    -------
    (N,) float64
        -inf from the first action of the episode that the target never takes.

    Raises
    ------
    InputError
        If `clip` is not a positive number.
    """
    ratios, first = problem.ratios if ratios is None else ratios, problem.starts[:-1]
    never = ratios <= 0.0
    logs = np.log(np.where(never, 1.0, ratios))
    running = _within_episodes(logs, problem, first)
    dead = _within_episodes(never.astype(np.float64), problem, first) > 0.0
    running[dead] = -np.inf
    return running if clip is None else np.minimum(running, math.log(checked_clip(clip)))


def episode_log_weights(problem: Problem, clip: float | None = None) -> FloatArray:
    """Return the log of the importance weight of each whole episode, (E,); `clip` as in `step_log_weights`."""
    return step_log_weights(problem, clip)[problem.last]


def linear(log_weights: FloatArray) -> FloatArray:
    """Return weights from their logs; one above e**150 counts as e**150, so that sums of powers stay finite."""
    return np.exp(np.minimum(log_weights, LARGEST))


def scaled(log_weights: FloatArray) -> FloatArray:
    """Return weights divided by their largest: 0 to 1, and all 0 where every weight is."""
    top = float(log_weights.max())
    return np.zeros_like(log_weights) if top == -np.inf else np.exp(log_weights - top)


def effective_sample_size(log_weights: FloatArray) -> float:
    """Return how many equally weighted episodes these are worth: (sum w)**2 / sum w**2 (Kong 1992).

    Parameters
    ----------
    log_weights : (E,) float64

    Returns
    -------
    float
        From 1 to E; 0 where every weight is zero.
    """
    weights = scaled(log_weights)
    total = float(weights.sum())
    return total**2 / float(np.square(weights).sum()) if total > 0.0 else 0.0


def effective_units(log_weights: FloatArray, problem: Problem) -> float:
    """Return the effective number of independent units: that of the episodes', each unit's weights added up first."""
    sums = np.bincount(problem.units, weights=scaled(log_weights))
    total = float(sums.sum())
    return total**2 / float(np.square(sums).sum()) if total > 0.0 else 0.0


def clipping(problem: Problem, clip: float) -> dict[str, Any]:
    """Say what clipping at `clip` does to a problem's weights.

    Returns
    -------
    dict
        ``clip``; ``clipped_episodes`` and ``clipped_rows``: shares of episodes and of rows whose weight is above it;
        ``removed_weight``: the share of the weight of whole episodes that is taken away.
    """
    running = step_log_weights(problem)
    whole, limit = running[problem.last], math.log(checked_clip(clip))
    total = float(linear(whole).sum())
    left = float(linear(np.minimum(whole, limit)).sum())
    return {
        "clip": float(clip),
        "clipped_episodes": float((whole > limit).mean()),
        "clipped_rows": float((running > limit).mean()),
        "removed_weight": 1.0 - left / total if total > 0.0 else 0.0,
    }


def checked_clip(clip: Any) -> float:
    """Return `clip` as a float, or raise `InputError` unless it is a positive number."""
    if isinstance(clip, bool) or not isinstance(clip, int | float | np.number) or not 0.0 < clip < math.inf:
        raise InputError(
            f"clip is {clip!r}, expected a positive number (the largest weight that counts), or None for no clipping."
        )
    return float(clip)


def _within_episodes(values: FloatArray, problem: Problem, first: Any) -> FloatArray:
    """Sum rows (N,) from the start of their episode, (N,)."""
    total = np.cumsum(values)
    before = total[first] - values[first]
    return np.asarray(total - np.repeat(before, problem.lengths))
