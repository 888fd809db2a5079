"""Logs to d3rlpy's MDPDataset and back; run by `make test-d3rlpy`, but for the first test."""

import importlib.util
import io

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundschool.data import Dataset
from groundschool.data.d3rlpy_format import from_mdp_dataset, to_mdp_dataset
from groundschool.errors import InputError

theirs = [pytest.mark.d3rlpy, pytest.mark.filterwarnings("ignore")]


def with_marks(function):
    for mark in theirs:
        function = mark(function)
    return function


def make(lengths, ends, *, kind="float", finals=True, n_actions=5, seed=0, **columns):
    """A log with every column; `ends` holds 't'erminated, 'c'ut short or 'b'oth, one an episode."""
    rng = np.random.default_rng(seed)
    n, e = int(np.sum(lengths)), len(lengths)
    last = np.cumsum(lengths) - 1
    terminated, truncated = np.zeros((2, n), dtype=bool)
    terminated[[i for i, end in zip(last, ends, strict=True) if end in "tb"]] = True
    truncated[[i for i, end in zip(last, ends, strict=True) if end in "cb"]] = True
    observe = {
        "float": lambda m: rng.normal(size=(m, 2)).astype(np.float32),
        "double": lambda m: rng.normal(size=(m, 2)),
        "image": lambda m: rng.random((m, 2, 3, 3)).astype(np.float32),
        "ids": lambda m: rng.integers(0, 50, m),
    }["float" if kind == "continuous" else kind]
    continuous = kind == "continuous"
    masks = rng.random((n, n_actions)) < 0.7
    actions = rng.normal(size=(n, 2)) if continuous else rng.integers(0, n_actions - 1, n)  # the last is never logged
    if not continuous:
        masks[np.arange(n), actions] = True
        final_masks = np.ones((e, n_actions), dtype=bool)
        columns = {"n_actions": n_actions, "action_masks": masks, "final_action_masks": final_masks, **columns}
    return Dataset.from_arrays(
        observe(n),
        actions,
        rng.normal(size=n),
        terminated,
        truncated,
        costs={"harm": rng.random(n)},
        propensities=rng.uniform(0.1, 1.0, n),
        final_observations=observe(e) if finals else None,
        groups=rng.integers(0, 3, e),
        episode_ids=[f"e{i}" for i in range(e)],
        horizon=100,
        return_range=(-1e3, 1e3),
        **columns,
    )


@pytest.mark.skipif(importlib.util.find_spec("d3rlpy") is not None, reason="needs an environment without d3rlpy")
def test_without_d3rlpy_the_error_is_the_pip_line():
    with pytest.raises(InputError, match=r"pip install 'groundschool\[d3rlpy\]'"):
        to_mdp_dataset(make([2], "t"))


@with_marks
@pytest.mark.parametrize("kind", ["float", "double", "image", "ids", "continuous"])
@pytest.mark.parametrize("finals", [True, False])
def test_round_trip_with_the_log_loses_nothing(kind, finals):
    log = make([3, 2, 4, 2, 5], "tcbct", kind=kind, finals=finals)
    assert from_mdp_dataset(to_mdp_dataset(log), like=log).fingerprint == log.fingerprint


