"""What a discrete policy is, and what every one of ours can do."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@runtime_checkable
class Policy(Protocol):
    """Anything that can say how likely it is to take each of finitely many actions."""

    @property
    def name(self) -> str:
        """A short label for tables and figures."""
        ...

    @property
    def n_actions(self) -> int:
        """How many actions there are."""
        ...

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions), rows summing to 1."""
        ...

    def act(self, observations: ArrayLike, rng: np.random.Generator, *, masks: ArrayLike | None = None) -> IntArray:
        """Sample one action an observation, shape (N,), from exactly ``probabilities``."""
        ...

    def greedy(self) -> Policy:
        """Return the policy that always takes the most probable action: another policy, with its own judgement."""
        ...


class DiscretePolicy(abc.ABC):
    """Base of our discrete policies: a subclass supplies ``name``, ``n_actions`` and ``probabilities``."""

    name: str
    n_actions: int

    @abc.abstractmethod
    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities.

        Parameters
        ----------
        observations : array, shape (N, d...) or (N,) integer ids
        masks : bool array, shape (N, n_actions), optional
            True where an action is allowed; forbidden actions get probability 0.

        Returns
        -------
        array, shape (N, n_actions)
            Rows sum to 1.
        """

    def act(self, observations: ArrayLike, rng: np.random.Generator, *, masks: ArrayLike | None = None) -> IntArray:
        """Sample one action an observation from exactly ``probabilities``; shape (N,)."""
        return sample_actions(self.probabilities(observations, masks=masks), rng)

    def greedy(self) -> Policy:
        """Return the policy that always takes the most probable action (the first of several)."""
        return GreedyPolicy(self)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the tensors and the JSON facts from which ``groundschool.load`` rebuilds this policy."""
        raise InputError(
            f"policy {self.name!r} ({type(self).__name__}) wraps code, and a bundle holds only tensors and JSON: "
            "save the policy with the library it came from"
        )

    def save(self, path: str | Path, *, force: bool = False, attach: Mapping[str, Any] | None = None) -> Path:
        """Write the policy as a bundle directory (safetensors and a JSON manifest).

        Parameters
        ----------
        path : str or Path
            The directory to make.
        force : bool
            Replace a bundle that is already there.
        attach : mapping from file name to content, optional
            Further files of the bundle, whose hashes stand in the manifest: a ``Path`` is copied, text and bytes are
            written, anything else is written as JSON. ``groundschool.bundle.attachments(path)`` returns them.

        Raises
        ------
        InputError
            If the path exists and ``force`` is not set, the policy cannot be written as tensors, or an attachment
            cannot be written.
        """
        from groundschool.policies.store import save

        return save(self, path, force=force, attach=attach)


class GreedyPolicy(DiscretePolicy):
    """The most probable action of another policy, with probability one."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.name = f"{policy.name} greedy"
        self.n_actions = policy.n_actions

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return one-hot rows, shape (N, n_actions)."""
        return one_hot(np.argmax(self.policy.probabilities(observations, masks=masks), axis=-1), self.n_actions)

    def greedy(self) -> Policy:
        """Return itself."""
        return self

    def observe(self, reading: Mapping[str, float | None], previous: NDArray[Any] | None = None) -> NDArray[Any]:
        """Turn one raw reading into an observation, as the policy whose action this one takes does."""
        if not hasattr(self.policy, "observe"):
            raise InputError(f"policy {self.policy.name!r} does not know its readings by name. Pass it arrays.")
        observation: NDArray[Any] = self.policy.observe(reading, previous)
        return observation

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the wrapped policy's tensors and facts under kind ``greedy``."""
        if not isinstance(self.policy, DiscretePolicy):
            return super().describe()
        tensors, facts = self.policy.describe()
        return tensors, {"kind": "greedy", "name": self.name, "n_actions": self.n_actions, "policy": facts}


def one_hot(actions: ArrayLike, n_actions: int) -> FloatArray:
    """Return one-hot rows, shape (N, n_actions), for integer actions, shape (N,)."""
    return np.eye(n_actions)[np.asarray(actions, dtype=np.int64)]


def sample_actions(probabilities: ArrayLike, rng: np.random.Generator) -> IntArray:
    """Sample one action a row by inverting the cumulative distribution; one uniform draw a row.

    An action of probability zero is never drawn: the draw lies in [0, 1) and is scaled by the row's own total.
    """
    cumulative = np.cumsum(np.asarray(probabilities, dtype=np.float64), axis=-1)
    draws = rng.random(len(cumulative))[:, None] * cumulative[:, -1:]
    return np.asarray((draws >= cumulative).sum(axis=-1), dtype=np.int64)


def check_masks(masks: ArrayLike, shape: tuple[int, int]) -> BoolArray:
    """Return masks as a bool array of the given shape with at least one allowed action a row.

    Raises
    ------
    InputError
        If the shape differs or a row allows nothing.
    """
    allowed = np.asarray(masks)
    if allowed.shape != shape or allowed.dtype != np.bool_:
        raise InputError(f"masks: expected bool of shape {shape}, got {allowed.dtype} of shape {allowed.shape}")
    empty = np.flatnonzero(~allowed.any(axis=-1))
    if empty.size:
        raise InputError(
            f"masks: {empty.size} of {len(allowed)} rows allow no action (first at row {empty[0]}): "
            "each row must allow at least one"
        )
    return allowed


def apply_masks(probabilities: ArrayLike, masks: ArrayLike | None) -> FloatArray:
    """Set forbidden actions to zero and renormalise each row.

    A row whose whole mass is forbidden becomes uniform over what is allowed.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    if masks is None:
        return table
    allowed = check_masks(masks, (table.shape[0], table.shape[1]))
    kept = np.where(allowed, table, 0.0)
    total = kept.sum(axis=-1, keepdims=True)
    return np.where(total > 0, kept / np.where(total > 0, total, 1.0), allowed / allowed.sum(axis=-1, keepdims=True))
