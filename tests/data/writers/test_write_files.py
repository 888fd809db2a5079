"""What other tools find in the files: read with h5py and Minari themselves, and compared with a log made by hand."""

import json
import os
import sys

import numpy as np
import pytest

from data.writers.written_logs import small
from groundschool.data import Dataset
from groundschool.data.read import read
from groundschool.data.writers import d3rlpy, dsrl, minari
from groundschool.errors import InputError

h5py = pytest.importorskip("h5py")
pytest.importorskip("minari")


def test_dsrl_fields(tmp_path):
    log = small()
    dsrl.write([log], tmp_path / "log.hdf5")
    with h5py.File(tmp_path / "log.hdf5") as file:
        assert set(file) == {
            "observations", "actions", "rewards", "terminals", "timeouts", "costs", "next_observations", "groundschool",
        }  # fmt: skip
        assert file["observations"].dtype == np.float32
        np.testing.assert_array_equal(file["observations"], log.observations)
        assert file["rewards"][:].tolist() == [0.1, -0.0, 1e-30, 3.0, 4.0]
        assert file["terminals"][:].tolist() == [False, True, False, False, False]
        assert file["timeouts"][:].tolist() == [False, False, True, False, True]
        assert file["costs"][:].tolist() == [0, 1, 0, 0, 2]
        after = [[2, 3], [10, 11], [12, 13], [8, 9], [np.nan, np.nan]]
        np.testing.assert_array_equal(file["next_observations"], np.array(after, np.float32))


def test_dsrl_without_the_group_is_still_a_log(tmp_path):
    dsrl.write([small()], tmp_path / "log.hdf5")
    with h5py.File(tmp_path / "log.hdf5", "a") as file:
        del file["groundschool"]
    log = read(tmp_path / "log.hdf5")
    assert log.costs["cost"].tolist() == [0, 1, 0, 0, 2]
    assert log.starts.tolist() == [0, 2, 3, 5]
    assert log.propensities is None


def test_d3rlpy_layout(tmp_path):
    d3rlpy.write([small()], tmp_path / "log.h5")
    with h5py.File(tmp_path / "log.h5") as file:
        assert file["version"][()] == b"2.1"
        assert file["columns"][:].tolist() == [b"observations", b"actions", b"rewards", b"terminated"]
        assert file["num_episodes"][()] == 3
        assert [bool(file[f"terminated_{i}"][()]) for i in range(3)] == [True, False, False]
        assert file["rewards_0"].shape == file["actions_0"].shape == (2, 1)
        assert file["observations_1"][:].tolist() == [[4, 5], [12, 13]]  # the final observation, as a further row
        assert file["rewards_1"][:].tolist() == [[1e-30], [0]]
        assert len(file["observations_2"]) == 2  # unknown: nothing is added


def test_d3rlpy_without_the_group_is_any_file_of_d3rlpy(tmp_path):
    d3rlpy.write([small()], tmp_path / "log.h5")
    with h5py.File(tmp_path / "log.h5", "a") as file:
        del file["groundschool"]
    assert read(tmp_path / "log.h5").lengths.tolist() == [2, 2, 2]


