"""The room that bounds have for episodes of which the log knows nothing."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.estimators._certify import certified_bounds, room_for_the_worst, worst_and_best
from groundschool.evaluation.evaluator import Evaluator
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import Sampler
from groundschool.evaluation.tabular import TabularModel


def posed(of, **more):
    """Three steps of -1 and then an end with +5; two steps of -2 and 1 and then an end with -7; a horizon of 4."""
    rewards, ended = np.array([-1.0, -1, -1, 5, -2, 1, -7]), np.array([0, 0, 0, 1, 0, 0, 1], bool)
    log = gs.Dataset.from_arrays(
        np.zeros(7, int), np.zeros(7, int), rewards, ended, np.zeros(7, bool),
        costs={"harm": np.array([0.0, 0, 0.5, 0, 0, 0, 3])}, propensities=np.ones(7), n_actions=1,
        horizon=4,
    )  # fmt: skip
    return pose(log, gs.TabularPolicy([[1.0]]), Question.parse(of, log), Behavior(log.propensities, None, True), **more)


def test_by_hand():
    assert worst_and_best(posed("return")) == (4 * -2 + -7, 4 * 1 + 5)
    half = 1 + 0.5 + 0.25 + 0.125
    assert worst_and_best(posed("return", discount=0.5)) == pytest.approx((half * -2 - 7, half * 1 + 5))
    assert worst_and_best(posed("cost:harm")) == (0.0, 4 * 0.5 + 3)
    assert worst_and_best(posed("probability:harm")) == (0.0, 1.0)


def test_a_share_of_episodes_goes_to_the_worst_and_the_best():
    problem, values, ratios = posed("return"), np.array([2.0, -8.0]), np.ones(7)
    plain = certified_bounds(problem, values, ratios, 0.0)(0.05)
    room = room_for_the_worst(problem, float(values.mean()), 0.1)
    roomy = certified_bounds(problem, values, ratios, 0.0, room)(0.05)
    assert roomy == pytest.approx((plain[0] - 0.1 * (-3 + 15), plain[1] + 0.1 * (9 + 3)))


def trap():
    """Four steps to the goal; a bad move in the first costs ten, and in the third leads where it costs ten for ever."""
    transitions = np.zeros((6, 3, 6))
    for s in range(4):
        transitions[s, :, s + 1 if s < 3 else 5] = 1.0
    transitions[0, 1], transitions[2, 2] = np.eye(6)[0], np.eye(6)[4]
    transitions[4, :, 4] = transitions[5, :, 5] = 1.0
    rewards = np.full((6, 3, 6), -1.0)
    rewards[:, :, 5] = 10.0
    rewards[:, :, 4] = rewards[0, 1, 0] = -10.0
    ended = np.array([0, 0, 0, 0, 0, 1], bool)
    return TabularModel(transitions, rewards, {}, ended, np.eye(6)[0], 50)


def test_who_is_stuck_where_the_log_has_nobody_is_still_covered():
    """One episode in forty falls into the trap, 480 below all others; the logger does so once in five thousand."""
    model = trap()
    logger = np.tile([0.6, 0.3998, 0.0002], (6, 1))
    target = logger.copy()
    target[2] = [0.5, 0.475, 0.025]
    truth, policy, sampler = model.evaluate(target).return_, gs.TabularPolicy(target), Sampler.of(model, logger)
    silent = 0
    for seed in range(30):
        log = sampler.log(300, seed)
        if (log.observations == 4).any():
            continue  # the log shows the trap
        silent += 1
        found = Evaluator(log).evaluate(policy, method="marginal_dr", confidence=0.9)
        assert found.value > truth + 5.0
        assert found.diagnostics["claimed"]["lower"] <= truth
        assert any("what the log hardly holds" in note for note in found.notes)
    assert silent >= 10
