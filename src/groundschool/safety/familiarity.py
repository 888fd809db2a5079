"""What counts as familiar: logged observations, and a threshold of novelty that keeps its promise.

The threshold is calibrated on episodes that were not fitted on, by split conformal prediction over whole episodes
(Laxhammar & Falkman 2015, doi:10.1007/s10472-013-9381-7; Vovk et al. 2005): the score of an episode is that of its most
novel observation, and the threshold is the ceil((n + 1)(1 - rate))-th smallest of n scores. A fresh episode like those
raises a false alarm with probability at most the rate, whatever the score and the distribution. That is an average over
calibrations, not a promise for each one. Rows would not do: those of one episode are alike.

Once calibrated, the held-out episodes count as logged too. That makes nothing more novel than before.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.policies import schema as schemas
from groundschool.policies.novelty import Counted, Measured
from groundschool.policies.places import row_keys
from groundschool.policies.schema import Schema

FloatArray = NDArray[np.float64]
Fitted = tuple[Counted | Measured, dict[str, Any], str]

ENOUGH = 5
"""An observation logged in so many episodes is familiar, whatever share of false alarms is left."""

_REFERENCES = 2_000
_CANDIDATES = 40_000


def fit_counted(log: Dataset, calibration: Dataset, schema: Schema, rate: float) -> Fitted:
    """Return the distinct observations of both logs and the least count that is familiar, its figures, and a note.

    The count is the conformal one, or less: so little that, of all episodes, no larger share than the rate holds an
    observation that too few of the others hold. That steadies it where few episodes are held out.
    """
    here, later = schema.read(log.observations), schema.read(calibration.observations)
    first, episodes = _visits(here, log.episode_index)
    alone = Counted(_stored(here)[first], episodes, 1)
    places = alone.locate(later)
    visits = np.where(places >= 0, alone.episodes[np.maximum(places, 0)], 0)
    held_out = np.minimum.reduceat(visits, calibration.starts[:-1])
    held_out = np.where(_refused(schema, calibration), 0, held_out)
    score, promised = calibrated(-held_out.astype(np.float64), rate)

    both = np.concatenate([here, later])
    first, episodes = _visits(both, np.concatenate([log.episode_index, log.n_episodes + calibration.episode_index]))
    novelty = Counted(_stored(both)[first], episodes, 1)
    starts = np.concatenate([log.starts[:-1], log.n_steps + calibration.starts[:-1]])
    left_out = np.minimum.reduceat(episodes[novelty.locate(both)] - 1, starts)
    count = len(left_out)
    least = int(min(max(-score, 1), ENOUGH))
    while least > 1 and (left_out < least).sum() > rate * count:
        least -= 1

    novelty = dataclasses.replace(novelty, least=least)
    alarmed, without = int((held_out < least).sum()), int((left_out < least).sum())
    facts = _facts("counted", rate, calibration.n_episodes, alarmed, promised if -score >= 1 else None)
    facts |= {"least": least, "left_out_episodes": count, "left_out_alarmed": without}
    note = (
        f"An observation is novel where it was {novelty.describe()} of {count:,}; {len(first):,} are known. "
        f"{_alarms(alarmed, calibration.n_episodes, rate)} Of all {count:,} episodes, each held against the others, "
        f"{without:,} would."
    )
    return novelty, facts, note


def fit_measured(log: Dataset, calibration: Dataset, schema: Schema, rate: float) -> Fitted:
    """Return references from the log and the distance that is familiar, its figures, and a note."""
    flat = schema.flat(log.observations)
    center, scale = _spread(flat)
    width = schema.width * (2 if schema.blanks.any() else 1)
    plain = Measured(center, scale, np.zeros((1, width)), 0.0)
    references = farthest_first(plain.scaled(flat[_spread_out(len(flat))]), _REFERENCES)
    fitted = dataclasses.replace(plain, references=references)
    distances = np.sqrt(fitted.squared(schema.flat(schema.read(calibration.observations))))
    worst = np.maximum.reduceat(distances, calibration.starts[:-1])
    scores = np.where(_refused(schema, calibration), np.inf, worst)
    threshold, promised = calibrated(scores, rate)
    kept = math.isfinite(threshold)
    if not kept:
        threshold = float(scores[np.isfinite(scores)].max(initial=0.0))
    alarmed = int((scores > threshold).sum())
    facts = _facts("measured", rate, calibration.n_episodes, alarmed, promised if kept else None)
    novelty = dataclasses.replace(fitted, threshold=threshold)
    note = f"An observation is novel where it is {novelty.describe()}. {_alarms(alarmed, calibration.n_episodes, rate)}"
    return novelty, facts | {"threshold": threshold}, note


def calibrated(scores: FloatArray, rate: float) -> tuple[float, float]:
    """Return the conformal threshold of scores, one an episode, and the false alarms it promises at most.

    The threshold is the ceil((n + 1)(1 - rate))-th smallest score; where n is too small for the rate, the largest one,
    which promises 1 / (n + 1).
    """
    n = len(scores)
    rank = min(math.ceil((n + 1) * (1.0 - rate) - 1e-9), n)
    return float(np.sort(scores)[rank - 1]), 1.0 - rank / (n + 1)


def farthest_first(points: FloatArray, most: int) -> FloatArray:
    """Return up to `most` of the points, each the farthest from those before it (Gonzalez 1985): an even cover.

    (N, d) to (M, d); no distance to the nearest one exceeds twice the least that any M points could leave.
    """
    nearest = np.full(len(points), np.inf)
    chosen: list[int] = []
    at = int(np.argmin(np.einsum("nd,nd->n", points, points)))
    for _ in range(min(most, len(points))):
        chosen.append(at)
        apart = points - points[at]
        np.minimum(nearest, np.einsum("nd,nd->n", apart, apart), out=nearest)
        at = int(np.argmax(nearest))
        if nearest[at] == 0.0:
            break
    return points[chosen]


def _spread_out(n: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, _CANDIDATES)).astype(np.int64))


def _refused(schema: Schema, log: Dataset) -> NDArray[np.bool_]:
    """Return whether an observation of each episode is refused before its novelty is asked, (E,)."""
    faults = schema.faults(schema.read(log.observations)) != schemas.FINE
    return np.asarray(np.logical_or.reduceat(faults, log.starts[:-1]))


def _facts(kind: str, rate: float, episodes: int, alarmed: int, promised: float | None) -> dict[str, Any]:
    return {
        "kind": kind,
        "false_alarms": rate,
        "episodes": episodes,
        "episodes_alarmed": alarmed,
        "promised": promised,
    }


def _alarms(alarmed: int, episodes: int, rate: float) -> str:
    said = f"{alarmed:,} of {episodes:,} held-out episodes raise an alarm"
    if episodes + 1 < 1.0 / rate:
        needed = math.ceil(1.0 / rate) - 1
        return f"{said}; at most {rate:.1%} of fresh ones can be promised from {needed:,} held-out episodes on."
    if alarmed > rate * (episodes + 1):
        return f"{said}, more than the {rate:.1%} asked for: the log is too small to hold all that is usual."
    return f"{said}; at most {rate:.1%} of fresh ones will."


def _spread(flat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of each column, blanks aside; of a constant one a scale as good as none."""
    known = ~np.isnan(flat)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, flat, 0.0).sum(axis=0) / count
    scale = np.sqrt(np.where(known, np.square(flat - center), 0.0).sum(axis=0) / count)
    size = np.maximum(1.0, np.abs(center))
    return center, np.where(scale > 1e-9 * size, scale, 1e-6 * size)


def _visits(observations: NDArray[Any], episode: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return a row of each distinct observation, and the number of episodes that hold it; both (U,)."""
    _, first, code = np.unique(row_keys(observations), return_index=True, return_inverse=True)
    code = code.reshape(-1).astype(np.int64)
    pairs = np.unique(code * (int(episode.max()) + 1) + episode)
    return first, np.bincount(pairs // (int(episode.max()) + 1), minlength=len(first))


def _stored(observations: NDArray[Any]) -> NDArray[Any]:
    if observations.ndim == 1:
        return observations.astype(np.int64)
    return observations.reshape(len(observations), -1).astype(np.float64)
