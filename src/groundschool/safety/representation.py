"""Who is in the judged episodes, by groups that somebody declared, and how the policy does among them.

An episode belongs to a group by what was known when it began, so that the episodes of a group are draws of that group,
and whatever estimates the whole estimates the group. None of it is part of a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.coverage import SMALL_CELL
from groundschool.data.expressions import Expression
from groundschool.errors import InputError, suggest
from groundschool.evaluation.estimate import Estimate
from groundschool.safety.criteria import Criteria
from groundschool.safety.gate import ask

OWN = "group"
"""The word for the log's own column of groups."""

MOST_GROUPS = 12
LEAST_SPOKEN_OF = 30
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Group:
    """The episodes of one group.

    Attributes
    ----------
    name : str
    studied, judged : int or None
        How many; None where that is withheld: it is from 1 to 10, or would tell such a number of another group.
    small : bool
        Whether it is the number of judged episodes itself that is from 1 to 10.
    few : bool
        Whether there are too few judged episodes to say anything of them.
    answers : tuple of Estimate
        What the gate asked, of the judged episodes of the group alone. Empty where there are too few.
    """

    name: str
    studied: int | None
    judged: int | None
    small: bool
    few: bool
    answers: tuple[Estimate, ...]


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of one declaration.

    Attributes
    ----------
    by : str
        As it was declared.
    least : int
        Episodes from which on something is said of a group.
    groups : tuple of Group
        In the order of their values.
    """

    by: str
    least: int
    groups: tuple[Group, ...]


def require_groups(log: Dataset, declared: Sequence[str]) -> None:
    """Raise `InputError` where a declaration cannot be read, or does not divide this log into a few groups.

    Parameters
    ----------
    log : Dataset
    declared : sequence of str
        Each a feature of the observation by name, an expression over features (a condition divides into two), or
        "group" for the log's own groups.
    """
    for by in declared:
        _few_enough(by, np.unique(_labels(log, by)))


def groupings(
    studied: Dataset, judged: Dataset, policy: Any, declared: Sequence[str], criteria: Criteria, *, seed: int = 0
) -> tuple[Grouping, ...]:
    """Count the episodes of each declared group, and estimate in each what a gate asked of the whole.

    Parameters
    ----------
    studied, judged : Dataset
    policy : Policy
        What was taken to the gate.
    declared : sequence of str
        As for `require_groups`.
    criteria : Criteria
    seed : int
        Of folds and of the order of bets.
    """
    return tuple(_grouping(studied, judged, policy, by, criteria, seed) for by in declared)


def least_spoken_of(criteria: Criteria) -> int:
    """Return how many episodes a group needs: with fewer, not even one without any event would keep each limit."""
    tail = criteria.tail()
    needed = [
        math.ceil(math.log(tail) / math.log1p(-limit.limit))
        for limit in criteria.constraints
        if limit.kind == "probability"
    ]
    return max([LEAST_SPOKEN_OF, *needed])


def withheld(counts: Sequence[int]) -> list[bool]:
    """Return which counts of parts are not told: from 1 to 10, and what would give a single such one away."""
    hidden = [0 < count < SMALL_CELL for count in counts]
    if sum(hidden) == 1:
        others = [count for count in counts if count >= SMALL_CELL]
        if others:
            hidden[list(counts).index(min(others))] = True
    return hidden


def _grouping(studied: Dataset, judged: Dataset, policy: Any, by: str, criteria: Criteria, seed: int) -> Grouping:
    first, second = _labels(studied, by), _labels(judged, by)
    names = np.unique(np.concatenate([first, second]))
    _few_enough(by, names)
    names = np.array(sorted(names.tolist(), key=_order))
    least = least_spoken_of(criteria)
    counted = [[int((labels == name).sum()) for name in names] for labels in (first, second)]
    hidden = [withheld(counts) for counts in counted]
    groups = []
    for at, name in enumerate(names):
        n = counted[1][at]
        mine = second == name
        groups.append(
            Group(
                name=str(name),
                studied=None if hidden[0][at] else counted[0][at],
                judged=None if hidden[1][at] else n,
                small=0 < n < SMALL_CELL,
                few=n < least,
                answers=() if n < least else _asked(judged.select(mine), policy, criteria, seed),
            )
        )
    return Grouping(by, least, tuple(groups))


def _asked(log: Dataset, policy: Any, criteria: Criteria, seed: int) -> tuple[Estimate, ...]:
    try:
        return tuple(ask(log, policy, criteria, seed=seed).values())
    except InputError:  # episodes of a single unit, for one: nothing can be said of them
        return ()


def _labels(log: Dataset, by: str) -> NDArray[np.str_]:
    """Return the group of each episode, (E,) text, by its first observation."""
    names = _names(log)
    if by == OWN and OWN not in names:
        if log.groups is None:
            raise InputError(
                f"{by!r}: the log has no groups. Name their column (gs.Columns(group=...)), or leave it out."
            )
        return np.asarray(log.groups).astype(np.str_)
    expression = Expression.column(by) if by in names else Expression.parse(by)
    for name in expression.names:
        if name not in names:
            have = f"{', '.join(names[:_SHOWN])}{' ...' if len(names) > _SHOWN else ''}"
            own = " ('group' are the log's own groups.)" if log.groups is not None else ""
            raise InputError(f"{by!r}: {name!r} is no feature.{suggest(name, names)} The features are: {have}.{own}")
    begun = log.observations[log.starts[:-1]].reshape(log.n_episodes, -1).astype(np.float64)
    values = np.asarray(expression.evaluate({name: begun[:, at] for at, name in enumerate(names)}), np.float64)
    if expression.logical:
        return np.where(np.isnan(values), "blank", np.where(values != 0.0, "yes", "no"))
    found, code = np.unique(values, return_inverse=True)
    words = np.array(["blank" if math.isnan(value) else f"{value + 0.0:.10g}" for value in found.tolist()])
    labels: NDArray[np.str_] = words[code.reshape(-1)]
    return labels


def _names(log: Dataset) -> tuple[str, ...]:
    if log.features is not None:
        return tuple(feature.name for feature in log.features)
    shape = log.observations.shape[1:]
    return tuple(f"x{at}" for at in range(int(np.prod(shape)))) if shape else ("state",)


def _few_enough(by: str, names: NDArray[np.str_]) -> None:
    if len(names) > MOST_GROUPS:
        what = "an expression that has few values, such as 'age >= 65'"
        what = "a column of kinds, such as sites, and not of persons" if by == OWN else what
        raise InputError(
            f"{by!r} divides the episodes into {len(names):,} groups, expected {MOST_GROUPS} at most: {what}."
        )


def _order(name: str) -> tuple[int, float, str]:
    try:
        return (0, float(name), name)
    except ValueError:
        return ({"yes": 1, "no": 2, "blank": 4}.get(name, 3), 0.0, name)
