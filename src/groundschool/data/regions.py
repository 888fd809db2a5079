"""Regions of a space that was sampled: its distinct points where they are few, else a partition of equal counts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from groundschool.data.validation import Array

SAMPLE_ROWS = 40_000
_SAMPLE_ENTRIES = 4_000_000  # wide rows: fewer of them
BLOCK_ENTRIES = 8_000_000
_SLACK = 0.02  # a cut may leave the median by this share of the rows to be a round number
_TOLD = 2  # features that describe a region
_LISTED = 4  # numbers that describe a point


class Regions(Protocol):
    """Says which region each row lies in."""

    @property
    def names(self) -> tuple[str, ...]:
        """What each region is, in words."""
        ...

    def assign(self, rows: Array) -> Array:
        """Return the region of each row of (n, d), (n,) int64; `len(names)` where it lies in none."""
        ...


@dataclass(frozen=True, eq=False)
class Points:
    """Distinct points (k, d), each a region of its own; ``codes`` are their hashes, ascending, ``at`` whose each is."""

    values: Array
    codes: Array
    at: Array
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Array, names: Sequence[str]) -> Points:
        """Return the points `values` (k, d), under their names."""
        codes = _codes(values)
        order = np.argsort(codes)
        return cls(values, codes[order], order, _told_apart(names))

    def assign(self, rows: Array) -> Array:
        """Return the point that each row (n, d) equals, or k where it equals none."""
        codes = _codes(rows)
        found = self.at[np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)]
        # Two points may share a hash: equality is asked of the numbers.
        same = np.equal(rows, self.values[found]) | (_blank(rows) & _blank(self.values[found]))
        point: Array = np.where(same.all(axis=1), found, len(self.codes))
        return point


@dataclass(frozen=True, eq=False)
class Intervals:
    """One column cut at `edges` (k - 1,) in ascending order: k regions, the outer ones open."""

    edges: Array
    names: tuple[str, ...]

    def assign(self, rows: Array) -> Array:
        """Return the interval of each row of (n, 1)."""
        return np.searchsorted(self.edges, rows[:, 0].astype(np.float64), side="left")


@dataclass(frozen=True, eq=False)
class Partition:
    """A kd-tree over (n, d): node i goes on to 2 i + 1 where ``row[axis[i]] <= cut[i]``, else to 2 i + 2.

    What is not finite counts as `fill` (d,), the median of its column. ``region`` numbers the nodes that are leaves.
    """

    axis: Array
    cut: Array
    region: Array
    depth: int
    fill: Array
    names: tuple[str, ...]

    def assign(self, rows: Array) -> Array:
        """Return the leaf of each row of (n, d)."""
        used, where = np.unique(self.axis, return_inverse=True)
        columns = rows[:, used].astype(np.float64)
        columns = np.where(np.isfinite(columns), columns, self.fill[used])
        node = np.zeros(len(rows), np.int64)
        every = np.arange(len(rows))
        for _ in range(self.depth):
            node = 2 * node + 1 + (columns[every, where[node]] > self.cut[node])
        found: Array = self.region[node]
        return found


def sample_rows(rows: Array, seed: int) -> Array:
    """Return up to `SAMPLE_ROWS` rows of (N, d) at random, fewer where rows are wide, in order and in float64."""
    most = int(np.clip(_SAMPLE_ENTRIES // max(rows.shape[1], 1), 1_000, SAMPLE_ROWS))
    if len(rows) <= most:
        return np.asarray(rows)
    chosen = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False, shuffle=False))
    taken: Array = rows[chosen]
    return taken


def find_points(rows: Array, names: Sequence[str], *, most: int, seed: int = 0, bare: bool = False) -> Points | None:
    """Return the distinct rows of (N, d) in ascending order, or None where there are more than `most`.

    With `bare` names, a few numbers are told as ``(1, 2)``; otherwise each with the name of its column, the first few
    of those that vary.
    """
    if len(np.unique(_codes(sample_rows(rows, seed)))) > most:
        return None
    codes: Array = np.empty(0, np.uint64)
    values: Array = rows[:0]
    for block in blocks(len(rows), rows.shape[1]):
        found, first = np.unique(_codes(rows[block]), return_index=True)
        new = ~np.isin(found, codes)
        codes = np.concatenate([codes, found[new]])
        values = np.concatenate([values, rows[block][first[new]]])
        if len(codes) > most:
            return None
    values = values[np.lexsort(values.T[::-1])]
    if bare and values.shape[1] <= _LISTED:
        return Points.of(values, [f"({', '.join(short(v) for v in value)})" for value in values])
    varies = np.flatnonzero(((values != values[:1]) & ~(_blank(values) & _blank(values[:1]))).any(axis=0))
    told = varies[:_LISTED] if len(varies) else [0]
    return Points.of(values, [", ".join(f"{names[i]} {short(value[i])}" for i in told) for value in values])


def most_frequent(ids: Array, name: str, *, most: int) -> tuple[Points, int]:
    """Return the `most` most frequent of the integers (N,), smaller ones first among equals, and how many are left."""
    values, counts = np.unique(ids, return_counts=True)
    kept = values[np.sort(np.argsort(-counts, kind="stable")[:most])]
    return Points.of(kept[:, None], [f"{name} {value}" for value in kept]), len(values) - len(kept)


def equal_widths(column: Array, name: str, *, count: int) -> Intervals:
    """Return `count` intervals of equal width between the 1st and the 99th percentile of (N,), edges rounded."""
    low, high = np.quantile(column[np.isfinite(column)].astype(np.float64), [0.01, 0.99])
    digits = 1 - int(np.floor(np.log10((high - low) / count))) if high > low else 0
    edges = np.unique(np.round(np.linspace(low, high, count + 1)[1:-1], digits)) + 0.0
    bounds = [-np.inf, *edges.tolist(), np.inf]
    names = [interval_words(name, low, high) for low, high in itertools.pairwise(bounds)]
    return Intervals(edges, _told_apart(names))


def equal_counts(rows: Array, names: Sequence[str], *, leaves: int, seed: int = 0) -> Partition:
    """Return a partition of (N, d) into at most `leaves` (a power of two) of about equal counts.

    A kd-tree (Bentley 1975, doi:10.1145/361002.361007) fitted on a sample: each node is cut at a round number near its
    median, along the axis on which it spreads widest, in ranks of the whole sample, so that neither scale nor outliers
    matter.
    """
    sample = sample_rows(rows, seed).astype(np.float64)
    finite = np.isfinite(sample)
    fill = np.array([np.median(c[ok]) if ok.any() else 0.0 for c, ok in zip(sample.T, finite.T, strict=True)])
    values = np.where(finite, sample, fill)
    ranks = np.stack([_ranks(column) for column in values.T], axis=1)
    depth, least = leaves.bit_length() - 1, max(len(values) // (4 * leaves), 1)
    axis, cut = np.zeros(2 * leaves - 1, np.int64), np.full(2 * leaves - 1, np.inf)
    low = np.full((2 * leaves - 1, values.shape[1]), -np.inf)
    high = -low
    node = np.zeros(len(values), np.int64)
    for i in range(leaves - 1):
        inside = np.flatnonzero(node == i)
        found = _best_cut(values[inside], ranks[inside], least)
        left, right = 2 * i + 1, 2 * i + 2
        low[[left, right]], high[[left, right]] = low[i], high[i]
        if found is not None:
            axis[i], cut[i] = found
            high[left, axis[i]] = low[right, axis[i]] = cut[i]
        beyond = values[inside, axis[i]] > cut[i]
        node[inside] = np.where(beyond, right, left)
    region = np.full(2 * leaves - 1, -1)
    reached = np.unique(node)
    region[reached] = np.arange(len(reached))
    words = [_box_name(low[i], high[i], ranks[node == i], names) for i in reached]
    return Partition(axis, cut, region, depth, fill, _told_apart(words))


def blocks(n: int, width: int) -> list[slice]:
    """Return slices that cover n rows, each of a bounded number of entries."""
    step = max(BLOCK_ENTRIES // max(width, 1), 1)
    return [slice(first, min(first + step, n)) for first in range(0, n, step)]


def interval_words(name: str, low: float, high: float) -> str:
    """Return ``name low to high``, ``name > low``, ``name ≤ high``, or ``any name``."""
    if np.isinf(low) and np.isinf(high):
        return f"any {name}"
    if np.isinf(low):
        return f"{name} ≤ {short(high)}"
    if np.isinf(high):
        return f"{name} > {short(low)}"
    return f"{name} {short(low)} to {short(high)}"


def short(value: float) -> str:
    """Return a number in as few digits as a reader needs; ``blank`` for NaN."""
    return "blank" if np.isnan(value) else f"{float(value) + 0.0:.4g}".replace("-", "−")


def _ranks(column: Array) -> Array:
    """Return the rank of each value of (m,) as a share of m, equal values at the middle of their ranks."""
    ordered = np.sort(column)
    below, upto = (np.searchsorted(ordered, column, side=side) for side in ("left", "right"))
    ranks: Array = (below + upto) / (2 * len(column))
    return ranks


def _best_cut(values: Array, ranks: Array, least: int) -> tuple[int, float] | None:
    """Return the axis and the value to cut at, at least `least` rows on each side; None where there is no such cut."""
    if len(values) < 2 * least:
        return None
    spread = ranks.std(axis=0)
    for axis in np.argsort(-spread, kind="stable"):
        if spread[axis] <= 0:
            return None
        column = np.sort(values[:, axis])
        n = len(column)
        below, above = column[[int((0.5 - _SLACK) * n), min(int((0.5 + _SLACK) * n), n - 1)]]
        if below < above and least <= 0.4 * n:
            return int(axis), _round_number(float(below), float(above))
        sizes = np.flatnonzero(column[1:] > column[:-1]) + 1
        sizes = sizes[(sizes >= least) & (sizes <= n - least)]
        if len(sizes):
            size = sizes[np.argmin(np.abs(sizes - n / 2))]
            return int(axis), _round_number(float(column[size - 1]), float(column[size]))
    return None


def _round_number(low: float, high: float) -> float:
    """Return a number in [low, high) of few digits: a cut is to be read, and to be nobody's own value."""
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        rounded = float(f"{middle:.{digits}g}")
        if low <= rounded < high:
            return rounded
    return low


