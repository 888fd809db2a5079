"""The section on the data: every finding, what was not looked for, what the log supports, and no identity."""

import html
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.data.check import check
from groundschool.data.checks.finding import Finding
from groundschool.data.coverage import coverage
from groundschool.evaluation.intervals import mean_t
from groundschool.report import plot
from groundschool.report.build import build
from groundschool.report.data_section import anonymous, doubts, section
from groundschool.report.facts import LogFacts, ReportData

HOSTILE = '<script>alert("x")</script>'


def finding(check="cost-timing", severity="warning", where="hypo", what="12 of 20 rows fire too late.", **more):
    return Finding(check, severity, where, what, "Blame falls on the wrong action.", "Say cost_at.", **more)


NOT_MARKOV = finding("not-markov", where="observations", what="History predicts 0.12 nats a step more.")
DUPLICATES = finding(
    "duplicated-episodes", "error", "stay_id",
    "3 of 50 episodes are the same as an earlier one (first: episode 'stay 17' at row 8, as episode 'o\\'neil').",
    episodes=3, first_row=8, first_episode="stay 17",
)  # fmt: skip


def log_of(n=300, **more):
    rng = np.random.default_rng(0)
    end = np.arange(n) % 6 == 5
    states = rng.integers(0, 4, n)
    actions = np.where(states == 3, 1, rng.integers(0, 2, n))
    return Dataset.from_arrays(states, actions, rng.normal(size=n), end, np.zeros(n, bool), n_actions=3, **more)


def report(log=None, **more):
    log = log_of() if log is None else log
    facts = LogFacts(log, "Unknown.", mean_t(log.returns), 1.0, 6.0, **more)
    return ReportData("Bare", "2025-01-01", "gs.run(...)", facts, (), {"read": 0.2}, {}, {}, "cpu", 1)


def visible(page):
    page = re.sub(r"<style>.*?</style>|<wbr>", "", page, flags=re.S)
    return re.sub(r"[ \n]+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def test_a_report_without_checks_is_as_it_was():
    page, facts = build(report())
    assert facts["log"]["checked"] is None
    assert "The data, checked" not in page


def test_every_finding_is_told_the_gravest_first():
    note = finding("size", "note", "log", "50 episodes.")
    page, facts = build(report(findings=(note, NOT_MARKOV, DUPLICATES)))
    checked = facts["log"]["checked"]
    assert [found["check"] for found in checked["findings"]] == ["duplicated-episodes", "not-markov", "size"]
    assert checked["counts"] == {"error": 1, "warning": 1, "note": 1}
    text = visible(page)
    assert "1 error, 1 warning, 1 note." in text
    for found in checked["findings"]:
        told = " ".join(found[key] for key in ("where", "what", "why", "do"))
        assert f"{found['severity']} {found['check']} {told}" in text


def test_severity_is_a_word_and_not_only_a_color():
    page, _ = build(report(findings=(DUPLICATES, NOT_MARKOV)))
    assert re.findall(r'<span class="severity">(\w+)</span>', page) == ["error", "warning"]


def test_checks_that_ran_and_those_that_did_not_apply_are_told_with_the_reason():
    checks = {"empty-log": "", "step-order": "the log has no step column", "not-markov": ""}
    page, facts = build(report(checks=checks, false_alarm=0.004))
    text = visible(page)
    assert facts["log"]["checked"]["ran"] == ["empty-log", "not-markov"]
    assert "2 checks ran." in text
    assert "step-order the log has no step column" in text
    assert text.count("0.4\u202f%") == 1
    assert "The checks found nothing to report." in text
    assert "The data, checked 2 checks ran and found no error and no warning." in text


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((NOT_MARKOV,), "1 warning to settle before what follows is believed. observations: the observation does not"),
        ((NOT_MARKOV,), "Values and estimates that treat it as the state can be wrong."),
        ((finding(), DUPLICATES), "1 error and 1 warning to settle"),
        ((finding(),), "hypo: 12 of 20 rows fire too late."),
        ((finding(severity="note"),), "1 check ran and found no error and no warning."),
        ((*[finding()] * 6, NOT_MARKOV), "observations: the observation does not carry all that matters"),
        ((*[finding()] * 6, NOT_MARKOV), "And 3 more, in “The data, checked”."),
    ],
)
def test_what_may_not_be_believed_is_said(found, words):
    assert words in doubts(section(report(findings=tuple(found), checks={"one": ""}).log))


def test_the_first_page_says_it_right_after_the_log():
    _, facts = build(report(findings=(NOT_MARKOV,)))
    assert [line["about"] for line in facts["reading"]] == ["The log", "The data, checked"]
    assert facts["reading"][1]["text"] == doubts(facts["log"]["checked"])


def test_nothing_is_said_of_what_nobody_looked_at():
    assert doubts(section(report(coverage=coverage(log_of())).log)) == ""


def test_no_identity_reaches_page_or_json():
    page, facts = build(report(findings=(DUPLICATES,), checks={"duplicated-episodes": ""}))
    for words in (page, json.dumps(facts)):
        assert "stay 17" not in words
        assert "neil" not in words
    assert "first_episode" not in facts["log"]["checked"]["findings"][0]
    assert facts["log"]["checked"]["findings"][0]["first_row"] == 8


@pytest.mark.parametrize(
    ("text", "label", "expected"),
    [
        ("(first: episode 'a', row 12).", "a", "(first: an episode, row 12)."),
        ('(first: episode "o\'neil", row 12).', "o'neil", "(first: an episode, row 12)."),
        ("(first: episode 4711, row 12).", 4711, "(first: an episode, row 12)."),
        ("MRN-7 is twice, MRN-71 once.", "MRN-7", "… is twice, MRN-71 once."),
        ("3 of 500 episodes end early.", "x", "3 of 500 episodes end early."),
    ],
)
def test_ids_are_taken_out_of_sentences(text, label, expected):
    assert anonymous(text, finding(what=text, first_episode=label)) == expected


