"""Forest plots of off-policy estimates: by method for one policy, and by policy for the method that was chosen."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from groundschool.errors import InputError
from groundschool.evaluation.answers import Answers
from groundschool.report.evaluation_reading import interval, reliable, value
from groundschool.report.evaluation_section import section
from groundschool.report.facts import PolicyFacts
from groundschool.report.style import INK, MUTED, WIDTH, Look, canvas, look, plain, rows, style
from groundschool.report.words import percent

if TYPE_CHECKING:
    from groundschool.evaluation.estimate import Estimate
    from groundschool.evaluation.rollout import Rollout
    from groundschool.evaluation.tabular import ExactValue

DOUBTED = "#8c959f"
_TALL = 40.0


class Row(NamedTuple):
    """One line of a forest plot: an estimate's JSON, its label, and what is known from elsewhere."""

    label: str
    look: Look
    estimate: Mapping[str, Any]
    exact: float | None = None
    rollout: Mapping[str, Any] | None = None


def estimates(
    found: Sequence[Estimate],
    logged: Sequence[Estimate] = (),
    *,
    exact: ExactValue | None = None,
    rollout: Rollout | None = None,
    color: int = 1,
) -> Figure:
    """Draw estimates of one policy with their intervals, a panel for each question.

    Parameters
    ----------
    found
        From `groundschool.evaluate`: any questions, any methods.
    logged
        The same questions by the method "logged", drawn first in each panel.
    exact, rollout
        What the policy truly does, where a model is known; and what rollouts showed.
    color
        Color index of the policy.

    Raises
    ------
    InputError
        If there is no estimate, or they are of several policies.
    """
    names = list(dict.fromkeys(one.policy for one in found))
    if len(names) != 1:
        raise InputError(f"estimates are of {len(names)} policies ({', '.join(names) or 'none given'}): draw one.")
    policy = PolicyFacts(
        names[0], color=color, exact=exact, rollout=rollout, offline=Answers(tuple(found), tuple(logged))
    )
    judged = section(policy)
    assert judged is not None
    return by_method(names[0], judged["questions"], look(color))


def by_method(policy: str, questions: Sequence[Mapping[str, Any]], chosen: Look) -> Figure:
    """Draw every method's answer to every question about one policy, from the report's JSON."""
    panels = []
    for question in questions:
        drawn = [] if question["logged"] is None else [Row(question["logged"]["name"], look(0), question["logged"])]
        first = question["estimates"][0]
        drawn += [
            Row(one["name"], chosen, one, question["exact"] if one is first else None,
                question["rollout"] if one is first else None)
            for one in question["estimates"]
        ]  # fmt: skip
        panels.append((question, drawn))
    return _forest(f"What would {plain(policy)} do, judged from the log alone?", panels)


def by_policy(policies: Sequence[tuple[str, Look, Mapping[str, Any]]]) -> Figure:
    """Draw the chosen estimate of every policy beside the logger, a panel for each question.

    Parameters
    ----------
    policies
        Name, look and the report's JSON of its evaluation.
    """
    asked = {question["of"]: question for _, _, judged in policies for question in judged["questions"]}
    panels = []
    for of, question in asked.items():
        drawn = [] if question["logged"] is None else [Row(question["logged"]["name"], look(0), question["logged"])]
        drawn += [
            Row(name, chosen, one["main"], one["exact"], one["rollout"])
            for name, chosen, judged in policies
            for one in judged["questions"]
            if one["of"] == of
        ]
        panels.append((question, drawn))
    return _forest("What would each policy do, judged from the log alone?", panels)


def _forest(title: str, panels: Sequence[tuple[Mapping[str, Any], Sequence[Row]]]) -> Figure:
    with style():
        heights = [0.55 + 0.46 * len(drawn) for _, drawn in panels]
        figure = canvas(title, WIDTH, min(1.0 + sum(heights), _TALL))
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel()
        for (question, drawn), panel in zip(panels, axes, strict=True):
            _panel(panel, question, drawn)
        _key(figure, [row for _, drawn in panels for row in drawn])
        return figure


def _panel(axes: Axes, question: Mapping[str, Any], drawn: Sequence[Row]) -> None:
    share = question["kind"] == "probability"
    scale = 100.0 if share else 1.0
    low, high = _limits(drawn, scale, share)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    for at, row in enumerate(drawn):
        _row(axes, at, row, scale)
        _figures(axes, at, row.estimate)
    rows(axes, [plain(row.label) for row in drawn])
    level = percent(drawn[0].estimate["confidence"], 0)
    axes.set_title(plain(textwrap.fill(question["title"], 46)))
    axes.set_xlabel(f"{'share of episodes (%)' if share else question['unit']}, with {level} intervals")
    if low < 0 < high and not share:
        axes.axvline(0, color=MUTED, lw=0.8, zorder=0.5)


