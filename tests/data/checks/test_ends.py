"""Ends by hand: flags where none may be, none where one must be, and what was declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, tiny


def flags(*rows):
    set_ = np.zeros(6, bool)
    set_[list(rows)] = True
    return set_


def test_flags_inside_an_episode_by_column():
    raw = tiny(terminated=flags(0, 1, 5), truncated=flags(2, 3, 4))
    died, left = found("end-inside-episode", raw)
    assert (died.where, died.rows, died.first_row, died.first_episode) == ("terminated", 1, 10, "a")
    assert (left.where, left.rows, left.first_row, left.first_episode) == ("truncated", 2, 12, "b")
    assert "every row of those episodes" in died.do
    assert "every row of those episodes" in left.do


def test_one_flag_inside_is_not_a_flag_throughout():
    assert "leave episode= out" in one("end-inside-episode", tiny(truncated=flags(3, 4))).do


def test_labeled_episodes_without_an_end():
    raw = tiny(terminated=flags(5), truncated=flags())
    finding = one("missing-end", raw)
    assert (finding.episodes, finding.first_row, finding.first_episode) == (2, 11, "a")
    assert 'last_row="truncated" | "terminated"' in finding.do


def test_rows_after_the_last_flag():
    raw = tiny(terminated=flags(1), truncated=flags(), episode_ids=None, starts=np.array([0, 2, 6]))
    finding = one("missing-end", raw)
    assert finding.what == "4 rows follow the last end flag (first at row 12)."
    assert (finding.where, finding.rows, finding.first_row, finding.first_episode) == (
        "terminated and truncated",
        4,
        12,
        1,
    )
    single = replace(raw, truncated=flags(4), starts=np.array([0, 2, 5, 6]))
    assert one("missing-end", single).what == "1 row follows the last end flag (first at row 15)."


@pytest.mark.parametrize(("horizon", "longer"), [(None, 0), (3, 0), (2, 1), (1, 2)])
def test_horizon(horizon, longer):
    findings = found("episode-over-horizon", tiny(horizon=horizon))
    assert [finding.episodes for finding in findings] == [longer][: bool(longer)]
    if horizon == 2:
        assert (findings[0].first_row, findings[0].first_episode) == (12, "b")
        assert "(the longest has 3 steps)" in findings[0].what


# The returns are 3, 12 and 6.
@pytest.mark.parametrize(
    ("declared", "outside", "first"), [((3, 12), 0, None), ((3, 11), 1, "b"), ((4, 20), 1, "a"), ((7, 8), 3, "a")]
)
def test_return_range(declared, outside, first):
    findings = found("return-outside-range", tiny(return_range=declared))
    assert [(finding.episodes, finding.first_episode) for finding in findings] == [(outside, first)][: bool(outside)]


@pytest.mark.parametrize("declared", [(1, 1), (2, 1), (-np.inf, 0), (0, np.nan)])
def test_a_range_that_is_none(declared):
    assert "is not a range" in one("return-outside-range", tiny(return_range=declared)).what


def test_unknown_returns_are_not_outside():
    rewards = np.array([1.0, np.nan, np.inf, 1.0, -np.inf, 1.0])
    assert found("return-outside-range", tiny(return_range=(0, 9), rewards=rewards)) == []
