"""Minari datasets that Minari itself wrote, in each of its formats, and damaged ones."""

import json
import shutil

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from groundschool.data import Columns
from groundschool.data.read import open_source, read, read_raw
from groundschool.data.readers import _rows
from groundschool.data.readers import minari as reader
from groundschool.errors import InputError

pytest.importorskip("minari")
pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore")

FORMATS = ("hdf5", "arrow", "parquet")
LENGTHS = (3, 1, 4)
TERMINATED = (True, False, False)


def real(*shape, dtype=np.float32):
    return spaces.Box(-np.inf, np.inf, shape, dtype)


def draw(space, n, rng):
    """Return n values of a space, as Minari keeps them."""
    if isinstance(space, spaces.Dict):
        return {key: draw(part, n, rng) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(draw(part, n, rng) for part in space)
    if isinstance(space, spaces.Discrete):
        return space.start + rng.integers(0, space.n, n)
    if isinstance(space, spaces.Text):
        return ["word"] * n
    if space.dtype.kind in "iu":
        return rng.integers(0, 2, (n, *space.shape)).astype(space.dtype)
    return rng.normal(size=(n, *space.shape)).astype(space.dtype)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a dataset with Minari, and return its path and what is in it."""
    import minari
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    def make(form, observation, action, *, infos=None, values=None, seed=None):
        rng = np.random.default_rng(0)
        episodes = []
        for length, terminated in zip(LENGTHS, TERMINATED, strict=True):
            last = np.arange(length) == length - 1
            episodes.append(
                {
                    "observations": draw(observation, length + 1, rng) if values is None else values(length + 1),
                    "actions": draw(action, length, rng),
                    "rewards": rng.normal(size=length),
                    "terminations": last & terminated,
                    "truncations": last & (not terminated),
                    "infos": None if infos is None else infos(length + 1),
                }
            )
        minari.create_dataset_from_buffers(
            f"set-{form}-v0",
            [EpisodeBuffer(seed=seed, **one) for one in episodes],
            observation_space=observation,
            action_space=action,
            data_format=form,
        )
        return tmp_path / f"set-{form}-v0", episodes

    return make


@pytest.mark.parametrize("form", FORMATS)
def test_steps_ends_and_final_observations(write, form):
    path, episodes = write(form, real(2, 3, dtype=np.float64), spaces.Discrete(5))
    assert [reader.recognise(one) for one in (path, path / "data", path.parent)] == [True, True, False]
    log = read(path)
    assert log.starts.tolist() == [0, 3, 4, 8]
    assert log.episode_ids.tolist() == [0, 1, 2]
    assert log.n_actions == 5
    for e, episode in enumerate(episodes):
        rows = slice(log.starts[e], log.starts[e + 1])
        np.testing.assert_array_equal(log.observations[rows], episode["observations"][:-1])
        np.testing.assert_array_equal(log.final_observations[e], episode["observations"][-1])
        for ours, theirs in (("actions", "actions"), ("rewards", "rewards"), ("terminated", "terminations")):
            np.testing.assert_array_equal(getattr(log, ours)[rows], episode[theirs])
        np.testing.assert_array_equal(log.truncated[rows], episode["truncations"])
    assert read(path / "data").fingerprint == log.fingerprint


SPACES = {
    "vector": (real(3), spaces.Discrete(4), (8, 3), (8,)),
    "states": (spaces.Discrete(9), real(2), (8,), (8, 2)),
    "one number": (real(), real(1), (8, 1), (8, 1)),
    "measured integer": (spaces.Box(0, 9, (), np.int64), real(1), (8, 1), (8, 1)),
    "integers": (spaces.MultiBinary(4), real(1), (8, 4), (8, 1)),
    "dict": (
        spaces.Dict(
            {"z": real(2), "a": spaces.Discrete(3), "t": spaces.Tuple((real(1), spaces.MultiDiscrete([2, 2])))}
        ),
        real(2),
        (8, 6),
        (8, 2),
    ),
    "dict of states": (spaces.Dict({"s": spaces.Discrete(4)}), real(1), (8,), (8, 1)),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", SPACES)
def test_spaces(write, form, case):
    observation, action, seen, done = SPACES[case]
    path, episodes = write(form, observation, action)
    log = read_raw(path)
    assert log.observations.shape == seen
    assert log.actions.shape == done
    for e, episode in enumerate(episodes):
        stored = episode["observations"]
        if isinstance(stored, dict) and "z" in stored:
            stored = np.concatenate([stored["a"][:, None], *stored["t"], stored["z"]], axis=1)
        elif isinstance(stored, dict):
            stored = stored["s"]
        rows = slice(log.starts[e], log.starts[e + 1])
        np.testing.assert_array_equal(log.observations[rows], stored[:-1].reshape(log.observations[rows].shape))
        np.testing.assert_array_equal(log.final_observations[e].ravel(), np.ravel(stored[-1]))


@pytest.mark.parametrize("form", FORMATS)
def test_parts_of_observations_can_be_chosen(write, form):
    path, episodes = write(form, SPACES["dict"][0], real(2))
    source = open_source(path)
    assert source.columns.observations == ("observations/a", "observations/t/0", "observations/t/1", "observations/z")
    after = Columns(observations="observations/z", next_observations="next_observations/z")
    log = read(path, columns=after)
    np.testing.assert_array_equal(log.final_observations, [one["observations"]["z"][-1] for one in episodes])


@pytest.mark.parametrize("form", FORMATS)
def test_infos_belong_to_the_action_before_them_or_to_the_observation_beside_them(write, form):
    def infos(n):
        rows = np.arange(float(n))
        return {"cost": rows[:, None], "deep": {"mask": rows[:, None] >= np.arange(2)}, "word": ["x"] * n}

    path, _ = write(form, real(2), spaces.Discrete(2), infos=infos)
    source = open_source(path)
    wanted = ["infos/cost", "infos_before/cost", "infos_before/deep/mask", "infos/word"]
    (batch,) = source.batches(wanted)
    assert batch["infos/cost"].tolist() == [1, 2, 3, 1, 1, 2, 3, 4]
    assert batch["infos_before/cost"].tolist() == [0, 1, 2, 0, 0, 1, 2, 3]
    assert batch["infos_before/deep/mask"][:3].tolist() == [[True, False], [True, True], [True, True]]
    assert batch["infos/word"].tolist() == ["x"] * 8
    assert any('costs={"cost": "infos/cost"}' in note for note in source.notes)
    assert not read(path).costs
    assert read(path, columns=Columns(costs={"harm": "infos/cost"})).costs["harm"].tolist() == [1, 2, 3, 1, 1, 2, 3, 4]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("shape", [(32, 33, 3), (40, 32)])
def test_images_are_decoded(write, form, shape):
    rng = np.random.default_rng(0)
    space = spaces.Box(0, 255, shape, np.uint8)
    shades = rng.integers(0, 256, 64)  # of images in one shade, which JPEG keeps to within one step
    count = iter(range(64))
    path, episodes = write(
        form,
        space,
        spaces.Discrete(2),
        values=lambda n: np.stack([np.full(shape, shades[next(count)], np.uint8) for _ in range(n)]),
    )
    log = read(path)
    assert log.observations.shape == (8, *shape)
    expected = np.concatenate([one["observations"][:-1] for one in episodes])
    assert np.abs(log.observations - expected).max() <= 2
    assert log.final_observations.shape == (3, *shape)


def test_images_of_different_length_in_bytes(write):
    rng = np.random.default_rng(0)
    space = spaces.Box(0, 255, (32, 32), np.uint8)
    path, _ = write(
        "hdf5", space, spaces.Discrete(2), values=lambda n: rng.integers(0, 256, (n, 32, 32)).astype(np.uint8)
    )
    import h5py
    import minari

    with h5py.File(path / "data" / "main_data.hdf5") as file:
        assert file["episode_0/observations"].dtype.kind == "O"
    theirs = minari.load_dataset("set-hdf5-v0")[0].observations
    np.testing.assert_array_equal(read(path).observations[:3], theirs[:-1])


@pytest.mark.parametrize("form", FORMATS)
def test_actions_that_do_not_start_at_0_do_here(write, form):
    path, episodes = write(form, real(1), spaces.Discrete(3, start=-1))
    log = read(path)
    np.testing.assert_array_equal(log.actions, np.concatenate([one["actions"] for one in episodes]) + 1)
    assert log.n_actions == 3
    assert any("begin at -1" in note for note in log.notes)


@pytest.mark.parametrize("form", FORMATS)
def test_actions_of_several_choices_are_not_taken_for_measures(write, form):
    path, _ = write(form, real(1), spaces.MultiDiscrete([2, 3]))
    assert any("made of several parts" in note for note in open_source(path).notes)
    with pytest.raises(InputError, match="action is not said"):
        read(path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_windows_of_any_size_give_the_same_steps(write, form, rows, monkeypatch):
    from groundschool.data.readers import _minari_files

    path, _ = write(form, real(2), spaces.Discrete(2), infos=lambda n: {"x": np.arange(float(n))})
    wanted = ["observations", "next_observations", "actions", "infos/x", "infos_before/x", "rewards"]
    whole = list(open_source(path).batches(wanted))
    monkeypatch.setattr(_rows, "BATCH_ROWS", rows)
    monkeypatch.setattr(_minari_files, "BATCH_ROWS", rows)
    pieces = list(open_source(path).batches(wanted))
    assert len(pieces) > 1
    for name in wanted:
        joined = np.concatenate([piece[name] for piece in pieces])
        np.testing.assert_array_equal(joined, np.concatenate([batch[name] for batch in whole]), err_msg=name)


def test_seeds_are_left_aside_and_said_so(write):
    path, _ = write("hdf5", real(1), real(1), seed=3)
    assert any("Seeds" in note for note in open_source(path).notes)


def edit(path, **changes):
    file = path / "data" / "metadata.json"
    metadata = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({name: value for name, value in metadata.items() if value is not None}))


def test_no_environment_is_made_of_a_spec(write):
    path, _ = write("hdf5", real(2), spaces.Discrete(2))
    spec = gym.envs.registration.EnvSpec("Bomb-v0", entry_point="os:abort").to_json()
    edit(path, env_spec=spec, observation_space=None, action_space=None)
    log = read(path)
    assert log.observations.shape == (8, 2)
    assert log.actions.shape == (8,)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minari_version": "0.6.0"}, "written by Minari 0.6.0"),
        ({"minari_version": "next"}, "written by Minari next"),
        ({"total_episodes": 4}, "metadata.json says 4"),
        ({"total_episodes": 0}, "total_episodes is 0"),
        ({"total_episodes": "3"}, "total_episodes is '3'"),
        ({"data_format": "pickle"}, "data_format is 'pickle'"),
        ({"observation_space": '{"type": "Graph"}'}, "'Graph'"),
        ({"observation_space": '{"type": "Box"}'}, "observation_space is a space that cannot be read"),
        ({"action_space": "[" * 100_000}, "action_space"),
    ],
)
def test_metadata_that_cannot_be_relied_on(write, form, changes, message):
    path, _ = write(form, real(1), spaces.Discrete(2))
    edit(path, **changes)
    with pytest.raises(InputError, match=message):
        read(path)


@pytest.mark.parametrize("form", FORMATS)
def test_datasets_that_are_not_complete(write, form):
    path, _ = write(form, real(1), spaces.Discrete(2))
    (path / "data" / "metadata.json").write_text("{" + '"data_format"')
    with pytest.raises(InputError, match="is damaged"):
        read(path)
    (path / "data" / "metadata.json").unlink()
    with pytest.raises(InputError, match=r"no data/metadata\.json"):
        reader.open(path)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_an_episode_that_is_missing_or_empty(write, form):
    path, _ = write(form, real(1), spaces.Discrete(2))
    (path / "data" / "1" / f"part-0.{form}").unlink()
    with pytest.raises(InputError, match=f"no .{form} file"):
        read(path)
    shutil.rmtree(path / "data" / "1")
    with pytest.raises(InputError, match=r"holds 2 episodes, but metadata\.json says 3"):
        read(path)


def test_arrays_of_an_episode_must_fit(write):
    import h5py

    path, _ = write("hdf5", real(1), spaces.Discrete(2))
    with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
        del file["episode_2/observations"]
        file["episode_2/observations"] = np.ones((4, 1), np.float32)  # none after the last action
    with pytest.raises(InputError, match="'episode_2/rewards' has 4 rows, but 'episode_2/observations' has 3"):
        read(path)
    with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
        del file["episode_2/observations"]
    with pytest.raises(InputError, match="no 'episode_2/observations'"):
        read(path)
