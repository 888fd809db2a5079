"""A study end to end: what it leaves, that it repeats, that it resumes, and what it refuses."""

from __future__ import annotations

import copy
import json
import tomllib

import numpy as np
import pytest

import groundschool as gs
from groundschool import pipeline
from groundschool.config import parse_config
from groundschool.errors import DivergenceError, InputError
from groundschool.pipeline import plan, run
from groundschool.training import checkpoint as checkpoints
from studies import TINY, TINY_TOML, tiny

CLOCK = {"created", "timings", "seconds", "compile_seconds", "steps_per_second", "total_seconds", "command"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run(tiny(), out=tmp_path_factory.mktemp("runs") / "tiny", progress=False)


def timeless(value):
    """Drop what a clock wrote, at any depth."""
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in CLOCK}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def numbers(study):
    """Everything measured, and the weights, bit for bit."""
    weights = {
        name: (study.directory / "policies" / name / "tensors.safetensors").read_bytes() for name in study.policies
    }
    judged = {
        name: (one.rollout.summary(), one.exact, one.mismatch.summary()) for name, one in study.judgements.items()
    }
    return weights, judged


def stop(*args, **kwargs):
    raise KeyboardInterrupt


def stopped_at(monkeypatch, place, name, instead=stop, *, config=None, out):
    """Run with a function replaced by one that is interrupted."""
    with monkeypatch.context() as patched:
        patched.setattr(place, name, instead)
        with pytest.raises(KeyboardInterrupt):
            run(config or tiny(), out=out, progress=False)


@pytest.fixture
def no_figures(monkeypatch):
    """Drawing takes seconds, and has its own tests."""
    monkeypatch.setattr(pipeline, "export", lambda data, path: path / "report.html")


def test_the_test_config_is_the_same_in_both_spellings():
    assert parse_config(tomllib.loads(TINY_TOML)) == tiny()


class TestWhatARunLeaves:
    def test_files(self, study):
        there = {path.name for path in study.directory.iterdir()}
        assert there == {
            "config.json", "manifest.json", "metrics.jsonl", "report.html", "report.json", "figures", "policies", "log",
        }  # fmt: skip
        assert {path.name for path in (study.directory / "policies").iterdir()} == {"BC", "BC-greedy", "CQL"}
        assert any((study.directory / "figures").glob("*.png"))
        assert study.report == study.directory / "report.html"

    def test_manifest(self, study):
        manifest = read(study.directory / "manifest.json")
        assert manifest["status"] == "complete"
        assert manifest["fingerprints"] == {"log": study.log.fingerprint, "holdout": study.holdout.fingerprint}
        assert manifest["seeds"] == {
            "log": 1,
            "holdout": 2,
            "train BC": 0,
            "train CQL": 0,
            "evaluation": 0,
            "rollouts": 0,
            "mismatch": 1,
        }
        assert {"log", "train BC", "train CQL", "evaluate", "judge CQL", "report"} <= set(manifest["timings"])
        assert manifest["versions"]["groundschool"] == gs.__version__

    def test_config_is_resolved_and_runs_again(self, study):
        assert parse_config(read(study.directory / "config.json")) == study.config

    def test_metrics_are_the_curves(self, study):
        lines = [json.loads(line) for line in (study.directory / "metrics.jsonl").read_text().splitlines()]
        for name in ("BC", "CQL"):
            curve = [line["loss"] for line in lines if line["policy"] == name]
            assert curve == study.policies[name].training.curves["loss"]
            assert lines[-1]["step"] == 60

    def test_saved_policies_are_those_that_were_judged(self, study):
        for name, policy in study.policies.items():
            loaded = gs.load(study.directory / "policies" / name)
            np.testing.assert_array_equal(
                loaded.probabilities(study.log.observations), policy.probabilities(study.log.observations)
            )

    def test_the_log_loads(self, study):
        assert gs.Dataset.load(study.directory / "log").fingerprint == study.log.fingerprint

    def test_the_report_has_what_was_measured(self, study):
        rows = {row["name"]: row for row in study.summary()["policies"]}
        assert list(rows) == ["Logger (ε = 0.22)", "BC", "BC-greedy", "CQL", "Logger (ε = 0)", "Optimum"]
        for name, judged in study.judgements.items():
            assert rows[name]["rollout"]["return"]["value"] == judged.rollout.return_.value
            assert rows[name]["exact"]["return"] == judged.exact.return_
            assert rows[name]["mismatch"]["value"] == judged.mismatch.value
        assert rows["BC"]["calibration"]["in_sample"] is False
        assert rows["BC"]["calibration"]["n"] == study.holdout.n_steps
        assert rows["CQL"]["sanity"]["predicted_mean"] == study.judgements["CQL"].sanity.predicted_mean
        assert rows["BC"]["sanity"] is None

    def test_every_candidate_was_judged_from_the_holdout_alone(self, study):
        rows = {row["name"]: row["offline"] for row in study.summary()["policies"]}
        assert set(study.answers) == {"BC", "BC-greedy", "CQL"}
        for name, found in study.answers.items():
            assert {one.of for one in found.estimates} == {"return", "probability:hazard", "cost:hazard"}
            assert {one.n_episodes for one in found.estimates} == {study.holdout.n_episodes}
            shown = [one for question in rows[name]["questions"] for one in question["estimates"]]
            assert sorted((one["of"], one["method"], one["value"]) for one in shown) == sorted(
                (one.of, one.method, one.to_json()["value"]) for one in found.estimates
            )
        assert rows["Optimum"] is None

    def test_exact_values_agree_with_the_environment(self, study):
        grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
        assert study.judgements["CQL"].exact == grid.model().evaluate(study.policies["CQL"])

    def test_holdout_shares_no_episode_with_the_log(self, study):
        assert not set(study.holdout.episode_hashes) & set(study.policies["BC"].training.episode_hashes)


