"""Expressions over columns, such as ``"54 <= bg < 70 and not meal"``: one small closed grammar, never Python's eval.

::

    or       and {"or" and}
    and      not {"and" not}
    not      "not" not | compare
    compare  sum {("<" | "<=" | ">" | ">=" | "==" | "!=") sum}      a chain: 54 <= bg < 70
    sum      product {("+" | "-") product}
    product  unary {("*" | "/") unary}
    unary    "-" unary | atom
    atom     number | column | text | function "(" or {"," or} ")" | "(" or ")"

A column whose name is no plain identifier stands in backticks (a backtick within is doubled). Text stands in single or
double quotes and is only compared with a column, by one == or !=. Functions: ``abs(x)``, ``min(x, y, ...)``,
``max(x, y, ...)``, ``is_blank(x)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import numpy as np

from groundschool.data import expression_nodes as nodes
from groundschool.data.expression_nodes import Node
from groundschool.data.validation import Array
from groundschool.errors import InputError, suggest

MAX_CHARACTERS = 2_000
MAX_NESTING = 30
ARGUMENTS = {"abs": (1, 1), "min": (2, math.inf), "max": (2, math.inf), "is_blank": (1, 1)}
_WORDS = ("and", "or", "not")
_VALUE = "a number, a column, a function or '('"
_INSTEAD = {
    "=": "==", "<>": "!=", "=<": "<=", "=>": ">=",
    "&": "and", "&&": "and", "|": "or", "||": "or", "!": "not", "~": "not",
    "AND": "and", "And": "and", "OR": "or", "Or": "or", "NOT": "not", "Not": "not",
}  # fmt: skip
_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
    (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])
    | (?P<name>[^\W\d]\w*)
    | `(?P<quoted>(?:[^`]|``)+)`
    | '(?P<single>[^']*)' | "(?P<double>[^"]*)"
    | (?P<sign><=|>=|==|!=|[<>](?![<>=])|[-+*/(),])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Expression:
    """An expression that was read. Two of the same text and names are equal.

    Attributes
    ----------
    text : str
    names : tuple of str
        The columns it needs, in order of appearance.
    logical : bool
        Whether its result is a condition (true, false or blank) rather than a number.
    """

    text: str
    names: tuple[str, ...]
    logical: bool = field(compare=False)
    root: Node = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read an expression.

        Raises
        ------
        InputError
            If it does not follow the grammar: with the position of the fault and what was expected there.
        """
        if not isinstance(text, str):
            raise InputError(f"expression {text!r}: expected text.")
        if len(text) > MAX_CHARACTERS:
            raise InputError(
                f"expression {text[:30] + '...'!r}: {len(text):,} characters, more than {MAX_CHARACTERS:,}. "
                "Put parts of it in columns of their own."
            )
        root = _Parser(text).whole()
        return cls(text, _names(root), isinstance(root, nodes.Operation) and root.logical, root)

    @classmethod
    def column(cls, name: str) -> Expression:
        """Return the expression that is one column, whatever its name."""
        return cls(name, (name,), False, nodes.Column(name))

    def __str__(self) -> str:
        return self.text

    def evaluate(self, columns: Mapping[str, Array]) -> Array:
        """Compute the expression row by row, in float64.

        Parameters
        ----------
        columns : mapping from name to (n,) numbers, flags, or text (object, None where blank)
            Blanks among numbers are NaN. May hold columns that the expression does not name.

        Returns
        -------
        array, shape (n,)
            float64, NaN where blank; of a condition bool, or, where any row is blank, float64 of 0, 1 and NaN. What
            needs a blank is blank, a quotient by zero too; but "false and blank" is false, "true or blank" is true.

        Raises
        ------
        InputError
            If a column is missing, or holds what cannot be computed with.
        """
        values = {name: np.asarray(columns[name]) for name in self.names if name in columns}
        for name in self.names:
            if name not in values:
                raise self._fault(f"there is no column {name!r}.{suggest(name, columns) or _have(columns)}")
            if values[name].ndim > 1:
                raise self._fault(f"column {name!r} holds lists. Expected one number a row.")
        shapes = {np.shape(column)[:1] for column in columns.values()}
        if len(shapes) > 1:
            raise self._fault(f"columns of different lengths: {', '.join(str(*shape) for shape in sorted(shapes))}.")
        try:
            with np.errstate(all="ignore"):
                result = nodes.compute(self.root, values)
        except InputError as error:
            raise self._fault(str(error)) from None
        if self.logical and not np.isnan(result).any():
            result = result == 1.0
        return np.array(np.broadcast_to(result, shapes.pop() if shapes else ()))

    def _fault(self, what: str) -> InputError:
        return InputError(f"expression {self.text!r}: {what}")


class _Token(NamedTuple):
    kind: str
    value: str
    start: int
    shown: str


def _names(root: Node) -> tuple[str, ...]:
    found: dict[str, None] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, nodes.Column):
            found[node.name] = None
        if isinstance(node, nodes.Operation):
            waiting.extend(reversed(node.operands))
    return tuple(found)


def _have(columns: Mapping[str, Array]) -> str:
    names = [repr(name) for name in columns]
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f" Columns: {', '.join(names[:12]) or 'none'}{more}."


