"""`gs.evaluate` as its users call it: what it returns, what it refuses, and what it says of bad input."""

import dataclasses
import json
import math

import numpy as np
import pytest

import groundschool as gs
from groundschool.errors import InputError
from groundschool.evaluation.evaluator import Evaluator


@pytest.fixture(scope="module")
def grid():
    return gs.HazardGrid()


@pytest.fixture(scope="module")
def log(grid):
    return gs.collect(grid, grid.logger(0.22), episodes=300, seed=5)


@pytest.fixture(scope="module")
def evaluator(log):
    return Evaluator(log)


@pytest.mark.parametrize("of", ["return", "cost:hazard", "probability:hazard"])
def test_the_logger_is_trusted_and_its_own_mean_is_in_reach(grid, log, evaluator, of):
    found = evaluator.evaluate(grid.logger(0.22), of=of)
    assert found.trusted
    assert found.reasons == ()
    assert found.assurance == "asymptotic"
    assert found.method == "marginal_dr"
    assert found.lower < found.value < found.upper
    observed = log.returns.mean() if of == "return" else (log.cost_sums("hazard") > 0).mean()
    assert abs(found.value - observed) < 3 * found.standard_error
    assert found.lower_bound(0.975) == pytest.approx(found.lower)
    assert found.lower < found.lower_bound(0.9) < found.upper_bound(0.9) < found.upper
    assert {"claimed", "support", "self_test", "history", "overlap", "weights"} <= set(found.diagnostics)
    json.dumps(found.to_json(), allow_nan=False)


def test_what_the_log_cannot_carry_is_refused_and_still_printed(grid, evaluator):
    uniform = gs.wrap(lambda x: np.full((len(x), 4), 0.25), n_actions=4, outputs="probabilities", name="uniform")
    found = evaluator.evaluate(uniform, of="probability:hazard")
    assert not found.trusted
    assert (found.lower, found.upper) == (0.0, 1.0)
    assert found.upper_bound(0.9) == 1.0
    assert 0.0 < found.value < 1.0
    assert 0.0 <= found.diagnostics["claimed"]["lower"] < found.value < found.diagnostics["claimed"]["upper"]
    assert "logged row" in found.reasons[0]
    back = evaluator.evaluate(uniform, of="return")
    assert (back.lower, back.upper) == grid.return_range
    everything = Evaluator(dataclasses.replace(evaluator.log, return_range=None)).evaluate(uniform)
    assert (everything.lower, everything.upper) == (-math.inf, math.inf)
    assert everything.to_json()["lower"] is None


def test_one_call_is_one_evaluator(grid, log, evaluator):
    alone = gs.evaluate(log, grid.logger(0.1), of="probability:hazard", confidence=0.9)
    among = evaluator.evaluate(grid.logger(0.1), of="probability:hazard", confidence=0.9)
    assert alone.to_json() == among.to_json()


def test_auto_says_why(grid, evaluator):
    assert evaluator.evaluate(grid.logger(0.1)).notes[0].startswith("Chosen by rule: marginal")


@pytest.mark.parametrize("method", ["logged", "is", "pdis", "wis", "pdwis", "dr", "fqe", "marginal_dr"])
def test_every_method_answers(grid, evaluator, method):
    found = evaluator.evaluate(grid.logger(0.2), of="probability:hazard", method=method)
    assert found.method == method
    assert 0.0 <= found.lower <= found.upper <= 1.0
    assert found.diagnostics["claimed"]["lower"] < found.diagnostics["claimed"]["upper"]
    if found.trusted:
        assert found.lower < found.upper


