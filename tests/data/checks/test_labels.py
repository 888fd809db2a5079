"""Labels that say nothing, of every kind that a source may hold."""

from __future__ import annotations

import numpy as np
import pytest
from planted_structural import found, one, tiny


@pytest.mark.parametrize(
    ("groups", "severity"),
    [
        (np.array([1.0, np.nan, 2.0]), "error"),
        (np.array(["p", None, "q"], object), "error"),
        (np.array(["p", float("nan"), "q"], object), "error"),
        (np.array(["p", "", "q"]), "warning"),
        (np.array(["p", "  ", "q"]), "warning"),
        (np.array(["2026-01-01", "NaT", "2026-01-02"], "datetime64[us]"), "error"),
    ],
    ids=["NaN", "None", "NaN among text", "empty", "spaces", "NaT"],
)
def test_blank_groups(groups, severity):
    finding = one("blank-groups", tiny(groups=groups))
    assert (finding.severity, finding.episodes, finding.first_row, finding.first_episode) == (severity, 1, 12, "b")


@pytest.mark.parametrize("groups", [None, np.array([0, 0, -1]), np.array(["a", "b", "None"]), np.array([0.5, 1, 2])])
def test_groups_that_say_something(groups):
    assert found("blank-groups", tiny(groups=groups)) == []


def test_blank_ids():
    assert one("blank-episode-ids", tiny(episode_ids=np.array(["a", "b", None], object))).first_row == 15
    assert found("blank-episode-ids", tiny(episode_ids=np.arange(3))) == []


@pytest.mark.parametrize(
    ("times", "episode"),
    [
        (np.array(["2026-01-01", "NaT", "NaT"], "datetime64[us]"), "b"),
        (np.array([np.inf, 1.0, np.nan]), "a"),
        (np.array([1, 2, 3]), None),
    ],
)
def test_blank_times(times, episode):
    findings = found("blank-times", tiny(times=times))
    assert [finding.first_episode for finding in findings] == [episode][: episode is not None]
