"""A question about a policy, put as arrays: what every estimator gets, and all it gets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.evaluation.question import Question
from groundschool.evaluation.states import States, first_rows, renumber

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Problem:
    """E episodes in N rows, with one signal whose expected sum per episode is asked for, under a target policy.

    A probability is such a sum too: its signal is 1 in the row of the first event, where the episode then ends, so that
    what comes after the event is left out.

    Attributes
    ----------
    question : Question
    policy : str
        The target's name.
    rows : (N,) int64
        The log's row of each row here.
    starts : (E + 1,) int64
        Episode e holds the rows ``starts[e]:starts[e + 1]``.
    units : (E,) int64
        What is independent, from 0: the episodes, or the groups they belong to.
    observations : (N, d...) float or (N,) int64
    actions : (N,) int64
    signal : (N,) float64
        Reward, cost, or 1 at the first event.
    ended : (N,) bool
        Whether nothing more can come after this row: the process ended, or the event happened.
    final_observations : (E, d...) or (E,), or None
        After the last row; NaN throughout (-1) where unknown.
    masks : (N, A) bool or None
    target : (N, A) float64
        Probabilities of the target policy at each row.
    final_target : (E, A) float64 or None
        The same at the final observations; NaN where that is unknown or the episode ended.
    propensities : (N,) float64
        The behavior policy's probability of the logged action.
    behavior : (N, A) float64 or None
        All of its probabilities, where they are known.
    known : bool
        Whether propensities were logged (or given), rather than estimated from this log.
    censored : (E,) bool
        Whether the episode was cut before the horizon with more to come.
    horizon : int
    discount : float
    low, high : float
        The range that the sum over one episode can lie in; infinite where it is not declared.
    states : States or None
        Observations (with their masks) as numbered states, where there are few enough to be counted.
    coarse : ((N,) float64, (N,) float64) or None
        Ratios of mean 1 that are near `ratios`, and how large each could have been: where the policy knows them.
    usual_weight : float or None
        What the weight of an episode seldom passes, where the policy says so from other episodes.
    """

    question: Question
    policy: str
    rows: IntArray
    starts: IntArray
    units: IntArray
    observations: NDArray[Any]
    actions: IntArray
    signal: FloatArray
    ended: BoolArray
    final_observations: NDArray[Any] | None
    masks: BoolArray | None
    target: FloatArray
    final_target: FloatArray | None
    propensities: FloatArray
    behavior: FloatArray | None
    known: bool
    censored: BoolArray
    horizon: int
    discount: float
    low: float
    high: float
    states: States | None
    coarse: tuple[FloatArray, FloatArray] | None = None
    usual_weight: float | None = None

    @property
    def n_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.starts) - 1

    @property
    def n_rows(self) -> int:
        """Number of rows, N."""
        return len(self.signal)

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        return int(self.target.shape[1])

    @property
    def n_units(self) -> int:
        """Number of independent units."""
        return int(self.units.max()) + 1

    @cached_property
    def lengths(self) -> IntArray:
        """Steps of each episode, (E,)."""
        return np.diff(self.starts)

    @cached_property
    def episode(self) -> IntArray:
        """The episode of each row, (N,)."""
        return np.repeat(np.arange(self.n_episodes), self.lengths)

    @cached_property
    def step(self) -> IntArray:
        """The position of each row in its episode, (N,), from 0."""
        return np.arange(self.n_rows) - np.repeat(self.starts[:-1], self.lengths)

    @cached_property
    def last(self) -> IntArray:
        """The last row of each episode, (E,)."""
        return self.starts[1:] - 1

    @cached_property
    def ratios(self) -> FloatArray:
        """The target's probability of the logged action over the behavior policy's, (N,)."""
        return np.asarray(self.target[np.arange(self.n_rows), self.actions] / self.propensities)

    @cached_property
    def returns(self) -> FloatArray:
        """The logged discounted sum of the signal over each episode, (E,)."""
        return self.episode_sums(self.signal * self.discounts)

    @cached_property
    def discounts(self) -> FloatArray:
        """The discount to the power of each row's step, (N,)."""
        return np.asarray(self.discount ** self.step.astype(np.float64))

    @cached_property
    def transitions(self) -> tuple[IntArray, IntArray]:
        """The transition (state, action, next state) of each row, and a row of each of the T that occur.

        (N,) int64, -1 where the next state is unknown; (T,) int64. Only where observations are counted.
        """
        if self.states is None:
            raise ValueError("observations that are not counted have no transitions")
        pair = self.states.code * self.n_actions + self.actions
        key = pair * (self.states.count + 1) + np.where(self.ended, 0, self.states.then + 1)
        known = self.ended | (self.states.then >= 0)
        number, count = renumber(key[known], self.states.count * self.n_actions * (self.states.count + 1))
        kind = np.full(self.n_rows, -1, np.int64)
        kind[known] = number
        return kind, np.flatnonzero(known)[first_rows(number, count)]

    def episode_sums(self, values: FloatArray) -> FloatArray:
        """Sum rows (N,) over episodes, (E,)."""
        return np.asarray(np.add.reduceat(values, self.starts[:-1]))

    def with_target(self, target: FloatArray, final_target: FloatArray | None, policy: str) -> Problem:
        """Return the same question about another policy: its probabilities (N, A), and (E, A) at the ends."""
        return replace(self, target=target, final_target=final_target, policy=policy, coarse=None, usual_weight=None)
