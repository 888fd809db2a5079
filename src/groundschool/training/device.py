"""Where training runs, and what a reader must know to repeat it."""

from __future__ import annotations

import os
import platform
import warnings
from pathlib import Path

import jax

from groundschool.errors import InputError


def resolve_device(device: str = "auto") -> jax.Device:
    """Return the device training runs on.

    Parameters
    ----------
    device : str
        ``auto`` takes JAX's first device; ``cpu``, ``gpu``, ``cuda``, ``tpu`` name a platform, ``gpu:1`` one of
        several.

    Raises
    ------
    InputError
        If there is no such device.

    Warns
    -----
    UserWarning
        If a GPU is in the machine and JAX cannot use it.
    """
    if device == "auto":
        chosen = jax.devices()[0]
        if chosen.platform == "cpu" and gpu_is_present():
            warnings.warn(
                "a GPU is present but JAX runs on the CPU: pip install 'groundschool[cuda]' to use it, "
                'or say device="cpu"',
                stacklevel=3,
            )
        return chosen
    name, _, index = device.partition(":")
    try:
        devices = jax.devices(name or "nothing named")
        return {d.id: d for d in devices}[int(index)] if index else devices[0]
    except (RuntimeError, ValueError, KeyError):
        found = ", ".join(f"{d.platform}:{d.id}" for d in jax.devices())
        raise InputError(f"device {device!r} is not there; JAX sees {found}") from None


def gpu_is_present() -> bool:
    """Whether the machine shows an NVIDIA device, whatever JAX was built for."""
    return Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia/version").exists()


def describe_device(device: jax.Device) -> str:
    """Return for instance ``cpu:0 (x86_64, 2 threads)``."""
    kind = platform.machine() if device.platform == "cpu" else device.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = f", {cores} threads" if device.platform == "cpu" else ""
    return f"{device.platform}:{device.id} ({kind}{threads})"
