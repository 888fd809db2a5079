"""Policies made elsewhere, behind our protocol: d3rlpy algorithms, torch modules, plain callables.

Neither d3rlpy nor torch is imported here at module level: a thing is recognised by the module its class comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError
from groundschool.policies.d3rlpy_policy import D3rlpyPolicy
from groundschool.policies.policy import DiscretePolicy, FloatArray, Policy, apply_masks, one_hot
from groundschool.policies.scores import greedy_of, softmax

Outputs = Literal["actions", "probabilities", "logits", "values"]


def wrap(
    thing: Any,
    *,
    n_actions: int | None = None,
    name: str | None = None,
    outputs: Outputs | None = None,
    example: ArrayLike | None = None,
) -> Policy:
    """Give a policy made elsewhere our protocol, so that it is judged exactly like ours.

    Parameters
    ----------
    thing
        One of

        - a policy of ours: returned as it is;
        - a d3rlpy algorithm for discrete actions, fitted or built. It is judged as what its ``predict`` does, the
          greedy action, with its own observation scaler. ``outputs="probabilities"`` judges ``DiscreteBC`` and
          ``DiscreteSAC`` by the distribution they learned instead;
        - a torch module, called on observations as tensors of its own dtype and device, without gradients and in
          evaluation mode. ``outputs`` must say what it returns;
        - a callable ``f(observations)`` that takes an array with leading axis N and returns actions, integers of shape
          (N,), or an array of shape (N, n_actions): probabilities unless ``outputs`` says otherwise.
    n_actions : int, optional
        The number of actions. Needed for a callable that returns actions; found from ``example`` otherwise.
    name : str, optional
        Label for tables and figures; the class or function name unless given.
    outputs : {"actions", "probabilities", "logits", "values"}, optional
        What ``thing`` returns. Logits become a softmax; values become their greedy action.
    example : array, shape (N, d...), optional
        A few observations, on which the thing is asked once for the number of its actions.

    Returns
    -------
    Policy
        Masks are honored: a greedy policy takes its best **allowed** action where action values are known, and
        probabilities of forbidden actions are set to 0 and the rest renormalised. Where only an action is known and it
        is forbidden, the allowed actions are equally likely. Such a policy carries no training hashes: it is judged as
        not trained on the log.

    Raises
    ------
    InputError
        If the thing is none of these, continuous, not yet built, or its number of actions cannot be known.
    """
    if outputs is not None and outputs not in get_args(Outputs):
        raise InputError(f"outputs={outputs!r}: expected one of {', '.join(map(repr, get_args(Outputs)))}")
    if n_actions is not None and (isinstance(n_actions, bool) or int(n_actions) != n_actions or n_actions < 1):
        raise InputError(f"n_actions={n_actions!r}: expected an integer >= 1")
    if isinstance(thing, Policy):
        return _as_it_is(thing, n_actions, name, outputs)
    if _comes_from(thing, "d3rlpy"):
        return D3rlpyPolicy(thing, n_actions=n_actions, name=name, outputs=outputs)
    label: str = name or getattr(thing, "__name__", "") or type(thing).__name__
    if _comes_from(thing, "torch"):
        if outputs is None:
            raise InputError(
                f"{label}: a torch module may return anything: say outputs='logits', 'values', 'probabilities' or "
                "'actions'"
            )
        thing = _TorchCall(thing)
    elif not callable(thing):
        hint = " Wrap its method: wrap(thing.predict, ...)." if hasattr(thing, "predict") else ""
        raise InputError(
            f"{label}: expected a policy, a d3rlpy algorithm, a torch module or a callable of observations.{hint}"
        )
    if n_actions is None and example is not None:
        n_actions = _count_actions(thing, np.asarray(example), label, outputs)
    if n_actions is None:
        raise InputError(
            f"{label}: the number of actions is not known: say n_actions=..., or give example=log.observations[:1] "
            "if it returns one column an action"
        )
    return CallablePolicy(thing, n_actions=int(n_actions), name=label, outputs=outputs)


class CallablePolicy(DiscretePolicy):
    """A function from observations to actions, probabilities, logits or action values; see `wrap`."""

    def __init__(
        self,
        function: Callable[[NDArray[Any]], Any],
        *,
        n_actions: int,
        name: str,
        outputs: Outputs | None = None,
    ) -> None:
        self.function = function
        self.n_actions = n_actions
        self.name = name
        self.outputs = outputs

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions), rows summing to 1."""
        rows = np.asarray(observations)
        result = np.asarray(self.function(rows))
        kind = self.outputs or ("actions" if result.ndim == 1 else "probabilities")
        expected = (len(rows),) if kind == "actions" else (len(rows), self.n_actions)
        if result.shape != expected:
            raise InputError(
                f"policy {self.name!r}: {kind} of shape {result.shape} for {len(rows)} observations, "
                f"expected {expected}"
            )
        if kind == "actions":
            return apply_masks(one_hot(self._actions(result), self.n_actions), masks)
        table = result.astype(np.float64)
        if not np.isfinite(table).all():
            row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
            raise InputError(f"policy {self.name!r}: {kind} are not finite (first at row {row})")
        if kind == "values":
            return greedy_of(table, masks)
        if kind == "logits":
            return softmax(table, masks)
        totals = table.sum(axis=1)
        # 0.01: bfloat16 networks sum to 1 no closer than that
        bad = np.flatnonzero((table < 0).any(axis=1) | (np.abs(totals - 1.0) > 0.01))
        if bad.size:
            raise InputError(
                f"policy {self.name!r}: {bad.size} of {len(table)} rows are no distribution (first: row {bad[0]}, sum "
                f"{totals[bad[0]]:g}). If it returns logits or action values, say outputs='logits' or outputs='values'"
            )
        return apply_masks(table / totals[:, None], masks)

    def values(self, observations: ArrayLike) -> FloatArray:
        """Return the action values, shape (N, n_actions), of a thing wrapped with ``outputs="values"``."""
        if self.outputs != "values":
            raise InputError(f"policy {self.name!r} holds no action values: it was not wrapped with outputs='values'")
        return np.asarray(self.function(np.asarray(observations)), dtype=np.float64)

    def _actions(self, result: NDArray[Any]) -> NDArray[np.int64]:
        if not np.issubdtype(result.dtype, np.integer):
            raise InputError(
                f"policy {self.name!r}: actions of dtype {result.dtype}, expected integers 0 to {self.n_actions - 1}"
            )
        if result.size and (result.min() < 0 or result.max() >= self.n_actions):
            raise InputError(
                f"policy {self.name!r}: actions run from {result.min()} to {result.max()}, expected 0 to "
                f"{self.n_actions - 1}"
            )
        return result.astype(np.int64)


