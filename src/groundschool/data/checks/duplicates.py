"""The same rows twice: episodes under another id, rows repeated in a row, episodes that two logs share.

What is a copy is decided by content (`groundschool.data.content`), and what chance explains is no copy: where rows do
not repeat by chance (`groundschool.data.checks.chance`), every repetition is one; in a small world whole episodes
repeat, and only what their probabilities do not explain is reported, as a note.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.chance import alone, beyond_chance, expected_elsewhere, is_measured, later_copies
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_rows, percent, several, share
from groundschool.data.checks.scan import thinned
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

_LEAK = "Episodes that are also among those studied make every evaluation on them look better than it is."


def duplicated_episodes(view: View) -> Iterator[Finding]:
    """Episodes that hold the same rows as an earlier one."""
    raw, hashes = view.raw, view.episode_hashes
    copies = later_copies(hashes)
    if not len(copies):
        return
    own = _alone(view)
    if own is not None:
        copies = copies[_any_in(own, raw.starts)[copies]]
    else:
        _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
        first, counts = first[counts > 1], counts[counts > 1]
        expected = expected_elsewhere(view.row_hashes, raw.starts, first, raw.n_episodes - 1)
        strange = hashes[first[beyond_chance(counts - 1, expected, raw.n_episodes)]]
        copies = copies[np.isin(hashes[copies], strange)]
    if not len(copies):
        return
    e = int(copies[0])
    twin = raw.episode_label(int(np.flatnonzero(hashes == hashes[e])[0]))
    label, row = raw.episode_label(e), raw.row(int(raw.starts[e]))
    chance = "" if own is not None else " (more than chance explains)"
    yield Finding(
        check="duplicated-episodes",
        severity="note" if own is None else "warning",
        where="episodes" if raw.episode_ids is None else raw.name("episode_ids"),
        what=(
            f"{share(len(copies), raw.n_episodes, 'episode')} row by row the same as an earlier one{chance} "
            f"(first: episode {label!r} at row {row}, as episode {twin!r})."
        ),
        why=f"Copies make a log look larger and intervals narrower than they are, and a split leaks them. {_LEAK}",
        do="Leave the copies out: usually a file was read, or a query joined, twice.",
        rows=int(raw.lengths[copies].sum()),
        episodes=len(copies),
        first_row=row,
        first_episode=label,
        measured={"share": len(copies) / raw.n_episodes},
    )


def duplicated_rows(view: View) -> Iterator[Finding]:
    """Rows that hold the same as the row before, where rows do not repeat by chance."""
    raw, hashes = view.raw, view.row_hashes
    same = np.zeros(raw.n_rows, np.bool_)
    same[1:] = hashes[1:] == hashes[:-1]
    same[raw.starts[:-1]] = False
    rows = np.flatnonzero(same)
    if not len(rows) or _alone(view) is None:
        return
    carried = any(feature.forward_fill for feature in raw.features or ())
    yield at_rows(
        view,
        "duplicated-rows",
        "note" if carried else "warning",
        "rows",
        rows,
        "the same as the row before (observation, action and reward)",
        why="A row that is logged twice is a step that never happened: returns and cost sums count it twice.",
        do=(
            "Values carried forward may repeat: nothing, if these do."
            if carried
            else "Remove the copies, unless nothing moved there: a frozen sensor, say, or a device at rest."
        ),
    )


def shared_episodes(raw: RawLog, other: RawLog) -> Finding | None:
    """Return the finding that some episodes of `raw` are, row by row, in `other` too; None if none, or by chance.

    Ids do not count, and neither does the number type of the observations. Meant for the parts of a split, or for the
    log studied and the log examined on: the finding is of `raw`.
    """
    view, others = View(raw), View(other)
    if raw.n_episodes == 0 or other.n_episodes == 0:
        return None
    found = np.flatnonzero(np.isin(view.episode_hashes, others.episode_hashes))
    if not len(found):
        return None
    own = _alone(view)
    if own is not None:
        found = found[_any_in(own, raw.starts)[found]]
    else:
        rows = np.concatenate([view.row_hashes, others.row_hashes])
        starts = np.concatenate([raw.starts, other.starts[1:] + raw.n_rows])
        expected = expected_elsewhere(rows, starts, found, other.n_episodes)
        there = np.sort(others.episode_hashes)
        here = view.episode_hashes[found]
        counts = np.searchsorted(there, here, side="right") - np.searchsorted(there, here, side="left")
        found = found[beyond_chance(counts, expected, raw.n_episodes)]
    if not len(found):
        return None
    label, row = raw.episode_label(int(found[0])), raw.row(int(raw.starts[found[0]]))
    part = len(found) / raw.n_episodes
    return Finding(
        check="shared-episodes",
        severity="warning",
        where=raw.source or "log",
        what=(
            f"{share(len(found), raw.n_episodes, 'episode')} row by row in {other.source or 'the other log'} too, "
            f"{percent(part)} (first: episode {label!r}, row {row})."
        ),
        why=_LEAK,
        do=f"Leave {several(len(found), 'episode')} out of one of the two.",
        harms="evaluation",
        rows=int(raw.lengths[found].sum()),
        episodes=len(found),
        first_row=row,
        first_episode=label,
        measured={"share": part},
    )


def shared_groups(raw: RawLog, other: RawLog) -> Finding | None:
    """Return the finding that some groups of `raw`, such as patients, are in `other` too, by their labels."""
    if raw.groups is None or other.groups is None:
        return None
    groups = {str(group) for group in raw.groups.tolist()}
    common = groups & {str(group) for group in other.groups.tolist()}
    if not common:
        return None
    concerned = sum(str(group) in common for group in raw.groups.tolist())
    return Finding(
        check="shared-groups",
        severity="warning",
        where=raw.name("groups"),
        what=(
            f"{share(len(common), len(groups), 'group')} in {other.source or 'the other log'} too, "
            f"with {several(concerned, 'episode')} here."
        ),
        why="A policy that is examined on a group it learned from is examined on what it has seen.",
        do="Split by group, so that each is on one side only: gs.split(log, by='group').",
        harms="evaluation",
        episodes=concerned,
        measured={"share": len(common) / len(groups)},
    )


def _alone(view: View) -> Array | None:
    """Return which rows no other episode has, or None where rows repeat by chance."""
    raw = view.raw
    measured = raw.observations.ndim > 1 and is_measured(view.flat[thinned(view.sampled_rows, view.flat.shape[1])])
    return alone(view.row_hashes, raw.starts, view.episode_hashes, measured=measured)


def _any_in(rows: Array, starts: Array) -> Array:
    """Return the episodes with any of the rows, (E,) bool."""
    some: Array = np.logical_or.reduceat(rows, starts[:-1])
    return some


CHECKS: tuple[Check, ...] = (
    Check("duplicated-episodes", "episodes that are copies of another one", duplicated_episodes),
    Check("duplicated-rows", "rows that are copies of the row before", duplicated_rows),
)
