"""Loggers by a rule are found, loggers that explore are not."""

from dataclasses import replace

import clean_logs
import numpy as np
import pytest

from groundschool.data.checks import determinism
from groundschool.data.checks._sample import Sample
from groundschool.data.checks.view import View

SEEDS = range(3)


def run(raw):
    view = View(raw)
    return [] if determinism.CHECKS[0].needs(view) else list(determinism.deterministic_logging(view))


@pytest.mark.parametrize("episodes", [100, 400])
@pytest.mark.parametrize("with_propensities", [True, False])
@pytest.mark.parametrize("make", [clean_logs.hazard_grid, clean_logs.cartpole])
def test_only_loggers_without_exploration_are_named(make, with_propensities, episodes):
    for seed in SEEDS:
        for epsilon in (0.0, 0.1, 0.3, 1.0):
            raw = make(seed, episodes, epsilon=epsilon)
            raw = raw if with_propensities else replace(raw, propensities=None)
            found = run(raw)
            assert len(found) == (epsilon == 0.0), (seed, epsilon)
            assert all((f.check, f.severity) == ("deterministic-logging", "warning") for f in found)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_continuous_controllers(noise):
    for seed in SEEDS:
        assert len(run(clean_logs.pendulum(seed, 100, noise=noise))) == (noise == 0.0)


def test_the_noise_of_a_controller_is_measured():
    rng = np.random.default_rng(0)
    raw = clean_logs.pendulum(1, 200, noise=0.0)
    spread = raw.actions.std()
    for share in (0.05, 0.3):
        noisy = raw.actions + share * spread * rng.normal(size=raw.actions.shape)
        found = determinism.relative_noise(Sample.of(View(replace(raw, actions=noisy))), 0)
        assert found == pytest.approx(share / np.sqrt(1 + share**2), rel=0.1)


def test_one_free_number_of_the_action_is_enough_support():
    raw = clean_logs.pendulum(1, 100, noise=0.0)
    free = np.random.default_rng(0).normal(size=raw.actions.shape)
    assert run(replace(raw, actions=np.hstack([raw.actions, raw.actions**2]))) != []
    assert run(replace(raw, actions=np.hstack([raw.actions, free]))) == []


def test_what_masks_leave_no_choice_about_does_not_count():
    raw = clean_logs.tabular(0, 400)
    # Every state allows two actions; the logger takes either.
    masks = np.ones((raw.n_rows, 3), bool)
    masks[np.arange(raw.n_rows), raw.observations % 3] = False
    rng = np.random.default_rng(0)
    allowed = np.array([[a for a in range(3) if a != state % 3] for state in raw.observations])
    actions = allowed[np.arange(raw.n_rows), rng.integers(0, 2, raw.n_rows)]
    free = replace(raw, actions=actions, action_masks=masks, propensities=None)
    assert run(free) == []
    assert len(run(replace(free, actions=allowed[:, 0]))) == 1
    only = np.zeros_like(masks)
    only[np.arange(raw.n_rows), raw.observations % 3] = True
    assert run(replace(raw, actions=raw.observations % 3, action_masks=only, propensities=None)) == []


def test_one_action_only():
    raw = clean_logs.tabular(0, 200)
    (found,) = run(replace(raw, actions=np.zeros_like(raw.actions)))
    assert found.what == "Every action is the same."


def test_actions_that_vary_belie_propensities_of_one():
    raw = clean_logs.cartpole(0, 200, epsilon=0.3)
    assert run(replace(raw, propensities=np.ones(raw.n_rows))) == []
