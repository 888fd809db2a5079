"""What the page says of the gate where nothing was taken to it, and how it avoids saying a thing twice."""

from __future__ import annotations

import numpy as np
import pytest

import groundschool as gs
from groundschool.report import words
from groundschool.report.facts import Outcome
from groundschool.report.verdict_section import section
from groundschool.safety.ranking import Average, Standing

NOTHING = {"value": 0.0, "lower": -1.0, "upper": 1.0, "trusted": 1, "concentrated": 0, "splits": 1, "cautious": 0.0}


def standing(candidate, rank, status):
    return Standing(candidate, rank, status, {"return": Average(**NOTHING)}, 0.0, ())


def outcome(*standings, verdict=None):
    return Outcome(standings=standings, verdict=verdict, guard=(), departures=(), certified=None)


def test_why_the_logger_is_kept_is_said_of_each_candidate():
    logger = standing("logger", 1, "infeasible")
    told = section(outcome(logger, standing("A", 2, "infeasible"), standing("B", 3, "untrusted")))
    assert told["decision"] == "KEEP THE LOGGER'S POLICY"
    assert told["claim"] == (
        "No candidate stands above the policy that wrote the log ('A' is not shown to keep the limits; estimates of "
        "'B' cannot be relied on). Nothing was taken to the gate, and its episodes were not opened."
    )
    many = [standing(f"c{i}", i + 2, "feasible") for i in range(5)]
    claim = section(outcome(standing("logger", 1, "feasible"), *many))["claim"]
    assert "('c0' promises no more than the logger; 'c1' promises" in claim
    assert "; and 2 more)" in claim


@pytest.mark.parametrize("limit", [0.3, 0.05])
def test_a_heading_is_not_said_again_in_its_first_reason(limit):
    rng = np.random.default_rng(0)
    harm = (rng.random(400) < 0.15).astype(float)
    log = gs.Dataset.from_arrays(
        np.zeros(400, np.int64), rng.integers(0, 2, 400), -harm, np.ones(400, bool), np.zeros(400, bool),
        costs={"harm": harm}, propensities=np.full(400, 0.5), n_actions=2, horizon=1,
    )  # fmt: skip
    verdict = gs.gate(log, gs.TabularPolicy([[0.5, 0.5]]), constraints=[gs.Constraint("harm", limit=limit)])
    told = section(outcome(standing("A", 1, "feasible"), standing("logger", 2, "feasible"), verdict=verdict))
    for argument, finding in zip(told["arguments"], verdict.findings, strict=True):
        assert finding.reasons[0].startswith(f"{argument['criterion']}: {argument['status']}. ")
        assert argument["reasons"][0].startswith(("At most", "At least"))
        assert argument["reasons"][1:] == list(finding.reasons[1:])


def test_a_question_in_words():
    asked = ["probability:hazard", "cost:days of stay", "return", "probability:a:b"]
    assert [words.question(of) for of in asked] == ["any hazard", "expected days of stay", "return", "any a:b"]
