"""How much of what a target does the logger was expected to show how often: support as a picture needs it."""

from __future__ import annotations

from typing import Any

import numpy as np

from groundschool.evaluation.problem import FloatArray

EDGES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, np.inf)


def by_expected(expected: FloatArray, target: FloatArray, excess: FloatArray) -> list[dict[str, Any]]:
    """Return the target's visits by how many rows of a pair the logger was expected to log.

    Parameters
    ----------
    expected : (S, A) float64
        Rows that the log was expected to hold of each pair of a state and an action.
    target : (S, A) float64
        The target's expected visits to it in an episode.
    excess : (S, A) float64
        The part of them that is beyond what the logger itself does there.

    Returns
    -------
    list of dict
        One for each range of expected rows, JSON-ready: ``from``, ``to`` (None without end), ``share`` of the target's
        visits and ``excess``, the part of that share that is beyond the logger's own visits.
    """
    total = float(target.sum())
    place = np.digitize(expected.reshape(-1), EDGES[1:-1])
    shares = np.bincount(place, weights=target.reshape(-1), minlength=len(EDGES) - 1)
    beyond = np.bincount(place, weights=excess.reshape(-1), minlength=len(EDGES) - 1)
    return [
        {
            "from": low,
            "to": high if np.isfinite(high) else None,
            "share": float(share / total) if total > 0 else 0.0,
            "excess": float(more / total) if total > 0 else 0.0,
        }
        for low, high, share, more in zip(EDGES[:-1], EDGES[1:], shares, beyond, strict=True)
    ]
