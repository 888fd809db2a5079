"""groundschool: from a fixed log of past decisions to a judged policy.

Names are loaded on first use, so that ``import groundschool`` costs milliseconds and never imports JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Columns": "groundschool.data",
    "Constraint": "groundschool.safety.constraints",
    "Dataset": "groundschool.data",
    "Feature": "groundschool.data",
    "HazardGrid": "groundschool.envs",
    "InputError": "groundschool.errors",
    "MostProvable": "groundschool.safety.provable",
    "Pruned": "groundschool.safety.cautious",
    "Spibb": "groundschool.safety.cautious",
    "Limit": "groundschool.policies",
    "Rule": "groundschool.policies",
    "TabularPolicy": "groundschool.policies",
    "calibration": "groundschool.evaluation",
    "campaign": "groundschool.safety.campaign.run",
    "check": "groundschool.data.check",
    "collect": "groundschool.evaluation",
    "convert": "groundschool.data",
    "coverage": "groundschool.data.coverage",
    "evaluate": "groundschool.evaluation.evaluate",
    "gain": "groundschool.evaluation.gain",
    "gate": "groundschool.safety.gate",
    "guard": "groundschool.safety.guard",
    "join": "groundschool.data.join",
    "load": "groundschool.policies",
    "mismatch": "groundschool.evaluation",
    "q_sanity": "groundschool.evaluation",
    "read": "groundschool.data",
    "rollout": "groundschool.evaluation",
    "run": "groundschool.pipeline",
    "select": "groundschool.safety.selection",
    "split": "groundschool.data",
    "train": "groundschool.training",
    "train_population": "groundschool.training",
    "wrap": "groundschool.policies",
}

if TYPE_CHECKING:
    from groundschool.data import Columns, Dataset, Feature, convert, read, split
    from groundschool.data.check import check
    from groundschool.data.coverage import coverage
    from groundschool.data.join import join
    from groundschool.envs import HazardGrid
    from groundschool.errors import InputError
    from groundschool.evaluation import calibration, collect, mismatch, q_sanity, rollout
    from groundschool.evaluation.evaluate import evaluate
    from groundschool.evaluation.gain import gain
    from groundschool.pipeline import run
    from groundschool.policies import Limit, Rule, TabularPolicy, load, wrap
    from groundschool.report import plot
    from groundschool.safety.campaign.run import campaign
    from groundschool.safety.cautious import Pruned, Spibb
    from groundschool.safety.constraints import Constraint
    from groundschool.safety.gate import gate
    from groundschool.safety.guard import guard
    from groundschool.safety.provable import MostProvable
    from groundschool.safety.selection import select
    from groundschool.training import train, train_population

__all__ = [
    "Columns",
    "Constraint",
    "Dataset",
    "Feature",
    "HazardGrid",
    "InputError",
    "Limit",
    "MostProvable",
    "Pruned",
    "Rule",
    "Spibb",
    "TabularPolicy",
    "__version__",
    "calibration",
    "campaign",
    "check",
    "collect",
    "convert",
    "coverage",
    "evaluate",
    "gain",
    "gate",
    "guard",
    "join",
    "load",
    "mismatch",
    "plot",
    "q_sanity",
    "read",
    "rollout",
    "run",
    "select",
    "split",
    "train",
    "train_population",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name == "plot":
        return importlib.import_module("groundschool.report.plot")
    if name not in _HOME:
        raise AttributeError(f"module 'groundschool' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
