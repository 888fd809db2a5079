"""The ledger of looks: what was fixed stays fixed, what was opened was opened, and a crash is no verdict."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool.cli.app import app
from groundschool.data.lock import LOCK
from groundschool.gate_directory import LEDGER, VERDICT, GateDirectory
from groundschool.safety.criteria import Criteria
from groundschool.safety.gate import judge

LIMIT = gs.Constraint("harm", limit=0.3)
POLICY = gs.TabularPolicy([[0.0, 1.0], [0.0, 1.0]], name="always 1")


def bandit(n):
    rng = np.random.default_rng(0)
    state, action = rng.integers(0, 2, n), rng.integers(0, 2, n)
    harmed = rng.random(n) < 0.1
    return gs.Dataset.from_arrays(
        state, action, -harmed.astype(float), np.ones(n, bool), np.zeros(n, bool), costs={"harm": harmed.astype(float)},
        propensities=np.full(n, 0.5), n_actions=2, final_observations=state, return_range=(-1.0, 0.0), horizon=1,
    )  # fmt: skip


FEW, MORE, MOST = bandit(60), bandit(120), bandit(240)


def opened(path, criteria, log, **means):
    with GateDirectory(path) as directory:
        return directory.open(criteria, "p", log, **means)


def look(path, criteria, log, policy="p"):
    directory = GateDirectory(path)
    number = directory.open(criteria, policy, log)
    directory.record(judge(log, POLICY, criteria, look=number))
    return number


def test_one_look_is_taken_once_and_gives_the_same_verdict_again(tmp_path):
    criteria = Criteria((LIMIT,))
    assert look(tmp_path / "gate", criteria, FEW) == 1
    before = (tmp_path / "gate" / VERDICT).read_bytes()
    assert look(tmp_path / "gate", criteria, FEW) == 1
    assert (tmp_path / "gate" / VERDICT).read_bytes() == before
    with pytest.raises(gs.InputError, match=r"one look was planned, and taken, on 60 episodes\. .* \(--looks\)"):
        look(tmp_path / "gate", criteria, MORE)
    assert len(GateDirectory(tmp_path / "gate").looks) == 1


def test_a_plan_of_several_looks_is_followed_to_its_end(tmp_path):
    criteria = Criteria((LIMIT,), looks=2)
    assert [look(tmp_path, criteria, log) for log in (FEW, MORE)] == [1, 2]
    with pytest.raises(gs.InputError, match="2 looks were planned, and taken"):
        look(tmp_path, criteria, MOST)
    told = json.loads((tmp_path / LEDGER).read_text())
    assert [(one["look"], one["episodes"], one["decision"] is None) for one in told["looks"]] == [
        (1, 60, False), (2, 120, False)
    ]  # fmt: skip
    assert json.loads((tmp_path / VERDICT).read_text())["tail"] == pytest.approx(0.05 / 4)


@pytest.mark.parametrize(
    ("criteria", "policy", "says"),
    [
        (Criteria((gs.Constraint("harm", limit=0.4),), looks=2), "p", r"criteria are fixed .* \(constraints was"),
        (Criteria((LIMIT,), looks=3), "p", "looks was 2, is 3"),
        (Criteria((LIMIT,), looks=2, confidence=0.9), "p", r"confidence was 0\.95, is 0\.9"),
        (Criteria((LIMIT,), looks=2), "q", "another policy was taken to this gate"),
    ],
)
def test_what_was_fixed_is_not_changed_after_a_look(tmp_path, criteria, policy, says):
    look(tmp_path, Criteria((LIMIT,), looks=2), FEW)
    before = (tmp_path / LEDGER).read_bytes()
    with pytest.raises(gs.InputError, match=says):
        look(tmp_path, criteria, MORE, policy)
    assert (tmp_path / LEDGER).read_bytes() == before


def test_another_seed_or_another_logger_is_no_second_chance(tmp_path):
    criteria = Criteria((LIMIT,), looks=2)
    opened(tmp_path, criteria, FEW, seed=3, behavior_fingerprint="b")
    before = (tmp_path / LEDGER).read_bytes()
    for log in (FEW, MORE):
        with pytest.raises(gs.InputError, match=r"the seed was 3, is 4\. .* the best of several none"):
            opened(tmp_path, criteria, log, seed=4, behavior_fingerprint="b")
        with pytest.raises(gs.InputError, match=r"who wrote the log \(--behavior\) was fixed"):
            opened(tmp_path, criteria, log, seed=3)
    assert (tmp_path / LEDGER).read_bytes() == before
    assert opened(tmp_path, criteria, MORE, seed=3, behavior_fingerprint="b") == 2


def test_a_baseline_is_known_by_more_than_its_name(tmp_path):
    one, other = (gs.TabularPolicy([[share, 1.0 - share]] * 2, name="b") for share in (0.2, 0.9))
    opened(tmp_path, Criteria(baseline=one), FEW)
    assert opened(tmp_path, Criteria(baseline=gs.TabularPolicy(one.table, name="b")), FEW) == 1
    with pytest.raises(gs.InputError, match=r"\(baseline was "):
        opened(tmp_path, Criteria(baseline=other), FEW)


def test_a_decided_look_is_not_decided_otherwise(tmp_path):
    criteria = Criteria((LIMIT,))
    look(tmp_path, criteria, MORE)
    verdict = judge(MORE, POLICY, criteria)
    before = [(tmp_path / name).read_bytes() for name in (LEDGER, VERDICT)]
    other = "GO" if verdict.decision != "GO" else "NO-GO"
    with pytest.raises(gs.InputError, match=rf"look 1 was decided, {verdict.decision}, and now gives {other}"):
        GateDirectory(tmp_path).record(dataclasses.replace(verdict, decision=other))
    assert [(tmp_path / name).read_bytes() for name in (LEDGER, VERDICT)] == before


def test_half_a_ledger_of_a_killed_process_is_no_obstacle(tmp_path):
    (tmp_path / f".{LEDGER}.4711").write_text('{"format":')
    assert look(tmp_path, Criteria((LIMIT,)), FEW) == 1


def test_a_crash_after_opening_counts_as_a_look_and_is_no_verdict(tmp_path, monkeypatch):
    criteria = Criteria((LIMIT,))
    with GateDirectory(tmp_path) as directory:
        directory.open(criteria, "p", FEW)
    assert [one["decision"] for one in GateDirectory(tmp_path).looks] == [None]
    assert not (tmp_path / VERDICT).exists()
    with pytest.raises(gs.InputError, match="one look was planned"):
        look(tmp_path, criteria, MORE)
    assert look(tmp_path, criteria, FEW) == 1  # taken up
    assert GateDirectory(tmp_path).looks[0]["decision"] is not None


def test_nothing_is_written_before_a_look(tmp_path):
    GateDirectory(tmp_path / "gate")
    assert not (tmp_path / "gate").exists()


def test_what_is_no_gate_is_left_as_it_is(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(gs.InputError, match=r"holds no ledger of a gate"):
        GateDirectory(tmp_path)
    with pytest.raises(gs.InputError, match=r"holds no ledger of a gate"):
        GateDirectory(tmp_path / "mine.txt")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": "x", "format_version": 1, "looks": []}', '{"format": "groundschool gate"}',
             '{"format": "groundschool gate", "format_version": 2, "looks": []}'],
)  # fmt: skip
def test_a_ledger_that_cannot_be_read_is_not_started_anew(tmp_path, text):
    (tmp_path / LEDGER).write_text(text)
    with pytest.raises(gs.InputError, match="cannot be read as a ledger of this version"):
        GateDirectory(tmp_path)
    assert (tmp_path / LEDGER).read_text() == text


def test_a_ledger_whose_parts_do_not_fit_is_refused(tmp_path):
    look(tmp_path, Criteria((LIMIT,), looks=3), FEW)
    whole = json.loads((tmp_path / LEDGER).read_text())
    looks = whole["looks"]
    changed = [{name: value for name, value in whole.items() if name != gone} for gone in whole]
    changed += [{**whole, name: wrong} for name in whole for wrong in (None, 3.5, "x", [1], {})
                if (name, wrong) not in (("behavior_fingerprint", None), ("behavior_fingerprint", "x"),
                                         ("policy_fingerprint", "x"))]  # fmt: skip
    changed += [{**whole, "criteria": {**whole["criteria"], "looks": 50}}, {**whole, "looks": [*looks, *looks]}]
    changed += [{**whole, "looks": [{**looks[0], name: wrong}]} for name in looks[0] for wrong in (None, -1, "no")
                if (name, wrong) not in (("decision", None), ("log", "no"), ("episodes", -1))]  # fmt: skip
    for one in changed:
        (tmp_path / LEDGER).write_text(json.dumps(one))
        with pytest.raises(gs.InputError, match="cannot be read as a ledger of this version"):
            GateDirectory(tmp_path)
    (tmp_path / LEDGER).write_text("[" * 100_000)
    with pytest.raises(gs.InputError, match="cannot be read as a ledger of this version"):
        GateDirectory(tmp_path)


class TestTwoAtOnce:
    CRITERIA = Criteria((LIMIT,))

    def test_who_comes_second_is_refused_and_leaves_the_ledger_alone(self, tmp_path):
        first, second = GateDirectory(tmp_path / "gate"), GateDirectory(tmp_path / "gate")
        assert first.open(self.CRITERIA, "p", FEW) == 1
        before = (tmp_path / "gate" / LEDGER).read_bytes()
        with pytest.raises(gs.InputError, match="in use: another process is looking at this gate"):
            second.open(self.CRITERIA, "p", MORE)
        assert (tmp_path / "gate" / LEDGER).read_bytes() == before
        first.record(judge(FEW, POLICY, self.CRITERIA))
        with pytest.raises(gs.InputError, match="one look was planned, and taken, on 60 episodes"):
            second.open(self.CRITERIA, "p", MORE)  # it was made before the first look, and knows of it now
        with second:
            assert second.open(self.CRITERIA, "p", FEW) == 1

    def test_a_refused_look_gives_the_gate_back(self, tmp_path):
        look(tmp_path, self.CRITERIA, FEW)
        refused = GateDirectory(tmp_path)
        with pytest.raises(gs.InputError, match="one look was planned"):
            refused.open(self.CRITERIA, "p", MORE)
        assert look(tmp_path, self.CRITERIA, FEW) == 1
        assert not (tmp_path / LOCK).exists()

    def test_a_look_that_fails_gives_the_gate_back(self, tmp_path):
        def fail():
            with GateDirectory(tmp_path) as directory:
                directory.open(self.CRITERIA, "p", FEW)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert look(tmp_path, self.CRITERIA, FEW) == 1

    def test_what_a_crash_left_behind_holds_nobody_up(self, tmp_path):
        (tmp_path / LOCK).write_text("")  # nobody holds it: the process is gone
        assert look(tmp_path, self.CRITERIA, FEW) == 1

    def test_of_two_processes_one_looks(self, tmp_path):
        """One is stopped in the middle of its look; the other gets a sentence and exit code 2; the first is killed."""
        MOST.save(tmp_path / "log")
        POLICY.save(tmp_path / "bundle")
        words = ["gate", str(tmp_path / "bundle"), str(tmp_path / "log"), "--out", str(tmp_path / "gate")]
        words += ["--limit", "harm<=0.3", "--baseline", "none"]
        code = (
            "import groundschool.safety.gate as gate, time, sys; "
            "gate.judge = lambda *a, **k: (print('looking', flush=True), time.sleep(600)); "
            f"from groundschool.cli import main; sys.argv[1:] = {words!r}; main()"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as slow:
            try:
                assert slow.stdout.readline() == "looking\n"
                second = CliRunner().invoke(app, words)
                assert second.exit_code == 2
                assert "in use: another process is looking at this gate" in second.stderr
                assert second.stderr.count("\n") == 1
                assert not (tmp_path / "gate" / VERDICT).exists()
            finally:
                slow.kill()
        assert CliRunner().invoke(app, words).exit_code == 0  # the look of the dead one, taken up
        assert len(GateDirectory(tmp_path / "gate").looks) == 1
