"""Observations by hand: what is infinite, blank, constant or there twice, and in which row first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, sound, tiny

from groundschool.data.features import Feature

NAN, INF = np.nan, np.inf


def column(values, j=0):
    observations = tiny().observations.copy()
    observations[:, j] = values
    return tiny(observations=observations)


def test_infinite_by_column():
    observations = tiny().observations.copy()
    observations[3, 1] = INF
    observations[[2, 4], 0] = -INF
    x, y = found("infinite-observations", tiny(observations=observations))
    assert (x.where, x.rows, x.episodes, x.first_row, x.first_episode) == ("x", 2, 1, 12, "b")
    assert (y.where, y.rows, y.first_row) == ("y", 1, 13)
    assert x.what == "2 of 6 values are infinite (first at row 12)."
    assert y.what == "1 of 6 values is infinite (first at row 13)."


def test_infinite_in_what_was_seen_last():
    finding = one("infinite-observations", tiny(final_observations=np.array([[0.0, 1.0], [INF, 0.0], [NAN, NAN]])))
    assert (finding.where, finding.episodes, finding.first_episode) == ("final_observations", 1, "b")
    assert finding.first_row == 14


def test_infinite_images_are_one_finding():
    images = np.zeros((6, 3, 3))
    images[4, 1, 2] = images[5, 0, 0] = INF
    finding = one("infinite-observations", tiny(observations=images, features=None))
    assert (finding.where, finding.rows, finding.first_row) == ("observations", 2, 14)


def test_rows_left_out_on_the_way_keep_their_place_in_the_source():
    raw = column([0, 0, 0, INF, 0, 0])
    assert one("infinite-observations", replace(raw, kept=np.array([0, 2, 4, 6, 8, 10]))).first_row == 16


def test_negative_ids():
    raw = tiny(observations=np.array([0, 3, -1, 4, -2, 0]), features=None)
    assert one("negative-state-ids", raw).what == "2 of 6 state ids are negative (first at row 12)."
    finals = tiny(observations=np.arange(6), final_observations=np.array([-1, 3, -2]), features=None)
    assert one("negative-state-ids", finals).first_episode == "c"  # -1 says that there is none
    assert found("infinite-observations", raw) == []


@pytest.mark.parametrize(
    ("feature", "severity", "said"),
    [
        (Feature("x"), "warning", "impute="),
        (Feature("x", impute="median"), "note", "impute='median'"),
        (Feature("x", impute=0.5, forward_fill=True), "note", "impute=0.5"),
        (Feature("x", forward_fill=True), "warning", "before the first value"),
    ],
)
def test_blanks_are_a_note_where_something_replaces_them(feature, severity, said):
    raw = replace(column([1, 2, NAN, 3, NAN, NAN]), features=(feature, Feature("y")))
    finding = one("blank-observations", raw)
    assert (finding.severity, finding.where, finding.rows, finding.episodes) == (severity, "x", 3, 2)
    assert finding.what == "3 of 6 values are blank, 50 % (first at row 12)."
    assert said in finding.do
    assert finding.measured["share"] == 0.5


def test_a_column_of_blanks_is_to_be_left_out():
    finding = one("blank-observations", replace(column(NAN), features=(Feature("x", impute="mean"), Feature("y"))))
    assert (finding.severity, finding.do) == ("warning", "Leave the column out of observations.")
    assert found("constant-observation", column(NAN)) == []


def test_constant_columns():
    rng = np.random.default_rng(0)
    raw = sound(rng, 30)
    observations = raw.observations.copy()
    observations[:, 2] = 0.5
    observations[7:20, 2] = NAN
    finding = one("constant-observation", replace(raw, observations=observations))
    assert (finding.severity, finding.where) == ("warning", "lactate")
    assert finding.what == "Every value that is there is 0.5."
    assert finding.rows == raw.n_rows - 13
    assert one("constant-observation", column(3)).severity == "note"  # six rows may well be alike


def test_equal_columns_blanks_and_signs_of_zero_included():
    raw = sound(np.random.default_rng(0), 30)
    observations = raw.observations.copy()
    observations[[3, 5], 0] = NAN
    observations[9, 0] = 0.0
    observations[:, 3] = observations[:, 0]
    observations[9, 3] = -0.0
    finding = one("duplicated-observation", replace(raw, observations=observations))
    assert (finding.severity, finding.where) == ("warning", "weight")
    assert "'heart rate'" in finding.what
    observations[-1, 3] += 1  # one number makes it a column of its own
    assert found("duplicated-observation", replace(raw, observations=observations)) == []


def test_three_equal_columns_are_two_copies_of_the_first():
    raw = sound(np.random.default_rng(0), 30)
    observations = raw.observations.copy()
    observations[:, 1] = observations[:, 3] = observations[:, 0]
    copies = found("duplicated-observation", replace(raw, observations=observations))
    assert [(f.where, "'heart rate'" in f.what) for f in copies] == [("map mmhg", True), ("weight", True)]


def test_columns_equal_in_the_sample_alone_are_not_equal():
    rng = np.random.default_rng(0)
    raw = sound(rng, 8000)
    observations = raw.observations.copy()
    observations[:, 1] = observations[:, 0]
    from groundschool.data.checks.view import View

    unseen = np.setdiff1d(np.arange(raw.n_rows), View(raw).sampled_rows)
    assert len(unseen)
    observations[unseen[0], 1] += 1
    assert found("duplicated-observation", replace(raw, observations=observations)) == []
