"""Every check fires on its fault, and the battery leaves clean logs alone."""

import battery_study
import planted_statistical
import planted_structural
import pytest
from scipy import stats

from groundschool.data.checks.battery import CHECKS

LIMIT = 0.02  # of clean logs that may be warned about


def test_names_are_unique_and_a_fault_is_planted_for_every_check():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    # These say what a log is; they have no fault to find.
    assert set(names) - {"size", "hazard-rate"} <= {*planted_structural.FAULTS, *planted_statistical.FAULTS}


def test_the_battery_states_fewer_false_alarms_than_the_limit():
    assert 0 < sum(check.false_alarm or 0.0 for check in CHECKS) <= LIMIT


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 6), marks=pytest.mark.slow)], ids=["one", "five"])
def test_every_planted_fault_is_found(seeds):
    few = len(seeds) == 1
    sizes = {"structural": (70,), "statistical": battery_study.STATISTICAL_SIZES[:1]} if few else {}
    missed = [one for one in battery_study.planted(seeds, **sizes) if not one.fired]
    assert not missed


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 25), marks=pytest.mark.slow)], ids=["few", "many"])
def test_clean_logs_are_left_alone(seeds):
    sizes = (100,) if len(seeds) == 1 else battery_study.CLEAN_SIZES
    logs = list(battery_study.clean(seeds, sizes))
    assert [one for one in logs if one.errors] == []
    warned = [one for one in logs if one.warnings]
    # A battery that warns of exactly LIMIT of clean logs passes in 99.9 of 100 such studies.
    assert len(warned) <= stats.binom.ppf(0.999, len(logs), LIMIT), warned
