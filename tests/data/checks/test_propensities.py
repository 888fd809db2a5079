"""Propensities against what was done: by hand, in bulk, and by how often true ones are accused."""

from dataclasses import replace

import clean_logs
import numpy as np
import pytest
from scipy import stats

from groundschool.data.checks import propensities
from groundschool.data.checks._misfit import _log_ratio, misfit
from groundschool.data.checks._sample import Sample
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog

NAMES = [check.name for check in propensities.CHECKS]


def run(raw, seed=0):
    view, found = View(raw, seed), []
    for check in propensities.CHECKS:
        if not check.needs(view):
            found += [finding.check for finding in check.run(view)]
    return found


def bandit(rng, policy, given, episodes=100, steps=20):
    """Episodes in states that are drawn anew each step; `given` (states, actions) is what the log says of `policy`."""
    n = episodes * steps
    state = rng.integers(0, len(policy), n)
    actions = clean_logs.draw(rng, policy[state])
    return RawLog(
        observations=state,
        actions=actions,
        rewards=np.zeros(n),
        terminated=np.zeros(n, bool),
        truncated=np.arange(n) % steps == steps - 1,
        starts=np.arange(0, n + 1, steps),
        propensities=given[state, actions],
        n_actions=policy.shape[1],
    )


POLICY = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])


def test_the_gain_and_the_imbalance_are_what_the_definitions_say():
    rng = np.random.default_rng(0)
    wrong = np.full((3, 3), 1 / 3)
    raw = bandit(rng, POLICY, wrong, episodes=2_000)
    sample = Sample.of(View(raw))
    found = misfit(sample, raw.propensities[sample.rows], 3, 0)
    kl = np.mean(np.sum(POLICY * np.log(POLICY / wrong), axis=1))
    off = np.mean(np.abs(POLICY / wrong - 1))
    assert found.gain == pytest.approx(kl, abs=0.02)
    assert found.imbalance == pytest.approx(off, abs=0.03)
    assert found.beaten
    assert found.unbalanced


@pytest.mark.parametrize("factor", [0.5, 1.6])
def test_propensities_need_not_add_up_to_be_refuted(factor):
    raw = bandit(np.random.default_rng(1), POLICY, np.minimum(POLICY * factor, 0.98))
    assert run(raw) == ["propensity-calibration"]


def test_true_propensities_are_hardly_ever_accused():
    n, accused = 300, 0
    for seed in range(n):
        rng = np.random.default_rng(seed)
        policy = 0.1 / 4 + 0.9 * rng.dirichlet(np.ones(4), 5)
        accused += bool(run(bandit(rng, policy, policy, episodes=60), seed))
    # 0.1 % each of three checks; more than the limit would happen in 1 of 10,000 such tests.
    assert accused <= stats.binom.ppf(1 - 1e-4, n, 0.003)


def test_support_that_is_partial_is_no_imbalance():
    rng = np.random.default_rng(3)
    policy = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.1, 0.1, 0.8]])
    assert run(bandit(rng, policy, policy, episodes=300)) == []


def test_rounded_propensities_pass():
    raw = clean_logs.cartpole(2, 300)
    assert run(replace(raw, propensities=raw.propensities.round(2))) == []
    assert run(replace(raw, propensities=raw.propensities.astype(np.float32))) == []


def test_a_logger_that_remembers_passes_if_its_propensities_do():
    """The probability of repeating the last action depends on what the observation does not hold."""
    rng = np.random.default_rng(5)
    episodes, steps = 200, 20
    actions, given = np.zeros((episodes, steps), np.int64), np.full((episodes, steps), 0.5)
    actions[:, 0] = rng.integers(0, 2, episodes)
    for t in range(1, steps):
        stays = rng.random(episodes) < 0.8
        actions[:, t] = np.where(stays, actions[:, t - 1], 1 - actions[:, t - 1])
        given[:, t] = np.where(stays, 0.8, 0.2)
    raw = bandit(rng, np.full((3, 2), 0.5), np.full((3, 2), 0.5), episodes, steps)
    raw = replace(raw, actions=actions.ravel(), propensities=given.ravel())
    assert run(raw) == []


