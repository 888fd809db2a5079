"""Every fault of a bundle is refused with a sentence, and attachments are part of the bundle."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import groundschool as gs
from groundschool.bundle import attachments
from groundschool.bundle import format as bundle
from groundschool.errors import InputError
from groundschool.policies import NetworkPolicy, TabularPolicy
from groundschool.policies.encoding import Encoder

FILES = (bundle.TENSORS, bundle.MANIFEST, "verdict.json", "report.html")


def made():
    """A network over ids behind a guard, with a table to fall back on."""
    n = 60
    rng = np.random.default_rng(0)
    flags = np.arange(n) % 3 == 2
    columns = rng.integers(0, 4, n), rng.integers(0, 2, n), np.zeros(n)
    log = gs.Dataset.from_arrays(*columns, flags, ~flags & False, n_actions=2)
    layers = ((rng.normal(size=(1, 4, 2)).astype(np.float32), np.zeros((1, 1, 2), np.float32)),)
    network = NetworkPolicy("net", 2, Encoder((), n_ids=4), layers, "softmax")
    train, rest = log.select(np.arange(10)), log.select(np.arange(10, 20))
    return gs.guard(train, rest, network, fallback=TabularPolicy(np.full((4, 2), 0.5)), false_alarms=0.2)


@pytest.fixture(scope="module")
def policy():
    return made()


@pytest.fixture
def path(policy, tmp_path):
    return policy.save(tmp_path / "bundle", attach={"verdict.json": {"decision": "GO"}, "report.html": "<p>"})


def test_round_trip_with_attachments(policy, path):
    again = gs.load(path)
    states = np.arange(-1, 8)
    assert again.probabilities(states).tobytes() == policy.probabilities(states).tobytes()
    for seed in range(200):
        one, other = (p.decide(seed % 8, np.random.default_rng(seed)) for p in (policy, again))
        assert one == other
    assert again.name == policy.name
    assert again.guard.to_json() == policy.guard.to_json()
    assert again.training == policy.training
    assert attachments(path) == {"verdict.json": b'{\n "decision": "GO"\n}\n', "report.html": b"<p>"}
    assert sorted(entry.name for entry in path.iterdir()) == sorted(FILES)


def test_a_file_is_attached_by_its_path(policy, tmp_path):
    (tmp_path / "card").write_text("# Card é\n", encoding="utf-8")
    policy.save(tmp_path / "bundle", attach={"MODEL_CARD.md": tmp_path / "card", "notes.txt": b"\xff"})
    assert attachments(tmp_path / "bundle") == {"MODEL_CARD.md": "# Card é\n".encode(), "notes.txt": b"\xff"}


@pytest.mark.parametrize(
    ("attach", "message"),
    [
        ({"../x": "a"}, "plain file name"),
        ({".hidden": "a"}, "plain file name"),
        ({"a/b": "a"}, "plain file name"),
        ({"": "a"}, "plain file name"),
        ({bundle.MANIFEST: "a"}, "plain file name"),
        ({"x.json": {"rate": float("nan")}}, "cannot be written as JSON"),
        ({"x.json": object()}, "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_attached_leaves_nothing_behind(policy, tmp_path, attach, message):
    with pytest.raises(InputError, match=message):
        policy.save(tmp_path / "bundle", attach=attach)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_to_attach(policy, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        policy.save(tmp_path / "bundle", attach={"report.html": tmp_path / "nowhere"})


def test_force_replaces_a_bundle_with_its_attachments_and_nothing_else(policy, path):
    policy.save(path, force=True)
    assert sorted(entry.name for entry in path.iterdir()) == [bundle.MANIFEST, bundle.TENSORS]
    policy.save(path, force=True, attach={"report.html": "new"})
    (path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds 'mine.txt', which is no part of a bundle"):
        policy.save(path, force=True)
    assert attachments(path) == {"report.html": b"new"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", ["empty", "truncated", "missing", "flipped", "longer", "a directory"])
def test_every_damaged_file_is_refused(path, name, fault):
    file = path / name
    payload = file.read_bytes()
    if fault in ("missing", "a directory"):
        file.unlink()
        if fault == "a directory":
            file.mkdir()
    else:
        middle = len(payload) // 2
        flipped = payload[:middle] + bytes([payload[middle] ^ 1]) + payload[middle + 1 :]
        file.write_bytes({"empty": b"", "truncated": payload[:-2], "flipped": flipped, "longer": payload + b"}"}[fault])
    with pytest.raises(InputError, match=re.escape(str(path))) as refused:
        gs.load(path)
    assert name in str(refused.value)


def rewritten(path, change):
    """Write the bundle anew with changed tensors and facts, and the hashes that belong to them."""
    tensors, manifest = bundle.read(path)
    manifest = {key: value for key, value in manifest.items() if not key.endswith("sha256")}
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    change(tensors, manifest["policy"])
    return bundle.write(path.with_name("other"), tensors, manifest)


def put(name, value):
    def change(tensors, facts):
        tensors[name] = np.asarray(value) if not callable(value) else value(tensors[name])

    return change


def fact(*keys, value):
    def change(tensors, facts):
        for key in keys[:-1]:
            facts = facts[key]
        facts[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("policy.layer0.weight", lambda w: w * np.nan), "no finite numbers"),
        (put("policy.layer0.bias", lambda b: b + np.inf), "no finite numbers"),
        (put("policy.layer0.weight", lambda w: w[:, :3]), "weights of shape"),
        (put("policy.layer0.bias", lambda b: b[..., :1]), "biases of shape"),
        (put("fallback.table", lambda t: t * 2), "not distributions"),
        (put("fallback.table", lambda t: t[:, :1] * 2), "fallback 'table' has 1 actions"),
        (put("guard.ranking", [0, 0]), "the last resort ranks"),
        (put("guard.ranking", [0, 1, 2]), "the last resort ranks"),
        (put("guard.supported", lambda t: t[1:]), "the table of supported actions"),
        (put("guard.supported", lambda t: t.astype(np.int64)), "the table of supported actions"),
        (put("guard.schema.low", [np.nan]), "the range of 'state'"),
        (put("guard.schema.low", [0.0, 0.0]), "do not all have"),
        (put("guard.novelty.episodes", [1]), "a count for each logged observation"),
        (put("guard.novelty.observations", lambda x: x[:, None].astype(float)), "another width"),
        (put("stray.tensor", [1]), "does not describe a policy"),
        (lambda tensors, facts: tensors.pop("guard.ranking"), "does not describe a policy"),
        (lambda tensors, facts: tensors.pop("policy.layer0.bias"), "does not describe a policy"),
        (lambda tensors, facts: facts.pop("guard"), "does not describe a policy"),
        (fact("kind", value="oracle"), "policy kind 'oracle' is unknown"),
        (fact("policy", "kind", value="oracle"), "policy kind 'oracle' is unknown"),
        (fact("guard", "novelty", "kind", value="oracle"), "novelty of kind 'oracle' is unknown"),
        (fact("guard", "novelty", "least", value=0), "a least count of 1 or more"),
        (fact("guard", "rules", value=[{"when": "state <", "forbid": [0]}]), "expected"),
        (fact("guard", "rules", value=[{"when": "dose < 1", "forbid": [0]}]), "'dose' is no feature"),
        (fact("guard", "rules", value=[{"when": "state < 1", "forbid": [9]}]), "actions from 0 to 1"),
        (fact("guard", "rules", value=[{"unless": "state < 1"}]), "does not describe a policy"),
        (fact("guard", "limits", value=[{"rate": 2, "window": 1}]), "rate is 2"),
        (fact("n_actions", value=3), "last resort ranks"),
        (fact("guard", "schema", "dtype", value="float32"), "cannot be of type float32"),
        (fact("guard", "schema", value=None), "does not describe a policy"),
    ],
)
def test_a_sound_file_that_describes_no_guarded_policy_is_refused(path, change, message):
    other = rewritten(path, change)
    with pytest.raises(InputError, match=message) as refused:
        gs.load(other)
    assert str(other) in str(refused.value)


def test_a_newer_format_says_upgrade(path):
    facts = json.loads((path / bundle.MANIFEST).read_text(encoding="utf-8"))
    facts["format_version"] += 1
    (path / bundle.MANIFEST).write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(InputError, match="upgrade"):
        gs.load(path)


def test_a_bundle_of_the_first_version_is_still_read(tmp_path):
    # what 0.1.0 wrote: no attachments in the manifest
    bundle.write(tmp_path / "old", {"table": np.eye(2)}, {"policy": {"kind": "tabular", "name": "t", "n_actions": 2}})
    assert "attachments_sha256" not in json.loads((tmp_path / "old" / bundle.MANIFEST).read_text(encoding="utf-8"))
    np.testing.assert_array_equal(gs.load(tmp_path / "old").probabilities([1]), [[0, 1]])
