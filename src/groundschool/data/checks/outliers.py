"""Numbers that stand for something else (-999, 9999, 1e20), and numbers absurdly far from the rest.

**Sentinels.** A value of `SENTINELS` is reported in a column where one of these holds of all other finite values there
(other sentinels aside):

- it lies further outside their range than that range is wide (-999 among 60 ... 180);
- it is negative and none of them is;
- it is repeated at least ten times while at least nine in ten of the others (in the sample) are not whole numbers.

**Outlying values.** A value is reported that lies beyond `FAR` interquartile ranges from the median (both of a sample
of rows), with nothing between a tenth of its distance and it; where all other values are above 0 also on the
logarithmic scale, beyond 6 interquartile ranges. Where half of the values are the same, the median distance of the
others from it takes the place of the interquartile range. Student's t with 3 degrees of freedom passes 10,000 of its
interquartile ranges once in 10^12 values; a lognormal(1) never does in practice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_rows, few, made
from groundschool.data.checks.scan import blocks, rows_where, thinned
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

SENTINELS = (
    -99.0, -999.0, -9999.0, -99999.0, -999999.0, -32768.0, -(2.0**31), 999.0, 9999.0, 99999.0, 999999.0, 9999999.0,
    32767.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1, 1e20, -1e20, 1e30, -1e30, 9.969209968386869e36,
)  # fmt: skip
SMALLEST = min(abs(value) for value in SENTINELS)
FAR = 1e4
FAR_LOGARITHM = 6.0
GAP = 10.0
ENOUGH = 20  # values in the sample, below which nothing is far from the rest
REPEATED = 10

_BLANK = "write it as a blank and say what replaces it (impute, forward_fill, indicators)"


def sentinel_values(view: View) -> Iterator[Finding]:
    """Numbers that stand for a missing value."""
    yield from few(made(_sentinels(view, j) for j in _columns(view)))


def outlying_values(view: View) -> Iterator[Finding]:
    """Values absurdly far from the rest of their column."""
    yield from few(made(_outlying(view, j) for j in _columns(view)))


def _columns(view: View) -> Iterator[int]:
    if view.raw.observations.ndim <= 2 and view.raw.n_rows:
        yield from range(view.flat.shape[1])


def _sentinels(view: View, j: int) -> Finding | None:
    if max(view.ranges.high[j], -view.ranges.low[j]) < SMALLEST:
        return None
    column = view.flat[:, j]
    # In the precision of the column: 1e20 in float32 is not 1e20.
    listed = np.unique(_in_precision(SENTINELS, column.dtype))
    rows = rows_where(lambda values: np.isin(values, listed), column)
    if len(rows) == 0:
        return None
    low, high = _range_without(column, listed)
    if low > high:
        return None
    sample = view.flat[thinned(view.sampled_rows, view.flat.shape[1]), j]
    sample = sample[np.isfinite(sample) & ~np.isin(sample, listed)]
    fractional = len(sample) >= ENOUGH and bool(np.mean(sample != np.floor(sample)) >= 0.9)
    values = column[rows]
    strange = [
        value
        for value in np.unique(values).tolist()
        if max(value - high, low - value) > high - low
        or (value < 0 <= low)
        or (fractional and np.count_nonzero(values == value) >= REPEATED)
    ]
    if not strange:
        return None
    rows = rows[np.isin(values, strange)]
    which = ", ".join(f"{float(value):.9g}" for value in strange)
    return at_rows(
        view,
        "sentinel-values",
        "warning",
        view.raw.feature_names()[j],
        rows,
        f"{which} while all others lie from {low:.4g} to {high:.4g}",
        unit="value",
        why="A number that stands for a blank is learned as a measurement, and it ruins the scale of the column.",
        do=f"Where it is no measurement, {_BLANK}.",
        measured={"low": low, "high": high},
    )


def _range_without(column: Array, listed: Array) -> tuple[float, float]:
    """Return the lowest and highest finite value that is not listed; inf and -inf where there is none."""
    low, high = np.inf, -np.inf
    for block in blocks(len(column)):
        values = column[block]
        rest = values[np.isfinite(values) & ~np.isin(values, listed)]
        if len(rest):
            low, high = min(low, float(rest.min())), max(high, float(rest.max()))
    return low, high


def _in_precision(values: tuple[float, ...], dtype: np.dtype[np.generic]) -> Array:
    return np.array(values).astype(dtype) if dtype.kind == "f" else np.array([v for v in values if abs(v) < 2**62])


@np.errstate(over="ignore", invalid="ignore")  # of numbers near the end of their range
def _outlying(view: View, j: int) -> Finding | None:
    low, high = float(view.ranges.low[j]), float(view.ranges.high[j])
    sample = view.flat[thinned(view.sampled_rows, view.flat.shape[1]), j].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if len(sample) < ENOUGH:
        return None
    middle = float(np.median(sample))
    scale = _scale(sample, middle)
    limit = FAR * scale
    if scale == 0 or max(high - middle, middle - low) <= limit:
        return None
    column = view.flat[:, j]

    def far(values: Array) -> Array:
        distance = np.abs(values.astype(np.float64) - middle)
        return np.isfinite(distance) & (distance > limit)

    rows = rows_where(far, column)
    rows = rows[~np.isin(column[rows], _in_precision(SENTINELS, column.dtype))]  # reported as what they are
    if not len(rows):
        return None
    values = column[rows].astype(np.float64)
    near = _nearest_range(column, rows)
    if np.abs(values - middle).min() < GAP * max(near[1] - middle, middle - near[0]):
        return None
    if near[0] > 0 and low > 0 and not _far_in_logarithm(values, sample):
        return None
    return at_rows(
        view,
        "outlying-values",
        "warning",
        view.raw.feature_names()[j],
        rows,
        f"absurdly far from the rest: {_span(values)} while all others lie from {near[0]:.4g} to {near[1]:.4g}",
        unit="value",
        why="One such number sets the scale of the column, and what a policy does there is anybody's guess.",
        do=f"Correct the unit or the entry, or {_BLANK}.",
        measured={"median": middle, "scale": scale, "limit": limit},
    )


def _scale(sample: Array, middle: float) -> float:
    first, third = np.quantile(sample, [0.25, 0.75])
    if third > first:
        return float(third - first)
    others = np.abs(sample[sample != middle] - middle)
    return float(np.median(others)) if len(others) >= ENOUGH else 0.0


def _nearest_range(column: Array, rows: Array) -> tuple[float, float]:
    """Return the lowest and highest finite value outside `rows`, sentinels aside."""
    keep = np.isfinite(column) & ~np.isin(column, _in_precision(SENTINELS, column.dtype))
    keep[rows] = False
    return float(column.min(where=keep, initial=np.inf)), float(column.max(where=keep, initial=-np.inf))


def _far_in_logarithm(values: Array, sample: Array) -> bool:
    logarithms = np.log(sample[sample > 0])
    first, middle, third = np.quantile(logarithms, [0.25, 0.5, 0.75])
    return bool((np.abs(np.log(values) - middle) > FAR_LOGARITHM * (third - first)).all())


def _span(values: Array) -> str:
    low, high = values.min(), values.max()
    return f"{low:.6g}" if math.isclose(low, high) else f"{low:.6g} to {high:.6g}"


CHECKS: tuple[Check, ...] = (
    Check("sentinel-values", "numbers that stand for a missing value", sentinel_values),
    Check("outlying-values", "values absurdly far from the rest", outlying_values),
)
