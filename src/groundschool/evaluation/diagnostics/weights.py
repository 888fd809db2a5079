"""Whether importance weights of whole episodes can carry an estimate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from groundschool.evaluation.bounds.influence import standard_error
from groundschool.evaluation.estimate import Diagnosis
from groundschool.evaluation.intervals import finite_or_none
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.weights import effective_sample_size, effective_units, linear, scaled, step_log_weights

NAME = "weights"

FEW = 20.0  # effective units
LOW_MEAN = 0.9  # of the running weights at any step
FAR = 3.0  # standard errors of a mean weight from 1
LARGE_SHARE = 0.15  # of all weight, in one unit
RARE_MASS = 0.005  # actions an episode that the target takes and the log hardly holds
RARE_COUNT = 3.0  # of which so many are expected in the log

_STEPS = 50
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_DOUBLINGS = 40
_ROUNDING = 1e-9


def weight_diagnosis(problem: Problem) -> Diagnosis:
    """Ask of the running weights of whole episodes: do they average 1, do many share them, what do they miss.

    Under right propensities the running weight of an episode is a martingale: with w[e, t] its weight after step t, or
    after its last step where it ended before, the mean over all E episodes of w[e, min(t, last)] is expected to be 1 at
    every t. (The mean over the episodes still running is not.) A mean far below 1 says that the episodes of the target
    are not in the log, even where the effective number of those that are looks fine.

    What is missing altogether moves that mean too little to be seen, and may be all of the danger. Where observations
    are counted, or all probabilities of the behavior policy are known, it is counted: the actions that the target takes
    many times more often than the logger, so many times that the log is expected to hold fewer than three of them.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    Diagnosis
        Its reasons speak against estimators that weight whole episodes. ``facts["by_step"]`` has at most 50 steps,
        counted from 1: mean, standard error over units, and quantiles over episodes.

    Notes
    -----
    The thresholds were found on HazardGrid, FrozenLake 4x4 and four random processes of 10 to 200 states, for targets
    from the logger toward its intent, the optimum and chance. On fresh logs of these and of two more worlds (200 and
    1,000 episodes, 40 logs each, 9 targets), one-sided 95 % bounds of the 58 % that pass covered, over the four forms
    of importance sampling: the return in .955 to .966 of cases from below and .948 to .955 from above, the hazard in
    .965 to .978 and .936 to .942; of `dr` .923 and .961, .968 and .922 (15 logs each). Without any of this the upper
    bound of the hazard covered in .86 to .91 (`dr` .87), and in .53 to .63 of what the look at rare actions refuses.
    """
    logs = step_log_weights(problem)
    whole = logs[problem.last]
    steps = _thinned(int(problem.lengths.max()))
    means, errors, quantiles = _by_step(problem, logs, steps)
    z = np.divide(means - 1.0, errors, out=np.zeros_like(means), where=(errors > _ROUNDING) & np.isfinite(errors))
    z[(errors <= _ROUNDING) & (np.abs(means - 1.0) > _ROUNDING)] = np.inf  # weights all alike, and not 1
    worst, lowest = int(np.argmax(np.abs(z))), int(np.argmin(means))
    shares = np.bincount(problem.units, weights=scaled(whole))
    total = float(shares.sum())
    rare = rarely_taken(problem, logs)
    facts: dict[str, Any] = {
        "ess": effective_sample_size(whole),
        "effective_units": effective_units(whole, problem),
        "largest_share": float(shares.max()) / total if total > 0.0 else 0.0,
        "zero_share": float((whole == -np.inf).mean()),
        "mean": float(means[-1]),
        "standard_error": finite_or_none(errors[-1]),
        "lowest_mean": float(means[lowest]),
        "lowest_mean_step": int(steps[lowest]) + 1,
        "worst_z": finite_or_none(z[worst]),
        "worst_z_step": int(steps[worst]) + 1,
        "worst_z_mean": float(means[worst]),
        "worst_z_p": min(1.0, 2.0 * float(stats.norm.sf(abs(z[worst]))) * len(steps)),
        "rare_mass": None if rare is None else rare.mass,
        "rare_ratio": None if rare is None else rare.ratio,
        "by_step": {
            "step": (steps + 1).tolist(),
            "mean": means.tolist(),
            "standard_error": [finite_or_none(error) for error in errors],
            "quantiles": {f"{q:g}": row.tolist() for q, row in zip(_QUANTILES, quantiles.T, strict=True)},
        },
    }
    return Diagnosis(NAME, facts, _reasons(problem, facts, float(z[worst])), _notes(rare))


class Rare(NamedTuple):
    """How often an episode of the target takes actions that it prefers `ratio` times or more over the logger."""

    mass: float
    ratio: float


def rarely_taken(problem: Problem, log_weights: FloatArray) -> Rare | None:
    """Return how much of what the target does the log is expected to hold fewer than three times.

    Actions are ordered by how many times more often than the logger the target takes them; ratios are doubled until
    fewer than `RARE_COUNT` such actions are expected in the log. The target's visits are the log's, weighted.

    Parameters
    ----------
    problem : Problem
    log_weights : (N,) float64
        Running weights, unclipped.

    Returns
    -------
    Rare or None
        None where observations are not counted and the behavior policy's other probabilities are unknown.
    """
    before = np.zeros_like(log_weights)
    before[1:] = log_weights[:-1]
    before[problem.starts[:-1]] = 0.0
    visits = linear(before) / problem.n_episodes
    if problem.behavior is not None:
        mass, expected = visits[:, None] * problem.target, problem.behavior
        ratio = _ratio(problem.target, problem.behavior)
    elif problem.states is not None:
        target, behavior = _by_state(problem)
        code, count = problem.states.code, problem.states.count
        mass = np.bincount(code, weights=visits, minlength=count)[:, None] * target
        expected = np.bincount(code, minlength=count)[:, None] * behavior
        ratio = _ratio(target, behavior)
    else:
        return None
    for doubling in range(1, _DOUBLINGS):
        preferred = ratio >= 2.0**doubling
        if expected[preferred].sum() < RARE_COUNT:
            return Rare(float(mass[preferred].sum()), 2.0**doubling)
    return Rare(0.0, 2.0**_DOUBLINGS)


def _by_state(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Probabilities of target and behavior policy by state, (S, A + 1): actions never taken there go as one, last."""
    states = problem.states
    assert states is not None
    S, A = states.count, problem.n_actions
    pair = states.code * A + problem.actions
    taken = np.bincount(pair, minlength=S * A).reshape(S, A)
    sums = np.bincount(pair, weights=problem.propensities, minlength=S * A).reshape(S, A)
    behavior = np.divide(sums, taken, out=np.zeros((S, A)), where=taken > 0)
    left = np.maximum(1.0 - behavior.sum(axis=1, keepdims=True), 0.0)
    never = np.where(taken > 0, 0.0, states.target)
    return (
        np.concatenate([states.target - never, never.sum(axis=1, keepdims=True)], axis=1),
        np.concatenate([behavior, left], axis=1),
    )


