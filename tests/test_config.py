"""A config says what is wrong with it: where, what, what was expected."""

from __future__ import annotations

import json
import tomllib
import types
import typing
from copy import deepcopy
from pathlib import Path

import pytest
from pydantic import BaseModel

from groundschool.algorithms.config import CONFIGS, CQLConfig
from groundschool.config import (
    CandidateConfig,
    EnvironmentConfig,
    InputError,
    StudyConfig,
    load_config,
    parse_config,
    tutorial_config,
)

TUTORIAL = tomllib.loads(tutorial_config().read_text(encoding="utf-8"))
BC, CQL = ("candidates", 0), ("candidates", 1)
RULE = ("guard", "rules", 0)


def edited(path, value, base=TUTORIAL):
    """Return the tutorial with one key set; a value of ... deletes it."""
    raw = deepcopy(base)
    if path[:3] == RULE:
        raw["guard"] = {"rules": [{"when": "x0 < 1", "forbid": [1]}]}
    place = raw
    for part in path[:-1]:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    if path[0] == "data":
        raw["data"].setdefault("path", "log")
    return raw


# (path, value, what the sentence must say): every key of every section with values just outside its range.
OUT_OF_RANGE = [
    (("name",), "a/b", "name is 'a/b', expected a text: letters, digits"),
    (("name",), "", "name is ''"),
    (("seed",), -1, "seed is -1, expected a whole number >= 0 and < 4.29497e+09"),
    (("seed",), 2**32, "seed is 4294967296, expected a whole number"),
    (("seed",), 0.5, "seed is 0.5, expected a whole number"),
    (("device",), "tpux", "device is 'tpux', expected a text: 'auto'"),
    (("environment",), 3, "environment is 3, expected a table"),
    (("environment", "id"), 7, "environment.id is 7, expected a text"),
    (("environment", "size"), 1, "environment: size is 1, expected"),
    (("environment", "start"), [0, 15], "environment: start is"),
    (("environment", "goal"), [0, 0], "environment: "),
    (("environment", "n_hazards"), -1, "environment: n_hazards is -1, expected"),
    (("environment", "hazard_seed"), -1, "environment: hazard_seed is -1, expected"),
    (("environment", "slip"), 1.01, "environment: slip is 1.01, expected a number from 0 to 1"),
    (("environment", "horizon"), 27, "environment: horizon is 27"),
    (("environment", "step_reward"), "a", "environment: step_reward is 'a'"),
    (("environment", "hazard_reward"), True, "environment: hazard_reward is True"),
    (("environment", "goal_reward"), float("inf"), "environment: goal_reward is inf"),
    (("logging", "episodes"), 0, "logging.episodes is 0, expected a whole number >= 1"),
    (("logging", "episodes"), True, "logging.episodes is True, expected a whole number >= 1"),
    (("logging", "epsilon"), 1.1, "logging.epsilon is 1.1, expected a number >= 0 and <= 1"),
    (("logging", "epsilon"), float("nan"), "logging.epsilon is nan, expected a number >= 0 and <= 1"),
    (("logging", "seed"), -1, "logging.seed is -1, expected a whole number"),
    (("holdout", "episodes"), 0, "holdout.episodes is 0, expected a whole number >= 1"),
    (("holdout", "fraction"), 1.0, "holdout.fraction is 1.0, expected a number > 0 and < 1"),
    (("holdout", "seed"), -1, "holdout.seed is -1"),
    (("candidates",), [], "candidates is [], expected at least 1 entries"),
    (("candidates",), {}, "candidates is {}, expected a list"),
    ((*BC, "name"), "../x", "candidates[0].name is '../x', expected a text"),
    ((*BC, "algorithm"), "cqll", "candidates[0]: algorithm 'cqll' is not known. Did you mean 'cql'?"),
    ((*BC, "algorithm"), "prune", "candidates[0]: algorithm 'prune' is not known. Did you mean 'pruned'?"),
    ((*BC, "seed"), -1, "candidates[0].seed is -1, expected a whole number"),
    ((*BC, "greedy"), "yes", "candidates[0].greedy is 'yes', expected true or false"),
    ((*CQL, "greedy"), True, "candidates[1]: greedy = true is for policies that sample"),
    (("evaluation", "enabled"), "yes", "evaluation.enabled is 'yes', expected true or false"),
    (("evaluation", "methods"), [], "evaluation.methods is [], expected at least 1 entries"),
    (("evaluation", "methods"), "auto", "evaluation.methods is 'auto', expected a list"),
    (
        ("evaluation", "methods"),
        ["auto", "wiss"],
        "evaluation.methods names 'wiss', expected methods: auto, logged, is",
    ),
    (("evaluation", "methods"), ["wiss"], "Did you mean 'wis'?"),
    (("evaluation", "of"), [], "evaluation.of is [], expected at least 1 entries"),
    (("evaluation", "of"), ["hazard"], "evaluation.of asks 'hazard', expected 'return', 'cost:NAME' or"),
    (("evaluation", "of"), ["cost:"], "evaluation.of asks 'cost:', expected 'return', 'cost:NAME' or"),
    (("evaluation", "confidence"), 0.4, "evaluation.confidence is 0.4, expected a number >= 0.5 and < 1"),
    (("evaluation", "confidence"), 1.0, "evaluation.confidence is 1.0, expected a number >= 0.5 and < 1"),
    (("evaluation", "discount"), 0.0, "evaluation.discount is 0.0, expected a number > 0 and <= 1"),
    (("evaluation", "seed"), -1, "evaluation.seed is -1, expected a whole number"),
    (("gate", "constraints"), "hazard<=0.1", "gate.constraints is 'hazard<=0.1', expected a list"),
    (("gate", "constraints"), [{"name": "hazard", "limit": 0.1}] * 2, "gate.constraints limit 'hazard'"),
    (("gate", "constraints", 0, "name"), 3, "gate.constraints[0].name is 3, expected a text"),
    (("gate", "constraints", 0, "kind"), "any", "gate.constraints[0].kind is 'any', expected one of"),
    (("gate", "constraints", 0, "limit"), 0.0, "gate.constraints[0].limit is 0.0, expected a number > 0"),
    (("gate", "constraints", 0, "limit"), 1.5, "gate.constraints[0]: constraint 'hazard': limit is 1.5"),
    (("gate", "baseline"), "loger", "gate.baseline is 'loger', expected"),
    (("gate", "margin"), "1", "gate.margin is '1', expected a number"),
    (("gate", "confidence"), 1.0, "gate.confidence is 1.0, expected a number >= 0.5 and < 1"),
    (("gate", "assurance"), "heuristic", "gate.assurance is 'heuristic', expected one of"),
    (("gate", "discount"), 0.0, "gate.discount is 0.0, expected a number > 0 and <= 1"),
    (("gate", "share"), 1.0, "gate.share is 1.0, expected a number > 0 and < 1"),
    (("gate", "certify"), "yes", "gate.certify is 'yes', expected true or false"),
    (("gate", "seed"), -1, "gate.seed is -1, expected a whole number"),
    (("guard", "enabled"), "yes", "guard.enabled is 'yes', expected true or false"),
    (("guard", "fallback"), "log", "guard.fallback is 'log', expected"),
    (("guard", "false_alarms"), 0.0, "guard.false_alarms is 0.0, expected a number > 0 and < 1"),
    (("guard", "min_count"), 0, "guard.min_count is 0, expected a whole number >= 1"),
    (("guard", "min_share"), 1.0, "guard.min_share is 1.0, expected a number >= 0 and < 1"),
    (("guard", "harm"), {"hazard": 1.5}, "guard.harm is 1.5, expected a number > 0 and < 1"),
    (("guard", "rules"), "x0 < 1", "guard.rules is 'x0 < 1', expected a list"),
    ((*RULE, "when"), 3, "guard.rules[0].when is 3, expected a text"),
    ((*RULE, "when"), "x0 <", "guard.rules[0]: "),
    ((*RULE, "forbid"), [], "expected either actions to forbid, forbid=[...], or fallback=True"),
    ((*RULE, "forbid"), 1.5, "guard.rules[0].forbid is 1.5, expected a list"),
    ((*RULE, "fallback"), 3, "guard.rules[0].fallback is 3, expected true or false"),
    ((*RULE, "name"), 3, "guard.rules[0].name is 3, expected a text"),
    (("rollouts", "episodes"), 1, "rollouts.episodes is 1, expected a whole number >= 2"),
    (("rollouts", "seed"), -1, "rollouts.seed is -1"),
    (("rollouts", "confidence"), 95, "rollouts.confidence is 95, expected a number > 0 and < 1"),
    (("mismatch", "sample"), 0, "mismatch.sample is 0, expected a whole number >= 1"),
    (("mismatch", "seed"), "one", "mismatch.seed is 'one', expected a whole number"),
    (("report", "title"), 3, "report.title is 3, expected a text"),
    (("report", "maps"), ["BC", "DQN"], "report.maps names 'DQN', expected candidates: BC, BC-greedy, CQL."),
    (("report", "groups"), "sex", "report.groups is 'sex', expected a list"),
    (("report", "groups"), [], "report.groups is [], expected at least 1 entries"),
    (("data", "path"), 3, "data.path is 3, expected a text"),
    (("data", "format"), 3, "data.format is 3, expected a text"),
    (("data", "columns"), 3, "data.columns is 3, expected a table of keys and values, or the path of a column map"),
    (("data", "columns"), "none.toml", "data.columns: none.toml: cannot be read"),
    (("data", "columns"), {"reward": 3}, "data.columns: reward: 3 is not valid. Expected the name of a column."),
    (
        ("data", "columns"),
        {"observations": ["x"], "action": "a", "blank": {"hypo": "no event"}},
        "data.columns: blank: 'hypo' is not one of terminated",
    ),
    (("data", "columns"), {"last_row": "?"}, "data.columns: last_row is still '?'. Only a person can say it"),
    (("holdout", "by"), "tme", "holdout.by is 'tme', expected one of 'auto', 'episode', 'group' or 'time'"),
    (("holdout", "stratify"), 3, "holdout.stratify is 3, expected a text"),
]

