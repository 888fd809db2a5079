"""The Dataset: a log of whole episodes as flat, read-only columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from groundschool.data import labels
from groundschool.data import validation as check
from groundschool.data.features import Feature, check_features
from groundschool.data.validation import Array
from groundschool.errors import InputError, suggest

if TYPE_CHECKING:
    from groundschool.data.split import By, Split
    from groundschool.data.transitions import Transitions


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of T steps, as views of the log's columns; for looking at, not for computing with.

    ``terminated`` and ``truncated`` are the flags of the last step. What the log does not have is None.
    """

    id: int | str
    group: int | str | None
    observations: Array
    actions: Array
    rewards: Array
    costs: Mapping[str, Array]
    terminated: bool
    truncated: bool
    propensities: Array | None
    action_masks: Array | None
    final_observation: Array | np.generic | None
    final_action_mask: Array | None

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A log of E whole episodes in N rows, checked and read-only. Build one with `Dataset.from_arrays`.

    Attributes
    ----------
    observations : (N, d...) float32 or float64, or (N,) int64 state ids
        What was seen before the action of the row. NaN stands for a missing value; infinity is refused.
    actions : (N,) int64, or (N, k) float for continuous actions
    rewards : (N,) float64
        Consequence of the action of the same row, like the costs.
    terminated, truncated : (N,) bool
        The process ended here (bootstrap 0); we stopped looking here (bootstrap on). With both set, terminated wins.
    costs : mapping from name to (N,) float64, finite and >= 0
    propensities : (N,) float64 or None
        The behavior policy's probability of the logged action, in (0, 1]; its density for continuous actions.
    action_masks : (N, A) bool or None
        True where an action was allowed.
    final_observations : (E, d...) or None
        What was seen after the last action of each episode.
    final_action_masks : (E, A) bool or None
    groups : (E,) int64 or text, or None
        The unit that must stay on one side of a split, such as a patient.
    episode_ids : (E,) int64 or text, unique
    n_actions : int, or None for continuous actions
    horizon : int
        Claims are about episodes of at most this many steps.
    return_range : (low, high) or None
        The declared possible range of an episode's undiscounted return.
    features : tuple of Feature, or None
        What each number of an observation is, and how its blanks are replaced.
    action_labels : tuple of str, or None
        What discrete actions are called.
    times : (E,) int64, float64 or datetime64[us], or None
        When each episode began; any number that rises with time.
    notes : tuple of str
        What was done on the way in that a reader of results must know. Not part of the fingerprint.
    starts : (E + 1,) int64
        Episode e holds the rows ``starts[e]:starts[e + 1]``.
    """

    observations: Array
    actions: Array
    rewards: Array
    terminated: Array
    truncated: Array
    costs: Mapping[str, Array]
    propensities: Array | None
    action_masks: Array | None
    final_observations: Array | None
    final_action_masks: Array | None
    groups: Array | None
    episode_ids: Array
    n_actions: int | None
    horizon: int
    return_range: tuple[float, float] | None
    starts: Array
    features: tuple[Feature, ...] | None = None
    action_labels: tuple[str, ...] | None = None
    times: Array | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def from_arrays(
        cls,
        observations: object,
        actions: object,
        rewards: object,
        terminated: object,
        truncated: object,
        *,
        costs: Mapping[str, object] | None = None,
        propensities: object = None,
        action_masks: object = None,
        final_observations: object = None,
        final_action_masks: object = None,
        groups: object = None,
        n_actions: int | None = None,
        horizon: int | None = None,
        return_range: tuple[float, float] | None = None,
        episode_ids: object = None,
        features: object = None,
        action_labels: object = None,
        times: object = None,
        notes: Sequence[str] = (),
    ) -> Dataset:
        """Build a log from flat rows; an episode ends wherever either flag is set.

        Writable input is copied, so that later changes to it do not reach the log; read-only input is not.

        Parameters
        ----------
        observations : (N, d...) float, or (N,) integer state ids >= 0
            float32 and float64 are kept; integer features (N, d...) become floats that hold them exactly.
        actions : (N,) integers from 0, or (N, k) floats
        rewards : (N,) finite numbers
        terminated, truncated : (N,) bool (or 0 and 1)
            The last row must end an episode.
        costs : mapping from name to (N,), optional
            Finite and >= 0; the cost of row t is a consequence of the action of row t.
        propensities : (N,), optional
            In (0, 1]; densities > 0 for continuous actions.
        action_masks : (N, A) bool, optional
            Each row allows some action, its own among them.
        final_observations : (E, d...), optional
            Per episode, the observation after its last action. Where it is missing, the last transition of a
            truncated episode cannot be learned from. NaN throughout, or the state id -1, stands for none.
        final_action_masks : (E, A) bool, optional
        groups : (E,) or (N,) integers or text, optional
        n_actions : int, optional
            Without it the width of `action_masks`, else the largest logged action plus one: a guess, so pass it.
        horizon : int, optional
            The longest an episode can be; without it the longest one logged.
        return_range : (low, high), optional
            The possible range of an episode's undiscounted return.
        episode_ids : (E,) integers or text, unique, optional
            0, 1, ... when left out.
        features : sequence of names or of Feature, optional
            One for each number of an observation (one for state ids).
        action_labels : sequence of text, optional
            Names of the discrete actions, in order; they count them too.
        times : (E,) numbers or datetime64, optional
            When each episode began.
        notes : sequence of str, optional
            What was done to the rows before, for whoever reads results.

        Raises
        ------
        InputError
            Naming the array, how many entries are wrong and the first of them.
        """
        obs = check.check_observations(observations)
        n = len(obs)
        acts = check.check_actions(actions, n)
        rews = check.check_numbers("rewards", rewards, n)
        harms = check.check_costs(costs, n)
        term = check.check_flags("terminated", terminated, n)
        trunc = check.check_flags("truncated", truncated, n)
        starts = check.episode_starts(term, trunc)
        n_episodes, last = len(starts) - 1, starts[1:] - 1
        returns = check.check_sums("rewards", rews, starts)
        for name, harm in harms.items():
            check.check_sums(f"costs[{name!r}]", harm, starts)
        masks = None if action_masks is None else check.check_masks("action_masks", action_masks, n, "row")
        names = None if action_labels is None else check.check_action_labels(action_labels, acts, n_actions)
        count = check.check_action_count(acts, n_actions if names is None else len(names), masks)
        discrete = count is not None
        finals = None
        if final_observations is not None:
            finals = check.check_final_observations(final_observations, obs, n_episodes)
        final_masks = None
        if final_action_masks is not None:
            if masks is None:
                raise InputError("final_action_masks: given without action_masks. Pass both or neither.")
            name = "final_action_masks"
            needed = ~term[last] if finals is None else ~term[last] & check.are_known(finals)
            final_masks = check.check_masks(name, final_action_masks, n_episodes, "episode", needed=needed)
            if final_masks.shape[1] != count:
                raise InputError(f"{name}: {final_masks.shape[1]} columns, expected {count}, one per action.")
        return cls(
            observations=obs,
            actions=acts,
            rewards=rews,
            terminated=term,
            truncated=trunc,
            costs=MappingProxyType(harms),
            propensities=None if propensities is None else check.check_propensities(propensities, n, discrete=discrete),
            action_masks=masks,
            final_observations=finals,
            final_action_masks=final_masks,
            groups=None if groups is None else labels.check_groups(groups, starts),
            episode_ids=labels.check_episode_ids(episode_ids, n_episodes),
            n_actions=count,
            horizon=check.check_horizon(horizon, starts),
            return_range=check.check_return_range(return_range, returns),
            starts=starts,
            features=None if features is None else check_features(features, _width(obs)),
            action_labels=names,
            times=None if times is None else labels.check_times(times, n_episodes),
            notes=tuple(notes),
        )

    def __repr__(self) -> str:
        shape, dtype = self.observations.shape[1:], self.observations.dtype
        seen = f"observations {shape} {dtype}" if shape else "state ids"
        acts = f"{self.n_actions} actions" if self.is_discrete else f"continuous actions {self.actions.shape[1:]}"
        costs = f", costs: {', '.join(self.costs)}" if self.costs else ""
        return f"Dataset({self.n_episodes:,} episodes, {self.n_steps:,} steps, {seen}, {acts}{costs})"

    @property
    def n_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.starts) - 1

    @property
    def n_steps(self) -> int:
        """Number of rows, N: one for each action taken."""
        return len(self.rewards)

    @property
    def is_discrete(self) -> bool:
        """Whether actions are counted (integers) rather than measured (floats)."""
        return self.n_actions is not None

    @cached_property
    def lengths(self) -> Array:
        """Steps of each episode, (E,) int64."""
        return _frozen(np.diff(self.starts))

    @cached_property
    def returns(self) -> Array:
        """Undiscounted sum of rewards of each episode, (E,) float64."""
        return _frozen(np.add.reduceat(self.rewards, self.starts[:-1]))

    @cached_property
    def episode_index(self) -> Array:
        """Position of the episode each row belongs to, (N,) int64."""
        return _frozen(np.repeat(np.arange(self.n_episodes, dtype=np.int64), self.lengths))

    @cached_property
    def episode_hashes(self) -> Array:
        """Content hash of each episode, (E,) text of 32 hexadecimal digits; detects reuse, not tampering."""
        from groundschool.data.fingerprint import episode_hashes

        return _frozen(episode_hashes(self))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the log: its columns, declarations and episodes in order, however they are stored."""
        from groundschool.data.fingerprint import fingerprint

        return fingerprint(self)

    def cost_sums(self, name: str) -> Array:
        """Sum of the cost `name` over each episode, (E,) float64."""
        if name not in self.costs:
            have = ", ".join(map(repr, self.costs)) or "none"
            raise InputError(f"the log has no cost {name!r} (it has: {have}).{suggest(name, self.costs)}")
        sums: Array = np.add.reduceat(self.costs[name], self.starts[:-1])
        return sums

    def episodes(self) -> Iterator[Episode]:
        """Iterate over the episodes as views; for convenience, the columns are the fast way."""
        for e in range(self.n_episodes):
            rows = slice(int(self.starts[e]), int(self.starts[e + 1]))
            yield Episode(
                id=self.episode_ids[e].item(),
                group=None if self.groups is None else self.groups[e].item(),
                observations=self.observations[rows],
                actions=self.actions[rows],
                rewards=self.rewards[rows],
                costs={name: cost[rows] for name, cost in self.costs.items()},
                terminated=bool(self.terminated[rows.stop - 1]),
                truncated=bool(self.truncated[rows.stop - 1]),
                propensities=None if self.propensities is None else self.propensities[rows],
                action_masks=None if self.action_masks is None else self.action_masks[rows],
                final_observation=None if self.final_observations is None else self.final_observations[e],
                final_action_mask=None if self.final_action_masks is None else self.final_action_masks[e],
            )

    def select(self, episodes: object) -> Dataset:
        """Return the log of some of the episodes, in the order given.

        Ids, horizon, number of actions and return range stay those of the whole.

        Parameters
        ----------
        episodes : (n,) integers in [0, E), without repeats, or (E,) bool
        """
        chosen = _positions(episodes, self.n_episodes)
        lengths = self.lengths[chosen]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        rows = np.arange(starts[-1]) + np.repeat(self.starts[chosen] - starts[:-1], lengths)

        def take(array: Array | None, index: Array) -> Array | None:
            return None if array is None else _frozen(array[index])

        return Dataset(
            observations=_frozen(self.observations[rows]),
            actions=_frozen(self.actions[rows]),
            rewards=_frozen(self.rewards[rows]),
            terminated=_frozen(self.terminated[rows]),
            truncated=_frozen(self.truncated[rows]),
            costs=MappingProxyType({name: _frozen(cost[rows]) for name, cost in self.costs.items()}),
            propensities=take(self.propensities, rows),
            action_masks=take(self.action_masks, rows),
            final_observations=take(self.final_observations, chosen),
            final_action_masks=take(self.final_action_masks, chosen),
            groups=None if self.groups is None else labels.narrow(self.groups[chosen]),
            episode_ids=labels.narrow(self.episode_ids[chosen]),
            n_actions=self.n_actions,
            horizon=self.horizon,
            return_range=self.return_range,
            starts=_frozen(starts),
            features=self.features,
            action_labels=self.action_labels,
            times=take(self.times, chosen),
            notes=self.notes,
        )

    def split(
        self,
        *,
        fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        by: By = "auto",
        stratify: str | None = None,
    ) -> Split:
        """Split into train, selection and holdout, by episode, group or time; see `groundschool.split`."""
        from groundschool.data.split import split

        return split(self, fractions=fractions, seed=seed, by=by, stratify=stratify)

    def transitions(self) -> Transitions:
        """Return every transition a learner may use; see `groundschool.data.transitions.Transitions`."""
        from groundschool.data.transitions import transitions

        return transitions(self)

    def save(self, path: str | PathLike[str], *, force: bool = False, rows_per_shard: int = 1_000_000) -> None:
        """Write the log to the directory `path` as Parquet shards of whole episodes, all of it or nothing.

        Parameters
        ----------
        path : str or path
            Must not exist, unless `force`, which replaces a log saved there before.
        rows_per_shard : int
            A shard is closed at the first episode end at or after this many rows.
        """
        from groundschool.data.storage import save

        save(self, path, force=force, rows_per_shard=rows_per_shard)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Dataset:
        """Read a log written by `save`, verifying every byte; InputError if anything is damaged or missing."""
        from groundschool.data.storage import load

        return load(path)


def _frozen(array: Any) -> Array:
    array.flags.writeable = False
    frozen: Array = array
    return frozen


def _width(observations: Array) -> int | None:
    return None if observations.ndim == 1 else int(np.prod(observations.shape[1:]))


def _positions(episodes: object, n_episodes: int) -> Array:
    given = np.asarray(episodes)
    if given.dtype.kind == "b" and given.shape == (n_episodes,):
        given = np.flatnonzero(given)
    if given.ndim != 1 or len(given) == 0 or given.dtype.kind not in "iu":
        raise InputError(
            f"select: expected at least one episode, as positions in 0..{n_episodes - 1} or ({n_episodes:,},) bool; "
            f"got shape {given.shape} of {given.dtype}."
        )
    check.refuse_rows(
        (given < 0) | (given >= n_episodes), "select", f"outside 0..{n_episodes - 1}", "", unit="position"
    )
    positions: Array = given.astype(np.int64)
    if len(np.unique(positions)) != len(positions):
        raise InputError("select: an episode is named twice. Each may be chosen once: ids stay unique.")
    return positions
