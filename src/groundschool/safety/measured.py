"""What a log of measured observations says about its logger: networks, trained once for all who ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.criticize import Criticism, criticize
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.weights import episode_log_weights
from groundschool.policies.avoiding import AvoidingPolicy
from groundschool.policies.intake import Intake
from groundschool.safety.study import Study


class MeasuredStudy(Study):
    """A logger, and critics of it that are trained when they are first asked for."""

    libraries = ("groundschool", "numpy", "scipy", "jax", "equinox", "optax")

    def __init__(self, log: Dataset, behavior: Any, seed: int) -> None:
        super().__init__(log, behavior, seed)
        self._given = behavior is not None
        self._found: dict[str, Criticism] = {}

    def criticism(self, of: str) -> Criticism:
        """Return the critic of the logger about a question."""
        if of not in self._found:
            question = Question.parse(of, self.log)
            self._found[of] = criticize(self.log, self.logger, question, self.behavior, seed=self.seed)
        return self._found[of]

    def policy(self, maker: Any, thresholds: Mapping[str, float]) -> AvoidingPolicy:
        """Return the logger without what its critics find worse than it by a threshold."""
        log = self.log
        found = {of: self.criticism(of) for of in thresholds}
        critics = [(found[of].critic, float(threshold)) for of, threshold in thresholds.items()]
        made = AvoidingPolicy(maker.name, self.logger, critics, maker.largest_ratio, intake=Intake.of(log))
        steps = sum(one.updates for one in found.values())
        made.training = self.record(maker, {"thresholds": dict(thresholds)}, self._notes(made, found), steps)
        made.usual_weight = self.usual_weight(made)
        return made

    def _notes(self, made: AvoidingPolicy, found: Mapping[str, Criticism]) -> list[str]:
        log = self.log
        base = self.logger.probabilities(log.observations, masks=log.action_masks)
        now = made.probabilities(log.observations, masks=log.action_masks)
        changed = made.changes(log.observations, masks=log.action_masks)
        gone = np.maximum(base - now, 0.0).sum(axis=1)[changed]
        notes = [
            f"Decisions are changed at {float(changed.mean()):.1%} of the studied observations, where "
            f"{float(gone.mean()) if len(gone) else 0.0:.1%} of the logger's choice goes elsewhere; no "
            f"action becomes more than {made.largest_ratio:.3g} times as likely as under the logger, as far as its "
            "probabilities are known.",
        ]
        if not self._given:
            notes.append(self._nearness())
        for of, one in found.items():
            asked = Question.parse(of, log)
            rest = "" if one.converged else ", which had not come to rest"
            notes.append(
                f"Danger by networks of fitted Q evaluation ({one.updates:,} updates{rest}); asked about the logger's "
                f"{asked.words}, they say {one.start:.3g}."
            )
        return notes

    def _nearness(self) -> str:
        """Say how near the recalled logger comes to the logged propensities."""
        if self.log.propensities is None:
            return "The logger is a clone of the logged actions: the log has no propensities to hold it to."
        logs = episode_log_weights(pose(self.log, self.logger, Question("return"), self.behavior))
        return (
            "The logger is recalled by networks near its logged propensities: the weight of a studied episode as this "
            f"model's is off by a factor of {float(np.exp(np.std(logs))):.2f}, typically."
        )