@pytest.mark.parametrize("make", [clean_logs.hazard_grid, clean_logs.cartpole, clean_logs.tabular])
def test_ones_are_belied_by_actions_that_vary(make):
    raw = make(1, 300)
    assert run(replace(raw, propensities=np.ones(raw.n_rows))) == ["propensity-ones"]


def test_a_little_exploration_belies_ones_too():
    for epsilon, found in ((0.0, []), (0.1, ["propensity-ones"])):
        policy = np.array([[1 - epsilon / 2, epsilon / 2], [epsilon / 2, 1 - epsilon / 2]])
        assert run(bandit(np.random.default_rng(0), policy, np.ones((2, 2)))) == found


def test_ones_of_a_rule_pass():
    assert run(clean_logs.cartpole(1, 300, epsilon=0.0)) == []


@pytest.mark.parametrize("epsilon", [0.1, 0.3, 0.6])
def test_the_probability_of_action_1_is_recognized(epsilon):
    raw = clean_logs.cartpole(1, 300, epsilon=epsilon)
    of_1 = np.where(raw.actions == 1, raw.propensities, 1 - raw.propensities)
    view = View(replace(raw, propensities=of_1))
    (found,) = propensities.propensity_of_1(view)
    assert 'propensity_is="probability_of_1"' in found.do
    assert run(view.raw) == ["propensity-of-1"]


def test_a_constant_probability_of_action_1():
    rng = np.random.default_rng(0)
    policy = np.tile([0.3, 0.7], (4, 1))
    assert run(bandit(rng, policy, np.full((4, 2), 0.7))) == ["propensity-of-1"]
    # Of a fair coin both readings are the same.
    fair = np.full((4, 2), 0.5)
    assert run(bandit(rng, fair, fair)) == []


def test_what_fits_neither_reading_is_not_called_the_other_one():
    raw = clean_logs.cartpole(1, 300, epsilon=0.3)
    shuffled = np.random.default_rng(0).permutation(raw.propensities)
    assert run(replace(raw, propensities=shuffled)) == ["propensity-calibration"]


def test_why_the_checks_do_not_apply():
    raw = clean_logs.cartpole(1, 100)
    few = clean_logs.cartpole(1, 10)
    reasons = {
        "no propensities": replace(raw, propensities=None),
        "episodes and": few,
        "too few rows": replace(raw, propensities=np.full(raw.n_rows, np.nan)),
        "one action": replace(raw, actions=np.zeros_like(raw.actions)),
        "continuous": clean_logs.pendulum(0, 60),
    }
    for words, log in reasons.items():
        for check in propensities.CHECKS:
            assert words in check.needs(View(log))


def test_a_model_that_rules_out_what_was_done_is_no_evidence():
    gain, evidence = _log_ratio(np.zeros(6), np.full(6, 0.5), np.array([0, 0, 1, 1, 2, 2]))
    assert gain == evidence == -np.inf
    _, evidence = _log_ratio(np.array([0.0, 0.5]), np.array([0.5, 0.25]), np.array([0, 1]))
    np.testing.assert_allclose(evidence, 0.0)  # the mean of the e-values 0 and 2


def test_an_action_taken_once_does_not_shield_the_others():
    rng = np.random.default_rng(1)
    raw = bandit(rng, POLICY, np.full((3, 3), 1 / 3), episodes=100)
    actions = raw.actions.copy()
    actions[500] = 3
    assert run(replace(raw, actions=actions, n_actions=4)) == ["propensity-calibration"]
    sample = Sample.of(View(replace(raw, actions=actions)))
    assert misfit(sample, raw.propensities, 4, 0).beaten
