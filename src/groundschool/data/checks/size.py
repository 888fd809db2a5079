"""How much there is, and the smallest hazard rates that so many episodes can show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.costs import cost_column
from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import several
from groundschool.data.checks.scan import codes
from groundschool.data.checks.view import View

CONFIDENCE = 0.95
ENOUGH = 60  # 59 episodes without an event show a rate below 5 %: 0.95**59 < 0.05


def size(view: View) -> Iterator[Finding]:
    """Episodes, rows and lengths."""
    raw = view.raw
    if raw.n_episodes == 0:
        return
    lengths = raw.lengths
    groups = "" if raw.groups is None else f" of {several(len(np.unique(codes(raw.groups))), 'group')}"
    upper = upper_limit(0, raw.n_episodes)
    yield Finding(
        check="size",
        severity="note",
        where="log",
        what=(
            f"{several(raw.n_episodes, 'episode')}{groups}, {several(raw.n_rows, 'row')}: {lengths.min()} to "
            f"{lengths.max()} an episode, {np.median(lengths):g} in the middle."
        ),
        why=f"Even without a single event, so many episodes show a hazard rate of at most {upper:.2g} (95 %).",
        do="Set limits that so many episodes can show, or log more.",
        harms="evaluation",
        rows=raw.n_rows,
        episodes=raw.n_episodes,
        measured={
            "shortest": float(lengths.min()),
            "median": float(np.median(lengths)),
            "longest": float(lengths.max()),
            "smallest_upper_limit": upper,
        },
    )


def hazard_rates(view: View) -> Iterator[Finding]:
    """Of each cost, the episodes with an event and the upper limit of their rate (Clopper & Pearson 1934)."""
    raw = view.raw
    n = raw.n_episodes
    for name, cost in raw.costs.items() if n else ():
        events = int(np.count_nonzero(np.logical_or.reduceat(cost > 0, raw.starts[:-1])))
        if events == 0:
            continue  # what its silence shows is said by cost-never-fires
        upper = upper_limit(events, n)
        yield Finding(
            check="hazard-rate",
            severity="note",
            where=cost_column(view, name),
            what=(
                f"{events:,} of {several(n, 'episode')} {'has' if events == 1 else 'have'} an event, {events / n:.3g}: "
                f"at most {upper:.3g} with 95 % confidence (Clopper-Pearson)."
            ),
            why="That is the logging policy's rate; a policy that is to be shown safer needs a limit in this region.",
            do="Set limits with these figures in view.",
            harms="evaluation",
            episodes=events,
            measured={"events": float(events), "rate": events / n, "upper": upper},
        )


def too_few_episodes(view: View) -> Iterator[Finding]:
    """Fewer than 60 episodes."""
    n = view.raw.n_episodes
    if 0 < n < ENOUGH:
        yield Finding(
            check="few-episodes",
            severity="warning",
            where="log",
            what=f"{several(n, 'episode')} only.",
            why=f"Even without a single event they show a hazard rate of at most {upper_limit(0, n):.2g} (95 %).",
            do=f"For a limit of 5 % examine on at least {ENOUGH} episodes, for any other limit on 3/limit.",
            harms="evaluation",
            episodes=n,
        )


def upper_limit(events: int, n: int) -> float:
    """Return the one-sided 95 % upper limit of a rate after `events` in `n` episodes, about 3/n for none."""
    if events == 0:
        return float(1 - (1 - CONFIDENCE) ** (1 / n))
    if events >= n:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(events + 1, n - events, CONFIDENCE))


CHECKS: tuple[Check, ...] = (
    Check("size", "how much there is", size),
    Check("hazard-rate", "how often each cost fires", hazard_rates),
    Check("few-episodes", "too few episodes to show anything about hazards", too_few_episodes),
)
