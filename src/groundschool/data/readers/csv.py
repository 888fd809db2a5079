"""Delimited text: ``.csv``, ``.tsv``, also gzipped, in UTF-8, with a header line; commas, semicolons or tabs.

The file is read twice. The first pass looks at every value and settles what each column holds: integers, numbers, flags
(true and false, in any usual spelling), times (ISO 8601) or text. No value is changed to fit: integers that a float
cannot hold are never read as floats, and a column with anything else among its numbers is text, with the reason kept.
Blank are the empty field and ``NA N/A #N/A n/a <NA> NaN nan -NaN -nan NULL null Null None NaT``.
An empty line is no row.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pv

from groundschool.data.readers._batches import FOREIGN, Converter, kinds_of, sound
from groundschool.data.readers._parse import BLANKS, NUMBER, Column
from groundschool.data.source import Batch, Source
from groundschool.errors import InputError

NAME = "csv"
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
GZIP = b"\x1f\x8b"
BINARY = (b"PAR1", b"ARROW1", b"FEA1", b"\x89HDF", b"PK\x03\x04")
WIDE = (b"\xff\xfe", b"\xfe\xff")  # the byte order marks of UTF-16
SEPARATORS = ",;\t"
BLOCK = 1 << 22  # bytes parsed at a time
HEADER = 1 << 20  # bytes that the header line may be long


@dataclass(frozen=True)
class _Layout:
    """How a file is written: its separator, and the names in its header as they stand there, by the names used."""

    path: Path
    zipped: bool
    separator: str
    headers: dict[str, str]


def recognise(path: Path) -> bool:
    """Return whether a path is named like delimited text and does not hold something else."""
    try:
        with path.open("rb") as handle:
            return path.name.lower().endswith(SUFFIXES) and not handle.read(8).startswith(BINARY)
    except (OSError, ValueError):
        return False


def open(path: Path) -> Source:
    """Return the rows of a delimited file.

    Raises
    ------
    InputError
        If it has no proper header, is not UTF-8, or has a line with too few or too many fields: naming the line.
    """
    with sound(str(path), "cannot be read: it is damaged or cut short"):
        layout = _layout(path)
    columns = {name: Column(name) for name in layout.headers}
    n_rows = 0
    for batch in _blocks(layout, list(columns)):
        for column, texts in zip(columns.values(), batch.columns, strict=True):
            with sound(str(path), f"column {column.name!r} cannot be read, from row {n_rows} on"):
                column.look(texts, n_rows)
        n_rows += batch.num_rows
        last = batch.slice(batch.num_rows - 1)
    if n_rows and any("\n" in (value or "") for value in last.to_pylist()[0].values()):
        sum(1 for _ in _records(layout))  # the last row holds several lines: is that a quote never closed?
    schema = pa.schema([(name, column.type) for name, column in columns.items()])

    def batches(names: Sequence[str]) -> Iterator[Batch]:
        return _rows(layout, columns, schema, names)

    return Source(
        name=str(path),
        format=NAME,
        kinds=kinds_of(schema, str(path)),
        batches=batches,
        n_rows=n_rows,
        remarks=_remarks(layout, columns),
    )


def _layout(path: Path) -> _Layout:
    with path.open("rb") as handle:
        head = handle.read(2)
    if head in WIDE:
        raise InputError(f"{path}: is written in UTF-16. Expected UTF-8: save it again with that encoding.")
    zipped = head == GZIP
    with _stream(path, zipped) as stream:
        start = stream.read(HEADER)
    lines = [line for line in start.splitlines() if line]
    if not lines:
        raise InputError(f"{path}: is empty. Expected a header line with the columns' names, then rows.")
    if len(lines) == 1 and len(start) == HEADER:
        raise InputError(f"{path}: the first line is longer than {HEADER:,} bytes. Expected a header line.")
    try:
        line = lines[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _not_utf8(path, 1) from None
    try:
        fields = {sign: next(csv.reader([line], delimiter=sign)) for sign in SEPARATORS}
    except csv.Error as error:
        raise InputError(f"{path}: the header line cannot be read ({error}).") from None
    separator = max(fields, key=lambda sign: len(fields[sign]))
    headers = fields[separator]
    return _Layout(path, zipped, separator, dict(zip(_names(path, headers), headers, strict=True)))


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


def _stream(path: Path, zipped: bool) -> Any:
    return pa.input_stream(str(path), compression="gzip" if zipped else None)


def _blocks(layout: _Layout, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows as columns of text."""
    headers = [layout.headers[name] for name in names]
    wrong: list[Any] = []

    def note(row: Any) -> str:
        wrong.append(row)
        return "error"

    try:
        with (
            _stream(layout.path, layout.zipped) as stream,
            pv.open_csv(
                stream,
                pv.ReadOptions(block_size=BLOCK),
                pv.ParseOptions(delimiter=layout.separator, newlines_in_values=True, invalid_row_handler=note),
                pv.ConvertOptions(
                    column_types=dict.fromkeys(layout.headers.values(), pa.string()),
                    include_columns=headers,
                    strings_can_be_null=True,
                    null_values=list(BLANKS),
                ),
            ) as reader,
        ):
            for batch in reader:
                if batch.num_rows:
                    yield batch
    except InputError:
        raise
    except FOREIGN as error:
        raise _unreadable(layout, error, wrong) from error


