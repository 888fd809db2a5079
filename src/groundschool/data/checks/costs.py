"""Rewards and costs: values that are none, and columns that never change or never fire."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import at_episodes, at_rows, several
from groundschool.data.checks.scan import rows_where
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

_RULE = "Costs must be finite and >= 0."
_NAN = "One such number makes every value, and every return, meaningless."


def blank_rewards(view: View) -> Iterator[Finding]:
    """Rewards that are NaN."""
    rows = rows_where(np.isnan, view.raw.rewards)
    if len(rows):
        yield at_rows(
            view,
            "blank-rewards",
            "error",
            view.raw.name("rewards"),
            rows,
            "blank",
            unit="value",
            why=_NAN,
            do="A reward is never guessed: correct or exclude those episodes, or say what it is as an expression.",
        )


def infinite_rewards(view: View) -> Iterator[Finding]:
    """Rewards that are infinite."""
    rows = rows_where(np.isinf, view.raw.rewards)
    if len(rows):
        yield at_rows(
            view,
            "infinite-rewards",
            "error",
            view.raw.name("rewards"),
            rows,
            "infinite",
            unit="value",
            why=_NAN,
            do="Correct or exclude those episodes; what must never happen is a cost with a limit, not a reward.",
        )


def blank_costs(view: View) -> Iterator[Finding]:
    """Costs that are NaN, of which nobody said what that means."""
    for name, cost in view.raw.costs.items():
        rows = rows_where(np.isnan, cost)
        if not len(rows):
            continue
        if name in view.raw.arrivals and np.isin(rows, view.last).all():
            yield at_episodes(
                view,
                "blank-costs",
                "error",
                cost_column(view, name),
                np.searchsorted(view.last, rows),
                "without the cost of the last action: nothing was observed after it",
                why="Whether the last action did harm is not in the log, and it may be the one that mattered.",
                at_last=True,
                do="Name next_observations=, say final_rows=True if last rows are no decisions, or say what it means: "
                'blank="censored" | "no event" | "exclude".',
            )
        else:
            yield at_rows(
                view,
                "blank-costs",
                "error",
                cost_column(view, name),
                rows,
                "blank",
                unit="value",
                why="Whether a blank is no harm or unknown harm decides how dangerous a policy looks.",
                do=f'{_RULE} Say what a blank means: blank="no event" | "censored" | "exclude".',
            )


def infinite_costs(view: View) -> Iterator[Finding]:
    """Costs that are infinite."""
    yield from _bad_costs(view, "infinite-costs", np.isinf, "infinite", "Correct or exclude those episodes.")


def negative_costs(view: View) -> Iterator[Finding]:
    """Costs below 0."""
    do = "Zero means no harm: what is good belongs into the reward, and a column of other signs into an expression."
    yield from _bad_costs(view, "negative-costs", _negative, "negative", do)


def _negative(values: Array) -> Array:
    below: Array = (values < 0) & np.isfinite(values)
    return below


def _bad_costs(view: View, check: str, bad: Callable[[Array], Array], what: str, do: str) -> Iterator[Finding]:
    for name, cost in view.raw.costs.items():
        rows = rows_where(bad, cost)
        if len(rows):
            yield at_rows(
                view,
                check,
                "error",
                cost_column(view, name),
                rows,
                what,
                unit="value",
                why="A sum of costs says how much harm there was: such a value cancels or drowns all others.",
                do=f"{_RULE} {do}",
            )


def constant_rewards(view: View) -> Iterator[Finding]:
    """The same reward in every row."""
    rewards = view.raw.rewards
    if len(rewards) < 2 or not (rewards == rewards[0]).all():
        return
    yield Finding(
        check="constant-reward",
        severity="note",
        where=view.raw.name("rewards"),
        what=f"Every reward is {rewards[0]:g}.",
        why="Policies then differ by the length of their episodes alone, if by anything.",
        do="Nothing if that is meant (a reward for every step survived); else check the column.",
        rows=len(rewards),
        measured={"value": float(rewards[0])},
    )


def constant_costs(view: View) -> Iterator[Finding]:
    """The same cost above 0 in every row."""
    for name, cost in view.raw.costs.items():
        if len(cost) > 1 and cost[0] > 0 and (cost == cost[0]).all():
            yield Finding(
                check="constant-cost",
                severity="warning",
                where=cost_column(view, name),
                what=f"Every value is {cost[0]:g}.",
                why="A cost that is always there counts steps: no policy avoids it, and no limit on it tells anything.",
                do="Check the column: 0 means no harm, so that it may be coded the other way round.",
                harms="evaluation",
                rows=len(cost),
                measured={"value": float(cost[0])},
            )


def silent_costs(view: View) -> Iterator[Finding]:
    """Costs that are 0 throughout, with what their absence shows: at most 3/n (Hanley & Lippman-Hand 1983)."""
    n = view.raw.n_episodes
    for name, cost in view.raw.costs.items():
        if len(cost) and not cost.any():
            yield Finding(
                check="cost-never-fires",
                severity="note",
                where=cost_column(view, name),
                what=(
                    f"It is 0 in all of {several(n, 'episode')}: with 95 % confidence, at most {min(3 / n, 1):.2g} of "
                    "the logging policy's episodes have an event (3/n)."
                ),
                why="Nothing that leads to an event was ever logged, so nothing can be learned about avoiding it.",
                do="Check that the column is what it is called; a lower limit takes more episodes.",
                rows=len(cost),
                episodes=n,
                measured={"upper": min(3 / n, 1.0)},
            )


def cost_column(view: View, name: str) -> str:
    """Return the column that the cost `name` comes from."""
    role = f"costs[{name!r}]"
    return view.raw.names.get(role, role)


CHECKS: tuple[Check, ...] = (
    Check("blank-rewards", "rows without a reward", blank_rewards),
    Check("infinite-rewards", "infinite rewards", infinite_rewards),
    Check("blank-costs", "blank costs that nobody explained", blank_costs),
    Check("infinite-costs", "infinite costs", infinite_costs),
    Check("negative-costs", "costs below 0", negative_costs),
    Check("constant-reward", "the same reward in every row", constant_rewards),
    Check("constant-cost", "the same cost in every row", constant_costs),
    Check("cost-never-fires", "costs without a single event", silent_costs),
)
