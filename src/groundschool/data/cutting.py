"""Rows left out of a raw log: excluded episodes, episodes cut where they become unknown, rows that are no decisions."""

from __future__ import annotations

import dataclasses

import numpy as np

from groundschool.data.raw import RawLog
from groundschool.data.validation import Array

UNREAD = "final rows with a reward, which is not read"
UNREAD_COST = "final rows with an event, which is not read, of cost"


def shortened(raw: RawLog, excluded: Array, cut: Array, *, final_rows: bool = False) -> RawLog:
    """Return `raw` without the excluded episodes (E,) bool, each other one ending before the row ``cut`` (E,).

    An episode that is cut is truncated there, and what was seen at the row of the cut is its final observation. With
    `final_rows` the last row of each is taken off as no decision: its flags go to the row before, its observation is
    the final one. What has no row left is left out, and counted.
    """
    ends = raw.starts[1:] - 1 if final_rows else raw.starts[1:]
    unknown = cut < raw.starts[1:]
    cut = np.minimum(cut, ends)
    lengths = cut - raw.starts[:-1]
    stays = ~excluded & (lengths > 0)
    is_cut = stays & unknown
    position = np.arange(raw.n_rows)
    episode = np.repeat(np.arange(raw.n_episodes), raw.lengths)
    keep = stays[episode] & (position < cut[episode])
    terminated, truncated = raw.terminated.copy(), raw.truncated.copy()
    if final_rows:
        whole = stays & ~is_cut
        terminated[ends[whole] - 1] |= raw.terminated[ends[whole]]
        truncated[ends[whole] - 1] |= raw.truncated[ends[whole]]
    truncated[cut[is_cut] - 1] = True
    seen = stays & (cut < raw.starts[1:])
    finals, final_masks = raw.final_observations, raw.final_action_masks
    if finals is not None:
        finals = finals.copy()
        finals[seen] = raw.observations[cut[seen]]
    if final_masks is not None and raw.action_masks is not None:
        final_masks = final_masks.copy()
        final_masks[seen] = raw.action_masks[cut[seen]]
        if finals is not None:  # nobody can be asked to act where nobody knows what is allowed
            finals[seen & ~final_masks.any(axis=1)] = -1 if finals.dtype.kind == "i" else np.nan

    def rows(column: Array | None) -> Array | None:
        return None if column is None else column[keep]

    def once(column: Array | None) -> Array | None:
        return None if column is None else column[stays]

    tally = dict(raw.tally)
    tally["episodes left out for blanks"] = int(excluded.sum())
    tally["episodes left out because no row of theirs is known"] = int((~excluded & (lengths <= 0)).sum())
    tally["episodes cut before a blank"] = int(is_cut.sum())
    ended = np.logical_or.reduceat(raw.terminated, raw.starts[:-1])
    tally["episodes that terminated after they were cut, and count as truncated"] = int((is_cut & ended).sum())
    if final_rows:
        last = raw.starts[1:] - 1
        tally["final rows, which are no decisions"] = raw.n_episodes
        tally[UNREAD] = int(((raw.rewards[last] != 0) & ~np.isnan(raw.rewards[last])).sum())
        for name, cost in raw.costs.items():
            tally[f"{UNREAD_COST} {name}"] = 0 if name in raw.arrivals else int((cost[last] > 0).sum())
    tally["rows left out"] = int(raw.n_rows - keep.sum())
    kept = position if raw.kept is None else raw.kept
    return dataclasses.replace(
        raw,
        observations=raw.observations[keep],
        actions=raw.actions[keep],
        rewards=raw.rewards[keep],
        terminated=terminated[keep],
        truncated=truncated[keep],
        starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[stays])]),
        costs={name: cost[keep] for name, cost in raw.costs.items()},
        propensities=rows(raw.propensities),
        action_masks=rows(raw.action_masks),
        final_observations=once(finals),
        final_action_masks=once(final_masks),
        steps=rows(raw.steps),
        next_observations=rows(raw.next_observations),
        groups=once(raw.groups),
        times=once(raw.times),
        episode_ids=once(raw.episode_ids),
        kept=kept[keep],
        tally=tally,
    )
