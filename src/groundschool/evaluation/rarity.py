"""Where those who judge a policy have hardly been, and whether it decides otherwise there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.cells import axis_names
from groundschool.data.raw import RawLog
from groundschool.data.regions import Regions, equal_counts, find_points
from groundschool.evaluation._checks import checked_probabilities
from groundschool.evaluation.disagreement import LEAST_EPISODES

MOST_POINTS = 256
LEAVES = 64
_NAMED = 3
_ROUNDING = 1e-6  # propensities are often logged in single precision


@dataclass(frozen=True)
class Rarity:
    """Regions that the studied episodes visited and the judged ones hardly.

    Attributes
    ----------
    places : str
        What a region is, in the plural.
    regions : int
        That the studied episodes visited.
    rare, never : int
        Of these, in fewer than eleven of the judged episodes, and in none.
    judged : int
        Episodes that judge.
    share : float
        Of the studied decisions, those in rare regions.
    changed, elsewhere : float or None
        Of the studied decisions in rare regions, and in the others, the share that the policy would take otherwise
        (total variation from the logged propensities). None where there are no propensities, or no such decision.
    where : tuple of str
        The rare regions with most such decisions, of those with eleven studied episodes or more.
    """

    places: str
    regions: int
    rare: int
    never: int
    judged: int
    share: float
    changed: float | None
    elsewhere: float | None
    where: tuple[str, ...]

    def __str__(self) -> str:
        """All of it, in plain sentences."""
        few = f"fewer than {LEAST_EPISODES} of the {self.judged:,} judged episodes"
        visited = f"the {self.regions:,} {self.places} that the training episodes visited"
        if not self.rare:
            return f"Every one of {visited} was met in {LEAST_EPISODES} or more of the {self.judged:,} judged episodes."
        said = f"Of {visited}, {self.rare:,} were met in {few}, {self.never:,} of them in none."
        said += f" {_percent(self.share)} of the training decisions lie there"
        if self.changed is None:
            return f"{said}: what the policy does there was hardly judged."
        said += f", and the policy would take {_percent(self.changed)} of these otherwise"
        if self.elsewhere is not None:
            said += f", against {_percent(self.elsewhere)} elsewhere"
        said += ": how that turns out was hardly judged."
        return f"{said} Most of them are at {'; '.join(self.where)}." if self.where else said


def rarity(studied: Dataset, judged: Dataset, policy: Any, *, seed: int = 0) -> Rarity:
    """Count the regions of observations that judged episodes hardly visit, and what a policy changes there.

    Regions are the distinct observations of the studied episodes where there are at most 256, else 64 parts of about
    equal numbers of steps.

    Parameters
    ----------
    studied, judged : Dataset
        Of the same observations and discrete actions.
    policy : Policy
    seed : int
        Of the sample of rows that parts are cut on.
    """
    rows, others = _flat(studied), _flat(judged)
    regions, places = _regions(studied, rows, seed)
    size = len(regions.names)
    region = regions.assign(rows)
    inside = region < size
    visits = np.bincount(region[inside], minlength=size)
    met = _episodes(judged, regions.assign(others), size)
    rare = (met < LEAST_EPISODES) & (visits > 0)
    here = inside & rare[np.minimum(region, size - 1)]
    changed = elsewhere = None
    where: tuple[str, ...] = ()
    otherwise = _otherwise(studied, policy)
    if otherwise is not None and here.any():
        changed = float(otherwise[here].mean())
        elsewhere = float(otherwise[~here].mean()) if (~here).any() else None
        amount = np.bincount(region[here], weights=otherwise[here], minlength=size)
        told = _episodes(studied, region, size) >= LEAST_EPISODES
        most = [at for at in np.argsort(-amount, kind="stable")[:size] if told[at] and amount[at] > 0.0][:_NAMED]
        where = tuple(regions.names[at] for at in most)
    return Rarity(
        places=places,
        regions=int((visits > 0).sum()),
        rare=int(rare.sum()),
        never=int((rare & (met == 0)).sum()),
        judged=judged.n_episodes,
        share=float(here.mean()),
        changed=changed,
        elsewhere=elsewhere,
        where=where,
    )


def _flat(log: Dataset) -> NDArray[Any]:
    return log.observations.reshape(log.n_steps, -1)


def _regions(log: Dataset, rows: NDArray[Any], seed: int) -> tuple[Regions, str]:
    raw = RawLog.of(log)
    names = axis_names(raw)
    ids = log.observations.ndim == 1
    points = find_points(rows, names, most=MOST_POINTS, seed=seed, bare=raw.features is None and not ids)
    if points is not None:
        return points, "states" if ids else "observations"
    return equal_counts(rows, names, leaves=LEAVES, seed=seed), "regions of observations"


def _episodes(log: Dataset, region: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return in how many episodes each region was met, (size,)."""
    inside = region < size
    pairs = np.unique(region[inside] * log.n_episodes + log.episode_index[inside])
    return np.bincount(pairs // log.n_episodes, minlength=size)


def _otherwise(log: Dataset, policy: Any) -> NDArray[np.float64] | None:
    """Return a number a row, (N,), whose mean is the share of decisions that a policy takes otherwise.

    Total variation is the mean, over the logger's actions, of what their probability lost as a share of it.
    """
    if log.propensities is None or log.n_actions is None:
        return None
    table = checked_probabilities(policy, log.observations, log.action_masks, log.n_actions)
    taken = table[np.arange(log.n_steps), log.actions]
    lost = 1.0 - taken / np.asarray(log.propensities, np.float64)
    return np.where(lost > _ROUNDING, lost, 0.0)


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
