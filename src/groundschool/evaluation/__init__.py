"""Measuring policies: simulation and rollouts, intervals, exact tabular values, diagnostics on logs."""

from groundschool.evaluation.simulate import Simulation, collect, simulate

__all__ = ["Simulation", "collect", "simulate"]
