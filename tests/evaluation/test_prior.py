"""What is expected of a pair before it was logged: by hand, against loops, and the better of two explanations."""

import numpy as np
import pytest

from groundschool.evaluation.prior import ROWS_OF_ITS_ACTION, by_state, prior


def of_one(sums, rows):
    return prior(np.array([sums], float), np.array([rows], float))[0]


def loops(sums, rows):
    """The definition, pair by pair: K parts apart, leaving each pair out of its own forecast."""
    found = np.zeros(sums.shape)
    for k in range(len(sums)):
        x, n = sums[k], rows[k]
        S, A = n.shape
        logged = [(s, a) for s in range(S) for a in range(A) if n[s, a] > 0]
        w = {pair: n[pair] / (n[pair] + 1) for pair in logged}

        def of_action(a, without=None, x=x, n=n, w=w, logged=logged):
            mine = [pair for pair in logged if pair[1] == a and pair != without]
            total = sum(w[pair] for pair in mine)
            return sum(w[pair] * x[pair] / n[pair] for pair in mine) / total if total else 0.0

        def forecast(s, a, more, without=None, x=x, n=n, of_action=of_action):
            mean = of_action(a, without)
            if more == np.inf:
                return mean
            left = 0.0 if without is None else 1.0
            n_state, x_state = n[s].sum() - left * n[s, a], x[s].sum() - left * x[s, a]
            return (x_state + more * mean) / (n_state + more)

        def error(more, logged=logged, n=n, x=x, w=w, forecast=forecast):
            compared = [
                (s, a)
                for s, a in logged
                if n[s].sum() > n[s, a] and any(other != (s, a) and other[1] == a for other in logged)
            ]
            return sum(w[s, a] * abs(x[s, a] / n[s, a] - forecast(s, a, more, (s, a))) for s, a in compared)

        more = min(ROWS_OF_ITS_ACTION, key=error)
        for s in range(S):
            for a in range(A):
                if n[s].sum():
                    found[k, s, a] = forecast(s, a, more)
    return found


def test_by_hand():
    # Rows: state 0 has action 0 twice (mean 2) and action 1 once (1); state 1 has action 0 once (4); state 2 nothing.
    sums, rows = [[4, 1], [4, 0], [0, 0]], [[2, 1], [1, 0], [0, 0]]
    # Only (0, 0), with mean 2, has others in its state (1) and of its action (4): between them, one row of the
    # action's mean to one of the state's says 2.5, nearest of all.
    actions = [(2 / 3 * 2 + 1 / 2 * 4) / (2 / 3 + 1 / 2), 1.0]
    expected = [[(5 + a) / 4 for a in actions], [(4 + a) / 2 for a in actions], [0.0, 0.0]]
    assert of_one(sums, rows) == pytest.approx(np.array(expected))


def test_it_is_the_definition_pair_by_pair():
    rng = np.random.default_rng(8)
    rows = rng.poisson(0.8, (4, 7, 3)).astype(float)
    sums = rng.normal(1.0, 2.0, rows.shape) * rows
    assert prior(sums, rows) == pytest.approx(loops(sums, rows), rel=1e-9)


def test_what_belongs_to_an_action_is_expected_of_it_where_it_was_never_taken():
    rows = np.ones((20, 4))
    rows[3, 2] = 0
    sums = rows * np.array([0.0, 0.0, -10.0, 0.0])
    assert of_one(sums, rows)[3, 2] == pytest.approx(-10.0)


def test_what_belongs_to_a_place_is_expected_of_all_that_is_done_there():
    rows = np.full((20, 4), 2.0)
    rows[3, 2] = 0
    sums = rows * (np.arange(20) % 4 == 3)[:, None]
    assert of_one(sums, rows)[3] == pytest.approx(np.ones(4))


def test_without_anything_to_compare_it_is_the_state():
    assert of_one([[3.0, 0.0]], [[2.0, 0.0]]) == pytest.approx(np.array([[1.5, 1.5]]))
    assert of_one([[0.0, 0.0]], [[0.0, 0.0]]).tolist() == [[0.0, 0.0]]


def test_noise_alone_does_not_sway_the_mix():
    """No state and no action is better than another: the forecast stays near the mean of all, pair by pair."""
    rng = np.random.default_rng(5)
    rows = np.full((1, 60, 5), 4.0)
    sums = rng.normal(0.0, 1.0, rows.shape) * 2.0  # the sum of four rows of variance 1
    # The worst forecast, the state's mean alone, has variance 1 / 20; ten standard errors of its mean square over 60.
    assert np.square(prior(sums, rows)).mean() < 0.05 * (1 + 10 * np.sqrt(2 / 60))


def test_a_state_logged_often_speaks_for_itself():
    """One state in ten is a danger, whatever is done: what 200 rows never showed is not expected there."""
    rng = np.random.default_rng(2)
    rows = np.full((40, 3), 50.0)
    rows[:, 2] = rng.integers(0, 3, 40)
    chance = np.where(np.arange(40) % 10 == 0, 0.4, 0.0)[:, None]
    found = of_one(rng.binomial(rows.astype(int), chance), rows)
    safe = chance[:, 0] == 0
    assert found[safe].max() < 0.01
    assert found[~safe].min() > 0.25


def test_by_state_actions_are_alike():
    sums, rows = np.array([[[4.0, 1.0], [0.0, 0.0]]]), np.array([[[2.0, 1.0], [0.0, 0.0]]])
    assert by_state(sums, rows)[0] == pytest.approx(np.array([[5 / 3, 5 / 3], [0.0, 0.0]]))
