"""Rewards that are costs, outcomes or sums; observations that hold what comes after them."""

from dataclasses import replace

import clean_logs
import numpy as np
import planted_statistical
import pytest

from groundschool.data.checks import rewards
from groundschool.data.checks.rewards import exact_line
from groundschool.data.checks.view import View


def run(raw, name=None):
    view, found = View(raw), []
    for check in rewards.CHECKS:
        if name in (None, check.name) and not check.needs(view):
            found += check.run(view)
    return found


def test_exact_line():
    x = np.arange(20.0)
    assert exact_line(x, 3 - 2 * x) == pytest.approx((-2, 3))
    assert exact_line(x, (3 - 2 * x).astype(np.float32)) == pytest.approx((-2, 3))
    assert exact_line(x, x + 1e-3 * np.sin(x)) is None
    assert exact_line(x, x**2) is None
    assert exact_line(x, np.ones(20)) is None
    assert exact_line(np.ones(20), x) is None
    assert exact_line(np.where(x < 5, np.nan, x), x) == pytest.approx((1, 0))
    assert exact_line(np.full(20, np.nan), x) is None
    # Two columns that agree in four rows may do so by accident.
    assert exact_line((x < 4).astype(float), (x < 4).astype(float)) is None
    assert exact_line((x < 5).astype(float), (x < 5).astype(float)) == pytest.approx((1, 0))


@pytest.mark.parametrize("slope", [-10.0, 0.25])
def test_a_reward_that_repeats_a_cost(slope):
    raw = clean_logs.pendulum(0, 40)
    cost = raw.costs["speed"]
    (found,) = run(replace(raw, rewards=1.5 + slope * cost, names={"rewards": "r"}))
    assert (found.check, found.where, found.measured["slope"]) == ("reward-repeats-cost", "r", pytest.approx(slope))
    almost = 1.5 + slope * cost
    almost[17] += 0.1
    assert run(replace(raw, rewards=almost)) == []


def parts(raw, of_episode):
    """Return a column made episode by episode from its rewards."""
    return np.concatenate([of_episode(part) for part in np.split(raw.rewards, raw.starts[1:-1])])


SUMS = {
    "to go": lambda part: planted_statistical.to_go(part, 1.0),
    "discounted": lambda part: planted_statistical.to_go(part, 0.97),
    "hardly discounted": lambda part: planted_statistical.to_go(part, 0.999),
    "so far": np.cumsum,
    "outcome": lambda part: np.full(len(part), part.sum()),
}


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("make", [clean_logs.hazard_grid, clean_logs.pendulum])
def test_sums_are_found(make, sums):
    for seed in range(3):
        raw = make(seed, 60)
        (found,) = run(replace(raw, rewards=parts(raw, SUMS[sums])), "reward-leaks-outcome")
        assert ("same in all rows" in found.what) == (sums == "outcome")


def test_rewards_that_are_no_sums():
    rng = np.random.default_rng(0)
    raw = clean_logs.pendulum(0, 60)
    for column in (
        np.ones(raw.n_rows),
        rng.normal(size=raw.n_rows),
        -np.abs(rng.normal(size=raw.n_rows)),
        (rng.random(raw.n_rows) < 0.1).astype(float),
        parts(raw, lambda part: np.where(np.arange(len(part)) == len(part) - 1, part.sum(), 0.0)),
        parts(raw, lambda part: np.where(np.arange(len(part)) == len(part) - 1, 50.0, -1.0)),
        parts(raw, lambda part: np.cumsum(rng.normal(size=len(part)))),
        10.0 + raw.observations[:, 0],
    ):
        assert run(replace(raw, rewards=column.astype(float)), "reward-leaks-outcome") == []


LEAKS = {
    "the reward of its own row": lambda raw: raw.rewards,
    "the cost 'speed' of its own row": lambda raw: raw.costs["speed"],
    "number 0 of the action of its own row": lambda raw: raw.actions[:, 0],
    "the return of its episode": lambda raw: np.repeat(np.add.reduceat(raw.rewards, raw.starts[:-1]), raw.lengths),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_observations_that_hold_what_comes_after_them(leak):
    raw = clean_logs.pendulum(0, 60)
    column = LEAKS[leak](raw)
    (found,) = run(planted_statistical.with_columns(raw, 7 - 2 * column), "observation-leaks")
    assert found.where == "observations[3]"
    assert leak in found.what
    late = np.roll(column, 1)  # what came before may be seen
    late[raw.starts[:-1]] = 0.0
    if "row" in leak:
        assert run(planted_statistical.with_columns(raw, late), "observation-leaks") == []


def test_the_length_and_the_end_are_outcomes_too():
    raw = clean_logs.hazard_grid(0, 500, epsilon=0.5)
    end = raw.terminated[raw.starts[1:] - 1]
    assert np.count_nonzero(~end) >= 5
    for values, said in ((raw.lengths, "the length"), (end, "the end")):
        column = np.repeat(values, raw.lengths).astype(float)
        (found,) = run(planted_statistical.with_columns(raw, column), "observation-leaks")
        assert said in found.what


def test_what_is_constant_or_seen_beforehand_is_no_leak():
    raw = clean_logs.cartpole(0, 60)
    rng = np.random.default_rng(0)
    person = np.repeat(rng.normal(size=raw.n_episodes), raw.lengths)
    assert run(planted_statistical.with_columns(raw, np.ones(raw.n_rows), person), "observation-leaks") == []
    ids = clean_logs.tabular(0, 60)
    assert run(replace(ids, rewards=ids.observations.astype(float)), "observation-leaks") == []


def test_a_leak_of_a_rare_cost_is_confirmed_in_all_rows():
    raw = clean_logs.pendulum(0, 1_100)
    rare = np.zeros(raw.n_rows)
    rare[-6:] = 1.0  # hardly in a sample of the rows
    raw = replace(raw, costs={"rare": rare})
    (found,) = run(planted_statistical.with_columns(raw, rare), "observation-leaks")
    assert "rare" in found.what
    other = rare.copy()
    other[0] = 1.0
    assert run(planted_statistical.with_columns(raw, other), "observation-leaks") == []