@with_marks
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    episodes=st.lists(st.tuples(st.integers(1, 6), st.sampled_from("tcb")), min_size=1, max_size=12),
    kind=st.sampled_from(["float", "ids", "continuous"]),
)
def test_any_log_keeps_its_episodes_ends_and_rows(episodes, kind):
    lengths, ends = zip(*episodes, strict=True)
    log = make(lengths, ends, kind=kind)
    dataset = to_mdp_dataset(log)
    assert dataset.size() == log.n_episodes
    # every logged step is a transition that d3rlpy can draw, the last ones of truncated episodes too
    assert dataset.transition_count == log.n_steps
    back = from_mdp_dataset(dataset)
    for name in ("observations", "actions", "rewards", "terminated", "starts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(log, name), err_msg=name)
    np.testing.assert_array_equal(back.truncated, log.truncated & ~log.terminated)
    cut = back.truncated[back.starts[1:] - 1]
    np.testing.assert_array_equal(back.final_observations[cut], log.final_observations[cut])
    assert back.n_actions == log.n_actions
    assert from_mdp_dataset(dataset, like=log).fingerprint == log.fingerprint


@with_marks
def test_d3rlpy_sees_the_right_ends_actions_and_next_observations():
    log = make([3, 2], "ct", n_actions=7)
    dataset = to_mdp_dataset(log)
    assert [episode.terminated for episode in dataset.episodes] == [False, True]
    assert dataset.dataset_info.action_size == 7  # d3rlpy alone would say 6 at most
    pick, episode = dataset.transition_picker, dataset.episodes[0]
    cut = pick(episode, 2)
    np.testing.assert_array_equal(cut.next_observation, log.final_observations[0])
    assert (cut.terminal, cut.reward[0]) == (0.0, log.rewards[2])
    assert pick(dataset.episodes[1], 1).terminal == 1.0
    assert dataset.episodes[0].compute_return() == pytest.approx(log.returns[0])


@with_marks
def test_without_final_observations_the_rows_are_the_logs():
    log = make([3, 2], "ct", finals=False)
    dataset = to_mdp_dataset(log)
    assert [len(episode) for episode in dataset.episodes] == [3, 2]
    assert dataset.transition_count == 4  # d3rlpy leaves the last transition of a truncated episode out
    assert from_mdp_dataset(dataset).final_observations is None
    plain = to_mdp_dataset(make([3, 2], "ct"), final_rows=False)
    assert plain.transition_count == 4


@with_marks
def test_through_a_d3rlpy_file():
    import d3rlpy

    log = make([3, 2, 4], "ctc")
    file = io.BytesIO()
    to_mdp_dataset(log).dump(file)
    file.seek(0)
    loaded = d3rlpy.dataset.ReplayBuffer.load(file, d3rlpy.dataset.InfiniteBuffer())
    assert from_mdp_dataset(loaded, like=log, final_rows=True).fingerprint == log.fingerprint
    assert from_mdp_dataset(loaded, final_rows=True, n_actions=5).n_actions == 5


@with_marks
def test_d3rlpy_trains_on_it_and_our_columns_come_back():
    import d3rlpy

    log = make([4, 4, 4], "tct")
    dataset = to_mdp_dataset(log)
    algorithm = d3rlpy.algos.DiscreteCQLConfig(batch_size=8).create(device="cpu:0")
    algorithm.fit(
        dataset,
        n_steps=2,
        n_steps_per_epoch=2,
        show_progress=False,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
    )
    assert algorithm.action_size == 5
    back = from_mdp_dataset(dataset, costs=log.costs, propensities=log.propensities, horizon=9)
    np.testing.assert_array_equal(back.costs["harm"], log.costs["harm"])
    assert back.horizon == 9


@with_marks
def test_faults_are_named():
    import d3rlpy

    log = make([3, 2], "ct")
    with pytest.raises(InputError, match="Did you mean 'propensities'"):
        from_mdp_dataset(to_mdp_dataset(log), propensity=log.propensities)
    with pytest.raises(InputError, match="made from another log"):
        from_mdp_dataset(to_mdp_dataset(log), like=make([3, 2], "ct", seed=1))
    with pytest.raises(InputError, match="made from another log"):
        from_mdp_dataset(to_mdp_dataset(log), like=make([4, 2], "ct"))
    with pytest.raises(InputError, match="truncated after one step"):
        to_mdp_dataset(make([3, 1], "tc", finals=False))
    with pytest.raises(InputError, match="no final observations to add"):
        to_mdp_dataset(make([3, 2], "tc", finals=False), final_rows=True)
    empty = d3rlpy.dataset.ReplayBuffer(d3rlpy.dataset.InfiniteBuffer(), env=gym.make("CartPole-v1"))
    with pytest.raises(InputError, match="no episodes"):
        from_mdp_dataset(empty)
