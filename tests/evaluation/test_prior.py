"""What is expected of a pair before it was logged: by hand, against loops, and the better of two explanations."""

import numpy as np
import pytest

from groundschool.evaluation.prior import by_state, prior


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

        above = below = 0.0
        for s, a in logged:
            alone = n[s].sum() == n[s, a] or not any(pair != (s, a) and pair[1] == a for pair in logged)
            if alone:
                continue
            mean = x[s, a] / n[s, a]
            state = (x[s].sum() - x[s, a]) / (n[s].sum() - n[s, a])
            action = of_action(a, without=(s, a))
            above += w[s, a] * (mean - state) * (action - state)
            below += w[s, a] * (action - state) ** 2
        share = min(max(above / below, 0.0), 1.0) if below > 0 else 0.0
        for s in range(S):
            for a in range(A):
                if n[s].sum():
                    found[k, s, a] = (1 - share) * x[s].sum() / n[s].sum() + share * of_action(a)
    return found


def test_by_hand():
    # Rows: state 0 has action 0 twice (mean 2) and action 1 once (1); state 1 has action 0 once (4); state 2 nothing.
    sums, rows = [[4, 1], [4, 0], [0, 0]], [[2, 1], [1, 0], [0, 0]]
    # Only (0, 0) has others in its state and in its action: 1 says the state, 4 the action, and it is 2.
    share = (2 - 1) * (4 - 1) / (4 - 1) ** 2
    actions = [(2 / 3 * 2 + 1 / 2 * 4) / (2 / 3 + 1 / 2), 1.0]
    states = [5 / 3, 4.0]
    expected = [[(1 - share) * s + share * a for a in actions] for s in states] + [[0.0, 0.0]]
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


def test_by_state_actions_are_alike():
    sums, rows = np.array([[[4.0, 1.0], [0.0, 0.0]]]), np.array([[[2.0, 1.0], [0.0, 0.0]]])
    assert by_state(sums, rows)[0] == pytest.approx(np.array([[5 / 3, 5 / 3], [0.0, 0.0]]))
