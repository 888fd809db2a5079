"""The parts an expression is made of, and what each computes. Blanks are NaN and follow Kleene's three-valued logic.

Every value on the way is float64: a condition is 1, 0 or NaN (blank), so that ``10 * (bg < 54)`` means what it says.
Nodes take any number of operands: a long sum is wide, not deep, and nothing here recurses further than its parentheses.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from groundschool.data.validation import Array
from groundschool.errors import InputError

Values: TypeAlias = Mapping[str, Array]

LARGEST_EXACT = 2**53  # integers beyond it are not all float64s
COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Number:
    """A literal such as 54 or 1e-3."""

    value: float


@dataclass(frozen=True)
class Text:
    """Quoted text; stands only beside == or != and a column."""

    value: str


@dataclass(frozen=True)
class Column:
    """The value of a column."""

    name: str


@dataclass(frozen=True)
class Operation:
    """Operands and what is done with them.

    ``signs`` of a sum ("+", "-"), a product ("*", "/") or a comparison ("<" ...) stand between neighboring operands;
    of a logical operation ("and", "or", "not"), of "negative" and of a function there is one.
    """

    kind: str
    operands: tuple[Node, ...]
    signs: tuple[str, ...]

    @property
    def logical(self) -> bool:
        """Whether the result is a condition."""
        return self.kind in ("comparison", "logic") or self.signs == ("is_blank",)


Node: TypeAlias = Number | Text | Column | Operation


def compute(node: Node, values: Values) -> Array:
    """Return float64 of the columns' shape (or one number); of a logical operation 0, 1 or NaN."""
    if isinstance(node, Number):
        return np.asarray(node.value)
    if isinstance(node, Column):
        return _numbers(node.name, values[node.name])
    assert isinstance(node, Operation)  # the parser lets text stand in comparisons only
    if node.kind == "comparison":
        return conjunction(_pairs(node, values))
    if node.kind == "logic":
        return _logic(node.signs[0], node.operands, values)
    if node.signs == ("is_blank",) and isinstance(node.operands[0], Column):
        return blanks(values[node.operands[0].name]).astype(np.float64)
    result = compute(node.operands[0], values)
    if len(node.operands) == 1:
        return _UNARY[node.signs[0]](result)
    signs = node.signs if node.kind == "arithmetic" else node.signs * (len(node.operands) - 1)
    for sign, operand in zip(signs, node.operands[1:], strict=True):
        result = _BINARY[sign](result, compute(operand, values))
    return result


def conjunction(conditions: Iterable[Array]) -> Array:
    """Return Kleene's "and" of values 0, 1 and NaN (Kleene 1952, Introduction to Metamathematics, section 64)."""
    result = np.asarray(1.0)
    for one in conditions:
        result = np.where((result == 0.0) | (one == 0.0), 0.0, result * one)
    return result


def blanks(column: Array) -> Array:
    """Return where a column is blank: NaN, None among text, not a time."""
    if column.dtype.kind == "O":
        # Only a NaN is unequal to itself.
        return np.asarray((column == None) | (column != column), dtype=np.bool_)  # noqa: E711
    if column.dtype.kind in "Mm":
        return np.isnat(column)
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(column.shape, np.bool_)


def _numbers(name: str, column: Array) -> Array:
    if column.dtype.kind == "f":
        return column.astype(np.float64, copy=False)
    if column.dtype.kind not in "biu":
        use = "which is_blank() can ask about and nothing else"
        if column.dtype.kind in "OU":
            use = "which == and != can compare with quoted text, is_blank() can ask about, and nothing else"
        raise InputError(f"column {name!r} holds {_kind(column)}, {use}.")
    if column.size and column.dtype.kind != "b" and max(-int(column.min()), int(column.max())) > LARGEST_EXACT:
        raise InputError(
            f"column {name!r} holds integers beyond 2**53, which are not computed with exactly. "
            "Expected measurements, not ids."
        )
    return column.astype(np.float64)


def _logic(sign: str, operands: tuple[Node, ...], values: Values) -> Array:
    if sign == "and":
        return conjunction(_condition(operand, values) for operand in operands)
    # De Morgan's law holds in this logic too; a "not" has one operand.
    negated = (1.0 - _condition(operand, values) for operand in operands)
    return conjunction(negated) if sign == "not" else 1.0 - conjunction(negated)


def _condition(node: Node, values: Values) -> Array:
    result = np.asarray(compute(node, values))
    if not (isinstance(node, Operation) and node.logical):
        wrong = result[~((result == 0.0) | (result == 1.0) | np.isnan(result))]
        if wrong.size:
            what = f"column {node.name!r}" if isinstance(node, Column) else "a number"
            raise InputError(
                f"{what} stands where a condition is expected and holds {wrong.flat[0]:g}. Expected 0, 1 or a blank; "
                "compare it with something."
            )
    return result


def _pairs(node: Operation, values: Values) -> Iterator[Array]:
    """Return each comparison of neighbors, blank where either is."""
    text = any(isinstance(operand, Text) for operand in node.operands)
    sides = [_text(operand, values) if text else compute(operand, values) for operand in node.operands]
    for (left, right), sign in zip(pairwise(sides), node.signs, strict=True):
        result = np.asarray(COMPARISONS[sign](left, right), dtype=np.float64)
        yield np.where(blanks(left) | blanks(right), np.nan, result)


def _text(node: Node, values: Values) -> Array:
    if isinstance(node, Text):
        return np.asarray(node.value, dtype=object)
    assert isinstance(node, Column)  # the parser lets text meet nothing else
    column = values[node.name]
    if column.dtype.kind in "OU":
        return column.astype(object, copy=False)
    if column.dtype.kind == "f" and np.isnan(column).all():
        return np.full(column.shape, None, dtype=object)
    raise InputError(f"column {node.name!r} holds {_kind(column)}, but is compared with quoted text.")


def _kind(column: Array) -> str:
    kinds = {"O": "text", "U": "text", "M": "times", "m": "times", "b": "flags"} | dict.fromkeys("iuf", "numbers")
    return kinds.get(column.dtype.kind, f"values of type {column.dtype}")


def _quotient(dividend: Array, divisor: Array) -> Array:
    return np.where(divisor == 0.0, np.nan, dividend / divisor)


_UNARY: dict[str, Callable[[Array], Array]] = {
    "negative": operator.neg,
    "abs": np.abs,
    "is_blank": lambda x: np.isnan(x).astype(np.float64),
}
_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "min": np.minimum,
    "max": np.maximum,
}
