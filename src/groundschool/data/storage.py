"""Logs on disk: a directory of Parquet shards of whole episodes, and a schema.json that vouches for every byte.

``part-00000.parquet`` holds the rows of a shard and ``episodes-00000.parquet`` what it has once per episode.
Hashes detect corruption; they cannot detect tampering.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.alike import label_columns, require_alike
from groundschool.data.dataset import Dataset
from groundschool.data.features import Feature
from groundschool.data.fingerprint import declared_names, episode_columns, fingerprint, layout, row_columns
from groundschool.data.labels import check_episode_ids
from groundschool.data.placing import final_path, in_place
from groundschool.data.validation import Array, positive_int
from groundschool.errors import InputError

NAME = "groundschool"
FORMAT = "groundschool.dataset"
VERSION = 2
READABLE = (1, 2)  # version 1 had no features, action labels, times and notes
SCHEMA = "schema.json"
_LABEL_DTYPES: dict[str, Any] = {"int64": np.int64, "float64": np.float64, "time": "datetime64[us]"}
_SHARD = re.compile(r"(part|episodes)-\d{5,}\.parquet")
_ONCE = ("final_observations", "final_action_masks")


def save(log: Dataset, path: str | PathLike[str], *, force: bool = False, rows_per_shard: int = 1_000_000) -> None:
    """Write `log` to the directory `path`, all of it or nothing; see `Dataset.save`."""
    positive_int("rows_per_shard", rows_per_shard)
    with in_place(Path(path), force=force, replaceable=is_ours, what="a saved log") as draft:
        write([log], draft, rows_per_shard=rows_per_shard)


def load(path: str | PathLike[str]) -> Dataset:
    """Read and verify the log in the directory `path`; see `Dataset.load`."""
    where = Path(path)
    schema = _read_schema(where)
    with _reporting_damage(where):
        log = _assemble(where, schema)
        _check_fingerprint(log, log.episode_hashes.tolist(), schema)
    return log


def load_parts(path: str | PathLike[str]) -> Iterator[Dataset]:
    """Yield the log in the directory `path` shard by shard, verifying every byte; the last step is its fingerprint."""
    where = Path(path)
    schema = _read_schema(where)
    hashes: list[str] = []
    part = None
    with _reporting_damage(where):
        _check_shards(where, schema)
    for i in range(len(schema["shards"])):
        with _reporting_damage(where):
            columns, labels = _shard(where, schema, i)
            part = _dataset(columns, labels, schema)
            hashes += part.episode_hashes.tolist()
        yield part
    with _reporting_damage(where):
        _check_fingerprint(part, hashes, schema)


def write(
    parts: Iterable[Dataset],
    target: Path,
    *,
    rows_per_shard: int = 1_000_000,
    notes: Callable[[], Sequence[str]] | None = None,
) -> str:
    """Write parts of a log, whole episodes in order, to the new directory `target`; return the log's fingerprint.

    Only one part at a time is looked at. The number of actions and the horizon are the largest of all parts; `notes`,
    asked after the last part, stand for theirs.

    Raises
    ------
    InputError
        If the parts differ in their columns, share an episode id, or hold what Parquet cannot.
    OSError
    """
    import pyarrow as pa

    target.mkdir(parents=True)
    shards = _Shards(target, rows_per_shard)
    first: Dataset | None = None
    n_actions, horizon = 0, 0
    hashes: list[str] = []
    ids: list[Array] = []
    n_steps = 0
    for part in parts:
        if first is None:
            first = part.select([0])  # a copy, so that the part need not be kept
        require_alike(first, part, len(hashes))
        try:
            shards.append(part)
        except (pa.ArrowException, ValueError) as error:
            raise InputError(f"{final_path(target)}: cannot be written as Parquet ({error}).") from error
        n_actions, horizon = max(n_actions, part.n_actions or 0), max(horizon, part.horizon)
        hashes += part.episode_hashes.tolist()
        ids.append(part.episode_ids)
        n_steps += part.n_steps
    if first is None:
        raise InputError("the log is empty. Expected at least one episode.")
    check_episode_ids(np.concatenate(ids), len(hashes))
    whole = dataclasses.replace(first, n_actions=n_actions or None, horizon=horizon)
    schema: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": fingerprint(whole, hashes),
        "n_episodes": len(hashes),
        "n_steps": n_steps,
        "n_actions": whole.n_actions,
        "horizon": horizon,
        "return_range": None if first.return_range is None else list(first.return_range),
        "columns": layout(first),
        "costs": list(first.costs),
        "labels": {name: _label_kind(column) for name, column in label_columns(first).items()},
        **declared_names(first),
        "notes": list(first.notes if notes is None else notes()),
        "shards": shards.close(),
    }
    schema["checksum"] = _checksum(schema)
    (target / SCHEMA).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")
    return str(schema["fingerprint"])


class _Shards:
    """Writes rows into shards, each closed at the first episode end at or after `rows_per_shard` rows."""

    def __init__(self, folder: Path, rows_per_shard: int) -> None:
        self.folder, self.rows_per_shard = folder, rows_per_shard
        self.written: list[dict[str, Any]] = []
        self.rows = self.episodes = 0
        self.writers: dict[str, Any] = {}

    def append(self, log: Dataset) -> None:
        first = 0
        while first < log.n_episodes:
            wanted = int(log.starts[first]) + self.rows_per_shard - self.rows
            end = min(int(np.searchsorted(log.starts, wanted, side="left")), log.n_episodes)
            self._write(log, first, end)
            if self.rows >= self.rows_per_shard:
                self._finish()
            first = end

    def close(self) -> list[dict[str, Any]]:
        if self.rows:
            self._finish()
        return self.written

    def _write(self, log: Dataset, first: int, end: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = slice(int(log.starts[first]), int(log.starts[end]))
        lengths, labels = log.lengths[first:end], label_columns(log)
        each = {
            name: pa.array(np.repeat(column[first:end], lengths)) for name, column in labels.items() if name != "times"
        }
        part = each | {name: _to_arrow(column[rows]) for name, column in row_columns(log)}
        episodes = {name: pa.array(column[first:end]) for name, column in labels.items()}
        episodes |= {"lengths": pa.array(lengths)}
        episodes |= {name: _to_arrow(column[first:end]) for name, column in episode_columns(log)}
        for kind, columns in (("part", part), ("episodes", episodes)):
            table = pa.table(columns)
            if kind not in self.writers:
                # Only labels are dictionary-encoded: plain pages keep every bit of floats, NaNs too.
                self.writers[kind] = pq.ParquetWriter(
                    self._file(kind), table.schema, compression="zstd", use_dictionary=["episode_ids", "groups"]
                )
            self.writers[kind].write_table(table)
        self.rows += rows.stop - rows.start
        self.episodes += end - first

    def _finish(self) -> None:
        for writer in self.writers.values():
            writer.close()
        hashes = {f"{kind}_sha256": _sha256(self._file(kind)) for kind in ("part", "episodes")}
        self.written.append({"episodes": self.episodes, "rows": self.rows, **hashes})
        self.writers, self.rows, self.episodes = {}, 0, 0

    def _file(self, kind: str) -> Path:
        return self.folder / f"{kind}-{len(self.written):05d}.parquet"


def _assemble(where: Path, schema: dict[str, Any]) -> Dataset:
    """Read the shards into one array per column and check them as any other input is checked."""
    _check_shards(where, schema)
    sizes = {name: schema["n_episodes" if name in _ONCE else "n_steps"] for name, _, _ in schema["columns"]}
    columns: dict[str, Any] = {n: np.empty((sizes[n], *shape), dtype) for n, dtype, shape in schema["columns"]}
    labels: dict[str, list[Array]] = {name: [] for name in schema["labels"]}
    at = dict.fromkeys(columns, 0)
    for i in range(len(schema["shards"])):
        part, of_part = _shard(where, schema, i)
        for name, column in part.items():
            columns[name][at[name] : at[name] + len(column)] = column
            at[name] += len(column)
        for name, values in of_part.items():
            labels[name].append(values)
    return _dataset(columns, {name: np.concatenate(values) for name, values in labels.items()}, schema)


def _check_shards(where: Path, schema: dict[str, Any]) -> None:
    shards = schema["shards"]
    names = {f"{kind}-{i:05d}.parquet" for kind in ("part", "episodes") for i in range(len(shards))}
    extra = sorted({file.name for file in where.glob("*.parquet")} - names)
    if extra:
        raise InputError(f"{extra[0]!r} is not listed in {SCHEMA}")
    for total, of_shard in (("n_episodes", "episodes"), ("n_steps", "rows")):
        if schema[total] != sum(shard[of_shard] for shard in shards):
            raise InputError(f"{total} in {SCHEMA} is not the sum over its shards")


def _shard(where: Path, schema: dict[str, Any], i: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the numeric columns and the labels of one shard."""
    shard = schema["shards"][i]
    part = _read_table(where / f"part-{i:05d}.parquet", shard["part_sha256"])
    episodes = _read_table(where / f"episodes-{i:05d}.parquet", shard["episodes_sha256"])
    columns = {}
    for name, dtype, shape in schema["columns"]:
        n, table = (shard["episodes"], episodes) if name in _ONCE else (shard["rows"], part)
        columns[name] = _from_arrow(table[name]).astype(dtype, copy=False).reshape(n, *shape)
    return columns, {name: _label_array(episodes[name], kind) for name, kind in schema["labels"].items()}


