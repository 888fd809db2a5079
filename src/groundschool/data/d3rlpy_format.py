"""To and from d3rlpy's MDPDataset, without losing an episode or an end flag."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from groundschool.data.dataset import Dataset
from groundschool.data.transitions import known_finals
from groundschool.errors import InputError, suggest

if TYPE_CHECKING:
    import d3rlpy

_HELD = ("observations", "actions", "rewards", "terminated", "truncated", "n_actions")
_COLUMNS = tuple(
    name for name in inspect.signature(Dataset.from_arrays).parameters if name not in _HELD or name == "n_actions"
)
_MARK = "groundschool_final_rows"


def to_mdp_dataset(log: Dataset, *, final_rows: bool | None = None) -> d3rlpy.dataset.MDPDataset:
    """Return the log as a d3rlpy ``MDPDataset``.

    Every episode and every end keeps its kind: ``terminated`` episodes are d3rlpy's terminals, truncated ones its
    timeouts, so that d3rlpy bootstraps where it should. The number of actions is passed on (d3rlpy would guess the
    largest logged action + 1). State ids become one column.

    d3rlpy reads the observation after an action from the next row, so it never trains on the last transition of a
    truncated episode. Where the log has final observations this is mended by **one more row** at the end of each
    truncated episode: the final observation, with action 0 and reward 0, which d3rlpy uses only as a next observation.
    `from_mdp_dataset` takes it off again.

    d3rlpy has no place for costs, propensities, action masks, final observations of terminated episodes, groups,
    episode ids, the horizon and the return range: keep the log and give it back with
    ``from_mdp_dataset(dataset, like=log)``.

    Parameters
    ----------
    log : Dataset
    final_rows : bool, optional
        Whether to add those rows; by default where the log has the final observation of every truncated
        episode.

    Raises
    ------
    InputError
        If d3rlpy is not installed; if ``final_rows`` is asked for without final observations; or if a truncated episode
        of one step comes without such a row: d3rlpy would drop the episode in silence.
    """
    d3rlpy = _import_d3rlpy()
    timeouts = log.truncated & ~log.terminated
    unknown = timeouts[log.starts[1:] - 1] & ~known_finals(log)
    if final_rows is None:
        final_rows = log.final_observations is not None and not unknown.any()
    observations = log.observations if log.observations.ndim > 1 else log.observations[:, None]
    actions, rewards, terminals = log.actions, log.rewards, log.terminated
    if final_rows:
        if log.final_observations is None:
            raise InputError("final_rows=True: the log has no final observations to add; leave final_rows out")
        if unknown.any():
            raise InputError(
                f"final_rows=True: {int(unknown.sum())} truncated episodes have no final observation (first: episode "
                f"{int(np.argmax(unknown))}); leave final_rows out"
            )
        ended = np.flatnonzero(timeouts)
        final = log.final_observations[log.episode_index[ended]].reshape(-1, *observations.shape[1:])
        observations = np.insert(observations, ended + 1, final, axis=0)
        actions = np.insert(actions, ended + 1, 0, axis=0)
        rewards = np.insert(rewards, ended + 1, 0.0)
        terminals = np.insert(terminals, ended + 1, False)
        moved = np.zeros(len(rewards), dtype=np.bool_)
        moved[ended + 1 + np.arange(len(ended))] = True
        timeouts = moved
    else:
        lost = np.flatnonzero((log.lengths == 1) & timeouts[log.starts[1:] - 1])
        if lost.size:
            raise InputError(
                f"{lost.size} of {log.n_episodes:,} episodes are truncated after one step (first: episode {lost[0]}), "
                "and d3rlpy drops such an episode in silence: give the log final observations, or leave them out with "
                "log.select(...)"
            )
    discrete = d3rlpy.constants.ActionSpace.DISCRETE if log.is_discrete else d3rlpy.constants.ActionSpace.CONTINUOUS
    dataset = d3rlpy.dataset.MDPDataset(
        observations=np.array(observations),
        actions=np.array(actions),
        rewards=np.array(rewards),
        terminals=terminals.astype(np.float32),
        timeouts=timeouts.astype(np.float32),
        action_space=discrete,
        action_size=log.n_actions if log.is_discrete else log.actions.shape[1],
    )
    setattr(dataset, _MARK, final_rows)
    return dataset


def from_mdp_dataset(
    dataset: d3rlpy.dataset.ReplayBufferBase,
    *,
    like: Dataset | None = None,
    final_rows: bool | None = None,
    **columns: Any,
) -> Dataset:
    """Return a d3rlpy dataset (``MDPDataset`` or any replay buffer of whole episodes) as a log.

    An episode whose ``terminated`` is False becomes a truncated one. One column of integers as observations becomes
    state ids.

    Parameters
    ----------
    dataset : d3rlpy.dataset.ReplayBufferBase
    like : Dataset, optional
        The log this dataset was made from. Its rows are compared with the dataset's; what d3rlpy cannot hold (costs,
        propensities, masks, final observations, groups, ids, horizon, return range) is taken from it.
    final_rows : bool, optional
        Whether the last row of each truncated episode is only its final observation. By default as `to_mdp_dataset`
        made it; that mark does not survive d3rlpy's own ``dump`` and ``load``, so say it for a dataset read from a
        file. Terminated episodes, whose final observation d3rlpy does not keep, then repeat their last one, which
        nothing reads.
    **columns
        Any further argument of ``Dataset.from_arrays`` (``costs=``, ``propensities=``, ``horizon=`` ...); replaces what
        ``like`` says.

    Raises
    ------
    InputError
        For no episodes, observations made of several arrays, unknown columns, or rows that differ from ``like``.
    """
    unknown = [name for name in columns if name not in _COLUMNS]
    if unknown:
        raise InputError(
            f"from_mdp_dataset: no argument {unknown[0]!r}; expected {', '.join(_COLUMNS)}."
            f"{suggest(unknown[0], _COLUMNS)}"
        )
    if final_rows is None:
        final_rows = bool(getattr(dataset, _MARK, False))
    episodes = list(dataset.episodes)
    if not episodes:
        raise InputError("the d3rlpy dataset holds no episodes")
    if any(isinstance(episode.observations, list | tuple) for episode in episodes):
        raise InputError("the d3rlpy dataset's observations are made of several arrays: join them into one first")
    observations = np.concatenate([episode.observations for episode in episodes])
    actions = np.concatenate([episode.actions for episode in episodes])
    rewards = np.concatenate([np.asarray(episode.rewards, dtype=np.float64).reshape(-1) for episode in episodes])
    ended = np.array([bool(episode.terminated) for episode in episodes])
    last = np.cumsum([len(episode.rewards) for episode in episodes]) - 1
    if np.issubdtype(observations.dtype, np.integer) and observations.shape[1:] == (1,):
        observations = observations[:, 0].astype(np.int64)
    discrete = dataset.dataset_info.action_space.name == "DISCRETE"
    if discrete:
        actions = actions.reshape(-1).astype(np.int64)
        columns.setdefault("n_actions", like.n_actions if like is not None else int(dataset.dataset_info.action_size))
    if final_rows:
        padding = last[~ended]
        if (np.diff(last, prepend=-1)[~ended] < 2).any():
            raise InputError("final_rows=True: a truncated episode has a single row, so it holds no final observation")
        finals = observations[last]
        keep = np.ones(len(rewards), dtype=np.bool_)
        keep[padding] = False
        observations, actions, rewards = observations[keep], actions[keep], rewards[keep]
        last = np.cumsum(keep)[last] - 1
        if like is None or like.final_observations is None:
            columns.setdefault("final_observations", finals)
    terminated = np.zeros(len(rewards), dtype=np.bool_)
    truncated = np.zeros(len(rewards), dtype=np.bool_)
    terminated[last[ended]] = True
    truncated[last[~ended]] = True
    if like is not None:
        _same_rows(like, observations, actions, rewards, terminated, truncated)
        truncated = like.truncated  # d3rlpy knows no row that is both
        columns = {**{name: getattr(like, name) for name in _COLUMNS}, **columns}
    return Dataset.from_arrays(observations, actions, rewards, terminated, truncated, **columns)


def _same_rows(like: Dataset, observations: Any, actions: Any, rewards: Any, terminated: Any, truncated: Any) -> None:
    for name, ours, theirs in (
        ("rewards", like.rewards, rewards),
        ("terminated", like.terminated, terminated),
        ("truncated", like.truncated & ~like.terminated, truncated),
        ("actions", like.actions, actions),
        ("observations", like.observations, observations),
    ):
        if ours.shape != theirs.shape:
            raise InputError(
                f"like: its {name} have shape {ours.shape}, the d3rlpy dataset's {theirs.shape}: it was made from "
                "another log"
            )
        # d3rlpy keeps what it is given, but other tools hand over float32
        differ = ~np.isclose(ours, theirs, rtol=1e-6, atol=1e-6, equal_nan=True).reshape(len(ours), -1).all(axis=1)
        if differ.any():
            raise InputError(
                f"like: {name} differ from the d3rlpy dataset's in {int(differ.sum()):,} rows (first: row "
                f"{int(np.argmax(differ))}): it was made from another log"
            )


def _import_d3rlpy() -> Any:
    try:
        import d3rlpy
    except ImportError as error:
        raise InputError(
            "d3rlpy is not installed: pip install 'groundschool[d3rlpy]' (it pins gymnasium==1.0.0 and brings torch, "
            "so an environment of its own is best)"
        ) from error
    return d3rlpy
