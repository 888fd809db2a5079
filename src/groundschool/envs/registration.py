"""Makes the environment known to Gymnasium; also the entry point through which Gymnasium finds it."""

from __future__ import annotations

ENV_ID = "groundschool/HazardGrid-v0"


def register() -> None:
    """Register the environment with Gymnasium, once."""
    # Imported here: importing Gymnasium calls this function, and finds this module complete only if that comes later.
    from gymnasium.envs import registration

    if ENV_ID not in registration.registry:
        registration.register(id=ENV_ID, entry_point="groundschool.envs.hazard_grid:HazardGrid")
