"""``groundschool demo``: the tutorial, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from groundschool.cli.common import Device, Force, Json, reporting

SUMMARY = "The tutorial, end to end."
EXAMPLE = "groundschool demo --out /tmp/demo"


@reporting
def verb(
    budget: Annotated[
        Literal["default", "tutorial"],
        typer.Option(help="tutorial: its own 25,000 and 80,000 steps and 256x256 networks."),
    ] = "default",
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/tutorial unless said.")] = None,
    force: Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Log a hazardous grid world, learn from the log alone, judge what was learned, and write the report."""
    from groundschool.cli.run import study
    from groundschool.config import load_config, tutorial_config

    config = load_config(tutorial_config(), device=device)
    if budget == "tutorial":
        config = config.with_budget("tutorial")
    study(config, out=out, force=force, dry_run=dry_run, as_json=as_json)
