"""Which actions the log took where, and how often."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from groundschool.data.coverage import SMALL_CELL, SUPPORTED, Coverage
from groundschool.data.coverage import coverage as count
from groundschool.report.style import INK, MUTED, VISITS, WIDTH, canvas, plain, style

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset
    from groundschool.data.raw import RawLog

_NEVER: dict[str, Any] = {"facecolor": "white", "edgecolor": "#a39c8b", "hatch": "/////", "linewidth": 0.0}
_IMPOSSIBLE = "#d9d9d9"
_MAP_HEIGHT = 3.7
_LABEL = 26
_RASTER_FROM = 4_000


def coverage(log: Dataset | RawLog | Coverage) -> Figure:
    """Draw how often each action was taken in each region of what the log visited, never-taken pairs hatched.

    Regions stand in order of visits. For observations of two numbers a map below shows how many actions are supported
    where.

    Parameters
    ----------
    log
        A log, or its coverage (`groundschool.data.coverage.coverage`).

    Raises
    ------
    InputError
        If the log has no row with a usable action.
    """
    found = log if isinstance(log, Coverage) else count(log)
    with style():
        n_actions = len(found.actions)
        long = max(map(len, found.actions)) > _LABEL
        row = 0.36 if n_actions <= 8 or (long and n_actions <= 20) else 0.22 if n_actions <= 20 else 0.15
        mapped = found.boxes is not None and bool(np.isfinite(found.boxes).all(axis=(1, 2)).sum() > 1)
        heights = [2.0 + row * n_actions] + [_MAP_HEIGHT] * mapped
        figure = canvas("Which actions did the log take where, and how often?", WIDTH, 0.3 + sum(heights))
        parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights).ravel()
        above, table = parts[0].subplots(2, 1, gridspec_kw={"height_ratios": [0.7, row * n_actions]})
        _draw_visits(above, found)
        _draw_table(table, found, row)
        parts[0].legend(handles=_table_key(found), loc="outside lower left", ncols=2, columnspacing=1.4)
        if mapped:
            _draw_map(parts[1].subplots(), found)
        return figure


def _draw_visits(axes: Axes, found: Coverage) -> None:
    edges = np.arange(len(found.regions) + 1) + 0.5
    axes.stairs(found.visits, edges, fill=True, color="#4f9acb")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0)
    axes.set_ylabel("steps")
    axes.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines["bottom"].set_visible(False)


def _draw_table(axes: Axes, found: Coverage, row: float) -> None:
    n_regions, n_actions = found.counts.shape
    bands = found.bands.T
    edges_x, edges_y = np.arange(n_regions + 1) + 0.5, np.arange(n_actions + 1) - 0.5
    colors, norm = _scale(found)
    axes.pcolormesh(
        edges_x, edges_y, np.ma.masked_equal(bands, 0), cmap=colors, norm=norm, edgecolors="white",
        linewidth=0.6 if n_regions <= 64 else 0.0, rasterized=bands.size > _RASTER_FROM,
    )  # fmt: skip
    for absent, looks in ((found.possible.T & (bands == 0), _NEVER), (~found.possible.T, {"facecolor": _IMPOSSIBLE})):
        axes.add_collection(PatchCollection(_runs(absent), match_original=False, zorder=0.5, **looks))
    size = 9.5 if row >= 0.2 else 7
    names = [_wrapped(plain(name), 2 if row > 0.3 else 1) for name in found.actions]
    axes.set_yticks(range(n_actions), names, fontsize=size)
    axes.set_ylim(n_actions - 0.5, -0.5)
    axes.set_xlim(edges_x[0], edges_x[-1])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    last = f"; the last is {found.regions[-1]}" if found.pooled else ""
    axes.set_xlabel(f"{found.places}, the most visited first{last}")
    axes.spines[["left", "bottom"]].set_visible(False)


def _wrapped(name: str, lines: int) -> str:
    parts = name.replace(", ", ",\n").splitlines()
    wrapped = parts if len(parts) <= lines and max(map(len, parts)) <= _LABEL else textwrap.wrap(name, _LABEL)
    return "\n".join(wrapped[:lines]) + ("…" if len(wrapped) > lines else "")


def _runs(cells: np.ndarray) -> list[Rectangle]:
    """Return one rectangle for each unbroken run of True in a row of (A, R)."""
    padded = np.pad(cells.astype(np.int8), ((0, 0), (1, 1)))
    row, first = np.nonzero(np.diff(padded, axis=1) == 1)
    _, end = np.nonzero(np.diff(padded, axis=1) == -1)
    return [
        Rectangle((a + 0.5, y - 0.5), b - a, 1)
        for y, a, b in zip(row.tolist(), first.tolist(), end.tolist(), strict=True)
    ]


def _scale(found: Coverage) -> tuple[ListedColormap, BoundaryNorm]:
    """Return a color a decade of steps; the lightest is still darker than white in gray."""
    decades = max(int(found.bands.max()), 2)
    colors = ListedColormap(VISITS(np.linspace(0.28, 1.0, decades)))
    return colors, BoundaryNorm(np.arange(decades + 1) + 0.5, decades)


def _table_key(found: Coverage) -> list[Patch]:
    colors, norm = _scale(found)
    handles = [Patch(**_NEVER, label="never")]
    for band in range(1, int(found.bands.max()) + 1):
        low, high = 10 ** (band - 1), 10**band - 1
        words = f"{low:,}–{high:,} steps"
        if band == 1 and found.discreet:
            words = f"below {SUPPORTED} steps or {SMALL_CELL} episodes"
        handles.append(Patch(facecolor=colors(norm(band)), label=words))
    if not found.possible.all():
        handles.append(Patch(facecolor=_IMPOSSIBLE, label="not allowed"))
    return handles


def _draw_map(axes: Axes, found: Coverage) -> None:
    """Draw each region where its steps lie, darker where more actions are supported."""
    assert found.boxes is not None
    placed = np.isfinite(found.boxes).all(axis=(1, 2))
    boxes, choices = found.boxes[placed].astype(np.float64), found.choices[placed]
    if found.kind != "partition":
        half = np.array([_spacing(boxes[:, axis, 0]) for axis in range(2)]) / 2
        boxes = boxes + half[None, :, None] * np.array([-1.0, 1.0])
    corners, sizes = boxes[..., 0], boxes[..., 1] - boxes[..., 0]
    handles = []
    groups = ((choices == 0, "none"), (choices == 1, "one"), (choices > 1, "several"))
    shades = (None, VISITS(0.28), VISITS(0.85))
    for (chosen, words), shade in zip(groups, shades, strict=True):
        if not chosen.any():
            continue
        looks: dict[str, Any] = (
            _NEVER if shade is None else {"facecolor": shade, "edgecolor": "white", "linewidth": 0.5}
        )
        patches = [Rectangle(tuple(xy), *wh) for xy, wh in zip(corners[chosen], sizes[chosen], strict=True)]
        axes.add_collection(PatchCollection(patches, match_original=False, **looks))
        handles.append(Patch(**looks, label=words))
    low, high = boxes[..., 0].min(axis=0), boxes[..., 1].max(axis=0)
    margin = 0.02 * (high - low)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
    axes.set_xlabel(plain(found.axes[0]))
    axes.set_ylabel(plain(found.axes[1]))
    axes.tick_params(color=MUTED)
    if found.kind != "partition" and np.ptp(sizes / sizes[0], axis=0).max() < 1e-9 and sizes[0, 0] == sizes[0, 1]:
        axes.set_aspect("equal")
        axes.set_anchor("W")
    axes.legend(
        handles=handles, title=f"actions taken\n{SUPPORTED} times or more", alignment="left", title_fontsize=9.5,
        loc="upper left", bbox_to_anchor=(1.0, 1.0),
    )  # fmt: skip


def _spacing(values: np.ndarray) -> float:
    distinct = np.unique(values)
    return float(np.diff(distinct).min()) if len(distinct) > 1 else 1.0
