"""The paired gain of a policy over the logger: by hand, over every episode, and by replicates."""

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.evaluation.bounds.stopping import Stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import all_wagers, paired_wagers
from groundschool.evaluation.sampling import Sampler
from groundschool.policies.policy import DiscretePolicy
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, every_episode, exact, hand_log, put

LOW, HIGH = -9.0, 22.0  # no episode of MODEL comes near
TAIL = 0.05


def declared(log, low=LOW, high=HIGH, **more):
    return gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
        propensities=log.propensities, final_observations=log.final_observations, n_actions=log.n_actions,
        horizon=log.horizon, episode_ids=log.episode_ids, return_range=(low, high), **more,
    )  # fmt: skip


def test_value_by_hand():
    # Weights of the three episodes are 3.2, 0.4 and 16/15, their returns 3, 0 and 6.
    weights, returns = np.array([3.2, 0.4, 16 / 15]), np.array([3.0, 0.0, 6.0])
    found = gs.gain(hand_log(return_range=(0.0, 10.0)), gs.TabularPolicy(HAND_TARGET))
    assert found.of == "gain"
    assert found.value == pytest.approx((weights * returns).sum() / weights.sum() - 3.0)
    assert found.values.mean() == pytest.approx(found.value)
    assert found.assurance == "finite-sample"
    assert found.possible == (-10.0, 10.0)


def test_a_value_beside_its_bounds_goes_to_the_nearer_one(monkeypatch):
    """By hand the gain is 3 / 7; bounds are made to be -.1 and .1 here, the range being 10 wide."""
    monkeypatch.setattr("groundschool.evaluation.pairing.betting_lower", lambda *_, **__: 1.01)
    found = gs.gain(hand_log(return_range=(0.0, 10.0)), gs.TabularPolicy(HAND_TARGET))
    assert (found.lower, found.value, found.upper) == pytest.approx((-0.1, 0.1, 0.1))
    assert found.values.mean() == pytest.approx(0.1)


def test_payoffs_by_hand():
    log = hand_log(return_range=(0.0, 10.0))
    problem = put(log, HAND_TARGET)
    u = problem.returns / 10.0
    taken = np.arange(3)[:, None]
    wager = paired_wagers(all_wagers(np.array([3.2, 0.4, 16 / 15]), u, taken), u, taken)[0]
    # W u + 1 - u, with u = .3, 0, .6
    assert wager.payoffs(slice(0, 3)) == pytest.approx([3.2 * 0.3 + 0.7, 1.0, 0.6 * 16 / 15 + 0.4])
    assert wager.floor == 0.0


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("stopped", [False, True])
def test_no_wager_promises_more_than_the_gain(name, stopped):
    """Over every episode that can happen: the mean payoff is at most 1 + gain, and is that without limit."""
    log, chance = every_episode()
    log = declared(log)
    problem = put(log, TARGETS[name])
    u = (problem.returns - LOW) / (HIGH - LOW)
    stopping = Stopping(problem, largest_ratios(problem)) if stopped else None  # two actions: all probabilities known
    weights = np.multiply.reduceat(problem.ratios, problem.starts[:-1])
    taken = np.arange(log.n_episodes)[:, None]
    wagers = paired_wagers(all_wagers(weights, u, taken, stopping), u, taken)
    gain = (exact(TARGETS[name]) - exact(LOGGER)) / (HIGH - LOW)
    means = [float(chance @ wager.payoffs(slice(None))) for wager in wagers]
    assert means[0] == pytest.approx(1.0 + gain)
    assert max(means) <= 1.0 + gain + 1e-12
    for wager in wagers:
        assert wager.payoffs(slice(None)).min() >= wager.floor - 1e-12


@pytest.mark.parametrize("assurance", ["finite-sample", "asymptotic"])
@pytest.mark.parametrize("name", ["stochastic", "logger"])
def test_bounds_cover(assurance, name):
    """Each side misses with probability .05 at most (asymptotically: half as often again)."""
    replicates, truth = 200, exact(TARGETS[name]) - exact(LOGGER)
    sampler, policy = Sampler.of(MODEL, LOGGER), gs.TabularPolicy(TARGETS[name])
    below = above = 0
    for seed in range(replicates):
        log = declared(sampler.log(150, seed))
        lower, upper = gs.gain(log, policy, assurance=assurance).bounds(TAIL)
        below, above = below + (lower > truth + 1e-9), above + (upper < truth - 1e-9)
    allowed = TAIL if assurance == "finite-sample" else 1.5 * TAIL
    most = stats.binom.isf(1e-4, replicates, allowed)
    assert below <= most
    assert above <= most


