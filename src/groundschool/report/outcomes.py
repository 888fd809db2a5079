"""What the log earned, and what policies earn and risk in rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from groundschool.errors import InputError
from groundschool.report.style import INK, MUTED, WIDTH, Look, canvas, looks, plain, rows, style

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset
    from groundschool.evaluation.intervals import Interval
    from groundschool.evaluation.rollout import Rollout
    from groundschool.evaluation.tabular import ExactValue

_FEW_VALUES = 12


def reward_counts(log: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Count the rewards of a log: by value where there are at most twelve, else in 40 equal bins (left edges)."""
    values, counts = np.unique(np.asarray(log.rewards, dtype=np.float64), return_counts=True)
    if len(values) <= _FEW_VALUES:
        return values, counts
    binned, edges = np.histogram(log.rewards, bins=40)
    return edges[:-1], binned


def rewards(log: Dataset) -> Figure:
    """Draw how often each reward was logged, counts on a log scale so that the rare ones show.

    Parameters
    ----------
    log
        The log; rewards (N,) are per step.
    """
    values, counts = reward_counts(log)
    with style():
        figure = canvas("Which rewards did the log see, and how often?", WIDTH, 3.4)
        axes = figure.subplots()
        if len(values) <= _FEW_VALUES:
            at = np.arange(len(values))
            axes.bar(at, counts, width=0.56, color="#4f9acb", ec=INK, lw=0.8)
            axes.set_xticks(at, [f"{value:+g}".replace("-", "−").replace("+0", "0") for value in values])
            for x, count in zip(at, counts, strict=True):
                axes.annotate(
                    f"{count:,}", (float(x), float(count)), (0, 4), textcoords="offset points", ha="center", color=INK
                )
            axes.set_xlim(-0.6, max(len(values), 3) - 0.4)
            axes.tick_params(axis="x", labelsize=11, labelcolor=INK, length=0)
        else:
            width = values[1] - values[0]
            axes.bar(values, counts, width=width, align="edge", color="#4f9acb", ec="white", lw=0.4)
        axes.set_yscale("log")
        axes.set_ylim(0.7, 4.0 * counts.max())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.minorticks_off()
        axes.set_xlabel("reward of a step")
        axes.set_ylabel("steps (log scale)")
        axes.grid(axis="y")
        return figure


