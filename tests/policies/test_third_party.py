import numpy as np
import pytest

from groundschool.errors import InputError
from groundschool.policies import TabularPolicy
from groundschool.policies.policy import Policy
from groundschool.policies.third_party import wrap

X = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]], dtype=np.float32)
P = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.1, 0.2, 0.7]])
Q = np.array([[3.0, 2.0, 1.0], [-5.0, -1.0, -2.0], [0.0, 0.0, -1.0]])
MASKS = np.array([[False, True, True], [True, False, True], [True, True, True]])


def returning(table):
    return lambda x: np.asarray(table)[: len(x)]


LOG_P = np.log(np.maximum(P, 1e-300))
CASES = [  # what is returned, as what, unmasked, masked
    ("probabilities", None, P, P, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.1, 0.2, 0.7]]),
    ("float32 rows", None, P.astype(np.float32), P, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.1, 0.2, 0.7]]),
    ("logits", "logits", LOG_P + 7.0, P, [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.1, 0.2, 0.7]]),
    ("values", "values", Q, np.eye(3)[[0, 1, 0]], np.eye(3)[[1, 2, 0]]),
    ("actions", None, [0, 1, 2], np.eye(3), [[0, 0.5, 0.5], [0.5, 0, 0.5], [0, 0, 1]]),
    ("values below zero, best forbidden", "values", -np.abs(Q), np.eye(3)[[2, 1, 0]], np.eye(3)[[2, 2, 0]]),
]


@pytest.mark.parametrize(("outputs", "result", "expected", "masked"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_callable_becomes_the_distribution_it_means(outputs, result, expected, masked):
    policy = wrap(returning(result), n_actions=3, outputs=outputs)
    assert isinstance(policy, Policy)
    np.testing.assert_allclose(policy.probabilities(X), expected, atol=1e-6)
    np.testing.assert_allclose(policy.probabilities(X, masks=MASKS), masked, atol=1e-6)


def test_act_samples_from_the_masked_probabilities():
    policy = wrap(lambda x: np.tile(P[0], (len(x), 1)), n_actions=3)
    n = 20_000
    actions = policy.act(np.zeros((n, 2)), np.random.default_rng(0), masks=np.tile(MASKS[0], (n, 1)))
    assert not (actions == 0).any()
    # half of the rest each; five binomial standard deviations: 5 * 0.5 / sqrt(20,000) = 0.018
    assert abs((actions == 1).mean() - 0.5) < 0.018


def test_number_of_actions_is_found_from_an_example():
    calls = []

    def uniform(x):
        calls.append(len(x))
        return np.full((len(x), 5), 0.2)

    policy = wrap(uniform, example=X[:1])
    assert (policy.n_actions, policy.name, calls) == (5, "uniform", [1])


def test_values_are_handed_out_for_values_only():
    np.testing.assert_array_equal(wrap(returning(Q), n_actions=3, outputs="values").values(X), Q)
    with pytest.raises(InputError, match="no action values"):
        wrap(returning(P), n_actions=3).values(X)


def test_a_policy_is_returned_as_it_is():
    table = TabularPolicy(np.full((2, 3), 1 / 3))
    assert wrap(table) is table
    with pytest.raises(InputError, match="leave n_actions"):
        wrap(table, n_actions=4)


def test_names():
    assert wrap(returning(P), n_actions=3, name="theirs").name == "theirs"
    assert wrap(np.vectorize(lambda x: 0), n_actions=3).name


class Predictor:
    def predict(self, x):
        return np.zeros(len(x), dtype=int)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"thing": returning(P)}, "n_actions=..."),
        ({"thing": returning([0, 1, 2]), "example": X}, "do not say how many"),
        ({"thing": Predictor(), "n_actions": 3}, r"wrap\(thing.predict"),
        ({"thing": "policy", "n_actions": 3}, "expected a policy"),
        ({"thing": returning(P), "n_actions": 0}, "n_actions=0"),
        ({"thing": returning(P), "n_actions": True}, "n_actions=True"),
        ({"thing": returning(P), "n_actions": 3, "outputs": "q"}, "outputs='q'"),
    ],
)
def test_what_cannot_be_wrapped(arguments, message):
    with pytest.raises(InputError, match=message):
        wrap(**arguments)


@pytest.mark.parametrize(
    ("result", "outputs", "message"),
    [
        (Q, None, "outputs='logits'"),
        (P[:, :2], None, "expected \\(3, 3\\)"),
        ([0, 1, 3], None, "0 to 2"),
        ([0, 1, -1], None, "-1 to 1"),
        ([0.0, 1.0, 2.0], None, "expected integers"),
        ([0, 1], None, "expected \\(3,\\)"),
        (P * np.nan, None, "not finite"),
        (np.full((3, 3), np.inf), "values", "not finite"),
        (P, "actions", "actions of shape"),
    ],
)
def test_wrong_answers_are_refused(result, outputs, message):
    with pytest.raises(InputError, match=message):
        wrap(lambda x: np.asarray(result), n_actions=3, outputs=outputs).probabilities(X)


def test_masks_that_allow_nothing_are_refused():
    with pytest.raises(InputError, match="allow no action"):
        wrap(returning(Q), n_actions=3, outputs="values").probabilities(X, masks=np.zeros((3, 3), dtype=bool))
