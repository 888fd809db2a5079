"""What a guard would have done on logged data: how often it would have stepped in, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.policies.decision import REASONS, Reason

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Interventions:
    """Expected interventions at the observations of a log.

    Attributes
    ----------
    n_rows, n_episodes : int
    rows : dict of Reason to float
        The expected share of rows with each reason; they sum to 1, ``policy`` among them.
    episodes : dict of Reason to float
        The expected share of episodes with that reason at least once.
    any_episode : float
        The expected share of episodes with any intervention.
    """

    n_rows: int
    n_episodes: int
    rows: dict[Reason, float]
    episodes: dict[Reason, float]
    any_episode: float

    @property
    def rate(self) -> float:
        """The expected share of rows with an intervention."""
        return 1.0 - self.rows[Reason.POLICY]

    def __str__(self) -> str:
        found = [
            f"{reason.value} {self.rows[reason]:.2%} of rows and {self.episodes[reason]:.1%} of episodes"
            for reason in REASONS
            if reason is not Reason.POLICY and self.rows[reason] > 0.0
        ]
        said = f"On the {self.n_rows:,} rows of {self.n_episodes:,} logged episodes the guard would step in for "
        share = f"{self.rate:.2%} of decisions, in {self.any_episode:.1%} of episodes"
        return f"{said}{share}{': ' + '; '.join(found) if found else ''}."

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "n_rows": self.n_rows,
            "n_episodes": self.n_episodes,
            "rate": self.rate,
            "any_episode": self.any_episode,
            "rows": {reason.value: share for reason, share in self.rows.items() if share > 0.0},
            "episodes": {reason.value: share for reason, share in self.episodes.items() if share > 0.0},
        }


def interventions(log: Dataset, reasons: FloatArray) -> Interventions:
    """Sum up the probability of each reason at each row of a log, shape (N, len(REASONS)); rows sum to 1."""
    shares = np.clip(reasons, 0.0, 1.0)
    intervened = 1.0 - shares[:, REASONS.index(Reason.POLICY)]
    with np.errstate(divide="ignore"):
        never = np.exp(np.add.reduceat(np.log1p(-shares), log.starts[:-1], axis=0))
        without = np.exp(np.add.reduceat(np.log1p(-intervened), log.starts[:-1]))
    rows, episodes = shares.mean(axis=0), 1.0 - never.mean(axis=0)
    return Interventions(
        n_rows=log.n_steps,
        n_episodes=log.n_episodes,
        rows={reason: float(rows[index]) for index, reason in enumerate(REASONS)},
        episodes={reason: float(episodes[index]) for index, reason in enumerate(REASONS)},
        any_episode=float(1.0 - without.mean()),
    )
