"""Groups that somebody declared: who belongs to which, what is not told, and what may be said of each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import groundschool as gs
from groundschool.errors import InputError
from groundschool.safety.criteria import Criteria
from groundschool.safety.representation import (
    groupings,
    least_spoken_of,
    require_groups,
    withheld,
)

LIMIT = gs.Constraint("harm", limit=0.3)
CRITERIA = Criteria((LIMIT,), baseline=None)
ALWAYS_1 = gs.wrap(lambda x: np.tile([0.0, 1.0], (len(x), 1)), n_actions=2, name="always 1")


def ward(kinds, seed=0, *, harm=(0.1, 0.4), groups=None):
    """Two steps an episode; ``kind`` may change at the second. Harm depends on the kind, and on action 0 or 1."""
    rng = np.random.default_rng(seed)
    kinds = np.asarray(kinds, np.float64)
    n = len(kinds)
    kind = np.repeat(kinds, 2)
    kind[1::2] = 1.0 - kind[1::2]  # what comes later is not who they were
    age = np.repeat(20.0 + np.arange(n) % 60, 2)
    action = rng.integers(0, 2, 2 * n)
    danger = np.where(np.repeat(kinds, 2) == 1.0, harm[1], harm[0]) / 2.0
    harmed = (rng.random(2 * n) < np.where(action == 1, danger, 0.5)) & (np.arange(2 * n) % 2 == 1)
    last = np.arange(2 * n) % 2 == 1
    return gs.Dataset.from_arrays(
        np.column_stack([kind, age]), action, -harmed.astype(float), last, np.zeros(2 * n, bool),
        costs={"harm": harmed.astype(float)}, propensities=np.full(2 * n, 0.5), n_actions=2, horizon=2,
        return_range=(-1.0, 0.0), features=["kind", "age"], groups=groups,
    )  # fmt: skip


class TestWhoBelongsWhere:
    def test_a_feature_is_read_as_the_episode_begins(self):
        studied, judged = ward([0.0] * 30 + [1.0] * 20), ward([0.0] * 40 + [1.0] * 15)
        (found,) = groupings(studied, judged, ALWAYS_1, ["kind"], CRITERIA)
        assert [(one.name, one.studied, one.judged) for one in found.groups] == [("0", 30, 40), ("1", 20, 15)]
        assert [one.few for one in found.groups] == [False, True]
        assert found.groups[1].answers == ()

    def test_a_condition_divides_into_two_and_blanks_are_named(self):
        log = ward([0.0] * 60)
        blank = np.array(log.observations)
        blank[: 2 * 15, 1] = np.nan
        log = gs.Dataset.from_arrays(
            blank, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
            propensities=log.propensities, n_actions=2, features=["kind", "age"],
        )  # fmt: skip
        (found,) = groupings(log, log, ALWAYS_1, ["age >= 50"], CRITERIA)
        assert [(one.name, one.judged) for one in found.groups] == [("yes", 30), ("no", 15), ("blank", 15)]

    def test_a_group_that_nobody_judged_is_there_with_none(self):
        (found,) = groupings(ward([0.0] * 30 + [1.0] * 20), ward([0.0] * 40), ALWAYS_1, ["kind"], CRITERIA)
        assert [(one.name, one.judged, one.small, one.few) for one in found.groups] == [
            ("0", 40, False, False), ("1", 0, False, True),
        ]  # fmt: skip

    def test_the_logs_own_groups_where_they_are_kinds(self):
        log = ward([0.0] * 60, groups=["north"] * 40 + ["south"] * 20)
        (found,) = groupings(log, log, ALWAYS_1, ["group"], CRITERIA)
        assert [(one.name, one.judged) for one in found.groups] == [("north", 40), ("south", 20)]
        (answer,) = found.groups[0].answers
        assert (answer.lower, answer.upper) == answer.possible  # one unit: nothing is independent of anything


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("knid", "'knid' is no feature. Did you mean 'kind'?"),
        ("age", "divides the episodes into 60 groups, expected 12 at most: an expression that has few values"),
        ("age >=", "expected"),
        ("group", "the log has no groups"),
        ("__import__('os')", "expected"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(declared, says):
    with pytest.raises(InputError) as caught:
        require_groups(ward([0.0, 1.0] * 60), [declared])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_persons_are_no_kinds():
    with pytest.raises(InputError, match="into 40 groups, expected 12 at most: a column of kinds, such as sites, and"):
        require_groups(ward([0.0] * 80, groups=[f"p{i // 2}" for i in range(80)]), ["group"])


class TestWhatIsNotTold:
    @pytest.mark.parametrize(
        ("counts", "hidden"),
        [
            ([40, 15], [False, False]),
            ([40, 0], [False, False]),
            ([40, 10], [True, True]),  # the whole is known: the other would give it away
            ([40, 11], [False, False]),
            ([40, 20, 3], [False, True, True]),
            ([40, 2, 3], [False, True, True]),
            ([4], [True]),
        ],
    )
    def test_counts_from_1_to_10_and_what_would_tell_them(self, counts, hidden):
        assert withheld(counts) == hidden

    def test_no_such_count_leaves(self):
        log = ward([0.0] * 40 + [1.0] * 7)
        (found,) = groupings(log, log, ALWAYS_1, ["kind"], CRITERIA)
        assert [(one.studied, one.judged, one.small) for one in found.groups] == [
            (None, None, False), (None, None, True),
        ]  # fmt: skip


class TestWhatIsSaidOfAGroup:
    def test_it_is_what_the_gate_asks_of_its_episodes(self):
        judged = ward(np.arange(200) % 2)
        criteria = Criteria((LIMIT,), baseline="logger")
        (found,) = groupings(ward(np.arange(100) % 2), judged, ALWAYS_1, ["kind"], criteria)
        for group, kind in zip(found.groups, (0.0, 1.0), strict=True):
            own = judged.select(judged.observations[judged.starts[:-1], 0] == kind)
            assert [one.of for one in group.answers] == ["probability:harm", "gain"]
            alone = gs.evaluate(own, ALWAYS_1, of="probability:harm")
            assert group.answers[0].value == alone.value
            assert (group.answers[0].lower, group.answers[0].upper) == (alone.lower, alone.upper)
            assert {one.n_episodes for one in group.answers} == {100}

    @pytest.mark.parametrize(
        ("limits", "least"), [((), 30), ((0.3,), 30), ((0.1,), 30), ((0.05,), 59), ((0.05, 0.01), 299)]
    )
    def test_a_tighter_limit_needs_more(self, limits, least):
        """With 59 episodes and no event the Clopper-Pearson bound is 1 - .05 ** (1 / 59) = .0495, with 58 .0503."""
        constraints = [gs.Constraint(f"c{i}", limit=limit) for i, limit in enumerate(limits)]
        assert least_spoken_of(Criteria(constraints, baseline="logger")) == least

    def test_intervals_hold_in_groups_that_differ(self):
        """Two groups of 100, true .05 and .2; 95 % intervals of 60 logs miss no more often than a binomial allows."""
        missed = 0
        for seed in range(60):
            judged = ward(np.arange(200) % 2, seed)
            (found,) = groupings(judged, judged, ALWAYS_1, ["kind"], CRITERIA)
            for group, truth in zip(found.groups, (0.05, 0.2), strict=True):
                (answer,) = group.answers
                missed += not answer.lower <= truth <= answer.upper
        assert missed <= binom.ppf(0.999, 120, 0.05)
