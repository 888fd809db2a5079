"""What an action does where it was never logged: forecast from how it moves elsewhere, if it moves alike at all."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.advantages import advantages
from groundschool.evaluation.behavior import logged_behavior
from groundschool.evaluation.displacement import with_displacements
from groundschool.evaluation.finite_horizon import count
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.recall import recall_logger
from groundschool.evaluation.sampling import Sampler
from small_worlds import LOGGER, MODEL

GRID = gs.HazardGrid(size=6, hazards=[(2, 2), (3, 1)], horizon=20)
HARM = "probability:hazard"


def counted(log, of):
    problem = pose(log, recall_logger(log), Question.parse(of, log), logged_behavior(log))
    return problem, count(problem, np.zeros(log.n_episodes, np.int64), 1).counts


def corridor(n=40):
    """A line from 0 to 4; right of 4 is the end, left of 0 a fall. Left is taken everywhere but in 0 and 4."""
    rows = []
    for _ in range(n):
        rows += [(1.0, 0, 0.0), (0.0, 1, 1.0), (1.0, 1, 2.0), (2.0, 1, 3.0), (3.0, 1, 4.0), (4.0, 1, 5.0)]
        rows += [
            (2.0, 0, 1.0),
            (1.0, 1, 2.0),
            (2.0, 1, 3.0),
            (3.0, 0, 2.0),
            (2.0, 1, 3.0),
            (3.0, 1, 4.0),
            (4.0, 1, 5.0),
        ]
        rows += [(0.0, 0, -1.0)] if _ == 0 else []
    here, action, then = (np.array(column) for column in zip(*rows, strict=True))
    ends = (then == 5.0) | (then == -1.0)
    harm = (then == -1.0).astype(float)
    return gs.Dataset.from_arrays(
        here[:, None], action, np.zeros(len(here)), ends, np.zeros(len(here), bool), costs={"hazard": harm},
        propensities=np.full(len(here), 0.5), final_observations=then[ends][:, None], n_actions=2, horizon=20,
    )  # fmt: skip


def test_a_forecast_by_hand():
    log = corridor()
    problem, counts = counted(log, HARM)
    more, weight = with_displacements(log, problem, counts)
    assert weight > 0.0
    state_of = {float(x): int(s) for x, s in zip(problem.observations[:, 0], problem.states.code, strict=True)}
    new = slice(len(counts.state), None)
    added = {
        (int(s), int(a)): (int(t), float(w), float(p))
        for s, a, t, w, p in zip(
            more.state[new], more.action[new], more.then[new], more.steps[0, new], more.signal[0, new], strict=True
        )
    }
    # Left in 4 was never logged: it leads to 3, without harm. Left in 0 ends in a fall.
    assert added[state_of[4.0], 0] == pytest.approx((state_of[3.0], weight, 0.0))
    assert added[state_of[0.0], 0] == pytest.approx((-1, weight, weight))
    assert added[state_of[4.0], 1] == pytest.approx((-1, weight, 0.0))


def test_ids_have_no_displacement_and_random_moves_forecast_nothing():
    log = Sampler.of(MODEL, LOGGER).log(200, 0)
    problem, counts = counted(log, "probability:harm")
    assert with_displacements(log, problem, counts) == (counts, 0.0)
    rng = np.random.default_rng(1)
    to = rng.integers(12, size=(12, 2))  # every pair leads somewhere of its own
    state = rng.integers(12, size=3_000)
    action = rng.integers(2, size=3_000)
    log = gs.Dataset.from_arrays(
        state[:, None].astype(float), action, np.zeros(3_000), np.ones(3_000, bool), np.zeros(3_000, bool),
        costs={"hazard": (to[state, action] == 3).astype(float)}, propensities=np.full(3_000, 0.5),
        final_observations=to[state, action][:, None].astype(float), n_actions=2, horizon=1,
    )  # fmt: skip
    problem, counts = counted(log, HARM)
    assert with_displacements(log, problem, counts)[1] <= 0.25


def test_the_danger_of_a_step_that_nobody_took_is_seen():
    """In a grid: steps into a hazard that the log does not hold are told from others that it does not hold."""
    log = Sampler.of(GRID.model(), GRID.logger(0.4)).log(150, 3)
    keep = np.ones(log.n_episodes, bool)
    episode = np.repeat(np.arange(log.n_episodes), log.lengths)
    into = (log.observations == [1, 2]).all(axis=1) & (log.actions == 1)  # from (1, 2) into the hazard (2, 2)
    keep[episode[into]] = False
    log = log.select(keep)
    found = advantages(log, recall_logger(log), Question.parse(HARM, log), logged_behavior(log))
    at = {tuple(cell): i for i, cell in enumerate(log.observations[found.rows].astype(int).tolist())}
    row = at[1, 2]
    assert found.counts[row, 1] == 0
    assert found.forecast_rows > 0
    assert found.advantages[row, 1] > 0.4
    assert found.advantages[row, 0] < 0.1
    exact = GRID.model().evaluate(GRID.logger(0.4))
    assert found.start == pytest.approx(exact.probabilities["hazard"], abs=0.15)
