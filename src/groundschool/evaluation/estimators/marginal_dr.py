"""Double reinforcement learning over counted states: the certifying estimator (Kallus & Uehara 2019, arXiv:1909.05850)."""

from __future__ import annotations

import numpy as np

from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.finite_horizon import SHRINKAGE, Model, count
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.folds import fold_of_episode

NAME = "marginal_dr"


def influence(problem, folds, clip, shrinkage=SHRINKAGE, seed=0):
    states = problem.states
    part = fold_of_episode(problem.units, folds, seed)
    n_parts = int(part.max()) + 1
    counts, of_row = count(problem, part, n_parts)
    model = Model(counts.without_each(), states.target, problem.horizon, problem.discount, shrinkage)
    row_part = np.repeat(part, problem.lengths)
    use = of_row >= 0
    k, s = row_part[use], states.code[use]
    seen = model._seen[k, s] / model.counts.episodes[k]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(seen > 0, problem.ratios[use] / seen, 0.0)
    ratio = scale * model.visits[k, s]
    clipped = ratio > clip
    scale = np.where(clipped, scale * clip / np.where(clipped, ratio, 1.0), scale)
    residual = model.visits[k, s] * problem.signal[use] + model.residuals[k, of_row[use]]
    correction = np.bincount(problem.episode[use], weights=scale * residual, minlength=problem.n_episodes)
    start = model.values[0][part, states.code[problem.starts[:-1]]]
    return start + correction, model, dict(part=part, ratio=ratio, clipped=clipped, use=use, scale=scale, counts=counts, of_row=of_row)


def estimate(problem: Problem, *, folds: int = 10, clip: float | None = None, seed: int = 0) -> Estimation:
    n = problem.n_units
    limit = n / 10 if clip is None else clip
    values, model, more = influence(problem, min(folds, n), limit, seed=seed)
    coarse, _, _ = influence(problem, min(2, n), limit, seed=seed)
    gap = abs(values.mean() - coarse.mean())

    se = values.std(ddof=1) / np.sqrt(n)
    def bounds(tail):
        from scipy import stats
        c = values - values.mean(); k = (c**4).mean() / max((c**2).mean()**2, 1e-300)
        df = max(2 * n / max(k - 1, 1e-9), 1.0)
        q = stats.t.isf(tail, df) * se + gap / 2
        lo, up = values.mean() - q, values.mean() + q
        if problem.question.kind == "probability":
            up = max(up, values.mean() + 1 / n); lo, up = max(lo, 0), min(up, 1)
        return lo, up
    return Estimation(values.mean(), se, bounds, "influence", "asymptotic", values, dict(gap=gap))
