"""What every maker of a certifiable policy asks of a log: its logger, usual thresholds, and a record of it all."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from groundschool.data import Dataset, content
from groundschool.data.raw import RawLog
from groundschool.errors import InputError
from groundschool.evaluation.behavior import given_behavior, resolve_behavior
from groundschool.evaluation.bounds.stopping import Stopping, coarse_stopping, largest_ratios
from groundschool.evaluation.bounds.wagers import THRESHOLDS
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.recall import recall_logger
from groundschool.evaluation.states import count_states
from groundschool.policies.record import TrainingRecord

DANGER = 0.3
_SELDOM = 0.01
_LIBRARIES = ("groundschool", "numpy", "scipy")


def is_measured(log: Dataset) -> bool:
    """Whether a log's observations are numbers that nearly all differ, so that nothing can be counted."""
    return count_states(log.observations, log.action_masks) is None


class Study:
    """A log, whoever wrote it, and what is known of them.

    Parameters
    ----------
    log : Dataset
    behavior : Policy or None
        The logger, where it is at hand.
    seed : int

    Raises
    ------
    InputError
        If the log has continuous actions.
    """

    libraries: tuple[str, ...] = _LIBRARIES

    def __init__(self, log: Dataset, behavior: Any, seed: int) -> None:
        self.began = time.perf_counter()
        if log.n_actions is None:
            raise InputError("the log has continuous actions, and only discrete actions can be made less likely.")
        self.log, self.seed = log, seed
        self.logger = recall_logger(log, seed=seed) if behavior is None else behavior
        if behavior is None and log.propensities is None and is_measured(log):
            # What was learned from these episodes need not be learned from them again to weigh them.
            self.behavior = dataclasses.replace(given_behavior(log, self.logger), known=False)
        else:
            self.behavior = resolve_behavior(log, behavior, seed=seed)
        self.spread = float(np.std(log.returns)) or 1.0

    def usual_thresholds(self) -> dict[str, float]:
        """Return what an action must cost to be dangerous, by question, where nobody says."""
        return {f"probability:{name}": DANGER for name in self.log.costs} or {"return": self.spread / 3.0}

    def record(self, maker: Any, config: Mapping[str, Any], notes: Sequence[str], steps: int = 0) -> TrainingRecord:
        """Return what a policy remembers of its making; `config` goes before the maker's own fields."""
        log = self.log
        resolved = {field.name: getattr(maker, field.name) for field in dataclasses.fields(maker)}
        resolved["behavior"] = None if maker.behavior is None else str(getattr(maker.behavior, "name", "given"))
        return TrainingRecord(
            algorithm=type(maker).__name__.lower(),
            config={**resolved, **config},
            steps=steps,
            seed=self.seed,
            seconds=time.perf_counter() - self.began,
            compile_seconds=0.0,
            device="cpu",
            versions={library: version(library) for library in self.libraries},
            fingerprint=log.fingerprint,
            episode_hashes=tuple(str(digest) for digest in log.episode_hashes),
            curves={},
            notes=tuple(notes),
            content_hashes=tuple(f"{digest:016x}" for digest in content.episode_hashes(RawLog.of(log)).tolist()),
        )

    def usual_weight(self, policy: Any) -> float | None:
        """Return the least threshold that nearly no episode of the log would pass."""
        problem = pose(self.log, policy, Question("return"), self.behavior)
        largest = largest_ratios(problem)
        stopping = coarse_stopping(problem) if largest is None else Stopping(problem, largest)
        if stopping is None:
            return None
        return next((t for t in THRESHOLDS if stopping.at(t)[1].mean() <= _SELDOM), None)
