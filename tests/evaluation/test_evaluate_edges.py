"""`gs.evaluate` at its edges: cut episodes, policies that break, wrong settings, and how an answer reads."""

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.errors import DivergenceError, InputError
from groundschool.evaluation.diagnostics.agreement import ALARM


class Fixed:
    """The same probabilities everywhere, or whatever `answer` does."""

    name = "fixed"
    n_actions = 3

    def __init__(self, answer=None):
        self.answer = answer

    def probabilities(self, observations, *, masks=None):
        return np.tile([0.2, 0.3, 0.5], (len(observations), 1)) if self.answer is None else self.answer()


def walk(episodes, seed, *, cut=0.1, smallest=None):
    """A walk over five states that ends, costs, or is cut by chance alone; at most eight steps."""
    rng = np.random.default_rng(seed)
    shape = (episodes, 8)
    actions = rng.choice(3, shape, p=[1 / 6, 2 / 6, 3 / 6])
    moves = actions + rng.integers(2, size=shape)
    states = (rng.integers(5, size=(episodes, 1)) + np.cumsum(moves, axis=1) - moves) % 5
    ends, cuts = rng.random(shape) < 0.1, rng.random(shape) < cut
    cuts[:, -1] = True
    stops = ends | cuts
    kept = np.cumsum(stops, axis=1) - stops == 0
    propensities = np.array([1, 2, 3])[actions[kept]] / 6
    if smallest is not None:
        propensities[3] = smallest
    return gs.Dataset.from_arrays(
        states[kept],
        actions[kept],
        rng.normal(size=shape)[kept] + actions[kept],
        ends[kept],
        (cuts & ~ends)[kept],
        costs={"harm": (rng.random(shape) < 0.03 * (actions + 1))[kept].astype(float)},
        propensities=propensities,
        n_actions=3,
        horizon=8,
        return_range=(-30.0, 60.0),
    )


@pytest.mark.parametrize("of", ["return", "probability:harm"])
def test_estimators_of_an_honest_log_agree_though_episodes_were_cut(of):
    # Each case of a cut log, the best and the worst, is a question of its own: to compare across them is an alarm.
    logs = 40
    alarms = sum(
        any("differ by" in reason for reason in gs.evaluate(walk(120, seed), Fixed(), of=of).reasons)
        for seed in range(logs)
    )
    assert alarms <= stats.binom.isf(1e-3, logs, 3 * ALARM)


def test_each_case_of_a_cut_log_is_compared_by_itself():
    found = gs.evaluate(walk(200, 1), Fixed(), of="probability:harm").diagnostics["agreement"]
    assert found["level"] == ALARM
    assert {pair["case"] for pair in found["compared"]} == {"least", "most"}
    whole = gs.evaluate(walk(200, 1, cut=0.0), Fixed(), of="probability:harm").diagnostics["agreement"]
    assert all("case" not in pair for pair in whole["compared"])


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), KeyError("x"), ZeroDivisionError(), AssertionError()])
def test_a_policy_that_breaks_is_one_sentence_with_its_own_error_behind_it(error):
    def breaks():
        raise error

    with pytest.raises(InputError, match=f"policy 'fixed' cannot read.*{type(error).__name__}") as caught:
        gs.evaluate(walk(20, 0), Fixed(breaks))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [InputError("our own words"), DivergenceError("ours too"), MemoryError()])
def test_errors_that_say_enough_pass_as_they_are(error):
    def breaks():
        raise error

    with pytest.raises(type(error)) as caught:
        gs.evaluate(walk(20, 0), Fixed(breaks))
    assert caught.value is error


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"confidence": "0.95"}, "confidence is '0.95', expected a number"),
        ({"confidence": None}, "confidence is None, expected a number"),
        ({"confidence": True}, "confidence is True, expected a number"),
        ({"confidence": 1.0}, "confidence is 1.0, expected a number"),
        ({"method": None}, "method=None: expected 'auto' or one of"),
        ({"method": ["dr"]}, r"method=\['dr'\]: expected 'auto' or one of"),
        ({"method": "empirical_bernstein", "learning_share": "x"}, "learning_share is 'x', expected a number between"),
        ({"method": "rejection", "learning_share": None}, "learning_share is None, expected a number between"),
        ({"method": "rejection", "threshold": 0.5}, "threshold is 0.5, expected a number of at least 1"),
        ({"method": "rejection", "threshold": 5.0, "cap": 9.0}, "cap=9.0 and threshold=5.0: .* Say one of them"),
    ],
)
def test_settings_of_the_wrong_kind_are_one_sentence(settings, says):
    with pytest.raises(InputError, match=says):
        gs.evaluate(walk(20, 0), Fixed(), of="probability:harm", **settings)


def test_bounds_of_an_answer_want_a_number_too():
    found = gs.evaluate(walk(20, 0), Fixed(), of="probability:harm", method="logged")
    for confidence in ("0.9", None, True, 0.4, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"confidence is .* expected a number from 0\.5 to below 1"):
            found.upper_bound(confidence)


@pytest.mark.parametrize("smallest", [1e-300, 5e-324, 1e-40])
def test_a_logged_action_that_nobody_could_have_met_is_no_propensity(smallest):
    with pytest.raises(InputError, match=r"propensities: below 1e-30 in 1 of .* rows \(first at row 3"):
        gs.evaluate(walk(20, 0, smallest=smallest), Fixed())


@pytest.mark.parametrize("method", ["auto", "pdis", "dr", "wis", "betting"])
def test_a_very_small_propensity_ends_in_doubt_and_not_in_an_overflow(method):
    found = gs.evaluate(walk(60, 0, smallest=1e-12), Fixed(), method=method)
    assert not found.trusted


def test_a_clone_of_the_log_is_no_logger():
    log = walk(60, 0, cut=0.0)
    studied, fresh = log.select(np.arange(30)), log.select(np.arange(30, 60))
    clone = gs.train(studied, "bc", steps=20, seed=0, progress=False)
    found = gs.evaluate(studied, Fixed(), of="probability:harm", method="betting", behavior=clone)
    assert found.assurance == "heuristic"
    assert any("behavior= was trained on this log" in note for note in found.notes)
    # it may well have been deployed, and have written another log
    assert (
        gs.evaluate(fresh, Fixed(), of="probability:harm", method="betting", behavior=clone).assurance
        == "finite-sample"
    )


def test_an_answer_reads_as_what_may_be_relied_on():
    found = gs.evaluate(walk(200, 3, cut=0.0), Fixed(), of="probability:harm")
    assert str(found).startswith("probability:harm of policy 'fixed' by marginal_dr, from 200 episodes: 0.")
    assert f"0.95 interval [{found.lower:.4g}, {found.upper:.4g}] (asymptotic)." in str(found)
    assert "TRUSTED" not in str(found)
    doubted = gs.evaluate(walk(1, 3, cut=0.0), Fixed(), of="probability:harm")
    assert "[0, 1] (heuristic). NOT TRUSTED:\n- The log has one episode" in str(doubted)
