"""The spaces that Minari writes beside its data, read as plain facts: no environment is made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MOST_PIXELS = 2**28


@dataclass(frozen=True)
class Space:
    """A Gymnasium space, as ``minari.serialization`` writes it.

    Attributes
    ----------
    kind : "Box", "Discrete", "MultiDiscrete", "MultiBinary", "Text", "Dict" or "Tuple"
    shape : tuple of int
        Of one value; () for Discrete.
    integers : bool
        Whether a Box holds integers.
    n, start : int
        Of Discrete.
    image : bool
        Whether Minari may have stored values as JPEG.
    parts : mapping from key to Space
        Of Dict and Tuple, whose keys are ``"0"``, ``"1"`` ...
    """

    kind: str
    shape: tuple[int, ...] = ()
    integers: bool = False
    n: int = 0
    start: int = 0
    image: bool = False
    parts: Mapping[str, Space] = field(default_factory=dict)

    def leaves(self, name: str) -> Iterator[tuple[str, Space]]:
        """Yield every space that holds values, with its path below `name`."""
        if not self.parts:
            yield name, self
        for key, part in self.parts.items():
            yield from part.leaves(f"{name}/{key}")


def parse(text: object) -> Space | None:
    """Return the space that a dataset's metadata describes; None where it describes none.

    Raises
    ------
    ValueError
        If it is not one of Gymnasium's that Minari writes.
    """
    if text is None:
        return None
    try:
        return _space(json.loads(text) if isinstance(text, str) else text)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"a space that cannot be read: {error!r}") from None


def _space(facts: Any) -> Space:
    kind = facts["type"]
    if kind == "Box":
        shape = tuple(int(length) for length in facts["shape"])
        dtype = np.dtype(facts["dtype"])
        image = dtype == np.uint8 and len(shape) in (2, 3) and min(shape[:2]) >= 32 and math.prod(shape) <= MOST_PIXELS
        if image:
            image = bool((np.asarray(facts["low"]) == 0).all() and (np.asarray(facts["high"]) == 255).all())
        return Space(kind, shape, integers=dtype.kind in "iu", image=image)
    if kind == "Discrete":
        return Space(kind, n=int(facts["n"]), start=int(facts["start"]))
    if kind == "MultiDiscrete":
        return Space(kind, np.shape(facts["nvec"]))
    if kind == "MultiBinary":
        return Space(kind, tuple(np.atleast_1d(facts["n"]).tolist()))
    if kind == "Text":
        return Space(kind)
    if kind == "Dict":
        return Space(kind, parts={str(key): _space(part) for key, part in facts["subspaces"].items()})
    if kind == "Tuple":
        return Space(kind, parts={str(i): _space(part) for i, part in enumerate(facts["subspaces"])})
    raise ValueError(f"a space of type {kind!r}, which is not one that Minari writes")
