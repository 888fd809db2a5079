"""The statistical checks together: silent on clean logs, never silent on planted faults, never in the way."""

from dataclasses import replace

import clean_logs
import numpy as np
import planted_statistical
import pytest
from scipy import stats

from groundschool.data.checks import determinism, drift, markov, propensities, rewards, timing
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog

FAMILIES = (timing, propensities, determinism, rewards, markov, drift)
CHECKS = {check.name: check for family in FAMILIES for check in family.CHECKS}


def findings(raw, seed=0, names=tuple(CHECKS)):
    found = []
    for name in names:
        view = View(raw, seed)
        if CHECKS[name].needs is None or not CHECKS[name].needs(view):
            found += CHECKS[name].run(view)
    return found


def alarms(kinds, sizes, seeds):
    """Return the number of clean logs, and what was reported on them beyond notes."""
    logs = [(kind, size, seed) for kind in kinds for size in sizes for seed in seeds]
    found = []
    for kind, size, seed in logs:
        raw = clean_logs.CLEAN[kind](seed, size)
        found += [(kind, size, seed, f.check, f.severity) for f in findings(raw, seed) if f.severity != "note"]
    return len(logs), found


def most(n, rate):
    """Return how many of n events of this rate may happen; more do in 1 of 10,000 tests."""
    return int(stats.binom.ppf(1 - 1e-4, n, rate))


def test_every_false_alarm_rate_is_stated_and_together_they_stay_below_two_percent():
    rates = [check.false_alarm or 0.0 for check in CHECKS.values()]
    assert sum(rates) < 0.02
    assert set(CHECKS) == set(planted_statistical.FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", clean_logs.CLEAN)
def test_clean_logs_pass(kind):
    sizes, seeds = ((60, 120), range(10)) if kind == "minari" else ((60, 200, 600), range(100, 130))
    n, found = alarms([kind], sizes, seeds)
    assert [one for one in found if one[4] == "error"] == []
    assert len({one[:3] for one in found}) <= most(n, 0.02), found


@pytest.mark.parametrize("name", planted_statistical.FAULTS)
def test_planted_faults_are_found(name):
    for seed in range(3):
        raw = planted_statistical.FAULTS[name](np.random.default_rng([7, seed]), 200)
        found = [f for f in findings(raw, seed, (name,)) if f.severity != "note"]
        assert found, (name, seed)
        assert {f.check for f in found} == {name}


@pytest.mark.slow
@pytest.mark.parametrize("name", planted_statistical.FAULTS)
def test_planted_faults_are_found_at_every_size(name):
    for size in planted_statistical.SIZES:
        for seed in range(6):
            raw = planted_statistical.FAULTS[name](np.random.default_rng([size, seed]), size)
            assert findings(raw, seed, (name,)), (name, size, seed)


@pytest.mark.parametrize("name", CHECKS)
def test_a_rerun_finds_the_same(name):
    make = lambda: planted_statistical.FAULTS[name](np.random.default_rng(3), 200)  # noqa: E731
    assert findings(make(), 5, (name,)) == findings(make(), 5, (name,))


@pytest.mark.parametrize("name", CHECKS)
def test_findings_speak(name):
    for finding in findings(planted_statistical.FAULTS[name](np.random.default_rng(4), 200), 0, (name,)):
        for sentence in (finding.what, finding.why, finding.do):
            assert sentence.endswith(".")
            assert "nan" not in sentence
        assert finding.where
        assert all(np.isfinite(value) for value in finding.measured.values())
        if finding.measured and CHECKS[name].false_alarm:
            assert any("threshold" in key for key in finding.measured), finding.measured


DIRT = {
    "blank observations": ("observations", np.nan),
    "infinite observations": ("observations", np.inf),
    "enormous observations": ("observations", 1e300),
    "blank actions": ("actions", np.nan),
    "blank rewards": ("rewards", np.nan),
    "infinite rewards": ("rewards", np.inf),
    "blank propensities": ("propensities", np.nan),
    "impossible propensities": ("propensities", 0.0),
    "blank costs": ("costs", np.nan),
    "no finals": ("final_observations", np.nan),
    "dated": ("times", None),
}


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("dirt", DIRT)
def test_dirty_logs_never_raise(dirt, share):
    rng = np.random.default_rng(len(dirt))
    for make in (clean_logs.pendulum, clean_logs.tabular):
        findings(soiled(make(0, 110), *DIRT[dirt], rng, share))


def soiled(raw, column, value, rng, share):
    """Return the log with a value in a share of the rows of one of its columns."""

    def spoiled(values):
        hit = (rng.random(len(values)) < share).reshape(-1, *[1] * (values.ndim - 1))
        whole = values.dtype.kind == "i"
        return np.where(hit, -1 if whole else value, values if whole else values.astype(np.float64))

    if column == "times":
        return replace(raw, times=rng.permutation(raw.n_episodes).astype("datetime64[us]"))
    if column == "costs":
        return replace(raw, costs={name: spoiled(cost) for name, cost in raw.costs.items()})
    return replace(raw, **{column: spoiled(getattr(raw, column))})


def test_a_log_of_long_episodes_and_a_log_of_one():
    rng = np.random.default_rng(0)
    for episodes, length in ((40, 30_000), (1, 100_000)):
        n = episodes * length
        ends = np.zeros(n, bool)
        ends[length - 1 :: length] = True
        raw = RawLog(
            observations=rng.normal(size=(n, 2)),
            actions=rng.integers(0, 2, n),
            rewards=rng.normal(size=n),
            terminated=np.zeros(n, bool),
            truncated=ends,
            starts=np.arange(0, n + 1, length),
            propensities=np.full(n, 0.5),
        )
        assert findings(raw) == []
