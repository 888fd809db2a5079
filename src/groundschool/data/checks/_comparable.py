"""What was done elsewhere in the same, or nearly the same, situation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundschool.data.checks._sample import Sample, codes, folds
from groundschool.data.validation import Array

FOLDS = 5
REPEATED = 10  # an observation seen so often in other folds has counts worth reading
_SHARE_REPEATED = 0.8
_QUERIES, _REFERENCES = 5_000, 20_000
_QUERIES_WIDE, _REFERENCES_WIDE = 2_000, 8_000
TREE_WIDTH = 8  # beyond it a tree looks at nearly every point, and multiplying matrices is faster


@dataclass(frozen=True, eq=False)
class Comparable:
    """Actions in comparable rows of other folds (so, of other episodes), for m rows of a sample.

    Attributes
    ----------
    repeated : bool
        Comparable rows have the same observation (and mask); otherwise they are the nearest in standardized distance.
    at : (m,) int64
        Which rows of the sample.
    fold : (m,) int64
    counts : (m, A) int64
        How often each action was taken in comparable rows.
    weights : (m, A) float64
        The sum over the same rows of the weights that were passed.
    marginal : (m, A) float64
        How often each action was taken in the other folds overall.
    distance, stride : float
        The median distance of the furthest comparable row, and of successive observations. 0 where repeated.
    """

    repeated: bool
    at: Array
    fold: Array
    counts: Array
    weights: Array
    marginal: Array
    distance: float = 0.0
    stride: float = 0.0

    @property
    def is_near(self) -> bool:
        """Whether comparable rows are nearer than successive observations, so that they call for the same action."""
        return self.repeated or self.distance <= self.stride

    def predicted(self, weight: float = 1.0) -> Array:
        """Return action probabilities (m, A) above 0: the counts, plus `weight` rows between marginal and uniform."""
        counts = self.counts + weight * (self.marginal + 1.0 / self.counts.shape[1]) / 2.0
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def comparable(
    sample: Sample, n_actions: int, seed: int, *, weights: Array | None = None, neighbors: int = 20
) -> Comparable:
    """Return comparable rows by the same observation where most are repeated, else by the nearest ones.

    `sample` holds discrete actions and finite observations; `weights` (n,), 1 each when left out.
    """
    weights = np.ones(len(sample)) if weights is None else weights
    fold = folds(sample.unit, FOLDS, seed)
    state = codes(_situations(sample))
    size = (FOLDS, int(state.max()) + 1, n_actions)
    cell = np.ravel_multi_index((fold, state, sample.actions), size)
    table = np.bincount(cell, minlength=int(np.prod(size))).reshape(size)
    total = table.sum(axis=0)
    marginals = total.sum(axis=0) - table.sum(axis=1)
    marginals = marginals / np.maximum(marginals.sum(axis=1, keepdims=True), 1)
    counts = total[state] - table[fold, state]
    repeated = counts.sum(axis=1) >= REPEATED
    if repeated.mean() >= _SHARE_REPEATED or sample.raw.observations.ndim == 1:
        at = np.flatnonzero(repeated)
        weighed = np.bincount(cell, weights=weights, minlength=int(np.prod(size))).reshape(size)
        others = weighed.sum(axis=0)[state[at]] - weighed[fold[at], state[at]]
        return Comparable(True, at, fold[at], counts[at], others, marginals[fold[at]])
    return _nearest(sample, fold, marginals, weights, seed, neighbors)


def _situations(sample: Sample) -> Array:
    masks = sample.raw.action_masks
    if masks is None:
        return sample.observations
    return np.hstack([sample.observations, masks[sample.rows].astype(np.float64)])


def standardized(values: Array) -> Array:
    """Return columns with mean 0 and standard deviation 1, without those that never change."""
    spread = values.std(axis=0)
    moving = spread > 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-300)
    return np.asarray((values[:, moving] - values[:, moving].mean(axis=0)) / spread[moving])


def _nearest(sample: Sample, fold: Array, marginals: Array, weights: Array, seed: int, neighbors: int) -> Comparable:
    points = standardized(_situations(sample))
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(sample))
    wide = points.shape[1] > TREE_WIDTH
    asked = chosen[: _QUERIES_WIDE if wide else _QUERIES]
    known = chosen[: _REFERENCES_WIDE if wide else _REFERENCES]
    counts = np.zeros((len(asked), marginals.shape[1]), dtype=np.int64)
    weighed = np.zeros(counts.shape)
    furthest = np.zeros(len(asked))
    for k in range(FOLDS):
        mine, others = np.flatnonzero(fold[asked] == k), known[fold[known] != k]
        found, distance = nearest(points[others], points[asked[mine]], neighbors)
        taken = sample.actions[others[found]]
        for action in range(counts.shape[1]):
            counts[mine, action] = (taken == action).sum(axis=1)
            weighed[mine, action] = np.where(taken == action, weights[others[found]], 0.0).sum(axis=1)
        furthest[mine] = distance[:, -1]
    steps = np.flatnonzero(sample.has_previous[1:] & (np.diff(sample.rows) == 1))
    strides = np.linalg.norm(points[steps + 1] - points[steps], axis=1)
    return Comparable(
        False,
        asked,
        fold[asked],
        counts,
        weighed,
        marginals[fold[asked]],
        float(np.median(furthest)),
        float(np.median(strides)) if len(strides) else 0.0,
    )


def nearest(points: Array, queries: Array, count: int) -> tuple[Array, Array]:
    """Return the `count` nearest points (positions and distances, both (m, count), nearest first) of each query."""
    count = min(count, len(points))
    if points.shape[1] <= TREE_WIDTH:
        from scipy.spatial import cKDTree

        distance, found = cKDTree(points).query(queries, k=count)
        return found.reshape(len(queries), -1), distance.reshape(len(queries), -1)
    found = np.empty((len(queries), count), dtype=np.int64)
    distance = np.empty((len(queries), count))
    own = np.square(points).sum(axis=1)
    for begin in range(0, len(queries), 500):
        block = queries[begin : begin + 500]
        square = own - 2.0 * block @ points.T
        near = np.argpartition(square, count - 1, axis=1)[:, :count]
        by_row = np.take_along_axis(square, near, axis=1) + np.square(block).sum(axis=1, keepdims=True)
        order = np.argsort(by_row, axis=1)
        found[begin : begin + 500] = np.take_along_axis(near, order, axis=1)
        distance[begin : begin + 500] = np.sqrt(np.maximum(np.take_along_axis(by_row, order, axis=1), 0.0))
    return found, distance
