"""Files of offline RL: each field where it belongs, nothing guessed, and no word of a file believed."""

import json
import pickle
import sys
import zipfile

import numpy as np
import pytest

from groundschool.data import Columns, Dataset
from groundschool.data.read import open_source, read, read_raw
from groundschool.data.readers import _rows, formats
from groundschool.data.readers import d3rlpy as d3rlpy_reader
from groundschool.data.readers._pickles import is_pickle, refuse_pickle
from groundschool.errors import InputError

h5py = pytest.importorskip("h5py")

N = 7
TERMINALS = np.array([0, 0, 1, 0, 0, 0, 0], bool)
TIMEOUTS = np.array([0, 0, 0, 0, 1, 0, 1], bool)
STARTS = [0, 3, 5, 7]


def fields(**changes):
    """Return the arrays of a D4RL log of three episodes: one terminated, two cut off."""
    rng = np.random.default_rng(0)
    arrays = {
        "observations": rng.normal(size=(N, 3)).astype(np.float32),
        "actions": rng.normal(size=(N, 1)).astype(np.float32),
        "rewards": rng.normal(size=(N, 1)),
        "terminals": TERMINALS,
        "timeouts": TIMEOUTS,
    }
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def hdf5(path, arrays, **options):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, **(options if np.ndim(values) else {}))
    return path


def columns_of(source, names=None):
    """Return whole columns of a source."""
    batches = list(source.batches(list(source.kinds) if names is None else names))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_d4rl_fields(tmp_path):
    arrays = fields()
    source = open_source(hdf5(tmp_path / "a.hdf5", arrays | {"infos/qpos": np.ones((N, 2)), "metadata/algorithm": 3.0}))
    assert source.format == "d4rl"
    assert source.n_rows == N
    assert source.kinds == {
        "observations": "list",
        "actions": "list",
        "rewards": "number",
        "terminals": "flag",
        "timeouts": "flag",
        "infos/qpos": "list",
    }
    assert any("metadata/" in note for note in source.notes)
    log = read(tmp_path / "a.hdf5")
    np.testing.assert_array_equal(log.observations, arrays["observations"])
    assert log.observations.dtype == np.float32
    np.testing.assert_array_equal(log.actions, arrays["actions"])
    np.testing.assert_array_equal(log.rewards, arrays["rewards"][:, 0])
    np.testing.assert_array_equal(log.terminated, TERMINALS)
    np.testing.assert_array_equal(log.truncated, TIMEOUTS)
    assert log.starts.tolist() == STARTS
    assert log.final_observations is None
    assert not log.costs


