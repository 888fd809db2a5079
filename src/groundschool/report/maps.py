"""Where the log has been, and what policies do there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from groundschool.errors import InputError
from groundschool.report.style import DANGER, INK, MUTED, UNSEEN, VISITS, WIDTH, canvas, plain, style

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset
    from groundschool.policies.policy import Policy

DIRECTIONS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Where each action of a grid world points, as (x, y): 0 is +y, 1 is +x, 2 is -y, 3 is -x."""

_MAX_PANELS = 9


class Map(NamedTuple):
    """The geometry of a grid world, cells counted from (0, 0) at the lower left."""

    width: int
    height: int
    start: tuple[int, int] | None = None
    goal: tuple[int, int] | None = None
    hazards: tuple[tuple[int, int], ...] = ()


def as_map(grid: Any) -> Map:
    """Read ``size``, ``start``, ``goal`` and ``hazards`` off a layout, an environment or anything shaped like one."""
    grid = getattr(grid, "unwrapped", grid)
    grid = getattr(grid, "layout", grid)
    missing = [name for name in ("size", "start", "goal", "hazards") if not hasattr(grid, name)]
    if missing:
        raise InputError(
            f"grid: {type(grid).__name__} has no {', '.join(missing)}. Expected a grid world or its layout, "
            "with size, start, goal and hazards."
        )
    width, height = (grid.size, grid.size) if np.ndim(grid.size) == 0 else grid.size

    def cell(xy: Sequence[int]) -> tuple[int, int]:
        return int(xy[0]), int(xy[1])

    return Map(int(width), int(height), cell(grid.start), cell(grid.goal), tuple(cell(xy) for xy in grid.hazards))


def _on_cells(observations: np.ndarray) -> bool:
    """Tell whether every observation is a pair of small non-negative whole numbers, as a grid world's are."""
    if observations.ndim != 2 or observations.shape[1] != 2 or not len(observations):
        return False
    return bool(np.all((observations >= 0) & (observations < 200) & (observations == np.floor(observations))))


def cell_visits(log: Dataset, place: Map | None, *, arrivals: bool = True) -> np.ndarray | None:
    """Count how often the log was in each cell.

    Parameters
    ----------
    log
        Observations (N, 2) of whole numbers (x, y).
    place
        The map; without one its size is the largest cell seen.
    arrivals
        Count the last observation of each episode too, where the log has it; it is where hazards and goals appear.

    Returns
    -------
    numpy.ndarray or None
        Counts (height, width), row y and column x; None where observations are not cells of the map.
    """
    seen = np.asarray(log.observations)
    if not _on_cells(seen):
        return None
    if arrivals and log.final_observations is not None:
        final = np.asarray(log.final_observations)
        seen = np.concatenate([seen, final[np.isfinite(final).all(axis=1)]])
    x, y = seen[:, 0].astype(np.int64), seen[:, 1].astype(np.int64)
    width, height = (place.width, place.height) if place else (int(x.max()) + 1, int(y.max()) + 1)
    if x.max() >= width or y.max() >= height or x.min() < 0 or y.min() < 0:
        return None
    return np.bincount(x + width * y, minlength=width * height).reshape(height, width)


def visitation(log: Dataset, grid: Any = None) -> Figure:
    """Draw where the log has been.

    Cells of a grid are counted, last arrivals included; other pairs of numbers are binned in two dimensions, state
    ids are counted by id, and anything else gets one histogram per dimension (the first nine).

    Parameters
    ----------
    log
        The log.
    grid
        A grid world, its layout, or anything with ``size``, ``start``, ``goal`` and ``hazards``, to mark them.

    Raises
    ------
    InputError
        If ``grid`` is given and the observations are not cells of it.
    """
    place = None if grid is None else as_map(grid)
    counts = cell_visits(log, place)
    if counts is None and place is not None:
        raise InputError(_not_cells(log, place))
    with style():
        if counts is not None:
            height, width = counts.shape
            return _cells_figure(counts, place or Map(width, height))
        observations = np.asarray(log.observations)
        if observations.ndim == 1:
            return _ids_figure(observations)
        flat = observations.reshape(len(observations), -1)
        names = _feature_names(log, flat.shape[1])
        return _pair_figure(flat, names) if flat.shape[1] == 2 else _dimensions_figure(flat, names)


