"""How figures look: one color, marker, line and hatch per policy, readable in gray; no global matplotlib state."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK = "#1f2328"
MUTED = "#57606a"
GRID = "#e3e6ea"
DANGER = "#D55E00"
UNSEEN = "#f1efe9"

VISITS = LinearSegmentedColormap.from_list("visits", ["#eaf2f9", "#a9cfe8", "#4f9acb", "#1f6aa5"])

WIDTH = 5.9
"""Inches: a figure this wide is legible on a phone without scrolling."""

_RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": "#9aa1a9",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.min_exponent": 5,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "hatch.linewidth": 0.7,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "groundschool",
}


class Look(NamedTuple):
    """What makes one policy recognizable in every figure, in color and in gray."""

    color: str
    marker: str
    line: str | tuple[float, tuple[float, ...]]
    hatch: str


_LOOKS = (
    Look(INK, "s", (0, (1, 1.2)), ".."),
    Look("#0072B2", "o", "-", ""),
    Look("#E69F00", "^", (0, (6, 2)), "//"),
    Look("#009E73", "D", (0, (6, 2, 1, 2)), "\\\\"),
    Look("#CC79A7", "v", (0, (3, 1.5)), "xx"),
    Look("#D55E00", "P", (0, (8, 2, 1, 2, 1, 2)), "++"),
    Look("#56B4E9", "X", (0, (2, 3)), "--"),
)


def look(index: int) -> Look:
    """Return the look of a policy by its color index; 0 is the logger's black, the rest repeat."""
    return _LOOKS[0] if index == 0 else _LOOKS[1 + (index - 1) % (len(_LOOKS) - 1)]


def looks(names: Sequence[str], colors: Mapping[str, int] | None = None) -> dict[str, Look]:
    """Return a look per name: the one asked for, black for a name starting with ``logger``, else the next free one."""
    given = dict(colors or {})
    taken = set(given.values())
    free = iter(index for index in range(1, len(names) + len(taken) + 1) if index not in taken)
    chosen: dict[str, Look] = {}
    for name in names:
        if name not in given:
            given[name] = 0 if name.lower().startswith("logger") else next(free)
        chosen[name] = look(given[name])
    return chosen


@contextmanager
def style() -> Iterator[None]:
    """Apply the report's look while a figure is made or saved, and leave matplotlib's settings as they were."""
    with matplotlib.rc_context(cast(Any, _RC)):
        yield


def canvas(question: str, width: float = WIDTH, height: float = 4.0) -> Figure:
    """Return an empty figure, ``width`` by ``height`` inches, whose title is the question it answers."""
    figure = Figure(figsize=(width, height), layout="constrained")
    title = "\n".join(textwrap.wrap(question, int(width * 9.4)))
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK)
    return figure


def rows(axes: Axes, names: Sequence[str]) -> None:
    """Label one horizontal row per name, first on top, long names wrapped."""
    labels = ["\n".join(textwrap.wrap(name, 20, break_long_words=True)[:3]) for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)


def plain(text: str) -> str:
    """Return text with matplotlib's math sign disarmed: a label from data is words, never markup."""
    return text.replace("$", r"\$")
