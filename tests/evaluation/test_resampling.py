"""Episodes put together of logged steps: by hand, against the exact process, and weights that come up."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.behavior import logged_behavior
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.resampling import resampled
from groundschool.evaluation.sampling import sample_log
from groundschool.evaluation.weights import episode_log_weights
from small_worlds import LOGGER, MODEL, TARGETS, put

MANY = 40_000


def two_steps():
    """State 0 leads to 1, where the episode ends; action 1 in state 0 was logged once, with probability .2."""
    return gs.Dataset.from_arrays(
        np.array([0, 1, 0, 1, 0, 1]),
        np.array([0, 0, 0, 1, 1, 1]),
        np.array([1.0, 10.0, 2.0, 20.0, 3.0, 30.0]),
        np.array([False, True] * 3),
        np.array([False, False] * 3),
        propensities=np.array([0.8, 0.5, 0.8, 0.5, 0.2, 0.5]),
        n_actions=3,
        horizon=2,
    )


def ask(log, target, of="return"):
    policy = gs.TabularPolicy(target)
    return pose(log, policy, Question.parse(of, log), logged_behavior(log))


def test_by_hand_actions_come_as_often_as_the_logger_takes_them():
    problem = ask(two_steps(), [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    drawn = resampled(problem, MANY, 0)
    assert drawn.n_episodes == MANY
    assert drawn.lengths.tolist() == [2] * MANY
    first, second = drawn.signal[::2], drawn.signal[1::2]
    # Action 0 in state 0: .8, in two rows alike; in state 1 two actions at .5, one of them in two rows.
    shares = [np.mean(first == reward) for reward in (1.0, 2.0, 3.0)]
    np.testing.assert_allclose(shares, [0.4, 0.4, 0.2], atol=4.0 * 0.5 / np.sqrt(MANY))
    shares = [np.mean(second == reward) for reward in (10.0, 20.0, 30.0)]
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25], atol=4.0 * 0.5 / np.sqrt(MANY))
    # Ratios .5/.8 and .3/.2 have mean .8 under the logger: divided by it. In state 1 .2 and 1.2, of mean .7.
    np.testing.assert_allclose(np.unique(drawn.ratios[::2]), [0.625 / 0.8, 1.5 / 0.8])
    np.testing.assert_allclose(np.unique(drawn.ratios[1::2]), [0.2 / 0.7, 1.2 / 0.7])


def test_paths_that_nobody_took_come_up():
    drawn = resampled(ask(two_steps(), np.full((2, 3), 1 / 3)), MANY, 0)
    paths = {(a, b) for a, b in zip(drawn.signal[::2], drawn.signal[1::2], strict=True)}
    assert len(paths) == 9  # of which three were logged


def test_a_step_whose_successor_is_unknown_is_taken_only_where_there_is_no_other():
    """The first episode was cut after its first step, and nobody saw where it led."""
    whole = two_steps()
    log = gs.Dataset.from_arrays(
        np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([5.0, 1.0, 10.0]),
        np.array([False, False, True]), np.array([True, False, False]),
        propensities=np.array([0.8, 0.8, 0.5]), n_actions=3, horizon=2,
    )  # fmt: skip
    drawn = resampled(ask(log, np.full((2, 3), 1 / 3)), 1_000, 0)
    assert set(drawn.signal.tolist()) == {1.0, 10.0}
    alone = whole.select(np.array([True, False, False]))
    assert resampled(ask(alone, np.full((2, 3), 1 / 3)), 10, 0).signal.tolist() == [1.0, 10.0] * 10


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_weights_have_mean_one_and_the_weighted_mean_is_the_targets(name):
    """From a long log, so that what was drawn differs from the exact process by little more than its own error."""
    log = sample_log(MODEL, LOGGER, 20_000, 1)
    drawn = resampled(put(log, TARGETS[name]), MANY, 2)
    weights = np.exp(episode_log_weights(drawn))
    for values, truth in ((np.ones(MANY), 1.0), (drawn.returns, MODEL.evaluate(TARGETS[name]).return_)):
        weighted = weights * values
        error = weighted.std() * np.sqrt(1.0 / MANY + 1.0 / 20_000)
        assert weighted.mean() == pytest.approx(truth, abs=4.0 * error)


def test_it_depends_on_the_seed_alone():
    problem = put(sample_log(MODEL, LOGGER, 50, 1), LOGGER)
    one, same, other = (resampled(problem, 100, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.rows, same.rows)
    assert not np.array_equal(one.rows[:50], other.rows[:50])


def test_observations_that_are_not_counted_are_refused():
    rng = np.random.default_rng(0)
    log = gs.Dataset.from_arrays(
        rng.normal(size=(8, 2)), np.zeros(8, int), np.zeros(8), np.ones(8, bool), np.zeros(8, bool),
        propensities=np.ones(8), n_actions=2,
    )  # fmt: skip
    same = gs.wrap(lambda x: np.full((len(x), 2), 0.5), n_actions=2, outputs="probabilities", name="even")
    problem = pose(log, same, Question("return"), logged_behavior(log))
    with pytest.raises(ValueError, match="not counted"):
        resampled(problem, 10, 0)
