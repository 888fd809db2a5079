"""Hard rules: expressions over an observation that forbid actions or demand the fallback.

They are read by the closed grammar of `groundschool.data.expressions`, the one of derived costs. A rule fails closed:
where its expression is blank, or cannot be computed, it holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data.expression_scalars import Scalar, scalar
from groundschool.data.expressions import Expression
from groundschool.errors import InputError, suggest

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What must not happen, and when.

    Parameters
    ----------
    when : str
        A condition over the observation's features by name, such as ``"map < 55 and dose_so_far >= 3"``. Logs that do
        not name their features call them ``x0``, ``x1`` ...; a state id is ``state``.
    forbid : sequence of int or str
        Actions, by number or by the log's labels, that nobody may take where the condition holds.
    fallback : bool
        Instead of forbidding: leave the decision to the fallback there.
    name : str, optional
        For reports; the condition unless given.

    Raises
    ------
    InputError
        If the condition does not follow the grammar or is no condition, or the rule does nothing, or two things.

    Examples
    --------
    >>> Rule("map < 55", forbid=[3]).label
    'map < 55'
    """

    when: str
    forbid: tuple[int | str, ...] = dataclasses.field(default=(), kw_only=True)
    fallback: bool = dataclasses.field(default=False, kw_only=True)
    name: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not Expression.parse(self.when).logical:
            raise InputError(f'rule {self.when!r}: expected a condition, such as "x0 < 54", and not a number.')
        single = isinstance(self.forbid, int | str | np.integer)
        object.__setattr__(self, "forbid", (self.forbid,) if single else tuple(self.forbid))
        if bool(self.forbid) == bool(self.fallback):
            raise InputError(
                f"rule {self.when!r}: expected either actions to forbid, forbid=[...], or fallback=True, "
                f"and got {'both' if self.fallback else 'neither'}."
            )

    @property
    def label(self) -> str:
        """What reports call it."""
        return self.name or self.when

    def resolved(self, n_actions: int, labels: Sequence[str] | None) -> Rule:
        """Return the rule with its actions as numbers.

        Raises
        ------
        InputError
            If an action is not one of the log's.
        """
        return dataclasses.replace(self, forbid=tuple(self._action(one, n_actions, labels) for one in self.forbid))

    def _action(self, action: Any, n_actions: int, labels: Sequence[str] | None) -> int:
        if isinstance(action, str) and labels is not None and action in labels:
            return list(labels).index(action)
        if isinstance(action, int | np.integer) and not isinstance(action, bool) and 0 <= action < n_actions:
            return int(action)
        hint = suggest(action, labels) if isinstance(action, str) and labels is not None else ""
        known = "" if labels is None else f" or one of {', '.join(map(repr, labels))}"
        raise InputError(
            f"rule {self.label!r}: there is no action {action!r}; expected 0 to {n_actions - 1}{known}.{hint}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"when": self.when, "forbid": list(self.forbid), "fallback": self.fallback, "name": self.name}


@dataclasses.dataclass(frozen=True, eq=False)
class Rules:
    """Rules whose actions are numbers, over observations whose numbers have names.

    Raises
    ------
    InputError
        If a rule names what is no feature, or compares one with text.
    """

    rules: tuple[Rule, ...]
    names: tuple[str, ...]
    n_actions: int

    def __post_init__(self) -> None:
        for rule in self.rules:
            for name in Expression.parse(rule.when).names:
                if name not in self.names:
                    have = f"{', '.join(self.names[:20])}{' ...' if len(self.names) > 20 else ''}"
                    hint = suggest(name, self.names)
                    raise InputError(f"rule {rule.label!r}: {name!r} is no feature.{hint} The features are: {have}.")
            if any(not isinstance(one, int) or not 0 <= one < self.n_actions for one in rule.forbid):
                raise InputError(f"rule {rule.label!r}: expected actions from 0 to {self.n_actions - 1}.")
        _ = self._compiled

    @cached_property
    def _compiled(self) -> tuple[tuple[Scalar, BoolArray | None], ...]:
        found = []
        for rule in self.rules:
            try:
                compute = scalar(Expression.parse(rule.when), self.names)
            except InputError as error:
                raise InputError(f"rule {rule.label!r}: {error}") from None
            found.append((compute, None if rule.fallback else self._forbidden(rule)))
        return tuple(found)

    @cached_property
    def any(self) -> BoolArray:
        """What any of the rules forbids, shape (n_actions,): where nothing is known of an observation, all hold."""
        forbidden = [actions for _, actions in self._compiled if actions is not None]
        return np.asarray(np.any(forbidden, axis=0) if forbidden else np.zeros(self.n_actions, np.bool_))

    def _forbidden(self, rule: Rule) -> BoolArray:
        actions = np.zeros(self.n_actions, np.bool_)
        actions[np.array(rule.forbid)] = True
        return actions

    def one(self, flat: Sequence[float]) -> tuple[int, BoolArray | None]:
        """Apply the rules to one observation.

        Returns
        -------
        demanding : int
            The first rule that demands the fallback, -1 for none.
        forbidden : bool array, shape (n_actions,), or None where nothing is
        """
        demanding, forbidden = -1, None
        flat = [float(value) for value in flat]
        for index, (compute, actions) in enumerate(self._compiled):
            if not _holds(compute, flat):
                continue
            if actions is None:
                demanding = index if demanding < 0 else demanding
            else:
                forbidden = actions if forbidden is None else forbidden | actions
        return demanding, forbidden

    def forbidding(self, flat: Sequence[float], action: int) -> str:
        """Return the label of the first rule that forbids an action there."""
        held = (rule.label for rule, (compute, _) in zip(self.rules, self._compiled, strict=True)
                if action in rule.forbid and _holds(compute, flat))  # fmt: skip
        return next(held, "")

    def many(self, flat: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Apply the rules to observations, shape (N, d): whether one demands the fallback (N,), and (N, n_actions)."""
        demanded = np.zeros(len(flat), np.bool_)
        forbidden = np.zeros((len(flat), self.n_actions), np.bool_)
        columns = {name: flat[:, index] for index, name in enumerate(self.names)}
        for rule, (compute, actions) in zip(self.rules, self._compiled, strict=True):
            holds = _hold(rule, compute, columns, flat)
            if actions is None:
                demanded |= holds
            else:
                forbidden |= holds[:, None] & actions
        return demanded, forbidden

    def to_json(self) -> list[dict[str, Any]]:
        """Return JSON-ready values."""
        return [rule.to_json() for rule in self.rules]


def _holds(compute: Scalar, flat: Sequence[float]) -> bool:
    try:
        return compute(flat) != 0.0  # a blank is not 0
    except (InputError, ArithmeticError):
        return True


def _hold(rule: Rule, compute: Scalar, columns: Mapping[str, FloatArray], flat: FloatArray) -> BoolArray:
    try:
        return np.asarray(Expression.parse(rule.when).evaluate(columns) != 0.0)
    except InputError:  # some row cannot be computed; the others can
        return np.array([_holds(compute, row) for row in flat.tolist()], dtype=np.bool_)
