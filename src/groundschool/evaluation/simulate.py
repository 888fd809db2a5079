"""Episodes of a policy in an environment, as a log: what `collect` and `rollout` stand on."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation._checks import checked_probabilities, require_actions
from groundschool.policies.policy import Policy, sample_actions

_TRANSPARENT = (OrderEnforcing, PassiveEnvChecker)  # wrappers that change neither the law nor what is seen


@dataclass(frozen=True, eq=False)
class Simulation:
    """Simulated episodes and what ended each of them.

    Attributes
    ----------
    dataset : Dataset
        The episodes as a log, with the propensity of each action taken.
    ends : ndarray of str
        Shape (E,): the cause of the end of each episode. ``info["end"]`` of the last step where the environment says it
        ("goal", "hazard", "timeout" in HazardGrid), else "terminated" or "truncated".
    """

    dataset: Dataset
    ends: NDArray[np.str_]

    def __post_init__(self) -> None:
        if len(self.ends) != self.dataset.n_episodes:
            raise InputError(f"a simulation of {self.dataset.n_episodes} episodes came with {len(self.ends)} ends.")


def simulate(
    env: gym.Env[Any, Any], policy: Policy, episodes: int, seed: int = 0, *, max_steps: int = 100_000
) -> Simulation:
    """Run a policy in an environment.

    Episode i starts with ``env.reset(seed=seed + i)``; the policy samples from one generator seeded with ``seed``. An
    environment that has its own ``simulate(policy, episodes, seed)`` (a vectorised simulator of the same law) is run
    by that, unless a wrapper or a subclass may have changed what it does.

    Parameters
    ----------
    env : gymnasium.Env
        Discrete actions; observations from a ``Discrete`` space (kept as state ids counted from 0) or a ``Box``.
        ``info["cost"]`` becomes a cost column, called ``env.cost_name`` where there is one, else "cost";
        ``info["action_mask"]`` becomes action masks.
    policy : Policy
        Asked for its probabilities at every step, with masks where the environment gives them.
    episodes : int
        How many, at least 1.
    seed : int
        At least 0.
    max_steps : int
        An episode longer than this is an error: an environment without end needs a time limit.

    Returns
    -------
    Simulation
        Episode ids are ``"{seed}-{i}"``.

    Raises
    ------
    InputError
        For continuous actions, spaces of other kinds, a policy over another number of actions, probabilities that are
        no distribution, costs or masks given in some steps only, and an episode that never ends.
    """
    episodes = _whole(episodes, "episodes", 1)
    seed = _whole(seed, "seed", 0)
    max_steps = _whole(max_steps, "max_steps", 1)
    if not isinstance(env, gym.Env):
        raise InputError(
            f"env is a {type(env).__name__}, expected a gymnasium.Env, e.g. gymnasium.make('CartPole-v1')."
        )
    if not isinstance(env.action_space, gym.spaces.Discrete):
        raise InputError(
            f"environment {_name(env)} has action space {env.action_space}, "
            "and only Discrete actions are supported so far."
        )
    require_actions(policy, int(env.action_space.n), f"environment {_name(env)}")
    if _has_own_simulator(env):
        result: Simulation = env.unwrapped.simulate(policy, episodes, seed)  # type: ignore[attr-defined]
        return result
    return _step_through(env, policy, episodes, seed, max_steps)


def collect(
    env: gym.Env[Any, Any], policy: Policy, episodes: int, seed: int = 0, *, max_steps: int = 100_000
) -> Dataset:
    """Log episodes of a policy in an environment: `simulate` without the causes of the ends.

    Takes and raises what `simulate` does.
    """
    return simulate(env, policy, episodes, seed, max_steps=max_steps).dataset


@dataclass
class _Rows:
    """One list a column; the arrays are made once, at the end."""

    observations: list[NDArray[Any]] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    propensities: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    costs: list[float | None] = field(default_factory=list)
    terminated: list[bool] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    masks: list[NDArray[np.bool_] | None] = field(default_factory=list)
    final_observations: list[NDArray[Any]] = field(default_factory=list)
    final_masks: list[NDArray[np.bool_] | None] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)


def _step_through(env: gym.Env[Any, Any], policy: Policy, episodes: int, seed: int, max_steps: int) -> Simulation:
    assert isinstance(env.action_space, gym.spaces.Discrete)
    n_actions, first_action = int(env.action_space.n), int(env.action_space.start)
    offset, dtype = _observation_kind(env)
    rng = np.random.default_rng(seed)
    rows = _Rows()
    for i in range(episodes):
        raw, info = env.reset(seed=seed + i)
        observation, mask = _observation(raw, offset, dtype), _mask(info, n_actions)
        for _ in range(max_steps):
            masks = None if mask is None else mask[None]
            probabilities = checked_probabilities(policy, observation[None], masks, n_actions)
            action = int(sample_actions(probabilities, rng)[0])
            rows.observations.append(observation)
            rows.masks.append(mask)
            rows.actions.append(action)
            rows.propensities.append(float(probabilities[0, action]))
            raw, reward, terminated, truncated, info = env.step(first_action + action)
            observation, mask = _observation(raw, offset, dtype), _mask(info, n_actions)
            rows.rewards.append(float(reward))
            rows.costs.append(None if info.get("cost") is None else float(info["cost"]))
            rows.terminated.append(bool(terminated))
            rows.truncated.append(bool(truncated) and not terminated)  # nothing to bootstrap from after a real end
            if terminated or truncated:
                break
        else:
            raise InputError(
                f"environment {_name(env)}: episode {i} did not end within {max_steps:,} steps. "
                "Add a limit, gymnasium.wrappers.TimeLimit(env, max_episode_steps=...), or raise max_steps."
            )
        rows.final_observations.append(observation)
        rows.final_masks.append(mask)
        rows.ends.append(str(info.get("end") or ("terminated" if terminated else "truncated")))
    return Simulation(_dataset(env, rows, n_actions, [f"{seed}-{i}" for i in range(episodes)]), np.array(rows.ends))


def _dataset(env: gym.Env[Any, Any], rows: _Rows, n_actions: int, episode_ids: list[str]) -> Dataset:
    masks = _masks(env, rows, n_actions)
    return Dataset.from_arrays(
        np.stack(rows.observations),
        np.array(rows.actions, dtype=np.int64),
        np.array(rows.rewards, dtype=np.float64),
        np.array(rows.terminated, dtype=np.bool_),
        np.array(rows.truncated, dtype=np.bool_),
        costs=_costs(env, rows),
        propensities=np.array(rows.propensities, dtype=np.float64),
        action_masks=None if masks is None else masks[0],
        final_observations=np.stack(rows.final_observations),
        final_action_masks=None if masks is None else masks[1],
        n_actions=n_actions,
        horizon=_horizon(env),
        return_range=getattr(env.unwrapped, "return_range", None),
        episode_ids=np.array(episode_ids),
    )


def _costs(env: gym.Env[Any, Any], rows: _Rows) -> dict[str, NDArray[np.float64]] | None:
    missing = sum(cost is None for cost in rows.costs)
    if missing == len(rows.costs):
        return None
    if missing:
        raise InputError(
            f"environment {_name(env)}: info['cost'] is missing in {missing:,} of {len(rows.costs):,} steps "
            f"(first at step {rows.costs.index(None):,}). Give it in every step, 0.0 where nothing happened, "
            "or in none."
        )
    name = next((str(layer.cost_name) for layer in _layers(env) if hasattr(layer, "cost_name")), "cost")
    return {name: np.array(rows.costs, dtype=np.float64)}


def _masks(env: gym.Env[Any, Any], rows: _Rows, n_actions: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    given = [mask for mask in rows.masks if mask is not None]
    if not given:
        return None
    if len(given) < len(rows.masks):
        raise InputError(
            f"environment {_name(env)}: info['action_mask'] is missing in {len(rows.masks) - len(given):,} of "
            f"{len(rows.masks):,} steps. Give it in every reset and step, or in none."
        )
    everything = np.ones(n_actions, dtype=np.bool_)
    # After an end nobody acts: environments give no mask there, or one that forbids everything.
    final = [everything if mask is None or not mask.any() else mask for mask in rows.final_masks]
    return np.stack(given), np.stack(final)


def _mask(info: Mapping[str, Any], n_actions: int) -> NDArray[np.bool_] | None:
    mask = info.get("action_mask")
    if mask is None:
        return None
    mask = np.array(mask, dtype=np.bool_)
    if mask.shape != (n_actions,):
        raise InputError(f"info['action_mask'] has shape {mask.shape}, expected ({n_actions},), one entry an action.")
    return mask


def _observation_kind(env: gym.Env[Any, Any]) -> tuple[int, Any]:
    """Return what to subtract from an observation and the dtype to keep it in."""
    space = env.observation_space
    if isinstance(space, gym.spaces.Discrete):
        return int(space.start), np.int64
    if not isinstance(space, gym.spaces.Box):
        raise InputError(
            f"environment {_name(env)} has observation space {space}, expected Box or Discrete. "
            "Wrap it: gymnasium.wrappers.FlattenObservation(env)."
        )
    if space.dtype in (np.dtype(np.float32), np.dtype(np.float64)):
        return 0, space.dtype
    # Exact in float32: bool, 8 and 16 bit integers, half floats.
    return 0, np.float32 if np.can_cast(space.dtype, np.float32) else np.float64


def _observation(raw: Any, offset: int, dtype: Any) -> NDArray[Any]:
    """Copy an observation (environments may reuse their buffer) into its column's type."""
    if dtype is np.int64:
        return np.array(int(raw) - offset, dtype=np.int64)
    observation = np.array(raw, dtype=dtype)
    return observation if observation.ndim else observation[None]


