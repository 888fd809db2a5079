"""Coverage: counts are exact, regions are what they say, and nothing small is shown of a log with groups."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_logs import logs

from groundschool.data import Dataset, regions
from groundschool.data.cells import count_cells
from groundschool.data.coverage import SMALL_CELL, coverage
from groundschool.data.raw import RawLog
from groundschool.errors import InputError


def log_of(observations, actions, *, lengths=None, **more):
    n = len(observations)
    end = np.zeros(n, bool)
    end[np.cumsum(lengths if lengths is not None else [n]) - 1] = True
    return Dataset.from_arrays(observations, actions, np.zeros(n), end, np.zeros(n, bool), **more)


def raw_of(observations, actions, **more):
    n = len(observations)
    flags = np.zeros(n, bool)
    return RawLog(np.asarray(observations), np.asarray(actions), np.zeros(n), flags, flags, np.array([0, n]), **more)


def test_states_are_counted_by_hand():
    log = log_of(np.array([5, 5, 2, 5, 7, 2]), [0, 1, 1, 0, 1, 1], lengths=[2, 2, 2], n_actions=3)
    found = coverage(log)
    assert found.kind == "states"
    assert found.regions == ("state 5", "state 2", "state 7")
    assert found.actions == ("action 0", "action 1", "action 2")
    assert found.counts.tolist() == [[2, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert found.cell_episodes.tolist() == [[2, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert found.visits.tolist() == [3, 2, 1]
    assert found.episodes.tolist() == [2, 2, 1]
    assert found.never_share == pytest.approx(5 / 9)
    assert found.few_share == 1.0
    # exp of the entropy of (2/3, 1/3): 3 / 4^(1/3); a single action counts as one.
    assert found.effective_actions.tolist() == pytest.approx([3 / 4 ** (1 / 3), 1.0, 1.0])
    assert found.bands.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_support_starts_at_ten():
    counts = np.array([[10, 9], [100, 25], [0, 9]])
    states = np.repeat([0, 0, 1, 1, 2, 2], counts.ravel())
    actions = np.repeat([0, 1] * 3, counts.ravel())
    found = coverage(log_of(states, actions))
    assert found.counts.tolist() == [[100, 25], [10, 9], [0, 9]]
    assert found.supported.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert found.choices.tolist() == [2, 1, 0]
    assert found.one_choice_share == pytest.approx((19 + 9) / 153)
    assert found.few_share == pytest.approx(3 / 6)
    assert found.never_share == pytest.approx(1 / 6)
    assert found.bands.tolist() == [[3, 2], [2, 1], [0, 1]]
    text = found.describe()
    assert "visited 3 states" in text
    assert (
        "of the 6 pairs of state and action, 16.7\u202f% never occur and 33.3\u202f% occur fewer than 10"
        in text.lower()
    )
    assert "18.3\u202f% of the steps lie where at most one of the 2 actions" in text
    assert "What was never visited has no state here" in text


def test_distinct_observations_count_blanks_and_zeros_once():
    observations = np.array([[0.0, np.nan], [-0.0, np.nan], [0.0, 1.0], [np.nan, 1.0]])
    found = coverage(log_of(observations, [0, 1, 1, 1]))
    assert (found.kind, found.regions) == ("observations", ("(0, blank)", "(0, 1)", "(blank, 1)"))
    assert found.counts.tolist() == [[1, 1], [0, 1], [0, 1]]
    named = coverage(log_of(observations, [0, 1, 1, 1], features=["hr", "map"]))
    assert named.regions[0] == "hr 0, map blank"
    wide = np.tile([1.0, np.nan], (4, 30))
    wide[:, [7, 40]] = [[1, 2], [1, 2], [1, 3], [0, 3]]
    expected = (
        "observation 7 1, observation 40 2",
        "observation 7 0, observation 40 3",
        "observation 7 1, observation 40 3",
    )
    assert coverage(log_of(wide, [0, 1, 1, 1])).regions == expected


def test_places_that_the_words_cannot_tell_apart_are_numbered():
    observations = np.tile(np.arange(9.0), (3, 1)) + np.array([[0], [1], [1]])
    observations[2, 8] = -1
    found = coverage(log_of(observations, [0, 1, 1]))
    assert [name[-7:] for name in found.regions] == ["ion 3 3", "(no. 1)", "(no. 2)"]


def test_many_states_keep_the_most_visited_and_pool_the_rest():
    states = np.concatenate([np.repeat(np.arange(1_000), 2), np.repeat([900, 3], 50)])
    found = coverage(log_of(states, np.zeros(len(states), int), n_actions=2))
    assert found.counts.shape == (256, 2)
    assert found.regions[:2] == ("state 3", "state 900")
    assert found.regions[-1] == "the other 745 states"
    assert found.pooled == 745
    assert found.visits[-1] == 745 * 2
    assert found.visits.sum() == len(states)
    assert "visited 1,000 states. The 745 least visited of all are taken together as one." in found.describe()


def test_what_the_masks_never_allowed_is_not_missing():
    masks = np.array([[True, True, False], [True, False, False], [True, True, False], [False, True, True]])
    found = coverage(log_of(np.array([0, 0, 0, 1]), [0, 0, 1, 2], action_masks=masks))
    assert found.possible.tolist() == [[True, True, False], [False, True, True]]
    assert found.never_share == pytest.approx(1 / 4)
    assert found.to_json()["impossible"] == 2
    assert found.supported.tolist() == [0, 0, 0]
    alone = coverage(log_of(np.zeros(20, int), np.zeros(20, int), action_masks=np.tile([True, False], (20, 1))))
    assert alone.one_choice_share == 0  # there was nothing else to choose
    assert np.isnan(alone.supported[1])
    assert alone.to_json()["actions"][1]["supported_share"] is None


def cart(n, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).cumsum(axis=1), rng.integers(0, 2, n)


def test_a_partition_has_regions_of_equal_counts_that_lie_where_they_say():
    observations, actions = cart(20_000, 2)
    observations[:, 0] = np.exp(3 * observations[:, 0])  # a long tail must not eat the cuts
    found = coverage(log_of(observations, actions, features=["dose", "map"]))
    assert (found.kind, len(found.regions)) == ("partition", 64)
    assert found.visits.sum() == 20_000
    assert found.visits.min() > 0.6 * 20_000 / 64
    assert found.visits.max() < 1.6 * 20_000 / 64
    assert len(set(found.regions)) == 64
    for name, box in zip(found.regions, found.boxes, strict=True):
        for told in name.split(", "):
            feature, bounds = told.split(" ", 1)
            low, high = bounds_of(bounds)
            seen = box[["dose", "map"].index(feature)]
            assert low - 0.001 * abs(low) <= seen[0] <= seen[1] <= high + 0.001 * abs(high)  # words have four digits


def bounds_of(words):
    words = words.replace("−", "-")
    if " to " in words:
        return tuple(float(bound) for bound in words.split(" to "))
    return (float(words[2:]), np.inf) if words[0] == ">" else (-np.inf, float(words[2:]))


def test_every_row_lies_in_the_region_whose_words_hold_it():
    observations, actions = cart(5_000, 1)
    log = log_of(observations, actions, features=["x"])
    found = coverage(log)
    for name, visits in zip(found.regions, found.visits, strict=True):
        low, high = bounds_of(name.removeprefix("x "))
        inside = ((observations > low) & (observations <= high)).sum()
        assert abs(inside - visits) <= 6  # the words are rounded to four digits


def test_few_rows_make_few_regions():
    observations, actions = cart(400, 5)
    # 400 rows, 20 for each pair of region and 2 actions: 10 regions at most, so 8.
    assert len(coverage(log_of(observations, actions)).regions) == 8
    assert len(coverage(log_of(observations[:300], actions[:300] * 30)).regions) == 1


def test_blanks_and_infinities_count_as_the_median():
    observations, actions = cart(8_000, 2)
    observations[::3, 0] = np.nan
    raw = raw_of(np.where(observations > 3, np.inf, observations), actions)
    found = coverage(raw)
    assert found.visits.sum() == 8_000
    all_blank = coverage(raw_of(np.column_stack([np.full(8_000, np.nan), observations[:, 1]]), actions))
    assert all_blank.visits.sum() == 8_000
    assert not any("observation 0" in name for name in all_blank.regions)


def test_a_constant_and_a_rare_flag_do_not_stop_the_cuts():
    observations, actions = cart(10_000, 1)
    rare = (np.arange(10_000) % 50 == 0).astype(float)
    found = coverage(log_of(np.column_stack([np.ones(10_000), rare, observations]), actions))
    assert found.visits.min() > 50
    assert len(found.regions) > 40


def test_rows_without_a_usable_action_are_left_out_and_counted():
    found = coverage(raw_of(np.zeros(5, int), [0, -1, 1, 7, 0], n_actions=2))
    assert (found.counts.tolist(), found.left_out) == ([[2, 1]], 2)
    continuous = coverage(raw_of(np.zeros(4, int), [[0.5], [np.nan], [np.inf], [1.5]]))
    assert (continuous.counts.tolist(), continuous.left_out) == ([[1, 1]], 2)
    assert continuous.actions == ("action 0.5", "action 1.5")
    for actions in ([-1, -1], [[np.nan], [np.nan]]):
        with pytest.raises(InputError, match="no row has a usable action"):
            coverage(raw_of(np.zeros(2, int), actions))
    with pytest.raises(InputError, match="no row has a usable action"):
        coverage(raw_of(np.zeros((0, 2)), np.zeros(0, int)))


def test_absurd_action_numbers_are_pooled_not_allocated():
    actions = np.concatenate([np.arange(100), np.full(50, 10**9)])
    found = coverage(raw_of(np.zeros(150, int), actions))
    assert len(found.actions) == 64
    assert found.actions[-1] == "the other 999,999,938 actions"
    assert found.counts.sum() == 150
    assert found.counts[0, found.actions.index("action 1000000000")] == 50


def test_labels_name_the_actions():
    found = coverage(log_of(np.zeros(3, int), [0, 1, 0], action_labels=["wait", "give <b>"]))
    assert found.actions == ("wait", "give <b>")


@pytest.mark.parametrize(("width", "bins"), [(1, 16), (2, 16), (5, 16)])
def test_continuous_actions_are_binned(width, bins):
    rng = np.random.default_rng(1)
    actions = rng.normal(size=(30_000, width))
    found = coverage(log_of(rng.normal(size=(30_000, 2)), actions))
    assert found.binned
    assert len(found.actions) == bins == found.counts.shape[1]
    assert found.counts.sum() == 30_000
    if width == 1:  # equal widths: the middle is full, the edges are not
        steps = found.counts.sum(axis=0)
        assert steps[0] < steps[8] > steps[-1]
    else:
        assert found.counts.sum(axis=0).min() > 0.7 * 30_000 / 16


def test_of_a_log_with_groups_nothing_small_is_told():
    states = np.tile([0, 0, 0, 1], 20)
    states[-1] = 2
    actions = np.zeros(80, int)
    actions[[0, 4, 8]] = 1
    log = log_of(states, actions, lengths=[4] * 20, groups=np.arange(20))
    found = coverage(log)
    assert found.regions == ("state 0", "state 1")  # state 2 was one person's
    assert found.left_out == 1
    assert found.discreet
    facts = found.to_json()
    assert facts["counts"] is None
    assert facts["bands"] == [[2, 1], [2, 0]]
    assert coverage(log, min_episodes=0).regions == ("state 0", "state 1", "state 2")
    many = coverage(log_of(np.arange(40) % 20, np.zeros(40, int), lengths=[1] * 40, groups=np.arange(40)))
    assert many.regions == ("everything that was visited",)
    assert many.episodes[0] == 40 >= SMALL_CELL
    few = coverage(log_of(np.arange(5), np.zeros(5, int), lengths=[1] * 5, groups=np.arange(5)))
    assert (few.regions, few.counts.tolist(), few.bands.tolist()) == (("everything that was visited",), [[5]], [[1]])


def test_a_hash_shared_by_two_points_is_noticed(monkeypatch):
    monkeypatch.setattr(regions, "_codes", lambda rows: np.zeros(len(rows), np.uint64))
    points = regions.Points.of(np.array([[1.0], [2.0]]), ["one", "two"])
    assert points.assign(np.array([[1.0], [2.0], [3.0]])).tolist() in ([0, 2, 2], [2, 1, 2])


def test_blocks_of_episodes_do_not_matter(monkeypatch):
    observations, actions = cart(3_000, 3)
    log = log_of(observations, actions, lengths=[7] * 428 + [4])
    whole = coverage(log)
    monkeypatch.setattr(regions, "BLOCK_ENTRIES", 30)
    pieces = coverage(log)
    assert pieces.counts.tolist() == whole.counts.tolist()
    assert pieces.episodes.tolist() == whole.episodes.tolist()
    assert pieces.cell_episodes.tolist() == whole.cell_episodes.tolist()


@settings(max_examples=60, deadline=None)
@given(logs())
def test_any_log_has_a_coverage_that_adds_up(log):
    found = coverage(log, min_episodes=0)
    assert found.counts.sum() == log.n_steps
    assert found.visits.tolist() == sorted(found.visits.tolist(), reverse=True)
    assert (found.cell_episodes <= found.counts).all()
    assert ((found.cell_episodes > 0) == (found.counts > 0)).all()
    assert (found.episodes <= log.n_episodes).all()
    assert (found.effective_actions >= 1 - 1e-9).all()
    assert (found.effective_actions <= (found.counts > 0).sum(axis=1) + 1e-9).all()
    assert len(found.regions) == len(set(found.regions)) == found.counts.shape[0]
    json.dumps(found.to_json(), allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_episodes_of_a_cell_are_counted_by_a_loop_too(seed):
    rng = np.random.default_rng(seed)
    states, actions, lengths = rng.integers(0, 3, 30), rng.integers(0, 2, 30), [10, 5, 15]
    log = log_of(states, actions, lengths=lengths, n_actions=2)
    found = coverage(log)
    expected = np.zeros((3, 2), int)
    for e in range(3):
        rows = slice(log.starts[e], log.starts[e + 1])
        for cell in set(zip(states[rows].tolist(), actions[rows].tolist(), strict=True)):
            expected[cell] += 1
    order = [int(name.split()[1]) for name in found.regions]
    assert found.cell_episodes.tolist() == expected[order].tolist()


def test_the_same_seed_gives_the_same_cuts():
    observations, actions = cart(90_000, 4)
    log = log_of(observations, actions)
    assert coverage(log, seed=3).regions == coverage(log, seed=3).regions
    cells = count_cells(RawLog.of(log), seed=3, steps_per_cell=20)
    assert cells.steps.sum() == 90_000