def test_d4rl_without_timeouts_is_asked_about_and_never_guessed(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", fields(timeouts=None))
    assert any("no timeouts" in note for note in open_source(path).notes)
    with pytest.raises(InputError):
        read(path)
    assert read_raw(path).starts.tolist() == [0, 3, 7]
    log = read(path, columns=Columns(last_row="truncated"))
    assert log.starts.tolist() == [0, 3, 7]
    assert log.truncated.tolist() == [False] * 6 + [True]


def test_arrays_of_another_length_are_left_aside_and_named(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", fields() | {"groups": np.arange(3), "infos/seed": 3})
    source = open_source(path)
    assert set(source.kinds) == set(fields())
    assert any("groups (3,), infos/seed" in note for note in source.notes)


def test_next_observations_hold_the_final_ones(tmp_path):
    after = np.arange(N * 3.0).reshape(N, 3).astype(np.float32)
    log = read(hdf5(tmp_path / "a.hdf5", fields(next_observations=after)))
    np.testing.assert_array_equal(log.final_observations, after[[2, 4, 6]])


def test_dsrl_costs_and_a_column_named_by_the_user(tmp_path):
    cost, other = np.arange(N) / 7, np.arange(N)[:, None] % 2
    path = hdf5(tmp_path / "a.hdf5", fields(costs=cost) | {"infos/crash": other})
    assert open_source(path).format == "dsrl"
    np.testing.assert_array_equal(read(path).costs["cost"], cost)
    log = read(path, columns=Columns(costs={"crash": "infos/crash", "far": "costs > 0.5"}))
    np.testing.assert_array_equal(log.costs["crash"], other[:, 0])
    np.testing.assert_array_equal(log.costs["far"], cost > 0.5)


def test_integers_are_state_ids_and_counted_actions(tmp_path):
    path = hdf5(tmp_path / "a.h5", fields(observations=np.arange(N, dtype=np.int32), actions=np.arange(N) % 2))
    log = read(path)
    assert log.observations.dtype == np.int64
    assert log.n_actions == 2


def test_any_table_of_arrays_can_be_mapped(tmp_path):
    arrays = {
        "a/x": np.arange(4.0),
        "dose": np.array([0, 1, 1, 0]),
        "gain": np.ones(4),
        "stay": np.array([b"p", b"p", b"q", b"q"]),
    }
    path = hdf5(tmp_path / "a.h5", arrays)
    said = Columns(observations=["a/x"], action="dose", reward="gain", episode="stay", last_row="truncated")
    log = read(path, columns=said)
    assert log.episode_ids.tolist() == ["p", "q"]
    assert log.observations.tolist() == [[0.0], [1.0], [2.0], [3.0]]


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_slices_of_any_size_give_the_same_rows(tmp_path, monkeypatch, rows):
    arrays = fields(costs=np.arange(N) / 3.0)
    path = hdf5(tmp_path / "a.hdf5", arrays, chunks=True, compression="gzip", shuffle=True)
    np.savez(
        tmp_path / "a.npz", **arrays, final_observations=np.ones((3, 3), np.float32), groups=np.array(["a", "b", "a"])
    )
    monkeypatch.setattr(_rows, "BATCH_ROWS", rows)
    for one in (path, tmp_path / "a.npz"):
        source = open_source(one)
        assert max(len(batch["rewards"]) for batch in source.batches(["rewards"])) <= rows
        found = columns_of(source)
        for name in arrays:
            np.testing.assert_array_equal(found[name], arrays[name].reshape(found[name].shape), err_msg=name)
    after = np.concatenate([arrays["observations"][1:], np.ones((1, 3), np.float32)])
    after[[2, 4]] = 1
    np.testing.assert_array_equal(found["next_observations"], after)
    assert found["groups"].tolist() == list("aaabbaa")


def test_text_of_any_length_and_flags_as_numbers(tmp_path):
    stay = np.array(["ä", "ä", "ä", "b", "b", "c" * 300, "c" * 300], dtype=object)
    path = hdf5(tmp_path / "a.hdf5", fields(terminals=TERMINALS.astype(np.float32), whole=stay))
    with h5py.File(path, "a") as file:
        file.create_dataset("stay", data=stay, chunks=(2,))
        file.create_dataset("packed", data=stay, chunks=(2,), compression="gzip")
    log = read(path, columns=Columns(episode="stay"))
    assert log.episode_ids.tolist() == ["ä", "b", "c" * 300]
    source = open_source(path)
    assert columns_of(source, ["whole"])["whole"].tolist() == stay.tolist()
    assert "packed" not in source.kinds
    assert any("packed" in note for note in source.notes)


# Files that say one thing and hold another.


def test_fields_of_different_lengths_are_both_named(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", fields(rewards=np.ones(N - 1)))
    with pytest.raises(InputError, match=r"'actions' has 7 rows, but 'rewards' has 6"):
        read(path)
    np.savez(tmp_path / "a.npz", **fields(rewards=np.ones(N + 1)))
    with pytest.raises(InputError, match=r"'observations' has 7 rows, but 'rewards' has 8"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("chunks", [None, (1024,)])
def test_a_shape_that_is_not_stored_is_refused_and_not_allocated(tmp_path, chunks):
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        for name in fields():
            file.create_dataset(name, shape=(10**12,), dtype="f8", chunks=chunks)
    with pytest.raises(InputError, match=r"declares shape \(1000000000000,\), but not all of it is stored"):
        read(path)


def test_rows_that_were_never_written_are_refused(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", fields())
    with h5py.File(path, "a") as file:
        costs = file.create_dataset("costs", shape=(N,), dtype="f8", chunks=(2,))
        costs[:4] = 1.0  # the rest would read as no cost
    with pytest.raises(InputError, match="'costs' declares shape"):
        read(path)


@pytest.mark.parametrize("how", ["virtual", "external", "link"])
def test_other_files_are_not_followed(tmp_path, how):
    other = hdf5(tmp_path / "other.h5", {"secret": np.arange(float(N))})
    path = hdf5(tmp_path / "a.hdf5", fields())
    with h5py.File(path, "a") as file:
        if how == "virtual":
            layout = h5py.VirtualLayout(shape=(N,), dtype="f8")
            layout[:] = h5py.VirtualSource(other, "secret", shape=(N,))
            file.create_virtual_dataset("costs", layout)
        elif how == "external":
            file.create_dataset("costs", shape=(N,), dtype="f8", external=[(str(other), 0, N * 8)])
        else:
            file["costs"] = h5py.ExternalLink(str(other), "secret")
    if how == "link":
        source = open_source(path)
        assert "costs" not in source.kinds
        assert any("costs (a link)" in note for note in source.notes)
    else:
        with pytest.raises(InputError, match="refers to other files"):
            read(path)


def test_groups_that_contain_themselves_end(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", fields())
    with h5py.File(path, "a") as file:
        file.create_group("infos")["again"] = file["/"]
    assert read(path).n_steps == N


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(4096)])
def test_what_is_no_hdf5_file_is_refused(tmp_path, content):
    (tmp_path / "a.hdf5").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.hdf5: cannot be read as HDF5"):
        read(tmp_path / "a.hdf5")


def test_a_file_cut_short_is_refused(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", fields())
    whole = path.read_bytes()
    for keep in (len(whole) // 3, len(whole) // 2, len(whole) - 8):
        path.write_bytes(whole[:keep])
        with pytest.raises(InputError):
            read(path)


def test_free_space_of_no_size_among_texts_is_an_error_and_no_endless_loop(tmp_path):
    path = hdf5(tmp_path / "a.h5", {"version": "2.1", "num_episodes": 1, "columns": ["observations"]})
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16 : heap + 200] = bytes(184)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read(path)


def test_without_h5py_the_error_is_the_pip_line(tmp_path, monkeypatch):
    path = hdf5(tmp_path / "a.hdf5", fields())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"pip install 'groundschool\[hdf5\]'"):
        read(path)


# d3rlpy


def v1(path, **changes):
    arrays = {**fields(timeouts=None), "episode_terminals": TERMINALS | TIMEOUTS, "version": "1.1", **changes}
    return hdf5(path, {name: values for name, values in arrays.items() if values is not None})


def v2(path, episodes, version="2.1"):
    """Write episodes, each (observations, actions, rewards, terminated), as d3rlpy does."""
    with h5py.File(path, "w") as file:
        file["columns"] = ["observations", "actions", "rewards", "terminated"]
        file["num_episodes"] = len(episodes)
        for i, (observations, actions, rewards, terminated) in enumerate(episodes):
            if isinstance(observations, tuple):
                for j, part in enumerate(observations):
                    file[f"observations_{i}_{j}"] = part
            else:
                file[f"observations_{i}"] = observations
            file[f"actions_{i}"], file[f"rewards_{i}"], file[f"terminated_{i}"] = actions, rewards, terminated
        file["version"] = version
    return path


def episode(length, terminated, *, actions=None, start=0.0):
    observations = start + np.arange(length * 2.0).reshape(length, 2)
    actions = np.arange(length)[:, None] % 3 if actions is None else actions
    return observations, actions, np.ones((length, 1)), terminated


def test_d3rlpy_v1(tmp_path):
    log = read(v1(tmp_path / "a.h5", discrete_action=False))
    assert log.starts.tolist() == STARTS
    np.testing.assert_array_equal(log.truncated, TIMEOUTS)
    np.testing.assert_array_equal(log.actions, fields()["actions"])
    counted = v1(tmp_path / "b.h5", discrete_action=True, actions=np.arange(N, dtype=np.float32)[:, None] % 2)
    assert read(counted).actions.tolist() == [0, 1, 0, 1, 0, 1, 0]
    silent = v1(tmp_path / "c.h5", episode_terminals=None, discrete_action=False)
    with pytest.raises(InputError):
        read(silent)
    assert read(silent, columns=Columns(last_row="truncated")).starts.tolist() == [0, 3, 7]


def test_d3rlpy_v2(tmp_path):
    path = v2(tmp_path / "a.h5", [episode(3, True), episode(1, False, start=9.0), episode(2, False)])
    log = read(path)
    assert log.starts.tolist() == [0, 3, 4, 6]
    assert log.terminated.tolist() == [False, False, True, False, False, False]
    assert log.truncated.tolist() == [False, False, False, True, False, True]
    assert log.actions.tolist() == [0, 1, 2, 0, 0, 1]
    assert log.observations[3].tolist() == [9.0, 10.0]
    assert log.rewards.tolist() == [1.0] * 6
    assert log.final_observations is None


def test_d3rlpy_observations_of_several_parts(tmp_path):
    parts = [((np.ones((2, 1)), np.zeros((2, 2))), np.zeros((2, 1), int), np.ones((2, 1)), True)]
    log = read(v2(tmp_path / "a.h5", parts))
    assert log.observations.tolist() == [[1.0, 0.0, 0.0]] * 2


def test_whole_numbers_stored_as_floats_are_asked_about(tmp_path):
    path = v2(tmp_path / "a.h5", [episode(3, True, actions=np.array([[0.0], [1.0], [1.0]]))])
    with pytest.raises(InputError, match="action_kind"):
        read(path)
    assert read(path, columns=Columns(action_kind="discrete")).actions.tolist() == [0, 1, 1]
    assert read(path, columns=Columns(action_kind="continuous")).actions.tolist() == [[0.0], [1.0], [1.0]]
    fractions = v2(tmp_path / "b.h5", [episode(3, True, actions=np.array([[0.5], [1.0], [1.0]]))])
    assert read(fractions).actions.shape == (3, 1)


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_d3rlpy_versions_that_are_not_read(tmp_path, version):
    with pytest.raises(InputError, match=f"version '{version}' is not read"):
        read(v2(tmp_path / "a.h5", [episode(2, True)], version=version))


def test_d3rlpy_damage_is_named(tmp_path):
    path = v2(tmp_path / "a.h5", [episode(2, True), episode(3, True)])
    with h5py.File(path, "a") as file:
        del file["rewards_1"]
        file["rewards_1"] = np.ones((2, 1))
    with pytest.raises(InputError, match="'observations_1' has 3 rows, but 'rewards_1' has 2"):
        read(path)
    with h5py.File(path, "a") as file:
        del file["rewards_1"]
    with pytest.raises(InputError, match="no 'rewards_1'"):
        read(path)
    with h5py.File(path, "a") as file:
        file["rewards_1"] = np.ones((3, 1))
        del file["observations_1"]
        file["observations_1"] = np.ones((3, 5))
    with pytest.raises(InputError, match=r"'observations_1' has shape \(3, 5\), unlike 'observations_0'"):
        read(path)
    with h5py.File(path, "a") as file:
        del file["num_episodes"]
        file["num_episodes"] = 10**9
        del file["observations_1"]
        file["observations_1"] = np.ones((3, 2))
    with pytest.raises(InputError, match="no 'terminated_2'"):
        read(path)


# .npz


def arguments(**changes):
    """Return arguments of `Dataset.from_arrays` for three episodes."""
    rng = np.random.default_rng(1)
    masks = np.ones((N, 3), bool)
    given = {
        "observations": rng.normal(size=(N, 2)),
        "actions": np.arange(N) % 3,
        "rewards": rng.normal(size=N),
        "terminated": TERMINALS,
        "truncated": TIMEOUTS,
        "propensities": rng.uniform(0.1, 1, N),
        "action_masks": masks,
        "final_observations": rng.normal(size=(3, 2)),
        "final_action_masks": np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1]], bool),
        "groups": np.array([4, 4, 5]),
        "episode_ids": np.array(["a", "b", "c"]),
        "times": np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "datetime64[D]"),
        "n_actions": 3,
        "horizon": 9,
        "return_range": (-100.0, 100.0),
        "features": ("heart rate", "x"),
    }
    return {name: value for name, value in {**given, **changes}.items() if value is not None}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_as_from_arrays_names_it(tmp_path, save):
    given = arguments()
    save(tmp_path / "a.npz", **given, cost_harm=np.arange(N) / 2)
    log = read(tmp_path / "a.npz")
    assert log.fingerprint == Dataset.from_arrays(**given, costs={"harm": np.arange(N) / 2}).fingerprint