def _box_name(low: Array, high: Array, ranks: Array, names: Sequence[str]) -> str:
    """Say where a region lies, by the features that are narrowest in it of those that were cut."""
    axes = np.flatnonzero(np.isfinite(low) | np.isfinite(high))
    if not len(axes):
        return "everywhere the log was"
    told = axes[np.argsort(ranks[:, axes].std(axis=0), kind="stable")][:_TOLD]
    return ", ".join(interval_words(names[axis], low[axis], high[axis]) for axis in np.sort(told))


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, numbered where what they leave unsaid is all that tells them apart."""
    totals, seen = Counter(names), Counter[str]()
    apart = []
    for name in names:
        seen[name] += 1
        apart.append(f"{name} (no. {seen[name]})" if totals[name] > 1 else name)
    return tuple(apart)


def _blank(rows: Array) -> Array:
    return np.isnan(rows) if rows.dtype.kind == "f" else np.zeros(rows.shape, np.bool_)


def _codes(rows: Array) -> Array:
    """Return a hash (n,) uint64 of each row (n, d): equal rows have equal ones, all NaN and both zeros alike."""
    mixed = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        if column.dtype.kind == "f":
            column = np.where(np.isnan(column), np.nan, column.astype(np.float64) + 0.0)
        bits = np.ascontiguousarray(column).astype(column.dtype, copy=False).view(np.uint64)
        # The finalizer of splitmix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195), chained over columns.
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + bits
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed
