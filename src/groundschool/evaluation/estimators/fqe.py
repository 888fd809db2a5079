"""Fitted Q evaluation (Le, Voloshin & Yue 2019, arXiv:1903.08738): exact over counts, or an ensemble of networks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy import stats

from groundschool.errors import InputError, whole_number
from groundschool.evaluation.bounds.units import unseen_share
from groundschool.evaluation.estimate import Bounds, Estimation
from groundschool.evaluation.estimators import fqe_counts
from groundschool.evaluation.intervals import clustered_error
from groundschool.evaluation.problem import FloatArray, Problem

NAME = "fqe"

_REPLICATES = 200
_NETWORKS = 20
_FALSE = 0.01  # how often chance alone may make the model look unable to reproduce the logger
_UNSHOWN = 0.05  # share of the target's actions at logged observations that the log may miss
_MATERIAL = 0.5  # standard errors of the answer that such a failure must amount to


def estimate(
    problem: Problem,
    *,
    model: Literal["auto", "counts", "network"] = "auto",
    members: int | None = None,
    steps: int = 10_000,
    batch_size: int = 256,
    hidden: tuple[int, ...] = (64, 64),
    learning_rate: float = 3e-3,
    target_rate: float = 0.1,
    tolerance: float = 0.25,
    device: str = "auto",
    seed: int = 0,
) -> Estimation:
    """Evaluate the target in a model of the process that is fitted to the log.

    Parameters
    ----------
    problem : Problem
    model : "auto", "counts" or "network"
        Counts, where states are counted, give the recursion over the horizon without any error of a fit. An ensemble
        of networks serves all else.
    members : int, optional
        Fits to bootstrap samples of the independent units: 200 by counts, 20 networks, unless said.
    steps : int
        Gradient steps at most; this and the options below are for networks.
    batch_size : int
    hidden : tuple of int
        Widths of hidden layers.
    learning_rate, target_rate : float
        Adam's, and the share of the way that target networks move at every step.
    tolerance : float
        Training ends when the answer moves by less than this share of the members' spread.
    device : str
        As in `groundschool.train`.
    seed : int

    Returns
    -------
    Estimation
        Always heuristic. The spread of the members is the variance that the log's size leaves; the bias of the model
        itself is not in it.

    Raises
    ------
    InputError
        If an option is out of range, or counts are asked for where there are none.
    """
    if model not in ("auto", "counts", "network"):
        raise InputError(f"model is {model!r}, expected 'auto', 'counts' or 'network'.")
    if model == "counts" and problem.states is None:
        raise InputError("model='counts' needs few distinct observations, and this log has many: use model='network'.")
    plan = {
        "steps": whole_number(steps, "steps", 1),
        "batch_size": whole_number(batch_size, "batch_size", 1),
        "hidden": _widths(hidden),
        "learning_rate": _positive(learning_rate, "learning_rate", math.inf),
        "target_rate": _positive(target_rate, "target_rate", 1.0),
        "tolerance": _positive(tolerance, "tolerance", math.inf),
    }
    if model == "network" or problem.states is None:
        return _by_networks(problem, _members(members, _NETWORKS), seed, device, plan)
    unused = [name for name, given in {**plan, "device": device}.items() if given != _defaults()[name]]
    if unused:
        raise InputError(
            f"{', '.join(unused)}: for networks only, and the states of this log are counted. Leave it out, or say "
            "model='network'."
        )
    return _by_counts(problem, _members(members, _REPLICATES), seed)


def _defaults() -> dict[str, Any]:
    return {name: option.default for name, option in inspect.signature(estimate).parameters.items()}


def _by_counts(problem: Problem, members: int, seed: int) -> Estimation:
    fit = fqe_counts.fit(problem, members, seed)
    facts = {**fit.facts, "support": dict(fit.support.facts)}
    reasons = list(fit.support.reasons)
    if "logger_off" in facts and problem.n_units > 1:
        off, chance = abs(facts["logger_off"]), float(stats.norm.isf(_FALSE / 2)) * facts["logger_off_error"]
        if off > max(chance, _MATERIAL * float(np.std(fit.replicates, ddof=1))):
            reasons.append(
                f"Asked about the logger itself, the model is off its {problem.returns.mean():.4g} by "
                f"{facts['logger_off']:+.3g}, where chance explains {chance:.2g}: a model that does not reproduce what "
                "was seen is no guide to what was not."
            )
    return _answer(problem, fit.value, fit.replicates, facts, reasons, list(fit.support.notes))


def _by_networks(problem: Problem, members: int, seed: int, device: str, plan: dict[str, Any]) -> Estimation:
    from groundschool.evaluation.estimators import fqe_network  # JAX, only where it is needed

    fitted = fqe_network.fit(problem, members, seed, device, **plan)
    facts = fitted.facts
    reasons, notes = [], [f"Inputs: {facts['inputs']}."]
    if not fitted.converged:
        reasons.append(
            f"The networks' answer did not come to rest in {facts['updates']:,} updates: it last moved by "
            f"{facts['moved']:.2g} of the members' spread (limit {plan['tolerance']:g}). Allow more with steps=."
        )
    if facts["rows_of_unknown_end"]:
        notes.append(
            f"{facts['rows_of_unknown_end']:,} of {problem.n_rows:,} rows are left out: nobody knows what followed."
        )
    shown, error = float(problem.ratios.mean()), clustered_error(problem.ratios, problem.units[problem.episode])
    if 1.0 - shown > _UNSHOWN + float(stats.norm.isf(_FALSE)) * error:
        reasons.append(
            f"At the logged observations {1.0 - shown:.1%} of the target's actions are never seen (limit "
            f"{_UNSHOWN:.0%}): what the networks say of them is made up."
        )
    facts = {**facts, "one_step_weight": shown}
    return _answer(problem, float(fitted.values.mean()), fitted.values, facts, reasons, notes)


def _members(given: int | None, default: int) -> int:
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 2:
        raise InputError(f"members is {given!r}, expected a whole number of at least 2: their spread is the error.")
    return int(given)


def _widths(given: Any) -> tuple[int, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise InputError(f"hidden is {given!r}, expected the widths of hidden layers, such as (64, 64).")
    return tuple(whole_number(width, "hidden", 1) for width in given)


def _positive(given: Any, name: str, most: float) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float | np.number) or not 0.0 < given <= most:
        limit = "" if math.isinf(most) else f" of at most {most:g}"
        raise InputError(f"{name} is {given!r}, expected a positive number{limit}.")
    return float(given)


def _answer(
    problem: Problem,
    value: float,
    spread: FloatArray,
    facts: dict[str, Any],
    reasons: list[str],
    notes: list[str],
) -> Estimation:
    value = min(max(value, problem.low), problem.high)
    error = float(np.std(spread, ddof=1)) if problem.n_units > 1 else math.inf
    if problem.n_units < 2:
        reasons = [*reasons, "The log holds one independent unit, which says nothing about the spread."]
    n_censored = int(problem.censored.sum())
    if n_censored:
        notes = [
            *notes,
            f"{n_censored} of {problem.n_episodes} episodes were cut before the horizon: that is taken to say nothing "
            "beyond the observation at which it happened, and the model goes on from there.",
        ]
    facts = {**facts, "members": len(spread), "members_mean": float(np.mean(spread))}
    return Estimation(
        value=value,
        standard_error=error,
        bounds=_bounds(problem, value, error, len(spread) - 1),
        interval="bootstrap of units, Student t",
        assurance="heuristic",
        values=None,  # values at the starts of one fixed model would hide its error
        diagnostics=facts,
        reasons=tuple(reasons),
        notes=(
            "The interval shows how the model's answer varies with the log. The model's own error is not in it.",
            "Transitions are taken to be the same at every step of an episode.",
            *notes,
        ),
    )


def _bounds(problem: Problem, value: float, error: float, freedom: int) -> Bounds:
    low, high = problem.low, problem.high

    def bounds(tail: float) -> tuple[float, float]:
        if not math.isfinite(error):
            return low, high
        half = float(stats.t.isf(tail, freedom)) * error
        # No bound is tighter than what as many units, all alike, would give: never [0, 0].
        unseen = unseen_share(problem.n_units, tail)
        down = unseen * (value - low) if math.isfinite(low) or error == 0.0 else 0.0
        up = unseen * (high - value) if math.isfinite(high) or error == 0.0 else 0.0
        return max(value - max(half, down), low), min(value + max(half, up), high)

    return bounds
