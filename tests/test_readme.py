"""README and docs say what is there: code runs, links lead somewhere, verbs and options exist, figures are recorded."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

import groundschool
from groundschool.cli.app import app
from groundschool.data.checks.battery import CHECKS
from groundschool.data.draft_text import toml
from groundschool.data.readers import formats
from groundschool.data.writers import writers
from groundschool.pipeline import run
from studies import tiny

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
OUTSIDE = ("http://", "https://", "#")


def blocks(page: Path, language: str) -> list[str]:
    return blocks_of(page.read_text(encoding="utf-8"), language)


def blocks_of(text: str, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text) if kind == language]


def own_log() -> str:
    """The README's story of a log of one's own: code and commands that need each other."""
    return README.read_text(encoding="utf-8").split("\n## Your own log\n")[1].split("\n## ")[0]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory like the demo's, only tiny."""
    path = tmp_path_factory.mktemp("demo") / "tutorial"
    run(tiny(name="tutorial"), out=path, progress=False)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, demo: Path) -> Path:
    """An empty working directory with the demo's run in it, in which training takes a few steps only."""
    for name in ("train", "train_population"):
        real = getattr(groundschool, name)
        monkeypatch.setattr(groundschool, name, functools.partial(real, steps=20))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(demo, tmp_path / "runs" / "tutorial")
    return tmp_path


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=named(page), marks=[] if page == README else pytest.mark.slow)
        for page in PAGES
        if blocks(page, "python")
    ],
)
def test_python_runs_as_printed(page, quick):
    namespace: dict[str, Any] = {}  # one a page: it is read from top to bottom
    bodies = blocks(page, "python")
    own = len(blocks_of(own_log(), "python")) if page == README else 0  # needs the commands in between: the next test
    for number, body in enumerate(bodies[: len(bodies) - own]):
        if body.startswith("# needs d3rlpy"):
            continue
        exec(compile(body, f"{page.name}, block {number}", "exec"), namespace)  # noqa: S102


def test_the_readme_s_own_log_goes_from_file_to_policy(quick):
    columns = quick / "ward.columns.toml"
    namespace: dict[str, Any] = {"gs": groundschool}
    told = []
    for language, body in FENCE.findall(own_log()):
        if language == "python":
            exec(body, namespace)  # noqa: S102
        elif language == "toml":  # the answers go over the draft
            draft = tomllib.loads(columns.read_text(encoding="utf-8"))
            answers = tomllib.loads(body)
            assert {key for key, value in draft.items() if value == "?"} <= answers.keys()
            columns.write_text("\n".join(f"{k} = {toml(v)}" for k, v in (draft | answers).items()), encoding="utf-8")
        elif language == "bash":
            for line in body.splitlines():
                words = shlex.split(line)[1:] + (["--steps", "20"] if " train " in line else [])
                result = CliRunner().invoke(app, words)
                assert result.exit_code == 0, (line, result.output)
        else:
            told.append(body)
    finding = namespace["gs"].check("ward.csv", "ward.columns.toml").findings[0]
    severity, where, what = told[0].strip().split("  ")
    assert (finding.severity, finding.where) == (severity, where)
    assert finding.what.startswith(what)
    assert {"ward-log", "ward-policy", "ward.md", "ward.png"} <= {path.name for path in quick.iterdir()}


def test_the_demo_s_policy_is_loaded_in_three_lines(quick):
    block = next(body for body in blocks(README, "python") if "policies/CQL" in body)
    assert len([line for line in block.splitlines() if line]) == 3
    namespace: dict[str, Any] = {}
    exec(block, namespace)  # noqa: S102
    assert namespace["policy"].name == "CQL"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    targets = [a or b for a, b in LINK.findall(page.read_text(encoding="utf-8"))]
    inside = [target.split("#")[0] for target in targets if not target.startswith(OUTSIDE)]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_pictures_are_there_and_small():
    pictures = [target for _, target in LINK.findall(README.read_text(encoding="utf-8")) if target]
    pictures += [target for target, _ in LINK.findall(README.read_text(encoding="utf-8")) if target.endswith(".png")]
    assert len(pictures) >= 2
    assert all((ROOT / picture).stat().st_size < 300_000 for picture in pictures)


def commands(page: Path) -> list[str]:
    lines = [line.split("  #")[0].strip() for body in blocks(page, "bash") for line in body.splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=named)
def test_commands_exist(page):
    verbs = typer.main.get_command(app).commands
    targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for command in commands(page):
        program, *words = shlex.split(command)
        if program == "make":
            assert words[0] in targets, command
            continue
        assert program == "groundschool", command
        assert words[0] in verbs, command
        known = {flag for option in verbs[words[0]].params for flag in option.opts} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= known, command


def test_every_verb_is_in_the_readme_and_every_named_verb_exists():
    verbs = set(typer.main.get_command(app).commands)
    assert set(re.findall(r"`groundschool (\w+)", README.read_text(encoding="utf-8"))) == verbs


def test_make_targets_named_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"make ([a-z][\w-]*)[`\s]", README.read_text(encoding="utf-8"))) - {"with"} <= targets


def configs(*, maps: bool) -> list[Any]:
    """Every TOML block of the pages: column maps (whole or in part), or study configs (whole or in part)."""
    found = [
        pytest.param(body, id=f"{named(page)}-{n}") for page in PAGES for n, body in enumerate(blocks(page, "toml"))
    ]
    roles = {field.name for field in dataclasses.fields(groundschool.Columns)}
    return [one for one in found if bool(tomllib.loads(one.values[0]).keys() & roles) == maps]


