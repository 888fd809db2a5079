"""From a log and a policy to arrays: events, ends, cut episodes, masks and states."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.errors import InputError
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.states import count_states

# Three episodes over state ids: one terminated after an event in its second step, one that runs to the horizon of 3,
# and one that was cut after a step.
OBSERVATIONS = np.array([0, 1, 2, 0, 0, 1, 2])
HARM = np.array([0.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0])


def log(**more):
    given = {
        "observations": OBSERVATIONS,
        "actions": np.array([0, 1, 0, 1, 0, 1, 0]),
        "rewards": np.arange(7.0),
        "terminated": np.array([0, 0, 1, 0, 0, 0, 0], bool),
        "truncated": np.array([0, 0, 0, 0, 0, 1, 1], bool),
        "costs": {"harm": HARM},
        "propensities": np.full(7, 0.5),
        "final_observations": np.array([-1, 0, 1]),
        "n_actions": 2,
        "horizon": 3,
    }
    return gs.Dataset.from_arrays(**{**given, **more})


TABLE = np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]])


def posed(of="return", data=None, table=TABLE, **more):
    data = log() if data is None else data
    behavior = Behavior(np.asarray(data.propensities), None, True)
    return pose(data, gs.TabularPolicy(table), Question.parse(of, data), behavior, **more)


def test_return_takes_the_rows_as_they_are():
    problem = posed()
    assert problem.returns.tolist() == [3.0, 12.0, 6.0]
    assert problem.censored.tolist() == [False, False, True]
    assert problem.ended.tolist() == [False, False, True, False, False, False, False]
    assert problem.target[:, 0].tolist() == [0.1, 0.2, 0.3, 0.1, 0.1, 0.2, 0.3]
    assert problem.ratios.tolist() == pytest.approx([0.2, 1.6, 0.6, 1.8, 0.2, 1.6, 0.6])
    assert problem.final_target[1:, 0].tolist() == [0.1, 0.2]
    assert np.isnan(problem.final_target[0]).all()
    assert problem.states.then.tolist() == [1, 2, -1, 0, 1, 0, 1]
    assert (problem.low, problem.high) == (-np.inf, np.inf)


def test_a_probability_ends_with_the_first_event():
    problem = posed("probability:harm")
    assert problem.rows.tolist() == [0, 1, 3, 4, 5, 6]
    assert problem.signal.tolist() == [0, 1, 0, 0, 0, 0]
    assert problem.ended.tolist() == [False, True, False, False, False, False]
    assert problem.returns.tolist() == [1.0, 0.0, 0.0]
    assert problem.states.then.tolist() == [1, -1, 0, 1, 0, 1]
    assert problem.censored.tolist() == [False, False, True]


def test_an_event_in_a_cut_episode_leaves_nothing_open():
    harm = np.array([0, 0, 0, 0, 0, 0, 3.0])
    problem = posed("probability:harm", log(costs={"harm": harm}))
    assert not problem.censored.any()
    assert problem.ended[problem.last[2]]


def test_a_cut_episode_is_closed_with_the_worst():
    low = posed("probability:harm", censoring="low")
    high = posed("probability:harm", censoring="high")
    assert low.returns.tolist() == [1.0, 0.0, 0.0]
    assert high.returns.tolist() == [1.0, 0.0, 1.0]
    assert not high.censored.any()
    assert high.ended[high.last[2]]
    ranged = log(return_range=(-5.0, 20.0))
    assert posed(data=ranged, censoring="low").returns.tolist() == [3.0, 12.0, -5.0]
    assert posed(data=ranged, censoring="high").returns.tolist() == [3.0, 12.0, 20.0]
    assert posed(censoring="high").censored.tolist() == [False, False, True]  # no range: it stays open


def test_discounts():
    assert posed(discount=0.5).returns.tolist() == [0 + 0.5 + 0.5, 3 + 2 + 1.25, 6.0]


def test_groups_are_the_units():
    assert posed(data=log(groups=np.array(["b", "a", "b"]))).units.tolist() == [1, 0, 1]
    assert posed().units.tolist() == [0, 1, 2]


def test_a_policy_is_asked_once_a_state_and_a_mask():
    masks = np.ones((7, 2), bool)
    masks[4] = [True, False]  # state 0 again, with another mask: another state
    finals = np.ones((3, 2), bool)
    data = log(action_masks=masks, final_action_masks=finals)
    problem = posed(data=data)
    assert problem.states.count == 4
    assert problem.target[4].tolist() == [1.0, 0.0]
    assert problem.states.target[problem.states.code[4]].tolist() == [1.0, 0.0]
    assert problem.states.code[3] == problem.states.code[0] != problem.states.code[4]


def test_without_masks_at_the_ends_nobody_knows_the_last_states():
    masks = np.ones((7, 2), bool)
    assert posed(data=log(action_masks=masks)).states.then.tolist() == [1, 2, -1, 0, 1, -1, -1]


def test_without_final_observations():
    problem = posed(data=log(final_observations=None))
    assert problem.states.then.tolist() == [1, 2, -1, 0, 1, -1, -1]
    assert problem.final_target is None


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ("probability:harms", "the log has no cost 'harms'.*Did you mean 'harm'"),
        ("cost", "expected 'return', 'cost:NAME' or 'probability:NAME'"),
        ("returns", "expected 'return'"),
        ("return:harm", "expected 'return'"),
        ("", "expected 'return'"),
    ],
)
def test_no_question(of, says):
    with pytest.raises(InputError, match=says):
        posed(of)


def test_states_are_distinct_rows():
    rng = np.random.default_rng(0)
    numbers = rng.integers(-3, 4, size=(500, 2)) / 2.0
    code, count = count_states(numbers, None)
    expected, inverse = np.unique(numbers, axis=0, return_inverse=True)
    assert count == len(expected)
    assert len(set(zip(code.tolist(), inverse.reshape(-1).tolist(), strict=True))) == count


def test_blanks_and_zeros_are_states_of_their_own():
    numbers = np.tile(np.array([[0.0], [-0.0], [np.nan], [1.0]]), (10, 1))
    code, count = count_states(numbers, None)
    assert count == 3
    assert code[0] == code[1] != code[2]


def test_large_ids_and_many_columns():
    ids = np.array([10**15, 3, 10**15, 7])
    assert count_states(ids, None)[1] == 3
    wide = np.repeat(np.random.default_rng(1).integers(0, 50, size=(30, 40)), 5, axis=0).astype(float)
    assert count_states(wide, None)[1] == 30


def test_measured_numbers_are_not_counted():
    rng = np.random.default_rng(0)
    assert count_states(rng.normal(size=(3_000, 2)), None) is None
    assert count_states(rng.integers(0, 900, size=(3_000, 2)).astype(float), None) is None  # hardly any comes twice
