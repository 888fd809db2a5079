"""Limits on costs."""

import dataclasses
import math

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.safety.constraints import Constraint

LOG = Dataset.from_arrays(np.zeros((2, 1)), [0, 1], [1.0, 2.0], [True, True], [False, False], costs={"hypo": [0, 1]})


@pytest.mark.parametrize(
    ("constraint", "of", "words"),
    [
        (Constraint("hypo", limit=0.05), "probability:hypo", "probability of any hypo at most 0.05"),
        (Constraint("hypo", kind="probability", limit=0.5), "probability:hypo", "probability of any hypo at most 0.5"),
        (Constraint("hypo", kind="expected", limit=3), "cost:hypo", "expected hypo at most 3"),
    ],
)
def test_a_constraint_asks_a_question(constraint, of, words):
    assert (constraint.of, str(constraint)) == (of, words)
    assert isinstance(constraint.limit, float)
    assert Constraint(**constraint.to_json()) == constraint
    constraint.require(LOG)


@pytest.mark.parametrize(
    ("upper", "met", "excess"),
    [(0.0, True, 0.0), (0.05, True, 0.0), (0.06, False, 0.2), (1.0, False, 19.0), (math.inf, False, math.inf),
     (math.nan, False, math.inf)],
)  # fmt: skip
def test_an_upper_bound_meets_a_limit_or_exceeds_it(upper, met, excess):
    constraint = Constraint("hypo", limit=0.05)
    assert constraint.met_by(upper) is met
    assert constraint.excess(upper) == pytest.approx(excess)


@pytest.mark.parametrize(("episodes", "limit"), [(59, 0.0495), (149, 0.0199), (299, 0.00997), (3, 1 - 0.05 ** (1 / 3))])
def test_no_event_in_so_many_episodes_shows_a_limit(episodes, limit):
    assert Constraint("hypo", limit=0.5).smallest_provable(episodes) == pytest.approx(limit, rel=0.005)
    assert Constraint("hypo", kind="expected", limit=0.5).smallest_provable(episodes) == 0.0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "", "limit": 0.1}, "'' is no name"),
        ({"name": 3, "limit": 0.1}, "3 is no name"),
        ({"name": "hypo", "limit": 0.0}, "constraint 'hypo': limit is 0.0, expected a number above 0"),
        ({"name": "hypo", "limit": -1}, "limit is -1, expected a number above 0"),
        ({"name": "hypo", "limit": True}, "limit is True"),
        ({"name": "hypo", "limit": "0.1"}, "limit is '0.1'"),
        ({"name": "hypo", "limit": math.nan}, "limit is nan"),
        ({"name": "hypo", "limit": math.inf, "kind": "expected"}, "limit is inf"),
        ({"name": "hypo", "limit": 1.0}, "expected a probability below 1"),
        ({"name": "hypo", "limit": 0.1, "kind": "probabilty"}, "Did you mean 'probability'"),
        ({"name": "hypo", "limit": 0.1, "kind": None}, "kind is None, expected 'probability' or 'expected'"),
    ],
)
def test_what_is_no_limit_is_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        Constraint(**arguments)


def test_a_cost_that_the_log_lacks_is_refused():
    with pytest.raises(InputError, match=r"constraint 'hyp': the log has no such cost \(it has: 'hypo'\).*'hypo'"):
        Constraint("hyp", limit=0.1).require(LOG)


def test_a_constraint_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Constraint("hypo", limit=0.1).limit = 0.2


@pytest.mark.parametrize(
    ("text", "name", "kind", "limit"),
    [
        ("hazard<=0.05", "hazard", "probability", 0.05),
        (" probability:hazard <= 0.05 ", "hazard", "probability", 0.05),
        ("cost:days<=3", "days", "expected", 3.0),
        ("a:b<=0.1", "a:b", "probability", 0.1),  # a colon in a name is no kind
        ("x<=y<=0.1", "x<=y", "probability", 0.1),
    ],
)
def test_a_line_is_read(text, name, kind, limit):
    assert Constraint.parse(text) == Constraint(name, kind=kind, limit=limit)


@pytest.mark.parametrize("text", ["hazard", "hazard<0.1", "<=0.1", "cost:<=0.1", "hazard<=", "hazard<=much", ""])
def test_a_line_that_is_none_is_one_sentence(text):
    with pytest.raises(InputError, match="expected NAME<=NUMBER"):
        Constraint.parse(text)
