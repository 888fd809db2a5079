"""The sections of a config that decide: what must be shown at the gate, and what stands before the policy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from groundschool.errors import suggest
from groundschool.explain import elsewhere
from groundschool.sections import Count, Flag, Section, Seed, Share

NAMED_BASELINES = ("logger", "none")


class ConstraintConfig(Section):
    """A limit on a cost: ``probability`` of any in an episode, or ``expected`` sum."""

    name: str
    kind: Literal["probability", "expected"] = "probability"
    limit: Annotated[float, Field(gt=0, strict=True)]

    @model_validator(mode="after")
    def _valid(self) -> Self:
        from groundschool.safety.constraints import Constraint

        Constraint(self.name, kind=self.kind, limit=self.limit)  # its errors are sentences already
        return self


class GateConfig(Section):
    """What the chosen policy must show, on held-out episodes that nothing else looks at: the share ``share`` of them.

    On the rest candidates are compared; the best is taken to the gate. ``baseline`` is "logger", a return, "none", or
    the directory of a saved policy; the other keys are those of `groundschool.gate`. With ``certify`` a policy is also
    made that can be certified from what was logged for training alone: the logger without actions of estimated danger,
    learned on a third of it and judged by the same limits on the rest, with finite-sample bounds.
    """

    constraints: tuple[ConstraintConfig, ...] = ()
    baseline: Annotated[float, Field(strict=True)] | str = "logger"
    margin: Annotated[float, Field(strict=True)] = 0.0
    confidence: Annotated[float, Field(ge=0.5, lt=1, strict=True)] = 0.95
    assurance: Literal["asymptotic", "finite-sample"] = "asymptotic"
    discount: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
    share: Share = 0.5
    certify: Flag = False
    seed: Seed = 0

    @field_validator("baseline", mode="before")
    @classmethod
    def _there(cls, given: Any) -> Any:
        """Check that a baseline is a number, a known word, or something that is there."""
        number = isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
        if number or (isinstance(given, str) and given and (given in NAMED_BASELINES or Path(given).exists())):
            return given
        hint = suggest(Path(given).name, NAMED_BASELINES) if isinstance(given, str) else ""
        raise elsewhere(
            "", f"is {given!r}, expected 'logger', 'none', a return, or the directory of a saved policy.{hint}"
        )

    @property
    def bundle(self) -> str | None:
        """Where the saved policy lies that is the baseline; None where another thing is."""
        named = not isinstance(self.baseline, str) or self.baseline in NAMED_BASELINES
        return None if named else str(self.baseline)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        asked = [(one.name, one.kind) for one in self.constraints]
        for name, kind in asked:
            if asked.count((name, kind)) > 1:
                raise elsewhere("constraints", f"limit {name!r} ({kind}) twice: keep the tighter limit.")
        if not asked and self.baseline == "none":
            raise ValueError("nothing is asked: give [[gate.constraints]], or a baseline for the return")
        return self


class RuleConfig(Section):
    """A hard rule: where ``when`` holds, actions are forbidden, or the fallback decides; see `groundschool.Rule`."""

    when: str
    forbid: tuple[Annotated[int, Field(strict=True)] | str, ...] = ()
    fallback: Flag = False
    name: str = ""

    @model_validator(mode="after")
    def _valid(self) -> Self:
        from groundschool.policies.rules import Rule

        Rule(self.when, forbid=self.forbid, fallback=self.fallback, name=self.name)  # its errors are sentences already
        return self


class GuardConfig(Section):
    """What stands before the policy that is taken to the gate, and ships with it: as in `groundschool.guard`.

    ``fallback`` is "logged" (what the logger did there), "clone" (the first cloned candidate) or an action.
    """

    enabled: Flag = True
    fallback: Literal["logged", "clone"] | Annotated[int, Field(ge=0, strict=True)] = "logged"
    false_alarms: Share = 0.02
    min_count: Count = 1
    min_share: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    harm: dict[str, Share] = Field(default={})
    rules: tuple[RuleConfig, ...] = ()
