"""Each verb does its one thing, and speaks JSON alone on stdout when asked to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool import config, pipeline
from groundschool.cli.app import app
from groundschool.errors import DivergenceError
from studies import TINY_TOML

GRID = ("--env", "groundschool/HazardGrid-v0")


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A config, and the run of it."""
    place = tmp_path_factory.mktemp("cli")
    (place / "study.toml").write_text(TINY_TOML, encoding="utf-8")
    result = invoke("run", place / "study.toml", "--out", place / "run", "--json")
    assert result.exit_code == 0, result.output
    (place / "stdout.json").write_text(result.stdout, encoding="utf-8")
    return place


@pytest.mark.parametrize("verb", ["demo", "run", "train", "rollout", "doctor"])
def test_help_carries_an_example(verb):
    result = invoke(verb, "--help")
    assert result.exit_code == 0
    assert f"Example: groundschool {verb}" in result.stdout


def test_version():
    assert invoke("--version").stdout.strip() == f"groundschool {gs.__version__}"


def test_run_prints_the_report_as_json(world):
    printed = json.loads((world / "stdout.json").read_text(encoding="utf-8"))
    report = json.loads((world / "run" / "report.json").read_text(encoding="utf-8"))
    assert printed == {"directory": str(world / "run"), "report": str(world / "run" / "report.html"), **report}


def test_run_prints_a_table_and_where_the_report_is(world, tmp_path, monkeypatch):
    study = pipeline.Study(None, world / "run", None, None, {}, {}, world / "run" / "report.html")
    monkeypatch.setattr(pipeline, "run", lambda *args, **kwargs: study)
    result = invoke("run", world / "study.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert f"report: {study.report}" in result.stdout
    for name in ("Logger (ε = 0.22)", "BC-greedy", "CQL", "Optimum"):
        assert name in result.stdout


def test_dry_run_says_what_would_happen(world, tmp_path):
    result = invoke("run", world / "study.toml", "--out", tmp_path / "run", "--dry-run", "--json", "--seed", 9)
    assert result.exit_code == 0
    planned = json.loads(result.stdout)
    assert planned["config"]["seed"] == 9
    assert planned["state"] == "new"
    table = invoke("run", world / "study.toml", "--out", tmp_path / "run", "--dry-run")
    assert "nothing was done yet" in table.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("budget", "steps"), [((), [10_000, 10_000]), (("--budget", "tutorial"), [25_000, 80_000])])
def test_demo_is_the_tutorial(tmp_path, budget, steps):
    planned = json.loads(invoke("demo", *budget, "--out", tmp_path / "run", "--dry-run", "--json").stdout)
    assert [one["steps"] for one in planned["candidates"]] == steps
    assert planned["log"]["episodes"] == 500
    assert planned["rollouts"] == 200


def test_demo_config_is_the_one_in_examples():
    assert config.tutorial_config().parts[-2:] == ("examples", "tutorial.toml")


def test_train_then_rollout(world, tmp_path):
    result = invoke(
        "train", world / "run" / "log", "cql", "--out", tmp_path / "policy", "--steps", 20, "--seed", 3,
        "--set", "hidden=[8]", "--set", "batch_size=16", "--set", "td_loss=huber", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert (facts["steps"], facts["seed"], facts["episodes"]) == (20, 3, 30)
    assert facts["config"]["hidden"] == [8]
    assert facts["config"]["td_loss"] == "huber"

    result = invoke("rollout", tmp_path / "policy", *GRID, "--episodes", 5, "--seed", 2, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    direct = gs.rollout(gs.HazardGrid(), gs.load(tmp_path / "policy"), 5, 2)
    assert summary == json.loads(json.dumps(direct.summary()))


def test_rollout_in_an_environment_of_ones_own(world, tmp_path):
    (tmp_path / "my_env.py").write_text(
        "import groundschool as gs\ndef make():\n    return gs.HazardGrid(size=5, n_hazards=1, horizon=20)\n",
        encoding="utf-8",
    )
    script = Path(sys.executable).with_name("groundschool")  # whose search path is not the current directory
    bundle = world / "run" / "policies" / "BC"
    command = [script, "rollout", bundle, "--env", "my_env:make", "--greedy", "--episodes", "4"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "P(hazard)" in result.stdout


def test_doctor():
    result = invoke("doctor", "--json")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert facts["versions"]["groundschool"] == gs.__version__
    assert facts["devices"]
    assert facts["threads"] >= 1
    assert facts["extras"]["dev"] is True
    assert facts["free_disk_bytes"] > 0
    assert "groundschool doctor" in invoke("doctor").stdout


def test_divergence_is_a_crash_with_its_diagnosis(world, tmp_path, monkeypatch):
    def diverge(*args, **kwargs):
        raise DivergenceError("CQL's values passed 1e6 at step 40: lower learning_rate.")

    monkeypatch.setattr(pipeline, "train_candidate", diverge)
    result = invoke("run", world / "study.toml", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "error: CQL's values passed 1e6 at step 40: lower learning_rate."
    assert "Traceback" not in result.output


def test_ctrl_c_says_how_to_go_on(world, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    out = tmp_path / "run"
    monkeypatch.setattr("sys.argv", ["groundschool", "run", "study.toml", "--force", "--out", str(out)])
    monkeypatch.setattr(pipeline, "train_candidate", stop)
    result = invoke("run", world / "study.toml", "--force", "--out", out)
    assert result.exit_code == 130
    assert f"To go on: groundschool run study.toml --out {out}" in result.stderr
    monkeypatch.undo()
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["status"] == "interrupted"
    planned = json.loads(invoke("run", world / "study.toml", "--out", out, "--dry-run", "--json").stdout)
    assert planned["state"] == "resume"
