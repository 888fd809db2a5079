"""What our writers of other tools' formats write, our readers read back, to the last bit."""

import sys
import tempfile
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.random_logs import assert_identical
from data.writers.written_logs import logs, parts_of, small
from groundschool.data import Dataset, convert
from groundschool.data.read import open_source, read
from groundschool.data.writers import csv as csv_writer
from groundschool.data.writers import d3rlpy, dsrl, minari, writer_for, writers
from groundschool.errors import InputError

pytest.importorskip("h5py")
pytest.importorskip("minari")

EXACT = {"dsrl": (dsrl, "log.hdf5"), "d3rlpy": (d3rlpy, "log.h5"), "minari": (minari, "log-v0")}
ALL = {**EXACT, "csv": (csv_writer, "log.csv")}


@pytest.mark.parametrize("format", EXACT)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(log=logs(), count=st.integers(1, 3))
def test_every_bit_comes_back(format, log, count):
    writer, name = EXACT[format]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, name)
        losses = writer.write(parts_of(log, count), target)
        assert all(loss.endswith(".") for loss in losses)
        back = read(target)
        assert open_source(target).format == ("d4rl" if format == "dsrl" and not log.costs else format)
    assert_identical(log, back)
    assert back.fingerprint == log.fingerprint
    assert back.notes == log.notes


@pytest.mark.parametrize("format", EXACT)
def test_through_convert_and_back(format, tmp_path):
    small().save(tmp_path / "log")
    done = convert(tmp_path / "log", tmp_path / EXACT[format][1], to=format)
    assert done.n_steps == 5
    assert done.losses
    convert(done.target, tmp_path / "again")
    assert Dataset.load(tmp_path / "again").fingerprint == small().fingerprint
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("format", ALL)
def test_parts_are_not_held(format, tmp_path):
    writer, name = ALL[format]
    alive = []

    def parts():
        for e in range(3):
            part = small().select([e])
            alive.append(weakref.ref(part))
            assert sum(one() is not None for one in alive) <= 2  # this one, and the writer's last
            yield part
            del part

    writer.write(parts(), tmp_path / name)
    assert len(alive) == 3


@pytest.mark.parametrize("format", ALL)
def test_parts_of_different_logs_are_refused(format, tmp_path):
    writer, name = ALL[format]
    with pytest.raises(InputError, match="columns change on the way: propensities is float64 in the first 3 episodes"):
        writer.write([small(), small(propensities=None)], tmp_path / name)


@pytest.mark.parametrize("format", EXACT)
def test_without_h5py_the_error_is_the_pip_line(format, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    writer, name = EXACT[format]
    with pytest.raises(InputError, match=r"pip install 'groundschool\[hdf5\]'"):
        writer.write([small()], tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ALL)
def test_the_contract_of_writers(format, tmp_path):
    writer, name = ALL[format]
    assert format == writer.NAME
    assert writers()[format] is writer
    assert writer_for(tmp_path / name, format) == (format, writer.write)
    assert writer_for(tmp_path / "log.csv")[0] == "csv"


# What each format cannot hold is said.

PLAIN = {"propensities": None, "groups": None, "episode_ids": None, "final_observations": None}


@pytest.mark.parametrize(
    ("format", "changes", "said"),
    [
        ("dsrl", {}, "no field for propensities, episode ids, groups, the number of actions and the horizon"),
        ("dsrl", {"costs": None}, "a D4RL file"),
        ("dsrl", {"costs": {"a": np.ones(5), "b": np.ones(5), "c": np.ones(5)}}, "costs is 'a'; 'b' and 'c'"),
        ("dsrl", {"observations": np.arange(5), "final_observations": None}, "they are state ids"),
        ("d3rlpy", {}, "no field for costs, final observations of terminated episodes, propensities, episode ids"),
        ("d3rlpy", {}, r"Truncated episodes \(1\) have one more row"),
        ("d3rlpy", {}, r"without a final observation \(1\), and leaves those of one step out \(0\)"),
        ("d3rlpy", {"final_observations": None}, r"\(2\), and leaves those of one step out \(1\)"),
        ("d3rlpy", {}, "counts 2 actions, by the largest one logged; there are 3"),
        ("d3rlpy", {"truncated": np.array([0, 1, 1, 0, 1], bool)}, r"both terminated and truncated \(1\)"),
        ("d3rlpy", {"actions": np.ones((5, 1)), "n_actions": None}, "takes the actions for discrete"),
        ("minari", {}, "no field for episode ids, groups and the horizon"),
        ("minari", {}, "keeps cost 'low' and propensities as infos"),
        ("minari", {"final_observations": None}, "the last one is repeated"),
        ("csv", {}, "no float32"),
        ("csv", {"observations": np.ones((5, 2, 2)), "final_observations": None}, r"of shape \(2, 2\) come back flat"),
        ("csv", {"episode_ids": ["a", "7", ""]}, r"would not read as text \(2\)"),
        ("csv", {"costs": {"a,b": np.ones(5)}}, "Columns cannot be called 'cost_a,b'"),
    ],
)
def test_losses_are_told(format, changes, said, tmp_path):
    import re

    writer, name = ALL[format]
    losses = writer.write([small(**changes)], tmp_path / name)
    assert [loss for loss in losses if re.search(said, loss)], losses


@pytest.mark.parametrize("format", ALL)
def test_little_is_told_of_a_plain_log(format, tmp_path):
    writer, name = ALL[format]
    log = small(**PLAIN, n_actions=2, observations=np.ones((5, 2)), costs=None)
    losses = writer.write([log], tmp_path / name)
    assert not [loss for loss in losses if "propensities" in loss or "groups" in loss or "cost '" in loss]
