"""Content hashes: they name a log and its episodes, and detect corruption and reuse (not tampering)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from groundschool.data.validation import Array

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset

_BLOCK_BYTES = 64 * 2**20  # rows are packed in blocks of whole episodes, to bound the copy


def row_columns(log: Dataset) -> list[tuple[str, Array]]:
    """Return the columns that have one entry per row, by name; costs in alphabetical order."""
    optional = [("propensities", log.propensities), ("action_masks", log.action_masks)]
    return [
        ("observations", log.observations),
        ("actions", log.actions),
        ("rewards", log.rewards),
        ("terminated", log.terminated),
        ("truncated", log.truncated),
        *((f"cost:{name}", log.costs[name]) for name in sorted(log.costs)),
        *((name, column) for name, column in optional if column is not None),
    ]


def episode_columns(log: Dataset) -> list[tuple[str, Array]]:
    """Return the numeric columns that have one entry per episode, by name."""
    optional = [("final_observations", log.final_observations), ("final_action_masks", log.final_action_masks)]
    return [(name, column) for name, column in optional if column is not None]


def layout(log: Dataset) -> list[list[Any]]:
    """Return [name, dtype, shape of one entry] of every numeric column."""
    columns = [*row_columns(log), *episode_columns(log)]
    return [[name, column.dtype.newbyteorder("<").str, list(column.shape[1:])] for name, column in columns]


def episode_hashes(log: Dataset) -> Array:
    """Return the first 16 bytes of each episode's SHA-256, (E,) text of 32 hexadecimal digits.

    Hashed are the layout of the columns, the rows' bytes, the final observation and mask, and [length, id, group]
    (and the time, where there is one).
    """
    seed = hashlib.sha256(json.dumps(layout(log)).encode())
    row_bytes = [_bytes(column) for _, column in row_columns(log)]
    width = sum(column.shape[1] for column in row_bytes)
    final_bytes = [_bytes(column) for _, column in episode_columns(log)]
    ids = log.episode_ids.tolist()
    groups = [None] * log.n_episodes if log.groups is None else log.groups.tolist()
    times = None if log.times is None else [str(time) for time in log.times.tolist()]
    starts = log.starts.tolist()
    digests = []
    episode = 0
    while episode < log.n_episodes:
        first = starts[episode]
        end = int(np.searchsorted(log.starts, first + _BLOCK_BYTES // width, side="right")) - 1
        end = max(end, episode + 1)
        packed = np.concatenate([column[first : starts[end]] for column in row_bytes], axis=1).reshape(-1).data
        tails = np.concatenate([column[episode:end] for column in final_bytes], axis=1) if final_bytes else None
        for e in range(episode, end):
            digest = seed.copy()
            digest.update(packed[(starts[e] - first) * width : (starts[e + 1] - first) * width])
            if tails is not None:
                digest.update(tails[e - episode].data)
            once = [starts[e + 1] - starts[e], ids[e], groups[e]] + ([] if times is None else [times[e]])
            digest.update(json.dumps(once).encode())
            digests.append(digest.hexdigest()[:32])
        episode = end
    return np.array(digests, dtype="<U32")


def fingerprint(log: Dataset, hashes: list[str] | None = None) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of the log's layout, declarations and episode hashes in order.

    With `hashes` those stand for the episodes: `log` is then only a part that says the layout and the declarations.
    """
    declared = {
        "layout": layout(log),
        "n_actions": log.n_actions,
        "horizon": log.horizon,
        "return_range": None if log.return_range is None else list(log.return_range),
        **declared_names(log),
    }
    digest = hashlib.sha256(json.dumps(declared, sort_keys=True).encode())
    digest.update("".join(log.episode_hashes.tolist() if hashes is None else hashes).encode())
    return digest.hexdigest()


def declared_names(log: Dataset) -> dict[str, Any]:
    """Return what a log says about its features and actions, JSON-ready; nothing where it says nothing."""
    found: dict[str, Any] = {}
    if log.features is not None:
        found["features"] = [feature.to_json() for feature in log.features]
    if log.action_labels is not None:
        found["action_labels"] = list(log.action_labels)
    return found


def _bytes(column: Array) -> Array:
    """Return the little-endian bytes of a column, (n, bytes of one entry) uint8."""
    little = np.ascontiguousarray(column, dtype=column.dtype.newbyteorder("<"))
    return little.reshape(len(little), -1).view(np.uint8)