# The options of the algorithms, by the same rule.
OPTIONS = [
    ("steps", 0), ("batch_size", 0), ("learning_rate", 0.0), ("schedule", "linear"), ("hidden", [64, 0]),
    ("networks", 0), ("gradient_clip", 0.0), ("weight_decay", -1.0), ("encoding", "hashing"), ("logit_penalty", -0.5),
    ("discount", 1.01), ("conservative_weight", -1.0), ("td_loss", "l1"), ("double_q", "maybe"), ("target_rate", 0.0),
    ("target_every", 0), ("reward_scale", -1.0), ("support", "all"), ("support_min_count", 0),
    ("support_min_share", 1.5), ("frequencies", 0), ("propensity_weight", -1.0),
]  # fmt: skip

UNKNOWN = [
    (("nme",), 1, "nme is not a known key. Did you mean 'name'?"),
    (("missmatch",), {}, "missmatch is not a known key. Did you mean 'mismatch'?"),
    (("environment", "slop"), 0.1, "environment.slop is not a known key. Did you mean 'slip'?"),
    (("environment", "render_mode"), "ansi", "environment.render_mode is not a known key."),
    (("logging", "epsilonn"), 0.1, "logging.epsilonn is not a known key. Did you mean 'epsilon'?"),
    (
        ("holdout", "share"),
        0.1,
        "holdout.share is not a known key. Known keys: episodes, fraction, by, stratify, seed.",
    ),
    ((*CQL, "hiden"), [8], "candidates[1].hiden is not a known key. Did you mean 'hidden'?"),
    ((*CQL, "alpha"), 6, "candidates[1].alpha is not a known key: it is called 'conservative_weight' here."),
    ((*BC, "conservative_weight"), 6, "candidates[0].conservative_weight is not a known key."),
    (("evaluation", "method"), "auto", "evaluation.method is not a known key. Did you mean 'methods'?"),
    (("rollouts", "episode"), 3, "rollouts.episode is not a known key. Did you mean 'episodes'?"),
    (("data", "columns"), {"rewad": "r"}, "data.columns: 'rewad' is not part of a column map. Did you mean 'reward'?"),
    (("mismatch", "n"), 3, "mismatch.n is not a known key."),
    (("report", "titel"), "x", "report.titel is not a known key. Did you mean 'title'?"),
]

