"""Change over the log: observations, actions or outcomes that are not the same early and late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

ALPHA = 0.001
LEAST_UNITS = 30
MATERIAL = 0.1

_EPISODES = 5_000
_ROWS_AN_EPISODE = 200
_NUMBERS = 5_000_000
_FREQUENT = 20
_NAMED = 5


@dataclass(frozen=True)
class Trend:
    """What one quantity of episodes does over the log.

    Attributes
    ----------
    name : str
    rho : float
        Spearman's rank correlation with the order.
    shift : float
        How much more often a value of the second half is above one of the first half than below: -1 to 1.
    p_value : float
        The smaller of the two p values, times two.
    """

    name: str
    rho: float
    shift: float
    p_value: float

    @property
    def size(self) -> float:
        """The larger of both effects."""
        return max(abs(self.rho), abs(self.shift))


def drift(view: View) -> Iterator[Finding]:
    """Episodes change over the log."""
    raw = view.raw
    order, columns = per_unit(raw, view.seed)
    trends = [one for name, values in columns.items() if (one := trend(name, values, order)) is not None]
    moved = sorted(
        (one for one in trends if one.p_value * len(trends) <= ALPHA and one.size >= MATERIAL),
        key=lambda one: -one.size,
    )
    if not moved:
        return
    most = moved[0]
    others = ", ".join(one.name for one in moved[1 : 1 + _NAMED]) + (", ..." if len(moved) > 1 + _NAMED else "")
    direction = "rises" if most.rho + most.shift > 0 else "falls"
    units = "episodes" if raw.groups is None else "groups"
    yield Finding(
        check="drift",
        severity="warning",
        where=most.name,
        what=f"{most.name} {direction} over {len(order):,} {units} in order of "
        f"{'the log' if raw.times is None else 'time'} (rank correlation {most.rho:+.2f}, second half against first "
        f"{most.shift:+.2f}){f'; so do, up or down, {others}' if others else ''}.",
        why="A policy learned and judged on the whole log is one for the average of its times, which nobody will meet "
        "again; a random split hides it.",
        do="Find out what changed (the population, the logger, the devices); split by time, so that the holdout is the "
        "latest part; or leave out what is out of date.",
        episodes=raw.n_episodes,
        measured={"rho": most.rho, "shift": most.shift, "p": min(1.0, most.p_value * len(trends))}
        | {"p_threshold": ALPHA, "size_threshold": MATERIAL, "columns": float(len(moved))},
    )


def trend(name: str, values: Array, order: Array) -> Trend | None:
    """Test one value a unit against the order: along it (Spearman 1904), and by halves (Mann and Whitney 1947).

    None where there are too few values, or all are the same.
    """
    from scipy import stats

    known = np.isfinite(values)
    values, order = values[known], order[known]
    if len(values) < LEAST_UNITS or np.ptp(values) == 0:
        return None
    late = order > np.median(order)
    along = stats.spearmanr(values, order)
    halves = stats.mannwhitneyu(values[late], values[~late], method="asymptotic")
    shift = 2.0 * float(halves.statistic) / (late.sum() * (~late).sum()) - 1.0
    return Trend(name, float(along.statistic), shift, min(1.0, 2.0 * float(min(along.pvalue, halves.pvalue))))


def per_unit(raw: RawLog, seed: int) -> tuple[Array, dict[str, Array]]:
    """Return each unit's place in the order, and its values by name: means over its rows, and outcomes.

    A unit is an episode; of a group, whose episodes resemble each other and stand together, only the mean counts.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(raw.n_episodes)[:_EPISODES])
    width = int(np.prod(raw.observations.shape[1:]))
    lengths = np.minimum(raw.lengths[chosen], min(_ROWS_AN_EPISODE, max(1, _NUMBERS // (len(chosen) * width))))
    begin = raw.starts[:-1][chosen] + rng.integers(0, raw.lengths[chosen] - lengths + 1)
    ends = np.cumsum(lengths)
    rows = np.arange(int(lengths.sum())) + np.repeat(begin - (ends - lengths), lengths)
    episode = np.repeat(np.arange(len(chosen)), lengths)

    def mean(values: Array) -> Array:
        known = np.isfinite(values)
        total = np.bincount(episode, weights=np.where(known, values, 0.0), minlength=len(chosen))
        count = np.bincount(episode, weights=known, minlength=len(chosen))
        return np.asarray(np.divide(total, count, out=np.full(len(chosen), np.nan), where=count > 0))

    columns: dict[str, Array] = {}
    if raw.observations.ndim == 1:
        for state in _frequent(raw.observations[rows]):
            columns[f"{raw.name('observations')} = {state}"] = mean(
                (raw.observations[rows] == state).astype(np.float64)
            )
    else:
        seen = raw.observations[rows].reshape(len(rows), -1).astype(np.float64)
        for name, values in zip(raw.feature_names(), seen.T, strict=True):
            columns[name] = mean(values)
    actions, action = raw.actions[rows], raw.name("actions")
    if raw.is_discrete:
        for one in _frequent(actions[actions >= 0]):
            columns[f"{action} = {one}"] = mean((actions == one).astype(np.float64))
    else:
        for number, values in enumerate(actions.T):
            columns[f"{action}[{number}]"] = mean(values.astype(np.float64))
    columns |= {name: values[chosen] for name, values in _outcomes(raw).items()}
    order = np.arange(raw.n_episodes) if raw.times is None else raw.times.astype(np.float64)
    return _by_group(raw, chosen, order[chosen], columns)


def _frequent(values: Array) -> Array:
    found, counts = np.unique(values, return_counts=True)
    return np.asarray(np.sort(found[np.argsort(-counts, kind="stable")[:_FREQUENT]]))


def _outcomes(raw: RawLog) -> dict[str, Array]:
    first = raw.starts[:-1]
    found = {"the return": np.add.reduceat(raw.rewards, first)}
    found |= {f"the sum of {name}": np.add.reduceat(cost, first) for name, cost in raw.costs.items()}
    found["the length"] = raw.lengths.astype(np.float64)
    return found


def _by_group(raw: RawLog, chosen: Array, order: Array, columns: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    if raw.groups is None:
        return order, columns
    group = np.unique([str(one) for one in raw.groups[chosen]], return_inverse=True)[1].reshape(-1)
    size = np.bincount(group)
    return np.bincount(group, weights=order) / size, {
        name: np.bincount(group, weights=values) / size for name, values in columns.items()
    }


def _needs(view: View) -> str:
    raw = view.raw
    units = raw.n_episodes if raw.groups is None else len({str(group) for group in raw.groups})
    if units < LEAST_UNITS:
        return f"it needs {LEAST_UNITS} {'episodes' if raw.groups is None else 'groups'}"
    if raw.times is None and raw.kept is not None and (np.diff(raw.kept) < 0).any():
        return "its rows were sorted, so their order says nothing: name time="
    if raw.times is not None and len(np.unique(raw.times)) < LEAST_UNITS:
        return f"it needs episodes of {LEAST_UNITS} different times"
    if raw.times is not None:
        absent = np.isnat(raw.times) if raw.times.dtype.kind == "M" else ~np.isfinite(raw.times.astype(np.float64))
        if absent.any():
            return "some episodes have no time"
    return ""


CHECKS = (Check("drift", "episodes change over the log", drift, ALPHA, _needs),)
