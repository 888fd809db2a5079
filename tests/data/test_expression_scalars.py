"""One row at a time is what whole columns give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundschool.data.expression_scalars import scalar
from groundschool.data.expressions import Expression
from groundschool.errors import InputError

NAMES = ("a", "b", "c")
numbers = st.one_of(st.sampled_from(["a", "b", "c", "0", "1", "2.5"]))


def larger(inner):
    sums = st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/"]), inner)
    calls = st.builds("{}({}, {}, {})".format, st.sampled_from(["min", "max"]), inner, inner, inner)
    single = st.builds("{}({})".format, st.sampled_from(["abs", "-", "is_blank"]), inner)
    chains = st.builds("({} {} {} {} {})".format, inner, signs, inner, signs, inner)
    logic = st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner)
    negated = st.builds("(not {})".format, inner)
    return st.one_of(sums, calls, single, chains, logic, negated)


signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
expressions = st.recursive(numbers, larger, max_leaves=8)
values = st.sampled_from([0.0, -0.0, 1.0, -1.5, 2.5, 1e308, math.nan])


@settings(max_examples=400, deadline=None)
@given(text=expressions, row=st.lists(values, min_size=3, max_size=3))
def test_a_row_is_the_column_of_one(text, row):
    expression = Expression.parse(text)
    one = scalar(expression, NAMES)
    try:
        expected = expression.evaluate({name: np.array([value]) for name, value in zip(NAMES, row, strict=True)})
    except InputError:
        return  # "and" stops at the first false, so that what follows may go unseen
    np.testing.assert_array_equal(one(row), expected[0].astype(float))


def test_what_is_no_condition_is_refused():
    one = scalar(Expression.parse("a and b"), NAMES)
    assert one([0.0, 5.0, 0.0]) == 0.0
    with pytest.raises(InputError, match="5 stands where a condition is expected"):
        one([1.0, 5.0, 0.0])
    with pytest.raises(InputError, match="text is compared with text"):
        scalar(Expression.parse("a == 'x'"), NAMES)
