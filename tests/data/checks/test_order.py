"""Order by hand: pieces, steps that fall, repeat, leave gaps or start late, and next observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, sound, tiny

from groundschool.data.features import Feature


def steps(*values):
    return tiny(steps=np.array(values, float))


def test_an_id_that_comes_back():
    finding = one("split-episodes", tiny(episode_ids=np.array(["a", "b", "a"])))
    assert (finding.episodes, finding.rows, finding.first_row, finding.first_episode) == (1, 1, 15, "a")
    assert finding.what == "1 of 3 episodes is under an id that an earlier one has (first: episode 'a', row 15)."
    assert "sort=True" in finding.do


@pytest.mark.parametrize("ids", [["a", "b", "c"], [3, 1, 2], None, np.array(["1", 1, None], object)])
def test_ids_that_differ_are_fine(ids):
    assert found("split-episodes", tiny(episode_ids=None if ids is None else np.array(ids))) == []


def test_labels_of_mixed_kinds_are_compared_as_they_are():
    raw = tiny(episode_ids=np.array([1, "1", 1], object))
    assert one("split-episodes", raw).first_row == 15


def test_blank_steps():
    finding = one("blank-steps", steps(0, np.nan, 0, 1, np.inf, 0))
    assert (finding.rows, finding.first_row, finding.first_episode) == (2, 11, "a")


def test_steps_that_fall():
    finding = one("step-order", steps(0, 1, 5, 3, 4, 0))
    assert (finding.rows, finding.first_row, finding.first_episode) == (1, 13, "b")
    assert finding.do == "Put the rows in order with sort=True."
    assert found("duplicated-steps", steps(0, 1, 5, 3, 4, 0)) == []


def test_steps_that_begin_anew_hint_at_two_episodes_under_one_id():
    finding = one("step-order", steps(0, 1, 0, 1, 0, 0))
    assert finding.first_row == 14
    assert "begin anew" in finding.do


def test_steps_may_fall_from_one_episode_to_the_next():
    assert found("step-order", steps(7, 8, 1, 2, 3, 0)) == []


def test_steps_twice_next_to_each_other():
    finding = one("duplicated-steps", steps(0, 1, 0, 1, 1, 0))
    assert (finding.rows, finding.first_row, finding.first_episode) == (1, 14, "b")
    assert "Two different rows" in finding.do
    assert found("step-order", steps(0, 1, 0, 1, 1, 0)) == []


def test_steps_twice_further_apart():
    finding = one("duplicated-steps", steps(0, 1, 2, 3, 2, 0))
    assert (finding.rows, finding.first_row) == (1, 14)


def test_steps_twice_in_two_pieces_of_one_episode():
    raw = replace(steps(0, 1, 0, 1, 2, 1), episode_ids=np.array(["a", "b", "a"]))
    finding = one("duplicated-steps", raw)
    assert (finding.rows, finding.first_row, finding.first_episode) == (1, 15, "a")


def test_equal_rows_at_one_step_are_copies():
    raw = steps(0, 1, 0, 1, 1, 0)
    observations = raw.observations.copy()
    observations[4] = observations[3]
    rewards = raw.rewards.copy()
    rewards[4] = rewards[3]
    finding = one("duplicated-steps", replace(raw, observations=observations, rewards=rewards))
    assert finding.do == "The rows hold the same: remove the copies."
    assert finding.measured["equal"] == 1


def test_gaps():
    finding = one("step-gaps", steps(0, 1, 0, 1, 4, 0))
    assert (finding.rows, finding.first_row, finding.first_episode) == (1, 14, "b")
    assert finding.measured["largest"] == 3
    assert found("step-unit", steps(0, 1, 0, 1, 4, 0)) == []
    assert one("step-gaps", steps(0, 1, 0, 1, 3, 0)).measured["largest"] == 2
    assert found("step-gaps", steps(0, 1, 0, 1, 2.4, 0)) == []


def test_a_gap_is_measured_in_the_usual_unit():
    assert found("step-gaps", steps(0, 5, 0, 5, 10, 0)) == []
    assert one("step-unit", steps(0, 5, 0, 5, 10, 0)).measured["unit"] == 5
    assert one("step-gaps", steps(0, 5, 0, 5, 20, 0)).first_row == 14


def test_between_episodes_there_is_no_gap():
    assert found("step-gaps", steps(0, 1, 50, 51, 52, 9)) == []


def test_late_starts():
    finding = one("step-start", steps(0, 1, 4, 5, 6, 0))
    assert (finding.severity, finding.episodes, finding.first_row, finding.first_episode) == ("note", 1, 12, "b")
    assert found("step-start", steps(1, 2, 1, 2, 3, 1)) == []


def following(raw, row=None, value=None):
    after = np.concatenate([raw.observations[1:], raw.observations[:1]])
    after[raw.starts[1:] - 1] = 77  # what was seen last is in no row
    if row is not None:
        after[row] = value
    return replace(raw, next_observations=after)


def test_next_observations_that_do_not_follow():
    assert found("next-observations", following(tiny())) == []
    finding = one("next-observations", following(tiny(), 3, [0.0, 0.0]))
    assert (finding.severity, finding.rows, finding.first_row, finding.first_episode) == ("warning", 1, 13, "b")


def test_next_observations_of_state_ids():
    raw = tiny(observations=np.array([3, 1, 4, 1, 5, 9]), features=None)
    assert found("next-observations", following(raw)) == []
    assert one("next-observations", following(raw, 2, 8)).first_row == 12


def test_next_observations_that_are_those_of_the_row_itself():
    raw = tiny()
    finding = one("next-observations", replace(raw, next_observations=raw.observations))
    assert finding.rows == 3  # rows 0, 2 and 3 have a next row
    assert "observation of the same row" in finding.do


def test_rounding_and_blanks_on_both_sides_are_no_difference():
    raw = tiny()
    observations = raw.observations.copy()
    observations[3, 0] = np.nan
    raw = following(replace(raw, observations=observations))
    after = raw.next_observations.copy()
    after[0, 0] *= 1 + 1e-7
    assert found("next-observations", replace(raw, next_observations=after)) == []
    after[0, 0] *= 1 + 1e-3
    assert one("next-observations", replace(raw, next_observations=after)).first_row == 10
    after = raw.next_observations.copy()
    after[2, 0] = 3.5  # the next row says blank
    assert one("next-observations", replace(raw, next_observations=after)).first_row == 12


def test_what_was_carried_forward_and_marked_is_not_compared():
    raw = tiny()
    carried = following(raw, 3, [np.nan, 16.0])  # blank in the source, filled in the log
    features = (Feature("x", forward_fill=True), Feature("y"))
    assert found("next-observations", replace(carried, features=features)) == []
    assert one("next-observations", carried).first_row == 13
    marked = np.concatenate([raw.observations, np.zeros((6, 1))], axis=1)
    features = (*features, Feature("missing:x", indicator_of="x"))
    wide = replace(carried, observations=marked, features=features)
    assert found("next-observations", wide) == []
    assert one("next-observations", replace(wide, next_observations=wide.next_observations + 1)).rows == 3


def test_every_difference_is_counted():
    raw = sound(np.random.default_rng(0), 500)
    rng = np.random.default_rng(1)
    inner = np.setdiff1d(np.arange(raw.n_rows), raw.starts[1:] - 1)
    rows = np.sort(rng.choice(inner, 40, replace=False))
    after = raw.next_observations.copy()
    after[rows, rng.integers(0, 4, 40)] += 100
    finding = one("next-observations", replace(raw, next_observations=after))
    assert (finding.rows, finding.first_row) == (40, raw.first_row + rows[0])
