"""Episodes of a policy in an environment, as a log: what `collect` and `rollout` stand on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.expressions import Expression
from groundschool.errors import GroundschoolError, InputError, whole_number
from groundschool.evaluation._checks import checked_probabilities, require_actions
from groundschool.evaluation.episode_costs import EpisodeCosts
from groundschool.evaluation.episode_rows import Rows
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
        ``info["cost"]`` becomes a cost column, called ``env.cost_name`` where there is one, else "cost", or, where it
        is a mapping of names to numbers, one of each name; ``info["action_mask"]`` becomes action masks.
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
        no distribution, costs or masks given in some steps only, an episode that never ends, and an environment that
        raises an error of its own, which then is the cause.
    """
    episodes = whole_number(episodes, "episodes", 1)
    seed = whole_number(seed, "seed", 0)
    max_steps = whole_number(max_steps, "max_steps", 1)
    require_steppable(env, policy)
    if _has_own_simulator(env):
        result: Simulation = env.unwrapped.simulate(policy, episodes, seed)  # type: ignore[attr-defined]
        return result
    return _step_through(env, policy, episodes, seed, max_steps)


def require_steppable(env: Any, policy: Any) -> None:
    """Raise `InputError` unless this environment can be stepped through with this policy."""
    if not isinstance(env, gym.Env):
        raise InputError(
            f"env is a {type(env).__name__}, expected a gymnasium.Env, e.g. gymnasium.make('CartPole-v1')."
        )
    if not isinstance(env.action_space, gym.spaces.Discrete):
        raise InputError(
            f"environment {env_name(env)} has action space {env.action_space}, "
            "and only Discrete actions are supported so far."
        )
    require_actions(policy, int(env.action_space.n), f"environment {env_name(env)}")
    _observation_kind(env)


def collect(
    env: gym.Env[Any, Any], policy: Policy, episodes: int, seed: int = 0, *, max_steps: int = 100_000
) -> Dataset:
    """Log episodes of a policy in an environment: `simulate` without the causes of the ends.

    Takes and raises what `simulate` does.
    """
    return simulate(env, policy, episodes, seed, max_steps=max_steps).dataset


def single_episode(
    env: gym.Env[Any, Any],
    policy: Policy,
    seed: int,
    index: int,
    *,
    costs: Mapping[str, Expression] | None = None,
    required: Sequence[str] = (),
    feature_names: Sequence[str] = (),
    max_steps: int = 100_000,
) -> Dataset:
    """Step through one episode of a sequence in which any episode can be run again by itself.

    Unlike those of `simulate`, the draws of the policy and of the environment have streams of their own, both spawned
    from ``(seed, index)``.

    Parameters
    ----------
    env, policy, max_steps
        As in `simulate`; `require_steppable` has been asked.
    seed, index : int
        At least 0; the episode's id is ``"{seed}-{index}"``.
    costs : mapping from name to Expression, optional
        Costs beside those in ``info["cost"]``; see `EpisodeCosts`.
    required : sequence of str
        Costs without which the episode is broken off at its first step: nothing would be learned of them.
    feature_names : sequence of str
        What expressions may call the numbers of an observation.

    Returns
    -------
    Dataset
        One episode.

    Raises
    ------
    InputError
        As `simulate`.
    """
    for_environment, for_policy = np.random.SeedSequence((seed, index)).spawn(2)
    rows = Rows(EpisodeCosts(env_name(env), cost_name(env), costs or {}, feature_names, required))
    reset_with, rng = int(for_environment.generate_state(1)[0]), np.random.default_rng(for_policy)
    _run(env, policy, rows, reset_with, rng, index, max_steps)
    return rows.dataset(n_actions_of(env), time_limit(env), [f"{seed}-{index}"], return_range_of(env))


def _step_through(env: gym.Env[Any, Any], policy: Policy, episodes: int, seed: int, max_steps: int) -> Simulation:
    # Not the seed alone: the environment's generator of the first episode starts from that.
    rng = np.random.default_rng([seed, 1])
    rows = Rows(EpisodeCosts(env_name(env), cost_name(env)))
    for i in range(episodes):
        _run(env, policy, rows, seed + i, rng, i, max_steps)
    ids = [f"{seed}-{i}" for i in range(episodes)]
    log = rows.dataset(n_actions_of(env), time_limit(env), ids, return_range_of(env))
    return Simulation(log, np.array(rows.ends))


