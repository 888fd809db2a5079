"""A study whose candidates are counted from the log, not trained: no JAX, no curves, and still a gate and a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool import pipeline
from groundschool.cli.app import app
from groundschool.config import load_config, tutorial_config
from groundschool.errors import InputError
from groundschool.pipeline import plan, run
from studies import TINY, tiny

EXAMPLE = tutorial_config().parent / "certifiable.toml"
MADE = [
    {"name": "Pruned", "algorithm": "pruned", "thresholds": {"probability:hazard": 0.2}},
    {"name": "SPIBB", "algorithm": "spibb", "least_count": 2, "greedy": True},
    {"name": "MP", "algorithm": "most_provable", "folds": 2},
]
LOGS = {"logging": {"episodes": 80, "seed": 1}, "holdout": {"episodes": 120, "seed": 2}}


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(pipeline, "export", lambda data, path: path / "report.html")
    monkeypatch.setattr(pipeline, "_ship", lambda *args: None)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "certifiable"
    result = CliRunner().invoke(app, ["run", str(EXAMPLE), "--out", str(out), "--exit-verdict"])
    return out, result


class TestTheExample:
    def test_it_ends_in_a_finite_sample_go(self, example):
        out, result = example
        assert result.exit_code == 0, result.output
        assert result.stdout.count("finite-sample   shown") == 2
        told = json.loads((out / "verdict.json").read_text())
        assert (told["decision"], told["policy"]) == ("GO", "Pruned, guarded")
        assert {one["assurance"] for one in told["findings"]} == {"finite-sample"}

    def test_what_ships_is_near_the_logger_and_keeps_the_limit_in_truth(self, example):
        out, _ = example
        config = load_config(EXAMPLE)
        shipped = gs.load(out / "bundle")
        exact = gs.HazardGrid(**config.environment.options).model().evaluate(shipped)
        assert exact.probabilities["hazard"] <= config.gate.constraints[0].limit

    def test_the_report_tells_counted_from_trained(self, example):
        out, _ = example
        page = (out / "report.html").read_text(encoding="utf-8")
        section = page[page.index('<section id="training">') : page.index('<section id="provenance">')]
        assert section.count("none: counted") == 2
        assert section.count("of 207 states are changed") == 2  # each said once
        assert not list((out / "figures").glob("training*"))
        card = (out / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert "Counted from the log by pruned, seed 0, on 500 episodes" in card
        assert (out / "metrics.jsonl").read_text() == ""

    def test_a_saved_candidate_decides_as_it_did(self, example):
        out, _ = example
        again = gs.Pruned({"probability:hazard": 0.3}, name="Pruned")(gs.Dataset.load(out / "log"))
        starts = pipeline.open_world(load_config(EXAMPLE)).holdout.observations[:500]
        assert (gs.load(out / "policies" / "Pruned").probabilities(starts) == again.probabilities(starts)).all()

    def test_it_says_no_key_that_is_not_checked(self):
        raw = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
        assert raw["gate"]["assurance"] == "finite-sample"
        assert {one["algorithm"] for one in raw["candidates"]} == {"pruned", "spibb"}


@pytest.mark.usefixtures("no_figures")
class TestBesideTrainedOnes:
    def test_all_are_saved_compared_and_judged(self, tmp_path):
        config = tiny(**LOGS, candidates=[*MADE, TINY["candidates"][0]], gate={"baseline": "logger"})
        done = run(config, out=tmp_path / "run", progress=False)
        names = ["Pruned", "SPIBB", "SPIBB-greedy", "MP", "BC", "BC-greedy"]
        assert list(done.policies) == list(done.judgements) == list(done.answers) == names
        assert {one.candidate for one in done.standings} == {"logger", *names}
        for name in names:
            saved = gs.load(tmp_path / "run" / "policies" / name)
            starts = done.log.observations[:100]
            assert (saved.probabilities(starts) == done.policies[name].probabilities(starts)).all()
        lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        assert {json.loads(line)["policy"] for line in lines} == {"BC"}

    def test_what_was_made_is_not_made_again(self, tmp_path, monkeypatch):
        def stop(*args, **kwargs):
            raise KeyboardInterrupt

        config = tiny(**LOGS, candidates=MADE)
        with monkeypatch.context() as patched:
            patched.setattr(pipeline, "judge", stop)
            with pytest.raises(KeyboardInterrupt):
                run(config, out=tmp_path / "run", progress=False)
        assert [one["trained"] for one in plan(config, out=tmp_path / "run")["candidates"]] == [True] * 3
        monkeypatch.setattr(pipeline, "train_candidate", stop)
        assert set(run(config, out=tmp_path / "run", progress=False).policies) >= {"Pruned", "SPIBB", "MP"}

    def test_a_clone_can_stand_behind_one(self, tmp_path):
        config = tiny(
            **LOGS, candidates=[MADE[0], TINY["candidates"][0]], gate={"baseline": "none", "constraints": [
                {"name": "hazard", "limit": 0.9}]}, guard={"fallback": "clone"},
        )  # fmt: skip
        assert run(config, out=tmp_path / "run", progress=False).verdict is not None


class TestPlan:
    def test_it_has_no_steps(self, tmp_path):
        planned = plan(tiny(**LOGS, candidates=MADE), out=tmp_path / "run")
        assert [(one["algorithm"], one["steps"]) for one in planned["candidates"]] == [
            ("pruned", None), ("spibb", None), ("most_provable", None),
        ]  # fmt: skip
        config = tmp_path / "study.json"
        config.write_text(json.dumps(tiny(**LOGS, candidates=MADE).resolved()))
        shown = CliRunner().invoke(app, ["run", str(config), "--out", str(tmp_path / "run"), "--dry-run"])
        assert shown.exit_code == 0, shown.output
        assert "pruned, made from the log" in shown.stdout

    @pytest.mark.parametrize("begin", [run, plan], ids=["run", "plan"])
    def test_what_the_log_cannot_answer_leaves_nothing(self, begin, tmp_path):
        wrong = {"name": "P", "algorithm": "pruned", "thresholds": {"probability:hazrd": 0.3}}
        with pytest.raises(InputError, match=r"candidate P: .*hazrd.*Did you mean"):
            begin(tiny(candidates=[wrong]), out=tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_without_trained_candidates_jax_stays_out(tmp_path):
    code = (
        "import sys; from studies import tiny; from groundschool import pipeline; "
        "pipeline.export = lambda data, path: path / 'report.html'; "
        f"pipeline.run(tiny(candidates={MADE!r}, evaluation={{'methods': ['auto']}}), out={str(tmp_path / 'run')!r}, "
        "progress=False); print([name for name in ('jax', 'equinox', 'optax') if name in sys.modules])"
    )
    path = [str(Path(__file__).parent), *sys.path]
    told = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"], capture_output=True, text=True
    )  # fmt: skip
    assert told.stdout.strip() == "[]", told.stderr
