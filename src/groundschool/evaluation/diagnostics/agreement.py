"""Whether estimators of one number differ by more than chance: then an assumption of one of them is broken."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from groundschool.evaluation.bounds.influence import degrees_of_freedom, standard_error
from groundschool.evaluation.estimate import Diagnosis, Estimation
from groundschool.evaluation.problem import FloatArray, Problem

NAME = "agreement"

COMPARED = (
    "marginal_dr",
    "dr",
    "pdis",
    "is",
    "pdwis",
    "wis",
)  # consistent under the log's propensities alone, or nearly
MODEL = "fqe"
ALARM = 0.01  # how often chance alone gives a reason, over all pairs together
LEAST_EFFECTIVE = 50.0  # episodes' worth of weight below which nobody knows an estimator's error


def agreement(problem: Problem, estimations: Mapping[str, Estimation], *, alarm: float = ALARM) -> Diagnosis:
    """Compare every pair of estimators that knows its own error.

    The difference of two estimates is held against its own standard error, from the differences of their values by
    episode, so that what they share cancels; Student's t, with the degrees of freedom that the kurtosis of these
    differences leaves, and Bonferroni's share of `alarm` for each pair. Weighting whole histories needs no Markov
    observations and `marginal_dr` does: a difference between them is such a sign, or one of wrong propensities.

    Fitted Q evaluation is compared with the first of the others, and a difference is a note, never a reason: its bias
    is known to exceed its own spread (3.6 standard errors on a clinical process, with every pair seen, where marginal
    doubly robust estimation covered), so that it speaks against itself before it speaks against anybody else.

    Parameters
    ----------
    problem : Problem
    estimations : mapping of str to Estimation
        By the names of methods, all of this problem. Names that are not compared are left out.
    alarm : float
        How often chance alone may give a reason, over all pairs together.

    Returns
    -------
    Diagnosis
        Facts: ``level``; ``compared``, a list with each pair's ``difference``, its ``standard_error`` and the ``limit``
        that chance stays below; ``left_out``, why others were not compared.
    """
    left_out = {name: why for name in COMPARED if name in estimations and (why := _unfit(problem, estimations[name]))}
    names = [name for name in COMPARED if name in estimations and name not in left_out]
    pairs = list(itertools.combinations(names, 2))
    compared, reasons, notes = [], [], []
    for one, other in pairs:
        found = _pair(problem, estimations[one], estimations[other], alarm / len(pairs))
        compared.append({"one": one, "other": other, **found})
        if abs(found["difference"]) > found["limit"]:
            reasons.append(
                f"{one} ({estimations[one].value:.4g}) and {other} ({estimations[other].value:.4g}) differ by "
                f"{abs(found['difference']):.3g}, where chance explains {found['limit']:.3g} ({alarm:.1%} for all "
                "pairs together): observations that hide what matters, or wrong propensities, would do that."
            )
    model = estimations.get(MODEL)
    if model is not None and names and math.isfinite(model.value) and math.isfinite(model.standard_error):
        found = _apart(model, estimations[names[0]])
        compared.append({"one": MODEL, "other": names[0], **found})
        if abs(found["difference"]) > found["limit"]:
            notes.append(
                f"fqe gives {model.value:.4g}, {names[0]} {estimations[names[0]].value:.4g}: further apart than the "
                "spread of both explains. A model's bias shows in no interval of its own, so this speaks against fqe."
            )
    facts: dict[str, Any] = {"level": alarm, "compared": compared, "left_out": left_out}
    return Diagnosis(NAME, facts, tuple(reasons), tuple(notes))


def _unfit(problem: Problem, found: Estimation) -> str | None:
    """Say why an estimation is not compared, if it is not."""
    if found.reasons:
        return "it is not to be relied on by its own account"
    if found.values is None or len(found.values) != problem.n_episodes or not np.isfinite(found.values).all():
        return "it has no values by episode"
    if not 0.0 < found.standard_error < math.inf:
        return "its error is not known"
    ess = found.diagnostics.get("ess")
    if ess is not None and not ess >= LEAST_EFFECTIVE:
        return f"its weights are worth {ess:.3g} episodes (at least {LEAST_EFFECTIVE:g} are needed)"
    return None


def _pair(problem: Problem, one: Estimation, other: Estimation, level: float) -> dict[str, float]:
    assert one.values is not None
    assert other.values is not None
    apart = one.values - other.values
    more = _beyond_values(problem, one, one.values) + _beyond_values(problem, other, other.values)
    error = math.sqrt(standard_error(apart, problem.units) ** 2 + more)
    freedom = max(degrees_of_freedom(apart, problem.units), 1.0)
    limit = float(stats.t.isf(level / 2.0, freedom)) * error
    # estimates that are the same by construction differ by rounding
    size = max(abs(one.value), abs(other.value))
    return {
        "difference": one.value - other.value,
        "standard_error": error,
        "limit": max(limit, 1e-9 * size),
    }


def _beyond_values(problem: Problem, found: Estimation, values: FloatArray) -> float:
    """Return the variance that an estimator states beyond that of its values."""
    return max(found.standard_error**2 - standard_error(values, problem.units) ** 2, 0.0)


def _apart(one: Estimation, other: Estimation) -> dict[str, float]:
    error = math.hypot(one.standard_error, other.standard_error)
    limit = float(stats.norm.isf(ALARM / 2.0)) * error
    return {"difference": one.value - other.value, "standard_error": error, "limit": limit}
