"""Fitted Q evaluation by hand, against brute force and exact values; its interval and its doubts; networks."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.data import Dataset
from groundschool.errors import DivergenceError, InputError
from groundschool.evaluation.estimators import fqe
from groundschool.evaluation.estimators.fqe_network import possible_sums, transitions
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.prior import prior
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import sample_log
from small_worlds import HAND_TARGET, LOGGER, MODEL, TARGETS, exact, hand_log, put

QUESTIONS = [("return", 1.0), ("return", 0.8), ("cost:harm", 0.8), ("probability:harm", 1.0)]
LOG = sample_log(MODEL, LOGGER, 300, 3)


def by_counts(problem, **options):
    return fqe.estimate(problem, model="counts", **options)


def test_by_hand():
    # State 0: action 0 twice (1, to state 1), action 1 once (0, the end). State 1: action 1 once (2, the end), action 0
    # once (5, to state 0, where the horizon cuts). A pair of n rows is shrunk by .05 of a row toward its prior.
    log = hand_log(final_observations=np.array([1, 1, 0]))
    rows = np.array([[[2.0, 1.0], [1.0, 1.0]]])
    first, second = prior(np.array([[[2.0, 0.0], [5.0, 2.0]]]), rows)[0]
    onward = prior(np.array([[[2.0, 0.0], [1.0, 0.0]]]), rows)[0, 0]
    later = 0.5 * (5 + 0.05 * second[0]) / 1.05 + 0.5 * (2 + 0.05 * second[1]) / 1.05
    often = (2 + 0.05 * first[0]) / 2.05 + (2 + 0.05 * onward[0]) / 2.05 * later
    once = 0.05 * first[1] / 1.05 + 0.05 * onward[1] / 1.05 * later
    assert by_counts(put(log, HAND_TARGET)).value == pytest.approx(0.8 * often + 0.2 * once, rel=1e-12)


def brute_force(problem, shrinkage=0.05):
    """The counted recursion, pair by pair and step by step."""
    n_states, n_actions = problem.states.count, problem.n_actions
    rows, sums, onward = np.zeros((3, n_states, n_actions))
    leads = np.zeros((n_states, n_actions, n_states))
    code, then = problem.states.code.tolist(), problem.states.then.tolist()
    for s, a, x, ended, o in zip(code, problem.actions, problem.signal, problem.ended, then, strict=True):
        rows[s, a] += 1
        sums[s, a] += x
        if not ended:
            onward[s, a] += 1
            leads[s, a, o] += 1
    gains, goes_on = prior(sums[None], rows[None])[0], prior(onward[None], rows[None])[0]
    value = [0.0] * n_states
    for _ in range(problem.horizon):
        after = []
        for s in range(n_states):
            total = 0.0
            for a in range(n_actions):
                if rows[s].sum() == 0:
                    continue
                anywhere = sum(leads[s].sum(axis=0) * value) / max(leads[s].sum(), 1)
                got = sums[s, a] + problem.discount * sum(leads[s, a] * value)
                expected = gains[s, a] + problem.discount * goes_on[s, a] * anywhere
                total += problem.states.target[s, a] * (got + shrinkage * expected) / (rows[s, a] + shrinkage)
            after.append(total)
        value = after
    return sum(value[code[start]] for start in problem.starts[:-1]) / problem.n_episodes


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("of", "discount"), QUESTIONS)
def test_the_recursion_is_the_loops_written_out(target, of, discount):
    problem = put(sample_log(MODEL, LOGGER, 25, 4), TARGETS[target], of, discount=discount)
    assert by_counts(problem).value == pytest.approx(brute_force(problem), rel=1e-10)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("of", "discount"), QUESTIONS)
def test_near_the_exact_value_and_nearer_with_more(target, of, discount):
    # Six pairs, each met often: no bias to speak of. 4 standard errors of the mean of 20 logs, which the replicates
    # tell; from 300 to 30,000 episodes the error must fall about tenfold (threefold is asked).
    truth, errors = exact(TARGETS[target], of, discount), []
    for n in (300, 30_000):
        found = [
            by_counts(put(sample_log(MODEL, LOGGER, n, seed), TARGETS[target], of, discount=discount), members=2).value
            for seed in range(20 if n == 300 else 1)
        ]
        errors.append(np.sqrt(np.mean(np.square(np.array(found) - truth))))
        if n == 300:
            assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found, ddof=1) / math.sqrt(20))
    assert errors[1] < errors[0] / 3


def test_a_stochastic_policy_is_judged_as_it_draws():
    # Its most probable actions alone, d3rlpy's reading, are another policy.
    table = TARGETS["stochastic"]
    greedy = np.eye(2)[table.argmax(axis=1)]
    found = by_counts(put(sample_log(MODEL, LOGGER, 5_000, 5), table))
    assert abs(found.value - exact(table)) < 4 * found.standard_error
    assert abs(found.value - exact(greedy)) > 10 * found.standard_error


@pytest.fixture(scope="module")
def replicates():
    """Answers about one policy from 200 logs of 100 episodes."""
    logs = (sample_log(MODEL, LOGGER, 100, 900 + seed) for seed in range(200))
    return [by_counts(put(log, TARGETS["stochastic"]), members=100) for log in logs]


def test_the_interval_covers_where_the_model_is_right(replicates):
    # At 90 %: 20 misses are expected, more than 36 once in 5,000.
    truth = exact(TARGETS["stochastic"])
    misses = sum(not lower <= truth <= upper for lower, upper in (found.bounds(0.05) for found in replicates))
    assert misses <= 36


def test_the_standard_error_is_that_of_the_estimate(replicates):
    # The spread of 200 estimates is known to 5 %; the mean of their own errors must agree to four of that.
    spread = np.std([found.value for found in replicates], ddof=1)
    assert np.mean([found.standard_error for found in replicates]) == pytest.approx(spread, rel=0.2)


def test_a_right_model_reproduces_the_logger(replicates):
    # False alarms at 1 % a log: more than 8 in 200 once in 1,000.
    alarms = sum(any("reproduce" in reason for reason in found.reasons) for found in replicates)
    assert alarms <= stats.binom.isf(1e-3, 200, 0.01) + 1


def test_always_heuristic_and_it_says_why():
    found = by_counts(put(LOG, TARGETS["stochastic"]))
    assert found.assurance == "heuristic"
    assert found.values is None
    assert any("own error is not in it" in note for note in found.notes)
    assert found.reasons == ()


def test_a_sample_of_groups_keeps_them_together():
    # Every episode four times over, in a group of four: as much is known as from one of each.
    rows = np.concatenate([np.tile(np.arange(a, b), 4) for a, b in zip(LOG.starts[:-1], LOG.starts[1:], strict=True)])
    groups = np.repeat(np.arange(LOG.n_episodes), 4)

    def copied(**more):
        return Dataset.from_arrays(
            LOG.observations[rows], LOG.actions[rows], LOG.rewards[rows], LOG.terminated[rows], LOG.truncated[rows],
            propensities=LOG.propensities[rows], final_observations=np.repeat(LOG.final_observations, 4),
            n_actions=2, horizon=LOG.horizon, **more,
        )  # fmt: skip

    once = by_counts(put(LOG, TARGETS["stochastic"]))
    grouped, alone = (by_counts(put(log, TARGETS["stochastic"])) for log in (copied(groups=groups), copied()))
    assert grouped.value == pytest.approx(once.value, rel=0.01)  # shrinkage weighs a quarter
    # 200 samples tell an error to 5 %.
    assert grouped.standard_error == pytest.approx(once.standard_error, rel=0.25)
    assert alone.standard_error == pytest.approx(once.standard_error / 2, rel=0.25)


def harmless(n=50, **more):
    return Dataset.from_arrays(
        np.zeros(n, int), np.arange(n) % 2, np.ones(n), np.ones(n, bool), np.zeros(n, bool),
        costs={"harm": np.zeros(n)}, propensities=np.full(n, 0.5), n_actions=2, horizon=1, **more,
    )  # fmt: skip


def test_no_event_is_never_the_interval_zero_to_zero():
    table = np.array([[0.5, 0.5]])
    found = by_counts(put(harmless(), table, "probability:harm"))
    assert found.value == 0.0
    assert found.bounds(0.025) == (0.0, pytest.approx(1 - 0.025 ** (1 / 50)))
    cost = by_counts(put(harmless(), table, "cost:harm"))
    assert cost.bounds(0.025) == (0.0, math.inf)


def test_one_unit_bounds_nothing():
    found = by_counts(put(harmless(groups=np.zeros(50, int)), np.array([[0.5, 0.5]]), "probability:harm"))
    assert found.bounds(0.05) == (0.0, 1.0)
    assert found.standard_error == math.inf
    assert "one independent unit" in found.reasons[-1]


@pytest.mark.parametrize("finals", [True, False])
def test_a_cut_is_bootstrapped_past_and_said(finals):
    # Cut after one step or two, at random: the same value as from whole episodes, within both errors.
    whole = sample_log(MODEL, LOGGER, 4_000, 6)
    rng = np.random.default_rng(0)
    keep = np.minimum(whole.lengths, rng.integers(1, 4, whole.n_episodes))
    rows = np.concatenate([start + np.arange(k) for start, k in zip(whole.starts[:-1], keep, strict=True)])
    last = np.cumsum(keep) - 1
    cut = keep < whole.lengths
    truncated = whole.truncated[rows].copy()
    truncated[last[cut]] = True
    ends = whole.final_observations.copy()
    ends[cut] = whole.observations[whole.starts[:-1][cut] + keep[cut]]
    log = Dataset.from_arrays(
        whole.observations[rows], whole.actions[rows], whole.rewards[rows], whole.terminated[rows], truncated,
        propensities=whole.propensities[rows], final_observations=ends if finals else None, n_actions=2, horizon=3,
    )  # fmt: skip
    table = TARGETS["stochastic"]
    found = by_counts(put(log, table))
    assert abs(found.value - exact(table)) < 4 * found.standard_error
    assert any("cut before the horizon" in note for note in found.notes)
    assert (found.diagnostics["rows_of_unknown_end"] > 0) == (not finals)


def test_a_target_where_the_log_is_empty_is_refused():
    log = sample_log(MODEL, np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]), 200, 7)
    found = by_counts(put(log, np.array([[0.0, 1.0], [0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])))
    assert found.reasons


def test_a_model_that_does_not_reproduce_the_logger_says_so():
    # A process with a memory that the observation hides: the second step pays what the first one did.
    rng = np.random.default_rng(1)
    first = rng.integers(2, size=500)
    actions = np.stack([first, rng.integers(2, size=500)], axis=1).ravel()
    rewards = np.stack([np.zeros(500), 10.0 * first * (1 - actions[1::2])], axis=1).ravel()
    ended = np.tile([False, True], 500)
    table = np.full((1, 2), 0.5)
    kwargs = {"propensities": np.full(1_000, 0.5), "n_actions": 2, "horizon": 2}
    honest = Dataset.from_arrays(np.tile([0, 1], 500), actions, rewards, ended, np.zeros(1_000, bool), **kwargs)
    blind = Dataset.from_arrays(np.zeros(1_000, int), actions, rewards, ended, np.zeros(1_000, bool), **kwargs)
    assert not any("reproduce" in reason for reason in by_counts(put(honest, np.full((2, 2), 0.5))).reasons)
    assert any("reproduce" in reason for reason in by_counts(put(blind, table)).reasons)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "tree"}, "expected 'auto', 'counts' or 'network'"),
        ({"members": 1}, "at least 2"),
        ({"members": 2.5}, "members is 2.5"),
        ({"model": "network", "steps": 0}, "steps is 0"),
        ({"model": "network", "hidden": (0,)}, "hidden is 0"),
        ({"model": "network", "hidden": 64}, "such as"),
        ({"steps": 5, "learning_rate": 0.1}, "steps, learning_rate: for networks only"),
        ({"model": "network", "learning_rate": -1.0}, "learning_rate is -1"),
        ({"model": "network", "target_rate": 1.5}, "at most 1"),
        ({"model": "network", "tolerance": math.nan}, "tolerance is nan"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        fqe.estimate(put(LOG, TARGETS["stochastic"]), **options)


def test_counts_need_states():
    problem = dataclasses.replace(put(LOG, TARGETS["stochastic"]), states=None)
    with pytest.raises(InputError, match="model='network'"):
        by_counts(problem)


# Networks without hidden layers on one-hot states hold the same functions as a table. One compiled program for all.
NETWORK = {"model": "network", "members": 8, "hidden": (), "batch_size": 128, "learning_rate": 0.02, "steps": 3_000}


@pytest.mark.parametrize(
    ("target", "of", "discount"),
    [("stochastic", "return", 1.0), ("deterministic", "return", 0.8), ("stochastic", "probability:harm", 1.0)],
)
def test_networks_agree_with_counts(target, of, discount):
    # Eight members' mean differs from the whole log's fit by a third of a standard error; 1.5 are allowed.
    problem = put(LOG, TARGETS[target], of, discount=discount)
    counted, learned = by_counts(problem), fqe.estimate(problem, **NETWORK)
    assert abs(learned.value - counted.value) < 1.5 * counted.standard_error
    # Two estimates of a standard deviation, from 8 and from 200: the ratio is in [.4, 1.8] all but once in 1,000.
    assert 0.4 < learned.standard_error / counted.standard_error < 2.0
    assert learned.assurance == "heuristic"
    assert learned.diagnostics["converged"]
    assert learned.reasons == ()


@pytest.mark.slow
@pytest.mark.parametrize("epsilon", [0.22, 0.1])
def test_networks_agree_with_counts_on_the_tutorials_log(epsilon):
    # 207 states and a horizon of 80, through ten knots and Fourier features. Eight members' mean differs from the whole
    # log's fit by a third of a standard error, and networks smooth what a table does not: 1.5 are allowed.
    grid = gs.HazardGrid()
    log = gs.collect(grid, grid.logger(0.22), episodes=500, seed=42)
    problem = pose(
        log, grid.logger(epsilon), Question.parse("return", log), Behavior(np.asarray(log.propensities), None, True)
    )
    counted, learned = by_counts(problem), fqe.estimate(problem, model="network", members=8)
    assert learned.diagnostics["converged"]
    assert abs(learned.value - counted.value) < 1.5 * counted.standard_error


def test_networks_that_did_not_come_to_rest_say_so():
    found = fqe.estimate(put(LOG, TARGETS["stochastic"]), **{**NETWORK, "steps": 20})
    assert not found.diagnostics["converged"]
    assert "did not come to rest" in found.reasons[0]
    assert found.diagnostics["updates"] == 20


@pytest.mark.parametrize(("of", "value"), [("probability:harm", 0.0), ("return", 1.0)])
def test_networks_where_nothing_varies(of, value):
    found = fqe.estimate(put(harmless(), np.array([[0.5, 0.5]]), of), **{**NETWORK, "steps": 400})
    assert found.value == pytest.approx(value, abs=0.05)
    lower, upper = found.bounds(0.025)
    assert upper > lower


def test_networks_on_one_episode_of_one_step():
    log = Dataset.from_arrays(
        np.zeros(1, int), np.array([1]), np.array([3.0]), np.ones(1, bool), np.zeros(1, bool),
        propensities=np.array([0.5]), n_actions=2, horizon=1,
    )  # fmt: skip
    problem = put(log, np.array([[0.5, 0.5]]))
    found = fqe.estimate(problem, **{**NETWORK, "steps": 50})
    assert found.bounds(0.05) == (-math.inf, math.inf)
    assert found.reasons


def test_networks_that_diverge_say_so():
    with pytest.raises(DivergenceError, match="Lower learning_rate"):
        fqe.estimate(put(LOG, TARGETS["stochastic"]), **{**NETWORK, "learning_rate": 1e38, "steps": 200})


def test_actions_that_the_log_never_shows_are_said():
    # Propensities of 1 everywhere, where the target takes the logged actions about half of the time.
    problem = put(LOG, TARGETS["stochastic"])
    found = fqe.estimate(dataclasses.replace(problem, propensities=np.ones(problem.n_rows)), **NETWORK)
    assert any("made up" in reason for reason in found.reasons)


def test_transitions_by_hand():
    # As in the module of small worlds: two terminations, then a cut whose final observation is known or not.
    known, left_out = transitions(put(hand_log(final_observations=np.array([1, 1, 0])), HAND_TARGET))
    assert left_out == 0
    assert known.row.tolist() == [0, 1, 2, 3, 4]
    assert known.observations[known.next_row[[0, 3, 4]]].tolist() == [1, 1, 0]
    np.testing.assert_array_equal(known.next_policy, [[0.5, 0.5], [0, 0], [0, 0], [0.5, 0.5], [0.8, 0.2]])
    assert known.weight.tolist() == [1.0] * 5
    unknown, left_out = transitions(put(hand_log(), HAND_TARGET))
    assert left_out == 1
    assert unknown.row.tolist() == [0, 1, 2, 3]
    # three rows went on, two of them are left to stand for them
    assert unknown.weight.tolist() == [1.5, 1.0, 1.0, 1.5]


def test_no_transition_with_a_known_end_is_refused():
    log = Dataset.from_arrays(
        np.zeros(3, int), np.array([0, 1, 0]), np.ones(3), np.zeros(3, bool), np.ones(3, bool),
        propensities=np.full(3, 0.5), n_actions=2, horizon=2,
    )  # fmt: skip
    with pytest.raises(InputError, match="no transition of the 3 has a known end"):
        fqe.estimate(put(log, np.full((1, 2), 0.5)), **NETWORK)


def line_log(rewards, ends, horizon):
    """Episodes along a line of states; `ends` says which row ends one, and how."""
    terminated, truncated = np.array(ends) == "end", np.array(ends) == "cut"
    n = len(rewards)
    return Dataset.from_arrays(
        np.arange(n), np.zeros(n, int), np.array(rewards, float), terminated, truncated,
        costs={"harm": np.abs(np.array(rewards, float))}, propensities=np.ones(n), n_actions=2, horizon=horizon,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rewards", "ends", "of", "discount", "low", "high"),
    [
        # goes on at -1 or 2, ends at 50 or -100
        ([-1, 2, 50, -1, -100], ["", "", "end", "", "end"], "return", 1.0, [-100, -101, -102], [50, 52, 54]),
        # an end may come at any step, so that a running loss need not be taken
        ([-1, -1, 5, -1], ["", "", "end", "cut"], "return", 1.0, [-1, -2, -3], [5, 5, 5]),
        ([-1, -1, 5, -1], ["", "", "end", "cut"], "return", 0.5, [-1, -1.5, -1.75], [5, 5, 5]),
        # nothing ever ends
        ([-1, 2, 0], ["", "", "cut"], "return", 1.0, [-1, -2, -3], [2, 4, 6]),
        # all end at once
        ([3, 4], ["end", "end"], "return", 1.0, [3, 3, 3], [4, 4, 4]),
        # a probability is one event at most
        ([0, 1, 0, 0], ["", "cut", "", "end"], "probability:harm", 1.0, [0, 0, 0], [1, 1, 1]),
    ],
)
def test_possible_sums(rewards, ends, of, discount, low, high):
    problem = put(line_log(rewards, ends, 3), np.tile([1.0, 0.0], (len(rewards), 1)), of, discount=discount)
    found = possible_sums(problem)
    np.testing.assert_allclose(found, [low, high], atol=1e-12)
