"""Putting a policy behind a guard: what the log shows as familiar, supported and harmful, and what is ruled out."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.content import episode_hashes as content_hashes_of
from groundschool.data.raw import RawLog
from groundschool.errors import InputError, suggest
from groundschool.evaluation._checks import require_actions
from groundschool.evaluation.diagnostics.overlap import training_records
from groundschool.policies.constant import ConstantPolicy
from groundschool.policies.counted import CountedPolicy
from groundschool.policies.guard import Guard
from groundschool.policies.guarded import GuardedPolicy
from groundschool.policies.monitor import Limit
from groundschool.policies.novelty import Counted, Measured
from groundschool.policies.policy import Policy
from groundschool.policies.record import TrainingRecord
from groundschool.policies.rules import Rule, Rules
from groundschool.policies.schema import Schema
from groundschool.policies.support import is_discrete
from groundschool.safety.familiarity import fit_counted, fit_measured


def guard(
    log: Dataset,
    calibration: Dataset,
    policy: Policy,
    *,
    fallback: Policy | int | Literal["logged"] = "logged",
    rules: Sequence[Rule] = (),
    false_alarms: float = 0.02,
    min_count: int = 1,
    min_share: float = 0.0,
    harm: Mapping[str, float] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    range_margin: float = 1.0,
    last_resort: int | None = None,
    limits: Sequence[Limit] = (),
    name: str | None = None,
) -> GuardedPolicy:
    """Put a policy behind a guard fitted on a log: the whole that is to be evaluated, gated and shipped.

    Parameters
    ----------
    log : Dataset
        Episodes to fit on; those that the policy was trained on will do.
    calibration : Dataset
        Further episodes, which the policy was not trained on, such as the selection part of `groundschool.split`. They
        set the threshold of novelty, then they too count as logged. The composite may be judged on neither.
    policy : Policy
        Who proposes the actions. State that it needs, such as a budget that runs down, is part of its observation.
    fallback : Policy, int or "logged"
        Who acts where the guard intervenes: a policy that a bundle can hold, an action, or "logged": the shares of
        logged actions in each observation, where observations can be counted.
    rules : sequence of Rule
        What nobody may do, and when.
    false_alarms : float
        In (0, 1): the share of episodes like the logged ones in which any observation may be taken for novel.
    min_count, min_share : int, float
        The policy may take an action that was logged at least so often in an observation, and at least so many times
        as often as the most frequent one there, which always is supported (see ``groundschool.policies.support``).
        Where observations are measured and not counted, `min_share` is of the fallback's probabilities, which then is
        a cloned policy: ``gs.train(log, "bc")``. A greedy learner should not go below .3; a policy that was made from
        the logger's own probabilities needs none.
    harm : mapping from a cost of the log to a share, optional
        Actions that were followed at once by that cost in at least that share of the times they were logged in an
        observation are forbidden there, to the fallback too, as long as another action is left. Only where
        observations can be counted.
    ranges : mapping from a feature to (low, high), optional
        The possible values of a feature. Otherwise those logged, and `range_margin` times their width on either side.
    range_margin : float
        At least 0.
    last_resort : int, optional
        The action where nothing else is left; then the others follow, the most often logged first. By default the
        fallback's where that is one action, else the most often logged.
    limits : sequence of Limit
        How often the guard may intervene; beyond that it is suspended, and the fallback acts until
        ``guarded.monitor.reset()``.
    name : str, optional

    Returns
    -------
    GuardedPolicy
        Its ``guard.notes`` say what was fitted.

    Raises
    ------
    InputError
        For logs of other actions or observations, a policy or a fallback over other actions, a fallback that no bundle
        can hold, or a value that is not valid.
    """
    _check(log, calibration, policy, false_alarms, min_count, min_share, range_margin)
    assert log.n_actions is not None
    counted = _is_counted(log)
    if not counted and (harm or min_count != 1):
        raise InputError(
            "guard: min_count and harm count what was logged in an observation, and these are measured: none occurs "
            "often enough. Leave them out, and say what must not happen by rules."
        )
    schema = _schema(log, ranges or {}, range_margin)
    limits = _limits(limits)
    ready = tuple(_rule(rule).resolved(log.n_actions, log.action_labels) for rule in rules)
    book = Rules(ready, schema.names, log.n_actions)
    novelty, facts, note = (fit_counted if counted else fit_measured)(log, calibration, schema, false_alarms)
    tables: dict[str, NDArray[np.bool_] | None] = {"supported": None, "harmless": None}
    counts = None
    if isinstance(novelty, Counted):
        counts = _counts(novelty, schema, log, calibration)
        tables = _tables(novelty, schema, (log, calibration), counts, min_count, min_share, harm or {})
    acting = _fallback(fallback, log, novelty, counts)
    if not counted and min_share > 0.0 and isinstance(acting, ConstantPolicy):
        raise InputError(
            "min_share: these observations are measured, so that a cloned policy must say which actions are usual, and "
            'the fallback is one action. Pass fallback=gs.train(log, "bc"), or leave min_share out.'
        )
    guarded = GuardedPolicy(
        policy,
        Guard(
            schema=schema,
            novelty=novelty,
            rules=book,
            ranking=_ranking(last_resort, acting, log),
            limits=limits,
            likeness=0.0 if counted else float(min_share),
            notes=(note,),
            calibration=facts,
            **tables,
        ),
        acting,
        name=name,
    )
    guarded.training = _record(guarded, (log, calibration), seconds=0.0)
    return guarded


def _is_counted(log: Dataset) -> bool:
    return is_discrete(log.observations)


def _schema(log: Dataset, ranges: Mapping[str, tuple[float, float]], margin: float) -> Schema:
    shape = log.observations.shape[1:]
    width = int(np.prod(shape))
    if log.features is not None:
        names = tuple(feature.name for feature in log.features)
        blanks = np.array([feature.impute is not None for feature in log.features])
    else:
        names = tuple(f"x{index}" for index in range(width)) if shape else ("state",)
        blanks = np.zeros(width, np.bool_)
    for name in ranges:
        if name not in names:
            raise InputError(
                f"ranges: {name!r} is no feature.{suggest(name, names)} They are: {', '.join(names[:20])}."
            )
    flat = log.observations.reshape(log.n_steps, width).astype(np.float64)
    filled = np.where(np.isnan(flat), np.inf, flat)
    low, high = filled.min(axis=0), np.where(np.isnan(flat), -np.inf, flat).max(axis=0)
    nothing = ~np.isfinite(low)  # blank throughout: no value is known
    low, high = np.where(nothing, 0.0, low), np.where(nothing, 0.0, high)
    if shape:
        reach = margin * (high - low)
        low, high = low - reach, high + reach
    else:
        low, high = np.zeros(1), np.full(1, float(np.iinfo(np.int64).max))
    for name, bounds in ranges.items():
        low[names.index(name)], high[names.index(name)] = _pair(name, bounds)
    return Schema(shape, log.observations.dtype.name, names, low, high, blanks)


def _counts(novelty: Counted, schema: Schema, *logs: Dataset) -> NDArray[np.int64]:
    """Return how often each action was logged in each known observation, (U, n_actions)."""
    n_actions = logs[0].n_actions or 0
    everywhere = dataclasses.replace(novelty, least=1)
    counts = np.zeros((len(novelty.observations), n_actions), np.int64)
    for log in logs:
        np.add.at(counts, (everywhere.locate(schema.read(log.observations)), log.actions), 1)
    return counts


def _tables(
    novelty: Counted,
    schema: Schema,
    logs: tuple[Dataset, ...],
    counts: NDArray[np.int64],
    min_count: int,
    min_share: float,
    harm: Mapping[str, float],
) -> dict[str, NDArray[np.bool_] | None]:
    """Return which actions are supported, and which were not followed by harm, in each known observation."""
    most = counts.max(axis=1, keepdims=True)
    supported = ((counts >= min_count) & (counts >= min_share * most)) | (counts == most)
    if not harm:
        return {"supported": supported, "harmless": None}
    everywhere = dataclasses.replace(novelty, least=1)
    harmless = np.ones(counts.shape, np.bool_)
    for name, share in harm.items():
        limit = _share(share, f"harm of {name!r}")
        harmed = np.zeros(counts.shape, np.int64)
        for log in logs:
            if name not in log.costs:
                have = ", ".join(map(repr, log.costs)) or "none"
                raise InputError(f"harm: the log has no cost {name!r} (it has: {have}).{suggest(name, log.costs)}")
            np.add.at(harmed, (everywhere.locate(schema.read(log.observations)), log.actions), log.costs[name] > 0)
        harmless &= (harmed == 0) | (harmed < limit * counts)
    return {"supported": supported, "harmless": harmless}


def _fallback(fallback: Any, log: Dataset, novelty: Counted | Measured, counts: NDArray[np.int64] | None) -> Policy:
    assert log.n_actions is not None
    if isinstance(fallback, str):
        if fallback != "logged":
            raise InputError(f'fallback {fallback!r}: expected a policy, an action, or "logged".')
        if counts is None or not isinstance(novelty, Counted):
            raise InputError(
                'fallback "logged" counts what was logged in an observation, and these are measured. Pass an action, '
                'or a policy that a bundle can hold, such as gs.train(log, "bc").'
            )
        return CountedPolicy.as_logged(novelty.observations, counts)
    if isinstance(fallback, int | np.integer) and not isinstance(fallback, bool):
        labels = log.action_labels
        label = labels[fallback] if labels is not None and 0 <= fallback < len(labels) else None
        return ConstantPolicy(int(fallback), log.n_actions, None if label is None else f"always {label}")
    require_actions(fallback, log.n_actions, "the log")
    if not hasattr(fallback, "describe"):
        raise InputError(f"fallback: a {type(fallback).__name__} cannot be written to a bundle. Pass a policy of ours.")
    fallback.describe()  # raises for what wraps code
    found: Policy = fallback
    return found


def _ranking(last_resort: int | None, fallback: Policy, log: Dataset) -> NDArray[np.int64]:
    assert log.n_actions is not None
    ranked = np.argsort(-np.bincount(log.actions, minlength=log.n_actions), kind="stable")
    if last_resort is None and isinstance(fallback, ConstantPolicy):
        last_resort = fallback.action
    if last_resort is None:
        return ranked
    first = ConstantPolicy(last_resort, log.n_actions).action
    return np.concatenate([[first], ranked[ranked != first]])


def _record(guarded: GuardedPolicy, logs: tuple[Dataset, ...], *, seconds: float) -> TrainingRecord:
    """Return the record of the episodes that guard and fallback saw, those of the policy's own record aside.

    A copy counted twice would look like more than chance explains.
    """
    known = {hash_ for record in training_records(guarded.policy) for hash_ in record.episode_hashes}
    episodes: dict[str, str] = {}
    for log in logs:
        contents = content_hashes_of(RawLog.of(log))
        for hash_, content in zip(log.episode_hashes.tolist(), contents.tolist(), strict=True):
            if hash_ not in known:
                episodes[hash_] = f"{content:016x}"
    for record in training_records(guarded.fallback):
        for hash_, content in zip(
            record.episode_hashes, record.content_hashes or ("",) * len(record.episode_hashes), strict=True
        ):
            if hash_ not in known:
                episodes.setdefault(hash_, content)
    return TrainingRecord(
        algorithm="guard",
        config={"calibration": dict(guarded.guard.calibration)},
        steps=0,
        seed=0,
        seconds=seconds,
        compile_seconds=0.0,
        device="cpu",
        versions={"numpy": np.__version__},
        fingerprint=logs[0].fingerprint,
        episode_hashes=tuple(episodes),
        curves={},
        notes=guarded.guard.notes,
        content_hashes=tuple(content for content in episodes.values() if content),
    )


def _check(
    log: Dataset, calibration: Dataset, policy: Any, rate: Any, min_count: Any, min_share: Any, margin: Any
) -> None:
    for one, what in ((log, "log"), (calibration, "calibration")):
        if not isinstance(one, Dataset):
            raise InputError(f"{what}: expected a Dataset, got {type(one).__name__}.")
    require_actions(policy, log.n_actions, "the log")
    require_actions(policy, calibration.n_actions, "the calibration log")
    if log.observations.ndim != calibration.observations.ndim or (
        log.observations.shape[1:] != calibration.observations.shape[1:]
    ):
        raise InputError(
            f"calibration: observations have shape {calibration.observations.shape[1:]}, those of the log "
            f"{log.observations.shape[1:]}. Pass another part of the same log."
        )
    shared = np.isin(calibration.episode_hashes, log.episode_hashes)
    studied = [hash_ for record in training_records(policy) for hash_ in record.episode_hashes]
    shared |= np.isin(calibration.episode_hashes, studied)
    if shared.any():
        raise InputError(
            f"calibration: {int(shared.sum()):,} of {calibration.n_episodes:,} episodes were fitted or trained on, and "
            "nothing looks novel there. Pass the selection part of gs.split."
        )
    if not 0.0 < _number(rate, "false_alarms") < 1.0:
        raise InputError(f"false_alarms is {rate!r}, expected a share above 0 and below 1.")
    if isinstance(min_count, bool) or not isinstance(min_count, int | np.integer) or min_count < 1:
        raise InputError(f"min_count is {min_count!r}, expected a whole number of at least 1.")
    _share(min_share, "min_share")
    if not 0.0 <= _number(margin, "range_margin") < math.inf:
        raise InputError(f"range_margin is {margin!r}, expected a number of at least 0.")


def _rule(rule: Any) -> Rule:
    if not isinstance(rule, Rule):
        raise InputError(f'rules: expected gs.Rule, such as gs.Rule("x0 < 54", forbid=[1]), got {rule!r}.')
    return rule


def _limits(limits: Any) -> tuple[Limit, ...]:
    given = (limits,) if isinstance(limits, Limit) else tuple(limits)
    for limit in given:
        if not isinstance(limit, Limit):
            raise InputError(f"limits: expected gs.Limit(rate, window), got {limit!r}.")
    return given


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or math.isnan(float(value)):
        raise InputError(f"{name} is {value!r}, expected a number.")
    return float(value)


def _share(value: Any, name: str) -> float:
    number = _number(value, name)
    if not 0.0 <= number <= 1.0:
        raise InputError(f"{name} is {value!r}, expected a share from 0 to 1.")
    return number


def _pair(name: str, bounds: Any) -> tuple[float, float]:
    try:
        low, high = bounds
    except (TypeError, ValueError):
        raise InputError(f"ranges: {name!r} is {bounds!r}, expected (low, high).") from None
    return _number(low, f"ranges: low of {name!r}"), _number(high, f"ranges: high of {name!r}")
