"""What the numbers of an observation are: their names, and what a blank among them is replaced with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundschool.errors import InputError

Impute = str | float


@dataclass(frozen=True)
class Feature:
    """One number of an observation.

    Attributes
    ----------
    name : str
        Its column in the source.
    forward_fill : bool
        A blank takes the last value seen in the same episode (never a later one). The log holds the filled values; who
        acts carries the last observation along.
    impute : "mean", "median", a number, or None
        What replaces a blank that is left. Mean and median are of the training part, fitted by the policy's encoder.
        None: a blank cannot be learned from, and training refuses it.
    indicator_of : str or None
        The name of the feature whose blanks this one marks with 1 (before any filling); its own name is
        ``missing:NAME``.
    """

    name: str
    forward_fill: bool = False
    impute: Impute | None = None
    indicator_of: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or not self.name.isprintable():
            raise InputError(f"features: {self.name!r} is not a usable name. Expected non-empty printable text.")
        valid = self.impute is None or self.impute in ("mean", "median")
        if not valid and (
            isinstance(self.impute, bool | str)
            or not isinstance(self.impute, int | float)
            or not math.isfinite(self.impute)
        ):
            raise InputError(
                f"feature {self.name!r}: impute={self.impute!r} is not valid. Expected 'mean', 'median' or a number."
            )

    def to_json(self) -> dict[str, Any]:
        """Return what differs from a plain feature, JSON-ready."""
        facts: dict[str, Any] = {"name": self.name}
        if self.forward_fill:
            facts["forward_fill"] = True
        if self.impute is not None:
            facts["impute"] = self.impute
        if self.indicator_of is not None:
            facts["indicator_of"] = self.indicator_of
        return facts


def check_features(values: object, width: int | None) -> tuple[Feature, ...]:
    """Return features from names or `Feature`s: one for each of `width` numbers, None for state ids, unique by name."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InputError(f"features: {values!r} is not valid. Expected a sequence of names, one per number.")
    features = tuple(value if isinstance(value, Feature) else Feature(value) for value in values)
    expected = 1 if width is None else width
    if len(features) != expected:
        raise InputError(f"features: {len(features)} for observations of {expected} numbers. Expected one for each.")
    for name, count in Counter(feature.name for feature in features).items():
        if count > 1:
            raise InputError(f"features: {name!r} is named twice. Each number needs its own name.")
    return features