def test_pairing_tells_a_small_change_that_two_intervals_cannot():
    table = LOGGER.copy()
    table[2] = [0.75, 0.25]
    log, policy = declared(Sampler.of(MODEL, LOGGER).log(2_000, 5)), gs.TabularPolicy(table)
    of_logger = np.subtract(*gs.evaluate(log, policy, method="logged").bounds(TAIL)[::-1])
    for assurance, method in (("finite-sample", "betting"), ("asymptotic", "marginal_dr")):
        paired = np.subtract(*gs.gain(log, policy, assurance=assurance).bounds(TAIL)[::-1])
        alone = np.subtract(*gs.evaluate(log, policy, method=method).bounds(TAIL)[::-1])
        assert paired < 0.5 * (alone + of_logger)


def test_the_logger_gains_nothing_and_that_is_certain():
    found = gs.gain(declared(Sampler.of(MODEL, LOGGER).log(400, 1)), gs.TabularPolicy(LOGGER))
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.bounds(TAIL) == pytest.approx((0.0, 0.0), abs=0.6)


def test_cut_episodes_count_as_the_worst_of_both():
    whole = Sampler.of(MODEL, LOGGER).log(400, 3)
    keep = np.ones(whole.n_steps, bool)
    long = np.flatnonzero(whole.lengths > 1)[:40]
    keep[whole.starts[1:][long] - 1] = False  # forty episodes lose their last step
    last = np.zeros(whole.n_steps, bool)
    last[whole.starts[1:][long] - 2] = True
    cut = gs.Dataset.from_arrays(
        whole.observations[keep], whole.actions[keep], whole.rewards[keep], whole.terminated[keep],
        (whole.truncated | last)[keep], propensities=whole.propensities[keep], n_actions=2, horizon=3,
        return_range=(LOW, HIGH),
    )  # fmt: skip
    policy = gs.TabularPolicy(TARGETS["stochastic"])
    for assurance in ("finite-sample", "asymptotic"):
        lower, upper = gs.gain(cut, policy, assurance=assurance).bounds(TAIL)
        full_lower, full_upper = gs.gain(declared(whole), policy, assurance=assurance).bounds(TAIL)
        assert lower < full_lower
        assert upper > full_upper


def test_groups_of_one_size_are_units_and_of_others_bound_nothing():
    log = Sampler.of(MODEL, LOGGER).log(300, 4)
    pairs = declared(log, groups=np.repeat([f"g{i}" for i in range(150)], 2))
    odd = declared(log, groups=np.array(["a", *(f"g{i}" for i in range(1, 299)), "a"]))
    policy = gs.TabularPolicy(TARGETS["stochastic"])
    assert gs.gain(pairs, policy).trusted
    found = gs.gain(odd, policy)
    assert not found.trusted
    assert (found.lower, found.upper) == (LOW - HIGH, HIGH - LOW)
    assert gs.gain(odd, policy, assurance="asymptotic").trusted


class Studied(DiscretePolicy):
    name, n_actions = "studied", 2

    def __init__(self, log):
        self.training = type("Record", (), {"episode_hashes": tuple(log.episode_hashes)})()

    def probabilities(self, observations, *, masks=None):
        return TARGETS["stochastic"][np.asarray(observations)]


@pytest.mark.parametrize("assurance", ["finite-sample", "asymptotic"])
def test_nobody_is_judged_on_what_they_studied(assurance):
    log = declared(Sampler.of(MODEL, LOGGER).log(100, 2))
    found = gs.gain(log, Studied(log), assurance=assurance)
    assert not found.trusted
    assert "In-sample" in found.reasons[0]
    assert found.lower == LOW - HIGH


def test_estimated_propensities_are_heuristic():
    log = Sampler.of(MODEL, LOGGER).log(300, 6)
    bare = gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, n_actions=2, horizon=3,
        return_range=(LOW, HIGH),
    )  # fmt: skip
    assert gs.gain(bare, gs.TabularPolicy(LOGGER)).assurance == "heuristic"
    assert gs.gain(bare, gs.TabularPolicy(LOGGER), behavior=gs.TabularPolicy(LOGGER)).assurance == "finite-sample"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "declares no range of the return"),
        ({"discount": 0.9}, "without a discount"),
        ({"assurance": "sure"}, "expected one of finite-sample, asymptotic"),
        ({"confidence": 1.5}, "confidence is 1.5"),
        ({"assurance": "asymptotic", "ratio_cap": 2.0}, "ratio_cap is not an option"),
    ],
)
def test_bad_input(options, said):
    log = Sampler.of(MODEL, LOGGER).log(50, 0)
    with pytest.raises(gs.InputError, match=said):
        gs.gain(log, gs.TabularPolicy(LOGGER), **options)


def test_asymptotic_takes_a_discount_and_needs_no_range():
    log = Sampler.of(MODEL, LOGGER).log(400, 7)
    found = gs.gain(log, gs.TabularPolicy(TARGETS["stochastic"]), assurance="asymptotic", discount=0.9)
    truth = exact(TARGETS["stochastic"], discount=0.9) - exact(LOGGER, discount=0.9)
    assert abs(found.value - truth) < 6 * found.standard_error
    assert found.trusted
