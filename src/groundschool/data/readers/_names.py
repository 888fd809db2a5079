"""The names that fields of logs go by: those of D4RL and DSRL, and those of ``Dataset.from_arrays``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from groundschool.data.columns import Columns

# Role in a column map: its names, the first one found counts.
ROLES: Mapping[str, tuple[str, ...]] = {
    "observations": ("observations",),
    "action": ("actions",),
    "reward": ("rewards",),
    "terminated": ("terminated", "terminals"),
    "truncated": ("truncated", "timeouts"),
    "next_observations": ("next_observations",),
    "propensity": ("propensities",),
    "action_mask": ("action_masks",),
    "next_action_mask": ("next_action_masks",),
    "episode": ("episode_ids",),
    "group": ("groups",),
    "time": ("times",),
}
COST = "costs"  # DSRL's one cost
COST_PREFIXES = ("cost_", "costs:", "costs/")
LABELS = ("episode_ids", "groups", "times")  # perhaps with one entry an episode
KNOWN = frozenset(name for names in ROLES.values() for name in names if name not in LABELS) | {COST}

# Their width says that they are lists, even if it is 1.
WIDE = frozenset(
    {"observations", "next_observations", "final_observations", "action_mask", "action_masks", "next_action_masks"}
)


def keeps_width(name: str, dtype_kind: str) -> bool:
    """Return whether a field of width 1 stays a list: observations, masks, and actions that are measured."""
    root = name.split("/")[0]
    if root == "actions":
        return dtype_kind == "f"
    return name.split("/")[-1] in WIDE or root in ("observations", "next_observations")


def is_known(name: str) -> bool:
    """Return whether a field's name says what it is, and that it has one entry a row."""
    return name in KNOWN or name.startswith(COST_PREFIXES)


def columns_by_name(names: Sequence[str]) -> Columns:
    """Return the column map that these names say; what they do not say is left open."""
    found = {role: next((one for one in known if one in names), None) for role, known in ROLES.items()}
    costs = {"cost": COST} if COST in names else {}
    for name in names:
        for prefix in COST_PREFIXES:
            if name.startswith(prefix) and name != prefix:
                costs[name.removeprefix(prefix)] = name
    return Columns(costs=costs, **{role: name for role, name in found.items() if name is not None})  # type: ignore[arg-type]
