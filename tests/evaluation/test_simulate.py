"""Stepping through Gymnasium environments: what is recorded, how it is seeded, what is refused."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.simulate import Simulation, collect, simulate
from groundschool.policies.policy import DiscretePolicy, apply_masks


class Fixed(DiscretePolicy):
    """The same probabilities everywhere, masked where masks are given."""

    def __init__(self, probabilities, name="fixed"):
        self.row = np.asarray(probabilities, dtype=np.float64)
        self.n_actions, self.name, self.seen = len(self.row), name, []

    def probabilities(self, observations, *, masks=None):
        self.seen.append((np.asarray(observations), masks))
        return apply_masks(np.tile(self.row, (len(observations), 1)), masks)


class Corridor(gym.Env):
    """Walk 0, 1, 2: action 1 moves on, action 0 stays; cell 2 ends it. Costs and masks as asked."""

    def __init__(self, *, cost=None, mask=None, end=None, actions_start=0, states_start=0, space=None):
        self.action_space = gym.spaces.Discrete(2, start=actions_start)
        self.observation_space = space or gym.spaces.Discrete(3, start=states_start)
        self.first_action, self.first_state = actions_start, states_start
        self.cost, self.mask, self.end = cost, mask, end
        self.resets = []

    def _see(self):
        where = self.cell + self.first_state
        return where if isinstance(self.observation_space, gym.spaces.Discrete) else np.array([where])

    def _info(self):
        return {} if self.mask is None else {"action_mask": np.array(self.mask, dtype=np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.resets.append(seed)
        self.cell, self.steps = 0, 0
        return self._see(), self._info()

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        self.cell += int(action) - self.first_action
        info = self._info()
        if self.cost is not None and self.cost(self.steps) is not None:
            info["cost"] = self.cost(self.steps)
        if self.cell == 2 and self.end:
            info["end"] = self.end
        return self._see(), 10.0 * self.steps, self.cell == 2, False, info


RIGHT = Fixed([0.0, 1.0])


def test_a_walk_by_hand():
    result = simulate(Corridor(cost=lambda step: 0.5 * step), RIGHT, 2, seed=5)
    log = result.dataset
    assert isinstance(result, Simulation)
    assert log.observations.dtype == np.int64
    assert log.observations.tolist() == [0, 1, 0, 1]
    assert log.actions.tolist() == [1, 1, 1, 1]
    assert log.rewards.tolist() == [10.0, 20.0, 10.0, 20.0]
    assert log.costs["cost"].tolist() == [0.5, 1.0, 0.5, 1.0]
    assert log.terminated.tolist() == [False, True, False, True]
    assert not log.truncated.any()
    assert log.final_observations.tolist() == [2, 2]
    assert log.propensities.tolist() == [1.0] * 4
    assert log.episode_ids.tolist() == ["5-0", "5-1"]
    assert log.action_masks is None
    assert result.ends.tolist() == ["terminated", "terminated"]


def test_each_episode_has_its_own_seed():
    env = Corridor()
    collect(env, RIGHT, 3, seed=40)
    assert env.resets == [40, 41, 42]


def test_propensities_are_those_of_the_action_taken():
    log = collect(Corridor(), Fixed([0.25, 0.75]), 200, seed=0)
    assert np.array_equal(log.propensities, np.where(log.actions == 1, 0.75, 0.25))
    assert 0.65 < (log.actions == 1).mean() < 0.85  # 500 and more draws: 5 sd is 0.09


def test_same_seed_same_log_and_another_seed_another():
    first, again, other = (collect(gym.make("FrozenLake-v1"), Fixed([0.25] * 4), 20, seed=s) for s in (3, 3, 4))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


def test_no_cost_column_where_the_environment_gives_none():
    assert dict(collect(Corridor(), RIGHT, 1).costs) == {}


def test_cost_takes_the_name_that_the_environment_gives_it():
    env = Corridor(cost=lambda step: 1.0)
    env.cost_name = "scratch"
    assert list(collect(gym.wrappers.TimeLimit(env, 9), RIGHT, 1).costs) == ["scratch"]


def test_spaces_that_do_not_start_at_zero_are_counted_from_zero():
    log = collect(Corridor(actions_start=7, states_start=-1), RIGHT, 1)
    assert log.observations.tolist() == [0, 1]
    assert log.actions.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("float32", "float32"),
        ("float64", "float64"),
        ("uint8", "float32"),
        ("float16", "float32"),
        ("int64", "float64"),
    ],
)
def test_box_observations_keep_their_type_where_they_can(dtype, kept):
    log = collect(Corridor(space=gym.spaces.Box(0, 2, (1,), dtype=dtype)), RIGHT, 1)
    assert log.observations.dtype == kept
    assert log.observations.tolist() == [[0.0], [1.0]]
    assert log.final_observations.tolist() == [[2.0]]


def test_a_reused_observation_buffer_is_copied():
    class Reusing(Corridor):
        def _see(self):
            self.buffer = getattr(self, "buffer", np.zeros(1, dtype=np.float32))
            self.buffer[0] = self.cell
            return self.buffer

    log = collect(Reusing(space=gym.spaces.Box(0, 2, (1,), dtype=np.float32)), RIGHT, 1)
    assert log.observations.ravel().tolist() == [0.0, 1.0]


def test_a_time_limit_truncates_and_is_the_horizon():
    result = simulate(gym.wrappers.TimeLimit(Corridor(), 4), Fixed([1.0, 0.0]), 1)
    assert result.dataset.truncated.tolist() == [False, False, False, True]
    assert not result.dataset.terminated.any()
    assert result.dataset.horizon == 4
    assert result.dataset.final_observations.tolist() == [0]
    assert result.ends.tolist() == ["truncated"]


def test_an_end_at_the_limit_is_an_end():
    log = collect(gym.wrappers.TimeLimit(Corridor(), 2), RIGHT, 1)
    assert log.terminated.tolist() == [False, True]
    assert not log.truncated.any()


def test_the_environment_may_say_why_it_ended():
    assert simulate(Corridor(end="docked"), RIGHT, 1).ends.tolist() == ["docked"]


def test_masks_reach_the_policy_and_the_log():
    policy = Fixed([0.5, 0.5])
    log = collect(Corridor(mask=[0, 1]), policy, 1)
    assert log.actions.tolist() == [1, 1]
    assert log.propensities.tolist() == [1.0, 1.0]
    assert log.action_masks.tolist() == [[False, True]] * 2
    assert log.final_action_masks.tolist() == [[False, True]]
    assert all(masks.tolist() == [[False, True]] for _, masks in policy.seen)


def test_taxi_masks_are_honored():
    log = collect(gym.make("Taxi-v4"), Fixed([1 / 6] * 6), 3, seed=1)
    assert log.n_actions == 6
    assert log.horizon == 200
    assert log.action_masks[np.arange(log.n_steps), log.actions].all()
    assert not log.action_masks.all()
    # Uniform over what is allowed, so the propensity is one over the number of allowed actions.
    assert log.propensities == pytest.approx(1.0 / log.action_masks.sum(axis=1))
    assert log.observations.dtype == np.int64


def test_cartpole_and_frozen_lake():
    cart = simulate(gym.make("CartPole-v1"), Fixed([0.5, 0.5]), 4, seed=0)
    assert cart.dataset.observations.dtype == np.float32
    assert cart.dataset.observations.shape[1:] == (4,)
    assert cart.dataset.horizon == 500
    assert np.array_equal(cart.dataset.returns, cart.dataset.lengths)  # one point a step
    env = gym.make("CartPole-v1")
    for i, start in enumerate(cart.dataset.starts[:-1]):
        assert np.array_equal(cart.dataset.observations[start], env.reset(seed=i)[0])
    lake = collect(gym.make("FrozenLake-v1"), Fixed([0.25] * 4), 50, seed=0)
    holes_and_goal = {5, 7, 11, 12, 15}
    assert set(lake.final_observations[lake.terminated[lake.starts[1:] - 1]].tolist()) <= holes_and_goal
    assert not holes_and_goal & set(lake.observations.tolist())
    assert (lake.returns == (lake.final_observations == 15)).all()


class Fast(Corridor):
    """Has a simulator of its own."""

    calls = 0

    def step(self, action):
        return super().step(action)

    def simulate(self, policy, episodes, seed):
        type(self).calls += 1
        log = Dataset.from_arrays(
            np.zeros(episodes, dtype=np.int64), np.zeros(episodes, dtype=np.int64), np.zeros(episodes),
            np.ones(episodes, dtype=bool), np.zeros(episodes, dtype=bool), n_actions=2,
        )  # fmt: skip
        return Simulation(log, np.array(["fast"] * episodes))


class Slowed(Fast):
    """Overrides the step of an environment with a simulator: another law."""

    def step(self, action):
        return super().step(action)


class Renamed(Fast):
    """Changes nothing about how it steps."""


@pytest.mark.parametrize(
    ("env", "fast"),
    [
        (Fast(), True),
        (Renamed(), True),
        (gym.wrappers.OrderEnforcing(Fast()), True),
        (gym.wrappers.PassiveEnvChecker(Fast()), True),
        (gym.wrappers.TimeLimit(Fast(), 50), False),
        (gym.wrappers.TransformReward(Fast(), lambda reward: -reward), False),
        (Slowed(), False),
        (Corridor(), False),
    ],
    ids=lambda value: str(value) if isinstance(value, bool) else repr(value),
)
def test_an_own_simulator_is_used_only_where_it_has_the_same_law(env, fast):
    assert (simulate(env, RIGHT, 2).ends[0] == "fast") is fast


BAD = [
    (lambda: simulate(Corridor(), RIGHT, 0), "episodes is 0"),
    (lambda: simulate(Corridor(), RIGHT, 2.5), "episodes is 2.5"),
    (lambda: simulate(Corridor(), RIGHT, True), "episodes is True"),
    (lambda: simulate(Corridor(), RIGHT, 1, seed=-1), "seed is -1"),
    (lambda: simulate(Corridor(), RIGHT, 1, max_steps=0), "max_steps is 0"),
    (lambda: simulate("CartPole-v1", RIGHT, 1), "expected a gymnasium.Env"),
    (lambda: simulate(Corridor(), Fixed([0.5, 0.25, 0.25]), 1), "chooses among 3 actions, environment Corridor has 2"),
    (lambda: simulate(Corridor(), lambda x: x, 1), "gs.wrap"),
    (lambda: simulate(Corridor(), Fixed([0.5, 0.4]), 1), "sum 0.9"),
    (lambda: simulate(Corridor(), Fixed([1.5, -0.5]), 1), "no distribution"),
    (lambda: simulate(Corridor(), Fixed([np.nan, 1.0]), 1), "no distribution"),
    (lambda: simulate(Corridor(), Fixed([1.0, 0.0]), 1, max_steps=50), "did not end within 50 steps.*TimeLimit"),
    (lambda: simulate(Corridor(space=gym.spaces.MultiDiscrete([3])), RIGHT, 1), "FlattenObservation"),
    (lambda: simulate(Corridor(mask=[1, 1, 1]), RIGHT, 1), r"action_mask'\] has shape \(3,\)"),
    (lambda: simulate(Corridor(cost=lambda n: 1.0 if n == 2 else None), RIGHT, 1), "missing in 1 of 2 steps"),
    (lambda: simulate(Corridor(cost=lambda n: -1.0), RIGHT, 1), "negative"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_continuous_actions_are_refused_by_name():
    with pytest.raises(InputError, match=r"Pendulum-v1 has action space Box.*only Discrete"):
        simulate(gym.make("Pendulum-v1"), RIGHT, 1)


def test_masks_in_some_steps_only_are_refused():
    env = Corridor(mask=[1, 1])
    env.step = lambda action, step=env.step: (*step(action)[:4], {})
    with pytest.raises(InputError, match="missing in 1 of 2 steps"):
        simulate(env, RIGHT, 1)


def test_a_policy_that_ignores_masks_is_refused():
    class Deaf(Fixed):
        def probabilities(self, observations, *, masks=None):
            return super().probabilities(observations)

    with pytest.raises(InputError, match="mask of row 0 forbids"):
        simulate(Corridor(mask=[0, 1]), Deaf([0.5, 0.5]), 1)


def test_a_policy_of_the_wrong_width_is_refused():
    class Wide(Fixed):
        def probabilities(self, observations, *, masks=None):
            return np.full((len(observations), 3), 1 / 3)

    with pytest.raises(InputError, match=r"shape \(1, 3\), expected \(1, 2\)"):
        simulate(Corridor(), Wide([0.5, 0.5]), 1)


def test_ends_and_episodes_must_agree():
    log = collect(Corridor(), RIGHT, 2)
    with pytest.raises(InputError, match="2 episodes came with 1 ends"):
        Simulation(log, np.array(["terminated"]))


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda env, action: 1 / 0, r"Corridor failed in episode 1, in step 1 \(ZeroDivisionError: division by zero\)"),
        (lambda env, action: (env._see(), 1.0), r"failed in episode 1, in step 1 \(ValueError: not enough values"),
        (lambda env, action: (env._see(), "much", True, False, {}), "could not convert string to float: 'much'"),
        (lambda env, action: (env._see(), 1.0, True, False, None), r"in step 1 \(AttributeError"),
        (lambda env, action: (None, 1.0, True, False, {}), r"in step 1 \(TypeError"),
    ],
)
def test_an_environment_that_fails_is_named_with_the_place(step, says):
    env = Corridor()
    before = env.step
    env.step = lambda action: step(env, action) if len(env.resets) == 2 and env.steps == 1 else before(action)
    with pytest.raises(InputError, match=says) as caught:
        simulate(env, RIGHT, 3)
    assert isinstance(caught.value.__cause__, Exception)
    assert "\n" not in str(caught.value)


def test_an_environment_that_cannot_begin_is_named():
    env = Corridor()
    env.reset = lambda **ignored: (_ for _ in ()).throw(RuntimeError("the door\nis open."))
    with pytest.raises(InputError, match=r"in episode 0, at its reset \(RuntimeError: the door is open\)"):
        simulate(env, RIGHT, 1)


def test_ctrl_c_in_an_environment_stays_ctrl_c():
    env = Corridor()
    env.step = lambda action: (_ for _ in ()).throw(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        simulate(env, RIGHT, 1)


def test_what_a_policy_cannot_read_is_placed():
    class Blind(Fixed):
        def probabilities(self, observations, *, masks=None):
            if observations[0] == 1:
                raise InputError("a value is blank.")
            return super().probabilities(observations)

    with pytest.raises(InputError, match=r"^environment Corridor, episode 0, step 1: a value is blank"):
        simulate(Corridor(), Blind([0.0, 1.0]), 1)
