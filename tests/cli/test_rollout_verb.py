"""``groundschool rollout`` with a limit: the decision, JSON, taking up, and one sentence for whatever is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool.cli.app import app

MODULE = """
import groundschool as gs
from wards import Ward

def clean():
    return Ward(0.0)

def harmful():
    return Ward(1.0, says=lambda harm: {"cost": harm, "pulse": 40.0 + 50.0 * harm})

def silent():
    return Ward(0.0, says=lambda harm: {})

def closed():
    raise RuntimeError("no licence")

def leaves():
    raise SystemExit(0)

def asks(what):
    return Ward(0.0)

def number():
    return 3

def stalls():
    def fail(total):
        if total == 8:
            raise OSError("motor stalled")
    return Ward(0.0, on_step=fail)

def broken():
    def fail(total):
        if total == 8:
            raise KeyboardInterrupt
    return Ward(0.0, on_step=fail)
"""


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    place = tmp_path / "shelf"
    place.mkdir()
    gs.TabularPolicy(np.full((3, 2), 0.5), name="even").save(place / "bundle")
    (place / "my_wards.py").write_text(MODULE, encoding="utf-8")
    estimates = [
        {"of": "return", "value": 1.5, "lower": 1.0, "upper": 2.0},
        {"of": "probability:cost", "value": 0.2, "lower": 0.1, "upper": 0.3, "confidence": 0.9, "trusted": True},
    ]
    (place / "predicted.json").write_text(
        json.dumps({"policy": "even greedy", "estimates": estimates}), encoding="utf-8"
    )
    (place / "other.json").write_text(json.dumps({"policy": "odd", "estimates": estimates}), encoding="utf-8")
    (place / "bad.json").write_text("{", encoding="utf-8")
    monkeypatch.syspath_prepend(str(place))
    return place


def stopping(shelf, env, *more, limit="0.05", cap=200):
    words = ("rollout", shelf / "bundle", "--env", f"my_wards:{env}", "--max-episodes", cap)
    return invoke(*words, *(() if limit is None else ("--limit", limit)), *more)


def test_help_carries_an_example():
    result = invoke("rollout", "--help")
    assert result.exit_code == 0
    assert "--limit 0.05" in result.stdout


@pytest.mark.parametrize(("env", "decision"), [("clean", "safe"), ("harmful", "harm")])
def test_any_decision_is_done(env, decision, shelf):
    result = stopping(shelf, env)
    assert result.exit_code == 0, result.output
    assert f"{decision.upper()}: probability of any cost at most 0.05." in result.stdout
    assert "P(cost)" in result.stdout


def test_json_is_that_of_the_campaign(shelf):
    options = ("--confidence", "0.9", "--seed", 3, "--min-episodes", 80, "--return-range", "0,3", "--greedy")
    result = stopping(shelf, "clean", *options, "--predicted", shelf / "predicted.json", "--json")
    assert result.exit_code == 0, result.output
    import my_wards

    direct = gs.campaign(
        my_wards.clean(),
        gs.load(shelf / "bundle").greedy(),
        constraint=gs.Constraint("cost", limit=0.05),
        max_episodes=200,
        min_episodes=80,
        confidence=0.9,
        seed=3,
        return_range=(0, 3),
        predicted=[{"of": "return", "value": 1.5, "lower": 1.0, "upper": 2.0},
                   {"value": 0.2, "lower": 0.1, "upper": 0.3, "confidence": 0.9}],
    )  # fmt: skip
    assert json.loads(result.stdout) == json.loads(json.dumps(direct.to_json()))


def test_a_prediction_of_another_policy_name_is_refused(shelf):
    result = stopping(shelf, "clean", "--greedy", "--predicted", shelf / "other.json")
    assert result.exit_code == 2
    assert "is of policy 'odd', and the rollouts are of 'even greedy'" in result.stderr


def test_expressions_and_the_constraint_in_one(shelf):
    racing = ("--cost", "racing = pulse > 80", "--cost", "calm = pulse < 0")
    result = stopping(shelf, "harmful", *racing, "--constraint", "racing<=0.05", "--json", limit=None)
    assert json.loads(result.stdout)["decision"] == "harm"
    calm = stopping(shelf, "harmful", *racing, "--cost-name", "calm", "--json")
    assert json.loads(calm.stdout)["decision"] == "safe"
    alone = stopping(shelf, "harmful", "--cost", "racing = pulse > 80", "--json")
    assert json.loads(alone.stdout)["plan"]["constraint"]["name"] == "racing"


def test_the_cost_of_the_environment_is_limited_unless_said(shelf):
    grid = gs.HazardGrid()
    gs.train(gs.collect(grid, grid.logger(), 2), "bc", steps=2, hidden=(4,)).save(shelf / "network")
    words = ("rollout", shelf / "network", "--env", "groundschool/HazardGrid-v0", "--limit", 0.3, "--max-episodes", 20)
    plan = json.loads(invoke(*words, "--json").stdout)["plan"]
    assert plan["constraint"]["name"] == "hazard"
    assert plan["environment"]["name"] == "groundschool/HazardGrid-v0"
    assert plan["environment"]["time_limit"] == 80


def test_stopped_by_ctrl_c_it_goes_on_with_the_same_command(shelf, monkeypatch):
    import my_wards

    out = shelf / "out"
    whole = json.loads(stopping(shelf, "clean", "--json").stdout)
    monkeypatch.setattr(my_wards, "clean", my_wards.broken)
    result = stopping(shelf, "clean", "--out", out)
    assert result.exit_code == 130
    assert f"{out} keeps the episodes that ended, and the same command goes on" in result.stderr
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(shelf))
    assert len(list((out / "episodes").glob("*[0-9]"))) == 2
    result = json.loads(stopping(shelf, "clean", "--out", out, "--json").stdout)
    assert result["broken_off"] == [2]
    assert result["fingerprint"] == whole["fingerprint"]


def test_out_is_kept_and_a_second_call_shows_it(shelf):
    first = stopping(shelf, "clean", "--out", shelf / "out", "--json")
    again = stopping(shelf, "clean", "--out", shelf / "out", "--json")
    assert first.stdout == again.stdout
    assert gs.Dataset.load(shelf / "out" / "log").n_episodes == json.loads(first.stdout)["episodes"]
    other = stopping(shelf, "clean", "--out", shelf / "out", "--seed", 1)
    assert (other.exit_code, other.stdout) == (2, "")
    assert "another plan (seed was 0, is 1)" in other.stderr


ROWS = [
    (("--limit", "0.05"), "--max-episodes is missing"),
    (("--limit", "0.05", "--max-episodes", "100", "--episodes", "5"), "--episodes is a number without a limit"),
    (("--out", "{out}"), "--out is for rollouts that stop by a limit"),
    (("--cost", "a = reward"), "--cost is for rollouts that stop by a limit"),
    (("--max-episodes", "100"), "--max-episodes is for rollouts that stop by a limit"),
    (("--limit", "0.001", "--max-episodes", "100", "--out", "{out}"), "cannot be shown with 100 episodes"),
    (("--limit", "5", "--max-episodes", "100"), "expected a probability below 1"),
    (("--limit", "0.05", "--max-episodes", "100", "--confidence", "95"), "confidence is 95"),
    (("--limit", "0.05", "--max-episodes", "100", "--design", "fix"), "Did you mean 'fixed'?"),
    (("--limit", "0.05", "--max-episodes", "100", "--cost", "pulse"), "expected NAME = EXPRESSION"),
    (("--limit", "0.05", "--max-episodes", "100", "--cost", "a == 3"), "expected NAME = EXPRESSION"),
    (("--limit", "0.05", "--max-episodes", "100", "--cost", "a = 3 +"), "cost 'a': expression '3 +'"),
    (("--limit", "0.05", "--max-episodes", "100", "--cost", "a = 1", "--cost", "a = 2"), "'a' is given twice"),
    (("--limit", "0.05", "--max-episodes", "100", "--cost", "a = 1", "--cost", "b = 2"), "--cost-name is missing"),
    (("--limit", "0.05", "--max-episodes", "100", "--cost-name", "fall", "--out", "{out}"), "gives no cost 'fall'"),
    (("--limit", "0.05", "--max-episodes", "100", "--constraint", "cost<=0.1"), "leave out --limit"),
    (("--constraint", "cost<0.1", "--max-episodes", "100"), "expected NAME<=NUMBER, such as 'hazard<=0.05'"),
    (("--constraint", "cost<=much", "--max-episodes", "100"), "expected NAME<=NUMBER, such as 'hazard<=0.05'"),
    (("--limit", "0.05", "--max-episodes", "100", "--return-range", "3"), "expected LOW,HIGH"),
    (("--limit", "0.05", "--max-episodes", "100", "--return-range", "3,0"), "return_range"),
    (("--limit", "0.05", "--max-episodes", "100", "--predicted", "{shelf}/no.json"), "no.json cannot be read"),
    (("--limit", "0.05", "--max-episodes", "100", "--predicted", "{shelf}/bad.json"), "it is not JSON"),
    (("--limit", "0.05", "--max-episodes", "100", "--predicted", "{shelf}/other.json"), "is of policy 'odd'"),
    (("--limit", "0.05", "--max-episodes", "100", "--out", "{shelf}"), "it is no campaign"),
]


@pytest.mark.parametrize(("words", "sentence"), ROWS)
def test_one_sentence_and_exit_code_2(words, sentence, shelf, tmp_path):
    places = {"shelf": shelf, "out": tmp_path / "out"}
    before = {file: file.read_bytes() for file in shelf.rglob("*.*") if file.is_file() and file.suffix != ".pyc"}
    result = invoke("rollout", shelf / "bundle", "--env", "my_wards:clean", *(word.format(**places) for word in words))
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    message = [line for line in result.stderr.splitlines() if line][-1]
    assert message.startswith("error: ")
    assert sentence in message
    assert not (tmp_path / "out").exists()
    assert {file: file.read_bytes() for file in before} == before


def test_a_cost_that_is_never_given_is_bad_input(shelf):
    result = stopping(shelf, "silent")
    assert result.exit_code == 2
    assert "gives no cost 'cost' at step 0 (it gives: none)" in result.stderr


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ("closed", "closed() failed (RuntimeError: no licence). Expected a function that needs no arguments"),
        ("leaves", "leaves() failed (SystemExit: 0)"),
        ("asks", "asks() failed (TypeError: asks() missing 1 required positional argument: 'what')"),
        ("number", "number() returned a value of type int, expected a gymnasium.Env"),
        ("nothing", "has no function 'nothing'"),
    ],
)
def test_a_function_that_makes_no_environment_is_bad_input(env, sentence, shelf, tmp_path):
    result = stopping(shelf, env, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_module_that_leaves_is_bad_input(shelf):
    (shelf / "leaving.py").write_text("raise SystemExit(0)", encoding="utf-8")
    result = invoke("rollout", shelf / "bundle", "--env", "leaving:ward")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "module 'leaving' cannot be imported (SystemExit: 0)" in result.stderr


def test_an_environment_that_fails_in_the_middle_keeps_what_is_done(shelf):
    result = stopping(shelf, "stalls", "--out", shelf / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "failed in episode " in result.stderr
    assert "(OSError: motor stalled)" in result.stderr
    assert result.stderr.count("\n") == 1
    kept = [entry for entry in (shelf / "out" / "episodes").iterdir() if entry.is_dir()]
    assert kept
    assert stopping(shelf, "clean", "--out", shelf / "out").exit_code == 0  # taken up
