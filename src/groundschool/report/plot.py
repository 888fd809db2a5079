"""The public figures, ``gs.plot``: each answers the question in its title and is a plain matplotlib Figure.

No pyplot state is touched: ``figure.savefig(path)`` writes one, a notebook shows one.
"""

from __future__ import annotations

from groundschool.report.coverage_figure import coverage
from groundschool.report.evaluation_figures import estimates
from groundschool.report.learning import calibration_curve, mismatch_bars, training_curves
from groundschool.report.maps import policy_map, visitation
from groundschool.report.outcomes import rates, returns, rewards, sorted_returns
from groundschool.report.support_figures import support, weights

__all__ = [
    "calibration_curve",
    "coverage",
    "estimates",
    "mismatch_bars",
    "policy_map",
    "rates",
    "returns",
    "rewards",
    "sorted_returns",
    "support",
    "training_curves",
    "visitation",
    "weights",
]
