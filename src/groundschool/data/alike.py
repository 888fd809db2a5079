"""Whether the parts of a log have the same columns, of the same kinds."""

from __future__ import annotations

from typing import Any

import numpy as np

from groundschool.data.dataset import Dataset
from groundschool.data.fingerprint import declared_names, layout
from groundschool.data.validation import Array
from groundschool.errors import InputError


def require_alike(first: Dataset, part: Dataset, n_before: int) -> None:
    """Raise InputError, naming the column, if a part differs from the first one in its columns or in what it declares.

    Parameters
    ----------
    first, part : Dataset
        Of `first`, any rows will do.
    n_before : int
        Episodes before `part`.
    """
    before, now = kinds(first), kinds(part)
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            raise InputError(
                f"the log's columns change on the way: {name} is {before.get(name, 'not there')} in the first "
                f"{n_before:,} episodes and {now.get(name, 'not there')} after. Expected one kind throughout: give the "
                "column one in the source."
            )
    said = {**declared(first), "costs": list(first.costs)}
    says = {**declared(part), "costs": list(part.costs)}
    for name, value in said.items():
        if says[name] != value:
            raise InputError(
                f"the log's {name} change on the way, after {n_before:,} episodes: {value} and {says[name]}. Expected "
                "parts of one log."
            )


def label_columns(log: Dataset) -> dict[str, Array]:
    """Return what is said once per episode and is no number to learn from."""
    named = {"episode_ids": log.episode_ids, "groups": log.groups, "times": log.times}
    return {name: column for name, column in named.items() if column is not None}


def kinds(log: Dataset) -> dict[str, str]:
    """Return of what kind each column of a log is, in words, by its name."""
    kinds = {
        name: "text" if column.dtype.kind == "U" else str(column.dtype) for name, column in label_columns(log).items()
    }
    for name, dtype, shape in layout(log):
        kind = str(np.dtype(dtype))
        kinds[name] = f"{kind} of shape {tuple(shape)}" if shape else kind
    return kinds


def declared(log: Dataset) -> dict[str, Any]:
    """Return what a log says that its rows do not show, JSON-ready; None where it says nothing."""
    names = declared_names(log)
    return {
        "features": names.get("features"),
        "action labels": names.get("action_labels"),
        "return range": log.return_range,
    }
