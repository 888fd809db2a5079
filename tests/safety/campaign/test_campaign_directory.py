"""A campaign that is killed at any point goes on from there, and ends as if nothing had been."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import groundschool as gs
from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.policies import TabularPolicy
from groundschool.safety.campaign import plan
from wards import POLICY, Ward

N = 5
WHOLE = {"max_episodes": N, "min_episodes": N, "seed": 4, "constraint": gs.Constraint("cost", limit=0.6)}


class Killed(BaseException):
    """Nothing catches it, like a kill."""


def run(env, out=None, **change):
    return gs.campaign(env, POLICY, out=out, **{**WHOLE, **change})


def facts(result):
    """Everything but that there were attempts."""
    said = result.to_json()
    said["notes"] = [note for note in said["notes"] if "come to an end" not in note]
    return {name: value for name, value in said.items() if name != "broken_off"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """No test here takes the power away."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def whole():
    result = run(Ward(0.05))
    assert result.episodes == N
    return facts(result)


def test_kept_or_not_the_result_is_the_same(whole, tmp_path):
    result = run(Ward(0.05), tmp_path / "out")
    assert facts(result) == whole
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["campaign.json", "log"]
    assert Dataset.load(tmp_path / "out" / "log").fingerprint == whole["fingerprint"]
    record = json.loads((tmp_path / "out" / "campaign.json").read_text())
    assert record["status"] == "finished"
    assert record["result"] == json.loads(json.dumps(result.to_json()))


def test_a_finished_campaign_is_shown_and_nothing_runs(whole, tmp_path):
    run(Ward(0.05), tmp_path / "out")
    env = Ward(0.05)
    again = run(env, tmp_path / "out")
    assert facts(again) == whole
    assert env.episodes == 0


