"""A log of one's own: its column map drafted, every problem in it named, converted, learned from, studied."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool.cli.app import app

EPISODES = 40


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def ward(**changes):
    """Rows of stays that end after 6 to 9 hours; a column named in `changes` is replaced, or left out where None."""
    rng = np.random.default_rng(5)
    lengths = rng.integers(6, 10, EPISODES)
    stay = np.repeat(np.arange(EPISODES), lengths)
    hour = np.concatenate([np.arange(length) for length in lengths])
    n = len(stay)
    columns = {
        "stay_id": stay,
        "hour": hour,
        "map": np.round(rng.normal(75, 12, n), 1),
        "lactate": np.round(rng.gamma(2.0, 1.0, n), 2),
        "action": rng.integers(0, 3, n),
        "reward": np.round(rng.normal(size=n), 3),
        "p_taken": np.full(n, 1 / 3),
        "patient_id": stay // 2,
    }
    for name, change in changes.items():
        columns[name] = change(columns) if callable(change) else change
    return {name: column for name, column in columns.items() if column is not None}


def write(path, columns):
    """Write a table as the ending of its name says."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    elif path.suffix == ".gz":
        with pa.CompressedOutputStream(str(path), "gzip") as stream:
            pa.csv.write_csv(table, stream)
    else:
        pa.csv.write_csv(table, path)
    return path


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


