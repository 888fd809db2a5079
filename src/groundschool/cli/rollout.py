"""``groundschool rollout``: a saved policy in an environment, counted and seeded, and stopped by a limit if asked."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from groundschool.cli.common import STOPPED, Bundle, Greedy, Json, emit, reporting
from groundschool.errors import InputError

if TYPE_CHECKING:
    from groundschool.safety.constraints import Constraint

SUMMARY = "A saved policy in an environment."
EXAMPLE = (
    "groundschool rollout runs/tutorial/policies/CQL --env groundschool/HazardGrid-v0 --limit 0.05 "
    "--max-episodes 500 --out rollouts"
)
EPISODES, DESIGN = 30, "sequential"


@reporting
def verb(
    bundle: Bundle,
    env: Annotated[
        str, typer.Option(help="A Gymnasium id, or MODULE:FUNCTION that returns an environment.", show_default=False)
    ],
    episodes: Annotated[
        int | None,
        typer.Option(min=1, help=f"A fixed number, without any limit; {EPISODES} unless said.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    confidence: Annotated[
        float, typer.Option(help="Of the two-sided intervals; of each of the decisions, where there is a limit.")
    ] = 0.95,
    greedy: Greedy = False,
    limit: Annotated[
        float | None,
        typer.Option(help="Stop by this limit on the probability of any cost in an episode.", show_default=False),
    ] = None,
    cost_name: Annotated[
        str | None,
        typer.Option(help="Which cost is limited; the only --cost, or the environment's own, unless said."),
    ] = None,
    constraint: Annotated[
        str | None, typer.Option(help='The limit and its cost in one, such as "hazard<=0.05".', show_default=False)
    ] = None,
    max_episodes: Annotated[
        int | None, typer.Option(min=1, help="The cap of episodes, where there is a limit.", show_default=False)
    ] = None,
    min_episodes: Annotated[
        int | None, typer.Option(min=1, help="Do not stop for safety before; 1 unless said.", show_default=False)
    ] = None,
    design: Annotated[
        str | None,
        typer.Option(
            help=f"sequential (decide after every episode) or fixed (once, at --max-episodes); {DESIGN} unless said.",
            show_default=False,
        ),
    ] = None,
    cost: Annotated[
        list[str] | None,
        typer.Option(
            help='A cost as an expression of what a step led to, such as "hypo = bg_mgdl < 54"; may be repeated.',
            show_default=False,
        ),
    ] = None,
    predicted: Annotated[
        Path | None,
        typer.Option(help="What groundschool evaluate --json printed, to hold against what is seen."),
    ] = None,
    return_range: Annotated[
        str | None, typer.Option(help="The possible range of an episode's return, such as -100,100.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep every episode there as it ends; the same command goes on from there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a saved policy for a fixed number of seeded episodes, or until a limit is shown to be kept or broken."""
    asked: dict[str, Any] = {"--cost-name": cost_name, "--max-episodes": max_episodes, "--min-episodes": min_episodes}
    asked |= {"--design": design, "--cost": cost or None, "--predicted": predicted, "--return-range": return_range}
    asked |= {"--out": out}
    if limit is None and constraint is None:
        if given := [name for name, value in asked.items() if value is not None]:
            raise InputError(f"{given[0]} is for rollouts that stop by a limit. Add --limit, such as --limit 0.05.")
        _fixed(bundle, env, EPISODES if episodes is None else episodes, seed, confidence, greedy, as_json)
        return
    if episodes is not None:
        raise InputError("--episodes is a number without a limit. With a limit the cap is --max-episodes.")
    if max_episodes is None:
        raise InputError("--max-episodes is missing: how many episodes may be run at most, such as --max-episodes 500.")
    from groundschool.policies import load
    from groundschool.safety.campaign.plan import parse_cost
    from groundschool.safety.campaign.run import campaign

    policy, world = load(bundle), _environment(env)
    expressions = [parse_cost(text) for text in cost or ()]
    names = [name for name, _ in expressions]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--cost: {repeated[0]!r} is given twice. Give each cost its own name.")
    try:
        result = campaign(
            world,
            policy.greedy() if greedy else policy,
            constraint=_constraint(limit, cost_name, constraint, names, world),
            max_episodes=max_episodes,
            min_episodes=1 if min_episodes is None else min_episodes,
            confidence=confidence,
            design=design or DESIGN,  # type: ignore[arg-type]  # refused with a sentence there
            seed=seed,
            out=out,
            predicted=None if predicted is None else _json(predicted),
            cost=dict(expressions) or None,
            return_range=None if return_range is None else _range(return_range),
        )
    except KeyboardInterrupt:
        kept = f"; {out} keeps the episodes that ended, and the same command goes on" if out is not None else ""
        typer.echo(f"stopped{kept}", err=True)
        raise typer.Exit(STOPPED) from None
    if as_json:
        emit(result.to_json())
        return
    from groundschool.cli import tables

    tables.show(tables.campaign(result.to_json()))
    typer.echo(str(result))
    if out is not None:
        typer.echo(f"log: {out / 'log'}")


