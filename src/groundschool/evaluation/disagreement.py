"""Where a policy departs most from the policy that wrote the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation._checks import checked_probabilities
from groundschool.evaluation.states import count_states, first_rows

LEAST_EPISODES = 11  # smaller cells are not shown


@dataclass(frozen=True)
class Disagreement:
    """One observation, and what is done there.

    Attributes
    ----------
    observation : tuple of float
        As it was logged; one number for a state id.
    rows, episodes : int
        How often it was logged, and in how many episodes.
    changed : float
        The share of decisions that the policy would take otherwise: half of the summed differences of the two
        distributions of actions (total variation).
    logged, chosen : int
        The action taken most often in the log, and the one that the policy takes most often.
    """

    observation: tuple[float, ...]
    rows: int
    episodes: int
    changed: float
    logged: int
    chosen: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "observation": list(self.observation),
            "rows": self.rows,
            "episodes": self.episodes,
            "changed": self.changed,
            "logged": self.logged,
            "chosen": self.chosen,
        }


def disagreements(log: Dataset, policy: Any, *, most: int = 5) -> tuple[Disagreement, ...]:
    """Return the observations in which most logged decisions would have been taken otherwise, most first.

    Parameters
    ----------
    log : Dataset
        Discrete actions.
    policy : Policy
    most : int
        How many at most.

    Returns
    -------
    tuple of Disagreement
        Empty where observations are measured and cannot be counted. What was logged in fewer than eleven episodes is
        left out.
    """
    counted = count_states(log.observations, log.action_masks)
    if counted is None:
        return ()
    assert log.n_actions is not None
    code, size = counted
    first = first_rows(code, size)
    masks = None if log.action_masks is None else log.action_masks[first]
    ours = checked_probabilities(policy, log.observations[first], masks, log.n_actions)
    table = np.bincount(code * log.n_actions + log.actions, minlength=size * log.n_actions)
    table = table.reshape(size, log.n_actions)
    rows = table.sum(axis=1)
    changed = 0.5 * np.abs(ours - table / rows[:, None]).sum(axis=1)
    episode = np.repeat(np.arange(log.n_episodes), log.lengths)
    episodes = np.bincount(np.unique(code * log.n_episodes + episode) // log.n_episodes, minlength=size)
    shown = np.flatnonzero((episodes >= LEAST_EPISODES) & (changed > 1e-9))
    ranked = shown[np.argsort(-(rows * changed)[shown], kind="stable")][:most]
    return tuple(
        Disagreement(
            tuple(float(number) for number in np.asarray(log.observations[first[at]]).reshape(-1)),
            int(rows[at]),
            int(episodes[at]),
            float(changed[at]),
            int(table[at].argmax()),
            int(ours[at].argmax()),
        )
        for at in ranked
    )
