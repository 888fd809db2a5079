"""Measuring policies: simulation and rollouts, intervals, exact tabular values, diagnostics on logs."""

from groundschool.evaluation.calibration import ActionShare, Calibration, ReliabilityBin, calibration
from groundschool.evaluation.intervals import Interval, clopper_pearson, mean_t
from groundschool.evaluation.mismatch import Mismatch, mismatch
from groundschool.evaluation.rollout import Rollout, rollout
from groundschool.evaluation.sanity import QSanity, q_sanity
from groundschool.evaluation.simulate import Simulation, collect, simulate
from groundschool.evaluation.tabular import ExactValue, Plan, TabularModel

__all__ = [
    "ActionShare",
    "Calibration",
    "ExactValue",
    "Interval",
    "Mismatch",
    "Plan",
    "QSanity",
    "ReliabilityBin",
    "Rollout",
    "Simulation",
    "TabularModel",
    "calibration",
    "clopper_pearson",
    "collect",
    "mean_t",
    "mismatch",
    "q_sanity",
    "rollout",
    "simulate",
]
