"""Environments that write logs: the hazard grid, registered with Gymnasium as ``groundschool/HazardGrid-v0``.

Importing this package registers it; ``gymnasium.make("groundschool.envs:groundschool/HazardGrid-v0")`` does both.
"""

from groundschool.envs.hazard_grid import HazardGrid
from groundschool.envs.layout import Layout
from groundschool.envs.logger import HazardAvoidingLogger
from groundschool.envs.registration import register

__all__ = ["HazardAvoidingLogger", "HazardGrid", "Layout"]

register()