def policy_map(
    policies: Policy | Sequence[Policy], log: Dataset, grid: Any = None, *, names: Sequence[str] | None = None
) -> Figure:
    """Draw each policy's most probable action as an arrow, over how often the log decided in that cell.

    Arrows are longer where the action is more probable. Cells in which the log never decided are hatched and their
    arrows hollow: what a policy does there is extrapolation. All panels share one scale.

    Parameters
    ----------
    policies
        One policy or several, with four actions numbered as in :data:`DIRECTIONS`.
    log
        The log; observations (N, 2) are cells (x, y).
    grid
        A grid world, its layout, or anything with ``size``, ``start``, ``goal`` and ``hazards``.
    names
        A title per panel; the policies' own names unless given.

    Raises
    ------
    InputError
        If the observations are not cells, or a policy has another number of actions.
    """
    many: list[Policy] = list(policies) if isinstance(policies, Sequence) else [policies]
    place = None if grid is None else as_map(grid)
    counts = cell_visits(log, place, arrivals=False)
    if counts is None:
        raise InputError(_not_cells(log, place))
    if place is None:
        place = Map(counts.shape[1], counts.shape[0])
    tables = [arrows(policy, place) for policy in many]
    titles = list(names) if names is not None else [policy.name for policy in many]
    with style():
        question = "What does each policy do, and had the log been there?"
        if len(many) == 1:
            question = "What does the policy do, and had the log been there?"
        across = min(2, len(many))
        down = -(-len(many) // across)
        panel = (3.45 if across == 2 else 4.5) * place.height / place.width
        tall = min(max(1.0 + down * (panel + 0.35 * (across == 2)), 3.0), 18.0)
        figure = canvas(question, 8.4 if across == 2 else WIDTH, tall)
        panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
        norm = _norm(counts)
        for axes, name, table in zip(panels, titles, tables, strict=False):
            _draw_cells(axes, counts, place, norm, policy=True)
            _draw_arrows(axes, table, counts, place)
            if len(many) > 1:
                axes.set_title(plain(name))
        for axes in panels[len(many) :]:
            axes.set_visible(False)
        _colorbar(figure, norm, "decisions logged in the cell (log scale)")
        _legend(figure, place, unseen=bool(unseen(counts, place, policy=True)), policy=True)
        return figure


def arrows(policy: Policy, place: Map) -> np.ndarray:
    """Return (height, width, 2): each cell's most probable action and its probability.

    Raises
    ------
    InputError
        If the policy does not have the four actions of a grid world.
    """
    if policy.n_actions != len(DIRECTIONS):
        raise InputError(
            f"policy {policy.name!r}: it has {policy.n_actions} actions; a policy map draws {len(DIRECTIONS)} "
            "(+y, +x, -y, -x). Use gs.plot.visitation(log) to see the data alone."
        )
    y, x = np.divmod(np.arange(place.width * place.height), place.width)
    probabilities = np.asarray(policy.probabilities(np.stack([x, y], axis=1).astype(np.float32)))
    best = probabilities.argmax(axis=1)
    table = np.stack([best, probabilities[np.arange(len(best)), best]], axis=1)
    return table.reshape(place.height, place.width, 2)


def _not_cells(log: Dataset, place: Map | None) -> str:
    shape = np.asarray(log.observations).shape
    where = f"cells of a {place.width} x {place.height} grid" if place else "cells of a grid"
    return (
        f"log: observations of shape {tuple(shape)} are not {where}. This figure needs pairs (x, y) of whole numbers "
        "from 0; gs.plot.visitation(log) without a grid draws any log."
    )


def _norm(counts: np.ndarray) -> LogNorm:
    return LogNorm(1, max(10, int(counts.max())))


def unseen(counts: np.ndarray, place: Map, *, policy: bool) -> list[tuple[int, int]]:
    """List cells (x, y) never counted; for a policy without the goal and the hazards, where nobody decides."""
    ends = {place.goal, *place.hazards} if policy else set()
    return [(int(x), int(y)) for y, x in np.argwhere(counts == 0) if (int(x), int(y)) not in ends]


def _draw_cells(axes: Axes, counts: np.ndarray, place: Map, norm: LogNorm, *, policy: bool) -> None:
    edges_x, edges_y = np.arange(place.width + 1) - 0.5, np.arange(place.height + 1) - 0.5
    axes.pcolormesh(edges_x, edges_y, np.ma.masked_equal(counts, 0), cmap=VISITS, norm=norm, edgecolors="white", lw=0.6)
    for x, y in unseen(counts, place, policy=policy):
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fc=UNSEEN, ec="#c9c4b8", hatch="////", lw=0, zorder=0.5))
    for x, y in place.hazards:
        # A white halo below: in gray, the danger color alone is as dark as a busy cell.
        for color, extra in (("white", 2.0), (DANGER, 0.0)):
            axes.add_patch(Rectangle((x - 0.43, y - 0.43), 0.86, 0.86, fill=False, ec=color, lw=1.8 + extra, zorder=3))
            axes.plot(x, y, "x", color=color, ms=7 + extra / 2, mew=2.2 + extra, zorder=4)
    if place.start:
        axes.plot(*place.start, "o", mfc="white", mec=INK, ms=10, mew=1.6, zorder=4)
    if place.goal:
        axes.plot(*place.goal, "*", mfc="white", mec=INK, ms=15, mew=1.4, zorder=4)
    axes.set_aspect("equal")
    axes.set_xlim(-0.5, place.width - 0.5)
    axes.set_ylim(-0.5, place.height - 0.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xlabel("x (cell)")
    axes.set_ylabel("y (cell)")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.label_outer()


def _draw_arrows(axes: Axes, table: np.ndarray, counts: np.ndarray, place: Map) -> None:
    ends = {place.goal, *place.hazards}
    y, x = np.divmod(np.arange(counts.size), place.width)
    decides = np.array([(int(i), int(j)) not in ends for i, j in zip(x, y, strict=True)])
    action, probability = table.reshape(-1, 2).T
    step = np.asarray(DIRECTIONS)[action.astype(np.int64)] * (0.25 + 0.5 * probability)[:, None]
    for known, face, edge in ((True, INK, INK), (False, "white", MUTED)):
        at = decides & ((counts.ravel() > 0) == known)
        if place.start:
            at &= ~((x == place.start[0]) & (y == place.start[1]))
        axes.quiver(
            x[at], y[at], step[at, 0], step[at, 1], angles="xy", scale_units="xy", scale=1, pivot="mid", width=0.09,
            units="xy", headwidth=3.6, headlength=3.4, headaxislength=3.0, minlength=0, fc=face, ec=edge,
            lw=0.0 if known else 0.7, zorder=3.5,
        )  # fmt: skip
    if place.start:
        i = place.start[0] + place.width * place.start[1]
        axes.annotate(
            "", np.array(place.start) + step[i] / np.abs(step[i]).max() * 0.85, place.start,
            arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.3}, zorder=4.5,
        )  # fmt: skip


