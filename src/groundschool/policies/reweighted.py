"""Another policy's decisions, with some of them made less likely where that was found to pay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.policies.counted import CountedPolicy
from groundschool.policies.intake import Intake, observed
from groundschool.policies.places import Places
from groundschool.policies.policy import DiscretePolicy, FloatArray, Policy, apply_masks
from groundschool.policies.record import TrainingRecord

_NOTHING = 1e-12
_SAME = 1e-6  # propensities are often logged in single precision


class ReweightedPolicy(DiscretePolicy):
    """What a logger does, each action's probability multiplied where the place is listed; elsewhere the logger itself.

    In place s it takes action a with probability ``b(a|s) kept(s, a) + freed(s) given(s, a)``, where ``freed(s)`` is
    what the multipliers leave over, and ``given(s, .)`` who gets it: in proportion to what is kept, unless said.

    Parameters
    ----------
    name : str
    policy : Policy
        The logger, b.
    places : Places
    kept : (U, A) float64
        In [0, 1].
    given : (U, A) float64, optional
        Distributions; a row of zeros renormalizes what is kept.
    training : TrainingRecord, optional
    intake : Intake, optional
    usual_weight : float, optional
        What the weight of a logged episode seldom passes, as seen in training; where to begin betting on other ones.
    """

    def __init__(
        self,
        name: str,
        policy: Policy,
        places: Places,
        kept: FloatArray,
        given: FloatArray | None = None,
        training: TrainingRecord | None = None,
        intake: Intake | None = None,
        usual_weight: float | None = None,
    ) -> None:
        self.name, self.policy, self.n_actions = name, policy, int(policy.n_actions)
        self.places, self.kept, self.given = places, kept, given
        self.training, self.intake, self.usual_weight = training, intake, usual_weight

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return action probabilities, shape (N, n_actions).

        Where nothing would be left, or a mask forbids all that is kept, the logger's own.
        """
        base = np.asarray(self.policy.probabilities(observations, masks=masks), dtype=np.float64)
        if not len(self.kept):
            return base
        place, seen = self.places.locate(observations, masks)
        return apply_masks(reweighted(base, *self._rows(place, seen)), masks)

    def _rows(self, place: NDArray[np.int64], seen: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray | None]:
        kept = np.where(seen[:, None], self.kept[place], 1.0)
        return kept, None if self.given is None else np.where(seen[:, None], self.given[place], 0.0)

    def coarse_ratios(
        self,
        observations: ArrayLike,
        actions: ArrayLike,
        propensities: ArrayLike,
        *,
        masks: ArrayLike | None = None,
        now: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return ratios to the logger of mean 1 whose largest value is known, where single ones are not.

        Actions whose probability under the logger is only guessed are taken as one: together they have what the known
        ones leave over, so that the ratio for "any of them" is exact. It is what the ratio of a single one is on
        average.

        Parameters
        ----------
        observations, actions, propensities, masks
            Rows of a log of the same logger.
        now : (N, n_actions) float64, optional
            What is done instead of this policy, by one that is made of it.

        Returns
        -------
        ((N,) float64, (N,) float64) or None
            Of the action of each row, and the largest of any action there. None where the logger is not read off a log,
            the propensities are not those that it was read from, or something is done that it never does.
        """
        if not isinstance(self.policy, CountedPolicy) or not len(self.policy.table):
            return None
        place, seen = self.policy.places.locate(observations, masks)
        exact = self.policy.exact[place] & seen[:, None]
        base = np.asarray(self.policy.probabilities(observations, masks=masks), np.float64)
        if now is None:
            now = self.probabilities(observations, masks=masks)
        exact &= base > 0.0
        rows, taken = np.arange(len(base)), np.asarray(actions)
        apart = np.abs(base[rows, taken] - np.asarray(propensities, np.float64))
        if (apart[exact[rows, taken]] > _SAME).any():
            return None
        ratios = np.divide(now, base, out=np.zeros(base.shape), where=exact)
        rest, left = (1.0 - np.where(exact, table, 0.0).sum(axis=1) for table in (base, now))
        if (left[rest <= _SAME] > _SAME).any():
            return None
        others = np.divide(np.maximum(left, 0.0), rest, out=np.ones(len(rest)), where=rest > _SAME)
        ratios = np.where(exact, ratios, others[:, None])
        return ratios[rows, taken], ratios.max(axis=1)

    def changes(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> NDArray[np.bool_]:
        """Return where it differs from the logger at all, (N,)."""
        place, seen = self.places.locate(observations, masks)
        return np.asarray(seen & (self.kept[place] < 1.0).any(axis=1)) if len(self.kept) else seen

    def observe(self, reading: Mapping[str, float | None], previous: NDArray[Any] | None = None) -> NDArray[Any]:
        """Turn one raw reading into an observation, as those of the training log were made."""
        return observed(self.intake, self.name, reading, previous)

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the tensors and facts from which ``groundschool.load`` rebuilds this policy and its logger."""
        if not isinstance(self.policy, DiscretePolicy):
            return super().describe()
        tensors, facts = self.policy.describe()
        found = {f"logger.{name}": tensor for name, tensor in tensors.items()}
        found |= {"places": self.places.rows, "kept": self.kept}
        if self.given is not None:
            found["given"] = self.given
        return found, {
            "kind": "reweighted",
            "name": self.name,
            "n_actions": self.n_actions,
            "masked": self.places.masked,
            "usual_weight": self.usual_weight,
            "logger": facts,
            "training": None if self.training is None else self.training.to_json(),
            "intake": None if self.intake is None else self.intake.to_json(),
        }


def reweighted(base: FloatArray, kept: FloatArray, given: FloatArray | None = None) -> FloatArray:
    """Return ``base * kept`` with what that leaves over given to actions, (N, A); see `ReweightedPolicy`."""
    left = base * kept
    total = left.sum(axis=1, keepdims=True)
    whole = np.where(total > _NOTHING, left / np.maximum(total, _NOTHING), base)
    if given is None:
        return np.asarray(whole)
    # Where nothing differs, the logger's own numbers and not their sum to 1 by rounding.
    gets = given.sum(axis=1, keepdims=True) > 0.0
    return np.where(gets, left + (1.0 - total) * given, whole)


def removed(base: FloatArray, danger: FloatArray, largest_ratio: float) -> FloatArray:
    """Return what is kept of each action, (S, A) in [0, 1], the most dangerous going first.

    Parameters
    ----------
    base : (S, A) float64
        The logger's probabilities.
    danger : (S, A) float64
        0 where an action stays.
    largest_ratio : float
        So much of all probability may go that what is kept becomes at most so many times as likely.
    """
    order = np.argsort(-danger, axis=1, kind="stable")
    going = np.take_along_axis(np.where(danger > 0.0, base, 0.0), order, axis=1)
    room = 1.0 - 1.0 / largest_ratio - (np.cumsum(going, axis=1) - going)
    part = np.divide(np.clip(room, 0.0, going), going, out=np.zeros(going.shape), where=going > 0.0)
    gone = np.empty(part.shape)
    np.put_along_axis(gone, order, part, axis=1)
    return np.asarray(1.0 - gone)
