"""What columns look like: the words of their names, and the first rows of their values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from groundschool.data.source import Source
from groundschool.data.validation import Array
from groundschool.errors import InputError

ROWS, LIST_ROWS = 20_000, 200

# The names that a role goes by, the surest first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "episode": (
        "episode", "episode_id", "episode_index", "episodes", "eps_id", "ep_id", "ep", "eps", "mdp_id",
        "trajectory", "trajectory_id", "traj", "traj_id", "rollout", "rollout_id", "stay", "stay_id", "icustay",
        "icustay_id", "hadm_id", "admission", "admission_id", "encounter", "encounter_id", "visit", "visit_id",
        "session", "session_id", "trip_id",
    ),
    "step": (
        "step", "t", "timestep", "time_step", "step_id", "step_index", "episode_step", "sequence_number", "tick",
        "hour", "day", "minute", "bloc", "time",
    ),
    "reward": ("reward", "rewards", "rew", "r"),
    "action": ("action", "actions", "act", "acts", "a", "action_index", "action_id"),
    "terminated": (
        "terminated", "terminateds", "terminal", "terminals", "termination", "terminations", "is_terminal",
        "is_terminated",
    ),
    "truncated": (
        "truncated", "truncateds", "truncation", "truncations", "is_truncated", "timeout", "timeouts", "timed_out",
        "time_limit", "censored",
    ),
    "done": (
        "done", "dones", "is_done", "is_last", "last", "end", "ended", "episode_end", "episode_terminals", "final",
    ),
    "first": ("is_first", "first", "episode_start", "start"),
    "group": (
        "group", "group_id", "patient", "patient_id", "subject", "subject_id", "user", "user_id", "person",
        "person_id", "customer", "customer_id", "client_id", "participant", "participant_id", "machine_id",
        "device_id", "robot_id",
    ),
    "time": ("timestamp", "time_stamp", "datetime", "date", "charttime", "time", "ts", "start_time", "recorded_at"),
    "mask": (
        "action_mask", "action_masks", "mask", "possible_actions", "possible_actions_mask", "allowed",
        "legal_actions",
    ),
    "observations": (
        "observation", "observations", "obs", "state", "states", "state_features", "features", "feature", "x",
        "context",
    ),
    "next_observations": (
        "next_observation", "next_observations", "next_obs", "new_obs", "next_state", "next_states",
        "next_state_features", "obs_next",
    ),
}  # fmt: skip
# Words within a name.
PROBABILITY = frozenset({"prob", "probs", "probability", "propensity", "propensities", "pscore"})
LOGARITHM = frozenset({"log", "logp", "logprob", "logpropensity", "logit"})
PROPENSITY = ("p", "pi", "pi_b", "mu", "logp", "action_logp", "log_prob", "logprob", "action_logprob", "pscore")
COST = frozenset(
    {
        "cost",
        "costs",
        "hazard",
        "hazards",
        "violation",
        "violations",
        "unsafe",
        "collision",
        "collisions",
        "crash",
        "harm",
    }
)
IDENTITY = frozenset({"id", "ids", "uuid", "guid", "uid", "unnamed", "row", "index", "idx", "hash"})
BEFORE = frozenset({"before", "previous", "prev", "last"})
AFTERWARDS = frozenset({"return", "returns", "rtg", "advantage", "advantages", "next", "new"})


@dataclass(frozen=True)
class Sample:
    """The first rows of a source.

    Attributes
    ----------
    columns : mapping from name to array
        (n,) each; of list columns `LIST_ROWS` rows at most.
    kinds : mapping from name to kind
        As `Source.kinds`.
    n : int
        Rows looked at.
    whole : bool
        Whether that is all there are.
    remarks : mapping from name to sentence
        As `Source.remarks`.
    """

    columns: Mapping[str, Array]
    kinds: Mapping[str, str]
    n: int
    whole: bool
    remarks: Mapping[str, str] = field(default_factory=dict)

    def numeric(self, name: str) -> bool:
        """Whether a column holds numbers or flags, one a row."""
        return self.kinds[name] in ("integer", "number", "flag")

    def named(self, role: str, *, kinds: Sequence[str]) -> list[str]:
        """Return the columns whose name is one of a role's, of one of the kinds, the surest first."""
        words = NAMES[role]
        found = [name for name in self.columns if plain(name) in words and self.kinds[name] in kinds]
        return sorted(found, key=lambda name: words.index(plain(name)))


