"""Policies that can be certified: the logger's own decisions, changed only where that pays and can be shown.

`Pruned` makes actions of estimated danger less likely, and renormalizes. `Spibb` hands the probability of actions
that were logged often enough to the best of them, and leaves the logger alone elsewhere (Laroche et al. 2019,
arXiv:1712.06924). Neither asks for a model that is right: what they became is judged on other episodes, by weights that
stay near 1 because the policy stays near the logger.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.advantages import Advantages, advantages
from groundschool.evaluation.question import Question
from groundschool.policies.avoiding import AvoidingPolicy
from groundschool.policies.intake import Intake
from groundschool.policies.places import Places
from groundschool.policies.policy import FloatArray
from groundschool.policies.reweighted import ReweightedPolicy, removed, reweighted
from groundschool.safety.measured import MeasuredStudy
from groundschool.safety.study import DANGER, Study, is_measured

__all__ = ["DANGER", "Pruned", "Spibb", "removed"]


@dataclasses.dataclass(frozen=True)
class Pruned:
    """Make the logger without the actions that a model of the log finds dangerous, or poor: a candidate for `select`.

    Where observations can be counted the model is counted. Measured ones, nearly all different, get networks: some near
    the logger's probabilities, and for each question an ensemble of fitted Q evaluation that says what an action adds.

    An action is deleted where it adds at least a threshold to the probability of an event (to a cost; or takes it from
    the return), against what the logger would do in the same state. As few as one log row, or none where actions move
    alike everywhere, may speak for a deletion: a deletion moves little probability, and what it is worth is shown on
    other episodes.

    Attributes
    ----------
    thresholds : mapping of str to float, optional
        By question ("probability:NAME", "cost:NAME" or "return"): the least loss for which an action goes. By default
        0.3 for the probability of each cost; of a log without costs, a third of the standard deviation of its returns.
    least_count : int
        Rows of a pair that a deletion needs; 0 lets forecasts from elsewhere delete too. Counted observations only.
    largest_ratio : float
        Above 1: no action becomes more than so many times as likely as under the logger. Where deleting would do that,
        the least dangerous of the deleted actions stay in part.
    behavior : Policy, optional
        The logger, where it is at hand: what the policy is made of, and then exact everywhere. Otherwise it is read off
        the logged propensities, and guessed from near by where nothing was logged.
    name : str

    Raises
    ------
    InputError
        If the log has continuous actions, or rows are to be counted where they cannot be.
    """

    thresholds: Mapping[str, float] | None = None
    least_count: int = 0
    largest_ratio: float = 4.0
    behavior: Any = None
    name: str = "pruned"

    def __post_init__(self) -> None:
        _check(self.thresholds, self.least_count, self.largest_ratio)

    def __call__(self, log: Dataset, seed: int = 0) -> ReweightedPolicy | AvoidingPolicy:
        """Make the policy from a log; the seed matters only for networks and where propensities must be estimated."""
        if is_measured(log):
            self.require_measurable(log)
            return self.measured(MeasuredStudy(log, self.behavior, seed))
        study = _Study(log, self.behavior, seed, self.thresholds)
        danger = np.zeros(study.base.shape)  # in units of its threshold
        for of, threshold in study.thresholds.items():
            danger = np.maximum(danger, study.losses(of) / threshold)
        pruned = (danger >= 1.0) & (study.counts >= self.least_count)
        kept = removed(study.base, np.where(pruned, danger, 0.0), self.largest_ratio)
        return study.policy(self, kept, None)

    def measured(self, study: MeasuredStudy) -> AvoidingPolicy:
        """Make the policy from networks that others may share."""
        self.require_measurable(study.log)
        return study.policy(self, self.thresholds or study.usual_thresholds())

    def require_measurable(self, log: Dataset) -> None:
        """Raise `InputError` where this cannot be had of measured observations: before networks are trained."""
        for of in self.thresholds or ():
            Question.parse(of, log)
        if self.least_count:
            raise InputError(
                f"least_count is {self.least_count}, and observations that are measured, nearly all different, have no "
                "counts. Leave it 0, or bin them first."
            )


@dataclasses.dataclass(frozen=True)
class Spibb:
    """Improve on the logger only among actions that were logged often enough in the same state.

    Pairs logged fewer than `least_count` times keep the logger's probability. Of the others, those that a counted model
    takes to be worse than the best of them by a threshold hand their probability to that one. The model takes the
    logger to go on afterwards: one step of policy improvement.

    Attributes
    ----------
    least_count : int
        N of the paper, at least 1.
    threshold : float, optional
        How much worse than the best an action must be to lose its probability, in units of `of`. By default a third
        of the standard deviation of the log's returns, or 0.3 of a probability. 0 is the paper's rule, which changes so
        many decisions of a long episode that hardly anything can be shown about it.
    of : str
        What is improved: "return", or a cost or probability, which is made less.
    largest_ratio : float
        Above 1: the best action becomes at most so many times as likely as under the logger.
    behavior : Policy, optional
        As for `Pruned`.
    name : str

    Raises
    ------
    InputError
        If the log has continuous actions, or its observations cannot be counted.
    """

    least_count: int = 3
    threshold: float | None = None
    of: str = "return"
    largest_ratio: float = 4.0
    behavior: Any = None
    name: str = "spibb"

    def __post_init__(self) -> None:
        _check(None, self.least_count, self.largest_ratio)
        if self.least_count < 1:
            raise InputError(f"least_count is {self.least_count}, expected at least 1 row of a pair that is changed.")
        if self.threshold is not None and not _number(self.threshold, 0.0):
            raise InputError(
                f"threshold is {self.threshold!r}, expected a number of at least 0, in units of the return."
            )

    def __call__(self, log: Dataset, seed: int = 0) -> ReweightedPolicy:
        """Make the policy from a log; the seed matters only where propensities must be estimated."""
        if is_measured(log):
            raise InputError(
                "the log's observations are measured numbers, nearly all different, and Spibb counts how often each "
                "pair was logged. Bin them first, or make Pruned({'return': THRESHOLD}), which needs no counts."
            )
        study = _Study(log, self.behavior, seed, {self.of: 1.0})
        least = self.threshold
        if least is None:
            least = DANGER if self.of.startswith("probability") else study.spread / 3.0
        often = (study.counts >= self.least_count) & (study.base > 0.0)
        values = np.where(often, -study.losses(self.of), -np.inf)
        best, at = values.argmax(axis=1), np.arange(len(values))
        worse = often & (values < values[at, best][:, None]) & (values <= values[at, best][:, None] - least)
        freed = np.where(worse, study.base, 0.0)
        most = (self.largest_ratio - 1.0) * study.base[at, best]
        share = np.minimum(1.0, most / np.maximum(freed.sum(axis=1), 1e-300))
        kept = 1.0 - worse * share[:, None]
        given = np.zeros(kept.shape)
        given[at, best] = worse.any(axis=1)
        return study.policy(self, kept, given)


class _Study(Study):
    """What a log says about its logger, by state."""

    def __init__(self, log: Dataset, behavior: Any, seed: int, thresholds: Mapping[str, float] | None) -> None:
        super().__init__(log, behavior, seed)
        self.thresholds = dict(thresholds) if thresholds is not None else self.usual_thresholds()
        self._found: dict[str, Advantages] = {}
        one = self._about(next(iter(self.thresholds)))
        self.rows, self.base, self.counts = one.rows, one.target, one.counts

    def _about(self, of: str) -> Advantages:
        if of not in self._found:
            question = Question.parse(of, self.log)
            self._found[of] = advantages(self.log, self.logger, question, self.behavior)
        return self._found[of]

    def losses(self, of: str) -> FloatArray:
        """Return how much worse than the logger each action is, (S, A), in the states of `rows`."""
        found = self._about(of)
        worse = -found.advantages if Question.parse(of, self.log).higher_is_better else found.advantages
        if np.array_equal(found.rows, self.rows):
            return worse
        # A question that ends episodes early may leave states out: nothing is known of them.
        every = np.zeros(self.base.shape)
        every[np.searchsorted(self.rows, found.rows)] = worse
        return every

    def policy(self, maker: Any, kept: FloatArray, given: FloatArray | None) -> ReweightedPolicy:
        """Return the policy, with the places alone where anything changes."""
        log = self.log
        changed = (kept < 1.0).any(axis=1)
        rows = self.rows[changed]
        masks = None if log.action_masks is None else log.action_masks[rows]
        places, order = Places.of(log.observations[rows], masks)
        kept, base = kept[changed][order], self.base[changed][order]
        given = None if given is None else given[changed][order]
        now = reweighted(base, kept, given)
        ratio = float(np.divide(now, base, out=np.zeros(now.shape), where=base > 0.0).max(initial=1.0))
        weight = max(found.forecast_rows for found in self._found.values())
        notes = [
            f"{len(kept):,} of {len(self.rows):,} states are changed; no action becomes more than {ratio:.3g} times as "
            "likely as under the logger, as far as the logger's probabilities are known.",
        ]
        if weight:
            notes.append(
                "Actions change the observation alike in all states, so that what was logged elsewhere forecasts where "
                f"an action leads, with the weight of {weight:g} rows."
            )
        config = {"thresholds": self.thresholds} if isinstance(maker, Pruned) else {}
        record = self.record(maker, config, notes)
        made = ReweightedPolicy(maker.name, self.logger, places, kept, given, record, Intake.of(log))
        made.usual_weight = self.usual_weight(made)
        return made


def _check(thresholds: Mapping[str, float] | None, least_count: Any, largest_ratio: Any) -> None:
    if thresholds is not None:
        if not isinstance(thresholds, Mapping) or not thresholds:
            raise InputError(f"thresholds is {thresholds!r}, expected a mapping such as {{'probability:harm': 0.3}}.")
        for of, threshold in thresholds.items():
            if not _number(threshold, 0.0) or threshold == 0.0:
                raise InputError(f"thresholds[{of!r}] is {threshold!r}, expected a number above 0.")
    if isinstance(least_count, bool) or not isinstance(least_count, int) or least_count < 0:
        raise InputError(f"least_count is {least_count!r}, expected a whole number of rows, at least 0.")
    if not _number(largest_ratio, 1.0) or largest_ratio == 1.0:
        raise InputError(f"largest_ratio is {largest_ratio!r}, expected a number above 1.")


def _number(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf
