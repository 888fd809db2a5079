"""Ensembles of multi-layer perceptrons, all members in one batched product."""

from __future__ import annotations

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

# Low enough to lose every comparison, small enough that sums and squares of it stay finite in float32.
_LOWEST = -1e9


class Ensemble(eqx.Module):
    """Independent MLPs with ReLU between layers.

    Attributes
    ----------
    weights : list of array, each (networks, in, out)
    biases : list of array, each (networks, 1, out)
    """

    weights: list[Float[Array, "networks inputs outputs"]]
    biases: list[Float[Array, "networks 1 outputs"]]

    def __init__(self, key: PRNGKeyArray, networks: int, sizes: Sequence[int]) -> None:
        """Draw weights and biases uniformly within ``1/sqrt(inputs)``, as ``torch.nn.Linear`` does.

        Parameters
        ----------
        key : PRNG key
        networks : int
        sizes : sequence of int
            Inputs, hidden widths, outputs.
        """
        self.weights, self.biases = [], []
        for inputs, outputs, layer in zip(sizes[:-1], sizes[1:], jax.random.split(key, len(sizes) - 1), strict=True):
            weight_key, bias_key = jax.random.split(layer)
            bound = 1.0 / np.sqrt(inputs)
            self.weights.append(
                jax.random.uniform(weight_key, (networks, inputs, outputs), minval=-bound, maxval=bound)
            )
            self.biases.append(jax.random.uniform(bias_key, (networks, 1, outputs), minval=-bound, maxval=bound))

    def __call__(self, features: Float[Array, "batch inputs"]) -> Float[Array, "networks batch outputs"]:
        """Return every member's outputs for every row."""
        hidden = jnp.broadcast_to(features, (self.weights[0].shape[0], *features.shape))
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = jax.nn.relu(hidden @ weight + bias)
        return hidden @ self.weights[-1] + self.biases[-1]


def select(values: Float[Array, "... actions"], actions: Int[Array, "..."]) -> Float[Array, "..."]:
    """Pick the value of one action a row; ``actions`` broadcasts against the leading axes."""
    # A product with a one-hot row: gathers and their scatter gradients are slower than this on every device.
    return jnp.sum(values * jax.nn.one_hot(actions, values.shape[-1], dtype=values.dtype), axis=-1)


def masked(values: Float[Array, "... actions"], mask: Array | None) -> Float[Array, "... actions"]:
    """Set forbidden actions to a value that loses every comparison; no mask allows all."""
    return values if mask is None else jnp.where(mask, values, _LOWEST)
