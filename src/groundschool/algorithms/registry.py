"""The learners by name: one line an algorithm."""

from __future__ import annotations

from groundschool.algorithms.bc import BC
from groundschool.algorithms.cql import CQL
from groundschool.algorithms.types import Algorithm

ALGORITHMS: dict[str, Algorithm] = {"bc": BC, "cql": CQL}
