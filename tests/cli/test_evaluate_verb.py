"""``groundschool evaluate``: a table, JSON or a page; and one sentence for whatever cannot be judged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool.cli.app import app

ALL = ["return", "probability:hazard", "cost:hazard"]


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    place = tmp_path_factory.mktemp("evaluate")
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    logger = grid.logger()
    trained_on, log = gs.collect(grid, logger, 30, 0), gs.collect(grid, logger, 60, 1)
    log.save(place / "log")
    trained_on.save(place / "studied")
    policy = gs.train(trained_on, "bc", steps=40, hidden=(8,))
    policy.save(place / "bundle")
    rng = np.random.default_rng(0)
    ends = np.arange(40) % 4 == 3
    flags = (ends, np.zeros(40, np.bool_))
    rewards = rng.random(40)

    def save(name, observations, actions, **more):
        gs.Dataset.from_arrays(observations, actions, rewards, *flags, **more).save(place / name)

    cells = rng.integers(5, size=(40, 2)).astype(np.float32)
    save("other-actions", cells, rng.integers(3, size=40), n_actions=3)
    save("other-shape", rng.random((40, 3)), rng.integers(4, size=40), n_actions=4)
    save("continuous", cells, rng.random((40, 1)))
    save("plain", cells, rng.integers(4, size=40), n_actions=4)
    (place / "empty.csv").write_text("episode,x,action,reward\n", encoding="utf-8")
    return place


def test_help_carries_an_example():
    result = invoke("evaluate", "--help")
    assert result.exit_code == 0
    assert "Example: groundschool evaluate" in result.stdout


def test_everything_is_asked_and_printed_beside_the_logger(shelf):
    result = invoke("evaluate", shelf / "bundle", shelf / "log", "--method", "wis", "--method", "pdis")
    assert result.exit_code == 0, result.output
    for words in ("return", "any “hazard”", "sum of “hazard”", "the log itself", "wis", "pdis", "60 episodes", "ESS"):
        assert words in result.stdout
    assert result.stdout.count("the log itself") == 3


def test_json_is_that_of_the_estimates(shelf):
    words = ("evaluate", shelf / "bundle", shelf / "log", "--method", "dr", "--confidence", "0.9", "--seed", "3")
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    log, policy = gs.read(shelf / "log"), gs.load(shelf / "bundle")
    assert printed["log"] == {"episodes": 60, "steps": log.n_steps, "fingerprint": log.fingerprint}
    assert [one["of"] for one in printed["estimates"]] == ALL
    assert [one["method"] for one in printed["logged"]] == ["logged"] * 3
    for one in printed["estimates"]:
        estimate = gs.evaluate(log, policy, of=one["of"], method="dr", confidence=0.9, seed=3)
        bound = one.pop("bound")
        assert one == json.loads(json.dumps(estimate.to_json()))
        side = "lower" if one["of"] == "return" else "upper"
        assert (bound["side"], bound["confidence"]) == (side, 0.9)
        expected = estimate.lower_bound(0.9) if side == "lower" else estimate.upper_bound(0.9)
        assert bound["value"] == (expected if np.isfinite(expected) else None)


def test_auto_unless_said(shelf):
    result = invoke("evaluate", shelf / "bundle", shelf / "log", "--of", "return", "--json")
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["estimates"]
    auto = gs.evaluate(gs.read(shelf / "log"), gs.load(shelf / "bundle"))
    assert (one["method"], one["value"]) == (auto.method, auto.value)


def test_what_is_not_trusted_is_printed_marked_and_is_no_error(shelf):
    words = ("evaluate", shelf / "bundle", shelf / "studied", "--of", "probability:hazard", "--method", "pdis")
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    assert "rely on 0\u202f% to 100\u202f%" in result.stdout
    assert "no bound" in result.stdout
    assert "not trusted (pdis): In-sample: policy 'BC' was trained on 30 of the 30 episodes" in result.stdout
    (one,) = json.loads(invoke(*words, "--json").stdout)["estimates"]
    assert (one["trusted"], one["lower"], one["upper"]) == (False, 0.0, 1.0)


def test_the_greedy_version_is_another_policy(shelf):
    words = ("evaluate", shelf / "bundle", shelf / "log", "--of", "return", "--method", "dr", "--json")
    as_it_samples, greedy = (json.loads(invoke(*words, *more).stdout) for more in ((), ("--greedy",)))
    assert greedy["policy"] != as_it_samples["policy"]
    assert greedy["estimates"][0]["value"] != as_it_samples["estimates"][0]["value"]


def test_the_logger_may_be_named(shelf):
    words = ("evaluate", shelf / "bundle", shelf / "plain", "--of", "return", "--method", "pdis", "--json")
    result = invoke(*words, "--behavior", shelf / "bundle")
    assert result.exit_code == 0, result.output
    (one,) = json.loads(result.stdout)["estimates"]
    (logged,) = json.loads(result.stdout)["logged"]
    assert one["value"] == pytest.approx(logged["value"])  # the logger, asked about itself
    (guessed,) = json.loads(invoke(*words).stdout)["estimates"]
    assert guessed["assurance"] == "heuristic"


class TestPage:
    def words(self, shelf, out, *more):
        base = ("evaluate", shelf / "bundle", shelf / "log", "--of", "return", "--method", "pdis")
        return (*base, "--out", out, *more)

    def test_it_holds_the_same_numbers(self, shelf, tmp_path):
        out = tmp_path / "page"
        result = invoke(*self.words(shelf, out, "--json"))
        assert result.exit_code == 0, result.output
        printed = json.loads(result.stdout)
        assert printed["report"] == str(out / "report.html")
        facts = json.loads((out / "report.json").read_text(encoding="utf-8"))
        main = facts["policies"][0]["offline"]["questions"][0]["main"]
        assert main["value"] == printed["estimates"][0]["value"]
        assert facts["config"]["data"] == str(shelf / "log")
        assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
        assert {path.name for path in out.iterdir()} == {"report.html", "report.json", "figures"}

    def test_one_that_is_there_needs_force(self, shelf, tmp_path):
        out = tmp_path / "page"
        assert invoke(*self.words(shelf, out)).exit_code == 0
        before = (out / "report.json").read_bytes()
        refused = invoke(*self.words(shelf, out))
        assert refused.exit_code == 2
        assert "--force" in refused.stderr
        assert (out / "report.json").read_bytes() == before
        assert invoke(*self.words(shelf, out, "--force")).exit_code == 0

    def test_nothing_else_is_replaced(self, shelf, tmp_path):
        (tmp_path / "thesis.tex").write_text("years", encoding="utf-8")
        result = invoke(*self.words(shelf, tmp_path, "--force"))
        assert result.exit_code == 2
        assert "is not a page of groundschool evaluate and nothing else" in result.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


ROWS = [
    (("{shelf}/nothing", "{shelf}/log"), "nothing"),
    (("{shelf}/log", "{shelf}/log"), "log"),
    (("{shelf}/bundle", "{shelf}/nothing"), "nothing"),
    (("{shelf}/bundle", "{shelf}/empty.csv"), "empty.csv"),
    (("{shelf}/bundle", "{shelf}/log", "--of", "hazard"), "expected 'return', 'cost:NAME' or 'probability:NAME'"),
    (("{shelf}/bundle", "{shelf}/log", "--of", "cost:hazrd"), "Did you mean 'hazard'?"),
    (("{shelf}/bundle", "{shelf}/plain", "--of", "cost:hazard"), "the log has no cost 'hazard' (it has: none)"),
    (("{shelf}/bundle", "{shelf}/log", "--method", "wiss"), "Did you mean 'wis'?"),
    (("{shelf}/bundle", "{shelf}/log", "--confidence", "95"), "confidence is 95"),
    (("{shelf}/bundle", "{shelf}/log", "--discount", "0"), "discount is 0"),
    (("{shelf}/bundle", "{shelf}/log", "--behavior", "{shelf}/nothing"), "nothing"),
    (("{shelf}/bundle", "{shelf}/other-actions"), "chooses among 4 actions, the log has 3"),
    (("{shelf}/bundle", "{shelf}/other-shape"), "observations"),
    (("{shelf}/bundle", "{shelf}/continuous"), "continuous actions"),
]


@pytest.mark.parametrize(("words", "sentence"), ROWS)
def test_what_cannot_be_judged_is_one_sentence_and_exit_code_2(shelf, tmp_path, words, sentence):
    result = invoke("evaluate", *(word.format(shelf=shelf) for word in words), "--out", tmp_path / "page")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    message = [line for line in result.stderr.splitlines() if line][-1]
    assert message.startswith("error: ")
    assert sentence in message
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
