"""More episodes of one logger: several logs put into one, where they are logs of one kind and share no episode."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from groundschool.data import content
from groundschool.data.alike import declared, kinds
from groundschool.data.checks.chance import alone, is_measured
from groundschool.data.dataset import Dataset
from groundschool.data.raw import RawLog
from groundschool.data.validation import Array
from groundschool.errors import InputError

_LOOKED_AT = 40_000  # rows
_LEAVE_OUT = "Leave what is there twice out of one of the two: log.select(...)."
_ROWS = ("observations", "actions", "rewards", "terminated", "truncated", "propensities", "action_masks")
_ONCE = ("final_observations", "final_action_masks", "groups", "times")


def join(
    logs: Sequence[Dataset],
    *,
    horizon: int | None = None,
    return_range: tuple[float, float] | None = None,
    renumber: bool = False,
    names: Sequence[str] | None = None,
) -> Dataset:
    """Return the episodes of several logs as one log, in the order given; every column is kept.

    Meant for further episodes of the same logger, such as those that the gate asked for. That it was the same logger
    cannot be seen from the rows: whoever joins says so.

    Parameters
    ----------
    logs : sequence of Dataset
        At least one.
    horizon : int, optional
        Of the joined log. Needed where the logs' own differ, as they do where none was declared.
    return_range : (low, high), optional
        Of the joined log. Needed where the logs' own differ.
    renumber : bool
        Call the episodes 0, 1, ... anew: where each log counts its own. Groups keep their labels, so that a patient in
        two logs must be called the same in both.
    names : sequence of str, optional
        What messages call the logs; "log 1", "log 2", ... when left out.

    Returns
    -------
    Dataset
        With the notes of all logs, each once.

    Raises
    ------
    InputError
        Where the logs differ in their columns, actions, features, horizons or ranges of the return; where an id stands
        for two episodes; where an episode is in two logs, by its id and rows, or under another id by its rows. In a
        small world, whose episodes repeat by chance, the latter is no sign, and is left to `check`.

    Examples
    --------
    >>> import groundschool as gs
    >>> grid = gs.HazardGrid()
    >>> first, more = (gs.collect(grid, grid.logger(0.22), episodes=50, seed=seed) for seed in (1, 2))
    >>> gs.join([first, more]).n_episodes
    100
    """
    if isinstance(logs, Dataset) or not isinstance(logs, Sequence) or not all(isinstance(log, Dataset) for log in logs):
        raise InputError("join: expected a list of logs, such as gs.join([first, more]).")
    if not logs:
        raise InputError("join: no log was given. Expected at least one.")
    called = [f"log {i + 1}" for i in range(len(logs))] if names is None else list(names)
    _refuse_other_kinds(logs, called, ids=not renumber)
    _refuse_other_claims(logs, called, horizon is None, return_range is None)
    _refuse_repeated(logs, called, ids=not renumber)
    return concatenated(logs, horizon=horizon, return_range=return_range, renumber=renumber)


def concatenated(
    logs: Sequence[Dataset],
    *,
    horizon: int | None = None,
    return_range: tuple[float, float] | None = None,
    renumber: bool = False,
    features: Sequence[str] | None = None,
) -> Dataset:
    """Return the episodes of logs that are known to be of one kind as one log; what is not said is the first one's."""
    first = logs[0]

    def column(name: str) -> Any:
        own = [getattr(log, name) for log in logs]
        return None if own[0] is None else _whole(own)

    rows = {name: column(name) for name in _ROWS}
    return Dataset.from_arrays(
        **rows,
        **{name: column(name) for name in _ONCE},
        episode_ids=None if renumber else column("episode_ids"),
        costs=MappingProxyType({name: _whole([log.costs[name] for log in logs]) for name in first.costs}),
        n_actions=first.n_actions,
        horizon=first.horizon if horizon is None else horizon,
        return_range=first.return_range if return_range is None else return_range,
        features=first.features if features is None else features,
        action_labels=first.action_labels,
        notes=tuple(dict.fromkeys(note for log in logs for note in log.notes)),
    )


def _whole(columns: list[Array]) -> Array:
    whole = np.concatenate(columns)
    whole.flags.writeable = False
    return whole


def _refuse_other_kinds(logs: Sequence[Dataset], called: list[str], *, ids: bool) -> None:
    before = kinds(logs[0])
    for log, name in zip(logs[1:], called[1:], strict=True):
        now = kinds(log)
        for column in dict.fromkeys([*before, *now]):
            if before.get(column) != now.get(column) and (ids or column != "episode_ids"):
                raise InputError(
                    f"{column}: {before.get(column, 'not there')} in {called[0]} and {now.get(column, 'not there')} in "
                    f"{name}. Logs are joined that have the same columns, of the same kinds: read both with the same "
                    "column map."
                )


