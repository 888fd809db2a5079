"""Actions, masks and propensities by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, tiny

NAN, INF = np.nan, np.inf


def continuous(*values, **changes):
    return tiny(actions=np.array(values, float).reshape(6, -1), **changes)


def masked(rows, **changes):
    masks = np.ones((6, 3), bool)
    for row, allowed in rows.items():
        masks[row] = allowed
    return tiny(action_masks=masks, **changes)


def test_blank_actions():
    finding = one("blank-actions", tiny(actions=np.array([0, 1, -1, 1, -1, -1])))
    assert (finding.rows, finding.episodes, finding.first_row, finding.first_episode) == (3, 2, 12, "b")
    assert one("blank-actions", continuous(0, 1, 2, NAN, 4, 5)).first_row == 13
    assert found("action-range", tiny(actions=np.array([0, 1, -1, 1, 0, 0]))) == []


def test_infinite_actions():
    finding = one("infinite-actions", continuous(0, 1, 2, 3, -INF, INF))
    assert finding.what == "2 of 6 actions are infinite (first at row 14)."


@pytest.mark.parametrize(
    ("declared", "bad"),
    [
        ({}, 1),  # only the negative one
        ({"n_actions": 4}, 1),
        ({"n_actions": 3}, 2),
        ({"action_labels": ("stay", "go")}, 3),
        ({"action_masks": np.ones((6, 3), bool)}, 2),
    ],
    ids=["nothing", "4", "3", "labels", "masks"],
)
def test_actions_out_of_range(declared, bad):
    raw = tiny(actions=np.array([0, 1, 2, 3, -2, 0]), **declared)
    finding = one("action-range", raw)
    assert finding.rows == bad
    assert finding.first_row == {1: 14, 2: 13, 3: 12}[bad]
    assert found("action-count", raw) == []


def test_contradicting_numbers_of_actions():
    raw = tiny(n_actions=3, action_labels=("a", "b"), action_masks=np.ones((6, 4), bool))
    assert "(n_actions: 3, action_labels: 2, action_mask: 4)" in one("action-count", raw).what
    assert "counted (n_actions: 3)" in one("action-count", continuous(*range(6), n_actions=3)).what
    assert found("action-count", continuous(*range(6))) == []


def test_masks_that_forbid_what_was_done():
    raw = masked({1: [True, False, True], 3: [False, False, True], 5: [True, False, False]})
    finding = one("forbidden-action", raw)  # logged were 0 1 0 1 1 0
    assert (finding.rows, finding.first_row, finding.first_episode) == (2, 11, "a")
    assert found("empty-mask", raw) == []


def test_a_mask_that_allows_nothing_is_not_also_a_mask_that_forbids():
    raw = masked({2: False})
    assert one("empty-mask", raw).first_row == 12
    assert found("forbidden-action", raw) == []


def test_after_a_cut_something_must_be_allowed():
    finals = np.array([[False] * 3, [False] * 3, [False] * 3])  # only episode "b" is truncated
    finding = one("empty-mask", masked({}, final_action_masks=finals))
    assert (finding.where, finding.episodes, finding.first_row) == ("final_action_masks", 1, 14)
    assert "without masks" in one("empty-mask", tiny(final_action_masks=finals)).what


@pytest.mark.parametrize(
    ("values", "bad", "hint"),
    [
        ([0.5, 1.0, 0.2, 1e-9, 0.3, 0.4], 0, ""),
        ([0.5, 0.0, 0.2, 0.1, 0.3, 0.4], 1, "probability_of_1"),
        ([0.5, 1.2, -0.2, 0.1, 0.3, 0.4], 2, "correct the column"),
        ([-0.5, -1.2, -0.2, -0.1, -0.3, -0.4], 6, "log_probability"),
        ([50, 12, 20, 10, 30, 40], 6, "divide it by 100"),
        ([0.5, INF, 0.2, 0.1, 0.3, 0.4], 1, "correct the column"),
    ],
)
def test_propensities(values, bad, hint):
    findings = found("propensity-range", tiny(propensities=np.array(values, float)))
    assert [finding.rows for finding in findings] == [bad][: bool(bad)]
    assert all(hint in finding.do for finding in findings)


def test_densities_may_exceed_one():
    densities = np.array([3.0, 0.0, 2.0, INF, 1.0, NAN])
    raw = continuous(*range(6), propensities=densities)
    finding = one("propensity-range", raw)
    assert (finding.rows, finding.first_row) == (2, 11)
    assert one("blank-propensities", raw).first_row == 15


def test_names_are_those_of_the_source():
    raw = replace(tiny(propensities=np.full(6, 2.0)), names={"propensities": "p_dose"})
    assert one("propensity-range", raw).where == "p_dose"
