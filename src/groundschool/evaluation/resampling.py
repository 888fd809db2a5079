"""Episodes that might have been logged: put together from logged steps, so that what is rare among episodes shows.

The weight of an episode is a product, and in a few hundred episodes the largest products have not come up yet, though
their factors have. Going from a logged step to any other that was logged in the state it led to (a bootstrap of the
counted process) brings them up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from groundschool.evaluation.problem import FloatArray, IntArray, Problem
from groundschool.evaluation.states import States

_UNLIKELY = 1e-12  # of a step whose successor is unknown: taken where there is no other


def resampled(problem: Problem, episodes: int, seed: int) -> Problem:
    """Draw episodes from the process that a problem's rows show.

    In each state an action comes as often as the behavior policy takes it among those that were logged there, and leads
    where one of its rows led. Ratios are scaled by what makes their mean 1 in each state.

    Parameters
    ----------
    problem : Problem
        With states. Episodes are taken to be independent and alike.
    episodes : int
        How many to draw.
    seed : int

    Returns
    -------
    Problem
        Without states and final observations.
    """
    states = problem.states
    if states is None:
        raise ValueError("observations that are not counted have no states")
    pair = states.code * problem.n_actions + problem.actions
    rows, starts = _drawn(problem, states, pair, episodes, np.random.default_rng(seed))
    scale = _mean_one(problem, states, pair)
    return replace(
        problem,
        rows=problem.rows[rows],
        starts=starts,
        units=np.arange(episodes),
        observations=problem.observations[rows],
        actions=problem.actions[rows],
        signal=problem.signal[rows],
        ended=problem.ended[rows],
        final_observations=None,
        masks=None if problem.masks is None else problem.masks[rows],
        target=problem.target[rows] * scale[states.code[rows], None],
        final_target=None,
        propensities=problem.propensities[rows],
        behavior=None if problem.behavior is None else problem.behavior[rows],
        censored=np.zeros(episodes, np.bool_),
        states=None,
        coarse=None if problem.coarse is None else (problem.coarse[0][rows], problem.coarse[1][rows]),
    )


def _drawn(
    problem: Problem, states: States, pair: IntArray, episodes: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return the rows of each episode drawn, one episode after the other, and where each begins."""
    leads = problem.ended | (states.then >= 0)
    count = np.bincount(pair[leads], minlength=states.count * problem.n_actions)
    chance = np.where(leads, problem.propensities / np.maximum(count[pair], 1), _UNLIKELY)
    order = np.argsort(states.code, kind="stable")
    until = np.cumsum(np.bincount(states.code, minlength=states.count))
    since = np.concatenate([[0], until[:-1]])
    total = np.concatenate([[0.0], np.cumsum(chance[order])])
    state = states.code[problem.starts[:-1]][rng.integers(problem.n_episodes, size=episodes)]
    alive, drawn, whose = np.arange(episodes), [], []
    for _ in range(problem.horizon):
        point = total[since[state]] + rng.random(len(state)) * (total[until[state]] - total[since[state]])
        place = np.clip(np.searchsorted(total, point, side="right") - 1, since[state], until[state] - 1)
        row = order[place]
        drawn.append(row)
        whose.append(alive)
        then = states.then[row]
        goes_on = ~problem.ended[row] & (then >= 0)
        goes_on &= until[then] > since[then]  # a state that was only ever the last one leads nowhere
        alive, state = alive[goes_on], then[goes_on]
        if not len(alive):
            break
    episode = np.concatenate(whose)
    in_order = np.argsort(episode, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(episode, minlength=episodes))])
    return np.concatenate(drawn)[in_order], starts


def _mean_one(problem: Problem, states: States, pair: IntArray) -> FloatArray:
    """Return the factor of each state, (S,), by which its logged actions' ratios have mean 1."""
    count = np.bincount(pair, minlength=states.count * problem.n_actions)[pair]
    of_target = problem.target[np.arange(problem.n_rows), problem.actions]
    theirs = np.bincount(states.code, problem.propensities / count, states.count)
    ours = np.bincount(states.code, of_target / count, states.count)
    return np.divide(theirs, ours, out=np.ones(states.count), where=ours > 0.0)
