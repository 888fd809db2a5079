"""What a column of text holds: the narrowest type in which every value keeps its meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from groundschool.data.readers._batches import EXACT
from groundschool.data.validation import Array

BLANKS = ("", "NA", "N/A", "#N/A", "n/a", "<NA>", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "Null", "None", "NaT")
TRUE, FALSE = pa.array(["true", "t", "1"]), pa.array(["false", "f", "0"])
NUMBER = r"^\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|infinity)\s*$"
COMMA = r"^\s*[+-]?\d+,\d+\s*$"
WHOLE = r"^\s*[+-]?\d+\s*$"
DIGITS = r"^\s*[+-]?\d{16,}\s*$"
ZONED = pa.timestamp("us", "UTC")
TYPES = {
    "blank": pa.null(),
    "integer": pa.int64(),
    "flag": pa.bool_(),
    "number": pa.float64(),
    "time": pa.timestamp("us"),
    "zoned": ZONED,
    "text": pa.string(),
}
# What a column can turn out to be after what it was so far; text is always left.
AFTER = {
    "blank": ("integer", "flag", "number", "time", "zoned"),
    "integer": ("integer", "flag", "number"),
    "flag": ("flag",),
    "number": ("number",),
    "time": ("time",),
    "zoned": ("zoned",),
    "text": (),
}


class Column:
    """One column of a text file: shown every value once with `look`, it settles on a type, and parses to that.

    Attributes
    ----------
    name : str
    odd : (row, text, why) or None
        Of a column that is text although it seemed, or mostly seems, to hold numbers: the first value that is none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.odd: tuple[int, str, str] | None = None
        self._kind = "blank"
        self._low = self._high = 0
        self._blanks = False

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of the values seen so far."""
        return TYPES[self._settled]

    def look(self, texts: pa.Array, first_row: int) -> None:
        """Take note of the next values, (n,) text, the first of which is that of row `first_row`."""
        self._blanks |= texts.null_count > 0
        if self._kind == "text" or texts.null_count == len(texts):
            return
        for kind in AFTER[self._kind]:
            values = _tried(kind, texts)
            if values is not None and self._admits(kind, texts, values):
                if len(values) > values.null_count:
                    self._kind = kind
                self._blanks |= values.null_count > 0
                return
        self.odd = self._first_odd(texts, first_row)
        self._kind = "text"

    def parse(self, texts: pa.Array) -> pa.Array:
        """Return values as the type settled on; raises ArrowInvalid at one that `look` was never shown."""
        kind = self._settled
        if kind == "blank":
            return pa.nulls(len(texts))
        return texts if kind == "text" else PARSERS[kind](texts)

    @property
    def _settled(self) -> str:
        """The kind, once all is known: blanks make integers floats, so large ones beside blanks stay text."""
        return "text" if self._kind == "integer" and self._blanks and self._large else self._kind

    @property
    def _large(self) -> bool:
        return self._high > EXACT or self._low < -EXACT

    def _admits(self, kind: str, texts: pa.Array, values: pa.Array) -> bool:
        """Return whether the values, and those before, keep their meaning as this kind."""
        if kind == "integer":
            span = pc.min_max(values)
            if span["min"].is_valid:
                self._low, self._high = min(self._low, span["min"].as_py()), max(self._high, span["max"].as_py())
        elif kind == "flag":
            return self._kind != "integer" or (self._low >= 0 and self._high <= 1)
        elif kind == "number":
            if self._kind == "integer" and self._large:
                return False
            size = np.abs(values.to_numpy(zero_copy_only=False))
            # A float of that size may be what rounding left of an integer.
            return not (np.any(size >= EXACT) and pc.any(pc.match_substring_regex(texts, DIGITS)).as_py())
        return True

    def _first_odd(self, texts: pa.Array, first_row: int) -> tuple[int, str, str] | None:
        """Return the first value that kept a column of numbers from being one; None if it never looked like one."""

        def first(found: Array, why: str) -> tuple[int, str, str]:
            row = int(np.argmax(found))
            return first_row + row, str(texts[row].as_py()), why

        odd = ~_matches(texts, NUMBER, blank=True)
        if (commas := _matches(texts, COMMA)).any() and (odd == commas).all():
            return first(commas, "a decimal comma, which is not read: write a point")
        if self._kind == "blank" and odd.sum() * 2 > len(odd) - texts.null_count:
            return None
        if odd.any():
            return first(odd, "")
        if self._large:
            return first(~_matches(texts, WHOLE, blank=True), "beside integers that a float cannot hold")
        return first(_matches(texts, DIGITS), "which a float cannot hold")


def _matches(texts: pa.Array, pattern: str, *, blank: bool = False) -> Array:
    found = pc.fill_null(pc.match_substring_regex(texts, pattern, ignore_case=True), blank)
    matches: Array = found.to_numpy(zero_copy_only=False)
    return matches


def _tried(kind: str, texts: pa.Array) -> pa.Array | None:
    try:
        return PARSERS[kind](texts)
    except pa.ArrowInvalid:
        return None


def _cast(kind: Any) -> Callable[[pa.Array], pa.Array]:
    def parse(texts: pa.Array) -> pa.Array:
        try:
            return pc.cast(texts, kind)
        except pa.ArrowInvalid:
            return pc.cast(_trimmed(texts), kind)

    return parse


def _moments(kind: Any) -> Callable[[pa.Array], pa.Array]:
    finer = pa.timestamp("ns", kind.tz)
    to = pc.CastOptions(target_type=kind, allow_time_truncate=True)

    def parse(texts: pa.Array) -> pa.Array:
        texts = _trimmed(texts)
        try:
            return pc.cast(texts, kind)
        except pa.ArrowInvalid:
            return pc.cast(pc.cast(texts, finer), options=to)

    return parse


def _flags(texts: pa.Array) -> pa.Array:
    words = pc.utf8_lower(_trimmed(texts))
    true = pc.is_in(words, TRUE)
    known = pc.or_(pc.or_(true, pc.is_in(words, FALSE)), pc.is_null(words))
    if not pc.all(known).as_py():
        raise pa.ArrowInvalid("not a flag")
    return pc.if_else(pc.is_null(words), pa.scalar(None, pa.bool_()), true)


def _trimmed(texts: pa.Array) -> pa.Array:
    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(texts, pa.array(BLANKS)), pa.scalar(None, texts.type), texts)


PARSERS: Mapping[str, Callable[[pa.Array], pa.Array]] = {
    "integer": _cast(pa.int64()),
    "flag": _flags,
    "number": _cast(pa.float64()),
    "time": _moments(TYPES["time"]),
    "zoned": _moments(ZONED),
}
