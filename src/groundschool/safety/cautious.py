"""Policies that can be certified: the logger's own decisions, changed only where that pays and can be shown.

`Pruned` makes actions of estimated danger less likely, and renormalizes. `Spibb` hands the probability of actions
that were logged often enough to the best of them, and leaves the logger alone elsewhere (Laroche et al. 2019,
arXiv:1712.06924). Neither asks for a model that is right: what they became is judged on other episodes, by weights that
stay near 1 because the policy stays near the logger.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from groundschool.data import Dataset, content
from groundschool.data.raw import RawLog
from groundschool.errors import InputError
from groundschool.evaluation.advantages import Advantages, advantages
from groundschool.evaluation.behavior import resolve_behavior
from groundschool.evaluation.bounds.stopping import Stopping, coarse_stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import THRESHOLDS
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.recall import recall_logger
from groundschool.evaluation.states import count_states
from groundschool.policies.intake import Intake
from groundschool.policies.places import Places
from groundschool.policies.policy import FloatArray
from groundschool.policies.record import TrainingRecord
from groundschool.policies.reweighted import ReweightedPolicy, removed, reweighted

DANGER = 0.3
_SELDOM = 0.01
_LIBRARIES = ("groundschool", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class Pruned:
    """Make the logger without the actions that a counted model finds dangerous, or poor: a candidate for `select`.

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
        Rows of a pair that a deletion needs; 0 lets forecasts from elsewhere delete too.
    largest_ratio : float
        Above 1: no action becomes more than so many times as likely as under the logger. Where deleting would do that,
        the least dangerous of the deleted actions stay in part.
    behavior : Policy, optional
        The logger, where it is at hand: what the policy is made of, and then exact everywhere. Otherwise it is read off
        the logged propensities, and guessed from near by where nothing was logged.
    name : str
    """

    thresholds: Mapping[str, float] | None = None
    least_count: int = 0
    largest_ratio: float = 4.0
    behavior: Any = None
    name: str = "pruned"

    def __post_init__(self) -> None:
        _check(self.thresholds, self.least_count, self.largest_ratio)

    def __call__(self, log: Dataset, seed: int = 0) -> ReweightedPolicy:
        """Make the policy from a log; the seed matters only where propensities must be estimated."""
        study = _Study(log, self.behavior, seed, self.thresholds)
        danger = np.zeros(study.base.shape)  # in units of its threshold
        for of, threshold in study.thresholds.items():
            danger = np.maximum(danger, study.losses(of) / threshold)
        pruned = (danger >= 1.0) & (study.counts >= self.least_count)
        kept = removed(study.base, np.where(pruned, danger, 0.0), self.largest_ratio)
        return study.policy(self, kept, None)


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


class _Study:
    """What a log says about its logger, by state."""

    def __init__(self, log: Dataset, behavior: Any, seed: int, thresholds: Mapping[str, float] | None) -> None:
        self.began = time.perf_counter()
        if log.n_actions is None:
            raise InputError("the log has continuous actions, and only discrete actions can be made less likely.")
        if count_states(log.observations, log.action_masks) is None:
            raise InputError(
                "the log's observations are measured numbers, nearly all different, so that dangers cannot be counted."
                " Bin them first, or train another policy."
            )
        self.log, self.seed = log, seed
        self.logger = recall_logger(log, seed=seed) if behavior is None else behavior
        self.behavior = resolve_behavior(log, behavior, seed=seed)
        self.spread = float(np.std(log.returns)) or 1.0
        self.thresholds = dict(thresholds) if thresholds is not None else self._usual()
        self._found: dict[str, Advantages] = {}
        one = self._about(next(iter(self.thresholds)))
        self.rows, self.base, self.counts = one.rows, one.target, one.counts

    def _usual(self) -> dict[str, float]:
        return {f"probability:{name}": DANGER for name in self.log.costs} or {"return": self.spread / 3.0}

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
        config = {field.name: getattr(maker, field.name) for field in dataclasses.fields(maker)}
        config["behavior"] = None if maker.behavior is None else str(getattr(maker.behavior, "name", "given"))
        if isinstance(maker, Pruned):
            config["thresholds"] = self.thresholds
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
        contents = tuple(f"{digest:016x}" for digest in content.episode_hashes(RawLog.of(log)).tolist())
        record = TrainingRecord(
            algorithm=type(maker).__name__.lower(),
            config=config,
            steps=0,
            seed=self.seed,
            seconds=time.perf_counter() - self.began,
            compile_seconds=0.0,
            device="cpu",
            versions={library: version(library) for library in _LIBRARIES},
            fingerprint=log.fingerprint,
            episode_hashes=tuple(str(digest) for digest in log.episode_hashes),
            curves={},
            notes=tuple(notes),
            content_hashes=contents,
        )
        made = ReweightedPolicy(maker.name, self.logger, places, kept, given, record, Intake.of(log))
        made.usual_weight = self._usual_weight(made)
        return made

    def _usual_weight(self, policy: ReweightedPolicy) -> float | None:
        """Return the least threshold that nearly no episode of the log would pass."""
        problem = pose(self.log, policy, Question("return"), self.behavior)
        largest = largest_ratios(problem)
        stopping = coarse_stopping(problem) if largest is None else Stopping(problem, largest)
        if stopping is None:
            return None
        return next((t for t in THRESHOLDS if stopping.at(t)[1].mean() <= _SELDOM), None)


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
