"""What an action that was never logged in a state would do there, if actions move alike everywhere.

Where observations are numbers on a lattice (a position, a stock, a dose), an action often changes them by the same
amount wherever it is taken. What it then leads to may well be known from elsewhere: a hazard that was entered from the
left is one from above too. Such forecasts enter a counted model as rows of small weight; how small is what forecasts
logged transitions best, each left out of its own forecast, and none at all where a state's other actions tell more.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.validation import are_known
from groundschool.evaluation.finite_horizon import SHRINKAGE, Counts
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.states import first_rows
from groundschool.policies.places import row_keys

WEIGHTS = (0.25, 1.0, 4.0, 16.0)  # rows that a forecast may count for
_MOST = 16  # displacements an action
_COVERED = 0.9  # share of rows that these must explain
_RARE = 0.002
_UNLIKELY = 1e-3
_ROWS = 4_000_000


def with_displacements(log: Dataset, problem: Problem, counts: Counts) -> tuple[Counts, float]:
    """Add to the counts of a log, as one part, what displacements seen elsewhere forecast for every pair.

    Parameters
    ----------
    log : Dataset
    problem : Problem
        Posed of the log, with states.
    counts : Counts
        Of the problem, in one part.

    Returns
    -------
    (Counts, float)
        And the weight of a forecast in rows: 0 where observations are ids or blank, actions do not move alike, or a
        state's other actions forecast better.
    """
    states = problem.states
    assert states is not None
    if problem.observations.ndim == 1 or not np.isfinite(problem.observations).all():
        return counts, 0.0
    seen = _Seen.of(log, problem)
    if seen is None:
        return counts, 0.0
    weight = _best_weight(problem, seen)
    return (_added(problem, counts, seen, weight), weight) if weight else (counts, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class _Seen:
    """Rows whose next observation is known, as displacements and as arrivals.

    Attributes
    ----------
    rows : (M,) int64
    moves : (D, d) float64
    move : (M,) int64
    counts : (A, D) int64
    cells : (C, d) float64
        Distinct observations, of states and of arrivals, sorted by their keys.
    arrival : (M,) int64
    of_state : (S,) int64
        The cell of each state, -1 for those that no row is in.
    """

    rows: IntArray
    moves: FloatArray
    move: IntArray
    counts: IntArray
    cells: FloatArray
    arrival: IntArray
    of_state: IntArray

    @classmethod
    def of(cls, log: Dataset, problem: Problem) -> _Seen | None:
        assert problem.states is not None
        flat = _flat(log.observations)
        following = np.full_like(flat, np.nan)
        following[:-1] = flat[1:]
        last = log.starts[1:] - 1
        following[last] = np.nan
        if log.final_observations is not None:
            known = are_known(log.final_observations)
            following[last[known]] = _flat(log.final_observations)[known]
        here, there = flat[problem.rows], following[problem.rows]
        rows = np.flatnonzero(np.isfinite(there).all(axis=1))
        if not len(rows):
            return None
        here, there, actions = here[rows], there[rows], problem.actions[rows]
        _, first, move = np.unique(row_keys(_rounded(there - here)), return_index=True, return_inverse=True)
        moves, move = (there - here)[first], move.reshape(-1)
        D, A = len(moves), problem.n_actions
        if D * A > _ROWS:
            return None
        counts = np.bincount(actions * D + move, minlength=A * D).reshape(A, D)
        top = np.sort(counts, axis=1)[:, ::-1][:, :_MOST].sum()
        if top < _COVERED * len(rows):
            return None
        at = first_rows(problem.states.code, problem.states.count)
        present = np.zeros(problem.states.count, np.bool_)
        present[problem.states.code] = True
        everything = _rounded(np.concatenate([flat[problem.rows][at[present]], there]))
        _, first, cell = np.unique(row_keys(everything), return_index=True, return_inverse=True)
        cell, n = cell.reshape(-1), int(present.sum())
        of_state = np.full(problem.states.count, -1, np.int64)
        of_state[present] = cell[:n]
        return cls(rows, moves, move, counts, everything[first], cell[n:], of_state)

    def cell_of(self, points: FloatArray) -> IntArray:
        """Return the cell of each point, (N,); -1 where nobody was."""
        table, asked = row_keys(self.cells), row_keys(_rounded(points))
        place = np.minimum(np.searchsorted(table, asked), len(table) - 1)
        return np.where(table[place] == asked, place, -1)


def _best_weight(problem: Problem, seen: _Seen) -> float:
    """Return the weight under which logged transitions are most likely; 0 if their state's others tell more."""
    assert problem.states is not None
    state, action, move = problem.states.code[seen.rows], problem.actions[seen.rows], seen.move
    C = len(seen.cells)
    pair = state * problem.n_actions + action
    of_pair, of_state = _times(pair) - 1.0, _times(state) - 1.0
    same = _times(pair * C + seen.arrival) - 1.0
    alike = _times(state * C + seen.arrival) - 1.0
    elsewhere = np.maximum(seen.counts.sum(axis=1)[action] - 1.0, 1.0)
    moved = (seen.counts[action, move] - 1.0) / elsewhere
    mixed = alike / np.maximum(of_state, 1.0)

    def likely(prior: FloatArray, weight: float) -> float:
        chance = (same + weight * prior) / (of_pair + weight)
        return float(np.log(np.maximum(chance, _UNLIKELY)).mean())

    scores = [likely(moved, weight) for weight in WEIGHTS]
    best = int(np.argmax(scores))
    others = max(likely(mixed, weight) for weight in (SHRINKAGE, *WEIGHTS))
    return WEIGHTS[best] if scores[best] > others else 0.0


