"""Checks of the arrays a log is made of: each error says what is wrong, where, and what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from groundschool.errors import InputError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def as_array(name: str, values: object, *, allow_objects: bool = False) -> Array:
    """Return `values` as an array of numbers, flags or text; ragged, masked, complex and object input is refused."""
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(
            f"{name}: masked arrays are not read, their mask would be lost. Fill or exclude those rows first."
        )
    try:
        array: Array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name}: not a rectangular array ({error}). Pass one entry a row, all of one shape."
        ) from None
    if array.dtype.kind not in ("biufUTO" if allow_objects else "biuf"):
        raise InputError(
            f"{name}: dtype {array.dtype} is not supported. Expected real numbers; convert it first, e.g. with astype."
        )
    return array


def own(array: Array, raw: Array) -> Array:
    """Return `array` contiguous and read-only, copied where whoever passed `raw` could still write to it."""
    array = np.ascontiguousarray(array)
    if np.may_share_memory(array, raw) and _writable_somewhere(raw):
        array = array.copy()
    array.flags.writeable = False
    return array


def refuse_rows(bad: Array, name: str, what: str, expected: str, *, unit: str = "row") -> None:
    """Raise InputError with the count and the first row when any entry of `bad` (n, ...) is set."""
    if not bad.any():
        return
    rows = np.flatnonzero(bad if bad.ndim == 1 else bad.reshape(len(bad), -1).any(axis=1))
    verb = "is" if len(rows) == 1 else "are"
    count = f"{len(rows):,} of {len(bad):,} {unit}s"
    raise InputError(f"{name}: {count} {verb} {what} (first at {unit} {rows[0]}). {expected}".rstrip())


def check_length(name: str, array: Array, expected: int, unit: str) -> None:
    """Raise InputError unless `array` has `expected` entries on its first axis."""
    if array.ndim == 0 or len(array) != expected:
        found = "a single value" if array.ndim == 0 else f"{len(array):,} entries"
        raise InputError(f"{name}: {found} for {expected:,} {unit}s. Pass exactly one entry per {unit}.")


def check_observations(values: object) -> Array:
    """Return observations as float (N, d...) or int64 state ids (N,); NaN passes, infinity does not."""
    raw = as_array("observations", values)
    if raw.ndim == 0 or len(raw) == 0:
        raise InputError("observations: the log is empty. Expected at least one row, which ends an episode.")
    array = _observation_dtype("observations", raw)
    if array.ndim == 1 and array.dtype.kind == "f":
        raise InputError(
            "observations: a one-dimensional float array is ambiguous. For one feature pass "
            "observations.reshape(-1, 1); for state ids pass integers, observations.astype(int)."
        )
    if 0 in array.shape:
        raise InputError(
            f"observations: shape {array.shape} holds no feature. Expected (N, d...) with d >= 1, or (N,) ids."
        )
    _check_observation_values("observations", array, "row")
    return own(array, raw)


def check_final_observations(values: object, observations: Array, n_episodes: int) -> Array:
    """Return final observations (E, d...) in the dtype of `observations`."""
    name = "final_observations"
    raw = as_array(name, values)
    check_length(name, raw, n_episodes, "episode")
    if raw.shape[1:] != observations.shape[1:]:
        raise InputError(f"{name}: each has shape {raw.shape[1:]}, but observations have {observations.shape[1:]}.")
    array = _observation_dtype(name, raw)
    if array.dtype.kind == "f":
        _check_observation_values(name, array, "episode")
    else:
        refuse_rows(array < -1, name, "below -1", "State ids count from 0; -1 stands for none.", unit="episode")
    if array.dtype != observations.dtype:
        cast = array.astype(observations.dtype)
        # Finite state ids and floats alike: only an exact cast is made for the caller.
        if not np.array_equal(cast.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"):
            raise InputError(
                f"{name}: dtype {array.dtype} does not fit in the observations' {observations.dtype} without loss. "
                "Give both the same dtype."
            )
        array = cast
    return own(array, raw)


def are_known(final_observations: Array) -> Array:
    """Return which final observations there are, (E,) bool: NaN throughout, or the state id -1, stands for none."""
    finals = final_observations.reshape(len(final_observations), -1)
    blank = np.isnan(finals) if finals.dtype.kind == "f" else finals < 0
    return np.logical_not(blank.all(axis=1))


def check_actions(values: object, n_rows: int) -> Array:
    """Return actions as int64 (N,) or float (N, k)."""
    raw = as_array("actions", values)
    check_length("actions", raw, n_rows, "row")
    if raw.dtype.kind == "f" and raw.ndim == 1:
        whole = bool(np.all(raw == np.floor(raw)))
        found = "whole numbers stored as floats" if whole else "one-dimensional floats"
        advice = "For discrete actions pass actions.astype(int); for one continuous action pass actions.reshape(-1, 1)."
        raise InputError(f"actions: {found} ({raw.dtype}) are ambiguous. {advice}")
    if raw.dtype.kind == "f" and raw.ndim == 2 and raw.shape[1] > 0:
        array = raw.astype(_float_dtype("actions", raw), copy=False)
        refuse_rows(~np.isfinite(array), "actions", "NaN or infinite", "Continuous actions must be finite.")
        return own(array, raw)
    if raw.dtype.kind not in "iu" or raw.ndim != 1:
        raise InputError(
            f"actions: shape {raw.shape} of {raw.dtype} is not supported. Expected integers (N,), or floats (N, k) for "
            "continuous actions."
        )
    refuse_rows(raw < 0, "actions", "negative", "Actions count from 0.")
    return own(to_int64("actions", raw), raw)


def check_action_count(actions: Array, n_actions: object, masks: Array | None) -> int | None:
    """Return the number of discrete actions: declared, or the masks' width, or (a guess) the largest logged plus 1."""
    if actions.ndim == 2:
        if n_actions is not None or masks is not None:
            given = "n_actions" if n_actions is not None else "action_masks"
            raise InputError(
                f"{given}: only discrete actions are counted and masked, these are floats {actions.shape}. Omit it."
            )
        return None
    width = None if masks is None else int(masks.shape[1])
    largest = int(actions.max())
    count = (largest + 1 if width is None else width) if n_actions is None else positive_int("n_actions", n_actions)
    if width is not None and width != count:
        raise InputError(f"action_masks: {width} columns for n_actions={count}. Expected one column per action.")
    if largest >= count:
        source = "n_actions" if n_actions is not None else "the width of action_masks"
        refuse_rows(actions >= count, "actions", f"outside 0..{count - 1}", f"Raise {source}, or correct those rows.")
    if masks is not None:
        refused = ~np.take_along_axis(masks, actions[:, None], axis=1)[:, 0]
        refuse_rows(refused, "action_masks", "refusing the logged action", "What was done was allowed.")
    return count


