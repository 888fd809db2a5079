"""Where the judged episodes have hardly been: by hand, against the exact distance, and in sentences."""

from __future__ import annotations

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.rarity import Rarity, rarity

LOGGER = np.array([[0.5, 0.5], [0.8, 0.2], [0.25, 0.75]])
POLICY = gs.TabularPolicy([[0.5, 0.5], [0.3, 0.7], [1.0, 0.0]], name="p")  # distances 0, .5 and .75


def one_step(states, seed=0, *, propensities=True):
    rng = np.random.default_rng(seed)
    states = np.asarray(states)
    actions = (rng.random(len(states)) < LOGGER[states, 1]).astype(np.int64)
    n = len(states)
    return gs.Dataset.from_arrays(
        states, actions, np.zeros(n), np.ones(n, bool), np.zeros(n, bool), n_actions=2,
        propensities=LOGGER[states, actions] if propensities else None,
    )  # fmt: skip


STUDIED = one_step([0] * 50 + [1] * 30 + [2] * 20)


def test_a_difference_by_rounding_is_none():
    """Propensities in single precision, and the logger itself."""
    table = np.array([[0.5, 0.5], [0.7, 0.3], [0.1, 0.9]])
    log = one_step([0] * 50 + [1] * 30 + [2] * 20)
    chances = table[log.observations, log.actions].astype(np.float32).astype(np.float64)
    single = gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, n_actions=2, propensities=chances
    )
    found = rarity(single, one_step([0] * 40), gs.TabularPolicy(table))
    assert (found.changed, found.where) == (0.0, ())


class TestByHand:
    def test_counts(self):
        found = rarity(STUDIED, one_step([0] * 40 + [1] * 10), POLICY)
        assert (found.places, found.regions, found.rare, found.never) == ("states", 3, 2, 1)
        assert found.judged == 50
        assert found.share == pytest.approx(0.5)
        assert found.elsewhere == pytest.approx(0.0)
        rows = np.arange(50, 100)
        ratios = POLICY.table[STUDIED.observations[rows], STUDIED.actions[rows]] / STUDIED.propensities[rows]
        assert found.changed == pytest.approx(np.maximum(0.0, 1.0 - ratios).mean())
        assert sorted(found.where) == ["state 1", "state 2"]

    def test_eleven_episodes_are_enough(self):
        found = rarity(STUDIED, one_step([0] * 11 + [1] * 11 + [2] * 11), POLICY)
        assert (found.rare, found.never, found.share, found.changed, found.where) == (0, 0, 0.0, None, ())
        assert str(found) == "Every one of the 3 states that the training episodes visited was met in 11 or more of the 33 judged episodes."  # fmt: skip  # noqa: E501

    def test_many_steps_of_one_episode_are_one(self):
        states = np.zeros(40, np.int64)
        ends = np.arange(40) % 20 == 19  # two episodes
        judged = gs.Dataset.from_arrays(
            states, np.zeros(40, np.int64), np.zeros(40), ends, np.zeros(40, bool), n_actions=2
        )
        assert rarity(STUDIED, judged, POLICY).rare == 3

    def test_a_region_of_few_studied_episodes_is_not_named(self):
        studied = one_step([0] * 50 + [1] * 10)
        found = rarity(studied, one_step([0] * 40), POLICY)
        assert (found.rare, found.where) == (1, ())

    def test_without_propensities_it_says_where_and_no_more(self):
        found = rarity(one_step([0] * 50 + [2] * 20, propensities=False), one_step([0] * 40), POLICY)
        assert (found.rare, found.changed, found.where) == (1, None, ())
        assert str(found).endswith("lie there: what the policy does there was hardly judged.")

    def test_what_was_never_studied_is_no_region(self):
        assert rarity(one_step([0] * 50), one_step([0] * 40 + [2] * 5), POLICY).regions == 1


def test_the_share_is_the_total_variation_on_average():
    """200 logs; the mean of the estimates is within four of its standard errors of the exact distance, .5 and .75."""
    judged = one_step([0] * 40)
    found = np.array(
        [rarity(one_step([0] * 20 + [1] * 30 + [2] * 20, seed), judged, POLICY).changed for seed in range(200)]
    )
    exact = (30 * 0.5 + 20 * 0.75) / 50
    assert abs(found.mean() - exact) < 4.0 * found.std(ddof=1) / np.sqrt(len(found))


def test_measured_observations_are_cut_into_parts():
    rng = np.random.default_rng(0)
    ends = np.arange(3_000) % 10 == 9

    def log(n, low):
        return gs.Dataset.from_arrays(
            rng.uniform(low, 1.0, (n, 2)), rng.integers(0, 2, n), np.zeros(n), ends[:n], np.zeros(n, bool), n_actions=2,
            propensities=np.full(n, 0.5), features=["hr", "map"],
        )  # fmt: skip

    half = gs.wrap(lambda x: np.tile([0.9, 0.1], (len(x), 1)), n_actions=2, name="mostly 0")
    found = rarity(log(3_000, 0.0), log(3_000, 0.5), half)
    assert found.places == "regions of observations"
    assert found.regions == 64
    assert 0.6 < found.share < 0.9  # three quarters of the square are never judged
    assert found.changed == pytest.approx(0.4, abs=0.05)
    assert all("hr" in one or "map" in one for one in found.where)


def test_the_sentence_has_every_figure():
    said = str(Rarity("observations", 207, 41, 3, 900, 0.021, 0.12, 0.04, ("(3, 4)", "(5, 5)")))
    assert said == (
        "Of the 207 observations that the training episodes visited, 41 were met in fewer than 11 of the 900 judged "
        "episodes, 3 of them in none. 2.1 % of the training decisions lie there, and the policy would take 12 % of "
        "these otherwise, against 4 % elsewhere: how that turns out was hardly judged. Most of them are at (3, 4); "
        "(5, 5)."
    )
