"""Bad input: one sentence on stderr, exit code 2, nothing on stdout, nothing half written."""

from __future__ import annotations

import shutil

import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool.cli.app import app
from studies import TINY_TOML

GRID = ("--env", "groundschool/HazardGrid-v0")
TRAIN = ("train", "{log}", "cql", "--out", "{out}", "--steps", "20", "--set", "hidden=[8]")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """What the rows below point at, each with its own damage."""
    place = tmp_path_factory.mktemp("shelf")
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    gs.collect(grid, grid.logger(), 20, 0).save(place / "log")
    policy = gs.train(gs.Dataset.load(place / "log"), "bc", steps=5, hidden=(8,), checkpoint=place / "checkpoint")
    policy.save(place / "bundle")
    for kind, file in (("bundle", "tensors.safetensors"), ("log", "part-00000.parquet")):
        shutil.copytree(place / kind, place / f"corrupt-{kind}")
        damaged = place / f"corrupt-{kind}" / file
        data = bytearray(damaged.read_bytes())
        data[len(data) // 2] ^= 0xFF
        damaged.write_bytes(data)
    (place / "study.toml").write_text(TINY_TOML, encoding="utf-8")
    (place / "typo.toml").write_text(TINY_TOML.replace("episodes = 30", "episode = 30"), encoding="utf-8")
    (place / "range.toml").write_text(TINY_TOML.replace("steps = 60", "steps = 0", 1), encoding="utf-8")
    (place / "alpha.toml").write_text(TINY_TOML.replace('"cql"', '"cql"\nalpha = 6.0'), encoding="utf-8")
    (place / "binary.toml").write_bytes(bytes(range(256)))
    (place / "full").mkdir()
    (place / "full" / "thesis.tex").write_text("years", encoding="utf-8")
    return place


ROWS = [
    (("run", "{shelf}/missing.toml", "--out", "{out}"), "missing.toml does not exist"),
    (("run", "{shelf}", "--out", "{out}"), "cannot be read"),
    (("run", "{shelf}/binary.toml", "--out", "{out}"), "binary.toml is not valid TOML"),
    (("run", "{shelf}/typo.toml", "--out", "{out}"), "logging.episode is not a known key. Did you mean 'episodes'?"),
    (("run", "{shelf}/range.toml", "--out", "{out}"), "candidates[0].steps is 0, expected a whole number > 0"),
    (("run", "{shelf}/alpha.toml", "--out", "{out}"), "candidates[1].alpha is not a known key: it is called"),
    (("run", "{shelf}/study.toml", "--out", "{shelf}/full"), "is no run of groundschool"),
    (("run", "{shelf}/study.toml", "--out", "{shelf}/full", "--force"), "is no run of groundschool"),
    (("run", "{shelf}/study.toml", "--out", "{out}", "--seed", "-1"), "seed is -1"),
    (("run", "{shelf}/study.toml", "--out", "{out}", "--device", "abacus"), "device is 'abacus'"),
    (("run", "{shelf}/study.toml", "--out", "{shelf}/study.toml/run"), "study.toml"),
    (("demo", "--out", "{shelf}/full", "--force"), "is no run of groundschool"),
    (("demo", "--out", "{out}", "--device", "gpu:7"), "gpu:7"),
    (("train", "{shelf}/nothing", "bc", "--out", "{out}"), "nothing"),
    (("train", "{shelf}/corrupt-log", "bc", "--out", "{out}"), "corrupt-log"),
    (("train", "{log}", "cqll", "--out", "{out}"), "Did you mean 'cql'?"),
    (("train", "{log}", "bc", "--out", "{shelf}/bundle"), "already exists"),
    ((*TRAIN, "--set", "alpha=6"), "conservative_weight"),
    ((*TRAIN, "--set", "learning_rate=-1"), "learning_rate"),
    ((*TRAIN, "--set", "learning_rate=fast"), "learning_rate"),
    ((*TRAIN, "--set", "learning_rate"), "expected KEY=VALUE"),
    ((*TRAIN, "--set", "hidden=[4]"), "given twice"),
    ((*TRAIN, "--steps", "0"), "steps"),
    ((*TRAIN, "--device", "gpu:7"), "gpu:7"),
    ((*TRAIN, "--checkpoint", "{shelf}/checkpoint"), "belongs to another run"),
    (("rollout", "{shelf}/nothing", *GRID), "nothing"),
    (("rollout", "{shelf}/corrupt-bundle", *GRID), "corrupt-bundle"),
    (("rollout", "{log}", *GRID), "log"),
    (("rollout", "{shelf}/bundle", "--env", "groundschool/HazardGird-v0"), "HazardGird"),
    (("rollout", "{shelf}/bundle", "--env", "nowhere:make"), "module 'nowhere' cannot be imported"),
    (("rollout", "{shelf}/bundle", "--env", "json:make"), "has no function 'make'"),
    (("rollout", "{shelf}/bundle", "--env", "time:time"), "expected a gymnasium.Env"),
    (("rollout", "{shelf}/bundle", "--env", "CartPole-v1"), "actions"),
    (("rollout", "{shelf}/bundle", *GRID, "--confidence", "95"), "confidence"),
]


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


@pytest.mark.parametrize(("words", "sentence"), ROWS)
def test_one_sentence_and_exit_code_2(shelf, tmp_path, words, sentence):
    before = tree(shelf)
    places = {"shelf": shelf, "out": tmp_path / "out", "log": shelf / "log"}
    result = CliRunner().invoke(app, [word.format(**places) for word in words])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    message = [line for line in result.stderr.splitlines() if line][-1]
    assert message.startswith("error: ")
    assert sentence in message
    assert "Traceback" not in result.stderr
    assert tree(shelf) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("deom",),
        ("demo", "--frce"),
        ("demo", "--budget", "huge"),
        ("run",),
        ("train", "log"),
        ("rollout", "bundle"),
        ("rollout", "bundle", *GRID, "--episodes", "0"),
        ("rollout", "bundle", *GRID, "--episodes", "many"),
    ],
)
def test_misuse_is_exit_code_2(words):
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
