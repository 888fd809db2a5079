"""Expressions: by hand, by truth table, against NumPy, and against whoever writes nonsense."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from groundschool.data.expressions import ARGUMENTS, MAX_CHARACTERS, MAX_NESTING, Expression
from groundschool.errors import InputError

NAN = np.nan
COLUMNS = {
    "bg": np.array([50.0, 60.0, NAN, 70.0]),
    "dose": np.array([0.0, 2.0, 1.0, 4.0], np.float32),
    "meal": np.array([True, False, True, False]),
    "count": np.array([3, -1, 0, 7]),
    "status": np.array(["died", None, "ok", "died"], dtype=object),
    "blood glucose": np.array([1.0, 2.0, 3.0, 4.0]),
    "a`b": np.array([5.0, 6.0, 7.0, 8.0]),
    "min": np.array([9.0, 9.0, 9.0, 9.0]),
    "ötzi": np.array([1.0, 1.0, 2.0, 2.0]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # numbers, precedence, associativity
        ("7", [7, 7, 7, 7]),
        ("1.5e1 + .5 + 2.", [17.5] * 4),
        ("10 - 3 - 2", [5] * 4),
        ("24 / 4 / 2", [3] * 4),
        ("2 + 3 * 4", [14] * 4),
        ("(2 + 3) * 4", [20] * 4),
        ("-2 * -3 - -1", [7] * 4),
        ("--count", [3, -1, 0, 7]),
        ("2 - -count / 2", [3.5, 1.5, 2, 5.5]),
        # columns
        ("bg", [50, 60, NAN, 70]),
        ("bg + dose", [50, 62, NAN, 74]),
        ("`blood glucose` * 2", [2, 4, 6, 8]),
        ("`a``b`", [5, 6, 7, 8]),
        ("ötzi", [1, 1, 2, 2]),
        ("min", [9] * 4),
        ("-10 * meal", [-10, 0, -10, 0]),
        # a quotient by zero is blank
        ("bg / dose", [NAN, 30, NAN, 17.5]),
        ("0 / count", [0, 0, NAN, 0]),
        # functions
        ("abs(count)", [3, 1, 0, 7]),
        ("min(bg, 55, dose)", [0, 2, NAN, 4]),
        ("max(min, count)", [9, 9, 9, 9]),
        # conditions
        ("count < 3", [False, True, True, False]),
        ("count <= 3", [True, True, True, False]),
        ("count > 3", [False, False, False, True]),
        ("count >= 3", [True, False, False, True]),
        ("count == 0", [False, False, True, False]),
        ("count != 0", [True, True, False, True]),
        ("0 <= count < 7", [True, False, True, False]),
        ("1 < 2 < 3 > 2", [True] * 4),
        ("bg < 54", [1, 0, NAN, 0]),
        ("54 <= bg < 70", [0, 1, NAN, 0]),
        ("count < bg < 54", [1, 0, NAN, 0]),
        ("count > 5 > bg", [False] * 4),  # row 2 is false and blank
        ("not meal", [False, True, False, True]),
        ("not count < 3 and meal", [True, False, False, False]),
        ("not (count < 3 and meal)", [True, True, False, True]),
        ("meal or count > 3 and dose > 9", [True, False, True, False]),
        ("bg < 54 or meal", [True, False, True, False]),
        ("bg < 54 and meal", [1, 0, NAN, 0]),
        ("bg < 54 and not meal", [False] * 4),
        ("is_blank(bg)", [False, False, True, False]),
        ("is_blank(bg + 1)", [False, False, True, False]),
        ("is_blank(status)", [False, True, False, False]),
        ("is_blank(meal) or is_blank(count)", [False] * 4),
        ("10 * (bg < 54) + meal", [11, 0, NAN, 0]),
        # text
        ("status == 'died'", [1, NAN, 0, 1]),
        ('"died" != status', [0, NAN, 1, 0]),
        ("status == 'died' or is_blank(status)", [True, True, False, True]),
        ("status == 'it is `so`'", [0, NAN, 0, 0]),
        # spaces and newlines do not matter
        ("bg<54 or\n\t count>=  7", [1, 0, NAN, 1]),
    ],
)
def test_by_hand(text, expected):
    result = Expression.parse(text).evaluate(COLUMNS)
    assert result.shape == (4,)
    assert result.dtype == (np.bool_ if isinstance(expected[0], bool) else np.float64)
    np.testing.assert_array_equal(result, expected)


def test_a_condition_without_blanks_is_bool_and_with_blanks_is_not():
    assert Expression.parse("bg < 54").evaluate({"bg": np.array([1.0])}).dtype == np.bool_
    assert Expression.parse("bg < 54").evaluate({"bg": np.array([NAN])}).dtype == np.float64
    assert not Expression.parse("meal").logical
    assert Expression.parse("not meal").logical
    assert Expression.parse("is_blank(meal)").logical
    assert not Expression.parse("1 * (bg < 54)").logical


KLEENE = {True: 1.0, False: 0.0, None: NAN}


def kleene(operator, a, b):
    """The definition: the result is known where it is the same whatever the blanks would have been."""
    values = {
        operator(x, y)
        for x in ([a] if a is not None else [True, False])
        for y in ([b] if b is not None else [True, False])
    }
    return KLEENE[values.pop()] if len(values) == 1 else NAN


@pytest.mark.parametrize(("a", "b"), list(itertools.product(KLEENE, repeat=2)))
def test_truth_tables(a, b):
    columns = {"a": np.array([KLEENE[a]]), "b": np.array([KLEENE[b]])}
    conditions = {"and": lambda x, y: x and y, "or": lambda x, y: x or y}
    for word, operator in conditions.items():
        for text in (f"a {word} b", f"a == 1 {word} b == 1", f"a {word} b {word} a"):
            np.testing.assert_array_equal(Expression.parse(text).evaluate(columns), [kleene(operator, a, b)])
    np.testing.assert_array_equal(Expression.parse("not a").evaluate(columns), [1.0 - KLEENE[a]])
    # De Morgan
    np.testing.assert_array_equal(
        Expression.parse("not (a and b)").evaluate(columns), Expression.parse("not a or not b").evaluate(columns)
    )


def test_names_in_order_of_appearance():
    assert Expression.parse("b < a + `x y` or not b").names == ("b", "a", "x y")
    assert Expression.parse("1 < 2").names == ()


def test_a_column_whatever_its_name():
    expression = Expression.column("a + b")
    assert expression.names == ("a + b",)
    assert str(expression) == "a + b"
    assert expression.evaluate({"a + b": np.array([1, 2])}).tolist() == [1.0, 2.0]
    assert expression != Expression.parse("a + b")
    assert Expression.parse("a + b") == Expression.parse("a + b")
    assert hash(Expression.parse("a + b")) == hash(Expression.parse("a + b"))


def test_one_row_alone_and_no_columns():
    assert Expression.parse("bg < 54 or meal").evaluate({"bg": np.float64(60.0), "meal": np.bool_(True)}) == np.True_
    assert Expression.parse("1 / 4").evaluate({}).shape == ()
    assert Expression.parse("1").evaluate({"x": np.zeros(0)}).shape == (0,)
    assert Expression.parse("x < 1").evaluate({"x": np.zeros(0)}).shape == (0,)


def test_the_result_is_nobody_elses_memory():
    column = np.zeros(3)
    Expression.parse("x").evaluate({"x": column})[:] = 1.0
    assert column.tolist() == [0.0, 0.0, 0.0]


def test_overflow_is_infinite_not_blank():
    # An infinite cost must be refused later, not read as "no event".
    assert Expression.parse("x * x").evaluate({"x": np.array([1e200])}).tolist() == [np.inf]


def test_text_that_is_blank_throughout_may_come_as_numbers():
    assert np.isnan(Expression.parse("s == 'a'").evaluate({"s": np.full(2, NAN)})).all()


def test_text_of_fixed_width():
    assert Expression.parse("s == 'a'").evaluate({"s": np.array(["a", "b"])}).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it ends at character 1, expected a number, a column, a function or '\\('"),
        ("  ", "it ends at character 3"),
        ("bg <", "it ends at character 5"),
        ("bg < < 3", "'<' stands at character 6, expected a number"),
        ("bg = 54", "'=' stands at character 4, expected an operator or the end. Write '==' in its place"),
        ("bg <> 54", "'<>' stands at character 4.*Write '!='"),
        ("bg =< 54", "Write '<='"),
        ("a && b", "'&&' stands at character 3.*Write 'and'"),
        ("a | b", "Write 'or'"),
        ("a AND b", "'AND' stands at character 3.*Write 'and'"),
        ("!a", "Write 'not'"),
        ("2 ** 3", r"'\*' stands at character 4"),
        ("2 % 3", "'%' stands at character 3"),
        ("2x", "'2x' stands at character 1"),
        ("1.2.3", "'1.2.3' stands at character 1"),
        ("1e999", "'1e999' stands at character 1, expected a number below 1e308"),
        ("bg 54", "'54' stands at character 4, expected an operator or the end"),
        ("(bg", r"it ends at character 4, expected an operator or '\)'"),
        ("bg)", r"'\)' stands at character 3, expected an operator or the end"),
        ("()", r"'\)' stands at character 2"),
        ("a, b", "',' stands at character 2"),
        ("`bg", "expected another ` to close it"),
        ("s == 'died", "expected another ' to close it"),
        ("log(bg)", "'log' stands at character 1, expected one of the functions abs, min, max, is_blank"),
        ("`min`(1, 2)", "expected one of the functions"),
        ("abs(1, 2)", "expected one argument"),
        ("min(1)", "expected two arguments or more"),
        ("abs()", r"'\)' stands at character 5"),
        ("min(1, 2", r"it ends at character 9, expected an operator, ',' or '\)'"),
        ("and", "'and' stands at character 1"),
        ("a and", "it ends at character 6"),
        ("a.b", "'.b' stands at character 2"),
        ("__import__('os')", "expected one of the functions"),
        ("x[0]", r"'\[' stands at character 2"),
        ("lambda: 1", "':' stands at character 7"),
        ("'died'", "expected no text: it is only compared with a column"),
        ("s < 'died'", "'died'.* at character 5, expected no text"),
        ("'a' == 'a'", "expected no text"),
        ("s == t == 'a'", "at character 11, expected no text"),
        ("s + 1 == 'a'", "expected no text"),
        ("s == ('a')", "expected no text"),
        ("s and 'a'", "expected no text"),
        ("not 'a'", "at character 5, expected no text"),
        ("-'a'", "expected no text"),
        ("1 + 'a'", "expected no text"),
        ("abs('a')", "at character 5, expected no text"),
        ("(" * (MAX_NESTING + 1) + "1" + ")" * (MAX_NESTING + 1), "no more than 30 levels of nesting"),
        ("1 +" * MAX_CHARACTERS, "more than 2,000"),
        ("x" * 1_000 + "&", r"expression '\.\.\.x+&'.* at character 1001"),
    ],
)
def test_what_does_not_follow_the_grammar(text, message):
    with pytest.raises(InputError, match=message) as caught:
        Expression.parse(text)
    assert str(caught.value).startswith("expression ")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [None, 3, b"a", ["a"]])
def test_only_text_is_read(value):
    with pytest.raises(InputError, match="expected text"):
        Expression.parse(value)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("bgg < 54", COLUMNS, r"expression 'bgg < 54': there is no column 'bgg'. Did you mean 'bg'\?"),
        ("x < 1", {"bg": np.zeros(1), "qq": np.zeros(1)}, "no column 'x'. Columns: 'bg', 'qq'"),
        ("status", COLUMNS, "column 'status' holds text"),
        ("status < 3", COLUMNS, "column 'status' holds text"),
        ("bg == 'died'", COLUMNS, "column 'bg' holds numbers, but is compared with quoted text"),
        ("meal == 'died'", COLUMNS, "column 'meal' holds flags"),
        ("bg and meal", COLUMNS, "column 'bg' stands where a condition is expected and holds 50"),
        ("not 2", COLUMNS, "a number stands where a condition is expected and holds 2"),
        ("t < 3", {"t": np.array(["2026-01-01"], "datetime64[us]")}, "column 't' holds times"),
        ("x < 3", {"x": np.zeros((2, 2))}, "column 'x' holds lists"),
        ("x == 3", {"x": np.array([2**53 + 1])}, r"integers beyond 2\*\*53"),
        ("x == 3", {"x": np.array([-(2**63)])}, r"integers beyond 2\*\*53"),
        ("x < 3", {"x": np.zeros(2), "y": np.zeros(3)}, "columns of different lengths: 2, 3"),
    ],
)
def test_what_cannot_be_computed(text, columns, message):
    with pytest.raises(InputError, match=message):
        Expression.parse(text).evaluate(columns)


PIECES = [
    "a", "b", "`c d`", "s", "1", "2.5", "1e3", "'x'", '"', "`", "(", ")", ",", "+", "-", "*", "/", "<", "<=", "==",
    "!=", "=", "and", "or", "not", "min(", "max(", "abs(", "is_blank(", " ", "\n", "%", "é", "\0", "\ud800", "0x1",
    "__class__",
]  # fmt: skip
HOSTILE = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))


@settings(max_examples=500, deadline=None)
@given(HOSTILE)
@example("(" * 2_000)
@example("not " * 500)
@example("-" * 2_000)
@example("`" * 2_000)
@example("min(" * 500)
def test_hostile_text_ends_in_a_sentence_or_an_expression(text):
    columns = {"a": np.array([0.0, NAN]), "b": np.array([1, 0]), "c d": np.ones(2), "s": np.array(["x", None], object)}
    try:
        result = Expression.parse(text).evaluate(columns)
    except InputError:
        return
    assert result.shape == (2,)
    assert result.dtype in (np.bool_, np.float64)


def test_the_widest_and_the_deepest():
    x = {"x": np.array([1.0])}
    assert Expression.parse("+".join(["x"] * 1_000)).evaluate(x).tolist() == [1_000.0]
    # every kind of operation on every level; with 1 inside it is 0 or (1 and 2 > 1), and so on outwards
    text = "0 or 1 and 2 > 0 + 1 * (" * MAX_NESTING + "1" + ")" * MAX_NESTING
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(1_000)
        assert Expression.parse(text).evaluate(x).tolist() == [True]
    finally:
        sys.setrecursionlimit(limit)


FORMS = [
    ("{} + {}", lambda a, b: a + b),
    ("{} - ({})", lambda a, b: a - b),
    ("({}) * ({})", lambda a, b: a * b),
    ("-({})", lambda a: -a),
    ("abs({})", abs),
    ("min({}, {})", min),
    ("max({}, {}, {})", max),
    ("({} < {})", lambda a, b: a < b),
    ("({} <= {} < {})", lambda a, b, c: a <= b < c),
    ("({} == {})", lambda a, b: a == b),
    ("({} != {})", lambda a, b: a != b),
    ("({} > 0 or {} >= 1 and not {} > 2)", lambda a, b, c: a > 0 or (b >= 1 and not c > 2)),
]


@st.composite
def with_value(draw, x, y, depth=3):
    """Text and, beside it, what Python's own operators make of the same."""
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from([("x", x), ("y", y), ("2", 2.0), (".5", 0.5)]))
    form, function = draw(st.sampled_from(FORMS))
    parts = [draw(with_value(x, y, depth - 1)) for _ in range(form.count("{}"))]
    return f"({form.format(*(text for text, _ in parts))})", float(function(*(value for _, value in parts)))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(-3, 3), st.integers(-3, 3))
def test_against_python(data, x, y):
    text, expected = data.draw(with_value(x, y))
    assert Expression.parse(text).evaluate({"x": np.array([x]), "y": np.array([float(y)])})[0] == expected


def test_every_function_is_tried():
    assert set(ARGUMENTS) == {"abs", "min", "max", "is_blank"}
