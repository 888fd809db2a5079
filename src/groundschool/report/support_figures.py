"""What carries an off-policy estimate: the weights of the logged episodes, and where the log supports the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from groundschool.errors import InputError
from groundschool.report.style import INK, MUTED, WIDTH, canvas, look, style
from groundschool.report.words import number, percent

if TYPE_CHECKING:
    from groundschool.evaluation.estimate import Estimate


def weights(estimate: Estimate, *, color: int = 1) -> Figure:
    """Draw the mean weight of whole episodes by step, which is expected to be 1 at every step.

    Parameters
    ----------
    estimate
        From `groundschool.evaluate`, of a method that asks about the target policy.
    color
        Color index of the policy.

    Raises
    ------
    InputError
        If the estimate has no weights.
    """
    facts = estimate.diagnostics.get("weights")
    if not facts or "by_step" not in facts:
        raise InputError(f"the estimate by {estimate.method!r} has no weights to draw.")
    return weights_by_step(facts, color=color)


def weights_by_step(facts: Mapping[str, Any], *, color: int) -> Figure:
    """Draw the weights of a report's JSON."""
    steps = np.asarray(facts["by_step"]["step"], dtype=float)
    mean = _numbers(facts["by_step"]["mean"])
    error = np.nan_to_num(_numbers(facts["by_step"]["standard_error"]), nan=0.0)
    chosen = look(color)
    with style():
        figure = canvas("Do the weights of logged episodes average 1?", WIDTH, 3.3)
        axes = figure.subplots()
        top = max(2.0, 1.15 * float(np.nanmax(mean, initial=1.0)))
        axes.fill_between(steps, np.maximum(mean - 2 * error, 0.0), np.minimum(mean + 2 * error, top), step="mid",
                          color=chosen.color, alpha=0.25, lw=0)  # fmt: skip
        axes.plot(steps, mean, color=chosen.color, lw=1.9, ls=chosen.line, label="mean, ± 2 standard errors")
        axes.axhline(1.0, color=INK, lw=1.0, ls=(0, (4, 2)), label="expected")
        axes.set_ylim(0.0, top)
        axes.set_xlim(min(steps[0], 1.0), max(steps[-1], 2.0))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("step of the episode")
        axes.set_ylabel("mean weight")
        axes.grid(axis="y")
        told = "no whole episode has any weight"
        if facts["ess"]:
            share = percent(facts["largest_share"], 0)
            told = f"{number(facts['ess'], 1)} effective episodes; the heaviest has {share} of all weight"
        axes.text(0.02, 0.95, told, transform=axes.transAxes, va="top", fontsize=9, color=MUTED)
        figure.legend(loc="outside lower left", ncols=2, handlelength=3.0)
        return figure


def support(estimate: Estimate, *, color: int = 1) -> Figure:
    """Draw how often the logger was expected to log what a policy does.

    Parameters
    ----------
    estimate
        From `groundschool.evaluate`, by a method that counts visits, such as "marginal_dr".
    color
        Color index of the policy.

    Raises
    ------
    InputError
        If the estimate has no such counts.
    """
    facts = estimate.diagnostics.get("support")
    if not facts or not facts.get("by_expected"):
        raise InputError(f"the estimate by {estimate.method!r} has no counts of support to draw.")
    return support_by_expected(facts["by_expected"], color=color)


def support_by_expected(ranges: Sequence[Mapping[str, Any]], *, color: int) -> Figure:
    """Draw the support of a report's JSON: the policy's visits by how many rows the logger was expected to log."""
    shares = np.asarray([100.0 * one["share"] for one in ranges])
    beyond = np.asarray([100.0 * one["excess"] for one in ranges])
    chosen, at = look(color), np.arange(len(ranges))
    with style():
        figure = canvas("Does the log go where this policy goes?", WIDTH, 3.6)
        axes = figure.subplots()
        axes.bar(
            at,
            shares,
            width=0.7,
            color=chosen.color,
            alpha=0.45,
            ec=INK,
            lw=0.8,
            label="up to twice as often as the logger",
        )
        axes.bar(at, beyond, width=0.7, color=chosen.color, ec=INK, lw=0.8, hatch="//", label="beyond that")
        for x, share in zip(at, shares, strict=True):
            axes.annotate(
                percent(share / 100.0), (float(x), float(share)), (0, 3), textcoords="offset points", ha="center",
                fontsize=9, color=INK,
            )  # fmt: skip
        axes.set_xticks(at, [rows_of(one) for one in ranges])
        axes.tick_params(axis="x", length=0, labelcolor=INK)
        axes.set_ylim(0.0, 1.14 * max(float(shares.max()), 1.0))
        axes.set_xlabel("rows of the same state and action that the logger was expected to log")
        axes.set_ylabel("share of the policy’s steps (%)")
        axes.grid(axis="y")
        figure.legend(loc="outside lower left", ncols=2)
        return figure


def rows_of(one: Mapping[str, Any]) -> str:
    """Return a range of expected rows in words."""
    if one["to"] is None:
        return f"≥ {number(one['from'], 0)}"
    return f"< {number(one['to'], 0)}" if one["from"] == 0 else f"{number(one['from'], 0)} to {number(one['to'], 0)}"


def _numbers(values: Any) -> np.ndarray:
    """Return numbers of JSON, where None is one that is not defined."""
    return np.asarray([np.nan if value is None else value for value in values], dtype=float)
