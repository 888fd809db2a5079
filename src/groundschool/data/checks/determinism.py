"""Loggers that always act by a fixed rule: their logs hold nothing about any other policy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks._comparable import FOLDS, comparable, nearest, standardized
from groundschool.data.checks._sample import LEAST_UNITS, Sample, folds
from groundschool.data.checks._statistics import rate_below
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.propensities import ONE, varies
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

ALPHA = 0.001
LEAST_ROWS = 500

_OTHERWISE = 0.03  # where at most half of the actions are seen, 10 % of uniform ones make at least 5 % of others
_SHARE = 0.5
_NOISE = 0.02
_QUERIES, _REFERENCES = 2_000, 20_000
_WIDEST = 12


def deterministic_logging(view: View) -> Iterator[Finding]:
    """The logger took the same action (or only some of the actions) whenever it saw the same."""
    evidence, measured = _counted(view) if view.raw.is_discrete else _measured(view)
    if not evidence:
        return
    yield Finding(
        check="deterministic-logging",
        severity="warning",
        where=view.raw.name("actions"),
        what=evidence,
        why="What other actions would have done is nowhere in the log: no other policy can be evaluated from it, and "
        "all that can be learned is to imitate.",
        do="Log with some exploration: a small, known share of other actions where they are safe; or treat the log as "
        "demonstrations, for imitation only.",
        rows=view.raw.n_rows,
        measured=measured,
    )


def _counted(view: View) -> tuple[str, dict[str, float]]:
    raw = view.raw
    sample = Sample.of(view)
    sample = sample.select(sample.finite)
    actions = np.unique(sample.actions)
    if len(actions) == 1:
        return "Every action is the same.", {}
    seen = comparable(sample, int(actions[-1]) + 1, view.seed)
    if _all_ones(raw.propensities, sample) and not varies(sample, seen):
        return f"All propensities are at least {ONE}.", {"propensity_threshold": ONE}
    tried = (seen.counts > 0).sum(axis=1)
    possible = np.full(len(tried), max(raw.n_actions or 0, int(actions[-1]) + 1))
    if raw.action_masks is not None:
        possible = raw.action_masks[sample.rows[seen.at]].sum(axis=1)
    choice = possible >= 2
    narrow = choice & (2 * tried <= possible)
    n = int(narrow.sum())
    if n < LEAST_ROWS // 5 or n < _SHARE * choice.sum():
        return "", {}
    new = int((seen.counts[np.arange(len(tried)), sample.actions[seen.at]] == 0)[narrow].sum())
    bound = rate_below(new, n, ALPHA)
    if bound > _OTHERWISE:
        return "", {}
    same = "the same observation" if seen.repeated else "nearly the same observation"
    most = int(np.median(tried[narrow]))
    said = "only one action is" if most == 1 else f"only {most} of {int(possible.max())} actions are"
    return (
        f"At {same} {said} taken: that is so in {n / choice.sum():.0%} of the rows examined, and in {new:,} of these "
        f"{n:,} rows the action is not among those of other episodes.",
        {"otherwise": new / n, "otherwise_bound": bound, "otherwise_threshold": _OTHERWISE},
    )


def _all_ones(propensities: Array | None, sample: Sample) -> bool:
    if propensities is None:
        return False
    given = propensities[sample.rows]
    given = given[np.isfinite(given)]
    return len(given) > 0 and bool((given >= ONE).all())


def _measured(view: View) -> tuple[str, dict[str, float]]:
    sample = Sample.of(view)
    sample = sample.select(sample.finite)
    if np.ptp(sample.actions, axis=0).max() == 0:
        return "Every action is the same.", {}
    noise = relative_noise(sample, view.seed)
    if noise > _NOISE:
        return "", {}
    return (
        f"Actions are a function of the observation: what other episodes predict for it is typically met within "
        f"{noise:.1%} of the actions' spread.",
        {"noise": noise, "noise_threshold": _NOISE},
    )


def relative_noise(sample: Sample, seed: int) -> float:
    """Return the noise in continuous actions given the observation, relative to their standard deviation.

    A plane is fitted to the actions of the nearest observations in other episodes (local linear regression, Cleveland
    1979). The noise is the median absolute residual, which a few kinks and jumps of the rule do not move, scaled as if
    it were Gaussian and freed of the error of the fit itself. The largest over the actions' dimensions.
    """
    fold = folds(sample.unit, FOLDS, seed)
    points, actions = standardized(sample.observations), standardized(sample.actions)
    if points.shape[1] == 0:
        return 1.0
    chosen = np.random.default_rng(seed).permutation(len(sample))
    asked, known = chosen[:_QUERIES], chosen[:_REFERENCES]
    residual = np.empty((len(asked), actions.shape[1]))
    for k in range(FOLDS):
        mine, others = np.flatnonzero(fold[asked] == k), known[fold[known] != k]
        found, _ = nearest(points[others], points[asked[mine]], 2 * points.shape[1] + 6)
        residual[mine] = _local_residuals(
            points[asked[mine]], actions[asked[mine]], points[others[found]], actions[others[found]]
        )
    # The median of |N(0, 1)| is 0.6745.
    return float((np.median(np.abs(residual), axis=0) / 0.6745).max())


def _local_residuals(at: Array, actions: Array, points: Array, known: Array) -> Array:
    """Return what a plane through the `known` (m, k, j) at `points` (m, k, d) leaves of `actions` (m, j) at `at`."""
    design = np.concatenate([np.ones((*points.shape[:2], 1)), points - at[:, None]], axis=2)
    inverse = np.linalg.pinv(design, rcond=1e-6)
    weights = inverse[:, 0]  # the plane's value at `at` is this combination of the known actions
    prediction = np.einsum("mk,mkj->mj", weights, known)
    spread: Array = np.sqrt(1.0 + np.square(weights).sum(axis=1, keepdims=True))
    return np.asarray((actions - prediction) / spread)


def _needs(view: View) -> str:
    raw = view.raw
    if raw.n_episodes < LEAST_UNITS or raw.n_rows < LEAST_ROWS:
        return f"it needs {LEAST_UNITS} episodes and {LEAST_ROWS} rows"
    if Sample.of(view).finite.sum() < LEAST_ROWS:
        return "too few rows have an observation and an action"
    if not raw.is_discrete and view.flat.shape[1] > _WIDEST:
        return f"observations of more than {_WIDEST} numbers have no near neighbors"
    return ""


CHECKS = (Check("deterministic-logging", "no support for any other policy", deterministic_logging, ALPHA, _needs),)
