"""Time limits flagged as terminations: the bootstrap is cut where the process went on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_episodes
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

_LEAST, _LEAST_AMONG_TRUNCATED = 3, 8  # episodes at the longest length
_SPREAD = 10  # lengths, from which on neighbors tell how many episodes one length would have


def timeouts_as_terminals(view: View) -> Iterator[Finding]:
    """Terminations that pile up at the longest length and at which nothing happened.

    A termination is *ordinary* where its reward and costs lie within the range of those of rows that end nothing: no
    goal was reached and no hazard met. With L > 1 the longest length, no episode of which is flagged truncated alone,
    and T >= 3 ordinary terminations there (8 where some shorter episode is flagged truncated alone), the finding is
    made where

    - all episodes have L rows, and at least a tenth of them end ordinarily; or
    - no shorter episode ends ordinarily; or
    - T exceeds three times the most ordinary ends of any one shorter length, plus 5. With ordinary ends at ten
      different lengths or more, only the lengths above 3/4 of L count, and at least the last ten.
    """
    raw = view.raw
    if raw.n_episodes < _LEAST:
        return
    longest = int(raw.lengths.max())
    at_longest = raw.lengths == longest
    terminated = raw.terminated[view.last]
    truncated = raw.truncated[view.last] & ~terminated
    if longest < 2 or (truncated & at_longest).any():
        return
    ordinary = terminated & _ordinary(view)
    piled = np.flatnonzero(ordinary & at_longest)
    if len(piled) < (_LEAST_AMONG_TRUNCATED if truncated.any() else _LEAST):
        return
    if not _is_pile(len(piled), raw.lengths[ordinary & ~at_longest], longest, at_longest):
        return
    yield at_episodes(
        view,
        "timeouts-as-terminals",
        "warning",
        raw.name("terminated"),
        piled,
        f"flagged terminated after exactly {longest} rows, the longest there is, without an event",
        at_last=True,
        why="A time limit is no end of the process: flagged as one, what was still to come is learned as worth 0.",
        do="Flag them as truncated (truncated=..., a column or an expression), or keep them if the process ends there.",
        measured={"length": float(longest), "ordinary_shorter": float((ordinary & ~at_longest).sum())},
    )


def _is_pile(count: int, shorter: Array, longest: int, at_longest: Array) -> bool:
    if at_longest.all():
        return count >= len(at_longest) / 10
    if not len(shorter):
        return True
    counts = np.bincount(shorter, minlength=longest)
    if np.count_nonzero(counts) >= _SPREAD:
        counts = counts[-max(10, longest // 4) :]
    return bool(count > 3 * counts.max() + 5)


def _ordinary(view: View) -> Array:
    """Return the episodes whose last reward and costs lie within the range of those of rows that are not last, (E,)."""
    inner = np.ones(view.raw.n_rows, np.bool_)
    inner[view.last] = False
    ordinary = np.ones(view.raw.n_episodes, np.bool_)
    for column in (view.raw.rewards, *view.raw.costs.values()):
        low = np.fmin.reduce(column, where=inner, initial=np.inf)
        high = np.fmax.reduce(column, where=inner, initial=-np.inf)
        ends = column[view.last]
        ordinary &= (ends >= low) & (ends <= high)
    return ordinary


CHECKS: tuple[Check, ...] = (
    Check("timeouts-as-terminals", "time limits flagged as terminations", timeouts_as_terminals),
)
