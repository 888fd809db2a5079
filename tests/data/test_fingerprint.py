"""Fingerprints change with anything that is said in the log, and with nothing else."""

import hashlib
import json

import numpy as np
import pytest

from groundschool.data import Dataset, fingerprint

BASE = {
    "observations": np.array([[0.0], [1.0], [2.0]], np.float32),
    "actions": np.array([0, 1, 1]),
    "rewards": np.array([1.0, 2.0, 3.0]),
    "terminated": np.array([False, True, False]),
    "truncated": np.array([False, False, True]),
}
MASKS = np.ones((3, 2), bool)


def build(**changes):
    return Dataset.from_arrays(**{**BASE, **changes})


def test_the_definition_written_out_by_hand():
    log = build(costs={"c": [0.0, 0.5, 0.0]}, groups=["p", "q"], final_observations=np.float32([[5], [6]]))
    layout = [
        ["observations", "<f4", [1]],
        ["actions", "<i8", []],
        ["rewards", "<f8", []],
        ["terminated", "|b1", []],
        ["truncated", "|b1", []],
        ["cost:c", "<f8", []],
        ["final_observations", "<f4", [1]],
    ]
    rows = b"".join(
        b"".join(
            np.asarray(x).tobytes() for x in (np.float32(o), np.int64(a), np.float64(r), t, np.False_, np.float64(c))
        )
        for o, a, r, t, c in [(0, 0, 1, np.False_, 0), (1, 1, 2, np.True_, 0.5)]
    )
    whole = json.dumps(layout).encode() + rows + np.float32(5).tobytes() + b'[2, 0, "p"]'
    assert log.episode_hashes[0] == hashlib.sha256(whole).hexdigest()[:32]


@pytest.mark.parametrize(
    "changes",
    [
        {"observations": np.array([[-0.0], [1.0], [2.0]], np.float32)},
        {"observations": BASE["observations"].astype(np.float64)},
        {"actions": np.array([0, 0, 1])},
        {"rewards": np.array([1.0, 2.0, 3.5])},
        {"terminated": np.array([False, True, True])},
        {"terminated": np.array([True, True, False])},
        {"truncated": np.array([False, True, True])},
        {"costs": {"c": np.zeros(3)}},
        {"propensities": np.ones(3)},
        {"action_masks": MASKS},
        {"final_observations": np.zeros((2, 1), np.float32)},
        {"groups": [0, 1]},
        {"groups": ["0", "1"]},
        {"episode_ids": [0, 2]},
        {"episode_ids": ["0", "1"]},
        {"n_actions": 3},
        {"horizon": 5},
        {"return_range": (0.0, 9.0)},
    ],
    ids=str,
)
def test_any_change_shows(changes):
    assert build(**changes).fingerprint != build().fingerprint


def test_what_is_not_content_does_not_show():
    costs = {"a": np.zeros(3), "b": np.ones(3)}
    one = build(costs=costs, horizon=2, n_actions=2, episode_ids=[0, 1])
    other = build(costs=dict(reversed(costs.items())), actions=BASE["actions"].astype(np.uint8))
    assert one.fingerprint == other.fingerprint


def test_declarations_do_not_change_what_an_episode_is():
    assert build(horizon=9).episode_hashes.tolist() == build().episode_hashes.tolist()


def test_order_of_episodes_shows():
    log = build()
    assert log.select([1, 0]).fingerprint != log.fingerprint


@pytest.mark.parametrize("block", [1, 40, 10_000])
def test_hashing_in_blocks_is_hashing_at_once(block, monkeypatch):
    expected = build().episode_hashes.tolist()
    monkeypatch.setattr(fingerprint, "_BLOCK_BYTES", block)
    assert build().episode_hashes.tolist() == expected
