"""Saved logs: exact round trips, all or nothing, and no damage unnoticed."""

import hashlib
import json
import re
import stat
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_logs import assert_identical, logs

from groundschool.data import Dataset, read, storage
from groundschool.errors import InputError


def example(n=10):
    """n episodes of two steps, with a bit of everything."""
    ends = np.arange(2 * n) % 2 == 1
    return Dataset.from_arrays(
        np.arange(4 * n, dtype=np.float32).reshape(-1, 2),
        np.arange(2 * n) % 3,
        np.linspace(-1, 1, 2 * n),
        ends,
        ~ends & False,
        costs={"hazard": ends.astype(float)},
        propensities=np.full(2 * n, 0.25),
        action_masks=np.ones((2 * n, 3), bool),
        final_observations=np.zeros((n, 2), np.float32),
        episode_ids=[f"42-{i}" for i in range(n)],
        groups=np.arange(n) // 2,
    )


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(1, 12))
def test_round_trip_keeps_every_bit_whatever_the_shards(log, rows_per_shard):
    with tempfile.TemporaryDirectory() as folder:
        log.save(Path(folder) / "log", rows_per_shard=rows_per_shard)
        again = Dataset.load(Path(folder) / "log")
    assert_identical(again, log)
    assert again.fingerprint == log.fingerprint
    assert not again.rewards.flags.writeable


def test_nan_payloads_survive(tmp_path):
    bits = np.array([0x7FC12345, 0xFFC00000, 0x80000000, 0x00000001], np.uint32)
    ends = np.array([False, True])
    log = Dataset.from_arrays(bits.view(np.float32).reshape(2, 2), [0, 0], [0, 0], ends, ends)
    log.save(tmp_path / "log")
    assert Dataset.load(tmp_path / "log").observations.view(np.uint32).ravel().tolist() == bits.tolist()


@pytest.mark.parametrize(("rows", "shards"), [(1, 10), (2, 10), (3, 5), (19, 1), (16, 2), (1000, 1)])
def test_shards_hold_whole_episodes(tmp_path, rows, shards):
    example().save(tmp_path / "log", rows_per_shard=rows)
    parts = sorted((tmp_path / "log").glob("part-*.parquet"))
    assert [p.name for p in parts] == [f"part-{i:05d}.parquet" for i in range(shards)]
    tables = [pq.read_table(p) for p in parts]
    ids = [set(table["episode_ids"].to_pylist()) for table in tables]
    assert sum(map(len, ids)) == 10
    assert sum(table.num_rows for table in tables) == 20
    assert read(tmp_path / "log").fingerprint == example().fingerprint


def test_other_tools_can_read_the_columns(tmp_path):
    example(2).save(tmp_path / "log")
    table = pq.read_table(tmp_path / "log" / "part-00000.parquet")
    assert table["episode_ids"].to_pylist() == ["42-0", "42-0", "42-1", "42-1"]
    assert table["observations"].to_pylist()[1] == [2.0, 3.0]
    assert table["cost:hazard"].to_pylist() == [0.0, 1.0, 0.0, 1.0]


def test_an_existing_log_is_replaced_only_by_force(tmp_path):
    example(3).save(tmp_path / "log")
    with pytest.raises(InputError, match=r"exists\. Choose another path, or replace it with force=True"):
        example(4).save(tmp_path / "log")
    assert read(tmp_path / "log").n_episodes == 3
    example(4).save(tmp_path / "log", force=True)
    assert read(tmp_path / "log").n_episodes == 4
    assert [p.name for p in tmp_path.iterdir()] == ["log"]


def test_force_leaves_what_is_not_a_log(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "file").write_text("text")
    example().save(tmp_path / "log")
    (tmp_path / "log" / "notes.md").write_text("kept beside the log")
    for name in ("thesis", "file", "log"):
        with pytest.raises(InputError, match="is not a saved log and nothing else, so force does not replace it"):
            example().save(tmp_path / name, force=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_failed_save_leaves_nothing_behind(tmp_path, monkeypatch):
    example(3).save(tmp_path / "log")

    def fail(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "_sha256", fail)
    for name, force in (("log", True), ("new", False)):
        with pytest.raises(InputError, match="No space left on device"):
            example(4).save(tmp_path / name, force=force)
    assert [p.name for p in tmp_path.iterdir()] == ["log"]
    assert read(tmp_path / "log").n_episodes == 3


def test_parents_are_made_and_permissions_are_the_usual_ones(tmp_path):
    example().save(tmp_path / "a" / "b")
    (tmp_path / "c").mkdir()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a/b", "c")}
    assert len(modes) == 1


def test_a_path_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="cannot write"):
        example().save(tmp_path / "file" / "log")


def flip(name, where):
    def apply(folder):
        data = bytearray((folder / name).read_bytes())
        data[int(where * (len(data) - 1))] ^= 1
        (folder / name).write_bytes(bytes(data))

    return apply


