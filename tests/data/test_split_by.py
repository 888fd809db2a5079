"""Splits by time, by group and by stratum, and the record that reproduces one."""

import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from groundschool.data import Dataset, split
from groundschool.data.split import _counts, _table, reproduce_split, split_record
from groundschool.errors import InputError


def episodes(n, **kwargs):
    """n episodes of one step each; episode i has the reward i."""
    flags = np.ones(n, bool)
    return Dataset.from_arrays(np.arange(n), np.zeros(n, int), np.arange(n), flags, ~flags, n_actions=2, **kwargs)


def ids(parts):
    return [part.episode_ids.tolist() for part in parts]


def test_the_default_is_what_it_always_was():
    log = episodes(25, groups=np.arange(25) // 2)
    for seed in range(5):
        n, counts = 13, [8, 3, 2]
        part = np.empty(n, int)
        part[np.random.default_rng(seed).permutation(n)] = np.repeat(np.arange(3), counts)
        expected = [np.flatnonzero(part[log.groups] == k).tolist() for k in range(3)]
        assert ids(split(log, seed=seed)) == ids(log.split(seed=seed, by="group")) == expected
    alone = episodes(25)
    assert ids(split(alone, seed=3)) == ids(split(alone, seed=3, by="episode"))


@pytest.mark.parametrize("kind", ["int64", "float64", "datetime64[us]"])
def test_time_gives_the_earliest_to_train_and_the_latest_to_holdout(kind):
    times = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]).astype("int64").astype(kind)
    parts = episodes(10, times=times).split(by="time", seed=5)
    assert ids(parts) == [[4, 5, 6, 7, 8, 9], [2, 3], [0, 1]]


@pytest.mark.parametrize(
    ("times", "sizes"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [6, 2, 2]),
        ([0, 0, 0, 0, 0, 0, 0, 7, 8, 9], [7, 1, 2]),
        ([0, 1, 2, 3, 3, 3, 3, 3, 3, 9], [3, 6, 1]),
        ([0, 0, 0, 0, 0, 0, 0, 0, 1, 2], [8, 1, 1]),
        ([0, 1, 2, 2, 2, 2, 2, 2, 2, 2], [1, 1, 8]),
        ([0, 1, 1, 1, 1, 1, 1, 1, 1, 2], [1, 8, 1]),
    ],
)
def test_equal_times_stay_together_as_near_to_the_fractions_as_that_allows(times, sizes):
    assert [part.n_episodes for part in episodes(10, times=times).split(by="time")] == sizes


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=5, max_size=40))
def test_no_episode_of_a_later_part_began_before_one_of_an_earlier_part(times):
    assume(len(set(times)) >= 3)
    log = episodes(len(times), times=times)
    train, selection, holdout = log.split(by="time")
    assert train.times.max() < selection.times.min()
    assert selection.times.max() < holdout.times.min()
    sizes = np.array([train.n_episodes, train.n_episodes + selection.n_episodes])
    # By hand: every pair of cuts between different times; none is nearer to the fractions.
    ends = np.cumsum(np.unique(times, return_counts=True)[1])[:-1]
    targets = np.cumsum(_counts(len(times), (0.6, 0.2, 0.2)))[:2]
    best = min(np.abs(np.array(pair) - targets).sum() for pair in itertools.combinations(ends.tolist(), 2))
    assert np.abs(sizes - targets).sum() == best


def test_time_keeps_groups_whole_in_order_of_their_first_episode_and_says_what_that_costs():
    groups = [0, 1, 2, 3, 4, 0, 1]
    log = episodes(7, groups=groups, times=[0, 1, 2, 3, 4, 10, 11])
    parts = log.split(by="time")
    assert ids(parts) == [[0, 1, 2, 5, 6], [3], [4]]
    # Episodes 5 and 6 are studied, and began after episode 4, which examines.
    assert all("2 episodes outside the holdout began when the holdout had begun" in part.notes[-1] for part in parts)
    assert episodes(7, groups=groups, times=[0, 1, 2, 3, 4, 0, 1]).split(by="time").train.notes == ()


