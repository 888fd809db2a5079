"""Costs of steps: numbers, mappings and expressions, in any log that is collected."""

from __future__ import annotations

import numpy as np
import pytest

import groundschool as gs
from groundschool.data.expressions import Expression
from groundschool.errors import InputError
from groundschool.evaluation.episode_costs import EpisodeCosts, observed
from wards import POLICY, Ward


def test_a_mapping_becomes_a_column_each():
    log = gs.collect(Ward(1.0, says=lambda harm: {"cost": {"fall": harm, "noise": np.float32(0.5)}}), POLICY, 4)
    assert sorted(log.costs) == ["fall", "noise"]
    assert log.cost_sums("fall").tolist() == [1.0] * 4
    assert log.costs["noise"].tolist() == [0.5] * 12
    assert gs.rollout(Ward(1.0, says=lambda harm: {"cost": {"fall": harm}}), POLICY, 4).probabilities["fall"].value == 1


def test_a_name_in_some_steps_only_is_refused():
    env = Ward(1.0, says=lambda harm: {"cost": {"fall": harm, **({"noise": 1.0} if harm else {})}})
    with pytest.raises(InputError, match="cost 'noise' in info\\['cost'\\] is missing in 2 of 3 steps"):
        gs.collect(env, POLICY, 1)


def test_expressions_by_hand():
    expressions = {
        "low": Expression.parse("bg < 54 and not meal"),
        "pay": Expression.parse("max(0, 0 - reward) + dose"),
    }
    costs = EpisodeCosts("Clinic", "cost", expressions, feature_names=("bg", "meal"))
    costs.arrived(np.array([50.0, 0.0]), -2.0, {"dose": 3, "who": "A", "flag": np.bool_(True)})
    costs.arrived(np.array([50.0, 1.0]), 2.0, {"dose": np.float32(0.5)})
    assert {name: column.tolist() for name, column in costs.columns().items()} == {"low": [1.0, 0.0], "pay": [5.0, 0.5]}


def test_names_of_the_numbers_of_an_observation():
    assert observed(np.array(3)) == {"observation": 3.0}
    assert observed(np.array([3.0])) == {"observation": 3.0}
    assert observed(np.array([[1.0, 2.0]])) == {"observation_0": 1.0, "observation_1": 2.0}
    assert observed(np.array([1.0, 2.0]), ("a", "b"))["b"] == 2.0
    assert "a" not in observed(np.array([1.0, 2.0, 3.0]), ("a", "b"))


def test_no_cost_is_no_column():
    costs = EpisodeCosts("Clinic", "cost")
    costs.arrived(np.zeros(2), 0.0, {})
    assert costs.columns() is None