def _row(axes: Axes, at: float, row: Row, scale: float) -> None:
    one, trusted = row.estimate, row.estimate["trusted"]
    color = row.look.color if trusted else DOUBTED
    if trusted:
        _span(axes, at, one["lower"], one["upper"], scale, color=color, lw=5.0, alpha=0.45, caps=0.18)
    else:
        _span(axes, at, one["lower"], one["upper"], scale, color=DOUBTED, lw=1.0, alpha=0.6, caps=0.0)
        claimed = one["claimed"]
        _span(axes, at, claimed["lower"], claimed["upper"], scale, color=DOUBTED, lw=1.8, ls=(0, (2, 1.6)), caps=0.13)
    if one["value"] is not None:
        face = color if trusted else "white"
        edge = "white" if trusted else DOUBTED
        low, high = axes.get_xlim()
        if low <= scale * one["value"] <= high:
            axes.plot(scale * one["value"], at, row.look.marker, color=face, ms=8, mec=edge, mew=1.4, zorder=4)
    if row.rollout is not None and row.exact is None:
        _span(axes, at + 0.3, row.rollout["lower"], row.rollout["upper"], scale, color=INK, lw=1.2, caps=0.0)
        axes.plot(scale * row.rollout["value"], at + 0.3, "|", color=INK, ms=7, mew=1.4, zorder=5)
    if row.exact is not None:
        axes.plot(scale * row.exact, at + 0.3, "d", color="white", mec=INK, mew=1.4, ms=7, zorder=5, clip_on=False)


def _span(
    axes: Axes, at: float, lower: float | None, upper: float | None, scale: float, *, caps: float, **line: Any
) -> None:
    """Draw an interval; an end that is not bounded, or outside the picture, is an arrow at its edge."""
    low, high = axes.get_xlim()
    ends = (-math.inf if lower is None else scale * lower, math.inf if upper is None else scale * upper)
    if ends[1] < low or ends[0] > high:
        return
    inside = (max(ends[0], low), min(ends[1], high))
    axes.plot(inside, (at, at), solid_capstyle="butt", zorder=2, **line)
    color = line["color"]
    for end, edge, marker in ((ends[0], low, "<"), (ends[1], high, ">")):
        if low <= end <= high:
            if caps:
                axes.vlines(end, at - caps, at + caps, color=color, lw=1.6)
        else:
            axes.plot(edge, at, marker, color=color, ms=5, zorder=3, clip_on=False)


def _figures(axes: Axes, at: float, one: Mapping[str, Any]) -> None:
    """Write the numbers and what they rest on beside a row."""
    if one["trusted"]:
        first, second = interval(one), one["assurance"]
    else:
        figure = "" if one["value"] is None else f"({value(one)})  "
        first, second = f"{figure}not trusted", f"rely on {reliable(one)}"
    below = axes.get_yaxis_transform()
    color = INK if one["trusted"] else MUTED
    axes.text(1.03, at - 0.02, plain(first), transform=below, va="bottom", fontsize=9.5, color=color)
    axes.text(1.03, at + 0.04, plain(second), transform=below, va="top", fontsize=8.5, color=MUTED)


def _limits(drawn: Sequence[Row], scale: float, share: bool) -> tuple[float, float]:
    """Return the ends of the axis: all that is trusted, and of what is not no more than as much again."""
    sure = [v for row in drawn if row.estimate["trusted"] for v in _ends(row.estimate, row.estimate)]
    sure += [row.exact for row in drawn if row.exact is not None]
    doubted = [v for row in drawn if not row.estimate["trusted"] for v in _ends(row.estimate, row.estimate["claimed"])]
    every = sure or doubted or [0.0]
    low, high = min(every), max(every)
    room = (high - low) or max(abs(high), 1.0)
    low, high = max(min([low, *doubted]), low - room), min(max([high, *doubted]), high + room)
    pad = 0.07 * ((high - low) or room)
    low, high = scale * (low - pad), scale * (high + pad)
    return (max(low, -2.0), min(high, 102.0)) if share else (low, high)


def _ends(one: Mapping[str, Any], bounds: Mapping[str, Any]) -> Iterable[float]:
    return (v for v in (one["value"], bounds["lower"], bounds["upper"]) if v is not None)


def _key(figure: Figure, drawn: Sequence[Row]) -> None:
    handles = [Line2D([], [], color=MUTED, lw=5, alpha=0.6, marker="o", ms=8, mec="white", label="estimate, interval")]
    if any(not row.estimate["trusted"] for row in drawn):
        handles.append(
            Line2D([], [], color=DOUBTED, lw=1.8, ls=(0, (2, 1.6)), marker="o", ms=8, mfc="white",
                   label="not trusted: what the method claims")
        )  # fmt: skip
    if any(row.exact is not None for row in drawn):
        handles.append(
            Line2D([], [], ls="", marker="d", color="white", mec=INK, mew=1.4, ms=7, label="exact value in the model")
        )
    if any(row.rollout is not None and row.exact is None for row in drawn):
        handles.append(Line2D([], [], color=INK, lw=1.2, marker="|", ms=7, mew=1.4, label="rollouts, interval"))
    figure.legend(handles=handles, loc="outside lower left", ncols=2, columnspacing=1.4, handlelength=3.0)
