"""Policies to bundles and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from groundschool.bundle import format as bundle
from groundschool.errors import InputError
from groundschool.policies.avoiding import AvoidingPolicy
from groundschool.policies.constant import ConstantPolicy
from groundschool.policies.counted import CountedPolicy
from groundschool.policies.critic import Critic, checked_layers
from groundschool.policies.encoding import Encoder
from groundschool.policies.guard import Guard
from groundschool.policies.guarded import GuardedPolicy
from groundschool.policies.intake import Intake
from groundschool.policies.network import NetworkPolicy
from groundschool.policies.places import Places
from groundschool.policies.policy import DiscretePolicy, GreedyPolicy
from groundschool.policies.record import TrainingRecord
from groundschool.policies.reweighted import ReweightedPolicy
from groundschool.policies.support import Support
from groundschool.policies.tabular import TabularPolicy
from groundschool.policies.tempered import TemperedPolicy

Facts = dict[str, Any]


def save(
    policy: DiscretePolicy, path: str | Path, *, force: bool = False, attach: Mapping[str, Any] | None = None
) -> Path:
    """Write a policy as a bundle directory; see ``DiscretePolicy.save``."""
    tensors, facts = policy.describe()
    files = {name: _content(name, value) for name, value in (attach or {}).items()}
    return bundle.write(path, tensors, {"policy": facts}, attachments=files, force=force)


def _content(name: str, value: Any) -> bytes:
    try:
        if isinstance(value, Path):
            return value.read_bytes()
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):
            return value.encode()
        return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()
    except OSError as error:
        raise InputError(f"attachment {name!r}: {value} cannot be read ({error.strerror})") from None
    except (TypeError, ValueError) as error:
        raise InputError(
            f"attachment {name!r} cannot be written as JSON ({error}); pass text, bytes or a Path"
        ) from None


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
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: the manifest does not describe a policy ({error!r}); save it again") from None


def _build(tensors: bundle.Tensors, facts: Facts) -> DiscretePolicy:
    if facts["kind"] not in _KINDS:
        raise InputError(f"policy kind {facts['kind']!r} is unknown to this version; expected one of {sorted(_KINDS)}")
    return _KINDS[facts["kind"]](tensors, facts)


def _network(tensors: bundle.Tensors, facts: Facts) -> NetworkPolicy:
    encoder = Encoder.from_json(facts["encoder"])
    return NetworkPolicy(
        name=facts["name"],
        n_actions=facts["n_actions"],
        encoder=encoder,
        layers=checked_layers(tensors, facts["layers"], encoder.width, facts["n_actions"], f"policy {facts['name']!r}"),
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
    return ReweightedPolicy(
        facts["name"],
        _build(_part(tensors, "logger"), facts["logger"]),
        Places(tensors["places"], facts["masked"]),
        tensors["kept"],
        tensors.get("given"),
        _training(facts),
        None if facts["intake"] is None else Intake.from_json(facts["intake"]),
        facts["usual_weight"],
    )


def _avoiding(tensors: bundle.Tensors, facts: Facts) -> AvoidingPolicy:
    critics = [
        (Critic.rebuild(_part(tensors, f"critic{index}"), one, facts["n_actions"]), one["threshold"])
        for index, one in enumerate(facts["critics"])
    ]
    return AvoidingPolicy(
        facts["name"],
        _build(_part(tensors, "logger"), facts["logger"]),
        critics,
        facts["largest_ratio"],
        _training(facts),
        None if facts["intake"] is None else Intake.from_json(facts["intake"]),
        facts["usual_weight"],
    )


def _tempered(tensors: bundle.Tensors, facts: Facts) -> TemperedPolicy:
    network = _network(_part(tensors, "network"), facts["network"])
    return TemperedPolicy(facts["name"], network, facts["temperature"], facts["share"], tensors["prior"])


def _part(tensors: bundle.Tensors, name: str) -> bundle.Tensors:
    """Return the tensors below a name, without it."""
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def _training(facts: Facts) -> TrainingRecord | None:
    return None if facts["training"] is None else TrainingRecord.from_json(facts["training"])


def _greedy(tensors: bundle.Tensors, facts: Facts) -> GreedyPolicy:
    return GreedyPolicy(_build(tensors, facts["policy"]))


def _constant(tensors: bundle.Tensors, facts: Facts) -> ConstantPolicy:
    return ConstantPolicy(facts["action"], facts["n_actions"], name=facts["name"])


def _guarded(tensors: bundle.Tensors, facts: Facts) -> GuardedPolicy:
    parts: dict[str, bundle.Tensors] = {"policy": {}, "fallback": {}, "guard": {}}
    for name, tensor in tensors.items():
        role, _, rest = name.partition(".")
        parts[role][rest] = tensor
    return GuardedPolicy(
        policy=_build(parts["policy"], facts["policy"]),
        guard=Guard.rebuild(facts["guard"], parts["guard"], facts["n_actions"]),
        fallback=_build(parts["fallback"], facts["fallback"]),
        name=facts["name"],
        training=None if facts["training"] is None else TrainingRecord.from_json(facts["training"]),
    )


_KINDS: dict[str, Callable[[bundle.Tensors, Facts], DiscretePolicy]] = {
    "network": _network,
    "tabular": _tabular,
    "counted": _counted,
    "reweighted": _reweighted,
    "avoiding": _avoiding,
    "tempered": _tempered,
    "greedy": _greedy,
    "constant": _constant,
    "guarded": _guarded,
}
