"""Where things are on a hazard grid: a validated, immutable map."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError

Cell = tuple[int, int]

MOVES: tuple[Cell, ...] = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""What each action adds to (x, y): 0 is +y, 1 is +x, 2 is -y, 3 is -x."""

_MAX_SIZE = 1_000


@dataclass(frozen=True)
class Layout:
    """Start, goal and hazards on a square grid.

    A cell is (x, y) with both coordinates in 0 … size - 1; state s of the grid is cell (s // size, s % size).

    Parameters
    ----------
    size : int
        Cells along each side, 2 to 1,000.
    start, goal : (int, int)
        Two different cells.
    hazards : sequence of (int, int)
        Cells that end an episode badly; one named twice counts once.

    Raises
    ------
    InputError
        For a cell off the grid, start, goal and hazards that collide, or a goal that no path around hazards reaches.
    """

    size: int
    start: Cell
    goal: Cell
    hazards: tuple[Cell, ...] = ()

    def __post_init__(self) -> None:
        size = whole(self.size, "size", 2, _MAX_SIZE)
        start, goal = _cell(self.start, "start", size), _cell(self.goal, "goal", size)
        try:
            given = list(self.hazards)
        except TypeError:
            raise InputError(f"hazards is {self.hazards!r}, expected a list of (x, y) cells.") from None
        hazards = tuple(dict.fromkeys(_cell(cell, f"hazard {i}", size) for i, cell in enumerate(given)))
        if start == goal:
            raise InputError(f"start and goal are both {start}: put them on different cells.")
        for name, cell in (("start", start), ("goal", goal)):
            if cell in hazards:
                raise InputError(
                    f"the hazard at {cell} is on the {name}: move the {name}, give other hazards, "
                    "or draw them with another hazard_seed."
                )
        for name, value in (("size", size), ("start", start), ("goal", goal), ("hazards", hazards)):
            object.__setattr__(self, name, value)
        _ = self.distance

    @classmethod
    def draw(cls, size: int, start: Cell, goal: Cell, n_hazards: int, seed: int) -> Layout:
        """Draw hazards uniformly from the cells with both coordinates in 2 … size - 3.

        Parameters
        ----------
        size, start, goal
            As for the class.
        n_hazards : int
            Draws, at least 0. They are made with replacement, so there may be fewer hazards than draws.
        seed : int
            Of the generator that draws, at least 0.
        """
        size = whole(size, "size", 2, _MAX_SIZE)
        n_hazards = whole(n_hazards, "n_hazards", 0, _MAX_SIZE**2)
        seed = whole(seed, "hazard_seed", 0)
        if n_hazards and size < 5:
            raise InputError(
                f"size is {size}, and drawing hazards from coordinates 2 to size - 3 needs a size of at least 5. "
                "Give hazards=[(x, y), ...], or hazards=[] for none."
            )
        rng = np.random.default_rng(seed)
        draws = rng.integers(2, size - 2, size=(n_hazards, 2)).tolist() if n_hazards else []
        return cls(size, start, goal, tuple((x, y) for x, y in draws))

    @property
    def n_states(self) -> int:
        """Number of cells, size squared."""
        return self.size * self.size

    def state(self, cell: Cell) -> int:
        """Return the state number of a cell."""
        return cell[0] * self.size + cell[1]

    def states(self, observations: ArrayLike) -> NDArray[np.intp]:
        """Return state numbers, shape (N,), of (x, y) observations, shape (N, 2).

        Raises
        ------
        InputError
            If the shape differs, or a row is not an integer cell of the grid.
        """
        cells = np.asarray(observations)
        if cells.ndim != 2 or cells.shape[1] != 2:
            raise InputError(f"observations have shape {cells.shape}, expected (N, 2): one (x, y) a row.")
        with np.errstate(invalid="ignore"):
            whole_cells = cells.astype(np.intp)
        bad = ~((whole_cells == cells) & (whole_cells >= 0) & (whole_cells < self.size)).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"observation {row} is {tuple(cells[row].tolist())}, expected whole numbers in 0 to {self.size - 1}, "
                f"a cell of this {self.size}x{self.size} grid."
            )
        return np.asarray(whole_cells[:, 0] * self.size + whole_cells[:, 1], dtype=np.intp)

    @cached_property
    def cells(self) -> NDArray[np.intp]:
        """The cell of each state, shape (n_states, 2), columns x and y."""
        return np.stack(np.divmod(np.arange(self.n_states), self.size), axis=1)

    @cached_property
    def hazard_mask(self) -> NDArray[np.bool_]:
        """True at hazards, shape (n_states,)."""
        mask = np.zeros(self.n_states, dtype=np.bool_)
        mask[[self.state(cell) for cell in self.hazards]] = True
        return mask

    @cached_property
    def goal_mask(self) -> NDArray[np.bool_]:
        """True at the goal, shape (n_states,)."""
        mask = np.zeros(self.n_states, dtype=np.bool_)
        mask[self.state(self.goal)] = True
        return mask

    @cached_property
    def neighbors(self) -> NDArray[np.intp]:
        """The state that each executed action leads to, shape (n_states, 4); walls clip."""
        moved = np.clip(self.cells[:, None, :] + np.array(MOVES), 0, self.size - 1)
        return np.asarray(moved[..., 0] * self.size + moved[..., 1], dtype=np.intp)

    @cached_property
    def distance(self) -> int:
        """Steps of the shortest path from start to goal around the hazards."""
        frontier, seen, steps = [self.start], {self.start, *self.hazards}, 0
        while frontier:
            steps += 1
            following = []
            for x, y in frontier:
                for cell in ((x, y + 1), (x + 1, y), (x, y - 1), (x - 1, y)):
                    if cell not in seen and 0 <= cell[0] < self.size and 0 <= cell[1] < self.size:
                        seen.add(cell)
                        following.append(cell)
            if self.goal in seen:
                return steps
            frontier = following
        raise InputError(
            f"no path leads from start {self.start} to goal {self.goal} around the {len(self.hazards)} hazards: "
            "remove or move hazards, or draw them with another hazard_seed."
        )


def whole(value: Any, name: str, least: int, most: int | None = None) -> int:
    """Return value as an int, or raise `InputError` if it is no whole number in the range."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least or (most is not None and number > most):
        upper = f" and <= {most:,}" if most is not None else ""
        raise InputError(f"{name} is {value!r}, expected a whole number >= {least:,}{upper}.")
    return number


def _cell(value: Sequence[int], name: str, size: int) -> Cell:
    try:
        x, y = value
        cell = (operator.index(x), operator.index(y))
        fine = not isinstance(x, bool) and not isinstance(y, bool) and min(cell) >= 0 and max(cell) < size
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise InputError(f"{name} is {value!r}, expected a cell (x, y) of whole numbers in 0 to {size - 1}.")
    return cell
