"""Parquet, Arrow, delimited text and frames: the same columns from all, exact types, faults named where they are."""

import datetime
import decimal
import gzip
import io
import re
import struct

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.dataset as ds
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mutations import mutate, mutate_text

from groundschool.data.readers import _delimited, arrow, csv, parquet
from groundschool.data.readers import csv as csv_reader
from groundschool.data.readers.frames import is_frame, open_frame
from groundschool.errors import InputError


def columns(source, names=None):
    """Every batch of a source put together: name -> array."""
    names = list(source.kinds) if names is None else names
    batches = list(source.batches(names))
    assert all(list(batch) == list(names) for batch in batches)
    assert all(len({len(column) for column in batch.values()}) == 1 for batch in batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def write_stream(table, path):
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=some(table))


def some(table):
    """Rows of a chunk, so that there are several."""
    return max(2, table.num_rows // 5)


WRITERS = {
    "parquet": (parquet, "log.parquet", pq.write_table),
    "row groups": (parquet, "log.parquet", lambda table, path: pq.write_table(table, path, row_group_size=some(table))),
    "feather": (arrow, "log.feather", pf.write_feather),
    "mapped": (arrow, "log.arrow", lambda table, path: pf.write_feather(table, path, compression="uncompressed")),
    "chunks": (arrow, "log.arrow", lambda table, path: pf.write_feather(table, path, chunksize=some(table))),
    "stream": (arrow, "log.ipc", write_stream),
}
FRAMES = {
    "table": lambda table: table,
    "record batch": lambda table: pa.RecordBatch.from_struct_array(
        table.combine_chunks().to_struct_array().combine_chunks()
    ),
    "reader": lambda table: pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
    "dataset": ds.dataset,
    "capsule": lambda table: Capsule(table),
}


class Capsule:
    """What any other library's frame looks like."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


@pytest.fixture(params=[*WRITERS, *FRAMES])
def opened(request, tmp_path):
    """From a table to its source, through every format and every kind of frame."""

    def open_table(table):
        if request.param in FRAMES:
            return open_frame(FRAMES[request.param](table))
        module, name, write = WRITERS[request.param]
        write(table, tmp_path / name)
        assert module.recognise(tmp_path / name)
        return module.open(tmp_path / name)

    return open_table


@pytest.fixture
def text(tmp_path):
    """From the bytes of a CSV file to its source."""

    def open_text(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        assert csv.recognise(path)
        return csv.open(path)

    return open_text


NAN, NONE, NAT = float("nan"), None, np.datetime64("NaT")
DAY = datetime.datetime(2024, 2, 29, 12)
TYPES = {  # Arrow values and type; the kind; what arrives: type and values
    "small integer": ([1, 2, 250], pa.uint8(), "integer", np.int64, [1, 2, 250]),
    "integer": ([-1, 2**62, 3], pa.int64(), "integer", np.int64, [-1, 2**62, 3]),
    "unsigned": ([1, 2, 2**63 - 1], pa.uint64(), "integer", np.int64, [1, 2, 2**63 - 1]),
    "integer with blanks": ([1, NONE, 2**53], pa.int64(), "integer", np.float64, [1, NAN, 2**53]),
    "half": ([0.5, NONE, 2], pa.float16(), "number", np.float32, [0.5, NAN, 2]),
    "single": ([0.1, 2, NAN], pa.float32(), "number", np.float32, [np.float32(0.1), 2, NAN]),
    "double": ([0.1, NONE, NAN], pa.float64(), "number", np.float64, [0.1, NAN, NAN]),
    "decimal": ([decimal.Decimal("1.25"), NONE, decimal.Decimal("-3.5")], pa.decimal128(20, 4), "number", np.float64,
                [1.25, NAN, -3.5]),
    "nothing": ([NONE, NONE, NONE], pa.null(), "number", np.float64, [NAN, NAN, NAN]),
    "flag": ([True, False, True], pa.bool_(), "flag", np.bool_, [True, False, True]),
    "flag with blanks": ([True, NONE, False], pa.bool_(), "flag", np.float64, [1, NAN, 0]),
    "text": (["a", NONE, "ä"], pa.string(), "text", object, ["a", NONE, "ä"]),
    "large text": (["a", "", "a"], pa.large_string(), "text", object, ["a", "", "a"]),
    "coded text": (["a", NONE, "a"], pa.dictionary(pa.int8(), pa.string()), "text", object, ["a", NONE, "a"]),
    "coded integer": ([7, 9, 7], pa.dictionary(pa.int32(), pa.int64()), "integer", np.int64, [7, 9, 7]),
    "time": ([DAY, NONE, DAY], pa.timestamp("ms"), "time", "M8[us]", [np.datetime64(DAY), NAT, np.datetime64(DAY)]),
    "time with zone": ([DAY, NONE, DAY], pa.timestamp("us", "Asia/Tokyo"), "time", "M8[us]",
                       [np.datetime64(DAY), NAT, np.datetime64(DAY)]),
    "date": ([DAY.date(), NONE, DAY.date()], pa.date32(), "time", "M8[us]",
             [np.datetime64("2024-02-29"), NAT, np.datetime64("2024-02-29")]),
    "list": ([[1.5, 2], [3, NONE], [5, 6]], pa.list_(pa.float32()), "list", np.float32, [[1.5, 2], [3, NAN], [5, 6]]),
    "list of flags": ([[True, False]] * 3, pa.list_(pa.bool_()), "list", np.bool_, [[True, False]] * 3),
    "fixed list": ([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int64(), 2), "list", np.int64, [[1, 2], [3, 4], [5, 6]]),
    "large list": ([[1.0], [2.0], [3.0]], pa.large_list(pa.float64()), "list", np.float64, [[1.0], [2.0], [3.0]]),
    "image": ([[[1, 2, 3], [4, 5, 6]]] * 3, pa.list_(pa.list_(pa.uint8())), "list", np.uint8,
              [[[1, 2, 3], [4, 5, 6]]] * 3),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_every_type_arrives_as_the_contract_says(opened, name):
    values, kind, expected_kind, dtype, expected = TYPES[name]
    table = pa.table({"before": [9, 9, 9], name: pa.array(values, kind)})
    source = opened(table)
    assert source.kinds == {"before": "integer", name: expected_kind}
    array = columns(source, [name])[name]
    # A batch without blanks keeps its own type; together with one that has some it is wider.
    assert array.dtype == dtype or any(batch[name].dtype == dtype for batch in source.batches([name]))
    np.testing.assert_array_equal(array, np.array(expected, dtype=dtype))
    assert source.n_rows in (3, None)


def test_the_rows_keep_their_order_across_batches(opened):
    n = 200_000  # several batches
    table = pa.table({"i": np.arange(n), "x": np.arange(n) / 8, "t": [f"e{i // 1000}" for i in range(n)]})
    source = opened(table)
    assert len(list(source.batches(["i"]))) > 1
    read = columns(source, ["t", "i"])
    assert read["i"].tolist() == list(range(n))
    assert read["t"].tolist() == table["t"].to_pylist()
    assert columns(source, ["x"])["x"][-1] == (n - 1) / 8  # may be called again


def test_batches_of_floats_are_views(tmp_path):
    pq.write_table(pa.table({"x": np.arange(10.0)}), tmp_path / "log.parquet")
    (batch,) = parquet.open(tmp_path / "log.parquet").batches(["x"])
    assert not batch["x"].flags.owndata
    assert not batch["x"].flags.writeable


def test_a_consumer_may_stop_early(tmp_path):
    pq.write_table(pa.table({"x": np.arange(300_000)}), tmp_path / "log.parquet")
    batches = parquet.open(tmp_path / "log.parquet").batches(["x"])
    assert next(batches)["x"][0] == 0
    batches.close()


def test_equal_texts_are_one_object(tmp_path):
    pq.write_table(pa.table({"t": ["an episode", "an episode"]}), tmp_path / "log.parquet")
    (batch,) = parquet.open(tmp_path / "log.parquet").batches(["t"])
    assert batch["t"][0] is batch["t"][1]


UNREADABLE = {
    "ragged": (
        [[1.0, 2.0]] * 4 + [[1.0]],
        None,
        r"lists of another length than 2 \(the first has 1\) \(first at row 4",
    ),
    "ragged inside": ([[[1], [2]], [[1], [2]], [[1], [2, 3]]], None, r"another length than 1 .* \(first at row 2\)"),
    "blank list": ([[1.0], None], None, r"blank lists \(first at row 1\)"),
    "empty lists": ([[], []], pa.list_(pa.float64()), "holds empty lists"),
    "huge unsigned": ([1, 2**63], pa.uint64(), r"integers above 2\*\*63 - 1 \(first at row 1\)"),
    "huge in a list": ([[1, 2], [3, 2**63]], pa.list_(pa.uint64()), r"integers above 2\*\*63 - 1 \(first at row 1\)"),
    "ids and blanks": ([1, 2, 2**53 + 1, None], pa.int64(), r"beyond 2\*\*53 beside blanks.*\(first at row 2\)"),
    "year 294247": ([2**62], pa.timestamp("ms"), "cannot be read, from row 0 on"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_values_that_do_not_fit_are_refused_with_column_and_row(opened, name):
    values, kind, message = UNREADABLE[name]
    source = opened(pa.table({"ok": list(range(len(values))), "bad": pa.array(values, kind)}))
    assert columns(source, ["ok"])["ok"].tolist() == list(range(len(values)))
    with pytest.raises(InputError, match=rf"column 'bad'.*{message}"):
        columns(source, ["bad"])


def test_rows_are_counted_through_the_whole_source(tmp_path):
    lists = [[1, 2]] * 70_000 + [[1, 2, 3]]
    pq.write_table(pa.table({"l": lists}), tmp_path / "log.parquet")
    with pytest.raises(InputError, match="first at row 70000"):
        columns(parquet.open(tmp_path / "log.parquet"))


OTHER = {
    "map": (
        [[("hr", 1.0)]],
        pa.map_(pa.string(), pa.float64()),
        r"holds maps.*of each key.*frame\['bad'\]",
    ),
    "struct": ([{"hr": 1.0}], None, "holds records.*one column of each field"),
    "binary": ([b"x"], None, "holds binary. Expected numbers"),
    "list of text": ([["x"]], None, "holds list<.*string>. Expected numbers"),
    "time of day": ([datetime.time(1)], None, "holds .*, a time without a date. Write it as a number"),
    "duration": ([datetime.timedelta(1)], None, "holds .*, a time without a date. Write it as a number"),
}


@pytest.mark.parametrize("name", OTHER)
def test_other_columns_are_refused_only_when_asked_for(opened, name):
    values, kind, message = OTHER[name]
    source = opened(pa.table({"ok": [1], "bad": pa.array(values, kind)}))
    assert source.kinds == {"ok": "integer", "bad": "other"}
    assert columns(source, ["ok"])["ok"].tolist() == [1]
    with pytest.raises(InputError, match=f"column 'bad' {message}"):
        columns(source, ["bad"])


def test_a_column_that_is_not_there_is_named(opened):
    with pytest.raises(InputError, match=r"no column 'reword'\. Did you mean 'reward'"):
        columns(opened(pa.table({"reward": [1.0]})), ["reword"])


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InputError, match="two columns are called 'a'"):
        open_frame(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows(opened, rows):
    read = list(opened(pa.table({"x": np.zeros(rows)})).batches(["x"]))
    assert sum(len(batch["x"]) for batch in read) == rows


# Directories of Parquet files


def part(path, **named):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(named), path)


def test_the_files_of_a_directory_are_one_log_in_natural_order(tmp_path):
    for i in (10, 2, 1):
        part(tmp_path / f"part-{i}.parquet", x=[i, i])
    part(tmp_path / "_metadata.parquet", other=[1])
    part(tmp_path / ".hidden" / "part-0.parquet", other=[1])
    (tmp_path / "_SUCCESS").touch()
    assert parquet.recognise(tmp_path)
    source = parquet.open(tmp_path)
    assert columns(source)["x"].tolist() == [1, 1, 2, 2, 10, 10]
    assert source.n_rows == 6


def test_names_of_folders_are_columns(tmp_path):
    part(tmp_path / "site=b%20c" / "year=2024" / "a.parquet", x=[1])
    part(tmp_path / "site=a" / "year=2023" / "a.parquet", x=[2, 3])
    part(tmp_path / "site=__HIVE_DEFAULT_PARTITION__" / "year=7" / "a.parquet", x=[4])
    source = parquet.open(tmp_path)
    assert source.kinds == {"x": "integer", "site": "text", "year": "integer"}
    read = columns(source)
    assert read["x"].tolist() == [4, 2, 3, 1]
    assert read["site"].tolist() == [None, "a", "a", "b c"]
    assert read["year"].tolist() == [7, 2023, 2023, 2024]
    assert columns(source, ["year"])["year"].tolist() == [7, 2023, 2023, 2024]


def test_folders_that_disagree_are_refused(tmp_path):
    part(tmp_path / "site=a" / "a.parquet", x=[1])
    part(tmp_path / "b.parquet", x=[2])
    with pytest.raises(InputError, match=r"a\.parquet.*b\.parquet|b\.parquet.*a\.parquet"):
        parquet.open(tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"x": [1], "y": [1]}, {"x": [1]}, r"2\.parquet: has no column 'y', but .*1\.parquet has"),
        ({"x": [1]}, {"x": [1], "z": [1]}, r"1\.parquet: has no column 'z', but .*2\.parquet has"),
        ({"x": [1]}, {"x": ["a"]}, r"2\.parquet: column 'x' holds string, but in .*1\.parquet it holds int64"),
        ({"x": [[1]]}, {"x": [1]}, r"2\.parquet: column 'x' holds int64, but in .*1\.parquet it holds list"),
    ],
)
def test_files_that_disagree_are_named_with_the_column(tmp_path, first, second, message):
    part(tmp_path / "1.parquet", **first)
    part(tmp_path / "2.parquet", **second)
    with pytest.raises(InputError, match=message):
        parquet.open(tmp_path)


def test_files_may_differ_in_what_loses_nothing(tmp_path):
    part(tmp_path / "1.parquet", a=pa.nulls(1), b=[1], c=["u"], d=[1.0])
    part(tmp_path / "2.parquet", d=[2.0], b=[2.5], a=[True], c=pa.array(["v"]).dictionary_encode())
    part(tmp_path / "3.parquet", a=[False], b=pa.nulls(1), c=["w"], d=pa.array([3.0], pa.float32()))
    source = parquet.open(tmp_path)
    assert source.kinds == {"a": "flag", "b": "number", "c": "text", "d": "number"}
    read = columns(source)
    np.testing.assert_array_equal(read["a"], [NAN, 1, 0])
    np.testing.assert_array_equal(read["b"], [1, 2.5, NAN])
    assert read["c"].tolist() == ["u", "v", "w"]
    assert read["d"].tolist() == [1, 2, 3]


def test_ids_do_not_become_floats_because_another_file_has_floats(tmp_path):
    part(tmp_path / "1.parquet", x=[1, 2**60 + 1])
    part(tmp_path / "2.parquet", x=[0.5])
    with pytest.raises(InputError, match=r"'x' holds integers beyond 2\*\*53 .* floats elsewhere.*row 1"):
        columns(parquet.open(tmp_path))


@pytest.mark.parametrize("claim", ["schema.json", "data/metadata.json"])
def test_directories_of_other_formats_are_left_alone(tmp_path, claim):
    part(tmp_path / "part-00000.parquet", x=[1])
    (tmp_path / claim).parent.mkdir(exist_ok=True)
    (tmp_path / claim).write_text('{"minari_version": "0.5.4"}')
    assert not parquet.recognise(tmp_path)


def test_a_directory_without_parquet_files(tmp_path):
    assert not parquet.recognise(tmp_path)
    with pytest.raises(InputError, match="no Parquet file is in it"):
        parquet.open(tmp_path)


# Recognition


def test_content_decides_where_the_name_does_not(tmp_path):
    table = pa.table({"x": [1]})
    pq.write_table(table, tmp_path / "a.bin")
    pf.write_feather(table, tmp_path / "b.bin")
    (tmp_path / "c.bin").write_bytes(b"x\n1\n")
    found = [[m.recognise(tmp_path / f) for m in (parquet, arrow, csv)] for f in ("a.bin", "b.bin", "c.bin")]
    assert found == [[True, False, False], [False, True, False], [False, False, False]]
    (tmp_path / "a.bin").rename(tmp_path / "a.csv")
    assert not csv.recognise(tmp_path / "a.csv")
    assert columns(parquet.open(tmp_path / "a.csv"))["x"].tolist() == [1]


@pytest.mark.parametrize("module", [parquet, arrow, csv])
def test_recognising_never_raises(module, tmp_path):
    (tmp_path / "empty.parquet").touch()
    for path in (tmp_path / "absent", tmp_path, tmp_path / "empty.parquet", tmp_path / "nul\0"):
        assert module.recognise(path) in (True, False)


# Delimited text


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_text_is_read_however_it_is_written(text, separator, ending, mark, pack):
    lines = ["episode,x,died,drug,day", "1,0.5,true,a,2024-02-29", "1,,FALSE,NA,2024-02-29T12:00", "",
             '2,-1e3,True,"b, c",']  # fmt: skip
    content = mark + ending.join(lines).replace(",", separator).replace(f"b{separator} c", "b, c") + ending
    source = text(pack(content.encode()), "log.csv.gz" if pack is gzip.compress else "log.csv")
    assert source.kinds == {"episode": "integer", "x": "number", "died": "flag", "drug": "text", "day": "time"}
    assert source.n_rows == 3
    read = columns(source)
    assert read["episode"].tolist() == [1, 1, 2]
    np.testing.assert_array_equal(read["x"], [0.5, NAN, -1000])
    assert read["died"].tolist() == [True, False, True]
    assert read["drug"].tolist() == ["a", None, "b, c"]
    np.testing.assert_array_equal(read["day"], np.array(["2024-02-29", "2024-02-29T12", "NaT"], "M8[us]"))


TEXTS = {  # the values of a column; its kind; what arrives
    "blanks": (["", "1", "NA", "2", "null", "None", "NaN", "N/A", "<NA>"], "integer", [NAN, 1, NAN, 2] + [NAN] * 5),
    "only blanks": (["NA", "NaN"], "number", [NAN, NAN]),
    "padded": ([" 1", "2 ", " NA"], "integer", [1, 2, NAN]),
    "integer to float": (["1", "2", "2.5"], "number", [1, 2, 2.5]),
    "signs": (["+1.5", "-inf", "1e-3"], "number", [1.5, -np.inf, 1e-3]),
    "integers to text": (["1", "2", "A17"], "text", ["1", "2", "A17"]),
    "floats to text": (["1.0", "x"], "text", ["1.0", "x"]),
    "flags": (["true", "False", "TRUE", "1", "0"], "flag", [1, 0, 1, 1, 0]),
    "flags with blanks": (["true", "", "f"], "flag", [1, NAN, 0]),
    "0 and 1": (["0", "1", "1"], "integer", [0, 1, 1]),
    "nearly flags": (["true", "2"], "text", ["true", "2"]),
    "zones": (["2024-01-01T00:00:00Z", "2024-01-01T09:00:00+09:00"], "time", ["2024-01-01T00:00:00"] * 2),
    "nanoseconds": (["2024-01-01T00:00:00.123456789"], "time", ["2024-01-01T00:00:00.123456"]),
    "zones and none": (["2024-01-01T00:00:00Z", "2024-01-01"], "text", ["2024-01-01T00:00:00Z", "2024-01-01"]),
    "exact ids": (["9223372036854775807", "1"], "integer", [2**63 - 1, 1]),
    "ids too long": (["92233720368547758070", "1"], "text", ["92233720368547758070", "1"]),
    "long ids, then a fraction": (["9007199254740993", "1.5"], "text", ["9007199254740993", "1.5"]),
    "a fraction, then long ids": (["1.5", "9007199254740993"], "text", ["1.5", "9007199254740993"]),
    "long ids and blanks": (["9007199254740993", ""], "text", ["9007199254740993", None]),
    "large measurements": (["1.5", "1e300", "12345678901234567890.5"], "number", [1.5, 1e300, 12345678901234567890.5]),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("apart", [False, True], ids=["one block", "far apart"])
def test_a_column_of_text_becomes_the_narrowest_type_that_keeps_it(text, monkeypatch, name, apart):
    values, kind, expected = TEXTS[name]
    if apart:  # every value in a block of its own
        monkeypatch.setattr(csv_reader, "BLOCK", 100)
        values = [f"{value:<40}" if kind != "text" else value for value in values]
    pad = "x" * 40 if apart else "x"
    source = text("pad,c\n" + "".join(f"{pad},{value}\n" for value in values))
    assert source.kinds["c"] == kind
    read = columns(source, ["c"])["c"]
    if kind == "text":
        assert read.tolist() == expected
    else:
        np.testing.assert_array_equal(read, np.array(expected, "M8[us]" if kind == "time" else None))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, width=64),
            st.booleans(),
            st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(
                lambda value: value.strip() and not value.strip()[0].isdigit() and value not in csv_reader.BLANKS
            ),
        ),
        min_size=1,
        max_size=20,
    )
)
@example([(0, 0.5, True, 'a "quoted" one,\nof two lines')])
def test_what_another_tool_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("written") / "log.csv"
    ints, floats, flags, texts = (list(column) for column in zip(*rows, strict=True))
    texts = ["=" + one for one in texts]  # surely text
    pv.write_csv(pa.table({"i": ints, "x": floats, "b": flags, "t": texts}), path)
    read = columns(csv.open(path))
    assert read["i"].tolist() == ints
    assert read["x"].tolist() == floats
    assert read["b"].tolist() == flags
    assert read["t"].tolist() == texts


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        ("x\n1\n2\noops\n4\n", r"Row 2 \(line 4 of the file\) holds 'oops'\."),
        ("x,t\n1,a\n\n2,\"b\nc\"\n<5,d\n", r"Row 2 \(line 6 of the file\) holds '<5'\."),
        ("x;y\n1,5;2\n", r"Row 0 \(line 2 of the file\) holds '1,5', a decimal comma, .*: write a point"),
        ("x\n12345678901234567890\n1\n", r"Row 0 .* holds '12345678901234567890', which a float cannot hold"),
        ("x\n9007199254740993\n1\n0.5\n", r"Row 0 .* holds '9007199254740993', which a float cannot hold"),
    ],
)  # fmt: skip
def test_why_numbers_are_text_is_kept(text, content, remark):
    source = text(content)
    assert source.kinds["x"] == "text"
    assert re.match(remark, source.remarks["x"])


def test_plain_text_needs_no_remark(text):
    assert text("t\na\nb\n7\n").remarks == {}


def test_a_late_value_is_found_in_a_long_file(text, monkeypatch):
    monkeypatch.setattr(csv_reader, "BLOCK", 1 << 12)
    n = 20_000
    rows = [f"{i},{i},{i % 2}" for i in range(n)] + ["A17,0.5,true", "9,oops,0"]
    source = text("id,x,f\n" + "\n".join(rows))
    assert source.kinds == {"id": "text", "x": "text", "f": "flag"}
    assert source.remarks["x"] == f"Row {n + 1} (line {n + 3} of the file) holds 'oops'."
    read = columns(source)
    assert read["id"][-3:].tolist() == [str(n - 1), "A17", "9"]
    assert read["f"][-3:].tolist() == [True, True, False]


FAULTS = {
    "empty": (b"", "is empty. Expected a header line"),
    "blank lines": (b"\n\n", "is empty. Expected a header line"),
    "no header": (b"1,2\n3,4\n", r"the first line holds numbers \(1, 2\), not names"),
    "nameless": (b"a,,b\n1,2,3\n", "column 2 of 3 has no name"),
    "row labels": (b",a\n0,1\n", "column 1 of 2 has no name.*pandas and R write row labels"),
    "twice": (b"a,b,a\n1,2,3\n", "columns 1 and 3 are both called 'a'"),
    "latin 1": ("a,b\n1,2\n3,é\n".encode("latin-1"), r"is not UTF-8 \(line 3\)"),
    "latin 1 header": ("é,b\n1,2\n".encode("latin-1"), r"is not UTF-8 \(line 1\)"),
    "utf 16": ("a,b\n1,2\n".encode("utf-16"), "is written in UTF-16"),
    "too few": (b"a,b\n1,2\n\n3\n", r"line 4 \(row 1\) has 1 field, but the header has 2: '3'"),
    "too many": (b'a,b\n"1\n2",2\n3,4,5\n', r"line 4 \(row 1\) has 3 fields, but the header has 2: '3,4,5'"),
    "open quote": (b'a,b\n1,2\n3,"4\n5,6\n', "line 3 opens a quote that is never closed"),
    "cut gzip": (gzip.compress(b"a,b\n" + b"1,2\n" * 99)[:-9], "damaged or cut short"),
    "gzip of nothing": (gzip.compress(b""), "is empty"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_text_is_refused_with_its_line(text, name):
    content, message = FAULTS[name]
    with pytest.raises(InputError, match=message):
        columns(text(content))


def test_a_line_that_no_block_holds(text, monkeypatch):
    monkeypatch.setattr(csv_reader, "BLOCK", 64)
    with pytest.raises(InputError, match="a line is longer than 64 bytes"):
        columns(text(b"a,b\n" + b"1,2\n" * 9 + b"1," + b"2" * 500 + b"\n"))
    monkeypatch.setattr(_delimited, "HEADER", 64)
    with pytest.raises(InputError, match="the first line is longer than 64 bytes"):
        columns(text(b"a" * 500))


# Frames


def test_a_mapping_of_arrays_is_a_frame():
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    named = {
        "ids": np.array([3, 1, 2], ">i4"),
        "x": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
        "images": images,
        "mask": np.eye(3, 2, dtype=bool),
        "when": np.array(["2024-01-01T06"] * 3, "M8[h]"),
        "labels": np.array(["a", None, "b"], object),
        "words": np.array(["a", "bc", ""]),
        "listed": [1.5, 2.5, 3.5],
    }
    assert is_frame(named)
    source = open_frame(named)
    assert list(source.kinds.values()) == ["integer", "list", "list", "list", "time", "text", "text", "number"]
    assert source.n_rows == 3
    read = columns(source)
    for name, values in named.items():
        np.testing.assert_array_equal(read[name], values)
    assert read["ids"].dtype == np.int64
    assert read["images"].dtype == np.uint8
    assert read["when"].dtype == "M8[us]"


def test_long_arrays_come_as_views():
    x = np.random.default_rng(0).random((100_000, 3))
    batches = list(open_frame({"x": x}).batches(["x"]))
    assert len(batches) == 2
    assert all(np.shares_memory(batch["x"], x) for batch in batches)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"a": np.arange(3), "b": np.arange(2)}, "'b' has 2 rows, but 'a' has 3"),
        ({"a": np.float64(3)}, "'a' is a single value"),
        ({"a": np.ma.masked_array([1, 2], [0, 1])}, "'a' is a masked array"),
        ({"a": np.array([1j])}, "'a' is not an array that is read"),
        ({"a": np.zeros((2, 0))}, "'a' is not an array that is read"),
        ({"a": [[1, 2], [3]]}, "'a' is not an array that is read"),
        ({1: np.arange(3)}, "1 is not the name of a column"),
        (5, "a int is not a log"),
        (np.zeros((3, 2)), "a ndarray is not a log"),
    ],
)
def test_what_is_no_frame_is_refused(frame, message):
    with pytest.raises(InputError, match=message):
        columns(open_frame(frame))


def test_one_odd_array_does_not_keep_the_others_from_being_read():
    source = open_frame({"a": np.arange(3), "b": np.array([1j, 2, 3])})
    assert source.kinds == {"a": "integer", "b": "other"}
    assert columns(source, ["a"])["a"].tolist() == [0, 1, 2]


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "a": [1, 2, 3],
            "x": [0.5, NAN, 2],
            "t": ["u", None, "v"],
            "f": [True, False, True],
            "c": pandas.Categorical(["p", "q", "p"]),
            "when": pandas.to_datetime(["2024-01-01", None, "2024-01-02"]),
            "i": pandas.array([1, None, 3], dtype="Int64"),
            "l": [[1.0, 2.0]] * 3,
            "mixed": [1, "x", 2.5],
        }
    )
    source = open_frame(frame)
    kinds = ["integer", "number", "text", "flag", "text", "time", "integer", "list", "other"]
    assert list(source.kinds.values()) == kinds
    assert not source.notes
    read = columns(source, [name for name in source.kinds if name != "mixed"])
    assert read["t"].tolist() == ["u", None, "v"]
    np.testing.assert_array_equal(read["x"], [0.5, NAN, 2])
    np.testing.assert_array_equal(read["i"], [1, NAN, 3])
    with pytest.raises(InputError, match="column 'mixed' holds values of several kinds"):
        columns(source, ["mixed"])
    indexed = open_frame(frame.set_index("a"))
    assert columns(indexed, ["a"])["a"].tolist() == [1, 2, 3]
    assert "'a'" in indexed.notes[0]
    assert "no name" in open_frame(frame[frame["a"] > 1]).notes[0]
    with pytest.raises(InputError, match="called 'a'"):
        open_frame(frame[["a", "a"]])
    long = pandas.DataFrame({"x": np.arange(150_000)})
    assert columns(open_frame(long))["x"].tolist() == list(range(150_000))


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "a": [1, 2, 3],
            "t": ["u", None, "v"],
            "c": polars.Series(["p", "q", "p"], dtype=polars.Categorical),
            "l": polars.Series([[1.0, 2.0]] * 3, dtype=polars.Array(polars.Float32, 2)),
        }
    )
    for source in (open_frame(frame), open_frame(frame.lazy())):
        assert list(source.kinds.values()) == ["integer", "text", "text", "list"]
        read = columns(source)
        assert read["t"].tolist() == ["u", None, "v"]
        assert read["c"].tolist() == ["p", "q", "p"]
        assert read["l"].tolist() == [[1.0, 2.0]] * 3
    late = open_frame(frame.lazy().with_columns(q=polars.col("t").cast(polars.Int64)))
    assert columns(late, ["a"])["a"].tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="cannot be collected"):
        columns(late, ["q"])


# Damage


def promising(data, rows, promised):
    """Return a Parquet file's bytes with every count of `rows` in its footer replaced."""

    def varint(value):
        value, out = value * 2, b""  # zigzag
        while value > 127:
            out, value = out + bytes([value & 127 | 128]), value >> 7
        return out + bytes([value])

    (length,) = struct.unpack("<i", data[-8:-4])
    footer = data[-8 - length : -8].replace(varint(rows), varint(promised))
    assert len(footer) > length
    return data[: -8 - length] + footer + struct.pack("<i", len(footer)) + data[-4:]


@pytest.mark.parametrize(
    ("promised", "message"), [(10**15, "promises 1,000,000,000,000,000 rows in"), (3_000_000, "damaged")]
)
def test_a_footer_that_promises_too_much_allocates_nothing(tmp_path, promised, message):
    table = pa.table({"x": np.arange(12_345.0)})
    pq.write_table(table, tmp_path / "log.parquet", compression="none", use_dictionary=False, store_schema=False)
    data = (tmp_path / "log.parquet").read_bytes()
    (tmp_path / "log.parquet").write_bytes(promising(data, 12_345, promised))
    with pytest.raises(InputError, match=message):
        columns(parquet.open(tmp_path / "log.parquet"))


def test_a_count_that_memory_should_not_be_set_aside_for_is_not_passed_on(tmp_path):
    pq.write_table(pa.table({"x": np.zeros(1_000_000)}), tmp_path / "log.parquet")
    source = parquet.open(tmp_path / "log.parquet")
    assert (tmp_path / "log.parquet").stat().st_size < 50_000
    assert source.n_rows is None
    assert len(columns(source)["x"]) == 1_000_000


def test_old_feather_is_named(tmp_path):
    (tmp_path / "log.feather").write_bytes(b"FEA1" + bytes(40))
    with pytest.raises(InputError, match="Feather file of version 1"):
        arrow.open(tmp_path / "log.feather")


def test_a_file_that_is_gone(tmp_path):
    for module in (parquet, arrow, csv):
        with pytest.raises(InputError, match="No such file"):
            module.open(tmp_path / "log")


def damageable():
    """A table of many types, as bytes of every format: (module, file name, content)."""
    n = 60
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "e": np.arange(n) // 10,
            "x": rng.random(n),
            "y": pa.array(rng.random(n).astype(np.float32), mask=rng.random(n) < 0.2),
            "f": rng.random(n) < 0.5,
            "t": [f"p{i % 7}" for i in range(n)],
            "when": pa.array(np.arange(n), pa.timestamp("us", "UTC")),
        }
    )
    rich = table.append_column("l", pa.array([[[1, 2], [3, 4]]] * n)).append_column(
        "c", pa.array(["u", "v"] * (n // 2)).dictionary_encode()
    )
    files = []
    for label, (module, name, _) in WRITERS.items():
        buffer = io.BytesIO()
        if module is parquet:
            pq.write_table(rich, buffer, row_group_size=25, compression="none" if label == "parquet" else "snappy")
        elif name.endswith("ipc"):
            with pa.ipc.new_stream(buffer, rich.schema) as writer:
                writer.write_table(rich, max_chunksize=25)
        else:
            pf.write_feather(rich, buffer, compression="uncompressed" if label == "mapped" else "lz4")
        files.append((module, name, buffer.getvalue()))
    buffer = io.BytesIO()
    pv.write_csv(table, buffer)
    files.append((csv, "log.csv", buffer.getvalue()))
    files.append((csv, "log.csv.gz", gzip.compress(buffer.getvalue())))
    return files


DAMAGEABLE = damageable()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("module", "name", "content"), DAMAGEABLE, ids=[name for _, name, _ in DAMAGEABLE])
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path, module, name, content, seed):
    path = tmp_path / name
    for turn in range(10):
        rng = np.random.default_rng([seed, turn])
        path.write_bytes((mutate_text if name == "log.csv" else mutate)(content, rng))
        try:
            module.recognise(path)
            source = module.open(path)
            read = columns(source, [c for c, kind in source.kinds.items() if kind != "other"])
            assert source.n_rows in (None, len(next(iter(read.values()))))
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
