"""What is asked, checked before anything is looked at."""

import json
import math

import numpy as np
import pytest

import groundschool as gs
from groundschool.safety.criteria import Criteria

HYPO = gs.Constraint("hypo", limit=0.05)
POLICY = gs.TabularPolicy([[0.5, 0.5]], name="half")
OTHER = gs.TabularPolicy([[0.4, 0.6]], name="half")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"constraints": HYPO}, "is one Constraint, expected a list"),
        ({"constraints": ("hypo",)}, "'hypo' is a str, expected a Constraint such as"),
        ({"constraints": (HYPO, gs.Constraint("hypo", limit=0.1))}, "'probability:hypo' is limited twice"),
        ({"baseline": None}, "nothing is asked"),
        ({"baseline": "loger"}, "baseline is 'loger', expected 'logger', a number, a policy, or None"),
        ({"baseline": math.nan}, "baseline is nan"),
        ({"baseline": True}, "baseline is True"),
        ({"margin": "1"}, "margin is '1', expected a number, such as 0 or 1.5"),
        ({"margin": math.inf}, "margin is inf"),
        ({"confidence": 1.0}, r"confidence is 1\.0, expected a number from 0\.5 to below 1"),
        ({"confidence": 0.4}, r"confidence is 0\.4"),
        ({"discount": 0.0}, r"discount is 0\.0, expected a number above 0 to at most 1"),
        ({"discount": 1.1}, r"discount is 1\.1"),
        ({"assurance": "heuristic"}, "what is heuristic never shows that a policy may go"),
        ({"assurance": "exact"}, "nothing read from a log is exact"),
        ({"assurance": "asymptotik"}, "expected 'asymptotic' or 'finite-sample'. Did you mean 'asymptotic'"),
        ({"looks": 0}, "looks is 0, expected a whole number from 1 to 50"),
        ({"looks": 2.0}, r"looks is 2\.0"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(settings, says):
    with pytest.raises(gs.InputError, match=says):
        Criteria(**settings)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ("gain",)),
        ({"constraints": (HYPO,)}, ("probability:hypo", "gain")),
        ({"constraints": (HYPO, gs.Constraint("days", kind="expected", limit=3.0)), "baseline": None},
         ("probability:hypo", "cost:days")),
        ({"baseline": 3}, ("return",)),
        ({"baseline": POLICY}, ("gain",)),
    ],
)  # fmt: skip
def test_what_is_asked_has_names(settings, names):
    assert Criteria(**settings).names == names


def test_one_look_has_all_that_may_be_missed_and_of_several_each_has_half_of_the_one_before():
    assert Criteria().tail() == pytest.approx(0.05)
    planned = Criteria(looks=5)
    tails = [planned.tail(look) for look in range(1, 6)]
    assert tails == pytest.approx([0.05 / 2, 0.05 / 4, 0.05 / 8, 0.05 / 16, 0.05 / 32])
    assert sum(tails) < 0.05


@pytest.mark.parametrize("look", [0, 2, -1, True, 1.0])
def test_a_look_that_was_not_planned_is_refused(look):
    with pytest.raises(
        gs.InputError, match=r"but one look is planned\. A plan of several is declared before the first"
    ):
        Criteria().tail(look)


def test_criteria_that_differ_in_anything_have_another_fingerprint():
    settings = [
        {}, {"constraints": (HYPO,)}, {"constraints": (gs.Constraint("hypo", limit=0.06),)}, {"baseline": 0.0},
        {"baseline": POLICY}, {"margin": 0.1}, {"confidence": 0.9}, {"assurance": "finite-sample"}, {"discount": 0.9},
        {"looks": 2}, {"baseline": OTHER},
    ]  # fmt: skip
    prints = [Criteria(**one).fingerprint for one in settings]
    assert len(set(prints)) == len(settings)
    assert Criteria().fingerprint == prints[0]
    json.dumps([Criteria(**one).to_json() for one in settings], allow_nan=False)


def test_numbers_of_numpy_are_numbers():
    criteria = Criteria(margin=np.float64(1.0), confidence=np.float32(0.75), baseline=np.int64(2), looks=np.int64(2))
    assert (criteria.margin, criteria.confidence, criteria.baseline) == (1.0, 0.75, 2.0)
    json.dumps(criteria.to_json())
