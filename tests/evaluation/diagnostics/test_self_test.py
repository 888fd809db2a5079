"""The self-test: by hand, its martingales, honest logs left alone, and corrupted ones caught."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from groundschool.data import Dataset
from groundschool.envs import HazardGrid
from groundschool.evaluation.behavior import estimate_behavior, given_behavior, logged_behavior
from groundschool.evaluation.diagnostics._certainty import certainty
from groundschool.evaluation.diagnostics._claims import Rows, features_of, gaps
from groundschool.evaluation.diagnostics._wager import STAKES, log_evidence
from groundschool.evaluation.diagnostics.self_test import self_test
from groundschool.evaluation.question import Question
from groundschool.evaluation.simulate import collect
from groundschool.policies.tabular import TabularPolicy

RETURN = Question("return")
GRID = HazardGrid()


def rows_of(states, actions, p, to_go, n_actions=2, **more):
    facts = {"table": None, "code": np.array(states), "features": None, "masks": None} | more
    return Rows(np.array(actions), np.array(p, float), to_go=np.array(to_go, float), n_actions=n_actions, **facts)


def draw(rng, probabilities):
    """Return one action for each row of probabilities."""
    return np.minimum((rng.random((len(probabilities), 1)) >= np.cumsum(probabilities, axis=1)).sum(axis=1), 1_000)


def small_world(seed, n, *, sharp=1.0, fixed=False, n_actions=None, horizon=None):
    """A random process over state ids, with its logger's true propensities."""
    rng = np.random.default_rng([seed, 5])
    S, A = int(rng.integers(3, 30)), n_actions or int(rng.integers(2, 6))
    T = horizon or int(rng.integers(4, 20))
    moves, policy = rng.dirichlet(np.full(S, 0.3), (S, A)), rng.dirichlet(np.full(A, sharp), S)
    if fixed:
        policy = np.eye(A)[policy.argmax(axis=1)]
    values = rng.normal(size=(S, A))
    state, columns = rng.integers(0, S, n), []
    for _ in range(T):
        action = draw(rng, policy[state])
        columns.append((state, action, policy[state, action], values[state, action] + rng.normal(size=n)))
        state = draw(rng, moves[state, action])
    seen, acted, p, reward = (np.stack(column, axis=1).reshape(-1) for column in zip(*columns, strict=True))
    last = np.tile(np.arange(T) == T - 1, n)
    return Dataset.from_arrays(
        seen,
        acted,
        reward,
        np.zeros(n * T, bool),
        last,
        costs={"harm": (reward > 1.5).astype(float)},
        propensities=np.clip(p, 1e-6, 1.0),
        n_actions=A,
    )


def smooth_world(seed, n, *, fixed=False, n_actions=3, width=3, horizon=15):
    """A drifting point whose logger is a random smooth rule with noise, or without."""
    rng = np.random.default_rng([seed, 6])
    inner, outer = rng.normal(size=(width, 8)), rng.normal(size=(8, n_actions))
    x, columns = rng.normal(size=(n, width)), []
    push = rng.normal(size=(n_actions, width))
    for _ in range(horizon):
        logits = 2.0 * np.tanh(x @ inner) @ outer
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = np.eye(n_actions)[p.argmax(axis=1)] if fixed else p / p.sum(axis=1, keepdims=True)
        action = draw(rng, p)
        columns.append((x, action, p[np.arange(n), action], x[:, 0] + action))
        x = 0.9 * x + 0.2 * push[action] + 0.3 * rng.normal(size=x.shape)
    seen, acted, p, reward = (np.stack(column, axis=1) for column in zip(*columns, strict=True))
    last = np.tile(np.arange(horizon) == horizon - 1, n)
    return Dataset.from_arrays(
        seen.reshape(-1, width),
        acted.reshape(-1),
        reward.reshape(-1),
        np.zeros(n * horizon, bool),
        last,
        propensities=np.clip(p.reshape(-1), 1e-6, 1.0),
        n_actions=n_actions,
    )


def grid_world(seed, n):
    return collect(GRID, GRID.logger(np.random.default_rng(seed).uniform(0.1, 0.5)), n, seed=10_000 * seed)


def shuffled(log):
    return np.random.default_rng(0).permutation(log.propensities)


def ones(log):
    return np.ones(log.n_steps)


