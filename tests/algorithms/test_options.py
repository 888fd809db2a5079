"""Options: one sentence for what is wrong, with the name that was meant."""

from __future__ import annotations

import json

import numpy as np
import pytest

from groundschool.algorithms import CONFIGS, configure
from groundschool.errors import InputError


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        ("cqll", {}, "algorithm 'cqll' is unknown. Did you mean 'cql'"),
        ("iql", {}, "Known: bc, cql"),
        ("cql", {"alpha": 1.0}, "cql has no option 'alpha': it is called 'conservative_weight' here"),
        ("bc", {"beta": 1.0}, "it is called 'logit_penalty' here"),
        ("cql", {"lr": 1.0}, "it is called 'learning_rate' here"),
        ("bc", {"learning_rat": 1.0}, "Did you mean 'learning_rate'"),
        ("bc", {"discount": 0.9}, "bc has no option 'discount'"),
        ("cql", {"discount": 1.1}, "cql option 'discount': input should be less than or equal to 1, got 1.1"),
        ("cql", {"target_rate": 0.0}, "'target_rate': input should be greater than 0"),
        ("cql", {"steps": 0}, "'steps'.*greater than 0, got 0"),
        ("cql", {"steps": -3}, "'steps'.*got -3"),
        ("cql", {"steps": 7.5}, "'steps'.*got 7.5"),
        ("cql", {"steps": True}, "'steps'.*got True"),
        ("cql", {"learning_rate": True}, "'learning_rate'.*got True"),
        ("cql", {"gradient_clip": False}, "'gradient_clip'.*got False"),
        ("cql", {"learning_rate": float("nan")}, "'learning_rate'.*finite"),
        ("cql", {"conservative_weight": float("inf")}, "'conservative_weight'.*finite"),
        ("cql", {"hidden": (8, 0)}, "'hidden'.*got 0"),
        ("cql", {"hidden": 8}, "'hidden'"),
        ("cql", {"reward_scale": "big"}, "'reward_scale'"),
        ("cql", {"encoding": "one_hot"}, "'encoding'"),
        ("cql", {"double_q": "perhaps"}, "'double_q'"),
        ("cql", {"steps": 0, "discount": 2}, "'steps'.*; .*'discount'"),
    ],
)
def test_wrong_options(algorithm, options, message):
    with pytest.raises(InputError, match=message):
        configure(algorithm, options)


@pytest.mark.parametrize("algorithm", CONFIGS)
def test_options_survive_json(algorithm):
    config = configure(
        algorithm, {"hidden": [8, 4], "steps": np.int64(7), "learning_rate": 1e-4, "schedule": "constant"}
    )
    again = configure(algorithm, json.loads(json.dumps(config.model_dump(mode="json"))))
    assert again == config
    assert hash(again) == hash(config)
    assert config.hidden == (8, 4)


@pytest.mark.parametrize("algorithm", CONFIGS)
def test_traced_and_hinted_names_are_options(algorithm):
    kind = CONFIGS[algorithm]
    assert set(kind.TRACED) <= kind.model_fields.keys()
    assert set(kind.HINTS.values()) <= kind.model_fields.keys() | CONFIGS["cql"].model_fields.keys()
    assert not set(kind.HINTS) & kind.model_fields.keys()
