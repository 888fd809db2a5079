"""Ensembles of multi-layer perceptrons, all members in one batched product."""

from __future__ import annotations

import itertools
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
        shapes = [(networks, *shape) for i, o in itertools.pairwise(sizes) for shape in ((i, o), (1, o))]
        ends = np.cumsum([np.prod(shape) for shape in shapes])
        # one draw for all: each draw costs XLA half a second of compilation
        draws = jnp.split(jax.random.uniform(key, (int(ends[-1]),), minval=-1.0, maxval=1.0), ends[:-1])
        bounds = np.repeat(1.0 / np.sqrt(sizes[:-1]), 2)
        arrays = [draw.reshape(shape) * b for draw, shape, b in zip(draws, shapes, bounds.tolist(), strict=True)]
        self.weights, self.biases = arrays[::2], arrays[1::2]

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