def _run(
    env: gym.Env[Any, Any],
    policy: Policy,
    rows: Rows,
    reset_with: int,
    rng: np.random.Generator,
    index: int,
    max_steps: int,
) -> None:
    """Append one episode to the rows."""
    assert isinstance(env.action_space, gym.spaces.Discrete)
    n_actions, first_action = int(env.action_space.n), int(env.action_space.start)
    offset, dtype = _observation_kind(env)
    with _failing(env, index, "at its reset"):
        raw, info = env.reset(seed=reset_with)
        observation, mask = _observation(raw, offset, dtype), _mask(info, n_actions)
    for step in range(max_steps):
        masks = None if mask is None else mask[None]
        try:
            probabilities = checked_probabilities(policy, observation[None], masks, n_actions)
        except InputError as error:
            where = f"environment {env_name(env)}, episode {index}, step {step:,}"
            raise InputError(f"{where}: {error}") from error.__cause__
        action = int(sample_actions(probabilities, rng)[0])
        rows.decided(observation, mask, action, float(probabilities[0, action]))
        with _failing(env, index, f"in step {step:,}"):
            raw, reward, terminated, truncated, info = env.step(first_action + action)
            observation, mask = _observation(raw, offset, dtype), _mask(info, n_actions)
            gained, over, cut = float(reward), bool(terminated), bool(truncated)
        rows.arrived(observation, gained, over, cut, info)
        if over or cut:
            break
    else:
        raise InputError(
            f"environment {env_name(env)}: episode {index} did not end within {max_steps:,} steps. "
            "Add a limit, gymnasium.wrappers.TimeLimit(env, max_episode_steps=...), or raise max_steps."
        )
    rows.ended(observation, mask, str(info.get("end") or ("terminated" if over else "truncated")))


@contextlib.contextmanager
def _failing(env: gym.Env[Any, Any], index: int, when: str) -> Iterator[None]:
    """Say which environment failed, and where; its own error stays the cause."""
    try:
        yield
    except (GroundschoolError, MemoryError):
        raise
    except Exception as error:  # whatever an environment that is not ours may raise
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"environment {env_name(env)} failed in episode {index}, {when} ({type(error).__name__}"
            f"{f': {said}' if said else ''}). Expected what gymnasium.Env says of reset and step; mend it there."
        ) from error


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
            f"environment {env_name(env)} has observation space {space}, expected Box or Discrete. "
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


def env_layers(env: gym.Env[Any, Any]) -> Iterator[gym.Env[Any, Any]]:
    """Yield an environment, then what it wraps, down to the innermost."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env
    yield env


def return_range_of(env: gym.Env[Any, Any]) -> tuple[float, float] | None:
    """Return the range of an episode's return, where the environment declares one as ``return_range``."""
    declared: tuple[float, float] | None = getattr(env.unwrapped, "return_range", None)
    return declared


def time_limit(env: gym.Env[Any, Any]) -> int | None:
    """Return the time limit that holds: the tightest TimeLimit around the environment, or the environment's own."""
    limits = [int(layer._max_episode_steps) for layer in env_layers(env) if isinstance(layer, TimeLimit)]
    own = getattr(env.unwrapped, "horizon", None)
    if isinstance(own, int | np.integer) and own > 0:
        limits.append(int(own))
    return min(limits, default=None)


def n_actions_of(env: gym.Env[Any, Any]) -> int:
    """Return the number of actions of an environment with discrete ones."""
    assert isinstance(env.action_space, gym.spaces.Discrete)
    return int(env.action_space.n)


def cost_name(env: gym.Env[Any, Any]) -> str:
    """Return what the environment calls the number in ``info["cost"]``."""
    return next((str(layer.cost_name) for layer in env_layers(env) if hasattr(layer, "cost_name")), "cost")


def _has_own_simulator(env: gym.Env[Any, Any]) -> bool:
    *wrappers, core = env_layers(env)
    if not callable(getattr(core, "simulate", None)) or any(type(wrapper) not in _TRANSPARENT for wrapper in wrappers):
        return False
    order = type(core).__mro__

    def depth(method: str) -> int:
        return next((i for i, cls in enumerate(order) if method in vars(cls)), 0)

    # A subclass that overrides step or reset, but inherits simulate, has another law than that simulator.
    return "step" not in vars(core) and depth("simulate") <= min(depth("step"), depth("reset"))


def env_name(env: gym.Env[Any, Any]) -> str:
    """Return the id of an environment, or the name of its class."""
    spec = getattr(env, "spec", None)
    return spec.id if spec is not None else type(env.unwrapped).__name__
