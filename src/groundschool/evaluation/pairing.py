"""How much more than the logger a policy gets: both on the same episodes, so that what they share cancels.

Weights W have mean 1, so that the gain E[W G] - E[G] of a return G in [low, high] is the mean of (W - 1)(G - b) for
any number b. With u = (G - low) / (high - low), the mean of ``W' u + 1 - u`` is at most one more than the gain in
units of the range wherever W' is at most W; it is never negative, and so bounded from below by betting, whatever
weights may come. Where the logger's other probabilities are known, episodes are stopped before their weight passes a
threshold; stopped weights have mean 1 too, and c (1 - W) may be added (see `bounds.wagers`). The upper bound is the
same for what the return lacks of `high`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.bounds.betting import betting_lower, forecast_lowers
from groundschool.evaluation.bounds.influence import influence_bounds, standard_error
from groundschool.evaluation.bounds.wagers import paired_wagers
from groundschool.evaluation.diagnostics.support import behavior_by_state
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators import marginal_dr
from groundschool.evaluation.estimators._bounded import BESIDE
from groundschool.evaluation.estimators.betting import Offered
from groundschool.evaluation.estimators.marginal_dr import cross_fit
from groundschool.evaluation.finite_horizon import SHRINKAGE
from groundschool.evaluation.forecast import Forecast, imagined
from groundschool.evaluation.problem import FloatArray, IntArray, Problem

ASSURANCES = ("finite-sample", "asymptotic")

Cases = tuple[tuple[Problem, Estimation], ...]


def method_of(assurance: str, log: Dataset, discount: float) -> str:
    """Return the estimator of returns that a gain with this assurance rests on; "auto" where rules choose it.

    Raises
    ------
    InputError
        If there is no such assurance, or a finite-sample one is asked of a return without a declared range.
    """
    if assurance not in ASSURANCES:
        raise InputError(f"assurance is {assurance!r}, expected one of {', '.join(ASSURANCES)}.")
    if assurance == "asymptotic":
        return "auto"
    if discount != 1.0:
        raise InputError(
            f"discount is {discount:g}: the declared range of the return holds without a discount, and a gain that is "
            "shown at every number of episodes needs a range. Use discount=1, or assurance='asymptotic'."
        )
    if log.return_range is None:
        raise InputError(
            "the log declares no range of the return, and without one no gain can be shown at every number of "
            "episodes. Give return_range=(lowest, highest) that an episode's sum of rewards can have, known from what "
            "the rewards mean and not from this log, or ask with assurance='asymptotic'."
        )
    return "betting"


def paired(assurance: str, cases: Cases, found: Estimation, settings: Mapping[str, Any]) -> Estimation:
    """Turn an answer about a policy's return into one about its gain over the logger on the same episodes.

    Parameters
    ----------
    assurance : "finite-sample" or "asymptotic"
    cases : ((Problem, Estimation), ...)
        About the return; the least and the largest that cut episodes can have come to, where they are two.
    found : Estimation
        What was made of them.
    settings : mapping
        Of the method.
    """
    if assurance == "finite-sample":
        return _by_betting(cases[0][0], cases[-1][0], found, settings)
    return _by_influence(cases, found, settings)


def _by_betting(least: Problem, most: Problem, found: Estimation, settings: Mapping[str, Any]) -> Estimation:
    ratio_cap, seed = settings.get("ratio_cap"), settings["seed"]
    weighted = Offered(least, ratio_cap, seed)
    low, high = least.low, least.high
    span, known = high - low, dict[float, tuple[float, float]]()
    little, much = (np.clip(problem.returns, low, high) for problem in (least, most))

    def lower(of_policy: FloatArray, of_logger: FloatArray, tail: float) -> float:
        wagers = paired_wagers(weighted.wagers(of_policy), of_logger, weighted.taken)
        return betting_lower(wagers, tail, ceiling=2.0) - 1.0

    def bounds(tail: float) -> tuple[float, float]:
        if tail not in known:
            one = span * lower((little - low) / span, (much - low) / span, tail)
            other = -span * lower((high - much) / span, (high - little) / span, tail)
            known[tail] = min(one, other), max(one, other)
        return known[tail]

    blocked = weighted.blocked or span <= 0.0
    middle = (little + much) / 2.0
    total = float(weighted.weights.sum())
    value, values = math.nan, None
    if total > 0.0:
        center = float((weighted.weights * middle).sum()) / total
        values = weighted.weights * (middle - center) + center - middle
        value = float(values.mean())
        if not blocked:
            value = min(max(value, bounds(BESIDE)[0]), bounds(BESIDE)[1])
            values += value - values.mean()
    return dataclasses.replace(
        found,
        value=value,
        standard_error=math.inf if values is None else standard_error(values, least.units),
        bounds=(lambda tail: (-span, span)) if blocked else bounds,
        interval="betting on paired episodes",
        values=values,
        forecast=(lambda: _forecast(least, ratio_cap, seed)) if least is most and not blocked else None,
    )


def _forecast(problem: Problem, ratio_cap: float | None, seed: int) -> Forecast | None:
    """Forecast bounds on a gain as `betting` does those on a return."""
    others = imagined(problem, seed)
    if others is None:
        return None
    offered = Offered(others, ratio_cap, seed)
    span = problem.high - problem.low
    sums = np.clip((others.returns - problem.low) / span, 0.0, 1.0)
    total = float(offered.weights.sum())
    if not total:
        return None
    center = span * (float(offered.weights @ sums) / total - float(sums.mean()))

    def forecast(outcomes: FloatArray, tail: float, episodes: IntArray) -> FloatArray:
        wagers = paired_wagers(offered.wagers(outcomes), outcomes, offered.taken)
        return np.asarray(span * (forecast_lowers(wagers, tail, episodes) - 1.0))

    def widths(tail: float, episodes: IntArray) -> tuple[FloatArray, FloatArray]:
        low, high = forecast(sums, tail, episodes), -forecast(1.0 - sums, tail, episodes)
        return np.maximum(center - low, 0.0), np.maximum(high - center, 0.0)

    known = marginal_dr.estimate(problem, seed=seed)
    assert known.values is not None
    error = standard_error(known.values - problem.returns, problem.units)
    beside = known.standard_error - float(known.diagnostics["influence_error"])
    return Forecast(known.value - float(problem.returns.mean()), error + beside, widths, others.n_episodes)


def _by_influence(cases: Cases, found: Estimation, settings: Mapping[str, Any]) -> Estimation:
    (least, down), (most, up) = cases[0], cases[-1]
    reasons = found.reasons
    cut = int(least.censored.sum())
    if cut:
        reasons = (
            *reasons,
            f"{cut} of {least.n_episodes} episodes were cut before the horizon, and what the logger would have come to "
            "in them is not bounded: declare return_range.",
        )
    if down.values is None or up.values is None:
        possible = (least.low - least.high, least.high - least.low)
        why = "The estimate of the return has no value by episode, to be paired with what the logger got in it."
        return dataclasses.replace(
            found,
            value=found.value - float((least.returns + most.returns).mean()) / 2.0,
            standard_error=math.inf,
            bounds=lambda tail: possible,
            values=None,
            reasons=reasons or (why,),
        )
    # A cut episode counts against the policy for the lower bound, and for it for the upper.
    worse, better = down.values - of_logger(most, settings), up.values - of_logger(least, settings)
    more = [
        max(each.standard_error - standard_error(values, least.units), 0.0)
        for each, values in ((down, down.values), (up, up.values))
    ]
    rooms = [each.diagnostics.get("room_for_the_worst", {}) for each in (down, up)]
    span = least.high - least.low

    def bounds(tail: float) -> tuple[float, float]:
        one = influence_bounds(worse, least.units, tail, inflation=more[0], low=-span, high=span)[0]
        other = influence_bounds(better, least.units, tail, inflation=more[1], low=-span, high=span)[1]
        return max(one - rooms[0].get("down", 0.0), -span), min(other + rooms[1].get("up", 0.0), span)

    values = (worse + better) / 2.0
    return dataclasses.replace(
        found,
        value=float(values.mean()),
        standard_error=max(standard_error(v, least.units) + m for v, m in zip((worse, better), more, strict=True)),
        bounds=bounds,
        interval="paired influence values, Student t with kurtosis in its degrees of freedom",
        values=values,
        reasons=reasons,
    )


def of_logger(problem: Problem, settings: Mapping[str, Any]) -> FloatArray:
    """Return one number an episode whose mean is the logger's own return, (E,).

    Where states are counted, what `marginal_dr` says of the logger: the luck of its actions and of where they led is
    taken out as it is for the policy, so that the difference holds only what differs. Elsewhere the logged returns.
    """
    states = problem.states
    if states is None or problem.n_units < 2 or problem.censored.any():
        return problem.returns
    table = behavior_by_state(problem)
    own = dataclasses.replace(
        problem,
        target=table[states.code],
        states=dataclasses.replace(states, target=table),
        policy="logger",
        coarse=None,
        usual_weight=None,
    )
    clip = settings.get("clip") or max(problem.n_units / 10.0, 1.0)
    folds, shrinkage = settings.get("folds", 10), settings.get("shrinkage", SHRINKAGE)
    return cross_fit(own, table, folds, clip, shrinkage, settings["seed"]).values
