"""What writers need to know of a log whose parts pass one by one, and what they mark so that it comes back whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groundschool.data.alike import require_alike
from groundschool.data.columns import Columns
from groundschool.data.dataset import Dataset
from groundschool.data.fingerprint import declared_names
from groundschool.data.readers._ours import VERSION
from groundschool.data.validation import Array, are_known
from groundschool.errors import InputError

# Asked after the last part: what was done to the rows of all of them on the way.
Notes = Callable[[], Sequence[str]]


@dataclass
class Summary:
    """Of the parts of a log seen so far.

    Attributes
    ----------
    first : Dataset or None
        The first episode; all parts must have its columns.
    horizon, n_actions, largest_action, largest_id : int
        The largest of all parts; `largest_id` is of state ids.
    n_both : int
        Episodes that were terminated and truncated.
    n_followed, n_lost, n_short : int
        Episodes that were truncated and not terminated: with a final observation; without; without, after one step.
    default_ids : bool
        Whether episodes are numbered from 0, in order.
    """

    first: Dataset | None = None
    n_rows: int = 0
    n_episodes: int = 0
    horizon: int = 0
    n_actions: int = 0
    largest_action: int = 0
    largest_id: int = 0
    n_both: int = 0
    n_followed: int = 0
    n_lost: int = 0
    n_short: int = 0
    default_ids: bool = True
    notes: dict[str, None] = field(default_factory=dict)

    def add(self, part: Dataset) -> None:
        """Take note of the next part."""
        if self.first is None:
            self.first = part.select([0])  # a copy, so that the part need not be kept
        require_alike(self.first, part, self.n_episodes)
        own = np.arange(self.n_episodes, self.n_episodes + part.n_episodes)
        self.default_ids = self.default_ids and np.array_equal(part.episode_ids, own)
        self.n_rows += part.n_steps
        self.n_episodes += part.n_episodes
        self.horizon = max(self.horizon, part.horizon)
        self.n_actions = max(self.n_actions, part.n_actions or 0)
        if part.is_discrete:
            self.largest_action = max(self.largest_action, int(part.actions.max()))
        if part.observations.ndim == 1:
            finals = part.observations if part.final_observations is None else part.final_observations
            self.largest_id = max(self.largest_id, int(part.observations.max()), int(finals.max()))
        last = part.starts[1:] - 1
        cut = part.truncated[last] & ~part.terminated[last]
        known = has_finals(part)
        self.n_followed += int((cut & known).sum())
        self.n_lost += int((cut & ~known).sum())
        self.n_short += int((cut & ~known & (part.lengths == 1)).sum())
        self.n_both += int((part.truncated[last] & part.terminated[last]).sum())
        self.notes |= dict.fromkeys(part.notes)

    @property
    def log(self) -> Dataset:
        """The first episode, which shows what columns there are."""
        if self.first is None:
            raise InputError("the log is empty. Expected at least one episode.")
        return self.first

    def labels(self) -> dict[str, str]:
        """Return the kind of every label of episodes that the log has."""
        kinds = {"episode_id": _kind(self.log.episode_ids)}
        if self.log.groups is not None:
            kinds["group"] = _kind(self.log.groups)
        if self.log.times is not None:
            kinds["time"] = _kind(self.log.times)
        return kinds

    def declared(self) -> dict[str, Any]:
        """Return what the log declares, JSON-ready."""
        names = declared_names(self.log)
        return {
            "horizon": self.horizon,
            "n_actions": self.n_actions if self.log.is_discrete else None,
            "return_range": None if self.log.return_range is None else list(self.log.return_range),
            "features": names.get("features"),
            "action_labels": names.get("action_labels"),
        }

    def told(self, notes: Notes | None) -> list[str]:
        """Return what was done to the log before: `notes` where given, else those of the parts, each once."""
        return list(self.notes if notes is None else notes())

    def marks(self, columns: Columns, notes: Notes | None) -> dict[str, Any]:
        """Return the marks that `groundschool.data.readers._ours` reads, JSON-ready."""
        return {
            "version": VERSION,
            "columns": columns.to_json(),
            "declared": self.declared(),
            "labels": self.labels(),
            "notes": self.told(notes),
        }

    def kept_apart(self) -> list[str]:
        """Return what the log has beyond observations, actions, rewards, ends and costs, in words."""
        log = self.log
        there = {
            "propensities": log.propensities is not None,
            "action masks": log.action_masks is not None,
            "episode ids": not self.default_ids,
            "groups": log.groups is not None,
            "times": log.times is not None,
            "feature names": log.features is not None,
            "action labels": log.action_labels is not None,
            "the return range": log.return_range is not None,
            "the number of actions": log.is_discrete,
            "the horizon": True,
        }
        return [what for what, has in there.items() if has]


def has_finals(part: Dataset) -> Array:
    """Return which episodes have a final observation, (E,) bool."""
    if part.final_observations is None:
        return np.zeros(part.n_episodes, np.bool_)
    return are_known(part.final_observations)


def following(column: Array, starts: Array, finals: Array) -> Array:
    """Return what follows each row: the next row, and after the last one of an episode its entry of `finals`."""
    after = np.empty_like(column)
    after[:-1] = column[1:]
    after[starts[1:] - 1] = finals
    return after


def in_words(things: list[str]) -> str:
    """Return ``a, b and c``."""
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"


def _kind(labels: Array) -> str:
    return "text" if labels.dtype.kind == "U" else str(labels.dtype)
