"""Counting a log by region and action."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from groundschool.data import regions as find
from groundschool.data.raw import RawLog
from groundschool.data.regions import Points, Regions
from groundschool.data.validation import Array

MOST_POINTS = 256
MOST_REGIONS = 64
MOST_ACTIONS = 64
ACTION_BINS = 16

Kind = Literal["states", "observations", "partition"]


class Cells(NamedTuple):
    """Steps by episode, region and action, P combinations that occur.

    The last of the R regions is for what belongs to no other.

    Attributes
    ----------
    episode, region, action, steps : (P,) int64
    allowed : (R, A) bool
        Whether the masks ever allowed the action in the region; all True without masks.
    regions : tuple of str
        The names of all regions but the last.
    actions : tuple of str
    kind : "states", "observations" or "partition"
    others : int
        How many states the last region stands for.
    boxes : (R, 2, 2) float64 or None
        For observations of two numbers, between which values a region's steps lie; NaN for the last.
    """

    episode: Array
    region: Array
    action: Array
    steps: Array
    allowed: Array
    regions: tuple[str, ...]
    actions: tuple[str, ...]
    kind: Kind
    others: int
    boxes: Array | None

    def sums(self) -> tuple[Array, Array, Array]:
        """Return the steps and the episodes of each cell, (R, A) each, and the episodes of each region, (R,)."""
        n_regions, n_actions = self.allowed.shape
        n_cells = n_regions * n_actions
        cell = self.region * n_actions + self.action
        steps = np.bincount(cell, weights=self.steps, minlength=n_cells).astype(np.int64)
        of_cell = np.bincount(_distinct(self.episode * n_cells + cell) % n_cells, minlength=n_cells)
        of_region = np.bincount(_distinct(self.episode * n_regions + self.region) % n_regions, minlength=n_regions)
        return steps.reshape(self.allowed.shape), of_cell.reshape(self.allowed.shape), of_region

    def keep(self, chosen: Array) -> Cells:
        """Return the cells with the regions `chosen`, in this order, and all else in the last one."""
        n_regions = len(self.allowed)
        new = np.full(n_regions, len(chosen))
        new[chosen] = np.arange(len(chosen))
        allowed = np.zeros((len(chosen) + 1, len(self.actions)), np.bool_)
        np.logical_or.at(allowed, new, self.allowed)
        boxes = None if self.boxes is None else np.concatenate([self.boxes[chosen], np.full((1, 2, 2), np.nan)])
        return self._replace(
            region=new[self.region], allowed=allowed, regions=tuple(self.regions[i] for i in chosen), boxes=boxes
        )


class _Actions(NamedTuple):
    """What the bins of actions are called; the bin of the rows of a slice, -1 for none; the bin of each mask column."""

    names: tuple[str, ...]
    of: Callable[[slice], Array]
    of_column: Array | None = None


def count_cells(raw: RawLog, *, seed: int, steps_per_cell: int) -> Cells:
    """Count a log by episode, region and action; rows without a usable action are left out."""
    flat = raw.observations.reshape(raw.n_rows, -1)
    actions = _counted_actions(raw) if raw.is_discrete else _measured_actions(raw, seed)
    places, kind, others = _places(raw, flat, len(actions.names) * steps_per_cell, seed)
    n_regions, n_actions = len(places.names) + 1, len(actions.names)
    region_of_row = np.empty(raw.n_rows, np.int16)
    keys, steps = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for rows, episode in _episode_blocks(raw, flat.shape[1]):
        region_of_row[rows] = region = places.assign(flat[rows])
        action = actions.of(rows)
        key = (episode * n_regions + region) * n_actions + action
        found, count = np.unique(key[action >= 0], return_counts=True)
        keys.append(found)
        steps.append(count)
    rest, action = np.divmod(np.concatenate(keys), n_actions)
    episode, region = np.divmod(rest, n_regions)
    allowed = np.ones((n_regions, n_actions), np.bool_)
    if raw.action_masks is not None and actions.of_column is not None:
        allowed[:] = False
        for column, of_bin in zip(raw.action_masks.T, actions.of_column, strict=False):
            allowed[:, of_bin] |= np.bincount(region_of_row, weights=column, minlength=n_regions) > 0
    boxes = _boxes(flat, places, seed) if flat.shape[1] == 2 else None
    return Cells(
        episode, region, action, np.concatenate(steps), allowed, places.names, actions.names, kind, others, boxes
    )


def axis_names(raw: RawLog) -> tuple[str, ...]:
    """Return what the numbers of an observation are called in a picture or a sentence."""
    if raw.features is not None or "observations" in raw.names:
        return raw.feature_names()
    if raw.observations.ndim == 1:
        return ("state",)
    return tuple(f"observation {i}" for i in range(int(np.prod(raw.observations.shape[1:]))))


def _places(raw: RawLog, flat: Array, steps_per_region: int, seed: int) -> tuple[Regions, Kind, int]:
    names = axis_names(raw)
    if raw.observations.ndim == 1:
        points = find.find_points(flat, names, most=MOST_POINTS, seed=seed)
        if points is not None:
            return points, "states", 0
        points, others = find.most_frequent(raw.observations, names[0], most=MOST_POINTS - 1)
        return points, "states", others
    points = find.find_points(flat, names, most=MOST_POINTS, seed=seed, bare=raw.features is None)
    if points is not None:
        return points, "observations", 0
    most = np.clip(raw.n_rows // steps_per_region, 1, MOST_REGIONS)
    return find.equal_counts(flat, names, leaves=2 ** int(np.log2(most)), seed=seed), "partition", 0


def _counted_actions(raw: RawLog) -> _Actions:
    labels, masks = raw.action_labels, raw.action_masks
    declared = raw.n_actions or len(labels or ()) or (0 if masks is None else masks.shape[1])
    count = declared or max(int(raw.actions.max(initial=-1)) + 1, 1)

    def name(action: int) -> str:
        return labels[action] if labels is not None and action < len(labels) else f"action {action}"

    def usable(rows: slice) -> Array:
        block = raw.actions[rows]
        found: Array = np.where((block >= 0) & (block < count), block, -1)
        return found

    if count <= MOST_ACTIONS:
        return _Actions(tuple(name(i) for i in range(count)), usable, np.arange(count))
    taken, times = np.unique(usable(slice(0, raw.n_rows)), return_counts=True)
    taken, times = taken[taken >= 0], times[taken >= 0]
    kept = np.sort(taken[np.argsort(-times, kind="stable")[: MOST_ACTIONS - 1]])

    def binned(actions: Array) -> Array:
        at = np.minimum(np.searchsorted(kept, actions), max(len(kept) - 1, 0))
        known = kept[at] == actions if len(kept) else np.zeros(len(actions), np.bool_)
        found: Array = np.where(actions < 0, -1, np.where(known, at, len(kept)))
        return found

    names = (*(name(int(i)) for i in kept), f"the other {count - len(kept):,} actions")
    columns = None if masks is None else binned(np.arange(masks.shape[1]))
    return _Actions(names, lambda rows: binned(usable(rows)), columns)


def _measured_actions(raw: RawLog, seed: int) -> _Actions:
    width = raw.actions.shape[1]
    names = ["action"] if width == 1 else [f"action {i}" for i in range(width)]
    finite: Array = np.asarray(np.isfinite(raw.actions).all(axis=1))
    usable = raw.actions if finite.all() else raw.actions[finite]
    if not len(usable):
        return _Actions(("action",), lambda rows: np.full(rows.stop - rows.start, -1))
    bins: Regions | None = find.find_points(usable, names, most=ACTION_BINS, seed=seed)
    if bins is None and width == 1:
        bins = find.equal_widths(usable[:, 0], names[0], count=ACTION_BINS)
    if bins is None:
        bins = find.equal_counts(usable, names, leaves=ACTION_BINS, seed=seed)
    assign = bins.assign

    def of(rows: slice) -> Array:
        found: Array = np.where(finite[rows], assign(raw.actions[rows]), -1)
        return found

    return _Actions(bins.names, of)


def _episode_blocks(raw: RawLog, width: int) -> Iterator[tuple[slice, Array]]:
    """Yield blocks of whole episodes: their rows, and the episode of each."""
    step = max(find.BLOCK_ENTRIES // max(width, 1), 1)
    first = 0
    while first < raw.n_episodes:
        end = int(np.searchsorted(raw.starts, raw.starts[first] + step, side="right")) - 1
        end = max(end, first + 1)
        lengths = np.diff(raw.starts[first : end + 1])
        yield slice(int(raw.starts[first]), int(raw.starts[end])), np.repeat(np.arange(first, end), lengths)
        first = end


def _distinct(keys: Array) -> Array:
    # np.unique hashes, which takes ten times as long for keys that are mostly distinct and almost in order.
    ordered = np.sort(keys)
    distinct: Array = ordered[np.diff(ordered, prepend=-1) != 0]
    return distinct


def _boxes(flat: Array, places: Regions, seed: int) -> Array:
    """Return (R, 2, 2): per region and number, its value, or the 1st and 99th percentile of a sample."""
    boxes = np.full((len(places.names) + 1, 2, 2), np.nan)
    if isinstance(places, Points):
        boxes[:-1] = places.values[:, :, None]
        return boxes
    sample = find.sample_rows(flat, seed)
    of_row = places.assign(sample)
    for region in range(len(places.names)):
        inside = sample[of_row == region].astype(np.float64)
        for axis in range(2):
            seen = inside[np.isfinite(inside[:, axis]), axis]
            if len(seen):
                boxes[region, axis] = np.quantile(seen, [0.01, 0.99])
    return boxes
