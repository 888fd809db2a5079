"""A logger without what critics fear: by hand, with masks, at hostile observations, and on disk; tempered clones."""

import dataclasses

import numpy as np
import pytest

import groundschool as gs
from groundschool.policies.avoiding import AvoidingPolicy
from groundschool.policies.critic import Critic
from groundschool.policies.encoding import Column, Encoder
from groundschool.policies.network import NetworkPolicy
from groundschool.policies.tempered import TemperedPolicy

BARE = Encoder((1,), (Column("raw"),))
BASE = np.array([0.5, 0.3, 0.2])


def layer(weight, bias):
    """One layer of as many networks as there are rows: their weights (networks, 1, out), their biases."""
    return (np.array(weight, np.float32)[:, None, :], np.array(bias, np.float32)[:, None, :])


def logger():
    """.5, .3 and .2 at every observation."""
    return NetworkPolicy("logger", 3, BARE, (layer([[0, 0, 0]], [np.log(BASE)]),), "softmax")


def critic(scale=1.0, of="probability:harm", **more):
    """Two networks that say x and 3 x of the third action, and nothing of the others: 2 x on average."""
    return Critic(of, BARE, (layer([[0, 0, 1], [0, 0, 3]], np.zeros((2, 3))),), scale, **more)


def policy(threshold=1.6, largest_ratio=4.0, **changes):
    return AvoidingPolicy("careful", logger(), [(critic(**changes), threshold)], largest_ratio)


def at(x, made, **more):
    return made.probabilities(np.array([[x]]), **more)[0]


def test_losses_by_hand():
    # At x = 1 the third action's value is 2 and the logger's own .2 * 2.
    assert critic().losses(np.array([[1.0], [0.5]]), np.tile(BASE, (2, 1))) == pytest.approx(
        np.array([[-0.4, -0.4, 1.6], [-0.2, -0.2, 0.8]])
    )


def test_what_is_feared_goes_and_the_rest_is_renormalized():
    made = policy(threshold=1.599)
    assert at(1.0, made) == pytest.approx([0.625, 0.375, 0.0])
    assert at(0.5, made) == pytest.approx(BASE)
    assert made.changes(np.array([[1.0], [0.5]])).tolist() == [True, False]
    assert made.danger(np.array([[0.5]]))[0] == pytest.approx([0.0, 0.0, 0.8 / 1.599])


def test_more_is_better_where_the_scale_is_negative():
    # A return of -2 x: the third action is poor where x is positive.
    made = policy(threshold=1.5, scale=-1.0, of="return")
    assert at(-1.0, made) == pytest.approx([0.625, 0.375, 0.0])
    assert at(1.0, made) == pytest.approx(BASE)


def test_the_largest_ratio_holds():
    # One eleventh of all may go: .2 - 1/11 stays of the third action.
    assert at(1.0, policy(threshold=1.0, largest_ratio=1.1)) == pytest.approx([0.55, 0.33, 0.12])


def test_outside_of_what_was_seen_nothing_is_known():
    known = dataclasses.replace(critic(), low=np.array([0.0]), high=np.array([1.0]))
    made = AvoidingPolicy("careful", logger(), [(known, 1.0)], 4.0)
    assert known.knows(np.array([[-0.1], [0.0], [1.0], [1.1]])).tolist() == [False, True, True, False]
    assert at(1.0, made)[2] == 0.0
    assert at(1.1, made) == pytest.approx(BASE)


def test_of_two_critics_the_more_fearful_counts():
    made = AvoidingPolicy("careful", logger(), [(critic(), 100.0), (critic(), 1.0)], 4.0)
    assert at(1.0, made)[2] == 0.0
    assert made.danger(np.array([[1.0]]))[0, 2] == pytest.approx(1.6)


def test_masks_are_honored():
    only = np.array([[False, True, True]])  # .6 and .4: the third is worth 2 and the mean .8, 1.2 less
    assert at(1.0, policy(threshold=1.1), masks=only) == pytest.approx([0.0, 1.0, 0.0])
    assert at(1.0, policy(threshold=1.3), masks=only) == pytest.approx([0.0, 0.6, 0.4])
    alone = np.array([[False, False, True]])
    assert at(1.0, policy(threshold=0.1), masks=alone) == pytest.approx([0.0, 0.0, 1.0])


@pytest.mark.parametrize("x", [np.nan, np.inf])
def test_hostile_observations_are_refused(x):
    with pytest.raises(gs.InputError, match="observations"):
        at(x, policy())
    with pytest.raises(gs.InputError, match="shape"):
        policy().probabilities(np.zeros((2, 5)))


def test_a_bundle_decides_the_same(tmp_path):
    made = policy(threshold=1.0, low=np.array([-2.0]), high=np.array([2.0]))
    made.usual_weight = 2.0
    made.save(tmp_path / "bundle")
    again = gs.load(tmp_path / "bundle")
    asked = np.linspace(-3.0, 3.0, 50)[:, None]
    assert np.array_equal(again.probabilities(asked), made.probabilities(asked))
    assert (again.name, again.usual_weight, again.largest_ratio) == ("careful", 2.0, 4.0)
    assert again.critics[0][0].of == "probability:harm"


def test_a_logger_that_is_code_cannot_be_saved(tmp_path):
    made = AvoidingPolicy("careful", gs.HazardGrid().logger(0.2), [], 4.0)
    with pytest.raises(gs.InputError, match="wraps code"):
        made.save(tmp_path / "bundle")


def test_layers_that_do_not_fit_are_refused(tmp_path):
    broken = dataclasses.replace(critic(), layers=(layer([[0, 0]], [[0, 0]]),))
    AvoidingPolicy("careful", logger(), [(broken, 1.0)], 4.0).save(tmp_path / "bundle")
    with pytest.raises(gs.InputError, match="the critic of 'probability:harm' has weights of shape"):
        gs.load(tmp_path / "bundle")


@pytest.mark.parametrize("low", [np.array([-1.0, -1.0]), np.array([np.nan])])
def test_a_range_that_is_none_is_refused(low, tmp_path):
    broken = critic(low=low, high=np.array([1.0]))
    AvoidingPolicy("careful", logger(), [(broken, 1.0)], 4.0).save(tmp_path / "bundle")
    with pytest.raises(gs.InputError, match="the range of the critic of 'probability:harm' is no pair of 1 finite"):
        gs.load(tmp_path / "bundle")


def test_a_tempered_policy_by_hand(tmp_path):
    made = TemperedPolicy("clone", logger(), 2.0, 0.1, np.array([0.2, 0.2, 0.6]))
    roots = np.sqrt(BASE) / np.sqrt(BASE).sum()
    assert at(0.0, made) == pytest.approx(0.9 * roots + 0.1 * np.array([0.2, 0.2, 0.6]))
    masks = np.array([[True, False, True]])
    left = np.sqrt([0.5, 0.2]) / np.sqrt([0.5, 0.2]).sum()
    expected = [0.9 * left[0] + 0.1 * 0.25, 0.0, 0.9 * left[1] + 0.1 * 0.75]
    assert at(0.0, made, masks=masks) == pytest.approx(expected)
    made.save(tmp_path / "bundle")
    assert np.array_equal(at(0.7, gs.load(tmp_path / "bundle")), at(0.7, made))
