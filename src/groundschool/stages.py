"""The stages of a study, each a function of what came before it."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundschool.config import EnvironmentConfig, StudyConfig
from groundschool.data import Columns, Dataset, split
from groundschool.data.raw import RawLog
from groundschool.data.read import read_raw
from groundschool.data.vouch import vouch
from groundschool.errors import InputError, suggest
from groundschool.evaluation import calibration, mismatch, q_sanity, rollout, simulate
from groundschool.evaluation.units import parted

if TYPE_CHECKING:
    import gymnasium as gym

    from groundschool.config import CandidateConfig, DataConfig, HoldoutConfig
    from groundschool.data.check import Findings
    from groundschool.evaluation import Calibration, Mismatch, QSanity, Rollout
    from groundschool.evaluation.answers import Answers
    from groundschool.evaluation.tabular import ExactValue, TabularModel
    from groundschool.policies import DiscretePolicy, Policy


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """What a study may look at before anything is trained.

    Attributes
    ----------
    env : gymnasium.Env or None
        Where rollouts happen.
    logger : Policy or None
        The behavior policy, where it is known.
    model : TabularModel or None
        The exact model of ``env``, where it has one.
    log : Dataset
        Everything logged but the freshly logged holdout.
    raw : RawLog
        The same as it was read: what the checks look at.
    ends : ndarray of str, shape (E,)
        What ended each logged episode.
    train, holdout : Dataset
        What candidates learn from, and episodes that none of them sees.
    gated : Dataset or None
        Held-out episodes that the gate alone opens, once; the holdout is then without them.
    baseline : Policy or None
        The saved policy that the gate holds the return against, where one is named.
    """

    env: gym.Env[Any, Any] | None
    logger: Policy | None
    model: TabularModel | None
    log: Dataset
    raw: RawLog
    ends: NDArray[np.str_]
    train: Dataset
    holdout: Dataset
    gated: Dataset | None = None
    baseline: Policy | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Judgement:
    """Everything measured about one policy; None where it does not apply."""

    rollout: Rollout | None
    exact: ExactValue | None
    mismatch: Mismatch | None
    sanity: QSanity | None
    calibration: Calibration | None


def open_world(config: StudyConfig) -> World:
    """Make the environment and the log, from the environment's logger or from disk.

    The same config gives the same world: a freshly logged one is simulated again when a run is resumed.
    """
    world = _open_world(config)
    if config.gate is None:
        return world
    kept = parted(world.holdout, config.gate.share, config.gate.seed)
    baseline = None if config.gate.bundle is None else _load_baseline(config.gate.bundle)
    return dataclasses.replace(
        world, holdout=world.holdout.select(~kept), gated=world.holdout.select(kept), baseline=baseline
    )


def _load_baseline(path: str) -> Policy:
    from groundschool.policies import load

    try:
        return load(path)
    except InputError as error:
        raise InputError(f"gate: baseline: {error}") from None


def _open_world(config: StudyConfig) -> World:
    env = None if config.environment is None else make_environment(config.environment)
    model = None if env is None else exact_model(env)
    assert config.holdout is not None
    if config.data is not None:
        raw = _read(config.data)
        log = vouch(raw)
        _require_match(log, env, config)
        train, holdout = _hold_out(log, config.holdout)
        return World(env, None, model, log, raw, _ends(log), train, holdout)
    assert env is not None
    assert config.logging is not None
    assert config.holdout.episodes is not None
    logger = make_logger(env, config.logging.epsilon)
    logged = simulate(env, logger, config.logging.episodes, config.logging.seed)
    fresh = simulate(env, logger, config.holdout.episodes, config.holdout.seed)
    log = logged.dataset
    return World(env, logger, model, log, RawLog.of(log), logged.ends, log, fresh.dataset)


def exact_model(env: gym.Env[Any, Any]) -> TabularModel | None:
    """Return the environment's exact model, or None where it has none or is too large for one."""
    from groundschool.envs import HazardGrid

    grid = env.unwrapped
    return grid.model() if isinstance(grid, HazardGrid) and grid.has_model else None


