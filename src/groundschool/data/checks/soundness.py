"""The part of a log that statistics can be taken of: whole episodes without a structural error."""

from __future__ import annotations

import numpy as np

from groundschool.data.checks.scan import blocks
from groundschool.data.checks.structural import STRUCTURAL
from groundschool.data.checks.view import View
from groundschool.data.cutting import shortened
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array


def sound_part(raw: RawLog) -> RawLog | None:
    """Return the episodes of `raw` without errors: `raw` itself where it has none, None where some remain.

    Errors of the whole log (an episode in pieces, a number of actions that contradicts its masks) cannot be left out
    with an episode.
    """
    if _is_sound(raw):
        return raw
    if raw.n_rows == 0:
        return None
    bad = np.logical_or.reduceat(_faulty_rows(raw), raw.starts[:-1])
    if not bad.any() or bad.all():
        return None
    part = shortened(raw, bad, raw.starts[1:].copy())
    return part if _is_sound(part) else None


def _is_sound(raw: RawLog) -> bool:
    view = View(raw)
    return not any(finding.severity == "error" for check in STRUCTURAL for finding in check.run(view))


def _faulty_rows(raw: RawLog) -> Array:
    """Return the rows whose values no log may hold, and those where an episode does not end as it should, (N,) bool."""
    bad = ~np.isfinite(raw.rewards)
    for cost in raw.costs.values():
        bad |= ~(np.isfinite(cost) & (cost >= 0))
    if raw.is_discrete:
        bad |= raw.actions < 0
        if raw.n_actions is not None:
            bad |= raw.actions >= raw.n_actions
    else:
        bad |= ~np.isfinite(raw.actions).all(axis=1)
    if raw.propensities is not None:
        most = 1.0 if raw.is_discrete else np.inf
        bad |= ~((raw.propensities > 0) & (raw.propensities <= most))
    if raw.action_masks is not None and raw.is_discrete:
        known = np.clip(raw.actions, 0, raw.action_masks.shape[1] - 1)
        bad |= ~raw.action_masks[np.arange(raw.n_rows), known] | (raw.actions != known)
    for rows in blocks(raw.n_rows, max(raw.observations[:1].size, 1)):
        seen = raw.observations[rows]
        bad[rows] |= seen < 0 if seen.dtype.kind == "i" else np.isinf(seen).reshape(len(seen), -1).any(axis=1)
    last = raw.starts[1:] - 1
    ends = raw.terminated | raw.truncated
    inside = ends.copy()
    inside[last] = ~ends[last]
    bad |= inside
    if raw.steps is not None and raw.n_rows > 1:
        falls = ~(np.diff(raw.steps) > 0)
        falls[last[:-1]] = False
        bad[1:] |= falls
    return bad
