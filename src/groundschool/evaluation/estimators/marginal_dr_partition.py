"""Marginal doubly robust estimation over a fitted partition, for observations that are measured.

Cells take the place of states: visits and values come from a process counted over cells (see `marginal_dr`). What is
known at each row stays exact there: the ratio of action probabilities, and the value of an observation, which is the
policy's own mean over its cell's action values. The ratio of *visits* is the cells' alone, so that the estimate is as
right as either the cells' action values or the cells' ratios are; both are wrong by what a cell hides, and how far is
asked of a partition a quarter as fine.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from groundschool.evaluation.bounds.influence import standard_error
from groundschool.evaluation.diagnostics.support import behavior_by_state, support_of
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._certify import certified_bounds, room_for_the_worst
from groundschool.evaluation.finite_horizon import SHRINKAGE, Model, count
from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.partition import cells_of
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.states import States, first_rows

ROWS_PER_CELL = 60
MOST_CELLS = 256
_COARSER = 4
MOST_UNLIKE = 0.05  # mean distance of the ratios from 1


def estimate(problem: Problem, *, folds: int = 10, clip: float | None = None, seed: int = 0) -> Estimation:
    """Estimate over a partition of the observations.

    Parameters
    ----------
    problem : Problem
        Whose observations are not counted.
    folds : int
        For cross-fitting by unit.
    clip : float, optional
        The largest ratio; a tenth of the units by default.
    seed : int
        Of the folds and of the partition, which knows the observations of all folds and no outcome.

    Returns
    -------
    Estimation
        Heuristic: what a cell hides does not vanish with the size of the log. The difference from a partition a quarter
        as fine goes into the standard error. It is trusted for targets that are hardly unlike the logger: in CartPole
        and a noisy point mass, 500 episodes, the bounds of a logger with more noise missed in most logs.
    """
    limit = max(problem.n_units / 10.0, 1.0) if clip is None else float(clip)
    finest = int(np.clip(problem.n_rows // ROWS_PER_CELL, 2, MOST_CELLS))
    fine = over_cells(problem, finest, seed)
    coarse = over_cells(problem, max(finest // _COARSER, 1), seed)
    fitted, rough = cross_fit(fine, folds, limit, seed), cross_fit(coarse, folds, limit, seed)
    value, apart = float(fitted.values.mean()), abs(float(fitted.values.mean() - rough.values.mean()))
    error = standard_error(fitted.values, problem.units)
    correction = float(fitted.corrections.mean())
    noise = standard_error(fitted.corrections, problem.units)
    departure = min(float(np.abs(fitted.ratios - 1.0).mean()), 1.0)
    remainder = departure * math.sqrt(max(correction**2 - noise**2, 0.0))
    inflation = math.hypot(apart, remainder)
    found = support_of(fine, behavior_by_state(fine), limit)
    room = room_for_the_worst(problem, value, float(found.facts["left"]))
    reasons = found.reasons
    if departure > MOST_UNLIKE:
        reasons += (
            "The observations are measured, and the target is unlike the logger (its ratios of visits and actions are "
            f"{departure:.2f} from 1 on average, at most {MOST_UNLIKE:g} may be): how often it would be where is known "
            "by cell alone, and in worlds of known truth intervals made so missed. Ask for method='dr'.",
        )
    weights = problem.episode_sums(fitted.ratios)
    square = float(np.square(weights).sum())
    return Estimation(
        value=value,
        standard_error=error + inflation,
        bounds=certified_bounds(problem, fitted.values, fitted.ratios, inflation, room),
        interval="influence values, Student t with kurtosis in its degrees of freedom",
        assurance="heuristic",
        values=fitted.values,
        diagnostics={
            "support": found.facts,
            "cells": finest,
            "folds": folds,
            "refinement": apart,
            "model_correction": correction,
            "remainder": remainder,
            "room_for_the_worst": dict(zip(("down", "up"), room, strict=True)),
            "influence_error": error,
            "clip": limit,
            "largest_ratio": float(fitted.ratios.max(initial=0.0)),
            "ess": float(weights.sum() ** 2 / square) if square > 0 else 0.0,
        },
        reasons=reasons,
        notes=(
            f"The observations are measured: they were sorted into {finest} cells, and where the target goes more "
            "often than the logger is known by cell. No interval shows what a cell hides, hence the assurance.",
        ),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """One cross-fitted pass; arrays as in `marginal_dr.Fitted`."""

    values: FloatArray
    corrections: FloatArray
    ratios: FloatArray


def over_cells(problem: Problem, n_cells: int, seed: int) -> Problem:
    """Return the problem with cells for states: `states.target` is the target's mean over the rows of a cell."""
    finals = problem.final_observations
    known = np.zeros(problem.n_episodes, np.bool_)
    if finals is not None and problem.final_target is not None:
        known = np.asarray(np.isfinite(problem.final_target).all(axis=1))
    ends = np.flatnonzero(known)
    cells = cells_of(problem.observations, n_cells, seed)
    code = cells(problem.observations)
    then = np.full(problem.n_rows, -1, np.int64)
    then[:-1] = code[1:]
    then[problem.last] = -1
    if finals is not None and len(ends):
        then[problem.last[ends]] = cells(finals[ends])
    then[problem.ended] = -1
    size = np.bincount(code, minlength=cells.count)[:, None]
    target = _means(code, problem.target, size)
    behavior = None if problem.behavior is None else _means(code, problem.behavior, size)
    states = States(code, then, cells.count, first_rows(code, cells.count), target, behavior)
    return dataclasses.replace(problem, states=states)


