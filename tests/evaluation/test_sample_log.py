"""Logs sampled from exact models: against exact values, the model's own tables, and their promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from groundschool.data import Dataset
from groundschool.envs import HazardGrid
from groundschool.errors import InputError
from groundschool.evaluation.sampling import Sampler, sample_log
from groundschool.evaluation.tabular import TabularModel
from groundschool.policies import TabularPolicy

EPISODES = 20_000
SIGMAS = 4.5  # a right sampler fails one comparison in 150,000


def small_model(*, horizon: int = 6) -> TabularModel:
    """Five states of which two are ends, two first states, certain and impossible transitions among random ones."""
    rng = np.random.default_rng(7)
    states, actions = 5, 3
    shape = (states, actions, states)
    transitions = rng.dirichlet(np.full(states, 0.5), size=(states, actions))
    transitions[0, 0] = np.eye(states)[1]
    transitions[2, 1] = [0.5, 0.0, 0.5, 0.0, 0.0]
    return TabularModel(
        transitions=transitions,
        rewards=rng.normal(size=shape),
        costs={"wear": rng.random(shape) * (rng.random(shape) < 0.15), "crash": np.eye(states)[4]},
        terminal=np.array([False, False, False, True, True]),
        initial=np.array([0.7, 0.0, 0.3, 0.0, 0.0]),
        horizon=horizon,
        ends={"good": np.arange(states) == 3, "bad": np.arange(states) == 4},
    )


def table_of(model: TabularModel, *, masks: np.ndarray | None = None) -> np.ndarray:
    weight = np.random.default_rng(11).gamma(1.0, size=(model.n_states, model.n_actions))
    weight[1, 0] = 0.0
    weight = weight if masks is None else np.where(masks, weight, 0.0)
    return weight / weight.sum(axis=1, keepdims=True)


def next_states(log: Dataset) -> np.ndarray:
    assert log.final_observations is not None
    arrival = np.empty(log.n_steps, np.int64)
    arrival[:-1] = log.observations[1:]
    arrival[log.starts[1:] - 1] = log.final_observations
    return arrival


def test_one_path_is_followed_to_the_letter() -> None:
    """0 -a1-> 1 -a0-> 2 -a1-> 0, cut after four steps: everything certain, so that every column is known by hand."""
    transitions = np.zeros((3, 2, 3))
    transitions[[0, 1, 2], [1, 0, 1], [1, 2, 0]] = 1.0
    transitions[[0, 1, 2], [0, 1, 0], [2, 0, 1]] = 1.0
    rewards = np.arange(18.0).reshape(3, 2, 3)
    model = TabularModel(
        transitions, rewards, {"fee": rewards / 10}, np.zeros(3, np.bool_), np.array([1.0, 0.0, 0.0]), 4
    )
    log = sample_log(model, np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), 2, seed=3)
    assert log.observations.tolist() == [0, 1, 2, 0] * 2
    assert log.actions.tolist() == [1, 0, 1, 1] * 2
    assert log.rewards.tolist() == [4.0, 8.0, 15.0, 4.0] * 2
    assert log.costs["fee"].tolist() == [0.4, 0.8, 1.5, 0.4] * 2
    assert log.truncated.tolist() == [False, False, False, True] * 2
    assert not log.terminated.any()
    assert log.final_observations is not None
    assert log.final_observations.tolist() == [1, 1]
    assert log.propensities is not None
    assert log.propensities.tolist() == [1.0] * 8
    assert log.episode_ids.tolist() == ["3-0", "3-1"]
    assert (log.horizon, log.n_actions) == (4, 2)


@pytest.mark.parametrize("seed", range(3))
def test_means_are_the_exact_values(seed: int) -> None:
    """Each mean within SIGMAS of its own standard errors of what the model says."""
    model = small_model()
    policy = table_of(model)
    log, exact = sample_log(model, policy, EPISODES, seed), model.evaluate(policy)
    sums = {name: np.add.reduceat(cost, log.starts[:-1]) for name, cost in log.costs.items()}
    assert log.final_observations is not None
    samples = {
        exact.return_: np.add.reduceat(log.rewards, log.starts[:-1]),
        exact.length: log.lengths,
        exact.costs["wear"]: sums["wear"],
        exact.probabilities["wear"]: sums["wear"] > 0,
        exact.probabilities["crash"]: sums["crash"] > 0,
        exact.ends["good"]: log.final_observations == 3,
        exact.ends["timeout"]: log.truncated[log.starts[1:] - 1],
    }
    for truth, sample in samples.items():
        error = np.std(sample, ddof=1) / np.sqrt(EPISODES)
        assert abs(np.mean(sample) - truth) < SIGMAS * error


def test_actions_and_transitions_have_their_frequencies() -> None:
    """Chi-square of the first states, of the actions in each state and of the next states of each pair."""
    model = small_model()
    policy = table_of(model)
    log = sample_log(model, policy, EPISODES, seed=5)
    state, action, arrival = log.observations, log.actions, next_states(log)
    seen = np.zeros((model.n_states, model.n_actions, model.n_states))
    np.add.at(seen, (state, action, arrival), 1.0)
    joint = policy[:, :, None] * model.transitions
    assert not seen[joint == 0].any()
    first = np.bincount(state[log.starts[:-1]], minlength=model.n_states)
    comparisons = [(first, model.initial)]
    comparisons += [(seen[s].sum(axis=1), policy[s]) for s in range(3)]
    comparisons += [
        (seen[s, a], model.transitions[s, a]) for s in range(3) for a in range(model.n_actions) if policy[s, a] > 0
    ]
    for counts, law in comparisons:
        some = counts.sum() * law >= 5
        if some.sum() > 1:
            expected = law[some] / law[some].sum() * counts[some].sum()
            # About 12 comparisons at 1e-5 each.
            assert stats.chisquare(counts[some], expected).pvalue > 1e-5


def test_propensities_are_the_policy() -> None:
    model = small_model()
    policy = table_of(model)
    log = sample_log(model, TabularPolicy(policy), 500, seed=1)
    assert log.propensities is not None
    np.testing.assert_allclose(log.propensities, policy[log.observations, log.actions])


def test_episodes_end_on_arrival_or_after_the_horizon() -> None:
    model = small_model(horizon=4)
    log = sample_log(model, table_of(model), 2_000, seed=2)
    ended = model.terminal[next_states(log)]
    assert (log.terminated == ended).all()
    last = log.starts[1:] - 1
    assert (log.truncated[last] == ~ended[last]).all()
    assert not log.truncated[np.setdiff1d(np.arange(log.n_steps), last)].any()
    assert (log.lengths[log.truncated[last]] == 4).all()
    assert log.lengths.max() == 4


def test_masks_travel_and_bind() -> None:
    model = small_model()
    masks = np.ones((5, 3), np.bool_)
    masks[0, 1] = masks[2, 0] = False
    masks[3] = False  # an end, where nobody acts
    log = sample_log(model, TabularPolicy(table_of(model)), 2_000, seed=2, masks=masks)
    assert log.action_masks is not None
    assert log.final_action_masks is not None
    assert log.final_observations is not None
    assert (log.action_masks == masks[log.observations]).all()
    assert log.action_masks[np.arange(log.n_steps), log.actions].all()
    going = log.final_observations != 3
    assert (log.final_action_masks[going] == masks[log.final_observations[going]]).all()
    assert log.final_action_masks[~going].all()
    renormalised = table_of(model) * masks
    renormalised /= np.maximum(renormalised.sum(axis=1, keepdims=True), 1e-300)
    assert log.propensities is not None
    np.testing.assert_allclose(log.propensities, renormalised[log.observations, log.actions])


def test_reward_noise_is_normal_and_adds_nothing() -> None:
    model = small_model()
    quiet = sample_log(model, table_of(model), 5_000, seed=4)
    noisy = sample_log(model, table_of(model), 5_000, seed=4, reward_noise=0.5)
    assert (quiet.observations == noisy.observations).all()
    # Kolmogorov-Smirnov at 1e-6 against the normal law of that standard deviation.
    assert stats.kstest(noisy.rewards - quiet.rewards, stats.norm(0, 0.5).cdf).pvalue > 1e-6


def test_a_grid_log_reads_as_the_grid_s_own() -> None:
    """Observations, costs, flags and horizon in the same form; the mean hazard within the binomial's error."""
    grid = HazardGrid()
    model, logger = grid.model(), grid.logger()
    ours, theirs = sample_log(model, logger, 5_000, seed=1), grid.simulate(logger, 5_000, seed=2).dataset
    assert ours.observations.dtype == theirs.observations.dtype
    assert list(ours.costs) == list(theirs.costs)
    assert (ours.horizon, ours.n_actions) == (theirs.horizon, theirs.n_actions)
    assert set(np.unique(ours.rewards)) == set(np.unique(theirs.rewards))
    truth = model.evaluate(logger).probabilities["hazard"]
    for log in (ours, theirs):
        assert abs(log.costs["hazard"].sum() / 5_000 - truth) < SIGMAS * np.sqrt(truth * (1 - truth) / 5_000)