@pytest.mark.parametrize(
    "error",
    [Killed, *(pytest.param(each, marks=pytest.mark.slow) for each in (RuntimeError, OSError, KeyboardInterrupt))],
)
def test_an_environment_that_fails_at_any_step_is_taken_up(error, whole, tmp_path):
    for step in range(1, 3 * N + 1):
        out = tmp_path / str(step)

        def fail(total, step=step):
            if total == step:
                raise error("the device is gone")

        with pytest.raises(error, match="the device is gone"):
            run(Ward(0.05, on_step=fail), out)
        kept = [entry for entry in (out / "episodes").iterdir() if entry.is_dir()]
        assert len(kept) == (step - 1) // 3  # every episode that ended, and no other
        env = Ward(0.05)
        result = run(env, out)
        assert facts(result) == whole
        assert env.episodes == N - len(kept)
        assert result.broken_off == ((step - 1) // 3,)
        assert any("1 attempt at an episode did not come to an end" in note for note in result.notes)


WRITERS = [(os, "replace"), (os, "fsync"), (Dataset, "save"), (Path, "touch"), (Path, "unlink"), (shutil, "rmtree")]


@pytest.mark.parametrize("error", [Killed, pytest.param(OSError, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("owner", "name"), WRITERS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_failure_in_any_write_is_taken_up(owner, name, error, whole, tmp_path, monkeypatch):
    every_call_fails_once(owner, name, error, whole, tmp_path, monkeypatch, stride=4)


@pytest.mark.slow
@pytest.mark.parametrize(("owner", "name"), WRITERS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_failure_in_every_single_write_is_taken_up(owner, name, whole, tmp_path, monkeypatch):
    every_call_fails_once(owner, name, Killed, whole, tmp_path, monkeypatch, stride=1)


def every_call_fails_once(owner, name, error, whole, tmp_path, monkeypatch, stride):
    """The k-th call of a function that writes fails, before or after it did its work."""
    genuine = getattr(owner, name)
    for after in (False, True):
        for k in range(1, 200, stride):
            out, calls = tmp_path / f"{after}-{k}", 0

            def failing(*args, k=k, after=after, **options):
                nonlocal calls
                calls += 1
                if calls == k and not after:
                    raise error("no room")
                result = genuine(*args, **options)
                if calls == k:
                    raise error("no room")
                return result

            with monkeypatch.context() as patch:
                patch.setattr(owner, name, failing)
                with contextlib.suppress(Killed, InputError, OSError):
                    run(Ward(0.05), out)
            assert facts(run(Ward(0.05), out)) == whole
            assert facts(run(Ward(0.05), out)) == whole
            assert not (out / "episodes").exists()
            if calls < k:
                break


def test_a_kill_from_outside_is_taken_up(whole, tmp_path):
    """The process ends in the middle of the fourth episode, without any goodbye."""
    script = (
        "import os, sys; sys.path[:0] = [sys.argv[2]]\n"
        "import groundschool as gs\n"
        "from wards import POLICY, Ward\n"
        "env = Ward(0.05, on_step=lambda total: os._exit(9) if total == 11 else None)\n"
        "gs.campaign(env, POLICY, out=sys.argv[1], max_episodes=5, min_episodes=5, seed=4,\n"
        "            constraint=gs.Constraint('cost', limit=0.6))\n"
    )
    tests = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "out", tests], check=False, cwd=tmp_path)
    assert killed.returncode == 9
    result = run(Ward(0.05), tmp_path / "out")
    assert facts(result) == whole
    assert result.broken_off == (3,)


def test_half_an_episode_left_by_a_kill_is_no_episode(whole, tmp_path):
    def fail(total):
        if total == 8:
            raise Killed

    with pytest.raises(Killed):
        run(Ward(0.05, on_step=fail), tmp_path / "out")
    half = tmp_path / "out" / "episodes" / ".000002.0123abcd.tmp"
    half.mkdir()
    (half / "part-00000.parquet").write_bytes(b"PAR1")
    assert facts(run(Ward(0.05), tmp_path / "out")) == whole


def unfinished(out, episodes=3):
    def fail(total):
        if total > 3 * episodes:
            raise Killed

    with pytest.raises(Killed):
        run(Ward(0.05, on_step=fail), out)


OTHER = TabularPolicy(np.array([[0.5, 0.5], [0.3, 0.7], [0.8, 0.2]]), name="careful")
PLANS = [
    ({"seed": 5}, "seed was 4, is 5"),
    ({"max_episodes": 10}, "max_episodes was 5, is 10"),
    ({"confidence": 0.9}, "confidence was 0.95, is 0.9"),
    ({"constraint": gs.Constraint("cost", limit=0.61)}, "constraint.limit was 0.6, is 0.61"),
    ({"design": "fixed"}, 'design was "sequential", is "fixed"'),
    ({"predicted": {"value": 0.1, "lower": 0.0, "upper": 0.2}}, "predicted was [], is"),
    ({"return_range": (0, 3)}, "return_range was null, is [0.0, 3.0]"),
    ({"cost": {"far": "observation == 2"}}, "costs.far was null"),
    ({"policy": OTHER}, "policy.sha256 was"),
    ({"env": gs.HazardGrid(size=5, n_hazards=1, horizon=20), "policy": None}, "policy.name was"),
]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(("change", "sentence"), PLANS)
def test_another_plan_is_refused(change, sentence, done, tmp_path):
    out = tmp_path / "out"
    if done:
        run(Ward(0.05), out)
    else:
        unfinished(out)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    env = change.get("env") or Ward(0.05)
    policy = change.get("policy", POLICY) or env.logger()
    rest = {name: value for name, value in change.items() if name not in ("env", "policy")}
    with pytest.raises(InputError, match="another plan") as error:
        gs.campaign(env, policy, out=out, **{**WHOLE, **rest})
    assert sentence in str(error.value)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_a_plan_is_that_of_its_version(tmp_path, monkeypatch):
    unfinished(tmp_path / "out")
    monkeypatch.setattr(plan.metadata, "version", lambda name: "99.0")
    with pytest.raises(InputError, match=r'groundschool was "[0-9.]+", is "99.0"'):
        run(Ward(0.05), tmp_path / "out")


def damage(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)


def test_damage_is_refused(tmp_path):
    unfinished(tmp_path / "a")
    damage(tmp_path / "a" / "episodes" / "000001" / "part-00000.parquet")
    with pytest.raises(InputError, match="damaged"):
        run(Ward(0.05), tmp_path / "a")
    run(Ward(0.05), tmp_path / "b")
    damage(tmp_path / "b" / "log" / "part-00000.parquet")
    with pytest.raises(InputError, match="damaged"):
        run(Ward(0.05), tmp_path / "b")
    unfinished(tmp_path / "c")
    (tmp_path / "c" / "campaign.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read"):
        run(Ward(0.05), tmp_path / "c")
    unfinished(tmp_path / "d")
    (tmp_path / "d" / "episodes" / "000001").rename(tmp_path / "d" / "elsewhere")
    with pytest.raises(InputError, match="episode 000001 is missing"):
        run(Ward(0.05), tmp_path / "d")


def test_another_log_in_a_finished_campaign_is_refused(tmp_path):
    run(Ward(0.05), tmp_path / "out")
    other = run(Ward(0.05), seed=5).dataset
    other.save(tmp_path / "out" / "log", force=True)
    with pytest.raises(InputError, match="is not the log that"):
        run(Ward(0.05), tmp_path / "out")


def test_places_that_are_something_else_are_left_alone(tmp_path):
    (tmp_path / "file").write_text("years")
    with pytest.raises(InputError, match="is a file"):
        run(Ward(0.05), tmp_path / "file")
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="it is no campaign"):
        run(Ward(0.05), tmp_path)
    with pytest.raises(InputError, match="cannot be written"):
        run(Ward(0.05), tmp_path / "file" / "out")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "thesis.tex"]


@pytest.mark.skipif(sys.platform == "win32", reason="no file locks")
def test_one_process_at_a_time(tmp_path):
    refused = []

    def second(total):
        if total == 5:
            with pytest.raises(InputError, match="is in use") as error:
                run(Ward(0.05), tmp_path / "out")
            refused.append(error)

    run(Ward(0.05, on_step=second), tmp_path / "out")
    assert len(refused) == 1
