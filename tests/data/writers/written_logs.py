"""Logs of every kind for the writers: those of `random_logs`, and what that leaves out."""

import numpy as np
from hypothesis import strategies as st

from data.random_logs import arrays
from groundschool.data import Dataset, Feature

IMPUTED = [None, "mean", 0.5, -3]


@st.composite
def logs(draw):
    """Return a dataset with, perhaps, times, features, labels of actions and notes."""
    given_ = draw(arrays())
    ends = given_["terminated"] | given_["truncated"]
    n_episodes = int(ends.sum())
    width = int(np.prod(given_["observations"].shape[1:]))
    kind = draw(st.sampled_from([None, "int64", "float64", "datetime64[us]"]))
    if kind is not None:
        count = st.integers(-(2**40), 2**40)
        given_["times"] = np.array(draw(st.lists(count, min_size=n_episodes, max_size=n_episodes))).astype(kind)
    if draw(st.booleans()):
        names = [f"x {i}" for i in range(width)]
        given_["features"] = [Feature(name, impute=draw(st.sampled_from(IMPUTED))) for name in names]
    if given_["actions"].ndim == 1 and draw(st.booleans()):
        given_["action_labels"] = ["none", "little", "a, lot", "ö"]
    if "final_observations" in given_ and "final_action_masks" not in given_ and draw(st.booleans()):
        unknown = draw(st.integers(0, n_episodes - 1))
        ids = given_["observations"].ndim == 1
        given_["final_observations"][unknown] = -1 if ids else np.nan
    if draw(st.booleans()):
        given_["notes"] = ["Something was done."]
    return Dataset.from_arrays(**given_)


def parts_of(log, count):
    """Yield a log in about `count` parts of whole episodes."""
    for chosen in np.array_split(np.arange(log.n_episodes), min(count, log.n_episodes)):
        yield log.select(chosen)


def small(**changes):
    """Return a log of three episodes, of two, one and two steps, that can be checked by hand."""
    given_ = {
        "observations": np.array([[0.0, 1], [2, 3], [4, 5], [6, np.nan], [8, 9]], np.float32),
        "actions": np.array([0, 1, 0, 1, 0]),
        "rewards": np.array([0.1, -0.0, 1e-30, 3.0, 4.0]),
        "terminated": np.array([0, 1, 0, 0, 0], bool),
        "truncated": np.array([0, 0, 1, 0, 1], bool),
        "costs": {"low": np.array([0.0, 1, 0, 0, 2])},
        "propensities": np.array([0.5, 0.25, 1, 1, 0.125]),
        "final_observations": np.array([[10, 11], [12, 13], [np.nan, np.nan]], np.float32),
        "groups": ["p", "p", "q"],
        "episode_ids": ["a", "b", "c"],
        "n_actions": 3,
    } | changes
    return Dataset.from_arrays(**{name: value for name, value in given_.items() if value is not None})
