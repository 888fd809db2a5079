"""Makes the environment known to Gymnasium."""

from __future__ import annotations

from gymnasium.envs import registration

ENV_ID = "groundschool/HazardGrid-v0"


def register() -> None:
    """Register the environment with Gymnasium, once."""
    if ENV_ID not in registration.registry:
        registration.register(id=ENV_ID, entry_point="groundschool.envs.hazard_grid:HazardGrid")
