"""Who stands where, by numbers alone."""

import json
import math

import pytest

from groundschool.safety.constraints import Constraint
from groundschool.safety.examination import Answer
from groundschool.safety.ranking import Average, Judgement, rank
from groundschool.safety.reasoning import explain

HYPO = Constraint("hypo", limit=0.1)
LENGTH = Constraint("days", kind="expected", limit=10)
OF = {"return_": "return", "hypo": "probability:hypo", "days": "cost:days"}


def judged(name, splits=1, *, trusted=True, concentrated=False, reasons=("few visits",), cautious=None, **answers):
    """Judgements of a candidate: ``return_=(value, lower, upper)``, the same in every split."""
    return [
        Judgement(name, split, OF[key], Answer(*numbers, trusted, concentrated, () if trusted else reasons, cautious))
        for key, numbers in answers.items()
        for split in range(splits)
    ]


def order(*rows, constraints=(), strict=False):
    standings = rank([row for rows_ in rows for row in rows_], constraints, strict=strict)
    return [(one.candidate, one.status) for one in standings]


def test_the_most_cautious_return_wins_not_the_largest_bound():
    rows = (
        judged("bold", return_=(20.0, 15.0, 25.0), cautious=3.0),
        judged("sure", return_=(10.0, 2.0, 12.0), cautious=9.0),
    )
    assert order(*rows) == [("sure", "feasible"), ("bold", "feasible")]


def test_without_a_cautious_return_the_largest_lower_bound_wins_not_the_largest_value():
    rows = judged("bold", return_=(20.0, -5.0, 45.0)), judged("sure", return_=(10.0, 8.0, 12.0))
    assert order(*rows) == [("sure", "feasible"), ("bold", "feasible")]


def test_who_is_within_limits_comes_before_who_returns_more():
    rows = (
        judged("reckless", return_=(50.0, 48.0, 52.0), hypo=(0.3, 0.2, 0.4)),
        judged("careful", return_=(5.0, 3.0, 7.0), hypo=(0.01, 0.0, 0.1)),  # a bound at the limit keeps it
        judged("nearly", return_=(9.0, 8.0, 10.0), hypo=(0.05, 0.01, 0.12)),
    )
    expected = [("careful", "feasible"), ("nearly", "infeasible"), ("reckless", "infeasible")]
    assert order(*rows, constraints=[HYPO]) == expected


def test_the_least_violating_is_told_by_the_worst_excess_as_a_share_of_its_limit():
    rows = (
        judged("a", return_=(9.0, 9.0, 9.0), hypo=(0.1, 0.0, 0.2), days=(9.0, 8.0, 10.0)),  # excess 1.0
        judged("b", return_=(1.0, 1.0, 1.0), hypo=(0.1, 0.0, 0.11), days=(9.0, 8.0, 15.0)),  # excess 0.5
        judged("c", return_=(5.0, 5.0, 5.0), hypo=(0.1, 0.0, 0.15), days=(9.0, 8.0, 10.0)),  # 0.5 too, better return
    )
    assert [name for name, _ in order(*rows, constraints=[HYPO, LENGTH])] == ["c", "b", "a"]


def test_the_untrusted_stand_behind_all_others_by_their_estimates():
    rows = (
        judged("dream", return_=(99.0, 98.0, 100.0), hypo=(0.5, 0.4, 0.6), trusted=False),
        judged("hope", return_=(30.0, 29.0, 31.0), hypo=(0.05, 0.0, 0.1), trusted=False),
        judged("bad", return_=(-9.0, -10.0, -8.0), hypo=(0.9, 0.8, 1.0)),
    )
    expected = [("bad", "infeasible"), ("hope", "untrusted"), ("dream", "untrusted")]
    assert order(*rows, constraints=[HYPO]) == expected


def test_one_untrusted_answer_is_enough():
    rows = [*judged("x", return_=(9.0, 8.0, 10.0)), *judged("x", hypo=(0.0, 0.0, 0.01), trusted=False)]
    (standing,) = rank(rows, [HYPO])
    assert standing.status == "untrusted"
    assert standing.reasons == ("few visits",)
    assert not standing.trusted


def test_ties_keep_the_given_order():
    rows = [judged(name, return_=(1.0, 0.0, 2.0)) for name in "badc"]
    assert [name for name, _ in order(*rows)] == list("badc")


def test_one_that_could_not_be_trained_is_last():
    failed = [Judgement("x", 0, "return", Answer(math.nan, -math.inf, math.inf, False, False, ("diverged",)))]
    assert order(failed, judged("y", return_=(-5.0, 0.0, 0.0), trusted=False)) == [
        ("y", "untrusted"),
        ("x", "untrusted"),
    ]


