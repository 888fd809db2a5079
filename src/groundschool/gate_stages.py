"""The stages of a study that decide: who is taken to the gate, behind which guard, and what is found there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from groundschool.config import StudyConfig
from groundschool.errors import InputError
from groundschool.evaluation.units import parted
from groundschool.report.facts import Represented
from groundschool.stages import World

if TYPE_CHECKING:
    from groundschool.data import Dataset
    from groundschool.evaluation.estimate import Estimate
    from groundschool.policies import Policy
    from groundschool.safety.criteria import Criteria
    from groundschool.safety.ranking import Standing
    from groundschool.safety.verdict import Verdict

CERTIFIED_SHARE = 1.0 / 3.0  # of the training part is studied, the rest shows it


def criteria_of(config: StudyConfig, world: World) -> Criteria:
    """Return what the chosen policy must show."""
    from groundschool.safety.constraints import Constraint
    from groundschool.safety.criteria import Criteria

    asked = config.gate
    assert asked is not None
    limits = tuple(Constraint(one.name, kind=one.kind, limit=one.limit) for one in asked.constraints)
    baseline: Any = None if asked.baseline == "none" else asked.baseline
    if asked.bundle is not None:
        baseline = world.baseline
    return Criteria(limits, baseline, asked.margin, asked.confidence, asked.assurance, asked.discount)


def check_gate(world: World, config: StudyConfig) -> None:
    """Raise `InputError` where the gate asks what this log cannot be asked."""
    if config.gate is None:
        return
    from groundschool.safety.gate import require_answerable

    assert world.gated is not None
    try:
        require_answerable(world.gated, criteria_of(config, world))
        if world.baseline is not None:
            _check_baseline(world.baseline, world.gated)
        if config.gate.certify:
            require_answerable(world.gated, certifiable_criteria(config, world))
            require_answerable(world.train, certifiable_criteria(config, world))
            if world.train.propensities is None:
                raise InputError(
                    "certify = true needs the propensities of the logged actions, and this log has none: without them "
                    "nothing is finite-sample. Leave it out."
                )
            shown_on = world.train.select(parted(world.train, 1.0 - CERTIFIED_SHARE, config.gate.seed))
            if world.baseline is not None:
                _check_baseline(world.baseline, shown_on)
    except InputError as error:
        raise InputError(f"gate: {error}") from None


def _check_baseline(policy: Policy, episodes: Dataset) -> None:
    """Raise `InputError` where a saved policy cannot be the baseline on some episodes; no outcome is looked at."""
    from groundschool.evaluation._checks import checked_probabilities, require_actions
    from groundschool.safety.gate import require_unstudied

    try:
        require_actions(policy, episodes.n_actions, "the log")
        assert episodes.n_actions is not None
        checked_probabilities(policy, episodes.observations, episodes.action_masks, episodes.n_actions)
        require_unstudied(episodes, policy)
    except InputError as error:
        raise InputError(f"baseline: {error}") from None


def choose(policies: Mapping[str, Policy], world: World, config: StudyConfig) -> tuple[Standing, ...]:
    """Order the candidates on the held-out episodes that the gate leaves to it, the logger among them."""
    from groundschool.safety.comparison import compare

    asked, criteria = config.gate, criteria_of(config, world)
    assert asked is not None
    return compare(
        world.holdout,
        policies,
        constraints=criteria.constraints,
        confidence=asked.confidence,
        discount=asked.discount,
        seed=asked.seed,
    )


def put_behind_guard(chosen: str, policies: Mapping[str, Policy], world: World, config: StudyConfig) -> Policy:
    """Return the whole that is judged and shipped: the policy that stood best, behind its guard."""
    from groundschool.policies.rules import Rule
    from groundschool.safety.guard import guard

    asked = config.guard
    if asked is None or not asked.enabled:
        return policies[chosen]
    clones = [one.name for one in config.candidates if one.algorithm == "bc"]
    fallback: Any = policies[clones[0]] if asked.fallback == "clone" else asked.fallback
    return guard(
        world.train,
        world.holdout,
        policies[chosen],
        fallback=fallback,
        rules=[Rule(one.when, forbid=one.forbid, fallback=one.fallback, name=one.name) for one in asked.rules],
        false_alarms=asked.false_alarms,
        min_count=asked.min_count,
        min_share=asked.min_share,
        harm=asked.harm,
        name=f"{chosen}, guarded",
    )


def guard_in_words(policy: Policy, world: World) -> tuple[str, ...]:
    """Say what a guard does, and how often it would have stepped in on the episodes that judged it."""
    from groundschool.policies.guarded import GuardedPolicy

    if not isinstance(policy, GuardedPolicy):
        return ()
    assert world.gated is not None
    return (*policy.guard.describe(), str(policy.interventions(world.gated)))


def check_guard(world: World, config: StudyConfig) -> None:
    """Raise `InputError` where the guard cannot be put before any policy on this log: found before training."""
    if config.guard is None or not config.guard.enabled:
        return
    from groundschool.policies.constant import ConstantPolicy

    assert world.train.n_actions is not None
    stand_in = ConstantPolicy(0, world.train.n_actions)
    try:
        put_behind_guard("it", {one.name: stand_in for one in config.candidates} | {"it": stand_in}, world, config)
    except InputError as error:
        raise InputError(f"guard: {str(error).removeprefix('guard: ')}") from None


def check_groups(world: World, config: StudyConfig) -> None:
    """Raise `InputError` where a declared group cannot be told from this log's observations."""
    if config.report.groups is None:
        return
    from groundschool.safety.representation import require_groups

    try:
        require_groups(world.train, config.report.groups)
    except InputError as error:
        raise InputError(f"report.groups: {error}") from None


