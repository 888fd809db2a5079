"""Places: found again by every bit that counts, in whatever order they are kept, one at a time or many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundschool.errors import InputError
from groundschool.policies.novelty import Counted
from groundschool.policies.places import Places, row_keys
from groundschool.policies.support import Support

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -2.5, np.nan, 1e300])
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12)


def by_hand(rows, asked):
    """Return the position among rows of each asked for, -1 where it is none."""
    same = (rows[None] == asked[:, None]) | (np.isnan(rows)[None] & np.isnan(asked)[:, None])
    found = same.all(axis=2)
    return np.where(found.any(axis=1), found.argmax(axis=1), -1)


@settings(deadline=None)
@given(POINTS, POINTS, st.randoms(use_true_random=False))
def test_places_are_found_in_any_order(known, asked, random):
    places, first = Places.of(np.array(known), None)
    np.testing.assert_array_equal(places.rows, np.array(known)[first])
    order = list(range(len(places.rows)))
    random.shuffle(order)
    shuffled = Places(places.rows[order])
    expected = by_hand(shuffled.rows, np.array(asked))
    found, seen = shuffled.locate(np.array(asked))
    np.testing.assert_array_equal(np.where(seen, found, -1), expected)
    assert [shuffled.locate_one(list(one)) for one in asked] == expected.tolist()


def test_state_ids_and_masks():
    places = Places(np.array([7, 2, 5]))
    found, seen = places.locate(np.array([5, 6, 7]))
    assert (found.tolist(), seen.tolist()) == ([2, 0, 0], [True, False, True])
    assert [places.locate_one([value]) for value in (2, 3)] == [1, -1]
    masked, first = Places.of(np.array([4, 4, 4]), [[1, 1], [0, 1], [1, 1]])
    found, seen = masked.locate(np.array([4, 4]), [[0, 1], [1, 0]])
    assert first[found[0]] == 1
    assert seen.tolist() == [True, False]


@pytest.mark.parametrize("rows", [np.zeros(0, np.int64), np.zeros((0, 2))])
def test_nothing_is_known_of_no_places(rows):
    places = Places(rows)
    asked = np.zeros((3, *rows.shape[1:]))
    assert not places.locate(asked)[1].any()
    assert places.locate_one([0.0, 0.0]) == -1
    assert len(places.locate(asked[:0])[0]) == 0
    assert len(row_keys(rows)) == 0


def test_all_who_locate_agree():
    rng = np.random.default_rng(0)
    known, asked = rng.integers(0, 3, (6, 2, 2)).astype(np.float32), rng.integers(0, 3, (50, 2, 2)).astype(np.float32)
    rows = Places.of(known, None)[0].rows
    found, seen = Places(rows).locate(asked)
    assert seen.any()
    support = Support(rows, np.ones((len(rows), 2), bool))
    np.testing.assert_array_equal(support.locate(asked), (found, seen))
    counted = Counted(rows, np.ones(len(rows), np.int64), 1)
    np.testing.assert_array_equal(counted.locate(asked), np.where(seen, found, -1))


def test_rows_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"expected rows like those of the log: \(N, 2\)"):
        Places(np.zeros((1, 2))).locate(np.zeros((4, 3)))
