"""Rewards and costs by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, tiny

NAN, INF = np.nan, np.inf


def costs(**columns):
    named = {name: np.array(values, float) for name, values in columns.items()}
    return tiny(costs=named, names={f"costs[{name!r}]": f"{name}_mmhg" for name in named})


def test_rewards():
    raw = tiny(rewards=np.array([1.0, NAN, INF, 2.0, -INF, NAN]))
    blank, infinite = one("blank-rewards", raw), one("infinite-rewards", raw)
    assert (blank.rows, blank.episodes, blank.first_row, blank.first_episode) == (2, 2, 11, "a")
    assert (infinite.rows, infinite.episodes, infinite.first_row, infinite.first_episode) == (2, 1, 12, "b")


def test_the_sentence_about_blank_costs():
    finding = one("blank-costs", costs(hypo=[0, 1, NAN, 0, NAN, NAN]))
    assert f"{finding.where}: {finding.what} {finding.do}" == (
        "hypo_mmhg: 3 of 6 values are blank (first at row 12). Costs must be finite and >= 0. "
        'Say what a blank means: blank="no event" | "censored" | "exclude".'
    )


def test_every_cost_is_looked_at_by_itself():
    raw = costs(a=[0, -1, 0, 0, 0, 1], b=[0, 0, 0, INF, 0, 0], c=[0, 0, 0, 0, 1, 0], d=[-INF, 0, 0, 0, 0, -2])
    negative = [(f.where, f.rows, f.first_row) for f in found("negative-costs", raw)]
    assert negative == [("a_mmhg", 1, 11), ("d_mmhg", 1, 15)]
    assert [(f.where, f.first_row) for f in found("infinite-costs", raw)] == [("b_mmhg", 13), ("d_mmhg", 10)]
    assert found("blank-costs", raw) == []


def test_costs_without_a_column_of_their_own_are_called_by_name():
    assert one("blank-costs", tiny(costs={"harm": np.full(6, NAN)})).where == "costs['harm']"


def test_constant_rewards_and_costs():
    assert one("constant-reward", tiny(rewards=np.ones(6))).what == "Every reward is 1."
    assert found("constant-reward", tiny()) == []
    assert one("constant-cost", costs(a=[2] * 6, b=[0] * 6)).where == "a_mmhg"
    assert found("constant-cost", costs(a=[2, 2, 2, 2, 2, 1])) == []


@pytest.mark.parametrize(("episodes", "upper"), [(3, 1.0), (60, 0.05), (300, 0.01)])
def test_silence_shows_three_over_n(episodes, upper):
    n = episodes * 2
    raw = tiny(costs={"harm": np.zeros(n)}, starts=np.arange(0, n + 1, 2), rewards=np.zeros(n))
    finding = one("cost-never-fires", replace(raw, episode_ids=None))
    assert (finding.severity, finding.episodes) == ("note", episodes)
    assert finding.measured["upper"] == pytest.approx(upper)
    assert found("cost-never-fires", costs(a=[0, 0, 0, 0, 0, 1])) == []
