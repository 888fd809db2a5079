"""A study that decides: what is taken to the gate, what it leaves, and what a crash leaves of it."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool import pipeline
from groundschool.bundle import attachments
from groundschool.cli.app import app
from groundschool.errors import InputError
from groundschool.evaluation.diagnostics.overlap import training_records
from groundschool.pipeline import plan, run
from studies import tiny

LOGS = {"logging": {"episodes": 150, "seed": 1}, "holdout": {"episodes": 300, "seed": 2}}
LIMIT = {"name": "hazard", "kind": "probability"}


def gated(limit=0.9, **gate):
    return tiny(**LOGS, gate={"constraints": [{**LIMIT, "limit": limit}], "baseline": "none", **gate})


OUT_OF_REACH = 1_000.0  # no episode returns as much


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run(gated(certify=True), out=tmp_path_factory.mktemp("runs") / "gated", progress=False)


class TestGo:
    def test_what_ships_is_what_was_judged(self, study):
        assert study.verdict.decision == "GO"
        assert study.exit_code == 0
        loaded = gs.load(study.directory / "bundle")
        starts = study.log.observations[:50]
        assert (loaded.probabilities(starts) == study.policy.probabilities(starts)).all()
        assert loaded.name == study.verdict.policy
        assert study.verdict.policy.endswith(", guarded")
        assert {"MODEL_CARD.md", "verdict.json", "verdict.md", "report.html"} <= set(
            attachments(study.directory / "bundle")
        )

    def test_the_model_card_says_what_was_shown_and_leaves_gaps_to_people(self, study):
        card = (study.directory / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert card.startswith(f"# {study.verdict.policy}\n\n**GO.**")
        assert card.count("[to be filled in:") == 4
        for words in ("150 held-out episodes", "Probability of any hazard at most 0.9 | shown", "would step in"):
            assert words in card
        assert not any(hash_ in card for hash_ in study.log.episode_hashes)

    def test_the_verdict_is_written_down(self, study):
        told = read(study.directory / "verdict.json")
        assert told["decision"] == "GO"
        assert told == json.loads(json.dumps(study.verdict.to_json()))
        manifest = read(study.directory / "manifest.json")
        assert manifest["fingerprints"]["criteria"] == told["criteria_fingerprint"]
        assert manifest["fingerprints"]["taken to the gate"] == told["policy_fingerprint"]
        assert manifest["fingerprints"]["gated episodes"] == told["log"]

    def test_nobody_but_the_gate_saw_its_episodes(self, study):
        config = gated(certify=True)
        world = pipeline.open_world(config)
        ids = [set(part.episode_hashes.tolist()) for part in (world.train, world.holdout, world.gated)]
        assert sum(len(one) for one in ids) == len(set.union(*ids))
        assert {answer.n_episodes for one in study.answers.values() for answer in one.estimates} == {150}
        assert study.verdict.episodes == 150
        studied = {one for record in training_records(study.policy) for one in record.episode_hashes}
        assert studied == ids[0] | ids[1]
        assert not studied & ids[2]

    def test_the_report_opens_with_the_verdict(self, study):
        page = study.report.read_text(encoding="utf-8")
        assert page.index('id="verdict"') < page.index('id="glance"')
        assert "No verdict" not in page
        facts = read(study.directory / "report.json")["verdict"]
        assert facts["decision"] == "GO"
        assert [one["status"] for one in facts["arguments"]] == ["shown"]
        assert {one["candidate"] for one in facts["standings"]} == {"logger", *study.policies}
        assert facts["claim"] == study.verdict.reasons[0]
        assert 1 <= len(facts["departures"]) <= 5
        assert all(row["episodes"] >= 11 for row in facts["departures"])
        assert facts["guard"][-1].startswith("On the ")
        assert "would step in" in facts["guard"][-1]

    def test_what_was_made_to_be_certified_stands_beside(self, study):
        verdict = study.certified.verdict
        assert {one.estimate.assurance for one in verdict.findings} == {"finite-sample"}
        assert verdict.episodes + study.certified.studied == 150
        assert gs.load(study.directory / "certified").name == "pruned"
        facts = read(study.directory / "report.json")["verdict"]["certified"]
        assert facts["decision"] == verdict.decision
        assert [row["promised"]["value"] for row in facts["rows"]] == [study.verdict.findings[0].value]


@pytest.mark.parametrize(
    ("gate", "decision", "code"),
    [
        ({"baseline": OUT_OF_REACH}, "NO-GO", 3),
        ({"limit": 1e-4}, "INSUFFICIENT EVIDENCE", 4),
        ({}, "GO", 0),
    ],
)
def test_the_command_exits_with_the_verdict(tmp_path, gate, decision, code):
    config = tmp_path / "study.json"
    config.write_text(json.dumps(gated(**gate).resolved()))
    result = CliRunner().invoke(app, ["run", str(config), "--out", str(tmp_path / "run"), "--exit-verdict"])
    assert result.exit_code == code, result.output
    assert re.search(rf"^{decision}\b", result.stdout, re.MULTILINE)
    assert (tmp_path / "run" / "bundle").is_dir() == (decision == "GO")


def test_without_exit_verdict_a_refusal_is_a_normal_end(tmp_path):
    config = tmp_path / "study.json"
    config.write_text(json.dumps(gated(baseline=OUT_OF_REACH).resolved()))
    result = CliRunner().invoke(app, ["run", str(config), "--out", str(tmp_path / "run"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["verdict"]["decision"] == "NO-GO"


def test_exit_verdict_needs_a_gate(tmp_path):
    config = tmp_path / "study.json"
    config.write_text(json.dumps(tiny().resolved()))
    result = CliRunner().invoke(app, ["run", str(config), "--out", str(tmp_path / "run"), "--exit-verdict"])
    assert result.exit_code == 2
    assert "has no [gate], so that nothing is decided" in result.stderr
    assert not (tmp_path / "run").exists()


def test_where_the_logger_stands_best_nothing_is_taken_to_the_gate(tmp_path, monkeypatch):
    from groundschool import gate_stages

    def logger_first(*args, **kwargs):
        found = list(choose(*args, **kwargs))
        found.sort(key=lambda one: one.candidate != "logger")
        return tuple(found)

    choose = gate_stages.choose
    monkeypatch.setattr(pipeline, "choose", logger_first)
    study = run(gated(baseline="logger", limit=0.9), out=tmp_path / "run", progress=False)
    assert (study.verdict, study.policy, study.exit_code) == (None, None, 4)
    assert not (tmp_path / "run" / "verdict.json").exists()
    assert not (tmp_path / "run" / "bundle").exists()
    facts = read(tmp_path / "run" / "report.json")["verdict"]
    assert facts["decision"] == "KEEP THE LOGGER'S POLICY"
    assert "Nothing was taken to the gate" in study.report.read_text(encoding="utf-8")


class Stop(Exception):
    pass


SLOW = [pytest.param(one, marks=pytest.mark.slow) for one in ("choose", "put_behind_guard", "certify", "judge")]


@pytest.mark.parametrize("place", ["open_gate", "write_json", "export", *SLOW])
def test_a_crash_at_any_stage_is_no_verdict_and_goes_on(study, tmp_path, monkeypatch, place):
    def crash(*args, **kwargs):
        raise Stop

    config = gated(certify=True)
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, place, crash)
        with pytest.raises(Stop):
            run(config, out=tmp_path / "run", progress=False)
    assert read(tmp_path / "run" / "manifest.json")["status"] == "interrupted"
    assert not (tmp_path / "run" / "bundle").exists()
    if place in ("choose", "put_behind_guard", "open_gate", "write_json"):
        assert not (tmp_path / "run" / "verdict.json").exists()
    again = run(config, out=tmp_path / "run", progress=False)
    assert again.verdict.to_json() == study.verdict.to_json()
    assert (tmp_path / "run" / "bundle").is_dir()


def test_other_criteria_do_not_go_on_with_an_opened_gate(tmp_path, monkeypatch):
    def crash(*args, **kwargs):
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "open_gate", crash)
        with pytest.raises(Stop):
            run(gated(), out=tmp_path / "run", progress=False)
    with pytest.raises(InputError, match="unfinished run of another config"):
        run(gated(0.95), out=tmp_path / "run", progress=False)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"gate": {"constraints": [{"name": "hazzard", "limit": 0.1}]}}, "gate: constraint 'hazzard': the log has no"),
        ({"gate": {"assurance": "finite-sample", "discount": 0.9}}, "gate: discount is 0.9: no range is declared"),
        ({"gate": {}, "guard": {"fallback": 9}}, "guard: action 9: expected a whole number from 0 to 3"),
        ({"gate": {}, "guard": {"harm": {"hazzard": 0.5}}}, "guard: "),
        ({"gate": {}, "guard": {"rules": [{"when": "speed > 3", "forbid": [1]}]}}, "guard: "),
        ({"gate": {}, "holdout": {"episodes": 1, "seed": 2}}, "there is one episode to divide"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_training(tmp_path, changes, says):
    with pytest.raises(InputError) as caught:
        run(tiny(**{**LOGS, **changes}), out=tmp_path / "run", progress=False)
    assert says in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_plan_says_what_the_gate_will_ask(tmp_path):
    planned = plan(gated(), out=tmp_path / "run")
    assert planned["gate"]["episodes"] == 150
    assert planned["gate"]["criteria"]["constraints"] == [{**LIMIT, "limit": 0.9}]


def test_a_log_of_ones_own_is_divided_by_group(tmp_path):
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    log = gs.collect(grid, grid.logger(), 240, 0)
    groups = [f"g{i // 3}" for i in range(240)]
    gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs, groups=groups,
        propensities=log.propensities, final_observations=log.final_observations, n_actions=4, horizon=20,
    ).save(tmp_path / "log")  # fmt: skip
    config = tiny(
        environment=None, logging=None, rollouts=None, data={"path": str(tmp_path / "log")},
        holdout={"fraction": 0.5, "seed": 2}, gate={"constraints": [{**LIMIT, "limit": 0.9}], "baseline": "none"},
    )  # fmt: skip
    world = pipeline.open_world(config)
    parts = [set(part.groups) for part in (world.train, world.holdout, world.gated)]
    assert sum(len(one) for one in parts) == len(set.union(*parts)) == 80
    assert run(config, out=tmp_path / "run", progress=False).standings
