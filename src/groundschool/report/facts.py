"""Everything a report shows, as plain frozen data; whoever runs the study fills it.

Statistics arrive finished (values with their intervals); the report only rounds, words and draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from groundschool.errors import InputError

if TYPE_CHECKING:
    from groundschool.data.checks.finding import Finding
    from groundschool.data.coverage import Coverage
    from groundschool.data.dataset import Dataset
    from groundschool.evaluation.answers import Answers
    from groundschool.evaluation.calibration import Calibration
    from groundschool.evaluation.disagreement import Disagreement
    from groundschool.evaluation.intervals import Interval
    from groundschool.evaluation.mismatch import Mismatch
    from groundschool.evaluation.rarity import Rarity
    from groundschool.evaluation.rollout import Rollout
    from groundschool.evaluation.sanity import QSanity
    from groundschool.evaluation.tabular import ExactValue
    from groundschool.policies.policy import Policy
    from groundschool.policies.record import TrainingRecord
    from groundschool.safety.ranking import Standing
    from groundschool.safety.representation import Grouping
    from groundschool.safety.verdict import Verdict

Role = Literal["logger", "learned", "optimum"]

QUESTION = "Can a policy learned from this log alone do better than the one that wrote it, and without more danger?"


@dataclass(frozen=True)
class LogFacts:
    """The log and what was observed in it.

    Parameters
    ----------
    dataset
        The whole log. Episodes, steps, horizon and fingerprint are read from it, and the figures drawn; no row of it
        and no episode id enters the page or its JSON.
    behavior
        One sentence: who wrote the log, as far as that is known.
    return_
        Mean return of the logged episodes, in reward units.
    return_std
        Standard deviation of the logged returns, in reward units.
    length_mean
        Mean episode length, in steps.
    costs, probabilities
        Per cost name: expected sum per episode, and probability of any cost in an episode.
    end_rates
        Per cause of an end (``goal``, ``hazard``, ``timeout``; or ``terminated``, ``truncated``): share of episodes.
    parts
        Episodes in each part of the split, in order, for example ``{"train": 300, "selection": 100, "holdout": 100}``.
    action_counts
        How often each action was logged, in order of the action's number; empty for continuous actions.
    action_names
        Words for the actions, in the same order; empty where there are none.
    dropped_transitions
        Rows the learners could not use as a TD target (truncated without a final observation).
    notes
        Anything a reader must know about the data, one sentence each.
    findings
        What the checks of the log found. Ids of episodes in them stay out of the report.
    checks
        Every check by name: empty where it ran, else why it does not apply to this log.
    false_alarm
        At most how likely it is that any check warns of a fault that the log does not have.
    coverage
        How well the log supports each action in each region of what it visited.
    """

    dataset: Dataset
    behavior: str
    return_: Interval
    return_std: float
    length_mean: float
    costs: Mapping[str, Interval] = field(default_factory=dict)
    probabilities: Mapping[str, Interval] = field(default_factory=dict)
    end_rates: Mapping[str, Interval] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    action_counts: tuple[int, ...] = ()
    action_names: tuple[str, ...] = ()
    dropped_transitions: int = 0
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    false_alarm: float | None = None
    coverage: Coverage | None = None


@dataclass(frozen=True)
class PolicyFacts:
    """One row of the comparison: a learned policy, the logger, or the optimum of a known model.

    Parameters
    ----------
    name
        The name shown everywhere, for example ``CQL`` or ``BC (greedy)``; unique in the report.
    role
        ``logger`` and ``optimum`` are references, ``learned`` is what the study is about.
    color
        Index into the report's colors (0 is black, kept for the logger; 1, 2, ... are Okabe-Ito hues).
    policy
        Draws the policy map; None leaves it out there.
    rollout, exact
        The controlled online phase, and the exact value where the model is known.
    offline
        What the held-out part of the log says of it, and of the logger there.
    mismatch, sanity, calibration
        Offline diagnostics.
    training
        The record of the training run, with its curves.
    encoding
        One sentence: how observations enter the network.
    mapped
        Whether the policy map shows this policy (two side by side read best).
    notes
        Anything a reader must know about this policy, one sentence each.
    """

    name: str
    role: Role = "learned"
    color: int = 1
    policy: Policy | None = None
    rollout: Rollout | None = None
    exact: ExactValue | None = None
    offline: Answers | None = None
    mismatch: Mismatch | None = None
    sanity: QSanity | None = None
    calibration: Calibration | None = None
    training: TrainingRecord | None = None
    encoding: str = ""
    mapped: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Represented:
    """Who is among the judged episodes.

    Parameters
    ----------
    groupings
        One a declaration; empty where nobody declared groups.
    own_groups
        How many of the log's own groups the judged episodes belong to; None where it names none.
    rarity
        Which regions of observations they hardly visited.
    """

    groupings: tuple[Grouping, ...]
    own_groups: int | None
    rarity: Rarity


@dataclass(frozen=True)
class Outcome:
    """What came of a gate.

    Parameters
    ----------
    standings
        The candidates in order, the logger among them, on the selection part.
    verdict
        On the one that stood best; None where that is the logger, so that nothing was taken to the gate.
    certified
        The policy that was made to be certified (``verdict``, ``studied`` and what is ``promised`` by the one that was
        taken to the gate); None where none was.
    guard
        What the guard does, and how often it would have stepped in, a sentence each; empty without one.
    departures
        Where what was taken to the gate departs most from the logger.
    represented
        Who is among the episodes that judged it.
    """

    standings: tuple[Standing, ...]
    verdict: Verdict | None
    certified: Any = None
    guard: tuple[str, ...] = ()
    departures: tuple[Disagreement, ...] = ()
    represented: Represented | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything one report shows.

    Parameters
    ----------
    title
        The study's name.
    created
        When the study ran, ISO 8601 with time zone.
    command
        The command or call that produced the run.
    log
        The data.
    policies
        The rows of the comparison, in order.
    timings
        Wall seconds per stage, in the order they ran.
    config
        The resolved configuration, JSON-ready, nested.
    versions
        Package versions by name.
    device
        The device training ran on, in words.
    threads
        Threads the numerics could use.
    seeds, fingerprints
        By what they belong to, for example ``{"data": 42}`` and ``{"log": "9f..."}``.
    question
        The question the study asked, one sentence.
    grid
        The map of a grid world (attributes ``size``, ``start``, ``goal``, ``hazards``, or ``layout`` holding them).
    environment
        One sentence about the environment of the rollouts; empty when there were none.
    diagnosed_on
        Which part of the log mismatch and calibration were measured on, in words.
    evaluated_on
        Which episodes the off-policy evaluation used, in words that follow "on": ``the 200 held-out episodes``.
    outcome
        What came of the gate, where there was one.
    notes
        Anything else a reader must know, one sentence each.

    Raises
    ------
    InputError
        If two policies share a name.
    """

    title: str
    created: str
    command: str
    log: LogFacts
    policies: tuple[PolicyFacts, ...]
    timings: Mapping[str, float]
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    device: str
    threads: int
    seeds: Mapping[str, int] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    question: str = QUESTION
    grid: Any = None
    environment: str = ""
    diagnosed_on: str = "the whole log"
    evaluated_on: str = "the held-out episodes"
    outcome: Outcome | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [policy.name for policy in self.policies]
        if len(set(names)) != len(names):
            raise InputError(f"policies: the names {names} are not unique. Give every row of the report its own name.")
