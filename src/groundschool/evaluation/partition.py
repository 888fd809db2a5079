"""Measured observations sorted into cells."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.spatial import KDTree

from groundschool.evaluation.problem import FloatArray, IntArray

_FITTED_ON = 20_000


@dataclass(frozen=True, eq=False)
class Cells:
    """Voronoi cells around centers, on standardized observations; a blank counts as the mean.

    Attributes
    ----------
    centers : (S, d) float64
    mean, scale : (d,) float64
    """

    centers: FloatArray
    mean: FloatArray
    scale: FloatArray

    @property
    def count(self) -> int:
        """How many cells, S."""
        return len(self.centers)

    def __call__(self, observations: NDArray[Any]) -> IntArray:
        """Return the cell of each observation (n, d...), (n,) int64."""
        _, nearest = KDTree(self.centers).query(_standardized(observations, self.mean, self.scale))
        return np.asarray(nearest, dtype=np.int64)


def cells_of(observations: NDArray[Any], most: int, seed: int = 0) -> Cells:
    """Fit at most `most` cells by k-means (Lloyd 1982) to a sample of 20,000 observations.

    Parameters
    ----------
    observations : (N, d...) float
    most : int
        At least 1; fewer where fewer are distinct, and cells without observations are left out.
    seed : int
    """
    flat = observations.reshape(len(observations), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(flat)
        size = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, flat, 0.0).sum(axis=0) / size
        scale = np.sqrt(np.where(known, (flat - mean) ** 2, 0.0).sum(axis=0) / size)
    scale[scale == 0.0] = 1.0
    rng = np.random.default_rng(seed)
    sample = _standardized(flat, mean, scale)
    if len(sample) > _FITTED_ON:
        sample = sample[rng.choice(len(sample), _FITTED_ON, replace=False)]
    distinct = np.unique(sample, axis=0)
    if len(distinct) <= most:
        return Cells(distinct, mean, scale)
    start = distinct[rng.choice(len(distinct), most, replace=False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a cell that became empty is left out below
        centers, label = kmeans2(sample, start, iter=10, minit="matrix", missing="warn")
    return Cells(centers[np.unique(label)], mean, scale)


def _standardized(observations: NDArray[Any], mean: FloatArray, scale: FloatArray) -> FloatArray:
    flat = observations.reshape(len(observations), -1).astype(np.float64)
    return np.asarray(np.where(np.isfinite(flat), (flat - mean) / scale, 0.0))
