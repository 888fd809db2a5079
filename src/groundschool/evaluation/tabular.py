"""Exact values and the optimal plan of a finite-horizon process whose transition table is known.

A policy is followed forward: the distribution over states is pushed through the table, step by step, and what arrives
is added up. The optimal plan is found backward, by dynamic programming (Puterman, Markov Decision Processes, 1994,
ch. 4). Nothing is discounted unless a function says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError, whole_number
from groundschool.evaluation._checks import checked_probabilities, require_actions

FloatArray = NDArray[np.float64]

TIMEOUT = "timeout"
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class ExactValue:
    """What a policy does in one episode, without sampling error.

    Attributes
    ----------
    return_ : float
        Expected sum of rewards.
    length : float
        Expected number of steps.
    costs : dict of str to float
        Expected sum of each cost.
    probabilities : dict of str to float
        Probability of any cost above zero in the episode, for each cost.
    ends : dict of str to float
        Probability of each end; ``"timeout"`` is an episode still running after the last step.
    """

    return_: float
    length: float
    costs: dict[str, float]
    probabilities: dict[str, float]
    ends: dict[str, float]


@dataclass(frozen=True, eq=False)
class Plan:
    """The best that anybody can do, with the clock in view.

    Attributes
    ----------
    table : ndarray, shape (H, S, A)
        One-hot action probabilities at each step; the first of several best actions.
    value : ExactValue
        Its exact value.
    state_values : ndarray, shape (S,)
        The best expected return from each state with all H steps to go; 0 in terminal states.
    """

    table: FloatArray
    value: ExactValue
    state_values: FloatArray


@dataclass(frozen=True, eq=False)
class TabularModel:
    """A decision process with S states, A actions and at most H steps, as tables.

    An episode starts in a state drawn from ``initial`` and ends on entering a terminal state or after H steps. Tables
    may be broadcast views (a reward that depends on the next state alone needs S numbers, not S*A*S).

    Parameters
    ----------
    transitions : array, shape (S, A, S)
        Probability of the next state. Rows of terminal states are never used.
    rewards : array, broadcastable to (S, A, S)
        Reward of a transition.
    costs : mapping of str to array, broadcastable to (S, A, S)
        Named costs of a transition, each >= 0.
    terminal : bool array, shape (S,)
        True where an episode ends on arrival.
    initial : array, shape (S,)
        Distribution of the first state; none of it on terminal states.
    horizon : int
        Steps after which an episode is cut, at least 1.
    observations : array, shape (S, d...) or (S,), optional
        What a policy sees in each state; by default the state number.
    ends : mapping of str to bool array, shape (S,), optional
        A name for each terminal state; together they cover all of them, once. By default all are ``"terminated"``.

    Raises
    ------
    InputError
        For a shape, a probability, a cost or an end that does not fit.
    """

    transitions: FloatArray
    rewards: FloatArray
    costs: Mapping[str, FloatArray]
    terminal: NDArray[np.bool_]
    initial: FloatArray
    horizon: int
    observations: NDArray[Any] | None = None
    ends: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        transitions = _array(self.transitions, "transitions")
        if transitions.ndim != 3 or transitions.shape[0] != transitions.shape[2] or 0 in transitions.shape:
            raise InputError(f"transitions have shape {transitions.shape}, expected (states, actions, states).")
        shape, states = transitions.shape, transitions.shape[0]
        terminal = _flags(self.terminal, "terminal", states)
        _require_distributions(transitions[~terminal], "transitions of non-terminal states")
        if not np.isfinite(transitions[terminal]).all():
            raise InputError("transitions of terminal states are not finite: they are never used, so give zeros there.")
        initial = _array(self.initial, "initial")
        if initial.shape != (states,):
            raise InputError(f"initial has shape {initial.shape}, expected ({states},), one probability a state.")
        _require_distributions(initial, "initial")
        if initial[terminal].any():
            raise InputError("initial puts probability on a terminal state, where there is no episode left to run.")
        costs = {name: _transition_table(cost, f"cost {name!r}", shape) for name, cost in self.costs.items()}
        for name, cost in costs.items():
            if (cost < 0).any():
                raise InputError(
                    f"cost {name!r} is negative in {int((cost < 0).sum())} transitions: costs must be >= 0."
                )
        horizon = whole_number(self.horizon, "horizon", 1)
        observations = np.arange(states) if self.observations is None else np.asarray(self.observations)
        if observations.ndim == 0 or len(observations) != states:
            raise InputError(f"observations have shape {observations.shape}, expected {states} rows, one a state.")
        fields = {
            "transitions": transitions,
            "rewards": _transition_table(self.rewards, "rewards", shape),
            "costs": costs,
            "terminal": terminal,
            "initial": initial,
            "horizon": horizon,
            "observations": observations,
            "ends": _ends(self.ends, terminal),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return int(self.transitions.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        return int(self.transitions.shape[1])

    def evaluate(self, policy: Any) -> ExactValue:
        """Compute exactly what a policy does.

        Parameters
        ----------
        policy : Policy, or array of shape (S, A) or (H, S, A)
            A policy is asked once, for its probabilities at ``observations``. A table gives action probabilities by
            state, or by step and state; what it says in terminal states does not matter.

        Returns
        -------
        ExactValue

        Raises
        ------
        InputError
            If the shape differs, or a row of a non-terminal state is not a distribution.
        """
        table = self._policy_table(policy)
        stationary = table.ndim == 2
        step = _Step(self, table) if stationary else None
        alive = self.initial
        clean = dict.fromkeys(self.costs, self.initial)  # the part of `alive` that has met no cost yet
        return_ = length = 0.0
        costs, events = dict.fromkeys(self.costs, 0.0), dict.fromkeys(self.costs, 0.0)
        arrived = np.zeros(self.n_states)
        running = ~self.terminal
        for t in range(self.horizon):
            now = step or _Step(self, table[t])
            return_ += float(alive @ now.reward)
            length += float(alive.sum())
            for name in self.costs:
                costs[name] += float(alive @ now.cost[name])
                events[name] += float(clean[name] @ now.event[name])
                clean[name] = (clean[name] @ now.clean_kernel[name]) * running
            alive = alive @ now.kernel
            arrived += alive * self.terminal
            alive = alive * running
        ends = {name: float(arrived[flags].sum()) for name, flags in self.ends.items()}
        return ExactValue(return_, length, costs, events, {**ends, TIMEOUT: float(alive.sum())})

    def optimal(self) -> Plan:
        """Find the plan of greatest expected return, by backward induction over the horizon.

        Returns
        -------
        Plan
            It may depend on the step: near the end of the horizon other actions are best.
        """
        shape = (self.n_states, self.n_actions)
        running = ~self.terminal
        kernel = self.transitions.reshape(-1, self.n_states)
        table = np.zeros((self.horizon, *shape))
        values = np.zeros(self.n_states)
        rows = np.arange(self.n_states)
        for t in reversed(range(self.horizon)):
            action_values = self._expected_reward + (kernel @ values).reshape(shape)
            best = np.argmax(action_values, axis=1)
            table[t, rows, best] = 1.0
            values = action_values[rows, best] * running
        return Plan(table, self.evaluate(table), values)

    def action_values(self, policy: Any, discount: float = 1.0) -> FloatArray:
        """Compute Q(s, a): expected discounted return of action a in s with all H steps to go, then the policy.

        Parameters
        ----------
        policy : Policy, or array of shape (S, A) or (H, S, A)
            As for `evaluate`.
        discount : float
            0 to 1, for each step.

        Returns
        -------
        array, shape (S, A)
            0 in terminal states.
        """
        if not 0.0 <= discount <= 1.0:
            raise InputError(f"discount is {discount!r}, expected a number from 0 to 1.")
        table = self._policy_table(policy)
        steps = np.broadcast_to(table, (self.horizon, *table.shape[-2:]))
        running = ~self.terminal
        kernel = self.transitions.reshape(-1, self.n_states)
        values = np.zeros(self.n_states)
        action_values = np.zeros((self.n_states, self.n_actions))
        for t in reversed(range(self.horizon)):
            action_values = self._expected_reward + discount * (kernel @ values).reshape(action_values.shape)
            action_values = action_values * running[:, None]
            values = (steps[t] * action_values).sum(axis=1)
        return action_values

    def _policy_table(self, policy: Any) -> FloatArray:
        shape = (self.n_states, self.n_actions)
        if hasattr(policy, "probabilities"):
            require_actions(policy, self.n_actions, "the model")
            return checked_probabilities(policy, np.asarray(self.observations), None, self.n_actions)
        table = _array(policy, "the policy table")
        if table.shape not in (shape, (self.horizon, *shape)):
            raise InputError(
                f"the policy table has shape {table.shape}, expected {shape} or {(self.horizon, *shape)}: "
                "action probabilities by state, or by step and state."
            )
        _require_distributions(table[..., ~self.terminal, :], "the policy table at non-terminal states")
        return np.where(self.terminal[:, None], 0.0, table)

    @cached_property
    def _expected_reward(self) -> FloatArray:
        return _expectation(self.transitions, self.rewards)

    @cached_property
    def _expected_cost(self) -> dict[str, FloatArray]:
        return {name: _expectation(self.transitions, cost) for name, cost in self.costs.items()}

    @cached_property
    def _event(self) -> dict[str, FloatArray]:
        return {name: _expectation(self.transitions, cost > 0) for name, cost in self.costs.items()}

    @cached_property
    def _clean_transitions(self) -> dict[str, FloatArray]:
        return {name: self.transitions * (cost == 0) for name, cost in self.costs.items()}


class _Step:
    """One step under fixed action probabilities (S, A): kernels between states and expectations by state."""

    def __init__(self, model: TabularModel, table: FloatArray) -> None:
        self.kernel = _mix(table, model.transitions)
        self.reward = (table * model._expected_reward).sum(axis=1)
        self.cost = {name: (table * cost).sum(axis=1) for name, cost in model._expected_cost.items()}
        self.event = {name: (table * event).sum(axis=1) for name, event in model._event.items()}
        self.clean_kernel = {name: _mix(table, clean) for name, clean in model._clean_transitions.items()}


def _mix(table: FloatArray, transitions: FloatArray) -> FloatArray:
    """Average transitions (S, A, S) over actions with weights (S, A); shape (S, S)."""
    return np.asarray(np.matmul(table[:, None, :], transitions)[:, 0, :])


def _expectation(transitions: FloatArray, values: NDArray[Any]) -> FloatArray:
    """Average values over next states; shape (S, A)."""
    return np.asarray(np.einsum("sat,sat->sa", transitions, values, dtype=np.float64))


def _array(values: ArrayLike, name: str) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected an array of numbers, got {type(values).__name__}.") from None


def _transition_table(values: ArrayLike, name: str, shape: tuple[int, ...]) -> FloatArray:
    table = _array(values, name)
    try:
        whole = np.broadcast_to(table, shape)
    except ValueError:
        raise InputError(
            f"{name} has shape {table.shape}, expected {shape} or a shape that broadcasts to it."
        ) from None
    if not np.isfinite(table).all():
        raise InputError(f"{name} has entries that are not finite: give every transition a finite number.")
    return whole


def _flags(values: ArrayLike, name: str, states: int) -> NDArray[np.bool_]:
    flags = np.asarray(values)
    if flags.shape != (states,) or flags.dtype != np.bool_:
        raise InputError(f"{name}: expected bool of shape ({states},), got {flags.dtype} of shape {flags.shape}.")
    return flags


def _ends(ends: Mapping[str, ArrayLike], terminal: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    if not ends:
        return {"terminated": terminal}
    named = {name: _flags(flags, f"end {name!r}", len(terminal)) for name, flags in ends.items()}
    if TIMEOUT in named:
        raise InputError(f"an end is called {TIMEOUT!r}, which is kept for episodes cut at the horizon: rename it.")
    if (np.sum(list(named.values()), axis=0) != terminal).any():
        raise InputError("ends must cover each terminal state exactly once, and no other state.")
    return named


def _require_distributions(rows: FloatArray, name: str) -> None:
    total = rows.sum(axis=-1)
    if not (np.isfinite(total).all() and (rows >= 0).all() and (np.abs(total - 1.0) <= _TOLERANCE).all()):
        raise InputError(f"{name}: every row must be a distribution, >= 0 and with sum 1 (to {_TOLERANCE:g}).")
