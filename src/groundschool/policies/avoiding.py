"""Another policy's decisions, without those that critics take for dangerous: at any observation, seen before or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.policies.critic import Critic
from groundschool.policies.intake import Intake, observed
from groundschool.policies.policy import DiscretePolicy, FloatArray, Policy, apply_masks
from groundschool.policies.record import TrainingRecord
from groundschool.policies.reweighted import removed, reweighted


class AvoidingPolicy(DiscretePolicy):
    """What a logger does, without the actions that a critic finds at least a threshold worse than what it does there.

    The rest is renormalized. Where that would make an action more than `largest_ratio` times as likely as under the
    logger, the least dangerous of those that go stay in part.

    Parameters
    ----------
    name : str
    policy : Policy
        The logger.
    critics : sequence of (Critic, float)
        With the loss from which an action goes, in units of the critic's question, above 0.
    largest_ratio : float
        Above 1.
    training : TrainingRecord, optional
    intake : Intake, optional
    usual_weight : float, optional
        What the weight of a logged episode seldom passes, as seen in training; where to begin betting on other ones.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        critics: Sequence[tuple[Critic, float]],
        largest_ratio: float,
        training: TrainingRecord | None = None,
        intake: Intake | None = None,
        usual_weight: float | None = None,
    ) -> None:
        self.name, self.policy, self.n_actions = name, policy, int(policy.n_actions)
        self.critics, self.largest_ratio = tuple(critics), float(largest_ratio)
        self.training, self.intake, self.usual_weight = training, intake, usual_weight

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions)."""
        base = np.asarray(self.policy.probabilities(observations, masks=masks), dtype=np.float64)
        return apply_masks(reweighted(base, self._kept(observations, base)), masks)

    def danger(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return how dangerous each action is taken to be, (N, n_actions), in thresholds: from 1 on it goes."""
        return self._danger(
            observations, np.asarray(self.policy.probabilities(observations, masks=masks), dtype=np.float64)
        )

    def changes(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> NDArray[np.bool_]:
        """Return where it differs from the logger at all, (N,)."""
        base = np.asarray(self.policy.probabilities(observations, masks=masks), dtype=np.float64)
        return np.asarray(((self._kept(observations, base) < 1.0) & (base > 0.0)).any(axis=1))

    def _danger(self, observations: ArrayLike, base: FloatArray) -> FloatArray:
        danger = np.zeros(base.shape)
        for critic, threshold in self.critics:
            danger = np.maximum(danger, critic.losses(observations, base) / threshold)
        return danger

    def _kept(self, observations: ArrayLike, base: FloatArray) -> FloatArray:
        danger = self._danger(observations, base)
        return removed(base, np.where(danger >= 1.0, danger, 0.0), self.largest_ratio)

    def observe(self, reading: Mapping[str, float | None], previous: NDArray[Any] | None = None) -> NDArray[Any]:
        """Turn one raw reading into an observation, as those of the training log were made."""
        return observed(self.intake, self.name, reading, previous)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the tensors and facts from which ``groundschool.load`` rebuilds this policy and what it asks."""
        if not isinstance(self.policy, DiscretePolicy):
            return super().describe()
        tensors, facts = self.policy.describe()
        found = {f"logger.{name}": tensor for name, tensor in tensors.items()}
        for index, (critic, _) in enumerate(self.critics):
            found |= {f"critic{index}.{name}": tensor for name, tensor in critic.tensors().items()}
        return found, {
            "kind": "avoiding",
            "name": self.name,
            "n_actions": self.n_actions,
            "critics": [{**critic.facts(), "threshold": threshold} for critic, threshold in self.critics],
            "largest_ratio": self.largest_ratio,
            "usual_weight": self.usual_weight,
            "logger": facts,
            "training": None if self.training is None else self.training.to_json(),
            "intake": None if self.intake is None else self.intake.to_json(),
        }
