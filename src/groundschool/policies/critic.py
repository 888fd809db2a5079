"""How much worse than a policy each action is, at any observation: an ensemble of networks, evaluated in NumPy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError
from groundschool.policies.encoding import Encoder, Float32Array
from groundschool.policies.network import Layers
from groundschool.policies.policy import FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class Critic:
    """Action values of one question, read from an ensemble of multi-layer perceptrons.

    Attributes
    ----------
    of : str
        The question: "return", "cost:NAME" or "probability:NAME".
    encoder : Encoder
        Observations to network inputs.
    layers : tuple of (weight (networks, in, out), bias (networks, 1, out))
        ReLU between layers; one output an action, in units of `scale`. Networks are averaged.
    scale : float
        What one unit of output is worth. Negative where more is better, so that larger values are worse.
    low, high : (d,) float64, optional
        The range of each number of an observation, blanks filled in, within which anything is known.
    """

    of: str
    encoder: Encoder
    layers: Layers
    scale: float
    low: FloatArray | None = None
    high: FloatArray | None = None

    def outputs(self, observations: ArrayLike) -> Float32Array:
        """Return each network's outputs, (networks, N, n_actions)."""
        hidden = self.encoder(observations)[None]
        for weight, bias in self.layers[:-1]:
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        weight, bias = self.layers[-1]
        return np.asarray(hidden @ weight + bias, np.float32)

    def losses(self, observations: ArrayLike, base: FloatArray) -> FloatArray:
        """Return how much worse than a policy each action is, (N, n_actions); 0 on average under the policy.

        0 throughout where an observation is outside of the range.

        Parameters
        ----------
        observations : (N, d...)
        base : (N, n_actions)
            The policy's probabilities.
        """
        values = self.outputs(observations).mean(axis=0, dtype=np.float64) * self.scale
        known = self.knows(observations)[:, None]
        return np.asarray((values - (base * values).sum(axis=1, keepdims=True)) * known)

    def knows(self, observations: ArrayLike) -> NDArray[np.bool_]:
        """Return where observations are within the range, (N,)."""
        flat = self.encoder.impute(observations)
        flat = flat.reshape(len(flat), -1)
        if self.low is None or self.high is None:
            return np.ones(len(flat), np.bool_)
        return np.asarray(((flat >= self.low) & (flat <= self.high)).all(axis=1))

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the layers by name, and the range."""
        found: dict[str, NDArray[Any]] = {
            f"layer{index}.{part}": tensor
            for index, layer in enumerate(self.layers)
            for part, tensor in zip(("weight", "bias"), layer, strict=True)
        }
        if self.low is not None and self.high is not None:
            found |= {"low": self.low, "high": self.high}
        return found

    def facts(self) -> dict[str, Any]:
        """Return all else, JSON-ready."""
        return {"of": self.of, "encoder": self.encoder.to_json(), "scale": self.scale, "layers": len(self.layers)}

    @classmethod
    def rebuild(cls, tensors: Mapping[str, NDArray[Any]], facts: Mapping[str, Any], n_actions: int) -> Critic:
        """Rebuild a critic from its tensors and facts.

        Raises
        ------
        InputError
            If layers or the range do not fit each other, the encoder or the actions, or hold no finite numbers.
        """
        encoder = Encoder.from_json(facts["encoder"])
        whose = f"the critic of {facts['of']!r}"
        layers = checked_layers(tensors, facts["layers"], encoder.width, n_actions, whose)
        ends = low, high = tensors.get("low"), tensors.get("high")
        columns = (len(encoder.columns),)
        if any(end is not None and (end.shape != columns or not np.isfinite(end).all()) for end in ends):
            raise InputError(
                f"the range of {whose} is no pair of {columns[0]} finite numbers each; save the policy again"
            )
        return cls(facts["of"], encoder, layers, float(facts["scale"]), low, high)


def checked_layers(tensors: Mapping[str, NDArray[Any]], count: int, width: int, n_actions: int, whose: str) -> Layers:
    """Return the layers of a network that fit each other, and hold numbers throughout.

    Parameters
    ----------
    tensors : mapping
        ``layer0.weight``, ``layer0.bias`` and so on.
    count, width, n_actions : int
        Layers, inputs and outputs.
    whose : str
        For the message.
    """
    layers = tuple((tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"]) for i in range(count))
    networks = len(layers[0][0])
    for index, (weight, bias) in enumerate(layers):
        outputs = n_actions if index == len(layers) - 1 else weight.shape[-1]
        expected = (networks, width, outputs)
        if weight.shape != expected or bias.shape != (networks, 1, outputs):
            raise InputError(
                f"layer {index} of {whose} has weights of shape {weight.shape} and biases of shape "
                f"{bias.shape}, expected {expected} and {(networks, 1, outputs)}; save the policy again"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise InputError(f"layer {index} of {whose} holds weights that are no finite numbers; train it again")
        width = outputs
    return layers
