"""What the checks look at: a raw log, with what several of them need worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from groundschool.data.checks.scan import Ranges, ranges
from groundschool.data.content import episode_hashes, row_hashes
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

SAMPLE_ROWS = 40_000


@dataclass(frozen=True, eq=False)
class View:
    """A raw log under examination.

    Attributes
    ----------
    raw : RawLog
    seed : int
        Of everything random in the checks; the same log and seed give the same findings.
    """

    raw: RawLog
    seed: int = 0

    @cached_property
    def flat(self) -> Array:
        """Observations as (N, d) without copying; (N, 1) for state ids."""
        shape = self.raw.observations.shape
        return self.raw.observations.reshape(shape[0], int(np.prod(shape[1:])))

    @cached_property
    def last(self) -> Array:
        """The last row of each episode, (E,)."""
        return self.raw.starts[1:] - 1

    @cached_property
    def episode_index(self) -> Array:
        """Position of the episode of each row, (N,) int64."""
        return np.repeat(np.arange(self.raw.n_episodes, dtype=np.int64), self.raw.lengths)

    @cached_property
    def ranges(self) -> Ranges:
        """Blanks, lowest and highest value of each column of `flat`."""
        return ranges(self.flat)

    @cached_property
    def row_hashes(self) -> Array:
        """What each row holds (observation, action, reward) as a number, (N,) uint64."""
        return row_hashes(self.raw)

    @cached_property
    def episode_hashes(self) -> Array:
        """What the rows of each episode hold, in their order, as a number, (E,) uint64."""
        return episode_hashes(self.raw, self.row_hashes)

    @cached_property
    def sampled_episodes(self) -> Array:
        """Whole episodes of about `SAMPLE_ROWS` rows for the statistical checks, at random, in order; all if few."""
        raw = self.raw
        if raw.n_rows <= SAMPLE_ROWS:
            return np.arange(raw.n_episodes)
        order = np.random.default_rng(self.seed).permutation(raw.n_episodes)
        enough = int(np.searchsorted(np.cumsum(raw.lengths[order]), SAMPLE_ROWS)) + 1
        return np.sort(order[:enough])

    @cached_property
    def sampled_rows(self) -> Array:
        """The rows of `sampled_episodes`, in order."""
        lengths = self.raw.lengths[self.sampled_episodes]
        offsets = np.cumsum(lengths) - lengths
        rows: Array = np.arange(int(lengths.sum())) + np.repeat(
            self.raw.starts[:-1][self.sampled_episodes] - offsets, lengths
        )
        return rows

    def episode_of(self, row: int) -> int | str:
        """Return the id of the episode a row belongs to."""
        return self.raw.episode_label(int(np.searchsorted(self.raw.starts, row, side="right")) - 1)