def make_environment(config: EnvironmentConfig) -> gym.Env[Any, Any]:
    """Make a Gymnasium environment by id, with its parameters."""
    import gymnasium as gym

    import groundschool.envs  # noqa: F401  (registers HazardGrid)

    options = config.options
    try:
        spec = gym.spec(config.id)
        _check_parameters(spec, config.id, options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gymnasium's advice on versions and wrappers is not about the study
            return gym.make(config.id, **options)
    except InputError as error:
        raise InputError(f"environment {config.id}: {error}") from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"environment {config.id} needs the package {error.name!r}: pip install {error.name}."
        ) from None
    except Exception as error:  # noqa: BLE001  (a foreign constructor may raise anything)
        what = str(error).rstrip(".") or type(error).__name__
        raise InputError(f"environment {config.id} cannot be made: {what}.") from None


def make_logger(env: gym.Env[Any, Any], epsilon: float) -> Policy:
    """Return the environment's own logging policy."""
    make = getattr(env.unwrapped, "logger", None)
    if not callable(make):
        raise InputError(
            f"environment {type(env.unwrapped).__name__} has no logger of its own: log with groundschool.collect "
            "and a policy of yours, save the log, and name it under [data]."
        )
    logger: Policy = make(epsilon)
    return logger


def check_log(world: World, config: StudyConfig) -> Findings:
    """Return what the checks find in the log; raise `InputError` where a log that was given has errors."""
    from groundschool.data.check import check

    found = check(world.raw)
    if config.data is not None and found.errors:
        first, more = found.errors[0], len(found.errors) - 1
        others = f" ({more} more error{'s' if more > 1 else ''}: groundschool check lists all.)" if more else ""
        raise InputError(f"{config.data.path}: {first.where}: {first.what} {first.do}{others}")
    return found


def check_candidates(world: World, config: StudyConfig) -> None:
    """Raise `InputError` where a candidate cannot be trained on this log, or not on this device."""
    for candidate in config.candidates:
        try:
            if candidate.trained:
                from groundschool.training import check

                check(world.train, candidate.algorithm, device=config.device, **candidate.options)
            else:
                from groundschool.safety.makers import require_makeable

                require_makeable(world.train, candidate.algorithm, candidate.options, seed_of(candidate, config))
        except InputError as error:
            raise InputError(f"candidate {candidate.name}: {error}") from None


def train_candidate(
    log: Dataset, config: CandidateConfig, study: StudyConfig, *, checkpoint: Path, progress: bool
) -> DiscretePolicy:
    """Make one candidate, under its name; one that is trained goes on from its checkpoint."""
    if not config.trained:
        from groundschool.safety.makers import make

        made: DiscretePolicy = make(config.algorithm, config.name, config.options)(log, seed_of(config, study))
        return made
    from groundschool.training import train

    return train(
        log,
        config.algorithm,
        seed=seed_of(config, study),
        name=config.name,
        device=study.device,
        progress=progress,
        checkpoint=checkpoint,
        **config.options,
    )


def seed_of(candidate: CandidateConfig, study: StudyConfig) -> int:
    """Return a candidate's own seed, or the study's."""
    return study.seed if candidate.seed is None else candidate.seed


def work_in_words(candidate: CandidateConfig) -> str:
    """Say how a candidate is made."""
    steps = candidate.options.get("steps")
    return f"{candidate.algorithm}, made from the log" if steps is None else f"{steps:,} steps"


def check_evaluation(world: World, config: StudyConfig) -> None:
    """Raise `InputError` where the off-policy evaluation asks for a cost that the log does not have."""
    from groundschool.evaluation.answers import questions

    try:
        questions(world.holdout, config.evaluation.of)
    except InputError as error:
        raise InputError(f"evaluation: {error}") from None


def evaluate_offline(
    policies: Mapping[str, Policy], world: World, config: StudyConfig
) -> tuple[dict[str, Answers], str]:
    """Judge policies on the held-out episodes alone; also say why, where that cannot be done with this log."""
    from groundschool.evaluation.answers import answers

    settings = config.evaluation
    if not settings.enabled:
        return {}, ""
    try:
        found = answers(
            world.holdout,
            policies,
            of=settings.of,
            methods=settings.methods,
            confidence=settings.confidence,
            discount=settings.discount,
            seed=settings.seed,
        )
    except InputError as error:
        return {}, str(error)
    return found, ""


