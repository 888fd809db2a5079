"""Checks of a log: every problem at once, each with where, why and what to do. A family is one module."""

from groundschool.data.checks.finding import Check, Finding

__all__ = ["Check", "Finding"]