def test_npz_in_fortran_order_and_the_names_of_dsrl(tmp_path):
    arrays = fields(costs=np.ones(N), observations=np.asfortranarray(np.arange(N * 3.0).reshape(N, 3)))
    np.savez(tmp_path / "a.npz", **arrays)
    log = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(log.observations, arrays["observations"])
    assert log.costs["cost"].tolist() == [1.0] * N


def test_npz_arrays_of_episodes_must_fit_them(tmp_path):
    np.savez(tmp_path / "a.npz", **arguments(groups=np.arange(4)))
    with pytest.raises(InputError, match="'groups' has 4 entries for 3 episodes"):
        read(tmp_path / "a.npz")


def test_pickled_arrays_are_refused_by_name_and_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    np.savez(tmp_path / "a.npz", **arguments(), infos=np.array([Bomb()], dtype=object))
    with pytest.raises(InputError, match="array 'infos' is pickled"):
        read(tmp_path / "a.npz")


def header(shape):
    """Return the head of an .npy file that promises `shape` of float64."""
    text = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("shape", [(10**12,), (10**15, 10**15), (N + 1,)])
def test_npz_shapes_are_compared_with_what_is_stored(tmp_path, shape):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("rewards.npy", header(shape) + np.ones(N).tobytes())
    with pytest.raises(InputError, match="is not what is stored"):
        read(tmp_path / "a.npz")


