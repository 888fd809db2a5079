"""The errors groundschool raises on purpose; anything else that escapes is a bug."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable
from typing import Any


class GroundschoolError(Exception):
    """Base of every deliberate error."""


class InputError(GroundschoolError, ValueError):
    """The input cannot be used: the message says what, where, what was expected and what to do next.

    The command line prints the message and exits with code 2.
    """


class DivergenceError(GroundschoolError, ArithmeticError):
    """Training left the range of possible values and was stopped; the message is the diagnosis."""


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest valid name, or an empty string."""
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def whole_number(value: Any, name: str, least: int) -> int:
    """Return a whole number of at least `least`, of whatever integer type; InputError for anything else."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InputError(f"{name} is {value!r}, expected a whole number >= {least}.")
    return number
