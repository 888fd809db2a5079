"""A study small enough to run in a test."""

from __future__ import annotations

from typing import Any

from groundschool.config import StudyConfig, parse_config

TINY: dict[str, Any] = {
    "name": "tiny",
    "environment": {"size": 5, "n_hazards": 1, "horizon": 20},
    "logging": {"episodes": 30, "seed": 1},
    "holdout": {"episodes": 12, "seed": 2},
    "candidates": [
        {"name": "BC", "algorithm": "bc", "steps": 60, "hidden": [8], "batch_size": 16, "greedy": True},
        {"name": "CQL", "algorithm": "cql", "steps": 60, "hidden": [8], "batch_size": 16},
    ],
    "rollouts": {"episodes": 12},
    "mismatch": {"sample": 50},
}

TINY_TOML = """
name = "tiny"
[environment]
size = 5
n_hazards = 1
horizon = 20
[logging]
episodes = 30
seed = 1
[holdout]
episodes = 12
seed = 2
[[candidates]]
name = "BC"
algorithm = "bc"
steps = 60
hidden = [8]
batch_size = 16
greedy = true
[[candidates]]
name = "CQL"
algorithm = "cql"
steps = 60
hidden = [8]
batch_size = 16
[rollouts]
episodes = 12
[mismatch]
sample = 50
"""


def tiny(**changes: Any) -> StudyConfig:
    """Return the tiny study with top-level keys replaced; None removes one."""
    raw = {key: value for key, value in {**TINY, **changes}.items() if value is not None}
    return parse_config(raw)
