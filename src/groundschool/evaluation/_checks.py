"""What every evaluation asks of a policy before it believes a number from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.errors import GroundschoolError, InputError
from groundschool.policies.policy import Policy

_TOLERANCE = 1e-4  # a float32 softmax over many actions is off by less


def policy_name(policy: Any) -> str:
    """Return the name of a policy, or that of its class."""
    return str(getattr(policy, "name", None) or type(policy).__name__)


def require_actions(policy: Any, n_actions: int | None, where: str) -> None:
    """Raise `InputError` unless ``policy`` is a discrete policy over ``n_actions`` actions.

    Parameters
    ----------
    policy : Policy
        Anything with ``probabilities`` and ``n_actions``.
    n_actions : int or None
        The number of actions of the log or environment; None where its actions are continuous.
    where : str
        What the policy is held against, for the message ("the log", "environment CartPole-v1").
    """
    name = policy_name(policy)
    if n_actions is None:
        raise InputError(f"{where} has continuous actions, and only discrete actions can be judged here so far.")
    if not callable(getattr(policy, "probabilities", None)) or not hasattr(policy, "n_actions"):
        raise InputError(
            f"policy '{name}' is a {type(policy).__name__} without "
            "probabilities(observations, masks=None) and n_actions. Wrap it: gs.wrap(policy)."
        )
    if int(policy.n_actions) != int(n_actions):
        raise InputError(
            f"policy '{name}' chooses among {int(policy.n_actions)} actions, {where} has {int(n_actions)}. "
            "Judge it on data with its own actions, or declare n_actions."
        )


def checked_probabilities(
    policy: Policy, observations: NDArray[Any], masks: NDArray[np.bool_] | None, n_actions: int
) -> NDArray[np.float64]:
    """Ask a policy for its probabilities and refuse anything that is not a distribution over allowed actions.

    Parameters
    ----------
    policy : Policy
        The policy asked.
    observations : ndarray
        Shape (N, d...) floats or (N,) state ids.
    masks : ndarray of bool or None
        Shape (N, n_actions), True where an action is allowed.
    n_actions : int
        Expected width of the answer.

    Returns
    -------
    ndarray of float64
        Shape (N, n_actions); rows sum to 1 exactly up to float64 rounding.
    """
    name = policy_name(policy)
    n = len(observations)
    try:
        answer = np.asarray(policy.probabilities(observations, masks=masks), dtype=np.float64)
    except (GroundschoolError, MemoryError):
        raise
    except Exception as error:  # whatever a policy that is not ours may raise; its own error stays the cause
        raise InputError(
            f"policy '{name}' cannot read observations of shape {observations.shape} and type {observations.dtype}: "
            f"{type(error).__name__}: {error}. Give it the observations that it was made for."
        ) from error
    if answer.shape != (n, n_actions):
        raise InputError(
            f"policy '{name}': probabilities have shape {answer.shape}, expected {(n, n_actions)}, "
            "a row for each observation and a column for each action."
        )
    total = answer.sum(axis=1)
    bad = ~(np.isfinite(total) & (np.abs(total - 1.0) <= _TOLERANCE) & (answer >= 0.0).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"policy '{name}': the probabilities of {int(bad.sum())} of {n} rows are no distribution "
            f"(first at row {row}: sum {total[row]:.6g}, smallest {answer[row].min():.6g}). "
            "They must be >= 0 and sum to 1."
        )
    if masks is not None:
        forbidden = np.where(masks, 0.0, answer).sum(axis=1)
        if (forbidden > _TOLERANCE).any():
            row = int(np.argmax(forbidden))
            raise InputError(
                f"policy '{name}' gives probability {forbidden[row]:.3g} to actions that the mask of row {row} "
                "forbids. Let its probabilities honor masks=."
            )
    return np.asarray(answer / total[:, None], dtype=np.float64)
