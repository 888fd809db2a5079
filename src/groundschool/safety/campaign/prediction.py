"""What was predicted offline, beside what the episodes showed, and what the two together can say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from groundschool.errors import InputError
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.intervals import Interval, finite_or_none

Agreement = Literal["inside", "outside", "contradicted", "no prediction", "not measured"]


@dataclass(frozen=True)
class Predicted:
    """An offline estimate, as far as it promises something.

    Attributes
    ----------
    of : str
        "probability:NAME" or "return".
    value, lower, upper : float
        Two-sided at `confidence`.
    confidence : float
    method : str
        The estimator; "" where unknown.
    trusted : bool
    discount : float
        A discounted return is another quantity than that of an episode, and promises nothing about it.
    horizon : int or None
        Steps of the episodes that it is about.
    """

    of: str
    value: float
    lower: float
    upper: float
    confidence: float
    method: str = ""
    trusted: bool = True
    discount: float = 1.0
    horizon: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values; None for what is infinite."""
        return {
            "of": self.of,
            "value": finite_or_none(self.value),
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
            "confidence": self.confidence,
            "method": self.method,
            "trusted": self.trusted,
            "discount": self.discount,
            "horizon": self.horizon,
        }

    @property
    def nothing_promised(self) -> str | None:
        """Why there is no promise to keep, as the end of a sentence; None where there is one."""
        if not self.trusted:
            return "was not trusted"
        if self.of == "return" and self.discount != 1.0:
            return f"was discounted ({self.discount:g} a step), which a sum of rewards is not"
        if not (math.isfinite(self.lower) or math.isfinite(self.upper)):
            return "had no bounds"
        return None


@dataclass(frozen=True)
class Comparison:
    """A prediction and what was then seen.

    Attributes
    ----------
    predicted : Predicted
    seen : Interval
        Two-sided, valid where the campaign stopped.
    agreement : str
        "inside" if the value seen lies in the predicted interval; "outside" if it does not, but the two intervals
        share a value; "contradicted" if they share none; "no prediction" if the estimate promised nothing;
        "not measured" if the episodes bound nothing.
    sentence : str
    """

    predicted: Predicted
    seen: Interval
    agreement: Agreement
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "predicted": self.predicted.to_json(),
            "seen": self.seen.to_json(),
            "agreement": self.agreement,
            "sentence": self.sentence,
        }


def predictions(given: Any, of: str, policy: str) -> tuple[Predicted, ...]:
    """Return the predictions of a probability and of the return among what was given, one each.

    Parameters
    ----------
    given : None, Estimate, mapping, or a sequence of those
        A mapping has ``value``, ``lower`` and ``upper``, or is what ``groundschool evaluate --json`` prints. What says
        no ``of`` is of the probability.
    of : str
        "probability:NAME".
    policy : str
        The name that the rollouts are of.

    Raises
    ------
    InputError
        If nothing is of that probability, values are no interval, or the prediction names another policy.
    """
    if given is None:
        return ()
    read = [_read(one, of, policy) for one in _flat(given)]
    kept = [next((one for one in read if one.of == question), None) for question in (of, "return")]
    if kept[0] is None:
        have = ", ".join(dict.fromkeys(repr(one.of) for one in read)) or "nothing"
        raise InputError(f"predicted: there is no estimate of {of!r} (there is: {have}). Evaluate that too.")
    return tuple(one for one in kept if one is not None)


