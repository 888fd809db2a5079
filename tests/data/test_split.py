"""Splits: a partition of the episodes, by group where there are groups, the same for the same seed."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_logs import assert_identical, logs

from groundschool.data import Dataset, split
from groundschool.errors import InputError


def episodes(n, **kwargs):
    """n episodes of one step each."""
    flags = np.ones(n, bool)
    return Dataset.from_arrays(np.arange(n), np.zeros(n, int), np.arange(n), flags, ~flags, n_actions=2, **kwargs)


@pytest.mark.parametrize(
    ("n", "fractions", "sizes"),
    [
        (10, (0.6, 0.2, 0.2), [6, 2, 2]),
        (500, (0.6, 0.2, 0.2), [300, 100, 100]),
        (4, (0.6, 0.2, 0.2), [2, 1, 1]),
        (3, (0.34, 0.33, 0.33), [1, 1, 1]),
        (10, (0.7, 0.1, 0.2), [7, 1, 2]),
        (11, (1 / 3, 1 / 3, 1 / 3), [4, 4, 3]),
    ],
)
def test_sizes_are_the_fractions_by_largest_remainder(n, fractions, sizes):
    assert [part.n_episodes for part in split(episodes(n), fractions=fractions)] == sizes


def test_each_part_keeps_the_declarations_of_the_whole():
    log = episodes(10, horizon=7, return_range=(0, 100))
    for part in log.split(seed=3):
        assert (part.n_actions, part.horizon, part.return_range) == (2, 7, (0.0, 100.0))
        assert part.episode_ids.tolist() == part.rewards.tolist() == sorted(part.rewards.tolist())


def test_the_seed_decides():
    log = episodes(100)
    one, same, other = log.split(seed=1), split(log, seed=1), log.split(seed=2)
    assert one.holdout.fingerprint == same.holdout.fingerprint
    assert one.holdout.fingerprint != other.holdout.fingerprint


def test_every_episode_reaches_the_holdout_as_often_as_it_should():
    hits = np.zeros(10)
    for seed in range(1000):
        hits[split(episodes(10), seed=seed).holdout.episode_ids] += 1
    # Binomial(1000, 0.2): mean 200, sd 12.6; 5 sd on each of 10 episodes fails by chance once in 10^5.
    assert np.abs(hits - 200).max() < 64


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"fractions": (0.5, 0.5, 0.5)}, "fractions: (0.5, 0.5, 0.5) is not valid"),
        ({"fractions": (1.0, 0.0, 0.0)}, "fractions: (1.0, 0.0, 0.0) is not valid"),
        ({"fractions": (0.5, 0.5)}, "fractions: (0.5, 0.5) is not valid"),
        ({"fractions": (1.2, -0.1, -0.1)}, "three numbers above 0 that sum to 1"),
        ({"fractions": (float("nan"), 0.5, 0.5)}, "fractions: (nan"),
        ({"fractions": 0.6}, "fractions: 0.6"),
        ({"seed": -1}, "seed: -1 is not valid"),
        ({"seed": 1.5}, "seed: 1.5 is not valid"),
        ({"fractions": (0.9, 0.05, 0.05)}, "8 episodes cannot be split into (0.9, 0.05, 0.05): the holdout part"),
        ({"fractions": (0.9, 0.05, 0.05)}, "Log at least 20 episodes"),
    ],
)
def test_refused(kwargs, message):
    with pytest.raises(InputError, match=re.escape(message)):
        split(episodes(8), **kwargs)


def test_two_groups_cannot_make_three_parts():
    with pytest.raises(InputError, match=r"^2 groups cannot be split"):
        split(episodes(8, groups=[0, 1] * 4))


@settings(max_examples=80, deadline=None)
@given(logs(max_episodes=25), st.integers(0, 2**40))
def test_a_split_partitions_the_episodes_and_never_a_group(log, seed):
    units = log.n_episodes if log.groups is None else len(np.unique(log.groups))
    assume(units >= 5)
    parts = split(log, seed=seed)
    ids = [set(part.episode_ids.tolist()) for part in parts]
    assert sum(map(len, ids)) == log.n_episodes
    assert set.union(*ids) == set(log.episode_ids.tolist())
    if log.groups is not None:
        groups = [set(part.groups.tolist()) for part in parts]
        assert sum(map(len, groups)) == units
    for part in parts:
        assert_identical(part, log.select(np.isin(log.episode_ids, part.episode_ids)))
