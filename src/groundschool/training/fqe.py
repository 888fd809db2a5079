"""The compiled ensemble of fitted Q evaluation, run until its answer stands still."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray
from numpy.typing import NDArray

from groundschool.algorithms import fqe
from groundschool.algorithms.config import AlgorithmConfig
from groundschool.algorithms.fqe import FQEState, Horizon, Rows
from groundschool.algorithms.types import Metrics
from groundschool.policies.network import Layers
from groundschool.training.fqe_data import FQEData

_CHUNK = 100  # updates between two looks
_WINDOW = 3  # looks whose mean is compared with that of as many before
_FLOOR = 1e-3  # of the scale: smaller movements are none, however close the members are
_PROBES = 256
_STARTS = 4_096  # episodes whose starts are looked at together


@dataclasses.dataclass(frozen=True)
class Plan:
    """How an ensemble is trained.

    Attributes
    ----------
    steps : int
        Updates at most.
    least : int
        Updates at least before standing still counts: what is learned must have had time to come back to the start.
    tolerance : float
        Movement that counts as none, in standard deviations over members.
    learning_rate, target_rate : float
    batch_size : int
    hidden : tuple of int
    """

    steps: int
    least: int
    tolerance: float
    learning_rate: float
    target_rate: float
    batch_size: int
    hidden: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """Where training ended.

    Attributes
    ----------
    values : (M,) float64
        Each member's value at the starts of its episodes, in units of the scale.
    networks : tuple of (weight (members, in, out), bias (members, 1, out))
        What the values are read from; the last layer's outputs are actions times knots, without `Horizon.start`.
    curve : dict of lists
        One entry a look: ``step``, ``value`` (mean over members), ``spread`` (standard deviation over members), ``td``
        (mean squared TD error since the look before) and ``td_mean``, in units of the scale.
    converged : bool
        The answer stood still at the full learning rate, and again while the second half of that went to 0.
    moved : float
        How far it went while the second half of the learning rate went to 0, or at the full rate where it never stood
        still, in standard deviations over members: the answer, or half of the root mean square over values elsewhere,
        which are noisier.
    """

    values: NDArray[np.float64]
    networks: Layers
    curve: dict[str, list[float]]
    converged: bool
    moved: float


class _Rates(NamedTuple):
    learning: Float[Array, ""]
    target: Float[Array, ""]
    decay_from: Float[Array, ""]
    decay_to: Float[Array, ""]


def fit(data: FQEData, horizon: Horizon, plan: Plan, *, seed: int) -> Fit:
    """Train every member at a constant learning rate until the answer stands still, then let the rate go to 0.

    The rate falls along a cosine (Loshchilov & Hutter 2017, arXiv:1608.03983) over half as many updates again. Where
    the answer still moves while it falls, all goes on for twice as long. The fit says so where the updates were not
    enough; the last quarter of them is kept for the fall.

    Parameters
    ----------
    data : FQEData
    horizon : Horizon
    plan : Plan
    seed : int

    Returns
    -------
    Fit
    """
    training = _Training(data, horizon, plan, seed)
    most, least = max(1, 3 * plan.steps // 4), plan.least
    while True:
        moved = math.inf
        while training.step < most and not (training.step >= least and moved <= plan.tolerance):
            training.advance(most)
            moved = training.moved()
        settled, start = moved <= plan.tolerance, training.step
        end = min(plan.steps, start + max(start // 2, 2 * _CHUNK))
        while training.step < end:
            training.advance(end, decay_from=start)
        halfway = int(np.searchsorted(training.curve["step"], (start + end) / 2.0))
        drift = training.distance(training.seen[halfway])
        converged = settled and drift <= plan.tolerance
        least = 2 * start
        if converged or least >= most or training.step >= most:
            break
    return Fit(
        training.answer(), training.networks(), training.curve, converged, drift if settled else max(drift, moved)
    )


class _Training:
    """An ensemble on its way, looked at between chunks of updates."""

    def __init__(self, data: FQEData, horizon: Horizon, plan: Plan, seed: int) -> None:
        self.data, self.horizon, self.plan, self.step = data, horizon, plan, 0
        seeds = np.random.SeedSequence(seed).generate_state(data.pool.shape[0], np.uint32)
        self.keys = jax.vmap(jax.random.key)(seeds)
        self.config = AlgorithmConfig(batch_size=plan.batch_size, hidden=plan.hidden, schedule="constant")
        sizes = (data.features.shape[1], data.next_policy.shape[1], horizon.start.shape[0])
        self.state = _start(self.keys, *sizes, self.config)
        rng = np.random.default_rng(seed)
        self.probes = rng.integers(data.row.shape[0], size=_PROBES)
        self.looked_at = _starts_of(data, rng.permutation(data.first.shape[0])[:_STARTS])
        self.curve: dict[str, list[float]] = {"step": [], "value": [], "spread": [], "td": [], "td_mean": []}
        self.spread = np.zeros(0)
        self.seen: list[NDArray[np.float64]] = []  # means over members: the answer, and values at probes

    def advance(self, end: int, *, decay_from: int | None = None) -> None:
        """Train to the next look, or to `end`; the learning rate falls from a step on to 0 at `end`."""
        last = min(self.step + _CHUNK, end)
        start = end if decay_from is None else decay_from
        numbers = (self.plan.learning_rate, self.plan.target_rate, start, max(end, start + 1))
        rates = _Rates(*(jnp.float32(number) for number in numbers))
        self.state, totals = _advance(
            self.state, self.keys, self.data, self.horizon, self.step, last, rates, self.config
        )
        errors = {name: float(np.mean(total)) / (last - self.step) for name, total in totals.items()}
        self.step = last
        found = _values(self.state.target, self.looked_at, self.horizon, self.probes)
        above, below, elsewhere = (np.asarray(part, np.float64) for part in found)
        values = np.concatenate([(above / below)[:, None], elsewhere], axis=1)
        self.seen.append(values.mean(axis=0))
        self.spread = values.std(axis=0, ddof=1)
        row = {"step": last, "value": self.seen[-1][0], "spread": self.spread[0], **errors}
        for name, number in row.items():
            self.curve[name].append(float(number))

    def answer(self) -> NDArray[np.float64]:
        """Return each member's value, over the starts of all episodes."""
        n = self.data.first.shape[0]
        above, below = np.zeros(len(self.keys)), np.zeros(len(self.keys))
        for begin in range(0, n, _STARTS):
            block = _starts_of(self.data, np.arange(begin, min(begin + _STARTS, n)))
            found = _values(self.state.target, block, self.horizon, self.probes)
            above, below = above + np.asarray(found[0]), below + np.asarray(found[1])
        return np.asarray(above / below, np.float64)

    def networks(self) -> Layers:
        """Return the weights and biases of all members' target networks."""
        q = jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], self.state.target)
        return tuple(zip(q.weights, q.biases, strict=True))

    def recent(self) -> NDArray[np.float64]:
        """Return the mean of the last looks."""
        return np.asarray(np.mean(self.seen[-_WINDOW:], axis=0))

    def moved(self) -> float:
        """Return how far the last looks are from as many before them."""
        if len(self.seen) < 2 * _WINDOW:
            return math.inf
        return self.distance(np.mean(self.seen[-2 * _WINDOW : -_WINDOW], axis=0), self.recent())

    def distance(self, one: NDArray[np.float64], other: NDArray[np.float64] | None = None) -> float:
        """Return how far apart two looks are, the last one unless said, in standard deviations over members."""
        change = (self.seen[-1] if other is None else other) - one
        spread = np.maximum(self.spread, _FLOOR)
        elsewhere = np.sqrt(np.mean(np.square(change[1:])) / np.mean(np.square(spread[1:])))
        return float(max(abs(change[0]) / spread[0], elsewhere / 2.0))


