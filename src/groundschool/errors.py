"""The errors groundschool raises on purpose; anything else that escapes is a bug."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
