"""Signs that the observation is no state, or that the logger saw more: found where planted, absent elsewhere."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.evaluation.diagnostics.history import history_signs

STEPS = 20


def world(seed, n=200, *, momentum=False, secret=False):
    """A walk on six cells: `momentum` carries the last move on; `secret` lets the logger see whether it lasts."""
    rng = np.random.default_rng(seed)
    cell, moved, hidden = rng.integers(0, 6, n), np.zeros(n, int), rng.integers(0, 2, n)
    columns = []
    for _ in range(STEPS):
        p = np.where(hidden == 1, 0.9, 0.1) if secret else np.full(n, 0.4)
        action = (rng.random(n) < p).astype(int)
        moved = np.where(rng.random(n) < 0.8, moved if momentum else action, 1 - action)
        columns.append((cell, action, np.where(action == 1, p, 1.0 - p)))
        cell = (cell + 2 * moved - 1) % 6
        if momentum:
            moved = np.where(rng.random(n) < 0.2, 1 - moved, moved)
    seen, acted, p = (np.stack(column, axis=1).reshape(-1) for column in zip(*columns, strict=True))
    last = np.tile(np.arange(STEPS) == STEPS - 1, n)
    return Dataset.from_arrays(seen, acted, (seen == 0) * 1.0, last, np.zeros(n * STEPS, bool), propensities=p)


def test_no_sign_in_a_markov_log_and_no_proof_either():
    found = history_signs(world(0))
    assert found.name == "history"
    assert found.reasons == ()
    assert found.facts["observation"]["tested"]
    assert found.facts["action"]["tested"]
    assert not found.facts["observation"]["found"]
    assert not found.facts["action"]["found"]
    assert found.notes[-1].startswith("No sign was found")
    assert "cannot show" in found.notes[-1]
    json.dumps(found.facts, allow_nan=False)


def test_a_hidden_state_is_a_reason():
    found = history_signs(world(1, momentum=True))
    assert found.facts["observation"]["found"]
    (reason,) = found.reasons
    assert reason.startswith("The observation is no state")
    assert "nats a step" in reason


@pytest.mark.parametrize("known", [True, False])
def test_a_logger_that_saw_more_is_a_reason_where_propensities_are_estimated(known):
    log = world(2, secret=True)
    log = log if known else dataclasses.replace(log, propensities=None)
    found = history_signs(log)
    assert found.facts["action"]["found"]
    assert not found.facts["observation"]["found"]
    assert bool(found.reasons) == (not known)
    said = found.notes[0] if known else found.reasons[0]
    assert said.startswith("The logger looked at more than")
    assert ("confounding" in said) == (not known)
    assert history_signs(log, known=not known).reasons == () or known


def test_numbers_are_looked_at_by_regression():
    rng = np.random.default_rng(0)
    n, x, speed = 100, np.zeros((100, 1)), rng.normal(size=(100, 1))
    columns = []
    for _ in range(STEPS):
        columns.append(x)
        speed = 0.95 * speed + 0.1 * rng.normal(size=(n, 1))
        x = x + speed
    last = np.tile(np.arange(STEPS) == STEPS - 1, n)
    rows = n * STEPS
    log = Dataset.from_arrays(
        np.stack(columns, axis=1).reshape(rows, 1), rng.integers(0, 2, rows), np.zeros(rows), last, np.zeros(rows, bool)
    )
    found = history_signs(log)
    assert found.facts["observation"]["method"] == "regression"
    assert "explained variance" in found.reasons[0]


def test_small_and_wide_logs_are_not_tested():
    small = history_signs(world(0, n=10))
    assert not small.facts["observation"]["tested"]
    assert small.reasons == ()
    assert "20 episodes and 1,000 rows" in small.notes[0]
    n = 2_000
    last = np.arange(n) % 10 == 9
    wide = Dataset.from_arrays(np.zeros((n, 101)), np.arange(n) % 2, np.zeros(n), last, np.zeros(n, bool))
    assert "too wide" in history_signs(wide).notes[0]


def test_same_seed_same_verdict():
    log = world(4, n=3_000)  # more rows than are looked at
    assert history_signs(log, seed=3).facts == history_signs(log, seed=3).facts
