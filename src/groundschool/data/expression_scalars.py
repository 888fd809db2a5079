"""The same expressions as in `expression_nodes`, for one row at a time: plain floats, microseconds.

Who guards a policy evaluates a rule at every decision, where arrays of one number cost more than the arithmetic. The
values agree with `Expression.evaluate` on numbers; text is not for here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

from groundschool.data.expression_nodes import Column, Node, Number, Operation
from groundschool.data.expressions import Expression
from groundschool.errors import InputError

Scalar = Callable[[Sequence[float]], float]

_NAN = math.nan
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def scalar(expression: Expression, names: Sequence[str]) -> Scalar:
    """Return a function of one row of numbers, in the order of `names`, that computes the expression.

    Raises
    ------
    InputError
        When called, where a number stands for a condition and is neither 0, 1 nor blank; and here, for text.
    """
    return _compile(expression.root, {name: index for index, name in enumerate(names)})


def _compile(node: Node, at: dict[str, int]) -> Scalar:
    if isinstance(node, Number):
        value = node.value
        return lambda row: value
    if isinstance(node, Column):
        return operator.itemgetter(at[node.name])
    if not isinstance(node, Operation):
        raise InputError("text is compared with text, and an observation holds numbers.")
    parts = [_compile(operand, at) for operand in node.operands]
    if node.kind == "comparison":
        return _comparison(parts, [_COMPARE[sign] for sign in node.signs])
    if node.kind == "logic":
        checked = [_checked(part, operand) for part, operand in zip(parts, node.operands, strict=True)]
        return _LOGIC[node.signs[0]](checked)
    if len(parts) == 1 and node.signs[0] in _UNARY:
        one, apply = parts[0], _UNARY[node.signs[0]]
        return lambda row: apply(one(row))
    signs = node.signs if node.kind == "arithmetic" else node.signs * (len(parts) - 1)
    return _folded(parts, [_BINARY[sign] for sign in signs])


def _comparison(parts: list[Scalar], signs: list[Callable[[float, float], bool]]) -> Scalar:
    def compare(row: Sequence[float]) -> float:
        result, left = 1.0, parts[0](row)
        for sign, part in zip(signs, parts[1:], strict=True):
            right = part(row)
            if left != left or right != right:
                result = result if result == 0.0 else _NAN
            elif not sign(left, right):
                result = 0.0
            left = right
        return result

    return compare


def _folded(parts: list[Scalar], signs: list[Callable[[float, float], float]]) -> Scalar:
    def fold(row: Sequence[float]) -> float:
        result = parts[0](row)
        for sign, part in zip(signs, parts[1:], strict=True):
            result = sign(result, part(row))
        return result

    return fold


def _checked(part: Scalar, node: Node) -> Scalar:
    if isinstance(node, Operation) and node.logical:
        return part

    def check(row: Sequence[float]) -> float:
        value = part(row)
        if value == 0.0 or value == 1.0 or value != value:
            return value
        raise InputError(f"{value:g} stands where a condition is expected. Expected 0, 1 or a blank.")

    return check


def _all(parts: list[Scalar]) -> Scalar:
    def conjunction(row: Sequence[float]) -> float:
        blank = False
        for part in parts:
            value = part(row)
            if value == 0.0:
                return 0.0
            blank = blank or value != value
        return _NAN if blank else 1.0

    return conjunction


def _any(parts: list[Scalar]) -> Scalar:
    def disjunction(row: Sequence[float]) -> float:
        blank = False
        for part in parts:
            value = part(row)
            if value == 1.0:
                return 1.0
            blank = blank or value != value
        return _NAN if blank else 0.0

    return disjunction


def _negation(parts: list[Scalar]) -> Scalar:
    (part,) = parts
    return lambda row: 1.0 - part(row)


def _quotient(dividend: float, divisor: float) -> float:
    return _NAN if divisor == 0.0 else dividend / divisor


def _least(left: float, right: float) -> float:
    return _NAN if left != left or right != right else min(left, right)


def _most(left: float, right: float) -> float:
    return _NAN if left != left or right != right else max(left, right)


_LOGIC = {"and": _all, "or": _any, "not": _negation}
_UNARY: dict[str, Callable[[float], float]] = {
    "negative": operator.neg,
    "abs": abs,
    "is_blank": lambda value: float(value != value),
}
_BINARY: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _quotient,
    "min": _least,
    "max": _most,
}