def judge(policy: Policy, world: World, config: StudyConfig) -> Judgement:
    """Measure one policy: controlled rollouts, exact value, mismatch, and what else it allows."""
    rolled = None
    if world.env is not None and config.rollouts is not None:
        settings = config.rollouts
        rolled = rollout(world.env, policy, settings.episodes, settings.seed, settings.confidence)
    head = getattr(policy, "head", None)
    return Judgement(
        rollout=rolled,
        exact=None if world.model is None else world.model.evaluate(policy),
        mismatch=mismatch(
            world.train, policy, sample=config.mismatch.sample, seed=config.mismatch.seed, behavior=world.logger
        ),
        sanity=q_sanity(policy, rolled) if head == "greedy" and rolled is not None else None,  # type: ignore[arg-type]
        calibration=calibration(policy, world.holdout) if head == "softmax" else None,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class References:
    """What learned policies are compared with; None where unknown.

    Attributes
    ----------
    logger : Judgement or None
        The policy that wrote the log.
    noiseless : ExactValue or None
        The same without its random actions: what cloning it perfectly and acting greedily could reach.
    optimum : ExactValue or None
        Of the best policy that there is.
    """

    logger: Judgement | None
    noiseless: ExactValue | None
    optimum: ExactValue | None


def judge_references(world: World, config: StudyConfig) -> References:
    """Measure what learned policies are compared with."""
    noiseless = None
    if world.env is not None and world.logger is not None and world.model is not None:
        noiseless = world.model.evaluate(make_logger(world.env, 0.0))
    return References(
        logger=None if world.logger is None else judge(world.logger, world, config),
        noiseless=noiseless,
        optimum=None if world.model is None else world.model.optimal().value,
    )


def _check_parameters(spec: Any, name: str, options: Mapping[str, Any]) -> None:
    from gymnasium.envs.registration import load_env_creator

    creator = load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point
    parameters = inspect.signature(creator).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for key in options:
        if key not in parameters:
            raise InputError(
                f"{key} is not a parameter of it.{suggest(key, parameters)} Known: {', '.join(parameters)}."
            )


def _read(config: DataConfig) -> RawLog:
    columns = None if config.columns is None else Columns.from_mapping(config.columns)
    raw = read_raw(config.path, config.format, columns)
    if not raw.is_discrete:
        raise InputError(f"{config.path}: its actions are continuous, and only discrete actions can be learned so far.")
    return raw


def _hold_out(log: Dataset, config: HoldoutConfig) -> tuple[Dataset, Dataset]:
    """Return what is studied and what is held out."""
    assert config.fraction is not None
    assert config.by is not None
    rest = 1.0 - config.fraction
    # The selection part is not needed yet, and a split has no empty parts: it studies with the training part.
    fractions = (rest / 2, rest / 2, config.fraction)
    parts = split(log, fractions=fractions, seed=config.seed, by=config.by, stratify=config.stratify)
    train = log.select(~np.isin(log.episode_ids, parts.holdout.episode_ids))
    return dataclasses.replace(train, notes=parts.train.notes), parts.holdout


def _require_match(log: Dataset, env: gym.Env[Any, Any] | None, config: StudyConfig) -> None:
    """Refuse a log of another environment before anything is trained on it."""
    if env is None or config.data is None or config.environment is None:
        return
    actions, shape = getattr(env.action_space, "n", None), tuple(env.observation_space.shape or ())
    if actions != log.n_actions or shape != log.observations.shape[1:]:
        raise InputError(
            f"{config.data.path} has {log.n_actions} actions and observations of shape {log.observations.shape[1:]}, "
            f"environment {config.environment.id} has {actions} and {shape}: policies learned from this log cannot act "
            "there. Name the environment that the log is from, or leave [environment] out."
        )
    inside = getattr(env.unwrapped, "layout", None)
    if inside is not None and hasattr(inside, "states"):
        try:
            inside.states(log.observations)
        except InputError as error:
            raise InputError(f"{config.data.path} is not of environment {config.environment.id}: {error}") from None


def _ends(log: Dataset) -> NDArray[np.str_]:
    return np.where(log.terminated[log.starts[1:] - 1], "terminated", "truncated")
