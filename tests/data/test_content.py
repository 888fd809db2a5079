"""Hashes of content depend on what rows hold and in which order, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from groundschool.data import content
from groundschool.data.content import episode_hashes, row_hashes
from groundschool.data.raw import RawLog


def log(observations, actions, rewards, starts, **more) -> RawLog:
    n = len(rewards)
    return RawLog(
        observations=np.asarray(observations),
        actions=np.asarray(actions),
        rewards=np.asarray(rewards, float),
        terminated=np.zeros(n, bool),
        truncated=np.isin(np.arange(n), np.asarray(starts[1:]) - 1),
        starts=np.asarray(starts),
        **more,
    )


def random_log(seed=0, n_episodes=200, whole=False) -> RawLog:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, n_episodes)
    n = int(lengths.sum())
    observations = rng.integers(0, 3, (n, 2)).astype(float) if whole else rng.normal(size=(n, 2))
    return log(observations, rng.integers(0, 2, n), rng.integers(0, 2, n), np.concatenate([[0], np.cumsum(lengths)]))


def test_equal_rows_have_equal_hashes_and_different_ones_different():
    raw = random_log(whole=True)
    rows = [*zip(raw.observations.tolist(), raw.actions.tolist(), raw.rewards.tolist(), strict=True)]
    distinct = {str(row) for row in rows}
    assert len(distinct) < len(rows)
    assert len(np.unique(row_hashes(raw))) == len(distinct)


def test_equal_episodes_have_equal_hashes_and_different_ones_different():
    raw = random_log(whole=True, n_episodes=2000)
    rows = [*zip(raw.observations.tolist(), raw.actions.tolist(), raw.rewards.tolist(), strict=True)]
    episodes = [str(rows[a:b]) for a, b in zip(raw.starts[:-1], raw.starts[1:], strict=True)]
    hashes = episode_hashes(raw)
    by_hash = dict(zip(hashes.tolist(), episodes, strict=True))
    assert len(set(episodes)) < len(episodes)
    assert len(by_hash) == len(set(episodes))
    assert all(by_hash[value] == episode for value, episode in zip(hashes.tolist(), episodes, strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([[1.5], [0.25]], np.float32), np.array([[1.5], [0.25]], np.float64)),
        (np.array([[0.0], [1.0]]), np.array([[-0.0], [1.0]])),
        (np.array([[np.nan], [1.0]]), np.array([[-np.nan], [1.0]])),
        (np.array([4, 5]), np.array([[4.0], [5.0]])),
    ],
    ids=["float32", "-0", "NaN", "ids"],
)
def test_how_a_number_is_stored_does_not_count(one, other):
    a, b = (log(observations, [0, 1], [1.0, 2.0], [0, 2]) for observations in (one, other))
    assert row_hashes(a).tolist() == row_hashes(b).tolist()
    assert episode_hashes(a).tolist() == episode_hashes(b).tolist()


def test_everything_else_counts():
    rows = {
        "base": log([[1.0, 2.0]], [0], [1.0], [0, 1]),
        "observation": log([[1.0, 3.0]], [0], [1.0], [0, 1]),
        "order of features": log([[2.0, 1.0]], [0], [1.0], [0, 1]),
        "action": log([[1.0, 2.0]], [1], [1.0], [0, 1]),
        "reward": log([[1.0, 2.0]], [0], [1.5], [0, 1]),
        "action and reward exchanged": log([[1.0, 2.0]], [1], [0.0], [0, 1]),
    }
    assert len({int(row_hashes(raw)[0]) for raw in rows.values()}) == len(rows)


def test_order_and_length_of_an_episode_count():
    forth = log([[1.0], [2.0], [3.0]], [0, 0, 0], [0, 0, 0], [0, 3])
    back = log([[3.0], [2.0], [1.0]], [0, 0, 0], [0, 0, 0], [0, 3])
    cut = log([[1.0], [2.0], [3.0]], [0, 0, 0], [0, 0, 0], [0, 2, 3])
    same = log([[2.0], [2.0], [2.0], [2.0]], [0] * 4, [0] * 4, [0, 1, 4])
    values = [*episode_hashes(forth), *episode_hashes(back), *episode_hashes(cut), *episode_hashes(same)]
    assert len(set(values)) == len(values)


def test_ids_flags_and_place_in_the_log_do_not_count():
    raw = random_log()
    cut = int(raw.starts[120])
    second = log(raw.observations[cut:], raw.actions[cut:], raw.rewards[cut:], raw.starts[120:] - cut, first_row=99)
    assert episode_hashes(second).tolist() == episode_hashes(raw)[120:].tolist()


@pytest.mark.parametrize("block", [1, 7, 100])
def test_hashing_in_blocks_is_hashing_at_once(block, monkeypatch):
    raw = random_log(n_episodes=30)
    rows, episodes = row_hashes(raw), episode_hashes(raw)
    monkeypatch.setattr(content, "_BLOCK_NUMBERS", block)
    assert row_hashes(raw).tolist() == rows.tolist()
    assert episode_hashes(raw).tolist() == episodes.tolist()


def test_hashes_are_spread_evenly():
    raw = random_log(n_episodes=20_000, whole=True)
    for hashes in (np.unique(row_hashes(raw)), np.unique(episode_hashes(raw))):
        bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        # Each of 64 bits is a fair coin: 6 standard errors.
        assert (np.abs(bits.mean(axis=0) - 0.5) < 6 * 0.5 / np.sqrt(len(hashes))).all()


def test_a_log_without_rows_has_no_hashes():
    raw = log(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0), [0])
    assert row_hashes(raw).shape == episode_hashes(raw).shape == (0,)
