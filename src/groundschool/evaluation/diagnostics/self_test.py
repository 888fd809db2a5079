"""The self-test: evaluating the logger must reproduce what the logger was seen to do."""

from __future__ import annotations

import math

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.diagnostics._cause import cause
from groundschool.evaluation.diagnostics._certainty import CERTAIN, Certainty, certainty
from groundschool.evaluation.diagnostics._claims import BoolArray, FloatArray
from groundschool.evaluation.diagnostics._part import Part, Test
from groundschool.evaluation.estimate import Diagnosis
from groundschool.evaluation.intervals import clustered_error
from groundschool.evaluation.pose import Behavior
from groundschool.evaluation.question import Question
from groundschool.evaluation.units import units_of

_Z_ESTIMATED, _SPREAD_ESTIMATED = 3.0, 0.5


def self_test(log: Dataset, question: Question, behavior: Behavior, *, seed: int = 0) -> Diagnosis:
    """Evaluate the logger by its own propensities, and look whether they contradict its actions, or what it got.

    Block after block of the log's units is bet on: the blocks before it say how much more often than claimed each
    action was taken in each state (by counts, or by regression), and how much more of the signal followed it. Bets on
    gaps whose mean is zero where the propensities are true win more than a factor of 1,000 in one true log of 1,000 at
    most, at any size of the log (see ``_claims`` and ``_wager``). Propensities of 1 where observations do not repeat
    claim that the logger followed a fixed rule: whether it did is looked up in near observations (``_certainty``).

    Parameters
    ----------
    log : Dataset
        Discrete actions.
    question : Question
    behavior : Behavior
        Where propensities were estimated, only the return or cost is held against the observed one: it must not be off
        by three standard errors and by half the spread of single episodes.
    seed : int
        Of the sample (of about 40,000 rows in whole units, 8,000 where observations do not repeat) and of the blocks.

    Returns
    -------
    Diagnosis
        ``self_test``. Facts: ``verdict`` ("passed", "failed" or "not applicable"), ``observed`` and ``reproduced``
        (means of an episode's undiscounted sum), ``standard_error`` and ``z`` of their difference, ``evidence``
        (logarithm to base 10 of the larger winning) and its ``p_value``, ``imbalance`` (how far off the claimed
        probabilities are), ``cause``.
    """
    signal, kept = _signal(log, question)
    observed = float(signal.sum()) / log.n_episodes
    part = Part.of(log, behavior, signal, kept, seed)
    if part is None:
        facts = {"verdict": "not applicable", "observed": observed, "reproduced": None, "p_value": None, "cause": None}
        note = "The self-test was not run: it needs at least two independent episodes with something to choose."
        return Diagnosis("self_test", facts, (), (note,))
    found = Test.of(part)
    doubtful = None
    if behavior.known and behavior.table is None and part.points is not None:
        doubtful = _doubtful(part, seed)
    reproduced = observed - found.difference
    unbalanced = behavior.known and found.unbalanced
    missed = found.missed and part.exact
    if not behavior.known:  # a smoothed model is never quite the logger, and doubly robust estimates forgive that
        sums = np.add.reduceat(signal, log.starts[:-1])
        error = math.hypot(found.standard_error, clustered_error(sums, units_of(log)))
        missed = abs(found.difference) > max(_Z_ESTIMATED * error, _SPREAD_ESTIMATED * float(sums.std()))
    failed = unbalanced or missed or doubtful is not None
    likely = cause(part, uncertain=doubtful is not None) if failed and behavior.known else None
    evidence = max(found.balance, found.reproduction if part.exact else 0.0) if behavior.known else 0.0
    p_value = min(1.0, 2.0 * math.exp(-max(evidence, 0.0)))
    if doubtful is not None:
        p_value = min(p_value, 0.5 * math.erfc(doubtful.z / math.sqrt(2.0)))
    facts = {
        "verdict": "failed" if failed else "passed",
        "observed": observed,
        "reproduced": reproduced,
        "standard_error": found.standard_error,
        "z": found.z,
        "evidence": evidence / math.log(10.0),
        "p_value": p_value if behavior.known else None,
        "imbalance": found.imbalance,
        "cause": None if likely is None else likely[0],
        "rows": len(part.rows.actions),
        "by": "counts" if part.rows.code is not None else "regression",
    }
    reasons = []
    if unbalanced:
        reasons.append(
            "The log contradicts its own propensities: in the same situations actions were taken more, or less, often "
            f"than they say, by {found.imbalance:.2f} in probability (root mean square; the odds against true "
            f"propensities are 10^{_power(found.balance)} to 1)."
        )
    if doubtful is not None:
        reasons.append(
            f"The log contradicts its own propensities: they call actions certain, but {doubtful.left:.0%} of the "
            "actions differ from those taken at practically the same observation, and no fixed rule does that."
        )
    if missed:
        by = "its own propensities" if behavior.known else "the estimated propensities"
        reasons.append(
            f"Evaluating the logger by {by} does not reproduce what it was seen to do: {question.words} "
            f"{reproduced:.4g}, observed {observed:.4g} (z = {found.z:.1f})."
        )
    if likely is not None:
        reasons[-1] += f" {likely[1]}"
    return Diagnosis("self_test", facts, tuple(reasons), _notes(log, behavior))


def _notes(log: Dataset, behavior: Behavior) -> tuple[str, ...]:
    if not behavior.known:
        return (
            "The propensities were estimated from the log itself, so it cannot contradict them: the self-test only "
            "compares what a logger with these probabilities would get with what was observed. The smallest estimated "
            f"probability of a logged action is {behavior.propensities.min():.2g}.",
        )
    if log.propensities is None or behavior.table is None:
        return ()
    apart = np.abs(log.propensities - behavior.propensities)
    rows = int((apart > 1e-3).sum())
    if not rows:
        return ()
    return (
        f"The policy given as behavior= and the logged propensities differ in {rows:,} of {log.n_steps:,} rows, by up "
        f"to {apart.max():.2g}; the policy was used.",
    )


def _signal(log: Dataset, question: Question) -> tuple[FloatArray, BoolArray]:
    """Return the signal (N,) and the rows that count: those up to the first event, where that is what is asked."""
    if question.cost is None:
        return log.rewards, np.ones(log.n_steps, np.bool_)
    cost = log.costs[question.cost]
    if question.kind == "cost":
        return cost, np.ones(log.n_steps, np.bool_)
    event = cost > 0
    before = np.cumsum(event).astype(np.int64) - event
    kept: BoolArray = before == before[log.starts[:-1]][log.episode_index]
    return (event & kept).astype(np.float64), kept


def _doubtful(part: Part, seed: int) -> Certainty | None:
    """Return what speaks against actions that are called certain, if anything does."""
    assert part.points is not None
    certain = (part.rows.propensities >= CERTAIN) & np.isfinite(part.points).all(axis=1)
    found = certainty(part.points[certain], part.rows.actions[certain], part.units[certain], part.rows.n_actions, seed)
    return found if found is not None and found.refuted else None


def _power(evidence: float) -> int:
    return math.floor(evidence / math.log(10.0))
