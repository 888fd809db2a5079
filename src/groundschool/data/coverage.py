"""How well a log supports each action in each region of what it visited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundschool.data.cells import Kind, axis_names, count_cells
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array
from groundschool.errors import InputError

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset

SUPPORTED = 10
"""Steps from which an action counts as supported in a region."""
SMALL_CELL = 11
"""Where a log names groups, nothing is shown that fewer episodes than this stand behind."""

_PLACES = {"states": "states", "observations": "distinct observations", "partition": "regions"}


@dataclass(frozen=True, eq=False)
class Coverage:
    """Steps by region and action, R regions by A actions; regions in order of visits.

    Regions divide what was visited. What was never visited has no region and is not counted here.

    Attributes
    ----------
    counts : (R, A) int64
        Steps.
    cell_episodes : (R, A) int64
        Episodes with such a step.
    episodes : (R,) int64
        Episodes that visited the region.
    possible : (R, A) bool
        Whether the log's masks ever allowed the action there; all True for a log without masks.
    regions, actions : tuple of str
        What each is, in words.
    kind : "states", "observations" or "partition"
        Whether a region is a state id, a distinct observation, or a part of the space.
    pooled : int
        How many states or regions the last region stands for; 0 where it is one like the others.
    binned : bool
        Whether actions are continuous, and so bins of them.
    n_rows, n_episodes : int
        Of the whole log.
    left_out : int
        Steps not counted: without a usable action, or in a pooled region that too few episodes visited.
    boxes : (R, 2, 2) float64 or None
        For observations of two numbers: per region and number, between which values the region's steps lie (1st and
        99th percentile). All NaN for pooled regions.
    axes : tuple of str
        Names of the numbers of an observation.
    discreet : bool
        Whether counts that fewer than `SMALL_CELL` episodes stand behind are not to be shown.
    """

    counts: Array
    cell_episodes: Array
    episodes: Array
    possible: Array
    regions: tuple[str, ...]
    actions: tuple[str, ...]
    kind: Kind
    pooled: int
    binned: bool
    n_rows: int
    n_episodes: int
    left_out: int = 0
    boxes: Array | None = None
    axes: tuple[str, ...] = ()
    discreet: bool = False

    @property
    def visits(self) -> Array:
        """Steps in each region, (R,)."""
        steps: Array = self.counts.sum(axis=1)
        return steps

    @property
    def never_share(self) -> float:
        """Share of the possible pairs of region and action that were never seen."""
        return float(np.mean(self.counts[self.possible] == 0))

    @property
    def few_share(self) -> float:
        """Share of the possible pairs seen fewer than `SUPPORTED` times, never included."""
        return float(np.mean(self.counts[self.possible] < SUPPORTED))

    @property
    def supported(self) -> Array:
        """Per action, the share of the regions where it is possible in which it is supported, (A,); NaN if in none."""
        possible = self.possible.sum(axis=0)
        enough = (self.counts >= SUPPORTED).sum(axis=0)
        share: Array = np.divide(enough, possible, out=np.full(len(possible), np.nan), where=possible > 0)
        return share

    @property
    def choices(self) -> Array:
        """Per region, how many actions are supported, (R,)."""
        enough: Array = (self.counts >= SUPPORTED).sum(axis=1)
        return enough

    @property
    def effective_actions(self) -> Array:
        """Per region, the effective number of actions, the exponential of their entropy in nats, (R,)."""
        share = self.counts / np.maximum(self.visits, 1)[:, None]
        terms = np.where(share > 0, share * np.log(np.where(share > 0, share, 1.0)), 0.0)
        effective: Array = np.exp(-terms.sum(axis=1))
        return effective

    @property
    def bands(self) -> Array:
        """Return (R, A): 0 never seen, 1 below `SUPPORTED` steps (or too few episodes to be shown), 2 below 100 ..."""
        bands = np.where(self.counts > 0, np.floor(np.log10(np.maximum(self.counts, 1)) + 1e-9).astype(np.int64) + 1, 0)
        hidden = self.discreet & (self.cell_episodes > 0) & (self.cell_episodes < SMALL_CELL)
        shown: Array = np.where(hidden, np.minimum(bands, 1), bands)
        return shown

    @property
    def one_choice_share(self) -> float:
        """Share of the counted steps that lie where several actions are possible and at most one is supported."""
        alone = (self.choices <= 1) & (self.possible.sum(axis=1) > 1)
        return float(self.visits[alone].sum() / self.visits.sum())

    @property
    def places(self) -> str:
        """What regions are called, in the plural."""
        return _PLACES[self.kind]

    def describe(self) -> str:
        """Return in plain sentences what is supported and what is not."""
        place, action = self.places.split()[-1][:-1], "bin of actions" if self.binned else "action"
        actions = "bins of actions" if self.binned else "actions"
        text = f"The log visited {len(self.regions) + max(self.pooled - 1, 0):,} {self.places}. "
        if self.kind == "partition":
            text = f"What the log visited is cut into {len(self.regions):,} regions of about equal numbers of steps. "
        if self.pooled > 1:
            text += f"The {self.pooled:,} least visited of all are taken together as one. "
        text += (
            f"Of the {int(self.possible.sum()):,} pairs of {place} and {action}, {_percent(self.never_share)} never "
            f"occur and {_percent(self.few_share - self.never_share)} occur fewer than {SUPPORTED} times. "
        )
        if len(self.actions) > 1 and self.one_choice_share > 0:
            text += (
                f"{_percent(self.one_choice_share)} of the steps lie where at most one of the {len(self.actions)} "
                f"{actions} occurs {SUPPORTED} times or more: what another would do there, this log hardly says. "
            )
        elif len(self.actions) > 1:
            text += f"In every {place} at least two {actions} occur {SUPPORTED} times or more. "
        return f"{text}What was never visited has no {place} here and is not counted."

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-ready; of a `discreet` one the counts' bands alone."""
        return {
            "kind": self.kind,
            "binned": self.binned,
            "regions": [
                {
                    "region": name,
                    "visits": int(v),
                    "episodes": int(e),
                    "effective_actions": float(n),
                    "supported": int(c),
                }
                for name, v, e, n, c in zip(
                    self.regions, self.visits, self.episodes, self.effective_actions, self.choices, strict=True
                )
            ],
            "actions": [
                {"action": name, "steps": int(steps), "supported_share": None if np.isnan(share) else float(share)}
                for name, steps, share in zip(self.actions, self.counts.sum(axis=0), self.supported, strict=True)
            ],
            "counts": None if self.discreet else self.counts.tolist(),
            "bands": self.bands.tolist(),
            "impossible": int((~self.possible).sum()),
            "pooled": self.pooled,
            "never_share": self.never_share,
            "few_share": self.few_share,
            "supported_from": SUPPORTED,
            "one_choice_share": self.one_choice_share,
            "pairs": int(self.possible.sum()),
            "n_regions": len(self.regions),
            "left_out": self.left_out,
            "text": self.describe(),
        }


