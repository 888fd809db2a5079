"""Measuring policies: simulation and rollouts, intervals, exact tabular values, diagnostics on logs."""

from groundschool.evaluation.calibration import ActionShare, Calibration, ReliabilityBin, calibration
from groundschool.evaluation.intervals import Interval, clopper_pearson, mean_t
from groundschool.evaluation.mismatch import Mismatch, mismatch
from groundschool.evaluation.rollout import Rollout, rollout
from groundschool.evaluation.sanity import QSanity, q_sanity
from groundschool.evaluation.simulate import Simulation, collect, simulate

__all__ = [
    "ActionShare",
    "Calibration",
    "Interval",
    "Mismatch",
    "QSanity",
    "ReliabilityBin",
    "Rollout",
    "Simulation",
    "calibration",
    "clopper_pearson",
    "collect",
    "mean_t",
    "mismatch",
    "q_sanity",
    "rollout",
    "simulate",
]
