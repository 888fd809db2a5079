"""Checking a log: everything at once, in order, from any kind of log."""

import json

import numpy as np
import pytest
from test_assemble import MAP, TABLE

import groundschool as gs
from groundschool.errors import InputError

SAID = gs.Columns(**MAP, last_row="truncated")


def test_all_problems_at_once_the_gravest_first():
    table = TABLE | {"gain": np.array([1.0, np.nan, 3.0, 4.0, 5.0]), "harm": np.array([0.0, -1.0, 0.0, np.nan, 0.0])}
    found = gs.check(table, gs.Columns(**MAP, costs={"harm": "harm"}))
    names = [finding.check for finding in found.errors]
    assert {"missing-end", "blank-rewards", "blank-costs", "negative-costs"} <= set(names)
    order = [finding.severity for finding in found.findings]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    assert (found.n_episodes, found.n_rows) == (2, 5)
    assert str(len(found.errors)) in repr(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_dataset_a_file_and_a_frame_are_checked_alike(tmp_path):
    log = gs.read(TABLE, columns=SAID)
    log.save(tmp_path / "log")
    whole = [finding.to_json() for finding in gs.check(log).findings]
    assert [finding.to_json() for finding in gs.check(tmp_path / "log").findings] == whole
    assert {one["check"] for one in whole} <= {f.check for f in gs.check(TABLE, SAID).findings}


def test_every_check_says_whether_it_ran():
    ran = gs.check(TABLE, SAID).ran
    from groundschool.data.checks.battery import CHECKS

    assert list(ran) == [check.name for check in CHECKS]
    assert any(ran.values())  # some need more than two episodes, and say so


def test_one_faulty_episode_does_not_hide_what_statistics_find():
    rng = np.random.default_rng(4)
    n = 300
    table = {
        "stay": np.repeat(np.arange(n), 5),
        "hour": np.tile(np.arange(5), n),
        "bg": rng.normal(size=5 * n) + np.repeat(np.linspace(0, 5, n), 5),
        "dose": rng.integers(0, 3, 5 * n),
        "gain": rng.normal(size=5 * n),
    }
    table["gain"][17] = np.nan
    found = gs.check(table, SAID)
    assert {"blank-rewards", "drift"} <= {finding.check for finding in found.findings}
    assert "Statistics are of the 299 of 300 episodes without errors." in found.notes
    table["gain"][:] = np.nan
    assert "errors are mended" in gs.check(table, SAID).ran["drift"]


def test_what_was_done_on_the_way_is_told():
    assert "ends said to be truncated by last_row: 2." in gs.check(TABLE, SAID).notes


def test_episodes_in_two_logs_are_found_whatever_they_are_called(tmp_path):
    rng = np.random.default_rng(0)
    table = {
        "stay": np.repeat(np.arange(40), 5),
        "hour": np.tile(np.arange(5), 40),
        "bg": rng.normal(size=200),
        "dose": rng.integers(0, 3, 200),
        "gain": rng.normal(size=200),
    }
    copied = {name: column[:50] for name, column in table.items()} | {"stay": np.repeat(np.arange(900, 910), 5)}
    gs.read(copied, columns=SAID).save(tmp_path / "other")
    for against in (copied, tmp_path / "other"):
        (shared,) = (f for f in gs.check(table, SAID, against=against).findings if f.check == "shared-episodes")
        assert shared.episodes == 10
    fresh = table | {"bg": rng.normal(size=200)}
    assert all(f.check != "shared-episodes" for f in gs.check(table, SAID, against=fresh).findings)


def test_groups_in_two_logs_are_found():
    rng = np.random.default_rng(1)
    table = {
        "stay": np.repeat(np.arange(40), 5),
        "hour": np.tile(np.arange(5), 40),
        "bg": rng.normal(size=200),
        "dose": rng.integers(0, 3, 200),
        "gain": rng.normal(size=200),
        "patient": np.repeat(np.arange(20), 10),
    }
    said = gs.Columns(**MAP, group="patient", last_row="truncated")
    here, there = np.arange(200) < 120, np.arange(200) >= 100
    parts = [{name: column[rows] for name, column in table.items()} for rows in (here, there)]
    parts[1]["bg"] = parts[1]["bg"] + 1.0
    (shared,) = (f for f in gs.check(parts[0], said, against=parts[1]).findings if f.check == "shared-groups")
    assert (shared.episodes, shared.measured["share"]) == (4, 2 / 12)


def test_drift_is_not_looked_for_in_an_order_that_was_made():
    rng = np.random.default_rng(2)
    n, order = 400, np.random.default_rng(3).permutation(2_000)
    table = {
        "stay": np.repeat(np.arange(n), 5)[order],
        "hour": np.tile(np.arange(5), n)[order],
        "bg": rng.normal(size=2_000),
        "dose": rng.integers(0, 3, 2_000),
        "gain": rng.normal(size=2_000),
    }
    assert "sorted" in gs.check(table, gs.Columns(**MAP, last_row="truncated", sort=True)).ran["drift"]


def test_actions_counted_from_one_are_noticed():
    table = TABLE | {"dose": TABLE["dose"] + 1}
    (found,) = (f for f in gs.check(table, SAID).findings if f.check == "action-never-taken")
    assert "counted from 1" in found.what
    assert all(f.check != "action-never-taken" for f in gs.check(TABLE, SAID).findings)


def test_a_map_may_be_plain_values_and_a_log_is_not_written_over_itself(tmp_path):
    log = gs.read(TABLE, columns={**MAP, "last_row": "truncated"})
    log.save(tmp_path / "log")
    with pytest.raises(InputError, match="is the log itself"):
        gs.convert(tmp_path / "log", tmp_path / "log", force=True)
    assert gs.read(tmp_path / "log").fingerprint == log.fingerprint


def test_what_cannot_be_read_is_refused():
    with pytest.raises(InputError, match="there is no column"):
        gs.check(TABLE, gs.Columns(**MAP | {"reward": "nothing"}))
