"""What every reader hands over: named columns of rows, in batches, and what the format itself says about them.

A reader is one file in `groundschool.data.readers` with three names: ``NAME``, the format's name; ``recognise(path)``,
whether a path looks like it (from its name, its first bytes or its layout; never raising); and ``open(path)``, which
returns a `Source` or raises InputError. Listing the module in ``readers/__init__.py`` adds the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from groundschool.data.columns import Columns
from groundschool.data.validation import Array

Batch = Mapping[str, Array]


class Batches(Protocol):
    """Called with the names wanted, returns the rows in order, in batches of any size; may be called again."""

    def __call__(self, names: Sequence[str]) -> Iterator[Batch]:
        """Return the rows of the columns `names`."""
        ...


@dataclass(frozen=True)
class Source:
    """Rows of a file, a directory or a frame.

    Attributes
    ----------
    name : str
        What to call it in messages: a path, or the kind of frame.
    format : str
    kinds : mapping from column name to "integer", "number", "flag", "text", "time", "list" or "other"
        Every column there is; a list column holds numbers, the same count in every row.
    batches : callable
        Rows as columns of one length: (n,) int64, float, bool, datetime64 or object (text, None where blank), and
        (n, k, ...) for list columns. A blank among numbers or flags makes the column of that batch float with NaN.
        Values that do not parse raise InputError naming the column and the first row.
    n_rows : int or None
        How many rows there are, where that is known beforehand.
    columns : Columns or None
        What the format itself says; what the user says goes over it. None for bare tables.
    notes : tuple of str
        What a reader left aside, or a user must know, one sentence each.
    declared : mapping
        Arguments of ``Dataset.from_arrays`` that the format holds once for the log (``horizon``, ``n_actions`` ...).
    remarks : mapping from column name to sentence
        Of a column that is text although most of its values are numbers: the first value that is none, and where.
    """

    name: str
    format: str
    kinds: Mapping[str, str]
    batches: Batches
    n_rows: int | None = None
    columns: Columns | None = None
    notes: tuple[str, ...] = ()
    declared: Mapping[str, Any] = field(default_factory=dict)
    remarks: Mapping[str, str] = field(default_factory=dict)
