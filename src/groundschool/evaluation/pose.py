"""From a log and a policy to a `Problem`."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.validation import are_known
from groundschool.errors import InputError
from groundschool.evaluation._checks import checked_probabilities, policy_name, require_actions
from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.question import Question
from groundschool.evaluation.states import States, count_states, first_rows

Censoring = Literal["open", "low", "high"]
_BLOCK = 1 << 18


@dataclasses.dataclass(frozen=True, eq=False)
class Behavior:
    """The policy that wrote the log, as far as it is known.

    Attributes
    ----------
    propensities : (N,) float64
        Its probability of each logged action.
    table : (N, A) float64 or None
        All of its probabilities.
    known : bool
        Whether they were logged or given, rather than estimated from this log.
    """

    propensities: FloatArray
    table: FloatArray | None
    known: bool


def pose(
    log: Dataset,
    policy: Any,
    question: Question,
    behavior: Behavior,
    *,
    discount: float = 1.0,
    censoring: Censoring = "open",
) -> Problem:
    """Put a question about a policy as arrays.

    Parameters
    ----------
    log : Dataset
        Discrete actions.
    policy : Policy
    question : Question
    behavior : Behavior
    discount : float
    censoring : "open", "low" or "high"
        What becomes of an episode that was cut before the horizon: it is left open, or ended with the least or the
        largest sum that is possible (for a probability: no event, or one). A sum that is not bounded stays open.

    Returns
    -------
    Problem
    """
    require_actions(policy, log.n_actions, "the log")
    assert log.n_actions is not None
    masks = log.action_masks
    finals, final_masks = log.final_observations, log.final_action_masks
    known = np.zeros(log.n_episodes, np.bool_)
    if finals is not None:
        known = are_known(finals) & ~log.terminated[log.starts[1:] - 1]
        if masks is not None and final_masks is None:
            known[:] = False
    states, target, final_target = _asked(log, policy, known, behavior)
    low, high = question.possible(log, discount)
    problem = Problem(
        question=question,
        policy=policy_name(policy),
        rows=np.arange(log.n_steps),
        starts=log.starts,
        units=np.arange(log.n_episodes) if log.groups is None else np.unique(log.groups, return_inverse=True)[1],
        observations=log.observations,
        actions=log.actions,
        signal=log.rewards if question.cost is None else log.costs[question.cost],
        ended=log.terminated,
        final_observations=finals,
        masks=masks,
        target=target,
        final_target=final_target,
        propensities=behavior.propensities,
        behavior=behavior.table,
        known=behavior.known,
        censored=~log.terminated[log.starts[1:] - 1] & (log.lengths < log.horizon),
        horizon=log.horizon,
        discount=discount,
        low=low,
        high=high,
        states=states,
        coarse=_coarse(log, policy, behavior),
        usual_weight=getattr(policy, "usual_weight", None),
    )
    if question.kind == "probability":
        problem = _until_first_event(problem)
    return problem if censoring == "open" else _closed(problem, censoring)


def _coarse(log: Dataset, policy: Any, behavior: Behavior) -> tuple[FloatArray, FloatArray] | None:
    if behavior.table is not None or not behavior.known or not hasattr(policy, "coarse_ratios"):
        return None
    found: tuple[FloatArray, FloatArray] | None = policy.coarse_ratios(
        log.observations, log.actions, behavior.propensities, masks=log.action_masks
    )
    return found


def _asked(
    log: Dataset, policy: Any, known: NDArray[np.bool_], behavior: Behavior
) -> tuple[States | None, FloatArray, FloatArray | None]:
    """Ask the policy once a state where states are counted, else at every row; and at the final observations."""
    assert log.n_actions is not None
    observations, masks, finals = log.observations, log.action_masks, log.final_observations
    ends = np.flatnonzero(known)
    everything = observations if finals is None else np.concatenate([observations, finals[ends]])
    allowed = masks
    if masks is not None and finals is not None and log.final_action_masks is not None:
        allowed = np.concatenate([masks, log.final_action_masks[ends]])
    counted = count_states(everything, allowed)
    n = log.n_steps
    if counted is None:
        answers = _ask(policy, everything, allowed, log.n_actions)
        return None, answers[:n], None if finals is None else _at_ends(answers[n:], ends, log.n_episodes)
    code, count = counted
    first = first_rows(code, count)
    table = _ask(policy, everything[first], None if allowed is None else allowed[first], log.n_actions)
    then = np.full(n, -1, np.int64)
    then[:-1] = code[1:n]
    last = log.starts[1:] - 1
    then[last] = -1
    then[last[ends]] = code[n:]
    place = np.where(first < n, first, 0)
    place[first >= n] = n + ends[first[first >= n] - n]
    by_state = None
    if behavior.table is not None:
        by_state = np.full(table.shape, np.nan)
        by_state[first < n] = behavior.table[first[first < n]]
    states = States(code[:n], then, count, place, table, by_state)
    return states, table[code[:n]], None if finals is None else _at_ends(table[code[n:]], ends, log.n_episodes)


def _ask(policy: Any, observations: NDArray[Any], masks: NDArray[np.bool_] | None, n_actions: int) -> FloatArray:
    answers = np.empty((len(observations), n_actions))
    for begin in range(0, len(observations), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        some = None if masks is None else masks[rows]
        answers[rows] = checked_probabilities(policy, observations[rows], some, n_actions)
    return answers


def _at_ends(answers: FloatArray, ends: IntArray, n_episodes: int) -> FloatArray:
    table = np.full((n_episodes, answers.shape[1]), np.nan)
    table[ends] = answers
    return table


def _until_first_event(problem: Problem) -> Problem:
    """End every episode with its first event, and count that."""
    event = problem.signal > 0
    before: IntArray = np.cumsum(event) - event  # events in earlier rows, of all episodes
    kept: NDArray[np.bool_] = before == before[problem.starts[:-1]][problem.episode]
    happened = np.zeros(problem.n_episodes, np.bool_)
    happened[problem.episode[event & kept]] = True
    cut = _take_rows(problem, np.flatnonzero(kept))
    last = cut.last[happened]
    ended, signal = cut.ended.copy(), np.zeros(cut.n_rows)
    ended[last], signal[last] = True, 1.0
    states = cut.states
    if states is not None:
        then = states.then.copy()
        then[last] = -1
        states = dataclasses.replace(states, then=then)
    final_target = cut.final_target
    if final_target is not None:
        final_target = np.where(happened[:, None], np.nan, final_target)
    return dataclasses.replace(
        cut,
        signal=signal,
        ended=ended,
        censored=problem.censored & ~happened,
        final_target=final_target,
        states=states,
    )


def _take_rows(problem: Problem, rows: IntArray) -> Problem:
    if len(rows) == problem.n_rows:
        return problem
    lengths = np.bincount(problem.episode[rows], minlength=problem.n_episodes)
    states = problem.states
    if states is not None:
        states = dataclasses.replace(states, code=states.code[rows], then=states.then[rows])
    return dataclasses.replace(
        problem,
        rows=problem.rows[rows],
        starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        observations=problem.observations[rows],
        actions=problem.actions[rows],
        signal=problem.signal[rows],
        ended=problem.ended[rows],
        masks=None if problem.masks is None else problem.masks[rows],
        target=problem.target[rows],
        propensities=problem.propensities[rows],
        behavior=None if problem.behavior is None else problem.behavior[rows],
        states=states,
        coarse=None if problem.coarse is None else (problem.coarse[0][rows], problem.coarse[1][rows]),
    )


def _closed(problem: Problem, censoring: Censoring) -> Problem:
    """End censored episodes with the least or the largest sum that is possible, where that is bounded."""
    worst = problem.low if censoring == "low" else problem.high
    if not np.isfinite(worst) or not problem.censored.any():
        return problem
    if problem.discount != 1.0 and problem.question.kind != "probability":
        raise InputError("the worst case of a censored episode is known only without discount.")
    last = problem.last[problem.censored]
    signal, ended = problem.signal.copy(), problem.ended.copy()
    signal[last] += worst - problem.episode_sums(problem.signal)[problem.censored]
    ended[last] = True
    states = problem.states
    if states is not None:
        then = states.then.copy()
        then[last] = -1
        states = dataclasses.replace(states, then=then)
    return dataclasses.replace(
        problem, signal=signal, ended=ended, censored=np.zeros(problem.n_episodes, np.bool_), states=states
    )