def check_action_labels(labels: object, actions: Array, n_actions: object) -> tuple[str, ...]:
    """Return the names of discrete actions: distinct texts, as many as there are actions."""
    if actions.ndim == 2:
        raise InputError("action_labels: only discrete actions are named, these are floats. Omit it.")
    valid = isinstance(labels, Sequence) and not isinstance(labels, str)
    names: tuple[Any, ...] = tuple(labels) if valid else ()  # type: ignore[arg-type]
    if not names or any(not isinstance(name, str) or not name for name in names) or len(set(names)) != len(names):
        raise InputError(f"action_labels: {labels!r} is not valid. Expected distinct texts, one per action.")
    if n_actions is not None and n_actions != len(names):
        raise InputError(f"action_labels: {len(names)} for n_actions={n_actions}. Expected one per action.")
    return names


def check_flags(name: str, values: object, n_rows: int) -> Array:
    """Return end flags as bool (N,); numbers pass when all are 0 or 1."""
    raw = as_array(name, values)
    check_length(name, raw, n_rows, "row")
    check_ndim(name, raw, 1)
    if raw.dtype.kind != "b":
        refuse_rows((raw != 0) & (raw != 1), name, "neither 0 nor 1", "Expected flags: True, False, 1 or 0.")
    return own(raw.astype(np.bool_, copy=False), raw)


