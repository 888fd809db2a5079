"""What a campaign is going to do, said before its first episode, frozen and hashed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Any

import gymnasium as gym
import numpy as np

from groundschool.data.expressions import Expression
from groundschool.data.validation import check_return_range
from groundschool.errors import InputError, whole_number
from groundschool.evaluation._checks import policy_name
from groundschool.evaluation.simulate import cost_name, env_layers, env_name, require_steppable, time_limit
from groundschool.policies.policy import Policy
from groundschool.safety.campaign.prediction import Predicted, predictions
from groundschool.safety.constraints import Constraint
from groundschool.safety.identity import fingerprint
from groundschool.safety.stopping import Design, StoppingRule


@dataclass(frozen=True)
class Plan:
    """A campaign before its first episode.

    Attributes
    ----------
    policy, environment : dict
        What identifies them, JSON-ready.
    constraint : Constraint
        Of kind "probability".
    rule : StoppingRule
    seed : int
    costs : dict from name to expression text
    feature_names : tuple of str
        What expressions may call the numbers of an observation.
    return_range : (low, high) or None
    predicted : tuple of Predicted
        What was promised offline.
    max_steps : int
    version : str
        Of groundschool.
    """

    policy: dict[str, Any]
    environment: dict[str, Any]
    constraint: Constraint
    rule: StoppingRule
    seed: int
    costs: dict[str, str]
    feature_names: tuple[str, ...]
    return_range: tuple[float, float] | None
    predicted: tuple[Predicted, ...]
    max_steps: int
    version: str

    @cached_property
    def expressions(self) -> dict[str, Expression]:
        """The costs that are computed, read."""
        return {name: Expression.parse(text) for name, text in self.costs.items()}

    @property
    def horizon(self) -> int | None:
        """The environment's time limit, where it says one."""
        steps = self.environment["time_limit"]
        return None if steps is None else int(steps)

    def to_json(self) -> dict[str, Any]:
        """Return everything, JSON-ready; equal values are the same plan."""
        rule = self.rule
        return {
            "policy": self.policy,
            "environment": self.environment,
            "constraint": self.constraint.to_json(),
            "confidence": rule.confidence,
            "design": rule.design,
            "max_episodes": rule.max_episodes,
            "min_episodes": rule.min_episodes,
            "seed": self.seed,
            "costs": dict(self.costs),
            "feature_names": list(self.feature_names),
            "return_range": None if self.return_range is None else list(self.return_range),
            "predicted": [one.to_json() for one in self.predicted],
            "max_steps": self.max_steps,
            "groundschool": self.version,
        }

    @cached_property
    def sha256(self) -> str:
        """The hash of `to_json`."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()


def make_plan(
    env: gym.Env[Any, Any],
    policy: Policy,
    constraint: Constraint,
    *,
    confidence: float,
    max_episodes: int,
    min_episodes: int,
    seed: int,
    design: Design,
    predicted: Any,
    cost: Any,
    return_range: tuple[float, float] | None,
    max_steps: int,
) -> Plan:
    """Return the plan of a campaign, checked as far as that can be done without an episode; see `campaign`."""
    require_steppable(env, policy)
    if not isinstance(constraint, Constraint):
        raise InputError(
            f"constraint is {constraint!r}, expected a Constraint, such as gs.Constraint('hazard', limit=0.05)."
        )
    if constraint.kind != "probability":
        raise InputError(
            f"constraint {constraint.name!r} limits an expected sum, and a campaign counts episodes: it needs "
            'kind="probability".'
        )
    most, least = whole_number(max_episodes, "max_episodes", 1), whole_number(min_episodes, "min_episodes", 1)
    try:
        rule = StoppingRule(constraint.limit, _number(confidence, "confidence"), most, least, design)
    except InputError as error:
        raise InputError(f"constraint {constraint.name!r}: {error}") from None
    return Plan(
        policy=_policy_facts(policy),
        environment=_environment_facts(env),
        constraint=constraint,
        rule=rule,
        seed=whole_number(seed, "seed", 0),
        costs=_costs(cost, constraint),
        feature_names=_feature_names(policy),
        return_range=check_return_range(return_range, np.empty(0)),
        predicted=predictions(predicted, constraint.of, policy_name(policy)),
        max_steps=whole_number(max_steps, "max_steps", 1),
        version=metadata.version("groundschool"),
    )


def parse_cost(text: str) -> tuple[str, str]:
    """Return name and expression of ``"hypo = bg_mgdl < 54"``."""
    found = re.fullmatch(r"\s*([^=<>!]*[^=<>!\s])\s*=(?!=)(.+)", text, re.DOTALL)
    if found is None:
        raise InputError(f"cost {text!r}: expected NAME = EXPRESSION, such as 'hypo = bg_mgdl < 54'.")
    return found[1], found[2].strip()


def _costs(cost: Any, constraint: Constraint) -> dict[str, str]:
    if cost is None:
        return {}
    given = {constraint.name: cost} if isinstance(cost, str) else cost
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name for name in given):
        raise InputError(
            f"cost is {cost!r}, expected an expression such as 'bg_mgdl < 54', or a mapping of names to expressions."
        )
    for name, text in given.items():
        try:
            Expression.parse(text)
        except InputError as error:
            raise InputError(f"cost {name!r}: {error}") from None
    return dict(given)


def _policy_facts(policy: Any) -> dict[str, Any]:
    kind = type(policy)
    return {
        "name": policy_name(policy),
        "kind": f"{kind.__module__}.{kind.__qualname__}",
        "n_actions": int(policy.n_actions),
        "sha256": fingerprint(policy) or None,
    }


def _environment_facts(env: gym.Env[Any, Any]) -> dict[str, Any]:
    kwargs = env.spec.kwargs if env.spec is not None else {}
    return {
        "name": env_name(env),
        "layers": [f"{type(layer).__module__}.{type(layer).__qualname__}" for layer in env_layers(env)],
        "arguments": {str(name): repr(value) for name, value in sorted(kwargs.items()) if _is_plain(value)},
        "observations": str(env.observation_space),
        "actions": str(env.action_space),
        "cost_name": cost_name(env),
        "time_limit": time_limit(env),
    }


def _is_plain(value: Any) -> bool:
    """Whether the text of a value says all of it, and says the same tomorrow (an address does not)."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, [*value, *value.values()]))
    return value is None or isinstance(value, bool | int | float | str)


def _feature_names(policy: Any) -> tuple[str, ...]:
    """Return what the innermost policy that knows it calls the numbers of its observations."""
    while policy is not None:
        if (intake := getattr(policy, "intake", None)) is not None:
            return tuple(feature.name for feature in intake.features)
        policy = getattr(policy, "policy", None)
    return ()


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise InputError(f"{name} is {value!r}, expected a number.")
    return float(value)
