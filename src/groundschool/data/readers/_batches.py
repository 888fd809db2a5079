"""From Arrow to NumPy: the one conversion that every table reader shares, and the one place where its errors end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from groundschool.data.source import Batch
from groundschool.data.validation import Array
from groundschool.errors import InputError, suggest

BATCH_ROWS = 65_536
EXACT = 2**53  # the largest size up to which every integer is a float64
BELIEVED = 20  # rows a byte
# What the libraries beneath raise at files that are damaged or hostile.
FOREIGN = (pa.ArrowException, OSError, EOFError, ValueError, OverflowError, MemoryError)


@contextmanager
def sound(source: str, what: str = "cannot be read; it may be damaged, or not be what its name says") -> Iterator[None]:
    """Turn whatever a library raises about the contents of `source` into an InputError of one sentence."""
    try:
        yield
    except InputError:
        raise
    except FOREIGN as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        line = "".join(c if c.isprintable() else " " for c in said.splitlines()[0])[:200].rstrip(" .")
        raise InputError(f"{source}: {what} ({line}).") from error


def believable(rows: int, path: Path) -> bool:
    """Return whether a file is long enough for memory to be set aside for the rows that it promises."""
    return rows <= BELIEVED * path.stat().st_size


def kinds_of(schema: pa.Schema, source: str) -> dict[str, str]:
    """Return the kind of every column; InputError where two have one name, or one has none."""
    with sound(source):
        names = schema.names  # may not be Unicode
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{source}: two columns are called {twice!r}. Each needs its own name: rename one.")
    if "" in names:
        raise InputError(f"{source}: column {names.index('') + 1} has no name. Each needs one.")
    return {field.name: _kind(field.type) for field in schema}


class Converter:
    """Turns the record batches of one source into columns of numpy arrays, counting rows as they pass.

    Numbers without blanks are views of Arrow's memory where their type allows it. Lists keep their type of number.

    Parameters
    ----------
    source : str
        For messages.
    schema : pyarrow.Schema
    names : sequence of str
        The columns wanted.
    as_floats : collection of str
        Integer columns to hand out as floats, because other parts of the source hold floats.
    first_row : int
        Position in the source of the next row.
    """

    def __init__(
        self,
        source: str,
        schema: pa.Schema,
        names: Sequence[str],
        *,
        as_floats: frozenset[str] = frozenset(),
        first_row: int = 0,
    ) -> None:
        self.source, self.names, self.as_floats, self.row = source, tuple(names), as_floats, first_row
        self.widths: dict[tuple[str, int], int] = {}
        for name in names:
            if name not in schema.names:
                known = ", ".join(schema.names[:50]) + (" ..." if len(schema.names) > 50 else "")
                raise InputError(
                    f"{source}: there is no column {name!r}.{suggest(name, schema.names)} The columns are: {known}."
                )
            if _kind(schema.field(name).type) == "other":
                raise InputError(f"{source}: column {name!r} {_advice(name, schema.field(name).type)}")

    def __call__(self, batch: pa.RecordBatch) -> Batch:
        """Return the columns of the next rows; InputError names the column and the first row that cannot be read."""
        columns: dict[str, Array] = {}
        for name in self.names:
            with sound(self.source, f"column {name!r} cannot be read, from row {self.row} on; it may be damaged"):
                columns[name] = self._column(name, batch.column(batch.schema.names.index(name)))
        self.row += batch.num_rows
        return columns

    def _column(self, name: str, values: pa.Array) -> Array:
        kind = values.type
        if isinstance(kind, pa.FixedShapeTensorType):
            return self._list(name, values.storage).reshape(len(values), *kind.shape)
        if isinstance(kind, pa.BaseExtensionType):
            return self._column(name, values.storage)
        if pt.is_dictionary(kind) and not _is_text(kind.value_type):
            return self._column(name, values.dictionary_decode())
        if _is_list(kind):
            return self._list(name, values)
        if _is_text(kind) or pt.is_dictionary(kind):
            return _text(values)
        if pt.is_temporal(kind):
            # Values with a zone are stored as UTC, and stay so.
            to = pc.CastOptions(target_type=pa.timestamp("us"), allow_time_truncate=True)
            moments: Array = pc.cast(values, options=to).to_numpy(zero_copy_only=False)
            return moments
        numbers = self._numbers(name, values)
        if numbers.dtype.kind not in "iu":
            return numbers
        if name in self.as_floats:
            self._refuse_large(name, numbers, "in a column that holds floats elsewhere")
            return numbers.astype(np.float64)
        return numbers.astype(np.int64, copy=False)

    def _numbers(self, name: str, values: pa.Array, per: int = 1) -> Array:
        """Return numbers and flags in their own type, float with NaN where there are blanks; `per` values a row."""
        kind = values.type
        if pt.is_null(kind):
            return np.full(len(values), np.nan)
        if pt.is_decimal(kind):
            values = pc.cast(values, pa.float64(), safe=False)
        elif values.null_count and pt.is_boolean(kind):
            values = pc.cast(values, pa.float64())
        elif values.null_count and pt.is_integer(kind):
            self._refuse_large(name, pc.fill_null(values, 0).to_numpy(), "beside blanks, which make them floats", per)
            values = pc.cast(values, pa.float64(), safe=False)
        numbers: Array = values.to_numpy(zero_copy_only=False)
        if numbers.dtype == np.float16:
            return numbers.astype(np.float32)
        if numbers.dtype == np.uint64:
            self._refuse(
                name,
                numbers > np.iinfo(np.int64).max,
                "integers above 2**63 - 1",
                "Expected integers that fit int64.",
                per,
            )
            return numbers.astype(np.int64)
        return numbers

    def _list(self, name: str, values: pa.Array, depth: int = 0, per: int = 1) -> Array:
        """Return lists as (n, k, ...); `per` of them make a row."""
        if values.null_count:
            self._refuse(
                name,
                values.is_null().to_numpy(zero_copy_only=False),
                "blank lists",
                "Expected a list in every row; write NaN for numbers that are missing.",
                per,
            )
        if pt.is_fixed_size_list(values.type):
            width = values.type.list_size
        else:
            lengths: Array = pc.list_value_length(values).to_numpy()
            width = self.widths.setdefault((name, depth), int(lengths[0]) if len(lengths) else 0)
            ragged = lengths != width
            if ragged.any():
                found = int(lengths[np.argmax(ragged)])
                self._refuse(
                    name,
                    ragged,
                    f"lists of another length than {width} (the first has {found})",
                    "Expected lists of one length: pad them, or leave those rows out.",
                    per,
                )
        if width == 0:
            raise InputError(f"{self.source}: column {name!r} holds empty lists. Expected numbers in them.")
        inner = values.flatten()
        if len(inner) != len(values) * width:
            raise ValueError("lists do not add up")
        if _is_list(inner.type):
            array = self._list(name, inner, depth + 1, per * width)
        else:
            array = self._numbers(name, inner, per * width)
        return array.reshape(len(values), width, *array.shape[1:])

    def _refuse_large(self, name: str, numbers: Array, where: str, per: int = 1) -> None:
        if numbers.dtype.itemsize == 8:
            large = numbers > EXACT
            if numbers.dtype.kind == "i":
                large |= numbers < -EXACT
            what = f"integers beyond 2**53 {where}"
            self._refuse(name, large, what, "They would lose digits: write the column as text.", per)

    def _refuse(self, name: str, bad: Array, what: str, expected: str, per: int) -> None:
        if bad.any():
            row = self.row + int(np.argmax(bad)) // per
            self._fail(f"column {name!r} holds {what} (first at row {row}). {expected}")

    def _fail(self, message: str) -> NoReturn:
        raise InputError(f"{self.source}: {message}")


def _text(values: pa.Array) -> Array:
    """Return text as (n,) object, None where blank; equal texts are one object."""
    if not pt.is_dictionary(values.type):
        if pt.is_string_view(values.type):
            values = pc.cast(values, pa.large_string())
        values = values.dictionary_encode()
    uniques = np.array([*values.dictionary.to_pylist(), None], dtype=object)
    codes = pc.fill_null(pc.cast(values.indices, pa.int64()), len(uniques) - 1).to_numpy()
    texts: Array = uniques[codes]
    return texts


def _kind(kind: Any) -> str:
    if isinstance(kind, pa.FixedShapeTensorType) and kind.permutation is not None:
        return "other"
    if isinstance(kind, pa.BaseExtensionType):
        return _kind(kind.storage_type)
    if pt.is_dictionary(kind):
        return "other" if _is_list(kind.value_type) else _kind(kind.value_type)
    if pt.is_integer(kind):
        return "integer"
    if _is_number(kind) or pt.is_null(kind):
        return "number"
    if pt.is_boolean(kind):
        return "flag"
    if _is_text(kind):
        return "text"
    if pt.is_timestamp(kind) or pt.is_date(kind):
        return "time"
    if _is_list(kind):
        while _is_list(kind):
            kind = kind.value_type
        return "list" if _is_number(kind) or pt.is_integer(kind) or pt.is_boolean(kind) else "other"
    return "other"


def _advice(name: str, kind: Any) -> str:
    if isinstance(kind, pa.FixedShapeTensorType):
        return "holds tensors with their axes permuted. Write them in row-major order."
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pt.is_map(kind):
        return (
            "holds maps, which have no fixed columns. Make one column of each key first, e.g. with pandas: "
            f"wide = pandas.DataFrame([dict(row) for row in frame[{name!r}]]), and read those."
        )
    if pt.is_struct(kind):
        return "holds records. Make one column of each field first, e.g. with pyarrow: table.flatten(), and read those."
    if pt.is_time(kind) or pt.is_duration(kind):
        return f"holds {kind}, a time without a date. Write it as a number, e.g. of seconds, and read that."
    return f"holds {kind}. Expected numbers, flags, text, times, or lists of numbers; convert it, or leave it out."


def _is_number(kind: Any) -> bool:
    return bool(pt.is_floating(kind) or pt.is_decimal(kind))


def _is_text(kind: Any) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _is_list(kind: Any) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))