def episode_starts(terminated: Array, truncated: Array) -> Array:
    """Return the offsets (E + 1,) of the episodes: one ends wherever either flag is set."""
    n = len(terminated)
    ends = np.flatnonzero(terminated | truncated) + 1
    advice = "Set truncated on the last row if the log simply stops there, or leave those rows out."
    if len(ends) == 0:
        raise InputError(f"no row ends an episode: {n:,} rows without an end flag (first at row 0). {advice}")
    left = n - int(ends[-1])
    if left:
        rows = "row follows" if left == 1 else "rows follow"
        raise InputError(
            f"the last row must end an episode: {left:,} {rows} the last end flag (first at row {ends[-1]}). {advice}"
        )
    starts = np.concatenate([np.zeros(1, np.int64), ends.astype(np.int64)])
    starts.flags.writeable = False
    return starts


def check_numbers(name: str, values: object, n_rows: int) -> Array:
    """Return finite float64 (N,)."""
    raw = as_array(name, values)
    check_length(name, raw, n_rows, "row")
    check_ndim(name, raw, 1)
    array = raw.astype(np.float64, copy=False)
    refuse_rows(~np.isfinite(array), name, "NaN or infinite", "Correct or exclude those episodes.")
    return own(array, raw)


def check_sums(name: str, values: Array, starts: Array) -> Array:
    """Return the sum of `values` over each episode, (E,), refused where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums: Array = np.add.reduceat(values, starts[:-1])
    what = "too large to add up over the episode"
    refuse_rows(~np.isfinite(sums), name, what, "Expected numbers in a sensible unit.", unit="episode")
    return sums


def check_costs(costs: object, n_rows: int) -> dict[str, Array]:
    """Return the named costs, each finite float64 (N,) and >= 0."""
    if costs is None:
        return {}
    if not isinstance(costs, Mapping):
        raise InputError(f"costs: expected a mapping from name to (N,) array, got {type(costs).__name__}.")
    checked = {}
    for name, values in costs.items():
        if not isinstance(name, str) or not name or not name.isprintable():
            raise InputError(f"costs: {name!r} is not a usable name. Expected non-empty printable text.")
        column = f"costs[{name!r}]"
        checked[name] = check_numbers(column, values, n_rows)
        refuse_rows(checked[name] < 0, column, "negative", "Costs must be finite and >= 0: zero means no harm.")
    return checked


def check_propensities(values: object, n_rows: int, *, discrete: bool) -> Array:
    """Return propensities (N,): in (0, 1] for discrete actions, densities > 0 for continuous ones."""
    array = check_numbers("propensities", values, n_rows)
    meaning = "A propensity is the behavior policy's probability of the action it logged"
    if discrete:
        refuse_rows((array <= 0) | (array > 1), "propensities", "outside (0, 1]", f"{meaning}.")
    else:
        refuse_rows(array <= 0, "propensities", "not above 0", f"{meaning}: for continuous actions its density.")
    return array


def check_masks(name: str, values: object, n: int, unit: str, *, needed: Array | None = None) -> Array:
    """Return masks bool (n, A); every row, or every row that is `needed`, allows some action."""
    raw = as_array(name, values)
    if raw.dtype.kind != "b":
        raise InputError(
            f"{name}: dtype {raw.dtype}, expected bool (True where an action is allowed). Use astype(bool)."
        )
    check_length(name, raw, n, unit)
    if raw.ndim != 2 or raw.shape[1] == 0:
        raise InputError(f"{name}: shape {raw.shape}, expected ({n:,}, number of actions).")
    empty = np.asarray(~raw.any(axis=1))
    bad = empty if needed is None else empty & needed
    refuse_rows(bad, name, "without any allowed action", "Allow at least one.", unit=unit)
    return own(raw, raw)


def check_horizon(horizon: object, starts: Array) -> int:
    """Return the horizon, the longest episode when none is declared."""
    lengths = np.diff(starts)
    longest = int(lengths.max())
    if horizon is None:
        return longest
    declared = positive_int("horizon", horizon)
    if declared < longest:
        what = f"longer than horizon={declared} (the longest has {longest} steps)"
        refuse_rows(lengths > declared, "horizon", what, "Declare a longer one, or leave it out.", unit="episode")
    return declared


def check_return_range(return_range: object, returns: Array) -> tuple[float, float] | None:
    """Return the declared (low, high) of an episode's undiscounted return, which every logged one must respect."""
    if return_range is None:
        return None
    try:
        low, high = (float(bound) for bound in return_range)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InputError(f"return_range: {return_range!r} is not a pair of numbers. Expected (low, high).") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"return_range: ({low}, {high}) is not a range. Expected finite numbers, low < high.")
    slack = 1e-9 * max(1.0, abs(low), abs(high))  # sums of rewards carry rounding
    outside = (returns < low - slack) | (returns > high + slack)
    what = f"outside the declared return range ({low:g}, {high:g})"
    refuse_rows(outside, "return_range", what, "Declare what is possible, not what is usual.", unit="episode")
    return low, high


