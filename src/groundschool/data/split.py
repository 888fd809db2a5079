"""Splitting a log into the part that is studied, the part that chooses and the part that examines."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from groundschool.data.validation import Array
from groundschool.errors import InputError, suggest

if TYPE_CHECKING:
    from groundschool.data.dataset import Dataset

By = Literal["auto", "episode", "group", "time"]

_RETURN_STRATA = 5


class Split(NamedTuple):
    """Three logs without an episode, or a group, in common."""

    train: Dataset
    selection: Dataset
    holdout: Dataset


def split(
    log: Dataset,
    *,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    by: By = "auto",
    stratify: str | None = None,
) -> Split:
    """Split a log by episode, or by group where it has groups (a group is never on both sides), at random or by time.

    Each part keeps the log's order, episode ids, horizon, number of actions and return range.

    Parameters
    ----------
    log : Dataset
    fractions : three numbers > 0 that sum to 1
        Shares of the episodes, or of the groups (whose sizes may differ), for train, selection and holdout.
    seed : int >= 0
        The same log, arguments and seed give the same split. Not used by ``by="time"``.
    by : "auto", "episode", "group" or "time"
        "auto" is "group" where the log has groups, else "episode". "episode" tears groups apart; the parts then say so
        in their notes. "time" gives the earliest episodes to train and the latest to holdout, by ``log.times``. What
        began at the same time stays together, so the parts are as near to the fractions as that allows. Groups stay
        whole there too: they are ordered by their first episode, and the parts say in their notes how many later
        episodes of an early group are studied although the holdout had begun.
    stratify : str, optional
        The name of a cost: the share of episodes (groups) with any event is as equal in the three parts as whole
        numbers allow. Or "return", unless a cost has that name: so are the shares of each fifth of the returns (of
        groups: of their mean returns).

    Raises
    ------
    InputError
        If an argument is not valid, the log lacks what it asks for, or a part would be empty.
    """
    shares = _check_fractions(fractions)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed: {seed!r} is not valid. Expected an integer of at least 0.")
    _check_by(log, by, stratify)
    of_episode, unit = _units(log, by)
    n = int(of_episode.max()) + 1
    counts = _counts(n, shares)
    if min(counts) == 0:
        part = Split._fields[counts.index(0)]
        enough = math.ceil(1 / min(shares) - 1e-9)
        raise InputError(
            f"{n:,} {unit} cannot be split into {shares}: the {part} part would be empty. "
            f"Log at least {enough:,} {unit}, or choose larger fractions."
        )
    if by == "time":
        part_of_unit = _by_time(log, of_episode, counts, unit)
    else:
        strata = np.zeros(n, np.int64) if stratify is None else _strata(log, stratify, of_episode, n)
        part_of_unit = _at_random(strata, counts, seed)
    part_of_episode: Array = part_of_unit[of_episode]
    parts = Split(*(log.select(part_of_episode == part) for part in range(3)))
    caveat = _caveat(log, by, part_of_episode)
    return Split(*(dataclasses.replace(part, notes=(*part.notes, caveat)) for part in parts)) if caveat else parts


def split_record(
    log: Dataset,
    parts: Split,
    *,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    seed: int = 0,
    by: By = "auto",
    stratify: str | None = None,
) -> dict[str, Any]:
    """Return what is needed to make a split again and to see that it is the same, JSON-ready; no identity is in it.

    Parameters
    ----------
    log, parts
        What was split, and what came of it.
    fractions, seed, by, stratify
        As they were given to `split`.

    Raises
    ------
    InputError
        If the parts are not a partition of the log's episodes.
    """
    ids = np.concatenate([np.asarray(part.episode_ids) for part in parts])
    if len(ids) != log.n_episodes or not np.array_equal(np.sort(ids), np.sort(log.episode_ids)):
        raise InputError(
            f"parts: their {len(ids):,} episodes are not the {log.n_episodes:,} of the log, each once. "
            "Pass the log that was split, and all that came of it."
        )
    return {
        "log": log.fingerprint,
        "fractions": [float(share) for share in fractions],
        "seed": int(seed),
        "by": by,
        "unit": "group" if log.groups is not None and by != "episode" else "episode",
        "stratify": stratify,
        "parts": {name: _part_record(part) for name, part in parts._asdict().items()},
    }


def reproduce_split(log: Dataset, record: Mapping[str, Any]) -> Split:
    """Split a log as a record of `split_record` says, and verify every fingerprint in it.

    Raises
    ------
    InputError
        If the log, or a part that came of it, is not the recorded one.
    """
    if log.fingerprint != record["log"]:
        raise InputError(
            f"log: its fingerprint {log.fingerprint[:12]}… is not the recorded {str(record['log'])[:12]}…. "
            "The split was made of another log, or of another state of this one."
        )
    low, mid, high = record["fractions"]
    parts = split(log, fractions=(low, mid, high), seed=record["seed"], by=record["by"], stratify=record["stratify"])
    for name, part in parts._asdict().items():
        if part.fingerprint != record["parts"][name]["fingerprint"]:
            raise InputError(
                f"split: the {name} part is not the recorded one, although the log is. "
                "It was made by another version of groundschool or of numpy; use the parts that were kept."
            )
    return parts


def _part_record(part: Dataset) -> dict[str, Any]:
    return {
        "fingerprint": part.fingerprint,
        "episodes": part.n_episodes,
        "steps": part.n_steps,
        "groups": None if part.groups is None else len(np.unique(part.groups)),
        "episodes_with_event": {name: int((part.cost_sums(name) > 0).sum()) for name in part.costs},
    }


def _check_by(log: Dataset, by: object, stratify: object) -> None:
    if by not in get_args(By):
        hint = suggest(by, get_args(By)) if isinstance(by, str) else ""
        raise InputError(f"by: {by!r} is not valid. Expected one of {', '.join(map(repr, get_args(By)))}.{hint}")
    if by == "group" and log.groups is None:
        raise InputError(
            'by="group": the log has no groups. Name the column that holds them (gs.Columns(group=...)), or split '
            'by="episode".'
        )
    if by == "time" and log.times is None:
        raise InputError(
            'by="time": the log does not say when its episodes began. Name the column that does '
            "(gs.Columns(time=...)), or pass times= to Dataset.from_arrays."
        )
    if stratify is None:
        return
    if by == "time":
        raise InputError(
            f'stratify={stratify!r}: a split by="time" leaves nothing to balance, the dates alone decide where each '
            "episode goes. Leave out one of the two."
        )
    if not isinstance(stratify, str) or (stratify not in log.costs and stratify != "return"):
        known = [*log.costs, "return"]
        hint = suggest(stratify, known) if isinstance(stratify, str) else ""
        raise InputError(f"stratify: {stratify!r} is not one of {', '.join(map(repr, known))}.{hint}")


def _units(log: Dataset, by: str) -> tuple[Array, str]:
    """Return the unit, by number, that each episode belongs to, and what units are called."""
    if log.groups is None or by == "episode":
        return np.arange(log.n_episodes), "episodes"
    return np.unique(log.groups, return_inverse=True)[1], "groups"


def _at_random(strata: Array, counts: list[int], seed: int) -> Array:
    """Return the part of each unit: a random order, dealt out stratum by stratum."""
    order = np.random.default_rng(seed).permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    table = _table(np.bincount(strata), np.array(counts))
    parts = np.empty(len(strata), np.int64)
    parts[order] = np.repeat(np.tile(np.arange(3), len(table)), table.reshape(-1))
    return parts


def _table(sizes: Array, counts: Array) -> Array:
    """Return how many units of each stratum (S,) go to each part (3,): (S, 3), with exactly these sums.

    Every entry is within one of its proportional share, which is always possible (controlled rounding: Bacharach 1966,
    doi:10.1287/mnsc.12.9.732); of all such tables it is the one whose shares are the most equal, by chi-square.
    """
    exact = np.outer(sizes, counts) / counts.sum()
    floor = np.floor(exact + 1e-9).astype(np.int64)
    missing = sizes - floor.sum(axis=1)
    rows = [[np.isin(np.arange(3), up) for up in itertools.combinations(range(3), int(m))] for m in missing]
    tables = np.array(list(itertools.product(*rows)), dtype=np.int64) + floor
    tables = tables[(tables.sum(axis=1) == counts).all(axis=1)]
    distance = ((tables - exact) ** 2 / np.maximum(exact, 1e-12)).sum(axis=(1, 2))
    best: Array = tables[int(np.argmin(distance))]
    return best


def _strata(log: Dataset, stratify: str, of_episode: Array, n: int) -> Array:
    """Return the stratum of each unit, numbered without gaps."""
    if stratify in log.costs:
        events = np.bincount(of_episode, weights=log.cost_sums(stratify) > 0, minlength=n)
        strata = (events > 0).astype(np.int64)
    else:
        means = np.bincount(of_episode, weights=log.returns, minlength=n) / np.bincount(of_episode, minlength=n)
        edges = np.quantile(means, np.arange(1, _RETURN_STRATA) / _RETURN_STRATA)
        strata = np.searchsorted(edges, means, side="left")
    compact: Array = np.unique(strata, return_inverse=True)[1]
    return compact


def _by_time(log: Dataset, of_episode: Array, counts: list[int], unit: str) -> Array:
    """Return the part of each unit, in order of the time of its first episode; equal times stay together."""
    assert log.times is not None
    order = np.argsort(of_episode, kind="stable")
    first = np.flatnonzero(np.diff(of_episode[order], prepend=-1))
    begun = np.minimum.reduceat(log.times[order], first)
    moments, moment_of_unit, sizes = np.unique(begun, return_inverse=True, return_counts=True)
    if len(moments) < 3:
        raise InputError(
            f'by="time": the {len(begun):,} {unit} began at {len(moments)} different times, and what began together '
            'stays together. Three parts need three times: give finer ones, or split by="auto".'
        )
    early, late = _cuts(np.cumsum(sizes)[:-1], counts[0], counts[0] + counts[1])
    part_of_moment = np.searchsorted([early, late], np.arange(len(moments)), side="right")
    parts: Array = part_of_moment[moment_of_unit]
    return parts


def _cuts(ends: Array, early: int, late: int) -> tuple[int, int]:
    """Return after how many moments to cut, twice: where the units so far, `ends`, come nearest to the two targets."""
    i, j = int(np.argmin(np.abs(ends - early))), int(np.argmin(np.abs(ends - late)))
    if i == j:
        pairs = [(k, k + 1) for k in (i - 1, i) if k >= 0 and k + 1 < len(ends)]
        i, j = min(pairs, key=lambda pair: abs(int(ends[pair[0]]) - early) + abs(int(ends[pair[1]]) - late))
    return i + 1, j + 1


def _caveat(log: Dataset, by: str, part: Array) -> str:
    """Return what a reader of results must know about the parts; empty in the usual case."""
    if log.groups is None:
        return ""
    if by == "episode":
        _, group = np.unique(log.groups, return_inverse=True)
        torn = int((np.bincount(np.unique(group * 3 + part) // 3) > 1).sum())
        if torn:
            return f"Split by episode although the log has groups: {torn:,} groups are in more than one part."
    if by == "time":
        assert log.times is not None
        late = int((log.times[part != 2] >= log.times[part == 2].min()).sum())
        if late:
            return (
                f"Split by time with groups kept whole: {late:,} episodes outside the holdout began when the holdout "
                "had begun, as later episodes of earlier groups."
            )
    return ""


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
