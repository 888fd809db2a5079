"""Estimators, one a file: each has ``NAME`` and ``estimate(problem, ...) -> Estimation``."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

from groundschool.errors import InputError, suggest
from groundschool.evaluation.estimate import Estimation


class Method(NamedTuple):
    """An estimator, and what it rests on.

    Attributes
    ----------
    module : str
    target : bool
        Whether it asks anything of the target policy.
    propensities : bool
        Whether it asks anything of the behavior policy.
    weights : bool
        Whether its interval is worthless where few whole trajectories carry the weight.
    markov : bool
        Whether it takes the observation for all that matters.
    """

    module: str
    target: bool = True
    propensities: bool = True
    weights: bool = False
    markov: bool = False


METHODS = {
    "logged": Method("logged", target=False, propensities=False),
    "is": Method("trajectory_is", weights=True),
    "pdis": Method("per_decision_is", weights=True),
    "wis": Method("weighted_is", weights=True),
    "pdwis": Method("weighted_per_decision_is", weights=True),
    "dr": Method("dr", weights=True),
    "fqe": Method("fqe", propensities=False, markov=True),
    "marginal_dr": Method("marginal_dr", markov=True),
    "betting": Method("betting"),
    "empirical_bernstein": Method("empirical_bernstein"),
    "complement": Method("complement"),
    "rejection": Method("rejection"),
    "censored_weight": Method("censored_weight"),
}


def estimator(name: str) -> Callable[..., Estimation]:
    """Return the estimator of a name."""
    if not isinstance(name, str) or name not in METHODS:
        hint = suggest(name, METHODS) if isinstance(name, str) else ""
        raise InputError(f"method={name!r}: expected 'auto' or one of {', '.join(METHODS)}.{hint}")
    found: Callable[..., Estimation] = importlib.import_module(f"{__name__}.{METHODS[name].module}").estimate
    return found
