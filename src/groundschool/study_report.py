"""From what a study found to what its report shows."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundschool.config import StudyConfig
from groundschool.data import Dataset
from groundschool.data.coverage import coverage
from groundschool.evaluation import clopper_pearson, mean_t
from groundschool.machine import threads, versions
from groundschool.policies import GreedyPolicy, NetworkPolicy, Policy
from groundschool.policies.reweighted import ReweightedPolicy
from groundschool.report.facts import LogFacts, Outcome, PolicyFacts, ReportData
from groundschool.safety.identity import fingerprint
from groundschool.stages import Judgement, References, World

if TYPE_CHECKING:
    from groundschool.data.check import Findings
    from groundschool.evaluation.answers import Answers
    from groundschool.policies.record import TrainingRecord

_NOTES = (
    "Mismatch is measured on the log that the candidates learned from, as in the tutorial: a policy that learned the "
    "log's chance majorities can fall a little below the floor of the best deterministic policy, an expectation.",
    "Intervals of rollouts hold one by one; no policy was selected by them.",
)
_GRID_ACTIONS = ("+y", "+x", "-y", "-x")


def report_data(
    config: StudyConfig,
    world: World,
    checked: Findings,
    policies: Mapping[str, Policy],
    judgements: Mapping[str, Judgement],
    references: References,
    answers: Mapping[str, Answers],
    not_evaluated: str = "",
    outcome: Outcome | None = None,
    *,
    timings: Mapping[str, float],
    command: str,
) -> ReportData:
    """Return everything the report shows; `not_evaluated` says why there are no answers, where there should be some."""
    records = [record for policy in policies.values() if (record := _record(policy)) is not None]
    return ReportData(
        title=config.report.title or config.name,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        command=command,
        log=_log_facts(config, world, checked),
        policies=_rows(config, world, policies, judgements, references, answers),
        timings=dict(timings),
        config=config.resolved(),
        versions=versions(),
        device=", ".join(dict.fromkeys(record.device for record in records)) or config.device,
        threads=threads(),
        seeds=seeds(config),
        fingerprints={"log": world.log.fingerprint, "holdout": world.holdout.fingerprint}
        | ({} if world.gated is None else {"gate": world.gated.fingerprint})
        | ({} if world.baseline is None else {"baseline": fingerprint(world.baseline)}),
        outcome=outcome,
        grid=getattr(world.env.unwrapped, "layout", None) if world.env is not None else None,
        environment=_environment(config),
        diagnosed_on=_diagnosed_on(config, world),
        evaluated_on=_evaluated_on(config, world),
        notes=_NOTES + ((f"Not evaluated offline: {not_evaluated}",) if not_evaluated else ()),
    )


def evaluation_data(
    log: Dataset, policy: Policy, found: Answers, inputs: Mapping[str, Any], *, command: str
) -> ReportData:
    """Return what a page about one policy and one log shows: the log, and the off-policy evaluation."""
    name = found.logged[0].policy
    network = policy if isinstance(policy, NetworkPolicy) else None
    confidence = found.logged[0].confidence
    ends = np.where(log.terminated[log.starts[1:] - 1], "terminated", "truncated")
    propensities = "with" if log.propensities is not None else "without"
    return ReportData(
        title=f"{name}, judged from a log",
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        command=command,
        log=LogFacts(
            behavior=f"The log was given, {propensities} the propensity of each action.",
            action_names=log.action_labels or (),
            notes=tuple(log.notes),
            **_outcomes(log, ends, list(dict.fromkeys(ends.tolist())), confidence),
        ),
        policies=(
            PolicyFacts(
                name,
                policy=policy,
                offline=found,
                training=_record(policy),
                encoding="" if network is None else network.encoder.describe(),
            ),
        ),
        timings={},
        config=dict(inputs),
        versions=versions(),
        device="cpu",
        threads=threads(),
        seeds={"evaluation": int(inputs["seed"])},
        fingerprints={"log": log.fingerprint},
        question="What would this policy do, as far as this log of another can tell?",
        evaluated_on=f"the {log.n_episodes:,} episodes of this log",
    )


def _log_facts(config: StudyConfig, world: World, checked: Findings) -> LogFacts:
    log, confidence = world.log, 0.95 if config.rollouts is None else config.rollouts.confidence
    known = list(getattr(world.env.unwrapped, "end_names", ())) if world.env is not None and world.logger else []
    ends = list(dict.fromkeys([*known, *(str(end) for end in np.unique(world.ends))]))
    grid = world.env is not None and hasattr(world.env.unwrapped, "layout")
    return LogFacts(
        behavior=_behavior(config, world),
        parts=_parts(config, world),
        action_names=_GRID_ACTIONS if grid else log.action_labels or (),
        notes=tuple(dict.fromkeys([*log.notes, *world.train.notes])),
        findings=checked.findings,
        checks=checked.ran,
        false_alarm=checked.false_alarm,
        coverage=coverage(world.raw),
        **_outcomes(log, world.ends, ends, confidence, dropped=world.train.transitions().dropped),
    )


def _parts(config: StudyConfig, world: World) -> dict[str, int]:
    fresh = "" if config.data is not None else "fresh "
    found = {"train": world.train.n_episodes}
    if world.gated is None:
        return found | {f"{fresh}holdout": world.holdout.n_episodes}
    return found | {f"{fresh}selection": world.holdout.n_episodes, f"{fresh}gate": world.gated.n_episodes}


def _outcomes(
    log: Dataset, ended: NDArray[np.str_], ends: Sequence[str], confidence: float, dropped: int = 0
) -> dict[str, Any]:
    """Return what was observed in a log, as `LogFacts` names it."""
    sums, n = {name: log.cost_sums(name) for name in log.costs}, log.n_episodes
    return {
        "dataset": log,
        "return_": mean_t(log.returns, confidence),
        "return_std": float(np.std(log.returns, ddof=1)) if n > 1 else 0.0,
        "length_mean": float(np.mean(log.lengths)),
        "costs": {name: mean_t(cost, confidence, bounds=(0.0, np.inf)) for name, cost in sums.items()},
        "probabilities": {name: clopper_pearson(int((cost > 0).sum()), n, confidence) for name, cost in sums.items()},
        "end_rates": {end: clopper_pearson(int((ended == end).sum()), n, confidence) for end in ends},
        "action_counts": tuple(int(count) for count in np.bincount(log.actions, minlength=log.n_actions or 0)),
        "dropped_transitions": dropped,
    }


def _rows(
    config: StudyConfig,
    world: World,
    policies: Mapping[str, Policy],
    judgements: Mapping[str, Judgement],
    references: References,
    answers: Mapping[str, Answers],
) -> tuple[PolicyFacts, ...]:
    """Return the logger, what was learned, and what is known to be possible."""
    rows: list[PolicyFacts] = []
    if references.logger is not None and config.logging is not None:
        name = f"Logger (ε = {config.logging.epsilon:g})"
        rows.append(_facts(name, references.logger, world.logger, role="logger", color=0))
    mapped = config.report.maps if config.report.maps is not None else tuple(policies)[:2]
    for color, (name, policy) in enumerate(policies.items(), start=1):
        offline = answers.get(name)
        rows.append(_facts(name, judgements[name], policy, color=color, mapped=name in mapped, offline=offline))
    if references.noiseless is not None:
        note = "The logger without its random actions: what a perfect clone of its intentions would do."
        exact = references.noiseless
        rows.append(PolicyFacts("Logger (ε = 0)", role="logger", color=len(policies) + 1, exact=exact, notes=(note,)))
    if references.optimum is not None:
        note = "The best that anybody can do, planned on the exact model; nobody learned it from the log."
        exact = references.optimum
        rows.append(PolicyFacts("Optimum", role="optimum", color=len(policies) + 2, exact=exact, notes=(note,)))
    return tuple(rows)


def _facts(name: str, judged: Judgement, policy: Policy | None, **more: Any) -> PolicyFacts:
    network = policy if isinstance(policy, NetworkPolicy) else None
    record = _record(policy)
    notes: tuple[str, ...] = () if record is None else tuple(record.notes)
    if isinstance(policy, GreedyPolicy):
        notes = (f"The most probable action of {policy.policy.name}, always: another policy with its own judgement.",)
    return PolicyFacts(
        name=name,
        policy=policy,
        rollout=judged.rollout,
        exact=judged.exact,
        mismatch=judged.mismatch,
        sanity=judged.sanity,
        calibration=judged.calibration,
        training=record,
        encoding="" if network is None else network.encoder.describe(),
        notes=notes,
        **more,
    )


def _record(policy: Policy | None) -> TrainingRecord | None:
    """Return the record of the run that made a policy: of a network, or of one that was made at once."""
    return policy.training if isinstance(policy, NetworkPolicy | ReweightedPolicy) else None


def _behavior(config: StudyConfig, world: World) -> str:
    if config.logging is None:
        return "Unknown: the log was given" + (
            ", with the propensity of each action." if world.log.propensities is not None else ", without propensities."
        )
    return (
        f"The environment's own logger, which moves toward its aim and takes a uniformly random action with "
        f"probability {config.logging.epsilon:g}; the propensity of every action is logged."
    )


def _environment(config: StudyConfig) -> str:
    if config.environment is None:
        return ""
    options = ", ".join(f"{key} {value}" for key, value in config.environment.options.items())
    return f"{config.environment.id}" + (f" ({options})." if options else ".")


def _diagnosed_on(config: StudyConfig, world: World) -> str:
    source = "held out of it" if config.data is not None else "logged afresh with another seed"
    return (
        f"the whole log (mismatch) and on {world.holdout.n_episodes:,} episodes {source}, "
        "which no candidate was trained on (calibration)"
    )


def _evaluated_on(config: StudyConfig, world: World) -> str:
    source = "held out of the log" if config.data is not None else "logged afresh with another seed"
    return f"{world.holdout.n_episodes:,} episodes {source}, which no candidate was trained on"


def seeds(config: StudyConfig) -> dict[str, int]:
    """Return every seed of a study by what it belongs to."""
    assert config.holdout is not None
    named = {} if config.logging is None else {"log": config.logging.seed}
    named["holdout"] = config.holdout.seed
    named |= {f"train {c.name}": config.seed if c.seed is None else c.seed for c in config.candidates}
    if config.gate is not None:
        named["gate"] = config.gate.seed
    if config.evaluation.enabled:
        named["evaluation"] = config.evaluation.seed
    if config.rollouts is not None:
        named["rollouts"] = config.rollouts.seed
    return {**named, "mismatch": config.mismatch.seed}
