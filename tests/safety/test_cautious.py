"""Policies made to be certified: pruning by hand, ratios, masks, unseen states, candidates, what is shown of them."""

import itertools

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.evaluation.sampling import Sampler
from groundschool.safety.candidates import Candidates
from groundschool.safety.cautious import Pruned, Spibb, removed
from small_worlds import END, LOGGER, MODEL, exact

GRID = gs.HazardGrid(size=6, hazards=[(2, 2), (3, 1)], horizon=20)


def one_step(counts, harm, rewards=None, **more):
    """A log of one-step episodes in one state: how often each of the actions was taken, and how often harm followed."""
    actions = np.repeat(np.arange(len(counts)), counts)
    events = np.concatenate([np.arange(n) < k for n, k in zip(counts, harm, strict=True)]).astype(float)
    n, share = len(actions), np.array(counts) / sum(counts)
    order = np.random.default_rng(0).permutation(n)
    return gs.Dataset.from_arrays(
        np.zeros(n, np.int64), actions[order], -events[order] if rewards is None else np.array(rewards)[actions[order]],
        np.ones(n, bool), np.zeros(n, bool), costs={"harm": events[order]}, propensities=share[actions[order]],
        n_actions=len(counts), horizon=1, return_range=(-10.0, 10.0), **more,
    )  # fmt: skip


def test_pruned_by_hand():
    # Harm 50 % after the second action, 5 % otherwise; the logger's own harm is .1 * .5 + .9 * .05.
    log = one_step([60, 10, 30], [3, 5, 2])
    policy = Pruned()(log)
    assert policy.probabilities(np.array([0]))[0] == pytest.approx([0.6 / 0.9, 0.0, 0.3 / 0.9])
    assert policy.probabilities(np.array([7]))[0] == pytest.approx([0.6, 0.1, 0.3])  # never met: what the logger does
    assert Pruned({"probability:harm": 0.9})(log).probabilities(np.array([0]))[0] == pytest.approx([0.6, 0.1, 0.3])
    assert Pruned(least_count=11)(log).probabilities(np.array([0]))[0] == pytest.approx([0.6, 0.1, 0.3])


def test_poor_actions_go_by_a_threshold_on_the_return():
    log = one_step([50, 30, 20], [0, 0, 0], rewards=[1.0, 0.0, -4.0])
    policy = Pruned({"return": 2.0})(log)
    assert policy.probabilities(np.array([0]))[0] == pytest.approx([5 / 8, 3 / 8, 0.0])


def test_the_largest_ratio_holds_by_keeping_some_of_what_is_less_dangerous():
    # Nine tenths would go: only half of all probability may, so that nothing doubles. The worst goes first.
    base, danger = np.array([[0.1, 0.3, 0.6]]), np.array([[0.0, 2.0, 1.0]])
    kept = removed(base, danger, 2.0)
    assert kept[0] == pytest.approx([1.0, 0.0, 1.0 - 0.2 / 0.6])
    now = base * kept / (base * kept).sum()
    assert (now / base).max() == pytest.approx(2.0)


def test_spibb_by_hand():
    log = one_step([50, 26, 20, 4], [0, 0, 0, 0], rewards=[1.0, 3.0, 2.0, -9.0])
    # The last is logged too seldom; of the others the second is best, and the first worse by 2.
    policy = Spibb(least_count=5, threshold=1.5)(log)
    assert policy.probabilities(np.array([0]))[0] == pytest.approx([0.0, 0.76, 0.2, 0.04])
    assert Spibb(least_count=5, threshold=0.0)(log).probabilities(np.array([0]))[0] == pytest.approx([0, 0.96, 0, 0.04])
    capped = Spibb(least_count=5, threshold=1.5, largest_ratio=1.5)(log)
    assert capped.probabilities(np.array([0]))[0] == pytest.approx([0.37, 0.39, 0.2, 0.04])


def grid_log(n, seed, **more):
    return Sampler.of(GRID.model(), GRID.logger(0.4)).log(n, seed, **more)


def cells():
    return np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0), indexing="ij"), -1).reshape(-1, 2)


@pytest.mark.parametrize("behavior", [None, GRID.logger(0.4)])
@pytest.mark.parametrize("maker", [Pruned, Spibb])
def test_the_ratio_to_the_logger_is_bounded_everywhere(maker, behavior):
    log, logger = grid_log(300, 1), GRID.logger(0.4)
    policy = maker(largest_ratio=3.0, behavior=behavior)(log)
    base = policy.policy.probabilities(cells())
    assert (policy.probabilities(cells()) <= 3.0 * base + 1e-12).all()
    assert policy.probabilities(cells()).sum(axis=1) == pytest.approx(np.ones(36))
    if behavior is None:  # exact where logged
        place = policy.policy.probabilities(log.observations)
        assert place[np.arange(log.n_steps), log.actions] == pytest.approx(log.propensities, abs=1e-6)
    else:
        assert np.array_equal(base, logger.probabilities(cells()))