def compare(predicted: Predicted, seen: Interval, what: str, form: str, horizon: int | None = None) -> Comparison:
    """Hold a prediction against what was seen.

    Both intervals hold at their own confidence; that both do has a probability of at least ``1 - (1 - c1) - (1 - c2)``
    (Bonferroni), so that intervals without a common value say with that confidence that the prediction was wrong.

    Parameters
    ----------
    predicted : Predicted
    seen : Interval
    what : str
        The quantity in words.
    form : str
        A format for its values, e.g. "{:.1%}".
    horizon : int, optional
        Steps of the episodes seen; said where the prediction was about others.
    """
    joint = max(predicted.confidence + seen.confidence - 1.0, 0.0)
    known = (predicted.lower, predicted.upper)

    def said(value: float) -> str:
        return form.format(value) if math.isfinite(value) else ("no upper bound" if value > 0 else "no lower bound")

    promise = f"Offline, {what} was predicted as {said(predicted.value)} [{said(known[0])}, {said(known[1])}]"
    promise += f" at {predicted.confidence:.0%}"
    if horizon is not None and predicted.horizon not in (None, horizon):
        promise += f" (of episodes of at most {predicted.horizon:,} steps, where those run have at most {horizon:,})"
    outcome = f"the episodes show {said(seen.value)} [{said(seen.lower)}, {said(seen.upper)}] at {seen.confidence:.0%}"
    if (why := predicted.nothing_promised) is not None:
        return Comparison(
            predicted,
            seen,
            "no prediction",
            f"The offline estimate of {what} {why}, so there was no promise to keep; {outcome}. "
            "This says nothing about our calibration.",
        )
    if not (math.isfinite(seen.lower) or math.isfinite(seen.upper)):
        return Comparison(
            predicted,
            seen,
            "not measured",
            f"{promise}. The mean of the episodes is {said(seen.value)}, without an interval, so this says nothing "
            "about our calibration.",
        )
    if seen.lower > known[1] or seen.upper < known[0]:
        side = "too low" if seen.lower > known[1] else "too high"
        return Comparison(
            predicted,
            seen,
            "contradicted",
            f"{promise}, and {outcome}: the two have no value in common. With joint confidence of at least {joint:.0%} "
            f"the prediction was {side}, and its assumptions do not hold here: do not rely on other estimates from the "
            "same log and method.",
        )
    width = f"{outcome}. The two intervals have values in common"
    room = f"joint confidence {joint:.0%}; an error of the prediction smaller than these widths would not be noticed"
    if known[0] <= seen.value <= known[1]:
        return Comparison(
            predicted,
            seen,
            "inside",
            f"{promise}; {width}, and the value seen lies inside the predicted one: nothing speaks against our "
            f"calibration ({room}).",
        )
    return Comparison(
        predicted,
        seen,
        "outside",
        f"{promise}; {width}, but the value seen lies outside the predicted one: that can be chance, and does not "
        f"refute the prediction ({room}).",
    )


def _flat(given: Any) -> list[Any]:
    if isinstance(given, Mapping) and "estimates" in given:
        estimates = given["estimates"]
        if not isinstance(estimates, list):
            raise InputError("predicted: 'estimates' is no list. Expected what groundschool evaluate --json prints.")
        return [{"policy": given.get("policy"), **_mapping(one)} for one in estimates]
    if isinstance(given, Iterable) and not isinstance(given, str | Mapping):
        return [one for part in given for one in _flat(part)]
    return [given]


def _read(given: Any, of: str, policy: str) -> Predicted:
    facts = given.to_json() if isinstance(given, Estimate) else _mapping(given)
    if facts.get("policy") not in (None, policy):
        raise InputError(
            f"predicted: the estimate is of policy {facts['policy']!r}, and the rollouts are of {policy!r}. "
            "Predict the policy that runs."
        )
    missing = [name for name in ("value", "lower", "upper") if name not in facts]
    if missing:
        raise InputError(f"predicted: {missing[0]!r} is missing. Expected an estimate with value, lower and upper.")
    value = _number(facts, "value", math.nan)
    lower, upper = _number(facts, "lower", -math.inf), _number(facts, "upper", math.inf)
    if lower > upper:
        raise InputError(f"predicted: the interval [{lower:g}, {upper:g}] is empty. Expected lower <= upper.")
    confidence = _number(facts, "confidence", 0.95)
    if not 0.0 < confidence < 1.0:
        raise InputError(f"predicted: confidence is {confidence:g}, expected a number between 0 and 1, such as 0.95.")
    trusted = facts.get("trusted", True)
    method = str(facts.get("method") or "")
    discount, horizon = _number(facts, "discount", 1.0), facts.get("horizon")
    if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int)):
        raise InputError(f"predicted: horizon is {horizon!r}, expected a whole number of steps.")
    of = str(facts.get("of") or of)
    return Predicted(of, value, lower, upper, confidence, method, bool(trusted), discount, horizon)


def _mapping(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(
            f"predicted is {type(given).__name__} {str(given)[:40]!r}, expected an Estimate, or a mapping with value, "
            "lower and upper."
        )
    return dict(given)


def _number(facts: Mapping[str, Any], name: str, absent: float) -> float:
    value = facts.get(name)
    if value is None:
        return absent
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"predicted: {name} is {value!r}, expected a number.")
    return float(value)
