"""Copies of rows and episodes, within a log and across logs, and what repeats by chance alone."""

from __future__ import annotations

from dataclasses import replace

import clean_logs
import numpy as np
import pytest
from planted_structural import found, grid, one, select, shared, sound, take

import groundschool as gs
from groundschool.data.checks.chance import expected_elsewhere, later_copies
from groundschool.data.checks.duplicates import shared_episodes
from groundschool.data.content import row_hashes
from groundschool.data.features import Feature
from groundschool.data.raw import RawLog
from groundschool.envs import HazardAvoidingLogger


def test_every_copy_is_counted_and_the_first_named_with_its_twin():
    raw = sound(np.random.default_rng(0), 40)
    copied = select(raw, np.array([*range(20), 4, *range(20, 40), 17, 4]))
    copied = replace(copied, episode_ids=np.arange(43) + 100)
    finding = one("duplicated-episodes", copied)
    assert (finding.severity, finding.episodes, finding.first_episode) == ("warning", 3, 120)
    assert finding.first_row == raw.first_row + copied.starts[20]
    assert "as episode 104)" in finding.what
    assert finding.rows == 2 * raw.lengths[4] + raw.lengths[17]


def test_a_log_read_twice():
    raw = sound(np.random.default_rng(0), 40)
    finding = one("duplicated-episodes", select(raw, np.tile(np.arange(40), 2)))
    assert finding.episodes == 40


def test_a_changed_number_makes_an_episode_of_its_own():
    raw = select(sound(np.random.default_rng(0), 40), np.array([*range(40), 3]))
    rewards = raw.rewards.copy()
    rewards[-1] += 1e-12
    assert len(found("duplicated-episodes", raw)) == 1
    assert found("duplicated-episodes", replace(raw, rewards=rewards)) == []


def test_episodes_of_placeholders_are_no_copies():
    raw = sound(np.random.default_rng(0), 80)
    observations, rewards = raw.observations.copy(), raw.rewards.copy()
    actions = raw.actions.copy()
    for e in (3, 50, 60):  # nothing was measured in these
        rows = slice(raw.starts[e], raw.starts[e + 1])
        observations[rows], rewards[rows], actions[rows] = 0, 0, 0
    lengths = raw.lengths
    same = replace(raw, observations=observations, rewards=rewards, actions=actions)
    same = select(same, np.array([*range(80), 3]))
    assert len(np.unique(lengths[[3, 50, 60]])) >= 1
    assert found("duplicated-episodes", same) == []


WORLDS = [
    {"size": 3, "n_hazards": 0, "horizon": 10},
    {"size": 3, "n_hazards": 0, "slip": 0.0, "epsilon": 0.0},
    {"size": 4, "hazards": [(1, 2)], "epsilon": 0.5},
    {"size": 6, "n_hazards": 2},
    {"size": 15},
    {"size": 15, "epsilon": 0.0, "slip": 0.0},
]


@pytest.mark.parametrize("options", WORLDS, ids=str)
@pytest.mark.parametrize("episodes", [1, 2, 5, 30, 300, 3000])
def test_what_repeats_by_chance_is_not_reported(options, episodes):
    options = dict(options)
    epsilon = options.pop("epsilon", 0.22)
    env = gs.HazardGrid(**options)
    logger = HazardAvoidingLogger(env.layout, epsilon)
    for seed in range(5 if episodes < 1000 else 2):
        raw, other = (RawLog.of(gs.collect(env, logger, episodes, seed=s)) for s in (seed, 9_000_000 + seed))
        for name in ("duplicated-episodes", "duplicated-rows"):
            assert found(name, raw) == [], seed
        assert shared_episodes(raw, other) is None, seed


def test_small_worlds_do_repeat():
    env = gs.HazardGrid(size=3, n_hazards=0, horizon=10)
    raw = RawLog.of(gs.collect(env, HazardAvoidingLogger(env.layout), 300, seed=0))
    from groundschool.data.content import episode_hashes

    assert len(later_copies(episode_hashes(raw))) > 100