def returns(
    rollouts: Sequence[Rollout],
    exact: Mapping[str, ExactValue] | None = None,
    *,
    colors: Mapping[str, int] | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw each policy's mean return with its interval and the spread of its episodes.

    Parameters
    ----------
    rollouts
        One per policy.
    exact
        Exact values by policy name, drawn as diamonds; a name without a rollout gets a row of its own.
    colors
        Color index by policy name.
    names
        A name per rollout; their own unless given.
    """
    labels = _labels(rollouts, names)
    exact = dict(exact or {})
    order = labels + [name for name in exact if name not in labels]
    styles = looks(order, colors)
    with style():
        figure = canvas("How much does each policy earn in an episode?", WIDTH, 1.85 + 0.5 * len(order))
        axes = figure.subplots()
        for row, name in enumerate(order):
            if row < len(rollouts):
                mean, spread = rollouts[row].return_, rollouts[row].return_std
                axes.hlines(row, mean.value - spread, mean.value + spread, color=styles[name].color, lw=1.1, alpha=0.75)
                for end in (mean.value - spread, mean.value + spread):
                    axes.vlines(end, row - 0.09, row + 0.09, color=styles[name].color, lw=1.1, alpha=0.75)
                _interval(axes, row, mean, styles[name])
            if name in exact:
                _diamond(axes, row, exact[name].return_)
        rows(axes, [plain(name) for name in order])
        axes.set_xlabel(f"return of an episode (reward units), {_level([rollout.return_ for rollout in rollouts])}")
        axes.margins(x=0.06)
        if axes.get_xlim()[0] < 0 < axes.get_xlim()[1]:
            axes.axvline(0, color=MUTED, lw=0.8, zorder=0.5)
        spread_line = Line2D([], [], color=INK, lw=1.1, marker="|", ms=7, label="± 1 standard deviation of episodes")
        _key(figure, any(name in exact for name in order), [spread_line] if rollouts else [])
        return figure


def rates(
    rollouts: Sequence[Rollout],
    exact: Mapping[str, ExactValue] | None = None,
    *,
    colors: Mapping[str, int] | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw how often an episode of each policy meets a cost, and how it ends, with Clopper-Pearson intervals.

    One panel per named cost and per cause of an end (an end of the same name as a cost is the same panel). The
    parameters are those of :func:`returns`.

    Raises
    ------
    InputError
        If there is no rollout and no exact value.
    """
    labels = _labels(rollouts, names)
    exact = dict(exact or {})
    order = labels + [name for name in exact if name not in labels]
    events = event_names([*rollouts, *exact.values()])
    if not events:
        raise InputError("rates: no rollout and no exact value to draw. Pass at least one rollout from gs.rollout.")
    styles = looks(order, colors)
    with style():
        height = 1.3 + len(events) * (0.62 + 0.34 * len(order))
        figure = canvas("How dangerous is each policy, and how do episodes end?", WIDTH, min(height, 14.0))
        panels = figure.subplots(len(events), 1, squeeze=False, sharex=True).ravel()
        for event, axes in zip(events, panels, strict=True):
            for row, name in enumerate(order):
                if row < len(rollouts) and (rate := event_of(rollouts[row], event)) is not None:
                    _interval(axes, row, rate, styles[name], 100.0)
                if name in exact and (value := event_of(exact[name], event)) is not None:
                    _diamond(axes, row, 100.0 * value)
            rows(axes, [plain(name) for name in order])
            axes.set_title(plain(event))
            axes.set_xlim(-2, 102)
        level = _level([rate for r in rollouts for rate in (event_of(r, events[0]),) if rate is not None])
        panels[-1].set_xlabel(f"share of episodes (%), {level}")
        _key(figure, bool(exact), [])
        return figure


def sorted_returns(
    rollouts: Sequence[Rollout], *, colors: Mapping[str, int] | None = None, names: Sequence[str] | None = None
) -> Figure:
    """Draw every episode's return, sorted, all policies on one scale: the lower left is where the danger is.

    Parameters
    ----------
    rollouts
        One per policy; returns (E,) may differ in number.
    colors, names
        As in :func:`returns`.
    """
    labels = _labels(rollouts, names)
    styles = looks(labels, colors)
    with style():
        figure = canvas("How bad are the worst episodes of each policy?", WIDTH, 4.1)
        axes = figure.subplots()
        for name, rollout in zip(labels, rollouts, strict=True):
            values = np.sort(np.asarray(rollout.returns, dtype=np.float64))
            share = 100.0 * (np.arange(len(values)) + 0.5) / max(len(values), 1)
            look = styles[name]
            axes.plot(
                share, values, color=look.color, ls=look.line, lw=1.9, marker=look.marker, ms=6, mfc="white", mew=1.4,
                markevery=(0.03, 0.16), label=plain(f"{name} ({len(values):,} episodes)"),
            )  # fmt: skip
        axes.axhline(0, color=MUTED, lw=0.8, zorder=0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("episodes, from worst to best (% of each policy's episodes)")
        axes.set_ylabel("return of the episode\n(reward units)")
        axes.grid(axis="y")
        if labels:
            figure.legend(loc="outside lower left", ncols=2, handlelength=3.4)
        return figure


def event_names(outcomes: Sequence[Rollout | ExactValue]) -> list[str]:
    """Return the names of costs, then of ends that are no cost, in the order they first appear."""
    names: dict[str, None] = {}
    for outcome in outcomes:
        names.update(dict.fromkeys(outcome.probabilities))
    for outcome in outcomes:
        names.update(dict.fromkeys(_ends(outcome)))
    return list(names)


def event_of(outcome: Any, event: str) -> Any:
    """Return the rate (an Interval) or exact probability (a float) of a cost or an end; None where it has none."""
    found = outcome.probabilities.get(event)
    return _ends(outcome).get(event) if found is None else found


def _ends(outcome: Any) -> Mapping[str, Any]:
    ends: Mapping[str, Any] = outcome.end_rates if hasattr(outcome, "end_rates") else outcome.ends
    return ends


def _labels(rollouts: Sequence[Rollout], names: Sequence[str] | None) -> list[str]:
    labels = list(names) if names is not None else [rollout.name for rollout in rollouts]
    if len(labels) != len(rollouts) or len(set(labels)) != len(labels):
        raise InputError(
            f"names: {labels} for {len(rollouts)} rollouts. Each rollout needs a name of its own; pass names=[...]."
        )
    return labels


def _level(intervals: Sequence[Interval]) -> str:
    levels = sorted({interval.confidence for interval in intervals})
    return f"with {'/'.join(f'{100 * level:g}' for level in levels)} % intervals" if levels else "exact"


def _interval(axes: Axes, row: float, mean: Interval, look: Look, scale: float = 1.0) -> None:
    lower, upper = scale * mean.lower, scale * mean.upper
    if np.isfinite(lower) and np.isfinite(upper):
        axes.hlines(row, lower, upper, color=look.color, lw=5.0, alpha=0.45)
        for end in (lower, upper):
            axes.vlines(end, row - 0.18, row + 0.18, color=look.color, lw=1.6)
    axes.plot(scale * mean.value, row, look.marker, color=look.color, ms=8, mec="white", mew=0.9, zorder=4)


def _diamond(axes: Axes, row: float, value: float) -> None:
    axes.plot(value, row + 0.3, "d", color="white", mec=INK, mew=1.4, ms=7, zorder=5, clip_on=False)


def _key(figure: Figure, exact: bool, more: list[Line2D]) -> None:
    handles = [Line2D([], [], color=MUTED, lw=5, alpha=0.6, marker="o", ms=8, mec="white", label="estimate, interval")]
    handles += more
    if exact:
        handles.append(
            Line2D([], [], ls="", marker="d", color="white", mec=INK, mew=1.4, ms=7, label="exact value in the model")
        )
    figure.legend(handles=handles, loc="outside lower left", ncols=2, columnspacing=1.4)
