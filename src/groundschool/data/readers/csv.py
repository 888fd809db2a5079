"""Delimited text: ``.csv``, ``.tsv``, also gzipped, in UTF-8, with a header line; commas, semicolons or tabs.

The file is read twice. The first pass looks at every value and settles what each column holds: integers, numbers, flags
(true and false, in any usual spelling), times (ISO 8601) or text. No value is changed to fit: integers that a float
cannot hold are never read as floats, and a column with anything else among its numbers is text, with the reason kept.
Blank are the empty field and ``NA N/A #N/A n/a <NA> NaN nan -NaN -nan NULL null Null None NaT``.
An empty line is no row.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pv

from groundschool.data.readers._batches import FOREIGN, Converter, kinds_of, sound
from groundschool.data.readers._delimited import Layout, first_not_utf8, layout_of, not_utf8, opened, records
from groundschool.data.readers._parse import BLANKS, Column
from groundschool.data.source import Batch, Source
from groundschool.errors import InputError

NAME = "csv"
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
BINARY = (b"PAR1", b"ARROW1", b"FEA1", b"\x89HDF", b"PK\x03\x04")
BLOCK = 1 << 22  # bytes parsed at a time


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
        layout = layout_of(path)
    columns = {name: Column(name) for name in layout.headers}
    n_rows = 0
    for batch in _blocks(layout, list(columns)):
        for column, texts in zip(columns.values(), batch.columns, strict=True):
            with sound(str(path), f"column {column.name!r} cannot be read, from row {n_rows} on"):
                column.look(texts, n_rows)
        n_rows += batch.num_rows
        last = batch.slice(batch.num_rows - 1)
    if n_rows and any("\n" in (value or "") for value in last.to_pylist()[0].values()):
        sum(1 for _ in records(layout))  # the last row holds several lines: is that a quote never closed?
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


def _blocks(layout: Layout, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows as columns of text."""
    headers = [layout.headers[name] for name in names]
    try:
        with (
            opened(layout.path, layout.zipped) as stream,
            pv.open_csv(
                stream,
                pv.ReadOptions(block_size=BLOCK),
                pv.ParseOptions(delimiter=layout.separator, newlines_in_values=True),
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
        raise _unreadable(layout, error) from error


def _rows(layout: Layout, columns: dict[str, Column], schema: pa.Schema, names: Sequence[str]) -> Iterator[Batch]:
    convert = Converter(str(layout.path), schema, names)
    for batch in _blocks(layout, names):
        with sound(str(layout.path), f"changed while it was read, from row {convert.row} on"):
            parsed = [columns[name].parse(texts) for name, texts in zip(names, batch.columns, strict=True)]
        yield convert(pa.RecordBatch.from_arrays(parsed, list(names)))


def _remarks(layout: Layout, columns: dict[str, Column]) -> dict[str, str]:
    """Return why columns are text that seemed to hold numbers."""
    odd = {name: column.odd for name, column in columns.items() if column.odd is not None}
    lines = _lines(layout, {row for row, _, _ in odd.values()})
    return {
        name: f"Row {row} (line {lines.get(row, '?')} of the file) holds {text[:80]!r}{why and ', '}{why}."
        for name, (row, text, why) in odd.items()
    }


def _unreadable(layout: Layout, error: BaseException) -> InputError:
    """Say what is wrong with a file that Arrow cannot parse; only now is it worth finding the line."""
    said = str(error).splitlines()[0][:200]
    if "columns, got" in said and (ragged := _ragged(layout)):
        return ragged
    if "UTF8" in said:
        return not_utf8(layout.path, first_not_utf8(layout))
    if "straddl" in said:
        return InputError(
            f"{layout.path}: a line is longer than {BLOCK:,} bytes. Is a quote opened and never closed? Correct it."
        )
    why = "the compressed file is damaged or cut short" if layout.zipped else "it is damaged or not delimited text"
    return InputError(f"{layout.path}: cannot be read: {why} ({said.rstrip('.')}).")


def _ragged(layout: Layout) -> InputError | None:
    """Return the error of the first line with too few or too many fields."""
    expected = len(layout.headers)
    for row, line, record in records(layout):
        found = record.count(layout.separator) + 1
        if '"' in record:
            try:
                found = len(next(csv.reader([record.strip("\r\n")], delimiter=layout.separator), ()))
            except csv.Error:
                return None
        if found != expected:
            fields = f"{found} field" if found == 1 else f"{found} fields"
            return InputError(
                f"{layout.path}: line {line} (row {row}) has {fields}, but the header has {expected}: "
                f"{record[:80].strip()!r}. Put fields that hold the separator in quotes, or correct the line."
            )
    return None


def _lines(layout: Layout, rows: set[int]) -> dict[int, int]:
    """Return the lines in which rows begin."""
    wanted: dict[int, int] = {}
    if rows:
        for row, line, _ in records(layout):
            if row in rows:
                wanted[row] = line
                if len(wanted) == len(rows):
                    break
    return wanted
