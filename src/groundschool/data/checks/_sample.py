"""Rows for the statistical checks: a bounded number of them, with what came before and after each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from groundschool.data.checks.view import SAMPLE_ROWS, View
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

LEAST_UNITS = 20
_WINDOWS = 100
_HUGE = 1e100


@dataclass(frozen=True, eq=False)
class Sample:
    """n rows of a log, in order, from whole episodes or, where those are very long, from a stretch of each.

    Attributes
    ----------
    raw : RawLog
    rows : (n,) int64
        Positions in the log.
    episode : (n,) int64
        Position of the episode of each row.
    unit : (n,) int64
        What is independent of the other units: the group where there are enough groups, else the episode; from 0.
    """

    raw: RawLog
    rows: Array
    episode: Array
    unit: Array

    @classmethod
    def of(cls, view: View) -> Sample:
        """Return the rows to look at, about `SAMPLE_ROWS` of them."""
        raw = view.raw
        if raw.n_rows <= SAMPLE_ROWS:
            rows, episode = np.arange(raw.n_rows), view.episode_index
        elif raw.n_rows / raw.n_episodes <= SAMPLE_ROWS / _WINDOWS and raw.lengths.max() <= SAMPLE_ROWS / 10:
            rows, episode = view.sampled_rows, np.repeat(view.sampled_episodes, raw.lengths[view.sampled_episodes])
        else:
            rows, episode = _windows(raw, view.seed)
        return cls(raw, rows, episode, _units(raw, episode))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_units(self) -> int:
        """Number of independent units."""
        return int(self.unit.max()) + 1 if len(self.unit) else 0

    def select(self, keep: Array) -> Sample:
        """Return the rows where `keep` (n,) is set; units are counted anew."""
        unit = np.unique(self.unit[keep], return_inverse=True)[1]
        return Sample(self.raw, self.rows[keep], self.episode[keep], unit)

    @cached_property
    def observations(self) -> Array:
        """What was seen, (n, d) float64."""
        return _flat(self.raw.observations[self.rows])

    @cached_property
    def actions(self) -> Array:
        """What was done, (n,) int64 or (n, k) float64."""
        actions = self.raw.actions[self.rows]
        return actions if self.raw.is_discrete else actions.astype(np.float64)

    @cached_property
    def finite(self) -> Array:
        """Whether all of the observation and the action is known (and can be squared), (n,) bool."""
        known = self.actions >= 0 if self.raw.is_discrete else (np.abs(self.actions) < _HUGE).all(axis=1)
        return np.asarray((np.abs(self.observations) < _HUGE).all(axis=1) & known)

    @cached_property
    def has_previous(self) -> Array:
        """Whether the row before belongs to the same episode, one step earlier, (n,) bool."""
        return _follows(self.raw, self.rows)

    @cached_property
    def next_observations(self) -> Array:
        """What was seen after the action, (n, d) float64; NaN where nobody knows."""
        raw, last = self.raw, self.raw.starts[1:] - 1
        after = np.minimum(self.rows + 1, raw.n_rows - 1)
        seen = _flat(raw.observations[after])
        seen[~_follows(raw, after)] = np.nan
        ends = self.rows == last[self.episode]
        seen[ends] = np.nan
        if raw.final_observations is not None:
            final = _flat(raw.final_observations[self.episode[ends]])
            if raw.observations.ndim == 1:
                final[final < 0] = np.nan  # state ids: -1 stands for none
            seen[ends] = final
        return seen


def codes(values: Array) -> Array:
    """Return one integer a row of `values` (n, d), from 0, equal where rows are equal (blanks equal each other)."""
    columns = np.ascontiguousarray(np.where(np.isnan(values), np.inf, values) + 0.0)  # -0.0 becomes 0.0
    rows = columns.view(np.dtype((np.void, columns.dtype.itemsize * columns.shape[1]))).ravel()
    inverse: Array = np.unique(rows, return_inverse=True)[1].reshape(-1)
    return inverse


def folds(unit: Array, count: int, seed: int) -> Array:
    """Return a fold for each row, (n,) int64 in 0 ... count - 1; the rows of a unit share one."""
    n_units = int(unit.max()) + 1
    of_unit: Array = np.random.default_rng(seed).permutation(n_units) % count
    return of_unit[unit]


def _flat(values: Array) -> Array:
    return values.reshape(len(values), -1).astype(np.float64)


def _follows(raw: RawLog, rows: Array) -> Array:
    """Return whether each row has the row before it in its episode, and the step column, if any, agrees."""
    before = np.maximum(rows - 1, 0)
    follows: Array = raw.starts[np.searchsorted(raw.starts, rows)] != rows
    if raw.steps is not None:
        follows &= raw.steps[rows] - raw.steps[before] == 1
    if raw.kept is not None:
        follows &= raw.kept[rows] - raw.kept[before] == 1
    return follows


def _windows(raw: RawLog, seed: int) -> tuple[Array, Array]:
    """Return rows and their episodes: one stretch at random from each of `_WINDOWS` episodes (more if short ones)."""
    rng = np.random.default_rng(seed)
    size = SAMPLE_ROWS // min(raw.n_episodes, _WINDOWS)
    order = rng.permutation(raw.n_episodes)
    lengths = np.minimum(raw.lengths[order], size)
    enough = int(np.searchsorted(np.cumsum(lengths), SAMPLE_ROWS)) + 1
    chosen = np.sort(order[:enough])
    lengths = np.minimum(raw.lengths[chosen], size)
    begin = raw.starts[:-1][chosen] + rng.integers(0, raw.lengths[chosen] - lengths + 1)
    offsets = np.cumsum(lengths) - lengths
    rows: Array = np.arange(int(lengths.sum())) + np.repeat(begin - offsets, lengths)
    return rows, np.repeat(chosen, lengths)


def _units(raw: RawLog, episode: Array) -> Array:
    if raw.groups is not None:
        groups = np.asarray([str(group) for group in raw.groups[np.unique(episode)]])
        if len(np.unique(groups)) >= LEAST_UNITS:
            of_episode = np.unique(groups, return_inverse=True)[1].reshape(-1)
            return np.asarray(of_episode[np.unique(episode, return_inverse=True)[1].reshape(-1)])
    return np.asarray(np.unique(episode, return_inverse=True)[1].reshape(-1))