def _dataset(columns: dict[str, Array], labels: dict[str, Array], schema: dict[str, Any]) -> Dataset:
    for column in columns.values():
        column.flags.writeable = False
    costs = {name: columns.pop(f"cost:{name}") for name in schema["costs"]}
    arguments: dict[str, Any] = {**columns, **labels}
    arguments |= {name: schema[name] for name in ("n_actions", "horizon", "return_range")}
    arguments["features"] = [Feature(**one) for one in schema["features"]] if "features" in schema else None
    arguments |= {"action_labels": schema.get("action_labels"), "notes": schema.get("notes", ())}
    return Dataset.from_arrays(**arguments, costs=costs)


def _check_fingerprint(part: Dataset | None, hashes: list[str], schema: dict[str, Any]) -> None:
    if part is None or fingerprint(part, hashes) != schema["fingerprint"]:
        raise InputError(f"the contents do not have the fingerprint that {SCHEMA} states")


@contextlib.contextmanager
def _reporting_damage(where: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except OSError as error:
        raise _damaged(where, f"{error.strerror or error}") from error
    except InputError as error:
        raise _damaged(where, str(error)) from error
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error


def _read_schema(where: Path) -> dict[str, Any]:
    try:
        text = (where / SCHEMA).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{str(where)!r} is not a saved log: {SCHEMA} cannot be read ({error.strerror}). "
            "Expected a directory written by Dataset.save."
        ) from error
    except UnicodeDecodeError as error:
        raise _damaged(where, f"{SCHEMA} is not UTF-8 text") from error
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, f"{SCHEMA} is not JSON ({error})") from error
    if not isinstance(schema, dict) or schema.get("format") != FORMAT:
        raise InputError(f"{str(where)!r} is not a saved log: its {SCHEMA} does not say format {FORMAT!r}.")
    version = schema.get("version")
    if version not in READABLE:
        raise InputError(
            f"{str(where)!r} has format version {version!r}, expected {VERSION}. Upgrade groundschool to read it."
        )
    if schema.pop("checksum", None) != _checksum(schema):
        raise _damaged(where, f"{SCHEMA} was changed after it was written")
    return schema