@pytest.mark.parametrize("block", configs(maps=True))
def test_column_maps_are_valid(block):
    values = tomllib.loads(block)
    for key in [key for key, value in values.items() if value == "?"]:
        values[key] = "truncated"  # an answer to the one question that a draft on these pages asks
    assert groundschool.Columns.from_mapping(values) != groundschool.Columns()


@pytest.mark.parametrize("block", configs(maps=False))
def test_configs_are_valid(block, tmp_path):
    from groundschool.config import load_config

    path = tmp_path / "study.toml"
    (tmp_path / "ward.columns.toml").write_text('reward = "reward"\n', encoding="utf-8")
    rest = "" if "[[candidates]]" in block else '[[candidates]]\nname = "clone"\nalgorithm = "bc"\n'
    name = "" if block.startswith("name") else 'name = "ward"\n'
    path.write_text(name + block + rest, encoding="utf-8")
    load_config(path)


@pytest.mark.parametrize("name", [name for name in groundschool.__all__ if not name.startswith("_")])
def test_public_names_are_in_the_reference(name):
    assert f"groundschool.{name}" in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


CHECK_ROW = re.compile(r"^\| ([^|]*) \| `([\w-]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def test_every_check_is_listed_with_what_it_looks_for_and_its_false_alarms():
    rows = CHECK_ROW.findall((ROOT / "docs" / "checks.md").read_text(encoding="utf-8"))
    listed = {name: (about, rate) for _, name, about, rate in rows}
    assert {listed.pop(name)[1] for name in ("shared-episodes", "shared-groups")} == {"–"}
    rates = {check.name: "–" if check.false_alarm is None else f"{check.false_alarm:.1%}" for check in CHECKS}
    assert listed == {check.name: (check.about, rates[check.name].replace("%", " %")) for check in CHECKS}


def test_every_format_is_listed():
    table = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").split("## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert named == {"groundschool", *formats()}
    written = {name for line in table.splitlines() for name in re.findall(r"^\| `(\w+)`[^|]*\| yes \| (?!–)", line)}
    assert written - {"d4rl"} == {"groundschool", *writers()}  # a log without costs, as dsrl, is a D4RL file


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("readme_tables")


@pytest.fixture
def evaluation_tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("evaluation_tables")


HEAD = {"date": "2026-11-22T00:00:00", "hardware": {"processor": "some", "cores": 2}, "command": "python some.py"}
READING = HEAD | {
    "reading": {
        "rows": 10_000_000,
        "groundschool": {"seconds": 6.0, "peak_bytes": 5 * 2**29},
        "pyarrow": {"seconds": 4.0, "peak_bytes": 2**30},
        "time_ratio": 1.5,
        "time_met": True,
        "memory_ratio": 2.5,
        "memory_met": False,
    },
    "check": {"rows": 10_000_000, "seconds": 61.0, "peak_bytes": 2**31, "met": False},
    "datasets": {
        "rows": 1_000_000,
        "batch_size": 256,
        "groundschool": {"build_seconds": 0.5, "batches_per_second": 10_000.0},
        "d3rlpy": {"build_seconds": 10.0, "batches_per_second": 100.0},
        "build_ratio": 20.0,
        "build_met": True,
        "draw_ratio": 100.0,
        "draw_met": True,
    },
}
FOUND = HEAD | {
    "planted": {"checks": 60, "logs": 900, "missed": 0},
    "clean": {"logs": 400, "errors": 0, "warnings": 9, "limit": 0.02},
    "fuzz": {"files": 12_000, "bad": 0, "seconds": 90.0},
}


def judged(text: str) -> list[str]:
    return re.findall(r"^\| .* \| ([^|]+) \|$", text, re.MULTILINE)


def test_logs_in_and_out_are_filled_in_and_judged(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert judged(tables.logs_table()) == ["–"] * 6
    assert tables.logs_table().count("not measured") == 6
    (tmp_path / "reading.json").write_text(json.dumps(READING), encoding="utf-8")
    (tmp_path / "checks.json").write_text(json.dumps(FOUND), encoding="utf-8")
    text = tables.logs_table()
    assert judged(text) == ["met", "**missed**", "**missed**", "met", "met", "met", "**missed**", "met"]
    assert "6.0 s, 1.50× pyarrow's own full read (4.0 s)" in text
    assert "2.5 GiB, 2.50× pyarrow's (1.0 GiB)" in text
    assert "20× sooner than d3rlpy's (10.0 s)" in text
    assert "9 (2.2%) with a warning" in text
    small = READING | {"reading": READING["reading"] | {"rows": 1_000}}  # too few to be judged by
    (tmp_path / "reading.json").write_text(json.dumps(small), encoding="utf-8")
    assert judged(tables.logs_table())[:2] == ["reported", "reported"]
    (tmp_path / "reading.json").write_text(json.dumps(HEAD), encoding="utf-8")  # a run of parts, `--without`
    assert judged(tables.logs_table())[:3] == ["–"] * 3


def test_figures_are_those_of_the_recorded_results(tables):
    text = README.read_text(encoding="utf-8")
    assert tables.fill(text) == text, "out of date: run python benchmarks/readme_tables.py"


def test_the_figures_of_evaluation_are_those_of_the_recorded_results(evaluation_tables, tables):
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    made = tables.fill(text, evaluation_tables.BLOCKS)
    assert made == text, "out of date: run python benchmarks/evaluation_tables.py"


def test_the_figures_of_the_gate_are_those_of_the_recorded_results(tables):
    gate_tables = importlib.import_module("gate_tables")
    for page, blocks in gate_tables.PAGES.items():
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert tables.fill(text, blocks) == text, "out of date: run python benchmarks/gate_tables.py"


def test_what_was_not_recorded_says_so(evaluation_tables, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    for name, block in evaluation_tables.BLOCKS.items():
        assert "not measured" in block(), name
