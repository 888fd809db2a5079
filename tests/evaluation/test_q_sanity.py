"""Predicted action values against realised returns-to-go."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.envs import HazardGrid
from groundschool.errors import InputError
from groundschool.evaluation.rollout import rollout
from groundschool.evaluation.sanity import q_sanity, returns_to_go
from groundschool.policies.tabular import TabularPolicy


def make_log(rewards, ends, *, states=None, actions=None):
    """Build a log; ``ends`` has "." for a row inside an episode, "T" for a terminated and "t" for a truncated end."""
    ends = np.array(list(ends))
    n = len(ends)
    return Dataset.from_arrays(
        np.arange(n) if states is None else np.asarray(states),
        np.zeros(n, dtype=np.int64) if actions is None else np.asarray(actions),
        np.asarray(rewards, dtype=np.float64),
        ends == "T",
        ends == "t",
        n_actions=2,
    )


class Learned:
    """A policy with a table of action values."""

    name, n_actions = "learned", 2

    def __init__(self, table, discount=None):
        self.table = np.asarray(table, dtype=np.float64)
        self.training = None if discount is None else SimpleNamespace(config={"discount": discount})

    def values(self, observations):
        return self.table[observations]


def as_rollout(log):
    return SimpleNamespace(dataset=log)


def test_returns_to_go_by_hand():
    log = make_log([1, 2, 4, 10, 8, 16], "..TTT" + "t")
    assert returns_to_go(log, 0.5).tolist() == [1 + 1 + 1, 2 + 2, 4, 10, 8, 16]
    assert returns_to_go(log, 1.0).tolist() == [7, 6, 4, 10, 8, 16]
    assert returns_to_go(log, 0.0).tolist() == [1, 2, 4, 10, 8, 16]


def test_returns_to_go_against_a_plain_loop():
    rng = np.random.default_rng(0)
    ends = rng.choice([".", "T", "t"], 2_000, p=[0.9, 0.06, 0.04])
    ends[-1] = "T"
    log = make_log(rng.normal(size=2_000), ends)
    expected, running = np.zeros(2_000), 0.0
    for row in range(1_999, -1, -1):
        running = log.rewards[row] + (0.97 * running if ends[row] == "." else 0.0)
        expected[row] = running
    assert returns_to_go(log, 0.97) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_by_hand():
    # Terminated episodes: rows 0-1 (to go, discount 1/2: 2, 2) and row 4 (6). Rows 2-3 are truncated and left out.
    log = make_log([1, 2, 100, 100, 6], ".T.tT", actions=[1, 0, 0, 0, 1])
    q = np.zeros((5, 2))
    q[0, 1], q[1, 0], q[4, 1] = 3.0, 1.0, 9.0
    result = q_sanity(Learned(q), as_rollout(log), 0.5)
    assert (result.episodes, result.steps, result.left_out) == (2, 3, 1)
    assert result.predicted_mean == pytest.approx(13 / 3)
    assert result.realised_mean == pytest.approx(10 / 3)
    assert result.bias == pytest.approx(1.0)
    # Differences (1, -1) and (3): residual sums -2 and 2 around 1; sqrt(2 * 8) / 3.
    assert result.bias_standard_error == pytest.approx(4 / 3)
    assert result.rmse == pytest.approx(math.sqrt(11 / 3))
    assert result.correlation == pytest.approx(np.corrcoef([3, 1, 9], [2, 2, 6])[0, 1])
    assert (result.initial_predicted, result.initial_realised) == (6.0, 4.0)
    assert json.loads(json.dumps(result.summary(), allow_nan=False))["bias"] == pytest.approx(1.0)


def test_the_discount_is_the_policys_own_where_none_is_given():
    log = make_log([1, 2], ".T")
    assert q_sanity(Learned(np.zeros((2, 2)), discount=0.5), as_rollout(log)).initial_realised == 2.0
    assert q_sanity(Learned(np.zeros((2, 2)), discount=0.5), as_rollout(log), 1.0).initial_realised == 3.0


def test_nothing_but_truncated_episodes_is_not_a_number_and_not_a_crash():
    result = q_sanity(Learned(np.zeros((3, 2))), as_rollout(make_log([1, 2, 3], "t.t")), 0.9)
    assert (result.episodes, result.left_out) == (0, 2)
    assert math.isnan(result.bias)
    assert result.summary()["bias"] is None


def test_constant_values_have_no_correlation():
    assert math.isnan(q_sanity(Learned(np.ones((2, 2))), as_rollout(make_log([1, 2], "TT")), 1.0).correlation)


def test_true_values_on_a_grid_have_no_bias():
    grid = HazardGrid(size=6, hazards=[(3, 2)], horizon=1_000)  # long enough that nobody is ever cut short
    model = grid.model()
    logger = grid.logger(0.4)
    result = rollout(grid, logger, 2_000, seed=3)
    table = model.action_values(logger, 0.95)

    class Exact:
        name, n_actions = "exact", 4

        def values(self, observations):
            return table[grid.layout.states(observations)]

    sanity = q_sanity(Exact(), result, 0.95)
    assert sanity.left_out == 0
    assert abs(sanity.bias) <= 4 * sanity.bias_standard_error
    assert sanity.bias_standard_error < 1.5
    assert sanity.correlation > 0.2


LOG = make_log([1, 2], ".T")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: q_sanity(TabularPolicy([[0.5, 0.5]], name="clone"), as_rollout(LOG), 1.0),
            "'clone' predicts no action",
        ),
        (lambda: q_sanity(Learned(np.zeros((2, 2))), as_rollout(LOG)), "Give discount="),
        (lambda: q_sanity(Learned(np.zeros((2, 2))), as_rollout(LOG), 1.5), "discount is 1.5"),
        (lambda: q_sanity(Learned(np.zeros((2, 2))), as_rollout(LOG), 0.0), "discount is 0.0"),
        (lambda: q_sanity(Learned(np.zeros((2, 3))), as_rollout(LOG), 1.0), r"shape \(2, 3\), expected \(2, 2\)"),
        (lambda: q_sanity(Learned(np.full((2, 2), np.nan)), as_rollout(LOG), 1.0), "not finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_runs_on_a_rollout_of_a_generic_environment():
    policy = TabularPolicy([[0.25] * 4] * 16)
    policy.values = lambda observations: np.zeros((len(observations), 4))
    result = q_sanity(policy, rollout(gym.make("FrozenLake-v1"), policy, 40, seed=0), 0.99)
    assert result.predicted_mean == 0.0
    assert 0.0 <= result.realised_mean < 0.2
