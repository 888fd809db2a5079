"""A real process, really stopped: by Ctrl-C and by kill -9; what goes on ends in the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from studies import TINY_TOML

STEPS = 15_000


def start(config, out):
    command = [sys.executable, "-m", "groundschool", "run", str(config), "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stop_once_training(process, out, sent):
    """Send a signal once the second candidate has a checkpoint."""
    deadline = time.monotonic() + 120
    while not (out / "checkpoints" / "CQL" / "checkpoint.safetensors").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, sent)
    return process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path):
    config = tmp_path / "study.toml"
    head, tail = TINY_TOML.rsplit("steps = 60", 1)
    config.write_text(f"{head}steps = {STEPS}{tail}", encoding="utf-8")
    whole = start(config, tmp_path / "whole")
    _, stderr = whole.communicate(timeout=300)
    assert whole.returncode == 0, stderr

    out = tmp_path / "stopped"
    process = start(config, out)
    _, stderr = stop_once_training(process, out, signal.SIGINT)
    assert process.returncode == 130, stderr
    assert f"To go on: groundschool run {config} --out {out}" in stderr
    assert "Traceback" not in stderr
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["status"] == "interrupted"

    process = start(config, out)
    stop_once_training(process, out, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    process = start(config, out)
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert "resuming" in stderr
    for name in ("BC", "CQL"):
        bundle = f"policies/{name}/tensors.safetensors"
        assert (out / bundle).read_bytes() == (tmp_path / "whole" / bundle).read_bytes()
