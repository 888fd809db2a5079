"""Whether a policy is judged on episodes that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset, content
from groundschool.data.checks.chance import alone, beyond_chance, expected_elsewhere, is_measured
from groundschool.data.raw import RawLog
from groundschool.evaluation._checks import policy_name
from groundschool.evaluation.estimate import Diagnosis

_LOOKED_AT = 40_000  # rows


def overlap(log: Dataset, policy: Any) -> Diagnosis:
    """Count the episodes of a log that a policy, or one that it is made of, was trained on.

    Episodes are known again by their hashes, and copies under another id by those of their rows alone. In a small world
    whole episodes repeat by chance: only copies that chance does not explain count (see
    `groundschool.data.checks.chance`).

    Parameters
    ----------
    log : Dataset
    policy : Policy
        Its ``training`` record, and those of the policies that it wraps (``policy.policy``), hold the hashes.

    Returns
    -------
    Diagnosis
        ``overlap``, with the facts ``trained`` (whether any record was found), ``episodes``, ``shared`` and ``copied``
        (under another id). A policy without a record is taken as not trained on the log, with a note.
    """
    name = policy_name(policy)
    records = list(training_records(policy))
    facts = {"trained": bool(records), "episodes": log.n_episodes, "shared": 0, "copied": 0}
    if not records:
        note = f"Policy '{name}' carries no record of training: it is judged as not trained on these episodes."
        return Diagnosis("overlap", facts, (), (note,))
    studied = np.isin(log.episode_hashes, [hash_ for record in records for hash_ in record.episode_hashes])
    hashes = [hash_ for record in records for hash_ in getattr(record, "content_hashes", ())]
    copied = _copied(log, studied, hashes) if hashes and not studied.all() else np.zeros(log.n_episodes, np.bool_)
    facts |= {"shared": int(studied.sum()), "copied": int(copied.sum())}
    if not facts["shared"] and not facts["copied"]:
        return Diagnosis("overlap", facts)
    found = []
    if facts["shared"]:
        found.append(f"{facts['shared']:,} of the {log.n_episodes:,} episodes")
    if facts["copied"]:
        found.append(f"row by row copies, under other ids, of {facts['copied']:,} of the {log.n_episodes:,} episodes")
    reason = (
        f"In-sample: policy '{name}' was trained on {' and on '.join(found)}, and nobody is judged on what they "
        "studied. Evaluate on the selection or the holdout part of gs.split."
    )
    return Diagnosis("overlap", facts, (reason,))


def training_records(policy: Any) -> Iterator[Any]:
    """Yield the training record of a policy, then those of the policies that it wraps."""
    layer = policy
    while layer is not None:
        record = getattr(layer, "training", None)
        if hasattr(record, "episode_hashes"):  # a torch module has a flag of that name
            yield record
        layer = getattr(layer, "policy", None)


def _copied(log: Dataset, studied: NDArray[np.bool_], hashes: list[str]) -> NDArray[np.bool_]:
    """Return which other episodes were studied under another id, as far as chance does not explain it, (E,)."""
    raw = RawLog.of(log)
    rows = content.row_hashes(raw)
    own = content.episode_hashes(raw, rows)
    there = np.sort(np.array([int(hash_, 16) for hash_ in hashes], np.uint64))
    counts = np.searchsorted(there, own, side="right") - np.searchsorted(there, own, side="left")
    found = np.flatnonzero((counts > 0) & ~studied)
    copied = np.zeros(log.n_episodes, np.bool_)
    if not len(found):
        return copied
    flat = log.observations.reshape(log.n_steps, -1)
    measured = log.observations.ndim > 1 and is_measured(flat[:_LOOKED_AT])
    unique = alone(rows, log.starts, own, measured=measured)
    if unique is not None:
        found = found[np.logical_or.reduceat(unique, log.starts[:-1])[found]]
    else:
        expected = expected_elsewhere(rows, log.starts, found, len(there))
        found = found[beyond_chance(counts[found], expected, log.n_episodes)]
    copied[found] = True
    return copied
