"""The logger read off its own propensities: exact where logged, completed from places that agree, near elsewhere."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.recall import recall_logger
from groundschool.evaluation.sampling import Sampler
from small_worlds import LOGGER, MODEL


def put(observations, actions, propensities, n_actions=3, **more):
    n = len(actions)
    return gs.Dataset.from_arrays(
        np.asarray(observations), np.asarray(actions), np.zeros(n), np.ones(n, bool), np.zeros(n, bool),
        propensities=None if propensities is None else np.asarray(propensities), n_actions=n_actions, horizon=1, **more,
    )  # fmt: skip


def test_what_is_missing_is_as_in_places_that_agree():
    # State 0 is known in full, and so is 1; of 2 only the first action, as in 0; of 3 only the last, as in 1.
    log = put([0, 0, 0, 1, 1, 1, 2, 3], [0, 1, 2, 0, 1, 2, 0, 2], [0.6, 0.3, 0.1, 0.2, 0.2, 0.6, 0.6, 0.6])
    found = recall_logger(log).probabilities(np.array([0, 1, 2, 3]))
    assert found[0] == pytest.approx([0.6, 0.3, 0.1])
    assert found[2] == pytest.approx([0.6, 0.3, 0.1])
    assert found[3] == pytest.approx([0.2, 0.2, 0.6])


def test_where_nothing_agrees_the_rest_is_shared_as_elsewhere():
    log = put([0, 0, 0, 1], [0, 1, 2, 0], [0.6, 0.3, 0.1, 0.2])
    assert recall_logger(log).probabilities(np.array([1]))[0] == pytest.approx([0.2, 0.6, 0.2])


def test_the_nearest_place_counts_where_several_agree():
    places = np.repeat([[0.0, 0.0], [9.0, 9.0]], 3, axis=0).tolist() * 4 + [[1.0, 0.0]] * 4 + [[50.0, 50.0]] * 4
    actions, tables = [0, 1, 2, 0, 1, 2] * 4 + [0] * 8, [0.5, 0.4, 0.1, 0.5, 0.1, 0.4] * 4 + [0.5] * 8
    found = recall_logger(put(np.array(places, np.float32), actions, tables))
    asked = np.array([[1.0, 0.0], [50.0, 50.0]], np.float32)
    assert found.probabilities(asked) == pytest.approx(np.array([[0.5, 0.4, 0.1], [0.5, 0.1, 0.4]]), abs=1e-3)


def test_forbidden_actions_get_nothing():
    masks = np.array([[True, True, False]] * 3 + [[True, True, True]] * 3)
    log = put([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 2], [0.7, 0.7, 0.7, 0.7, 0.2, 0.1], action_masks=masks)
    policy = recall_logger(log)
    assert policy.probabilities(np.array([0]), masks=masks[:1])[0] == pytest.approx([0.7, 0.3, 0.0])
    assert policy.probabilities(np.array([1]), masks=masks[3:4])[0] == pytest.approx([0.7, 0.2, 0.1])


def test_it_is_the_logger_where_all_was_logged():
    log = Sampler.of(MODEL, LOGGER).log(300, 1)
    assert recall_logger(log).probabilities(np.arange(3)) == pytest.approx(LOGGER[:3])


def test_without_propensities_they_are_estimated():
    log = put([0] * 80 + [1] * 20, [0] * 60 + [1] * 20 + [2] * 20, None)
    found = recall_logger(log).probabilities(np.array([0, 1]))
    assert found[0] == pytest.approx([0.75, 0.25, 0.0], abs=0.05)
    assert found[1, 2] > 0.8


def test_measured_observations_get_networks_near_the_propensities():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2))
    p = 1.0 / (1.0 + np.exp(-1.5 * x[:, 0]))
    actions = (rng.random(600) < p).astype(int)
    found = recall_logger(put(x, actions, np.where(actions == 1, p, 1.0 - p)))
    fresh = rng.normal(size=(500, 2))
    chances = found.probabilities(fresh)
    truth = 1.0 / (1.0 + np.exp(-1.5 * fresh[:, 0]))
    assert np.abs(chances[:, 1] - truth).mean() < 0.01  # drawn actions alone would leave it off by .04
    assert found.name == "logger, recalled"