def truncate(name, keep):
    def apply(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return apply


def edit(**changes):
    def apply(folder):
        schema = json.loads((folder / "schema.json").read_text())
        (folder / "schema.json").write_text(json.dumps(schema | changes))

    return apply


def forge(**changes):
    """Edit the schema and make its own checksum fit: what only the fingerprint, or a check, can notice."""

    def apply(folder):
        schema = json.loads((folder / "schema.json").read_text()) | changes
        schema = {key: value for key, value in schema.items() if value != "REMOVED" and key != "checksum"}
        checksum = hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()
        (folder / "schema.json").write_text(json.dumps(schema | {"checksum": checksum}))

    return apply


def put(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def remove(name):
    return lambda folder: (folder / name).unlink()


PART, EPISODES = "part-00001.parquet", "episodes-00001.parquet"
DAMAGE = {
    "first byte of a part": (flip(PART, 0), "part-00001.parquet does not have the hash"),
    "middle of a part": (flip(PART, 0.5), "part-00001.parquet does not have the hash"),
    "last byte of a part": (flip(PART, 1), "part-00001.parquet does not have the hash"),
    "middle of episodes": (flip(EPISODES, 0.5), "episodes-00001.parquet does not have the hash"),
    "truncated part": (truncate(PART, 0.7), "part-00001.parquet does not have the hash"),
    "emptied part": (truncate(PART, 0), "part-00001.parquet does not have the hash"),
    "missing part": (remove(PART), "damaged: No such file"),
    "missing episodes": (remove(EPISODES), "damaged: No such file"),
    "missing schema": (remove("schema.json"), "is not a saved log: schema.json cannot be read"),
    "stray part": (put("part-00009.parquet", b""), "'part-00009.parquet' is not listed"),
    "schema not JSON": (truncate("schema.json", 0.5), "schema.json is not JSON"),
    "schema not text": (put("schema.json", b"\xff\xfe"), "schema.json is not UTF-8"),
    "schema a list": (put("schema.json", b"[]"), "does not say format"),
    "other format": (edit(format="somebody.else"), "does not say format 'groundschool.dataset'"),
    "newer version": (edit(version=3), "format version 3, expected 2. Upgrade"),
    "no version": (edit(version=None), "format version None"),
    "edited horizon": (edit(horizon=99), "schema.json was changed after it was written"),
    "extra key": (edit(note="hello"), "schema.json was changed after it was written"),
    "no checksum": (edit(checksum=None), "schema.json was changed after it was written"),
    "forged horizon": (forge(horizon=99), "the contents do not have the fingerprint"),
    "forged horizon, too short": (forge(horizon=1), "longer than horizon=1"),
    "forged fingerprint": (forge(fingerprint="0" * 64), "the contents do not have the fingerprint"),
    "forged size": (forge(n_steps=21), "n_steps in schema.json is not the sum"),
    "forged shards": (forge(shards=[]), "'episodes-00000.parquet' is not listed"),
    "forged costs": (forge(costs=["nothing"]), "KeyError: 'cost:nothing'"),
    "forged labels": (forge(labels={"episode_ids": "float"}), "KeyError: 'float'"),
    "removed columns": (forge(columns="REMOVED"), "KeyError: 'columns'"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_refused(tmp_path, damage, message):
    folder = tmp_path / "log"
    example().save(folder, rows_per_shard=8)
    damage(folder)
    with pytest.raises(InputError, match=re.escape(message)):
        Dataset.load(folder)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.sampled_from(["part-00000.parquet", "episodes-00000.parquet", "schema.json"]))
def test_one_flipped_bit_anywhere_is_refused(where, name):
    with tempfile.TemporaryDirectory() as folder:
        example(3).save(Path(folder) / "log")
        schema = json.loads((Path(folder) / "log" / "schema.json").read_text())
        flip(name, where)(Path(folder) / "log")
        if name == "schema.json":
            try:
                same = json.loads((Path(folder) / "log" / name).read_text()) == schema
            except ValueError:
                same = False
            if same:  # only white space changed
                return
        with pytest.raises(InputError):
            Dataset.load(Path(folder) / "log")


@pytest.mark.parametrize(
    ("name", "found"),
    [("nothing", "does not exist"), ("log.xyz", "no reader recognises it"), ("folder", "no reader recognises it")],
)
def test_read_says_what_it_reads(tmp_path, name, found):
    (tmp_path / "log.xyz").write_text("a,b\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=f"{name}: {found}"):
        read(tmp_path / name)


@pytest.mark.parametrize("rows", [0, -1, 2.5, True])
def test_shard_size_is_checked(tmp_path, rows):
    with pytest.raises(InputError, match="rows_per_shard"):
        example().save(tmp_path / "log", rows_per_shard=rows)