def look(source: Source, rows: int = ROWS) -> Sample:
    """Return the first rows of a source; InputError if it has none."""
    narrow = [name for name, kind in source.kinds.items() if kind not in ("list", "other")]
    wide = [name for name, kind in source.kinds.items() if kind == "list"]
    columns, n, whole = _first(source, narrow, rows) if narrow else ({}, 0, True)
    lists, n_lists, _ = _first(source, wide, LIST_ROWS) if wide else ({}, 0, True)
    if max(n, n_lists) == 0:
        raise InputError(f"{source.name}: holds no rows. Expected at least one.")
    held = columns | lists
    ordered = {name: held[name] for name in source.kinds if name in held}
    return Sample(ordered, dict(source.kinds), n or n_lists, whole, source.remarks)


def _first(source: Source, names: Sequence[str], rows: int) -> tuple[dict[str, Array], int, bool]:
    pieces: list[Mapping[str, Array]] = []
    n = 0
    for batch in source.batches(names):
        pieces.append(batch)
        n += len(batch[names[0]])
        if n > rows:
            break
    joined = {name: np.concatenate([piece[name] for piece in pieces])[:rows] for name in names if pieces}
    return joined, min(n, rows), n <= rows


def plain(name: str) -> str:
    """Return a name in lower case with underscores: ``epsID`` and ``eps-id`` are ``eps_id``."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")


def words(name: str) -> frozenset[str]:
    """Return the words of a name."""
    return frozenset(plain(name).split("_"))


def families(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the columns that are numbered parts of one thing, ``obs_0 obs_1``, in order, by its plain name."""
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*?)[ ._\[-]?(\d+)\]?", name)
        if match and plain(match[1]):
            found.setdefault(plain(match[1]), {})[int(match[2])] = name
    return {
        stem: [numbered[i] for i in sorted(numbered)]
        for stem, numbered in found.items()
        if len(numbered) > 1 and sorted(numbered) in (list(range(len(numbered))), list(range(1, len(numbered) + 1)))
    }


def blank(values: Array) -> Array:
    """Return where a column is blank, (n,) bool."""
    if values.dtype.kind == "O":
        return np.array([value is None for value in values.tolist()], np.bool_)
    missing: Array = np.isnat(values) if values.dtype.kind == "M" else values != values
    return missing


def seen(values: Array) -> Array:
    """Return the values that are not blank."""
    return values[~blank(values)]


def is_flag(values: Array) -> bool:
    """Whether every value that is there is 0 or 1."""
    there = seen(values)
    return len(there) > 0 and bool(((there == 0) | (there == 1)).all())


def starts(values: Array) -> Array:
    """Return where runs of equal values begin, from 0."""
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(values[1:] != values[:-1]) + 1])


def labels_runs(values: Array) -> bool:
    """Whether no value comes back after another one, and none is blank."""
    if blank(values).any():
        return False
    return len(np.unique(values.astype(np.str_) if values.dtype.kind == "O" else values)) == len(starts(values))


def rises_by_one(values: Array, begins: Array) -> bool:
    """Whether a column rises by one from each row to the next of its episode, and does so at all."""
    if values.dtype.kind not in "iuf" or len(values) == len(begins):
        return False
    within = np.ones(len(values), np.bool_)
    within[begins] = False
    return bool((np.diff(values)[within[1:]] == 1).all())


def rises(values: Array, begins: Array) -> bool:
    """Whether a column never falls within an episode."""
    within = np.ones(len(values), np.bool_)
    within[begins] = False
    return bool((values[1:] >= values[:-1])[within[1:]].all())


def span(values: Array) -> str:
    """Return ``61.2 to 401``, and how much is blank."""
    there = seen(values)
    if len(there) == 0:
        return "blank in every row looked at"
    low, high = there.min(), there.max()
    text = "0 or 1" if is_flag(values) else f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    share = 1 - len(there) / len(values)
    return text if share == 0 else f"{text}, blank in {share:.1%} of the rows"