def coverage(log: Dataset | RawLog, *, seed: int = 0, min_episodes: int | None = None) -> Coverage:
    """Count how often each action was taken in each region of what the log visited.

    Regions are the distinct states or observations where there are at most 256 of them (of more states, the 255 most
    visited and the rest together); otherwise parts of about equal counts, cut along the medians of the observations'
    own numbers, at most 64 and few enough for 20 steps a pair. Continuous actions are put in at most 16 bins: equal
    widths for one number (between the 1st and 99th percentile, the outer bins open), such a partition for several.
    Blanks count as the median of their column.

    Parameters
    ----------
    log : Dataset or RawLog
    seed : int
        Of the sample of rows that the cuts are found on.
    min_episodes : int, optional
        Regions that fewer episodes visited are pooled. Without it `SMALL_CELL` where the log has groups, else none.

    Raises
    ------
    InputError
        If no row has a usable action.
    """
    raw = log if isinstance(log, RawLog) else RawLog.of(log)
    cells = count_cells(raw, seed=seed, steps_per_cell=2 * SUPPORTED) if raw.n_rows else None
    if cells is None or not len(cells.steps):
        raise InputError("coverage: no row has a usable action. Expected integers from 0, or finite numbers.")
    discreet = raw.groups is not None
    least = max((SMALL_CELL if discreet else 0) if min_episodes is None else min_episodes, 1)
    steps, _, episodes = cells.sums()
    visits = steps.sum(axis=1)[:-1]
    own = np.flatnonzero(episodes[:-1] >= least)
    own = own[np.argsort(-visits[own], kind="stable")]
    pooled = cells.others + int((visits > 0).sum()) - len(own)
    cells = cells.keep(own)
    steps, cell_episodes, episodes = cells.sums()
    # All of it together tells no more than the size of the log.
    shown = len(own) + int(episodes[-1] >= least or not len(own))
    rest = _others(pooled, cells.kind) if len(own) else "everything that was visited"
    return Coverage(
        counts=steps[:shown],
        cell_episodes=cell_episodes[:shown],
        episodes=episodes[:shown],
        possible=cells.allowed[:shown] | (steps[:shown] > 0),
        regions=(*cells.regions, rest)[:shown],
        actions=cells.actions,
        kind=cells.kind,
        pooled=pooled if shown > len(own) else 0,
        binned=not raw.is_discrete,
        n_rows=raw.n_rows,
        n_episodes=raw.n_episodes,
        left_out=raw.n_rows - int(steps[:shown].sum()),
        boxes=None if cells.boxes is None else cells.boxes[:shown],
        axes=axis_names(raw),
        discreet=discreet,
    )


def _others(count: int, kind: Kind) -> str:
    return f"the other {_PLACES[kind][:-1]}" if count == 1 else f"the other {count:,} {_PLACES[kind]}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\u202f%"