def represent(policy: Policy, world: World, config: StudyConfig) -> Represented:
    """Say who is among the judged episodes, and where they have hardly been."""
    from groundschool.evaluation.rarity import rarity
    from groundschool.safety.representation import groupings

    assert world.gated is not None
    assert config.gate is not None
    declared = config.report.groups or ()
    found = groupings(world.train, world.gated, policy, declared, criteria_of(config, world), seed=config.gate.seed)
    own = None if world.gated.groups is None else len(set(world.gated.groups.tolist()))
    return Represented(found, own, rarity(world.train, world.gated, policy))


def open_gate(policy: Policy, world: World, config: StudyConfig) -> Verdict:
    """Judge one policy on the episodes that nothing else looked at."""
    from groundschool.safety.gate import judge as judge_at_gate

    assert world.gated is not None
    assert config.gate is not None
    return judge_at_gate(world.gated, policy, criteria_of(config, world), seed=config.gate.seed)


@dataclasses.dataclass(frozen=True, eq=False)
class Certified:
    """A policy made to be certified from the training part alone, and what can be shown of it.

    Attributes
    ----------
    policy : Policy
    studied : int
        Episodes that it was made from.
    verdict : Verdict
        On the others, by finite-sample bounds.
    promised : mapping of str to Estimate, or empty
        By question: the same kind of bounds on what was taken to the gate, on the episodes that judged it. They were
        made after the verdict, and change nothing about it.
    """

    policy: Policy
    studied: int
    verdict: Verdict
    promised: Mapping[str, Estimate]


def certify(chosen: Policy | None, world: World, config: StudyConfig) -> Certified:
    """Make a policy from a third of the training part, and judge it on the rest by finite-sample bounds."""
    from groundschool.safety.cautious import Pruned
    from groundschool.safety.gate import ask
    from groundschool.safety.gate import judge as judge_at_gate

    assert config.gate is not None
    criteria = certifiable_criteria(config, world)
    shown_on = parted(world.train, 1.0 - CERTIFIED_SHARE, config.gate.seed)
    studied, rest = world.train.select(~shown_on), world.train.select(shown_on)
    policy = Pruned(name="pruned")(studied, config.gate.seed)
    verdict = judge_at_gate(rest, policy, criteria, seed=config.gate.seed)
    assert world.gated is not None
    promised = {} if chosen is None else ask(world.gated, chosen, criteria, seed=config.gate.seed)
    return Certified(policy, studied.n_episodes, verdict, promised)


def certifiable_criteria(config: StudyConfig, world: World) -> Criteria:
    """Return the gate's criteria with finite-sample bounds required."""
    return dataclasses.replace(criteria_of(config, world), assurance="finite-sample")
