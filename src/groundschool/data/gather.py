"""Raw logs of whole episodes, one after the other, put into one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

_ROWS = (
    "observations",
    "actions",
    "rewards",
    "terminated",
    "truncated",
    "propensities",
    "action_masks",
    "steps",
    "next_observations",
)
_ONCE = ("final_observations", "final_action_masks", "groups", "times", "episode_ids")


def gather(parts: Iterable[RawLog], n_rows: int | None = None) -> RawLog:
    """Return one raw log of all parts; with `n_rows` known beforehand every row is written once, into its place.

    Parameters
    ----------
    parts : iterable of RawLog
        At least one; all with the same columns.
    n_rows : int, optional
        No fewer than the rows of all parts.
    """
    columns: dict[str, _Column] = {}
    tally: Counter[str] = Counter()
    starts: list[Array] = [np.zeros(1, np.int64)]
    kept: list[tuple[int, int, Array | None]] = []
    at = 0
    part = None
    for part in parts:
        for name, values in _columns(part):
            if name not in columns:
                columns[name] = _Column(n_rows if name not in _ONCE else None)
            columns[name].append(values)
        starts.append(part.starts[1:] + at)
        kept.append((part.first_row, part.n_rows, part.kept))
        tally.update(part.tally)
        at += part.n_rows
    assert part is not None
    merged: dict[str, Any] = {}
    for name in list(columns):
        merged[name] = columns.pop(name).whole()
    costs = {name: merged.pop(f"cost:{name}") for name in part.costs}
    return dataclasses.replace(
        part,
        **merged,
        costs=costs,
        starts=np.concatenate(starts),
        first_row=0,
        kept=_positions(kept),
        tally=dict(sorted(tally.items())),  # whatever part it was first met in
    )


def _columns(part: RawLog) -> list[tuple[str, Array]]:
    named = [(name, getattr(part, name)) for name in (*_ROWS, *_ONCE)]
    named += [(f"cost:{name}", cost) for name, cost in part.costs.items()]
    return [(name, values) for name, values in named if values is not None]


def _positions(kept: list[tuple[int, int, Array | None]]) -> Array | None:
    """Return the position in the source of every row, or None where none was left out or moved."""
    if all(positions is None for _, _, positions in kept):
        return None
    return np.concatenate([first + (np.arange(n) if own is None else own) for first, n, own in kept])


class _Column:
    """A column that grows: in its final place where its length is known, else in pieces."""

    def __init__(self, length: int | None) -> None:
        self.length, self.at = length, 0
        self.place: Array | None = None
        self.pieces: list[Array] = []

    def append(self, values: Array) -> None:
        if self.length is None or values.dtype.kind == "U":
            self.pieces.append(values)
            return
        if self.place is None:
            self.place = np.empty((self.length, *values.shape[1:]), values.dtype)
        elif values.dtype != self.place.dtype:
            # A blank makes a column of one batch float: what is there already is widened once.
            self.place = self.place.astype(np.result_type(self.place, values))
        self.place[self.at : self.at + len(values)] = values
        self.at += len(values)

    def whole(self) -> Array:
        if self.place is None:
            return np.concatenate(self.pieces) if len(self.pieces) > 1 else self.pieces[0]
        self.place.flags.writeable = False
        return self.place[: self.at]
