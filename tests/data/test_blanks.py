"""Blanks carried forward and marked: by hand, against a loop, and never from later or from another episode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundschool.data.blanks import forward_fill, forward_fill_finals, treat_blanks, with_indicators
from groundschool.data.columns import Columns
from groundschool.data.features import Feature
from groundschool.errors import InputError

NAN = np.nan
# Episodes of rows 0-2, 3, 4-5.
STARTS = np.array([0, 3, 4, 6])
ROWS = np.array(
    [[NAN, 10], [1, NAN], [NAN, NAN], [NAN, 40], [5, NAN], [NAN, 60]],
    np.float32,
)
FINALS = np.array([[NAN, 11], [NAN, NAN], [NAN, NAN]], np.float32)


def test_forward_fill_by_hand():
    filled = forward_fill(ROWS, STARTS, [0, 1])
    np.testing.assert_array_equal(filled, [[NAN, 10], [1, 10], [1, 10], [NAN, 40], [5, NAN], [5, 60]])
    assert filled.dtype == np.float32
    only = forward_fill(ROWS, STARTS, [1])
    np.testing.assert_array_equal(only[:, 0], ROWS[:, 0])
    np.testing.assert_array_equal(only[:, 1], filled[:, 1])


def test_finals_go_on_from_the_last_row():
    finals = np.array([[NAN, 11], [7, NAN], [NAN, NAN]], np.float32)
    filled = forward_fill(ROWS, STARTS, [0, 1])
    result = forward_fill_finals(finals, filled, STARTS, [0, 1])
    # The last is NaN throughout: unknown, not unchanged.
    np.testing.assert_array_equal(result, [[1, 11], [7, 40], [NAN, NAN]])
    np.testing.assert_array_equal(forward_fill_finals(finals, filled, STARTS, [0]), [[1, 11], [7, NAN], [NAN, NAN]])
    assert result.dtype == np.float32


def test_indicators_by_hand():
    wide = with_indicators(ROWS, [1])
    np.testing.assert_array_equal(wide[:, :2], ROWS)
    assert wide[:, 2].tolist() == [0, 1, 1, 0, 1, 0]
    assert wide.dtype == np.float32
    np.testing.assert_array_equal(with_indicators(ROWS, []), ROWS)


def test_nothing_is_written_to_what_was_passed():
    rows, finals = ROWS.copy(), FINALS.copy()
    treat_blanks(rows, finals, STARTS, ("hr", "bp"), Columns(forward_fill=True, indicators=True, impute=0.0))
    np.testing.assert_array_equal(rows, ROWS)
    np.testing.assert_array_equal(finals, FINALS)


def test_the_whole_treatment_by_hand():
    columns = Columns(forward_fill=["bp"], indicators=["bp", "hr"], impute={"hr": "median", "bp": 0.0})
    rows, finals, features = treat_blanks(ROWS, FINALS, STARTS, ("hr", "bp"), columns)
    # Marks stand in the order of the columns, and say what was blank before filling.
    np.testing.assert_array_equal(
        rows,
        [
            [NAN, 10, 1, 0],
            [1, 10, 0, 1],
            [NAN, 10, 1, 1],
            [NAN, 40, 1, 0],
            [5, NAN, 0, 1],
            [NAN, 60, 1, 0],
        ],
    )
    np.testing.assert_array_equal(finals, [[NAN, 11, 1, 0], [NAN] * 4, [NAN] * 4])
    assert rows.dtype == finals.dtype == np.float32
    assert features == (
        Feature("hr", impute="median"),
        Feature("bp", forward_fill=True, impute=0.0),
        Feature("missing:hr", indicator_of="hr"),
        Feature("missing:bp", indicator_of="bp"),
    )


def test_nothing_declared_nothing_touched():
    rows, finals, features = treat_blanks(ROWS, FINALS, STARTS, ("hr", "bp"), Columns())
    assert rows is ROWS
    assert finals is FINALS
    assert features == (Feature("hr"), Feature("bp"))
    ids = np.array([3, 4])
    rows, finals, features = treat_blanks(ids, None, np.array([0, 2]), ("state",), Columns(impute={}))
    assert rows is ids
    assert finals is None
    assert features == (Feature("state"),)


def test_true_means_every_column_and_one_imputation_means_all():
    _, _, features = treat_blanks(
        ROWS, None, STARTS, ("hr", "bp"), Columns(forward_fill=True, indicators=True, impute="mean")
    )
    assert [feature.name for feature in features] == ["hr", "bp", "missing:hr", "missing:bp"]
    assert [feature.forward_fill for feature in features] == [True, True, False, False]
    assert [feature.impute for feature in features] == ["mean", "mean", None, None]


def test_the_name_of_a_list_column_means_all_its_entries():
    names = ("obs[0]", "obs[1]")
    columns = Columns(forward_fill=["obs"], indicators=["obs[1]"], impute={"obs": "mean", "obs[0]": 0})
    rows, _, features = treat_blanks(ROWS, None, STARTS, names, columns)
    np.testing.assert_array_equal(rows[:, :2], forward_fill(ROWS, STARTS, [0, 1]))
    assert [feature.impute for feature in features] == [0, "mean", None]
    assert features[2] == Feature("missing:obs[1]", indicator_of="obs[1]")


def test_lists_of_more_dimensions_are_filled_in_place_of_their_numbers():
    rows = ROWS.reshape(6, 2, 1)
    filled, _, _ = treat_blanks(rows, None, STARTS, ("a[0]", "a[1]"), Columns(forward_fill=True))
    np.testing.assert_array_equal(filled, forward_fill(ROWS, STARTS, [0, 1]).reshape(6, 2, 1))
    with pytest.raises(InputError, match="no place for further columns"):
        treat_blanks(rows, None, STARTS, ("a[0]", "a[1]"), Columns(indicators=True))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(forward_fill=["hrr"]), r"forward_fill: 'hrr' is not an observation column. Did you mean 'hr'\?"),
        (Columns(indicators=["x"]), "indicators: 'x' is not an observation column.*are: hr, bp"),
        (Columns(impute={"pb": "mean"}), "impute: 'pb' is not an observation column"),
    ],
)
def test_unknown_columns(columns, message):
    with pytest.raises(InputError, match=message):
        treat_blanks(ROWS, FINALS, STARTS, ("hr", "bp"), columns)


def test_a_column_that_has_the_name_of_a_mark():
    with pytest.raises(InputError, match="has a column 'missing:hr' already"):
        treat_blanks(ROWS, None, STARTS, ("hr", "missing:hr"), Columns(indicators=["hr"]))
    treat_blanks(ROWS, None, STARTS, ("hr", "missing:hr"), Columns(forward_fill=["hr"]))


@pytest.mark.parametrize("columns", [Columns(forward_fill=True), Columns(indicators=True), Columns(impute=0.0)])
def test_state_ids_are_not_filled(columns):
    with pytest.raises(InputError, match=r"'cell' holds discrete state ids.*observations=\['cell'\]"):
        treat_blanks(np.array([1, 2]), None, np.array([0, 2]), ("cell",), columns)


@st.composite
def blanked(draw):
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    width = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = draw(st.sampled_from([0.1, 0.5, 0.9]))
    dtype = draw(st.sampled_from([np.float32, np.float64]))

    def some(count):
        values = rng.normal(size=(count, width))
        values[rng.random((count, width)) < share] = NAN
        return values.astype(dtype)

    columns = sorted(draw(st.sets(st.integers(0, width - 1))))
    return some(sum(lengths)), some(len(lengths)), np.concatenate([[0], np.cumsum(lengths)]), columns


@settings(max_examples=200, deadline=None)
@given(blanked())
def test_against_a_loop(case):
    rows, finals, starts, columns = case
    expected, expected_finals = rows.copy(), finals.copy()
    for e in range(len(starts) - 1):
        for column in columns:
            seen = NAN
            for row in range(starts[e], starts[e + 1]):
                if np.isnan(rows[row, column]):
                    expected[row, column] = seen
                else:
                    seen = rows[row, column]
            if np.isnan(finals[e, column]) and not np.isnan(finals[e]).all():
                expected_finals[e, column] = seen
    filled = forward_fill(rows, starts, columns)
    np.testing.assert_array_equal(filled, expected)
    np.testing.assert_array_equal(forward_fill_finals(finals, filled, starts, columns), expected_finals)
    assert filled.dtype == rows.dtype


@settings(max_examples=100, deadline=None)
@given(blanked(), st.data())
def test_what_comes_later_changes_nothing_before(case, data):
    rows, finals, starts, columns = case
    names = tuple("abc"[: rows.shape[1]])
    chosen = [names[i] for i in columns]
    declared = Columns(forward_fill=chosen, indicators=chosen)
    cut = data.draw(st.integers(0, len(rows) - 1))
    changed = rows.copy()
    changed[cut:] = data.draw(st.sampled_from([NAN, 0.0, 99.0]))
    before = treat_blanks(rows, finals, starts, names, declared)[0]
    after = treat_blanks(changed, finals, starts, names, declared)[0]
    np.testing.assert_array_equal(before[:cut], after[:cut])