def cross_fit(problem: Problem, folds: int, clip: float, seed: int = 0) -> Fitted:
    """Return the value of each episode over cells, with all that is learned learned from the other folds."""
    states = problem.states
    assert states is not None
    behavior = behavior_by_state(problem)
    part = fold_of_episode(problem.units, folds, seed)
    counts, kind, weight = count(problem, part, int(part.max()) + 1)
    others = counts.without_each()
    model = Model(others, states.target, problem.horizon, problem.discount, SHRINKAGE)
    logger = Model(others, behavior, problem.horizon, 1.0, SHRINKAGE)
    after = _next_target(problem)
    row_part = np.repeat(part, problem.lengths)
    values, corrections = np.zeros(problem.n_episodes), np.zeros(problem.n_rows)
    ratios = np.zeros(problem.n_rows)
    for k in range(others.n_parts):
        quality = model.action_values(k)  # (H, S, A)
        flow = model.flow[:, k]
        rows = np.flatnonzero((row_part == k) & (kind >= 0))
        cell, action = states.code[rows], problem.actions[rows]
        base = np.maximum(logger.visits[k, cell], 1e-300)
        visits = model.visits[k, cell]
        ratio = np.where(others.visits[k, cell] > 0, problem.ratios[rows] * visits / base, 0.0)
        pooled = np.einsum("ts,tsa->sa", flow, quality)[cell, action]
        onward = _onward(problem, rows, flow, quality, after)
        surprise = visits * problem.signal[rows] + problem.discount * onward - pooled
        kept = np.minimum(ratio, clip)
        ratios[rows] = kept
        corrections[rows] = weight[rows] * kept * np.divide(surprise, visits, out=np.zeros(len(rows)), where=visits > 0)
        own = np.flatnonzero(part == k)
        first = problem.starts[:-1][own]
        values[own] = (problem.target[first] * quality[0, states.code[first]]).sum(axis=1)
    by_episode = problem.episode_sums(corrections)
    return Fitted(values + by_episode, by_episode, ratios)


def _onward(problem: Problem, rows: IntArray, flow: FloatArray, quality: FloatArray, after: FloatArray) -> FloatArray:
    """Return the sum over steps of the flow to each row's cell times the value after it, one step later, (n,)."""
    states = problem.states
    assert states is not None
    goes = states.then[rows] >= 0
    found = np.zeros(len(rows))
    cell, then = states.code[rows[goes]], states.then[rows[goes]]
    for action in range(problem.n_actions):
        by_link = flow[:-1].T @ quality[1:, :, action]  # (S, S): nothing follows the last step
        found[goes] += after[rows[goes], action] * by_link[cell, then]
    return found


def _next_target(problem: Problem) -> FloatArray:
    """Return the target's probabilities at the observation after each row, (N, A); 0 where there is none."""
    after = np.zeros_like(problem.target)
    after[:-1] = problem.target[1:]
    after[problem.last] = 0.0
    if problem.final_target is not None:
        after[problem.last] = np.nan_to_num(problem.final_target)
    return after


def _means(code: IntArray, table: FloatArray, size: IntArray) -> FloatArray:
    sums = np.stack([np.bincount(code, weights=column, minlength=len(size)) for column in table.T], axis=1)
    uniform = np.full(sums.shape, 1.0 / sums.shape[1])
    return np.asarray(np.divide(sums, size, out=uniform, where=size > 0))
