"""A study that says who is hardly among its judged episodes: by declared groups, and by regions of observations."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import groundschool as gs
from groundschool.cli.app import app
from groundschool.errors import InputError
from groundschool.pipeline import plan, run
from studies import tiny

SITES = {0.0: 180, 1.0: 55, 2.0: 5}


def log_with_kinds(path, *, groups=None):
    """Write a log of the small grid whose observations also say a site, which the world does not care about."""
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    log = gs.collect(grid, grid.logger(), 480, 0)
    site = np.tile(np.repeat(list(SITES), list(SITES.values())), 2)
    site = site[np.random.default_rng(0).permutation(480)]
    observations = np.column_stack([log.observations, site[log.episode_index]]).astype(np.float32)
    gs.Dataset.from_arrays(
        observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
        propensities=log.propensities, final_observations=np.column_stack([log.final_observations, site]),
        n_actions=4, horizon=20, return_range=log.return_range, features=["x", "y", "site"], groups=groups,
    ).save(path)  # fmt: skip
    return str(path)


def study(path, **report):
    return tiny(
        environment=None, logging=None, rollouts=None, data={"path": path}, holdout={"fraction": 0.6, "seed": 2},
        candidates=[{"name": "Pruned", "algorithm": "pruned"}], report=report or None,
        gate={"constraints": [{"name": "hazard", "limit": 0.9}], "baseline": "none"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def declared(tmp_path_factory):
    place = tmp_path_factory.mktemp("declared")
    config = study(log_with_kinds(place / "log"), groups=["site", "site >= 1"])
    return run(config, out=place / "run", progress=False)


def told(done):
    return done.summary()["verdict"]["represented"]


class TestDeclared:
    def test_counts_are_those_of_the_judged_episodes_and_small_ones_stay(self, declared):
        sites, condition = told(declared)["groupings"]
        assert [one["name"] for one in sites["groups"]] == ["0", "1", "2"]
        assert sites["groups"][2]["judged"] == "fewer than 11"
        assert sites["groups"][1]["judged"] == "withheld"  # else the rest would be told
        assert int(sites["groups"][0]["judged"]) + int(condition["groups"][0]["judged"]) == declared.verdict.episodes
        assert [one["few"] for one in sites["groups"]] == [False, False, True]
        assert any("too few judged episodes to say anything about “2”" in one for one in told(declared)["sentences"])

    def test_each_group_stands_beside_everybody(self, declared):
        sites, _ = told(declared)["groupings"]
        finding = declared.verdict.findings[0]
        assert sites["whole"][0]["value"] == finding.estimate.value
        for group in sites["groups"][:2]:
            (answer,) = group["answers"]
            assert answer["lower"] <= answer["value"] <= answer["upper"]
        assert sites["groups"][2]["answers"] == [None]

    def test_the_page_and_the_card_say_it_and_claim_no_more(self, declared):
        page = declared.report.read_text(encoding="utf-8")
        assert "Who is hardly among the judged episodes" in page
        assert "None of this is part of the verdict" in page
        assert page.count("too few to say anything") == 1
        card = (declared.directory / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert "groups that the log holds too few of" not in card
        assert re.search(r"Judged episodes by site: 0: \d+; 1: withheld; 2: fewer than 11\.", card)
        assert told(declared)["regions"] in card.replace("\\", "")

    def test_it_changes_nothing_about_the_verdict(self, declared, tmp_path):
        bare = run(study(declared.config.data.path), out=tmp_path / "run", progress=False)
        assert bare.verdict.to_json() == declared.verdict.to_json()
        found = told(bare)
        assert found["groupings"] == []
        assert found["sentences"][0].startswith("Nobody declared groups")
        assert found["sentences"][0] in bare.report.read_text(encoding="utf-8")
        card = (bare.directory / "bundle" / "MODEL_CARD.md").read_text(encoding="utf-8")
        assert "[to be filled in: groups that the log holds too few of]" in card
        assert "Nobody declared groups" in card


def test_the_logs_own_groups_are_persons_unless_declared(tmp_path):
    path = log_with_kinds(tmp_path / "log", groups=[f"p{i // 2}" for i in range(480)])
    with pytest.raises(InputError, match=r"report\.groups: 'group' divides the episodes into 96 groups"):
        plan(study(path, groups=["group"]), out=tmp_path / "run")
    done = run(study(path), out=tmp_path / "run", progress=False)
    assert "belong to 72 groups of the log's own" in told(done)["sentences"][1]
    assert not re.search(r"\bp\d+\b", json.dumps(told(done)))


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (["sight"], "report.groups: 'sight': 'sight' is no feature. Did you mean 'site'?"),
        (["site >"], "report.groups: "),
    ],
)
def test_a_group_that_cannot_be_told_is_one_sentence_and_nothing_is_written(tmp_path, groups, says):
    config = tmp_path / "study.json"
    config.write_text(json.dumps(study(log_with_kinds(tmp_path / "log"), groups=groups).resolved()))
    result = CliRunner().invoke(app, ["run", str(config), "--out", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_groups_without_a_gate_have_no_judged_episodes():
    with pytest.raises(InputError, match=r"report\.groups needs a \[gate\]"):
        tiny(report={"groups": ["x0 > 1"]})
