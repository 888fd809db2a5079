"""Double reinforcement learning over counted states: the estimator that certifies.

Kallus & Uehara 2019 (arXiv:1909.05850) for a horizon of H steps and dynamics that do not depend on the step. The value
of an episode e is

    V_0(s_0) + sum over its rows of ratio(s, a) * (U(s, r, o) - E[U | s, a]),
    U(s, r, o) = sum_t d_t(s) (r + V_{t+1}(o)) / D(s),    ratio(s, a) = D(s) pi(a|s) / (D_b(s) b(a|s)),

with d_t and D = sum_t d_t the target's visits and D_b the logger's. Values and visits come from counts of the episodes
of all other folds; the mean over episodes is unbiased to first order in the errors of either. Both D and D_b are
visits in the same counted model, so that its errors cancel where the target acts like the logger; b(a|s) is the
propensity of the row.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation.bounds.influence import standard_error
from groundschool.evaluation.diagnostics.support import behavior_by_state, support_of
from groundschool.evaluation.estimate import Assurance, Estimation
from groundschool.evaluation.estimators._certify import certified_bounds, room_for_the_worst
from groundschool.evaluation.finite_horizon import SHRINKAGE, Model, count
from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.problem import BoolArray, FloatArray, Problem

NAME = "marginal_dr"


def estimate(
    problem: Problem,
    *,
    folds: int = 10,
    clip: float | None = None,
    shrinkage: float = SHRINKAGE,
    seed: int = 0,
) -> Estimation:
    """Estimate by marginal double robustness, and say how well the log supports that.

    Parameters
    ----------
    problem : Problem
        Where its observations cannot be counted, the estimate is made over a fitted partition.
    folds : int
        For cross-fitting by unit, at least 2.
    clip : float, optional
        The largest ratio, at least 1; a tenth of the units by default.
    shrinkage : float
        Pseudo-count by which a pair of a state and an action is drawn toward its own state.
    seed : int
        Of the folds.

    Returns
    -------
    Estimation
        Asymptotic. Its bounds have room for the worst case of episodes in which the target does what the log hardly
        holds (`groundschool.evaluation.diagnostics.support`): few of them are enough, where who is stuck pays at every
        step. Two signs of what the values do not show inflate its standard error: half of what the estimate moves
        when only half of the log is learned from (two folds instead of `folds`), and the product of how much the model
        had to be corrected and how far the ratios are from 1. The bias that is left is a product of the errors of both:
        in Taxi, where an action costs ten and half of all pairs were never logged, it is nearly that number.
    """
    _check(folds, clip, shrinkage)
    if problem.states is None:
        from groundschool.evaluation.estimators import marginal_dr_partition

        return marginal_dr_partition.estimate(problem, folds=folds, clip=clip, seed=seed)
    limit = max(problem.n_units / 10.0, 1.0) if clip is None else float(clip)
    if problem.n_units < 2:
        return _nothing(problem)
    behavior = behavior_by_state(problem)
    fitted = cross_fit(problem, behavior, folds, limit, shrinkage, seed)
    coarse = cross_fit(problem, behavior, 2, limit, shrinkage, seed)
    value = float(fitted.values.mean())
    disagreement = abs(value - float(coarse.values.mean()))
    error = standard_error(fitted.values, problem.units)
    remainder = _remainder(problem, fitted)
    inflation = math.hypot(disagreement / 2.0, remainder)
    found = support_of(problem, behavior, limit, shrinkage)
    censored = int(problem.censored.sum())
    assurance: Assurance = "asymptotic" if problem.known and not censored else "heuristic"
    notes: tuple[str, ...] = ("The observation is taken for all that the next step depends on, besides the action.",)
    left = float(found.facts["left_few"])
    room = room_for_the_worst(problem, value, left)
    if left > 0.0005:
        notes += (
            f"In {left:.1%} of its episodes the target does what the log hardly holds. The bounds have room for these "
            "to go as badly, and as well, as steps that were logged can go on doing up to the horizon.",
        )
    if censored:
        notes += (
            f"{censored:,} of {problem.n_episodes:,} episodes were cut before the horizon. It is assumed that what "
            "cuts them tells nothing beyond the observation.",
        )
    return Estimation(
        value=value,
        standard_error=error + inflation,
        bounds=certified_bounds(problem, fitted.values, fitted.ratios, inflation, room),
        interval="influence values, Student t with kurtosis in its degrees of freedom",
        assurance=assurance,
        values=fitted.values,
        diagnostics={
            "support": found.facts,
            "folds": folds,
            "fold_disagreement": disagreement,
            "model_correction": float(fitted.corrections.mean()),
            "remainder": remainder,
            "room_for_the_worst": dict(zip(("down", "up"), room, strict=True)),
            "influence_error": error,
            "clip": limit,
            "clipped_rows": int(fitted.clipped.sum()),
            "largest_ratio": float(fitted.ratios.max(initial=0.0)),
            "ess": _effective(problem, fitted.ratios),
        },
        reasons=found.reasons,
        notes=notes,
    )


def _check(folds: Any, clip: Any, shrinkage: Any) -> None:
    if not isinstance(folds, int) or isinstance(folds, bool) or folds < 2:
        raise InputError(
            f"folds is {folds!r}, expected a whole number of at least 2: nobody is judged on what they studied."
        )
    if clip is not None and not (_number(clip) and clip >= 1.0):
        raise InputError(f"clip is {clip!r}, expected a number of at least 1: the largest ratio that counts.")
    if not (_number(shrinkage) and 0.0 <= shrinkage < math.inf):
        raise InputError(f"shrinkage is {shrinkage!r}, expected a number of at least 0: a pseudo-count of rows.")


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and not math.isnan(value)


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """One cross-fitted pass.

    Attributes
    ----------
    values : (E,) float64
        Their mean is the estimate.
    corrections : (E,) float64
        The part of them that corrects the model.
    ratios : (N,) float64
        Marginal ratio of each row, clipped.
    clipped : (N,) bool
    """

    values: FloatArray
    corrections: FloatArray
    ratios: FloatArray
    clipped: BoolArray


def cross_fit(
    problem: Problem, behavior: FloatArray, folds: int, clip: float, shrinkage: float = SHRINKAGE, seed: int = 0
) -> Fitted:
    """Return the value of each episode, with all that is learned learned from the other folds.

    Parameters
    ----------
    problem : Problem
        With states, and at least two units.
    behavior : (S, A) float64
        The behavior policy's probabilities by state.
    folds : int
    clip : float
        The largest ratio.
    shrinkage : float
    seed : int
    """
    states = problem.states
    assert states is not None
    part = fold_of_episode(problem.units, folds, seed)
    counts, kind, weight = count(problem, part, int(part.max()) + 1)
    others = counts.without_each()
    model = Model(others, states.target, problem.horizon, problem.discount, shrinkage)
    logger = Model(others, behavior, problem.horizon, 1.0, shrinkage)
    part_of_row = np.repeat(part, problem.lengths)
    base = logger.visits[part_of_row, states.code]
    seen = others.visits[part_of_row, states.code] > 0
    base = np.where(seen, base, 0.0)
    # What one row stands for: the flow to its state, which the residual holds already, is left out.
    scale = np.divide(problem.ratios, base, out=np.zeros(problem.n_rows), where=base > 0)
    ratios = scale * model.visits[part_of_row, states.code]
    clipped = ratios > clip
    scale[clipped] *= clip / ratios[clipped]
    ratios = np.minimum(ratios, clip)
    counted = kind >= 0
    residual = np.zeros(problem.n_rows)
    residual[counted] = model.residuals[part_of_row[counted], kind[counted]]
    residual += model.visits[part_of_row, states.code] * problem.signal
    corrections = weight * scale * residual
    new = np.flatnonzero(counted & ~seen)
    if len(new):
        # Nobody else was there: the model sends no flow, and the average state's value stands in for its own.
        ratios[new] = np.minimum(problem.ratios[new], clip)
        corrections[new] = ratios[new] * _one_step(problem, model, part_of_row, new)
    start = model.values[0][part, states.code[problem.starts[:-1]]]
    by_episode = problem.episode_sums(corrections)
    return Fitted(start + by_episode, by_episode, ratios, clipped)


def _remainder(problem: Problem, fitted: Fitted) -> float:
    """Return how far off the estimate may be where neither the values nor the ratios of the model are right."""
    correction = float(fitted.corrections.mean())
    noise = standard_error(fitted.corrections, problem.units)
    departure = min(float(np.abs(fitted.ratios - 1.0).mean()), 1.0)
    return departure * math.sqrt(max(correction**2 - noise**2, 0.0))


def _one_step(problem: Problem, model: Model, part: Any, rows: Any) -> FloatArray:
    """Return the temporal-difference errors of some rows at their own steps, discounted to the start."""
    states = problem.states
    assert states is not None
    step, k = problem.step[rows], part[rows]
    then = states.then[rows]
    goes = (then >= 0) & ~problem.ended[rows]
    onward = np.where(goes, model.values[step + 1, k, np.maximum(then, 0)], 0.0)
    gained = problem.signal[rows] + problem.discount * onward - model.values[step, k, states.code[rows]]
    return np.asarray(problem.discounts[rows] * gained)


def _effective(problem: Problem, ratios: FloatArray) -> float:
    """Return how many episodes of the target the ratios are worth (Kish), with one weight an episode."""
    weights = problem.episode_sums(ratios)
    square = float(np.square(weights).sum())
    return float(weights.sum() ** 2 / square) if square > 0 else 0.0


def _nothing(problem: Problem) -> Estimation:
    what = "episode" if problem.n_episodes < 2 else "group"
    return Estimation(
        value=float(problem.returns.mean()),
        standard_error=math.inf,
        bounds=lambda tail: (problem.low, problem.high),
        interval="none",
        assurance="heuristic",
        reasons=(f"The log has one {what}: there is nothing to learn from but the {what} that is judged.",),
    )
