"""Among many policies, the one of which most can probably be shown: chosen on the part that is studied, never after."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.errors import InputError
from groundschool.evaluation.behavior import resolve_behavior
from groundschool.evaluation.bounds.betting import forecast_lower
from groundschool.evaluation.bounds.stopping import Stopping, coarse_stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import all_wagers, arrange, paired_wagers
from groundschool.evaluation.folds import fold_of_episode
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.problem import Problem
from groundschool.evaluation.question import Question
from groundschool.evaluation.units import units_of
from groundschool.evaluation.weights import episode_log_weights, linear
from groundschool.policies.avoiding import AvoidingPolicy
from groundschool.policies.reweighted import ReweightedPolicy
from groundschool.safety.cautious import Pruned
from groundschool.safety.measured import MeasuredStudy
from groundschool.safety.study import DANGER, is_measured

THRESHOLDS = (DANGER, 0.2, 0.1, 0.05)

Maker = Callable[[Dataset, int], Any]


@dataclasses.dataclass(frozen=True)
class MostProvable:
    """Make the policy that promises the best bound on other episodes, out of a population: a candidate for `select`.

    Each maker studies all folds of the log but one, and what it made meets the one that is left, several times over.
    From the weighted outcomes there, the bound is forecast that the episodes kept for certifying would give; the maker
    with the best one studies the whole log. Since those other episodes play no part, their bound holds as it stands.

    Attributes
    ----------
    makers : sequence of callables (log, seed) -> policy, optional
        The first that is not worse than the best beyond the error of the forecasts is taken, so that the most cautious
        come first. By default `Pruned` with thresholds from 0.3 down to 0.05 for each cost.
    of : str, optional
        Whose upper bound is to be small: "probability:NAME". By default of the log's first cost. "gain": the lower
        bound of the gain over the logger is to be large.
    episodes : int, optional
        How many will certify; twice those of the log unless said: a third is studied.
    folds : int
        At least 2.
    behavior : Policy, optional
        The logger, where it is at hand.
    confidence : float
        One-sided, of the bound that is forecast.
    name : str
    """

    makers: Sequence[Maker] | None = None
    of: str | None = None
    episodes: int | None = None
    folds: int = 4
    behavior: Any = None
    confidence: float = 0.95
    name: str = "most provable"

    def __post_init__(self) -> None:
        if self.makers is not None and (not len(self.makers) or not all(callable(maker) for maker in self.makers)):
            raise InputError("makers: expected at least one callable(log, seed) that returns a policy.")
        if isinstance(self.folds, bool) or not isinstance(self.folds, int) or self.folds < 2:
            raise InputError(f"folds is {self.folds!r}, expected a whole number of at least 2.")
        if not 0.5 <= self.confidence < 1.0:
            raise InputError(f"confidence is {self.confidence!r}, expected a number from 0.5 to below 1.")

    def __call__(self, log: Dataset, seed: int = 0) -> Any:
        """Make the policy from a log."""
        makers, of = self._makers(log), self._of(log)
        fold = fold_of_episode(units_of(log), self.folds, seed)
        parts = [_Part(log.select(fold != k), log.select(fold == k), seed) for k in range(int(fold.max()) + 1)]
        by_fold = np.array([self._forecasts(parts, maker, of, log.n_episodes) for maker in makers])
        forecasts = by_fold.mean(axis=1)
        # Large weights are too rare for a forecast to have seen them: others must be better beyond chance.
        behind = by_fold[int(forecasts.argmax())] - by_fold
        error = behind.std(axis=1, ddof=1) / math.sqrt(by_fold.shape[1])
        best = int(np.argmax(behind.mean(axis=1) <= error))
        policy = makers[best](log, seed)
        if isinstance(policy, ReweightedPolicy | AvoidingPolicy) and policy.training is not None:
            shown = forecasts[best] if of == "gain" else -forecasts[best]
            note = (
                f"Chosen out of {len(makers)} on the studied episodes alone, for the best bound to be expected: "
                f"{of} {'at least' if of == 'gain' else 'at most'} {shown:.3g}."
            )
            record = dataclasses.replace(policy.training, notes=(*policy.training.notes, note))
            policy.training, policy.name = record, self.name
        return policy

    def _makers(self, log: Dataset) -> Sequence[Maker]:
        if self.makers is not None:
            return self.makers
        if not log.costs:
            spread = float(np.std(log.returns)) or 1.0
            return [Pruned({"return": spread * share}, behavior=self.behavior) for share in (1.0, 0.5, 0.25, 0.1)]
        return [
            Pruned({f"probability:{name}": threshold for name in log.costs}, behavior=self.behavior)
            for threshold in THRESHOLDS
        ]

    def _of(self, log: Dataset) -> str:
        of = self.of if self.of is not None else f"probability:{next(iter(log.costs))}" if log.costs else "gain"
        if of != "gain" and not of.startswith("probability:"):
            raise InputError(f"of is {of!r}, expected 'probability:NAME' or 'gain'.")
        if of == "gain" and log.return_range is None:
            raise InputError(
                "the log declares no range of the return (return_range), without which no gain can be shown."
            )
        return of

    def _forecasts(self, parts: Sequence[_Part], maker: Maker, of: str, studied: int) -> list[float]:
        """Return what the bound would be by each fold, the larger the better."""
        question = Question("return") if of == "gain" else Question.parse(of, parts[0].held_out)
        return [
            self._bound(one.held_out, one.made(maker), question, one.behavior(self.behavior), studied) for one in parts
        ]

    def _bound(self, log: Dataset, policy: Any, question: Question, behavior: Behavior, studied: int) -> float:
        problem = pose(log, policy, question, behavior, censoring="high" if question.kind == "probability" else "low")
        taken = arrange(problem.units, 0)
        taken = np.arange(problem.n_episodes)[:, None] if taken is None else taken
        rounds = max((self.episodes or 2 * studied) // taken.shape[1], 2)
        tail = 1.0 - self.confidence
        span = problem.high - problem.low
        sums = np.clip((problem.returns - problem.low) / span, 0.0, 1.0)
        outcomes = sums if question.kind == "return" else 1.0 - sums
        wagers = all_wagers(linear(episode_log_weights(problem)), outcomes, taken, *_known(problem))
        if question.kind == "return":
            return span * (forecast_lower(paired_wagers(wagers, sums, taken), tail, rounds) - 1.0)
        return forecast_lower(wagers, tail, rounds) - 1.0


class _Part:
    """Folds to study and one to meet, with what all makers ask of them and takes long."""

    def __init__(self, log: Dataset, held_out: Dataset, seed: int) -> None:
        self.log, self.held_out, self._seed = log, held_out, seed
        self._studies: dict[int, MeasuredStudy] = {}
        self._behavior: Behavior | None = None

    def made(self, maker: Maker) -> Any:
        """Make a policy, with networks that other makers may have trained."""
        if not isinstance(maker, Pruned) or not is_measured(self.log):
            return maker(self.log, self._seed)
        key = id(maker.behavior)
        if key not in self._studies:
            self._studies[key] = MeasuredStudy(self.log, maker.behavior, self._seed)
        return maker.measured(self._studies[key])

    def behavior(self, given: Any) -> Behavior:
        """Return what is known of who wrote the fold that is met."""
        if self._behavior is None:
            self._behavior = resolve_behavior(self.held_out, given, seed=self._seed)
        return self._behavior


def _known(problem: Problem) -> tuple[Stopping | None, Stopping | None]:
    largest = largest_ratios(problem)
    stopping = None if largest is None else Stopping(problem, largest)
    return stopping, None if stopping is not None else coarse_stopping(problem)
