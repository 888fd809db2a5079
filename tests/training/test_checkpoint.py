"""A stopped run goes on to the same weights, bit for bit; what is not its own checkpoint is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open

import groundschool as gs
from groundschool.errors import InputError
from groundschool.training import checkpoint as checkpoints
from groundschool.training import loop
from learners import SMALL, assert_same_weights, walk_log

LOG = walk_log(episodes=20)


def train(steps=60, log=LOG, **changes):
    return gs.train(log, "cql", steps=steps, **{**SMALL, **changes})


@pytest.fixture
def stop_after(monkeypatch):
    """Make the next run stop, as by Ctrl-C, after so many chunks; tell where each run began."""
    began, real, left = [], loop.run, [None]

    def run(program, state, steps, first=0):
        began.append(first)
        for chunk in real(program, state, steps, first):
            yield chunk
            if left[0] is not None:
                left[0] -= 1
                if left[0] == 0:
                    raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run", run)

    def stop(chunks):
        left[0] = chunks
        return began

    return stop


@pytest.mark.parametrize("population", [False, True])
def test_a_stopped_run_goes_on(tmp_path, stop_after, population):
    def run(**more):
        if population:
            settings = [{**SMALL, "conservative_weight": weight} for weight in (0.1, 1.0)]
            return gs.train_population(LOG, "cql", steps=60, seeds=(1, 2), settings=settings, **more)
        return [train(seed=1, **more)]

    whole = run()
    directory = tmp_path / "not" / "yet" / "there"
    began = stop_after(4)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=directory)
    stop_after(3)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=str(directory))
    stop_after(None)
    resumed = run(checkpoint=directory)
    assert began == [0, 0, 12, 21]
    assert [entry.name for entry in directory.iterdir()] == [checkpoints.FILE]
    again = run(checkpoint=directory)  # a finished run is only read
    for expected, *others in zip(whole, resumed, again, strict=True):
        for policy in others:
            assert_same_weights(policy, expected)
            assert policy.training.curves == expected.training.curves
            assert policy.training.seconds > 0
    checkpoints.remove(directory)
    assert not list(directory.iterdir())


def test_going_on_with_other_chunks(tmp_path, stop_after, monkeypatch):
    whole = train()
    stop_after(4)
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=tmp_path)
    stop_after(None)
    monkeypatch.setattr(loop, "CHUNKS", 7)
    assert_same_weights(train(checkpoint=tmp_path), whole)


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"steps": 61}, {"learning_rate": 0.02}, {"log": walk_log(episodes=20, seed=1)}],
    ids=["seed", "steps", "option", "log"],
)
def test_the_checkpoint_of_another_run_is_refused(tmp_path, change):
    train(checkpoint=tmp_path)
    with pytest.raises(InputError, match=r"belongs to another run .*delete it or choose another directory"):
        train(checkpoint=tmp_path, **change)


def test_a_stale_partial_file_is_no_hindrance(tmp_path):
    (tmp_path / f".{checkpoints.FILE}.12345").write_bytes(b"half")
    train(checkpoint=tmp_path)
    assert_same_weights(train(checkpoint=tmp_path), train())


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="expected a directory"):
        train(checkpoint=tmp_path / "file")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


STATE = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.int32(7), jnp.array([True, False]))}
CURVES = [{"step": [3, 6], "loss": [0.1, 1 / 3]}]


@pytest.fixture
def saved(tmp_path):
    checkpoints.save(tmp_path, checkpoints.Checkpoint(6, STATE, CURVES, 1.5), "owner")
    return tmp_path


def test_round_trip(saved):
    found = checkpoints.load(saved, STATE, "owner")
    assert (found.step, found.curves, found.seconds) == (6, CURVES, 1.5)
    assert found.state["b"][0].dtype == np.int32
    np.testing.assert_array_equal(found.state["a"], STATE["a"])
    np.testing.assert_array_equal(found.state["b"][1], STATE["b"][1])
    assert checkpoints.load(saved / "elsewhere", STATE, "owner") is None


def test_every_flipped_byte_is_refused(saved):
    path = saved / checkpoints.FILE
    payload = path.read_bytes()
    for position in range(len(payload)):
        for change in (0x01, 0x80):
            path.write_bytes(payload[:position] + bytes([payload[position] ^ change]) + payload[position + 1 :])
            with pytest.raises(InputError, match=r"not a readable|corrupted|belongs to another"):
                checkpoints.load(saved, STATE, "owner")


@pytest.mark.parametrize(
    ("old", "new"), [(b"[2,3]", b"[3,2]"), (b'"I32"', b'"F32"'), (b'\\"step\\": 6', b'\\"step\\": 9')]
)
def test_other_facts_about_the_same_bytes_are_refused(saved, old, new):
    path = saved / checkpoints.FILE
    payload = path.read_bytes()
    assert payload.count(old) == 1
    path.write_bytes(payload.replace(old, new))
    with pytest.raises(InputError, match="corrupted"):
        checkpoints.load(saved, STATE, "owner")


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(saved, kept):
    path = saved / checkpoints.FILE
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        checkpoints.load(saved, STATE, "owner")


CHILD = """
import sys
from groundschool.training import loop
import test_checkpoint
loop.CHUNKS = 3_000
test_checkpoint.train(steps=3_000, checkpoint=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_killed_and_started_again(tmp_path):
    here = os.path.dirname(__file__)
    path = os.pathsep.join([here, os.path.dirname(here), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], env={**os.environ, "PYTHONPATH": path})
    deadline = time.monotonic() + 120
    while not (tmp_path / checkpoints.FILE).exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL
    with safe_open(tmp_path / checkpoints.FILE, framework="numpy") as file:
        facts = file.metadata()["facts"]
    assert '"step": 3000,' not in facts
    assert_same_weights(train(steps=3_000, checkpoint=tmp_path), train(steps=3_000))
