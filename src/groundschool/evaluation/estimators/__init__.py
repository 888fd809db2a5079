"""Estimators, one a file: each has ``NAME`` and ``estimate(problem, ...) -> Estimation``."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from groundschool.errors import InputError, suggest
from groundschool.evaluation.estimate import Estimation

MODULES = {
    "logged": "logged",
    "is": "trajectory_is",
    "pdis": "per_decision_is",
    "wis": "weighted_is",
    "pdwis": "weighted_per_decision_is",
    "dr": "dr",
    "fqe": "fqe",
    "marginal_dr": "marginal_dr",
    "betting": "betting",
    "empirical_bernstein": "empirical_bernstein",
    "complement": "complement",
    "rejection": "rejection",
    "censored_weight": "censored_weight",
}


def estimator(name: str) -> Callable[..., Estimation]:
    """Return the estimator of a name."""
    if name not in MODULES:
        raise InputError(f"method={name!r}: expected 'auto' or one of {', '.join(MODULES)}.{suggest(name, MODULES)}")
    found: Callable[..., Estimation] = importlib.import_module(f"{__name__}.{MODULES[name]}").estimate
    return found
