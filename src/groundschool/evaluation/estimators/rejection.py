"""Episodes of the target, drawn from the log by rejection, and bounds as if the target had been run."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from groundschool.errors import InputError
from groundschool.evaluation.bounds.betting import mean_bounds
from groundschool.evaluation.bounds.rejection import accepted
from groundschool.evaluation.bounds.stopping import Stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import THRESHOLDS
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._bounded import Weighted, checked_learning_share
from groundschool.evaluation.estimators.censored_weight import checked_threshold
from groundschool.evaluation.intervals import clopper_pearson
from groundschool.evaluation.problem import FloatArray, IntArray, Problem

NAME = "rejection"


def estimate(
    problem: Problem,
    *,
    cap: float | None = None,
    threshold: float | None = None,
    ratio_cap: float | None = None,
    learning_share: float = 0.2,
    seed: int = 0,
) -> Estimation:
    """Keep each episode with probability W / cap, and bound the mean of what is kept.

    Kept episodes are independent episodes of the target: Clopper-Pearson bounds a probability from them, betting a
    return. That needs a cap that was known before the weights were. Where the logger's probabilities of all actions
    are known (or `ratio_cap` is declared), episodes are stopped before an action that could take their weight above a
    threshold, which then is the cap; a stopped episode counts as the worst case of each bound.

    Parameters
    ----------
    problem : Problem
    cap : float, optional
        A declared limit of the weight of any episode: nothing is stopped then.
    threshold : float, optional
        At least 1, fixed before the log was looked at. By default the one that promises most on a learning part of the
        episodes, which are left out afterwards.
    ratio_cap : float, optional
        As in `betting`.
    learning_share : float
        In (0, 1): what part that is.
    seed : int
        Of the learning part and of what is kept.

    Returns
    -------
    Estimation
        Its value is the mean of what was kept and not stopped. Without any cap that was known beforehand the largest
        weight seen is taken, and the answer is not to be relied on.

    Raises
    ------
    InputError
        If a weight is above `cap` or a ratio above `ratio_cap`, or an option is out of its range.
    """
    learning_share = checked_learning_share(learning_share)
    if threshold is not None:
        threshold = checked_threshold(threshold)
        if cap is not None:
            raise InputError(
                f"cap={cap!r} and threshold={threshold!r}: with a cap nothing is stopped at a threshold. Say one of "
                "them."
            )
    weighted = Weighted(problem, seed, single=True)
    weights, stopped, rows = weighted.weights, np.zeros(problem.n_episodes, np.bool_), weighted.taken[:, 0]
    largest = None if cap is not None else largest_ratios(problem, ratio_cap)
    reasons: tuple[str, ...] = ()
    if cap is not None:
        limit = _checked_cap(cap, weights)
    elif largest is not None:
        stopping = Stopping(problem, largest)
        if threshold is None:
            learned = max(1, round(learning_share * len(rows)))
            limit = _chosen(stopping, problem, rows[:learned], len(rows) - learned)
            rows = rows[learned:]
        else:
            limit = threshold
        weights, stopped = stopping.at(limit)
    else:
        limit = max(float(weights.max()), 1.0)
        reasons = (
            f"No limit of the weights is known beforehand, and the largest that was met, {limit:.4g}, is none. Pass "
            "the logger as behavior=, or declare cap (of an episode's weight) or ratio_cap (of a single ratio).",
        )
    kept = rows[accepted(weights[rows], limit, seed)] if len(rows) else rows
    clear = kept[~stopped[kept]]
    facts = {"cap": limit, "accepted": len(kept), "accepted_and_stopped": len(kept) - len(clear)}
    return weighted.answer(
        weighted.bounds(lambda outcomes, tail, ceiling: _lower(np.where(stopped, 0.0, outcomes)[kept], tail, ceiling)),
        "rejection, Clopper-Pearson" if problem.question.kind == "probability" else "rejection, betting",
        value=float(problem.returns[clear].mean()) if len(clear) else None,
        error=float(problem.returns[clear].std(ddof=1)) / math.sqrt(len(clear)) if len(clear) > 1 else math.inf,
        valid=not reasons,
        reasons=reasons,
        notes=(
            f"{len(kept)} of {problem.n_episodes} episodes were kept by chance (seed {seed}). Another seed keeps "
            "others and gives another bound that holds as well, the best of several seeds none.",
        ),
        facts=facts,
    )


def _lower(outcomes: FloatArray, tail: float, ceiling: float) -> float:
    """Bound the mean of independent outcomes in [0, ceiling] from below."""
    if not len(outcomes):
        return 0.0
    if ceiling == 1.0 and bool(((outcomes == 0.0) | (outcomes == 1.0)).all()):
        return clopper_pearson(int(outcomes.sum()), len(outcomes), max(1.0 - 2.0 * tail, 1e-12)).lower
    return mean_bounds(outcomes, tail, high=ceiling)[0]


def _chosen(stopping: Stopping, problem: Problem, rows: IntArray, rest: int) -> float:
    """Return the threshold with the least loss to be expected: what is stopped, and few that are kept."""
    low, high = problem.low, problem.high
    span = high - low if math.isfinite(high) and high > low else 1.0
    weights = stopping.weights[rows]
    spread = 0.25
    if weights.sum() > 0.0 and math.isfinite(high):
        outcomes = (problem.returns[rows] - low) / span
        mean = float((weights * outcomes).sum() / weights.sum())
        spread = float((weights * np.square(outcomes - mean)).sum() / weights.sum()) + 1.0 / (len(rows) + 1.0)
    losses = []
    for threshold in THRESHOLDS:
        stopped_weights, stopped = stopping.at(threshold)
        kept = max(rest / threshold, 1.0)
        lost = float(np.where(stopped, stopped_weights, 0.0)[rows].mean())
        losses.append(lost + float(stats.norm.isf(0.05)) * math.sqrt(spread / kept) + 1.0 / kept)
    return THRESHOLDS[int(np.argmin(losses))]


def _checked_cap(cap: float, weights: FloatArray) -> float:
    if isinstance(cap, bool) or not isinstance(cap, int | float) or not 1.0 <= cap < math.inf:
        raise InputError(f"cap is {cap!r}, expected a number of at least 1: the largest weight of an episode.")
    if float(weights.max()) > cap * (1.0 + 1e-9):
        raise InputError(
            f"cap is {cap:g}, but an episode of the log has weight {weights.max():.4g}. Declare a cap that holds for "
            "every episode that could be met, or leave it out."
        )
    return float(cap)
