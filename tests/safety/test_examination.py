"""What one part of a log says about a policy, with caution."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.diagnostics.support import MOST_CLIPPED
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.question import Question
from groundschool.safety.examination import Examination, _answer, once_more

GRID = gs.HazardGrid()


def one_step(observations=None):
    """Four episodes of one step in one state: action 0 three times (rewards 1, 2, 3), action 1 once (-6, a harm)."""
    n = 4
    return gs.Dataset.from_arrays(
        np.zeros(n, int) if observations is None else observations, [0, 0, 0, 1], [1.0, 2.0, 3.0, -6.0],
        np.ones(n, bool), np.zeros(n, bool), costs={"harm": [0.0, 0.0, 0.0, 2.0]}, propensities=[0.75] * 3 + [0.25],
        n_actions=2, final_observations=np.zeros(n, int) if observations is None else observations,
    )  # fmt: skip


ALWAYS_0 = gs.TabularPolicy([[1.0, 0.0]])


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("return", (6.0 + 0.0) / 4),  # three steps that sum to 6, and one of the state's mean, 0
        ("cost:harm", (0.0 + 0.5) / 4),
        ("probability:harm", (0.0 + 0.25) / 4),
    ],
)
def test_every_pair_is_logged_once_more_and_turns_out_as_its_state_does(of, expected):
    log = one_step()
    assert once_more(Evaluator(log), ALWAYS_0, Question.parse(of, log)) == pytest.approx(expected)


def test_where_states_cannot_be_counted_there_is_no_such_thing():
    log = one_step(np.random.default_rng(0).normal(size=(4, 2)))
    policy = SimpleNamespace(name="x", n_actions=2, probabilities=lambda x, masks=None: np.full((len(x), 2), 0.5))
    assert math.isnan(once_more(Evaluator(log), policy, Question.parse("return", log)))


def estimate(of="return", trusted=True, reasons=(), claimed=(1.0, 5.0), room=0.0, **support):
    facts = {
        "claimed": {"lower": claimed[0], "upper": claimed[1]},
        "support": support,
        "room_for_the_worst": {"down": room, "up": 0.0},
    }
    return SimpleNamespace(of=of, value=3.0, trusted=trusted, reasons=reasons, diagnostics=facts)


@pytest.mark.parametrize(
    ("found", "caution", "bounds", "cautious"),
    [
        (estimate(), 0.5, (1.0, 5.0), 0.5),
        (estimate(), 2.0, (1.0, 5.0), 2.0),
        (estimate(), 4.0, (1.0, 5.0), 3.0),  # never above the estimate
        (estimate(), math.nan, (1.0, 5.0), 1.0),
        (estimate(room=0.7), math.nan, (1.0, 5.0), 1.7),
        (estimate("cost:x"), 0.5, (1.0, 5.0), None),
        (estimate("probability:x"), 6.0, (1.0, 6.0), None),
        (estimate(claimed=(math.nan, math.nan)), 0.5, (-math.inf, math.inf), 0.5),
    ],
)
def test_caution_orders_returns_and_raises_costs(found, caution, bounds, cautious):
    answer = _answer(found, caution)
    assert (answer.lower, answer.upper, answer.cautious) == (*bounds, cautious)


@pytest.mark.parametrize(
    ("found", "concentrated"),
    [
        (estimate(clipped=MOST_CLIPPED / 2), False),
        (estimate(trusted=False, reasons=("few episodes speak",), clipped=2 * MOST_CLIPPED), True),
        (estimate(trusted=False, reasons=("few episodes speak", "unsupported"), clipped=2 * MOST_CLIPPED), False),
        (estimate(trusted=False, reasons=("history tells more",), clipped=0.0), False),
        (estimate(trusted=False, reasons=("weights",)), False),
    ],
)
def test_few_episodes_are_the_only_doubt_where_that_is_the_only_reason(found, concentrated):
    assert _answer(found).concentrated is concentrated


@pytest.fixture(scope="module")
def part():
    return gs.collect(GRID, GRID.logger(), 250, 0)


def test_answers_are_those_of_evaluate_with_caution(part):
    found = Examination(part, method="marginal_dr", confidence=0.95, discount=1.0, behavior=None, seed=0)
    policy = GRID.logger(0.1)
    for of in ("return", "probability:hazard"):
        answer = found.judge(policy, of)
        known = gs.evaluate(part, policy, of=of, method="marginal_dr", confidence=0.9)
        assert (answer.value, answer.trusted, answer.reasons) == (known.value, known.trusted, known.reasons)
        assert answer.lower == known.lower_bound(0.95) or not known.trusted
        assert answer.upper >= known.upper_bound(0.95) or not known.trusted


def test_returns_that_can_be_counted_are_compared_by_one_more_log_of_every_pair(part):
    found = Examination(part, method="marginal_dr", confidence=0.95, discount=1.0, behavior=None, seed=0)
    policy = GRID.logger(0.1)
    answer = found.judge(policy, "return")
    assert answer.cautious == min(answer.value, once_more(Evaluator(part), policy, Question("return")))
    assert found.judge(policy, "probability:hazard").cautious is None


def test_the_logger_is_compared_by_its_mean_where_others_are_by_one_more_log_of_every_pair(part):
    assert Examination(part, method="auto", confidence=0.95, discount=1.0, behavior=None, seed=0).logger(
        "return"
    ).cautious == pytest.approx(part.returns.mean())
    log = one_step(np.random.default_rng(0).normal(size=(4, 2)))
    measured = Examination(log, method="auto", confidence=0.95, discount=1.0, behavior=None, seed=0).logger("return")
    assert measured.cautious == measured.lower


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_the_logger_answers_with_what_it_was_seen_to_do(part, discount):
    found = Examination(part, method="auto", confidence=0.95, discount=discount, behavior=None, seed=0)
    steps = np.arange(part.n_steps) - np.repeat(part.starts[:-1], part.lengths)
    returns = np.add.reduceat(part.rewards * discount**steps, part.starts[:-1])
    answer = found.logger("return")
    assert answer.value == pytest.approx(returns.mean())
    assert answer.lower < answer.value < answer.upper
    assert found.logger("cost:hazard").value == pytest.approx(part.costs["hazard"].sum() / part.n_episodes)


def test_a_danger_beside_the_path_counts_against_who_was_lucky_there():
    """Action 0 never met the harm that action 1 met from the same state; the plain model says it never will."""
    n = 20
    actions = (np.arange(n) >= 10).astype(int)
    harm = ((actions == 1) & (np.arange(n) % 2 == 0)).astype(float)
    log = gs.Dataset.from_arrays(
        np.zeros(n, int), actions, -10.0 * harm, np.ones(n, bool), np.zeros(n, bool), costs={"harm": harm},
        propensities=np.full(n, 0.5), n_actions=2, final_observations=np.zeros(n, int),
    )  # fmt: skip
    found = Examination(log, method="marginal_dr", confidence=0.95, discount=1.0, behavior=None, seed=0)
    answer = found.judge(ALWAYS_0, "return")
    assert answer.cautious is not None
    assert answer.cautious <= -10.0 * 0.25 / 11 + 1e-9  # one step of eleven, harmful in a quarter of the state's steps