@functools.partial(jax.jit, static_argnames=("inputs", "actions", "knots", "config"))
def _start(keys: Key[Array, " members"], inputs: int, actions: int, knots: int, config: AlgorithmConfig) -> FQEState:
    states: FQEState = jax.vmap(lambda key: fqe.init(jax.random.fold_in(key, 0), inputs, actions, knots, config))(keys)
    return states


@functools.partial(jax.jit, static_argnames=("config",), donate_argnames=("state",))
def _advance(
    state: FQEState,
    keys: Key[Array, " members"],
    data: FQEData,
    horizon: Horizon,
    first: Int[Array, ""],
    last: Int[Array, ""],
    rates: _Rates,
    config: AlgorithmConfig,
) -> tuple[FQEState, Metrics]:
    def one(
        state: FQEState, key: PRNGKeyArray, pool: Int[Array, " drawn"], size: Int[Array, ""], step: Int[Array, ""]
    ) -> tuple[FQEState, Metrics]:
        rows = _draw(data, pool, size, jax.random.fold_in(jax.random.fold_in(key, 1), step), config.batch_size)
        gone = jnp.clip((step - rates.decay_from) / (rates.decay_to - rates.decay_from), 0.0, 1.0)
        rate = rates.learning * 0.5 * (1.0 + jnp.cos(jnp.pi * gone))
        return fqe.update(state, rows, horizon, rate, rates.target, config)

    every = jax.vmap(one, in_axes=(0, 0, 0, 0, None))

    def body(step: Int[Array, ""], carry: tuple[FQEState, Metrics]) -> tuple[FQEState, Metrics]:
        state, totals = carry
        state, metrics = every(state, keys, data.pool, data.pool_size, step)
        return state, jax.tree.map(jnp.add, totals, metrics)

    shapes = jax.eval_shape(every, state, keys, data.pool, data.pool_size, first)[1]
    totals: Metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    advanced: tuple[FQEState, Metrics] = jax.lax.fori_loop(first, last, body, (state, totals))
    return advanced


def _draw(data: FQEData, pool: Int[Array, " drawn"], size: Int[Array, ""], key: PRNGKeyArray, batch_size: int) -> Rows:
    index = pool[jax.random.randint(key, (batch_size,), 0, size)]
    return Rows(
        features=data.features[data.row[index]],
        action=data.action[index],
        signal=data.signal[index],
        next_features=data.features[data.next_row[index]],
        next_policy=data.next_policy[index],
        weight=data.weight[index],
    )


def _starts_of(data: FQEData, episodes: NDArray[np.int64]) -> FQEData:
    return data._replace(
        first=data.first[episodes],
        first_policy=data.first_policy[episodes],
        first_weight=data.first_weight[:, episodes],
    )


@jax.jit
def _values(
    networks: Any, data: FQEData, horizon: Horizon, probes: Int[Array, " probes"]
) -> tuple[Float[Array, " members"], Float[Array, " members"], Float[Array, "members probes"]]:
    """Return each member's weighted sum of values at starts, the sum of those weights, and values after transitions."""

    def one(network: Any, weight: Float[Array, " episodes"]) -> tuple[Any, Any, Any]:
        at_starts = fqe.action_values(network, data.features[data.first], horizon)[..., -1]
        values = jnp.clip(jnp.sum(at_starts * data.first_policy, axis=-1), horizon.low[-1], horizon.high[-1])
        after = fqe.action_values(network, data.features[data.next_row[probes]], horizon)[..., -1]
        return jnp.sum(values * weight), jnp.sum(weight), jnp.sum(after * data.next_policy[probes], axis=-1)

    found: tuple[Array, Array, Array] = jax.vmap(one)(networks, data.first_weight)
    return found
