"""Saved policies decide exactly as before; what is no policy of ours is refused with a sentence."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groundschool as gs
from groundschool.bundle import format as bundle
from groundschool.errors import InputError
from groundschool.policies import NetworkPolicy, TabularPolicy, TrainingRecord, load, wrap
from groundschool.policies.encoding import fit_encoder
from groundschool.policies.support import fit_support

RECORD = TrainingRecord(
    algorithm="cql",
    config={"hidden": [3], "learning_rate": 1e-3, "frequencies": None},
    steps=7,
    seed=3,
    seconds=0.1,
    compile_seconds=1 / 3,
    device="cpu:0",
    versions={"jax": "0"},
    fingerprint="ab",
    episode_hashes=("01", "02"),
    curves={"step": [1, 7], "loss": [0.1, 0.30000000000000004]},
    notes=("a note",),
)


def network(seed=0, shape=(3,), hidden=(4,), networks=2, n_actions=3, head="greedy", encoding="auto", support=True):
    """A policy with random weights and some observations for it."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 6, (40, *shape)).astype(np.float32) if shape else rng.integers(0, 6, 40)
    encoder = fit_encoder(x, encoding)
    sizes = (encoder.width, *hidden, n_actions)
    layers = tuple(
        (
            rng.normal(size=(networks, i, o)).astype(np.float32),
            rng.normal(size=(networks, 1, o)).astype(np.float32),
        )
        for i, o in itertools.pairwise(sizes)
    )
    fitted = fit_support(x, rng.integers(0, n_actions, 40), n_actions, min_count=1, min_share=0.5) if support else None
    return NetworkPolicy("net", n_actions, encoder, layers, head, 3.7, fitted, RECORD), x


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 99),
    shape=st.sampled_from([(), (1,), (3,), (2, 2)]),
    hidden=st.sampled_from([(), (4,), (5, 2)]),
    networks=st.integers(1, 3),
    head=st.sampled_from(["softmax", "greedy"]),
    encoding=st.sampled_from(["auto", "one-hot", "standardize", "raw"]),
    support=st.booleans(),
    greedy=st.booleans(),
)
def test_a_loaded_network_is_the_saved_one(tmp_path_factory, greedy, **kind):
    policy, x = network(**kind)
    if greedy:
        policy = policy.greedy()
    path = tmp_path_factory.mktemp("store") / "policy"
    policy.save(path)
    again = load(path)
    assert type(again) is type(policy)
    assert (again.name, again.n_actions) == (policy.name, policy.n_actions)
    assert again.probabilities(x).tobytes() == policy.probabilities(x).tobytes()
    if isinstance(policy, NetworkPolicy):
        assert again.training == RECORD
        assert again.outputs(x).tobytes() == policy.outputs(x).tobytes()
        assert (again.head, again.value_scale, again.encoder) == (policy.head, policy.value_scale, policy.encoder)


@pytest.mark.parametrize("greedy", [False, True])
def test_a_loaded_table_is_the_saved_one(tmp_path, greedy):
    policy = TabularPolicy([[0.1, 0.9], [1 / 3, 2 / 3]], name="Tafel é")
    policy = policy.greedy() if greedy else policy
    policy.save(tmp_path / "deep" / "policy")
    again = gs.load(tmp_path / "deep" / "policy")
    assert type(again) is type(policy)
    assert again.name == policy.name
    assert again.probabilities([0, 1]).tobytes() == policy.probabilities([0, 1]).tobytes()


def test_a_bundle_is_tensors_and_json_only(tmp_path):
    path = network()[0].save(tmp_path / "policy")
    assert sorted(entry.name for entry in path.iterdir()) == ["manifest.json", "tensors.safetensors"]
    json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    payload = (path / "tensors.safetensors").read_bytes()
    header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
    assert header.keys() >= {"layer0.weight", "layer1.bias", "support.allowed"}


def test_code_is_not_saved(tmp_path):
    policy = wrap(lambda rows: np.zeros(len(rows), np.int64), n_actions=2, name="rule")
    for unsaved in (policy, policy.greedy()):
        with pytest.raises(InputError, match=r"'rule'.*wraps code"):
            unsaved.save(tmp_path / "policy")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"policy": {"kind": "oracle"}}, "policy kind 'oracle' is unknown"),
        ({"policy": {"name": "x"}}, "does not describe a policy"),
        ({"policy": {"kind": "network", "name": "x", "n_actions": 2}}, "does not describe a policy"),
        ({"policy": {"kind": "greedy", "policy": "oracle"}}, "does not describe a policy"),
        ({"policy": ["kind"]}, "does not describe a policy"),
        ({"something": "else"}, "does not describe a policy"),
        ({"policy": {"kind": "tabular", "name": "x"}}, "does not describe a policy"),
    ],
)
def test_bundles_that_hold_no_policy_of_ours(tmp_path, facts, message):
    bundle.write(tmp_path / "policy", {"other": np.zeros(2)}, facts)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "policy")


def test_a_table_that_is_no_policy_is_refused_on_loading(tmp_path):
    bundle.write(tmp_path / "policy", {"table": np.full((2, 2), 0.7)}, {"policy": {"kind": "tabular", "name": "x"}})
    with pytest.raises(InputError, match="not distributions"):
        load(tmp_path / "policy")
