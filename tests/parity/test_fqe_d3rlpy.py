"""Our fitted Q evaluation beside d3rlpy's on one log, with the exact value beside both; run by `make test-d3rlpy`."""

import numpy as np
import pytest

from groundschool.evaluation.estimators import fqe
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.tabular import TabularModel
from groundschool.policies.policy import DiscretePolicy

pytestmark = [pytest.mark.d3rlpy, pytest.mark.filterwarnings("ignore")]

DISCOUNT = 0.9  # d3rlpy knows no horizon: after 100 steps nothing is left to count
CELLS = 5


def corridor(unit):
    """Cells in a row, one step in five goes the other way; a step costs one unit, the end on the right brings ten."""
    to = np.zeros((CELLS + 1, 2, CELLS + 1))
    for cell in range(CELLS):
        for action, move in ((0, -1), (1, 1)):
            to[cell, action, max(cell + move, 0)] += 0.8
            to[cell, action, max(cell - move, 0)] += 0.2
    rewards = np.full(CELLS + 1, -unit)
    rewards[CELLS] = 10.0 * unit
    to[CELLS, :, CELLS] = 1.0
    terminal = np.arange(CELLS + 1) == CELLS
    initial = np.eye(CELLS + 1)[0]
    return TabularModel(
        to, rewards, {}, terminal, initial, 100, observations=np.eye(CELLS + 1, dtype=np.float32)
    )  # fmt: skip


class Table(DiscretePolicy):
    """Action probabilities by cell, read off one-hot observations."""

    name, n_actions = "table", 2

    def __init__(self, table):
        self.table = np.asarray(table, float)

    def probabilities(self, observations, *, masks=None):
        return self.table[np.asarray(observations).argmax(axis=1)]


def theirs(log, policy, steps=2_000):
    """Return d3rlpy's value at the start, of an algorithm that takes the policy's most probable action."""
    import d3rlpy
    import torch

    class Impl:
        @staticmethod
        def predict_best_action(x):
            return torch.as_tensor(policy.probabilities(x.numpy()).argmax(axis=1))

    class Algorithm:
        impl = Impl()

    d3rlpy.seed(0)
    dataset = d3rlpy.dataset.MDPDataset(
        log.observations, log.actions, log.rewards, log.terminated.astype(np.float32), log.truncated.astype(np.float32)
    )
    config = d3rlpy.ope.FQEConfig(learning_rate=1e-3, gamma=DISCOUNT, batch_size=128, target_update_interval=50)
    learner = d3rlpy.ope.DiscreteFQE(algo=Algorithm(), config=config, device="cpu:0")
    learner.build_with_dataset(dataset)
    learner.fit(
        dataset, n_steps=steps, n_steps_per_epoch=steps, show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )  # fmt: skip
    start = log.observations[:1]
    return float(learner.predict_value(start, policy.probabilities(start).argmax(axis=1))[0])


RIGHT, WAVERING = [[0.0, 1.0]] * (CELLS + 1), [[0.4, 0.6]] * (CELLS + 1)


def posed(unit, policy):
    """Return a log of a uniform policy as a problem, and how to get exact values."""
    model = corridor(unit)
    log = sample_log(model, Table([[0.5, 0.5]] * (CELLS + 1)), 300, 1)
    behavior = Behavior(np.asarray(log.propensities), None, True)
    problem = pose(log, policy, Question.parse("return", log), behavior, discount=DISCOUNT)

    def exact(table):
        table = np.asarray(table)
        return float(model.initial @ (table * model.action_values(table, DISCOUNT)).sum(axis=1))

    return log, problem, exact


def test_both_come_near_the_exact_value_of_a_deterministic_policy():
    # Rewards so small that no error reaches the bend of d3rlpy's Huber loss.
    log, problem, exact = posed(0.05, Table(RIGHT))
    counted = fqe.estimate(problem)
    learned = fqe.estimate(problem, model="network", members=4)
    peer = theirs(log, Table(RIGHT))
    noise = 4 * counted.standard_error
    assert counted.value == pytest.approx(exact(RIGHT), abs=noise)
    # One step's reward is all that a fit may leave over.
    assert learned.value == pytest.approx(exact(RIGHT), abs=noise + 0.05)
    assert peer == pytest.approx(exact(RIGHT), abs=noise + 0.05)


def test_theirs_judges_a_stochastic_policy_as_its_most_probable_actions():
    log, problem, exact = posed(0.05, Table(WAVERING))
    learned = fqe.estimate(problem, model="network", members=4)
    peer = theirs(log, Table(WAVERING))
    assert learned.value == pytest.approx(exact(WAVERING), abs=4 * learned.standard_error + 0.05)
    assert abs(peer - exact(RIGHT)) < abs(peer - exact(WAVERING))


def test_their_robust_loss_pulls_toward_what_is_likely():
    # With rewards of -1 and 10 errors are beyond the bend: the step that slips counts for less than it costs.
    log, problem, exact = posed(1.0, Table(RIGHT))
    counted = fqe.estimate(problem)
    assert counted.value == pytest.approx(exact(RIGHT), abs=4 * counted.standard_error)
    assert theirs(log, Table(RIGHT)) > exact(RIGHT) + 1.0
