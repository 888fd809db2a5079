"""A d3rlpy algorithm behind our protocol; d3rlpy itself is never imported: the algorithm brings it along."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError
from groundschool.policies.policy import DiscretePolicy, FloatArray, check_masks, one_hot
from groundschool.policies.scores import greedy_of, softmax

_DISTRIBUTIONS = {"discrete_bc": "imitator", "discrete_sac": "policy"}  # which module holds what was learned


class D3rlpyPolicy(DiscretePolicy):
    """A d3rlpy algorithm for discrete actions; see `wrap`."""

    def __init__(
        self,
        algorithm: Any,
        *,
        n_actions: int | None = None,
        name: str | None = None,
        outputs: str | None = None,
    ) -> None:
        kind = type(algorithm).__name__
        if not all(hasattr(algorithm, part) for part in ("predict", "get_action_type", "impl")):
            raise InputError(f"d3rlpy {kind}: expected an algorithm; a config is made into one by .create()")
        if algorithm.get_action_type().name != "DISCRETE":
            raise InputError(f"d3rlpy {kind} acts in a continuous space; only discrete actions are supported so far")
        if algorithm.impl is None:
            raise InputError(f"d3rlpy {kind} has no network yet: fit it, or call build_with_dataset and load its model")
        size = int(algorithm.action_size)
        if n_actions is not None and n_actions != size:
            raise InputError(
                f"d3rlpy {kind} knows {size} actions, n_actions says {n_actions}: d3rlpy counts the largest logged "
                "action + 1 unless its dataset says action_size (to_mdp_dataset does)"
            )
        holder = _DISTRIBUTIONS.get(algorithm.config.get_type())
        if outputs not in (None, "actions") and not (outputs == "probabilities" and holder):
            raise InputError(
                f"d3rlpy {kind} is judged by its greedy action: leave outputs out "
                "(outputs='probabilities' is for DiscreteBC and DiscreteSAC)"
            )
        self.algorithm = algorithm
        self.n_actions = size
        self.stochastic = outputs == "probabilities"
        self.name = name or f"d3rlpy {kind}"
        self._distribution = getattr(algorithm.impl.modules, holder) if holder else None

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return one-hot rows of the greedy action, or the learned distribution, shape (N, n_actions).

        Where the greedy action is forbidden, the allowed one of the highest probability or action value replaces it.
        """
        rows = _as_d3rlpy_takes_them(observations)
        if self.stochastic:
            return softmax(self._log_probabilities(rows), masks)
        table = one_hot(self.algorithm.predict(rows), self.n_actions)
        if masks is None:
            return table
        forbidden = ~(check_masks(masks, (table.shape[0], table.shape[1])) & (table > 0)).any(axis=1)
        if forbidden.any():
            scores = self._scores if self._distribution is None else self._log_probabilities
            table[forbidden] = greedy_of(scores(rows[forbidden]), np.asarray(masks)[forbidden])
        return table

    def values(self, observations: ArrayLike) -> FloatArray:
        """Return action values in reward units, shape (N, n_actions); critics are averaged as d3rlpy does.

        Raises
        ------
        InputError
            If the algorithm learns no values, or learned them from scaled rewards.
        """
        if getattr(self.algorithm, "reward_scaler", None) is not None:
            raise InputError(
                f"policy {self.name!r}: trained with a reward scaler, whose values are not in reward units and which "
                "d3rlpy does not undo"
            )
        if self.algorithm.config.get_type() == "discrete_bc":
            raise InputError(f"policy {self.name!r} is cloned and holds no action values")
        return self._scores(_as_d3rlpy_takes_them(observations))

    def _scores(self, rows: NDArray[Any]) -> FloatArray:
        actions = np.tile(np.arange(self.n_actions), len(rows))
        flat = self.algorithm.predict_value(np.repeat(rows, self.n_actions, axis=0), actions)
        return np.asarray(flat, dtype=np.float64).reshape(len(rows), self.n_actions)

    def _log_probabilities(self, rows: NDArray[Any]) -> FloatArray:
        import torch

        impl = self.algorithm.impl
        with torch.no_grad():
            x = torch.as_tensor(rows, device=impl.device)
            if self.algorithm.observation_scaler is not None:
                x = self.algorithm.observation_scaler.transform(x)
            impl.modules.set_eval()
            return np.asarray(self._distribution(x).logits.double().cpu().numpy())  # type: ignore[misc]


def _as_d3rlpy_takes_them(observations: ArrayLike) -> NDArray[np.float32]:
    # d3rlpy refuses one-dimensional observations; to_mdp_dataset gives it state ids as one column, too
    rows = np.asarray(observations)
    return np.array(rows[:, None] if rows.ndim == 1 else rows, dtype=np.float32)
