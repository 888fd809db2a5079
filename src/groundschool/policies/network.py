"""A trained policy: encoder, network ensemble, support and head, evaluated in plain NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.data.features import Feature
from groundschool.errors import InputError
from groundschool.policies.encoding import Encoder, Float32Array
from groundschool.policies.intake import Intake
from groundschool.policies.policy import DiscretePolicy, FloatArray, Policy, check_masks, one_hot
from groundschool.policies.record import TrainingRecord
from groundschool.policies.scores import softmax
from groundschool.policies.support import Support

Head = Literal["softmax", "greedy"]
Layers = tuple[tuple[Float32Array, Float32Array], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkPolicy(DiscretePolicy):
    """A policy read from an ensemble of multi-layer perceptrons.

    Attributes
    ----------
    name : str
    n_actions : int
    encoder : Encoder
        Observations to network inputs.
    layers : tuple of (weight (networks, in, out), bias (networks, 1, out))
        ReLU between layers; outputs are averaged over networks.
    head : {"softmax", "greedy"}
        ``softmax``: outputs are logits, the policy is stochastic. ``greedy``: outputs are action values, the policy
        takes the best supported one.
    value_scale : float
        What one unit of output is worth in units of reward (``greedy`` only).
    support : Support, optional
        Restricts a greedy head to actions the log supports.
    training : TrainingRecord, optional
    intake : Intake, optional
        What observations are made of, where the log named its features.
    """

    name: str
    n_actions: int
    encoder: Encoder
    layers: Layers
    head: Head
    value_scale: float = 1.0
    support: Support | None = None
    training: TrainingRecord | None = None
    intake: Intake | None = None

    @property
    def features(self) -> tuple[Feature, ...] | None:
        """What each number of an observation is, and how its blanks are replaced; None where the log did not say."""
        return None if self.intake is None else self.intake.features

    def observe(self, reading: Mapping[str, float | None], previous: NDArray[Any] | None = None) -> NDArray[Any]:
        """Turn one raw reading into the observation that the log would have held.

        Parameters
        ----------
        reading : mapping from feature name to number
            A name left out, None and NaN are blank. Indicators (``missing:NAME``) are computed, not given.
        previous : array, shape (d...), optional
            What this method returned for the step before in the same episode; None at its start. Blanks of features
            with forward fill take their value from it.

        Returns
        -------
        array, shape (d...)
            In the dtype of the log's observations. Blanks that are left are NaN; ``probabilities`` and ``act`` impute
            them, or refuse them where the log declared nothing.

        Raises
        ------
        InputError
            If a name is unknown, a value is no finite number, or the log did not name its features.
        """
        if self.intake is None:
            raise InputError(
                f"policy {self.name!r} was trained on a log that does not name its features. Pass arrays to act, or "
                "train on a log with features."
            )
        return self.intake.observe(reading, previous)

    def outputs(self, observations: ArrayLike) -> Float32Array:
        """Return the mean network outputs, shape (N, n_actions)."""
        hidden = self.encoder(observations)[None]
        for weight, bias in self.layers[:-1]:
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        weight, bias = self.layers[-1]
        return np.asarray((hidden @ weight + bias).mean(axis=0), dtype=np.float32)

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions): a softmax, or one-hot for a greedy head.

        A greedy head takes the best action that is both allowed by ``masks`` and supported; where those exclude each
        other, the best allowed one.
        """
        outputs = self.outputs(observations).astype(np.float64)
        if self.head == "softmax":
            return softmax(outputs, masks)
        shape = (outputs.shape[0], outputs.shape[1])
        allowed = np.ones(shape, dtype=np.bool_) if masks is None else check_masks(masks, shape)
        if self.support is not None:
            both = allowed & self.support(observations)
            allowed = np.where(both.any(axis=-1, keepdims=True), both, allowed)
        return one_hot(np.argmax(np.where(allowed, outputs, -np.inf), axis=-1), self.n_actions)

    def values(self, observations: ArrayLike) -> FloatArray:
        """Return discounted action values in units of reward, shape (N, n_actions).

        They rank actions. A conservative learner's are no estimate of the return: see ``groundschool.q_sanity``.

        Raises
        ------
        InputError
            If the policy was not read from a value learner.
        """
        if self.head != "greedy":
            raise InputError(f"policy {self.name!r} is a cloned policy and has no action values; ask a value learner")
        return self.outputs(observations).astype(np.float64) * self.value_scale

    def greedy(self) -> Policy:
        """Return the most probable action's policy; a greedy head is its own."""
        return self if self.head == "greedy" else super().greedy()

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the tensors and facts from which ``groundschool.load`` rebuilds this policy."""
        tensors: dict[str, NDArray[Any]] = {}
        for index, (weight, bias) in enumerate(self.layers):
            tensors[f"layer{index}.weight"], tensors[f"layer{index}.bias"] = weight, bias
        if self.support is not None:
            tensors["support.observations"] = self.support.observations
            tensors["support.allowed"] = self.support.allowed
        return tensors, {
            "kind": "network",
            "name": self.name,
            "n_actions": self.n_actions,
            "encoder": self.encoder.to_json(),
            "layers": len(self.layers),
            "head": self.head,
            "value_scale": self.value_scale,
            "training": None if self.training is None else self.training.to_json(),
            "intake": None if self.intake is None else self.intake.to_json(),
        }
