"""Signs that an observation is no state, or that the logger saw more than the log holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.data.checks._sample import LEAST_UNITS, Sample, codes
from groundschool.data.checks.history import HistoryGain, history_gain
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog
from groundschool.evaluation.diagnostics.trend import Trend, trend
from groundschool.evaluation.estimate import Diagnosis

LEAST_ROWS = 1_000
WIDEST = 100
_FEW_REWARDS = 10

_NEVER_PROOF = (
    "A log cannot show that its observations hold all that matters, or that nothing unlogged moved both the logger and "
    "the outcome."
)


def history_signs(log: Dataset, *, known: bool | None = None, seed: int = 0) -> Diagnosis:
    """Look whether the history predicts the next observation, or the action, beyond the observation.

    The first is a sign that the observation is no state: a model of it, and any estimator that reuses what was seen in
    an observation for all ways there, is then wrong by an amount that no interval shows. The second is a sign that the
    logger saw more than the log holds: its probabilities given the observation are then no use for weights, and what it
    saw may have moved the outcome too. See `groundschool.data.checks.history` for the tests.

    Parameters
    ----------
    log : Dataset
    known : bool, optional
        Whether the logger's probabilities are known rather than estimated; by default, whether they were logged.
    seed : int
        Of the sample of about 40,000 rows, in whole episodes, and of the folds.

    Returns
    -------
    Diagnosis
        ``history``. Its facts hold ``observation`` and ``action``, each with ``tested``, ``found`` and the figures, and
        ``time``: whether the reward, a cost or the end rises or falls over an episode where all else is the same.
        With known probabilities a history that predicts the action is a note: weights by them stay right.
    """
    known = log.propensities is not None if known is None else known
    needs = _needs(log)
    if needs:
        untested = {"tested": False, "found": False, "why": needs}
        note = f"Whether the history matters beyond the observation was not tested: {needs}. {_NEVER_PROOF}"
        return Diagnosis("history", {"observation": untested, "action": untested, "time": untested}, (), (note,))
    sample = Sample.of(View(RawLog.of(log), seed))
    step = sample.rows - log.starts[:-1][sample.episode]
    shared: dict[str, Any] = {"step": step, "follows": sample.has_previous, "unit": sample.unit, "seed": seed}
    seen = (log.observations[sample.rows], sample.actions, sample.episode)
    following = history_gain(*seen, next_observations=sample.next_observations, outcome=_outcome(log, sample), **shared)
    acting = history_gain(*seen, target="action", **shared)
    timed = _timed(log, sample, step)
    reasons, notes = [], []
    if timed is not None and timed.found:
        reasons.append(
            f"Time matters beyond the observation: where observation and action are the same, {timed.outcome} is "
            f"{'larger' if timed.score > 0 else 'smaller'} later in the episode (z = {timed.score:.1f}). Estimates "
            "that pool all times cannot be relied on; add the time to the observation."
        )
    if following is not None and following.found:
        reasons.append(
            f"The observation is no state: besides it and the action, {following.history} predicts "
            f"{following.predicted} ({_figures(following)}). Estimates that rest on a model of observations cannot be "
            "relied on; add to the observation what happened before."
        )
    if acting is not None and acting.found:
        sign = f"{acting.history} predicts the action ({_figures(acting)})"
        if known:
            notes.append(
                f"The logger looked at more than the observation: besides it, {sign}. Weights by its own probabilities "
                "stay right."
            )
        else:
            reasons.append(
                f"The logger looked at more than the log's observations: besides them, {sign}. Probabilities estimated "
                "from the observation are then not the logger's, and what it looked at may have moved the outcome too "
                "(confounding). Add to the observation what the logger saw, or log its probabilities."
            )
    return Diagnosis(
        "history",
        {"observation": _facts(following), "action": _facts(acting), "time": _trend_facts(timed)},
        tuple(reasons),
        (*notes, _verdict(following, acting)),
    )


def _verdict(following: HistoryGain | None, acting: HistoryGain | None) -> str:
    """Say what was tested without a finding, and that this proves nothing."""
    tested = {"the next observation": following, "the action": acting}
    silent = [name for name, gain in tested.items() if gain is not None and not gain.found]
    untested = [name for name, gain in tested.items() if gain is None]
    said = []
    if silent:
        said.append(f"No sign was found that the history predicts {' or '.join(silent)} beyond the observation.")
    if untested:
        said.append(f"For {' and '.join(untested)} this could not be tested: too few rows, or too few that repeat.")
    return " ".join([*said, _NEVER_PROOF])


def _figures(gain: HistoryGain) -> str:
    if gain.method == "table":
        return f"held-out log-likelihood rises from {gain.without:.4f} to {gain.with_history:.4f} nats a step"
    return (
        f"explained variance on other episodes rises from {max(gain.without, 0.0):.1%} to "
        f"{max(gain.with_history, 0.0):.1%}"
    )


def _facts(gain: HistoryGain | None) -> dict[str, Any]:
    if gain is None:
        return {"tested": False, "found": False, "why": "too few rows, or too few that repeat"}
    return {
        "tested": True,
        "found": gain.found,
        "method": gain.method,
        "gain": gain.gain,
        "threshold": gain.threshold,
        "without": gain.without,
        "with_history": gain.with_history,
        "p_value": None if math.isnan(gain.p_value) else gain.p_value,
        "history": gain.history,
        "predicted": gain.predicted,
        "rows": gain.n_rows,
        "units": gain.n_units,
    }


def _timed(log: Dataset, sample: Sample, step: NDArray[np.int64]) -> Trend | None:
    """Look for a trend in what the sampled rows led to, but for the horizon's last step, where all episodes end."""
    outcomes = {"the reward": log.rewards, "the chance to end": log.terminated}
    outcomes |= {f"the cost {name!r}": cost for name, cost in log.costs.items()}
    flat = log.observations[sample.rows].reshape(len(sample.rows), -1)
    alike = codes(np.column_stack([flat.astype(np.float64), sample.actions]))
    use = step < log.horizon - 1
    seen = {name: column[sample.rows][use].astype(np.float64) for name, column in outcomes.items()}
    return trend(alike[use], step[use], seen)


def _trend_facts(found: Trend | None) -> dict[str, Any]:
    if found is None:
        return {"tested": False, "found": False, "why": "too few rows that repeat, or too few with an event"}
    facts = {"outcome": found.outcome, "score": found.score, "p_value": found.p_value}
    return {"tested": True, "found": found.found, **facts}


def _needs(log: Dataset) -> str:
    if log.n_episodes < LEAST_UNITS or log.n_steps < LEAST_ROWS:
        return f"it needs {LEAST_UNITS} episodes and {LEAST_ROWS:,} rows"
    width = int(np.prod(log.observations.shape[1:]))
    return f"observations of {width:,} numbers are too wide for it" if width > WIDEST else ""


def _outcome(log: Dataset, sample: Sample) -> NDArray[np.int64]:
    """Return one code for the end, the costs that happened, and the reward where it takes few values; (n,)."""
    rewards = log.rewards[sample.rows]
    few = len(np.unique(rewards[:1_000])) <= _FEW_REWARDS and len(np.unique(rewards)) <= _FEW_REWARDS
    columns = [log.terminated[sample.rows].astype(np.float64), rewards if few else np.zeros(len(rewards))]
    columns += [(cost[sample.rows] > 0).astype(np.float64) for cost in log.costs.values()]
    return codes(np.column_stack(columns))