def of_action_1(log):
    return np.clip(np.where(log.actions == 1, log.propensities, 1.0 - log.propensities), 1e-6, 1.0)


def verdict(log, propensities=None, question=RETURN, seed=0):
    if propensities is not None:
        log = dataclasses.replace(log, propensities=propensities)
    return self_test(log, question, logged_behavior(log), seed=seed)


def test_gaps_by_hand():
    # Learned from four rows of one state: action 0 taken 3 times at p = .5, action 1 once at p = .5; returns 1 1 1 5.
    rows = rows_of([0] * 6, [0, 0, 0, 1, 0, 1], [0.5] * 6, [1, 1, 1, 5, 0, 0])
    found = gaps(rows, np.arange(4), np.array([4, 5]))
    # Surplus: (.75 - .5) and (.25 - .5), times 4 / (4 + 2); its claimed mean is zero.
    assert found.surplus == pytest.approx([0.25 * 4 / 6, -0.25 * 4 / 6])
    # Advantage: the state's mean is 2, so sums -3 and 3, over counts + 2: -.6 and 1; claimed mean .2.
    assert found.advantage == pytest.approx([-0.8, 0.8])
    assert found.span == 2.0


def test_gaps_of_a_claim_beyond_one_by_hand():
    rows = rows_of([0] * 4, [0, 1, 0, 1], [1.0] * 4, [0.0] * 4)
    # Each action half of the time, claimed to be certain: surplus -.5 each, times 2 / 4; claimed sum -.5, own -.25.
    assert gaps(rows, np.array([0, 1]), np.array([2, 3])).surplus == pytest.approx([0.25, 0.25])


@pytest.mark.parametrize("kind", ["ids", "table", "two actions", "logged action alone"])
def test_gaps_of_true_propensities_have_mean_zero(kind):
    rng = np.random.default_rng(3)
    n, actions = 60_000, 2 if kind == "two actions" else 3
    x = rng.normal(size=(n, 2))
    code = (x[:, 0] > 0).astype(int) * 2 + (x[:, 1] > 0)
    if kind == "ids":
        p = rng.dirichlet(np.ones(actions), 4)[code]
    else:
        p = np.exp(x @ rng.normal(size=(2, actions)))
        p /= p.sum(axis=1, keepdims=True)
    action = draw(rng, p)
    to_go = x[:, 0] * action + rng.normal(size=n)
    more = {"code": code} if kind == "ids" else {"code": None, "features": features_of(x, None, 0)}
    if kind in ("table", "two actions"):
        more["table"] = p
    rows = rows_of(code, action, p[np.arange(n), action], to_go, actions, **more)
    found = gaps(rows, np.arange(2_000), np.arange(2_000, n))
    for gap in (found.surplus, found.advantage):  # 4 standard errors of n - 2,000 rows
        assert abs(gap.mean()) <= 4.0 * gap.std() / np.sqrt(n - 2_000)
        assert gap.std() > 0
    assert found.surplus.min() >= -1.0


def test_true_propensities_of_a_logger_that_saw_more_have_gaps_of_mean_zero():
    rng = np.random.default_rng(8)
    n = 60_000
    hidden, code = rng.integers(0, 2, n), rng.integers(0, 3, n)
    p = rng.dirichlet(np.full(3, 2.0), (2, 3))[hidden, code]
    action = draw(rng, p)
    rows = rows_of(code, action, p[np.arange(n), action], rng.normal(size=n) + action, 3)
    found = gaps(rows, np.arange(200), np.arange(200, n))
    for gap in (found.surplus, found.advantage):
        assert abs(gap.mean()) <= 4.0 * gap.std() / np.sqrt(n - 200)


def test_evidence_is_the_mean_of_the_capitals():
    x = np.array([0.5, -1.0, 1.0])
    capitals = [(1 + 0.5 * s) * (1 - s) * (1 + s) for s in STAKES]
    assert log_evidence(x) == pytest.approx(np.log(np.mean(capitals)))
    assert log_evidence(np.zeros(5)) == 0.0


