"""The checks that say whether rows make a log at all: cheap, exact, and run before every `Dataset` from a file."""

from __future__ import annotations

from groundschool.data.checks import actions, costs, ends, labels, order, values
from groundschool.data.checks.finding import Check

_NAMES = (
    "empty-log",
    "blank-episode-ids",
    "split-episodes",
    "blank-steps",
    "step-order",
    "duplicated-steps",
    "end-inside-episode",
    "missing-end",
    "infinite-observations",
    "negative-state-ids",
    "action-count",
    "blank-actions",
    "infinite-actions",
    "action-range",
    "empty-mask",
    "forbidden-action",
    "blank-rewards",
    "infinite-rewards",
    "blank-costs",
    "infinite-costs",
    "negative-costs",
    "blank-propensities",
    "propensity-range",
    "blank-groups",
    "blank-times",
    "episode-over-horizon",
    "return-outside-range",
)
_KNOWN = {check.name: check for family in (values, order, ends, actions, costs, labels) for check in family.CHECKS}

STRUCTURAL: tuple[Check, ...] = tuple(_KNOWN[name] for name in _NAMES)
"""In the order in which they are best mended: what is in the wrong place before what has the wrong value."""
