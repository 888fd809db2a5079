"""Policies to bundles and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from groundschool.bundle import format as bundle
from groundschool.errors import InputError
from groundschool.policies.counted import CountedPolicy
from groundschool.policies.encoding import Encoder
from groundschool.policies.intake import Intake
from groundschool.policies.network import NetworkPolicy
from groundschool.policies.places import Places
from groundschool.policies.policy import DiscretePolicy, GreedyPolicy
from groundschool.policies.record import TrainingRecord
from groundschool.policies.reweighted import ReweightedPolicy
from groundschool.policies.support import Support
from groundschool.policies.tabular import TabularPolicy

Facts = dict[str, Any]


def save(policy: DiscretePolicy, path: str | Path, *, force: bool = False) -> Path:
    """Write a policy as a bundle directory; see ``DiscretePolicy.save``."""
    tensors, facts = policy.describe()
    return bundle.write(path, tensors, {"policy": facts}, force=force)


def load(path: str | Path) -> DiscretePolicy:
    """Load a policy from a bundle directory; it decides exactly as the one that was saved.

    Raises
    ------
    InputError
        If the bundle is missing, corrupted, written by a newer version, or of an unknown kind.
    """
    tensors, manifest = bundle.read(path)
    try:
        return _build(tensors, manifest["policy"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: the manifest does not describe a policy ({error!r}); save it again") from None


def _build(tensors: bundle.Tensors, facts: Facts) -> DiscretePolicy:
    if facts["kind"] not in _KINDS:
        raise InputError(f"policy kind {facts['kind']!r} is unknown to this version; expected one of {sorted(_KINDS)}")
    return _KINDS[facts["kind"]](tensors, facts)


def _network(tensors: bundle.Tensors, facts: Facts) -> NetworkPolicy:
    return NetworkPolicy(
        name=facts["name"],
        n_actions=facts["n_actions"],
        encoder=Encoder.from_json(facts["encoder"]),
        layers=tuple((tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"]) for i in range(facts["layers"])),
        head=facts["head"],
        value_scale=facts["value_scale"],
        support=Support(tensors["support.observations"], tensors["support.allowed"])
        if "support.allowed" in tensors
        else None,
        training=_training(facts),
        # Bundles of version 0.1.0 have none.
        intake=None if facts.get("intake") is None else Intake.from_json(facts["intake"]),
    )


def _tabular(tensors: bundle.Tensors, facts: Facts) -> TabularPolicy:
    return TabularPolicy(tensors["table"], name=facts["name"])


def _counted(tensors: bundle.Tensors, facts: Facts) -> CountedPolicy:
    return CountedPolicy(
        facts["name"],
        Places(tensors["places"], facts["masked"]),
        tensors["table"],
        tensors["overall"],
        tensors.get("scale"),
        tensors["exact"],
        _training(facts),
    )


def _reweighted(tensors: bundle.Tensors, facts: Facts) -> ReweightedPolicy:
    inner = {name.removeprefix("logger."): tensor for name, tensor in tensors.items() if name.startswith("logger.")}
    return ReweightedPolicy(
        facts["name"],
        _build(inner, facts["logger"]),
        Places(tensors["places"], facts["masked"]),
        tensors["kept"],
        tensors.get("given"),
        _training(facts),
        None if facts["intake"] is None else Intake.from_json(facts["intake"]),
        facts["usual_weight"],
    )


def _training(facts: Facts) -> TrainingRecord | None:
    return None if facts["training"] is None else TrainingRecord.from_json(facts["training"])


def _greedy(tensors: bundle.Tensors, facts: Facts) -> GreedyPolicy:
    return GreedyPolicy(_build(tensors, facts["policy"]))


_KINDS: dict[str, Callable[[bundle.Tensors, Facts], DiscretePolicy]] = {
    "network": _network,
    "tabular": _tabular,
    "counted": _counted,
    "reweighted": _reweighted,
    "greedy": _greedy,
}
