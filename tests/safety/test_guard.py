"""Fitting a guard: by hand, its false alarms over many logs, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import groundschool as gs
from groundschool.errors import InputError
from groundschool.policies import ConstantPolicy, Reason, TabularPolicy, wrap
from groundschool.policies.novelty import Counted, Measured
from groundschool.safety.familiarity import calibrated, farthest_first

UNIFORM = TabularPolicy(np.full((10, 2), 0.5), name="uniform")


def episodes(*states, actions=None, costs=None, **more):
    """A log of ids: one episode for each sequence of states."""
    lengths = [len(one) for one in states]
    ends = np.zeros(sum(lengths), bool)
    ends[np.cumsum(lengths) - 1] = True
    flat = np.concatenate(states).astype(int)
    more = {"n_actions": 2, **more}
    return gs.Dataset.from_arrays(
        flat, np.zeros(len(flat), int) if actions is None else actions, np.zeros(len(flat)), ends, np.zeros_like(ends),
        costs=None if costs is None else {"harm": costs}, **more,
    )  # fmt: skip


def held_out(*states, **more):
    return episodes(*states, episode_ids=[f"h{i}" for i in range(len(states))], **more)


@pytest.mark.parametrize(
    ("n", "rate", "rank", "promised"),
    [(99, 0.02, 98, 0.02), (100, 0.02, 99, 2 / 101), (49, 0.02, 49, 0.02), (10, 0.02, 10, 1 / 11), (19, 0.1, 18, 0.1)],
)
def test_the_conformal_rank_by_hand(n, rate, rank, promised):
    scores = np.random.default_rng(0).permutation(n) + 1.0
    threshold, found = calibrated(scores, rate)
    assert threshold == rank
    assert found == pytest.approx(promised)


def test_counts_by_hand():
    log = episodes([0, 1, 0], [0, 1, 1], [0, 2], actions=[0, 0, 1, 0, 0, 1, 0, 1], costs=[0, 0, 1, 0, 0, 1, 0, 0])
    later = held_out([0, 1], [3, 0], actions=[0, 0, 1, 1], costs=[0, 0, 0, 1])
    guarded = gs.guard(log, later, UNIFORM, false_alarms=0.5, min_count=2, min_share=0.5, harm={"harm": 0.5})
    novelty = guarded.guard.novelty
    assert isinstance(novelty, Counted)
    np.testing.assert_array_equal(novelty.observations, [0, 1, 2, 3])
    np.testing.assert_array_equal(novelty.episodes, [5, 3, 1, 1])  # 0 is in all five episodes, 1 in three
    # Of the two later ones the first holds no state logged in fewer than 2 episodes, the second one never logged:
    # the 2nd smallest of the scores -2 and 0 leaves nothing familiar below one episode.
    assert novelty.least == 1
    # state: action 0, action 1 | 0: 4, 2 (harm 0, 2) | 1: 3, 1 (0, 1) | 2: 0, 1 | 3: 0, 1
    np.testing.assert_array_equal(guarded.fallback.table, [[4 / 6, 2 / 6], [0.75, 0.25], [0, 1], [0, 1]])
    np.testing.assert_array_equal(guarded.fallback.overall, [7 / 12, 5 / 12])
    np.testing.assert_array_equal(guarded.guard.supported, [[1, 1], [1, 0], [0, 1], [0, 1]])
    np.testing.assert_array_equal(guarded.guard.harmless, [[1, 0], [1, 0], [1, 1], [1, 1]])
    np.testing.assert_array_equal(guarded.guard.ranking, [0, 1])
    facts = guarded.guard.calibration
    assert (facts["episodes"], facts["episodes_alarmed"], facts["promised"]) == (2, 1, None)
    # Left out, the third episode's 2 and the fifth's 3 are in no other.
    assert (facts["left_out_episodes"], facts["left_out_alarmed"]) == (5, 2)
    np.testing.assert_allclose(guarded.probabilities([0, 1, 2, 3]), [[1, 0], [1, 0], [0, 1], [0, 1]])


def test_the_least_count_is_the_largest_that_held_out_episodes_leave():
    log = episodes(*[[0, 1]] * 3, *[[0, 2]] * 9)
    few = gs.guard(log, held_out(*[[0, 2]] * 19, [0, 1]), UNIFORM, false_alarms=0.04)
    assert few.guard.novelty.least == 3  # one of 20 holds the state logged in three
    # One alarm in twenty may be. But of the 32 episodes, each held against the others, 4 hold a state of only 3 others.
    many = gs.guard(log, held_out(*[[0, 2]] * 19, [0, 1]), UNIFORM, false_alarms=0.1)
    assert many.guard.novelty.least == 3
    assert many.guard.calibration["left_out_alarmed"] == 0
    more = gs.guard(log, held_out(*[[0, 2]] * 19, [0, 1]), UNIFORM, false_alarms=0.13)
    assert more.guard.novelty.least == 5  # what five episodes hold is familiar, whatever might be
    assert more.guard.calibration["episodes_alarmed"] == 1
    assert more.guard.calibration["left_out_alarmed"] == 4
    assert more.decide(1, np.random.default_rng(0)).reason is Reason.NOVEL


def test_farthest_first_by_hand():
    points = np.array([[0.0], [1.0], [9.0], [10.0], [5.0], [10.0]])
    np.testing.assert_array_equal(farthest_first(points, 3), [[0.0], [10.0], [5.0]])
    assert len(farthest_first(points, 99)) == 5  # each place once


def measured_log(n, seed, *, prefix="", shift=0.0):
    """Episodes of 10 steps of a slow walk in three numbers, one of them far from the unit scale."""
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(n, 1, 3))
    x = (start + np.cumsum(0.3 * rng.normal(size=(n, 10, 3)), axis=1) + shift) * [1.0, 100.0, 1.0]
    ends = np.tile(np.arange(10) == 9, n)
    return gs.Dataset.from_arrays(
        x.reshape(-1, 3), rng.integers(0, 2, 10 * n), np.zeros(10 * n), ends, ~ends & False, n_actions=2,
        episode_ids=[f"{prefix}{i}" for i in range(n)],
    )  # fmt: skip


def alarmed(guarded, log):
    """The share of episodes in which anything is unlike the log."""
    reasons = guarded.compose(log.observations).reasons
    novel = reasons[:, [list(Reason).index(r) for r in (Reason.NOVEL, Reason.OUT_OF_RANGE)]].sum(axis=1) > 0
    return np.logical_or.reduceat(novel, log.starts[:-1]).mean()


def test_fresh_episodes_raise_few_alarms_and_strange_ones_do():
    """A promise over calibrations: the mean over 30 logs of the false alarms of 300 fresh episodes each."""
    logs, fresh, rate, n = 30, 300, 0.05, 99
    found, caught = [], []
    for seed in range(logs):
        log, later = measured_log(150, seed, prefix="a"), measured_log(n, 1_000 + seed, prefix="b")
        guarded = gs.guard(log, later, ConstantPolicy(0, 2), fallback=1, false_alarms=rate)
        assert isinstance(guarded.guard.novelty, Measured)
        assert guarded.guard.calibration["promised"] == pytest.approx(rate)
        found.append(alarmed(guarded, measured_log(fresh, 2_000 + seed, prefix="c")))
        caught.append(alarmed(guarded, measured_log(fresh, 3_000 + seed, prefix="d", shift=6.0)))
    # The rate given a calibration is Beta(5, 95), of variance .00047; that of 300 episodes adds .05 * .95 / 300.
    error = math.sqrt((0.00047 + rate * (1 - rate) / fresh) / logs)
    assert np.mean(found) < rate + 4 * error
    assert np.mean(found) > rate - 4 * error - 0.5 / n  # the threshold is not wasted either
    assert np.min(caught) > 0.99


def test_false_alarms_of_counts_stay_below_the_rate_where_the_log_is_large_enough():
    grid = gs.HazardGrid()
    model_free = []
    for seed in range(6):
        train, later, _ = gs.split(gs.collect(grid, grid.logger(), episodes=1_000, seed=seed), seed=0)
        guarded = gs.guard(train, later, ConstantPolicy(0, 4), false_alarms=0.02)
        model_free.append(alarmed(guarded, gs.collect(grid, grid.logger(), episodes=1_000, seed=100 + seed)))
    # 6,000 fresh episodes, and six calibrations on 200 whose rates spread by some .01 each
    assert np.mean(model_free) < 0.02 + 4 * math.hypot(math.sqrt(0.02 * 0.98 / 6_000), 0.01 / math.sqrt(6))


def test_too_few_held_out_episodes_are_said():
    guarded = gs.guard(
        measured_log(20, 0, prefix="a"), measured_log(10, 1, prefix="b"), ConstantPolicy(0, 2), fallback=1
    )
    (note,) = guarded.guard.notes
    assert "0 of 10 held-out episodes raise an alarm; at most 2.0% of fresh ones can be promised from 49" in note
    assert guarded.guard.calibration["promised"] == pytest.approx(1 / 11)


def test_blanks_are_familiar_where_they_are_imputed_and_were_logged():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    x[::5, 1] = np.nan
    ends = np.arange(400) % 4 == 3
    features = [gs.Feature("hr"), gs.Feature("lactate", impute="median")]
    log = gs.Dataset.from_arrays(
        x, np.zeros(400, int), np.zeros(400), ends, ~ends & False, features=features, action_labels=["none", "dose"]
    )
    rules = [gs.Rule("lactate > 2", forbid="dose", name="no dose at high lactate")]
    guarded = gs.guard(
        log.select(range(60)), log.select(range(60, 100)), ConstantPolicy(1, 2), fallback=0, rules=rules,
        ranges={"hr": (-9.0, 9.0)}, false_alarms=0.1,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    assert guarded.fallback.name == "always none"
    assert guarded.decide([0.1, 0.1], rng)[:2] == (1, "policy")
    ruled = guarded.decide([0.1, 2.1], rng)
    assert ruled[:2] == (0, "rule")
    assert ruled.detail == "The rule 'no dose at high lactate' forbids action 1. The fallback acts."
    assert guarded.decide([0.1, np.nan], rng)[:2] == (0, "rule")  # blank: the rule holds
    assert guarded.decide([np.nan, 0.1], rng)[:2] == (0, "blank_or_infinite")
    ranged = guarded.decide([9.5, 0.1], rng)
    assert ranged.reason == "out_of_range"
    assert "'hr' is 9.5, outside -9 to 9" in ranged.detail


def test_who_was_fitted_on_is_remembered():
    grid = gs.HazardGrid(size=5, hazards=[(2, 2)], horizon=12)
    train, selection, holdout = gs.split(gs.collect(grid, grid.logger(), episodes=90, seed=1), seed=0)
    guarded = gs.guard(train, selection, ConstantPolicy(0, 4))
    hashes = set(guarded.training.episode_hashes)
    assert hashes == {*train.episode_hashes.tolist(), *selection.episode_hashes.tolist()}
    for part, studied in ((train, True), (selection, True), (holdout, False)):
        reasons = gs.evaluate(part, guarded, of="probability:hazard").reasons
        assert any(reason.startswith("In-sample") for reason in reasons) == studied
    twice = gs.guard(train, selection, gs.guard(train, holdout, ConstantPolicy(0, 4)))
    assert set(twice.training.episode_hashes) == set(selection.episode_hashes.tolist())  # the rest is the inner one's


def test_interventions_by_hand():
    log = episodes([0, 0], [1, 0])
    policy = TabularPolicy([[0.5, 0.5], [0.0, 1.0]])
    guarded = gs.guard(log, held_out([0], [1]), policy, rules=[gs.Rule("state == 0", forbid=1)], false_alarms=0.5)
    found = guarded.interventions(log)
    # Half of what is proposed in state 0 is forbidden by the rule, all of it in state 1 was never logged.
    assert found.rows[Reason.RULE] == pytest.approx(3 * 0.5 / 4)
    assert found.rows[Reason.UNSUPPORTED] == pytest.approx(1 / 4)
    assert found.rate == pytest.approx(1 - 1.5 / 4)
    assert found.episodes[Reason.RULE] == pytest.approx((0.75 + 0.5) / 2)
    assert found.episodes[Reason.UNSUPPORTED] == pytest.approx(1 / 2)
    assert found.any_episode == pytest.approx((0.75 + 1.0) / 2)
    assert "for 62.50% of decisions, in 87.5% of episodes: rule 37.50% of rows and 62.5% of episodes" in str(found)
    assert found.to_json()["rows"]["rule"] == pytest.approx(0.375)


LOG, LATER = episodes([0, 1], [1, 0]), held_out([0, 1], [1, 0])
WALK, WALKED = measured_log(20, 0), measured_log(20, 1, prefix="b")


@pytest.mark.parametrize(
    ("log", "later", "options", "message"),
    [
        (LOG, LOG, {}, "calibration: 2 of 2 episodes were fitted or trained on"),
        (LOG, WALKED, {}, "Pass another part of the same log"),
        (LOG, "log", {}, "calibration: expected a Dataset, got str"),
        (LOG, LATER, {"policy": ConstantPolicy(0, 3)}, "chooses among 3 actions, the log has 2"),
        (LOG, LATER, {"policy": "bc"}, "without probabilities"),
        (LOG, LATER, {"fallback": 2}, "expected a whole number from 0 to 1"),
        (LOG, LATER, {"fallback": "safe"}, "fallback 'safe'"),
        (LOG, LATER, {"fallback": ConstantPolicy(0, 3)}, "chooses among 3 actions"),
        (LOG, LATER, {"fallback": wrap(lambda x: np.zeros(len(x), int), n_actions=2)}, "wraps code"),
        (LOG, LATER, {"last_resort": 5}, "from 0 to 1"),
        (LOG, LATER, {"rules": ["state < 1"]}, "expected gs.Rule"),
        (LOG, LATER, {"rules": [gs.Rule("stat < 1", forbid=0)]}, "Did you mean 'state'"),
        (LOG, LATER, {"rules": [gs.Rule("state < 1", forbid="dose")]}, "there is no action 'dose'"),
        (LOG, LATER, {"limits": [0.1]}, "expected gs.Limit"),
        (LOG, LATER, {"false_alarms": 0}, "false_alarms is 0"),
        (LOG, LATER, {"false_alarms": "few"}, "false_alarms is 'few'"),
        (LOG, LATER, {"min_count": 0}, "min_count is 0"),
        (LOG, LATER, {"min_share": 1.5}, "min_share is 1.5"),
        (LOG, LATER, {"range_margin": -1}, "range_margin is -1"),
        (LOG, LATER, {"harm": {"hazard": 0.5}}, "the log has no cost 'hazard'"),
        (LOG, LATER, {"ranges": {"hr": (0, 1)}}, "'hr' is no feature"),
        (LOG, LATER, {"ranges": {"state": (3, 1)}}, "the range of 'state' is 3 to 1"),
        (LOG, LATER, {"ranges": {"state": 3}}, r"expected \(low, high\)"),
        (WALK, WALKED, {}, "these are measured"),
        (WALK, WALKED, {"fallback": 0, "min_count": 2}, "these are measured"),
    ],
)
def test_what_makes_no_guard_is_refused(log, later, options, message):
    with pytest.raises(InputError, match=message):
        gs.guard(log, later, **{"policy": ConstantPolicy(0, 2), **options})


def test_interventions_on_another_log_are_refused():
    guarded = gs.guard(LOG, LATER, UNIFORM)
    with pytest.raises(InputError, match="the log has 3 actions"):
        guarded.interventions(episodes([0], n_actions=3))
    with pytest.raises(InputError, match="observations: expected"):
        guarded.interventions(WALK)


def test_measured_observations_are_supported_where_the_fallback_acts_alike():
    cloned = wrap(lambda x: np.where(x[:, :1] > 0, [[0.8, 0.2]], [[0.5, 0.5]]), n_actions=2, outputs="probabilities")
    cloned.describe = lambda: ({}, {})
    guarded = gs.guard(WALK, WALKED, ConstantPolicy(1, 2), fallback=cloned, min_share=0.3)
    near = WALK.observations[[int(np.argmax(WALK.observations[:, 0] > 0)), int(np.argmax(WALK.observations[:, 0] < 0))]]
    found = guarded.compose(near)
    np.testing.assert_allclose(found.probabilities, [[0.8, 0.2], [0.0, 1.0]])  # .2 is less than .3 times .8
    reasons = [guarded.decide(row, np.random.default_rng(0)).reason for row in near]
    assert reasons == [Reason.UNSUPPORTED, Reason.POLICY]
    masked = guarded.probabilities(near[:1], masks=[[False, True]])
    np.testing.assert_allclose(masked, [[0.0, 1.0]])
    with pytest.raises(InputError, match="the fallback is one action"):
        gs.guard(WALK, WALKED, ConstantPolicy(1, 2), fallback=0, min_share=0.3)


def test_what_is_checked_is_said_in_sentences():
    rules = [gs.Rule("state == 3", forbid=1, name="no dose"), gs.Rule("state > 8", fallback=True)]
    log = episodes([0, 1], [1, 0], actions=[0, 1, 0, 0], costs=[0, 1, 0, 0])
    guarded = gs.guard(
        log, held_out([0, 1], costs=[0, 0]), UNIFORM, rules=rules, harm={"harm": 0.9}, limits=[gs.Limit(0.1, 100)]
    )
    assert guarded.guard.describe() == (
        "An observation that is not 1 number of the log's kind, or that is blank, infinite or out of range, is not "
        "acted on.",
        "One that is logged in fewer than 2 episodes is novel, and left to the fallback.",
        "Where state == 3 holds (no dose), or cannot be known, nobody takes action 1.",
        "Where state > 8 holds, or cannot be known, the fallback acts.",
        "Pairs of an observation and an action that are barred, as the log shows harm there: 1.",
        "Of 2 actions the log supports 1.5 in an observation, on average.",
        "After interventions in more than 10.0% of 100 decisions in a row only the fallback acts, until somebody "
        "resets the guard.",
        "Where nothing else is left, the first allowed action of 0, 1 is taken.",
    )
