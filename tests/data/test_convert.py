"""Conversion part by part: what holds for the whole log, notes, and what force may replace."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.writers.written_logs import small
from groundschool.data import Columns, Dataset, convert, read, storage
from groundschool.data.alike import require_alike
from groundschool.data.readers import frames
from groundschool.errors import InputError

pytest.importorskip("h5py")
pytest.importorskip("minari")

TARGETS = {"groundschool": "out", "csv": "out.csv", "dsrl": "out.hdf5", "d3rlpy": "out.h5", "minari": "out-v0"}
SAID = {"observations": ["x"], "action": "a", "reward": "r", "episode": "e", "last_row": "truncated"}


def table(**changes):
    """Return a log of three episodes of two rows."""
    rows = {
        "e": np.array([0, 0, 1, 1, 2, 2]),
        "x": np.arange(6.0),
        "a": np.array([0, 1, 0, 1, 0, 1]),
        "r": np.zeros(6),
        "harm": np.zeros(6),
    }
    return rows | changes


@pytest.fixture
def few_rows(monkeypatch):
    """Frames come in batches of two rows."""
    monkeypatch.setattr(frames, "BATCH_ROWS", 2)


# An episode whose rows are not together.


@pytest.mark.parametrize("ids", [[0, 0, 1, 1, 0, 0], ["p", "p", "q", "q", "p", "p"]])
@pytest.mark.parametrize("format", TARGETS)
def test_an_episode_that_comes_twice_is_refused_for_every_target(few_rows, tmp_path, format, ids):
    with pytest.raises(InputError, match=r"dict: episode (0|'p') comes again further on.* sort=True"):
        convert(table(e=np.array(ids)), tmp_path / TARGETS[format], columns=Columns(**SAID), to=format)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError):
        read(table(e=np.array(ids)), columns=Columns(**SAID))


def test_sorted_rows_make_one_episode(few_rows, tmp_path):
    rows = table(e=np.array([0, 0, 1, 1, 0, 0]), t=np.arange(6))
    done = convert(rows, tmp_path / "out", columns=Columns(**SAID, step="t", sort=True))
    assert done.n_episodes == 2


# Notes.


@pytest.mark.parametrize("format", TARGETS)
def test_notes_are_added_up_over_all_parts(few_rows, tmp_path, format):
    rows = table(harm=np.array([np.nan, 0, 0, 1, np.nan, np.nan]))
    said = Columns(**SAID, costs={"harm": "harm"}, blank="no event")
    expected = ("blanks in harm read as no event: 3.", "ends said to be truncated by last_row: 3.")
    target = tmp_path / TARGETS[format]
    assert convert(rows, target, columns=said, to=format).notes == expected
    assert read(rows, columns=said).notes == expected
    if format == "csv":
        assert (tmp_path / "out.columns.toml").read_text().splitlines()[1:3] == [f"# {note}" for note in expected]
    else:
        assert read(target).notes == expected
        convert(target, tmp_path / "again")
        assert Dataset.load(tmp_path / "again").notes == expected
    if format == "minari":
        assert json.loads((target / "data" / "metadata.json").read_text())["description"] == " ".join(expected)


def test_where_nothing_is_left_the_source_is_named_and_no_row_shown(few_rows, tmp_path):
    rows = table(harm=np.full(6, np.nan), x=np.full(6, 123456.0))
    said = Columns(**SAID, costs={"harm": "harm"}, blank="exclude")
    with pytest.raises(InputError, match=r"^dict: no episode is left\. ") as caught:
        convert(rows, tmp_path / "out", columns=said)
    assert "123456" not in str(caught.value)
    assert "episodes left out for blanks: 3." in str(caught.value)


def test_positions_within_a_part_are_said_to_be_so(few_rows, tmp_path):
    rows = table(r=np.array([0, 0, 0, 0, 1.7e308, 1.7e308]))
    with pytest.raises(InputError, match=r"too large to add up.*rows 4 to 5 of dict"):
        convert(rows, tmp_path / "out", columns=Columns(**SAID))


# Parts that differ.


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"episode_ids": [1, 2, 3]}, "episode_ids is text in the first 3 episodes and int64 after"),
        ({"times": np.ones(3)}, "times is int64 in the first 3 episodes and float64 after"),
        ({"times": None}, "times is int64 in the first 3 episodes and not there after"),
        ({"observations": np.ones((5, 2))}, r"observations is float32 of shape \(2,\) in .* float64 of shape \(2,\)"),
        ({"costs": {"other": np.ones(5)}}, "cost:low is float64 in the first 3 episodes and not there after"),
        ({"features": ["a", "c"]}, "features change on the way, after 3 episodes"),
        ({"return_range": (0, 9)}, "return range change on the way"),
    ],
)
def test_parts_that_differ_are_refused_by_the_column(tmp_path, changes, said):
    first = {"times": np.arange(3), "features": ["a", "b"], "final_observations": None}
    one, other = small(**first), small(**first | changes)
    require_alike(one, one, 3)
    with pytest.raises(InputError, match=said):
        storage.write([one, other], tmp_path / "out")


def test_what_parquet_refuses_names_the_final_path(tmp_path, monkeypatch):
    def fail(*_args, **_more):
        raise pa.ArrowInvalid("no such thing")

    monkeypatch.setattr(pq, "ParquetWriter", fail)
    with pytest.raises(InputError, match=r"/out: cannot be written as Parquet \(no such thing\)"):
        small().save(tmp_path / "out")
    assert not list(tmp_path.iterdir())


# What force replaces.


@pytest.mark.parametrize("format", TARGETS)
def test_force_replaces_a_log_of_the_format(tmp_path, format):
    small().save(tmp_path / "log")
    for force in (False, True):
        convert(tmp_path / "log", tmp_path / TARGETS[format], to=format, force=force)


@pytest.mark.parametrize(
    ("format", "place"),
    [("minari", "thesis.txt"), ("minari", "data/thesis.txt"), ("minari", "more/thesis.txt"),
     ("groundschool", "thesis.txt"), ("groundschool", "thesis.parquet"), ("groundschool", "more/thesis.txt")],
)  # fmt: skip
def test_force_leaves_folders_with_anything_else_in_them(tmp_path, format, place):
    small().save(tmp_path / "log")
    target = tmp_path / TARGETS[format]
    convert(tmp_path / "log", target, to=format)
    (target / place).parent.mkdir(exist_ok=True)
    (target / place).write_text("years of work")
    with pytest.raises(InputError, match="and nothing else, so force does not replace it"):
        convert(tmp_path / "log", target, to=format, force=True)
    assert (target / place).read_text() == "years of work"


def network(path):
    """Write an HDF5 file that is no log."""
    import h5py

    with h5py.File(path, "w") as file:
        file["weights"] = np.ones((3, 3))


NO_LOGS = {
    "prose": lambda path: path.write_text("Once upon a time, long ago,\nthere was a log.\n"),
    "one column": lambda path: path.write_text("secret\nvalue\n"),
    "numbers": lambda path: path.write_text("1,2\n3,4\n"),
    "bytes": lambda path: path.write_bytes(bytes(range(256))),
    "nothing": lambda path: path.write_bytes(b""),
    "a network": network,
    "a folder": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to(path.parent / "log" / "schema.json"),
}


@pytest.mark.parametrize("content", NO_LOGS)
@pytest.mark.parametrize(("format", "name"), [("csv", "x.csv"), ("csv", "x.txt"), ("dsrl", "x.h5"), ("d3rlpy", "x.h5")])
def test_force_leaves_files_that_are_no_logs(tmp_path, format, name, content):
    small().save(tmp_path / "log")
    NO_LOGS[content](tmp_path / name)
    with pytest.raises(InputError, match="and nothing else, so force does not replace it"):
        convert(tmp_path / "log", tmp_path / name, to=format, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", name]


def test_force_leaves_text_under_another_name_unless_our_map_is_beside_it(tmp_path):
    small().save(tmp_path / "log")
    (tmp_path / "notes.txt").write_text("who,what\nme,this\n")
    with pytest.raises(InputError, match="force does not replace it"):
        convert(tmp_path / "log", tmp_path / "notes.txt", to="csv", force=True)
    convert(tmp_path / "log", tmp_path / "out.txt", to="csv")
    convert(tmp_path / "log", tmp_path / "out.txt", to="csv", force=True)


# One batch, many batches, and through a file: the same log, or the same refusal.


@st.composite
def tables(draw):
    """Return the columns of a small table with blanks, a column map, and how many rows make a batch."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    n, episode = sum(lengths), np.repeat(np.arange(len(lengths)), lengths)

    def column(values, kind=np.object_):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=kind)

    rows = {
        "e": np.array([f"p{i}" for i in episode], dtype=np.object_) if draw(st.booleans()) else episode,
        "x": column(st.sampled_from([0.5, 2.0, None])),
        "n": column(st.integers(0, 9), np.int64),
        "flag": column(st.sampled_from([True, False, None])),
        "a": column(st.integers(0, 2), np.int64),
        "r": column(st.sampled_from([0.0, 1.0, -2.5]), np.float64),
        "harm": column(st.sampled_from([0.0, 1.0, None])),
        "pain": column(st.sampled_from([0, 1, None])),
        "day": column(st.integers(0, 99), np.int64) if draw(st.booleans()) else column(st.sampled_from([1, 2, 3.5])),
        "died": column(st.sampled_from([0, 0, 0, None])) if draw(st.booleans()) else np.zeros(n, np.int64),
    }
    said = {
        **SAID,
        "observations": draw(st.sampled_from([["x"], ["x", "flag"], ["flag"], ["n", "flag"], ["n"], "n"])),
        "costs": draw(st.sampled_from([{}, {"harm": "harm"}, {"harm": "harm", "pain": "pain"}])),
        "blank": draw(st.sampled_from([None, "no event", "censored", "exclude"])),
        "time": draw(st.sampled_from([None, "day"])),
        "terminated": draw(st.sampled_from([None, "died"])),
        "last_row": draw(st.sampled_from(["truncated", "terminated"])),
        "horizon": draw(st.sampled_from([None, 3, 9])),
    }
    if said["observations"] != "n":
        said["forward_fill"] = draw(st.booleans())
        said["indicators"] = draw(st.booleans())
    if draw(st.booleans()):
        rows["g"] = np.array([f"g{i // 2}" for i in episode], dtype=np.object_) if draw(st.booleans()) else episode // 2
        said["group"] = "g"
    return rows, Columns(**said), draw(st.integers(1, 5))


def result(log):
    """Return what must agree, or the fact that the log was refused."""
    try:
        found = log()
    except InputError:
        return "refused"
    return found.fingerprint, found.notes


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_however_a_log_is_cut_it_is_the_same(given_):
    rows, said, size = given_

    def converted():
        convert(rows, Path(folder, "out"), columns=said)
        return Dataset.load(Path(folder, "out"))

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        whole = result(lambda: read(rows, columns=said))
        patched.setattr(frames, "BATCH_ROWS", size)
        assert result(lambda: read(rows, columns=said)) == whole
        assert result(converted) == whole