MAP = """
observations = ["map", "lactate"]
action = "action"
reward = "reward"
episode = "stay_id"
step = "hour"
last_row = "truncated"
group = "patient_id"
propensity = "p_taken"
cost_at = "action"
[costs]
hypotension = "map < 60"
"""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Logs and maps, sound and otherwise."""
    place = tmp_path_factory.mktemp("shelf")
    write(place / "ward.csv", ward())
    write(place / "ward.parquet", ward())
    write(place / "again.csv.gz", ward())
    write(place / "nan.csv", ward(reward=lambda c: np.where(np.arange(len(c["hour"])) == 17, np.nan, c["reward"])))
    write(place / "late.csv", ward(p_taken=lambda c: np.where(c["stay_id"] == EPISODES - 1, 1.5, c["p_taken"])))
    write(place / "measured.csv", ward(action=lambda c: c["lactate"] * 1.5 + 0.01))
    (place / "empty.csv").write_bytes(b"")
    (place / "header.csv").write_text("a,b\n", encoding="utf-8")
    (place / "noise.csv").write_bytes(np.random.default_rng(0).bytes(4_000))
    (place / "noise.parquet").write_bytes(b"PAR1" + np.random.default_rng(0).bytes(4_000))
    (place / "log.pkl").write_bytes(b"\x80\x04}.")
    (place / "map.toml").write_text(MAP, encoding="utf-8")
    (place / "open.toml").write_text(MAP.replace('"truncated"', '"?"'), encoding="utf-8")
    (place / "no_end.toml").write_text(MAP.replace('last_row = "truncated"\n', ""), encoding="utf-8")
    (place / "typo.toml").write_text(MAP.replace("reward =", "rewrad ="), encoding="utf-8")
    (place / "elsewhere.toml").write_text(MAP.replace('"lactate"', '"lactat"'), encoding="utf-8")
    (place / "syntax.toml").write_text(MAP.replace('"map < 60"', '"map <"'), encoding="utf-8")
    (place / "broken.toml").write_text("reward = ", encoding="utf-8")
    measured = MAP.replace("[costs]", 'action_kind = "continuous"\n[costs]')
    (place / "measured.toml").write_text(measured, encoding="utf-8")
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    gs.collect(grid, grid.logger(), 12, 0).save(place / "log")
    return place


class TestInit:
    def test_writes_here_what_it_asks(self, shelf, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        result = invoke("init", shelf / "again.csv.gz")
        assert result.exit_code == 0, result.output
        assert "again.columns.toml: 1 question open" in result.stdout
        assert "last_row: How do episodes end?" in result.stdout
        assert f"groundschool check {shelf}/again.csv.gz --columns again.columns.toml" in result.stdout
        assert [path.name for path in tmp_path.iterdir()] == ["again.columns.toml"]
        values = tomllib.loads((tmp_path / "again.columns.toml").read_text(encoding="utf-8"))
        assert values == {
            "observations": ["map", "lactate"], "action": "action", "reward": "reward", "episode": "stay_id",
            "step": "hour", "last_row": "?", "group": "patient_id", "propensity": "p_taken", "costs": {},
        }  # fmt: skip

    def test_json(self, shelf, tmp_path):
        result = invoke("init", shelf / "ward.csv", "--out", tmp_path / "deep" / "map.toml", "--json")
        printed = json.loads(result.stdout)
        assert printed["columns"] == str(tmp_path / "deep" / "map.toml")
        assert list(printed["questions"]) == ["last_row"]

    def test_both_tables_give_the_same_map(self, shelf, tmp_path):
        for name in ("ward.csv", "ward.parquet"):
            assert invoke("init", shelf / name, "--out", tmp_path / f"{name}.toml").exit_code == 0
        maps = [tomllib.loads((tmp_path / f"{name}.toml").read_text()) for name in ("ward.csv", "ward.parquet")]
        assert maps[0] == maps[1]

    def test_replaces_only_when_told_to_and_only_toml(self, shelf, tmp_path):
        out = tmp_path / "map.toml"
        out.write_text("mine", encoding="utf-8")
        assert invoke("init", shelf / "ward.csv", "--out", out).exit_code == 2
        assert out.read_text(encoding="utf-8") == "mine"
        assert invoke("init", shelf / "empty.csv", "--out", out, "--force").exit_code == 2
        assert out.read_text(encoding="utf-8") == "mine"
        assert invoke("init", shelf / "ward.csv", "--out", out, "--force").exit_code == 0
        assert "stay_id" in out.read_text(encoding="utf-8")
        other = tmp_path / "thesis.tex"
        other.write_text("years", encoding="utf-8")
        assert invoke("init", shelf / "ward.csv", "--out", other, "--force").exit_code == 2
        assert other.read_text(encoding="utf-8") == "years"


class TestCheck:
    def test_a_sound_log(self, shelf):
        result = invoke("check", shelf / "ward.csv", "--columns", shelf / "map.toml", "--json")
        assert result.exit_code == 0, result.output
        printed = json.loads(result.stdout)
        assert printed["counts"]["error"] == 0
        assert printed["n_episodes"] == EPISODES
        assert set(printed) >= {"findings", "checks", "counts", "false_alarm", "n_rows", "notes"}

    def test_errors_are_exit_code_2_and_every_one_is_named(self, shelf):
        words = ("check", shelf / "late.csv", "--columns", shelf / "map.toml")
        result = invoke(*words, "--json")
        assert result.exit_code == 2
        errors = [one for one in json.loads(result.stdout)["findings"] if one["severity"] == "error"]
        assert any(one["where"] == "p_taken" for one in errors)
        shown = invoke(*words)
        assert shown.exit_code == 2
        assert "p_taken" in shown.stdout
        lines = shown.stdout.splitlines()
        words = [line.split()[0] for line in lines if line.split() and line.split()[0] in ("error", "warning", "note")]
        assert words == sorted(words, key=["error", "warning", "note"].index)
        assert "checks ran" in shown.stdout
        assert "chance that a statistical one warns" in shown.stdout

    def test_unsaid_ends_are_a_finding(self, shelf):
        result = invoke("check", shelf / "ward.csv", "--columns", shelf / "no_end.toml", "--json")
        assert result.exit_code == 2
        errors = [one for one in json.loads(result.stdout)["findings"] if one["severity"] == "error"]
        assert errors

    def test_the_same_log_against_itself(self, shelf):
        words = ("check", shelf / "ward.csv", "--columns", shelf / "map.toml", "--json")
        alone = json.loads(invoke(*words).stdout)
        both = json.loads(invoke(*words, "--against", shelf / "ward.parquet").stdout)
        assert "shared-episodes" not in alone["checks"]
        shared = [one for one in both["findings"] if one["check"] == "shared-episodes"]
        assert shared[0]["episodes"] == EPISODES

    def test_a_card_and_a_picture(self, shelf, tmp_path):
        card, picture = tmp_path / "deep" / "ward.md", tmp_path / "ward.png"
        words = ("check", shelf / "ward.csv", "--columns", shelf / "map.toml", "--card", card, "--picture", picture)
        plain = invoke(*words[:4], "--json")
        result = invoke(*words, "--json")
        assert result.exit_code == 0, result.output
        assert result.stdout == plain.stdout
        assert "# ward.csv" in card.read_text(encoding="utf-8")
        assert picture.read_bytes().startswith(b"\x89PNG")
        before = tree(tmp_path)
        again = invoke(*words)
        assert again.exit_code == 2
        assert "exists" in again.stderr
        assert tree(tmp_path) == before
        assert invoke(*words, "--force").exit_code == 0

    def test_a_card_of_a_log_with_errors(self, shelf, tmp_path):
        card = tmp_path / "late.md"
        result = invoke("check", shelf / "late.csv", "--columns", shelf / "map.toml", "--card", card)
        assert result.exit_code == 2
        assert card.is_file()

    def test_a_log_of_ours_needs_no_map(self, shelf):
        assert json.loads(invoke("check", shelf / "log", "--json").stdout)["n_episodes"] == 12

    def test_same_seed_same_findings(self, shelf):
        words = ("check", shelf / "ward.csv", "--columns", shelf / "map.toml", "--json", "--seed", 3)
        assert invoke(*words).stdout == invoke(*words).stdout


class TestConvert:
    def test_to_ours_and_what_it_says(self, shelf, tmp_path):
        out = tmp_path / "log"
        result = invoke("convert", shelf / "ward.csv", out, "--columns", shelf / "map.toml", "--json")
        assert result.exit_code == 0, result.output
        printed = json.loads(result.stdout)
        log = gs.Dataset.load(out)
        assert printed["fingerprint"] == log.fingerprint
        assert (printed["n_episodes"], printed["n_steps"]) == (log.n_episodes, log.n_steps)
        direct = gs.read(shelf / "ward.csv", columns=gs.data.Columns.load(shelf / "map.toml"))
        assert direct.fingerprint == log.fingerprint

    def test_there_and_back(self, shelf, tmp_path):
        first = invoke("convert", shelf / "log", tmp_path / "log.csv")
        assert first.exit_code == 0, first.output
        assert "episodes" in first.stdout

    @pytest.mark.parametrize("to", ["dsrl", "d3rlpy"])
    def test_formats_that_a_name_does_not_show(self, shelf, tmp_path, to):
        asked = invoke("convert", shelf / "log", tmp_path / "log.hdf5")
        assert asked.exit_code == 2
        assert "--to" in asked.stderr
        assert list(tmp_path.iterdir()) == []
        done = invoke("convert", shelf / "log", tmp_path / "log.hdf5", "--to", to)
        assert done.exit_code == 0, done.output
        assert (tmp_path / "log.hdf5").is_file()

    def test_what_is_there_stays_unless_the_new_one_is_complete(self, shelf, tmp_path):
        out = tmp_path / "log"
        columns = ("--columns", shelf / "map.toml")
        assert invoke("convert", shelf / "ward.csv", out, *columns).exit_code == 0
        before = tree(tmp_path)
        taken = invoke("convert", shelf / "ward.parquet", out, *columns)
        assert taken.exit_code == 2
        assert "--force" in taken.stderr
        assert invoke("convert", shelf / "late.csv", out, *columns, "--force").exit_code == 2
        assert tree(tmp_path) == before
        assert invoke("convert", shelf / "ward.parquet", out, *columns, "--force").exit_code == 0
        assert tree(tmp_path) == before  # the same rows


class TestJoin:
    def test_tables_and_saved_logs_together(self, shelf, tmp_path):
        halves = (tmp_path / "first", tmp_path / "rest.csv")
        whole = gs.read(shelf / "ward.csv", columns=shelf / "map.toml")
        whole.select(range(10)).save(halves[0])
        later = ward()
        kept = later["stay_id"] >= 10
        write(halves[1], {name: column[kept] for name, column in later.items()})
        out = tmp_path / "all"
        result = invoke("join", *halves, "--out", out, "--columns", shelf / "map.toml", "--json")
        assert result.exit_code == 0, result.output
        printed = json.loads(result.stdout)
        joined = gs.Dataset.load(out)
        assert printed["fingerprint"] == joined.fingerprint == whole.fingerprint
        assert (printed["n_episodes"], printed["n_steps"]) == (whole.n_episodes, whole.n_steps)

    def test_each_log_with_its_own_numbers(self, shelf, tmp_path):
        changed = ward(map=lambda columns: columns["map"] + 1.0)
        write(tmp_path / "more.csv", changed)
        words = ("join", shelf / "ward.csv", tmp_path / "more.csv", "--columns", shelf / "map.toml")
        refused = invoke(*words, "--out", tmp_path / "all")
        assert refused.exit_code == 2
        assert "--renumber" in refused.stderr
        assert not (tmp_path / "all").exists()
        done = invoke(*words, "--out", tmp_path / "all", "--renumber")
        assert done.exit_code == 0, done.output
        assert f"{2 * EPISODES} episodes" in done.stdout
        assert gs.Dataset.load(tmp_path / "all").n_episodes == 2 * EPISODES


def answered(shelf, place, **answers):
    """Draft a map of the ward, and answer it as a person would."""
    out = place / "ward.columns.toml"
    assert invoke("init", shelf / "ward.csv", "--out", out).exit_code == 0
    text = out.read_text(encoding="utf-8")
    for key, answer in answers.items():
        text = text.replace(f'{key} = "?"', f'{key} = "{answer}"')
    out.write_text(text, encoding="utf-8")
    return out


SMALL = ("--steps", 10, "--set", "hidden=[8]", "--set", "batch_size=16", "--json")


class TestADraftAnswered:
    def test_before_it_is_answered_nothing_is_read(self, shelf, tmp_path):
        columns = answered(shelf, tmp_path)
        for words in (
            ("check", shelf / "ward.csv"),
            ("convert", shelf / "ward.csv", tmp_path / "out"),
            ("train", shelf / "ward.csv", "bc", "--out", tmp_path / "out"),
        ):
            result = invoke(*words, "--columns", columns)
            assert result.exit_code == 2
            assert "last_row is still '?'" in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["ward.columns.toml"]

    def test_then_it_is_checked_converted_and_learned_from(self, shelf, tmp_path):
        columns = answered(shelf, tmp_path, last_row="truncated")
        assert invoke("check", shelf / "ward.csv", "--columns", columns).exit_code == 0
        assert invoke("convert", shelf / "ward.csv", tmp_path / "log", "--columns", columns).exit_code == 0
        table = invoke("train", shelf / "ward.csv", "bc", "--out", tmp_path / "a", "--columns", columns, *SMALL)
        ours = invoke("train", tmp_path / "log", "bc", "--out", tmp_path / "b", *SMALL)
        assert table.exit_code == ours.exit_code == 0, table.output
        weights = [(tmp_path / name / "tensors.safetensors").read_bytes() for name in ("a", "b")]
        assert weights[0] == weights[1]


STUDY = """
name = "ward"
[data]
path = "{log}"
columns = "{columns}"
[holdout]
fraction = 0.25
{holdout}
[[candidates]]
name = "BC"
algorithm = "bc"
steps = 20
hidden = [8]
batch_size = 16
[mismatch]
sample = 50
"""


def study(place, shelf, *, log="ward.csv", columns="map.toml", holdout=""):
    path = place / "study.toml"
    path.write_text(STUDY.format(log=shelf / log, columns=shelf / columns, holdout=holdout), encoding="utf-8")
    return path


class TestStudy:
    def test_of_a_table(self, shelf, tmp_path):
        config = study(tmp_path, shelf, holdout='by = "group"\nstratify = "hypotension"')
        result = invoke("run", config, "--out", tmp_path / "run", "--json")
        assert result.exit_code == 0, result.output
        kept = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
        assert kept["data"]["columns"] == tomllib.loads(MAP)
        assert kept["holdout"]["by"] == "group"
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_text(encoding="utf-8"))
        assert {"log", "check"} <= set(manifest["timings"])
        log = gs.Dataset.load(tmp_path / "run" / "log")
        assert log.n_episodes == EPISODES
        assert "hypotension" in log.costs

    def test_dry_run_says_what_was_found(self, shelf, tmp_path):
        planned = json.loads(
            invoke("run", study(tmp_path, shelf), "--out", tmp_path / "run", "--dry-run", "--json").stdout
        )
        assert planned["check"]["error"] == 0
        assert planned["log"]["episodes"] == EPISODES
        shown = invoke("run", study(tmp_path, shelf), "--out", tmp_path / "run", "--dry-run")
        assert "0 errors" in shown.stdout

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"columns": "open.toml"}, "last_row is still '?'"),
            ({"columns": "elsewhere.toml"}, "lactat"),
            ({"columns": "no_end.toml"}, "last_row"),
            ({"columns": "missing.toml"}, "missing.toml: cannot be read"),
            ({"log": "late.csv"}, "p_taken"),
            ({"log": "missing.csv"}, "does not exist"),
            ({"log": "measured.csv", "columns": "measured.toml"}, "only discrete actions can be learned so far"),
            ({"holdout": 'by = "time"'}, "by="),
            ({"holdout": 'stratify = "hypotenson"'}, "hypotenson"),
        ],
    )
    def test_what_cannot_be_studied_is_refused_before_anything_is_written(self, shelf, tmp_path, changes, sentence):
        config = study(tmp_path, shelf, **changes)
        result = invoke("run", config, "--out", tmp_path / "run")
        assert result.exit_code == 2, result.output
        assert sentence in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


ROWS = [
    (("init", "{shelf}/missing.csv", "--out", "{out}"), "missing.csv: does not exist"),
    (("init", "{shelf}/empty.csv", "--out", "{out}"), "empty.csv"),
    (("init", "{shelf}/header.csv", "--out", "{out}"), "header.csv"),
    (("init", "{shelf}/noise.parquet", "--out", "{out}"), "noise.parquet"),
    (("init", "{shelf}/log.pkl", "--out", "{out}"), "pickle"),
    (("init", "{shelf}/log", "--out", "{out}"), "needs no column map"),
    (("init", "{shelf}/empty.csv", "--out", "{out}/deep/map.toml"), "empty.csv"),
    (("init", "{shelf}/ward.csv", "--out", "{out}", "--format", "paruqet"), "paruqet"),
    (("init", "{shelf}/ward.csv", "--out", "{out}", "--format", "parquet"), "ward.csv"),
    (("init", "{shelf}/ward.csv", "--out", "{shelf}/map.toml"), "exists"),
    (("init", "{shelf}/ward.csv", "--out", "{shelf}/log", "--force"), "not a TOML file"),
    (("init", "{shelf}/ward.csv", "--out", "{shelf}/map.toml/below.toml"), "cannot write"),
    (("check", "{shelf}/ward.csv"), "observations is not said"),
    (("check", "{shelf}/missing.csv", "--columns", "{shelf}/map.toml"), "does not exist"),
    (("check", "{shelf}/ward.csv", "--columns", "{shelf}/missing.toml"), "missing.toml: cannot be read"),
    (("check", "{shelf}/ward.csv", "--columns", "{shelf}/broken.toml"), "broken.toml: not valid TOML"),
    (("check", "{shelf}/ward.csv", "--columns", "{shelf}/typo.toml"), "Did you mean 'reward'?"),
    (("check", "{shelf}/ward.csv", "--columns", "{shelf}/open.toml"), "last_row is still '?'"),
    (("check", "{shelf}/ward.csv", "--columns", "{shelf}/elsewhere.toml"), "Did you mean 'lactate'?"),
    (("check", "{shelf}/ward.csv", "--columns", "{shelf}/syntax.toml"), "map <"),
    (("check", "{shelf}/log", "--columns", "{shelf}/map.toml"), "Leave the column map out"),
    (("check", "{shelf}/noise.parquet", "--columns", "{shelf}/map.toml"), "noise.parquet"),
    (("check", "{shelf}/ward.csv", "--columns", "{shelf}/map.toml", "--against", "{shelf}/none.csv"), "none.csv"),
    (("check", "{shelf}/log", "--card", "{out}.txt"), "ends in .md"),
    (("check", "{shelf}/log", "--picture", "{out}.svg"), "ends in .png"),
    (("check", "{shelf}/log", "--card", "{shelf}/ward.csv/log.md"), "cannot write"),
    (("convert", "{shelf}/ward.csv", "{out}"), "observations is not said"),
    (("convert", "{shelf}/ward.csv", "{out}", "--columns", "{shelf}/no_end.toml"), "how episodes end"),
    (("convert", "{shelf}/nan.csv", "{out}", "--columns", "{shelf}/map.toml"), "row 17"),
    (("convert", "{shelf}/late.csv", "{out}", "--columns", "{shelf}/map.toml"), "p_taken"),
    (("convert", "{shelf}/log", "{out}.xyz"), "--to"),
    (("convert", "{shelf}/log", "{out}", "--to", "dslr"), "Did you mean 'dsrl'?"),
    (
        ("convert", "{shelf}/log", "{shelf}/map.toml", "--to", "groundschool", "--force"),
        "not a log in groundschool format",
    ),
    (("convert", "{shelf}/log", "{shelf}/log"), "is the log itself"),
    (("convert", "{shelf}/missing", "{out}"), "does not exist"),
    (("join", "{shelf}/log", "--out", "{out}"), "is one log alone"),
    (("join", "{shelf}/log", "{shelf}/missing", "--out", "{out}"), "does not exist"),
    (("join", "{shelf}/log", "{shelf}/log", "--out", "{out}"), "by id and by rows"),
    (("join", "{shelf}/log", "{shelf}/ward.csv", "--out", "{shelf}/log"), "is one of the logs"),
    (("join", "{shelf}/log", "{shelf}/log", "--out", "{shelf}/map.toml"), "exists. Choose another path"),
    (("join", "{shelf}/log", "{shelf}/log", "--out", "{shelf}/map.toml", "--force"), "is not a saved log"),
    (("join", "{shelf}/log", "{shelf}/log", "--out", "{out}", "--columns", "{shelf}/map.toml"), "Leave the column map"),
    (("join", "{shelf}/log", "{shelf}/ward.csv", "--out", "{out}"), "observations is not said"),
    (("train", "{shelf}/ward.csv", "bc", "--out", "{out}"), "observations is not said"),
    (("train", "{shelf}/ward.csv", "bc", "--out", "{out}", "--columns", "{shelf}/open.toml"), "is still '?'"),
    (("train", "{shelf}/nan.csv", "bc", "--out", "{out}", "--columns", "{shelf}/map.toml"), "row 17"),
]


@pytest.mark.parametrize(("words", "sentence"), ROWS)
def test_bad_input_is_one_sentence_and_exit_code_2(shelf, tmp_path, words, sentence):
    before = tree(shelf)
    places = {"shelf": shelf, "out": tmp_path / "out"}
    result = CliRunner().invoke(app, [word.format(**places) for word in words])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    message = [line for line in result.stderr.splitlines() if line][-1]
    assert message.startswith("error: ")
    assert sentence in message
    assert "Traceback" not in result.stderr
    assert tree(shelf) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["init", "check", "convert", "join", "train"])
def test_help_needs_neither_numpy_nor_arrow(verb):
    code = (
        f"import sys; from groundschool.cli import main; sys.argv = ['groundschool', {verb!r}, '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([name for name in ('numpy', 'pyarrow', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", ["init", "check", "convert", "join"])
def test_help_carries_an_example(verb):
    result = invoke(verb, "--help")
    assert result.exit_code == 0
    assert f"Example: groundschool {verb}" in result.stdout


def test_a_card_names_the_log_and_survives_one_without_actions(tmp_path):
    table = tmp_path / "log.csv"
    table.write_text("e,x,a,r\n1,0.5,0,1\n1,0.7,1,1\n")
    answers = 'episode="e"\nobservations=["x"]\naction="a"\nreward="r"\nlast_row="truncated"\naction_kind="discrete"\n'
    columns = tmp_path / "map.toml"
    columns.write_text(answers)
    card = tmp_path / "card.md"
    arguments = ["check", str(table), "--columns", str(columns), "--card", str(card), "--force"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert gs.read(table, columns=columns).fingerprint in card.read_text()
    table.write_text("e,x,a,r\n1,0.5,,1\n1,0.7,,1\n")
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert "actions are blank" in card.read_text()