def _fixed(bundle: Path, env: str, episodes: int, seed: int, confidence: float, greedy: bool, as_json: bool) -> None:
    from groundschool.evaluation import rollout
    from groundschool.policies import load

    policy = load(bundle)
    result = rollout(_environment(env), policy.greedy() if greedy else policy, episodes, seed, confidence)
    if as_json:
        emit(result.summary())
        return
    from groundschool.cli import tables

    tables.show(tables.rollout(result.summary()))


def _constraint(limit: float | None, name: str | None, text: str | None, costs: list[str], env: Any) -> Constraint:
    from groundschool.evaluation.simulate import cost_name
    from groundschool.safety.constraints import Constraint

    if text is not None:
        if limit is not None or name is not None:
            raise InputError("--constraint says both cost and limit: leave out --limit and --cost-name.")
        return Constraint.parse(text)
    assert limit is not None
    if name is None and len(costs) > 1:
        raise InputError(f"--cost-name is missing: which of {', '.join(map(repr, costs))} is limited.")
    return Constraint(name or (costs[0] if costs else cost_name(env)), limit=limit)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise InputError(
            f"--predicted {path} cannot be read ({why}). Expected what groundschool evaluate --json prints."
        ) from None


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--return-range {text!r}: expected LOW,HIGH, such as --return-range=-100,100.") from None
    return low, high


def _environment(name: str) -> Any:
    import gymnasium as gym

    module, colon, function = name.partition(":")
    if not colon or not function.isidentifier():  # an id, perhaps with the module that registers it
        from groundschool.config import EnvironmentConfig
        from groundschool.stages import make_environment

        return make_environment(EnvironmentConfig(id=name))
    if not module or module.startswith("."):
        raise InputError(f"--env {name}: expected a Gymnasium id, or MODULE:FUNCTION with a whole module name.")
    if (here := os.getcwd()) not in sys.path:  # where a user keeps the module; a console script does not look there
        sys.path.insert(0, here)
    try:
        make = getattr(importlib.import_module(module), function, None)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a foreign module may raise anything)
        raise InputError(f"--env {name}: module {module!r} cannot be imported ({_said(error)}).") from None
    if not callable(make):
        raise InputError(f"--env {name}: module {module!r} has no function {function!r}.")
    try:
        made = make()
    except (Exception, SystemExit) as error:  # noqa: BLE001
        raise InputError(
            f"--env {name}: {function}() failed ({_said(error)}). Expected a function that needs no arguments and "
            "returns a gymnasium.Env."
        ) from None
    if not isinstance(made, gym.Env):
        raise InputError(
            f"--env {name}: {function}() returned a value of type {type(made).__name__}, expected a gymnasium.Env."
        )
    return made


def _said(error: BaseException) -> str:
    """Return what an error says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}".removesuffix(": ")