def test_evidence_on_fair_bets_keeps_its_promise():
    rng = np.random.default_rng(4)
    # Very skewed increments of mean zero: 1 with probability 1/5 against -1/4, and 30 times rarer and larger ones.
    logs = 2_000
    fair = np.where(rng.random((logs, 300)) < 0.2, 1.0, -0.25)
    rare = np.where(rng.random((logs, 300)) < 0.01, 1.98, -0.02)
    for increments in (fair, rare):
        won = sum(log_evidence(one) >= np.log(20.0) for one in increments)
        # P(capital >= 20) <= .05: so many or fewer of 2,000 with probability .9999.
        assert won <= stats.binom.ppf(0.9999, logs, 0.05)


def test_passes_and_reproduces_an_honest_log():
    log = collect(GRID, GRID.logger(0.22), 500, seed=3)
    found = verdict(log)
    assert found.name == "self_test"
    assert found.reasons == ()
    facts = json.loads(json.dumps(found.facts, allow_nan=False))
    assert facts["verdict"] == "passed"
    assert facts["observed"] == pytest.approx(log.returns.mean())
    assert abs(facts["reproduced"] - facts["observed"]) <= 4.0 * facts["standard_error"]
    assert facts["z"] == pytest.approx((facts["observed"] - facts["reproduced"]) / facts["standard_error"])


def test_reproduces_costs_and_probabilities():
    log = small_world(0, 300)
    for question in (Question("cost", "harm"), Question("probability", "harm")):
        facts = verdict(log, question=question).facts
        events = np.add.reduceat(log.costs["harm"], log.starts[:-1])
        observed = events.mean() if question.kind == "cost" else (events > 0).mean()
        assert facts["observed"] == pytest.approx(observed)
        assert facts["verdict"] == "passed"
        assert abs(facts["z"]) <= 4.0


HONEST = {
    "grid": grid_world,
    "ids": small_world,
    "ids, one step": lambda seed, n: small_world(seed, n, horizon=1),
    "ids, fixed rule": lambda seed, n: small_world(seed, n, fixed=True),
    "numbers": smooth_world,
    "numbers, two actions": lambda seed, n: smooth_world(seed, n, n_actions=2),
    "numbers, fixed rule": lambda seed, n: smooth_world(seed, n, fixed=True),
    "numbers, two actions, fixed rule": lambda seed, n: smooth_world(seed, n, n_actions=2, fixed=True),
}


@pytest.mark.parametrize("n", [50, 500])
@pytest.mark.parametrize("kind", HONEST)
def test_leaves_honest_logs_alone(kind, n):
    logs = 8 if kind.startswith("numbers") else 25
    failed = sum(verdict(HONEST[kind](seed, n), seed=seed).facts["verdict"] == "failed" for seed in range(logs))
    # At a rate of .05, more have probability < .01; the bets' own rate is .001.
    assert failed <= stats.binom.ppf(0.99, logs, 0.05)


CORRUPTED = [
    ("grid", grid_world, shuffled, "other rows"),
    ("grid", grid_world, ones, "ones"),
    ("ids", small_world, shuffled, "other rows"),
    ("ids", small_world, ones, "ones"),
    ("ids", lambda seed, n: small_world(seed, n, n_actions=2), of_action_1, "probability of action 1"),
    ("numbers", smooth_world, shuffled, "other rows"),
    ("numbers", smooth_world, ones, "ones"),
    ("numbers", lambda seed, n: smooth_world(seed, n, n_actions=2), of_action_1, "probability of action 1"),
]


@pytest.mark.parametrize(("kind", "world", "corrupt", "cause"), CORRUPTED, ids=lambda x: getattr(x, "__name__", x))
def test_catches_corrupted_propensities(kind, world, corrupt, cause):
    logs, caught, named = 6, 0, 0
    for seed in range(logs):
        log = world(100 + seed, 500)
        found = verdict(log, corrupt(log), seed=seed)
        caught += found.facts["verdict"] == "failed"
        named += found.facts["cause"] == cause
        assert bool(found.reasons) == (found.facts["verdict"] == "failed")
    # At a rate of .95, fewer have probability < .01.
    assert caught >= stats.binom.ppf(0.01, logs, 0.95)
    assert named >= 0.8 * caught


def test_reasons_are_sentences_with_figures():
    log = collect(GRID, GRID.logger(0.22), 200, seed=3)
    reasons = verdict(log, ones(log)).reasons
    assert reasons[0].startswith("The log contradicts its own propensities: in the same situations actions were taken")
    assert "expected return -" in reasons[1]
    assert reasons[1].endswith("or leave the column out.")