INCONSISTENT = [
    (("name",), ..., "name is missing."),
    (("environment",), ..., "no log: give [environment]"),
    (("data",), {"path": "log"}, "[data] and [logging] exclude each other"),
    (("environment", "hazards"), [[3, 3]], "environment.n_hazards does not apply where hazards are given"),
    (("holdout", "fraction"), 0.2, "use holdout.episodes"),
    (("holdout", "by"), "time", "holdout.by does not apply to a log written by the environment"),
    (("holdout", "stratify"), "hazard", "holdout.stratify does not apply to a log written by the environment"),
    (("holdout", "seed"), 42, "the seed of the log"),
    (("gate",), ..., "[guard] needs a [gate]"),
    ((*CQL, "name"), "bc", "would both be saved as 'bc'"),
    ((*CQL, "name"), "BC-greedy", "would both be saved as 'BC-greedy'"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), OUT_OF_RANGE + UNKNOWN + INCONSISTENT)
def test_what_is_wrong_is_said_in_one_sentence(path, value, sentence):
    with pytest.raises(InputError) as caught:
        parse_config(edited(path, value), "study.toml")
    message = str(caught.value)
    assert message.startswith("study.toml: ")
    assert sentence in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("hazards", "sentence"),
    [
        ([[0, 0]], "environment: the hazard at (0, 0) is on the start"),
        (3, "environment: hazards is 3, expected a list"),
        ([[1, "a"]], "environment: hazard 0 is [1, 'a'], expected a cell"),
    ],
)
def test_hazards(hazards, sentence):
    with pytest.raises(InputError) as caught:
        parse_config({**TUTORIAL, "environment": {"hazards": hazards}})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_options_of_algorithms_are_checked(option, value):
    index = 0 if option in ("logit_penalty", "propensity_weight") else 1
    with pytest.raises(InputError, match=rf"candidates\[{index}\]\.{option}(\[1\])? is .*, expected "):
        parse_config(edited(("candidates", index, option), value))


