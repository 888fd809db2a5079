"""Measured observations: a partition, and an estimate over it that is trusted for the logger alone."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.estimators import marginal_dr
from groundschool.evaluation.estimators.marginal_dr_partition import cross_fit, estimate, over_cells
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.partition import cells_of
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question


def drift(episodes, seed, share=0.5):
    """A point on a line, pushed by its action; harm is to be far out. Returns the log and the policy that wrote it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=episodes)
    rows = []
    for _ in range(6):
        actions = (rng.random(episodes) < share).astype(int)
        after = 0.8 * x + 0.5 * (2 * actions - 1) + 0.3 * rng.normal(size=episodes)
        rows.append((x, actions, after))
        x = after
    seen, actions, after = (np.stack(column, axis=1).reshape(-1) for column in zip(*rows, strict=True))
    log = gs.Dataset.from_arrays(
        seen[:, None],
        actions,
        after,
        np.zeros(len(seen), bool),
        np.tile(np.arange(6) == 5, episodes),
        costs={"far": (after > 1.5).astype(float)},
        propensities=np.where(actions == 1, share, 1 - share),
        final_observations=x[:, None],
        n_actions=2,
    )
    return log, constant(share)


def constant(share):
    return gs.wrap(
        lambda o: np.tile([1 - share, share], (len(o), 1)), n_actions=2, outputs="probabilities", name="even"
    )


def posed(log, policy, of="return"):
    return pose(log, policy, Question.parse(of, log), Behavior(log.propensities, None, True))


def test_the_logger_is_its_own_mean_and_is_trusted():
    log, logger = drift(200, seed=0)
    problem = posed(log, logger)
    assert problem.states is None
    found = estimate(problem)
    assert not found.reasons
    assert found.assurance == "heuristic"
    assert abs(found.value - log.returns.mean()) < 2 * found.standard_error
    fitted = cross_fit(over_cells(problem, 20, 0), 10, 20.0)
    assert fitted.ratios == pytest.approx(np.ones(problem.n_rows))


def test_a_policy_unlike_the_logger_is_refused():
    log, _ = drift(200, seed=1)
    found = estimate(posed(log, constant(0.9)))
    assert "unlike the logger" in found.reasons[0]


def test_as_many_cells_as_states_is_the_estimate_over_states():
    """Observations of few values in cells of one value each: the same numbers as where they are counted."""
    rng = np.random.default_rng(0)
    states, actions = rng.integers(4, size=300), rng.integers(2, size=300)
    log = gs.Dataset.from_arrays(
        states.astype(float)[:, None] / 3,
        actions,
        rng.normal(size=300) + states,
        np.tile([False, False, True], 100),
        np.zeros(300, bool),
        propensities=np.full(300, 0.5),
        n_actions=2,
    )
    problem = posed(log, constant(0.7))
    counted = marginal_dr.cross_fit(problem, np.full((4, 2), 0.5), 5, clip=50.0)
    behavior = over_cells(problem, 50, 0)
    assert behavior.states.count == 4
    assert cross_fit(behavior, 5, 50.0).values == pytest.approx(counted.values)


def test_auto_asks_for_whole_histories_and_means_them():
    """Mean of 30 answers against the mean of a long log of the target itself, in standard errors of both."""
    target = constant(0.6)
    truth = drift(40_000, seed=9, share=0.6)[0].returns
    answers = []
    for seed in range(30):
        found = Evaluator(drift(200, seed=100 + seed)[0]).evaluate(target)
        assert found.method == "dr"
        answers.append(found.value)
    error = np.hypot(np.std(answers) / np.sqrt(30), np.std(truth) / 200)
    assert abs(np.mean(answers) - truth.mean()) < 4 * error


def test_cells():
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(3_000, 3)) * [1.0, 100.0, 0.0]
    observations[5, 0] = np.nan
    cells = cells_of(observations, 40, seed=1)
    code = cells(observations)
    assert cells.count <= 40
    assert set(code.tolist()) == set(range(cells.count))
    assert (cells_of(observations, 40, seed=1)(observations) == code).all()
    # Scale does not matter: the second column counts no more than the first.
    spread = [np.std(observations[code == c], axis=0) for c in range(cells.count) if (code == c).sum() > 20]
    assert np.nanmean([s[1] / 100 for s in spread]) < 0.8
    assert cells_of(np.zeros((10, 2)), 5).count == 1
