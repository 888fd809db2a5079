"""``groundschool doctor``: what is installed, what training would run on, what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from groundschool.cli.common import Json, emit, reporting

SUMMARY = "What is installed, what is missing."
EXAMPLE = "groundschool doctor --json"


@reporting
def verb(as_json: Json = False) -> None:
    """Say what is installed, what training would run on, and what is missing."""
    facts = _facts()
    if as_json:
        emit(facts)
        return
    from groundschool.cli import tables

    extras = facts["extras"]
    rows = dict(facts["versions"])
    rows |= {
        "devices": ", ".join(facts["devices"]),
        "threads": str(facts["threads"]),
        "free disk": f"{facts['free_disk_bytes'] / 2**30:,.1f} GiB below {facts['directory']}",
        "extras": ", ".join(name for name, there in extras.items() if there) or "none",
        "not installed": ", ".join(name for name, there in extras.items() if not there) or "none",
    }
    tables.show(tables.facts("groundschool doctor", rows | {"advice": "\n".join(facts["advice"]) or "all is well"}))


def _facts() -> dict[str, Any]:
    import warnings

    import jax

    from groundschool.machine import extras, free_disk, threads, versions
    from groundschool.training.device import describe_device, gpu_is_present

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        devices = jax.devices()
    here = Path.cwd()
    unused = gpu_is_present() and all(device.platform == "cpu" for device in devices)
    free = free_disk(here)
    advice = []
    if unused:
        advice.append("A GPU is present, and JAX cannot use it: pip install 'groundschool[cuda]'.")
    if free < 2**30:
        advice.append("Less than 1 GiB of disk is free here: write elsewhere with --out.")
    return {
        "versions": versions(),
        "devices": [describe_device(device) for device in devices],
        "gpu_unused": unused,
        "threads": threads(),
        "extras": extras(),
        "directory": str(here),
        "free_disk_bytes": free,
        "advice": advice,
    }