def test_the_same_inputs_give_the_same_outputs(study, tmp_path):
    again = run(tiny(), out=tmp_path / "again", progress=False)
    assert timeless(again.summary()) == timeless(study.summary())
    for name in study.policies:
        tensors = "tensors.safetensors"
        first, second = study.directory / "policies" / name / tensors, again.directory / "policies" / name / tensors
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("no_figures")
class TestResume:
    def test_what_was_trained_is_not_trained_again(self, study, tmp_path, monkeypatch):
        stopped_at(monkeypatch, pipeline, "judge_references", out=tmp_path / "run")
        assert read(tmp_path / "run" / "manifest.json")["status"] == "interrupted"
        planned = plan(tiny(), out=tmp_path / "run")
        assert planned["state"] == "resume"
        assert [one["trained"] for one in planned["candidates"]] == [True, True]
        monkeypatch.setattr(pipeline, "train_candidate", stop)
        assert numbers(run(tiny(), out=tmp_path / "run", progress=False)) == numbers(study)

    def test_training_goes_on_from_its_checkpoint(self, study, tmp_path, monkeypatch):
        seen = []
        save = checkpoints.save

        def stop_in_the_middle(directory, checkpoint, owner):
            save(directory, checkpoint, owner)
            seen.append(checkpoint.step)
            if directory.name == "CQL" and checkpoint.step >= 30:
                raise KeyboardInterrupt

        stopped_at(monkeypatch, checkpoints, "save", stop_in_the_middle, out=tmp_path / "run")
        last = seen[-1]
        assert 30 <= last < 60
        assert (tmp_path / "run" / "checkpoints" / "CQL").is_dir()

        seen.clear()
        monkeypatch.setattr(checkpoints, "save", lambda d, c, o: (seen.append(c.step), save(d, c, o)))
        resumed = run(tiny(), out=tmp_path / "run", progress=False)
        assert min(seen) > last
        assert numbers(resumed) == numbers(study)
        assert not (tmp_path / "run" / "checkpoints").exists()

    def test_a_corrupted_policy_stops_it(self, tmp_path, monkeypatch):
        stopped_at(monkeypatch, pipeline, "judge", out=tmp_path / "run")
        tensors = tmp_path / "run" / "policies" / "CQL" / "tensors.safetensors"
        data = bytearray(tensors.read_bytes())
        data[-1] ^= 1
        tensors.write_bytes(data)
        with pytest.raises(InputError, match="CQL"):
            run(tiny(), out=tmp_path / "run", progress=False)

    def test_divergence_leaves_an_interrupted_run(self, tmp_path, monkeypatch):
        def diverge(*args, **kwargs):
            raise DivergenceError("loss is NaN at step 3")

        monkeypatch.setattr(pipeline, "train_candidate", diverge)
        with pytest.raises(DivergenceError):
            run(tiny(), out=tmp_path / "run", progress=False)
        assert read(tmp_path / "run" / "manifest.json")["status"] == "interrupted"


