"""What a step in an environment costs: what the environment says, and what an expression makes of it."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data.expressions import Expression
from groundschool.errors import InputError, suggest

FloatArray = NDArray[np.float64]


class EpisodeCosts:
    """Costs by name, of one step after the other.

    ``info["cost"]`` is a number, called as the environment calls it, or a mapping of names to numbers. An expression
    is about the step's arrival, so that what it finds is a consequence of the action just taken. It may name
    ``reward``, the numbers of the observation (by their own names where these are known; else ``observation_0``,
    ``observation_1``, ..., or ``observation`` where there is one) and any number in ``info``.

    Parameters
    ----------
    where : str
        The environment's name, for messages.
    name : str
        Of a cost that comes as one number.
    expressions : mapping from name to Expression
    feature_names : sequence of str
        Of the numbers of an observation.
    required : sequence of str
        Costs that every step must have.
    """

    def __init__(
        self,
        where: str,
        name: str,
        expressions: Mapping[str, Expression] | None = None,
        feature_names: Sequence[str] = (),
        required: Sequence[str] = (),
    ) -> None:
        self.where, self.name, self.required = where, name, required
        self.expressions, self.feature_names = dict(expressions or {}), tuple(feature_names)
        self.steps: list[dict[str, float]] = []

    def arrived(self, observation: NDArray[Any], reward: float, info: Mapping[str, Any]) -> None:
        """Take the costs of a step, refusing it if one that is required is not there.

        Parameters
        ----------
        observation : array
            Seen on arrival.
        reward : float
        info : mapping
            As the environment gave it.
        """
        said = self._said(info)
        for name, expression in self.expressions.items():
            if name in said:
                raise InputError(
                    f"cost {name!r} is an expression, and environment {self.where} gives a cost of that name too. "
                    "Give the expression another name."
                )
            said[name] = self._computed(name, expression, observation, reward, info)
        for name in self.required:
            if name not in said:
                have = ", ".join(map(repr, said)) or "none"
                raise InputError(
                    f"environment {self.where} gives no cost {name!r} at step {len(self.steps):,} (it gives: {have})."
                    f"{suggest(name, said)} Expected it in info['cost'] at every step, 0.0 where nothing happened, "
                    "or as an expression."
                )
        self.steps.append(said)

    def columns(self) -> dict[str, FloatArray] | None:
        """Return one array a cost, None where there is no cost at all."""
        names = list(dict.fromkeys(name for step in self.steps for name in step))
        for name in names:
            missing = [i for i, step in enumerate(self.steps) if name not in step]
            if missing:
                which = "info['cost']" if name == self.name else f"cost {name!r} in info['cost']"
                raise InputError(
                    f"environment {self.where}: {which} is missing in {len(missing):,} of {len(self.steps):,} steps "
                    f"(first at step {missing[0]:,}). Give it in every step, 0.0 where nothing happened, or in none."
                )
        return {name: np.array([step[name] for step in self.steps], np.float64) for name in names} or None

    def _said(self, info: Mapping[str, Any]) -> dict[str, float]:
        cost = info.get("cost")
        if cost is None:
            return {}
        given = cost if isinstance(cost, Mapping) else {self.name: cost}
        try:
            return {str(name): float(value) for name, value in given.items() if value is not None}
        except (TypeError, ValueError):
            raise InputError(
                f"environment {self.where}: info['cost'] is {cost!r}, expected a number or a mapping of names to "
                "numbers."
            ) from None

    def _computed(
        self, name: str, expression: Expression, observation: NDArray[Any], reward: float, info: Mapping[str, Any]
    ) -> float:
        named = observed(observation, self.feature_names)
        named |= {"reward": reward}
        for key, value in info.items():
            if not isinstance(value, numbers.Real | np.bool_):
                continue
            if key in named and key in expression.names and not np.isclose(float(value), named[key], rtol=1e-5):
                raise InputError(
                    f"cost {name!r}: {key!r} is {float(value):g} in info and {named[key]:g} in the observation of "
                    f"environment {self.where}. Rename one of them."
                )
            named[str(key)] = float(value)
        value = float(expression.evaluate({key: np.array([value]) for key, value in named.items()})[0])
        if not np.isfinite(value) or value < 0.0:
            what = "blank" if np.isnan(value) else f"{value:g}"
            raise InputError(
                f"cost {name!r}: the expression {expression.text!r} is {what} at step {len(self.steps):,}, expected a "
                "condition or a finite number >= 0. Say what a blank means, with is_blank(x)."
            )
        return value


def observed(observation: NDArray[Any], feature_names: Sequence[str] = ()) -> dict[str, float]:
    """Return the numbers of an observation by what an expression may call them."""
    values = [float(x) for x in np.asarray(observation, np.float64).ravel()]
    named = {"observation" if len(values) == 1 else f"observation_{i}": x for i, x in enumerate(values)}
    return named | (dict(zip(feature_names, values, strict=True)) if len(values) == len(feature_names) else {})
