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
            limits=tuple(Limit(**one) for one in facts["limits"]),
            notes=tuple(facts["notes"]),
            calibration=facts["calibration"],
        )
