"""Environments that write logs: the hazard grid, registered with Gymnasium as ``groundschool/HazardGrid-v0``.

Names are loaded on first use: Gymnasium imports this package whenever it is imported itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from groundschool.envs.registration import register

if TYPE_CHECKING:
    from groundschool.envs.hazard_grid import HazardGrid
    from groundschool.envs.layout import Layout
    from groundschool.envs.logger import HazardAvoidingLogger

__all__ = ["HazardAvoidingLogger", "HazardGrid", "Layout"]

_HOME = {"HazardAvoidingLogger": "logger", "HazardGrid": "hazard_grid", "Layout": "layout"}

register()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'groundschool.envs' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"groundschool.envs.{_HOME[name]}"), name)
    globals()[name] = value
    return value