def test_words_from_the_data_are_words():
    found = finding(HOSTILE, "error", HOSTILE, HOSTILE)
    log = log_of(action_labels=[HOSTILE, "$x_{$", "c"])
    page, _ = build(report(log, findings=(found,), checks={HOSTILE: HOSTILE, "b": ""}, coverage=coverage(log)))
    assert "<script" not in page
    assert HOSTILE in visible(page)


def test_what_the_log_supports_is_drawn_and_told():
    log = log_of()
    found = coverage(log)
    page, facts = build(report(log, coverage=found, action_names=("stay", "go", "jump")))
    shown = facts["log"]["checked"]["coverage"]
    assert [figure["name"] for figure in facts["figures"]] == ["visitation", "rewards", "coverage"]
    assert 'id="figure-coverage"' in page
    assert shown["counts"] == found.counts.tolist()
    assert [row["action"] for row in shown["actions"]] == ["stay", "go", "jump"]
    text = visible(page)
    assert shown["text"] in text
    assert "jump 0 0.0" in text
    # State 3 only ever saw "go".
    place = next(row for row in shown["thin"] if row["region"] == "state 3")
    assert place["never"] == ["stay", "jump"]
    assert found.regions[place["number"] - 1] == "state 3"
    assert f"{place['number']} state 3" in text


def test_of_a_log_with_groups_small_cells_stay_out():
    for n in (60, 600):
        log = log_of(n, groups=np.arange(n // 6))
        _, facts = build(report(log, coverage=coverage(log)))
        assert facts["log"]["checked"]["coverage"]["counts"] is None
        assert all(row["episodes"] >= min(11, n // 6) for row in facts["log"]["checked"]["coverage"]["regions"])


def test_real_checks_fill_the_section():
    log = log_of()
    result = check(log)
    facts = section(report(log, findings=result.findings, checks=result.ran, false_alarm=result.false_alarm).log)
    assert facts["n_ran"] + len(facts["not_applicable"]) == len(result.ran)
    assert len(facts["findings"]) == len(result.findings)
    json.dumps(facts, allow_nan=False)


LOGS = {
    "few states": lambda rng: (rng.integers(0, 5, 400), rng.integers(0, 3, 400)),
    "many states": lambda rng: (rng.integers(0, 2_000, 4_000), rng.integers(0, 30, 4_000)),
    "pairs": lambda rng: (rng.normal(size=(4_000, 2)), rng.integers(0, 3, 4_000)),
    "cells": lambda rng: (rng.integers(0, 5, (400, 2)).astype(float), rng.integers(0, 3, 400)),
    "one region": lambda rng: (np.zeros((50, 2)), rng.integers(0, 2, 50)),
    "continuous": lambda rng: (rng.normal(size=(4_000, 4)), rng.normal(size=(4_000, 1))),
    "continuous, several": lambda rng: (rng.normal(size=(4_000, 2)), rng.normal(size=(4_000, 3))),
}


@pytest.mark.parametrize("kind", LOGS)
def test_any_coverage_is_drawn(kind, tmp_path):
    observations, actions = LOGS[kind](np.random.default_rng(0))
    n = len(observations)
    end = np.arange(n) % 10 == 9
    log = Dataset.from_arrays(observations, actions, np.zeros(n), end, np.zeros(n, bool))
    figure = plot.coverage(log)
    assert figure.get_suptitle() == "Which actions did the log take where, and how often?"
    figure.savefig(tmp_path / "figure.png", dpi=40)
    assert plot.coverage(coverage(log)).get_size_inches().tolist() == figure.get_size_inches().tolist()


def test_the_picture_draws_the_counts():
    states = np.repeat([0, 0, 1], [120, 5, 30])
    actions = np.repeat([0, 1, 1], [120, 5, 30])
    end = np.arange(155) == 154
    log = Dataset.from_arrays(states, actions, np.zeros(155), end, np.zeros(155, bool), n_actions=3)
    visits, table = plot.coverage(log).subfigs[0].axes
    assert visits.patches[0].get_data().values.tolist() == [125, 30]
    mesh = table.collections[0].get_array()
    assert mesh.tolist() == [[3, None], [1, 2], [None, None]]
    # One rectangle a run of never-taken places: action 0 in the second, action 2 in both.
    hatched = table.collections[1]
    assert hatched.get_hatch()
    corners = [path.get_extents().extents.round(3).tolist() for path in hatched.get_paths()]
    assert corners == [[1.5, -0.5, 2.5, 0.5], [0.5, 1.5, 2.5, 2.5]]


def test_the_picture_is_readable_in_gray():
    log = log_of(6_000)
    table = plot.coverage(log).subfigs[0].axes[1]
    mesh = table.collections[0]
    bands = np.unique(mesh.get_array().compressed())
    gray = mesh.to_rgba(bands)[:, :3] @ [0.299, 0.587, 0.114]
    assert gray.max() < 0.85  # white is never
    assert (np.diff(gray) < -0.1).all()


def test_false_alarms_are_not_promised_where_there_are_none():
    page, _ = build(report(checks={"empty-log": ""}, false_alarm=0.0))
    assert "the chance that" not in page
    assert "1 check ran." in visible(page)


def test_the_facts_are_not_changed():
    data = report(coverage=coverage(log_of()), action_names=("a", "b", "c"))
    build(data)
    assert data.log.coverage.actions == ("action 0", "action 1", "action 2")
    assert replace(data.log, coverage=None).coverage is None