def _rows(layout: _Layout, columns: dict[str, Column], schema: pa.Schema, names: Sequence[str]) -> Iterator[Batch]:
    convert = Converter(str(layout.path), schema, names)
    for batch in _blocks(layout, names):
        with sound(str(layout.path), f"changed while it was read, from row {convert.row} on"):
            parsed = [columns[name].parse(texts) for name, texts in zip(names, batch.columns, strict=True)]
        yield convert(pa.RecordBatch.from_arrays(parsed, list(names)))


def _remarks(layout: _Layout, columns: dict[str, Column]) -> dict[str, str]:
    """Return why columns are text that seemed to hold numbers."""
    odd = {name: column.odd for name, column in columns.items() if column.odd is not None}
    lines = _lines(layout, {row for row, _, _ in odd.values()})
    return {
        name: f"Row {row} (line {lines.get(row, '?')} of the file) holds {text[:80]!r}{why and ', '}{why}."
        for name, (row, text, why) in odd.items()
    }


def _unreadable(layout: _Layout, error: BaseException, wrong: Sequence[Any]) -> InputError:
    """Say what is wrong with a file that Arrow cannot parse; only now is it worth finding the line."""
    if wrong:
        row = wrong[0]
        found = next((at for at in _records(layout) if at[2].strip("\r\n") == row.text.strip("\r\n")), None)
        where = "a line" if found is None else f"line {found[1]} (row {found[0]})"
        return InputError(
            f"{layout.path}: {where} has {row.actual_columns} field(s), but the header has {row.expected_columns}: "
            f"{row.text[:80]!r}. Put fields that hold the separator in quotes, or correct the line."
        )
    said = str(error).splitlines()[0][:200]
    if "UTF8" in said:
        return _not_utf8(layout.path, _first_not_utf8(layout))
    if "straddl" in said:
        return InputError(
            f"{layout.path}: a line is longer than {BLOCK:,} bytes. Is a quote opened and never closed? Correct it."
        )
    why = "the compressed file is damaged or cut short" if layout.zipped else "it is damaged or not delimited text"
    return InputError(f"{layout.path}: cannot be read: {why} ({said.rstrip('.')}).")


def _not_utf8(path: Path, line: int | None) -> InputError:
    where = "" if line is None else f" (line {line})"
    return InputError(f"{path}: is not UTF-8{where}. Save it again with that encoding, e.g. with iconv -t UTF-8.")


def _first_not_utf8(layout: _Layout) -> int | None:
    with _stream(layout.path, layout.zipped) as stream:
        for number, line in enumerate(io.BufferedReader(stream), 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


def _lines(layout: _Layout, rows: set[int]) -> dict[int, int]:
    """Return the lines in which rows begin."""
    wanted: dict[int, int] = {}
    if rows:
        for row, line, _ in _records(layout):
            if row in rows:
                wanted[row] = line
                if len(wanted) == len(rows):
                    break
    return wanted


def _records(layout: _Layout) -> Iterator[tuple[int, int, str]]:
    """Yield the rows with the line in which each begins, counted from 1, as text; a quoted field may hold lines."""
    row, begun, pieces, quotes = -1, 0, list[str](), 0
    with _stream(layout.path, layout.zipped) as stream:
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