def positive_int(name: str, value: object) -> int:
    """Return `value` as an int >= 1."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name}: {value!r} is not valid. Expected an integer of at least 1.")
    return int(value)


def check_ndim(name: str, array: Array, ndim: int) -> None:
    """Raise InputError unless `array` has `ndim` axes."""
    if array.ndim != ndim:
        raise InputError(f"{name}: shape {array.shape}, expected ({len(array):,},). Flatten it, e.g. with reshape(-1).")


def _float_dtype(name: str, array: Array) -> Any:
    if array.dtype.itemsize > 8:
        raise InputError(f"{name}: dtype {array.dtype} is not supported. Expected float32 or float64.")
    return np.float64 if array.dtype.itemsize == 8 else np.float32


def _observation_dtype(name: str, raw: Array) -> Array:
    """Keep float32 and float64, make ids int64, and turn integer features into floats that hold them exactly."""
    if raw.dtype.kind == "f":
        return raw.astype(_float_dtype(name, raw), copy=False)
    if raw.ndim == 1:
        if raw.dtype.kind == "b":
            raise InputError(
                f"{name}: a one-dimensional bool array. For state ids pass integers; for a feature, (N, 1)."
            )
        return to_int64(name, raw)
    array = raw.astype(np.result_type(raw.dtype, np.float32))
    if raw.dtype.itemsize == 8:
        large = (raw > 2**53) | (raw < -(2**53)) if raw.dtype.kind == "i" else raw > 2**53
        refuse_rows(large, name, "beyond 2**53 in size", "Features are floats and cannot hold them exactly.")
    return array


def _check_observation_values(name: str, array: Array, unit: str) -> None:
    if array.dtype.kind == "f":
        refuse_rows(np.isinf(array), name, "infinite", "Only NaN may stand for a missing value.", unit=unit)
    else:
        refuse_rows(array < 0, name, "negative state ids", "State ids count from 0.", unit=unit)


def to_int64(name: str, raw: Array) -> Array:
    """Return integers as int64, refusing those that do not fit."""
    if raw.dtype.kind == "u" and raw.dtype.itemsize == 8:
        refuse_rows(raw > np.iinfo(np.int64).max, name, "above 2**63 - 1", "Expected values that fit int64.")
    return raw.astype(np.int64, copy=False)


def _writable_somewhere(array: Array) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return True
        base = base.base
    return False
