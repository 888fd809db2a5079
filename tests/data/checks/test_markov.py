"""Hidden states are found, by tables and by regression; functions that are merely rough are not."""

from dataclasses import replace

import clean_logs
import numpy as np
import pytest

from groundschool.data.checks import markov
from groundschool.data.checks._prediction import ridge_residuals, tabulate
from groundschool.data.checks._sample import folds
from groundschool.data.checks.history import history_gain
from groundschool.data.checks.view import View


def run(raw, seed=0):
    view = View(raw, seed)
    return [] if markov.CHECKS[0].needs(view) else list(markov.not_markov(view))


def kept(raw, columns):
    return replace(
        raw,
        observations=np.ascontiguousarray(raw.observations[:, columns]),
        final_observations=np.ascontiguousarray(raw.final_observations[:, columns]),
    )


HIDDEN = {
    "grid, x alone": (lambda seed: clean_logs.hazard_grid(seed, 300, epsilon=0.15), [0]),
    "grid, y alone": (lambda seed: clean_logs.hazard_grid(seed, 300, epsilon=0.15), [1]),
    "cartpole, no speeds": (lambda seed: clean_logs.cartpole(seed, 80), [0, 2]),
    "pendulum, no speed": (lambda seed: clean_logs.pendulum(seed, 80), [0, 1]),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_a_hidden_part_of_the_state_is_found(case):
    make, columns = HIDDEN[case]
    for seed in range(2):
        assert run(make(seed), seed) == []
        (found,) = run(kept(make(seed), columns), seed)
        assert (found.check, found.severity) == ("not-markov", "warning")
        assert found.measured["gain"] >= found.measured["gain_threshold"]
        assert found.measured["with_history"] > found.measured["without"]


def memory(rng, episodes, steps, share):
    """Return states and actions where, at a share of steps, the next state repeats the one before."""
    seen = rng.integers(0, 3, (episodes, steps + 1))
    actions = rng.integers(0, 2, (episodes, steps))
    for t in range(1, steps):
        again = rng.random(episodes) < share
        seen[:, t + 1] = np.where(again, seen[:, t - 1], seen[:, t + 1])
    return seen, actions


def test_the_gain_of_a_table_is_the_information_in_the_past():
    """P(next) is 1/3 + 2/3 s for the state before and (1 - s)/3 for both others, against 1/3 each without it."""
    share, rng = 0.5, np.random.default_rng(0)
    seen, actions = memory(rng, 800, 25, share)
    episode = np.repeat(np.arange(800), 25)
    found = history_gain(seen[:, :-1].ravel(), actions.ravel(), episode, next_observations=seen[:, 1:].ravel())
    odds = np.array([share + (1 - share) / 3, (1 - share) / 3, (1 - share) / 3])
    assert found.method == "table"
    assert found.history.startswith("the step before")
    assert found.gain == pytest.approx(np.log(3) + np.sum(odds * np.log(odds)), abs=0.02)
    assert found.without == pytest.approx(-np.log(3), abs=0.01)
    assert found.found
    seen, actions = memory(rng, 800, 25, 0.0)
    assert not history_gain(seen[:, :-1].ravel(), actions.ravel(), episode).found


def hidden_push(rng, episodes, steps, weight):
    """A number that moves by a known action, by noise and by a push that persists, unseen, for the whole episode."""
    push = rng.choice([-1.0, 1.0], episodes)
    seen, acted = np.zeros((episodes, steps + 1, 1)), rng.normal(size=(episodes, steps, 1))
    for t in range(steps):
        change = acted[:, t, 0] + weight * push + rng.normal(size=episodes) - 0.5 * seen[:, t, 0]
        seen[:, t + 1, 0] = seen[:, t, 0] + change
    return seen[:, :-1].reshape(-1, 1), acted.reshape(-1, 1), np.repeat(np.arange(episodes), steps)


def test_the_regression_explains_what_it_can():
    rng = np.random.default_rng(0)
    seen, acted, episode = hidden_push(rng, 200, 30, 0.0)
    found = history_gain(seen, acted, episode)
    assert found.method == "regression"
    assert not found.found
    # The noise alone stays: the change is 1 (action) + 1 (noise) + 0.25 x 8/3 (pull back to 0).
    stationary = 2 / (1 - 0.25)
    assert found.without == pytest.approx(1 - 1 / (2 + 0.25 * stationary), abs=0.03)
    assert history_gain(*hidden_push(rng, 200, 30, 1.5)).found


def rough(rng, width, episodes=120, steps=60):
    """A deterministic walk in a rough landscape that no basis of this size can follow, all of it observed."""
    slopes, shifts = 3 * rng.normal(size=(width, 40)), rng.uniform(-3, 3, 40)
    pull = rng.normal(size=(40, width)) / 4
    at, seen, acted = rng.normal(size=(episodes, width)), [], []
    for _ in range(steps):
        action = rng.normal(size=(episodes, 1))
        seen.append(at)
        acted.append(action)
        at = at + 0.1 * (np.sin(at @ slopes + shifts) @ pull - 0.5 * at) + 0.05 * action
    return (
        np.stack(seen, 1).reshape(-1, width),
        np.stack(acted, 1).reshape(-1, 1),
        np.repeat(np.arange(episodes), steps),
    )


@pytest.mark.parametrize("width", [2, 4, 10])
def test_a_rough_function_is_no_hidden_state(width):
    found = history_gain(*rough(np.random.default_rng(width), width))
    assert found.without < 0.99
    assert not found.found


def test_without_neighbors_nobody_can_tell_so_it_is_a_note():
    rng = np.random.default_rng(0)
    seen, acted, _ = rough(rng, 16)
    raw = clean_logs.pack(
        [
            {
                "observations": np.vstack([seen[i : i + 60], seen[i + 59]]),
                "actions": acted[i : i + 60],
                "rewards": np.zeros(60),
                "terminated": np.zeros(60, bool),
                "truncated": np.arange(60) == 59,
            }
            for i in range(0, len(seen), 60)
        ]
    )
    assert [f.severity for f in run(raw)] in ([], ["note"])


def test_history_behind_the_action():
    """A logger that repeats itself is told by its past; one that follows the observation is not."""
    rng = np.random.default_rng(0)
    episodes, steps = 200, 20
    seen = rng.integers(0, 4, (episodes, steps))
    sticky = rng.integers(0, 3, (episodes, steps))
    for t in range(1, steps):
        sticky[:, t] = np.where(rng.random(episodes) < 0.5, sticky[:, t - 1], sticky[:, t])
    by_rule = np.where(rng.random((episodes, steps)) < 0.3, rng.integers(0, 3, (episodes, steps)), seen % 3)
    episode = np.repeat(np.arange(episodes), steps)
    assert history_gain(seen.ravel(), sticky.ravel(), episode, target="action").found
    found = history_gain(seen.ravel(), by_rule.ravel(), episode, target="action")
    assert not found.found
    assert found.predicted == "the action"
    for make in (clean_logs.cartpole, clean_logs.pendulum):
        raw = make(0, 60)
        arguments = (raw.observations, raw.actions, np.repeat(np.arange(60), raw.lengths))
        assert not history_gain(*arguments, target="action").found
        hidden = history_gain(raw.observations[:, :2], *arguments[1:], target="action")
        assert hidden.found == (make is clean_logs.pendulum)


def test_rows_that_do_not_follow_each_other_are_no_history():
    raw = kept(clean_logs.cartpole(0, 100), [0, 2])
    gaps = np.arange(raw.n_rows) * 2.0
    assert run(replace(raw, steps=gaps)) == []
    assert len(run(replace(raw, steps=gaps / 2))) == 1


def test_too_little_to_say():
    rng = np.random.default_rng(0)
    few = history_gain(rng.normal(size=(100, 2)), rng.integers(0, 2, 100), np.repeat(np.arange(10), 10))
    assert few is None
    ids = history_gain(np.arange(5_000), rng.integers(0, 2, 5_000), np.repeat(np.arange(500), 10))
    assert ids is None


def test_blanks_among_observations():
    raw = clean_logs.cartpole(0, 100)
    seen = raw.observations.astype(float)
    blank = np.random.default_rng(0).random(raw.n_rows)
    seen[blank < 0.01, 3] = np.nan
    assert run(replace(raw, observations=seen)) == []
    seen[blank < 0.3, 3] = np.nan
    (found,) = run(replace(raw, observations=seen))  # the speed where it was last seen tells more than a blank
    assert found.where == "observations[2]"


def test_tables_are_cross_fitted_and_never_far_below_their_base():
    rng = np.random.default_rng(0)
    n = 4_000
    fold = folds(np.repeat(np.arange(200), 20), 5, 0)
    outcome, context = rng.integers(0, 4, n), rng.integers(0, 6, n)
    noise = [rng.integers(0, 50, n)]
    found = tabulate(outcome, context, [noise], fold)
    assert found.base.mean() == pytest.approx(-np.log(4), abs=0.02)
    assert -0.005 < (found.history - found.base).mean() < 0.002
    told = tabulate(outcome, context, [noise, [outcome]], fold)
    assert told.history.mean() > -0.05
    assert told.shares[1] > 0.9


def test_regressions_are_cross_fitted():
    rng = np.random.default_rng(0)
    fold = folds(np.repeat(np.arange(100), 20), 5, 0)
    inputs, history = rng.normal(size=(2_000, 2)), rng.normal(size=(2_000, 3))
    noise = rng.normal(size=(2_000, 1))
    found = ridge_residuals(noise, inputs, None, history, fold, 0)
    assert np.square(found.base).mean() > 0.99  # nothing there to be fitted
    action = rng.integers(0, 2, 2_000)
    target = np.where(action == 1, inputs[:, 0] ** 2, np.sin(2 * inputs[:, 1]))[:, None] + history[:, [2]]
    found = ridge_residuals(target, inputs, action, history, fold, 0)
    assert np.square(found.history).mean() < 0.1
    assert np.square(found.base).mean() == pytest.approx(1 / target.var(), abs=0.1)
