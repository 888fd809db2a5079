"""d3rlpy's files: what we write d3rlpy loads, and what d3rlpy writes we read."""

import numpy as np
import pytest

from data.writers.written_logs import parts_of, small
from groundschool.data import Columns
from groundschool.data.d3rlpy_format import from_mdp_dataset, to_mdp_dataset
from groundschool.data.read import read
from groundschool.data.writers import d3rlpy as writer

h5py = pytest.importorskip("h5py")
pytestmark = [pytest.mark.d3rlpy, pytest.mark.filterwarnings("ignore")]


def load(path):
    import d3rlpy

    with path.open("rb") as file:
        return d3rlpy.dataset.ReplayBuffer.load(file, d3rlpy.dataset.InfiniteBuffer())


def log_of(kind, lengths=(3, 1, 4), ends="tct", *, finals=True):
    """Return a log whose episodes terminate or are cut off, with observations and actions of a kind."""
    rng = np.random.default_rng(0)
    n, last = sum(lengths), np.cumsum(lengths) - 1
    observe = {
        "vector": lambda m: rng.normal(size=(m, 2)).astype(np.float32),
        "image": lambda m: rng.random((m, 3, 4, 4)).astype(np.float32),
        "ids": lambda m: rng.integers(0, 9, m),
        "continuous": lambda m: rng.normal(size=(m, 2)),
    }[kind]
    flags = {end: np.isin(np.arange(n), last[[own == end for own in ends]]) for end in "tc"}
    return small(
        observations=observe(n),
        actions=rng.normal(size=(n, 2)) if kind == "continuous" else np.arange(n) % 3,
        rewards=rng.normal(size=n),
        terminated=flags["t"],
        truncated=flags["c"],
        costs={"low": rng.random(n)},
        propensities=None,
        final_observations=observe(len(lengths)) if finals else None,
        n_actions=None if kind == "continuous" else 3,
    )


@pytest.mark.parametrize("kind", ["vector", "image", "ids", "continuous"])
@pytest.mark.parametrize("finals", [True, False])
def test_d3rlpy_finds_the_episodes_that_it_would_be_given_in_memory(kind, finals, tmp_path):
    log = log_of(kind, lengths=(3, 2, 4), finals=finals)
    writer.write(parts_of(log, 2), tmp_path / "log.h5")
    loaded, given = load(tmp_path / "log.h5"), to_mdp_dataset(log)
    assert len(loaded.episodes) == len(given.episodes) == 3
    assert loaded.transition_count == given.transition_count
    for ours, theirs in zip(loaded.episodes, given.episodes, strict=True):
        assert bool(ours.terminated) == bool(theirs.terminated)
        for name in ("observations", "actions", "rewards"):
            one, other = getattr(ours, name), getattr(theirs, name)
            assert (one.dtype, one.shape) == (other.dtype, other.shape), name
            np.testing.assert_array_equal(one, other, err_msg=name)
    assert loaded.dataset_info.action_space == given.dataset_info.action_space
    assert loaded.dataset_info.action_size == given.dataset_info.action_size
    assert read(tmp_path / "log.h5").fingerprint == log.fingerprint


def test_every_step_is_a_transition_where_final_observations_are_known(tmp_path):
    log = log_of("vector")
    writer.write([log], tmp_path / "log.h5")
    dataset = load(tmp_path / "log.h5")
    assert dataset.transition_count == log.n_steps
    cut = dataset.transition_picker(dataset.episodes[1], 0)
    np.testing.assert_array_equal(cut.next_observation, log.final_observations[1])
    assert cut.terminal == 0.0


def test_what_d3rlpy_leaves_out_is_what_we_said(tmp_path):
    log = log_of("vector", finals=False)
    losses = writer.write([log], tmp_path / "log.h5")
    assert [loss for loss in losses if "(1), and leaves those of one step out (1)" in loss]
    dataset = load(tmp_path / "log.h5")
    assert dataset.size() == 2  # the truncated episode of one step is gone
    assert dataset.transition_count == log.n_steps - 1


def test_d3rlpy_trains_on_it(tmp_path):
    import d3rlpy

    writer.write([log_of("vector", lengths=(9, 9, 9))], tmp_path / "log.h5")
    algorithm = d3rlpy.algos.DiscreteCQLConfig(batch_size=4).create(device="cpu:0")
    quiet = {"show_progress": False, "logger_adapter": d3rlpy.logging.NoopAdapterFactory()}
    algorithm.fit(load(tmp_path / "log.h5"), n_steps=2, n_steps_per_epoch=2, **quiet)
    assert algorithm.action_size == 3


@pytest.mark.parametrize("kind", ["vector", "image", "ids", "continuous"])
def test_what_d3rlpy_dumps_is_read(kind, tmp_path):
    log = log_of(kind, lengths=(3, 2, 4), finals=False)
    dataset = to_mdp_dataset(log)
    with (tmp_path / "log.h5").open("w+b") as file:
        dataset.dump(file)
    back, expected = read(tmp_path / "log.h5"), from_mdp_dataset(dataset)
    for name in ("observations", "actions", "rewards", "terminated", "truncated", "starts"):
        one, other = getattr(back, name), getattr(expected, name)
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one, other, err_msg=name)


def test_the_row_that_a_dump_holds_for_a_final_observation_is_read_as_it_stands(tmp_path):
    log = log_of("vector", lengths=(3, 2, 1), ends="tct")
    with (tmp_path / "log.h5").open("w+b") as file:
        to_mdp_dataset(log).dump(file)
    assert read(tmp_path / "log.h5").lengths.tolist() == [3, 3, 1]


def test_version_1_is_read_as_d3rlpy_reads_it(tmp_path):
    from d3rlpy.dataset.io import load_v1

    log = log_of("vector", finals=False)
    path = tmp_path / "v1.h5"
    with h5py.File(path, "w") as file:
        file["observations"], file["actions"], file["rewards"] = log.observations, log.actions, log.rewards
        file["terminals"] = log.terminated.astype(np.float32)
        file["episode_terminals"] = (log.terminated | log.truncated).astype(np.float32)
        file["discrete_action"], file["version"] = True, "1.1"
    with path.open("rb") as file:
        theirs = load_v1(file)
    ours = read(path, columns=Columns(n_actions=3))
    assert ours.lengths.tolist() == [len(episode) for episode in theirs] == [3, 1, 4]
    assert ours.terminated[ours.starts[1:] - 1].tolist() == [episode.terminated for episode in theirs]
    np.testing.assert_array_equal(ours.rewards, np.concatenate([episode.rewards[:, 0] for episode in theirs]))
    assert ours.n_actions == 3