def _refuse_other_claims(logs: Sequence[Dataset], called: list[str], horizon: bool, return_range: bool) -> None:
    """Raise where logs declare different things; a horizon and a range that are said for the whole are not compared."""
    first = _claims(logs[0])
    for log, name in zip(logs[1:], called[1:], strict=True):
        for what, (value, do) in _claims(log).items():
            asked = {"horizon": horizon, "return range": return_range}.get(what, True)
            if asked and value != first[what][0]:
                one, other = _difference(first[what][0], value)
                raise InputError(f"{what}: {one} in {called[0]} and {other} in {name}. {do}")


def _claims(log: Dataset) -> dict[str, tuple[Any, str]]:
    """Return what a log declares, and what to do where another declares something else."""
    said = declared(log)
    return {
        "number of actions": (log.n_actions, "Declare n_actions, the same in each: an undeclared number is a guess."),
        "action labels": (said["action labels"], "Actions must be called the same, in the same order."),
        "features": (said["features"], "An observation must mean the same: read both with the same column map."),
        "horizon": (
            log.horizon,
            "Say which holds for the whole: horizon=... (--horizon).",
        ),
        "return range": (said["return range"], "Say what is possible in the whole: return_range=(low, high)."),
    }


def _difference(one: Any, other: Any) -> tuple[str, str]:
    """Return two unequal values, of lists the first entries that differ, in words."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        at = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        return f"{one[at]!r} (number {at})", f"{other[at]!r}"
    return tuple("none" if value is None else repr(value) for value in (one, other))  # type: ignore[return-value]


def _refuse_repeated(logs: Sequence[Dataset], called: list[str], *, ids: bool) -> None:
    """Raise where an episode is in two logs, or two episodes of different logs have one id."""
    part = np.repeat(np.arange(len(logs)), [log.n_episodes for log in logs])
    raw = [RawLog.of(log) for log in logs]
    rows = [content.row_hashes(one) for one in raw]
    hashes = np.concatenate([content.episode_hashes(one, own) for one, own in zip(raw, rows, strict=True)])
    labels = np.concatenate([log.episode_ids for log in logs] if ids else [np.arange(len(part))])

    def sentence(earlier: Array, later: Array, one_does: str, many_do: str, do: str) -> str:
        one, other = part[earlier[0]], part[later[0]]
        many = int(np.count_nonzero((part[later] == other) & (part[earlier] == one)))
        of, what = f"{many:,} of its {logs[other].n_episodes:,} episodes", one_does if many == 1 else many_do
        first = labels[later[0]].item() if ids else int(later[0] - np.flatnonzero(part == other)[0])
        return f"{called[other]}: {of} {what.format(called[one])} (first: {first!r}). {do}"

    earlier, later = _alike(labels)
    same = hashes[earlier] == hashes[later]
    if same.any():
        what = "is in {} too, by id and by rows", "are in {} too, by id and by rows"
        raise InputError(sentence(earlier[same], later[same], *what, _LEAVE_OUT))
    if len(later):
        what = "has an id that another episode has in {}", "have ids that other episodes have in {}"
        raise InputError(sentence(earlier, later, *what, "Number all episodes anew: renumber=True (--renumber)."))
    earlier, later = _alike(hashes)
    copied = part[earlier] != part[later]
    if copied.any():
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([log.lengths for log in logs]))])
        seen = logs[0].observations[:_LOOKED_AT]
        measured = seen.ndim > 1 and is_measured(seen.reshape(len(seen), -1))
        own = alone(np.concatenate(rows), starts, hashes, measured=measured)
        copied &= False if own is None else np.logical_or.reduceat(own, starts[:-1])[later]
    if copied.any():
        what = "is in {} too, row by row", "are in {} too, row by row"
        raise InputError(sentence(earlier[copied], later[copied], *what, _LEAVE_OUT))


def _alike(values: Array) -> tuple[Array, Array]:
    """Return the positions of equal values that follow each other, the earlier and the later of each two."""
    order = np.argsort(values, kind="stable")
    equal = values[order[1:]] == values[order[:-1]]
    earlier, later = order[:-1][equal], order[1:][equal]
    first = np.argsort(later, kind="stable")
    return earlier[first], later[first]