def test_one_sampler_gives_the_logs_of_sample_log() -> None:
    model = small_model()
    sampler = Sampler.of(model, table_of(model))
    for seed in (0, 1):
        one, other = sampler.log(50, seed), sample_log(model, table_of(model), 50, seed)
        assert one.observations.tolist() == other.observations.tolist()
        assert one.rewards.tolist() == other.rewards.tolist()
    assert sampler.log(50, 0).actions.tolist() != sampler.log(50, 1).actions.tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": np.ones((5, 3))}, "sum to 1"),
        ({"policy": np.full((5, 2), 0.5)}, "shape"),
        ({"policy": TabularPolicy(np.full((5, 2), 0.5))}, "2 actions"),
        ({"masks": np.ones((5, 3))}, "bool"),
        ({"masks": np.zeros((5, 3), np.bool_)}, "allows no action"),
        ({"masks": np.tile([True, True, False], (5, 1))}, "masks forbid"),
        ({"episodes": 0}, "episodes"),
        ({"episodes": 1.5}, "episodes"),
        ({"seed": -1}, "seed"),
        ({"reward_noise": -1.0}, "reward_noise"),
    ],
)
def test_bad_input_is_a_sentence(change: dict[str, Any], message: str) -> None:
    model = small_model()
    good: dict[str, Any] = {"policy": np.full((5, 3), 1 / 3), "episodes": 10}
    with pytest.raises(InputError, match=message):
        sample_log(model, **(good | change))
