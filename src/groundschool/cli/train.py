"""``groundschool train``: one policy from a log."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from groundschool.cli.common import ColumnMap, Device, Force, Format, Json, Log, emit, reporting
from groundschool.errors import InputError

SUMMARY = "One policy from a log."
EXAMPLE = "groundschool train runs/tutorial/log cql --out policy --set conservative_weight=1.0"


@reporting
def verb(
    data: Log,
    algorithm: Annotated[str, typer.Argument(help="bc or cql.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The bundle to write (a directory).", show_default=False)],
    columns: ColumnMap = None,
    log_format: Format = "auto",
    steps: Annotated[int | None, typer.Option(help="Gradient steps; the algorithm's default unless said.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the algorithm; may be repeated."),
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="A directory to resume from after a stop.")] = None,
    device: Device = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train a policy on a log and save it as a bundle."""
    options = _options(settings or [])
    if steps is not None:
        options["steps"] = steps
    from groundschool.bundle import require_free

    require_free(out, force=force)  # before the work rather than after it
    from groundschool.algorithms.config import configure

    configure(algorithm, options)  # before the data is read
    from groundschool.data import read

    log = read(data, log_format, columns)
    from groundschool.training import train
    from groundschool.training.checkpoint import remove

    policy = train(log, algorithm, seed=seed, device=device or "auto", progress=True, checkpoint=checkpoint, **options)
    policy.save(out, force=force)
    if checkpoint is not None:
        remove(checkpoint)
    record = policy.training
    assert record is not None
    if as_json:
        facts = record.to_json()
        facts["episodes"] = len(facts.pop("episode_hashes"))
        del facts["content_hashes"]
        emit({"bundle": str(out), **facts})
        return
    from groundschool.cli import tables

    final = {name: f"{curve[-1]:.4g}" for name, curve in record.curves.items() if name != "step" and curve}
    rows = {
        "log": f"{log.n_episodes:,} episodes, {log.n_steps:,} steps",
        "steps": f"{record.steps:,} in {record.seconds:.1f} s ({record.compile_seconds:.1f} s of it compiling)",
        "device": record.device,
        **final,
    }
    tables.show(tables.facts(f"{algorithm} → {out}", rows | {"notes": "\n".join(record.notes)}))


def _options(settings: list[str]) -> dict[str, Any]:
    """Parse KEY=VALUE, the value as in TOML; a word that is no TOML value is a text."""
    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"--set {setting}: expected KEY=VALUE, such as --set batch_size=512.")
        if key in options:
            raise InputError(f"--set {key} is given twice.")
        try:
            options[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            options[key] = value.strip()
    return options