class _TorchCall:
    """A torch module as a function of arrays."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        import torch

        parameter = next(iter(self.module.parameters()), None)
        x = torch.as_tensor(np.array(rows))  # a copy: the log's arrays are read-only
        if parameter is not None:
            x = x.to(parameter.device)
            if x.is_floating_point():
                x = x.to(parameter.dtype)
        was_training = self.module.training
        self.module.eval()
        try:
            with torch.no_grad():
                result = self.module(x)
        finally:
            self.module.train(was_training)
        if result.is_floating_point():
            result = result.double()  # NumPy has no bfloat16
        return np.asarray(result.cpu().numpy())


def _as_it_is(policy: Policy, n_actions: int | None, name: str | None, outputs: Outputs | None) -> Policy:
    if outputs is not None or name not in (None, policy.name) or n_actions not in (None, policy.n_actions):
        raise InputError(
            f"policy {policy.name!r} with {policy.n_actions} actions is a policy already and is returned as it is: "
            "leave n_actions, name and outputs out"
        )
    return policy


def _comes_from(thing: Any, library: str) -> bool:
    return any(base.__module__.split(".")[0] == library for base in type(thing).__mro__)


def _count_actions(thing: Any, rows: NDArray[Any], label: str, outputs: Outputs | None) -> int:
    result = np.asarray(thing(rows))
    if result.ndim != 2 or outputs == "actions":
        raise InputError(f"{label}: it returns actions, which do not say how many there are: say n_actions=...")
    return int(result.shape[1])
