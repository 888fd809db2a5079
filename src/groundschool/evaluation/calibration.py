"""Whether the probabilities of a behavior model may be taken at their word."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.errors import whole_number
from groundschool.evaluation._checks import checked_probabilities, policy_name, require_actions
from groundschool.evaluation.diagnostics.overlap import overlap
from groundschool.evaluation.intervals import clustered_error, finite_or_none
from groundschool.policies.policy import Policy


class ReliabilityBin(NamedTuple):
    """Pairs of a row and an action whose predicted probability lies in one bin."""

    predicted: float
    observed: float
    n: int


class ActionShare(NamedTuple):
    """One action over the whole log: its mean predicted probability, and the share of rows that took it."""

    action: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    """How well a policy's probabilities predict the logged actions.

    Attributes
    ----------
    name : str
        Of the policy.
    n : int
        Rows.
    log_loss : float
        Mean of -log p(logged action), in nats; inf where a logged action had probability 0.
    log_loss_standard_error : float
        Over episodes; inf where it cannot be known.
    logger_log_loss : float or None
        The same of the logger's own propensities: what no model beats except by luck. None without propensities.
    expected_calibration_error : float
        Mean over (row, action) pairs of ``|predicted - observed|`` by bin (Naeini et al. 2015), in [0, 1].
    table : tuple of ReliabilityBin
        Bins of equal width over [0, 1] that hold any pair, in rising order.
    actions : tuple of ActionShare
        Calibration in the large, by action.
    impossible : int
        Rows whose logged action had probability 0.
    in_sample : bool
        Whether the policy was trained on any of these episodes: then nothing here is evidence.
    """

    name: str
    n: int
    log_loss: float
    log_loss_standard_error: float
    logger_log_loss: float | None
    expected_calibration_error: float
    table: tuple[ReliabilityBin, ...]
    actions: tuple[ActionShare, ...]
    impossible: int
    in_sample: bool

    def summary(self) -> dict[str, Any]:
        """Return JSON-ready values: None, its key present, for an infinite loss or error."""
        return {
            "name": self.name,
            "n": self.n,
            "log_loss": finite_or_none(self.log_loss),
            "log_loss_standard_error": finite_or_none(self.log_loss_standard_error),
            "logger_log_loss": self.logger_log_loss,
            "expected_calibration_error": self.expected_calibration_error,
            "table": [row._asdict() for row in self.table],
            "actions": [row._asdict() for row in self.actions],
            "impossible": self.impossible,
            "in_sample": self.in_sample,
        }


def calibration(policy: Policy, log: Dataset, bins: int = 10) -> Calibration:
    """Measure a behavior model on held-out episodes.

    A low log-loss and a flat reliability table are needed but not enough: sampled behavior can still differ where it
    matters, so judge a clone by its rollouts or exact value too.

    Parameters
    ----------
    policy : Policy
        The model, its probabilities taken as they are.
    log : Dataset
        Episodes that it was not trained on. Actions that a mask forbids are no pairs of the table.
    bins : int
        Bins of equal width, at least 1.

    Returns
    -------
    Calibration
        With ``in_sample=True`` where the policy's training record holds an episode of this log.

    Raises
    ------
    InputError
        For continuous actions, another number of actions, observations the policy cannot read, bins below 1.
    """
    bins = whole_number(bins, "bins", 1)
    require_actions(policy, log.n_actions, "the log")
    assert log.n_actions is not None
    p = checked_probabilities(policy, log.observations, log.action_masks, log.n_actions)
    taken = np.zeros(p.shape, dtype=np.bool_)
    taken[np.arange(log.n_steps), log.actions] = True
    with np.errstate(divide="ignore"):
        losses = -np.log(p[taken])
    impossible = int(np.isinf(losses).sum())
    table, error = _reliability(p, taken, log.action_masks, bins)
    return Calibration(
        name=policy_name(policy),
        n=log.n_steps,
        log_loss=float(losses.mean()),
        log_loss_standard_error=math.inf if impossible else clustered_error(losses, log.episode_index),
        logger_log_loss=None if log.propensities is None else float(-np.log(log.propensities).mean()),
        expected_calibration_error=error,
        table=table,
        actions=tuple(
            ActionShare(action, float(predicted), float(observed))
            for action, (predicted, observed) in enumerate(zip(p.mean(axis=0), taken.mean(axis=0), strict=True))
        ),
        impossible=impossible,
        in_sample=bool(overlap(log, policy).reasons),
    )


def _reliability(
    p: NDArray[np.float64], taken: NDArray[np.bool_], masks: NDArray[np.bool_] | None, bins: int
) -> tuple[tuple[ReliabilityBin, ...], float]:
    predicted, happened = (p.ravel(), taken.ravel()) if masks is None else (p[masks], taken[masks])
    index = np.minimum((predicted * bins).astype(np.int64), bins - 1)
    n = np.bincount(index, minlength=bins)
    used = n > 0
    mean = np.bincount(index, weights=predicted, minlength=bins)[used] / n[used]
    rate = np.bincount(index, weights=happened, minlength=bins)[used] / n[used]
    table = tuple(ReliabilityBin(float(m), float(r), int(k)) for m, r, k in zip(mean, rate, n[used], strict=True))
    return table, float((np.abs(mean - rate) * n[used]).sum() / n.sum())