def test_npz_with_two_arrays_of_one_name_is_refused(tmp_path):
    content = header((N,)) + np.ones(N).tobytes()
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("rewards.npy", content)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("rewards.npy", content)
    with pytest.raises(InputError, match="two arrays 'rewards'"):
        read(tmp_path / "a.npz")


# Pickles, and which reader takes what


@pytest.mark.parametrize(
    ("name", "advice"),
    [("a.pkl", "numpy.savez"), ("a.pickle", "numpy.savez"), ("a.d3", "ReplayBuffer.dump"), ("a.pt", "numpy.savez"),
     ("a.joblib", "numpy.savez"), ("a.npy", "numpy.savez"), ("log", "numpy.savez")],
)  # fmt: skip
def test_pickles_are_refused_with_what_to_do(tmp_path, name, advice):
    (tmp_path / name).write_bytes(pickle.dumps({"observations": [1]}))
    assert is_pickle(tmp_path / name)
    with pytest.raises(InputError, match=advice):
        refuse_pickle(tmp_path / name)


def test_each_file_is_recognised_by_one_reader(tmp_path):
    np.savez(tmp_path / "a.npz", **fields())
    files = {
        "d4rl": hdf5(tmp_path / "d4rl.h5", fields()),
        "dsrl": hdf5(tmp_path / "dsrl.h5", fields(costs=np.ones(N))),
        "d3rlpy": v2(tmp_path / "v2.h5", [episode(2, True)]),
        "npz": tmp_path / "a.npz",
    }
    files_1 = {"d3rlpy": v1(tmp_path / "v1.h5", discrete_action=True)}
    for expected, path in [*files.items(), *files_1.items()]:
        assert [name for name, reader in formats().items() if reader.recognise(path)] == [expected]
    for name, reader in formats().items():
        assert not reader.recognise(tmp_path / "nothing"), name
        assert not reader.recognise(tmp_path), name


def test_a_reader_named_for_another_format_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="has no 'observations'"):
        d3rlpy_reader.open(hdf5(tmp_path / "a.h5", {"x": np.ones(3)}))
    with pytest.raises(InputError, match="holds no field of a log by name"):
        read(hdf5(tmp_path / "b.h5", {"x": np.ones(3), "y": np.ones(4)}))
    with pytest.raises(InputError, match="holds no arrays"):
        read(hdf5(tmp_path / "c.h5", {}))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "metadata.json").write_text(json.dumps({"name": "something else"}))
    with pytest.raises(InputError, match="no reader recognises it"):
        read(tmp_path / "d")
