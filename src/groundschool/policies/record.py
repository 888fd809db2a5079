"""What a trained policy remembers of its training."""

from __future__ import annotations

import dataclasses
from typing import Any

_TUPLES = ("episode_hashes", "notes", "content_hashes")


@dataclasses.dataclass(frozen=True)
class TrainingRecord:
    """How a policy came to be: enough to reproduce it, and to refuse judging it on what it studied.

    Attributes
    ----------
    algorithm, config, steps, seed
        The name, every resolved option, the gradient steps taken and the seed.
    seconds, compile_seconds : float
        Wall time of training, and the part of it spent compiling.
    device : str
        Where it ran, e.g. ``cpu:0``.
    versions : dict
        Library versions.
    fingerprint : str
        Of the training data.
    episode_hashes : tuple of str
        One a training episode.
    curves : dict of list
        Metrics by chunk; the key ``step`` holds the step at the end of each.
    notes : tuple of str
        What a reader must know: dropped transitions, how observations were encoded, the support rule.
    content_hashes : tuple of str
        One a training episode, of its rows alone: the same for a copy under another id. Empty in older records.
    """

    algorithm: str
    config: dict[str, Any]
    steps: int
    seed: int
    seconds: float
    compile_seconds: float
    device: str
    versions: dict[str, str]
    fingerprint: str
    episode_hashes: tuple[str, ...]
    curves: dict[str, list[float]]
    notes: tuple[str, ...]
    content_hashes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-ready values."""
        return {**dataclasses.asdict(self), **{name: list(getattr(self, name)) for name in _TUPLES}}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> TrainingRecord:
        """Rebuild a record written by ``to_json``."""
        return cls(**{**facts, **{name: tuple(facts[name]) for name in _TUPLES if name in facts}})