@pytest.mark.parametrize("episodes", [60, 300, 1000])
def test_copies_in_a_grid_beyond_chance_are_a_note(episodes):
    for seed in range(5):
        rng = np.random.default_rng([episodes, seed])
        raw = grid(rng, episodes)
        copied = episodes // 5
        raw = select(raw, np.concatenate([np.arange(episodes), rng.permutation(episodes)[:copied]]))
        finding = one("duplicated-episodes", replace(raw, episode_ids=None))
        assert finding.severity == "note"
        # Short ways into a hazard may come twice by chance; most episodes do not.
        assert 0.5 * copied <= finding.episodes <= copied


def test_the_expected_number_of_equal_episodes_by_hand():
    # 8 episodes: all begin in A; 6 go to B, 2 to C; both end there.
    ids = np.array([0, 1] * 6 + [0, 2] * 2)
    raw = RawLog(
        observations=ids,
        actions=np.zeros(16, int),
        rewards=np.zeros(16),
        terminated=np.arange(16) % 2 == 1,
        truncated=np.zeros(16, bool),
        starts=np.arange(0, 17, 2),
    )
    expected = expected_elsewhere(row_hashes(raw), raw.starts, np.array([0, 6]), 100)
    begin = 7.5 / 8
    by_b = begin * (5.5 / 8) * (5.5 / 6)
    by_c = begin * (1.5 / 8) * (1.5 / 2)
    np.testing.assert_allclose(expected, [100 * by_b, 100 * by_c])


def test_rows_logged_twice():
    raw = sound(np.random.default_rng(0), 40)
    rows = np.sort(np.concatenate([np.arange(raw.n_rows), [6, 6, 100]]))
    starts = raw.starts + np.searchsorted([6, 6, 100], raw.starts)
    doubled = take(raw, rows, starts, np.arange(40))
    finding = one("duplicated-rows", doubled)
    assert (finding.severity, finding.rows, finding.first_row) == ("warning", 3, raw.first_row + 7)


def test_every_row_twice():
    raw = sound(np.random.default_rng(0), 40)
    doubled = take(raw, np.repeat(np.arange(raw.n_rows), 2), raw.starts * 2, np.arange(40))
    assert one("duplicated-rows", doubled).rows == raw.n_rows


def test_the_last_row_of_one_episode_may_be_the_first_of_the_next():
    raw = sound(np.random.default_rng(0), 40)
    rows = np.arange(raw.n_rows)
    rows[raw.starts[7]] = rows[raw.starts[7] - 1]
    assert found("duplicated-rows", take(raw, rows, raw.starts, np.arange(40))) == []


def test_values_carried_forward_may_repeat():
    raw = sound(np.random.default_rng(0), 40)
    doubled = take(raw, np.repeat(np.arange(raw.n_rows), 2), raw.starts * 2, np.arange(40))
    features = (Feature("heart rate", forward_fill=True), *raw.features[1:])
    assert one("duplicated-rows", replace(doubled, features=features)).severity == "note"


@pytest.mark.parametrize("size", [12, 60, 400])
def test_shared_episodes_are_found_whatever_they_are_called(size):
    for seed in range(10):
        raw, other, common = shared(np.random.default_rng([size, seed]), size)
        other = replace(other, observations=other.observations.astype(np.float64), source="holdout.parquet")
        finding = shared_episodes(replace(raw, source="train.parquet"), other)
        assert finding.episodes == common
        assert finding.where == "train.parquet"
        assert "in holdout.parquet too" in finding.what
        assert finding.measured["share"] == pytest.approx(common / size)
        assert shared_episodes(raw, sound(np.random.default_rng([9, size, seed]), size)) is None


def test_the_first_shared_episode_is_named():
    raw = sound(np.random.default_rng(0), 40)
    finding = shared_episodes(raw, select(raw, np.array([30, 12])))
    assert (finding.episodes, finding.first_episode) == (2, raw.episode_label(12))
    assert finding.first_row == raw.row(int(raw.starts[12]))


def test_parts_of_a_split_share_nothing_and_a_part_is_in_the_whole():
    for kind in ("hazard-grid", "cartpole", "tabular"):
        raw = clean_logs.CLEAN[kind](3, 200)
        train, rest = select(raw, np.arange(120)), select(raw, np.arange(120, 200))
        assert shared_episodes(train, rest) is None
        assert shared_episodes(rest, raw).episodes > 40


def test_nothing_is_shared_with_an_empty_log():
    raw = sound(np.random.default_rng(0), 40)
    empty = select(raw, np.arange(0))
    assert shared_episodes(raw, empty) is None
    assert shared_episodes(empty, raw) is None
