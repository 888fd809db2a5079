"""The compiled loop: whole chunks of updates in one program, a population of members side by side.

Batches are drawn inside the program from a key that depends only on the seed and the step, so chunk ends, where
progress, checkpoints and Ctrl-C live, change nothing in the result.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PRNGKeyArray
from numpy.typing import NDArray

from groundschool.algorithms.config import AlgorithmConfig
from groundschool.algorithms.types import Algorithm, Hyper, Metrics, Spec
from groundschool.training.data import DeviceData

CHUNKS = 20
LARGEST_CHUNK = 5_000


class Member(NamedTuple):
    """One training run of a population: all of one population share what the program is compiled for."""

    seed: int
    config: AlgorithmConfig


class Chunk(NamedTuple):
    """The end of a chunk.

    Attributes
    ----------
    step : int
        Updates taken so far.
    state : tree of arrays, leading axis members
    metrics : dict of arrays, shape (members,)
        Means over the chunk.
    """

    step: int
    state: Any
    metrics: dict[str, NDArray[Any]]


class Program(NamedTuple):
    """A population ready to run: compiled once per algorithm, static options and shapes."""

    algorithm: Algorithm
    static: AlgorithmConfig
    data: DeviceData
    keys: Key[Array, " members"]
    hyper: Hyper

    def start(self, spec: Spec) -> Any:
        """Draw every member's first state; leading axis members."""
        return _start(self.keys, self.algorithm, spec, self.static)

    def advance(self, state: Any, first: int, last: int) -> tuple[Any, Metrics]:
        """Take updates ``first`` to ``last - 1``; the old state's memory is reused."""
        advanced: tuple[Any, Metrics] = _advance(
            state, self.data, self.keys, self.hyper, first, last, self.algorithm, self.static
        )
        return advanced


def build(algorithm: Algorithm, members: list[Member], data: DeviceData, device: jax.Device) -> Program:
    """Lay a population out for the compiled loop. Members differ in seed and in traced options only."""
    configs = [member.config for member in members]
    hyper = {name: np.array([getattr(config, name) for config in configs], np.float32) for name in configs[0].TRACED}
    hyper["steps"] = np.array([config.steps for config in configs], np.float32)
    keys = jax.vmap(jax.random.key)(np.array([member.seed for member in members], np.uint32))
    return Program(
        algorithm, static_part(configs[0]), data, jax.device_put(keys, device), jax.device_put(hyper, device)
    )


def static_part(config: AlgorithmConfig) -> AlgorithmConfig:
    """Return the options a program is compiled for: traced ones and the number of steps set to their defaults."""
    fields = type(config).model_fields
    return config.model_copy(update={name: fields[name].default for name in (*config.TRACED, "steps")})


def chunk_ends(steps: int, first: int = 0) -> list[int]:
    """Return the steps at which chunks end, the last being ``steps`` itself: no remainder is dropped."""
    size = min(max(1, -(-steps // CHUNKS)), LARGEST_CHUNK)
    return [end for end in [*range(size, steps, size), steps] if end > first]


def run(program: Program, state: Any, steps: int, first: int = 0) -> Iterator[Chunk]:
    """Yield the end of each chunk. The yielded state must be copied to be kept: the next chunk reuses its memory."""
    for last in chunk_ends(steps, first):
        state, totals = program.advance(state, first, last)
        means = {name: np.asarray(total) / (last - first) for name, total in totals.items()}
        yield Chunk(last, state, means)
        first = last


@functools.partial(jax.jit, static_argnames=("algorithm", "spec", "static"))
def _start(keys: Key[Array, " members"], algorithm: Algorithm, spec: Spec, static: AlgorithmConfig) -> Any:
    return jax.vmap(lambda key: algorithm.init(jax.random.fold_in(key, 0), spec, static))(keys)


@functools.partial(jax.jit, static_argnames=("algorithm", "static"), donate_argnames=("state",))
def _advance(
    state: Any,
    data: DeviceData,
    keys: Key[Array, " members"],
    hyper: Hyper,
    first: Int[Array, ""],
    last: Int[Array, ""],
    algorithm: Algorithm,
    static: AlgorithmConfig,
) -> tuple[Any, Metrics]:
    def one(state: Any, key: PRNGKeyArray, hyper: Hyper, step: Int[Array, ""]) -> tuple[Any, Metrics]:
        batch = data.draw(jax.random.fold_in(jax.random.fold_in(key, 1), step), static.batch_size)
        return algorithm.update(state, batch, hyper, static)

    solo = keys.shape[0] == 1
    if solo:
        state, keys, hyper = jax.tree.map(lambda leaf: leaf[0], (state, keys, hyper))
    every = one if solo else jax.vmap(one, in_axes=(0, 0, 0, None))

    def body(step: Int[Array, ""], carry: tuple[Any, Metrics]) -> tuple[Any, Metrics]:
        state, totals = carry
        state, metrics = every(state, keys, hyper, step)
        return state, jax.tree.map(jnp.add, totals, metrics)

    shapes = jax.eval_shape(every, state, keys, hyper, first)[1]
    totals: Metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    state, totals = jax.lax.fori_loop(first, last, body, (state, totals))
    if solo:
        state, totals = jax.tree.map(lambda leaf: leaf[None], (state, totals))
    return state, totals
