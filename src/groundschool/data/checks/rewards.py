"""Rewards and observations that hold what they should not: a cost, the outcome, or what came later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from groundschool.data.checks._sample import Sample
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.view import View
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

LEAST_EPISODES = 20

_EXACT = 1e-6
_UNCOMMON, _UNUSUAL = 5, 1_000
_MANY, _FEW = 10, 3
_SAME_SIGN = 0.999
_DISCOUNTS = (1.0, 0.999, 0.995, 0.99, 0.98, 0.97, 0.95)


def reward_repeats_cost(view: View) -> Iterator[Finding]:
    """The reward is a + b x cost, exactly, for one of the costs."""
    raw = view.raw
    for name, cost in raw.costs.items():
        line = exact_line(cost, raw.rewards)
        if line is None:
            continue
        slope, constant = line
        said = f"{slope:.6g} x {name} {'-' if constant < 0 else '+'} {abs(constant):.6g}"
        yield Finding(
            check="reward-repeats-cost",
            severity="warning",
            where=raw.name("rewards"),
            what=f"In every row the reward is {said}: it repeats the cost {name!r}.",
            why="Reward and cost then ask for the same, or, where the sign is wrong, for the opposite; a limit on the "
            "cost adds nothing that the reward does not say.",
            do="Give the reward without the cost, or leave the cost out.",
            harms="learning",
            rows=raw.n_rows,
            measured={"slope": slope, "constant": constant},
        )


def reward_leaks_outcome(view: View) -> Iterator[Finding]:
    """The outcome of an episode is in each of its rows, or what is still to come (or came so far) is summed up."""
    raw = view.raw
    found = _copied(raw) or _summed(Sample.of(view))
    if not found:
        return
    what, do = found
    yield Finding(
        check="reward-leaks-outcome",
        severity="warning",
        where=raw.name("rewards"),
        what=what,
        why="An episode's return adds its rewards up, so it would count the same thing many times; and actions would "
        "be credited with what others did.",
        do=do,
        rows=raw.n_rows,
        episodes=raw.n_episodes,
    )


def _copied(raw: RawLog) -> tuple[str, str] | None:
    firsts = raw.rewards[raw.starts[:-1]]
    long = raw.lengths >= 2
    if long.sum() < LEAST_EPISODES or len(np.unique(firsts[long])) < 2:
        return None
    low, high = np.minimum.reduceat(raw.rewards, raw.starts[:-1]), np.maximum.reduceat(raw.rewards, raw.starts[:-1])
    if not (low == high)[long].all():
        return None
    return (
        f"In each of the {int(long.sum()):,} episodes with two rows or more the reward is the same in all rows, but it "
        "differs between episodes: it looks like the outcome, copied to every row.",
        "Give the outcome as the reward of the last row and 0 before.",
    )


def _summed(sample: Sample) -> tuple[str, str] | None:
    """Return the evidence that rewards are sums over the rest of the episode, or over its rows so far.

    Sums leave one of two traces. Where the rewards summed have few values, a row is a straight line of the row after (a
    discount is its slope), up to a few constants, although the column has many values. Where they have one sign, so
    have the steps of the column, freed of a discount, and at one end of the episode it is no larger than these.
    """
    raw = sample.raw
    rows, episodes = sample.rows[sample.has_previous], np.unique(sample.episode)
    if len(rows) < _MANY * LEAST_EPISODES or len(episodes) < LEAST_EPISODES:
        return None
    now, then = raw.rewards[rows - 1], raw.rewards[rows]
    if not (np.isfinite(now).all() and np.isfinite(then).all()):
        return None
    do = "Give what each step alone led to: the difference of successive values."
    if len(np.unique(then)) >= _MANY and _few_remainders(now, then):
        return (
            "The reward of a row is an exact function of the reward of the row after it, up to a few constants: it "
            "looks like a sum over the rest of the episode, or over the rows so far.",
            do,
        )
    first, last = raw.rewards[raw.starts[:-1][episodes]], raw.rewards[raw.starts[1:][episodes] - 1]
    length = float(np.median(raw.lengths[episodes]))
    if not (_one_sign(now, then, first, last, length) or _one_sign(then, now, last, first, length)):
        return None
    return (
        "The reward shrinks to the size of its own steps at one end of the episodes, and its steps, freed of a "
        "discount, all have one sign: it looks like a sum over the rest of the episode, or over the rows so far.",
        do,
    )


def _one_sign(sums: Array, less: Array, full: Array, one: Array, length: float) -> bool:
    """Return whether ``sums - discount x less`` looks like the rewards of one sign that were summed.

    `full` holds the sums over whole episodes, `one` those over a single row.
    """
    small, large = float(np.median(np.abs(one))), float(np.median(np.abs(full)))
    for discount in _DISCOUNTS:
        terms = sums - discount * less
        size = float(np.median(np.abs(terms)))
        same = max(np.mean(terms >= 0) if one.mean() > 0 else 0.0, np.mean(terms <= 0) if one.mean() < 0 else 0.0)
        reach = min(length, 1.0 / max(1.0 - discount, 1e-9))
        if same >= _SAME_SIGN and small <= 3.0 * size and large >= max(0.3 * size * reach, 3.0 * small):
            return True
    return False


def _few_remainders(now: Array, then: Array) -> bool:
    """Return whether now - slope x then takes few values, for the slope of a discounted or plain sum."""
    for one, other in ((now, then), (then, now)):
        slopes = {1.0}
        pairs = np.unique(np.column_stack([other, one])[:2_000], axis=0)
        rise, run = np.diff(pairs[:, 1]), np.diff(pairs[:, 0])
        usable = np.abs(run) > _EXACT * max(float(np.ptp(other)), 1e-300)
        if usable.any():
            slopes.add(float(np.median(rise[usable] / run[usable])))
        for slope in slopes:
            if not 0.5 <= slope <= 1.0 + 1e-9:
                continue
            rest = one - slope * other
            if _values(rest, float(np.ptp(one))) <= _FEW < _values(one, float(np.ptp(one))):
                return True
    return False


def _values(values: Array, scale: float) -> int:
    """Return how many different values there are, up to rounding."""
    ordered = np.sort(values)
    return 1 + int(np.count_nonzero(np.diff(ordered) > 1e-5 * max(scale, 1e-300)))


def observation_leaks(view: View) -> Iterator[Finding]:
    """A number of the observation is the reward, a cost or the action of its own row, or the episode's outcome."""
    raw, names = view.raw, view.raw.feature_names()
    if raw.observations.ndim == 1:
        return
    for column, leaked in (_own_row(view) | _own_episode(view)).items():
        yield Finding(
            check="observation-leaks",
            severity="warning",
            where=names[column],
            what=f"{names[column]} equals {leaked}, exactly or up to a scale and a shift.",
            why="Whoever acts does not know it yet: a policy that learns from it cannot be used, and looks better than "
            "it is.",
            do=f"Leave {names[column]} out of the observations, or log it with the row after.",
            rows=raw.n_rows,
        )


