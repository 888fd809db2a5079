"""A trend over an episode: its score by hand, its level without any, and that it is found where there is one."""

import math

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.evaluation.diagnostics.history import history_signs
from groundschool.evaluation.diagnostics.trend import ALARM, trend


def test_the_score_by_hand(monkeypatch):
    monkeypatch.setattr("groundschool.evaluation.diagnostics.trend.LEAST_EVENTS", 1)
    # Two kinds of rows: steps 0, 1, 2 with outcomes 0, 0, 1; steps 4, 6 with outcomes 1, 0. One row alone says nothing.
    alike, step = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 4, 6, 9])
    outcome = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 5.0])
    found = trend(alike, step, {"it": outcome})
    # Sums 1 and -1; under permutation 2 * (2 / 3) / 2 and 2 * (1 / 2) / 1.
    assert found.score == pytest.approx((1 - 1) / math.sqrt(2 / 3 + 1))
    only = trend(alike[:3], step[:3], {"it": outcome[:3]})
    assert only.score == pytest.approx(1 / math.sqrt(2 / 3))
    assert only.p_value == pytest.approx(2 * stats.norm.sf(1 / math.sqrt(2 / 3)))


def test_the_variance_is_that_of_all_permutations(monkeypatch):
    monkeypatch.setattr("groundschool.evaluation.diagnostics.trend.LEAST_EVENTS", 1)
    rng = np.random.default_rng(1)
    alike, step = np.repeat([0, 1], [6, 5]), rng.integers(0, 9, 11)
    outcome = rng.normal(size=11)
    scores = []
    for _ in range(20_000):
        shuffled = np.concatenate([rng.permutation(outcome[:6]), rng.permutation(outcome[6:])])
        scores.append(trend(alike, step, {"it": shuffled}).score)
    assert np.mean(scores) == pytest.approx(0.0, abs=5 / math.sqrt(20_000))
    assert np.var(scores) == pytest.approx(1.0, abs=5 * math.sqrt(2 / 20_000))


def test_nothing_to_compare():
    assert trend(np.arange(50), np.arange(50), {"it": np.arange(50.0)}) is None  # no two rows are alike
    assert trend(np.zeros(50, int), np.arange(50), {"it": np.ones(50)}) is None  # the same for all
    few = np.r_[np.ones(3), np.zeros(47)]
    assert trend(np.zeros(50, int), np.arange(50), {"it": few}) is None


def logged(rise: float, seed: int, episodes: int = 400) -> gs.Dataset:
    """Two observations and two actions at random; every step the episode may end, more likely later by `rise`."""
    rng = np.random.default_rng(seed)
    columns = []
    for _ in range(episodes):
        for t in range(8):
            ended = rng.random() < 0.05 + rise * t
            columns.append((rng.integers(2), rng.integers(2), rng.normal(), ended, not ended and t == 7))
            if ended:
                break
    seen, actions, rewards, ended, cut = (np.array(column) for column in zip(*columns, strict=True))
    return gs.Dataset.from_arrays(
        seen, actions, rewards, ended.astype(bool), cut.astype(bool), propensities=np.full(len(seen), 0.5), n_actions=2
    )


def test_a_danger_that_rises_is_found_and_named():
    found = history_signs(logged(0.03, seed=3))
    assert found.facts["time"]["found"]
    assert any("the chance to end is larger later" in reason for reason in found.reasons)


def test_chance_alone_is_seldom_taken_for_one():
    logs = 150
    alarms = sum(history_signs(logged(0.0, seed, episodes=200)).facts["time"]["found"] for seed in range(logs))
    assert alarms <= stats.binom.isf(1e-3, logs, ALARM)
