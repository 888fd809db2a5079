"""Splitting a log into the part that is studied, the part that chooses and the part that examines."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from groundschool.data.validation import Array
from groundschool.errors import InputError

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset


class Split(NamedTuple):
    """Three logs without an episode, or a group, in common."""

    train: Dataset
    selection: Dataset
    holdout: Dataset


def split(log: Dataset, *, fractions: tuple[float, float, float] = (0.6, 0.2, 0.2), seed: int = 0) -> Split:
    """Split a log at random by episode, or by group where it has groups (a group is never on both sides).

    Each part keeps the log's order, episode ids, horizon, number of actions and return range.

    Parameters
    ----------
    log : Dataset
    fractions : three numbers > 0 that sum to 1
        Shares of the episodes, or of the groups (whose sizes may differ), for train, selection and holdout.
    seed : int >= 0
        The same log, fractions and seed give the same split.

    Raises
    ------
    InputError
        If the fractions are not valid, or a part would be empty.
    """
    shares = _check_fractions(fractions)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed: {seed!r} is not valid. Expected an integer of at least 0.")
    if log.groups is None:
        unit, n, of_episode = "episodes", log.n_episodes, np.arange(log.n_episodes)
    else:
        unique, of_episode = np.unique(log.groups, return_inverse=True)
        unit, n = "groups", len(unique)
    counts = _counts(n, shares)
    if min(counts) == 0:
        part = Split._fields[counts.index(0)]
        enough = math.ceil(1 / min(shares) - 1e-9)
        raise InputError(
            f"{n:,} {unit} cannot be split into {shares}: the {part} part would be empty. "
            f"Log at least {enough:,} {unit}, or choose larger fractions."
        )
    part_of_unit = np.empty(n, np.int64)
    part_of_unit[np.random.default_rng(seed).permutation(n)] = np.repeat(np.arange(3), counts)
    part_of_episode: Array = part_of_unit[of_episode]
    return Split(*(log.select(part_of_episode == part) for part in range(3)))


def _check_fractions(fractions: object) -> tuple[float, ...]:
    try:
        shares = tuple(float(share) for share in fractions)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        shares = ()
    valid = len(shares) == 3 and all(share > 0 for share in shares) and math.isclose(sum(shares), 1.0, abs_tol=1e-9)
    if not valid:
        raise InputError(
            f"fractions: {fractions!r} is not valid. Expected three numbers above 0 that sum to 1, "
            "for train, selection and holdout."
        )
    return shares


def _counts(n: int, shares: tuple[float, ...]) -> list[int]:
    """Return whole counts that sum to n, by the largest remainder."""
    exact = np.array(shares) * n
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: n - int(counts.sum())]] += 1
    result: list[int] = counts.tolist()
    return result