def test_files_changed_by_something_else_are_refused(tmp_path):
    d3rlpy.write([small()], tmp_path / "log.h5")
    with h5py.File(tmp_path / "log.h5", "a") as file:
        for name in ("observations_0", "actions_0", "rewards_0"):
            values = file[name][:1]
            del file[name]
            file[name] = values
    with pytest.raises(InputError, match="episode 0 has 1 rows, but groundschool wrote 2"):
        read(tmp_path / "log.h5")
    dsrl.write([small()], tmp_path / "log.hdf5")
    with h5py.File(tmp_path / "log.hdf5", "a") as file:
        for name in list(file):
            if name != "groundschool":
                file[name].resize(4, axis=0)
    with pytest.raises(InputError, match="the episodes have 5 rows, the file has 4"):
        read(tmp_path / "log.hdf5")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "newer groundschool"),
        ("labels", {"age": "int64"}, "unknown label 'age'"),
        ("labels", None, "damaged"),
        ("columns", {"observation": "x"}, "'observation' is not part of a column map"),
        ("declared", {"features": [{"name": ""}]}, "not a usable name"),
        ("declared", {"features": [{"size": 3}]}, "damaged"),
        ("declared", {"features": 3}, "damaged"),
    ],
)
def test_marks_that_cannot_be_relied_on(tmp_path, key, value, message):
    dsrl.write([small()], tmp_path / "log.hdf5")
    with h5py.File(tmp_path / "log.hdf5", "a") as file:
        marks = json.loads(file["groundschool/marks"][:].tobytes()) | {key: value}
        del file["groundschool/marks"]
        file["groundschool/marks"] = np.frombuffer(json.dumps(marks).encode(), np.uint8)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "log.hdf5")


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """Return where Minari looks for datasets; its own place is a home that must stay empty."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("MINARI_DATASETS_PATH", raising=False)
    yield tmp_path / "datasets"
    assert not os.listdir(home)


def test_minari_loads_it(datasets, monkeypatch):
    import minari as theirs

    datasets.mkdir()
    minari.write([small().select([0]), small().select([1, 2])], datasets / "ward-v0")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(datasets))
    assert list(theirs.list_local_datasets(compatible_minari_version=True)) == ["ward-v0"]
    dataset = theirs.load_dataset("ward-v0")
    assert (dataset.id, dataset.total_episodes, dataset.total_steps) == ("ward-v0", 3, 5)
    assert dataset.spec.version == 0
    assert dataset.action_space.n == 3
    assert dataset.observation_space.shape == (2,)
    assert dataset.observation_space.dtype == np.float32
    first, second, third = dataset.iterate_episodes()
    assert first.observations.tolist() == [[0, 1], [2, 3], [10, 11]]
    assert first.actions.tolist() == [0, 1]
    assert first.rewards.tolist() == [0.1, -0.0]
    assert first.terminations.tolist() == [False, True]
    assert second.truncations.tolist() == [True]
    assert third.infos["cost_low"].tolist() == [[0], [0], [2]]  # nothing before the first action
    assert third.infos["propensity"][1:].tolist() == [[1], [0.125]]
    assert np.isnan(third.observations[-1]).all()
    assert all(dataset.action_space.contains(action) for action in first.actions)
    assert all(dataset.observation_space.contains(seen) for seen in first.observations)


def test_minari_spaces_cover_all_parts_and_masks_go_with_observations(datasets, monkeypatch):
    import minari as theirs

    masks = np.array([[1, 0], [1, 1], [1, 0], [0, 1], [1, 1]], bool)
    finals = np.array([[0, 1], [1, 0], [1, 1]], bool)
    log = small(
        observations=np.array([0, 1, 2, 3, 9]),
        final_observations=np.array([4, 5, 20]),
        n_actions=None,
        action_masks=masks,
        final_action_masks=finals,
        costs={"a/b": np.ones(5), "a b": np.zeros(5)},
    )
    datasets.mkdir()
    minari.write([log.select([0]), log.select([1]), log.select([2])], datasets / "ids-v3")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(datasets))
    dataset = theirs.load_dataset("ids-v3")
    assert dataset.observation_space.n == 21
    third = dataset[2]
    assert third.observations.tolist() == [3, 9, 20]
    assert third.infos["action_mask"].tolist() == [[False, True], [True, True], [True, True]]
    assert set(third.infos) == {"cost_a_b", "cost_a_b_", "propensity", "action_mask"}
    back = read(datasets / "ids-v3")
    assert back.fingerprint == log.fingerprint
    assert list(back.costs) == ["a/b", "a b"]


def test_minari_repeats_the_last_observation_where_none_followed(datasets, monkeypatch):
    import minari as theirs

    datasets.mkdir()
    minari.write([small(final_observations=None)], datasets / "ward-v0")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(datasets))
    assert theirs.load_dataset("ward-v0")[0].observations.tolist() == [[0, 1], [2, 3], [2, 3]]
    assert read(datasets / "ward-v0").final_observations is None


def test_minari_repeats_the_last_state_where_it_is_unknown_which_followed(datasets, monkeypatch):
    import minari as theirs

    log = small(observations=np.array([0, 1, 2, 3, 4]), final_observations=np.array([-1, 5, 6]))
    datasets.mkdir()
    minari.write([log], datasets / "ids-v0")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(datasets))
    dataset = theirs.load_dataset("ids-v0")
    assert dataset[0].observations.tolist() == [0, 1, 1]  # -1 would be the last of a table
    assert all(dataset.observation_space.contains(seen) for seen in dataset[0].observations)
    assert read(datasets / "ids-v0").final_observations.tolist() == [-1, 5, 6]


def test_minari_datasets_that_grew_are_read_without_our_marks(datasets, monkeypatch):
    import minari as theirs
    from minari.data_collector import EpisodeBuffer

    datasets.mkdir()
    minari.write([small(costs=None, propensities=None)], datasets / "ward-v0")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(datasets))
    more = EpisodeBuffer(
        observations=np.zeros((2, 2), np.float32), actions=np.zeros(1, int), rewards=np.ones(1),
        terminations=np.ones(1, bool), truncations=np.zeros(1, bool),
    )  # fmt: skip
    theirs.load_dataset("ward-v0").update_dataset_from_buffer([more])
    with pytest.raises(InputError, match=r"Delete groundschool\.hdf5"):
        read(datasets / "ward-v0")
    (datasets / "ward-v0" / "data" / "groundschool.hdf5").unlink()
    assert read(datasets / "ward-v0").n_steps == 6


@pytest.mark.parametrize("name", ["ward", "a ward-v0", "ward-v", "-v0x", "wärd-v0"])
def test_minari_needs_a_name_with_a_version(datasets, name):
    with pytest.raises(InputError, match=r"no name for a Minari dataset.* Write to .+-v0"):
        minari.write([small()], datasets / name)
    assert not datasets.exists()


def test_minari_knows_the_name_behind_a_draft(datasets):
    datasets.mkdir()
    draft = datasets / ".ward-v2.0a1b2c3d.tmp"
    minari.write([small()], draft)
    assert json.loads((draft / "data" / "metadata.json").read_text())["dataset_id"] == "ward-v2"


def test_without_minari_the_error_is_the_pip_line(datasets, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(InputError, match=r"pip install 'groundschool\[minari\]'"):
        minari.write([small()], datasets / "ward-v0")
    assert not datasets.exists()


def test_rewards_and_actions_keep_their_type_where_tools_expect_another(tmp_path):
    log = Dataset.from_arrays(np.ones((2, 1)), np.array([[0.5], [1.5]], np.float32), [1, 2], [0, 1], [0, 0])
    d3rlpy.write([log], tmp_path / "log.h5")
    with h5py.File(tmp_path / "log.h5") as file:
        assert (file["actions_0"].dtype, file["rewards_0"].dtype) == (np.float32, np.float64)
