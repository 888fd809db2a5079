"""The counted model: against exact values, against loops, and where rows lead nobody knows where."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.finite_horizon import Counts, Model, count
from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.prior import prior
from groundschool.evaluation.question import Question
from groundschool.evaluation.tabular import TabularModel

TARGET = np.array([[0.3, 0.7], [0.6, 0.4], [1.0, 0.0], [1.0, 0.0]])


def small_model(horizon=5):
    """Two states to walk in, a goal and a hazard."""
    transitions = np.zeros((4, 2, 4))
    transitions[0, 0] = [0.5, 0.4, 0.1, 0.0]
    transitions[0, 1] = [0.1, 0.6, 0.1, 0.2]
    transitions[1, 0] = [0.7, 0.2, 0.0, 0.1]
    transitions[1, 1] = [0.0, 0.3, 0.6, 0.1]
    rewards = np.zeros((4, 2, 4)) - 1.0
    rewards[:, :, 2] = 5.0
    cost = np.zeros((1, 1, 4))
    cost[..., 3] = 1.0
    return TabularModel(
        transitions, rewards, {"hazard": cost}, np.array([0, 0, 1, 1], bool), np.array([0.8, 0.2, 0, 0]), horizon
    )


def exact_counts(model, signal, scale=1e6):
    """The counts of an endless log in which every pair is taken alike."""
    states, actions, then = np.nonzero(model.transitions[:2])
    p = model.transitions[states, actions, then]
    return Counts(
        n_states=4,
        n_actions=2,
        state=states,
        action=actions,
        then=np.where(model.terminal[then], -1, then),
        steps=(scale * p)[None],
        signal=(scale * p * signal[states, actions, then])[None],
        starts=(scale * model.initial)[None],
    )


@pytest.mark.parametrize("horizon", [1, 2, 7])
def test_values_and_visits_are_exact_where_the_counts_are(horizon):
    model = small_model(horizon)
    exact = model.evaluate(TARGET)
    found = Model(exact_counts(model, model.rewards), TARGET, horizon, shrinkage=0.0)
    assert found.start_value[0] == pytest.approx(exact.return_, rel=1e-9)
    assert found.visits[0].sum() == pytest.approx(exact.length, rel=1e-9)
    hazard = Model(exact_counts(model, np.broadcast_to(model.costs["hazard"], (4, 2, 4))), TARGET, horizon, shrinkage=0)
    assert hazard.start_value[0] == pytest.approx(exact.probabilities["hazard"], rel=1e-9)


def test_a_discount_weighs_each_step_once():
    model = small_model(6)
    found = Model(exact_counts(model, model.rewards), TARGET, 6, discount=0.7, shrinkage=0.0)
    by_hand = (TARGET * model.action_values(TARGET, 0.7)).sum(axis=1) @ model.initial
    assert found.start_value[0] == pytest.approx(by_hand, rel=1e-9)
    assert (found.flow[:, 0].sum(axis=1) <= 0.7 ** np.arange(6) + 1e-12).all()


def hand_log(finals):
    """Three episodes over states 0 and 1; the last one is cut after two steps."""
    return gs.Dataset.from_arrays(
        observations=np.array([0, 1, 0, 0, 1]),
        actions=np.array([0, 1, 0, 1, 0]),
        rewards=np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        terminated=np.array([0, 1, 1, 0, 0], bool),
        truncated=np.array([0, 0, 0, 0, 1], bool),
        propensities=np.full(5, 0.5),
        final_observations=finals,
        n_actions=2,
        horizon=2,
    )


def posed(log, table=TARGET[:2], of="return", **more):
    policy = gs.TabularPolicy(table)
    return pose(log, policy, Question.parse(of, log), Behavior(log.propensities, None, True), **more)


def test_counts_by_hand():
    problem = posed(hand_log(np.array([-1, -1, 0])))
    counts, kind, weight = count(problem, np.array([0, 0, 1]), 2)
    rows = {
        (int(s), int(a), int(o)): (steps.tolist(), signal.tolist())
        for s, a, o, steps, signal in zip(
            counts.state, counts.action, counts.then, counts.steps.T, counts.signal.T, strict=True
        )
    }
    assert rows == {
        (0, 0, 1): ([1.0, 0.0], [1.0, 0.0]),
        (1, 1, -1): ([1.0, 0.0], [2.0, 0.0]),
        (0, 0, -1): ([1.0, 0.0], [3.0, 0.0]),
        (0, 1, 1): ([0.0, 1.0], [0.0, 4.0]),
        (1, 0, 0): ([0.0, 1.0], [0.0, 5.0]),
    }
    assert counts.starts.tolist() == [[2.0, 0.0], [1.0, 0.0]]
    assert (kind >= 0).all()
    assert (weight == 1).all()
    others = counts.without_each()
    assert others.starts.tolist() == [[1.0, 0.0], [2.0, 0.0]]
    assert counts.together().steps.sum() == 5


def test_shrinkage_draws_a_pair_toward_what_is_expected_of_it():
    problem = posed(hand_log(np.array([-1, -1, 0])))
    counts = count(problem, np.zeros(3, int), 1).counts
    model = Model(counts, TARGET[:2], 2, shrinkage=1.0)
    # State 0: rewards 1, 3 by action 0 and 4 by action 1; state 1: 2 by action 1 and 5 by action 0.
    rows, sums = np.array([[[2.0, 1.0], [1.0, 1.0]]]), np.array([[[4.0, 4.0], [5.0, 2.0]]])
    expected = prior(sums, rows)[0]
    assert model.reward[0] == pytest.approx((sums[0] + expected) / (rows[0] + 1))
    # From state 0 to state 1: one of two by action 0, one of one by action 1; who goes on, goes there.
    goes = prior(np.array([[[1.0, 1.0], [1.0, 0.0]]]), rows)[0, 0]
    to = np.flatnonzero((model.link_from == 0) & (model.link_to == 1))
    by_action = np.array([(1 + goes[0]) / 3, (1 + goes[1]) / 2])
    assert model.kernel[0, to] == pytest.approx(TARGET[0] @ by_action)


def test_rows_that_lead_nobody_knows_where_are_replaced_by_their_like():
    log = gs.Dataset.from_arrays(
        observations=np.array([0, 0, 0, 0, 1]),
        actions=np.zeros(5, int),
        rewards=np.zeros(5),
        terminated=np.array([1, 0, 0, 0, 1], bool),
        truncated=np.array([0, 1, 1, 0, 0], bool),
        propensities=np.ones(5),
        n_actions=1,
        horizon=2,
    )
    counts, kind, weight = count(posed(log, np.ones((2, 1))), np.zeros(4, int), 1)
    assert kind.tolist()[1:3] == [-1, -1]
    assert weight.tolist() == [1, 0, 0, 3, 1]  # one end in four, as in the log; not one in two
    ends = counts.steps[0][(counts.state == 0) & (counts.then == -1)].sum()
    assert ends / counts.visits[0, 0] == pytest.approx(1 / 4)


def test_a_state_in_which_nobody_acted_is_the_average_one():
    log = hand_log(np.array([-1, -1, 7]))
    model = Model(count(posed(log, np.full((8, 2), 0.5)), np.zeros(3, int), 1).counts, np.full((3, 2), 0.5), 2)
    average = (model.counts.visits[0] * model.values[1, 0]).sum() / 5
    assert model.values[1, 0, 2] == pytest.approx(average)


def test_residuals_are_the_loops_written_out():
    rng = np.random.default_rng(3)
    model = small_model(4)
    from groundschool.evaluation.sampling import sample_log

    log = sample_log(model, np.full((4, 2), 0.5), 40, seed=5)
    problem = posed(log, np.vstack([TARGET[:2], np.full((2, 2), 0.5)]), discount=0.9)
    part = fold_of_episode(problem.units, 3, seed=1)
    found = Model(count(problem, part, 3).counts.without_each(), problem.states.target, 4, 0.9, shrinkage=0.5)
    c, k = found.counts, int(rng.integers(3))
    S, A = c.n_states, c.n_actions
    p, gain = np.zeros((S, A, S)), np.zeros((S, A))
    n = np.zeros((S, A))
    for s, a, o, steps, signal in zip(c.state, c.action, c.then, c.steps[k], c.signal[k], strict=True):
        n[s, a] += steps
        gain[s, a] += signal
        if o >= 0:
            p[s, a, o] += steps
    of_state = n.sum(axis=1)
    goes_on, gains = prior(p.sum(axis=2)[None], n[None])[0], prior(gain[None], n[None])[0]
    there = p.sum(axis=1) / np.maximum(p.sum(axis=(1, 2)), 1)[:, None]  # where who goes on goes, by any action
    p = (p + 0.5 * goes_on[..., None] * there[:, None]) / (n + 0.5)[..., None]
    gain = (gain + 0.5 * gains) / (n + 0.5)
    target = problem.states.target
    value = np.zeros((5, S))
    quality = np.zeros((4, S, A))
    for t in (3, 2, 1, 0):
        for s in range(S):
            for a in range(A):
                quality[t, s, a] = gain[s, a] + 0.9 * p[s, a] @ value[t + 1]
            value[t, s] = target[s] @ quality[t, s]
        if (of_state == 0).any():
            value[t, of_state == 0] = (of_state @ value[t]) / of_state.sum()
    flow = np.zeros((4, S))
    flow[0] = c.starts[k] / c.starts[k].sum()
    for t in range(3):
        for s in range(S):
            for a in range(A):
                flow[t + 1] += 0.9 * flow[t, s] * target[s, a] * p[s, a]
    assert found.values[:, k] == pytest.approx(value)
    assert found.flow[:, k] == pytest.approx(flow)
    for i, (s, a, o) in enumerate(zip(c.state, c.action, c.then, strict=True)):
        after = [value[t + 1, o] if o >= 0 else 0.0 for t in range(4)]
        by_hand = sum(flow[t, s] * (0.9 * after[t] - quality[t, s, a]) for t in range(4))
        assert found.residuals[k, i] == pytest.approx(by_hand, abs=1e-12)


def test_a_large_process_takes_the_sparse_way_and_says_the_same(monkeypatch):
    from groundschool.evaluation import finite_horizon
    from groundschool.evaluation.sampling import sample_log

    problem = posed(sample_log(small_model(6), np.full((4, 2), 0.5), 60, seed=2), np.full((4, 2), 0.5))
    counts = count(problem, fold_of_episode(problem.units, 4), 4).counts.without_each()
    dense = Model(counts, problem.states.target, 6).residuals
    monkeypatch.setattr(finite_horizon, "_DENSE", 0)
    assert Model(counts, problem.states.target, 6).residuals == pytest.approx(dense)
