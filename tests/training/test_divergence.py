"""Training that left the range of possible values is stopped, with the metric, the step and what to do."""

from __future__ import annotations

import numpy as np
import pytest

import groundschool as gs
from groundschool.algorithms import configure
from groundschool.data import Dataset
from groundschool.errors import DivergenceError, InputError
from groundschool.training import divergence
from groundschool.training.loop import Chunk, Member
from learners import SMALL, walk_log


def test_a_rate_far_too_large():
    with pytest.raises(
        DivergenceError, match=r"training \(seed 3\) diverged by step \d+: .*learning_rate \(now 1e\+06"
    ):
        gs.train(walk_log(episodes=20), "cql", steps=200, seed=3, **{**SMALL, "learning_rate": 1e6})


def members(**options):
    return [Member(seed, configure("cql", options)) for seed in (0, 1)]


def chunk(**metrics):
    return Chunk(40, None, {name: np.array(values) for name, values in metrics.items()})


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        (
            {"loss": [1.0, np.nan]},
            {},
            r"\(seed 1\) diverged by step 40: loss is not finite\. Try, in this order: lower",
        ),
        ({"loss": [np.inf, 1.0]}, {}, r"\(seed 0\)"),
        ({"loss": [1.0, 1.0], "gradient_norm": [1.0, np.inf]}, {}, "gradient_norm is not finite"),
        (
            {"loss": [1.0, 1.0], "largest_value": [99.0, 101.0]},
            {},
            r"action values reached 101 reward scales, over ten times the 10 that rewards and discount allow",
        ),
        ({"loss": [np.nan, 1.0]}, {"gradient_clip": None}, "set gradient_clip"),
        ({"loss": [np.nan, 1.0]}, {"target_every": None, "target_rate": 0.5}, r"lower target_rate \(now 0.5\)"),
        ({"loss": [np.nan, 1.0]}, {"reward_scale": 3.0}, r'set reward_scale="auto" \(now 3\)'),
        ({"loss": [np.nan, 1.0]}, {"learning_rate": 0.5}, r"lower learning_rate \(now 0.5\)"),
    ],
)
def test_diagnosis(metrics, options, message):
    with pytest.raises(DivergenceError, match=message):
        divergence.check(chunk(**metrics), members(**options), [100.0, 100.0])


def test_remedies_already_taken_are_not_advised():
    with pytest.raises(DivergenceError) as caught:
        divergence.check(
            chunk(loss=[np.nan, 1.0]),
            members(gradient_clip=1.0, target_every=5, reward_scale="auto"),
            [100.0, 100.0],
        )
    for done in ("gradient_clip", "target_rate", "reward_scale"):
        assert done not in str(caught.value)


def test_values_within_the_limit_pass():
    divergence.check(chunk(loss=[1e9, 1.0], largest_value=[100.0, 0.0]), members(), [100.0, 100.0])


@pytest.mark.parametrize(
    ("discount", "horizon", "span"),
    [
        (0.9, 1, 10.0),  # one-step episodes, cut off: values go on past them
        (0.9, 1_000, 10.0),
        (0.0, 5, 1.0),
        (1.0, 7, 7.0),
    ],
)
def test_limit(discount, horizon, span):
    log = Dataset.from_arrays([0, 1], [0, 1], [-6.0, 4.0], [0, 0], [1, 1], final_observations=[1, 0], horizon=horizon)
    config = configure("cql", {"discount": discount})
    # the largest reward in reward scales is 3; ten times what they can add up to
    np.testing.assert_allclose(divergence.value_limit(log, config, 2.0), 10 * 3 * span)
    assert divergence.value_limit(log, configure("bc", {}), 1.0) == np.inf


def test_no_rewards_no_limit_of_zero():
    log = Dataset.from_arrays([0, 1], [0, 1], [0.0, 0.0], [1, 1], [0, 0])
    assert divergence.value_limit(log, configure("cql", {}), 1.0) == 10.0


@pytest.mark.parametrize("reward", [np.nan, np.inf])
def test_rewards_that_are_no_numbers_never_enter(reward):
    with pytest.raises(InputError, match="rewards"):
        Dataset.from_arrays([0, 1], [0, 1], [0.0, reward], [1, 1], [0, 0])