def _own_row(view: View) -> dict[int, str]:
    """Return the columns that hold a consequence of their own row, looked for in a sample and confirmed in all rows."""
    found = {}
    rows = Sample.of(view).rows
    for target, values in _consequences(view.raw).items():
        unusual = np.flatnonzero(values != np.median(values[rows]))[:_UNUSUAL]
        looked = np.union1d(rows, unusual)
        for column, numbers in enumerate(view.flat[looked].T):
            if exact_line(numbers, values[looked]) and exact_line(view.flat[:, column], values):
                found[column] = f"{target} of its own row"
    return found


def _own_episode(view: View) -> dict[int, str]:
    """Return the columns that are constant in each episode and hold its outcome."""
    raw, found = view.raw, {}
    if raw.n_episodes < LEAST_EPISODES or (raw.lengths >= 2).mean() < 0.5:
        return {}
    first = raw.starts[:-1]
    sample = Sample.of(view)
    rows = sample.rows[sample.has_previous]
    constant = (view.flat[rows] == view.flat[rows - 1]).all(axis=0)
    for column in np.flatnonzero(constant):
        for target, outcome in _outcomes(raw).items():
            if exact_line(view.flat[first, column], outcome):
                found[int(column)] = f"{target} of its episode"
    return found


def _consequences(raw: RawLog) -> Mapping[str, Array]:
    found = {f"the cost {name!r}": cost for name, cost in raw.costs.items()}
    found["the reward"] = raw.rewards
    if raw.is_discrete:
        found["the action"] = raw.actions
    else:
        found |= {f"number {i} of the action": raw.actions[:, i] for i in range(raw.actions.shape[1])}
    return found


def _outcomes(raw: RawLog) -> Mapping[str, Array]:
    first = raw.starts[:-1]
    found = {"the return": np.add.reduceat(raw.rewards, first)}
    found |= {f"the sum of the cost {name!r}": np.add.reduceat(cost, first) for name, cost in raw.costs.items()}
    found["the length"] = raw.lengths
    found["the end"] = raw.terminated[raw.starts[1:] - 1]
    return found


def exact_line(x: Array, y: Array) -> tuple[float, float] | None:
    """Return slope and constant where y is a straight line of x in every row, up to rounding; None elsewhere.

    Neither may be constant: outside its most frequent value y must lie in at least 5 rows. Rows where either is not
    finite are left aside, if they are few.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    if known.mean() < 0.5:
        return None
    x, y = x[known], y[known]
    spread = float(np.ptp(x)), float(np.ptp(y))
    if min(spread) <= 0.0:
        return None
    low, high = int(x.argmin()), int(x.argmax())
    slope = (y[high] - y[low]) / spread[0]
    constant = y[low] - slope * x[low]
    if slope == 0.0 or float(np.abs(y - constant - slope * x).max()) > _EXACT * spread[1] * 10:
        return None
    middle = np.median(y)
    if np.count_nonzero(np.abs(y - middle) > _EXACT * spread[1]) < _UNCOMMON:
        return None
    return float(slope), float(constant)


def _needs_costs(view: View) -> str:
    return "the log has no costs" if not view.raw.costs else _needs(view)


def _needs(view: View) -> str:
    return "" if view.raw.n_episodes >= LEAST_EPISODES else f"it needs {LEAST_EPISODES} episodes"


CHECKS = (
    Check("reward-repeats-cost", "the reward is a cost in disguise", reward_repeats_cost, None, _needs_costs),
    Check("reward-leaks-outcome", "the reward holds the outcome, or sums", reward_leaks_outcome, 0.001, _needs),
    Check("observation-leaks", "observations hold what comes after them", observation_leaks, 0.001, _needs),
)
