"""Dataset.from_arrays, its derived quantities, and every way it refuses bad input."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_logs import arrays, assert_identical, logs

from groundschool.data import Dataset
from groundschool.errors import InputError

# Three episodes: rows 0-2 terminated, rows 3-4 truncated, row 5 both at once.
SMALL = {
    "observations": np.arange(12, dtype=np.float32).reshape(6, 2),
    "actions": np.array([0, 1, 2, 0, 1, 2]),
    "rewards": np.array([1.0, 2.0, 4.0, -1.0, 0.5, 7.0]),
    "terminated": np.array([0, 0, 1, 0, 0, 1], bool),
    "truncated": np.array([0, 0, 0, 0, 1, 1], bool),
    "costs": {"hazard": np.array([0.0, 0.0, 1.0, 0.5, 0.25, 0.0])},
}


def small(**changes):
    return Dataset.from_arrays(**{**SMALL, **changes})


def test_hand_computed_quantities():
    log = small()
    assert (log.n_episodes, log.n_steps, log.horizon, log.n_actions) == (3, 6, 3, 3)
    assert log.starts.tolist() == [0, 3, 5, 6]
    assert log.lengths.tolist() == [3, 2, 1]
    assert log.returns.tolist() == [7.0, -0.5, 7.0]
    assert log.cost_sums("hazard").tolist() == [1.0, 0.75, 0.0]
    assert log.episode_index.tolist() == [0, 0, 0, 1, 1, 2]
    assert log.episode_ids.tolist() == [0, 1, 2]
    assert log.is_discrete
    assert repr(log) == "Dataset(3 episodes, 6 steps, observations (2,) float32, 3 actions, costs: hazard)"


def test_episodes_are_views_with_the_flags_of_their_last_step():
    episodes = list(small(groups=["a", "b", "a"], final_observations=np.ones((3, 2), np.float32)).episodes())
    assert [len(e) for e in episodes] == [3, 2, 1]
    assert [(e.terminated, e.truncated) for e in episodes] == [(True, False), (False, True), (True, True)]
    assert [e.group for e in episodes] == ["a", "b", "a"]
    assert episodes[1].rewards.tolist() == [-1.0, 0.5]
    assert episodes[1].costs["hazard"].tolist() == [0.5, 0.25]
    assert episodes[1].final_observation.tolist() == [1.0, 1.0]


def test_an_unknown_cost_suggests_the_nearest():
    with pytest.raises(InputError, match=r"no cost 'hazrd'.*Did you mean 'hazard'"):
        small().cost_sums("hazrd")


def test_the_log_is_read_only_and_apart_from_its_source():
    rewards = SMALL["rewards"].copy()
    log = small(rewards=rewards)
    rewards[0] = 99.0
    assert log.rewards[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        log.rewards[0] = 5.0
    with pytest.raises(TypeError):
        log.costs["hazard"] = rewards
    with pytest.raises(dataclasses.FrozenInstanceError):
        log.horizon = 9


def test_a_read_only_view_of_writable_memory_is_copied_too():
    rewards = SMALL["rewards"].copy()
    view = rewards[:]
    view.flags.writeable = False
    log = small(rewards=view)
    rewards[0] = 99.0
    assert log.rewards[0] == 1.0


@pytest.mark.parametrize(
    ("given_dtype", "shape", "kept"),
    [
        ("float32", (6, 2), "float32"),
        ("float64", (6, 2), "float64"),
        (">f8", (6, 2), "float64"),
        ("float16", (6, 2), "float32"),
        ("uint8", (6, 2, 2), "float32"),
        ("int64", (6, 2), "float64"),
        ("int32", (6,), "int64"),
        ("uint64", (6,), "int64"),
    ],
)
def test_observation_dtypes(given_dtype, shape, kept):
    values = np.arange(np.prod(shape)).reshape(shape)
    log = small(observations=values.astype(given_dtype))
    assert log.observations.dtype == np.dtype(kept)
    np.testing.assert_array_equal(log.observations, values)


@pytest.mark.parametrize(
    ("changes", "n_actions"),
    [
        ({}, 3),
        ({"n_actions": 5}, 5),
        ({"action_masks": np.ones((6, 4), bool)}, 4),
        ({"actions": np.zeros((6, 1))}, None),
    ],
)
def test_number_of_actions(changes, n_actions):
    assert small(**changes).n_actions == n_actions


@pytest.mark.parametrize("groups", [["a", "b", "a"], ["a", "a", "a", "b", "b", "a"], np.array(["a", "b", "a"], object)])
def test_groups_per_episode_or_per_row(groups):
    log = small(groups=groups)
    assert log.groups.tolist() == ["a", "b", "a"]
    assert log.groups.dtype == np.dtype("<U1")


def test_plain_lists_and_zero_one_flags_are_read():
    log = Dataset.from_arrays([[0.0], [1.0]], [0, 1], [1, 2], [0, 1], [0.0, 0.0])
    assert log.terminated.tolist() == [False, True]
    assert log.rewards.dtype == np.float64


def test_a_terminal_state_may_allow_no_action():
    finals = np.array([[False] * 3, [True] * 3, [False] * 3])
    log = small(action_masks=np.ones((6, 3), bool), final_action_masks=finals)
    assert log.final_action_masks.tolist() == finals.tolist()


def with_value(name, row, value, dtype=None):
    array = SMALL[name].astype(dtype) if dtype else SMALL[name].copy()
    array[row] = value
    return {name: array}


def masks(rows=6, width=3, refused=()):
    array = np.ones((rows, width), bool)
    for row, action in refused:
        array[row, action] = False
    return array


ALL = slice(None)
REFUSED = {
    "empty": ({"observations": np.zeros((0, 2))}, "observations: the log is empty"),
    "length": ({"actions": np.zeros(5, int)}, "actions: 5 entries for 6 rows"),
    "scalar": ({"rewards": 1.0}, "rewards: a single value for 6 rows"),
    "ragged": ({"rewards": [[1.0], [1.0, 2.0]]}, "rewards: not a rectangular array"),
    "masked array": ({"rewards": np.ma.masked_equal(np.arange(6.0), 2)}, "rewards: masked arrays are not read"),
    "object": ({"rewards": np.array([1.0] * 5 + [None])}, "rewards: dtype object"),
    "complex": ({"observations": np.zeros((6, 2), complex)}, "observations: dtype complex128"),
    "text": ({"rewards": ["1"] * 6}, "rewards: dtype <U1"),
    "column vector": ({"rewards": np.zeros((6, 1))}, r"rewards: shape (6, 1), expected (6,)"),
    "1-d float observations": ({"observations": np.zeros(6)}, "observations: a one-dimensional float array"),
    "1-d bool observations": ({"observations": np.zeros(6, bool)}, "observations: a one-dimensional bool array"),
    "no feature": ({"observations": np.zeros((6, 0))}, "observations: shape (6, 0) holds no feature"),
    "infinite observation": (
        with_value("observations", (4, 1), np.inf),
        "observations: 1 of 6 rows is infinite (first at row 4)",
    ),
    "negative id": (
        {"observations": np.arange(6) - 2},
        "observations: 2 of 6 rows are negative state ids (first at row 0)",
    ),
    "big integer feature": (
        {"observations": np.array([[0], [0], [2**53 + 1], [0], [0], [0]])},
        "observations: 1 of 6 rows is beyond 2**53 in size (first at row 2)",
    ),
    "too wide float": ({"observations": np.zeros((6, 2), np.longdouble)}, "observations: dtype float128"),
    "whole floats": ({"actions": np.arange(6.0)}, "actions: whole numbers stored as floats (float64)"),
    "1-d floats": ({"actions": np.arange(6) + 0.5}, "actions: one-dimensional floats (float64)"),
    "bool actions": ({"actions": np.zeros(6, bool)}, "actions: shape (6,) of bool"),
    "two-column integers": ({"actions": np.zeros((6, 2), int)}, "actions: shape (6, 2) of int64"),
    "negative action": (with_value("actions", 3, -1), "actions: 1 of 6 rows is negative (first at row 3)"),
    "action too large": ({"n_actions": 2}, "actions: 2 of 6 rows are outside 0..1 (first at row 2)"),
    "unsigned overflow": (
        with_value("actions", 1, 2**63, np.uint64),
        "actions: 1 of 6 rows is above 2**63 - 1 (first at row 1)",
    ),
    "NaN action": ({"actions": np.full((6, 1), np.nan)}, "actions: 6 of 6 rows are NaN or infinite (first at row 0)"),
    "n_actions zero": ({"n_actions": 0}, "n_actions: 0 is not valid"),
    "n_actions bool": ({"n_actions": True}, "n_actions: True is not valid"),
    "n_actions continuous": (
        {"actions": np.zeros((6, 1)), "n_actions": 2},
        "n_actions: only discrete actions are counted",
    ),
    "masks continuous": (
        {"actions": np.zeros((6, 1)), "action_masks": masks()},
        "action_masks: only discrete actions are counted",
    ),
    "NaN reward": (with_value("rewards", 2, np.nan), "rewards: 1 of 6 rows is NaN or infinite (first at row 2)"),
    "infinite reward": (with_value("rewards", 5, -np.inf), "rewards: 1 of 6 rows is NaN or infinite (first at row 5)"),
    "flag 2": (
        {"terminated": np.array([0, 0, 2, 0, 0, 1])},
        "terminated: 1 of 6 rows is neither 0 nor 1 (first at row 2)",
    ),
    "NaN flag": (
        {"truncated": np.array([0, 0, 0, 0, np.nan, 1])},
        "truncated: 1 of 6 rows is neither 0 nor 1 (first at row 4)",
    ),
    "rows after the last end": (
        {"terminated": np.array([0, 0, 1, 0, 0, 0], bool), "truncated": np.zeros(6, bool)},
        "the last row must end an episode: 3 rows follow the last end flag (first at row 3)",
    ),
    "one row after the last end": (
        {"terminated": np.array([0, 0, 1, 0, 0, 0], bool), "truncated": np.array([0, 0, 0, 0, 1, 0], bool)},
        "the last row must end an episode: 1 row follows the last end flag (first at row 5)",
    ),
    "no end": (
        {"terminated": np.zeros(6, bool), "truncated": np.zeros(6, bool)},
        "no row ends an episode: 6 rows without an end flag (first at row 0)",
    ),
    "costs not a mapping": ({"costs": np.zeros(6)}, "costs: expected a mapping"),
    "cost name": ({"costs": {"": np.zeros(6)}}, "costs: '' is not a usable name"),
    "cost length": ({"costs": {"c": np.zeros(4)}}, "costs['c']: 4 entries for 6 rows"),
    "negative cost": (
        {"costs": {"c": np.array([0, 0, -1.0, 0, -2, 0])}},
        "costs['c']: 2 of 6 rows are negative (first at row 2)",
    ),
    "NaN cost": (
        {"costs": {"c": np.array([0, np.nan, 0, 0, 0, 0])}},
        "costs['c']: 1 of 6 rows is NaN or infinite (first at row 1)",
    ),
    "zero propensity": (
        {"propensities": [1, 1, 1, 0, 1, 1]},
        "propensities: 1 of 6 rows is outside (0, 1] (first at row 3)",
    ),
    "large propensity": (
        {"propensities": [1.5, 1, 1, 1, 1, 2]},
        "propensities: 2 of 6 rows are outside (0, 1] (first at row 0)",
    ),
    "NaN propensity": (
        {"propensities": [np.nan] * 6},
        "propensities: 6 of 6 rows are NaN or infinite (first at row 0)",
    ),
    "zero density": (
        {"actions": np.zeros((6, 1)), "propensities": [2.0, 2, 2, 2, 2, 0]},
        "propensities: 1 of 6 rows is not above 0 (first at row 5)",
    ),
    "mask dtype": ({"action_masks": np.ones((6, 3))}, "action_masks: dtype float64, expected bool"),
    "mask length": ({"action_masks": masks(rows=5)}, "action_masks: 5 entries for 6 rows"),
    "mask shape": ({"action_masks": np.ones(6, bool)}, "action_masks: shape (6,), expected (6, number of actions)"),
    "mask width": ({"action_masks": masks(width=4), "n_actions": 3}, "action_masks: 4 columns for n_actions=3"),
    "mask too narrow": ({"action_masks": masks(width=2)}, "actions: 2 of 6 rows are outside 0..1 (first at row 2)"),
    "nothing allowed": (
        {"action_masks": masks(refused=[(4, ALL)])},
        "action_masks: 1 of 6 rows is without any allowed action (first at row 4)",
    ),
    "logged action refused": (
        {"action_masks": masks(refused=[(1, 1)])},
        "action_masks: 1 of 6 rows is refusing the logged action (first at row 1)",
    ),
    "final masks alone": ({"final_action_masks": masks(rows=3)}, "final_action_masks: given without action_masks"),
    "final mask width": (
        {"action_masks": masks(), "final_action_masks": masks(rows=3, width=2)},
        "final_action_masks: 2 columns, expected 3",
    ),
    "nothing allowed after truncation": (
        {"action_masks": masks(), "final_action_masks": masks(rows=3, refused=[(0, ALL), (1, ALL)])},
        "final_action_masks: 1 of 3 episodes is without any allowed action (first at episode 1)",
    ),
    "final length": (
        {"final_observations": np.zeros((6, 2), np.float32)},
        "final_observations: 6 entries for 3 episodes",
    ),
    "final shape": ({"final_observations": np.zeros((3, 4), np.float32)}, "final_observations: each has shape (4,)"),
    "final infinite": (
        {"final_observations": np.array([[0, 0], [np.inf, 0], [0, 0]], np.float32)},
        "final_observations: 1 of 3 episodes is infinite (first at episode 1)",
    ),
    "final dtype": ({"final_observations": np.full((3, 2), 0.1)}, "final_observations: dtype float64 does not fit"),
    "groups length": ({"groups": [1, 2]}, "groups: shape (2,) for 3 episodes of 6 rows"),
    "groups change": (
        {"groups": [1, 1, 2, 3, 3, 4]},
        "groups: 1 of 6 rows is different from the first row of their episode (first at row 2)",
    ),
    "groups dtype": ({"groups": [1.0, 2.0, 3.0]}, "groups: dtype float64"),
    "groups mixed": ({"groups": np.array(["a", 1, None], object)}, "groups: dtype object"),
    "ids length": ({"episode_ids": [1, 2]}, "episode_ids: 2 entries for 3 episodes"),
    "ids repeat": (
        {"episode_ids": ["a", "b", "a"]},
        "episode_ids: 1 of 3 episodes is repeating an earlier id, 'a' (first at episode 2)",
    ),
    "ids surrogate": ({"episode_ids": ["a", "b", "\ud800"]}, "episode_ids: 1 of 3 rows is not valid Unicode text"),
    "horizon short": ({"horizon": 2}, "horizon: 1 of 3 episodes is longer than horizon=2 (the longest has 3 steps)"),
    "horizon float": ({"horizon": 3.0}, "horizon: 3.0 is not valid"),
    "range order": ({"return_range": (1.0, 0.0)}, "return_range: (1.0, 0.0) is not a range"),
    "range NaN": ({"return_range": (0.0, np.nan)}, "return_range: (0.0, nan) is not a range"),
    "range shape": ({"return_range": (0.0, 1.0, 2.0)}, "return_range: (0.0, 1.0, 2.0) is not a pair"),
    "range violated": (
        {"return_range": (0, 10)},
        "return_range: 1 of 3 episodes is outside the declared return range (0, 10) (first at episode 1)",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_refused_in_one_clear_sentence(changes, message):
    with pytest.raises(InputError, match="^" + re.escape(message)) as caught:
        small(**changes)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@settings(max_examples=60, deadline=None)
@given(arrays())
def test_flags_cut_the_rows_into_episodes(given_arrays):
    log = Dataset.from_arrays(**given_arrays)
    either = given_arrays["terminated"] | given_arrays["truncated"]
    assert log.n_episodes == either.sum()
    assert log.starts[-1] == log.n_steps == len(either)
    assert log.horizon >= log.lengths.max()
    np.testing.assert_array_equal(log.terminated, given_arrays["terminated"])
    np.testing.assert_array_equal(log.truncated, given_arrays["truncated"])
    for e in range(log.n_episodes):
        assert np.flatnonzero(either[log.starts[e] : log.starts[e + 1]]).tolist() == [log.lengths[e] - 1]
        np.testing.assert_allclose(log.returns[e], sum(given_arrays["rewards"][log.episode_index == e]))


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms(use_true_random=False))
def test_select_takes_whole_episodes_in_order(log, random):
    chosen = random.sample(range(log.n_episodes), random.randint(1, log.n_episodes))
    part = log.select(chosen)
    assert part.episode_ids.tolist() == log.episode_ids[chosen].tolist()
    assert (part.horizon, part.n_actions, part.return_range) == (log.horizon, log.n_actions, log.return_range)
    np.testing.assert_array_equal(part.rewards, np.concatenate([log.rewards[log.episode_index == e] for e in chosen]))
    assert part.episode_hashes.tolist() == log.episode_hashes[chosen].tolist()
    back = part.select(np.argsort(chosen))
    assert_identical(back, log.select(np.isin(np.arange(log.n_episodes), chosen)))


def test_selecting_everything_changes_nothing():
    log = small(groups=[3, 1, 2], final_observations=np.zeros((3, 2), np.float32))
    again = log.select(np.arange(3))
    assert_identical(again, log)
    assert again.fingerprint == log.fingerprint


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        ([], "at least one episode"),
        ([0, 3], "1 of 2 positions is outside 0..2 (first at position 1)"),
        ([-1], "outside 0..2"),
        ([1, 1], "named twice"),
        ([0.0], "got shape (1,) of float64"),
        ([True, False], "got shape (2,) of bool"),
    ],
)
def test_select_refuses(episodes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        small().select(episodes)
