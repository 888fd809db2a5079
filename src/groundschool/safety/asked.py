"""Constraints as a user writes them on a line: ``hazard<=0.05``, ``cost:days<=3``."""

from __future__ import annotations

from groundschool.errors import InputError
from groundschool.safety.constraints import Constraint


def constraint(text: str) -> Constraint:
    """Read ``NAME<=LIMIT`` or ``probability:NAME<=LIMIT`` (any in an episode), or ``cost:NAME<=LIMIT`` (expected sum).

    Raises
    ------
    InputError
        If the text is none of these, or the limit is not valid.
    """
    name, sign, limit = text.partition("<=")
    kind, colon, rest = name.strip().partition(":")
    kinds = {"probability": "probability", "cost": "expected"}
    if colon and kind in kinds:
        name = rest
    try:
        number = float(limit)
    except ValueError:
        sign = ""
        number = 0.0
    if not sign or not name.strip():
        raise InputError(
            f"limit {text!r}: expected NAME<=NUMBER, such as 'hazard<=0.05' (the probability of any in an episode) or "
            "'cost:days<=3' (the expected sum)."
        )
    expected = colon and kind == "cost"
    return Constraint(name.strip(), kind="expected" if expected else "probability", limit=number)
