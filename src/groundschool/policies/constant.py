"""A policy that always takes the same action: the simplest fallback."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError
from groundschool.policies.policy import DiscretePolicy, FloatArray, apply_masks


class ConstantPolicy(DiscretePolicy):
    """One action, whatever is observed.

    Parameters
    ----------
    action : int
        From 0 to ``n_actions - 1``.
    n_actions : int
    name : str, optional

    Raises
    ------
    InputError
        If there is no such action.
    """

    def __init__(self, action: int, n_actions: int, name: str | None = None) -> None:
        if isinstance(action, bool) or not isinstance(action, int | np.integer) or not 0 <= action < n_actions:
            raise InputError(f"action {action!r}: expected a whole number from 0 to {n_actions - 1}.")
        self.action = int(action)
        self.n_actions = int(n_actions)
        self.name = f"always {self.action}" if name is None else name

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return one-hot rows, shape (N, n_actions); uniform over what is allowed where a mask forbids the action."""
        table = np.zeros((len(np.asarray(observations)), self.n_actions))
        table[:, self.action] = 1.0
        return apply_masks(table, masks)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the facts from which ``groundschool.load`` rebuilds this policy."""
        return {}, {"kind": "constant", "name": self.name, "n_actions": self.n_actions, "action": self.action}
