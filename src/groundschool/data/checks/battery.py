"""Every check there is, in the order in which they are run and reported."""

from __future__ import annotations

from groundschool.data.checks import (
    action_kinds,
    actions,
    costs,
    determinism,
    drift,
    duplicates,
    ends,
    identities,
    labels,
    markov,
    order,
    outliers,
    propensities,
    rewards,
    size,
    timeouts,
    timing,
    values,
)
from groundschool.data.checks.finding import Check

EXACT: tuple[Check, ...] = tuple(
    check
    for family in (
        ends,
        order,
        labels,
        values,
        actions,
        costs,
        outliers,
        duplicates,
        identities,
        timeouts,
        action_kinds,
        size,
    )
    for check in family.CHECKS
)
"""Of any rows, however faulty."""

STATISTICAL: tuple[Check, ...] = tuple(
    check for family in (determinism, propensities, timing, rewards, markov, drift) for check in family.CHECKS
)
"""Of episodes without errors."""

CHECKS: tuple[Check, ...] = EXACT + STATISTICAL