class _Parser:
    """Recursive descent with one token of lookahead."""

    def __init__(self, text: str) -> None:
        self.text, self.depth = text, 0
        self.token = self._read(0)

    def whole(self) -> Node:
        node = self._or()
        if self.token.kind != "end":
            self._fail("an operator or the end")
        return self._value(node, 0)

    def _read(self, position: int) -> _Token:
        found = _TOKEN.match(self.text, position)
        self.next = len(self.text) if found is None else found.end()
        if found is None:
            rest = self.text[position:]
            start = position + len(rest) - len(rest.lstrip(" \t\r\n"))
            if start == len(self.text):
                return _Token("end", "", start, "the end")
            wrong = re.match(r"[=<>&|!~^%]+|\*\*|[0-9.]+\w*|.", self.text[start:], re.DOTALL)
            return _Token("unknown", "", start, wrong.group() if wrong else "")
        kind = str(found.lastgroup)
        value, start = found.group(kind), found.start(kind)
        if kind == "name" and value in _WORDS:
            kind = "word"
        if kind == "quoted":
            kind, value = "name", value.replace("``", "`")
            start -= 1
        if kind in ("single", "double"):
            kind = "text"
            start -= 1
        return _Token(kind, value, start, self.text[start : self.next])

    def _take(self) -> _Token:
        taken = self.token
        self.token = self._read(self.next)
        return taken

    def _at(self, *values: str) -> bool:
        return self.token.kind in ("sign", "word") and self.token.value in values

    def _fail(self, expected: str, token: _Token | None = None) -> NoReturn:
        at = token or self.token
        text = self.text
        if len(text) > 80:
            low, high = max(at.start - 30, 0), at.start + 40
            text = "..." * (low > 0) + text[low:high] + "..." * (high < len(self.text))
        what = "it ends" if at.kind == "end" else f"{at.shown[:20]!r} stands"
        instead = _INSTEAD.get(at.shown)
        fits = instead is not None and (instead == "not") != expected.startswith("an operator")
        hint = f" Write {instead!r} in its place." if fits else ""
        raise InputError(f"expression {text!r}: {what} at character {at.start + 1}, expected {expected}.{hint}")

    def _nested(self, read: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            self._fail(f"no more than {MAX_NESTING} levels of nesting")
        node = read()
        self.depth -= 1
        return node

    def _value(self, node: Node, start: int) -> Node:
        """Refuse text where a number or a condition is needed."""
        if isinstance(node, nodes.Text):
            token = _Token("text", node.value, start, repr(node.value))
            self._fail(
                "no text: it is only compared with a column, by == or != (a column's name takes no quotes)", token
            )
        return node

    def _several(self, read: Callable[[], Node], *signs: str) -> tuple[list[Node], list[str]]:
        """Read operands separated by any of `signs`; text may stand among them only where alone."""
        start = self.token.start
        found, used = [read()], []
        while self._at(*signs):
            self._value(found[-1], start)
            used.append(self._take().value)
            start = self.token.start
            found.append(self._value(read(), start))
        return found, used

    def _or(self) -> Node:
        found, _ = self._several(self._and, "or")
        return found[0] if len(found) == 1 else nodes.Operation("logic", tuple(found), ("or",))

    def _and(self) -> Node:
        found, _ = self._several(self._not, "and")
        return found[0] if len(found) == 1 else nodes.Operation("logic", tuple(found), ("and",))

    def _not(self) -> Node:
        if not self._at("not"):
            return self._compare()
        self._take()
        start = self.token.start
        return nodes.Operation("logic", (self._value(self._nested(self._not), start),), ("not",))

    def _compare(self) -> Node:
        starts = [self.token.start]
        found, used = [self._sum()], []
        while self._at(*nodes.COMPARISONS):
            used.append(self._take().value)
            starts.append(self.token.start)
            found.append(self._sum())
        if not used:
            return found[0]
        for side, other, start in zip(found, reversed(found), starts, strict=True):
            if used not in (["=="], ["!="]) or not isinstance(other, nodes.Column):
                self._value(side, start)
        return nodes.Operation("comparison", tuple(found), tuple(used))

    def _sum(self) -> Node:
        found, used = self._several(self._product, "+", "-")
        return found[0] if len(found) == 1 else nodes.Operation("arithmetic", tuple(found), tuple(used))

    def _product(self) -> Node:
        found, used = self._several(self._unary, "*", "/")
        return found[0] if len(found) == 1 else nodes.Operation("arithmetic", tuple(found), tuple(used))

    def _unary(self) -> Node:
        if not self._at("-"):
            return self._atom()
        self._take()
        start = self.token.start
        return nodes.Operation("arithmetic", (self._value(self._nested(self._unary), start),), ("negative",))

    def _atom(self) -> Node:
        token = self.token
        if token.kind == "number":
            self._take()
            if math.isinf(float(token.value)):
                self._fail("a number below 1e308", token)
            return nodes.Number(float(token.value))
        if token.kind == "text":
            self._take()
            return nodes.Text(token.value)
        if token.kind == "name":
            self._take()
            called = self._at("(")
            if not called:
                return nodes.Column(token.value)
            if token.shown not in ARGUMENTS:
                self._fail(f"one of the functions {', '.join(ARGUMENTS)}, or no parenthesis after it", token)
            return self._nested(lambda: self._call(token))
        if token.shown in ("`", "'", '"'):
            self._fail(f"another {token.shown} to close it")
        if not self._at("("):
            self._fail(_VALUE)
        self._take()
        node = self._nested(self._or)
        self._close("an operator or ')'")
        return self._value(node, token.start + 1)

    def _call(self, function: _Token) -> Node:
        self._take()
        start = self.token.start
        arguments = [self._value(self._or(), start)]
        while self._at(","):
            self._take()
            start = self.token.start
            arguments.append(self._value(self._or(), start))
        self._close("an operator, ',' or ')'")
        least, most = ARGUMENTS[function.value]
        if not least <= len(arguments) <= most:
            self._fail("one argument" if most == 1 else "two arguments or more", function)
        return nodes.Operation("function", tuple(arguments), (function.value,))

    def _close(self, expected: str) -> None:
        if not self._at(")"):
            self._fail(expected)
        self._take()
