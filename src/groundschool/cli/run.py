"""``groundschool run``: a whole study from a config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundschool.cli.common import Device, Force, Json, emit, reporting, stopped

if TYPE_CHECKING:
    from groundschool.pipeline import Study

SUMMARY = "A whole study from a config."
EXAMPLE = "groundschool run study.toml --out runs/first"


@reporting
def verb(
    config: Annotated[Path, typer.Argument(help="A study in TOML; examples/tutorial.toml is one.", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/NAME unless said.")] = None,
    force: Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would happen, stop.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of training, instead of the config's.")] = None,
    device: Device = None,
    exit_verdict: Annotated[
        bool, typer.Option("--exit-verdict", help="Exit 0 for GO, 3 for NO-GO, 4 for INSUFFICIENT EVIDENCE.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a study: log, train, judge, report. An unfinished one is taken up where it stopped."""
    from groundschool.config import load_config
    from groundschool.errors import InputError

    checked = load_config(config, seed=seed, device=device)
    if exit_verdict and checked.gate is None:
        raise InputError(
            f"--exit-verdict: {config} has no [gate], so that nothing is decided. Add one, or leave it out."
        )
    code = study(checked, out=out, force=force, dry_run=dry_run, as_json=as_json)
    if exit_verdict and not dry_run:
        raise typer.Exit(code)


def study(config: object, *, out: Path | None, force: bool, dry_run: bool, as_json: bool) -> int:
    """Run or plan a checked study, print the outcome, and return its exit code; what `demo` and `run` share."""
    import shlex
    import sys

    from groundschool.config import StudyConfig
    from groundschool.pipeline import plan, run

    assert isinstance(config, StudyConfig)
    if dry_run:
        planned = plan(config, out=out, force=force)
        if as_json:
            emit(planned)
        else:
            _show_plan(planned)
        return 0
    command = shlex.join(["groundschool", *sys.argv[1:]])
    try:
        done = run(config, out=out, force=force, command=command)
    except KeyboardInterrupt:
        raise stopped(out or Path("runs") / config.name) from None
    if as_json:
        emit({"directory": str(done.directory), "report": str(done.report), **done.summary()})
    else:
        from groundschool.cli import tables

        tables.show(tables.policies(done.summary()))
        if done.standings:
            _show_outcome(done)
        typer.echo(f"report: {done.report}")
    return done.exit_code


def _show_outcome(done: Study) -> None:
    from groundschool.cli import tables
    from groundschool.cli.verdict_table import table

    if done.verdict is None:
        typer.echo("Keep the logger's policy: no candidate stands above it, and nothing was taken to the gate.")
    else:
        tables.show(table(done.verdict))
        for reason in done.verdict.reasons:
            typer.echo(f"- {reason}")
    if done.certified is not None:
        tables.show(table(done.certified.verdict, "certified from the training part alone"))
        for reason in done.certified.verdict.reasons:
            typer.echo(f"- {reason}")


def _show_plan(planned: dict[str, object]) -> None:
    from groundschool.cli import tables

    words = {"new": "will be made", "resume": "will be taken up where it stopped", "replace": "will be replaced"}
    log, held, candidates = planned["log"], planned["holdout"], planned["candidates"]
    checked = planned["check"]
    assert isinstance(checked, dict)
    assert isinstance(log, dict)
    assert isinstance(held, dict)
    assert isinstance(candidates, list)
    rows = {
        "directory": f"{planned['directory']} {words[str(planned['state'])]}",
        "log": f"{log['episodes']:,} episodes, {log['steps']:,} steps",
        "check": tables.counts(checked),
        "holdout": f"{held['episodes']:,} episodes, {held['steps']:,} steps",
    }
    for one in candidates:
        done = ", trained already" if one["trained"] else ""
        work = "made from the log" if one["steps"] is None else f"{one['steps']:,} steps"
        rows[f"train {one['name']}"] = f"{one['algorithm']}, {work}{done}"
    methods = planned["evaluation"]
    assert isinstance(methods, list)
    rows["evaluation"] = f"on the holdout, by {', '.join(methods)}" if methods else "none"
    gate = planned["gate"]
    if gate is not None:
        assert isinstance(gate, dict)
        rows["gate"] = f"the best candidate, on {gate['episodes']:,} episodes that nothing else looks at"
    rows["rollouts"] = f"{planned['rollouts']} episodes of each policy"
    tables.show(tables.facts(f"{planned['name']}: nothing was done yet", rows))
