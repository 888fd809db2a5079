"""The constrained, noisy policy that writes the logs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.envs.layout import MOVES, Layout
from groundschool.errors import InputError
from groundschool.policies.policy import DiscretePolicy, FloatArray, apply_masks


class HazardAvoidingLogger(DiscretePolicy):
    """Moves toward the goal, looks one step ahead for hazards, and sometimes does anything at all.

    With probability ``epsilon`` the action is uniform over all four. Otherwise:

    1. The preferred actions are those that bring the agent nearer to the goal: along x where x differs from the
       goal's, along y where y does; x comes first.
    2. It takes one of the preferred actions whose intended cell is no hazard, uniformly.
    3. Where every preferred action aims at a hazard, it takes the first preferred one, into the hazard: it does not
       know how to go around.
    4. On the goal itself, where nobody acts, it is uniform.

    The slip of the environment comes on top. ``probabilities`` are exact, so logs carry true propensities.

    Parameters
    ----------
    layout : Layout
        The map that it sees.
    epsilon : float
        Share of uniform actions, 0 to 1.

    Attributes
    ----------
    table : ndarray, shape (n_states, 4)
        Its probabilities in every state.
    """

    def __init__(self, layout: Layout, epsilon: float = 0.22) -> None:
        self.layout = layout
        self.epsilon = rate(epsilon, "epsilon")
        self.name = f"logger ε={self.epsilon:g}"
        self.n_actions = len(MOVES)
        self.table = _table(layout, self.epsilon)
        self.table.flags.writeable = False

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, 4), for (x, y) observations, shape (N, 2)."""
        return apply_masks(self.table[self.layout.states(observations)], masks)


def rate(value: Any, name: str) -> float:
    """Return value as a float in [0, 1], or raise `InputError`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(value, bool | str) or not 0.0 <= number <= 1.0:
        raise InputError(f"{name} is {value!r}, expected a number from 0 to 1.")
    return number


def _table(layout: Layout, epsilon: float) -> NDArray[np.float64]:
    toward = np.sign(np.array(layout.goal) - layout.cells)
    preferred = np.stack([(toward == move).any(axis=1) for move in _axis_moves()], axis=1)
    safe = preferred & ~layout.hazard_mask[layout.neighbors]
    first = np.zeros_like(preferred)
    x_first = np.where(preferred[:, 1], 1, 3)
    first[np.arange(layout.n_states), np.where(toward[:, 0] != 0, x_first, np.where(preferred[:, 0], 0, 2))] = True
    chosen = np.where(safe.any(axis=1, keepdims=True), safe, first)
    chosen[layout.state(layout.goal)] = True
    return np.asarray(epsilon / len(MOVES) + (1.0 - epsilon) * chosen / chosen.sum(axis=1, keepdims=True))


def _axis_moves() -> list[NDArray[np.float64]]:
    """Return the moves with NaN in the coordinate that they leave alone, so that only the other one compares."""
    return [np.where(np.array(move) != 0, move, np.nan) for move in MOVES]
