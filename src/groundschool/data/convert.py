"""From one format to another, whole episodes at a time: memory does not grow with the log."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from groundschool.data import storage
from groundschool.data.assemble import assemble
from groundschool.data.dataset import Dataset
from groundschool.data.placing import in_place
from groundschool.data.raw import RawLog
from groundschool.data.read import ColumnMap, as_columns, is_saved, open_source, without_map
from groundschool.data.validation import Array
from groundschool.data.vouch import told, vouch
from groundschool.data.writers import beside, replaceable, writer_for
from groundschool.errors import InputError


class Converted(NamedTuple):
    """What a conversion wrote.

    Attributes
    ----------
    target : Path
    format : str
    n_episodes, n_steps : int
    fingerprint : str or None
        Of the log, where our own format was written.
    notes : tuple of str
        What was done to the rows on the way.
    losses : tuple of str
        What the log had and the format cannot hold.
    """

    target: Path
    format: str
    n_episodes: int
    n_steps: int
    fingerprint: str | None
    notes: tuple[str, ...]
    losses: tuple[str, ...]


def convert(
    data: Any,
    target: str | PathLike[str],
    *,
    columns: ColumnMap = None,
    format: str = "auto",
    to: str | None = None,
    force: bool = False,
) -> Converted:
    """Read a log in any format and write it in another, all of it or nothing.

    Parameters
    ----------
    data, columns, format
        As `groundschool.read`.
    target : path
        A new file or directory.
    to : str, optional
        The format to write, where the name of the target does not show it.
    force : bool
        Replace a log that is there already, once the new one is complete.

    Raises
    ------
    InputError
        If the log cannot be read, is not sound, or cannot be written.
    """
    where = Path(target)
    if isinstance(data, str | PathLike) and Path(data).exists() and Path(data).resolve() == where.resolve():
        raise InputError(f"{where}: is the log itself. Write to another path: what a format cannot hold would be lost.")
    name, write = writer_for(where, to)
    parts = _Parts(data, format, columns)
    with in_place(
        where,
        force=force,
        replaceable=lambda path: replaceable(path, name),
        what=f"a log in {name} format",
        beside=beside(name),
    ) as draft:
        fingerprint, losses = None, ()
        if name == storage.NAME:
            fingerprint = storage.write(parts, draft, notes=parts.notes)
        else:
            losses = tuple(write(parts, draft, notes=parts.notes))
    return Converted(where, name, parts.n_episodes, parts.n_steps, fingerprint, parts.notes(), losses)


class _Parts:
    """The parts of a log, vouched for one by one, with what was done on the way added up."""

    def __init__(self, data: Any, format: str, columns: ColumnMap) -> None:
        self.data, self.format = data, format
        self.saved = is_saved(data, format)
        if self.saved:
            without_map(data, columns)
        self.columns = as_columns(columns)
        self.source = None if self.saved else open_source(data, format)
        self.name = str(data) if self.source is None else self.source.name
        self.n_episodes = self.n_steps = 0
        self.own_notes: tuple[str, ...] = ()
        self.tally: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Dataset]:
        ids: list[Array] = []
        for part in self._saved() if self.source is None else self._assembled():
            self.n_episodes += part.n_episodes
            self.n_steps += part.n_steps
            ids.append(part.episode_ids)
            yield part
        if self.n_episodes == 0:
            raise InputError(f"{self.name}: no episode is left. {' '.join(self.notes())}".rstrip())
        self._refuse_repeated(np.concatenate(ids))

    def notes(self) -> tuple[str, ...]:
        """Return what was done to all parts so far; they themselves come without notes."""
        return told(self.own_notes, dict(sorted(self.tally.items())))

    def _saved(self) -> Iterator[Dataset]:
        for part in storage.load_parts(self.data):
            self.own_notes = part.notes
            yield dataclasses.replace(part, notes=()) if part.notes else part

    def _assembled(self) -> Iterator[Dataset]:
        assert self.source is not None
        self.own_notes = self.source.notes
        episodes = 0
        for raw in assemble(self.source, self.columns):
            self.tally.update(raw.tally)
            if raw.episode_ids is None:
                raw = dataclasses.replace(raw, episode_ids=np.arange(episodes, episodes + raw.n_episodes))
            episodes += raw.n_episodes
            if raw.n_episodes:
                yield _vouched(dataclasses.replace(raw, notes=(), tally={}))

    def _refuse_repeated(self, ids: Array) -> None:
        """Raise InputError where episodes of different parts have one id; within a part that is found before."""
        order = np.argsort(ids, kind="stable")
        repeated = np.zeros(len(ids), np.bool_)
        repeated[order[1:]] = ids[order[1:]] == ids[order[:-1]]
        if not repeated.any():
            return
        first = ids[int(np.argmax(repeated))].item()
        raise InputError(
            f"{self.name}: episode {first!r} comes again further on, with other episodes between "
            f"({int(repeated.sum()):,} such). Say sort=True (and name the step column), which puts the rows of an "
            "episode together, or give each episode its own id."
        )


def _vouched(raw: RawLog) -> Dataset:
    """Return a part as a `Dataset`; an error that counts from the part's beginning says where that is."""
    try:
        return vouch(raw)
    except InputError as error:
        from groundschool.data.checks.structural import STRUCTURAL
        from groundschool.data.checks.view import View

        view = View(raw)
        if any(finding.severity == "error" for check in STRUCTURAL for finding in check.run(view)):
            raise  # findings name rows of the source
        rows = [raw.row(0), raw.row(raw.n_rows - 1)]
        raise InputError(
            f"{error} (Positions are counted within the part of the log that was looked at: rows {rows[0]:,} to "
            f"{rows[1]:,} of {raw.source or 'the source'}.)"
        ) from None
