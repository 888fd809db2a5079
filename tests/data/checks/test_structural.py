"""Every planted fault is found where it is, sound logs are left in peace, and no log passes that a Dataset refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import clean_logs
import numpy as np
import planted_structural as planted
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.random_logs import logs
from groundschool.data import Dataset
from groundschool.data.checks.structural import STRUCTURAL
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog
from groundschool.errors import InputError

SIZES = (12, 70, 400)
SEEDS = range(5)

# A fault of one kind is, or brings, one of another.
ALSO = {
    "split-episodes": {"duplicated-steps"},
    "duplicated-steps": {"step-gaps"},
    "step-order": {"step-gaps"},
    "negative-state-ids": {"next-observations"},
    "one-action": {"action-never-taken"},
}


@pytest.mark.parametrize("check", planted.PLANTED)
def test_every_planted_fault_is_found_where_it_is(check):
    for size in SIZES:
        for seed in SEEDS:
            raw, where, row, episode = planted.PLANTED[check](np.random.default_rng([size, seed]), size)
            found = planted.findings(raw)
            mine = [finding for finding in found if finding.check == check]
            assert mine, (size, seed)
            assert [finding.where for finding in mine] == [where], (size, seed)
            if row is not None:
                assert (mine[0].first_row, mine[0].first_episode) == (row, episode), (size, seed)
            others = {f.check for f in found if f.severity != "note"} - {check, "few-episodes"}
            assert others <= ALSO.get(check, set()), (size, seed)


def test_a_fault_is_planted_for_every_check():
    assert set(planted.PLANTED) == {check.name for check in planted.CHECKS}
    assert set(planted.FAULTS) == set(planted.PLANTED)


@pytest.mark.parametrize("base", [planted.sound, planted.counted, planted.measured], ids=lambda base: base.__name__)
@pytest.mark.parametrize("size", [1, 2, 5, 20, 60, 300])
def test_sound_logs_are_left_in_peace(base, size):
    for seed in range(20):
        assert planted.alarms(base(np.random.default_rng([7, size, seed]), size)) == []


@pytest.mark.parametrize("kind", ["hazard-grid", "cartpole", "pendulum", "tabular"])
@pytest.mark.parametrize("episodes", [3, 20, 120])
def test_logs_of_real_processes_are_left_in_peace(kind, episodes):
    for seed in range(3 if kind == "pendulum" else 20):
        found = planted.findings(clean_logs.CLEAN[kind](seed, episodes))
        assert [f for f in found if f.severity != "note" and f.check != "few-episodes"] == [], seed
        assert "duplicated-episodes" not in {f.check for f in found}, seed


DRAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
    "student 3": lambda rng, shape: rng.standard_t(3, size=shape),
    "whole": lambda rng, shape: rng.integers(0, 2000, shape).astype(float),
    "mostly zero": lambda rng, shape: (rng.random(shape) < 0.3) * rng.lognormal(size=shape),
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("n", [20, 500, 100_000])
def test_random_columns_are_left_in_peace(draw, n):
    for seed in range(20 if n < 10_000 else 3):
        rng = np.random.default_rng([n, seed])
        ends = np.arange(n) % 5 == 4
        raw = RawLog(
            observations=DRAWS[draw](rng, (n, 5)),
            actions=rng.integers(0, 3, n),
            rewards=rng.normal(size=n),
            terminated=np.zeros(n, bool),
            truncated=ends,
            starts=np.arange(0, n + 1, 5),
        )
        assert planted.alarms(raw) == [], seed


@pytest.mark.parametrize("check", planted.PLANTED)
def test_findings_are_whole_sentences_and_fit_json(check):
    raw = planted.FAULTS[check](np.random.default_rng(0), 30)
    for finding in planted.found(check, raw):
        facts = finding.to_json()
        assert facts["check"] == check
        for text in (finding.what, finding.why, finding.do):
            assert text.endswith((".", "?")), text
            assert text[0].isupper() or text[0].isdigit() or text[0] in "('", text
            assert "  " not in text, text
        assert all(type(value) in (float, int) for value in finding.measured.values())
        assert type(finding.rows) is type(finding.episodes) is int
        assert finding.first_row is None or type(finding.first_row) is int
        assert finding.first_episode is None or type(finding.first_episode) in (int, str)


def test_an_empty_log_breaks_no_check():
    raw = planted.FAULTS["empty-log"](np.random.default_rng(0), 8)
    assert [finding.check for finding in planted.findings(raw)] == ["empty-log"]


def test_at_most_ten_columns_are_named_one_by_one():
    n = 200
    base = planted.sound(np.random.default_rng(0), n)
    wide = np.random.default_rng(1).normal(size=(base.n_rows, 30))
    wide[5, 3:28] = np.nan
    raw = replace(base, observations=wide, final_observations=None, next_observations=None, features=None)
    found = planted.found("blank-observations", raw)
    assert [finding.where for finding in found[:10]] == [f"observations[{j}]" for j in range(3, 13)]
    assert found[10].where == "15 more columns"
    assert found[10].what.startswith("The same holds of observations[13], ")
    assert len(found) == 11


def test_images_are_one_finding():
    base = planted.sound(np.random.default_rng(0), 60)
    images = np.random.default_rng(1).random((base.n_rows, 6, 6)).astype(np.float32)
    images[:, 0] = 0.0
    raw = replace(base, observations=images, final_observations=None, next_observations=None, features=None)
    [finding] = planted.found("constant-observation", raw)
    assert (finding.severity, finding.where) == ("note", "6 columns")
    assert planted.alarms(raw) == []


def test_the_same_log_and_seed_give_the_same_findings():
    raw = planted.FAULTS["sentinel-values"](np.random.default_rng(3), 400)
    assert planted.findings(raw, seed=1) == planted.findings(raw, seed=1)


EXTREMES = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324, 3.4e38, -3.4e38, 1e20, -999, 1.0])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_no_value_whatsoever_breaks_a_check(dtype):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        raw = planted.sound(rng, int(rng.integers(1, 60)))
        n, size = raw.n_rows, raw.n_episodes

        def extreme(*shape, rng=rng):
            some = rng.choice(EXTREMES, size=rng.integers(1, 5))
            return np.where(rng.random(shape) < rng.random(), rng.choice(some, shape), rng.normal(size=shape))

        observations, following = extreme(n, 4), extreme(n, 4)
        if dtype == "float32":
            with np.errstate(over="ignore"):
                observations, following = observations.astype(dtype), following.astype(dtype)
        if dtype == "int64":
            observations, following = (rng.integers(-9, 2**62, n) % rng.integers(1, 2**62) for _ in range(2))
        actions = extreme(n, 2) if rng.random() < 0.5 else rng.choice([-(2**62), -1, 0, 1, 2**62], n)
        raw = replace(
            raw,
            observations=observations,
            next_observations=following,
            final_observations=None,
            features=None,
            actions=actions,
            rewards=extreme(n),
            costs={"harm": extreme(n)},
            propensities=extreme(n),
            steps=extreme(n),
            groups=extreme(size),
            terminated=rng.random(n) < 0.3,
        )
        for finding in planted.findings(raw):
            json.dumps(finding.to_json(), allow_nan=False)
        planted.duplicates.shared_episodes(raw, planted.select(raw, np.arange(size // 2)))


def test_findings_do_not_depend_on_blocks(monkeypatch):
    from groundschool.data import content
    from groundschool.data.checks import scan

    raws = [make(np.random.default_rng(4), 30) for make in planted.FAULTS.values()]
    expected = [planted.findings(raw) for raw in raws]
    monkeypatch.setattr(scan, "BLOCK_NUMBERS", 100)
    monkeypatch.setattr(content, "_BLOCK_NUMBERS", 50)
    assert [planted.findings(raw) for raw in raws] == expected


CORRUPTIONS = [
    "observation", "final", "action", "n_actions", "reward", "end", "cost", "propensity", "mask", "empty", "horizon",
    "range", "id",
]  # fmt: skip
ARGUMENTS = [
    "observations", "actions", "rewards", "terminated", "truncated", "costs", "propensities", "action_masks",
    "final_observations", "final_action_masks", "groups", "n_actions", "horizon", "return_range", "episode_ids",
]  # fmt: skip


def corrupted(draw, raw: RawLog) -> RawLog:
    """Return the log with one thing changed that may or may not be a fault."""
    n, e = raw.n_rows, raw.n_episodes
    row, episode = draw(st.integers(0, n - 1)), draw(st.integers(0, e - 1))
    bad = draw(st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 0.5, 7.0]))

    def put(column, index, value):
        array = np.array(column)
        array[index] = value
        return array

    kind = draw(st.sampled_from(CORRUPTIONS))
    floats = raw.observations.dtype.kind == "f"
    if kind == "observation":
        value = bad if floats else draw(st.sampled_from([-3, -1, 0, 5]))
        return replace(raw, observations=put(raw.observations, row, value))
    if kind == "final" and raw.final_observations is not None and floats:
        return replace(raw, final_observations=put(raw.final_observations, episode, bad))
    if kind == "action":
        value = draw(st.sampled_from([-2, -1, 0, 3, 4])) if raw.is_discrete else bad
        return replace(raw, actions=put(raw.actions, row, value))
    if kind == "n_actions":
        return replace(raw, n_actions=draw(st.sampled_from([None, 1, 3, 5])))
    if kind == "reward":
        return replace(raw, rewards=put(raw.rewards, row, bad))
    if kind == "end":
        last = raw.starts[-1] - 1
        return replace(raw, terminated=put(raw.terminated, last, False), truncated=put(raw.truncated, last, False))
    if kind == "cost":
        return replace(raw, costs={"c": put(np.zeros(n), row, bad)})
    if kind == "propensity":
        return replace(raw, propensities=put(np.full(n, 0.5), row, bad))
    if kind == "mask" and raw.is_discrete:
        return replace(raw, action_masks=put(np.ones((n, 4), bool), (row, raw.actions[row]), False))
    if kind == "empty" and raw.final_action_masks is not None:
        return replace(raw, final_action_masks=put(raw.final_action_masks, episode, False))
    if kind == "horizon":
        return replace(raw, horizon=draw(st.integers(1, 6)))
    if kind == "range":
        return replace(
            raw, return_range=draw(st.sampled_from([(0.0, 1.0), (1.0, 0.0), (-99.0, np.inf), (-99.0, 99.0)]))
        )
    if kind == "id":
        return replace(raw, episode_ids=put(raw.episode_ids, episode, raw.episode_ids[0]))
    return raw


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_there_is_an_error_exactly_where_a_dataset_is_refused(data):
    raw = RawLog.of(data.draw(logs()))
    for _ in range(data.draw(st.integers(1, 2))):
        raw = corrupted(data.draw, raw)
    errors = [f.check for check in STRUCTURAL for f in check.run(View(raw)) if f.severity == "error"]
    assert bool(errors) == refused(raw)


def refused(raw: RawLog) -> bool:
    try:
        Dataset.from_arrays(**{name: getattr(raw, name) for name in ARGUMENTS})
    except InputError:
        return True
    return False


def test_structural_checks_are_checks_of_the_families_each_once():
    assert set(STRUCTURAL) <= set(planted.CHECKS)
    names = [check.name for check in STRUCTURAL]
    assert len(set(names)) == len(names)
    for name, make in planted.FAULTS.items():
        severe = {f.severity for f in planted.found(name, make(np.random.default_rng(1), 30))}
        assert "error" not in severe or name in names, name
