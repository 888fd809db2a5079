"""Whether importance weights of whole episodes can carry an estimate."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from groundschool.evaluation.bounds.influence import standard_error
from groundschool.evaluation.estimate import Diagnosis
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.weights import effective_sample_size, effective_units, linear, scaled, step_log_weights

NAME = "weights"

MEAN_OFF = 0.1  # how far a mean weight may lie from 1
MEAN_Z = 3.0  # and in standard errors
FEW = 40.0  # effective units
LARGE_SHARE = 0.1  # of all weight, in one unit

_STEPS = 50
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def weight_diagnosis(problem: Problem) -> Diagnosis:
    """Look at the running weights of whole episodes: do they average 1, and do many episodes share them?

    Under right propensities the running weight of an episode is a martingale: with w[e, t] its weight after step t, or
    after its last step where it ended before, the mean over all E episodes of w[e, min(t, last)] is expected to be 1 at
    every t. (The mean over the episodes still running is not.) A mean far below 1 says that the episodes of the target
    are not in the log, even where the effective number of those that are looks fine.
    """
    logs = step_log_weights(problem)
    whole = logs[problem.last]
    steps = _thinned(int(problem.lengths.max()))
    means, errors, quantiles = _by_step(problem, logs, steps)
    z = np.divide(means - 1.0, errors, out=np.zeros_like(means), where=(errors > 0.0) & np.isfinite(errors))
    off = np.abs(means - 1.0)
    worst = int(np.argmax(np.where(off > 1e-9, np.abs(z), 0.0)))
    shares = np.bincount(problem.units, weights=scaled(whole))
    total = float(shares.sum())
    worth = effective_units(whole, problem)
    largest = float(shares.max()) / total if total > 0.0 else 0.0
    facts: dict[str, Any] = {
        "ess": effective_sample_size(whole),
        "effective_units": worth,
        "largest_share": largest,
        "zero_share": float((whole == -np.inf).mean()),
        "mean": float(means[-1]),
        "standard_error": float(errors[-1]),
        "worst_step": int(steps[worst]) + 1,
        "worst_mean": float(means[worst]),
        "worst_z": float(z[worst]),
        "worst_p": min(1.0, 2.0 * float(stats.norm.sf(abs(z[worst]))) * len(steps)),
        "by_step": {
            "step": (steps + 1).tolist(),
            "mean": means.tolist(),
            "standard_error": errors.tolist(),
            "quantiles": {f"{q:g}": row.tolist() for q, row in zip(_QUANTILES, quantiles.T, strict=True)},
        },
    }
    return Diagnosis(NAME, facts, _reasons(problem, facts))


def _thinned(length: int) -> IntArray:
    return np.unique(np.linspace(0, length - 1, min(length, _STEPS)).round().astype(np.int64))


def _by_step(problem: Problem, logs: FloatArray, steps: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, standard error (T,) and quantiles (T, 6) of the running weights of all episodes at some steps."""
    means, errors = np.empty(len(steps)), np.empty(len(steps))
    quantiles = np.empty((len(steps), len(_QUANTILES)))
    for i, step in enumerate(steps):
        weights = linear(logs[problem.starts[:-1] + np.minimum(step, problem.lengths - 1)])
        means[i], errors[i] = weights.mean(), standard_error(weights, problem.units)
        quantiles[i] = np.quantile(weights, _QUANTILES)
    return means, errors, quantiles


def _reasons(problem: Problem, facts: dict[str, Any]) -> tuple[str, ...]:
    return ()
