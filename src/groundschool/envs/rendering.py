"""Pictures of a hazard grid, as text and as pixels; y points up in both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from groundschool.envs.layout import Cell, Layout

FRAMES_PER_SECOND = 10
CELL_PIXELS = 24

# Okabe and Ito's palette, told apart by people with any color vision.
_FLOOR, _LINE, _AGENT = (255, 255, 255), (210, 210, 210), (0, 0, 0)
_START, _GOAL, _HAZARD = (86, 180, 233), (0, 158, 115), (213, 94, 0)


def ansi(layout: Layout, agent: Cell) -> str:
    """Return the map as text: A agent, S start, G goal, X hazard, . free floor."""
    rows = [["."] * layout.size for _ in range(layout.size)]
    marks = [(layout.start, "S"), (layout.goal, "G"), *((cell, "X") for cell in layout.hazards), (agent, "A")]
    for (x, y), mark in marks:
        rows[layout.size - 1 - y][x] = mark
    return "\n".join(" ".join(row) for row in rows) + "\n"


def rgb(layout: Layout, agent: Cell) -> NDArray[np.uint8]:
    """Return the map as an image, shape (24 * size, 24 * size, 3); hazards carry a cross, the agent is a black disc."""
    cells = np.empty((layout.size, layout.size, CELL_PIXELS, CELL_PIXELS, 3), dtype=np.uint8)  # row, column, pixels
    cells[:] = _FLOOR
    across, down = np.meshgrid(np.arange(CELL_PIXELS) + 0.5, np.arange(CELL_PIXELS) + 0.5)
    across, down = across - CELL_PIXELS / 2, down - CELL_PIXELS / 2
    cross = (np.minimum(abs(across - down), abs(across + down)) < 2.0) & (abs(across) < CELL_PIXELS / 3)
    disc = np.hypot(across, down) < CELL_PIXELS / 3

    def at(cell: Cell) -> NDArray[np.uint8]:
        return np.asarray(cells[layout.size - 1 - cell[1], cell[0]])

    at(layout.start)[:] = _START
    at(layout.goal)[:] = _GOAL
    for hazard in layout.hazards:
        at(hazard)[:] = _HAZARD
        at(hazard)[cross] = _FLOOR
    cells[:, :, 0, :] = cells[:, :, :, 0] = _LINE
    at(agent)[disc] = _AGENT
    side = layout.size * CELL_PIXELS
    return np.ascontiguousarray(cells.transpose(0, 2, 1, 3, 4).reshape(side, side, 3))