def test_by_episode_tears_groups_apart_only_where_asked_and_says_so():
    log = episodes(40, groups=np.arange(40) // 10, notes=("cut",))
    parts = log.split(by="episode")
    assert [part.n_episodes for part in parts] == [24, 8, 8]
    assert parts.holdout.notes[0] == "cut"
    assert re.search(r"although the log has groups: [1-4] groups are in more than one part", parts.holdout.notes[1])
    assert episodes(40, groups=np.arange(40)).split(by="episode").train.notes == ()


def event_counts(parts, name="hypo"):
    return [int((part.cost_sums(name) > 0).sum()) for part in parts]


@pytest.mark.parametrize(
    ("n", "events", "expected"),
    [
        (10, 5, [3, 1, 1]),
        (100, 10, [6, 2, 2]),
        (10, 1, [1, 0, 0]),
        (10, 0, [0, 0, 0]),
        (10, 10, [6, 2, 2]),
        (500, 104, [62, 21, 21]),
        (6, 3, [2, 0, 1]),  # 4, 1 and 1 episodes; proportional would be 2, 1/2 and 1/2
    ],
)
def test_events_are_shared_out_in_proportion(n, events, expected):
    cost = np.zeros(n)
    cost[np.random.default_rng(0).permutation(n)[:events]] = 2.5
    for seed in range(5):
        parts = episodes(n, costs={"hypo": cost}).split(seed=seed, stratify="hypo")
        assert event_counts(parts) == expected
        assert [part.n_episodes for part in parts] == _counts(n, (0.6, 0.2, 0.2))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(3, 60),
    st.integers(0, 60),
    st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (6 / 14, 6 / 14, 2 / 14), (1 / 3, 1 / 3, 1 / 3)]),
)
def test_no_other_whole_numbers_make_the_shares_of_events_more_equal(n, events, fractions):
    counts = np.array(_counts(n, fractions))
    assume(counts.min() > 0)
    events = min(events, n)
    table = _table(np.array([n - events, events]), counts)
    assert table.sum(axis=0).tolist() == counts.tolist()
    assert table.sum(axis=1).tolist() == [n - events, events]

    def distance(shared):
        other = counts - shared
        exact = counts * events / n
        spread = (np.array(shared) - exact) ** 2
        return (
            spread / np.maximum(exact, 1e-12) + (other - (counts - exact)) ** 2 / np.maximum(counts - exact, 1e-12)
        ).sum()

    ways = [
        (a, b, events - a - b)
        for a in range(min(events, counts[0]) + 1)
        for b in range(min(events - a, counts[1]) + 1)
        if events - a - b <= counts[2]
    ]
    assert distance(table[1]) <= min(map(distance, ways)) + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.sampled_from([(0.6, 0.2, 0.2), (0.5, 0.3, 0.2)]))
def test_every_stratum_is_within_one_of_its_proportional_share(sizes, fractions):
    sizes = np.array(sizes)
    assume(sizes.sum() > 0)
    counts = np.array(_counts(int(sizes.sum()), fractions))
    table = _table(sizes, counts)
    assert table.sum(axis=0).tolist() == counts.tolist()
    assert table.sum(axis=1).tolist() == sizes.tolist()
    assert np.abs(table - np.outer(sizes, counts) / sizes.sum()).max() <= 1 + 1e-9


def test_returns_are_balanced_by_fifths():
    log = episodes(500)  # returns 0..499
    parts = log.split(stratify="return", seed=1)
    for part, each in zip(parts, [60, 20, 20], strict=True):
        assert np.histogram(part.returns, bins=np.arange(0, 501, 100))[0].tolist() == [each] * 5


def test_groups_are_balanced_by_any_event_in_them():
    groups = np.repeat(np.arange(50), 4)
    cost = np.zeros(200)
    cost[[0, 1, 40, 80, 120, 160]] = 1  # five groups of fifty have an event, one of them twice
    parts = episodes(200, groups=groups, costs={"hypo": cost}).split(stratify="hypo", seed=4)
    assert [len(set(part.groups[part.cost_sums("hypo") > 0].tolist())) for part in parts] == [3, 1, 1]
    assert [len(set(part.groups.tolist())) for part in parts] == [30, 10, 10]


