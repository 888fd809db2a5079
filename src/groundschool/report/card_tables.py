"""What a card of a log tells in figures: ranges without extremes, rates with intervals, nothing of a few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from groundschool.data.coverage import SMALL_CELL
from groundschool.data.raw import RawLog
from groundschool.evaluation.intervals import clopper_pearson, mean_t
from groundschool.report.markdown import escaped, gap, table
from groundschool.report.words import estimate, number, percent, rate

MOST_LISTED = 100
WITHHELD = "withheld"


def sizes(raw: RawLog, fingerprint: str) -> Iterator[tuple[str, str]]:
    """Return how much there is of what."""
    yield "Episodes", number(raw.n_episodes)
    yield "Rows", number(raw.n_rows)
    if raw.n_episodes:
        yield "Rows an episode", _spread(raw.lengths)
        yield "Horizon, rows", "not declared" if raw.horizon is None else number(raw.horizon)
    shape = raw.observations.shape[1:]
    yield "Observation", " × ".join(map(str, shape)) + " numbers" if shape else "state ids"
    kinds = f"{number(_n_actions(raw))} discrete" if raw.is_discrete else f"{raw.actions.shape[1]} continuous numbers"
    yield "Actions", kinds
    yield "Propensities", "recorded" if raw.propensities is not None else "not recorded"
    yield "Action masks", "recorded" if raw.action_masks is not None else "not recorded"
    yield "Observation after the last action", "recorded" if raw.final_observations is not None else "not recorded"
    yield "Declared range of returns", _range(raw.return_range)
    yield "Fingerprint (SHA-256)", f"`{fingerprint}`" if fingerprint else "not known"


def observations(raw: RawLog, hidden: Mapping[str, str]) -> Iterator[str]:
    """Return a table of the numbers of an observation, those of `hidden` without values."""
    if not raw.n_rows:
        return
    if raw.observations.ndim == 1:
        ids = raw.observations[raw.observations >= 0]
        yield f"State ids: {number(len(np.unique(ids)))} distinct ones occur."
        return
    flat = raw.observations.reshape(raw.n_rows, -1)
    names = raw.feature_names()
    rows = []
    for i, name in enumerate(names[:MOST_LISTED]):
        column = flat[:, i]
        finite = column[np.isfinite(column)]
        ranges = (WITHHELD,) * 3 if name in hidden else _quantiles(finite)
        blank = _small(raw, raw.n_rows - len(finite))
        rows.append((escaped(name), blank, *ranges, _treatment(raw, i)))
    yield table(("Feature", "Blank rows", "1st percentile", "Median", "99th percentile", "Blanks are"), rows)
    if len(names) > MOST_LISTED:
        yield f"And {number(len(names) - MOST_LISTED)} more numbers, not listed."


def _treatment(raw: RawLog, i: int) -> str:
    if raw.features is None:
        return "left blank"
    feature = raw.features[i]
    if feature.indicator_of is not None:
        return f"marks blanks of {escaped(feature.indicator_of)}"
    done = ["filled with the last value seen"] if feature.forward_fill else []
    if feature.impute is not None:
        done.append(
            f"replaced by the {feature.impute}"
            if isinstance(feature.impute, str)
            else f"replaced by {feature.impute:g}"
        )
    return ", then ".join(done) or "left blank"


def actions(raw: RawLog) -> Iterator[str]:
    """Return a table of the actions."""
    if not raw.is_discrete:
        columns = raw.actions.T[:MOST_LISTED]
        ranges = [(f"action {i}", *_quantiles(column[np.isfinite(column)])) for i, column in enumerate(columns)]
        yield table(("Number", "1st percentile", "Median", "99th percentile"), ranges)
        return
    values, counts = np.unique(raw.actions, return_counts=True)
    taken = dict(zip(values.tolist(), counts.tolist(), strict=True))
    labels = raw.action_labels or ()
    shown = range(min(_n_actions(raw), MOST_LISTED))
    times = [taken.get(i, 0) for i in shown]
    few = [count for count in times if _is_small(raw, count)]
    # One count left out is the rest of the others: the next smallest goes too.
    untold = min((count for count in times if count >= SMALL_CELL), default=0) if len(few) == 1 else 0
    rows = []
    for i, count in enumerate(times):
        told = (_small(raw, count), "") if _is_small(raw, count) else (number(count), percent(count / raw.n_rows))
        told = (WITHHELD, "") if count and count == untold else told
        rows.append((str(i), escaped(labels[i]) if i < len(labels) else "", *told))
    yield table(("Action", "Meaning", "Rows", "Share"), rows)
    if not labels:
        yield gap("what each action means")
    if _n_actions(raw) > len(shown):
        yield f"And {number(_n_actions(raw) - len(shown))} more actions, not listed."


def outcomes(raw: RawLog) -> Iterator[tuple[str, str, str]]:
    """Return quantity, value and method of returns, costs and ends."""
    n = raw.n_episodes
    if not n:
        return
    returns = np.add.reduceat(raw.rewards, raw.starts[:-1])
    finite = returns[np.isfinite(returns)]
    if len(finite):
        mean = mean_t(finite)
        yield "Return of an episode, mean", estimate(mean.to_json()), f"{mean.method}, {mean.assurance}"
        yield "Return of an episode", _spread(finite), ""
    for name, cost in raw.costs.items():
        events = int(np.count_nonzero(np.maximum.reduceat(np.nan_to_num(cost), raw.starts[:-1]) > 0))
        yield f"Any cost “{escaped(name)}”, of episodes", *_rate(raw, events)
        if blanks := int(np.isnan(cost).sum()):
            yield f"Cost “{escaped(name)}” blank", f"in {_small(raw, blanks)} of the rows", ""
    last = raw.starts[1:] - 1
    terminated, truncated = raw.terminated[last], raw.truncated[last]
    ends = {
        "Terminated (the process ended), of episodes": terminated,
        "Truncated (recording stopped), of episodes": truncated & ~terminated,
        "Without an end flag, of episodes": ~(terminated | truncated),
    }
    for name, ended in ends.items():
        if ended.any() or not name.startswith("Without"):
            yield name, *_rate(raw, int(ended.sum()))


def _rate(raw: RawLog, events: int) -> tuple[str, str]:
    # What is rare among the others would give itself away from the other side.
    if _is_small(raw, events) or _is_small(raw, raw.n_episodes - events):
        few = f"fewer than {SMALL_CELL} episodes"
        return (few if _is_small(raw, events) else f"all but {few}"), ""
    interval = clopper_pearson(events, raw.n_episodes)
    return f"{rate(interval.to_json())}, {number(events)} episodes", f"{interval.method}, {interval.assurance}"


def _quantiles(values: np.ndarray) -> tuple[str, str, str]:
    """Return the 1st percentile, the median and the 99th as text, at least ten values beyond either end."""
    n = len(values)
    beyond = max(n // 100, SMALL_CELL - 1)
    if n < 4 * beyond:
        return (WITHHELD,) * 3
    ordered = np.sort(values.astype(np.float64))
    low, middle, high = (_rounded(float(ordered[i])) for i in (beyond, n // 2, n - 1 - beyond))
    return low, middle, high


def _spread(values: np.ndarray) -> str:
    low, middle, high = _quantiles(values)
    if middle == WITHHELD:
        return f"{WITHHELD}: there are too few"
    return f"{low} to {high} (1st to 99th percentile), {middle} in the middle"


def _rounded(value: float) -> str:
    """Return a number to three digits: a person's own value is not to be told by its decimals."""
    rounded = float(f"{value:.3g}")
    plain = f"{rounded:,.10g}" if rounded == 0 or 1e-4 <= abs(rounded) < 1e6 else f"{rounded:.3g}"
    return plain.replace("-", "−")


def _is_small(raw: RawLog, count: int) -> bool:
    return raw.groups is not None and 0 < count < SMALL_CELL


def _small(raw: RawLog, count: int) -> str:
    return f"fewer than {SMALL_CELL}" if _is_small(raw, count) else number(count)


def _n_actions(raw: RawLog) -> int:
    masks = 0 if raw.action_masks is None else raw.action_masks.shape[1]
    return raw.n_actions or len(raw.action_labels or ()) or masks or int(raw.actions.max(initial=-1)) + 1


def _range(bounds: tuple[float, float] | None) -> str:
    return "none" if bounds is None else f"{bounds[0]:,g} to {bounds[1]:,g}".replace("-", "−")
