"""Transitions: what comes next, and the rules at the ends of episodes."""

import numpy as np
import pytest
from hypothesis import given, settings
from random_logs import logs

from groundschool.data import Dataset

# Ids 0,1 | 2,3 | 4: terminated, truncated, both.
IDS = {
    "observations": np.array([0, 1, 2, 3, 4]),
    "actions": np.array([0, 1, 0, 1, 0]),
    "rewards": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "terminated": np.array([0, 1, 0, 0, 1], bool),
    "truncated": np.array([0, 0, 0, 1, 1], bool),
}
MASKS = np.array([[1, 0], [1, 1], [1, 0], [0, 1], [1, 1]], bool)


def test_without_final_observations_the_truncated_end_is_dropped():
    t = Dataset.from_arrays(**IDS, costs={"c": IDS["rewards"]}, propensities=np.full(5, 0.5)).transitions()
    assert t.rows.tolist() == [0, 1, 2, 4]
    assert t.dropped == 1
    assert t.observations.tolist() == [0, 1, 2, 4]
    assert t.next_observations.tolist() == [1, 1, 3, 4]  # a terminated row's own, unused
    assert t.terminated.tolist() == [False, True, False, True]
    assert t.rewards.tolist() == t.costs["c"].tolist() == [1.0, 2.0, 3.0, 5.0]
    assert t.propensities.tolist() == [0.5] * 4
    assert t.action_masks is t.next_action_masks is None


def test_with_final_observations_nothing_is_dropped():
    t = Dataset.from_arrays(**IDS, final_observations=[7, 8, 9]).transitions()
    assert t.rows.tolist() == [0, 1, 2, 3, 4]
    assert t.dropped == 0
    assert t.next_observations.tolist() == [1, 7, 3, 8, 9]


def test_a_final_id_that_is_none_is_dropped_or_replaced_by_the_rows_own():
    t = Dataset.from_arrays(**IDS, final_observations=[-1, 8, 9]).transitions()  # after a termination
    assert t.next_observations.tolist() == [1, 1, 3, 8, 9]
    assert t.dropped == 0
    t = Dataset.from_arrays(**IDS, final_observations=[7, -1, 9]).transitions()  # after a cut
    assert t.rows.tolist() == [0, 1, 2, 4]
    assert t.next_observations.tolist() == [1, 7, 3, 9]
    assert t.dropped == 1


@pytest.mark.parametrize("has_final_masks", [False, True])
def test_masks_follow_the_same_rules(has_final_masks):
    finals = np.array([[0, 0], [0, 1], [1, 0]], bool) if has_final_masks else None
    log = Dataset.from_arrays(**IDS, action_masks=MASKS, final_observations=[7, 8, 9], final_action_masks=finals)
    t = log.transitions()
    if has_final_masks:
        # Row 1 is terminal and allows nothing: its own mask stands in, so that a masked maximum stays finite.
        assert t.next_action_masks.tolist() == [[True, True], [True, True], [False, True], [False, True], [True, False]]
        assert t.dropped == 0
    else:
        # Row 3 would bootstrap on actions nobody knows to be allowed.
        assert t.rows.tolist() == [0, 1, 2, 4]
        assert t.dropped == 1
        assert t.next_action_masks.tolist() == [[True, True], [True, True], [False, True], [True, True]]


@settings(max_examples=80, deadline=None)
@given(logs())
def test_against_one_episode_at_a_time(log):
    t = log.transitions()
    following, rows, row = [], [], 0
    for episode in log.episodes():
        for step in range(len(episode)):
            last = step == len(episode) - 1
            final = episode.final_observation
            blank = final is not None and final.dtype.kind == "f" and np.isnan(final).all()
            unknown = (final is None or blank) or (
                episode.action_masks is not None and episode.final_action_mask is None
            )
            if not last:
                following.append(episode.observations[step + 1])
            elif episode.final_observation is not None:
                following.append(episode.final_observation)
            else:
                following.append(episode.observations[step])
            if last and unknown and not episode.terminated:
                following.pop()
            else:
                rows.append(row)
            row += 1
    assert t.rows.tolist() == rows
    assert t.dropped == log.n_steps - len(rows)
    assert t.next_observations.tobytes() == np.array(following, log.observations.dtype).tobytes()
    for column in ("observations", "actions", "rewards", "terminated"):
        assert getattr(t, column).tobytes() == getattr(log, column)[rows].tobytes()
    assert {len(column) for column in (t.actions, t.terminated, t.next_observations, *t.costs.values())} == {len(rows)}
    if log.action_masks is not None:
        assert t.next_action_masks.any(axis=1).all()