def test_masks_and_single_actions():
    # A row that allows one action only has propensity 1, whatever the logger does elsewhere.
    rng = np.random.default_rng(0)
    n = 2_000
    free = rng.random(n) < 0.7
    p = np.where(free[:, None], [[0.6, 0.4]], [[1.0, 0.0]])
    action = draw(rng, p)
    log = Dataset.from_arrays(
        np.zeros(n, int),
        action,
        rng.normal(size=n),
        np.ones(n, bool),
        np.zeros(n, bool),
        propensities=p[np.arange(n), action],
        action_masks=p > 0,
    )
    assert verdict(log).facts["verdict"] == "passed"
    assert verdict(log, np.where(action == 0, 0.6, 0.4)).facts["verdict"] == "failed"


@pytest.mark.parametrize("n_actions", [1, 2])
def test_is_not_applied_where_there_is_nothing_to_test(n_actions):
    log = Dataset.from_arrays([0, 0], [0, 0], [1.0, 2.0], [False, True], [False, False], propensities=[1.0, 1.0])
    log = dataclasses.replace(log, n_actions=n_actions)
    found = verdict(log)
    assert found.facts["verdict"] == "not applicable"
    assert found.reasons == ()
    assert len(found.notes) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("world", [small_world, smooth_world], ids=["ids", "numbers"])
@pytest.mark.parametrize("n", [2, 3])
def test_survives_tiny_logs(world, n):
    json.dumps(verdict(world(0, n)).facts, allow_nan=False)
    json.dumps(verdict(world(0, n, fixed=True)).facts, allow_nan=False)


def test_groups_are_the_units():
    log = small_world(1, 60)
    grouped = dataclasses.replace(log, groups=np.zeros(60, int))
    assert verdict(grouped).facts["verdict"] == "not applicable"


def test_a_given_policy_is_held_against_the_actions():
    log = collect(GRID, GRID.logger(0.22), 500, seed=5)
    right = self_test(log, RETURN, given_behavior(log, GRID.logger(0.22)))
    assert right.facts["verdict"] == "passed"
    assert right.notes == ()
    wrong = self_test(log, RETURN, given_behavior(log, GRID.logger(0.45)))
    assert wrong.facts["verdict"] == "failed"
    assert "differ in" in wrong.notes[0]


def test_estimated_propensities_cannot_contradict_their_log():
    log = dataclasses.replace(small_world(2, 200), propensities=None)
    found = self_test(log, RETURN, estimate_behavior(log))
    assert found.reasons == ()
    assert found.facts["p_value"] is None
    assert "estimated" in found.notes[0]
    # A model that has nothing to do with the log does not reproduce what the logger got.
    rng = np.random.default_rng(0)
    n = 4_000
    action = (rng.random(n) < 0.9).astype(int)
    last = np.arange(n) % 10 == 9
    log = Dataset.from_arrays(np.zeros(n, int), action, action * 1.0, last, np.zeros(n, bool))
    model = dataclasses.replace(given_behavior(log, TabularPolicy([[0.9, 0.1]])), known=False)
    reasons = self_test(log, RETURN, model).reasons
    assert len(reasons) == 1
    assert "by the estimated propensities" in reasons[0]


def test_certainty_tells_a_fixed_rule_from_chance():
    # Two regions with a straight border: neighbors differ ever less as they come nearer. Chance: as often as ever.
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6_000, 3))
    rule = (x @ [1.0, -1.0, 0.5] > 0).astype(int)
    chance = np.where(rng.random(6_000) < 0.2, 1 - rule, rule)
    units = np.arange(6_000) // 10
    fixed, noisy = (certainty(x, action, units, 2, 0) for action in (rule, chance))
    assert not fixed.refuted
    assert fixed.near < 0.5 * fixed.far
    assert noisy.refuted
    # Two draws differ with probability 2 * .2 * .8.
    assert noisy.left == pytest.approx(0.32, abs=0.05)
    assert certainty(x[:50], rule[:50], units[:50], 2, 0) is None
    assert certainty(x, np.zeros(6_000, int), units, 2, 0) is None


def test_blanks_are_no_obstacle():
    log = smooth_world(1, 100)
    blank = log.observations.copy()
    blank[::7, 1] = np.nan
    facts = verdict(dataclasses.replace(log, observations=blank)).facts
    json.dumps(facts, allow_nan=False)
    assert facts["verdict"] == "passed"
