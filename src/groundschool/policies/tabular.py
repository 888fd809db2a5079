"""A policy written down as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.errors import InputError
from groundschool.policies.policy import DiscretePolicy, FloatArray, apply_masks


class TabularPolicy(DiscretePolicy):
    """Action probabilities by integer state id.

    Parameters
    ----------
    table : array, shape (n_states, n_actions)
        Each row a distribution. It may have more rows than ids were ever logged.
    name : str
        Label for tables and figures.

    Raises
    ------
    InputError
        If the table is not two-dimensional, or a row is not a distribution (tolerance 1e-6).
    """

    def __init__(self, table: ArrayLike, name: str = "table") -> None:
        rows = np.array(table, dtype=np.float64)
        if rows.ndim != 2 or 0 in rows.shape:
            raise InputError(f"table: expected shape (n_states, n_actions), got {rows.shape}")
        bad = np.flatnonzero(~(np.isfinite(rows).all(axis=1) & (rows >= 0).all(axis=1)))
        off = np.flatnonzero(np.abs(rows.sum(axis=1) - 1.0) > 1e-6) if not bad.size else bad
        if off.size:
            raise InputError(
                f"table: {off.size} of {len(rows)} rows are not distributions (first: state {off[0]}, "
                f"sum {rows[off[0]].sum():g}): each must be >= 0 and sum to 1"
            )
        rows.flags.writeable = False
        self.table = rows
        self.name = name
        self.n_actions = rows.shape[1]

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return the rows of the given state ids, shape (N, n_actions)."""
        ids = np.asarray(observations)
        if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
            raise InputError(
                f"policy {self.name!r} takes integer state ids of shape (N,), got {ids.dtype} of shape {ids.shape}"
            )
        if ids.size and (ids.min() < 0 or ids.max() >= len(self.table)):
            raise InputError(
                f"policy {self.name!r}: state ids run from {ids.min()} to {ids.max()}, the table has rows 0 to "
                f"{len(self.table) - 1}"
            )
        return apply_masks(self.table[ids], masks)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the table and the facts from which ``groundschool.load`` rebuilds this policy."""
        return {"table": self.table}, {"kind": "tabular", "name": self.name, "n_actions": self.n_actions}
