"""Logs on disk: a directory of Parquet shards of whole episodes, and a schema.json that vouches for every byte.

``part-00000.parquet`` holds the rows of a shard and ``episodes-00000.parquet`` what it has once per episode.
Hashes detect corruption; they cannot detect tampering.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from groundschool.data.dataset import Dataset
from groundschool.data.fingerprint import episode_columns, layout, row_columns
from groundschool.data.validation import Array, positive_int
from groundschool.errors import InputError

FORMAT = "groundschool.dataset"
VERSION = 1
SCHEMA = "schema.json"


def read(path: str | PathLike[str]) -> Dataset:
    """Read a log from `path`: a directory written by `Dataset.save`.

    Raises
    ------
    InputError
        If `path` is anything else, or damaged.
    """
    where = Path(path)
    if (where / SCHEMA).is_file():
        return load(where)
    found = "is a file" if where.is_file() else f"has no {SCHEMA}" if where.is_dir() else "does not exist"
    raise InputError(
        f"cannot read {str(where)!r}: it {found}. The one format read today is a directory written by Dataset.save; "
        "build a log from other sources with Dataset.from_arrays."
    )


def save(log: Dataset, path: str | PathLike[str], *, force: bool = False, rows_per_shard: int = 1_000_000) -> None:
    """Write `log` to the directory `path`, all of it or nothing; see `Dataset.save`."""
    positive_int("rows_per_shard", rows_per_shard)
    target = Path(path).absolute()
    _check_target(target, force)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        draft.mkdir(parents=True)
        _write(log, draft, rows_per_shard)
        _replace(draft, target)
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load(path: str | PathLike[str]) -> Dataset:
    """Read and verify the log in the directory `path`; see `Dataset.load`."""
    where = Path(path)
    schema = _read_schema(where)
    try:
        log = _assemble(where, schema)
        intact = log.fingerprint == schema["fingerprint"]
    except OSError as error:
        raise _damaged(where, f"{error.strerror or error}") from error
    except InputError as error:
        raise _damaged(where, str(error)) from error
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error
    if not intact:
        raise _damaged(where, f"the contents do not have the fingerprint that {SCHEMA} states")
    return log


def _write(log: Dataset, folder: Path, rows_per_shard: int) -> None:
    labels = {"episode_ids": log.episode_ids} | ({} if log.groups is None else {"groups": log.groups})
    shards: list[dict[str, Any]] = []
    first = 0
    while first < log.n_episodes:
        wanted = int(log.starts[first]) + rows_per_shard
        end = min(int(np.searchsorted(log.starts, wanted, side="left")), log.n_episodes)
        rows = slice(int(log.starts[first]), int(log.starts[end]))
        lengths = log.lengths[first:end]
        once = {name: pa.array(column[first:end]) for name, column in labels.items()}
        each = {name: pa.array(np.repeat(column[first:end], lengths)) for name, column in labels.items()}
        part = each | {name: _to_arrow(column[rows]) for name, column in row_columns(log)}
        episodes = once | {"lengths": pa.array(lengths)}
        episodes |= {name: _to_arrow(column[first:end]) for name, column in episode_columns(log)}
        shards.append(
            {
                "episodes": end - first,
                "rows": rows.stop - rows.start,
                "part_sha256": _write_table(part, folder / f"part-{len(shards):05d}.parquet"),
                "episodes_sha256": _write_table(episodes, folder / f"episodes-{len(shards):05d}.parquet"),
            }
        )
        first = end
    schema: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "fingerprint": log.fingerprint,
        "n_episodes": log.n_episodes,
        "n_steps": log.n_steps,
        "n_actions": log.n_actions,
        "horizon": log.horizon,
        "return_range": None if log.return_range is None else list(log.return_range),
        "columns": layout(log),
        "costs": list(log.costs),
        "labels": {name: "text" if column.dtype.kind == "U" else "int64" for name, column in labels.items()},
        "shards": shards,
    }
    schema["checksum"] = _checksum(schema)
    (folder / SCHEMA).write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")


def _assemble(where: Path, schema: dict[str, Any]) -> Dataset:
    """Read the shards into one array per column and check them as any other input is checked."""
    shards = schema["shards"]
    names = {f"{kind}-{i:05d}.parquet" for kind in ("part", "episodes") for i in range(len(shards))}
    extra = sorted({file.name for file in where.glob("*.parquet")} - names)
    if extra:
        raise InputError(f"{extra[0]!r} is not listed in {SCHEMA}")
    for total, of_shard in (("n_episodes", "episodes"), ("n_steps", "rows")):
        if schema[total] != sum(shard[of_shard] for shard in shards):
            raise InputError(f"{total} in {SCHEMA} is not the sum over its shards")
    once = {"final_observations", "final_action_masks"}
    sizes = {name: schema["n_episodes" if name in once else "n_steps"] for name, _, _ in schema["columns"]}
    columns: dict[str, Any] = {n: np.empty((sizes[n], *shape), dtype) for n, dtype, shape in schema["columns"]}
    labels: dict[str, list[Any]] = {name: [] for name in schema["labels"]}
    row = episode = 0
    for i, shard in enumerate(shards):
        part = _read_table(where / f"part-{i:05d}.parquet", shard["part_sha256"])
        episodes = _read_table(where / f"episodes-{i:05d}.parquet", shard["episodes_sha256"])
        rows, across = slice(row, row + shard["rows"]), slice(episode, episode + shard["episodes"])
        for name, column in columns.items():
            target, table = (column[across], episodes) if name in once else (column[rows], part)
            target[...] = _from_arrow(table[name]).reshape(target.shape)
        for name, values in labels.items():
            values.extend(episodes[name].to_pylist())
        row, episode = rows.stop, across.stop
    for column in columns.values():
        column.flags.writeable = False
    names_of_costs = schema["costs"]
    costs = {name: columns.pop(f"cost:{name}") for name in names_of_costs}
    kinds = {"text": np.str_, "int64": np.int64}
    arguments: dict[str, Any] = {
        name: np.array(values, dtype=kinds[schema["labels"][name]]) for name, values in labels.items()
    }
    arguments |= {name: schema[name] for name in ("n_actions", "horizon", "return_range")}
    return Dataset.from_arrays(**columns, **arguments, costs=costs)


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
    if version != VERSION:
        raise InputError(
            f"{str(where)!r} has format version {version!r}, expected {VERSION}. Upgrade groundschool to read it."
        )
    if schema.pop("checksum", None) != _checksum(schema):
        raise _damaged(where, f"{SCHEMA} was changed after it was written")
    return schema


def _check_target(target: Path, force: bool) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        raise InputError(f"{str(target)!r} exists. Choose another path, or replace it with force=True.")
    ours = target.is_dir() and not target.is_symlink() and (not any(target.iterdir()) or _is_ours(target))
    if not ours:
        raise InputError(
            f"{str(target)!r} is not a saved log and nothing else, so force does not replace it. Choose another path."
        )


def _is_ours(folder: Path) -> bool:
    if any(file.name != SCHEMA and file.suffix != ".parquet" for file in folder.iterdir()):
        return False
    try:
        return f'"{FORMAT}"' in (folder / SCHEMA).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _replace(draft: Path, target: Path) -> None:
    """Move `draft` to `target`; a log that is replaced comes back if that fails."""
    if not target.exists():
        os.replace(draft, target)
        return
    old = draft.with_suffix(".old")
    os.replace(target, old)
    try:
        os.replace(draft, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old)


def _write_table(columns: dict[str, Any], file: Path) -> str:
    # Only labels are dictionary-encoded: plain pages keep every bit of floats, the sign of zero and NaNs included.
    pq.write_table(pa.table(columns), file, compression="zstd", use_dictionary=["episode_ids", "groups"])
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read_table(file: Path, sha256: str) -> Any:
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise InputError(f"{file.name} does not have the hash that {SCHEMA} states")
    return pq.ParquetFile(pa.BufferReader(data)).read()


def _to_arrow(column: Array) -> Any:
    flat = pa.array(np.ascontiguousarray(column).reshape(-1))
    return flat if column.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))


def _from_arrow(column: Any) -> Array:
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
