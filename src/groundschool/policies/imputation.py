"""What replaces blanks: figures of the training part, and sentences where nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data.features import Feature
from groundschool.errors import InputError


def replacement(feature: Feature, present: NDArray[np.float64]) -> float | None:
    """Return what replaces a blank of `feature`, of which `present` are the values that are there; None for nothing.

    Raises
    ------
    InputError
        If there is no value to take the mean or the median of.
    """
    if not isinstance(feature.impute, str):
        return None if feature.impute is None else float(feature.impute)
    if not present.size:
        raise InputError(
            f"observations: {feature.name!r} is blank in every row of the training part, so there is no "
            f"{feature.impute} to impute. Impute a number, or leave the column out."
        )
    return float(np.mean(present) if feature.impute == "mean" else np.median(present))


def training_advice(name: str) -> str:
    """Say how to declare what replaces blanks of the column `name`."""
    return (
        f'Say in gs.Columns what does: impute={{{name!r}: "median"}} (or "mean", or a number), after '
        f"forward_fill=[{name!r}] (the last value seen) and indicators=[{name!r}] (a mark) where those help; or "
        "exclude those rows."
    )


def refuse_infinite(flat: NDArray[Any]) -> None:
    """Raise InputError where any of (N, d) observations is infinite."""
    bad = np.flatnonzero(np.isinf(flat).any(axis=1))
    if bad.size:
        raise InputError(
            f"observations: {bad.size:,} of {len(flat):,} rows hold infinite values (first at row {bad[0]}). "
            "Correct or exclude them."
        )


def refuse_blanks(flat: NDArray[Any], names: Sequence[str], imputed: Sequence[bool], advice: str | None = None) -> None:
    """Raise InputError where (N, d) observations are blank in a column that is not imputed.

    Parameters
    ----------
    flat : array, shape (N, d)
    names : sequence of str, length d
        Empty where a column has none.
    imputed : sequence of bool, length d
    advice : str, optional
        What to do; how to declare a replacement, if left out.
    """
    blank = np.isnan(flat) & ~np.asarray(imputed, dtype=np.bool_)
    counts = blank.sum(axis=0)
    if not counts.any():
        return
    bad = np.flatnonzero(blank.any(axis=1))
    worst = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    listed = ", ".join(f"{repr(names[i]) if names[i] else f'column {i}'} ({counts[i]:,})" for i in worst[:5])
    more = f" and {len(worst) - 5} more columns" if len(worst) > 5 else ""
    raise InputError(
        f"observations: {bad.size:,} of {len(flat):,} rows hold NaN in {listed}{more}, first at row {bad[0]}, and "
        f"nothing replaces it. {training_advice(names[worst[0]] or 'NAME') if advice is None else advice}"
    )
