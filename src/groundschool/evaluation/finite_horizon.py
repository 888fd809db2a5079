"""A process of at most H steps, counted from a log: where a policy goes in it, and what that is worth.

Dynamics are pooled over time. All recursions are exact over the horizon, and run for all parts of a log at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from groundschool.evaluation.prior import prior
from groundschool.evaluation.problem import BoolArray, FloatArray, IntArray, Problem

SHRINKAGE = 0.2
_DENSE = 1_200  # states up to which products over time are dense


@dataclasses.dataclass(frozen=True, eq=False)
class Counts:
    """What K parts of a log hold, each as counts of the T transitions that occur in any of them.

    Attributes
    ----------
    n_states, n_actions : int
    state, action, then : (T,) int64
        The transitions; `then` is -1 where the episode ended.
    steps, signal : (K, T) float64
        How often each occurred, and the sum of the signal in it.
    starts : (K, S) float64
        Episodes that began in each state.
    """

    n_states: int
    n_actions: int
    state: IntArray
    action: IntArray
    then: IntArray
    steps: FloatArray
    signal: FloatArray
    starts: FloatArray

    @property
    def n_parts(self) -> int:
        """How many parts, K."""
        return len(self.steps)

    @cached_property
    def episodes(self) -> FloatArray:
        """Episodes in each part, (K,); at least 1."""
        return np.asarray(np.maximum(self.starts.sum(axis=1), 1.0))

    @cached_property
    def visits(self) -> FloatArray:
        """Rows in each state, (K, S)."""
        return _sums(self.state, self.steps, self.n_states)

    def without_each(self) -> Counts:
        """Return, for each part, the counts of all others."""
        whole = {name: getattr(self, name).sum(axis=0) for name in ("steps", "signal", "starts")}
        return dataclasses.replace(self, **{name: total - getattr(self, name) for name, total in whole.items()})

    def together(self) -> Counts:
        """Return the counts of all parts as one."""
        whole = {name: getattr(self, name).sum(axis=0, keepdims=True) for name in ("steps", "signal", "starts")}
        return dataclasses.replace(self, **whole)


class Counted(NamedTuple):
    """A problem's rows, counted.

    Attributes
    ----------
    counts : Counts
        By part of the log.
    kind : (N,) int64
        The transition of each row; -1, and not counted, where the next state is unknown.
    weight : (N,) float64
        What each row counts. Rows that went on, nobody knows where, are replaced by the rows of their pair that went on
        to a known state: leaving them out would make every end look likelier than it is.
    """

    counts: Counts
    kind: IntArray
    weight: FloatArray


def count(problem: Problem, part: IntArray, n_parts: int) -> Counted:
    """Count a problem's rows by part of the log.

    Parameters
    ----------
    problem : Problem
        With states.
    part : (E,) int64
        The part of each episode, 0 to `n_parts` - 1.
    n_parts : int

    Returns
    -------
    Counted
    """
    states = problem.states
    assert states is not None
    kind, example = problem.transitions
    weight = row_weights(problem, kind)
    known, n_kinds = kind >= 0, len(example)
    row_part = np.repeat(part, problem.lengths)[known]
    cell = row_part * n_kinds + kind[known]
    size = n_parts * n_kinds
    begins = part * states.count + states.code[problem.starts[:-1]]
    steps = np.bincount(cell, weights=weight[known], minlength=size).astype(np.float64)
    signal = np.bincount(cell, weights=(weight * problem.signal)[known], minlength=size).astype(np.float64)
    counts = Counts(
        n_states=states.count,
        n_actions=problem.n_actions,
        state=states.code[example],
        action=problem.actions[example],
        then=np.where(problem.ended[example], -1, states.then[example]),
        steps=steps.reshape(n_parts, -1),
        signal=signal.reshape(n_parts, -1),
        starts=np.bincount(begins, minlength=n_parts * states.count).reshape(n_parts, -1).astype(np.float64),
    )
    return Counted(counts, kind, weight)


def row_weights(problem: Problem, kind: IntArray) -> FloatArray:
    """Weigh rows that went on to a known state up by those of their pair that went on to an unknown one, (N,)."""
    states = problem.states
    assert states is not None
    known = kind >= 0
    weight = known.astype(np.float64)
    if known.all():
        return weight
    pair = states.code * problem.n_actions + problem.actions
    size = states.count * problem.n_actions
    onward = known & ~problem.ended
    lost, kept = np.bincount(pair[~known], minlength=size), np.bincount(pair[onward], minlength=size)
    weight[onward] += lost[pair[onward]] / kept[pair[onward]]
    return weight


class Model:
    """What K counted models say about one policy over H steps, discounted.

    Each pair of a state and an action is shrunk by a pseudo-count. Its signal and its chance of being the last one are
    drawn toward a fitted mix of its state's and its action's (`prior`), for to shrink toward the whole log would hide a
    danger that only one state has; where it leads, toward where its state leads over all actions. States without any
    counted row are taken for the average one.

    Parameters
    ----------
    counts : Counts
    target : (S, A) float64
        The policy's probabilities; rows may sum to less than 1, what is missing leaves the process.
    horizon : int
    discount : float
    shrinkage : float
        The pseudo-count.
    expected : callable
        What is expected of a pair beforehand, from sums and rows by pair: `prior`, or `by_state` for caution.
    """

    def __init__(
        self,
        counts: Counts,
        target: FloatArray,
        horizon: int,
        discount: float = 1.0,
        shrinkage: float = SHRINKAGE,
        expected: Callable[[FloatArray, FloatArray], FloatArray] = prior,
    ) -> None:
        self.expected = expected
        self.counts = counts
        self.target = target
        self.horizon = horizon
        self.discount = discount
        self.shrinkage = shrinkage

    @cached_property
    def values(self) -> FloatArray:
        """Expected discounted sum from each step and state on, (H + 1, K, S)."""
        c = self.counts
        values = np.zeros((self.horizon + 1, c.n_parts, c.n_states))
        gain = (self.target * self.reward).sum(axis=2)
        share = c.visits / np.maximum(c.visits.sum(axis=1, keepdims=True), 1.0)
        some = bool(self._unseen.any())
        for t in reversed(range(self.horizon)):
            values[t] = gain + self.discount * (self._matrix @ values[t + 1].ravel()).reshape(gain.shape)
            if some:
                average = (share * values[t]).sum(axis=1, keepdims=True)
                values[t] = np.where(self._unseen, average, values[t])
        return values

    @cached_property
    def flow(self) -> FloatArray:
        """Probability of being in each state at each step, times the discount to the power of the step, (H, K, S)."""
        c = self.counts
        flow = np.empty((self.horizon, c.n_parts, c.n_states))
        flow[0] = c.starts / c.episodes[:, None]
        onward = self._matrix.T.tocsr()
        for t in range(1, self.horizon):
            flow[t] = self.discount * (onward @ flow[t - 1].ravel()).reshape(flow[t].shape)
        return flow

    @cached_property
    def visits(self) -> FloatArray:
        """Expected discounted visits to each state in an episode, (K, S)."""
        return np.asarray(self.flow.sum(axis=0))

    @cached_property
    def start_value(self) -> FloatArray:
        """Expected sum of an episode in each model, (K,)."""
        return np.asarray((self.counts.starts * self.values[0]).sum(axis=1) / self.counts.episodes)

    @cached_property
    def reward(self) -> FloatArray:
        """Expected signal of each pair, (K, S, A)."""
        c = self.counts
        rewards = _sums(self._pair, c.signal, c.n_states * c.n_actions).reshape(self._shape)
        return np.asarray((rewards + self.shrinkage * self.expected(rewards, self.pairs)) * self._weight)

    @cached_property
    def residuals(self) -> FloatArray:
        """What each transition brings beyond what its pair promised, weighted by the flow to its state, (K, T).

        The sum over steps t of ``flow_t(s) * (discount * V_{t+1}(then) - Q_t(s, a))``: without the signal itself, which
        differs by row. ``visits(s) * signal`` is to be added.
        """
        c = self.counts
        then = np.zeros((c.n_parts, len(c.state)))
        then[:, self._goes] = self._link_value[:, self._link]
        promised = self.visits[:, c.state] * self.reward[:, c.state, c.action]
        promised += self.discount * self._pair_value[:, c.state, c.action]
        return np.asarray(self.discount * then - promised)

    def action_values(self, part: int) -> FloatArray:
        """Return the expected discounted sum from each step on, for each state and first action, (H, S, A)."""
        c = self.counts
        S, A = c.n_states, c.n_actions
        source, sink, _ = self._links
        pair = self._pair[self._goes]
        steps = c.steps[part, self._goes]
        direct = sparse.csr_matrix((steps, (pair, c.then[self._goes])), shape=(S * A, S))
        of_state = sparse.csr_matrix((self._any_action[part], (source, sink)), shape=(S, S))
        after = self.values[1:, part].T  # (S, H)
        onward = (direct @ after).reshape(S, A, -1) * self._weight[part][..., None]
        onward += (of_state @ after)[:, None, :] * self._lent[part][..., None]
        return np.asarray(np.moveaxis(self.reward[part][..., None] + self.discount * onward, 2, 0))

    @cached_property
    def _shape(self) -> tuple[int, int, int]:
        return self.counts.n_parts, self.counts.n_states, self.counts.n_actions

    @cached_property
    def _pair(self) -> IntArray:
        return np.asarray(self.counts.state * self.counts.n_actions + self.counts.action)

    @cached_property
    def _unseen(self) -> BoolArray:
        return np.asarray(self.counts.visits == 0)

    @cached_property
    def pairs(self) -> FloatArray:
        """Rows of each pair of a state and an action, (K, S, A)."""
        c = self.counts
        return _sums(self._pair, c.steps, c.n_states * c.n_actions).reshape(self._shape)

    @cached_property
    def _weight(self) -> FloatArray:
        """What one counted row of a pair weighs, (K, S, A)."""
        total = self.pairs + self.shrinkage
        return np.divide(1.0, total, out=np.zeros_like(total), where=(total > 0) & ~self._unseen[..., None])

    @cached_property
    def _lent(self) -> FloatArray:
        """What one row that went on from the state weighs in each of its pairs, by the pseudo-count, (K, S, A)."""
        c = self.counts
        onward = np.where(c.then >= 0, c.steps, 0.0)
        by_pair = _sums(self._pair, onward, c.n_states * c.n_actions).reshape(self._shape)
        by_state = by_pair.sum(axis=2)
        each = np.divide(1.0, by_state, out=np.zeros_like(by_state), where=by_state > 0)
        return np.asarray(self.shrinkage * self._weight * self.expected(by_pair, self.pairs) * each[..., None])

    @cached_property
    def _goes(self) -> IntArray:
        """The transitions that lead to another state."""
        return np.flatnonzero(self.counts.then >= 0)

    @cached_property
    def _links(self) -> tuple[IntArray, IntArray, IntArray]:
        """The L distinct links (state, next state), and the link of each transition that has one."""
        c = self.counts
        key, number = np.unique(c.state[self._goes] * c.n_states + c.then[self._goes], return_inverse=True)
        return key // c.n_states, key % c.n_states, number.reshape(-1)

    @property
    def link_from(self) -> IntArray:
        """The state that each link leaves, (L,)."""
        return self._links[0]

    @property
    def link_to(self) -> IntArray:
        """The state that each link leads to, (L,)."""
        return self._links[1]

    @property
    def _link(self) -> IntArray:
        return self._links[2]

    @cached_property
    def _any_action(self) -> FloatArray:
        """Rows along each link by any action, (K, L)."""
        return _sums(self._link, self.counts.steps[:, self._goes], len(self._links[0]))

    @cached_property
    def kernel(self) -> FloatArray:
        """Probability of each link under the policy, (K, L)."""
        c = self.counts
        state, action = c.state[self._goes], c.action[self._goes]
        direct = c.steps[:, self._goes] * self.target[state, action] * self._weight[:, state, action]
        lent = (self.target * self._lent).sum(axis=2)
        return np.asarray(_sums(self._link, direct, len(self.link_from)) + self._any_action * lent[:, self.link_from])

    @cached_property
    def _matrix(self) -> Any:
        """The kernels of all parts as one sparse matrix, one block a part."""
        c = self.counts
        block = np.arange(c.n_parts)[:, None] * c.n_states
        places = ((self.link_from + block).ravel(), (self.link_to + block).ravel())
        return sparse.csr_matrix((self.kernel.ravel(), places), shape=(c.n_parts * c.n_states,) * 2)

    @cached_property
    def _link_value(self) -> FloatArray:
        """The sum over steps of the flow to a link's state times the value at its end one step later, (K, L)."""
        c = self.counts
        source, sink, _ = self._links
        after = self.values[1:]
        if c.n_states <= _DENSE and len(source) * 8 > c.n_states:
            whole = (self.flow[:, k].T @ after[:, k] for k in range(c.n_parts))
            return np.stack([product[source, sink] for product in whole])
        found = np.zeros((c.n_parts, len(source)))
        for t in range(self.horizon):
            found += self.flow[t][:, source] * after[t][:, sink]
        return found

    @cached_property
    def _pair_value(self) -> FloatArray:
        """The sum over steps of the flow to a pair's state times the value expected one step later, (K, S, A)."""
        c = self.counts
        counted = c.steps[:, self._goes] * self._link_value[:, self._link]
        direct = _sums(self._pair[self._goes], counted, c.n_states * c.n_actions).reshape(self._shape)
        of_state = _sums(self._links[0], self._any_action * self._link_value, c.n_states)
        return np.asarray(direct * self._weight + of_state[..., None] * self._lent)


def _sums(index: IntArray, values: FloatArray, size: int) -> FloatArray:
    """Sum columns (K, n) by index (n,); shape (K, size)."""
    return np.stack([np.bincount(index, weights=row, minlength=size) for row in values])
