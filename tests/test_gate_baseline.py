"""A study whose gate holds the return against a saved policy: loaded and checked before anything is trained."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool import pipeline
from groundschool.cli.app import app
from groundschool.config import load_config
from groundschool.errors import InputError
from groundschool.pipeline import plan, run
from groundschool.policies.constant import ConstantPolicy
from groundschool.safety.identity import fingerprint
from studies import tiny

LOGS = {"logging": {"episodes": 150, "seed": 1}, "holdout": {"episodes": 300, "seed": 2}}
GRID = {"size": 5, "n_hazards": 1, "horizon": 20}
STEPS_RIGHT = np.tile([0.0, 1.0, 0.0, 0.0], (25, 1))


def held_against(baseline, *, margin=-1_000.0, **gate):
    """Return a study in which any policy passes the margin, unless said."""
    return tiny(**LOGS, gate={"baseline": str(baseline), "margin": margin, **gate})


@pytest.fixture
def baseline(tmp_path):
    return ConstantPolicy(1, 4, name="eastward").save(tmp_path / "eastward")


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(pipeline, "export", lambda data, path: path / "report.html")
    monkeypatch.setattr(pipeline, "_ship", lambda *args: None)


class TestEndToEnd:
    def test_it_is_what_is_subtracted_and_everything_names_it(self, baseline, tmp_path):
        study = run(held_against(baseline, margin=-1.0), out=tmp_path / "run", progress=False)
        own = fingerprint(gs.load(baseline))
        gated = pipeline.open_world(study.config).gated
        ours, theirs = (gs.evaluate(gated, one).value for one in (study.policy, gs.load(baseline)))
        assert study.verdict.findings[0].value == pytest.approx(ours - theirs)
        assert study.verdict.criteria.policy.name == "eastward"
        assert [one.criterion for one in study.verdict.findings] == [
            "expected return above that of 'eastward' by at least -1"
        ]
        told = json.loads((tmp_path / "run" / "verdict.json").read_text())
        assert told["criteria"]["baseline"] == {"policy": "eastward", "fingerprint": own}
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
        assert manifest["fingerprints"]["baseline"] == own
        page = study.report.read_text(encoding="utf-8")
        assert "above that of &#39;eastward&#39;" in page
        assert study.summary()["fingerprints"]["baseline"] == own
        assert "eastward" in (tmp_path / "run" / "verdict.md").read_text()

    def test_a_plan_says_so(self, baseline, tmp_path):
        planned = plan(held_against(baseline), out=tmp_path / "run")
        assert planned["gate"]["criteria"]["baseline"]["policy"] == "eastward"
        assert not (tmp_path / "run").exists()


def test_a_relative_path_counts_from_the_configs_directory(baseline, tmp_path):
    raw = {**tiny(**LOGS).resolved(), "gate": {"baseline": "eastward"}}
    (tmp_path / "study.json").write_text(json.dumps(raw))
    config = load_config(tmp_path / "study.json")
    assert config.gate.baseline == str(baseline.resolve())
    for named in ("logger", 3.5):
        (tmp_path / "study.json").write_text(json.dumps({**raw, "gate": {"baseline": named}}))
        assert load_config(tmp_path / "study.json").gate.baseline == named


def refused(config, out):
    """Return why a study does not begin; nothing is written then."""
    with pytest.raises(InputError) as caught:
        run(config, out=out, progress=False)
    assert not out.exists()
    with pytest.raises(InputError):
        plan(config, out=out)
    return str(caught.value)


class TestRefusals:
    def test_a_missing_bundle_is_exit_code_2_and_one_sentence(self, tmp_path):
        raw = {**tiny(**LOGS).resolved(), "gate": {"baseline": "loger"}}
        (tmp_path / "study.json").write_text(json.dumps(raw))
        result = CliRunner().invoke(app, ["run", str(tmp_path / "study.json"), "--out", str(tmp_path / "run")])
        assert result.exit_code == 2
        assert "gate.baseline is" in result.stderr
        assert (
            "loger', expected 'logger', 'none', a return, or the directory of a saved policy. Did you" in result.stderr
        )
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "run").exists()

    def test_something_that_is_no_bundle(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert refused(held_against(tmp_path / "empty"), tmp_path / "run").startswith("gate: baseline: ")

    def test_a_damaged_one(self, baseline, tmp_path):
        (baseline / "manifest.json").write_text("{}")
        assert refused(held_against(baseline), tmp_path / "run").startswith("gate: baseline: ")

    def test_other_actions(self, tmp_path):
        ConstantPolicy(0, 3, name="of three").save(tmp_path / "three")
        said = refused(held_against(tmp_path / "three"), tmp_path / "run")
        assert said.startswith("gate: baseline: policy 'of three' chooses among 3 actions, the log has 4")

    def test_other_observations(self, tmp_path):
        gs.TabularPolicy(STEPS_RIGHT, name="by number").save(tmp_path / "numbered")
        assert refused(held_against(tmp_path / "numbered"), tmp_path / "run").startswith("gate: baseline: ")

    def test_one_that_studied_the_gates_episodes(self, tmp_path):
        grid = gs.HazardGrid(**GRID)
        world = pipeline.open_world(tiny(**LOGS, gate={}))
        mixed = gs.collect(grid, grid.logger(), 300, 2)  # the study's own holdout, whole
        assert set(world.gated.episode_hashes) <= set(mixed.episode_hashes)
        gs.train(mixed, "bc", steps=20, hidden=(8,), name="studied it").save(tmp_path / "studied")
        said = refused(held_against(tmp_path / "studied"), tmp_path / "run")
        assert said.startswith("gate: baseline: In-sample: policy 'studied it' was trained on 150 of the 150 episodes")
        assert "A gate opens on no others" in said

    def test_one_that_studied_what_a_policy_is_certified_on(self, tmp_path):
        world = pipeline.open_world(tiny(**LOGS, gate={}))
        gs.train(world.train, "bc", steps=20, hidden=(8,), name="studied it").save(tmp_path / "studied")
        said = refused(held_against(tmp_path / "studied", certify=True), tmp_path / "run")
        assert "was trained on 100 of the 100 episodes" in said
        assert plan(held_against(tmp_path / "studied"), out=tmp_path / "run")["state"] == "new"


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("place", ["_train", "open_gate", "_judge"])
def test_another_baseline_does_not_go_on_with_an_unfinished_run(baseline, tmp_path, monkeypatch, place):
    def crash(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, place, crash)
        with pytest.raises(KeyboardInterrupt):
            run(held_against(baseline), out=tmp_path / "run", progress=False)
    ConstantPolicy(2, 4, name="eastward").save(baseline, force=True)  # by the same name, in the same place
    with pytest.raises(InputError, match="the gate's baseline is not the one this unfinished run began with"):
        run(held_against(baseline), out=tmp_path / "run", progress=False)
    ConstantPolicy(1, 4, name="eastward").save(baseline, force=True)
    study = run(held_against(baseline), out=tmp_path / "run", progress=False)
    assert study.verdict.criteria.to_json()["baseline"]["fingerprint"] == fingerprint(gs.load(baseline))


@pytest.mark.usefixtures("no_figures")
def test_a_baseline_that_changes_while_the_study_runs_changes_nothing(baseline, tmp_path, monkeypatch):
    train = pipeline._train

    def replaced(*args, **kwargs):
        ConstantPolicy(2, 4, name="other").save(baseline, force=True)
        return train(*args, **kwargs)

    monkeypatch.setattr(pipeline, "_train", replaced)
    study = run(held_against(baseline), out=tmp_path / "run", progress=False)
    assert study.verdict.criteria.policy.name == "eastward"
