"""Observations that are no state: what came before them predicts what comes after."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks._sample import LEAST_UNITS, Sample, codes
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.history import ALPHA, HistoryGain, history_gain
from groundschool.data.checks.saying import percent
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

LEAST_ROWS = 1_000

_WIDEST = 100
_FEW_REWARDS = 10


def not_markov(view: View) -> Iterator[Finding]:
    """History predicts the next observation beyond the observation and the action."""
    sample = Sample.of(view)
    raw = view.raw
    found = history_gain(
        raw.observations[sample.rows],
        sample.actions,
        sample.episode,
        next_observations=sample.next_observations,
        outcome=_outcome(sample),
        step=sample.rows - raw.starts[:-1][sample.episode],
        follows=sample.has_previous,
        unit=sample.unit,
        seed=view.seed,
    )
    if found is None or not found.material or not (found.found or np.isnan(found.judged_gain)):
        return
    names = raw.feature_names()
    where = raw.name("observations") if found.feature is None else names[found.feature]
    yield Finding(
        check="not-markov",
        severity="warning" if found.found else "note",
        where=where,
        what=_what(found, where),
        why="Learners and most estimators take the observation for the state: what depends on anything else, they get "
        "wrong, and no interval shows it.",
        do="Add what the next observation depends on: earlier values, the change since then, what was given so far, "
        "the time in the episode."
        if found.found
        else "Compare with an observation that holds earlier values too, or log more episodes.",
        rows=found.n_rows,
        episodes=found.n_units,
        measured={
            "gain": found.gain,
            "gain_threshold": found.threshold,
            "judged_gain": found.judged_gain,
            "p": found.p_value,
            "p_threshold": ALPHA,
            "without": found.without,
            "with_history": found.with_history,
        },
    )


def _what(found: HistoryGain, where: str) -> str:
    if found.method == "table":
        return (
            f"Besides the observation and the action, {found.history} predicts {found.predicted}: held-out "
            f"log-likelihood rises from {found.without:.4f} to {found.with_history:.4f} nats a step."
        )
    said = (
        f"Besides the observation and the action, {found.history} predicts the change of {where}: on other episodes "
        f"{percent(max(found.without, 0.0))} of its variance is explained without it and "
        f"{percent(found.with_history)} with it"
    )
    if found.found:
        return f"{said}."
    return f"{said}; too few episodes come near each other to tell a hidden state from a rough dependence."


def _outcome(sample: Sample) -> Array:
    """Return one code for the end and the reward of each row, the reward only where few values occur."""
    rewards = sample.raw.rewards[sample.rows]
    few = len(np.unique(rewards[:1_000])) <= _FEW_REWARDS and len(np.unique(rewards)) <= _FEW_REWARDS
    ended = sample.raw.terminated[sample.rows].astype(np.float64)
    return codes(np.column_stack([ended, rewards if few else np.zeros(len(sample))]))


def _needs(view: View) -> str:
    raw = view.raw
    if raw.n_episodes < LEAST_UNITS or raw.n_rows < LEAST_ROWS:
        return f"it needs {LEAST_UNITS} episodes and {LEAST_ROWS} rows"
    if view.flat.shape[1] > _WIDEST:
        return f"observations of more than {_WIDEST} numbers are not examined"
    return ""


CHECKS = (Check("not-markov", "history predicts what comes next", not_markov, ALPHA, _needs),)
