"""The composite: each check by hand, the distribution against the decisions, and hostile inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groundschool as gs
from groundschool.errors import InputError
from groundschool.policies import (
    ConstantPolicy,
    Guard,
    GuardedPolicy,
    Limit,
    NetworkPolicy,
    Reason,
    Rule,
    TabularPolicy,
    wrap,
)  # fmt: skip
from groundschool.policies.asking import ask, ask_one
from groundschool.policies.decision import INDEX, REASONS
from groundschool.policies.encoding import fit_encoder
from groundschool.policies.novelty import Counted, Measured
from groundschool.policies.rules import Rules
from groundschool.policies.schema import Schema

# Ids 0 to 3 are logged, in 5, 5, 1 and 5 episodes; three actions.
POLICY = TabularPolicy([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.2, 0.4, 0.4], [1.0, 0.0, 0.0]])
FALLBACK = TabularPolicy([[0.0, 0.5, 0.5]] * 4, name="other")


def ids(policy=POLICY, fallback=FALLBACK, *, rules=(), least=1, logged=4, limits=(), likeness=0.0, **tables):
    schema = Schema((), "int64", ("state",), np.zeros(1), np.full(1, 100.0), np.zeros(1, bool))
    novelty = Counted(np.arange(4)[:logged], np.array([5, 5, 1, 5])[:logged], least)
    more = {name: np.array(table, bool) for name, table in tables.items()} | {"limits": limits, "likeness": likeness}
    guard = Guard(schema, novelty, Rules(tuple(rules), schema.names, 3), np.array([1, 2, 0]), **more)
    return GuardedPolicy(policy, guard, fallback)


ALL = [[1, 1, 1]] * 4
NOT_0 = [[0, 1, 1]] * 4


@pytest.mark.parametrize(
    ("guarded", "state", "mask", "expected", "reasons"),
    [
        # The policy's 0.5, 0.3, 0.2 and the fallback's 0, 0.5, 0.5.
        (ids(), 0, None, [0.5, 0.3, 0.2], {"policy": 1.0}),
        (ids(supported=NOT_0), 0, None, [0.0, 0.55, 0.45], {"policy": 0.5, "unsupported_action": 0.5}),
        (ids(harmless=NOT_0), 0, None, [0.0, 0.55, 0.45], {"policy": 0.5, "logged_harm": 0.5}),
        (ids(rules=[Rule("state < 1", forbid=0)]), 0, None, [0.0, 0.55, 0.45], {"policy": 0.5, "rule": 0.5}),
        (ids(rules=[Rule("state < 1", forbid=0)]), 3, None, [0.2, 0.4, 0.4], {"policy": 1.0}),
        # The fallback too is bound by rules and masks: of 0, 0.5, 0.5 without action 1, action 2 is left.
        (ids(rules=[Rule("state < 1", forbid=1)]), 0, None, [0.5, 0.0, 0.5], {"policy": 0.7, "rule": 0.3}),
        (ids(rules=[Rule("state == 0", fallback=True)]), 0, None, [0.0, 0.5, 0.5], {"rule": 1.0}),
        (ids(), 4, None, [0.0, 1.0, 0.0], {"fallback_failed": 1.0}),  # novel, and no row of the fallback's table
        (ids(fallback=ConstantPolicy(2, 3)), 4, None, [0.0, 0.0, 1.0], {"novel_observation": 1.0}),
        (ids(least=2), 2, None, [0.0, 0.5, 0.5], {"novel_observation": 1.0}),
        (ids(), -1, None, [0.0, 1.0, 0.0], {"out_of_range": 1.0}),
        (ids(), 101, None, [0.0, 1.0, 0.0], {"out_of_range": 1.0}),
        (ids(rules=[Rule("state > 100", forbid=1)]), 101, None, [0.0, 0.0, 1.0], {"out_of_range": 1.0}),
        (ids(rules=[Rule("state > 100", forbid=[1, 2])]), 101, [0, 1, 1], [0.0, 1.0, 0.0], {"out_of_range": 1.0}),
        # A mask is known to the policy, which renormalises; what it leaves out is not proposed.
        (ids(), 0, [1, 1, 0], [0.625, 0.375, 0.0], {"policy": 1.0}),
        (ids(fallback=ConstantPolicy(2, 3)), 4, [1, 0, 0], [1.0, 0.0, 0.0], {"novel_observation": 1.0}),
        # A fallback that has only forbidden actions to offer gives way to the last resort, which prefers 1, 2, 0.
        (ids(fallback=ConstantPolicy(0, 3), rules=[Rule("state >= 0", forbid=0)]), 0, None, [0.0, 0.8, 0.2],
         {"policy": 0.5, "fallback_failed": 0.5}),
        # Rules that leave nothing of what the mask allows: the mask is kept.
        (ids(rules=[Rule("state >= 0", forbid=[0, 2])]), 0, [1, 0, 1], [0.0, 0.0, 1.0], {"nothing_allowed": 1.0}),
        # Harm that leaves nothing is not held against anybody.
        (ids(harmless=np.zeros((4, 3))), 0, None, [0.5, 0.3, 0.2], {"policy": 1.0}),
        # What a policy answers that is no distribution is not acted on.
        (ids(policy=wrap(lambda x: np.full((len(x), 3), 0.5), n_actions=3, outputs="probabilities", name="?")), 0, None,
         [0.0, 0.5, 0.5], {"policy_failed": 1.0}),
    ],
)  # fmt: skip
def test_each_check_by_hand(guarded, state, mask, expected, reasons):
    masks = None if mask is None else np.array([mask], bool)
    found = guarded.compose(np.array([state]), masks=masks)
    np.testing.assert_allclose(found.probabilities[0], expected, atol=1e-12)
    assert {
        r.value: pytest.approx(found.reasons[0, INDEX[r]]) for r in REASONS if found.reasons[0, INDEX[r]]
    } == reasons
    n, rng = 2_000, np.random.default_rng(1)
    decisions = [guarded.decide(state, rng, mask=None if mask is None else masks[0]) for _ in range(n)]
    # 6 standard errors of a share of 2,000: one of these 60 comparisons fails by chance once in 10^7 runs
    margin = 6 * math.sqrt(0.25 / n)
    shares = np.bincount([d.action for d in decisions], minlength=3) / n
    assert np.abs(shares - expected).max() < margin
    assert set(shares.nonzero()[0]) <= set(np.nonzero(expected)[0])
    assert {d.reason.value for d in decisions} == set(reasons)
    for reason, share in reasons.items():
        assert abs(np.mean([d.reason == reason for d in decisions]) - share) < margin
    assert all(d.intervened == (d.reason is not Reason.POLICY) == bool(d.detail) for d in decisions)
    assert guarded.monitor.decisions == n


def measured(policy=None, **more):
    """Two numbers in a cross of four references; one scale is 2."""
    schema = Schema((2,), "float32", ("a", "b"), np.full(2, -50.0), np.full(2, 50.0), np.array([False, True]))
    references = np.array([[0.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    novelty = Measured(np.zeros(2), np.array([1.0, 2.0]), references, 0.5)
    rules = Rules(more.pop("rules", ()), schema.names, 2)
    guard = Guard(schema, novelty, rules, np.array([0, 1]), **more)
    return GuardedPolicy(policy or ConstantPolicy(1, 2), guard, ConstantPolicy(0, 2))


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        ([0.0, 0.0], "policy"),
        ([0.4, 0.0], "policy"),
        ([0.5, 0.0], "policy"),
        ([0.0, 1.0], "policy"),  # half a scale from the references at 0 and at 2
        ([1.6, 0.0], "novel_observation"),
        ([0.0, 4.0], "novel_observation"),
        ([0.0, np.nan], "policy"),  # as a blank that was logged
        ([1.0, np.nan], "novel_observation"),  # at a = 1 it was not
        ([np.nan, 0.0], "blank_or_infinite"),
        ([0.0, np.inf], "blank_or_infinite"),
        ([0.0, 51.0], "out_of_range"),
        ([1e300, 0.0], "blank_or_infinite"),  # infinite in the log's float32
        ([0.0], "unreadable_observation"),
        ([[0.0, 0.0]], "unreadable_observation"),
        (0.0, "unreadable_observation"),
        (["0", "0"], "unreadable_observation"),
        ([0j, 0j], "unreadable_observation"),
        ([True, False], "unreadable_observation"),
        ([[0.0], [0.0, 1.0]], "unreadable_observation"),
        (None, "unreadable_observation"),
        ({}, "unreadable_observation"),
        (np.ma.masked_array([0.0, 0.0], mask=[1, 0]), "unreadable_observation"),
        ([10**400, 0], "unreadable_observation"),
        (np.array([0, 0], np.uint8), "policy"),
    ],
)
def test_measured_observations_by_hand(observation, reason):
    assert measured().decide(observation, np.random.default_rng(0)).reason == reason


def test_what_a_rule_cannot_know_it_forbids():
    guarded, rng = measured(rules=(Rule("a > 0.2", forbid=0),)), np.random.default_rng(0)
    assert guarded.decide([np.nan, 0.0], rng)[:2] == (1, Reason.NOT_FINITE)
    assert guarded.decide([0.1, np.inf], rng)[:2] == (0, Reason.NOT_FINITE)
    assert guarded.decide("nothing", rng)[:2] == (1, Reason.UNREADABLE)
    assert guarded.decide("nothing", rng, mask=[True, False])[:2] == (0, Reason.UNREADABLE)
    np.testing.assert_array_equal(guarded.probabilities([[np.nan, 0.0], [0.1, np.inf]]), [[0, 1], [1, 0]])


def test_rows_of_a_batch_are_judged_one_by_one():
    rows = np.array([[0.0, 0.0], [1.6, 0.0], [np.nan, 0.0], [0.0, 51.0]])
    np.testing.assert_array_equal(measured().probabilities(rows), [[0, 1], [1, 0], [1, 0], [1, 0]])


@pytest.mark.parametrize("rows", [np.zeros(2), np.zeros((3, 3)), np.array([["a", "b"]]), np.zeros((1, 2), complex)])
def test_arrays_of_another_shape_are_refused_in_a_batch(rows):
    with pytest.raises(InputError, match="observations: expected numbers of shape"):
        measured().probabilities(rows)


@pytest.mark.parametrize("masks", [np.ones((2, 2), bool), np.ones((1, 2)), np.zeros((1, 2), bool)])
def test_masks_of_another_shape_are_refused_in_a_batch(masks):
    with pytest.raises(InputError, match="masks:"):
        measured().probabilities(np.zeros((1, 2)), masks=masks)


@pytest.mark.parametrize(
    "mask", [[], [True], [False] * 3, [1, 1, 1], np.ones((1, 3), bool), "all", 7, [None] * 3, object(), [np.nan] * 3]
)
def test_a_mask_that_cannot_be_used_leaves_the_decision_to_the_fallback(mask):
    decision = ids(fallback=ConstantPolicy(2, 3)).decide(0, np.random.default_rng(0), mask=mask)
    assert decision[:3] == (2, Reason.UNUSABLE_MASK, True)
    assert decision.detail.startswith("The mask is not 3 flags")


def test_a_policy_that_raises_leaves_its_rows_to_the_fallback():
    def picky(x):
        if (x == 2).any():
            raise ZeroDivisionError
        return np.zeros(len(x), np.int64)

    guarded = ids(policy=wrap(picky, n_actions=3))
    found = guarded.probabilities(np.array([0, 2, 1, 0, 3, 2]))
    np.testing.assert_allclose(found[[1, 5]], [[0, 0.5, 0.5]] * 2)
    np.testing.assert_allclose(found[[0, 2, 3, 4]], [[1, 0, 0]] * 4)
    assert guarded.decide(2, np.random.default_rng(0)).reason is Reason.POLICY_FAILED


def test_without_a_generator_the_last_resort_acts_and_rules_still_hold():
    assert ids().decide(0, None)[:2] == (1, Reason.GUARD_FAILED)
    assert ids(rules=[Rule("state == 0", forbid=1)]).decide(0, None)[:2] == (2, Reason.GUARD_FAILED)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_decisions_follow_the_distribution_in_random_guards(seed):
    """Every action and reason decided has probability, and with one-hot policies the decision is the distribution."""
    rng = np.random.default_rng(seed)
    deterministic = bool(rng.integers(2))
    tables = np.eye(3)[rng.integers(0, 3, (2, 6))] if deterministic else rng.dirichlet(np.full(3, 0.3), (2, 6))
    policy, fallback = TabularPolicy(tables[0, : rng.integers(3, 7)]), TabularPolicy(tables[1, : rng.integers(3, 7)])
    # the second is blank, the last cannot be computed for some states: both then hold
    conditions = ["state < 2", "state / 0 > 1", "not state == 3", "1 < 2 and (state or state == 2)"]
    rules = []
    for text in rng.choice(conditions, rng.integers(0, 3)):
        forbid = rng.choice(3, rng.integers(1, 3), replace=False).tolist()
        rules.append(Rule(str(text), fallback=True) if rng.random() < 0.3 else Rule(str(text), forbid=forbid))
    guarded = ids(
        policy, fallback, rules=rules, least=int(rng.integers(1, 3)),
        supported=rng.random((4, 3)) < 0.7, harmless=rng.random((4, 3)) < 0.7, likeness=rng.choice([0.0, 0.5]),
    )  # fmt: skip
    states = rng.integers(-1, 7, 12)
    masks = rng.random((12, 3)) < 0.7
    masks[~masks.any(axis=1)] = True
    for masking in (None, masks):
        found = guarded.compose(states, masks=masking)
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
        np.testing.assert_allclose(found.reasons.sum(axis=1), 1.0)
        assert masking is None or not found.probabilities[~masks].any()
        for row, state in enumerate(states):
            decision = guarded.decide(state, rng, mask=None if masking is None else masks[row])
            assert found.probabilities[row, decision.action] > 0.0
            assert found.reasons[row, INDEX[decision.reason]] > 0.0
            if deterministic and masking is None:  # a table whose row is masked becomes uniform
                assert found.reasons[row, INDEX[decision.reason]] == pytest.approx(1.0)


@pytest.mark.parametrize("head", ["softmax", "greedy"])
def test_one_observation_at_a_time_is_what_a_batch_is(head):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.integers(0, 9, (300, 2)), rng.normal(size=(300, 2))], axis=1).astype(np.float32)
    encoder = fit_encoder(x)
    sizes = ((encoder.width, 8), (8, 3))
    layers = tuple((rng.normal(size=(2, i, o)).astype(np.float32), np.zeros((2, 1, o), np.float32)) for i, o in sizes)
    policy = NetworkPolicy("net", 3, encoder, layers, head)
    masks = rng.random((300, 3)) < 0.6
    masks[~masks.any(axis=1)] = True
    together, sound = ask(policy, x, masks, 3)
    apart = [ask_one(policy, x[i : i + 1], masks[i : i + 1], 3) for i in range(300)]
    np.testing.assert_allclose(apart, together, atol=1e-6)
    assert sound.all()


def test_limits_suspend_until_reset():
    limits = (Limit(0.5, 4, ("out_of_range",)), Limit(0.75, 4))
    guarded, rng = ids(fallback=ConstantPolicy(2, 3), limits=limits), np.random.default_rng(0)
    reasons = [guarded.decide(state, rng).reason.value for state in (-1, 0, -1, 0, 0, 0, -1, -1)]
    assert reasons.count("policy") == 4  # 2 of 4 are within a half
    assert guarded.monitor.suspended is None
    assert guarded.decide(-1, rng).reason is Reason.OUT_OF_RANGE  # 3 of the last 4
    assert guarded.monitor.suspended is limits[0]
    later = [guarded.decide(state, rng) for state in (0, 1, -1)]
    assert {decision.reason for decision in later} == {Reason.SUSPENDED}
    assert later[0].detail == (
        "Suspended after interventions for out_of_range in more than 50.0% of 4 decisions in a row. The fallback acts."
    )
    assert [decision.action for decision in later] == [2, 2, 1]
    np.testing.assert_allclose(guarded.probabilities([0]), [[0.5, 0.3, 0.2]])  # what is judged is not suspended
    guarded.monitor.reset()
    assert guarded.decide(0, rng).reason is Reason.POLICY
    found = guarded.monitor.to_json()
    assert (found["decisions"], found["interventions"], found["suspended"]) == (13, 8, None)
    assert found["counts"] == {"policy": 5, "suspended": 3, "out_of_range": 5}
    assert guarded.monitor.rate == pytest.approx(8 / 13)


def test_suspension_keeps_rules_and_masks():
    guarded = ids(fallback=ConstantPolicy(2, 3), rules=[Rule("state == 0", forbid=2)], limits=[Limit(0.1, 5)])
    rng = np.random.default_rng(0)
    assert guarded.decide(-1, rng).reason is Reason.OUT_OF_RANGE
    assert guarded.decide(1, rng)[:2] == (2, Reason.SUSPENDED)
    assert guarded.decide(0, rng)[:2] == (1, Reason.FALLBACK_FAILED)
    assert guarded.decide(1, rng, mask=[True, False, False])[:2] == (0, Reason.SUSPENDED)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Limit(0.0, 5), "rate is 0.0"),
        (lambda: Limit(1.0, 5), "rate is 1.0"),
        (lambda: Limit(True, 5), "rate is True"),
        (lambda: Limit(0.5, 0), "window is 0"),
        (lambda: Limit(0.5, 5, ("policy",)), "'policy' is no reason to intervene"),
        (lambda: Rule("state +"), "expected"),
        (lambda: Rule("state + 1", forbid=0), "expected a condition"),
        (lambda: Rule("state < 1"), "got neither"),
        (lambda: Rule("state < 1", forbid=0, fallback=True), "got both"),
        (lambda: ids(rules=[Rule("stat < 1", forbid=0)]), "'stat' is no feature. Did you mean 'state'"),
        (lambda: ids(rules=[Rule("state == 'a'", forbid=0)]), "text is compared with text"),
        (lambda: ids(rules=[Rule("state < 1", forbid=3)]), "actions from 0 to 2"),
        (lambda: ids(policy=ConstantPolicy(0, 2)), "has 2 actions, its guard 3"),
        (lambda: ids(supported=np.ones((3, 3))), "the table of supported actions has shape"),
        (lambda: ConstantPolicy(3, 3), "from 0 to 2"),
        (lambda: Schema((2,), "float32", ("a", "b"), np.zeros(2), np.array([1, np.nan]), np.zeros(2, bool)), "range"),
        (lambda: Measured(np.zeros(2), np.ones(2), np.full((1, 2), np.nan), 0.5), "finite references"),
    ],
)  # fmt: skip
def test_parts_that_make_no_guard_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


HOSTILE = [
    None, "", "0", b"\x00", {}, [], (), object(), type, float("nan"), float("inf"), -float("inf"), 1j, True, 10**40,
    -(2**63), 2**63, 2**64 - 1, [[]], [[1], [2, 3]], [None, None], ["a", 1], np.array("a"), np.datetime64("NaT"),
    np.zeros((0, 2)), np.zeros(10_000), np.array([0.0, np.nan]), [np.inf, 0.0], [1e308, -1e308], [0.0, 0.0], 0, 3, 7,
    np.array([1, 2], object), np.ma.masked_all(2), range(2), lambda: 0, slice(2), np.float16(1), np.int8(2),
    np.array([True, False]), np.array([np.uint64(2**64 - 1), 1]), 5e-324, [5e-324, -0.0],
]  # fmt: skip


class Bomb:
    def __array__(self, *_, **__):
        raise RuntimeError("no")

    def __len__(self):
        raise RecursionError


@pytest.mark.parametrize("kind", ["ids", "measured"])
def test_hostile_inputs_never_raise_and_never_get_a_forbidden_action(kind):
    rule = Rule("state >= 2" if kind == "ids" else "a > 0.3", forbid=0)
    guarded = ids(rules=[rule]) if kind == "ids" else measured(rules=(rule,))
    rng = np.random.default_rng(0)
    masks = [None, *HOSTILE[:30], [False] * guarded.n_actions, [True] * guarded.n_actions]
    masks += [np.eye(guarded.n_actions, dtype=bool)[-1], Bomb()]
    for observation in [*HOSTILE, Bomb()]:
        for mask in masks:
            action, reason, intervened, _ = guarded.decide(observation, rng, mask=mask)
            assert isinstance(action, int)
            assert 0 <= action < guarded.n_actions
            assert reason in REASONS
            assert intervened == (reason is not Reason.POLICY)
            assert reason is not Reason.GUARD_FAILED
            if isinstance(mask, np.ndarray):
                assert mask.shape != (guarded.n_actions,) or mask.dtype != bool or mask[action]


def test_greedy_is_another_policy_of_the_same_composite():
    guarded = ids(supported=NOT_0)
    np.testing.assert_array_equal(guarded.greedy().probabilities([0]), [[0, 1, 0]])
    assert isinstance(guarded, gs.policies.Policy)


class TestBoundsBehindAGuard:
    """The composite of a policy made from the logger has coarse ratios of its own: mean 1 under the logger."""

    GRID = gs.HazardGrid(size=6, n_hazards=2, horizon=24)

    @pytest.fixture(scope="class")
    @classmethod
    def logs(cls):
        return [gs.collect(cls.GRID, cls.GRID.logger(0.3), episodes=300, seed=seed) for seed in range(3)]

    def mean_and_excess(self, policy, log):
        """Return the largest distance of a state's mean ratio from 1, and of a ratio above its largest."""
        states = np.unique(log.observations, axis=0)
        logger = self.GRID.logger(0.3).probabilities(states)
        mean, excess = np.zeros(len(states)), -np.inf
        for action in range(4):
            taken = np.full(len(states), action)
            ratio, largest = policy.coarse_ratios(states, taken, logger[:, action])
            mean += logger[:, action] * ratio
            excess = max(excess, float((ratio - largest).max()))
        return float(np.abs(mean - 1.0).max()), excess

    @pytest.mark.parametrize("settings", [{}, {"min_count": 12}, {"harm": {"hazard": 0.2}}])
    def test_ratios_have_mean_1_in_every_state(self, logs, settings):
        studied, calibration, fresh = logs
        inner = gs.Pruned()(studied)
        whole = gs.guard(studied, calibration, inner, **settings)
        differs = np.abs(whole.probabilities(fresh.observations) - inner.probabilities(fresh.observations)).max()
        assert differs > 0.05  # the guard does step in
        for policy in (inner, whole):
            off, excess = self.mean_and_excess(policy, fresh)
            assert off < 1e-6
            assert excess <= 1e-12
        assert whole.usual_weight == inner.usual_weight

    def test_around_another_policy_there_are_none(self, logs):
        whole = gs.guard(*logs[:2], TabularPolicy(np.full((36, 4), 0.25)))
        assert whole.usual_weight is None
        assert whole.coarse_ratios(logs[2].observations, logs[2].actions, logs[2].propensities) is None
