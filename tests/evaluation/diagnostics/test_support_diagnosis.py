"""Support: what the logger is known to do, and where a target goes beyond it."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.diagnostics.support import behavior_by_state, compare, leaves, support_of
from groundschool.evaluation.finite_horizon import Model, count
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question


def bandit(n, rare, p_rare, *, n_actions=2, masks=None):
    """One state, one step: action 1 logged `rare` times of n."""
    actions = np.zeros(n, int)
    actions[:rare] = 1
    return gs.Dataset.from_arrays(
        np.zeros(n, int),
        actions,
        np.zeros(n),
        np.ones(n, bool),
        np.zeros(n, bool),
        propensities=np.where(actions == 1, p_rare, 1.0 - p_rare),
        n_actions=n_actions,
        action_masks=masks,
    )


def posed(log, table):
    return pose(log, gs.TabularPolicy(table), Question("return"), Behavior(log.propensities, None, True))


def found(log, table):
    problem = posed(log, np.array([table]))
    counts = count(problem, np.zeros(problem.n_episodes, int), 1).counts
    behavior = behavior_by_state(problem)
    model = Model(counts, problem.states.target, problem.horizon)
    return problem, counts, compare(problem, counts, model, behavior)


def test_what_is_left_goes_to_the_actions_never_taken():
    log = bandit(100, 10, 0.1, n_actions=4)
    problem = posed(log, np.array([[0.25] * 4]))
    assert behavior_by_state(problem) == pytest.approx(np.array([[0.9, 0.1, 0.0, 0.0]]))
    none = bandit(100, 0, 0.1, n_actions=3)
    assert behavior_by_state(posed(none, np.array([[1.0, 0.0, 0.0]]))) == pytest.approx(np.array([[0.9, 0.05, 0.05]]))


def test_a_forbidden_action_gets_none_of_it():
    masks = np.tile([True, True, False], (100, 1))
    log = bandit(100, 0, 0.1, n_actions=3, masks=masks)
    problem = posed(log, np.array([[0.5, 0.5, 0.0]]))
    assert behavior_by_state(problem) == pytest.approx(np.array([[0.9, 0.1, 0.0]]))


def test_expected_counts_not_lucky_ones():
    _, _, support = found(bandit(100, 5, 0.005), [0.5, 0.5])
    assert support.expected[0] == pytest.approx([99.5, 0.5])
    assert support.excess[0] == pytest.approx([0.0, 0.5 - 2.0 * 0.005])
    assert support.share(support.expected < 1) == pytest.approx(0.5 - 2.0 * 0.005)


def test_the_logger_has_no_excess():
    problem, counts, support = found(bandit(100, 1, 0.01), [0.99, 0.01])
    assert support.excess.sum() == 0
    assert leaves(problem, counts, support, support.expected < 3)[-1] == 0


def test_what_leaves_by_step():
    """Two steps in one state; half of the target's actions are unheard of: half left at once, three quarters in all."""
    log = gs.Dataset.from_arrays(
        np.zeros(200, int),
        np.zeros(200, int),
        np.zeros(200),
        np.tile([False, True], 100),
        np.zeros(200, bool),
        propensities=np.full(200, 1.0),
        n_actions=2,
    )
    problem, counts, support = found(log, [0.5, 0.5])
    # One row in two ended the episode whatever its step was, for dynamics are pooled over time.
    assert leaves(problem, counts, support, support.expected < 1) == pytest.approx([0.5, 0.5 + 0.25 * 0.5])


@pytest.mark.parametrize(
    ("share", "refused"), [(0.0, False), (0.02, False), (0.5, True), (1.0, True)], ids=["none", "little", "half", "all"]
)
def test_the_rule(share, refused):
    log = bandit(500, 0, 0.001)
    problem = posed(log, np.array([[1 - share, share]]))
    verdict = support_of(problem, behavior_by_state(problem), clip=50.0)
    assert bool(verdict.reasons) == (refused or share > 0.01)
    assert verdict.facts["left"] == pytest.approx(max(share - 2.0 * 0.001, 0.0))
    assert sum(row["share"] for row in verdict.facts["by_expected"]) == pytest.approx(1.0)
    assert verdict.facts["estimable_steps"] == (0 if share > 0.06 else 1)


def test_what_was_to_be_logged_once_or_twice_and_was_not_may_all_be_harm():
    """Of 1.2 expected rows a log holds none in 30 %: that nothing happened there is no evidence."""
    episodes, steps, rare = 2_000, 4, 60
    state = np.zeros((episodes, steps), np.int64)
    state[:rare, 2] = 1
    rng = np.random.default_rng(0)
    action = (rng.random(state.shape) < 0.02).astype(np.int64) * (state == 0)
    ends = np.zeros(state.shape, bool)
    ends[:, -1] = True
    log = gs.Dataset.from_arrays(
        state.ravel(), action.ravel(), np.ones(state.size), ends.ravel(), np.zeros(state.size, bool),
        costs={"harm": np.zeros(state.size)}, propensities=np.where(action == 1, 0.02, 0.98).ravel(), n_actions=2,
    )  # fmt: skip
    followed = gs.evaluate(log, gs.TabularPolicy([[0.98, 0.02], [0.98, 0.02]]), of="probability:harm")
    assert followed.upper_bound(0.95) < 0.003
    always = gs.evaluate(log, gs.TabularPolicy([[0.98, 0.02], [0.0, 1.0]]), of="probability:harm", method="marginal_dr")
    facts = always.diagnostics["support"]
    assert facts["left"] == 0.0
    assert facts["left_few"] > 0.01
    assert always.diagnostics["claimed"]["upper"] > facts["left_few"]
