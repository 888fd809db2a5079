"""Labels of episodes, integers or text: their unique ids, and the groups they belong to."""

from __future__ import annotations

import numpy as np

from groundschool.data.validation import Array, as_array, check_length, check_ndim, own, refuse_rows, to_int64
from groundschool.errors import InputError


def check_labels(name: str, values: object, n_episodes: int) -> Array:
    """Return one label per episode, int64 or text (E,)."""
    raw = as_array(name, values, allow_objects=True)
    check_length(name, raw, n_episodes, "episode")
    return _labels(name, raw)


def check_groups(values: object, starts: Array) -> Array:
    """Return one group per episode (E,), from one per episode or one per row."""
    raw = as_array("groups", values, allow_objects=True)
    n_episodes, n_rows = len(starts) - 1, int(starts[-1])
    if raw.ndim != 1 or len(raw) not in (n_episodes, n_rows):
        raise InputError(
            f"groups: shape {raw.shape} for {n_episodes:,} episodes of {n_rows:,} rows. Pass one for each of either."
        )
    if len(raw) == n_episodes:
        return _labels("groups", raw)
    labels = _labels("groups", raw)
    first = labels[starts[:-1]]
    changed = labels != np.repeat(first, np.diff(starts))
    refuse_rows(changed, "groups", "different from the first row of their episode", "An episode belongs to one group.")
    return narrow(first)


def check_episode_ids(values: object, n_episodes: int) -> Array:
    """Return unique episode ids (E,), 0..E-1 when none are given."""
    if values is None:
        ids = np.arange(n_episodes, dtype=np.int64)
        ids.flags.writeable = False
        return ids
    ids = check_labels("episode_ids", values, n_episodes)
    order = np.argsort(ids, kind="stable")
    repeated = np.zeros(n_episodes, np.bool_)
    repeated[order[1:]] = ids[order[1:]] == ids[order[:-1]]
    if repeated.any():
        first = ids[int(np.argmax(repeated))].item()
        refuse_rows(
            repeated, "episode_ids", f"repeating an earlier id, {first!r}", "Give each its own id.", unit="episode"
        )
    return ids


def check_times(values: object, n_episodes: int) -> Array:
    """Return when each episode began (E,): int64, float64, or datetime64 in microseconds; blanks are refused."""
    raw = np.asarray(values)
    check_length("times", raw, n_episodes, "episode")
    check_ndim("times", raw, 1)
    if raw.dtype.kind == "M":
        refuse_rows(np.isnat(raw), "times", "blank", "Every episode began some time.", unit="episode")
        return own(raw.astype("datetime64[us]"), raw)
    raw = as_array("times", values)
    if raw.dtype.kind in "iu":
        return own(to_int64("times", raw), raw)
    if raw.dtype.kind != "f":
        raise InputError(f"times: dtype {raw.dtype} is not supported. Expected numbers or datetime64.")
    refuse_rows(~np.isfinite(raw), "times", "NaN or infinite", "Every episode began some time.", unit="episode")
    return own(raw.astype(np.float64), raw)


def narrow(labels: Array) -> Array:
    """Return labels read-only, text in the narrowest dtype that holds it, so that equal labels have equal dtypes."""
    if labels.dtype.kind == "U":
        width = int(np.strings.str_len(labels).max(initial=1))
        labels = labels.astype(f"<U{max(width, 1)}")
    labels.flags.writeable = False
    return labels


def _labels(name: str, raw: Array) -> Array:
    check_ndim(name, raw, 1)
    if raw.dtype.kind == "O":
        kinds = {type(value) for value in raw.tolist()}
        if all(issubclass(k, str) for k in kinds) or all(
            issubclass(k, int | np.integer) and k is not bool for k in kinds
        ):
            raw = np.array(raw.tolist())
    if raw.dtype.kind in "iu":
        return narrow(own(to_int64(name, raw), raw))
    if raw.dtype.kind not in "UT":
        raise InputError(f"{name}: dtype {raw.dtype} is not supported. Expected integers or text, all of one kind.")
    text = raw.astype(np.str_)
    points = text.view(np.uint32).reshape(len(text), -1)
    refuse_rows((points >= 0xD800) & (points < 0xE000), name, "not valid Unicode text", "Decode them properly first.")
    return narrow(text)
