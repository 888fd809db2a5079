"""Sentinels and absurd values: the rules by hand, at their edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, sound

RNG = np.random.default_rng(11)


def with_column(values, j=0):
    raw = sound(np.random.default_rng(5), 120)
    observations = raw.observations.astype(np.asarray(values).dtype)
    observations[:, j] = np.resize(values, raw.n_rows)
    return replace(raw, observations=observations, next_observations=None, final_observations=None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [-99, -999, -9999, 999, 9999, 99999, 1e20, -32768, 2**31 - 1, 9.969209968386869e36])
def test_a_sentinel_far_outside_the_range_of_the_others(value, dtype):
    values = RNG.normal(80, 10, 500).astype(dtype)
    values[[17, 40]] = value
    finding = one("sentinel-values", with_column(values))
    assert (finding.where, finding.first_row % 1000) == ("heart rate", 17)
    assert found("outlying-values", with_column(values)) == []  # said once


@pytest.mark.parametrize("value", [-998, 5555, 42])
def test_other_numbers_are_no_sentinels(value):
    values = RNG.normal(80, 10, 500)
    values[[17, 40]] = value
    assert found("sentinel-values", with_column(values)) == []


def test_a_count_that_reaches_999_is_a_count():
    values = RNG.integers(0, 1000, 500).astype(float)
    values[3] = 999.0
    assert found("sentinel-values", with_column(values)) == []


def test_among_wide_values_above_zero_a_negative_one_stands_out():
    values = RNG.uniform(0, 5000, 500).round()
    values[20] = -999
    finding = one("sentinel-values", with_column(values))
    assert finding.first_row % 1000 == 20
    values[21] = -3  # now negative values are usual
    assert found("sentinel-values", with_column(values)) == []


def test_among_fractions_a_whole_number_that_is_repeated_stands_out():
    values = RNG.normal(0, 2000, 1200)
    values[:12] = 999.0
    raw = with_column(values)
    assert one("sentinel-values", raw).rows == 12 * (raw.n_rows // 1200) + min(raw.n_rows % 1200, 12)
    few = RNG.normal(0, 2000, raw.n_rows)
    few[:9] = 999.0
    assert found("sentinel-values", with_column(few)) == []


def test_several_sentinels_do_not_hide_each_other():
    values = RNG.normal(80, 10, 500)
    values[5], values[6] = -999, 1e20
    finding = one("sentinel-values", with_column(values))
    assert "-999, 1e+20 while all others lie from" in finding.what


def test_sentinels_among_state_ids():
    raw = sound(np.random.default_rng(5), 120)
    ids = RNG.integers(0, 50, raw.n_rows)
    ids[33] = 9999
    raw = replace(raw, observations=ids, next_observations=None, final_observations=None, features=None)
    assert one("sentinel-values", raw).first_row % 1000 == 33


@pytest.mark.parametrize("factor", [1e5, 1e9, -1e6])
def test_a_wrong_unit_is_outlying(factor):
    values = RNG.normal(0, 1, 500)
    values[50] = 3.0 * factor
    finding = one("outlying-values", with_column(values))
    assert (finding.where, finding.first_row % 1000) == ("heart rate", 50)
    assert finding.measured["limit"] == pytest.approx(1e4 * finding.measured["scale"])


def test_the_limit_is_ten_thousand_interquartile_ranges():
    values = np.tile([-1.0, -1.0, 0.0, 1.0, 1.0], 250)  # quartiles -1 and 1, median 0
    for end, expected in ((19_999.0, 0), (20_001.0, 1)):
        raw = with_column(values)
        observations = raw.observations.copy()
        observations[700, 0] = end
        assert len(found("outlying-values", replace(raw, observations=observations))) == expected


def test_a_heavy_tail_without_a_gap_is_a_tail():
    values = RNG.normal(0, 1, 500)
    values[:6] = [1e1, 1e2, 9e2, 8e3, 7e4, 5e5]
    assert found("outlying-values", with_column(values)) == []


def test_values_above_zero_are_judged_by_their_logarithm_too():
    wide = RNG.lognormal(0, 3, 500)
    wide[7] = wide.max() * 20  # far, with a gap, and yet as a logarithm not far
    assert found("outlying-values", with_column(wide)) == []
    narrow = RNG.lognormal(0, 0.5, 500)
    narrow[7] = 1e8
    assert one("outlying-values", with_column(narrow)).first_row % 1000 == 7


def test_where_most_are_equal_the_others_give_the_scale():
    values = np.where(RNG.random(500) < 0.2, RNG.lognormal(size=500), 0.0)
    assert found("outlying-values", with_column(values)) == []
    values[9] = 1e7
    assert one("outlying-values", with_column(values)).first_row % 1000 == 9


def test_blanks_and_infinities_are_no_outliers():
    values = RNG.normal(0, 1, 500)
    values[[1, 2]] = [np.nan, np.inf]
    assert found("outlying-values", with_column(values)) == []
    assert found("sentinel-values", with_column(values)) == []
