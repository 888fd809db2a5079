"""``groundschool gate``: exit codes are verdicts, and bad input is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool.cli.app import app
from groundschool.safety.identity import fingerprint


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def save(place, name, n, harm, *, propensities=True):
    rng = np.random.default_rng(1)
    state, action = rng.integers(0, 2, n), rng.integers(0, 2, n)
    harmed = rng.random(n) < np.where(action == 1, harm, 0.5)
    gs.Dataset.from_arrays(
        state, action, -harmed.astype(float), np.ones(n, bool), np.zeros(n, bool), costs={"harm": harmed.astype(float)},
        propensities=np.full(n, 0.5) if propensities else None, n_actions=2, final_observations=state,
        return_range=(-1.0, 0.0), horizon=1,
    ).save(place / name)  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    place = tmp_path_factory.mktemp("gate")
    save(place, "good", 800, 0.05)
    save(place, "bad", 800, 0.45)
    save(place, "few", 30, 0.05)
    save(place, "bare", 400, 0.05, propensities=False)
    gs.TabularPolicy([[0.0, 1.0], [0.0, 1.0]], name="always 1").save(place / "bundle")
    gs.TabularPolicy([[1.0, 0.0], [1.0, 0.0]], name="always 0").save(place / "worse")
    return place


@pytest.mark.parametrize(
    ("log", "words", "code", "decision"),
    [
        ("good", ("--limit", "harm<=0.2"), 0, "GO"),
        ("good", ("--limit", "harm<=0.2", "--assurance", "finite-sample", "--baseline", "none"), 0, "GO"),
        ("good", ("--limit", "cost:harm<=0.2", "--baseline", "none"), 0, "GO"),
        ("good", ("--baseline", "-0.5"), 0, "GO"),
        ("good", ("--limit", "harm<=0.2", "--margin", "0.9"), 3, "NO-GO"),
        ("bad", ("--limit", "harm<=0.2"), 3, "NO-GO"),
        ("few", ("--limit", "harm<=0.05"), 4, "INSUFFICIENT EVIDENCE"),
        ("bare", ("--limit", "harm<=0.2"), 4, "INSUFFICIENT EVIDENCE"),
    ],
)
def test_the_exit_code_is_the_verdict(shelf, tmp_path, log, words, code, decision):
    result = invoke("gate", shelf / "bundle", shelf / log, *words, "--out", tmp_path / "gate")
    assert result.exit_code == code, result.output
    assert result.stdout.lstrip().startswith(decision)
    told = json.loads((tmp_path / "gate" / "verdict.json").read_text())
    assert told["decision"] == decision
    page = (tmp_path / "gate" / "verdict.md").read_text()
    assert page.startswith(f"# {decision}: always 1")
    assert all(reason in page for reason in told["reasons"])


def test_a_saved_policy_can_be_the_baseline(shelf, tmp_path):
    words = ("--baseline", shelf / "worse", "--out", tmp_path / "gate", "--json")
    result = invoke("gate", shelf / "bundle", shelf / "good", *words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    own = fingerprint(gs.load(shelf / "worse"))
    assert told["criteria"]["baseline"] == {"policy": "always 0", "fingerprint": own}
    assert told["directory"] == str(tmp_path / "gate")
    assert invoke("gate", shelf / "worse", shelf / "good", "--baseline", shelf / "bundle",
                  "--out", tmp_path / "other").exit_code == 3  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--limit", "harm=0.2"), "limit 'harm=0.2': expected NAME<=NUMBER"),
        (("--limit", "harm<=much"), "expected NAME<=NUMBER"),
        (("--limit", "harm<=0"), "limit is 0.0, expected a number above 0"),
        (("--limit", "hram<=0.1"), "no such cost (it has: 'harm'). Did you mean 'harm'?"),
        (("--limit", "harm<=0.1", "--limit", "harm<=0.2"), "limited twice"),
        (("--baseline", "none"), "nothing is asked"),
        (("--baseline", "no/such/place"), "--baseline no/such/place: expected logger, a number, none"),
        (("--confidence", "1"), "confidence is 1.0"),
        (("--looks", "0"), "looks is 0"),
        (("--discount", "0.9", "--assurance", "finite-sample"), "no range is declared for discounted returns"),
    ],
)
def test_bad_input_is_one_sentence_and_no_look(shelf, tmp_path, words, says):
    result = invoke("gate", shelf / "bundle", shelf / "good", *words, "--out", tmp_path / "gate")
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "gate").exists()


def test_what_cannot_be_asked_is_no_look(shelf, tmp_path):
    gs.TabularPolicy(np.full((1, 2), 0.5), name="narrow").save(tmp_path / "narrow")  # knows one of two states
    gs.TabularPolicy(np.full((2, 3), 1 / 3), name="three").save(tmp_path / "three")
    log = gs.Dataset.load(shelf / "few")
    tiny = np.full(log.n_steps, 0.5)
    tiny[3] = 1e-40
    gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=dict(log.costs),
        propensities=tiny, n_actions=2,
    ).save(tmp_path / "tiny")  # fmt: skip
    limit, good, few = ("--limit", "harm<=0.2"), shelf / "bundle", shelf / "few"
    for words, says in [
        ((tmp_path / "narrow", few, *limit), "policy 'narrow'"),
        ((tmp_path / "three", few, *limit), "chooses among 3 actions"),
        ((good, few, *limit, "--baseline", tmp_path / "narrow"), "policy 'narrow'"),
        ((good, few, *limit, "--behavior", tmp_path / "narrow"), "policy 'narrow'"),
        ((good, few, *limit, "--behavior", shelf / "bundle"), "it did not write this log"),
        ((good, tmp_path / "tiny", *limit), "propensities: below 1e-30"),
    ]:
        result = invoke("gate", *words, "--out", tmp_path / "gate")
        assert result.exit_code == 2, result.output
        assert says in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "gate").exists()


def test_who_studied_the_holdout_opens_no_gate(tmp_path):
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    log = gs.collect(grid, grid.logger(), 30, 0)
    log.save(tmp_path / "log")
    gs.train(log, "bc", steps=20, hidden=(8,)).save(tmp_path / "bundle")
    result = invoke("gate", tmp_path / "bundle", tmp_path / "log", "--out", tmp_path / "gate")
    assert result.exit_code == 2
    assert "In-sample" in result.stderr
    assert not (tmp_path / "gate").exists()


def test_another_look_is_refused_unless_it_was_planned(shelf, tmp_path):
    words = ("--limit", "harm<=0.2", "--out", tmp_path / "gate")
    assert invoke("gate", shelf / "bundle", shelf / "few", *words).exit_code in (0, 4)
    result = invoke("gate", shelf / "bundle", shelf / "good", *words)
    assert result.exit_code == 2
    assert "one look was planned, and taken, on 30 episodes" in result.stderr
    planned = ("--limit", "harm<=0.2", "--looks", "2", "--out", tmp_path / "planned")
    codes = [invoke("gate", shelf / "bundle", shelf / log, *planned).exit_code for log in ("few", "good")]
    assert codes[1] == 0


def test_another_seed_is_refused(shelf, tmp_path):
    words = ("--limit", "harm<=0.2", "--out", tmp_path / "gate")
    first = invoke("gate", shelf / "bundle", shelf / "few", *words)
    before = (tmp_path / "gate" / "verdict.json").read_bytes()
    result = invoke("gate", shelf / "bundle", shelf / "few", *words, "--seed", "1")
    assert result.exit_code == 2
    assert "the seed was 0, is 1" in result.stderr
    assert (tmp_path / "gate" / "verdict.json").read_bytes() == before
    assert invoke("gate", shelf / "bundle", shelf / "few", *words).exit_code == first.exit_code


def test_help_carries_an_example():
    result = invoke("gate", "--help")
    assert result.exit_code == 0
    assert "Example: groundschool gate" in result.stdout