def is_ours(folder: Path) -> bool:
    """Return whether `folder` is empty, or holds a saved log and nothing else."""
    if not folder.is_dir():
        return False
    files = list(folder.iterdir())
    if not all(file.is_file() and (file.name == SCHEMA or _SHARD.fullmatch(file.name)) for file in files):
        return False
    try:
        return not files or f'"{FORMAT}"' in (folder / SCHEMA).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _label_kind(column: Array) -> str:
    return {"U": "text", "f": "float64", "M": "time"}.get(column.dtype.kind, "int64")


def _label_array(column: Any, kind: str) -> Array:
    if kind == "text":
        return np.array(column.to_pylist(), dtype=np.str_)
    labels: Array = _from_arrow(column).astype(_LABEL_DTYPES[kind])
    return labels


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_table(file: Path, sha256: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{file.name} does not have the hash that {SCHEMA} states")
    return pq.ParquetFile(pa.BufferReader(data)).read()


def _to_arrow(column: Array) -> Any:
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(column).reshape(-1))
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))


def _from_arrow(column: Any) -> Array:
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0)
    values = array.flatten() if pa.types.is_fixed_size_list(array.type) else array
    numbers: Array = values.to_numpy(zero_copy_only=False)
    return numbers


def _checksum(schema: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()


def _damaged(where: Path, why: str) -> InputError:
    return InputError(
        f"the log in {str(where)!r} is damaged: {why.rstrip('.')}. Restore it from a copy or save it again."
    )
