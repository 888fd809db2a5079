"""CSV files and the column maps beside them."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import groundschool as gs
from data.writers.written_logs import logs, parts_of, small
from groundschool.data import Columns, Feature, convert, placing
from groundschool.data.read import read
from groundschool.data.writers import csv as writer
from groundschool.errors import InputError


def equal_bits(one, other):
    """Whether two arrays hold the same numbers: NaN in the same places, zeros of the same sign."""
    flat, back = one.reshape(len(one), -1), other.reshape(len(other), -1)
    same = np.array_equal(flat, back, equal_nan=flat.dtype.kind == "f")
    return same and (flat.dtype.kind != "f" or np.array_equal(np.signbit(flat[flat == 0]), np.signbit(back[back == 0])))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(log=logs(), count=st.integers(1, 3))
def test_every_number_flag_and_label_comes_back(log, count):
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "log.csv")
        writer.write(parts_of(log, count), target)
        back = read(target, columns=Path(folder, "log.columns.toml"))
    for name in (
        "observations", "actions", "rewards", "terminated", "truncated", "propensities", "action_masks",
        "final_observations", "final_action_masks",
    ):  # fmt: skip
        one, other = getattr(log, name), getattr(back, name)
        assert (one is None) == (other is None), name
        assert one is None or equal_bits(one, other), name
    assert list(back.costs) == list(log.costs)
    assert all(equal_bits(cost, back.costs[name]) for name, cost in log.costs.items())
    for name in ("n_actions", "horizon", "return_range", "action_labels"):
        assert getattr(back, name) == getattr(log, name), name
    for name in ("episode_ids", "groups"):
        one, other = getattr(log, name), getattr(back, name)
        if one is not None and one.dtype.kind == "U":
            marked = [writer._label(text) for text in one.tolist()]
            assert len(set(marked)) == len(set(one.tolist()))
            assert other.tolist() == marked
        else:
            np.testing.assert_array_equal(one, other)
    if log.times is None:
        assert back.times is None
    else:
        assert (back.times.tolist(), back.times.dtype.kind) == (log.times.tolist(), log.times.dtype.kind)
    if log.features is not None and log.observations.ndim > 1:
        assert back.features == log.features


def test_the_text(tmp_path):
    writer.write([small()], tmp_path / "log.csv")
    assert (tmp_path / "log.csv").read_text().splitlines() == [
        "episode,group,observation_0,observation_1,action,reward,cost_low,terminated,truncated,propensity,"
        "next_observation_0,next_observation_1",
        "a,p,0.0,1.0,0,0.1,0.0,false,false,0.5,2.0,3.0",
        "a,p,2.0,3.0,1,-0.0,1.0,true,false,0.25,10.0,11.0",
        "b,p,4.0,5.0,0,1e-30,0.0,false,true,1.0,12.0,13.0",
        "c,q,6.0,,1,3.0,0.0,false,false,1.0,8.0,9.0",
        "c,q,8.0,9.0,0,4.0,2.0,false,true,0.125,,",
    ]
    said = Columns.load(tmp_path / "log.columns.toml")
    assert said == Columns(
        observations=["observation_0", "observation_1"],
        next_observations=["next_observation_0", "next_observation_1"],
        action="action",
        reward="reward",
        episode="episode",
        group="group",
        terminated="terminated",
        truncated="truncated",
        propensity="propensity",
        costs={"low": "cost_low"},
        n_actions=3,
        horizon=2,
    )


def test_rows_do_not_depend_on_how_they_are_cut(tmp_path, monkeypatch):
    writer.write([small()], tmp_path / "whole.csv")
    monkeypatch.setattr(writer, "ROWS_AT_ONCE", 2)
    writer.write(parts_of(small(), 3), tmp_path / "cut.csv")
    assert (tmp_path / "cut.csv").read_text() == (tmp_path / "whole.csv").read_text()


@pytest.mark.parametrize(
    ("label", "written"),
    [("p1", "p1"), ("ward 7", "ward 7"), ("é", "é"), ("7", "id:7"), ("007", "id:007"), ("", "id:"), ("NA", "id:NA"),
     ("true", "id:true"), ("inf", "id:inf"), ("2020-01-01", "id:2020-01-01"), (" a", "id: a"), ("a ", "id:a "),
     ("id:7", "id:id:7"), ("a\nb", r"id:a\nb"), (r"a\nb", r"id:a\\nb"), ("a,b", "id:a,b"), ('"', r"id:\"")],
)  # fmt: skip
def test_labels_stay_text_and_stay_apart(label, written, tmp_path):
    assert writer._label(label) == written
    log = small(episode_ids=["a", label, "c"] if label != "a" else None)
    writer.write([log], tmp_path / "log.csv")
    back = read(tmp_path / "log.csv", columns=tmp_path / "log.columns.toml")
    assert back.episode_ids.tolist() == ["a", written, "c"]


def test_names_that_csv_cannot_hold_are_changed(tmp_path):
    log = small(features=["a,b", "a;b"], costs={"x": np.ones(5), "?": np.zeros(5)})
    writer.write([log], tmp_path / "log.csv")
    header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert header[2:4] == ["a_b", "a_b_"]
    assert header[-2:] == ["next_a_b", "next_a_b_"]
    assert list(read(tmp_path / "log.csv", columns=tmp_path / "log.columns.toml").costs) == ["x", "?"]


def test_features_that_are_carried_forward(tmp_path):
    features = [Feature("x"), Feature("y", forward_fill=True, impute="median")]
    filled = np.array([[0.0, np.nan], [2, 3], [4, 5], [6, np.nan], [8, 9]])
    losses = writer.write([small(observations=filled, final_observations=None, features=features)], tmp_path / "a.csv")
    assert read(tmp_path / "a.csv", columns=tmp_path / "a.columns.toml").features == tuple(features)
    assert not [loss for loss in losses if "carried" in loss]
    open_ = filled.copy()
    open_[4, 1] = np.nan
    open_[3, 1] = 1.0  # reading it would fill what the log leaves blank
    losses = writer.write([small(observations=open_, final_observations=None, features=features)], tmp_path / "b.csv")
    assert [loss for loss in losses if "carried" in loss]
    back = read(tmp_path / "b.csv", columns=tmp_path / "b.columns.toml")
    np.testing.assert_array_equal(back.observations, open_)


def test_indicators_become_features_like_any(tmp_path):
    features = [Feature("y"), Feature("missing:y", indicator_of="y")]
    losses = writer.write([small(features=features)], tmp_path / "a.csv")
    assert [loss for loss in losses if "missing:y" in loss]
    assert read(tmp_path / "a.csv", columns=tmp_path / "a.columns.toml").features == (
        Feature("y"),
        Feature("missing:y"),
    )


@pytest.fixture
def saved(tmp_path):
    """Return the path of a saved log."""
    small(notes=["Something was done."]).save(tmp_path / "log")
    return tmp_path / "log"


@pytest.mark.parametrize("force", [False, True])
def test_a_map_of_someone_else_is_not_overwritten(saved, tmp_path, force):
    beside = tmp_path / "out.columns.toml"
    beside.write_text('episode = "stay"\n')
    with pytest.raises(InputError, match="is not a column map that groundschool wrote and nothing else"):
        convert(saved, tmp_path / "out.csv", force=force)
    assert beside.read_text() == 'episode = "stay"\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out.columns.toml"]


def test_a_map_of_ours_that_a_person_edited_needs_force(saved, tmp_path):
    convert(saved, tmp_path / "out.csv")
    beside, written = tmp_path / "out.columns.toml", (tmp_path / "out.columns.toml").read_text()
    (tmp_path / "out.csv").unlink()
    edited = written.replace("horizon = 2", "horizon = 9")
    beside.write_text(edited)
    with pytest.raises(InputError, match=r"out\.columns\.toml' exists\. Choose another path"):
        convert(saved, tmp_path / "out.csv")
    assert beside.read_text() == edited
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out.columns.toml"]
    convert(saved, tmp_path / "out.csv", force=True)
    assert beside.read_text() == written


def test_a_map_with_the_same_bytes_is_in_nobodys_way(saved, tmp_path):
    convert(saved, tmp_path / "out.csv")
    (tmp_path / "out.csv").unlink()
    convert(saved, tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out.columns.toml", "out.csv"]


def test_neither_file_is_left_when_one_cannot_be_put_in_its_place(saved, tmp_path, monkeypatch):
    convert(saved, tmp_path / "out.csv")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out.*")}
    small(episode_ids=["x", "y", "z"], horizon=7).save(tmp_path / "other")
    move = placing.os.replace

    def fail(source, target):
        if str(source).endswith(".tmp") and str(target).endswith("out.csv"):
            raise OSError(5, "Input/output error")
        move(source, target)

    monkeypatch.setattr(placing.os, "replace", fail)
    for name in ("out.csv", "sub/out.csv"):
        with pytest.raises(InputError, match="Input/output error"):
            convert(tmp_path / "other", tmp_path / name, force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("out.*")} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "other", "out.columns.toml", "out.csv"]


def test_through_convert_the_map_stands_beside_the_file(saved, tmp_path):
    convert(saved, tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out.columns.toml", "out.csv"]
    convert(saved, tmp_path / "out.csv", force=True)
    assert read(tmp_path / "out.csv", columns=tmp_path / "out.columns.toml").n_steps == 5


def test_notes_are_comments_of_the_map(tmp_path):
    writer.write([small()], tmp_path / "log.csv", notes=lambda: ("One\nline: 3.", "Two."))
    lines = (tmp_path / "log.columns.toml").read_text().splitlines()
    assert lines[:3] == [writer.FIRST_LINE, "# One line: 3.", "# Two."]
    assert Columns.load(tmp_path / "log.columns.toml").horizon == 2


def test_state_ids_whose_last_one_is_unknown_come_back(tmp_path):
    """A column of next states without any: nothing in it says that they are ids."""
    log = gs.Dataset.from_arrays(
        np.array([7]),
        np.array([1]),
        np.array([3.25]),
        np.array([True]),
        np.array([False]),
        final_observations=np.array([-1]),
    )
    writer.write([log], tmp_path / "log.csv")
    back = read(tmp_path / "log.csv", columns=tmp_path / "log.columns.toml")
    assert back.observations.tolist() == [7]
    assert back.final_observations.tolist() == [-1]
