"""The logger's rule, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from groundschool.envs import HazardAvoidingLogger, Layout
from groundschool.errors import InputError

UP, RIGHT, DOWN, LEFT = range(4)

#   y=4  . . . . .
#   y=3  . . . X .
#   y=2  . . G . .
#   y=1  . X . X .
#   y=0  S . X . .
LAYOUT = Layout(5, (0, 0), (2, 2), ((1, 1), (3, 1), (3, 3), (2, 0)))


@pytest.mark.parametrize(
    ("cell", "taken"),
    [
        ((0, 0), {UP: 0.5, RIGHT: 0.5}),
        ((4, 4), {DOWN: 0.5, LEFT: 0.5}),
        ((0, 1), {UP: 1.0}),  # right is a hazard
        ((1, 0), {RIGHT: 1.0}),  # both preferred moves are hazards: the first, along x
        ((4, 1), {UP: 1.0}),  # left is a hazard
        ((4, 3), {DOWN: 1.0}),
        ((3, 4), {LEFT: 1.0}),
        ((2, 4), {DOWN: 1.0}),  # x is right already
        ((2, 3), {DOWN: 1.0}),
        ((0, 2), {RIGHT: 1.0}),  # y is right already
        ((4, 2), {LEFT: 1.0}),
        ((2, 2), {UP: 0.25, RIGHT: 0.25, DOWN: 0.25, LEFT: 0.25}),
    ],
)
@pytest.mark.parametrize("epsilon", [0.0, 0.22, 1.0])
def test_probabilities_by_hand(cell: tuple[int, int], taken: dict[int, float], epsilon: float) -> None:
    expected = [epsilon / 4 + (1 - epsilon) * taken.get(action, 0.0) for action in range(4)]
    logger = HazardAvoidingLogger(LAYOUT, epsilon)
    np.testing.assert_allclose(logger.probabilities(np.array([cell], dtype=np.float32))[0], expected, atol=1e-15)


@pytest.mark.parametrize(
    ("start", "goal", "first"),
    [((1, 1), (3, 3), RIGHT), ((3, 3), (1, 1), LEFT), ((1, 3), (3, 1), RIGHT), ((3, 1), (1, 3), LEFT)],
)
def test_x_is_the_first_preferred(start: tuple[int, int], goal: tuple[int, int], first: int) -> None:
    x, y = start
    dx, dy = np.sign(goal[0] - x), np.sign(goal[1] - y)
    layout = Layout(5, start, goal, ((x + dx, y), (x, y + dy)))
    np.testing.assert_array_equal(HazardAvoidingLogger(layout, 0.0).probabilities([start])[0], np.eye(4)[first])


@pytest.mark.parametrize(("goal", "first"), [((2, 4), UP), ((2, 0), DOWN)])
def test_with_y_alone_to_go_it_walks_into_the_hazard(goal: tuple[int, int], first: int) -> None:
    layout = Layout(5, (2, 2), goal, ((2, 3), (2, 1)))
    np.testing.assert_array_equal(HazardAvoidingLogger(layout, 0.0).probabilities([(2, 2)])[0], np.eye(4)[first])


def test_it_is_a_policy() -> None:
    logger = HazardAvoidingLogger(LAYOUT)
    rows = logger.probabilities(LAYOUT.cells)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-15)
    assert (logger.epsilon, logger.n_actions, logger.name) == (0.22, 4, "logger ε=0.22")
    masked = logger.probabilities([(0, 0)], masks=np.array([[True, False, True, False]]))[0]
    np.testing.assert_allclose(masked, [0.445 / 0.5, 0.0, 0.055 / 0.5, 0.0])
    assert set(logger.act(np.zeros((200, 2)), np.random.default_rng(0))) == {0, 1, 2, 3}


@pytest.mark.parametrize("epsilon", [-0.01, 1.01, np.nan, "0.1", None, True])
def test_refuses_epsilon(epsilon: object) -> None:
    with pytest.raises(InputError, match="epsilon is"):
        HazardAvoidingLogger(LAYOUT, epsilon)  # type: ignore[arg-type]


def test_refuses_an_observation_off_the_grid() -> None:
    with pytest.raises(InputError, match="observation 1 is"):
        HazardAvoidingLogger(LAYOUT).probabilities([(0, 0), (5, 0)])
