"""Agreement of estimators: a difference by hand, false alarms as stated, and what it must catch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from groundschool.data import Dataset
from groundschool.evaluation.diagnostics.agreement import ALARM, COMPARED, agreement
from groundschool.evaluation.estimate import Estimation
from groundschool.evaluation.estimators import dr, fqe, marginal_dr, per_decision_is, trajectory_is
from groundschool.evaluation.sampling import sample_log
from small_worlds import LOGGER, MODEL, TARGETS, put

PROBLEM = put(sample_log(MODEL, LOGGER, 100, 1), TARGETS["stochastic"])


def estimation(values=None, *, value=None, error=None, **more):
    """An answer with these values by episode."""
    center = float(np.mean(values)) if value is None else value
    spread = float(np.std(values, ddof=1) / math.sqrt(len(values))) if error is None else error
    return Estimation(center, spread, lambda tail: (0.0, 1.0), "", "asymptotic", values, **more)


def drawn(seed, n=100, shift=0.0, shared=0.9):
    """Values of two estimators that share most of their noise."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=n)
    one, other = (math.sqrt(shared) * common + math.sqrt(1 - shared) * rng.normal(size=n) for _ in range(2))
    return estimation(one), estimation(other + shift)


def test_by_hand():
    # Differences of 1 and 3 by turns: mean 2, standard error of 100 of them 1.00504 / 10; one pair at 1 %, and the
    # kurtosis of a coin (1) leaves all 99 degrees of freedom.
    base = np.random.default_rng(0).normal(size=100)
    base -= base.mean()
    other = estimation(base)
    one = estimation(base + np.tile([1.0, 3.0], 50), error=0.0 + np.std(base + np.tile([1.0, 3.0], 50), ddof=1) / 10)
    found = agreement(PROBLEM, {"marginal_dr": one, "dr": other})
    (pair,) = found.facts["compared"]
    assert pair["difference"] == pytest.approx(2.0)
    assert pair["standard_error"] == pytest.approx(math.sqrt(100 / 99) / 10)
    assert pair["limit"] == pytest.approx(stats.t.isf(0.005, 99) * math.sqrt(100 / 99) / 10)
    assert "marginal_dr (2) and dr" in found.reasons[0]
    assert "differ by 2, where chance explains 0.264" in found.reasons[0]


def test_what_an_estimator_adds_to_its_error_is_added():
    # Alone the values would differ by .1 +- .05; a stated error of .5 beyond them makes that chance.
    rng = np.random.default_rng(1)
    base = rng.normal(size=100)
    apart = base + 1.0 + 0.1 * rng.normal(size=100)
    assert agreement(PROBLEM, {"dr": estimation(base), "pdis": estimation(apart)}).reasons
    assert not agreement(PROBLEM, {"dr": estimation(base), "pdis": estimation(apart, error=0.5)}).reasons


@pytest.mark.parametrize("names", [COMPARED[:2], COMPARED])
def test_false_alarms_are_as_stated(names):
    # 400 draws at 1 %: more than 11 once in 1,000; Bonferroni is on the safe side for many pairs.
    alarms = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        common = rng.normal(size=100)
        found = agreement(PROBLEM, {name: estimation(common + rng.normal(size=100)) for name in names})
        alarms += bool(found.reasons)
    assert alarms <= 11


def test_false_alarms_of_estimators_on_honest_logs():
    # Four estimators of what the observation makes Markov, 150 logs: at 1 % more than 6 once in 1,000.
    alarms = compared = 0
    for seed in range(150):
        problem = put(sample_log(MODEL, LOGGER, 300, 7_000 + seed), TARGETS["stochastic"])
        estimators = {"marginal_dr": marginal_dr, "dr": dr, "pdis": per_decision_is, "is": trajectory_is}
        found = agreement(problem, {name: module.estimate(problem) for name, module in estimators.items()})
        compared += not found.facts["left_out"]
        alarms += bool(found.reasons)
    assert compared > 100
    assert alarms <= stats.binom.isf(1e-3, 150, ALARM) + 1


def test_a_hidden_memory_sets_the_markov_estimator_apart():
    # The second step pays what the first one did, and the observation hides both which step it is and what was done:
    # weighting histories is right, marginal_dr is not.
    rng = np.random.default_rng(1)
    n = 1_000
    first = rng.integers(2, size=n)
    actions = np.stack([first, rng.integers(2, size=n)], axis=1).ravel()
    rewards = np.stack([np.zeros(n), 10.0 * first * (1 - actions[1::2])], axis=1).ravel()
    log = Dataset.from_arrays(
        np.zeros(2 * n, int), actions, rewards, np.tile([False, True], n), np.zeros(2 * n, bool),
        propensities=np.full(2 * n, 0.5), n_actions=2, horizon=2,
    )  # fmt: skip
    problem = put(log, np.array([[0.1, 0.9]]))
    found = agreement(
        problem, {"marginal_dr": marginal_dr.estimate(problem), "pdis": per_decision_is.estimate(problem)}
    )
    assert len(found.reasons) == 1


@pytest.mark.parametrize("shift", [0.5, -0.5])
def test_a_difference_is_caught_either_way(shift):
    one, other = drawn(3, shift=shift)
    assert agreement(PROBLEM, {"dr": one, "pdis": other}).reasons


def test_fitted_q_is_noted_and_no_reason():
    one, _ = drawn(4)
    model = estimation(None, value=one.value + 5.0, error=0.1)
    found = agreement(PROBLEM, {"marginal_dr": one, "fqe": model})
    assert found.reasons == ()
    assert "speaks against fqe" in found.notes[0]
    near = estimation(None, value=one.value + 0.1, error=0.1)
    assert agreement(PROBLEM, {"marginal_dr": one, "fqe": near}).notes == ()


def test_fitted_q_of_an_honest_log_agrees():
    found = agreement(PROBLEM, {"marginal_dr": marginal_dr.estimate(PROBLEM), "fqe": fqe.estimate(PROBLEM)})
    assert found.notes == found.reasons == ()
    assert len(found.facts["compared"]) == 1


@pytest.mark.parametrize(
    ("spoiled", "why"),
    [
        (estimation(np.ones(100) + np.arange(100), reasons=("No.",)), "by its own account"),
        (estimation(None, value=1.0, error=1.0), "no values by episode"),
        (estimation(np.full(100, np.nan), value=1.0, error=1.0), "no values by episode"),
        (estimation(np.ones(100)), "error is not known"),
        (estimation(np.arange(100.0), error=math.inf), "error is not known"),
        (estimation(np.arange(100.0), diagnostics={"ess": 3.2}), "worth 3.2 episodes"),
    ],
)
def test_what_does_not_know_its_error_is_left_out(spoiled, why):
    one, other = drawn(5)
    found = agreement(PROBLEM, {"dr": one, "marginal_dr": other, "is": spoiled})
    assert why in found.facts["left_out"]["is"]
    assert len(found.facts["compared"]) == 1
    assert found.reasons == ()


def test_the_same_answer_twice_agrees():
    one, _ = drawn(6)
    assert agreement(PROBLEM, {"dr": one, "pdis": one}).reasons == ()


@pytest.mark.parametrize("given", [{}, {"dr": drawn(7)[0]}, {"logged": drawn(7)[0], "dr": drawn(7)[1]}])
def test_nothing_to_compare(given):
    found = agreement(PROBLEM, given)
    assert found.facts["compared"] == []
    assert found.reasons == found.notes == ()
