"""How training went, and what the offline diagnostics say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from groundschool.errors import InputError
from groundschool.report.style import INK, WIDTH, canvas, looks, plain, rows, style

if TYPE_CHECKING:
    from groundschool.evaluation.calibration import Calibration
    from groundschool.evaluation.mismatch import Mismatch
    from groundschool.policies.record import TrainingRecord


def training_curves(
    records: Sequence[TrainingRecord] | Mapping[str, TrainingRecord], *, colors: Mapping[str, int] | None = None
) -> Figure:
    """Draw every training metric over the steps, one small panel per run and metric.

    Parameters
    ----------
    records
        Training records, by name or in order; curves hold ``step`` and metrics of the same length.
    colors
        Color index by name.

    Raises
    ------
    InputError
        If no record holds a curve.
    """
    named = dict(records) if isinstance(records, Mapping) else _named(records)
    panels = [
        (name, metric)
        for name, record in named.items()
        for metric, curve in record.curves.items()
        if metric != "step" and curve
    ]
    if not panels:
        raise InputError("training_curves: no record holds a curve. Pass policy.training of policies trained here.")
    styles = looks(list(named), colors)
    with style():
        across = min(2, len(panels))
        down = -(-len(panels) // across)
        figure = canvas("Did training settle?", WIDTH, 0.8 + 1.7 * down)
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes, (name, metric) in zip(grid, panels, strict=False):
            curve = np.asarray(named[name].curves[metric], dtype=np.float64)
            step = np.asarray(named[name].curves.get("step", range(1, len(curve) + 1)), dtype=np.float64)
            finite = np.isfinite(curve)
            mark = {"marker": styles[name].marker, "ms": 4.5, "mfc": "white"}
            axes.plot(step[finite], curve[finite], color=styles[name].color, lw=1.5, markevery=(0.08, 0.23), **mark)
            positive = curve[finite & (curve > 0)]
            if len(positive) and len(positive) == finite.sum() and positive.max() > 100 * positive.min():
                axes.set_yscale("log")
            else:
                axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.set_title(plain(f"{name}: {metric.replace('_', ' ')}"), fontsize=9.5)
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(_steps))
            axes.set_xlim(0, max(step.max(), 1))
            axes.grid(axis="y")
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.supxlabel("training steps (k: thousands)", fontsize=10)
        return figure


def mismatch_bars(mismatches: Mapping[str, Mismatch], *, colors: Mapping[str, int] | None = None) -> Figure:
    """Draw how often each policy would act otherwise than the log, beside what is only the logger's own randomness.

    Parameters
    ----------
    mismatches
        By policy name; the floors are those of the first that has them (they belong to the log, not to the policy).
    colors
        Color index by policy name.
    """
    styles = looks(list(mismatches), colors)
    with style():
        question = "How much of the disagreement with the log is the log's own randomness?"
        figure = canvas(question, WIDTH, 2.0 + 0.42 * len(mismatches))
        axes = figure.subplots()
        for row, (name, mismatch) in enumerate(mismatches.items()):
            look = styles[name]
            value, error = 100 * mismatch.value, 100 * mismatch.standard_error
            face = {"color": look.color, "alpha": 0.8} if not look.hatch else {"fc": "white", "ec": look.color}
            axes.barh(row, value, height=0.5, hatch=look.hatch, **face)
            axes.barh(row, value, height=0.5, fill=False, ec=look.color, lw=1.2)
            axes.errorbar(value, row, xerr=error, color=INK, capsize=4, lw=1.4)
        floors = (
            ("the logger against itself", "-", [m.logger_floor for m in mismatches.values()]),
            ("the best deterministic policy", (0, (4, 2)), [m.deterministic_floor for m in mismatches.values()]),
        )
        for label, line, values in floors:
            if (floor := next((value for value in values if value is not None), None)) is not None:
                axes.axvline(100 * floor, color=INK, ls=line, lw=1.6, label=f"{label}: {100 * floor:.1f} %")
        rows(axes, [plain(name) for name in mismatches])
        axes.set_xlim(0, 100)
        axes.set_xlabel("steps with another action than the logged one (%), ± 1 SE")
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower left", ncols=2, title="noise floors", alignment="left", title_fontsize=9.5)
        return figure


def calibration_curve(calibrations: Mapping[str, Calibration], *, colors: Mapping[str, int] | None = None) -> Figure:
    """Draw observed action frequencies against predicted probabilities: the diagonal is perfect calibration.

    Parameters
    ----------
    calibrations
        By policy name; each table holds (mean predicted, observed rate, n) per bin.
    colors
        Color index by policy name.
    """
    styles = looks(list(calibrations), colors)
    with style():
        figure = canvas("Do the cloned probabilities mean what they say?", WIDTH, 4.5)
        axes = figure.subplots()
        axes.plot([0, 100], [0, 100], color="#9aa1a9", lw=1.0)
        for name, calibration in calibrations.items():
            table = np.asarray(calibration.table, dtype=np.float64).reshape(-1, 3)
            table = table[table[:, 2] > 0]
            predicted, observed, n = table.T
            error = 100 * np.sqrt(np.maximum(observed * (1 - observed), 0) / n)
            look = styles[name]
            axes.errorbar(
                100 * predicted, 100 * observed, yerr=error, color=look.color, marker=look.marker, ls=look.line,
                lw=1.4, ms=6, capsize=3, label=plain(name),
            )  # fmt: skip
        axes.set_xlim(-2, 102)
        axes.set_ylim(-2, 102)
        axes.set_aspect("equal")
        axes.set_xlabel("predicted probability of an action (%)")
        axes.set_ylabel("how often it was logged (%), ± 1 SE")
        axes.grid()
        if len(calibrations) > 1:
            axes.legend(loc="upper left")
        return figure


def _named(records: Sequence[TrainingRecord]) -> dict[str, TrainingRecord]:
    names = [record.algorithm for record in records]
    unique = len(set(names)) == len(names)
    return {
        name if unique else f"{name} {i + 1}": record
        for i, (name, record) in enumerate(zip(names, records, strict=True))
    }


def _steps(value: float, _: int) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
