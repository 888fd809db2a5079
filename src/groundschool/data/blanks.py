"""Blanks among observations: carried forward from what was seen before, and marked. Never from what came later.

What is left after that is for the policy's encoder, which learns replacements from the training part alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.features import Feature
from groundschool.data.validation import Array
from groundschool.errors import InputError, suggest

MARK = "missing:"


def treat_blanks(
    observations: Array,
    final_observations: Array | None,
    starts: Array,
    names: Sequence[str],
    columns: Columns,
) -> tuple[Array, Array | None, tuple[Feature, ...]]:
    """Mark and fill blanks as a column map says.

    Parameters
    ----------
    observations : (N, d...) float, or (N,) int64 state ids
        NaN where blank. Not written to.
    final_observations : as `observations`, (E, d...), or None
        A row that is NaN throughout is unknown, and stays so throughout.
    starts : (E + 1,) int64
        Episode e holds the rows ``starts[e]:starts[e + 1]``.
    names : sequence of str
        One a number of an observation. Those of a list column x are ``x[0]``, ``x[1]`` ...; an entry ``x`` of the
        column map means all of them.
    columns : Columns
        Its `forward_fill`, `indicators` and `impute`.

    Returns
    -------
    observations, final_observations
        In the dtype they came in; indicator columns last, in the order of the columns that they mark.
    features : tuple of Feature
        What each number now is.

    Raises
    ------
    InputError
        If an entry names no observation column, or state ids are to be treated.
    """
    filled = _chosen("forward_fill", columns.forward_fill, names)
    marked = _chosen("indicators", columns.indicators, names)
    if isinstance(columns.impute, Mapping):
        _chosen("impute", tuple(columns.impute), names)
    if observations.ndim == 1 and (filled or marked or columns.impute not in (None, {})):
        raise InputError(
            f"forward_fill, indicators, impute: {names[0]!r} holds discrete state ids, which are never filled. "
            f"Write observations=[{names[0]!r}] to make it a feature, or leave the entry out."
        )
    features = [
        Feature(name, forward_fill=index in filled, impute=_imputation(name, columns))
        for index, name in enumerate(names)
    ]
    features += [_indicator(names[index], names) for index in marked]
    if not filled and not marked:
        return observations, final_observations, tuple(features)
    if marked and observations.ndim > 2:
        raise InputError(
            f"indicators: observations of shape {observations.shape[1:]} have no place for further columns. "
            "Leave indicators out, or flatten them."
        )
    wide = with_indicators(observations, marked)
    finals = final_observations
    if finals is not None:
        unknown = np.isnan(finals.reshape(len(finals), -1)).all(axis=1)
        finals = with_indicators(finals, marked)
        finals[unknown] = np.nan
    wide = forward_fill(wide, starts, filled)
    if finals is not None:
        finals = forward_fill_finals(finals, wide, starts, filled)
    return wide, finals, tuple(features)


def forward_fill(observations: Array, starts: Array, columns: Sequence[int]) -> Array:
    """Return `observations` with each blank in `columns` replaced by the last value seen in the same episode.

    Parameters
    ----------
    observations : (N, d...) float
    starts : (E + 1,) int64
    columns : sequence of int
        Positions among the d numbers of a flattened observation.

    Returns
    -------
    array, like `observations`
        A copy; blanks before the first value seen stay.
    """
    result = observations.copy()
    flat = result.reshape(len(result), -1)
    rows = np.arange(len(flat))
    first = np.repeat(starts[:-1], np.diff(starts))
    for column in columns:
        values = flat[:, column]
        blank = np.isnan(values)
        if blank.any():
            # The latest row with a value; the episode's first, be it blank, where there is none yet.
            source = np.maximum.accumulate(np.where(blank, first, rows))
            flat[:, column] = values[source]
    return result


def forward_fill_finals(finals: Array, observations: Array, starts: Array, columns: Sequence[int]) -> Array:
    """Return `finals` (E, d...) with each blank in `columns` replaced by the value of the episode's last row.

    `observations` are those that `forward_fill` returned. A final observation that is NaN throughout stays so.
    """
    result = finals.copy()
    flat = result.reshape(len(result), -1)
    last = observations.reshape(len(observations), -1)[starts[1:] - 1]
    known = ~np.isnan(flat).all(axis=1)
    for column in columns:
        blank = np.isnan(flat[:, column]) & known
        flat[blank, column] = last[blank, column]
    return result


def with_indicators(observations: Array, columns: Sequence[int]) -> Array:
    """Return a copy of `observations` (N, d) with a further column for each of `columns`: 1 where that is blank."""
    if not columns:
        return observations.copy()
    return np.concatenate([observations, np.isnan(observations[:, columns]).astype(observations.dtype)], axis=1)


def _chosen(entry: str, value: bool | Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """Return the positions of the columns that an entry of the column map means."""
    if isinstance(value, bool):
        return tuple(range(len(names))) if value else ()
    known = {_list_column(name) for name in names} | set(names)
    for name in value:
        if name not in known:
            raise InputError(
                f"{entry}: {name!r} is not an observation column.{suggest(name, known)} "
                f"The observation columns are: {', '.join(list(names)[:20])}{' ...' if len(names) > 20 else ''}."
            )
    return tuple(i for i, name in enumerate(names) if name in value or _list_column(name) in value)


def _imputation(name: str, columns: Columns) -> str | float | None:
    own = columns.imputation(name)
    return columns.imputation(_list_column(name)) if own is None else own


def _list_column(name: str) -> str:
    return name.rpartition("[")[0] if name.endswith("]") and "[" in name else name


def _indicator(name: str, names: Sequence[str]) -> Feature:
    if MARK + name in names:
        raise InputError(
            f"indicators: the log has a column {MARK + name!r} already. Rename it, or leave {name!r} out of indicators."
        )
    return Feature(MARK + name, indicator_of=name)
