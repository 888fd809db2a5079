"""Steps of episodes as they happen, and the log that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.episode_costs import EpisodeCosts


@dataclass
class Rows:
    """One list a column; the arrays are made once, at the end."""

    costs: EpisodeCosts
    observations: list[NDArray[Any]] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    propensities: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: list[bool] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    masks: list[NDArray[np.bool_] | None] = field(default_factory=list)
    final_observations: list[NDArray[Any]] = field(default_factory=list)
    final_masks: list[NDArray[np.bool_] | None] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def decided(
        self, observation: NDArray[Any], mask: NDArray[np.bool_] | None, action: int, propensity: float
    ) -> None:
        """Take what was known and done before a step."""
        self.observations.append(observation)
        self.masks.append(mask)
        self.actions.append(action)
        self.propensities.append(propensity)

    def arrived(
        self, observation: NDArray[Any], reward: float, terminated: bool, truncated: bool, info: Mapping[str, Any]
    ) -> None:
        """Take what came of it."""
        self.rewards.append(reward)
        self.costs.arrived(observation, reward, info)
        self.terminated.append(terminated)
        self.truncated.append(truncated and not terminated)  # nothing to bootstrap from after a real end

    def ended(self, observation: NDArray[Any], mask: NDArray[np.bool_] | None, end: str) -> None:
        """Take what was seen after the last action of an episode, and why it ended."""
        self.final_observations.append(observation)
        self.final_masks.append(mask)
        self.ends.append(end)

    def dataset(
        self,
        n_actions: int,
        horizon: int | None,
        episode_ids: Sequence[str],
        return_range: tuple[float, float] | None = None,
    ) -> Dataset:
        """Return the rows as a log."""
        masks = self._masks(n_actions)
        return Dataset.from_arrays(
            np.stack(self.observations),
            np.array(self.actions, dtype=np.int64),
            np.array(self.rewards, dtype=np.float64),
            np.array(self.terminated, dtype=np.bool_),
            np.array(self.truncated, dtype=np.bool_),
            costs=self.costs.columns(),
            propensities=np.array(self.propensities, dtype=np.float64),
            action_masks=None if masks is None else masks[0],
            final_observations=np.stack(self.final_observations),
            final_action_masks=None if masks is None else masks[1],
            n_actions=n_actions,
            horizon=horizon,
            return_range=return_range,
            episode_ids=np.array(episode_ids),
        )

    def _masks(self, n_actions: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
        given = [mask for mask in self.masks if mask is not None]
        if not given:
            return None
        if len(given) < len(self.masks):
            raise InputError(
                f"environment {self.costs.where}: info['action_mask'] is missing in "
                f"{len(self.masks) - len(given):,} of {len(self.masks):,} steps. Give it in every reset and step, or "
                "in none."
            )
        everything = np.ones(n_actions, dtype=np.bool_)
        # After an end nobody acts: environments give no mask there, or one that forbids everything.
        final = [everything if mask is None or not mask.any() else mask for mask in self.final_masks]
        return np.stack(given), np.stack(final)
