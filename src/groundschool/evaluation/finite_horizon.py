"""A process of at most H steps, counted from a log: where a policy goes in it, and what that is worth.

Dynamics are pooled over time. All recursions are exact over the horizon and run for all folds at once.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np
from scipy import sparse

from groundschool.evaluation.problem import FloatArray, IntArray, Problem

SHRINKAGE = 0.05
_DENSE = 1_200  # states up to which products over time are dense


@dataclasses.dataclass(frozen=True, eq=False)
class Counts:
    """What K parts of a log hold, each as counts of the T transitions that occur in any.

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
        """Episodes in each part, (K,)."""
        return np.asarray(self.starts.sum(axis=1))

    def without_each(self) -> Counts:
        """Return, for each part, the counts of all others."""
        total = {name: getattr(self, name).sum(axis=0) for name in ("steps", "signal", "starts")}
        return dataclasses.replace(self, **{name: whole - getattr(self, name) for name, whole in total.items()})

    def together(self) -> Counts:
        """Return the counts of all parts as one."""
        names = ("steps", "signal", "starts")
        return dataclasses.replace(self, **{name: getattr(self, name).sum(axis=0, keepdims=True) for name in names})


def transition_of_rows(problem: Problem) -> tuple[IntArray, IntArray]:
    """Number the transitions that occur.

    Returns
    -------
    (N,) int64, (T,) int64
        The transition of each row, -1 where the next state is not known; and one row of each transition.
    """
    states = problem.states
    assert states is not None
    span = states.count + 1
    key = (states.code * problem.n_actions + problem.actions) * span + states.then + 1
    known = problem.ended | (states.then >= 0)
    kinds, first, number = np.unique(key[known], return_index=True, return_inverse=True)
    of_row = np.full(problem.n_rows, -1, np.int64)
    of_row[known] = number.reshape(-1)
    return of_row, np.flatnonzero(known)[first]


