"""Fitted Q evaluation where states are counted: a recursion exact over the horizon, and its bootstrap by unit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from groundschool.evaluation.diagnostics.support import behavior_by_state, support
from groundschool.evaluation.finite_horizon import SHRINKAGE, Counts, Model, transition_of_rows
from groundschool.evaluation.problem import FloatArray, IntArray, Problem

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
    """

    value: float
    replicates: FloatArray
    facts: dict[str, Any]


def fit(problem: Problem, replicates: int, seed: int) -> Fit:
    """Evaluate the target in the process counted from all units, and from bootstrap samples of them.

    Transitions are pooled over time, and each pair of a state and an action is shrunk a little toward what the logger
    met in that state. A row that went on, nobody knows where, is replaced by the other rows of its pair that went on.

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
        model = Model(counts, states.target, problem.horizon, problem.discount)
        found.append(model.start_value)
        if checked:
            again = Model(counts, logger, problem.horizon, problem.discount).start_value
            off.append(again - _means(problem, drawn))
        if len(found) == 1:
            reach = _reach(problem, model)
    values = np.concatenate(found)
    facts = {
        "model": "counts",
        "states": states.count,
        "transitions": len(tally.state),
        "shrinkage": SHRINKAGE,
        "rows_of_unknown_end": tally.unknown_rows,
        **reach,
    }
    if checked:
        differences = np.concatenate(off)
        facts["logger_off"] = float(differences[0])
        facts["logger_off_error"] = float(np.std(differences[1:], ddof=1))
    return Fit(float(values[0]), values[1:], facts)


def _means(problem: Problem, weights: FloatArray) -> FloatArray:
    """Return the mean of the logged sums under B weights of units, (B,)."""
    sums = np.bincount(problem.units, weights=problem.returns)
    return np.asarray(sums @ weights / (np.bincount(problem.units) @ weights))


@dataclasses.dataclass(frozen=True, eq=False)
class _Tally:
    """How often each unit met each of T transitions, so that any weighting of units is one product.

    Attributes
    ----------
    n_states, n_actions : int
    state, action, then : (T,) int64
    steps, signal : sparse (T, U)
    starts : sparse (S, U)
    unknown_rows : int
    """

    n_states: int
    n_actions: int
    state: IntArray
    action: IntArray
    then: IntArray
    steps: sparse.csr_matrix
    signal: sparse.csr_matrix
    starts: sparse.csr_matrix
    unknown_rows: int

    @classmethod
    def of(cls, problem: Problem) -> _Tally:
        states = problem.states
        assert states is not None
        of_row, example = transition_of_rows(problem)
        known = of_row >= 0
        weight = _weights(problem, known)[known]
        unit = problem.units[problem.episode][known]
        kind = of_row[known]
        shape = (len(example), problem.n_units)
        begins = states.code[problem.starts[:-1]]
        ones = np.ones(problem.n_episodes)
        return cls(
            n_states=states.count,
            n_actions=problem.n_actions,
            state=states.code[example],
            action=problem.actions[example],
            then=np.where(problem.ended[example], -1, states.then[example]),
            steps=sparse.csr_matrix((weight, (kind, unit)), shape=shape),
            signal=sparse.csr_matrix((weight * problem.signal[known], (kind, unit)), shape=shape),
            starts=sparse.csr_matrix((ones, (begins, problem.units)), shape=(states.count, problem.n_units)),
            unknown_rows=int((~known).sum()),
        )

    def counts(self, weights: FloatArray) -> Counts:
        """Count with B weights of each unit, (U, B)."""
        return Counts(
            n_states=self.n_states,
            n_actions=self.n_actions,
            state=self.state,
            action=self.action,
            then=self.then,
            steps=np.ascontiguousarray((self.steps @ weights).T),
            signal=np.ascontiguousarray((self.signal @ weights).T),
            starts=np.ascontiguousarray((self.starts @ weights).T),
        )


def _weights(problem: Problem, known: np.ndarray[Any, np.dtype[np.bool_]]) -> FloatArray:
    """Weigh rows that went on to a known state up by those of their pair that went on to an unknown one, (N,)."""
    states = problem.states
    assert states is not None
    weight = np.ones(problem.n_rows)
    if known.all():
        return weight
    pair = states.code * problem.n_actions + problem.actions
    size = states.count * problem.n_actions
    lost = np.bincount(pair[~known], minlength=size)
    on = known & ~problem.ended
    kept = np.bincount(pair[on], minlength=size)
    weight[on] = 1.0 + lost[pair[on]] / kept[pair[on]]
    return weight


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


def _reach(problem: Problem, model: Model) -> dict[str, float]:
    """Say how much of the target's way is not in the log.

    ``untried``: the share of its steps at pairs never logged, beyond what the logger does there; ``lost``: how often an
    episode comes to a state in which nobody was seen to act.
    """
    found = support(problem, model.counts, model)
    acted_in = model.pairs[0].sum(axis=1) > 0
    lost = model.kernel[0] * model.visits[0, model.link_from] * ~acted_in[model.link_to]
    return {"untried": found.share(model.pairs[0] == 0.0), "lost": float(lost.sum())}