def test_masks_are_honored():
    rng = np.random.default_rng(3)
    masks = rng.random((4, 2)) < 0.7
    masks[~masks.any(axis=1)] = True
    table = np.where(masks, LOGGER, 0.0)
    table /= table.sum(axis=1, keepdims=True)
    log = Sampler.of(MODEL, table, masks=masks).log(300, 5)
    for maker in (Pruned({"probability:harm": 0.05}), Spibb(least_count=2, threshold=0.1)):
        policy = maker(log)
        found = policy.probabilities(np.arange(3), masks=masks[:3])
        assert (found[~masks[:3]] == 0.0).all()
        assert found.sum(axis=1) == pytest.approx(np.ones(3))
        assert gs.evaluate(Sampler.of(MODEL, table, masks=masks).log(50, 6), policy, method="is").n_episodes == 50


def test_it_remembers_what_it_studied_and_is_not_judged_on_it(tmp_path):
    log = grid_log(200, 1)
    policy = Pruned()(log)
    assert policy.training.algorithm == "pruned"
    assert policy.training.config["thresholds"] == {"probability:hazard": 0.3}
    policy.save(tmp_path / "p")
    again = gs.load(tmp_path / "p")
    assert again.training == policy.training
    found = gs.evaluate(log, again, of="probability:hazard", method="betting")
    assert not found.trusted
    assert "In-sample" in found.reasons[0]
    assert gs.evaluate(grid_log(200, 2), again, of="probability:hazard", method="betting").trusted


def test_it_is_safer_than_its_logger_and_the_gain_is_shown():
    model, logger = GRID.model(), GRID.logger(0.4)
    policy = Pruned()(grid_log(300, 1))
    before, after = model.evaluate(logger), model.evaluate(policy)
    assert after.probabilities["hazard"] < 0.5 * before.probabilities["hazard"]
    assert after.return_ > before.return_


def test_the_bound_misses_as_rarely_as_it_says():
    """Policy and bound from fresh logs each time: the hazard's limit and the gain's, .05 each."""
    model, logger, replicates = GRID.model(), GRID.logger(0.4), 60
    sampler, base = Sampler.of(model, logger), model.evaluate(logger).return_
    missed, refuted = 0, 0
    for seed in range(replicates):
        log = sampler.log(150, seed)
        policy = Pruned()(log.select(np.arange(150) < 50))
        rest = log.select(np.arange(150) >= 50)
        rest = gs.Dataset.from_arrays(
            rest.observations, rest.actions, rest.rewards, rest.terminated, rest.truncated, costs=rest.costs,
            propensities=rest.propensities, n_actions=4, horizon=20, return_range=(-119.0, 41.0),
            episode_ids=rest.episode_ids,
        )  # fmt: skip
        truth = model.evaluate(policy)
        bound = gs.evaluate(rest, policy, of="probability:hazard", method="betting").upper_bound(0.95)
        missed += bound < truth.probabilities["hazard"]
        refuted += gs.gain(rest, policy).lower_bound(0.95) > truth.return_ - base
    most = stats.binom.isf(1e-4, replicates, 0.05)
    assert missed <= most
    assert refuted <= most


def test_candidates_by_name():
    named = Candidates({"a": ("pruned", {"thresholds": {"probability:harm": 0.2}}), "b": ("spibb", {}), "c": Pruned()})
    made = named.train(Sampler.of(MODEL, LOGGER).log(100, 0), 0)
    assert [policy.name for policy in made.values()] == ["a", "b", "pruned"]
    assert made["a"].training.config["thresholds"] == {"probability:harm": 0.2}


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (("pruned", {"treshold": 1}), "candidate 'a': pruned has no option 'treshold'"),
        (("pruned", {"thresholds": {"return": 0.0}}), "expected a number above 0"),
        (("pruned", {"thresholds": {}}), "expected a mapping"),
        (("pruned", {"largest_ratio": 1.0}), "expected a number above 1"),
        (("spibb", {"least_count": 0}), "expected at least 1 row"),
        (("spibb", {"threshold": -1.0}), "expected a number of at least 0"),
        (("prune", {}), "candidate 'a'"),
    ],
)
def test_bad_candidates(candidate, said):
    with pytest.raises(gs.InputError, match=said):
        Candidates({"a": candidate})


def test_a_log_without_costs_is_pruned_by_its_return():
    log = one_step([50, 30, 20], [0, 0, 0], rewards=[1.0, 0.0, -4.0])
    bare = gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, propensities=log.propensities,
        n_actions=3, horizon=1,
    )  # fmt: skip
    assert Pruned()(bare).probabilities(np.array([0]))[0] == pytest.approx([5 / 8, 3 / 8, 0.0])


def test_nothing_to_change_is_the_logger():
    log = Sampler.of(MODEL, LOGGER).log(200, 0)
    policy = Pruned({"probability:harm": 5.0})(log)
    assert policy.probabilities(np.flatnonzero(~END)) == pytest.approx(LOGGER[~END])
    assert exact(policy.probabilities(np.arange(4))) == pytest.approx(exact(LOGGER))


def test_actions_pruned_of_every_subset_leave_a_distribution():
    base = np.array([[0.2, 0.3, 0.5]])
    for danger in itertools.product((0.0, 1.0, 2.0), repeat=3):
        kept = removed(base, np.array([danger]), 4.0)
        assert ((kept >= 0.0) & (kept <= 1.0)).all()
        assert (base * kept).sum() >= 0.25 - 1e-12
