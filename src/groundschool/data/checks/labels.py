"""Blank labels: groups, episode ids and times that say nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_episodes
from groundschool.data.checks.scan import is_blank
from groundschool.data.checks.view import View


def blank_groups(view: View) -> Iterator[Finding]:
    """Episodes without a group; text that is empty is a warning, since it may be a name like any other."""
    groups = view.raw.groups
    blank = np.flatnonzero(is_blank(groups)) if groups is not None else ()
    if groups is not None and len(blank):
        text = groups.dtype.kind in "UT"
        yield at_episodes(
            view,
            "blank-groups",
            "warning" if text else "error",
            view.raw.name("groups"),
            np.asarray(blank),
            "without a group",
            harms="evaluation",
            why="Those of one patient may then be on both sides of a split, or strangers be taken for one.",
            do="Fill the groups in, leave those episodes out, or leave group= out.",
        )


def blank_episode_ids(view: View) -> Iterator[Finding]:
    """Episodes without an id."""
    ids = view.raw.episode_ids
    blank = np.flatnonzero(is_blank(ids)) if ids is not None else ()
    if ids is not None and len(blank):
        yield at_episodes(
            view,
            "blank-episode-ids",
            "warning" if ids.dtype.kind in "UT" else "error",
            view.raw.name("episode_ids"),
            np.asarray(blank),
            "without an id",
            why="Rows without an id may belong to any episode, or to many.",
            do="Fill the ids in, or leave those rows out.",
        )


def blank_times(view: View) -> Iterator[Finding]:
    """Episodes that began nobody knows when."""
    times = view.raw.times
    if times is None:
        return
    infinite = np.isinf(times) if times.dtype.kind == "f" else False
    blank = np.flatnonzero(is_blank(times) | infinite)
    if len(blank):
        yield at_episodes(
            view,
            "blank-times",
            "error",
            view.raw.name("times"),
            blank,
            "without a time",
            harms="evaluation",
            why="Every episode began some time, and a split by time cannot place these.",
            do="Fill the times in, leave those episodes out, or leave time= out.",
        )


CHECKS: tuple[Check, ...] = (
    Check("blank-groups", "episodes without a group", blank_groups),
    Check("blank-episode-ids", "episodes without an id", blank_episode_ids),
    Check("blank-times", "episodes without a time", blank_times),
)
