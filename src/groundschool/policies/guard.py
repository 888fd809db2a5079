"""What a guard knows, as plain data: it is fitted by ``groundschool.safety.guard`` and followed by `GuardedPolicy`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.errors import InputError
from groundschool.policies import novelty as novelties
from groundschool.policies.monitor import Limit
from groundschool.policies.novelty import Counted, Measured
from groundschool.policies.rules import Rule, Rules
from groundschool.policies.schema import Schema

BoolArray = NDArray[np.bool_]
_TABLES = ("supported", "harmless")


@dataclasses.dataclass(frozen=True, eq=False)
class Guard:
    """Everything that is checked before a policy's action is taken, in this order.

    Attributes
    ----------
    schema : Schema
        What an observation must be.
    novelty : Counted or Measured
        Which observations are unlike those of the log.
    rules : Rules
        Which actions are forbidden, or left to the fallback, and when.
    harmless : bool array, shape (U, n_actions), or None
        For each counted observation, the actions that the log does not show to be followed by harm.
    supported : bool array, shape (U, n_actions), or None
        For each counted observation, the actions logged often enough for the policy to take them. The fallback is not
        bound by it.
    likeness : float
        In [0, 1]. Above 0 the policy may take only actions that the fallback, a cloned policy, takes at least so many
        times as often as its most probable one (discrete BCQ, Fujimoto et al. 2019, arXiv:1910.01708).
    ranking : int array, shape (n_actions,)
        The last resort: of all actions the first one that is allowed.
    limits : tuple of Limit
        How often the guard may intervene before it is suspended to the fallback.
    notes : tuple of str
        What a reader must know of how it was fitted.
    calibration : mapping
        The figures behind the threshold of novelty, JSON-ready.

    Raises
    ------
    InputError
        If the parts do not fit each other.
    """

    schema: Schema
    novelty: Counted | Measured
    rules: Rules
    ranking: NDArray[np.int64]
    harmless: BoolArray | None = None
    supported: BoolArray | None = None
    likeness: float = 0.0
    limits: tuple[Limit, ...] = ()
    notes: tuple[str, ...] = ()
    calibration: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        n_actions = self.n_actions
        if self.ranking.shape != (n_actions,) or not np.array_equal(np.sort(self.ranking), np.arange(n_actions)):
            raise InputError(
                f"guard: the last resort ranks {self.ranking.tolist()}, expected each of {n_actions} actions."
            )
        if self.rules.names != self.schema.names:
            raise InputError("guard: its rules are about other features than its schema.")
        if isinstance(self.novelty, Measured):
            fits = self.novelty.center.shape == self.novelty.scale.shape == (self.schema.width,)
            logged = 0
        else:
            logged, ids = len(self.novelty.observations), not self.schema.shape
            fits = self.novelty.observations.shape == ((logged,) if ids else (logged, self.schema.width))
        if not fits:
            raise InputError("guard: what it knows of logged observations has another width than its schema.")
        if not 0.0 <= self.likeness <= 1.0:
            raise InputError(f"guard: likeness is {self.likeness!r}, expected a share from 0 to 1.")
        for name in _TABLES:
            table = getattr(self, name)
            if table is not None and (table.shape != (logged, n_actions) or table.dtype != np.bool_):
                raise InputError(
                    f"guard: the table of {name} actions has shape {table.shape}, not {(logged, n_actions)}."
                )

    @property
    def n_actions(self) -> int:
        """How many actions there are."""
        return self.rules.n_actions

    def describe(self) -> tuple[str, ...]:
        """Say what is checked, in whole sentences and in the order of the checks."""
        numbers = f"{self.schema.width} number{'s' * (self.schema.width > 1)}"
        said = [
            f"An observation that is not {numbers} of the log's kind, or that is blank, infinite or out of range, is "
            "not acted on.",
            f"One that is {self.novelty.describe()} is novel, and left to the fallback.",
        ]
        for rule in self.rules.rules:
            name = f" ({rule.name})" if rule.name else ""
            acts = " or ".join(map(str, rule.forbid))
            does = "the fallback acts" if rule.fallback else f"nobody takes action {acts}"
            said.append(f"Where {rule.when} holds{name}, or cannot be known, {does}.")
        if self.harmless is not None:
            pairs = int((~self.harmless).sum())
            said.append(
                f"Pairs of an observation and an action that are barred, as the log shows harm there: {pairs:,}."
            )
        if self.supported is not None:
            left = self.supported.sum(axis=1).mean()
            said.append(f"Of {self.n_actions} actions the log supports {left:.1f} in an observation, on average.")
        if self.likeness > 0.0:
            said.append(
                f"The policy takes only actions that the fallback takes at least {self.likeness:g} times as often as "
                "its most probable one."
            )
        said += [f"After {limit} only the fallback acts, until somebody resets the guard." for limit in self.limits]
        ranking = ", ".join(map(str, self.ranking.tolist()))
        return (*said, f"Where nothing else is left, the first allowed action of {ranking} is taken.")

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays."""
        tables = {name: getattr(self, name) for name in _TABLES if getattr(self, name) is not None}
        return {**self.schema.tensors(), **self.novelty.tensors(), "ranking": self.ranking, **tables}

    def to_json(self) -> dict[str, Any]:
        """Return everything but the arrays."""
        return {
            "schema": self.schema.to_json(),
            "novelty": self.novelty.to_json(),
            "rules": self.rules.to_json(),
            "likeness": self.likeness,
            "limits": [limit.to_json() for limit in self.limits],
            "notes": list(self.notes),
            "calibration": dict(self.calibration),
        }

    @classmethod
    def rebuild(cls, facts: dict[str, Any], tensors: dict[str, NDArray[Any]], n_actions: int) -> Guard:
        """Rebuild a guard from ``to_json`` and ``tensors``."""
        schema = Schema.rebuild(facts["schema"], tensors)
        rules = tuple(Rule(**one) for one in facts["rules"])
        return cls(
            schema=schema,
            novelty=novelties.rebuild(facts["novelty"], tensors),
            rules=Rules(rules, schema.names, n_actions),
            ranking=tensors["ranking"],
            harmless=tensors.get("harmless"),
            supported=tensors.get("supported"),
            likeness=facts["likeness"],
            limits=tuple(Limit(**one) for one in facts["limits"]),
            notes=tuple(facts["notes"]),
            calibration=facts["calibration"],
        )
