"""What a campaign showed: a pure function of its plan and its episodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.bounds.running import running_bounds
from groundschool.evaluation.episode_costs import observed
from groundschool.evaluation.intervals import Interval, finite_or_none
from groundschool.safety.campaign.plan import Plan
from groundschool.safety.campaign.prediction import Comparison, compare
from groundschool.safety.stopping import Decision


@dataclass(frozen=True, eq=False)
class Campaign:
    """What rollouts that stop by a rule showed.

    Attributes
    ----------
    decision : "harm", "safe" or "undecided"
        "harm": the probability is above the limit. "safe": below it. "undecided": the cap was reached first.
    episodes, events, censored : int
        How many were run, how many had the cost, and how many were cut before it could be known.
    lower, upper : float
        Bounds on the probability, each alone at `confidence`, valid where the campaign stopped: what the decision
        rests on. Episodes that were cut count as without the cost in `lower`, as with it in `upper`.
    confidence : float
    interval : Interval
        Of the probability, two-sided at `confidence`, valid where the campaign stopped.
    return_ : Interval
        Of the mean return; ±inf where no range of returns was declared, as the mean is then only a description.
    reasons : tuple of str
        Why it ended so: whole sentences.
    notes : tuple of str
        What a reader must know beside.
    comparisons : tuple of Comparison
        Predictions beside what was seen: of the probability, and of the return.
    broken_off : tuple of int
        Episodes, counted from 0, that were begun and did not come to their end, and were run again.
    plan : Plan
    dataset : Dataset
        All episodes, with the propensities of the actions taken.
    """

    decision: Decision
    episodes: int
    events: int
    censored: int
    lower: float
    upper: float
    confidence: float
    interval: Interval
    return_: Interval
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    broken_off: tuple[int, ...]
    plan: Plan = field(repr=False)
    dataset: Dataset = field(repr=False)
    path: Path | None = field(repr=False, default=None)

    def __str__(self) -> str:
        """The decision and everything said about it, a line a sentence."""
        said = [*self.reasons, *(one.sentence for one in self.comparisons), *self.notes]
        return "\n".join([f"{self.decision.upper()}: {self.plan.constraint}.", *(f"- {line}" for line in said)])

    def to_json(self) -> dict[str, Any]:
        """Return everything but the rows, JSON-ready: None, its key present, for what is infinite."""
        return {
            "decision": self.decision,
            "episodes": self.episodes,
            "events": self.events,
            "censored": self.censored,
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
            "confidence": self.confidence,
            "interval": self.interval.to_json(),
            "return": self.return_.to_json(),
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "comparisons": [one.to_json() for one in self.comparisons],
            "broken_off": list(self.broken_off),
            "fingerprint": self.dataset.fingerprint,
            "plan_sha256": self.plan.sha256,
            "plan": self.plan.to_json(),
        }


def count(plan: Plan, log: Dataset) -> tuple[int, int]:
    """Return how many episodes certainly had the cost, and how many may have had it.

    An episode that was cut before the environment's time limit may have had it after the cut.
    """
    harmed = log.cost_sums(plan.constraint.name) > 0.0
    cut = log.truncated[log.starts[1:] - 1] & (log.lengths < (plan.horizon or 0))
    return int(harmed.sum()), int((harmed | cut).sum())


def began_with(plan: Plan, log: Dataset) -> int:
    """Return how many episodes began where the limited cost's expression held already: no action led there.

    0 where the cost is no expression, or one that asks for more than the observation.
    """
    expression = plan.expressions.get(plan.constraint.name)
    if expression is None:
        return 0
    first = [observed(log.observations[row], plan.feature_names) for row in log.starts[:-1]]
    if not set(expression.names) <= set(first[0]):
        return 0
    found = expression.evaluate({name: np.array([one[name] for one in first]) for name in expression.names})
    return int((np.broadcast_to(found, len(first)) > 0).sum())


def conclude(
    plan: Plan, log: Dataset, decision: Decision, broken_off: Sequence[int] = (), path: Path | None = None
) -> Campaign:
    """Return what the episodes of a campaign that has stopped show."""
    rule, n = plan.rule, log.n_episodes
    events, possible = count(plan, log)
    lower, upper = rule.bounds(events, possible, n, rule.tail)
    sided = rule.bounds(events, possible, n, rule.tail / 2.0)
    if rule.design == "sequential":
        method, assurance = "beta-binomial confidence sequence", "finite-sample"
    else:
        method, assurance = "Clopper-Pearson", "exact"
    interval = Interval(events / n, *sided, rule.confidence, method, assurance)
    seen_return, about_return = _mean_return(plan, log)
    what = f"the probability of any {plan.constraint.name} in an episode"
    seen = {
        one.of: (seen_return, "the mean return", "{:.4g}") if one.of == "return" else (interval, what, "{:.2%}")
        for one in plan.predicted
    }
    return Campaign(
        decision=decision,
        episodes=n,
        events=events,
        censored=possible - events,
        lower=lower,
        upper=upper,
        confidence=rule.confidence,
        interval=interval,
        return_=seen_return,
        reasons=_reasons(plan, decision, events, possible, n, lower, upper),
        notes=(about_return, *_notes(plan, log, possible - events, broken_off)),
        comparisons=tuple(compare(one, *seen[one.of], plan.horizon) for one in plan.predicted),
        broken_off=tuple(broken_off),
        plan=plan,
        dataset=log,
        path=path,
    )


def _mean_return(plan: Plan, log: Dataset) -> tuple[Interval, str]:
    mean, confidence = float(log.returns.mean()), plan.rule.confidence
    if plan.return_range is None:
        interval = Interval(mean, -math.inf, math.inf, confidence, "description", "heuristic")
        return interval, (
            f"The mean return of these episodes is {mean:.4g}. It is a description and has no interval: when the "
            "episodes stopped depended on what they showed, and no range of returns was declared."
        )
    low, high = plan.return_range
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    outside = int(((log.returns < low - slack) | (log.returns > high + slack)).sum())
    if outside:
        interval = Interval(mean, -math.inf, math.inf, confidence, "description", "heuristic")
        return interval, (
            f"{outside:,} of {log.n_episodes:,} episodes had a return outside the declared range "
            f"[{low:g}, {high:g}], so the mean return, {mean:.4g}, is only a description."
        )
    bounds = running_bounds(np.clip(log.returns, low, high), (1.0 - confidence) / 2.0, low=low, high=high)
    interval = Interval(mean, *bounds, confidence, "empirical-Bernstein confidence sequence", "finite-sample")
    return interval, (
        f"The mean return is {mean:.4g}, and lies between {bounds[0]:.4g} and {bounds[1]:.4g} at {confidence:.0%} "
        "confidence, whenever the episodes stopped."
    )


def _reasons(
    plan: Plan, decision: Decision, events: int, possible: int, n: int, lower: float, upper: float
) -> tuple[str, ...]:
    name, rule = plan.constraint.name, plan.rule
    limit, sure = f"{rule.limit:.4g}", f"{rule.confidence:.4g} confidence"
    counted = f"{events:,} of {n:,} {'episode' if n == 1 else 'episodes'} had {name}"
    if possible > events:
        counted += f", and {possible - events:,} more were cut before it could be known"
    if rule.design == "sequential":
        valid = "a bound that holds although it was looked at after every episode"
    else:
        valid = f"decided once, at {rule.max_episodes:,} episodes"
    if decision == "harm":
        said = [f"{counted}: its probability is above the limit of {limit} (at least {lower:.4g} at {sure}, {valid})."]
        if rule.design == "fixed" and n < rule.max_episodes:
            said.append(
                f"The {rule.max_episodes - n:,} episodes left of the {rule.max_episodes:,} planned were not run: "
                "whatever they had shown, the decision would have been the same."
            )
        said.append("The policy was stopped there; do not run it on without a change.")
        return tuple(said)
    if decision == "safe":
        return (f"{counted}: its probability is below the limit of {limit} (at most {upper:.4g} at {sure}, {valid}).",)
    said = [
        f"{counted}, and the cap is reached: its probability lies between {lower:.4g} and {upper:.4g} (each at {sure}, "
        f"{valid}), and the limit of {limit} is in between."
    ]
    further = rule.would_decide(events / n)
    if further is None:
        said.append("The rate seen is so near to the limit that no number of rollouts worth planning would decide.")
    else:
        said.append(
            f"If that rate is the true one, a new campaign of {further:,} episodes would decide in four of five cases."
        )
    return tuple(said)


def _notes(plan: Plan, log: Dataset, censored: int, broken_off: Sequence[int]) -> list[str]:
    notes = [
        "This holds for episodes that do not depend on one another, of this policy in this environment as both are; "
        "where either changes, count again."
    ]
    if censored:
        notes.append(
            f"{censored:,} episodes were cut before the time limit of {plan.horizon:,} steps: they count as harmful "
            "where safety is to be shown, as harmless where harm is."
        )
    if begun := began_with(plan, log):
        notes.append(
            f"{begun:,} of {log.n_episodes:,} episodes began with {plan.constraint.name}: that is no consequence of an "
            "action, and by itself is not counted."
        )
    if plan.horizon is None:
        notes.append(
            "The environment declares no time limit, so an episode that it cuts counts as a whole one: the claim is "
            "about episodes as this environment ends them."
        )
    if broken_off:
        many = len(broken_off)
        notes.append(
            f"{many} {'attempt at an episode' if many == 1 else 'attempts at episodes'} did not come to an end and "
            "began again from the same seed. What happened before is not counted; where the seed does not determine "
            "the environment, look at it."
        )
    if plan.policy["sha256"] is None:
        notes.append(
            "The policy wraps code, which has no fingerprint: that it stayed the same is known by its name only."
        )
    return notes
