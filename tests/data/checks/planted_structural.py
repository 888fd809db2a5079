"""Logs with one structural fault each, and the sound logs that they are made from.

``FAULTS[check](rng, size)`` is a log of about `size` episodes (at least 8) that the check named must report;
``PLANTED[check](rng, size)`` says where in it too. ``sound(rng, size)`` has every column a log can have and no fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from groundschool.data.checks import (
    action_kinds,
    actions,
    costs,
    duplicates,
    ends,
    identities,
    labels,
    order,
    outliers,
    size,
    timeouts,
    values,
)
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.view import View
from groundschool.data.cutting import UNREAD
from groundschool.data.features import Feature
from groundschool.data.raw import RawLog

FAMILIES = (values, outliers, order, ends, timeouts, duplicates, actions, action_kinds, costs, labels, identities, size)
CHECKS: tuple[Check, ...] = tuple(check for family in FAMILIES for check in family.CHECKS)
NAMES = ("heart rate", "map mmhg", "lactate", "weight")


class Planted(NamedTuple):
    """A faulty log, the column the finding must name, and its first row and episode where they are certain."""

    raw: RawLog
    where: str | None
    row: int | None = None
    episode: int | str | None = None


Fault = Callable[[np.random.Generator, int], Planted]
PLANTED: dict[str, Fault] = {}


def findings(raw: RawLog, seed: int = 0) -> list[Finding]:
    """Return what all structural checks find."""
    view = View(raw, seed)
    return [finding for check in CHECKS for finding in check.run(view)]


def alarms(raw: RawLog) -> list[Finding]:
    """Return the errors and warnings, save that there are few episodes."""
    return [f for f in findings(raw) if f.severity != "note" and f.check != "few-episodes"]


def sound(rng: np.random.Generator, size: int) -> RawLog:
    """Return `size` episodes of 4 to 12 rows with every column, anything but simple, and without a fault."""
    lengths = rng.integers(4, 13, size)
    n, starts = int(lengths.sum()), np.concatenate([[0], np.cumsum(lengths)])
    last = starts[1:] - 1
    dtype = rng.choice(["float32", "float64"])
    seen = (rng.normal(size=(n + size, 4)) * [1, 10, 0.1, 30] + [0, 50, 0, -20]).astype(dtype)
    observations, finals = seen[:n], seen[n:]
    following = np.concatenate([observations[1:], observations[:1]])
    following[last] = finals
    probabilities = rng.dirichlet([5.0, 5.0, 5.0], n)
    taken = (rng.random((n, 1)) > np.cumsum(probabilities, axis=1)[:, :2]).sum(axis=1)
    masks = rng.random((n, 3)) < 0.9
    masks[np.arange(n), taken] = True
    terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
    ended = rng.random(size) < 0.5
    terminated[last], truncated[last] = ended, ~ended
    return RawLog(
        observations=observations,
        actions=taken.astype(np.int64),
        rewards=rng.normal(size=n),
        terminated=terminated,
        truncated=truncated,
        starts=starts,
        costs={"harm": (rng.random(n) < 0.1).astype(float)},
        propensities=probabilities[np.arange(n), taken],
        action_masks=masks,
        final_observations=finals,
        final_action_masks=np.ones((size, 3), bool),
        steps=np.arange(n, dtype=float) - np.repeat(starts[:-1], lengths),
        next_observations=following,
        groups=np.arange(size) // 2,
        times=np.datetime64("2026-01-01", "us") + np.arange(size),
        episode_ids=np.array([f"stay {i}" for i in rng.permutation(size)]),
        features=tuple(Feature(name) for name in NAMES),
        n_actions=3,
        horizon=12,
        return_range=(-1000.0, 1000.0),
        first_row=int(rng.integers(0, 3)) * 1000,
        names={
            "actions": "dose",
            "rewards": "utility",
            "terminated": "died",
            "truncated": "left",
            "costs['harm']": "hypotension",
            "propensities": "p_dose",
            "action_masks": "allowed",
            "next_observations": "next vitals",
            "steps": "hour",
            "groups": "patient",
            "times": "admitted",
            "episode_ids": "stay_id",
        },
    )


def tiny(**changes) -> RawLog:
    """Return three episodes, "a" of rows 10 and 11, "b" of rows 12 to 14 and "c" of row 15, with changes."""
    raw = RawLog(
        observations=np.array([[0.5, 1.0], [1.5, 1.0], [2.5, 4.0], [3.5, 9.0], [4.5, 16.0], [5.5, 25.0]]),
        actions=np.array([0, 1, 0, 1, 1, 0]),
        rewards=np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        terminated=np.array([False, True, False, False, False, True]),
        truncated=np.array([False, False, False, False, True, False]),
        starts=np.array([0, 2, 5, 6]),
        costs={"harm": np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])},
        steps=np.array([0.0, 1.0, 0.0, 1.0, 2.0, 0.0]),
        episode_ids=np.array(["a", "b", "c"]),
        features=(Feature("x"), Feature("y")),
        first_row=10,
    )
    return replace(raw, **changes)


def found(check: str, raw: RawLog) -> list[Finding]:
    """Return what one check finds."""
    view = View(raw)
    return list(next(one for one in CHECKS if one.name == check).run(view))


def one(check: str, raw: RawLog) -> Finding:
    """Return the only finding of a check."""
    [finding] = found(check, raw)
    return finding


def counted(rng: np.random.Generator, size: int) -> RawLog:
    """Return a sound log whose observations are state ids."""
    raw = sound(rng, size)
    ids = rng.integers(0, 40, raw.n_rows)
    finals = np.full(size, -1)
    following = np.concatenate([ids[1:], ids[:1]])
    return replace(raw, observations=ids, final_observations=finals, next_observations=following, features=None)


def measured(rng: np.random.Generator, size: int) -> RawLog:
    """Return a sound log with continuous actions."""
    raw = sound(rng, size)
    return replace(
        raw,
        actions=rng.normal(size=(raw.n_rows, 2)),
        propensities=rng.random(raw.n_rows) * 3 + 1e-6,
        action_masks=None,
        final_action_masks=None,
        n_actions=None,
    )


def select(raw: RawLog, episodes: np.ndarray) -> RawLog:
    """Return some episodes of a log, as often and in the order named."""
    lengths = raw.lengths[episodes]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return take(
        raw, np.arange(starts[-1]) + np.repeat(raw.starts[:-1][episodes] - starts[:-1], lengths), starts, episodes
    )


def take(raw: RawLog, rows: np.ndarray, starts: np.ndarray, episodes: np.ndarray) -> RawLog:
    """Return the rows `rows`, cut at `starts`, with what is said once an episode taken from `episodes`."""

    def of(column, index):
        return None if column is None else column[index]

    return replace(
        raw,
        starts=starts,
        costs={name: cost[rows] for name, cost in raw.costs.items()},
        **{
            name: of(getattr(raw, name), rows)
            for name in (
                "observations",
                "actions",
                "rewards",
                "terminated",
                "truncated",
                "propensities",
                "action_masks",
                "steps",
                "next_observations",
            )
        },
        **{
            name: of(getattr(raw, name), episodes)
            for name in ("final_observations", "final_action_masks", "groups", "times", "episode_ids")
        },
    )


def fault(name: str) -> Callable[[Fault], Fault]:
    """Register a fault under the check that must find it."""

    def register(make: Fault) -> Fault:
        PLANTED[name] = make
        return make

    return register


def some_rows(rng, raw, share=0.02):
    """Return a few rows, ascending."""
    return np.sort(rng.choice(raw.n_rows, max(1, int(share * raw.n_rows)), replace=False))


def an_inner_row(rng, raw):
    """Return a row that is neither the first nor the last of its episode."""
    e = int(rng.integers(raw.n_episodes))
    return int(rng.integers(raw.starts[e] + 1, raw.starts[e + 1] - 1)), e


def at(raw, where, row):
    """Return the log as planted at a row (a position)."""
    e = int(np.searchsorted(raw.starts, row, side="right")) - 1
    return Planted(raw, where, raw.first_row + int(row), raw.episode_label(e))


def changed(raw, column, rows, value):
    """Return the log with values of a column replaced at some rows."""
    array = np.array(getattr(raw, column))
    array[rows] = value
    return replace(raw, **{column: array})


def changed_observation(raw, rows, j, value):
    """Return the log with values of one observation column replaced."""
    array = np.array(raw.observations)
    array[rows, j] = value
    # Next observations would not bear it out, which is another fault.
    return replace(raw, observations=array, next_observations=None)


@fault("infinite-observations")
def _(rng, size):
    raw = sound(rng, size)
    rows, j = some_rows(rng, raw), rng.integers(4)
    return at(changed_observation(raw, rows, j, rng.choice([np.inf, -np.inf])), NAMES[j], rows[0])


@fault("negative-state-ids")
def _(rng, size):
    raw = counted(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "observations", rows, -1), "observations", rows[0])


@fault("blank-observations")
def _(rng, size):
    raw = sound(rng, size)
    rows, j = some_rows(rng, raw, 0.3), rng.integers(4)
    return at(changed_observation(raw, rows, j, np.nan), NAMES[j], rows[0])


@fault("constant-observation")
def _(rng, size):
    raw = sound(rng, size)
    j = rng.integers(4)
    return Planted(changed_observation(raw, slice(None), j, rng.integers(9)), NAMES[j])


@fault("duplicated-observation")
def _(rng, size):
    raw = sound(rng, size)
    i, j = np.sort(rng.choice(4, 2, replace=False))
    return Planted(changed_observation(raw, slice(None), j, raw.observations[:, i]), NAMES[j])


@fault("sentinel-values")
def _(rng, size):
    raw = sound(rng, size)
    rows, j = some_rows(rng, raw, 0.03), rng.integers(4)
    value = rng.choice([-999, -9999, 9999, 99999, 1e20])
    return at(changed_observation(raw, rows, j, value), NAMES[j], rows[0])


@fault("outlying-values")
def _(rng, size):
    raw = sound(rng, size)
    rows, j = some_rows(rng, raw, 0.001), rng.integers(4)
    value = raw.observations[:, j].std() * 10 ** rng.uniform(5, 12) * rng.choice([-1, 1])
    return at(changed_observation(raw, rows, j, value), NAMES[j], rows[0])


@fault("split-episodes")
def _(rng, size):
    raw = sound(rng, size)
    first, second = np.sort(rng.choice(size // 2, 2, replace=False)) * 2
    ids = raw.episode_ids.copy()
    ids[second] = ids[first]
    raw = replace(raw, episode_ids=ids)
    return at(raw, "stay_id", raw.starts[second])


@fault("blank-steps")
def _(rng, size):
    raw = sound(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "steps", rows, np.nan), "hour", rows[0])


@fault("step-order")
def _(rng, size):
    raw = sound(rng, size)
    row, _ = an_inner_row(rng, raw)
    return at(changed(raw, "steps", [row - 1, row], raw.steps[[row, row - 1]]), "hour", row)


@fault("duplicated-steps")
def _(rng, size):
    raw = sound(rng, size)
    row, _ = an_inner_row(rng, raw)
    return at(changed(raw, "steps", row, raw.steps[row - 1]), "hour", row)


@fault("step-gaps")
def _(rng, size):
    raw = sound(rng, size)
    row, e = an_inner_row(rng, raw)
    rest = np.arange(row, raw.starts[e + 1])
    return at(changed(raw, "steps", rest, raw.steps[rest] + rng.integers(1, 9)), "hour", row)


@fault("step-unit")
def _(rng, size):
    raw = sound(rng, size)
    return Planted(replace(raw, steps=raw.steps * rng.choice([0.25, 5, 60])), "hour")


@fault("step-start")
def _(rng, size):
    raw = sound(rng, size)
    e = int(rng.integers(size))
    rows = np.arange(raw.starts[e], raw.starts[e + 1])
    return at(changed(raw, "steps", rows, raw.steps[rows] + rng.integers(1, 9)), "hour", rows[0])


@fault("next-observations")
def _(rng, size):
    raw = sound(rng, size)
    row, _ = an_inner_row(rng, raw)
    return at(changed(raw, "next_observations", row, raw.next_observations[row] + 1), "next vitals", row)


@fault("empty-log")
def _(rng, size):
    raw = sound(rng, size)
    return Planted(take(raw, np.arange(0), np.zeros(1, np.int64), np.arange(0)), "log")


@fault("end-inside-episode")
def _(rng, size):
    raw = sound(rng, size)
    row, _ = an_inner_row(rng, raw)
    flag = rng.choice(["terminated", "truncated"])
    return at(changed(raw, flag, row, True), raw.name(flag), row)


@fault("missing-end")
def _(rng, size):
    raw = sound(rng, size)
    row = raw.starts[1 + rng.integers(size)] - 1
    raw = changed(changed(raw, "terminated", row, False), "truncated", row, False)
    return at(raw, "stay_id", row)


@fault("episode-over-horizon")
def _(rng, size):
    raw = sound(rng, size)
    raw = replace(raw, horizon=int(raw.lengths.max()) - 1)
    return at(raw, "horizon", raw.starts[int(np.argmax(raw.lengths))])


@fault("return-outside-range")
def _(rng, size):
    raw = sound(rng, size)
    row = rng.integers(raw.n_rows)
    e = np.searchsorted(raw.starts, row, side="right") - 1
    return at(changed(raw, "rewards", row, rng.choice([-5000.0, 5000.0])), "return_range", raw.starts[e])


@fault("timeouts-as-terminals")
def _(rng, size):
    if rng.random() < 0.5:
        raw = grid(rng, size, horizon=30)
        lost = raw.lengths == 30
        terminated = raw.terminated | raw.truncated
        if np.count_nonzero(raw.truncated) >= 3:
            e = int(np.flatnonzero(lost & raw.truncated[raw.starts[1:] - 1])[0])
            raw = replace(raw, terminated=terminated, truncated=np.zeros_like(raw.truncated))
            return at(raw, "terminated", raw.starts[e + 1] - 1)
    raw = sound(rng, size)
    length = int(rng.integers(2, 50))
    rows = rng.integers(0, raw.n_rows, size * length)
    raw = take(raw, rows, np.arange(0, len(rows) + 1, length), np.arange(size))
    last = np.zeros(len(rows), bool)
    last[raw.starts[1:] - 1] = True
    raw = replace(raw, terminated=last, truncated=last & False, next_observations=None, steps=None, horizon=None)
    return Planted(raw, "died")


@fault("duplicated-episodes")
def _(rng, size):
    raw = sound(rng, size)
    copied = rng.choice(size, max(1, size // 20), replace=False)
    raw = select(raw, np.concatenate([np.arange(size), copied]))
    ids = np.array([f"stay {i}" for i in range(raw.n_episodes)])
    raw = replace(raw, episode_ids=ids)
    return at(raw, "stay_id", raw.starts[size])


@fault("duplicated-rows")
def _(rng, size):
    raw = sound(rng, size)
    row, e = an_inner_row(rng, raw)
    rows = np.insert(np.arange(raw.n_rows), row, row - 1)
    starts = raw.starts.copy()
    starts[e + 1 :] += 1
    raw = take(raw, rows, starts, np.arange(size))
    return at(replace(raw, steps=None, next_observations=None, horizon=None), "rows", row)


@fault("blank-actions")
def _(rng, size):
    discrete = rng.random() < 0.5
    raw = sound(rng, size) if discrete else measured(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "actions", rows, -1 if discrete else np.nan), "dose", rows[0])


@fault("infinite-actions")
def _(rng, size):
    raw = measured(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "actions", (rows, rng.integers(2)), np.inf), "dose", rows[0])


@fault("action-count")
def _(rng, size):
    return Planted(replace(sound(rng, size), action_labels=("none", "low", "mid", "high")), "dose")


@fault("action-range")
def _(rng, size):
    raw = sound(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "actions", rows, rng.choice([-7, 3, 99])), "dose", rows[0])


@fault("forbidden-action")
def _(rng, size):
    raw = sound(rng, size)
    rows = some_rows(rng, raw)
    masks = raw.action_masks.copy()
    masks[rows] = True
    masks[rows, raw.actions[rows]] = False
    return at(replace(raw, action_masks=masks), "allowed", rows[0])


@fault("empty-mask")
def _(rng, size):
    raw = sound(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "action_masks", rows, False), "allowed", rows[0])


@fault("blank-propensities")
def _(rng, size):
    raw = sound(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "propensities", rows, np.nan), "p_dose", rows[0])


@fault("propensity-range")
def _(rng, size):
    raw = sound(rng, size)
    rows = some_rows(rng, raw)
    return at(changed(raw, "propensities", rows, rng.choice([0.0, -0.5, 1.5, np.inf])), "p_dose", rows[0])


def _undeclared(raw):
    return replace(raw, action_masks=None, final_action_masks=None, n_actions=None)


@fault("continuous-as-discrete")
def _(rng, size):
    raw = _undeclared(sound(rng, size))
    dose = np.round(rng.gamma(2.0, 60.0, raw.n_rows)).astype(np.int64)
    if rng.random() < 0.3:
        dose = np.minimum(dose // 25, 11) * 25  # units in which it is given
    return Planted(replace(raw, actions=dose), "dose")


@fault("discrete-as-continuous")
def _(rng, size):
    raw = measured(rng, size)
    return Planted(replace(raw, actions=rng.integers(0, 4, (raw.n_rows, 1)).astype(float)), "dose")


@fault("one-action")
def _(rng, size):
    raw = measured(rng, size) if rng.random() < 0.5 else sound(rng, size)
    raw = replace(raw, action_masks=None, final_action_masks=None)
    return Planted(replace(raw, actions=np.full_like(raw.actions, rng.integers(0, 3))), "dose")


@fault("action-never-taken")
def _(rng, size):
    raw = replace(_undeclared(sound(rng, size)), n_actions=5)
    return Planted(raw, "dose")


@fault("action-hardly-taken")
def _(rng, size):
    raw = replace(_undeclared(sound(rng, size)), n_actions=4)
    return Planted(changed(raw, "actions", some_rows(rng, raw)[:3], 3), "dose")


for _name, _column, _value in (
    ("blank-rewards", "rewards", np.nan),
    ("infinite-rewards", "rewards", np.inf),
    ("blank-costs", "costs", np.nan),
    ("infinite-costs", "costs", np.inf),
    ("negative-costs", "costs", -1.0),
):

    @fault(_name)
    def _(rng, size, column=_column, value=_value):
        raw = sound(rng, size)
        rows = some_rows(rng, raw)
        if column == "rewards":
            return at(changed(raw, "rewards", rows, value), "utility", rows[0])
        cost = raw.costs["harm"].copy()
        cost[rows] = value
        return at(replace(raw, costs={"harm": cost}), "hypotension", rows[0])


@fault("constant-reward")
def _(rng, size):
    return Planted(changed(sound(rng, size), "rewards", slice(None), 1.0), "utility")


@fault("constant-cost")
def _(rng, size):
    raw = sound(rng, size)
    return Planted(replace(raw, costs={"harm": np.ones(raw.n_rows)}), "hypotension")


@fault("cost-never-fires")
def _(rng, size):
    raw = sound(rng, size)
    return Planted(replace(raw, costs={"harm": np.zeros(raw.n_rows)}), "hypotension")


@fault("blank-groups")
def _(rng, size):
    raw = sound(rng, size)
    e = int(rng.integers(size))
    kind = rng.integers(3)
    groups = [raw.groups.astype(object), raw.groups.astype(float), raw.groups.astype(str)][kind]
    groups[e] = [None, np.nan, ""][kind]
    return at(replace(raw, groups=groups), "patient", raw.starts[e])


@fault("blank-episode-ids")
def _(rng, size):
    raw = sound(rng, size)
    e = int(rng.integers(size))
    ids = raw.episode_ids.astype(object)
    ids[e] = None
    return at(replace(raw, episode_ids=ids), "stay_id", raw.starts[e])


@fault("blank-times")
def _(rng, size):
    raw = sound(rng, size)
    e = int(rng.integers(size))
    return at(changed(raw, "times", e, np.datetime64("NaT")), "admitted", raw.starts[e])


@fault("identity-by-name")
def _(rng, size):
    raw = sound(rng, size)
    j = int(rng.integers(4))
    name = str(rng.choice(["patient_id", "E-Mail", "MRN", "birthDate", "Account Number", "subject id", "SSN"]))
    features = list(raw.features)
    features[j] = Feature(name)
    return Planted(replace(raw, features=tuple(features)), name)


@fault("identity-by-value")
def _(rng, size):
    raw = sound(rng, max(size, 20))
    j = rng.integers(4)
    numbers = rng.choice(100_000, raw.n_episodes, replace=False) + 100_000
    return Planted(changed_observation(raw, slice(None), j, np.repeat(numbers, raw.lengths)), NAMES[j])


@fault("size")
def _(rng, size):
    return Planted(sound(rng, size), "log")


@fault("hazard-rate")
def _(rng, size):
    return Planted(sound(rng, size), "hypotension")


@fault("few-episodes")
def _(rng, size):
    return Planted(sound(rng, min(size, 59)), "log")


@fault("unread-outcomes")
def _(rng, size):
    raw = sound(rng, size)
    return Planted(replace(raw, tally={UNREAD: 3}), raw.name("rewards"))


def grid(rng, size: int, **options) -> RawLog:
    """Return episodes of the hazard-avoiding logger in a HazardGrid."""
    import groundschool as gs
    from groundschool.envs import HazardAvoidingLogger

    env = gs.HazardGrid(**options)
    return RawLog.of(gs.collect(env, HazardAvoidingLogger(env.layout), size, seed=int(rng.integers(2**31))))


def shared(rng: np.random.Generator, size: int) -> tuple[RawLog, RawLog, int]:
    """Return two logs with some episodes in common under other ids, and how many."""
    raw = sound(rng, size)
    common = rng.choice(size, max(1, size // 10), replace=False)
    fresh = sound(rng, size)
    other = select(raw, common)
    joined = {
        name: np.concatenate([getattr(fresh, name), getattr(other, name)])
        for name in ("observations", "actions", "rewards", "terminated", "truncated")
    }
    starts = np.concatenate([fresh.starts, other.starts[1:] + fresh.n_rows])
    return raw, RawLog(**joined, starts=starts), len(common)


def _only_the_log(make: Fault) -> Callable[[np.random.Generator, int], RawLog]:
    return lambda rng, size: make(rng, size).raw


FAULTS: dict[str, Callable[[np.random.Generator, int], RawLog]] = {
    name: _only_the_log(make) for name, make in PLANTED.items()
}
