"""CSV: one row a step, and beside it the column map that reads it again, ``NAME.columns.toml``.

Numbers are written with as many digits as it takes to read the same number back. Labels that would not read as the text
they are (``007``, ``NA``) get ``id:`` before them, and are then quoted as in JSON.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from groundschool.data.blanks import forward_fill
from groundschool.data.columns import OPEN, Columns
from groundschool.data.dataset import Dataset
from groundschool.data.draft_text import toml
from groundschool.data.placing import Beside, draft_of, final_path, token_of
from groundschool.data.readers import csv as reader
from groundschool.data.readers._delimited import layout_of, records
from groundschool.data.validation import Array
from groundschool.data.writers._summary import Notes, Summary, following, in_words

NAME = "csv"
SUFFIXES = (".csv",)
FIRST_LINE = "# Column map of the CSV file beside it, written by groundschool."
ROWS_AT_ONCE = 20_000
LOOKED_AT = 100  # rows that show whether a file is delimited text
MARK = "id:"
# Words that a reader of tables takes for something else than text.
WORDS = frozenset(["true", "t", "false", "f", "inf", "infinity", "nan", "na", "n/a", "null", "none", "nat"])
PLAIN = re.compile(r"[^\W\d](?:[\w .:/-]*[\w.:/-])?")


def write(parts: Iterable[Dataset], target: Path, *, notes: Notes | None = None) -> tuple[str, ...]:
    """Write the parts of a log to the file `target`, and the map beside it; return what CSV cannot hold.

    The notes become comments at the head of the map.
    """
    summary = Summary()
    table: _Table | None = None
    with target.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for part in parts:
            summary.add(part)
            if table is None:
                table = _Table.of(part)
                writer.writerow(table.header)
            table.filled = table.filled and _is_filled(part)
            for first in range(0, part.n_steps, ROWS_AT_ONCE):
                rows = slice(first, first + ROWS_AT_ONCE)
                writer.writerows(zip(*table.cells(part, rows), strict=True))
    log = summary.log
    assert table is not None
    declared = {name: value for name, value in summary.declared().items() if value is not None and name != "features"}
    columns = Columns.from_mapping({**table.roles(log), **declared})
    lines = (f"{key} = {toml(value)}" for key, value in columns.to_json().items())
    with map_path(target).open("x", newline="", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in (FIRST_LINE, *map(_comment, summary.told(notes)), *lines))
    return _losses(log, table)


def map_path(target: Path) -> Path:
    """Return where the column map of a CSV file stands; of the draft of one, where the draft of its map does."""
    final, token = final_path(target), token_of(target)
    beside = final.with_name(f"{final.name.removesuffix('.csv')}.columns.toml")
    return beside if token is None else draft_of(beside, token)


def is_our_map(path: Path) -> bool:
    """Return whether `path` is a column map that groundschool wrote beside a CSV file."""
    try:
        return path.read_text(encoding="utf-8").startswith(f"{FIRST_LINE}\n") and bool(Columns.load(path))
    except (OSError, ValueError):
        return False


BESIDE = Beside(map_path, is_our_map, "a column map that groundschool wrote")


def replaceable(path: Path) -> bool:
    """Return whether `path` is delimited text: a header line of several names, and as many fields in the rows after."""
    try:
        if not path.is_file() or (not reader.recognise(path) and not is_our_map(map_path(path))):
            return False
        layout = layout_of(path)
        rows = itertools.islice(records(layout), LOOKED_AT)
        wide = {len(next(csv.reader([text.strip("\r\n")], delimiter=layout.separator))) for _, _, text in rows}
        return len(layout.headers) > 1 and wide <= {len(layout.headers)}
    except (OSError, ValueError, csv.Error, pa.ArrowException):
        return False


@dataclass
class _Table:
    """The columns of a file: the name of each, by what it holds."""

    names: dict[tuple[str, Any], str] = field(default_factory=dict)
    renamed: list[str] = field(default_factory=list)
    escaped: set[str] = field(default_factory=set)
    filled: bool = True

    @classmethod
    def of(cls, log: Dataset) -> _Table:
        """Return the columns that a log needs."""
        table = cls()
        table.add("episode", None, "episode")
        if log.groups is not None:
            table.add("group", None, "group")
        if log.times is not None:
            table.add("time", None, "time")
        for i, name in enumerate(_observation_names(log)):
            table.add("observation", i, name)
        if log.is_discrete:
            table.add("action", 0, "action")
        else:
            for i in range(log.actions.shape[1]):
                table.add("action", i, f"action_{i}")
        table.add("reward", None, "reward")
        for name in log.costs:
            table.add("cost", name, f"cost_{name}")
        table.add("terminated", None, "terminated")
        table.add("truncated", None, "truncated")
        if log.propensities is not None:
            table.add("propensity", None, "propensity")
        n_masks = 0 if log.action_masks is None else log.action_masks.shape[1]
        for i in range(n_masks):
            table.add("mask", i, f"allowed_{i}")
        if log.final_observations is not None:
            for i, name in enumerate(_observation_names(log)):
                table.add("next_observation", i, f"next_{name}")
        for i in range(n_masks if log.final_action_masks is not None else 0):
            table.add("next_mask", i, f"next_allowed_{i}")
        return table

    @property
    def header(self) -> list[str]:
        """The names of all columns, in order."""
        return list(self.names.values())

    def add(self, role: str, key: Any, name: str) -> None:
        """Give a column a name that CSV readers leave as it is and that no other column has."""
        clean = re.sub(r'[,;\t"\r\n]', "_", name).strip() or "_"
        while clean in self.names.values() or clean == OPEN:
            clean += "_"
        if clean != name:
            self.renamed.append(name)
        self.names[role, key] = clean

    def named(self, role: str) -> list[str]:
        """Return the names of the columns of a role."""
        return [name for (one, _), name in self.names.items() if one == role]

    def cells(self, log: Dataset, rows: slice) -> list[list[Any]]:
        """Return the cells of some rows, column by column."""
        episode = log.episode_index[rows]
        found = [self._labels(log.episode_ids[episode])]
        if log.groups is not None:
            found.append(self._labels(log.groups[episode]))
        if log.times is not None:
            times = log.times[episode]
            found.append(np.datetime_as_string(times).tolist() if times.dtype.kind == "M" else times.tolist())
        found += _columns(log.observations[rows])
        found += _columns(log.actions[rows])
        found.append(log.rewards[rows].tolist())
        found += [cost[rows].tolist() for cost in log.costs.values()]
        found += [_flags(log.terminated[rows]), _flags(log.truncated[rows])]
        if log.propensities is not None:
            found.append(log.propensities[rows].tolist())
        if log.action_masks is not None:
            found += _columns(log.action_masks[rows])
        for column, finals in (
            (log.observations, log.final_observations),
            (log.action_masks, log.final_action_masks),
        ):
            if column is not None and finals is not None:
                found += _columns(_after(log, column, finals, rows))
        return found

    def roles(self, log: Dataset) -> dict[str, Any]:
        """Return the column map."""
        state_ids = log.observations.ndim == 1
        found: dict[str, Any] = {
            "observations": self.named("observation")[0] if state_ids else self.named("observation"),
            "action": "action" if log.is_discrete else self.named("action"),
            "costs": {key: name for (role, key), name in self.names.items() if role == "cost"},
        }
        if log.is_discrete:
            found["action"] = self.named("action")[0]
        for role in ("episode", "group", "time", "reward", "terminated", "truncated", "propensity"):
            if (role, None) in self.names:
                found[role] = self.names[role, None]
        for role, key in (("mask", "action_mask"), ("next_mask", "next_action_mask")):
            if self.named(role):
                found[key] = self.named(role)
        following = self.named("next_observation")
        if following:
            found["next_observations"] = following[0] if state_ids else following
        if log.features is not None and not state_ids:
            named = list(zip(self.named("observation"), log.features, strict=True))
            imputed = {name: feature.impute for name, feature in named if feature.impute is not None}
            carried = [name for name, feature in named if feature.forward_fill]
            found |= {"impute": imputed} if imputed else {}
            found |= {"forward_fill": carried} if carried and self.filled else {}
        return found

    def _labels(self, labels: Array) -> list[Any]:
        if labels.dtype.kind != "U":
            return list(labels.tolist())
        distinct, codes = np.unique(labels, return_inverse=True)
        texts = [_label(text) for text in distinct.tolist()]
        self.escaped.update(text for text in texts if text.startswith(MARK))
        return [texts[code] for code in codes.tolist()]


def _observation_names(log: Dataset) -> Sequence[str]:
    if log.features is not None:
        return [feature.name for feature in log.features]
    if log.observations.ndim == 1:
        return ["state"]
    return [f"observation_{i}" for i in range(int(np.prod(log.observations.shape[1:])))]


def _columns(values: Array) -> list[list[Any]]:
    """Return the columns of an array (n, ...) as cells: flags as 0 and 1, NaN and the state id -1 as nothing."""
    flat = values.reshape(len(values), -1)
    found = []
    for column in flat.T.astype(np.float64 if flat.dtype.kind == "f" else np.int64):
        blank = np.isnan(column) if column.dtype.kind == "f" else column < 0
        cells = column.astype(np.object_)
        cells[blank] = None
        found.append(cells.tolist())
    return found


def _flags(values: Array) -> list[str]:
    return list(np.where(values, "true", "false").tolist())


def _after(log: Dataset, column: Array, finals: Array, rows: slice) -> Array:
    """Return what follows some rows; see `following`."""
    end = min(rows.stop, log.n_steps)
    first, last = (int(e) for e in log.episode_index[[rows.start, end - 1]])
    begin, stop = int(log.starts[first]), int(log.starts[last + 1])
    starts = log.starts[first : last + 2] - begin
    return following(column[begin:stop], starts, finals[first : last + 1])[rows.start - begin : end - begin]


def _label(text: str) -> str:
    """Return a label as it is where that reads as the same text, else marked and quoted."""
    plain = PLAIN.fullmatch(text) and text.isprintable() and text.lower() not in WORDS and not text.startswith(MARK)
    return text if plain else MARK + json.dumps(text)[1:-1]


def _comment(note: str) -> str:
    """Return a sentence as a TOML comment, which must be one line."""
    return "# " + "".join(sign if sign.isprintable() else " " for sign in note)


def _is_filled(part: Dataset) -> bool:
    """Whether carrying blanks forward, where features say so, would change nothing."""
    if part.features is None or part.observations.ndim == 1:
        return True
    carried = [i for i, feature in enumerate(part.features) if feature.forward_fill]
    again = forward_fill(part.observations, part.starts, carried)
    return np.array_equal(again, part.observations, equal_nan=True)


def _losses(log: Dataset, table: _Table) -> tuple[str, ...]:
    losses = []
    if log.observations.ndim > 2:
        losses.append(f"CSV holds single numbers: observations of shape {log.observations.shape[1:]} come back flat.")
    if log.observations.dtype == np.float32 or log.actions.dtype == np.float32:
        losses.append("CSV knows no float32: those numbers come back as float64, equal to what they were.")
    if table.renamed:
        shown = in_words([repr(name) for name in table.renamed[:8]])
        losses.append(f"Columns cannot be called {shown} in a CSV file: their names are changed.")
    if table.escaped:
        losses.append(
            f"Labels that would not read as text ({len(table.escaped):,}) have {MARK!r} before them, and come back so."
        )
    marked = [feature.name for feature in log.features or () if feature.indicator_of is not None]
    if marked:
        losses.append(f"That {in_words(marked)} mark blanks of other features is not kept: they are features like any.")
    if not table.filled:
        losses.append("That some features are carried forward is not kept, because their blanks are not filled.")
    return tuple(losses)
