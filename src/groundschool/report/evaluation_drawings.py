"""Which pictures of off-policy evaluation a report has, with their captions and alternative texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure

from groundschool.report import evaluation_figures, support_figures
from groundschool.report.evaluation_reading import bound, interval
from groundschool.report.evaluation_section import section
from groundschool.report.style import look
from groundschool.report.words import number, percent

if TYPE_CHECKING:
    from groundschool.report.facts import ReportData


class Picture(NamedTuple):
    """A figure of the section, as `groundschool.report.figures.Drawing` names its parts."""

    name: str
    section: str
    figure: Figure
    alt: str
    caption: str


def drawings(data: ReportData) -> Iterator[Picture]:
    """Yield one picture of all policies, then those of each."""
    judged = [(at, policy, section(policy)) for at, policy in enumerate(data.policies)]
    shown = [(policy.name, look(policy.color), _drawn(found)) for _, policy, found in judged if found is not None]
    if len(shown) > 1:
        yield _overview(shown)
    for at, policy, found in judged:
        if found is not None:
            yield _methods(policy.name, at, _drawn(found), policy.color)
            if found["support"] and found["support"].get("by_expected"):
                yield _support(at, found["support"]["by_expected"], policy.color)
            if found["weights"] and found["weights"].get("by_step"):
                yield _weights(at, found["weights"], policy.color)


def _drawn(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what would be drawn twice: the sum of a cost that no episode has more than once."""
    return {**found, "questions": [question for question in found["questions"] if not question["repeats"]]}


def _support(at: int, ranges: Sequence[Mapping[str, Any]], color: int) -> Picture:
    told = "; ".join(f"{support_figures.rows_of(one)} rows: {percent(one['share'])}" for one in ranges)
    alt = f"Bars of the policy’s steps by how many such rows the logger was expected to log. {told}."
    caption = (
        "Left is what the log hardly shows. What a policy does there up to twice as often as the logger, the logger’s "
        f"own average answers; what is beyond speaks against an estimate: {percent(ranges[0]['excess'])} of the "
        "policy’s steps, where less than one row was expected."
    )
    figure = support_figures.support_by_expected(ranges, color=color)
    return Picture(f"support_{at}", f"offline-{at}", figure, alt, caption)


def _weights(at: int, weights: Mapping[str, Any], color: int) -> Picture:
    alt = (
        f"Mean weight of an episode by step: {number(weights['mean'])} at the end, expected 1. "
        f"{number(weights['ess'], 1)} effective episodes; the largest share of one is "
        f"{percent(weights['largest_share'], 0)}."
    )
    caption = (
        "An episode weighs the more, the more this policy would rather have done what was done in it. Under right "
        "propensities the mean is 1 at every step, within twice its standard error (band). Methods that weigh whole "
        "episodes need many that weigh something; the marginal method weighs single steps, and can do without."
    )
    figure = support_figures.weights_by_step(weights, color=color)
    return Picture(f"weights_{at}", f"offline-{at}", figure, alt, caption)


def _overview(shown: Sequence[tuple[str, Any, Mapping[str, Any]]]) -> Picture:
    told = "; ".join(f"{name}: {_told(found)}" for name, _, found in shown)
    how = _how([question["main"] for _, _, found in shown for question in found["questions"]])
    caption = (
        "Each policy’s chosen estimate with its two-sided interval, in the color that it has in the whole report; "
        f"black is the logger in the same episodes.{how}"
    )
    return Picture("estimates", "offline", evaluation_figures.by_policy(shown), told, caption)


def _methods(name: str, at: int, found: Mapping[str, Any], color: int) -> Picture:
    figure = evaluation_figures.by_method(name, found["questions"], look(color))
    told = "; ".join(f"{q['words']}: {_answers(q['estimates'])}" for q in found["questions"])
    how = _how([one for question in found["questions"] for one in question["estimates"]])
    caption = f"The first row of each panel is what the logger did; the second is the method that was chosen.{how}"
    return Picture(f"estimates_{at}", f"offline-{at}", figure, told, caption)


def _how(estimates: Sequence[Mapping[str, Any]]) -> str:
    """Say how to read what is not trusted, where anything is not."""
    if all(one["trusted"] for one in estimates):
        return ""
    return (
        " Hollow gray marks are not trusted: the dashed line is the interval that the method claims, the thin one what "
        "may be relied on. An arrow is an end beyond the picture, or one that the data do not bound."
    )


def _told(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{q['words']} {_answers([q['main']])}" for q in found["questions"])


def _answers(estimates: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{one['name']} {interval(one)}, {bound(one)}" if one["trusted"] else f"{one['name']} not trusted"
        for one in estimates
    )