class TestRefusals:
    """Nothing is written, nothing is lost."""

    def test_a_finished_run(self, study):
        before = tree(study.directory)
        with pytest.raises(InputError, match="holds a finished run"):
            run(tiny(), out=study.directory, progress=False)
        assert tree(study.directory) == before

    def test_an_unfinished_run_of_another_config(self, study, tmp_path, monkeypatch):
        stopped_at(monkeypatch, pipeline, "_train", out=tmp_path / "run")
        before = tree(tmp_path / "run")
        other = copy.deepcopy(TINY)
        other["candidates"][1]["steps"] = 61
        with pytest.raises(InputError, match=r"another config \(candidates\[1\]\.steps was 60, is 61\)"):
            run(parse_config(other), out=tmp_path / "run", progress=False)
        assert tree(tmp_path / "run") == before

    @pytest.mark.parametrize("force", [False, True])
    def test_a_directory_that_is_no_run(self, tmp_path, force):
        (tmp_path / "mine.txt").write_text("precious", encoding="utf-8")
        with pytest.raises(InputError, match="is no run of groundschool"):
            run(tiny(), out=tmp_path, force=force, progress=False)
        assert tree(tmp_path) == {"mine.txt": b"precious"}

    def test_somebody_elses_manifest(self, tmp_path):
        (tmp_path / "manifest.json").write_text('{"format": "else", "status": "complete"}', encoding="utf-8")
        with pytest.raises(InputError, match="is no run of groundschool"):
            run(tiny(), out=tmp_path, force=True, progress=False)

    def test_a_file(self, tmp_path):
        (tmp_path / "run").write_text("", encoding="utf-8")
        with pytest.raises(InputError, match="is no run of groundschool"):
            run(tiny(), out=tmp_path / "run", force=True, progress=False)

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"environment": {"id": "groundschool/HazardGird-v0"}}, "HazardGird"),
            ({"environment": {"id": "CartPole-v1"}}, "has no logger of its own"),
            ({"environment": {"id": "CartPole-v1", "gravity": 1.0}}, "gravity is not a parameter of it"),
            ({"device": "gpu:99"}, "gpu:99"),
            ({"data": {"path": "/nowhere/log"}, "logging": None, "holdout": None}, "/nowhere/log"),
        ],
        ids=["environment", "logger", "parameter", "device", "data"],
    )
    def test_what_only_the_world_can_tell(self, tmp_path, changes, sentence):
        with pytest.raises(InputError, match=sentence):
            run(tiny(**changes), out=tmp_path / "run", progress=False)
        assert list(tmp_path.iterdir()) == []

    def test_a_log_of_another_environment(self, study, tmp_path):
        data = {"path": str(study.directory / "log")}
        config = tiny(data=data, environment={"id": "CartPole-v1"}, logging=None, holdout=None)
        with pytest.raises(InputError, match=r"has 4 actions and observations of shape \(2,\), .* has 2 and \(4,\)"):
            run(config, out=tmp_path / "run", progress=False)
        assert list(tmp_path.iterdir()) == []

    def test_a_run_in_use(self, tmp_path, monkeypatch):
        refused = []

        def second(*args, **kwargs):
            with pytest.raises(InputError, match="in use") as caught:
                run(tiny(), out=tmp_path / "run", progress=False)
            refused.append(caught.value)
            raise KeyboardInterrupt

        monkeypatch.setattr(pipeline, "_train", second)
        with pytest.raises(KeyboardInterrupt):
            run(tiny(), out=tmp_path / "run", progress=False)
        assert len(refused) == 1


@pytest.mark.usefixtures("no_figures")
def test_force_starts_over_and_leaves_nothing_beside(study, tmp_path, monkeypatch):
    stopped_at(monkeypatch, pipeline, "_train", config=tiny(seed=5), out=tmp_path / "run")
    done = run(tiny(), out=tmp_path / "run", force=True, progress=False)
    assert numbers(done) == numbers(study)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_plan_writes_nothing(tmp_path):
    planned = plan(tiny(), out=tmp_path / "run")
    assert planned["state"] == "new"
    assert planned["log"]["episodes"] == 30
    assert [(one["name"], one["steps"]) for one in planned["candidates"]] == [("BC", 60), ("CQL", 60)]
    assert list(tmp_path.iterdir()) == []


def test_a_saved_log_without_an_environment(study, tmp_path):
    """Offline alone: no rollouts, no exact values, and calibration on episodes held out of the log itself."""
    changes = {"environment": None, "logging": None, "rollouts": None, "holdout": {"fraction": 0.2}}
    done = run(tiny(data={"path": str(study.directory / "log")}, **changes), out=tmp_path / "run", progress=False)
    assert (done.log.n_episodes, done.holdout.n_episodes) == (30, 6)
    record = done.policies["BC"].training
    assert len(record.episode_hashes) == 24
    assert not set(done.holdout.episode_hashes) & set(record.episode_hashes)
    rows = done.summary()["policies"]
    assert [row["name"] for row in rows] == ["BC", "BC-greedy", "CQL"]
    assert all(row["rollout"] is None and row["exact"] is None for row in rows)
    assert rows[0]["calibration"]["in_sample"] is False


