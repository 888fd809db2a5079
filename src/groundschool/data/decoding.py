"""Columns of a table, one role at a time, as the arrays of a raw log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError, suggest

Where = Callable[[int], int]  # from a row of a stretch to its position in the source


class Decoder:
    """Turns the columns that a map names into arrays; its errors name the source, the column and the first row.

    Parameters
    ----------
    source : Source
        Its kinds decide what a column can be.
    columns : Columns
    lenient : bool
        Let blank labels pass, for `check` to report.
    """

    def __init__(self, source: Source, columns: Columns, *, lenient: bool = False) -> None:
        self.source, self.columns, self.lenient = source, columns, lenient

    def observations(self, chosen: str | Sequence[str], rows: Batch) -> Array:
        """Return features (n, d...) float, or state ids (n,) int64 with -1 where blank."""
        if isinstance(chosen, str) and self.source.kinds[chosen] == "integer":
            ids = rows[chosen]
            if ids.dtype.kind == "f":
                ids = np.where(np.isnan(ids), -1, ids)
            return ids.astype(np.int64, copy=False)
        if isinstance(chosen, str) and self.source.kinds[chosen] == "list":
            return as_float(self.numeric("observations", chosen, rows))
        columns = [self._feature(name, rows) for name in listed(chosen)]
        widths = [1 if column.ndim == 1 else int(np.prod(column.shape[1:])) for column in columns]
        joined = np.empty((len(columns[0]), sum(widths)), np.result_type(*columns))
        at = 0
        for column, width in zip(columns, widths, strict=True):
            joined[:, at : at + width] = column.reshape(len(column), width)
            at += width
        return joined

    def _feature(self, name: str, rows: Batch) -> Array:
        """Return a column in the float of its kind: whether a batch of it holds a blank must not matter."""
        values = self.numeric("observations", name, rows)
        kind = self.source.kinds[name]
        return values.astype({"flag": np.float32, "integer": np.float64}[kind], copy=False) if kind in (
            "flag", "integer"
        ) else as_float(values)  # fmt: skip

    def feature_names(self, chosen: str | Sequence[str], rows: Batch) -> tuple[str, ...]:
        """Return one name a number of an observation: its column, with a position where that holds lists."""
        names: list[str] = []
        for name in listed(chosen):
            width = int(np.prod(rows[name].shape[1:]))
            names += [name] if rows[name].ndim == 1 else [f"{name}[{i}]" for i in range(width)]
        return tuple(names)

    def actions(self, chosen: str | Sequence[str], rows: Batch, where: Where, exempt: Array) -> Array:
        """Return actions (n,) int64 with -1 where blank, or (n, k) float; rows that are `exempt` may hold anything."""
        if not isinstance(chosen, str):
            return np.stack([as_float(self.numeric("action", name, rows)) for name in chosen], axis=1)
        kind, said = self.source.kinds[chosen], self.columns.action_kind
        if kind == "text":
            return self._labeled(chosen, rows[chosen], where, exempt)
        values = self.numeric("action", chosen, rows)
        if kind == "list":
            return as_float(values.reshape(len(values), -1))
        if said == "continuous":
            return as_float(values)[:, None]
        if kind == "number" and said is None:
            self.fail(
                f"action column {chosen!r} holds floats. Say whether they count actions or measure them: "
                'action_kind="discrete" | "continuous".'
            )
        if values.dtype.kind != "f":
            return values.astype(np.int64, copy=False)
        codes = np.where(np.isnan(values) | exempt, -1.0, values)
        wrong = ~(np.abs(codes) < 2**53) | (codes != np.floor(codes))
        self.refuse(wrong, "action", chosen, "not whole numbers", "Discrete actions count from 0.", where)
        return codes.astype(np.int64)

    def _labeled(self, chosen: str, values: Array, where: Where, exempt: Array) -> Array:
        labels = self.columns.action_labels
        if labels is None:
            seen = sorted({str(value) for value in values[:10_000].tolist() if value is not None})
            shown = ", ".join(map(repr, seen[:8])) + (" ..." if len(seen) > 8 else "")
            self.fail(
                f"action column {chosen!r} holds text ({shown}). Declare the vocabulary, in the order of the "
                "actions: action_labels=[...]."
            )
        code: dict[object, int] = {label: i for i, label in enumerate(labels)}
        code[None] = -1
        actions = np.array([code.get(value, -2) for value in values.tolist()], np.int64)
        actions[exempt] = -1
        unknown = actions == -2
        if unknown.any():
            word = values[int(np.argmax(unknown))]
            what, known = f"not in action_labels, such as {word!r}", ", ".join(labels)
            self.refuse(unknown, "action", chosen, what, f"Known: {known}.{suggest(word, labels)}", where)
        return actions

    def propensities(self, chosen: str, rows: Batch, actions: Array) -> Array:
        """Return the probability (or density) of the logged action, (n,) float64, NaN where blank."""
        values = self.numeric("propensity", chosen, rows).astype(np.float64)
        if self.columns.propensity_is == "log_probability":
            with np.errstate(over="ignore"):
                return np.exp(values)
        if self.columns.propensity_is == "probability_of_1":
            if actions.ndim != 1 or actions.max(initial=0) > 1:
                self.fail(
                    'propensity_is="probability_of_1" is for two actions, 0 and 1. Declare what the column holds: '
                    '"probability" (of the logged action) or "log_probability".'
                )
            return np.where(actions == 1, values, 1.0 - values)
        return values

    def mask(self, role: str, chosen: str | Sequence[str], rows: Batch, where: Where, exempt: Array) -> Array:
        """Return which actions were allowed, (n, A) bool; of rows that are `exempt` a blank allows nothing."""
        columns = [self.numeric(role, name, rows) for name in listed(chosen)]
        values = columns[0] if isinstance(chosen, str) else np.stack(columns, axis=1)
        if values.ndim != 2:
            self.fail(f"{role} {chosen!r}: expected a column of lists of flags, or a list of flag columns.")
        wrong = ~((values == 0) | (values == 1)).all(axis=1)
        self.refuse(wrong & ~exempt, role, ", ".join(listed(chosen)), "neither 0 nor 1", "Expected flags.", where)
        return np.where(wrong[:, None], False, values == 1) if wrong.any() else values.astype(np.bool_, copy=False)

    def labels(self, role: str, chosen: str, rows: Batch, starts: Array, where: Where) -> Array:
        """Return a column that labels whole episodes, once for each, (E,) int64 or text."""
        values = rows[chosen]
        blank = np.asarray(values == None if values.dtype.kind == "O" else values != values)  # noqa: E711
        if not self.lenient:
            self.refuse(blank, role, chosen, "blank", "Every row belongs to one.", where)
        first = values[starts[:-1]]
        if role == "group":
            varies = (values != np.repeat(first, np.diff(starts))) & ~blank
            what = "different from the first row of their episode"
            self.refuse(varies, role, chosen, what, "An episode belongs to one group.", where)
        if blank[starts[:-1]].any():
            return first
        if first.dtype.kind == "f":
            if (first != np.floor(first)).any():
                self.fail(f"{role} column {chosen!r} holds fractions. Expected integers or text.")
            return first.astype(np.int64)
        return first.astype(np.str_) if first.dtype.kind in "OM" else first

    def times(self, chosen: str, rows: Batch, starts: Array) -> Array:
        """Return when each episode began, (E,) numbers or datetime64."""
        kind = self.source.kinds[chosen]
        if kind not in ("time", "integer", "number"):
            self.fail(f"time column {chosen!r} holds {kind}. Expected time stamps or numbers.")
        first = rows[chosen][starts[:-1]]
        # A blank elsewhere made the batch float; the times themselves are whole.
        whole = kind == "integer" and first.dtype.kind == "f" and np.isfinite(first).all()
        return first.astype(np.int64) if whole else first

    def steps(self, chosen: str, rows: Batch) -> Array:
        """Return the step column, (n,) float64; time stamps in microseconds."""
        values = rows[chosen]
        if values.dtype.kind == "M":
            moments = values.astype("datetime64[us]").astype(np.int64).astype(np.float64)
            return np.where(np.isnat(values), np.nan, moments)
        if values.dtype.kind not in "iuf":
            self.fail(f"step column {chosen!r} holds {self.source.kinds[chosen]}. Expected numbers or times that rise.")
        return values.astype(np.float64)

    def numeric(self, role: str, name: str, rows: Batch) -> Array:
        """Return a column of numbers or flags; anything else is refused."""
        values = rows[name]
        if values.dtype.kind not in "biuf":
            why = self.source.remarks.get(name, "")
            self.fail(
                f"{role} column {name!r} holds {self.source.kinds[name]}, expected numbers."
                f"{f' {why}' if why else ''} Turn it into numbers first, or leave it out."
            )
        if role == "observations" and values.dtype.kind in "iu" and values.dtype.itemsize == 8:
            large = (values > 2**53) | (values < -(2**53))
            if large.any():
                self.fail(
                    f"{role} column {name!r} holds whole numbers beyond 2**53 in size, which features (floats) cannot "
                    "hold exactly. Leave it out if it is a record number."
                )
        return values

    def refuse(self, bad: Array, role: str, name: str, what: str, expected: str, where: Where) -> None:
        """Raise InputError with the first row when any of `bad` (n,) is set."""
        if bad.any():
            self.fail(
                f"{role} column {name!r}: values are {what} (first at row {where(int(np.argmax(bad)))}). {expected}"
            )

    def fail(self, message: str) -> NoReturn:
        """Raise InputError, the source named."""
        raise InputError(f"{self.source.name}: {message}")


def listed(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns that an entry of a map names."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def as_float(values: Array) -> Array:
    """Return numbers or flags in the float that holds them: float32 for what fits in it, else float64."""
    if values.dtype.kind == "f":
        return values if values.dtype.itemsize >= 4 else values.astype(np.float32)
    small = values.dtype.kind == "b" or values.dtype.itemsize <= 2
    return values.astype(np.float32 if small else np.float64)
