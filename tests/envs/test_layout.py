"""Layouts: what is drawn, what is refused, and the geometry that everything else reads."""

from __future__ import annotations

import numpy as np
import pytest

from groundschool.envs import Layout
from groundschool.errors import InputError

TUTORIAL_HAZARDS = {(4, 3), (6, 11), (2, 10), (9, 6), (2, 9), (10, 10), (7, 12)}


def test_draws_the_tutorials_hazards() -> None:
    assert set(Layout.draw(15, (0, 0), (14, 14), 7, 42).hazards) == TUTORIAL_HAZARDS


@pytest.mark.parametrize(("size", "seed"), [(5, 0), (9, 3), (15, 7), (20, 1)])
def test_draws_follow_the_tutorials_rule(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    expected = {tuple(int(v) for v in rng.integers(2, size - 2, size=2)) for _ in range(7)}
    assert set(Layout.draw(size, (0, 0), (size - 1, size - 1), 7, seed).hazards) == expected


def test_repeated_draws_and_cells_count_once() -> None:
    assert Layout.draw(5, (0, 0), (4, 4), 7, 0).hazards == ((2, 2),)  # the only cell that can be drawn
    assert Layout(3, (0, 0), (2, 2), ((1, 1), (1, 1))).hazards == ((1, 1),)


def test_numpy_cells_become_plain_integers() -> None:
    layout = Layout(3, np.array([0, 0]), (2, 2), np.array([[1, 1]]))
    assert layout == Layout(3, (0, 0), (2, 2), ((1, 1),))
    assert [type(v) for v in (*layout.start, *layout.hazards[0])] == [int] * 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"size": 1}, "size is 1"),
        ({"size": 2.5}, "size is 2.5"),
        ({"size": True}, "size is True"),
        ({"size": 1_001}, "<= 1,000"),
        ({"start": (0, 3)}, r"start is \(0, 3\), expected a cell .* in 0 to 2"),
        ({"start": (-1, 0)}, r"start is \(-1, 0\)"),
        ({"start": (0.0, 0)}, "start is"),
        ({"start": (0, False)}, "start is"),
        ({"goal": (2, 2, 2)}, "goal is"),
        ({"goal": "ab"}, "goal is 'ab'"),
        ({"goal": 3}, "goal is 3"),
        ({"goal": (0, 0)}, "start and goal are both"),
        ({"hazards": ((1, 1), (1, 3))}, "hazard 1 is"),
        ({"hazards": 5}, "hazards is 5"),
        ({"hazards": ((0, 0),)}, r"hazard at \(0, 0\) is on the start"),
        ({"hazards": ((1, 1), (2, 2))}, r"hazard at \(2, 2\) is on the goal"),
        ({"hazards": ((0, 2), (1, 1), (2, 0))}, "no path leads"),
        ({"hazards": ((1, 0), (0, 1))}, "no path leads"),
        ({"hazards": ((1, 2), (2, 1))}, "no path leads"),
    ],
)
def test_refuses(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Layout(**({"size": 3, "start": (0, 0), "goal": (2, 2), "hazards": ()} | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "n_hazards", "seed", "says"),
    [
        (4, 1, 0, "size of at least 5"),
        (15, -1, 0, "n_hazards"),
        (15, 7, -1, "hazard_seed"),
        (15, 7, 0.5, "hazard_seed"),
    ],
)
def test_refuses_to_draw(size: int, n_hazards: int, seed: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Layout.draw(size, (0, 0), (size - 1, size - 1), n_hazards, seed)


def test_a_drawn_hazard_on_the_start_is_refused() -> None:
    with pytest.raises(InputError, match="on the start"):
        Layout.draw(5, (2, 2), (4, 4), 1, 0)


@pytest.mark.parametrize(
    ("hazards", "distance"),
    [
        ((), 4),
        (((1, 1),), 4),
        (((1, 0), (1, 1)), 4),
        (((0, 1), (1, 1)), 4),
    ],
)
def test_distance_on_three_by_three(hazards: tuple[tuple[int, int], ...], distance: int) -> None:
    assert Layout(3, (0, 0), (2, 2), hazards).distance == distance


def test_distance_goes_around() -> None:
    wall = tuple((2, y) for y in range(4))  # from (0, 0) to (4, 0) by way of (2, 4): 4 up, 4 right, 4 down
    assert Layout(5, (0, 0), (4, 0), wall).distance == 12


def test_states_cells_and_neighbors() -> None:
    layout = Layout(3, (0, 0), (2, 2))
    np.testing.assert_array_equal(layout.cells[[0, 1, 3, 8]], [(0, 0), (0, 1), (1, 0), (2, 2)])
    np.testing.assert_array_equal(layout.states(layout.cells.astype(np.float32)), np.arange(9))
    # +y, +x, -y, -x: from the middle, and clipped in two corners
    np.testing.assert_array_equal(layout.neighbors[layout.state((1, 1))], [5, 7, 3, 1])
    np.testing.assert_array_equal(layout.neighbors[layout.state((0, 0))], [1, 3, 0, 0])
    np.testing.assert_array_equal(layout.neighbors[layout.state((2, 2))], [8, 8, 7, 5])


@pytest.mark.parametrize("bad", [[(0.5, 0)], [(0, 3)], [(-1, 0)], [(np.nan, 0)], [(0, 0, 0)], [0, 1]])
def test_states_refuses_what_is_no_cell(bad: list[object]) -> None:
    with pytest.raises(InputError, match="observation"):
        Layout(3, (0, 0), (2, 2)).states(np.array(bad))