def test_a_cost_called_return_is_that_cost():
    cost = np.zeros(10)
    cost[:5] = 1
    assert event_counts(episodes(10, costs={"return": cost}).split(stratify="return"), "return") == [3, 1, 1]


def test_chance_decides_within_a_stratum():
    cost = np.zeros(10)
    cost[:5] = 1
    log = episodes(10, costs={"hypo": cost})
    hits = np.zeros(10)
    for seed in range(1000):
        hits[log.split(seed=seed, stratify="hypo").holdout.episode_ids] += 1
    # Each of five episodes with the event, and of five without, has a fifth of 1000: sd 12.6, so 64 is five of them.
    assert np.abs(hits - 200).max() < 64


@pytest.mark.parametrize(
    ("log", "kwargs", "message"),
    [
        ({}, {"by": "tiem"}, "by: 'tiem' is not valid. Expected one of 'auto', 'episode', 'group', 'time'. Did you"),
        ({}, {"by": "group"}, "the log has no groups. Name the column"),
        ({}, {"by": "time"}, "the log does not say when its episodes began"),
        ({"times": [0, 0, 0, 0, 0, 1, 1, 1]}, {"by": "time"}, "8 episodes began at 2 different times"),
        ({"times": range(8), "groups": [0, 1] * 4}, {"by": "time"}, "2 groups cannot be split"),
        ({"times": range(8)}, {"by": "time", "stratify": "return"}, "leaves nothing to balance"),
        ({"costs": {"hypo": np.ones(8)}}, {"stratify": "hypos"}, "'hypos' is not one of 'hypo', 'return'. Did you"),
        ({}, {"stratify": 3}, "stratify: 3 is not one of 'return'."),
    ],
)
def test_refused(log, kwargs, message):
    log = {key: list(value) if isinstance(value, range) else value for key, value in log.items()}
    with pytest.raises(InputError, match=re.escape(message)):
        split(episodes(8, **log), **kwargs)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"seed": 7, "fractions": (0.5, 0.25, 0.25)}, {"by": "time"}, {"stratify": "hypo"}, {"by": "episode"}],
)
def test_a_recorded_split_is_made_again_and_verified(arguments):
    rng = np.random.default_rng(0)
    log = episodes(40, groups=rng.integers(0, 25, 40), times=rng.permutation(40), costs={"hypo": rng.random(40) < 0.2})
    parts = log.split(**arguments)
    record = json.loads(json.dumps(split_record(log, parts, **arguments)))
    assert [part.fingerprint for part in reproduce_split(log, record)] == [part.fingerprint for part in parts]
    assert record["parts"]["holdout"]["episodes"] == parts.holdout.n_episodes
    assert sum(part["episodes_with_event"]["hypo"] for part in record["parts"].values()) == log.costs["hypo"].sum()
    assert record["unit"] == ("episode" if arguments.get("by") == "episode" else "group")


def test_a_record_of_something_else_is_noticed():
    log = episodes(20)
    parts = log.split(seed=1)
    record = split_record(log, parts, seed=1)
    with pytest.raises(InputError, match=r"log: its fingerprint .* is not the recorded"):
        reproduce_split(episodes(21), record)
    with pytest.raises(InputError, match="the train part is not the recorded one"):
        reproduce_split(log, record | {"seed": 2})
    with pytest.raises(InputError, match="their 22 episodes are not the 20 of the log"):
        split_record(log, parts._replace(holdout=parts.train.select(np.arange(6))))
    with pytest.raises(InputError, match="each once"):
        split_record(log, parts._replace(holdout=parts.selection))


def test_no_identity_is_in_a_record():
    names = [f"patient-{i}" for i in range(20)]
    log = replace(episodes(20, groups=names, episode_ids=[f"stay-{i}" for i in range(20)]))
    text = json.dumps(split_record(log, log.split()))
    assert "patient" not in text
    assert "stay" not in text
