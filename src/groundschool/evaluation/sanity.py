"""Whether a value learner's predictions are anything like what then happened."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation._checks import policy_name
from groundschool.evaluation.intervals import clustered_error, finite_or_none
from groundschool.evaluation.rollout import Rollout


class ValuePolicy(Protocol):
    """A policy that predicts action values."""

    def values(self, observations: ArrayLike) -> NDArray[np.float64]:
        """Return predicted discounted returns in reward units, shape (N, n_actions)."""
        ...


@dataclass(frozen=True)
class QSanity:
    """Predicted action values against realised discounted returns.

    A bias far above 0 is overestimation: of actions never tried, which is dangerous, or, under a conservative penalty,
    of the logged ones that it lifts. Either way the values rank actions and are not to be read as returns. Undefined
    numbers are NaN.

    Attributes
    ----------
    name : str
        Of the policy.
    discount : float
        Of the realised returns.
    episodes, steps : int
        Terminated episodes compared, and their steps.
    left_out : int
        Truncated episodes: what they would still have earned is unknown, so they are not compared. Where they are many,
        the rest speaks only for episodes that end.
    predicted_mean, realised_mean : float
        Over every visited (observation, action): mean Q(s, a) and mean discounted return from there on.
    bias : float
        ``predicted_mean - realised_mean``.
    bias_standard_error : float
        Over episodes; inf with one.
    rmse : float
        Root mean squared difference; holds the spread of the returns themselves too.
    correlation : float
        Pearson's, over the visited steps; NaN where one side is constant.
    initial_predicted, initial_realised : float
        The same means over the first steps only.
    """

    name: str
    discount: float
    episodes: int
    steps: int
    left_out: int
    predicted_mean: float
    realised_mean: float
    bias: float
    bias_standard_error: float
    rmse: float
    correlation: float
    initial_predicted: float
    initial_realised: float

    def summary(self) -> dict[str, Any]:
        """Return JSON-ready values: None, its key present, for what is infinite or undefined."""
        return {
            key: finite_or_none(value) if isinstance(value, float) else value for key, value in asdict(self).items()
        }


def q_sanity(policy: ValuePolicy, rollout: Rollout, discount: float | None = None) -> QSanity:
    """Compare a policy's action values with the returns of its own rollouts.

    Parameters
    ----------
    policy : policy with ``values(observations) -> (N, n_actions)``
        A value learner, in reward units.
    rollout : Rollout
        Episodes of this same policy: the values predict what this policy earns, not what another one does.
    discount : float, optional
        In (0, 1]; the one that the values were learned with. Left out, it is the policy's own.

    Returns
    -------
    QSanity
        With ``episodes=0`` and NaN throughout where every episode was truncated.

    Raises
    ------
    InputError
        If the policy has no action values, or no discount is known, or the values have the wrong shape.
    """
    name = policy_name(policy)
    if not callable(getattr(policy, "values", None)):
        raise InputError(f"policy '{name}' predicts no action values; q_sanity judges value learners such as cql.")
    gamma = _discount(policy, name, discount)
    log = rollout.dataset
    last = log.starts[1:] - 1
    terminated = log.terminated[last]
    left_out = int(log.n_episodes - terminated.sum())
    rows = np.flatnonzero(terminated[log.episode_index])
    if not len(rows):
        return QSanity(name, gamma, 0, 0, left_out, *[math.nan] * 8)
    values = np.asarray(policy.values(log.observations[rows]), dtype=np.float64)
    if values.ndim != 2 or len(values) != len(rows) or values.shape[1] != log.n_actions:
        raise InputError(
            f"policy '{name}': values have shape {values.shape}, expected ({len(rows)}, {log.n_actions}), "
            "a row for each observation and a column for each action."
        )
    predicted = values[np.arange(len(rows)), log.actions[rows]]
    if not np.isfinite(predicted).all():
        raise InputError(
            f"policy '{name}': {int((~np.isfinite(predicted)).sum())} predicted action values are not finite."
        )
    realised = returns_to_go(log, gamma)[rows]
    first = np.isin(rows, log.starts[:-1])
    varied = len(rows) > 1 and np.ptp(predicted) > 0 and np.ptp(realised) > 0
    return QSanity(
        name=name,
        discount=gamma,
        episodes=int(terminated.sum()),
        steps=len(rows),
        left_out=left_out,
        predicted_mean=float(predicted.mean()),
        realised_mean=float(realised.mean()),
        bias=float((predicted - realised).mean()),
        bias_standard_error=clustered_error(predicted - realised, log.episode_index[rows]),
        rmse=float(np.sqrt(np.square(predicted - realised).mean())),
        correlation=float(np.corrcoef(predicted, realised)[0, 1]) if varied else math.nan,
        initial_predicted=float(predicted[first].mean()),
        initial_realised=float(realised[first].mean()),
    )


def returns_to_go(log: Dataset, discount: float) -> NDArray[np.float64]:
    """Return the discounted sum of the rewards from each row to the end of its episode.

    Parameters
    ----------
    log : Dataset
        Any log; the rows of a truncated episode get what was seen, without what would have followed.
    discount : float
        In [0, 1].

    Returns
    -------
    ndarray of float64
        Shape (N,).
    """
    result = np.array(log.rewards, dtype=np.float64)
    starts, last = log.starts[:-1], log.starts[1:] - 1
    order = np.argsort(starts - last, kind="stable")  # longest first, so that the k-th pass is a prefix
    last, spare = last[order], (last - starts)[order]
    for back in range(1, int(spare.max(initial=0)) + 1):
        rows = last[: np.searchsorted(-spare, -back, side="right")] - back
        result[rows] += discount * result[rows + 1]
    return result


def _discount(policy: Any, name: str, discount: float | None) -> float:
    if discount is None:
        record = getattr(policy, "training", None)
        discount = None if record is None else record.config.get("discount")
        if discount is None:
            raise InputError(
                f"policy '{name}' does not say what discount its values were learned with. Give discount=."
            )
    if not 0.0 < discount <= 1.0:
        raise InputError(f"discount is {discount!r}, expected a number in (0, 1].")
    return float(discount)
