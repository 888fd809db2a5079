"""Predictions beside what was seen: each agreement by hand, and how often a right prediction is called wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from groundschool.errors import InputError
from groundschool.evaluation.intervals import Interval
from groundschool.safety.campaign.prediction import Predicted, compare, predictions
from groundschool.safety.stopping import StoppingRule

OF = "probability:hazard"
CASES = [
    ((0.10, 0.05, 0.15), (0.12, 0.06, 0.20), True, "inside", "joint confidence 90%"),
    ((0.10, 0.05, 0.11), (0.12, 0.06, 0.20), True, "outside", "can be chance"),
    ((0.02, 0.01, 0.05), (0.12, 0.06, 0.20), True, "contradicted", "the prediction was too low"),
    ((0.50, 0.40, 0.60), (0.12, 0.06, 0.20), True, "contradicted", "the prediction was too high"),
    ((0.10, 0.00, 1.00), (0.12, 0.06, 0.20), False, "no prediction", "was not trusted"),
    ((5.0, -math.inf, math.inf), (7.0, 6.0, 8.0), True, "no prediction", "had no bounds"),
    ((5.0, 4.0, 6.0), (7.0, -math.inf, math.inf), True, "not measured", "without an interval"),
]


@pytest.mark.parametrize(("promise", "seen", "trusted", "agreement", "words"), CASES)
def test_agreements_by_hand(promise, seen, trusted, agreement, words):
    predicted = Predicted(OF, *promise, 0.95, trusted=trusted)
    found = compare(predicted, Interval(*seen, 0.95, "seen", "exact"), "the probability of any hazard", "{:.1%}")
    assert found.agreement == agreement
    assert words in found.sentence
    assert "the probability of any hazard" in found.sentence


def test_what_is_about_something_else_says_so():
    seen = Interval(1.5, 1.0, 2.0, 0.95, "seen", "exact")
    discounted = compare(Predicted("return", 1.0, 0.5, 2.0, 0.95, discount=0.9), seen, "the mean return", "{:.4g}")
    assert discounted.agreement == "no prediction"
    assert "was discounted (0.9 a step)" in discounted.sentence
    shorter = compare(Predicted("return", 1.0, 0.5, 2.0, 0.95, horizon=20), seen, "the mean return", "{:.4g}", 80)
    assert "(of episodes of at most 20 steps, where those run have at most 80)" in shorter.sentence
    same = compare(Predicted("return", 1.0, 0.5, 2.0, 0.95, horizon=80), seen, "the mean return", "{:.4g}", 80)
    assert "steps" not in same.sentence


def test_joint_confidence_adds_what_each_may_miss():
    predicted = Predicted(OF, 0.02, 0.01, 0.03, 0.9)
    found = compare(predicted, Interval(0.2, 0.1, 0.3, 0.99, "seen", "exact"), "it", "{:.1%}")
    assert "joint confidence of at least 89%" in found.sentence


def test_right_predictions_are_rarely_contradicted():
    """300 campaigns at 10 %, each with a prediction from 400 episodes of its own (Clopper-Pearson, 95 %).

    Both intervals hold with 95 %, so that at most 10 % are contradicted (tolerance: the binomial's at 1 in 1,000).
    """
    rng, p, n = np.random.default_rng(2), 0.1, 300
    rule = StoppingRule(0.05, 0.95, 400)
    wrong = 0
    for _ in range(n):
        offline = stats.binomtest(int(rng.binomial(400, p)), 400).proportion_ci(0.95)
        counts = (rng.random(400) < p).cumsum()
        stop = next(k for k in range(1, 401) if rule.decide(counts[k - 1], counts[k - 1], k))
        seen = Interval(
            counts[stop - 1] / stop, *rule.bounds(counts[stop - 1], counts[stop - 1], stop, 0.025), 0.95, "", ""
        )
        wrong += compare(Predicted(OF, p, *offline, 0.95), seen, "it", "{}").agreement == "contradicted"
    assert wrong <= stats.binom.isf(1e-3, n, 0.10)


def test_what_evaluate_prints_is_read():
    estimate = {"of": "return", "policy": "BC", "method": "dr", "value": 1.0, "lower": None, "upper": 2.0}
    other = {**estimate, "of": OF, "lower": 0.0, "confidence": 0.9, "trusted": False}
    found = predictions({"policy": "BC", "estimates": [estimate, other, {**other, "method": "wis"}]}, OF, "BC")
    assert [one.of for one in found] == [OF, "return"]
    assert found[0] == Predicted(OF, 1.0, 0.0, 2.0, 0.9, "dr", trusted=False)
    assert found[1].lower == -math.inf
    assert predictions([other], OF, "BC") == found[:1]
    assert predictions(None, OF, "BC") == ()


ROWS = [
    ({"value": 0.1, "lower": 0.2, "upper": 0.1}, "is empty"),
    ({"value": "much", "lower": 0.2, "upper": 0.3}, "value is 'much'"),
    ({"value": 0.1, "lower": 0.0, "upper": 0.3, "confidence": 95}, "confidence is 95"),
    ({"value": 0.1, "lower": 0.0, "upper": 0.3, "policy": "CQL"}, "is of policy 'CQL', and the rollouts are of 'BC'"),
    ({"value": 0.1, "lower": 0.0, "upper": 0.3, "of": "return"}, "no estimate of 'probability:hazard'"),
    ({"estimates": 3}, "is no list"),
    ({"estimates": [3]}, "predicted is int"),
    ({"value": 0.1, "lower": 0.0, "upper": 0.3, "horizon": "long"}, "horizon is 'long'"),
    ([], "there is: nothing"),
    (3, "predicted is int '3'"),
]


@pytest.mark.parametrize(("given", "sentence"), ROWS)
def test_bad_predictions_are_refused(given, sentence):
    with pytest.raises(InputError) as error:
        predictions(given, OF, "BC")
    assert sentence in str(error.value)
