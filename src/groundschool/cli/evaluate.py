"""``groundschool evaluate``: how good and how dangerous a saved policy is, from a log of another."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundschool.cli.common import Behavior, Bundle, ColumnMap, Force, Format, Greedy, Json, emit, reporting

if TYPE_CHECKING:
    from groundschool.data import Dataset
    from groundschool.evaluation.answers import Answers
    from groundschool.policies import Policy

SUMMARY = "What a saved policy would do, from a log of another."
EXAMPLE = "groundschool evaluate runs/tutorial/policies/CQL fresh-log --of return --of probability:hazard"


@reporting
def verb(
    bundle: Bundle,
    data: Annotated[
        Path, typer.Argument(help="A log in any format, of episodes it was not trained on.", show_default=False)
    ],
    of: Annotated[
        list[str] | None,
        typer.Option(
            help="return, cost:NAME (expected sum of an episode) or probability:NAME (any in it); may be repeated. "
            "All of them unless said.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="auto, or an estimator by name; may be repeated. auto unless said.", show_default=False),
    ] = None,
    confidence: Annotated[float, typer.Option(help="Of the intervals and bounds, 0.5 to below 1.")] = 0.95,
    discount: Annotated[float, typer.Option(help="Of rewards and costs, a step; a probability has none.")] = 1.0,
    behavior: Behavior = None,
    greedy: Greedy = False,
    columns: ColumnMap = None,
    log_format: Format = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of folds and resampling.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write a page there too (a new directory).")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Estimate what a saved policy would do, from the log alone. An estimate that is not trusted is an answer too."""
    from groundschool.data.placing import require_free

    if out is not None:
        require_free(out, force=force, replaceable=_is_page, what="a page of groundschool evaluate")
    from groundschool.data import read
    from groundschool.evaluation.answers import answers
    from groundschool.policies import load

    policy = load(bundle)
    judged = policy.greedy() if greedy else policy
    log = read(data, log_format, columns)
    settings: dict[str, Any] = {"of": of or None, "methods": method or ["auto"], "confidence": confidence}
    settings |= {"discount": discount, "seed": seed}
    logger = None if behavior is None else load(behavior)
    found = answers(log, {"policy": judged}, behavior=logger, **settings)["policy"]
    if out is not None:
        inputs = {"policy": str(bundle), "greedy": greedy, "data": str(data)}
        inputs |= {"behavior": None if behavior is None else str(behavior)}
        _write_page(out, log, judged, found, inputs | settings, force=force)
    if as_json:
        from groundschool.report.evaluation_section import estimate

        emit(
            {
                "policy": found.logged[0].policy,
                "log": {"episodes": log.n_episodes, "steps": log.n_steps, "fingerprint": log.fingerprint},
                "estimates": [{**one.to_json(), "bound": estimate(one)["bound"]} for one in found.estimates],
                "logged": [{**one.to_json(), "bound": estimate(one)["bound"]} for one in found.logged],
                "problems": list(found.problems),
                **({} if out is None else {"report": str(out / "report.html")}),
            }
        )
        return
    from groundschool.cli import tables
    from groundschool.cli.evaluation_table import said, table

    tables.show(table(f"{found.logged[0].policy} on {data}: {log.n_episodes:,} episodes", found))
    for line in said(found):
        typer.echo(line)
    if out is not None:
        typer.echo(f"report: {out / 'report.html'}")


def _is_page(path: Path) -> bool:
    parts = {"report.html", "report.json", "figures"}
    return path.is_dir() and {entry.name for entry in path.iterdir()} <= parts


def _write_page(
    out: Path, log: Dataset, policy: Policy, found: Answers, inputs: Mapping[str, Any], *, force: bool
) -> None:
    import shlex

    from groundschool.data.placing import in_place
    from groundschool.report.export import export
    from groundschool.study_report import evaluation_data

    command = shlex.join(["groundschool", *sys.argv[1:]])
    data = evaluation_data(log, policy, found, inputs, command=command)
    with in_place(out, force=force, replaceable=_is_page, what="a page of groundschool evaluate") as unfinished:
        export(data, unfinished)
