"""How delimited text is laid out: its encoding, separator and header, and in which line each row begins."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from groundschool.data.readers._parse import NUMBER
from groundschool.errors import InputError

GZIP = b"\x1f\x8b"
WIDE = (b"\xff\xfe", b"\xfe\xff")  # the byte order marks of UTF-16
SEPARATORS = ",;\t"
HEADER = 1 << 20  # bytes that the header line may be long


@dataclass(frozen=True)
class Layout:
    """How a file is written: its separator, and the names in its header as they stand there, by the names used."""

    path: Path
    zipped: bool
    separator: str
    headers: dict[str, str]


def layout_of(path: Path) -> Layout:
    """Read the header of a file; InputError where it has none that can be used."""
    with path.open("rb") as handle:
        head = handle.read(2)
    if head in WIDE:
        raise InputError(f"{path}: is written in UTF-16. Expected UTF-8: save it again with that encoding.")
    zipped = head == GZIP
    with opened(path, zipped) as stream:
        start = stream.read(HEADER)
    lines = [line for line in start.splitlines() if line]
    if not lines:
        raise InputError(f"{path}: is empty. Expected a header line with the columns' names, then rows.")
    if len(lines) == 1 and len(start) == HEADER:
        raise InputError(f"{path}: the first line is longer than {HEADER:,} bytes. Expected a header line.")
    try:
        line = lines[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise not_utf8(path, 1) from None
    try:
        fields = {sign: next(csv.reader([line], delimiter=sign)) for sign in SEPARATORS}
    except csv.Error as error:
        raise InputError(f"{path}: the header line cannot be read ({error}).") from None
    separator = max(fields, key=lambda sign: len(fields[sign]))
    headers = fields[separator]
    return Layout(path, zipped, separator, dict(zip(_names(path, headers), headers, strict=True)))


def _names(path: Path, headers: Sequence[str]) -> list[str]:
    names = [header.strip() for header in headers]
    for position, name in enumerate(names):
        if not name:
            why = " pandas and R write row labels so: write the file without them." if position == 0 else ""
            raise InputError(
                f"{path}: column {position + 1} of {len(names)} has no name in the header line. Name it.{why}"
            )
        if names.index(name) < position:
            raise InputError(
                f"{path}: columns {names.index(name) + 1} and {position + 1} are both called {name!r}. Rename one."
            )
    if all(re.match(NUMBER, name) for name in names):
        raise InputError(
            f"{path}: the first line holds numbers ({', '.join(names[:4])}), not names. Put a header line before it."
        )
    return names


def opened(path: Path, zipped: bool) -> Any:
    """Return the bytes of a file, unzipped, as an Arrow stream."""
    return pa.input_stream(str(path), compression="gzip" if zipped else None)


def records(layout: Layout) -> Iterator[tuple[int, int, str]]:
    """Yield the rows with the line in which each begins, counted from 1, as text; a quoted field may hold lines."""
    row, begun, pieces, quotes = -1, 0, list[str](), 0
    with opened(layout.path, layout.zipped) as stream:
        for number, line in enumerate(io.TextIOWrapper(stream, "utf-8", errors="replace", newline=""), 1):
            begun = begun if pieces else number
            pieces.append(line)
            quotes += line.count('"')
            if quotes % 2:
                continue
            record = "".join(pieces)
            if record.strip("\r\n"):
                if row >= 0:
                    yield row, begun, record
                row += 1
            pieces, quotes = [], 0
    if pieces:
        raise InputError(f"{layout.path}: line {begun} opens a quote that is never closed. Correct it.")


def not_utf8(path: Path, line: int | None) -> InputError:
    """Return the error of a file in another encoding."""
    where = "" if line is None else f" (line {line})"
    return InputError(f"{path}: is not UTF-8{where}. Save it again with that encoding, e.g. with iconv -t UTF-8.")


def first_not_utf8(layout: Layout) -> int | None:
    """Return the first line, counted from 1, that is not UTF-8."""
    with opened(layout.path, layout.zipped) as stream:
        for number, line in enumerate(io.BufferedReader(stream), 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None
