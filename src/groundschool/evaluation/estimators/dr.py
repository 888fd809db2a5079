"""Per-decision doubly robust estimation."""

from __future__ import annotations

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators._q_model import RowValues, cross_fitted
from groundschool.evaluation.estimators._weighted import answer
from groundschool.evaluation.problem import FloatArray, Problem
from groundschool.evaluation.weights import episode_log_weights, linear, step_log_weights

NAME = "dr"


def estimate(problem: Problem, *, folds: int = 5, clip: float | None = None, seed: int = 0) -> Estimation:
    """Correct a model's value by the weighted surprises of each logged episode (Jiang & Li 2016, arXiv:1511.03722).

    Unbiased where the propensities are right and no weight is clipped, whatever the model, which is fitted to other
    folds of units. Counted states give a counted model, recursive over the horizon; other observations a ridge
    regression. A censored episode goes on in the model from its final observation.

    Parameters
    ----------
    problem : Problem
    folds : int
        At least 2; a unit is never divided. With one unit there is no model: the estimate is that of `pdis`.
    clip : float, optional
        The largest weight that counts at any step; see `weights.step_log_weights`.
    seed : int
        Deals units into folds.

    Returns
    -------
    Estimation
    """
    if isinstance(folds, bool) or not isinstance(folds, int | np.integer) or folds < 2:
        raise InputError(f"folds is {folds!r}, expected a whole number of at least 2.")
    model = cross_fitted(problem, int(folds), seed)
    values = corrected(problem, model, step_log_weights(problem, clip))
    n_censored = int(problem.censored.sum())
    notes: tuple[str, ...] = ()
    if n_censored:
        lost = int((problem.censored & np.isnan(model.after[problem.last])).sum())
        notes = (
            f"{n_censored} of {problem.n_episodes} episodes were cut before the horizon and go on in the model from "
            "their final observation: this assumes that being cut says nothing beyond what was observed."
            + (f" {lost} have no final observation; their last step is left to the model as well." if lost else ""),
        )
    modeled = "counted" if problem.states is not None else "ridge regression"
    return answer(
        problem,
        float(values.mean()),
        values,
        episode_log_weights(problem),
        clip=clip,
        open_ended=False,
        notes=notes,
        facts={
            "model": modeled if problem.n_units > 1 else "none",
            "folds": min(int(folds), problem.n_units),
            "model_value": float(model.now[problem.starts[:-1]].mean()),
        },
    )


def corrected(problem: Problem, model: RowValues, log_weights: FloatArray) -> FloatArray:
    """Return, for each episode, the model's value of its first observation plus its weighted surprises, (E,)."""
    # Where the next observation is unknown there is no surprise to tell.
    after = np.where(np.isnan(model.after), model.taken - problem.signal, problem.discount * model.after)
    surprise = problem.signal + after - model.taken
    weighted = linear(log_weights) * problem.discounts * surprise
    return np.asarray(model.now[problem.starts[:-1]] + problem.episode_sums(weighted))