def _ratio(target: FloatArray, behavior: FloatArray) -> FloatArray:
    """Divide probabilities: 0 where the target has none (up to rounding), infinite where only the other has none."""
    target = np.where(target > 1e-12, target, 0.0)
    unbounded = np.where(target > 0.0, np.inf, 0.0)
    return np.asarray(np.divide(target, behavior, out=unbounded, where=behavior > 1e-12))


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


def _reasons(problem: Problem, facts: dict[str, Any], z: float) -> tuple[str, ...]:
    reasons = []
    grouped = problem.n_units < problem.n_episodes
    unit = "group" if grouped else "episode"
    lowest = facts["lowest_mean"]
    if lowest < LOW_MEAN:
        reasons.append(
            f"The weights of episodes must average 1, and average {lowest:.3g} after step {facts['lowest_mean_step']}: "
            "what the target would go through is missing from the log, or propensities are wrong."
        )
    elif abs(z) > FAR:
        away = f"{abs(z):.1f} standard errors away" if np.isfinite(z) else "all of them alike"
        reasons.append(
            f"The weights of episodes must average 1, and average {facts['worst_z_mean']:.4g} after step "
            f"{facts['worst_z_step']}, {away}: propensities are wrong, or what matters is in few episodes."
        )
    worth = facts["effective_units"]
    # Few units, equally weighted, are few and no more: their interval knows.
    if worth < min(FEW, 0.8 * problem.n_units):
        reasons.append(
            f"By their weights {problem.n_units} {unit}s are worth {worth:.1f} equally weighted ones; intervals from "
            f"weighted episodes hold from about {FEW:.0f}."
        )
    largest = facts["largest_share"]
    if largest > max(LARGE_SHARE, 3.0 / problem.n_units):
        reasons.append(f"One {unit} of {problem.n_units} carries {largest:.0%} of all weight.")
    if facts["rare_mass"] is not None and facts["rare_mass"] > RARE_MASS:
        reasons.append(
            f"In up to {min(facts['rare_mass'], 1.0):.1%} of its episodes the target takes an action that it prefers "
            f"{facts['rare_ratio']:,.0f} times or more over the logger, and of which the log can be expected to hold "
            f"fewer than {RARE_COUNT:.0f}."
        )
    return tuple(reasons)


def _notes(rare: Rare | None) -> tuple[str, ...]:
    if rare is not None:
        return ()
    return (
        "Observations are not counted and the logger's probabilities of other actions are unknown, so that actions "
        "which the target takes and the log hardly holds may go unseen.",
    )
