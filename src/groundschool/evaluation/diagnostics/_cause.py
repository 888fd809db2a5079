"""What most likely happened to propensities that contradict the actions."""

from __future__ import annotations

import dataclasses

import numpy as np

from groundschool.evaluation.diagnostics._certainty import CERTAIN
from groundschool.evaluation.diagnostics._claims import scattered
from groundschool.evaluation.diagnostics._part import Part, Test

_ALL = 0.99


def cause(part: Part, *, uncertain: bool) -> tuple[str, str]:
    """Name what most likely happened, and say what to do about it.

    Parameters
    ----------
    part : Part
    uncertain : bool
        Whether actions that are called certain are not.
    """
    rows = part.rows
    if uncertain or (rows.propensities >= CERTAIN).mean() >= _ALL:
        return (
            "ones",
            "All propensities are 1, as if they had been filled in: log the probability that the logger gave to its "
            "action, or leave the column out.",
        )
    if rows.n_actions == 2 and _fits_as_1(part):
        return (
            "probability of action 1",
            "They agree with the actions when read as the probability of action 1: declare "
            'propensity_is="probability_of_1".',
        )
    if scattered(rows):
        return (
            "other rows",
            "In the same state and for the same action they vary as if they stood in other rows: check how they were "
            "joined to the actions. A logger that looked at more than the observation would make them vary too, but "
            "not contradict the actions.",
        )
    return (
        "unknown",
        "Check that they are the probability of the action taken, by the version of the logger that took it; where "
        "the logger looked at more than the observation, add that to it.",
    )


def _fits_as_1(part: Part) -> bool:
    """Return whether a log of two actions agrees with its propensities when they are read as P(action 1)."""
    rows = part.rows
    read = np.clip(np.where(rows.actions == 1, rows.propensities, 1.0 - rows.propensities), 1e-6, 1.0)
    table = None
    if rows.table is not None:
        table = np.where(np.arange(2) == rows.actions[:, None], read[:, None], 1.0 - read[:, None])
    found = Test.of(dataclasses.replace(part, rows=dataclasses.replace(rows, propensities=read, table=table)))
    return not found.unbalanced