def _leaves(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found = set()
    for name, field in model.model_fields.items():
        if name == "options":
            continue
        inner = [m for m in _flatten(field.annotation) if isinstance(m, type) and issubclass(m, BaseModel)]
        found |= _leaves(inner[0], (*prefix, name)) if inner else {(*prefix, name)}
    return found


def _flatten(annotation):
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation):
        return [base for arm in typing.get_args(annotation) for base in _flatten(arm)]
    return [annotation]


def test_every_key_has_a_row_above():
    rows = {tuple(part for part in path if isinstance(part, str)) for path, _, _ in OUT_OF_RANGE + INCONSISTENT}
    assert _leaves(StudyConfig) <= rows
    grid = set(parse_config(TUTORIAL).resolved()["environment"]) | {"start", "goal", "hazards"}
    assert {("environment", name) for name in grid} <= rows
    assert {name for config in CONFIGS.values() for name in config.model_fields} == {name for name, _ in OPTIONS}


def test_several_problems_are_counted():
    raw = edited(("logging", "episodes"), 0)
    raw["mismatch"]["sample"] = 0
    with pytest.raises(InputError, match=r"\(1 more problem after this one\.\)"):
        parse_config(raw)


def test_resolved_is_complete_and_gives_the_same_config():
    config = parse_config(TUTORIAL)
    resolved = config.resolved()
    assert json.loads(json.dumps(resolved)) == resolved
    assert parse_config(resolved) == config
    assert parse_config(resolved).resolved() == resolved
    assert resolved["environment"]["goal_reward"] == 50.0
    assert resolved["candidates"][1]["conservative_weight"] == CQLConfig().conservative_weight
    assert set(CONFIGS["cql"].model_fields) <= set(resolved["candidates"][1])


def test_defaults_that_follow_from_other_sections():
    given = parse_config({"name": "x", "data": {"path": "log"}, "candidates": TUTORIAL["candidates"]})
    assert given.rollouts is None
    assert given.logging is None
    assert given.holdout.fraction == 0.2
    assert given.holdout.episodes is None
    assert given.holdout.by == "auto"
    assert given.data.format == "auto"
    assert given.data.columns is None
    written = parse_config({"name": "x", "environment": {}, "candidates": TUTORIAL["candidates"]})
    assert written.logging.episodes == 500
    assert written.holdout.episodes == 200
    assert written.rollouts.episodes == 200


def test_everything_is_asked_unless_said():
    config = parse_config(TUTORIAL)
    assert config.evaluation.enabled
    assert config.evaluation.methods[0] == "auto"
    assert config.evaluation.of is None


