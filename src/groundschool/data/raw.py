"""A log as it was read: mapped, cut into episodes, and not yet vouched for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from groundschool.data.features import Feature
from groundschool.data.validation import Array

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class RawLog:
    """N rows of E runs of rows that belong together, with whatever faults the source has. See `Dataset` for meanings.

    Attributes
    ----------
    observations : (N, d...) float, NaN and infinity included, or (N,) int64 state ids
    actions : (N,) int64, -1 where blank, or (N, k) float
    rewards : (N,) float64
    terminated, truncated : (N,) bool
    starts : (E + 1,) int64
        Episode e holds the rows ``starts[e]:starts[e + 1]``.
    costs : mapping from name to (N,) float64
        NaN where blank and nobody said what that means.
    propensities : (N,) float64 or None
        Of the logged action, whatever the source held; NaN where blank.
    action_masks : (N, A) bool or None
    final_observations : (E, d...) or None
        All NaN where an episode has none (state ids: -1).
    final_action_masks : (E, A) bool or None
    steps : (N,) float64 or None
        The step column as it stands.
    next_observations : (N, d...) or None
        As it stands in the source; `check` compares it with the observations that follow.
    groups, times, episode_ids : (E,) or None
    features : tuple of Feature or None
    action_labels : tuple of str or None
    n_actions, horizon, return_range
        As declared.
    arrivals : tuple of str
        The costs that were read off the observation after the action: blank where nothing was observed there.
    first_row : int
        Position in the source of the first row here.
    kept : (N,) int64 or None
        Position of each row counted from `first_row`, where rows were left out on the way.
    names : mapping from role to the name it has in the source
        ``observations``, ``actions``, ``rewards``, ``costs[NAME]``, ``propensities`` ...: for messages.
    tally : mapping from str to int
        What was done on the way and how often; see `groundschool.data.assemble`.
    notes : tuple of str
    source : str
        The file or frame, for messages; empty for arrays.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminated: Array
    truncated: Array
    starts: Array
    costs: Mapping[str, Array] = field(default_factory=dict)
    propensities: Array | None = None
    action_masks: Array | None = None
    final_observations: Array | None = None
    final_action_masks: Array | None = None
    steps: Array | None = None
    next_observations: Array | None = None
    groups: Array | None = None
    times: Array | None = None
    episode_ids: Array | None = None
    features: tuple[Feature, ...] | None = None
    action_labels: tuple[str, ...] | None = None
    n_actions: int | None = None
    horizon: int | None = None
    return_range: tuple[float, float] | None = None
    arrivals: tuple[str, ...] = ()
    first_row: int = 0
    kept: Array | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    tally: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    source: str = ""

    @classmethod
    def of(cls, log: Dataset) -> RawLog:
        """Return the rows of a log that was vouched for, to look at them in the same way."""
        return cls(
            observations=log.observations,
            actions=log.actions,
            rewards=log.rewards,
            terminated=log.terminated,
            truncated=log.truncated,
            starts=log.starts,
            costs=log.costs,
            propensities=log.propensities,
            action_masks=log.action_masks,
            final_observations=log.final_observations,
            final_action_masks=log.final_action_masks,
            groups=log.groups,
            times=log.times,
            episode_ids=log.episode_ids,
            features=log.features,
            action_labels=log.action_labels,
            n_actions=log.n_actions,
            horizon=log.horizon,
            return_range=log.return_range,
            notes=log.notes,
        )

    @property
    def n_rows(self) -> int:
        """Number of rows, N."""
        return len(self.rewards)

    @property
    def n_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.starts) - 1

    @property
    def is_discrete(self) -> bool:
        """Whether actions are counted (integers) rather than measured (floats)."""
        return self.actions.ndim == 1

    @property
    def lengths(self) -> Array:
        """Rows of each episode, (E,)."""
        return np.diff(self.starts)

    def name(self, role: str) -> str:
        """Return what `role` is called in the source."""
        return self.names.get(role, role)

    def row(self, index: int) -> int:
        """Return the position in the source of the row at `index`."""
        return self.first_row + int(index if self.kept is None else self.kept[index])

    def feature_names(self) -> tuple[str, ...]:
        """Return one name a number of an observation (one for state ids)."""
        if self.features is not None:
            return tuple(feature.name for feature in self.features)
        own = self.name("observations")
        width = int(np.prod(self.observations.shape[1:])) if self.observations.ndim > 1 else 1
        return (own,) if self.observations.ndim == 1 else tuple(f"{own}[{i}]" for i in range(width))

    def episode_label(self, episode: int) -> int | str:
        """Return the id of an episode by its position."""
        if self.episode_ids is None:
            return episode
        label: Any = self.episode_ids[episode]
        plain: int | str = label.item() if isinstance(label, np.generic) else label
        return plain
