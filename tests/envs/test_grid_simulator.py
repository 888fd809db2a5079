"""The vectorised simulator against the stepped environment, the exact model, and the logger's own table."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from groundschool.envs import HazardGrid, Layout
from groundschool.envs.simulator import AliasTable
from groundschool.errors import InputError
from groundschool.policies import DiscretePolicy, Policy, TabularPolicy

SLIPPERY = {"size": 7, "n_hazards": 4, "hazard_seed": 3, "slip": 0.3, "horizon": 20}  # every end is common here
ENDS = ("goal", "hazard", "timeout")


class GridPolicy(DiscretePolicy):
    """A random policy by cell."""

    def __init__(self, layout: Layout, seed: int) -> None:
        self.layout, self.name, self.n_actions = layout, "random table", 4
        self.table = np.random.default_rng(seed).dirichlet(np.ones(4), size=layout.n_states)

    def probabilities(self, observations: object, *, masks: object = None) -> np.ndarray:
        return self.table[self.layout.states(observations)]  # type: ignore[arg-type]


def counts(ends: np.ndarray) -> np.ndarray:
    found = Counter(ends.tolist())
    return np.array([found[end] for end in ENDS])


@pytest.mark.parametrize("arguments", [{}, SLIPPERY, {"slip": 1.0}, {"slip": 0.0, "hazard_seed": 1}])
@pytest.mark.parametrize("epsilon", [0.22, 0.6])
def test_same_law_as_the_exact_model(arguments: dict[str, int], epsilon: float) -> None:
    env, n = HazardGrid(**arguments), 20_000
    policy = env.logger(epsilon)
    exact = env.model().evaluate(policy)
    simulation = env.simulate(policy, n, seed=1)
    for end, count in zip(ENDS, counts(simulation.ends), strict=True):
        p = exact.ends[end]  # two-sided binomial tail below 1e-5: 24 checks, a false alarm in 4,000 fresh seeds
        assert stats.binom.cdf(count, n, p) > 5e-6
        assert stats.binom.sf(count - 1, n, p) > 5e-6
    log = simulation.dataset
    for sampled, mean in ((log.returns, exact.return_), (log.lengths, exact.length)):
        assert abs(sampled.mean() - mean) < 4.5 * sampled.std() / np.sqrt(n) + 1e-12


def test_same_law_as_the_stepped_environment() -> None:
    env, n = HazardGrid(**SLIPPERY), 3_000
    policy = env.logger(0.4)
    rng = np.random.default_rng(0)
    ends, lengths = [], []
    env.reset(seed=5)
    for _ in range(n):
        observation, info = env.reset()
        length = 0
        while "end" not in info:
            observation, _, _, _, info = env.step(policy.act(observation[None], rng)[0])
            length += 1
        ends.append(info["end"])
        lengths.append(length)
    simulation = env.simulate(policy, n, seed=0)
    stepped, fast = counts(np.array(ends)), counts(simulation.ends)
    assert min(stepped) > 100
    assert stats.chi2_contingency([stepped, fast]).pvalue > 1e-4
    bins = np.array([np.bincount(x, minlength=21) for x in (np.array(lengths), simulation.dataset.lengths)])
    assert stats.chi2_contingency(bins[:, bins.sum(axis=0) > 20]).pvalue > 1e-4


def test_transitions_follow_the_model() -> None:
    env = HazardGrid(**SLIPPERY)
    moves = env.simulate(env.logger(0.8), 20_000, seed=2).dataset.transitions()
    state = env.layout.states(moves.observations)
    following = env.layout.states(moves.next_observations)
    seen = np.zeros((49, 4, 49))
    np.add.at(seen, (state, moves.actions, following), 1)
    kernel = env.model().transitions
    assert not seen[kernel == 0].any()
    expected = kernel * seen.sum(axis=2, keepdims=True)
    use = (expected >= 10) & (kernel < 1)
    deviation = (seen[use] - expected[use]) / np.sqrt(expected[use] * (1 - kernel[use]))
    assert use.sum() > 300
    assert np.abs(deviation).max() < 5.0  # 1,000 normal deviates or fewer: beyond 5 in 1 of 1,700
    assert abs((deviation**2).mean() - 1.0) < 0.3


@pytest.mark.parametrize("seed", [0, 1])
def test_logged_propensities(seed: int) -> None:
    env = HazardGrid(**SLIPPERY)
    policy = GridPolicy(env.layout, seed)
    log = env.simulate(policy, 5_000, seed=seed).dataset
    state = env.layout.states(log.observations)
    np.testing.assert_allclose(log.propensities, policy.table[state, log.actions], rtol=1e-12)
    # ... and the actions are really drawn with those probabilities
    visits = np.bincount(state, minlength=49)[:, None]
    taken = np.zeros((49, 4))
    np.add.at(taken, (state, log.actions), 1)
    often = np.broadcast_to(visits, taken.shape) * policy.table * (1 - policy.table) >= 10
    spread = np.sqrt(visits * policy.table * (1 - policy.table))
    deviation = ((taken - visits * policy.table)[often]) / spread[often]
    assert often.sum() > 50
    assert np.abs(deviation).max() < 5.0
    # mean weight of any target policy is 1
    other = GridPolicy(env.layout, seed + 100).table[state, log.actions] / log.propensities
    assert abs(other.mean() - 1.0) < 4.5 * other.std() / np.sqrt(len(other))


def test_columns_tell_one_story() -> None:
    env = HazardGrid(**SLIPPERY)
    simulation = env.simulate(env.logger(), 400, seed=7)
    log, ends = simulation.dataset, simulation.ends
    last = log.starts[1:] - 1
    hazards = {tuple(map(float, cell)) for cell in env.layout.hazards}
    assert log.observations.dtype == np.float32
    assert (log.n_actions, log.horizon, list(log.costs)) == (4, 20, ["hazard"])
    assert list(log.episode_ids[[0, 399]]) == ["7-0", "7-399"]
    np.testing.assert_array_equal(log.observations[log.starts[:-1]], np.zeros((400, 2)))
    following = np.concatenate([log.observations[1:], [[0, 0]]])
    following[last] = log.final_observations
    assert (np.abs(following - log.observations).sum(axis=1) <= 1).all()
    into_hazard = np.array([tuple(cell) in hazards for cell in following.tolist()])
    into_goal = (following == env.layout.goal).all(axis=1)
    np.testing.assert_array_equal(log.costs["hazard"], into_hazard)
    np.testing.assert_array_equal(log.terminated, into_hazard | into_goal)
    np.testing.assert_array_equal(log.rewards, np.where(into_hazard, -100, np.where(into_goal, 50, -1)))
    np.testing.assert_array_equal(ends == "hazard", into_hazard[last])
    np.testing.assert_array_equal(ends == "goal", into_goal[last])
    np.testing.assert_array_equal(ends == "timeout", log.truncated[last])
    assert set(log.lengths[ends == "timeout"]) == {20}
    assert {"goal", "hazard", "timeout"} == set(ends)


def test_the_goal_on_the_last_step_is_no_timeout() -> None:
    env = HazardGrid(size=3, hazards=[], slip=0.0, horizon=4)  # four steps are just enough
    simulation = env.simulate(env.logger(0.0), 50, seed=0)
    last = simulation.dataset.starts[1:] - 1
    assert set(simulation.ends) == {"goal"}
    assert set(simulation.dataset.lengths) == {4}
    assert simulation.dataset.terminated[last].all()
    assert not simulation.dataset.truncated.any()


def test_a_seed_fixes_the_log() -> None:
    env = HazardGrid()
    first, again, other = (env.simulate(env.logger(), 50, seed).dataset for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


def test_actions_of_probability_zero_are_never_taken() -> None:
    env = HazardGrid(**SLIPPERY)
    policy = GridPolicy(env.layout, 0)
    policy.table = np.tile([0.0, 0.5, 0.0, 0.5], (49, 1))
    assert set(env.simulate(policy, 500, 0).dataset.actions) == {1, 3}


@pytest.mark.parametrize(
    ("policy", "episodes", "seed", "says"),
    [
        (None, 0, 0, "episodes is 0"),
        (None, 1.5, 0, "episodes is 1.5"),
        (None, 5, -1, "seed is -1"),
        (TabularPolicy(np.ones((225, 3)) / 3), 5, 0, "3 actions"),
        (TabularPolicy(np.ones((225, 4)) / 4), 5, 0, "integer state ids"),
    ],
)
def test_refuses(policy: Policy | None, episodes: int, seed: int, says: str) -> None:
    env = HazardGrid()
    with pytest.raises(InputError, match=says):
        env.simulate(policy or env.logger(), episodes, seed)


@pytest.mark.parametrize("concentration", [0.05, 0.3, 1.0, 50.0])
def test_alias_tables_are_exact(concentration: float) -> None:
    rows = np.random.default_rng(0).dirichlet(np.full(16, concentration), size=60)
    rows[:10, :8] = 0.0
    rows[10:20] = np.eye(16)[np.arange(10)]
    rows[20:30] = 1 / 16
    rows /= rows.sum(axis=1, keepdims=True)
    alias = AliasTable.of(rows)
    law = alias.keep / 16  # a column is hit with 1/16, kept with `keep`, and else passed on
    np.add.at(law, alias.other, (1 - alias.keep) / 16)
    np.testing.assert_allclose(law.reshape(60, 16), rows, atol=1e-12)
    assert not law.reshape(60, 16)[rows == 0].any()
    assert (alias.other // 16 == np.repeat(np.arange(60), 16)).all()
