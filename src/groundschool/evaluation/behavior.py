"""The policy that wrote a log: its probabilities as logged, as given, or as far as the log shows them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation._behavior_model import counted, learned
from groundschool.evaluation._checks import checked_probabilities, policy_name, require_actions
from groundschool.evaluation.diagnostics.overlap import overlap
from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.pose import Behavior
from groundschool.evaluation.states import count_states
from groundschool.evaluation.units import units_of

FOLDS = 5
LEAST = 1e-30  # no action less probable than that was ever seen, and its weight would overflow


def resolve_behavior(log: Dataset, given: Any = None, *, seed: int = 0) -> Behavior:
    """Return what is known of the logger: a policy that is given, else logged propensities, else estimated ones.

    Parameters
    ----------
    log : Dataset
        Discrete actions.
    given : Policy, optional
        The policy that wrote the log.
    seed : int
        Of the folds, where propensities are estimated.

    Raises
    ------
    InputError
        If the policy cannot have written the log.
    """
    if given is not None:
        return given_behavior(log, given)
    return estimate_behavior(log, seed=seed) if log.propensities is None else logged_behavior(log)


def logged_behavior(log: Dataset) -> Behavior:
    """Return the logged propensities; raise `InputError` where there are none, or no logger can have had them."""
    _require_discrete(log)
    if log.propensities is None:
        raise InputError(
            "the log has no propensities, the logger's probability of each logged action. Name their column "
            "(propensity=), pass the logger as behavior=, or let them be estimated (behavior=None)."
        )
    propensities = np.asarray(log.propensities, dtype=np.float64)
    impossible = np.flatnonzero(propensities < LEAST)
    if len(impossible):
        row = int(impossible[0])
        raise InputError(
            f"propensities: below {LEAST:g} in {len(impossible):,} of {log.n_steps:,} rows (first at row {row}: "
            f"{propensities[row]:.3g}), but their actions were logged. Expected the logger's probability of the action "
            "it took: correct or exclude those episodes."
        )
    return Behavior(propensities, None, True)


def given_behavior(log: Dataset, policy: Any) -> Behavior:
    """Ask a policy for the probabilities with which it wrote the log.

    A policy that was trained on these episodes did not write them: it is a model of who did, and not known.

    Raises
    ------
    InputError
        If its actions or observations are others than the log's, its answers are no distributions, or it never takes
        an action that was logged.
    """
    require_actions(policy, log.n_actions, "the log")
    assert log.n_actions is not None
    table = checked_probabilities(policy, log.observations, log.action_masks, log.n_actions)
    propensities = table[np.arange(log.n_steps), log.actions]
    impossible = np.flatnonzero(propensities < LEAST)
    if len(impossible):
        row = int(impossible[0])
        raise InputError(
            f"behavior: policy '{policy_name(policy)}' never takes the action that was logged in {len(impossible):,} "
            f"of {log.n_steps:,} rows (first at row {row}: action {int(log.actions[row])} has probability "
            f"{propensities[row]:.3g}), so it did not write this log. Pass the policy that did, or leave behavior= out."
        )
    return Behavior(propensities, table, not overlap(log, policy).reasons)


def estimate_behavior(log: Dataset, *, folds: int = FOLDS, seed: int = 0) -> Behavior:
    """Estimate the logger's probabilities from the log itself.

    Where observations are counted, these are the shares of actions in the same observation and mask, shrunk to the
    shares over all of them, or over those near by. Elsewhere they are those of a behavior clone (see
    `groundschool.train`) of the episodes of other folds, tempered and mixed with the shares over all. How strongly is
    what makes the actions of held-out folds most likely. No allowed action has probability zero.

    Parameters
    ----------
    log : Dataset
        Discrete actions.
    folds : int
        At least 2; fewer where there are fewer units (groups, else episodes). A log of one unit is cloned from itself.
    seed : int
        Of the folds and of the clones.

    Raises
    ------
    InputError
        If the actions are continuous, or the observations hold blanks that nothing replaces.
    """
    _require_discrete(log)
    assert log.n_actions is not None
    if folds < 2:
        raise InputError(f"folds is {folds}, expected at least 2.")
    fold = np.repeat(fold_of_episode(units_of(log), folds, seed), log.lengths)
    states = count_states(log.observations, log.action_masks)
    if states is not None or log.n_actions == 1:
        code = np.zeros(log.n_steps, np.int64) if states is None else states[0]
        table = counted(log.observations, code, log.actions, log.action_masks, log.n_actions, fold)
    else:
        table = learned(log, fold, seed)
    return Behavior(_taken(table, log.actions), table, False)


def _taken(table: NDArray[np.float64], actions: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(table[np.arange(len(actions)), actions])


def _require_discrete(log: Dataset) -> None:
    if log.n_actions is None:
        raise InputError("the log has continuous actions, and only discrete actions can be evaluated so far.")