def test_nothing_can_be_changed_afterwards():
    config = parse_config(TUTORIAL)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3


@pytest.mark.parametrize("section", ["rollouts", "logging"])
def test_sections_that_need_an_environment(section):
    raw = {"name": "x", "data": {"path": "log"}, "candidates": TUTORIAL["candidates"], section: {}}
    with pytest.raises(InputError, match=rf"\[{section}\]"):
        parse_config(raw)


def test_the_tutorials_budget():
    full = parse_config(TUTORIAL).with_budget("tutorial")
    assert [c.options["steps"] for c in full.candidates] == [25_000, 80_000]
    assert [c.options["hidden"] for c in full.candidates] == [[256, 256], [256, 256]]
    assert [c.options["batch_size"] for c in full.candidates] == [256, 256]
    assert full.name != "tutorial"
    with pytest.raises(InputError, match="budget 'x' is not known"):
        parse_config(TUTORIAL).with_budget("x")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist"),
        (b"name = ", "is not valid TOML"),
        (b"\xff\xfe", "is not valid TOML"),
        (b"name = 'x'", "candidates is missing"),
    ],
    ids=["missing", "no TOML", "no text", "nearly empty"],
)
def test_files_that_are_no_config(tmp_path, content, sentence):
    path = tmp_path / "study.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_a_directory_is_no_config(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        load_config(tmp_path)


def test_json_is_read_too_and_must_be_a_table(tmp_path):
    good, bad = tmp_path / "config.json", tmp_path / "list.json"
    good.write_text(json.dumps(parse_config(TUTORIAL).resolved()), encoding="utf-8")
    bad.write_text("[]", encoding="utf-8")
    assert load_config(good) == parse_config(TUTORIAL)
    with pytest.raises(InputError, match="holds a list"):
        load_config(bad)


def test_a_data_path_counts_from_the_file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'name = "x"\n[data]\npath = "log"\n[[candidates]]\nname = "BC"\nalgorithm = "bc"\n', encoding="utf-8"
    )
    assert Path(load_config(path).data.path) == tmp_path / "log"


STUDY_OF_A_TABLE = """
name = "x"
[data]
path = "ward.csv"
{columns}
[[candidates]]
name = "BC"
algorithm = "bc"
"""
MAP = (
    'observations = ["hr", "map"]\naction = "dose"\nreward = "r"\nlast_row = "truncated"\n[costs]\nhypo = "map < 60"\n'
)


def test_a_column_map_is_a_path_that_counts_from_the_file_or_stands_inline(tmp_path):
    (tmp_path / "ward.columns.toml").write_text(MAP, encoding="utf-8")
    named, inline = tmp_path / "named.toml", tmp_path / "inline.toml"
    named.write_text(STUDY_OF_A_TABLE.format(columns='columns = "ward.columns.toml"'), encoding="utf-8")
    nested = MAP.replace("[costs]", "[data.columns.costs]")
    inline.write_text(STUDY_OF_A_TABLE.format(columns=f"[data.columns]\n{nested}"), encoding="utf-8")
    config = load_config(named)
    assert config == load_config(inline)
    assert config.data.columns == tomllib.loads(MAP)
    resolved = json.loads(json.dumps(config.resolved()))
    assert resolved["data"]["columns"] == tomllib.loads(MAP)
    assert parse_config(resolved) == config


def test_a_column_map_that_is_wrong_is_named(tmp_path):
    study, columns = tmp_path / "study.toml", tmp_path / "ward.columns.toml"
    study.write_text(STUDY_OF_A_TABLE.format(columns='columns = "ward.columns.toml"'), encoding="utf-8")
    columns.write_text('reward = "?"\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_config(study)
    assert str(caught.value).startswith(f"{study}: data.columns: {columns}: reward is still '?'.")


def test_overrides_replace_top_level_keys(tmp_path):
    path = tmp_path / "study.toml"
    path.write_bytes(tutorial_config().read_bytes())
    assert load_config(path, seed=7, device=None).seed == 7
    with pytest.raises(InputError, match="seed is -7"):
        load_config(path, seed=-7)


def test_sections_stand_alone():
    assert EnvironmentConfig(id="CartPole-v1", gravity=3.0).options == {"gravity": 3.0}
    assert CandidateConfig(name="a", algorithm="bc", steps=5).options["steps"] == 5