def test_who_is_hardly_logged_is_noisy_but_not_blind_unless_strict():
    rows = (
        judged("near", return_=(20.0, 15.0, 25.0), trusted=False, concentrated=True),
        judged("sure", return_=(10.0, 8.0, 12.0)),
    )
    assert order(*rows) == [("near", "feasible"), ("sure", "feasible")]
    assert order(*rows, strict=True) == [("sure", "feasible"), ("near", "untrusted")]


def test_costs_are_relied_on_where_they_are_trusted_alone():
    near = judged("near", return_=(20.0, 15.0, 25.0), hypo=(0.0, 0.0, 0.05), trusted=False, concentrated=True)
    assert order(near, constraints=[HYPO]) == [("near", "untrusted")]


@pytest.mark.parametrize(
    ("trusted", "concentrated", "relied_on", "strictly"),
    [
        ((1, 1, 1), (0, 0, 0), True, True),
        ((1, 1, 0), (0, 0, 0), True, True),
        ((1, 0, 0), (0, 1, 0), True, False),
        ((0, 0, 0), (1, 1, 0), True, False),
        ((1, 0, 0), (0, 0, 0), False, False),
        ((1, 0), (0, 0), False, False),  # half is no majority
    ],
)
def test_all_splits_are_averaged_and_the_majority_decides_on_trust(trusted, concentrated, relied_on, strictly):
    answers = [
        Answer(float(k), k - 1.0, k + 2.0, bool(good), bool(few))
        for k, (good, few) in enumerate(zip(trusted, concentrated, strict=True))
    ]
    found, n = Average.over(answers), len(trusted)
    assert (found.value, found.lower, found.upper) == ((n - 1) / 2, (n - 1) / 2 - 1, (n - 1) / 2 + 2)
    assert (found.trusted, found.concentrated, found.splits) == (sum(trusted), sum(concentrated), n)
    assert (found.relied_on(strict=False), found.relied_on(strict=True)) == (relied_on, strictly)


def test_a_split_without_an_estimate_leaves_none():
    found = Average.over([Answer(1.0, 0.0, 2.0, True)] * 2 + [Answer(math.nan, -math.inf, math.inf, False)])
    assert math.isnan(found.value)
    assert (found.lower, found.upper) == (-math.inf, math.inf)
    assert not found.relied_on(strict=False)


def test_standings_are_json():
    rows = judged("x", return_=(1.0, -math.inf, math.inf), hypo=(0.5, 0.0, 1.0), trusted=False)
    (standing,) = rank(rows, [HYPO])
    text = json.dumps([standing.to_json(), rows[0].to_json()], allow_nan=False)
    assert json.loads(text)[0]["answers"]["return"] == {
        "value": 1.0, "lower": None, "upper": None, "cautious": None, "trusted": 0, "concentrated": 0, "splits": 1
    }  # fmt: skip


LOGGER = judged("logger", return_=(-3.0, -4.0, -2.0), hypo=(0.2, 0.15, 0.25))
GOOD = judged("good", return_=(9.0, 8.0, 10.0), hypo=(0.02, 0.0, 0.05))


@pytest.mark.parametrize(
    ("rows", "limits", "said"),
    [
        ([LOGGER, GOOD], [HYPO], ["largest cautious return among the 1 that meet", "kept: the upper"]),
        ([LOGGER, GOOD], [], ["'good' has the largest cautious return: 8 (estimate 9)", "logger's own is -4"]),
        ([LOGGER, judged("x", return_=(-9.0, -10.0, -8.0))], [], ["Keep the logger's policy: no candidate to rely on"]),
        ([LOGGER, judged("x", return_=(9.0, 8.0, 10.0), hypo=(0.1, 0.0, 0.2))], [HYPO],
         ["None of the candidates meets the limits; the least violating is 'x'", "is not shown to be kept", "1 of 1"]),
        ([LOGGER, judged("x", return_=(9.0, 8.0, 10.0), hypo=(0.1, 0.0, 0.3))], [HYPO],
         ["the least violating is the logger's own policy: keep it"]),
        ([judged("logger", return_=(0.0, 0.0, 0.0), trusted=False)], [], ["not even the logger's own outcomes"]),
        ([LOGGER, GOOD, judged("x", return_=(9.0, 8.0, 10.0), hypo=(0.0, 0.0, 1.0), trusted=False)], [HYPO],
         ["1 of 2 candidates cannot be relied on in most splits", "'x', for one: few visits"]),
        ([LOGGER, judged("x", return_=(9.0, 8.0, 10.0), trusted=False, concentrated=True)], [],
         ["trusted in 0 of 1 splits; elsewhere few logged episodes speak for it: few visits"]),
        ([LOGGER, GOOD], [Constraint("hypo", limit=0.001)], ["cannot be shown with 250 episodes", "0.01191"]),
    ],
)  # fmt: skip
def test_the_choice_is_explained_in_sentences(rows, limits, said):
    standings = rank([row for rows_ in rows for row in rows_], limits)
    text = " ".join(explain(standings[0], standings, limits, episodes=250, confidence=0.95))
    for words in said:
        assert words in text
