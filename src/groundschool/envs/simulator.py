"""Many episodes of a hazard grid in lockstep: one array operation a time step, whatever the number of episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.envs.layout import MOVES
from groundschool.evaluation._checks import checked_probabilities, require_actions
from groundschool.evaluation.simulate import Simulation
from groundschool.policies.policy import Policy

if TYPE_CHECKING:
    from groundschool.envs.hazard_grid import HazardGrid

IntArray = NDArray[np.intp]
FloatArray = NDArray[np.float64]

_ACTIONS = len(MOVES)
_OUTCOMES = _ACTIONS * _ACTIONS  # (chosen action, executed action)


def simulate(grid: HazardGrid, policy: Policy, episodes: int, seed: int) -> Simulation:
    """Sample and log episodes; see `HazardGrid.simulate`.

    In every state, what can happen in a step is one of 16 pairs (chosen, executed action), and one uniform number picks
    the pair by the alias method. A pair is known by its code, ``16 * state + 4 * chosen + executed``, from which every
    column of the log is read off at the end.
    """
    require_actions(policy, _ACTIONS, "HazardGrid")
    probabilities = checked_probabilities(policy, grid.observations, None, _ACTIONS)
    layout = grid.layout
    terminal = layout.hazard_mask | layout.goal_mask
    joint = probabilities[:, :, None] * grid.execution
    arrival = np.repeat(layout.neighbors[:, None, :], _ACTIONS, axis=1).ravel()
    walks = _walk(
        AliasTable.of(joint.reshape(-1, _OUTCOMES)),
        arrival,
        terminal,
        layout.state(layout.start),
        episodes,
        grid.horizon,
        np.random.default_rng(seed),
    )
    state, chosen = walks.codes // _OUTCOMES, walks.codes // _ACTIONS  # `chosen` is 4 * state + action
    next_state = arrival[walks.codes]
    terminated = terminal[next_state]
    truncated = np.zeros(len(state), dtype=np.bool_)
    last = np.cumsum(walks.lengths) - 1
    truncated[last] = ~terminated[last]
    final = next_state[last]
    dataset = Dataset.from_arrays(
        grid.observations[state],
        chosen % _ACTIONS,
        grid.arrival_rewards[next_state],
        terminated,
        truncated,
        costs={grid.cost_name: layout.hazard_mask.astype(np.float64)[next_state]},
        propensities=probabilities.ravel()[chosen],
        final_observations=grid.observations[final],
        n_actions=_ACTIONS,
        horizon=grid.horizon,
        episode_ids=np.array([f"{seed}-{i}" for i in range(episodes)]),
    )
    ends = np.where(layout.hazard_mask, "hazard", np.where(layout.goal_mask, "goal", "timeout"))
    return Simulation(dataset, ends[final])


class AliasTable(NamedTuple):
    """Walker's alias method (1974): draws from many distributions over K outcomes, each in constant time.

    Attributes
    ----------
    keep : ndarray, shape (rows * K,)
        Probability of keeping the column that was hit.
    other : ndarray of int, shape (rows * K,)
        The code, row * K + column, to take where it is not kept.
    """

    keep: FloatArray
    other: IntArray

    @classmethod
    def of(cls, rows: FloatArray) -> AliasTable:
        """Build the table for distributions, shape (rows, K). An outcome of probability 0 is never drawn."""
        n, k = rows.shape
        index = np.arange(n)
        left = rows * k
        keep, other = np.ones((n, k)), np.tile(np.arange(k), (n, 1))
        for _ in range(k - 1):  # the emptiest open column is filled up by the fullest and closed
            low = np.argmin(left, axis=1)
            high = np.argmax(np.where(np.isinf(left), -1.0, left), axis=1)
            share = np.minimum(left[index, low], 1.0)
            keep[index, low], other[index, low] = share, high
            left[index, high] -= 1.0 - share
            left[index, low] = np.inf
        return cls(keep.ravel(), (other + index[:, None] * k).ravel())

    def draw(self, uniform: FloatArray, first: IntArray, k: int) -> IntArray:
        """Return codes for uniform numbers in [0, 1), given the first code of each row, ``row * k``."""
        scaled = uniform * k
        column = scaled.astype(np.intp)
        scaled -= column
        column += first
        return np.where(scaled < self.keep[column], column, self.other[column])


class _Walks(NamedTuple):
    codes: IntArray  # (N,) in episode order
    lengths: IntArray  # (E,)


def _walk(
    table: AliasTable,
    arrival: IntArray,
    terminal: NDArray[np.bool_],
    start: int,
    episodes: int,
    horizon: int,
    rng: np.random.Generator,
) -> _Walks:
    first_of, ends = arrival * _OUTCOMES, terminal[arrival]
    lengths = np.full(episodes, horizon, dtype=np.intp)
    active, first = np.arange(episodes), np.full(episodes, start * _OUTCOMES, dtype=np.intp)
    walkers: list[IntArray] = []
    codes: list[IntArray] = []
    for step in range(horizon):
        code = table.draw(rng.random(len(active)), first, _OUTCOMES)
        walkers.append(active)
        codes.append(code)
        ended = ends[code]
        if ended.any():
            lengths[active[ended]] = step + 1
            going = ~ended
            active, code = active[going], code[going]
            if not len(active):
                break
        first = first_of[code]
    steps = np.repeat(np.arange(len(codes)), [len(code) for code in codes])
    begin = np.cumsum(lengths) - lengths
    in_order = np.empty(len(steps), dtype=np.intp)
    in_order[begin[np.concatenate(walkers)] + steps] = np.concatenate(codes)
    return _Walks(in_order, lengths)
