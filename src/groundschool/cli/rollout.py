"""``groundschool rollout``: a saved policy in an environment, counted and seeded."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from groundschool.cli.common import Json, emit, reporting
from groundschool.errors import InputError

SUMMARY = "A saved policy in an environment."
EXAMPLE = "groundschool rollout runs/tutorial/policies/CQL --env groundschool/HazardGrid-v0 --episodes 200"


@reporting
def verb(
    bundle: Annotated[Path, typer.Argument(help="A saved policy (a directory).", show_default=False)],
    env: Annotated[
        str, typer.Option(help="A Gymnasium id, or MODULE:FUNCTION that returns an environment.", show_default=False)
    ],
    episodes: Annotated[int, typer.Option(min=1)] = 30,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    confidence: Annotated[float, typer.Option(help="Of the two-sided intervals, between 0 and 1.")] = 0.95,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Take the most probable action instead of sampling.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a saved policy for a fixed number of seeded episodes and measure it."""
    from groundschool.evaluation import rollout
    from groundschool.policies import load

    policy = load(bundle)
    result = rollout(_environment(env), policy.greedy() if greedy else policy, episodes, seed, confidence)
    if as_json:
        emit(result.summary())
        return
    from groundschool.cli import tables

    tables.show(tables.rollout(result.summary()))


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
    except Exception as error:  # noqa: BLE001  (a foreign module may raise anything)
        raise InputError(f"--env {name}: module {module!r} cannot be imported ({error}).") from None
    if not callable(make):
        raise InputError(f"--env {name}: module {module!r} has no function {function!r}.")
    made = make()
    if not isinstance(made, gym.Env):
        raise InputError(f"--env {name}: the function returned a {type(made).__name__}, expected a gymnasium.Env.")
    return made
