"""Hypothesis strategy for logs of every kind: dtypes, ids, groups, ends and optional columns."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from groundschool.data import Dataset

SPECIAL = np.array([0.0, -0.0, np.nan, -1.5, 3.25, 1e-30])
SHAPES = [("float32", (2,)), ("float64", (1,)), ("float32", (2, 3)), ("int64", ())]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


@st.composite
def arrays(draw, max_episodes=7):
    """Arguments of Dataset.from_arrays, as a dict."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=max_episodes))
    n_episodes, n = len(lengths), sum(lengths)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ends = draw(
        st.lists(st.sampled_from(["terminated", "truncated", "both"]), min_size=n_episodes, max_size=n_episodes)
    )
    terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
    last = np.cumsum(lengths) - 1
    terminated[last] = [end != "truncated" for end in ends]
    truncated[last] = [end != "terminated" for end in ends]
    dtype, shape = draw(st.sampled_from(SHAPES))

    def observe(count):
        if dtype == "int64":
            return rng.integers(0, 9, count)
        return rng.choice(SPECIAL, (count, *shape)).astype(dtype)

    discrete = draw(st.booleans())
    out = {
        "observations": observe(n),
        "actions": rng.integers(0, 3, n) if discrete else rng.normal(size=(n, 2)).astype("float32"),
        "rewards": rng.choice(SPECIAL[np.isfinite(SPECIAL)], n),
        "terminated": terminated,
        "truncated": truncated,
        "costs": {name: rng.random(n) for name in draw(st.sampled_from([[], ["hypo"], ["z.b", "a c"]]))},
        "horizon": draw(st.sampled_from([None, 9])),
        "return_range": draw(st.sampled_from([None, (-50.0, 50.1)])),
        "n_actions": 4 if discrete else None,
    }
    if draw(st.booleans()):
        out["propensities"] = 1 - rng.random(n)
    if draw(st.booleans()):
        out["final_observations"] = observe(n_episodes)
    if discrete and draw(st.booleans()):
        masks = rng.random((n, 4)) < 0.5
        masks[np.arange(n), out["actions"]] = True
        out["action_masks"] = masks
        if draw(st.booleans()):
            finals = rng.random((n_episodes, 4)) < 0.5
            finals[:, 0] |= ~terminated[last]
            out["final_action_masks"] = finals
    for name, unique in (("episode_ids", True), ("groups", False)):
        kind = draw(st.sampled_from([None, TEXT, st.integers(-(2**63), 2**63 - 1)]))
        if kind is not None:
            out[name] = draw(st.lists(kind, min_size=n_episodes, max_size=n_episodes, unique=unique))
    return out


def logs(max_episodes=7):
    """Whole datasets."""
    return arrays(max_episodes=max_episodes).map(lambda out: Dataset.from_arrays(**out))


COLUMNS = (
    "observations",
    "actions",
    "rewards",
    "terminated",
    "truncated",
    "propensities",
    "action_masks",
    "final_observations",
    "final_action_masks",
    "groups",
    "episode_ids",
    "starts",
)


def assert_identical(one: Dataset, other: Dataset) -> None:
    """Every column has the same dtype, shape and bits, and every declaration the same value."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in COLUMNS}
    assert list(one.costs) == list(other.costs)
    pairs |= {name: (one.costs[name], other.costs[name]) for name in one.costs}
    for name, (a, b) in pairs.items():
        assert (a is None) == (b is None), name
        if a is not None:
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), name
    for name in ("n_actions", "horizon", "return_range"):
        assert getattr(one, name) == getattr(other, name), name
