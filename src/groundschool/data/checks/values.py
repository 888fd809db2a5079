"""Observations: infinite, negative (ids) or blank values, and columns that hold nothing or nothing of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from groundschool.data.checks.finding import Check, Finding, Severity
from groundschool.data.checks.saying import NAMED_COLUMNS, at_episodes, at_rows, few, made, percent
from groundschool.data.checks.scan import blocks, rows_where, thinned
from groundschool.data.checks.view import View
from groundschool.data.features import Feature
from groundschool.data.validation import Array

_ENOUGH_ROWS = 50  # of which a column that never changes, or equals another one, is no chance


def infinite_observations(view: View) -> Iterator[Finding]:
    """Infinity in observations, each column by itself (images as a whole), and in final observations."""
    raw = view.raw
    if raw.observations.dtype.kind != "f":
        return
    why = "An infinite input makes every loss and every value NaN."
    do = "Only NaN may stand for a missing value: write infinities as blanks, or correct them."
    rows = rows_where(np.isinf, view.flat)
    found = {raw.name("observations"): rows}
    if raw.observations.ndim == 2:
        infinite = np.isinf(view.flat[rows])
        found = {raw.feature_names()[j]: rows[infinite[:, j]] for j in np.flatnonzero(infinite.any(axis=0))}
    yield from few(
        made(
            at_rows(view, "infinite-observations", "error", where, bad, "infinite", unit="value", why=why, do=do)
            for where, bad in found.items()
            if len(bad)
        )
    )
    finals = raw.final_observations
    if finals is not None and finals.dtype.kind == "f":
        episodes = rows_where(np.isinf, finals)
        if len(episodes):
            yield at_episodes(
                view,
                "infinite-observations",
                "error",
                raw.name("final_observations"),
                episodes,
                "infinite in what was seen after the last action",
                at_last=True,
                why=why,
                do=do,
            )


def negative_state_ids(view: View) -> Iterator[Finding]:
    """State ids below 0; among final ones -1 says that there is none."""
    raw = view.raw
    if raw.observations.dtype.kind not in "iu":
        return
    why = "A state id is a row of a table: a negative one is no state."
    do = "State ids count from 0: renumber them, or leave out rows without a state."
    rows = rows_where(lambda ids: ids < 0, raw.observations)
    if len(rows):
        where = raw.name("observations")
        yield at_rows(view, "negative-state-ids", "error", where, rows, "negative", unit="state id", why=why, do=do)
    if raw.final_observations is not None:
        episodes = np.flatnonzero(raw.final_observations < -1)
        if len(episodes):
            where = raw.name("final_observations")
            what = "negative in the state after the last action"
            yield at_episodes(view, "negative-state-ids", "error", where, episodes, what, at_last=True, why=why, do=do)


def blank_observations(view: View) -> Iterator[Finding]:
    """Blanks in observations: a note where the map says what replaces them."""
    yield from _by_column(view, view.ranges.blank > 0, _blank_column)


def _blank_column(view: View, j: int) -> Finding:
    raw = view.raw
    name = raw.feature_names()[j]
    feature = Feature(name) if raw.features is None else raw.features[j]
    rows = rows_where(np.isnan, view.flat[:, j])
    severity: Severity = "warning"
    do = 'Say what replaces a blank: impute="mean" | "median" | a number, forward_fill=True, and indicators=True.'
    if feature.impute is not None:
        severity, do = "note", f"Nothing: they are replaced as impute={feature.impute!r} says."
    elif feature.forward_fill:
        do = 'forward_fill has nothing to carry before the first value: say impute="mean" | "median" | a number too.'
    if len(rows) == raw.n_rows:
        severity, do = "warning", "Leave the column out of observations."
    return at_rows(
        view,
        "blank-observations",
        severity,
        name,
        rows,
        f"blank, {percent(len(rows) / raw.n_rows)}",
        unit="value",
        harms="learning",
        why="A blank cannot be learned from or acted on before it is replaced, and why it is blank may tell something.",
        do=do,
    )


def constant_observations(view: View) -> Iterator[Finding]:
    """Columns with one value throughout."""
    raw, found = view.raw, view.ranges
    if raw.n_rows < 2:
        return
    yield from _by_column(view, found.constant, _constant_column)


def _constant_column(view: View, j: int) -> Finding:
    raw, found = view.raw, view.ranges
    return Finding(
        check="constant-observation",
        severity="warning" if raw.observations.ndim <= 2 and raw.n_rows >= _ENOUGH_ROWS else "note",
        where=raw.feature_names()[j],
        what=f"Every value{' that is there' if found.blank[j] else ''} is {found.low[j]:g}.",
        why="A column that never changes tells nothing, and a policy has never seen another value of it.",
        do="Leave it out of observations, or look up why the log holds only one value of it.",
        harms="learning",
        rows=raw.n_rows - int(found.blank[j]),
        measured={"value": float(found.low[j])},
    )


def duplicated_observations(view: View) -> Iterator[Finding]:
    """Columns that are equal, value by value, to an earlier one."""
    raw, flat = view.raw, view.flat
    if raw.n_rows < 2 or raw.observations.ndim != 2:
        return
    changing = np.flatnonzero(~view.ranges.constant & (view.ranges.blank < raw.n_rows))
    sample = np.ascontiguousarray(flat[thinned(view.sampled_rows, flat.shape[1])].T + 0.0)  # -0.0 becomes 0.0
    sample[np.isnan(sample)] = np.nan
    names = raw.feature_names()
    earlier: dict[bytes, list[int]] = {}
    found: list[tuple[int, int]] = []
    for j in changing:
        alike = earlier.setdefault(sample[j].tobytes(), [])
        twin = next((i for i in alike if _equal(flat, i, int(j))), None)
        if twin is None:
            alike.append(int(j))
        else:
            found.append((twin, int(j)))
    yield from few(
        made(
            Finding(
                check="duplicated-observation",
                severity="warning" if raw.n_rows >= _ENOUGH_ROWS else "note",
                where=names[j],
                what=f"Every value is equal to that of {names[i]!r} in the same row.",
                why="The same number twice counts double in every distance, and another column may be missing.",
                do=f"Leave {names[j]!r} out of observations, or name the column that was meant.",
                harms="learning",
                rows=raw.n_rows,
            )
            for i, j in found
        )
    )


def _equal(flat: Array, i: int, j: int) -> bool:
    return all(np.array_equal(flat[block, i], flat[block, j], equal_nan=True) for block in blocks(*flat.shape))


def _by_column(view: View, which: Array, make: Callable[[View, int], Finding]) -> Iterator[Finding]:
    """Yield what `make` finds in the columns of observations that are set, (d,) bool; of images one finding for all."""
    names = view.raw.feature_names()
    columns = [(names[j], partial(make, view, int(j))) for j in np.flatnonzero(which)]
    yield from few(columns, NAMED_COLUMNS if view.raw.observations.ndim <= 2 else 0)


CHECKS: tuple[Check, ...] = (
    Check("infinite-observations", "infinite values in observations", infinite_observations),
    Check("negative-state-ids", "state ids below 0", negative_state_ids),
    Check("blank-observations", "blanks in observations", blank_observations),
    Check("constant-observation", "observation columns that never change", constant_observations),
    Check("duplicated-observation", "observation columns that are equal", duplicated_observations),
)