@pytest.mark.usefixtures("no_figures")
class TestEvaluation:
    def test_it_can_be_left_out(self, tmp_path):
        done = run(tiny(evaluation={"enabled": False}), out=tmp_path / "run", progress=False)
        assert done.answers == {}
        manifest = read(tmp_path / "run" / "manifest.json")
        assert "evaluate" not in manifest["timings"]
        assert "evaluation" not in manifest["seeds"]

    def test_a_question_about_no_cost_of_the_log_is_refused_before_training(self, tmp_path):
        config = tiny(evaluation={"of": ["probability:hazrd"]})
        for begin in (run, plan):
            with pytest.raises(InputError, match=r"evaluation: .*no cost 'hazrd'.*Did you mean 'hazard'"):
                begin(config, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_log_that_cannot_be_evaluated_on_costs_a_sentence_not_the_study(self, tmp_path, monkeypatch, capsys):
        def refuse(*args, **kwargs):
            raise InputError("propensities are 0 in 3 rows.")

        seen = []
        monkeypatch.setattr("groundschool.evaluation.answers.answers", refuse)
        monkeypatch.setattr(pipeline, "export", lambda data, path: seen.append(data) or path / "report.html")
        done = run(tiny(), out=tmp_path / "run")
        assert done.answers == {}
        assert "warning: not evaluated offline: propensities are 0 in 3 rows." in capsys.readouterr().err
        assert "Not evaluated offline: propensities are 0 in 3 rows." in seen[0].notes

    def test_one_question_and_one_method(self, tmp_path):
        settings = {"of": ["return"], "methods": ["wis"], "confidence": 0.9, "discount": 0.99, "seed": 3}
        done = run(tiny(evaluation=settings), out=tmp_path / "run", progress=False)
        for found in done.answers.values():
            assert [(one.of, one.method, one.confidence, one.discount) for one in found.estimates] == [
                ("return", "wis", 0.9, 0.99)
            ]


def test_a_changed_log_does_not_resume(study, tmp_path, monkeypatch):
    study.log.save(tmp_path / "log")
    changes = {"environment": None, "logging": None, "rollouts": None, "holdout": {"fraction": 0.2}}
    config = tiny(data={"path": str(tmp_path / "log")}, **changes)
    stopped_at(monkeypatch, pipeline, "_train", config=config, out=tmp_path / "run")
    study.log.select(np.arange(20)).save(tmp_path / "log", force=True)
    with pytest.raises(InputError, match="the log is not the one this unfinished run began with"):
        run(config, out=tmp_path / "run", progress=False)


def test_the_public_name(tmp_path):
    assert gs.run is run


def continuous_log(path):
    """A log whose observations are no whole numbers."""
    rng = np.random.default_rng(0)
    ends = np.arange(40) % 4 == 3
    gs.Dataset.from_arrays(
        rng.random((40, 2)), rng.integers(2, size=40), rng.random(40), ends, np.zeros(40, bool), n_actions=2
    ).save(path)
    return str(path)


@pytest.mark.parametrize("begin", [run, plan], ids=["run", "plan"])
def test_a_candidate_that_cannot_learn_the_log_leaves_nothing(begin, tmp_path):
    """What training would refuse is refused before the directory is made."""
    candidates = [{**TINY["candidates"][0], "encoding": "one-hot"}]
    data = {"path": continuous_log(tmp_path / "log")}
    config = tiny(environment=None, logging=None, rollouts=None, holdout=None, data=data, candidates=candidates)
    with pytest.raises(InputError, match="candidate BC: encoding 'one-hot' needs columns"):
        begin(config, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_log_that_is_not_on_the_grid_is_refused_before_training(tmp_path):
    rng = np.random.default_rng(0)
    gs.Dataset.from_arrays(
        rng.random((40, 2)),
        rng.integers(4, size=40),
        rng.random(40),
        np.arange(40) % 4 == 3,
        np.zeros(40, bool),
        n_actions=4,
    ).save(tmp_path / "log")
    config = tiny(logging=None, holdout=None, data={"path": str(tmp_path / "log")})
    with pytest.raises(InputError, match="expected whole numbers in 0 to 4"):
        run(config, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_grid_too_large_for_an_exact_model_is_studied_without_one(tmp_path):
    config = tiny(
        environment={"size": 65, "n_hazards": 1, "horizon": 200},
        logging={"episodes": 6, "seed": 1},
        rollouts={"episodes": 2},
        candidates=TINY["candidates"][1:],
    )
    study = run(config, out=tmp_path / "run", progress=False)
    assert study.judgements["CQL"].exact is None
    assert study.judgements["CQL"].rollout is not None


def test_a_run_of_other_versions_is_not_gone_on_with(tmp_path, monkeypatch):
    out = tmp_path / "run"
    stopped_at(monkeypatch, pipeline, "judge", out=out)
    manifest = read(out / "manifest.json")
    manifest["versions"]["jax"] = "0.0.1"
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"began with jax 0\.0\.1"):
        run(tiny(), out=out, progress=False)
