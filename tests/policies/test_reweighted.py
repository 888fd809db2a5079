"""A logger with some of its decisions made less likely: by hand, with masks, in unseen places, and on disk."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.policies.counted import CountedPolicy, near
from groundschool.policies.places import Places
from groundschool.policies.reweighted import ReweightedPolicy, reweighted

LOGGER = gs.TabularPolicy([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [1 / 3, 1 / 3, 1 / 3]], name="logger")
PLACES = Places(np.array([0, 1]))


def test_what_is_kept_is_renormalized():
    policy = ReweightedPolicy("p", LOGGER, PLACES, np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.25]]))
    found = policy.probabilities(np.array([0, 1, 2]))
    assert found[0] == pytest.approx([0.5 / 0.7, 0.0, 0.2 / 0.7])
    assert found[1] == pytest.approx([0.25, 0.25, 0.5])  # .1, .1 and .2 of .4
    assert found[2] == pytest.approx([1 / 3, 1 / 3, 1 / 3])  # not listed: the logger
    assert policy.changes(np.array([0, 1, 2])).tolist() == [True, True, False]


def test_what_is_freed_goes_to_who_is_named():
    given = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    policy = ReweightedPolicy("p", LOGGER, PLACES, np.array([[0.4, 1.0, 1.0], [1.0, 0.0, 1.0]]), given)
    found = policy.probabilities(np.array([0, 1]))
    assert found[0] == pytest.approx([0.2, 0.3, 0.5])
    assert found[1] == pytest.approx([0.1 / 0.9, 0.0, 0.8 / 0.9])


def test_nothing_left_is_the_logger():
    assert reweighted(np.array([[0.5, 0.5]]), np.zeros((1, 2))) == pytest.approx(np.array([[0.5, 0.5]]))
    policy = ReweightedPolicy("p", LOGGER, PLACES, np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    only = np.array([[False, True, True]])  # all that is kept is forbidden
    assert policy.probabilities(np.array([0]), masks=only)[0] == pytest.approx([0.0, 0.6, 0.4])


def test_masks_are_honored_and_part_of_the_place():
    masks = np.array([[True, True, False], [True, True, True]])
    places, first = Places.of(np.array([0, 0]), masks)
    kept = np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])[first]
    policy = ReweightedPolicy("p", LOGGER, places, kept)
    found = policy.probabilities(np.array([0, 0]), masks=masks)
    assert found[0] == pytest.approx([0.0, 1.0, 0.0])
    assert found[1] == pytest.approx([0.5, 0.3, 0.2])
    assert policy.probabilities(np.array([0]))[0] == pytest.approx([0.5, 0.3, 0.2])  # without a mask all is allowed


def test_a_counted_policy_is_exact_where_it_was_met_and_near_elsewhere():
    places, first = Places.of(np.array([[0.0, 0.0], [4.0, 0.0]], np.float32), None)
    table = np.array([[1.0, 0.0], [0.25, 0.75]])[first]
    policy = CountedPolicy("c", places, table, np.array([0.5, 0.5]), np.array([2.0, 1.0]))
    asked = np.array([[0.0, 0.0], [4.0, 0.0], [3.9, 0.1], [400.0, 0.0]], np.float32)
    assert policy.probabilities(asked) == pytest.approx(
        np.array([[1.0, 0.0], [0.25, 0.75], [0.25, 0.75], [0.25, 0.75]])
    )
    middle = near(np.array([[1.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 0.0]]), table)
    assert middle[0] == pytest.approx(table.mean(axis=0))


def test_state_ids_have_no_neighbors():
    policy = CountedPolicy(
        "c", Places(np.array([3, 5])), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.3, 0.7]), None
    )
    assert policy.probabilities(np.array([5, 4])) == pytest.approx(np.array([[0.0, 1.0], [0.3, 0.7]]))


@pytest.mark.parametrize("given", [None, np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])])
def test_a_bundle_decides_as_what_was_saved(tmp_path, given):
    places, first = Places.of(np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]]), None)
    logger = CountedPolicy("c", places, LOGGER.table[first], np.full(3, 1 / 3), np.array([1.0, 2.0]))
    few, order = Places.of(np.array([[0.0, 1.0], [2.0, 3.0]]), None)
    policy = ReweightedPolicy("p", logger, few, np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.25]])[order], given)
    policy.save(tmp_path / "bundle")
    again = gs.load(tmp_path / "bundle")
    asked = np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0], [1.0, 2.0], [-7.0, 9.0]])
    assert np.array_equal(again.probabilities(asked), policy.probabilities(asked))
    assert again.name == "p"


def test_a_policy_that_changes_nothing_can_be_saved(tmp_path):
    policy = ReweightedPolicy("p", LOGGER, Places(np.zeros(0, np.int64)), np.zeros((0, 3)))
    policy.save(tmp_path / "bundle")
    asked = np.array([0, 1])
    assert np.array_equal(gs.load(tmp_path / "bundle").probabilities(asked), LOGGER.table[asked])


def test_a_logger_that_is_code_cannot_be_saved(tmp_path):
    grid = gs.HazardGrid()
    policy = ReweightedPolicy("p", grid.logger(0.2), Places(np.zeros((0, 2))), np.zeros((0, 4)))
    with pytest.raises(gs.InputError, match="wraps code"):
        policy.save(tmp_path / "bundle")


def test_observations_of_another_shape_are_refused():
    with pytest.raises(gs.InputError, match="shape"):
        Places(np.zeros((1, 2))).locate(np.zeros((3, 5)), None)


class TestCoarseRatios:
    """State 0: both actions that the logger takes are known; state 1: one is, the other two are guessed."""

    COUNTED = CountedPolicy(
        "logger",
        Places(np.array([0, 1])),
        np.array([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]),
        np.full(3, 1 / 3),
        None,
        np.array([[True, True, False], [True, False, False]]),
    )
    POLICY = ReweightedPolicy("p", COUNTED, PLACES, np.ones((2, 3)))

    def ratios(self, now, states=(0, 0, 1, 1, 1), actions=(0, 1, 0, 1, 2)):
        propensities = self.COUNTED.table[list(states), list(actions)]
        table = np.asarray(now, np.float64)[list(states)]
        return self.POLICY.coarse_ratios(np.array(states), np.array(actions), propensities, now=table)

    def test_of_another_that_is_made_of_it(self):
        ratios, largest = self.ratios([[0.25, 0.75, 0.0], [0.4, 0.6, 0.0]])
        assert ratios == pytest.approx([0.5, 1.5, 0.8, 1.2, 1.2])  # what is guessed counts as one: .6 of .5
        assert largest == pytest.approx([1.5, 1.5, 1.2, 1.2, 1.2])

    def test_none_where_something_is_done_that_the_logger_never_does(self):
        assert self.ratios([[0.25, 0.65, 0.1], [0.4, 0.6, 0.0]]) is None

    def test_none_where_a_propensity_disagrees(self):
        assert self.POLICY.coarse_ratios(np.array([0]), np.array([0]), np.array([0.4])) is None
