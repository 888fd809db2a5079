"""Cross-fitted predictions, without history and with it: tables for few outcomes, ridge regression for numbers.

Every prediction of a row rests on other episodes only, so that a richer model gains nothing by fitting noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from groundschool.data.validation import Array

_PRIOR_WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
_HISTORY_WEIGHTS = (2.0, 10.0, 50.0, 200.0)
_STACKING_ROWS, _STACKING_ROUNDS = 12_000, 20
_RIDGE = (1e-7, 1e-4, 1e-2)
_WIDE = 400
_RANDOM, _RANDOM_HISTORY = 112, 72
_LARGEST = 8.0
_QUADRATIC = 10
_ACTIONS, _PRODUCTS = 30, 200


@dataclass(frozen=True)
class Tabulated:
    """Held-out log-likelihoods of n outcomes.

    Attributes
    ----------
    base : (n,)
        Given the context.
    history : (n,)
        Given the context and the histories.
    shares : (families,)
        How much of the prediction with history rests on each family of histories; the rest is the base.
    """

    base: Array
    history: Array
    shares: Array


def tabulate(outcome: Array, context: Array, families: Sequence[Sequence[Array]], fold: Array) -> Tabulated:
    """Predict outcomes from a context, and from histories besides, by counts in other folds.

    The base is P(y | context), shrunk to the marginal with the weight that serves it best. The histories of a family
    are refinements of each other: P(y | context, history) is shrunk to the prediction from the coarser one, the first
    to the base. All of these, for several strengths of shrinking, and the base are mixed with the weights that predict
    the other folds best (linear stacking; Wolpert 1992, fitted by expectation maximization): histories that say
    nothing leave the base as it is.

    Parameters
    ----------
    outcome, context, fold : (n,) int64, from 0
    families : sequences of histories, (n,) int64, from 0, coarse before fine
    """
    marginal = _others(outcome, fold)
    spread = (marginal + 1.0) / (len(fold) - np.bincount(fold)[fold] + outcome.max() + 1.0)
    seen, of_outcome = _counts(context, outcome, fold)
    bases = [(of_outcome + weight * spread) / (seen + weight) for weight in _PRIOR_WEIGHTS]
    base = max(bases, key=lambda probability: float(np.log(probability).sum()))
    ratios, family = [np.ones(len(base))], [-1]
    for number, histories in enumerate(families):
        shrunk = [base] * len(_HISTORY_WEIGHTS)
        for history in histories:
            seen, of_outcome = _counts(_pair(context, history), outcome, fold)
            shrunk = [
                (of_outcome + weight * coarser) / (seen + weight)
                for weight, coarser in zip(_HISTORY_WEIGHTS, shrunk, strict=True)
            ]
            ratios += [probability / base for probability in shrunk]
            family += [number] * len(shrunk)
    mixed, weights = _stacked(np.array(ratios), fold)
    shares = np.array([weights[np.array(family) == number].sum() for number in range(len(families))])
    return Tabulated(np.log(base), np.log(base) + np.log(mixed), shares)


def _stacked(ratios: Array, fold: Array) -> tuple[Array, Array]:
    """Return the mixture (n,) of predictions (k, n), its weights fitted to the other folds, and the mean weights."""
    mixed = np.empty(ratios.shape[1])
    mean = np.zeros(len(ratios))
    for k in np.unique(fold):
        others = np.flatnonzero(fold != k)
        known = ratios[:, others[:: max(1, len(others) // _STACKING_ROWS)]]
        weights = np.full(len(ratios), 0.5 / (len(ratios) - 1))
        weights[0] = 0.5
        for _ in range(_STACKING_ROUNDS):
            weights = weights * (known @ (1.0 / (weights @ known))) / known.shape[1]
        mixed[fold == k] = weights @ ratios[:, fold == k]
        mean += weights / (int(fold.max()) + 1)
    return mixed, mean


def _counts(context: Array, outcome: Array, fold: Array) -> tuple[Array, Array]:
    """Return how often the context of each row, and it together with the outcome, occur in other folds."""
    return _others(context, fold), _others(_pair(context, outcome), fold)


def _others(code: Array, fold: Array) -> Array:
    size = int(code.max()) + 1
    by_fold = np.bincount(fold * size + code, minlength=(int(fold.max()) + 1) * size)
    return np.asarray(np.bincount(code, minlength=size)[code] - by_fold[fold * size + code])


def _pair(one: Array, other: Array) -> Array:
    """Return one code, from 0, for two."""
    return np.unique(one * (int(other.max()) + 1) + other, return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True)
class Residuals:
    """What cross-fitted predictions leave of j standardized targets, each (n, j).

    Attributes
    ----------
    base : of predictions from the inputs
    history : of predictions from the inputs and the history
    targets : the targets themselves
    """

    base: Array
    history: Array
    targets: Array


def ridge_residuals(
    targets: Array, inputs: Array, action: Array | None, history: Array, fold: Array, seed: int
) -> Residuals:
    """Return the residuals of cross-fitted ridge regressions on a flexible basis.

    The basis is linear, quadratic where inputs are few, and random Fourier features of two widths (Rahimi and Recht
    2007). An action that is frequent enough has coefficients of its own.

    Parameters
    ----------
    targets : (n, j)
    inputs : (n, d)
    action : (n,) int64, or None
    history : (n, h)
    fold : (n,) int64
    seed : int
    """
    rng = np.random.default_rng(seed)
    targets = scaled(targets)
    z, past = scaled(inputs), scaled(history)
    base = np.hstack([z, _quadratic(z), _fourier(z, _RANDOM, rng)])
    more = np.hstack([past, _fourier(np.hstack([z, past]), _RANDOM_HISTORY, rng)])
    group = np.zeros(len(z), np.int64) if action is None else _groups(action, 5 * (base.shape[1] + more.shape[1]))
    residuals = [np.zeros_like(targets) for _ in range(2)]
    for g in np.unique(group):
        at = np.flatnonzero(group == g)
        own = np.ones((len(at), 1)) if action is None else _indicators(action[at], z[at])
        design = np.hstack([own, base[at], more[at]])
        ends = (own.shape[1] + base.shape[1], design.shape[1])
        for residual, found in zip(residuals, _nested(design, targets[at], fold[at], ends), strict=True):
            residual[at] = found
    return Residuals(residuals[0], residuals[1], targets)


def scaled(values: Array) -> Array:
    """Return columns with mean 0 and standard deviation 1, outliers cut off; a column that never changes is 0."""
    spread = values.std(axis=0)
    spread = np.where(spread > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-300), spread, np.inf)
    return np.asarray(np.clip((values - values.mean(axis=0)) / spread, -_LARGEST, _LARGEST))


def _quadratic(z: Array) -> Array:
    d = z.shape[1]
    if d > _QUADRATIC:
        return np.zeros((len(z), 0))
    one, other = np.triu_indices(d)
    return np.asarray(z[:, one] * z[:, other])


def _fourier(z: Array, count: int, rng: np.random.Generator) -> Array:
    """Return random Fourier features, half of them of a narrow and half of a wide Gaussian kernel."""
    width = np.sqrt(z.shape[1]) * np.where(np.arange(count) % 2, 0.5, 1.5)
    directions = rng.normal(size=(z.shape[1], count)) / width
    return np.asarray(np.cos(z @ directions + rng.uniform(0.0, 2.0 * np.pi, count)))


def _groups(action: Array, least: int) -> Array:
    """Return a group for each row: one an action that has `least` rows, and 0 for the others together."""
    counts = np.bincount(action)
    number = np.where(counts >= least, np.arange(len(counts)) + 1, 0)
    return np.asarray(number[action])


def _indicators(action: Array, z: Array) -> Array:
    """Return a constant, and for each further action an indicator and, if few, what it adds to the linear part."""
    columns = [np.ones((len(z), 1))]
    for number, one in enumerate(np.unique(action)[1 : 1 + _ACTIONS]):
        is_one = (action == one).astype(np.float64)[:, None]
        columns.append(is_one)
        if (number + 1) * z.shape[1] <= _PRODUCTS:
            columns.append(is_one * z)
    return np.hstack(columns)


def _nested(design: Array, targets: Array, fold: Array, ends: Sequence[int]) -> list[Array]:
    """Return residuals (n, j) of ridge regressions on the first columns of a design, for each end of them."""
    design = design / np.maximum(np.sqrt(np.square(design).mean(axis=0)), 1e-12)
    rows = [np.flatnonzero(fold == k) for k in np.unique(fold)]
    grams = [design[at].T @ design[at] for at in rows]
    moments = [design[at].T @ targets[at] for at in rows]
    gram, moment = np.sum(grams, axis=0), np.sum(moments, axis=0)
    found = []
    for end in ends:
        strengths = _RIDGE if end <= _WIDE else _RIDGE[1:]
        residuals = np.empty((len(strengths), *targets.shape))
        for k, at in enumerate(rows):
            inner, outer = (gram - grams[k])[:end, :end], (moment - moments[k])[:end]
            scale = np.eye(end) * max(len(design) - len(at), 1)  # of a single fold nothing else is left: predict 0
            for i, strength in enumerate(strengths):
                residuals[i][at] = targets[at] - design[at, :end] @ np.linalg.solve(inner + strength * scale, outer)
        best = np.square(residuals).mean(axis=1).argmin(axis=0)
        found.append(np.take_along_axis(residuals, best[None, None, :], axis=0)[0])
    return found