def count(problem: Problem, part: IntArray, n_parts: int) -> tuple[Counts, IntArray]:
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
    Counts
    (N,) int64
        The transition of each row, -1 where the next state is unknown.
    """
    states = problem.states
    assert states is not None
    of_row, example = transition_of_rows(problem)
    row_part = np.repeat(part, problem.lengths)
    n_kinds = len(example)
    known = of_row >= 0
    cell = row_part[known] * n_kinds + of_row[known]
    shape = (n_parts, n_kinds)
    steps = np.bincount(cell, minlength=n_parts * n_kinds).reshape(shape).astype(np.float64)
    signal = np.bincount(cell, weights=problem.signal[known], minlength=n_parts * n_kinds).reshape(shape)
    begins = states.code[problem.starts[:-1]]
    of_states = (n_parts, states.count)
    starts = np.bincount(part * states.count + begins, minlength=n_parts * states.count)
    counts = Counts(
        n_states=states.count,
        n_actions=problem.n_actions,
        state=states.code[example],
        action=problem.actions[example],
        then=np.where(problem.ended[example], -1, states.then[example]),
        steps=steps,
        signal=signal,
        starts=starts.reshape(of_states).astype(np.float64),
    )
    return counts, of_row


class Model:
    """What K counted models say about one policy over H steps, discounted.

    Each pair of a state and an action is shrunk toward what its own state does over all actions, by a pseudo-count.

    Parameters
    ----------
    counts : Counts
    target : (S, A) float64
        The policy's probabilities.
    horizon : int
    discount : float
    shrinkage : float
        The pseudo-count.

    Attributes
    ----------
    pairs : (K, S, A) float64
        How often each pair was counted.
    reward : (K, S, A) float64
        Expected signal of a pair.
    values : (H + 1, K, S) float64
        Expected discounted sum from each step on.
    flow : (H, K, S) float64
        Probability of being in each state at each step, times discount ** step.
    """

    def __init__(
        self,
        counts: Counts,
        target: FloatArray,
        horizon: int,
        discount: float = 1.0,
        shrinkage: float = SHRINKAGE,
    ) -> None:
        self.counts, self.target, self.horizon, self.discount = counts, target, horizon, discount
        K, S, A = counts.n_parts, counts.n_states, counts.n_actions
        pair = counts.state * A + counts.action
        self.pairs = _sums(pair, counts.steps, S * A).reshape(K, S, A)
        rewards = _sums(pair, counts.signal, S * A).reshape(K, S, A)
        seen, of_state = self.pairs.sum(axis=2), rewards.sum(axis=2)
        mixed = np.divide(of_state, seen, out=np.zeros_like(seen), where=seen > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            self._weight = np.where(seen[..., None] > 0, 1.0 / (self.pairs + shrinkage), 0.0)
        self.reward = (rewards + shrinkage * mixed[..., None]) * self._weight
        # P(then | s, a) = steps * weight + shrunk * steps of all actions / visits
        self._shrunk = shrinkage * self._weight
        self._seen = seen
        self._pairs_then()
        self._recur()

    def _pairs_then(self) -> None:
        """Number the distinct (state, next state), and build the policy's kernel on them for every part."""
        c = self.counts
        S, A = c.n_states, c.n_actions
        goes = np.flatnonzero(c.then >= 0)
        key, self._link_of = np.unique(c.state[goes] * S + c.then[goes], return_inverse=True)
        self._goes = goes
        self.link_from, self.link_to = key // S, key % S
        n_links = len(key)
        link = self._link_of.reshape(-1)
        steps = c.steps[:, goes]
        state, action = c.state[goes], c.action[goes]
        direct = steps * self.target[state, action] * self._weight[:, state, action]
        self._any = _sums(link, steps, n_links)  # (K, L): steps along a link by any action
        inverse = np.divide(1.0, self._seen, out=np.zeros_like(self._seen), where=self._seen > 0)
        self._inverse = inverse
        lent = (self.target[None] * self._shrunk).sum(axis=2) * inverse  # (K, S)
        self.kernel = _sums(link, direct, n_links) + self._any * lent[:, self.link_from]

    def _recur(self) -> None:
        c = self.counts
        K, S, H = c.n_parts, c.n_states, self.horizon
        offset = np.arange(K)[:, None] * S
        matrix = sparse.csr_matrix(
            (self.kernel.ravel(), ((self.link_from + offset).ravel(), (self.link_to + offset).ravel())),
            shape=(K * S, K * S),
        )
        onward, backward = matrix.T.tocsr(), matrix
        reward = (self.target[None] * self.reward).sum(axis=2).ravel()
        self.values = np.zeros((H + 1, K, S))
        flow = np.zeros((H, K, S))
        value = np.zeros(K * S)
        for t in reversed(range(H)):
            value = reward + self.discount * (backward @ value)
            self.values[t] = value.reshape(K, S)
        episodes = np.maximum(c.episodes, 1.0)
        now = (c.starts / episodes[:, None]).ravel()
        for t in range(H):
            flow[t] = now.reshape(K, S)
            now = self.discount * (onward @ now)
        self.flow = flow

    @cached_property
    def visits(self) -> FloatArray:
        """Expected discounted visits to each state in an episode, (K, S)."""
        return np.asarray(self.flow.sum(axis=0))

    @cached_property
    def start_value(self) -> FloatArray:
        """Expected sum of an episode in each model, (K,)."""
        episodes = np.maximum(self.counts.episodes, 1.0)
        return np.asarray((self.counts.starts * self.values[0]).sum(axis=1) / episodes)

    @cached_property
    def pooled(self) -> FloatArray:
        """For each link (s, o): the sum over steps of flow to s times the value in o one step later, (K, L)."""
        c = self.counts
        after = self.values[1:]
        if c.n_states <= _DENSE and len(self.link_from) * 8 > c.n_states:
            found = np.empty((c.n_parts, len(self.link_from)))
            for k in range(c.n_parts):
                product = self.flow[:, k].T @ after[:, k]
                found[k] = product[self.link_from, self.link_to]
            return found
        found = np.zeros((c.n_parts, len(self.link_from)))
        for t in range(self.horizon):
            found += self.flow[t][:, self.link_from] * after[t][:, self.link_to]
        return found

    @cached_property
    def pooled_pair(self) -> FloatArray:
        """For each pair (s, a): the sum over steps of flow to s times the expected value one step later, (K, S, A)."""
        c = self.counts
        S, A = c.n_states, c.n_actions
        link = self._link_of.reshape(-1)
        pair = (c.state * A + c.action)[self._goes]
        direct = _sums(pair, c.steps[:, self._goes] * self.pooled[:, link], S * A).reshape(c.n_parts, S, A)
        lent = _sums(self.link_from, self._any * self.pooled, S) * self._inverse
        return np.asarray(direct * self._weight + lent[..., None] * self._shrunk)

    @cached_property
    def residuals(self) -> FloatArray:
        """For each transition: what it brought beyond what its pair promised, weighted by the flow, (K, T).

        Without the signal's own part, which differs by row: flow * signal is to be added.
        """
        c = self.counts
        then = np.zeros((c.n_parts, len(c.state)))
        then[:, self._goes] = self.pooled[:, self._link_of.reshape(-1)]
        promised = self.visits[:, c.state] * self.reward[:, c.state, c.action]
        promised += self.discount * self.pooled_pair[:, c.state, c.action]
        return np.asarray(self.discount * then - promised)


def _sums(index: IntArray, values: FloatArray, size: int) -> FloatArray:
    """Sum columns (K, n) by index (n,); shape (K, size)."""
    if values.shape[1] == 0:
        return np.zeros((len(values), size))
    return np.stack([np.bincount(index, weights=row, minlength=size) for row in values])
