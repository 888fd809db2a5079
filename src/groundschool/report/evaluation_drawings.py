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
            yield from _pictures_of_support(at, found, policy.color)


def _drawn(found: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what would be drawn twice: the sum of a cost that no episode has more than once."""
    return {**found, "questions": [question for question in found["questions"] if not question["repeats"]]}


def _pictures_of_support(at: int, found: Mapping[str, Any], color: int) -> Iterator[Picture]:
    if found["weights"] is not None and found["weights"].get("by_step"):
        weights = found["weights"]
        alt = (
            f"Mean weight of an episode by step: {number(weights['mean'])} at the end, expected 1. "
            f"{number(weights['ess'], 1)} effective episodes; the largest share of one is "
            f"{percent(weights['largest_share'], 0)}."
        )
        caption = (
            "An episode weighs as much more as this policy would rather have done what was done in it. Under right "
            "propensities the mean is 1 at every step (line), within twice its standard error (band). The methods that "
            "weigh whole episodes stand on few of them where the effective number is small; the marginal one weighs "
            "single steps."
        )
        figure = support_figures.weights_by_step(weights, color=color)
        yield Picture(f"weights_{at}", f"offline-{at}", figure, alt, caption)


def _overview(shown: Sequence[tuple[str, Any, Mapping[str, Any]]]) -> Picture:
    told = "; ".join(f"{name}: {_told(found)}" for name, _, found in shown)
    caption = (
        "Each policy’s chosen estimate with its two-sided interval, in the color that it has in the whole report; "
        f"black is the logger in the same episodes. {_HOW}"
    )
    return Picture("estimates", "offline", evaluation_figures.by_policy(shown), told, caption)


def _methods(name: str, at: int, found: Mapping[str, Any], color: int) -> Picture:
    figure = evaluation_figures.by_method(name, found["questions"], look(color))
    told = "; ".join(f"{q['words']}: {_answers(q['estimates'])}" for q in found["questions"])
    caption = f"The first row of each panel is what the logger did; the second is the method that was chosen. {_HOW}"
    return Picture(f"estimates_{at}", f"offline-{at}", figure, told, caption)


_HOW = (
    "Hollow gray marks are not trusted: the dashed line is the interval that the method claims, the thin one what may "
    "be relied on. An arrow is an end that the picture or the data do not reach."
)


def _told(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{q['words']} {_answers([q['main']])}" for q in found["questions"])


def _answers(estimates: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{one['name']} {interval(one)}, {bound(one)}" if one["trusted"] else f"{one['name']} not trusted"
        for one in estimates
    )
