"""Going through columns in blocks is going through them at once."""

from __future__ import annotations

import numpy as np
import pytest

from groundschool.data.checks import scan

NAN, INF = np.nan, np.inf


@pytest.fixture(params=[1, 5, 1000])
def block(request, monkeypatch):
    monkeypatch.setattr(scan, "BLOCK_NUMBERS", request.param)


@pytest.mark.usefixtures("block")
def test_blocks_cover_every_row_once():
    for n, width in ((0, 3), (1, 1), (17, 2), (100, 7)):
        rows = [row for block in scan.blocks(n, width) for row in range(n)[block]]
        assert rows == list(range(n))


@pytest.mark.usefixtures("block")
def test_rows_of_several_columns_and_of_wide_ones():
    one, other = np.arange(20), np.arange(20)[::-1]
    assert scan.rows_where(lambda a, b: a > b, one, other).tolist() == list(range(10, 20))
    wide = np.zeros((20, 2, 3))
    wide[4, 1, 2] = wide[4, 0, 0] = wide[19, 0, 1] = 1
    assert scan.rows_where(lambda values: values > 0, wide).tolist() == [4, 19]
    assert scan.rows_where(lambda values: values > 1, wide).tolist() == []


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranges_by_hand(dtype):
    flat = np.array(
        [
            [1.0, NAN, INF, 2.0],
            [3.0, NAN, 4.0, 2.0],
            [-5.0, NAN, NAN, NAN],
            [0.0, NAN, -INF, 2.0],
        ],
        dtype,
    )
    found = scan.ranges(flat)
    assert found.blank.tolist() == [0, 4, 1, 1]
    assert found.low.tolist() == [-5, INF, 4, 2]
    assert found.high.tolist() == [3, -INF, 4, 2]
    assert found.constant.tolist() == [False, False, True, True]


def test_ranges_of_ids():
    found = scan.ranges(np.array([[4], [9], [-2]]))
    assert (found.blank.tolist(), found.low.tolist(), found.high.tolist()) == ([0], [-2], [9])


@pytest.mark.parametrize(
    "labels", [[3, 1, 3, 2], ["b", "a", "b", "c"], np.array(["b", 1, "b", None], object), [0.5, -1.0, 0.5, 9.0]]
)
def test_codes_are_equal_where_labels_are(labels):
    coded = scan.codes(np.asarray(labels))
    assert coded[0] == coded[2]
    assert len(set(coded.tolist())) == 3
