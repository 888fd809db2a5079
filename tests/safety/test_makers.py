"""Makers by name: what a config may say of them, and what a log must have for them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import groundschool as gs
from groundschool.config import parse_config
from groundschool.errors import InputError
from groundschool.safety.makers import MAKERS, options_of, require_makeable
from studies import TINY

# (algorithm, option, value, what the sentence must say after the path)
WRONG = [
    ("pruned", "thresholds", 3, "thresholds is 3, expected "),
    ("pruned", "thresholds", {}, "thresholds is {}, expected a mapping"),
    ("pruned", "thresholds", {"probability:hazard": "high"}, "thresholds is 'high', expected "),
    ("pruned", "thresholds", {"probability:hazard": -1.0}, "thresholds['probability:hazard'] is -1.0, expected"),
    ("pruned", "least_count", -1, "least_count is -1, expected a whole number"),
    ("pruned", "least_count", 1.5, "least_count is 1.5, expected "),
    ("pruned", "least_count", True, "least_count is True, expected "),
    ("pruned", "largest_ratio", 1.0, "largest_ratio is 1.0, expected a number above 1"),
    ("pruned", "largest_ratio", float("inf"), "largest_ratio is inf, expected "),
    ("pruned", "largest_ration", 2.0, "largest_ration is not a known key. Did you mean 'largest_ratio'?"),
    ("pruned", "behavior", "x", "behavior is not a known key."),
    ("pruned", "steps", 10, "steps is not a known key."),
    ("spibb", "least_count", 0, "least_count is 0, expected at least 1 row"),
    ("spibb", "threshold", -0.5, "threshold is -0.5, expected a number of at least 0"),
    ("spibb", "of", 3, "of is 3, expected a text"),
    ("spibb", "largest_ratio", "4", "largest_ratio is '4', expected a number"),
    ("most_provable", "folds", 1, "folds is 1, expected a whole number of at least 2"),
    ("most_provable", "confidence", 1.0, "confidence is 1.0, expected a number from 0.5"),
    ("most_provable", "episodes", 2.5, "episodes is 2.5, expected a whole number"),
    ("most_provable", "of", False, "of is False, expected a text"),
    ("most_provable", "makers", [], "makers is not a known key."),
]


def study(algorithm, **options):
    return parse_config({**TINY, "candidates": [{"name": "it", "algorithm": algorithm, **options}]})


@pytest.mark.parametrize(("algorithm", "option", "value", "says"), WRONG)
def test_what_is_wrong_is_said_at_its_path(algorithm, option, value, says):
    with pytest.raises(InputError) as caught:
        study(algorithm, **{option: value})
    assert f"candidates[0].{says}" in str(caught.value)


@pytest.mark.parametrize("algorithm", MAKERS)
def test_a_resolved_config_holds_the_options_of_the_class(algorithm):
    config = study(algorithm, seed=3)
    own = dict(config.candidates[0].options)
    kind = MAKERS[algorithm]
    defaults = {field.name: field.default for field in dataclasses.fields(kind) if field.name in own}
    assert own == defaults
    assert {field.name for field in dataclasses.fields(kind)} - {"behavior", "makers", "name"} == set(
        options_of(algorithm).model_fields
    )
    assert parse_config(config.resolved()) == config
    assert not config.candidates[0].trained


def test_a_whole_number_is_a_number():
    assert study("pruned", largest_ratio=4).candidates[0].options["largest_ratio"] == 4


@pytest.fixture(scope="module")
def log():
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    return gs.collect(grid, grid.logger(), 60, 0)


class TestLogs:
    @pytest.mark.parametrize(
        ("algorithm", "options"),
        [
            ("pruned", {}),
            ("pruned", {"thresholds": {"return": 5.0}}),
            ("spibb", {"of": "cost:hazard"}),
            ("most_provable", {"of": "gain"}),
            ("most_provable", {}),
        ],
    )
    def test_what_can_be_asked_of_it(self, log, algorithm, options):
        require_makeable(log, algorithm, options, 0)

    @pytest.mark.parametrize(
        ("algorithm", "options", "says"),
        [
            ("pruned", {"thresholds": {"probability:hazrd": 0.3}}, "hazrd"),
            ("spibb", {"of": "hazard"}, "hazard"),
            ("most_provable", {"of": "probability:hazrd"}, "hazrd"),
            ("most_provable", {"of": "cost:hazard"}, "expected 'probability:NAME' or 'gain'"),
        ],
    )
    def test_what_cannot(self, log, algorithm, options, says):
        with pytest.raises(InputError, match=says):
            require_makeable(log, algorithm, options, 0)

    def test_no_gain_without_a_range(self, log):
        bare = dataclasses.replace(log, return_range=None)
        with pytest.raises(InputError, match="declares no range of the return"):
            require_makeable(bare, "most_provable", {"of": "gain"}, 0)

    def test_nothing_in_the_log_is_changed(self, log):
        before = log.fingerprint
        require_makeable(log, "pruned", {}, 0)
        assert dataclasses.replace(log).fingerprint == before
        assert np.isfinite(log.rewards).all()


def measured_log():
    rng = np.random.default_rng(0)
    return gs.Dataset.from_arrays(
        rng.normal(size=(200, 2)), rng.integers(0, 2, 200), np.zeros(200), np.ones(200, bool), np.zeros(200, bool),
        costs={"harm": np.zeros(200)}, propensities=np.full(200, 0.5), n_actions=2,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "options", "says"),
    [
        ("pruned", {"least_count": 2}, "least_count is 2, and observations that are measured"),
        ("pruned", {"thresholds": {"probability:ham": 0.3}}, "has no cost .ham"),
        ("spibb", {}, "Spibb counts how often each pair was logged"),
        ("most_provable", {"of": "cost:harm"}, "expected 'probability:NAME' or 'gain'"),
    ],
)
def test_what_a_measured_log_lacks_is_found_before_networks_are_trained(algorithm, options, says):
    with pytest.raises(InputError, match=says):
        require_makeable(measured_log(), algorithm, options, 0)


@pytest.mark.parametrize("algorithm", ["pruned", "most_provable"])
def test_no_network_is_trained_to_see_whether_one_could_be(algorithm, monkeypatch):
    monkeypatch.setattr("groundschool.safety.cautious.MeasuredStudy", None)
    require_makeable(measured_log(), algorithm, {}, 0)