def _colorbar(figure: Figure, norm: LogNorm, label: str) -> None:
    bar = figure.colorbar(ScalarMappable(norm, VISITS), ax=figure.axes, shrink=0.82, aspect=28, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)
    top = int(norm.vmax or 10)
    ticks = [tick for tick in (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000) if tick <= top]
    bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    bar.minorticks_off()


def _legend(figure: Figure, place: Map, *, unseen: bool, policy: bool) -> None:
    handles: list[Any] = []
    if place.start:
        handles.append(Line2D([], [], ls="", marker="o", mfc="white", mec=INK, ms=8, mew=1.4, label="start"))
    if place.goal:
        handles.append(Line2D([], [], ls="", marker="*", mfc="white", mec=INK, ms=12, mew=1.2, label="goal"))
    if place.hazards:
        handles.append(Line2D([], [], ls="", marker="x", color=DANGER, ms=7, mew=2.2, label="hazard"))
    if unseen:
        words = "the log never decided here" if policy else "never visited"
        handles.append(Patch(fc=UNSEEN, ec="#c9c4b8", hatch="////", lw=0, label=words))
    if handles:
        figure.legend(handles=handles, loc="outside lower left", ncols=4, handletextpad=0.5, columnspacing=1.6)


def _cells_figure(counts: np.ndarray, place: Map) -> Figure:
    figure = canvas("Where has the log been?", WIDTH, min(max(0.95 + 4.6 * place.height / place.width, 3.2), 9.0))
    axes = figure.subplots()
    norm = _norm(counts)
    _draw_cells(axes, counts, place, norm, policy=False)
    _colorbar(figure, norm, "visits, last arrivals included (log scale)")
    _legend(figure, place, unseen=bool(unseen(counts, place, policy=False)), policy=False)
    return figure


def _ids_figure(ids: np.ndarray) -> Figure:
    figure = canvas("Where has the log been?", WIDTH, 3.4)
    axes = figure.subplots()
    counts = np.bincount(ids)
    axes.fill_between(np.arange(len(counts)), counts, step="mid", color="#4f9acb", lw=0)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0)
    axes.set_xlabel("state id")
    axes.set_ylabel("visits (log scale)")
    axes.grid(axis="y")
    return figure


def _feature_names(log: Dataset, width: int) -> list[str]:
    if log.features is None:
        return [f"observation {i}" for i in range(width)]
    return [plain(feature.name) for feature in log.features]


def _pair_figure(flat: np.ndarray, names: Sequence[str]) -> Figure:
    figure = canvas("Where has the log been?", WIDTH, 5.0)
    axes = figure.subplots()
    pairs = flat[np.isfinite(flat).all(axis=1)].astype(np.float64)
    counts, edges_x, edges_y = np.histogram2d(pairs[:, 0], pairs[:, 1], bins=40)
    norm = _norm(counts)
    masked = np.ma.masked_equal(counts.T, 0)
    axes.pcolormesh(edges_x, edges_y, masked, cmap=VISITS, norm=norm, rasterized=True)
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    _colorbar(figure, norm, "steps in the bin (log scale)")
    return figure


def _dimensions_figure(flat: np.ndarray, names: Sequence[str]) -> Figure:
    shown = min(flat.shape[1], _MAX_PANELS)
    question = "Where has the log been?"
    if flat.shape[1] > shown:
        question += f" (first {shown} of {flat.shape[1]} dimensions)"
    down = -(-shown // 3)
    figure = canvas(question, WIDTH, 0.6 + 1.9 * down)
    panels = figure.subplots(down, 3, squeeze=False).ravel()
    for dimension, axes in enumerate(panels[:shown]):
        column = flat[:, dimension]
        axes.hist(column[np.isfinite(column)].astype(np.float64), bins=40, color="#4f9acb", log=True)
        axes.set_ylabel("steps (log scale)")
        axes.label_outer(remove_inner_ticks=False)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(names[dimension])
    for axes in panels[shown:]:
        axes.set_visible(False)
    return figure
