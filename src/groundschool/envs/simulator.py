"""Many episodes of a hazard grid in lockstep: one array operation a time step, whatever the number of episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
    over = layout.hazard_mask | layout.goal_mask
    joint = (probabilities[:, :, None] * grid.execution).reshape(-1, _OUTCOMES)
    state, arrival = (
        np.repeat(np.arange(layout.n_states), _OUTCOMES),
        np.repeat(layout.neighbors, _ACTIONS, axis=0).ravel(),
    )
    rng = np.random.default_rng(seed)
    codes, lengths = _walk(AliasTable.of(joint), arrival, over, layout.state(layout.start), episodes, grid.horizon, rng)

    def column(by_code: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.take(by_code, codes, axis=0))

    last = np.cumsum(lengths) - 1
    final = arrival[codes[last]]
    truncated = np.zeros(len(codes), dtype=np.bool_)
    truncated[last] = ~over[final]
    dataset = Dataset.from_arrays(
        column(grid.observations[state]),
        column(np.tile(np.repeat(np.arange(_ACTIONS), _ACTIONS), layout.n_states)),
        column(grid.arrival_rewards[arrival]),
        column(over[arrival]),
        truncated,
        costs={grid.cost_name: column(layout.hazard_mask[arrival].astype(np.float64))},
        propensities=column(np.repeat(probabilities, _ACTIONS)),
        final_observations=grid.observations[final],
        n_actions=_ACTIONS,
        horizon=grid.horizon,
        return_range=grid.return_range,
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
        begin = np.arange(0, n * k, k)
        left = (rows * k).ravel()
        keep, other = np.ones(n * k), np.arange(n * k)
        grid = left.reshape(n, k)  # a view
        for _ in range(k - 1):  # in every row, the fullest column fills up the emptiest one, which is then closed
            low, high = np.argmin(grid, axis=1) + begin, np.argmax(grid, axis=1) + begin
            short = left[low] < 1.0 - 1e-12  # rounding aside, a column that is not short is closed or exactly full
            if not short.any():
                break
            low, high = low[short], high[short]
            keep[low], other[low] = left[low], high
            left[high] -= 1.0 - left[low]
            left[low] = 1.0
        return cls(keep, other)

    def draw(self, uniform: FloatArray, first: IntArray, k: int) -> IntArray:
        """Return codes for uniform numbers in [0, 1), given the first code of each row, ``row * k``."""
        scaled = uniform * k
        column = scaled.astype(np.intp)
        scaled -= column
        column += first
        return np.where(scaled < self.keep.take(column), column, self.other.take(column))


def _walk(
    table: AliasTable,
    arrival: IntArray,
    over: NDArray[np.bool_],
    start: int,
    episodes: int,
    horizon: int,
    rng: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Return the codes of all steps in episode order, shape (N,), and the episode lengths, shape (E,)."""
    first_of, ends = arrival * _OUTCOMES, over[arrival]
    lengths = np.full(episodes, horizon, dtype=np.intp)
    active, first = np.arange(episodes), np.full(episodes, start * _OUTCOMES, dtype=np.intp)
    walkers: list[IntArray] = []
    codes: list[IntArray] = []
    for step in range(horizon):
        code = table.draw(rng.random(len(active)), first, _OUTCOMES)
        walkers.append(active)
        codes.append(code)
        ended = ends.take(code)
        if np.count_nonzero(ended):
            lengths[active[ended]] = step + 1
            going = np.flatnonzero(~ended)
            active, code = active.take(going), code.take(going)
            if not len(active):
                break
        first = first_of.take(code)
    steps = np.repeat(np.arange(len(codes)), [len(code) for code in codes])
    begin = np.cumsum(lengths) - lengths
    in_order = np.empty(len(steps), dtype=np.intp)
    in_order[begin[np.concatenate(walkers)] + steps] = np.concatenate(codes)
    return in_order, lengths