def _layers(env: gym.Env[Any, Any]) -> Iterator[gym.Env[Any, Any]]:
    """Yield an environment, then what it wraps, down to the innermost."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env
    yield env


def _horizon(env: gym.Env[Any, Any]) -> int | None:
    """Return the time limit that holds: the tightest TimeLimit around the environment, or the environment's own."""
    limits = [int(layer._max_episode_steps) for layer in _layers(env) if isinstance(layer, TimeLimit)]
    own = getattr(env.unwrapped, "horizon", None)
    if isinstance(own, int | np.integer) and own > 0:
        limits.append(int(own))
    return min(limits, default=None)


def _has_own_simulator(env: gym.Env[Any, Any]) -> bool:
    *wrappers, core = _layers(env)
    if not callable(getattr(core, "simulate", None)) or any(type(wrapper) not in _TRANSPARENT for wrapper in wrappers):
        return False
    order = type(core).__mro__

    def depth(method: str) -> int:
        return next((i for i, cls in enumerate(order) if method in vars(cls)), 0)

    # A subclass that overrides step or reset, but inherits simulate, has another law than that simulator.
    return "step" not in vars(core) and depth("simulate") <= min(depth("step"), depth("reset"))


def _name(env: gym.Env[Any, Any]) -> str:
    spec = getattr(env, "spec", None)
    return spec.id if spec is not None else type(env.unwrapped).__name__


def _whole(value: Any, name: str, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} is {value!r}, expected a whole number >= {least}.") from None
    if isinstance(value, bool) or number < least:
        raise InputError(f"{name} is {value!r}, expected a whole number >= {least}.")
    return number
