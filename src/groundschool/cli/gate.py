"""``groundschool gate``: whether a policy may go, decided on episodes that nobody studied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from groundschool.cli.common import Behavior, Bundle, ColumnMap, Format, Greedy, Json, emit, reporting

SUMMARY = "GO, NO-GO or INSUFFICIENT EVIDENCE, on a holdout."
EXAMPLE = 'groundschool gate runs/tutorial/policies/CQL holdout --limit "hazard<=0.05" --out runs/gate'


@reporting
def verb(
    bundle: Bundle,
    data: Annotated[
        Path,
        typer.Argument(help="The holdout: a log of which nothing was used to make or choose it.", show_default=False),
    ],
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME<=NUMBER (the probability of any in an episode) or cost:NAME<=NUMBER (the expected sum); may be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="What the return must be above: logger, a number, a saved policy, or none.")
    ] = "logger",
    margin: Annotated[float, typer.Option(help="By how much the return must be above it.")] = 0.0,
    confidence: Annotated[float, typer.Option(help="One-sided, of every bound: 0.5 to below 1.")] = 0.95,
    assurance: Annotated[
        Literal["asymptotic", "finite-sample"], typer.Option(help="The least that every bound must rest on.")
    ] = "asymptotic",
    discount: Annotated[float, typer.Option(help="Of rewards, a step.")] = 1.0,
    looks: Annotated[int, typer.Option(help="How many looks, at ever more episodes, are planned in all.")] = 1,
    behavior: Behavior = None,
    greedy: Greedy = False,
    columns: ColumnMap = None,
    log_format: Format = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of folds and of the order of bets.")] = 0,
    out: Annotated[Path, typer.Option(help="The gate's directory: ledger of looks and verdict.")] = Path("runs/gate"),
    as_json: Json = False,
) -> None:
    """Decide by criteria fixed beforehand. Exit code: 0 GO, 3 NO-GO, 4 INSUFFICIENT EVIDENCE; 2 for bad input."""
    from groundschool.data import read
    from groundschool.gate_directory import GateDirectory
    from groundschool.policies import load
    from groundschool.safety.constraints import Constraint
    from groundschool.safety.criteria import Criteria
    from groundschool.safety.gate import judge, require_judgeable
    from groundschool.safety.identity import fingerprint

    directory = GateDirectory(out)
    criteria = Criteria(
        [Constraint.parse(text) for text in limit or ()],
        _baseline(baseline),
        margin,
        confidence,
        assurance,
        discount,
        looks=looks,
    )
    policy = load(bundle)
    judged = policy.greedy() if greedy else policy
    logger = None if behavior is None else load(behavior)
    holdout = read(data, log_format, columns)
    require_judgeable(holdout, judged, criteria, behavior=logger)
    wrote = None if logger is None else fingerprint(logger)
    with directory:
        look = directory.open(criteria, fingerprint(judged), holdout, seed=seed, behavior_fingerprint=wrote)
        verdict = judge(holdout, judged, criteria, behavior=logger, seed=seed, look=look)
        directory.record(verdict)
    if as_json:
        emit({**verdict.to_json(), "directory": str(out)})
    else:
        from groundschool.cli import tables
        from groundschool.cli.verdict_table import table

        tables.show(table(verdict))
        for reason in verdict.reasons:
            typer.echo(f"- {reason}")
        typer.echo(f"verdict: {out / 'verdict.md'}")
    raise typer.Exit(verdict.exit_code)


def _baseline(text: str) -> object:
    """Read logger, none, a number, or the path of a saved policy."""
    from groundschool.errors import InputError
    from groundschool.policies import load

    if text in ("logger", "none"):
        return None if text == "none" else text
    try:
        return float(text)
    except ValueError:
        pass
    if not Path(text).exists():
        raise InputError(f"--baseline {text}: expected logger, a number, none, or the directory of a saved policy.")
    return load(Path(text))