def test_cut_episodes_count_as_the_worst(grid, log):
    """100 of 300 episodes cut after their first step: the bounds hold whatever became of them."""
    keep = np.ones(log.n_steps, bool)
    truncated, terminated = log.truncated.copy(), log.terminated.copy()
    for e in range(100):
        first, after = log.starts[e], log.starts[e + 1]
        if after - first > 1:
            keep[first + 1 : after] = False
            truncated[first], terminated[first] = True, False
    cut = gs.Dataset.from_arrays(
        log.observations[keep],
        log.actions[keep],
        log.rewards[keep],
        terminated[keep],
        truncated[keep],
        costs={"hazard": log.costs["hazard"][keep]},
        propensities=log.propensities[keep],
        n_actions=4,
        horizon=80,
    )
    found = gs.evaluate(cut, grid.logger(0.22), of="probability:hazard", method="logged")
    events = (cut.cost_sums("hazard") > 0).sum() / 300
    assert found.diagnostics["censored"]["episodes"] == 100
    assert found.lower < events
    assert found.upper > events + 1 / 3
    assert "cut before the horizon" in " ".join(found.notes)
    model = gs.evaluate(cut, grid.logger(0.22), of="probability:hazard", method="marginal_dr")
    assert model.diagnostics["claimed"]["upper"] - model.diagnostics["claimed"]["lower"] > 1 / 3


def test_training_episodes_are_no_evidence(grid, log):
    policy = gs.train(log, "bc", steps=20, seed=0, progress=False)
    found = gs.evaluate(log, policy)
    assert not found.trusted
    assert any("trained on" in reason for reason in found.reasons)


def test_without_propensities_it_is_heuristic(grid, log):
    bare = dataclasses.replace(log, propensities=None)
    found = gs.evaluate(bare, grid.logger(0.22), of="probability:hazard")
    assert found.assurance == "heuristic"
    assert any("no propensities" in note for note in found.notes)
    told = gs.evaluate(bare, grid.logger(0.22), of="probability:hazard", behavior=grid.logger(0.22))
    assert told.assurance == "asymptotic"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"method": "marginal"}, "expected 'auto' or one of.*Did you mean 'marginal_dr'"),
        ({"method": "marginal_dr", "fold": 3}, "fold is not an option.*Did you mean 'folds'"),
        ({"of": "probability:fire"}, "the log has no cost 'fire'"),
        ({"confidence": 1.0}, "confidence is 1.0"),
        ({"confidence": 95}, "confidence is 95"),
        ({"discount": 0.0}, "discount is 0.0"),
        ({"discount": 1.5}, "discount is 1.5"),
        ({"discount": 0.9, "of": "probability:hazard"}, "a probability has no discount"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "a"}, "seed is 'a'"),
    ],
)
def test_bad_settings_are_one_sentence(grid, log, change, says):
    with pytest.raises(InputError, match=says):
        gs.evaluate(log, grid.logger(0.1), **change)


def test_bad_policies_are_one_sentence(grid, log):
    with pytest.raises(InputError, match="chooses among 3 actions, the log has 4"):
        gs.evaluate(log, gs.TabularPolicy(np.full((5, 3), 1 / 3)))
    with pytest.raises(InputError, match="integer state ids"):
        gs.evaluate(log, gs.TabularPolicy(np.full((5, 4), 0.25)))
    off = gs.wrap(lambda x: np.full((len(x), 4), 0.3), n_actions=4, outputs="probabilities", name="off")
    with pytest.raises(InputError, match="no distribution"):
        gs.evaluate(log, off)
    with pytest.raises(InputError, match="Wrap it"):
        gs.evaluate(log, object())


def test_bad_logs_are_one_sentence(grid, log):
    with pytest.raises(InputError, match="expected a Dataset"):
        gs.evaluate("log.parquet", grid.logger(0.1))
    measured = gs.Dataset.from_arrays(
        np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4), np.ones(4, bool), np.zeros(4, bool)
    )
    with pytest.raises(InputError, match="continuous actions"):
        gs.evaluate(measured, grid.logger(0.1))
    with pytest.raises(InputError, match="propensit"):
        gs.Dataset.from_arrays(
            np.zeros(2, int),
            np.zeros(2, int),
            np.zeros(2),
            np.ones(2, bool),
            np.zeros(2, bool),
            propensities=[0.0, 1.0],
        )
    with pytest.raises(InputError):
        gs.Dataset.from_arrays([], [], [], [], [])


def test_a_behavior_policy_that_could_not_have_logged_this(grid, log):
    still = gs.wrap(lambda x: np.zeros(len(x), int), n_actions=4, name="still")
    with pytest.raises(InputError, match="still"):
        gs.evaluate(log, grid.logger(0.1), behavior=still)
