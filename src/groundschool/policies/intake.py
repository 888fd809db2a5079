"""From one raw reading to one observation, made exactly as those of the log were: marks first, then forward fill.

What is blank after that is replaced by the encoder, which learned how from the training part.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.features import Feature
from groundschool.errors import InputError, suggest


@dataclasses.dataclass(frozen=True)
class Intake:
    """What the observations of the training log were made of.

    Attributes
    ----------
    features : tuple of Feature
        One for each number of an observation.
    shape : tuple of int
        Of one observation; ``()`` for state ids.
    dtype : str
        Of the log's observations, such as ``float32``.

    Raises
    ------
    InputError
        If an indicator marks a feature that is not there.
    """

    features: tuple[Feature, ...]
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        measured = self.measured
        for feature in self.features:
            if feature.indicator_of is not None and feature.indicator_of not in measured:
                raise InputError(
                    f"feature {feature.name!r} marks blanks of {feature.indicator_of!r}, which is no feature of the "
                    f"log.{suggest(feature.indicator_of, measured)}"
                )

    @classmethod
    def of(cls, log: Dataset) -> Intake | None:
        """Return the intake of a log, None where it does not name its features."""
        if log.features is None:
            return None
        return cls(log.features, log.observations.shape[1:], log.observations.dtype.name)

    @property
    def measured(self) -> tuple[str, ...]:
        """The names a reading can hold: every feature that is no indicator."""
        return tuple(feature.name for feature in self.features if feature.indicator_of is None)

    def observe(self, reading: Mapping[str, float | None], previous: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return one observation; see ``NetworkPolicy.observe``."""
        measured = self.measured
        for name in reading:
            if name not in measured:
                raise InputError(
                    f"reading: {name!r} is not a feature.{suggest(name, measured)} "
                    f"The features are: {', '.join(measured[:20])}{' ...' if len(measured) > 20 else ''}."
                )
        values = {name: _number(name, reading.get(name)) for name in measured}
        flat = np.array(
            [
                values[feature.name] if feature.indicator_of is None else math.isnan(values[feature.indicator_of])
                for feature in self.features
            ],
            dtype=np.float64,
        )
        dtype = np.dtype(self.dtype)
        if dtype.kind == "i":
            return self._ids(flat)
        with np.errstate(over="ignore"):
            result = flat.astype(dtype)
        for index in np.flatnonzero(np.isinf(result)):
            name = self.features[index].name
            raise InputError(f"reading: {name!r} is {values[name]:g}, too large for the {self.dtype} of the log.")
        carried = np.array([feature.forward_fill for feature in self.features]) & np.isnan(result)
        if previous is not None:
            before = np.asarray(previous)
            if before.shape != self.shape:
                raise InputError(
                    f"previous: expected the observation of the step before, shape {self.shape}, got {before.shape}."
                )
            result = np.where(carried, before.reshape(-1).astype(dtype), result)
        return result.reshape(self.shape)

    def _ids(self, flat: NDArray[np.float64]) -> NDArray[Any]:
        if np.isnan(flat).any() or (flat != np.floor(flat)).any():
            raise InputError(f"reading: {self.features[0].name!r} is a state id. Expected a whole number.")
        return flat.astype(self.dtype).reshape(self.shape)

    def to_json(self) -> dict[str, Any]:
        """Return the intake as JSON-ready values."""
        return {
            "features": [feature.to_json() for feature in self.features],
            "shape": list(self.shape),
            "dtype": self.dtype,
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Intake:
        """Rebuild an intake written by ``to_json``."""
        return cls(tuple(Feature(**one) for one in facts["features"]), tuple(facts["shape"]), facts["dtype"])


def _number(name: str, value: object) -> float:
    """Return a value of a reading as a float, NaN where blank."""
    if value is None:
        return math.nan
    if isinstance(value, str | bytes):
        raise InputError(f"reading: {name!r} is {value!r}. Expected a number, or None where blank.")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"reading: {name!r} is {value!r}. Expected a number, or None where blank.") from None
    if math.isinf(number):
        raise InputError(f"reading: {name!r} is infinite. Expected a finite number, or None where blank.")
    return number


def observed(
    intake: Intake | None, policy: str, reading: Mapping[str, float | None], previous: NDArray[Any] | None
) -> NDArray[Any]:
    """Return one observation as a policy's log was read, or raise `InputError` where the policy does not know how."""
    if intake is None:
        raise InputError(f"policy {policy!r} does not know its readings by name. Pass it arrays.")
    return intake.observe(reading, previous)
