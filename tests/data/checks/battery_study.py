"""The whole battery on logs with one planted fault each, and on clean logs: what fires, and what cries wolf."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import clean_logs
import numpy as np
import planted_statistical
import planted_structural

from groundschool.data.check import check

STRUCTURAL_SIZES = (12, 70, 400)
STATISTICAL_SIZES = planted_statistical.SIZES
CLEAN_SIZES = (100, 500)


class Planted(NamedTuple):
    """One log with a fault, and whether the check that looks for it fired."""

    check: str
    size: int
    seed: int
    fired: bool


class Clean(NamedTuple):
    """One log without a fault, and the checks that raised an error or a warning on it."""

    kind: str
    size: int
    seed: int
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def planted(seeds: Iterable[int], structural=STRUCTURAL_SIZES, statistical=STATISTICAL_SIZES) -> Iterator[Planted]:
    """Plant every fault in logs of every size, once a seed, and check them."""
    for faults, sizes in ((planted_structural.FAULTS, structural), (planted_statistical.FAULTS, statistical)):
        for name, make in faults.items():
            for size in sizes:
                for seed in seeds:
                    found = check(make(np.random.default_rng([size, seed]), size), seed=seed)
                    yield Planted(name, size, seed, any(finding.check == name for finding in found.findings))


def clean(seeds: Iterable[int], sizes=CLEAN_SIZES) -> Iterator[Clean]:
    """Check clean logs of every kind and size, one a seed."""
    for kind, make in clean_logs.CLEAN.items():
        for size in sizes:
            for seed in seeds:
                found = check(make(seed, size), seed=seed)
                errors, warnings = (tuple(f.check for f in some) for some in (found.errors, found.warnings))
                yield Clean(kind, size, seed, errors, warnings)
