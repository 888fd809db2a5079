"""Real d3rlpy algorithms and torch modules behind `wrap`; run by `make test-d3rlpy`."""

import subprocess
import sys

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.policies.third_party import wrap

pytestmark = [pytest.mark.d3rlpy, pytest.mark.filterwarnings("ignore")]  # theirs, not ours to mend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 3)).astype(np.float32)
MASKS = RNG.random((64, 4)) < 0.5
MASKS[np.arange(64), RNG.integers(0, 4, 64)] = True


@pytest.fixture(scope="module")
def log():
    ends = np.arange(64) % 8 == 7
    return Dataset.from_arrays(X, RNG.integers(0, 3, 64), RNG.normal(size=64), ends, ~ends & False, n_actions=4)


def build(name, log, **options):
    import d3rlpy

    from groundschool.data.d3rlpy_format import to_mdp_dataset

    d3rlpy.seed(0)
    algorithm = getattr(d3rlpy.algos, f"{name}Config")(**options).create(device="cpu:0")
    algorithm.build_with_dataset(to_mdp_dataset(log))
    return algorithm


def scores_by_hand(algorithm, x):
    """Every action's value or log-probability, by d3rlpy's modules directly."""
    import torch

    with torch.no_grad():
        modules, x = algorithm.impl.modules, torch.as_tensor(x)
        if algorithm.observation_scaler is not None:
            x = algorithm.observation_scaler.transform(x)
        if hasattr(modules, "imitator"):
            return modules.imitator(x).logits.numpy()
        return np.mean([q(x).q_value.numpy() for q in modules.q_funcs], axis=0)


@pytest.mark.parametrize("name", ["DiscreteBC", "DiscreteCQL", "DQN", "DoubleDQN"])
@pytest.mark.parametrize("scaled", [False, True], ids=["raw", "standardised"])
def test_algorithm_is_judged_by_its_greedy_action(name, scaled, log):
    import d3rlpy

    scaler = (
        d3rlpy.preprocessing.StandardObservationScaler(mean=X.mean(axis=0) + 1, std=2 * X.std(axis=0))
        if scaled
        else None
    )
    algorithm = build(name, log, observation_scaler=scaler)
    policy = wrap(algorithm)
    scores = scores_by_hand(algorithm, X)
    assert (policy.n_actions, policy.name) == (4, f"d3rlpy {name}")
    np.testing.assert_array_equal(policy.probabilities(X), np.eye(4)[algorithm.predict(X)])
    np.testing.assert_array_equal(policy.probabilities(X), np.eye(4)[scores.argmax(axis=1)])
    best_allowed = np.where(MASKS, scores, -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(policy.probabilities(X, masks=MASKS), np.eye(4)[best_allowed])
    np.testing.assert_array_equal(policy.act(X, np.random.default_rng(0)), algorithm.predict(X))


def test_values_are_the_mean_critic(log):
    algorithm = build("DiscreteCQL", log, n_critics=3)
    np.testing.assert_allclose(wrap(algorithm).values(X), scores_by_hand(algorithm, X), atol=1e-6)


def test_values_of_scaled_rewards_are_refused(log):
    import d3rlpy

    algorithm = build("DQN", log, reward_scaler=d3rlpy.preprocessing.MultiplyRewardScaler(0.1))
    with pytest.raises(InputError, match="reward scaler"):
        wrap(algorithm).values(X)


def test_cloned_distribution_on_request(log):
    algorithm = build("DiscreteBC", log)
    policy = wrap(algorithm, outputs="probabilities", name="clone")
    expected = np.exp(scores_by_hand(algorithm, X))
    np.testing.assert_allclose(policy.probabilities(X), expected, atol=1e-6)
    allowed = expected * MASKS
    np.testing.assert_allclose(
        policy.probabilities(X, masks=MASKS), allowed / allowed.sum(axis=1, keepdims=True), atol=1e-6
    )
    np.testing.assert_array_equal(policy.greedy().probabilities(X), wrap(algorithm).probabilities(X))
    with pytest.raises(InputError, match="no action values"):
        policy.values(X)


def test_state_ids_and_doubles_pass(log):
    ids = Dataset.from_arrays(
        np.arange(4), [0, 1, 2, 1], np.zeros(4), [False, True] * 2, np.zeros(4, dtype=bool), n_actions=3
    )
    algorithm = build("DQN", ids)
    assert wrap(algorithm).probabilities(ids.observations).shape == (4, 3)
    doubles = build("DQN", log)
    np.testing.assert_array_equal(wrap(doubles).probabilities(X.astype(np.float64)), wrap(doubles).probabilities(X))


def test_what_cannot_be_judged(log):
    import d3rlpy

    with pytest.raises(InputError, match="no network yet"):
        wrap(d3rlpy.algos.DQNConfig().create(device="cpu:0"))
    with pytest.raises(InputError, match="continuous"):
        wrap(d3rlpy.algos.CQLConfig().create(device="cpu:0"))
    with pytest.raises(InputError, match=r"\.create\(\)"):
        wrap(d3rlpy.algos.DQNConfig())
    with pytest.raises(InputError, match="knows 4 actions"):
        wrap(build("DQN", log), n_actions=5)
    with pytest.raises(InputError, match="greedy action"):
        wrap(build("DQN", log), outputs="probabilities")


@pytest.mark.parametrize("outputs", ["logits", "values", "probabilities"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_torch_module(outputs, dtype):
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Linear(3, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 4)]
    module = torch.nn.Sequential(*layers, *([torch.nn.Softmax(dim=1)] if outputs == "probabilities" else []))
    module.to(getattr(torch, dtype)).train()
    with torch.no_grad():
        raw = module.eval()(torch.as_tensor(X).to(getattr(torch, dtype))).double().numpy()
    module.train()
    policy = wrap(module, outputs=outputs, example=X[:1], name="theirs")
    if outputs == "values":
        expected = np.eye(4)[raw.argmax(axis=1)]
        np.testing.assert_array_equal(policy.values(X), raw)
    else:
        expected = np.exp(raw) if outputs == "logits" else raw
        expected = expected / expected.sum(axis=1, keepdims=True)
    frozen = X.copy()
    frozen.flags.writeable = False
    np.testing.assert_allclose(policy.probabilities(frozen), expected, atol=1e-9)
    assert policy.n_actions == 4
    assert module.training  # left as it was found


def test_torch_module_must_say_what_it_returns():
    import torch

    with pytest.raises(InputError, match="a torch module may return anything"):
        wrap(torch.nn.Linear(3, 4), n_actions=4)


def test_importing_wrap_imports_neither():
    code = (
        "import sys, groundschool.policies.third_party, groundschool.data.d3rlpy_format; "
        "print('torch' in sys.modules, 'd3rlpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
