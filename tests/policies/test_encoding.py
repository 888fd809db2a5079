"""Encoders against features written down by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundschool.errors import InputError
from groundschool.policies import encoding
from groundschool.policies.encoding import Encoder, fit_encoder, id_codes

HALF = np.sqrt(0.5)


@pytest.mark.parametrize(
    ("kind", "column", "asked", "features"),
    [
        ("raw", [3.5, -1.0], [2.0, 7.0], [[2.0], [7.0]]),
        # mean 2, standard deviation 2 (of the population, not the sample)
        ("standardize", [0.0, 4.0], [0.0, 2.0, 5.0], [[-1.0], [0.0], [1.5]]),
        ("standardize", [7.0, 7.0], [7.0, 8.0], [[0.0], [1.0]]),
        ("one-hot", [5.0, -1.0, 5.0], [-1.0, 5.0, 6.0], [[1, 0], [0, 1], [0, 0]]),
        # range 0 to 4: five whole numbers, two pairs; cos and sin of pi x / 4 and pi x / 2
        (
            "fourier",
            [0.0, 4.0, 0.0, 4.0],
            [0.0, 1.0, 4.0],
            [[-1, 1, 1, 0, 0], [-0.5, HALF, 0, HALF, 1], [1, -1, 1, 0, 0]],
        ),
        ("fourier", [7.0, 7.0], [7.0], [[0.0]]),
    ],
)
def test_one_column(kind, column, asked, features):
    encoder = fit_encoder(np.array(column)[:, None], kind)
    result = encoder(np.array(asked)[:, None])
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, features, atol=1e-6)
    assert encoder.width == result.shape[1]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (np.arange(64.0), "fourier"),
        (np.arange(65.0), "standardize"),
        (np.array([0.0, 1.0]), "standardize"),
        (np.array([0.0, 1.0, 2.5]), "standardize"),
        (np.array([0.0, 1.0, 2.0]), "fourier"),
        # a fraction, and the 65th value, that only turn up late
        (np.r_[np.zeros(10_000), 1.0, 2.0, 2.5], "standardize"),
        (np.r_[np.zeros(10_000), np.arange(65.0)], "standardize"),
    ],
)
def test_auto_looks_at_every_value(column, kind):
    (fitted,) = fit_encoder(column[:, None]).columns
    assert fitted.kind == kind


@given(st.integers(-1000, 1000), st.integers(2, 63))
def test_fourier_pairs_tell_all_whole_numbers_apart(low, span):
    column = np.arange(low, low + span + 1.0)[:, None]
    pairs = fit_encoder(column, "fourier")(column)[:, 1:]
    distances = np.abs(pairs[:, None] - pairs[None]).max(axis=-1) + np.eye(len(pairs))
    assert distances.min() > 0.01  # the two ends, half a period apart, among them
    assert np.abs(pairs).max() <= 1.0 + 1e-6


@pytest.mark.parametrize(("asked", "pairs"), [(None, 5), (1, 1), (3, 3), (99, 5)])
def test_frequencies_are_at_most_half_the_range(asked, pairs):
    assert fit_encoder(np.arange(10.0)[:, None], frequencies=asked).columns[0].frequencies == pairs


def test_columns_stand_side_by_side_in_order():
    x = np.array([[[0.0, 10.0], [1.0, 3.0]], [[2.0, 20.0], [1.0, 3.0]]])
    encoder = fit_encoder(x, "one-hot")
    assert encoder.shape == (2, 2)
    # columns 0 and 1 have two values each, columns 2 and 3 one
    np.testing.assert_array_equal(encoder(x), [[1, 0, 1, 0, 1, 1], [0, 1, 0, 1, 1, 1]])
    assert encoder.describe() == "4 columns (4 one-hot) as 6 inputs"


@pytest.mark.parametrize("kind", ["auto", "standardize", "one-hot", "fourier", "raw"])
def test_json_keeps_every_bit(kind):
    x = np.random.default_rng(0).integers(-3, 9, (50, 3)).astype(np.float32)
    if kind in ("auto", "standardize"):
        x[:, 1] = np.random.default_rng(1).normal(1e6, 3.0, 50)
    encoder = fit_encoder(x, kind)
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder
    assert again(x).tobytes() == encoder(x).tobytes()


def test_a_large_offset_survives_float32():
    x = 1e9 + np.arange(100.0)[:, None] / 3
    assert len(np.unique(fit_encoder(x)(x))) == 100


def test_ids_are_one_hot():
    encoder = fit_encoder(np.array([0, 2, 1]))
    np.testing.assert_array_equal(encoder([2, 0, 3, -1]), [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert fit_encoder(np.array([0, 2]), n_ids=5).width == 5
    assert fit_encoder(np.array([0, 9]), n_ids=5).width == 10
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder


def test_very_many_ids_get_distinct_fixed_codes():
    n = encoding.ONE_HOT_IDS + 1
    encoder = fit_encoder(np.array([n - 1]))
    codes = encoder(np.arange(n))
    assert codes.shape == (n, encoding.ID_CODE_WIDTH) == (n, encoder.width)
    # entries are N(0, 1/width): squared lengths are chi-square(256)/256, mean 1, standard deviation 0.0884
    np.testing.assert_allclose(np.square(codes).sum(axis=1), 1.0, atol=6 * np.sqrt(2 / encoding.ID_CODE_WIDTH))
    assert len(np.unique(codes[:, 0])) > 0.99 * n
    np.testing.assert_array_equal(codes, id_codes(n))
    np.testing.assert_array_equal(encoder(np.array([5, n, -2])), np.stack([codes[5], 0 * codes[0], 0 * codes[0]]))


def test_one_hot_up_to_the_limit():
    assert fit_encoder(np.array([encoding.ONE_HOT_IDS - 1])).width == encoding.ONE_HOT_IDS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_encoder(np.array([[0.0], [np.nan]])), r"1 of 2 rows hold NaN .*first at row 1"),
        (lambda: fit_encoder(np.array([[0.5], [1.0]]), "one-hot"), "at most 64 distinct whole numbers"),
        (lambda: fit_encoder(np.arange(65.0)[:, None], "fourier"), "at most 64 distinct whole numbers"),
        (lambda: fit_encoder(np.zeros((3, 2)))(np.zeros((3, 3))), r"expected shape \(N, 2\), got \(3, 3\)"),
        (lambda: fit_encoder(np.zeros((3, 2)))(np.zeros(2)), r"got \(2,\) of float64"),
        (lambda: fit_encoder(np.zeros((3, 2)))(np.array([[0, np.nan]])), "1 of 1 rows hold NaN"),
        (lambda: fit_encoder(np.array([1]))(np.zeros((3, 1))), r"expected shape \(N,\) integer ids"),
        (lambda: fit_encoder(np.array([1]))(np.array([1.0])), "expected integer ids, got float64"),
        (lambda: fit_encoder(np.array([1]))(1), r"got \(\) of int64"),
    ],
)
def test_what_cannot_be_encoded(call, message):
    with pytest.raises(InputError, match=message):
        call()
