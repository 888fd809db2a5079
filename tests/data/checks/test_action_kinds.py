"""Measured actions that look counted, counted ones that look measured, and actions nobody took."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, measured, one, sound

RNG = np.random.default_rng(3)


def discrete(actions, **declared):
    raw = sound(np.random.default_rng(0), 300)
    actions = np.resize(np.asarray(actions), raw.n_rows)
    bare = {"action_masks": None, "final_action_masks": None, "n_actions": None}
    return replace(raw, actions=actions, **(bare | declared))


def floats(*columns):
    raw = measured(np.random.default_rng(0), 300)
    return replace(raw, actions=np.stack([np.resize(column, raw.n_rows) for column in columns], axis=1))


@pytest.mark.parametrize(
    "doses",
    [
        RNG.integers(0, 500, 3000),
        np.round(RNG.gamma(2.0, 100.0, 3000)).astype(int),
        RNG.integers(0, 12, 3000) * 25,
        RNG.integers(0, 16, 3000) * 2,
    ],
    ids=["many", "dose", "in 25s", "in 2s"],
)
def test_measured_quantities(doses):
    assert one("continuous-as-discrete", discrete(doses)).where == "dose"
    named = discrete(doses, action_labels=tuple(f"a{i}" for i in range(int(doses.max()) + 1)))
    assert found("continuous-as-discrete", named) == []


@pytest.mark.parametrize(
    ("actions", "declared"),
    [
        (RNG.integers(0, 4, 3000), {}),
        (RNG.integers(0, 29, 3000), {}),
        (RNG.integers(0, 100, 3000), {}),
        (RNG.zipf(1.5, 3000) % 150, {"n_actions": 150}),
        (RNG.choice([0, 2, 4, 6], 3000), {}),
        (RNG.choice([0, 2, 4, 6, 8, 10, 12], 3000), {}),
        (RNG.choice(np.arange(0, 20, 2), 3000), {}),
    ],
    ids=["4", "29", "100", "a declared long tail", "4 even ones", "7 even ones", "10 even ones"],
)
def test_choices(actions, declared):
    assert found("continuous-as-discrete", discrete(actions, **declared)) == []


def test_a_tail_of_actions_seen_once():
    tail = np.concatenate([RNG.integers(0, 30, 2900), np.arange(100, 170)])
    raw = discrete(np.zeros(1, int))
    actions = np.zeros(raw.n_rows, int)
    actions[: min(len(tail), raw.n_rows)] = tail[-raw.n_rows :]
    once = np.count_nonzero(np.unique(actions, return_counts=True)[1] == 1)
    finding = one("continuous-as-discrete", replace(raw, actions=actions))
    assert finding.measured["once"] == once


def test_choices_stored_as_floats():
    finding = one("discrete-as-continuous", floats(RNG.integers(-1, 3, 3000)))
    assert (finding.severity, finding.where) == ("warning", "dose")
    assert finding.what == "4 distinct values, all whole, from -1 to 2."
    both = found("discrete-as-continuous", floats(RNG.integers(0, 2, 3000), RNG.integers(0, 20, 3000)))
    assert [(f.where, f.severity) for f in both] == [("dose[0]", "warning"), ("dose[1]", "warning")]


def test_a_gripper_among_measured_actions_is_a_note():
    finding = one("discrete-as-continuous", floats(RNG.normal(size=3000), RNG.choice([-1.0, 1.0], 3000)))
    assert (finding.severity, finding.where) == ("note", "dose[1]")


@pytest.mark.parametrize(
    "column",
    [RNG.normal(size=3000), RNG.integers(0, 21, 3000), RNG.integers(0, 10**9, 3000), RNG.integers(0, 3, 3000) / 2],
    ids=["normal", "21 values", "large", "halves"],
)
def test_measured_floats(column):
    assert found("discrete-as-continuous", floats(column)) == []


def test_one_value_is_one_action_and_not_a_kind():
    raw = floats(np.full(5, 2.0))
    assert found("discrete-as-continuous", raw) == []
    assert one("one-action", raw).severity == "warning"
    assert one("one-action", discrete([1])).what == "Every row has the same action, 1."
    assert found("one-action", discrete([*[1] * 2000, 0])) == []


@pytest.mark.parametrize(("declared", "severity"), [(6, "warning"), (30, "note")])
def test_actions_never_taken(declared, severity):
    raw = discrete(RNG.integers(0, 4, 3000), n_actions=declared)
    assert 100 * 6 <= raw.n_rows < 100 * 30
    finding = one("action-never-taken", raw)
    assert finding.severity == severity
    assert finding.what.startswith(f"{declared - 4} actions of {declared} never taken: 4, 5")
    assert found("action-never-taken", discrete(RNG.integers(0, 4, 3000), n_actions=4)) == []


def test_names_of_actions_are_said():
    raw = discrete(RNG.integers(0, 2, 3000), action_labels=("none", "low", "high"))
    assert one("action-never-taken", raw).what == "1 action of 3 never taken: 2 (high)."


@pytest.mark.parametrize(("count", "rare"), [(9, True), (10, False), (1, True)])
def test_hardly_is_fewer_than_ten(count, rare):
    actions = RNG.integers(0, 3, discrete([0]).n_rows)
    actions[:count] = 3
    findings = found("action-hardly-taken", discrete(actions))
    assert [finding.rows for finding in findings] == [count][: int(rare)]


def test_or_less_than_one_in_a_thousand():
    raw = sound(np.random.default_rng(0), 3000)
    actions = RNG.integers(0, 3, raw.n_rows)
    actions[:15] = 3
    assert raw.n_rows > 15_000
    finding = one("action-hardly-taken", replace(raw, actions=actions, n_actions=4, action_masks=None))
    assert (finding.severity, finding.rows) == ("note", 15)
