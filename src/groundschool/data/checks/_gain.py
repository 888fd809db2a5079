"""What the history adds to a prediction: the result, and the rows it is worked out on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from groundschool.data.validation import Array

Target = Literal["observation", "action"]

ALPHA = 0.001
MATERIAL_NATS, MATERIAL_LOSS, MATERIAL_SHARE = 0.001, 0.015, 0.02
FOLDS = 5
LEAST_ROWS, LEAST_UNITS = 500, 20


@dataclass(frozen=True)
class HistoryGain:
    """How much better the target is predicted with history, on episodes that the prediction has not seen.

    Attributes
    ----------
    target : "observation" or "action"
    method : "table" or "regression"
    gain : float
        Nats a step (table), or the share of the target's variance (regression).
    threshold : float
        The gain that matters: for tables a small share of what the base leaves to be known.
    without, with_history : float
        Mean log-likelihood a step (table), or the share of variance explained (regression).
    judged_gain : float
        The gain that is left, for regression, where a row of another episode was as near as the row before and what it
        did is taken into account. The same as `gain` for tables. NaN where there are no such rows: a function too rough
        for the regression would then look the same as a hidden state.
    p_value : float
        Of the judged gain, one-sided, corrected for the number of targets tried.
    history : str
        What helped most.
    predicted : str
        What is predicted better: "the next observation", "the outcome of the step" or "the action".
    feature : int or None
        The column of the observations that gained most, for regression.
    n_rows, n_units : int
    """

    target: Target
    method: Literal["table", "regression"]
    gain: float
    threshold: float
    without: float
    with_history: float
    judged_gain: float
    p_value: float
    history: str
    predicted: str
    feature: int | None
    n_rows: int
    n_units: int

    @property
    def material(self) -> bool:
        """Whether history helps by an amount that matters, whatever the reason."""
        return self.gain >= self.threshold

    @property
    def found(self) -> bool:
        """Whether that is beyond chance, and beyond what a rough function of the observation would do."""
        return self.material and self.judged_gain >= self.threshold and self.p_value <= ALPHA


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in order, those of an episode one after the other.

    Attributes
    ----------
    seen, then : (n, d) float64
        The observation, and the one after; NaN where unknown.
    actions : (n,) int64 or (n, k) float
    outcome, step, unit : (n,) int64
    target : "observation" or "action"
    """

    seen: Array
    then: Array
    actions: Array
    outcome: Array
    step: Array
    unit: Array
    target: Target
