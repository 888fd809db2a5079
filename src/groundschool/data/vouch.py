"""From a raw log to a Dataset, or to one sentence about the first thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from groundschool.data.dataset import Dataset
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array
from groundschool.errors import InputError


def vouch(raw: RawLog) -> Dataset:
    """Return the rows of `raw` as a `Dataset`, every rule of it checked.

    Raises
    ------
    InputError
        Naming the source, the column, how many rows are wrong and the first of them.
    """
    if raw.n_episodes == 0:
        raise InputError(f"{raw.source}: no episode is left. {_left_out(raw)}")
    try:
        _refuse_what_arrays_cannot_show(raw)
        return Dataset.from_arrays(
            raw.observations,
            _frozen(raw.actions),
            _frozen(raw.rewards),
            _frozen(raw.terminated),
            _frozen(raw.truncated),
            costs={name: _frozen(cost) for name, cost in raw.costs.items()},
            propensities=raw.propensities,
            action_masks=raw.action_masks,
            final_observations=raw.final_observations,
            final_action_masks=raw.final_action_masks,
            groups=raw.groups,
            n_actions=raw.n_actions,
            horizon=raw.horizon,
            return_range=raw.return_range,
            episode_ids=raw.episode_ids,
            features=raw.features,
            action_labels=raw.action_labels,
            times=raw.times,
            notes=told(raw.notes, raw.tally),
        )
    except InputError as error:
        raise InputError(_sentence(raw) or f"{_prefix(raw)}{error}") from None


def told(notes: tuple[str, ...], tally: Mapping[str, int]) -> tuple[str, ...]:
    """Return what was done to rows on the way, as sentences."""
    return (*notes, *(f"{what}: {count:,}." for what, count in tally.items() if count))


def _refuse_what_arrays_cannot_show(raw: RawLog) -> None:
    """Raise where flat arrays would hide a fault: ends that are not where the labels change, steps out of order."""
    ends = raw.terminated | raw.truncated
    last = raw.starts[1:] - 1
    if not ends[last].all() or int(ends.sum()) != raw.n_episodes:
        raise InputError("an end flag is missing on the last row of an episode, or is set before it.")
    if raw.steps is not None and raw.n_rows > 1:
        rises = np.diff(raw.steps) > 0
        rises[last[:-1]] = True
        if not rises.all():
            row = raw.row(int(np.argmin(rises)) + 1)
            raise InputError(
                f"{raw.name('steps')}: does not rise within an episode (first at row {row}). Say sort=True."
            )


def _sentence(raw: RawLog) -> str:
    """Return the first structural error as a sentence, and how many more there are."""
    from groundschool.data.checks.structural import STRUCTURAL
    from groundschool.data.checks.view import View

    view = View(raw)
    errors = [finding for check in STRUCTURAL for finding in check.run(view) if finding.severity == "error"]
    if not errors:
        return ""
    more = f" ({len(errors) - 1} further errors: groundschool check lists them all.)" if len(errors) > 1 else ""
    return f"{_prefix(raw)}{errors[0].where}: {errors[0].what} {errors[0].do}{more}"


def _prefix(raw: RawLog) -> str:
    return f"{raw.source}: " if raw.source else ""


def _left_out(raw: RawLog) -> str:
    done = "; ".join(told(raw.notes, raw.tally))
    return f"What was left out: {done}" if done else "Expected at least one row."


def _frozen(array: Any) -> Array:
    array.flags.writeable = False
    frozen: Array = array
    return frozen
