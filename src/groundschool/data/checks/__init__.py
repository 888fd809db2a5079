"""Checks of a log: every problem at once, each with where, why and what to do."""

from groundschool.data.checks.finding import Check, Finding

__all__ = ["Check", "Finding"]