def _added(problem: Problem, counts: Counts, seen: _Seen, weight: float) -> Counts:
    states = problem.states
    assert states is not None
    C = len(seen.cells)
    arrivals = np.bincount(seen.arrival, minlength=C).astype(np.float64)
    ended = np.bincount(seen.arrival, weights=problem.ended[seen.rows], minlength=C)
    signal = np.bincount(seen.arrival, weights=problem.signal[seen.rows], minlength=C)
    ending = np.divide(ended, arrivals, out=np.zeros(C), where=arrivals > 0)
    paid = np.divide(signal, arrivals, out=np.zeros(C), where=arrivals > 0)
    state_of = np.full(C, -1, np.int64)
    visits = np.bincount(states.code, minlength=states.count)
    order = np.argsort(visits, kind="stable")
    order = order[seen.of_state[order] >= 0]
    state_of[seen.of_state[order]] = order  # the most visited state of a cell is written last
    share = seen.counts / np.maximum(seen.counts.sum(axis=1, keepdims=True), 1)
    sources = np.flatnonzero(seen.of_state >= 0)
    points = seen.cells[seen.of_state[sources]]
    made: list[tuple[NDArray[np.int64], ...]] = []
    sizes: list[FloatArray] = []
    for move in np.flatnonzero((share > _RARE).any(axis=0)).tolist():
        to = seen.cell_of(points + seen.moves[move])
        met, next_ = to >= 0, state_of[to]
        for action in np.flatnonzero(share[:, move] > _RARE).tolist():
            size = np.where(met, weight * share[action, move], 0.0)
            for then, part, some in (
                (np.full(len(to), -1), ending[to], met),
                (next_, 1.0 - ending[to], met & (next_ >= 0)),
            ):
                use = some & (part > 0.0)
                made.append((sources[use], np.full(int(use.sum()), action), then[use], to[use]))
                sizes.append((size * part)[use])
    state, taken, leads, cell = (np.concatenate(parts).astype(np.int64) for parts in zip(*made, strict=True))
    steps = np.concatenate(sizes)
    return dataclasses.replace(
        counts,
        state=np.concatenate([counts.state, state]),
        action=np.concatenate([counts.action, taken]),
        then=np.concatenate([counts.then, leads]),
        steps=np.concatenate([counts.steps, steps[None]], axis=1),
        signal=np.concatenate([counts.signal, (steps * paid[cell])[None]], axis=1),
    )


def _times(key: IntArray) -> FloatArray:
    """Return how often the key of each row occurs, (M,)."""
    _, number, counts = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(counts[number.reshape(-1)], np.float64)


def _flat(observations: NDArray[np.generic]) -> FloatArray:
    return np.asarray(observations.reshape(len(observations), -1), np.float64)


def _rounded(points: FloatArray) -> FloatArray:
    return np.asarray(np.round(points, 6))
