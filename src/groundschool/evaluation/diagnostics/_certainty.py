"""Whether actions that a log calls certain were chosen by a fixed rule of the observation at all.

Near a border of a fixed rule near observations call for different actions too, but the nearer they are, the fewer do:
the share of neighbors that differ goes to zero with their distance. Where chance chose, it goes to what chance leaves.
The share is followed from far neighbors to near ones of the same rows and extrapolated to distance zero, as in the
Gamma test (Stefansson, Koncar and Jones 1997). Distances count what moves the action: they are taken along the
gradients of a fitted model of it.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from groundschool.data.checks._comparable import TREE_WIDTH, nearest
from groundschool.evaluation.diagnostics._claims import FloatArray, IntArray

CERTAIN = 0.999
LEAST_ROWS = 200
_RANKS = (0, 2, 4, 8, 16, 32, 56)
_MORE = 34  # neighbors to look at besides, since those of the row's own unit do not count
_QUERIES, _REFERENCES = 2_000, 12_000
_QUERIES_WIDE, _REFERENCES_WIDE = 600, 6_000
_QUADRATIC, _WIDEST = 20, 100
_FLOOR = 0.001
_LEAST_LEFT, _PART, _Z = 0.02, 0.5, 3.5


class Certainty(NamedTuple):
    """How often the action differs from that of near rows.

    Attributes
    ----------
    far, near : float
        In the farthest and the nearest of the neighbors looked at.
    left : float
        Extrapolated to distance zero.
    z : float
        By how many standard errors what is left is more than half of `far`.
    """

    far: float
    near: float
    left: float
    z: float

    @property
    def refuted(self) -> bool:
        """Whether no fixed rule of the observation, unless a very rough one, would have left so much."""
        return self.near >= _LEAST_LEFT and self.left >= _LEAST_LEFT and self.z >= _Z


def certainty(
    observations: FloatArray, actions: IntArray, units: IntArray, n_actions: int, seed: int
) -> Certainty | None:
    """Follow how often the action differs from that of neighbors as they come nearer.

    Parameters
    ----------
    observations : (n, d) float64
        Finite.
    actions : (n,) int64
    units : (n,) int64
        Neighbors of the same unit do not count.
    n_actions, seed : int

    Returns
    -------
    Certainty or None
        None where there are too few rows, or observations are too wide.
    """
    n, width = observations.shape
    if n < LEAST_ROWS or width > _WIDEST or np.ptp(actions) == 0:
        return None
    points = _standardized(observations)
    points = points @ _relevance(points, actions, n_actions)
    tree = points.shape[1] <= TREE_WIDTH
    kept = np.random.default_rng(seed).permutation(n)[: _REFERENCES if tree else _REFERENCES_WIDE]
    points, actions, units = points[kept], actions[kept], units[kept]
    asked = np.arange(min(_QUERIES if tree else _QUERIES_WIDE, len(points)))
    found, distance = nearest(points, points[asked], _RANKS[-1] + _MORE)
    other = units[found] != units[asked][:, None]
    rank = np.where(other, np.cumsum(other, axis=1) - 1, _RANKS[-1])
    full = other.sum(axis=1) >= _RANKS[-1]
    if full.sum() < LEAST_ROWS // 2:
        return None
    rank, distance, asked = rank[full], distance[full], asked[full]
    differs = actions[found[full]] != actions[asked][:, None]
    bins = [(rank >= low) & (rank < high) for low, high in itertools.pairwise(_RANKS)]
    radius = np.array([distance[ring].mean() for ring in bins])
    share = np.column_stack([(differs & ring).sum(axis=1) / ring.sum(axis=1) for ring in bins])
    line = np.column_stack([np.ones(len(bins)), radius / max(float(radius[-1]), 1e-300)])
    left = share @ np.linalg.lstsq(line.T @ line, line.T, rcond=None)[0][0]
    beyond = left - _PART * share[:, -1]
    sums = np.bincount(units[asked], weights=beyond - beyond.mean())
    error = float(np.sqrt(np.square(sums).sum())) / len(beyond)
    z = float(beyond.mean()) / error if error > 0 else 0.0
    return Certainty(float(share[:, -1].mean()), float(share[:, 0].mean()), float(left.mean()), z)


def _standardized(values: FloatArray) -> FloatArray:
    spread = values.std(axis=0)
    moving = spread > 1e-9 * np.abs(values).max(axis=0)
    return np.asarray((values[:, moving] - values[:, moving].mean(axis=0)) / spread[moving])


def _relevance(z: FloatArray, actions: IntArray, n_actions: int) -> FloatArray:
    """Return the directions (d, d) in which a quadratic model of the action changes, as long as it changes there."""
    n, d = z.shape
    one, other = np.triu_indices(d if d <= _QUADRATIC else 0)
    design = np.hstack([np.ones((n, 1)), z, z[:, one] * z[:, other]])
    gram = design.T @ design + (1e-3 * n + 1.0) * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design.T @ np.eye(n_actions)[actions])
    spread = np.cov(z.T).reshape(d, d)
    squares = np.zeros((d, d))
    for action in range(n_actions):
        slope, curve = weights[1 : 1 + d, action], np.zeros((d, d))
        curve[one, other] = weights[1 + d :, action]
        curve += curve.T
        squares += np.outer(slope, slope) + curve @ spread @ curve
    size, directions = np.linalg.eigh(squares)
    share = np.maximum(size, 0.0) / max(float(np.maximum(size, 0.0).sum()), 1e-300)
    return np.asarray(directions * np.sqrt(share + _FLOOR))
