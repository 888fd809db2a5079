"""Fitted Q evaluation where states are counted: a recursion exact over the horizon, and its bootstrap by unit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from groundschool.evaluation.diagnostics.support import behavior_by_state, support_of
from groundschool.evaluation.estimate import Diagnosis
from groundschool.evaluation.finite_horizon import Counts, Model, count
from groundschool.evaluation.problem import FloatArray, Problem

_SHRINKAGE = 0.05
_BLOCK = 10_000_000  # numbers of one array of all replicates at a time
_NEVER_DRAWN = 1e-9  # the weight of a unit that a replicate leaves out: its states keep a value


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """What the counted model says.

    Attributes
    ----------
    value : float
        Of all units.
    replicates : (B,) float64
        Of B samples of units with replacement.
    facts : dict
        JSON-ready.
    support : Diagnosis
        How far the target goes where the log is thin.
    """

    value: float
    replicates: FloatArray
    facts: dict[str, Any]
    support: Diagnosis


def fit(problem: Problem, replicates: int, seed: int) -> Fit:
    """Evaluate the target in the process counted from all units, and from bootstrap samples of them.

    Transitions are pooled over time, and each pair of a state and an action is shrunk a little toward what the logger
    met in that state.

    Parameters
    ----------
    problem : Problem
        With states.
    replicates : int
    seed : int

    Returns
    -------
    Fit
    """
    states = problem.states
    assert states is not None
    tally = _Tally.of(problem)
    logger = behavior_by_state(problem)
    checked = not problem.censored.any()  # else nobody knows what the logger's episodes would have come to
    rng = np.random.default_rng(seed)
    found, off = [], []
    for drawn in (np.ones((problem.n_units, 1)), *_draws(problem, replicates, rng)):
        counts = tally.counts(drawn)
        model = Model(counts, states.target, problem.horizon, problem.discount, _SHRINKAGE)
        found.append(model.start_value)
        if checked:
            again = Model(counts, logger, problem.horizon, problem.discount, _SHRINKAGE)
            off.append(again.start_value - _means(problem, drawn))
    values = np.concatenate(found)
    facts = {
        "model": "counts",
        "states": states.count,
        "transitions": len(tally.whole.state),
        "shrinkage": _SHRINKAGE,
        "rows_of_unknown_end": tally.unknown_rows,
    }
    if checked:
        differences = np.concatenate(off)
        facts["logger_off"] = float(differences[0])
        facts["logger_off_error"] = float(np.std(differences[1:], ddof=1))
    return Fit(float(values[0]), values[1:], facts, support_of(problem, logger, math.inf, _SHRINKAGE))


def _means(problem: Problem, weights: FloatArray) -> FloatArray:
    """Return the mean of the logged sums under B weights of units, (B,)."""
    sums = np.bincount(problem.units, weights=problem.returns)
    return np.asarray(sums @ weights / (np.bincount(problem.units) @ weights))


@dataclasses.dataclass(frozen=True, eq=False)
class _Tally:
    """How often each unit met each of T transitions, so that any weighting of units is one product.

    Attributes
    ----------
    whole : Counts
        Of all units.
    steps, signal : sparse (T, U)
    starts : sparse (S, U)
    unknown_rows : int
    """

    whole: Counts
    steps: sparse.csr_matrix
    signal: sparse.csr_matrix
    starts: sparse.csr_matrix
    unknown_rows: int

    @classmethod
    def of(cls, problem: Problem) -> _Tally:
        states = problem.states
        assert states is not None
        whole, kind, weights = count(problem, np.zeros(problem.n_episodes, np.int64), 1)
        known = kind >= 0
        weight = weights[known]
        unit = problem.units[problem.episode][known]
        shape = (len(whole.state), problem.n_units)
        begins = states.code[problem.starts[:-1]]
        ones = np.ones(problem.n_episodes)
        return cls(
            whole=whole,
            steps=sparse.csr_matrix((weight, (kind[known], unit)), shape=shape),
            signal=sparse.csr_matrix((weight * problem.signal[known], (kind[known], unit)), shape=shape),
            starts=sparse.csr_matrix((ones, (begins, problem.units)), shape=(states.count, problem.n_units)),
            unknown_rows=int((~known).sum()),
        )

    def counts(self, weights: FloatArray) -> Counts:
        """Count with B weights of each unit, (U, B)."""
        tallies = {"steps": self.steps, "signal": self.signal, "starts": self.starts}
        counted: dict[str, Any] = {name: np.ascontiguousarray((tally @ weights).T) for name, tally in tallies.items()}
        return dataclasses.replace(self.whole, **counted)


def _draws(problem: Problem, replicates: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Yield weights of units, (U, b), of samples with replacement; as many at a time as memory likes."""
    states = problem.states
    assert states is not None
    U = problem.n_units
    largest = max(U, problem.n_rows // 4, states.count * max(problem.n_actions, problem.horizon))
    block = max(1, _BLOCK // largest)
    for begin in range(0, replicates, block):
        size = min(block, replicates - begin)
        drawn = np.empty((U, size))
        for column in range(size):  # far less memory than a multinomial, and as fast
            drawn[:, column] = np.bincount(rng.integers(U, size=U), minlength=U)
        yield np.maximum(drawn, _NEVER_DRAWN)
