"""Policies that are made to be certified, by name and with options as a config writes them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from groundschool.data import Dataset
from groundschool.errors import InputError, suggest
from groundschool.evaluation.question import Question
from groundschool.safety.cautious import Pruned, Spibb
from groundschool.safety.provable import MostProvable
from groundschool.safety.study import is_measured

Maker = Callable[[Dataset, int], Any]

MAKERS: dict[str, Any] = {"pruned": Pruned, "spibb": Spibb, "most_provable": MostProvable}

_CODE = ("behavior", "makers")  # objects, which no config can hold


def make(algorithm: str, name: str, options: Mapping[str, Any]) -> Maker:
    """Return the maker of that name with its options, which may be objects too.

    Raises
    ------
    InputError
        If an option is unknown or its value is not valid.
    """
    kind = MAKERS[algorithm]
    known = [field.name for field in dataclasses.fields(kind)]
    for option in options:
        if option not in known:
            raise InputError(
                f"{algorithm} has no option {option!r}.{suggest(option, known)} It has: {', '.join(known)}."
            )
    made: Maker = kind(**{"name": name, **options})
    return made


def options_of(algorithm: str) -> type[BaseModel]:
    """Return a model of the options that a config can hold: types and defaults are those of the class."""
    kind = MAKERS[algorithm]
    hints = typing.get_type_hints(kind)
    fields = {
        field.name: (hints[field.name], field.default)
        for field in dataclasses.fields(kind)
        if field.name not in (*_CODE, "name")
    }
    rules = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    model: type[BaseModel] = create_model(f"{kind.__name__}Options", __config__=rules, **fields)  # type: ignore[call-overload]
    return model


def require_makeable(log: Dataset, algorithm: str, options: Mapping[str, Any], seed: int) -> None:
    """Raise `InputError` where a maker cannot study this log.

    Where observations are counted it tries, since that takes a second. Networks for measured ones are not trained here.

    Parameters
    ----------
    log : Dataset
    algorithm : {"pruned", "spibb", "most_provable"}
    options : mapping
        As a config holds them.
    seed : int
    """
    of = options.get("of")
    if of == "gain" and algorithm == "most_provable":
        if log.return_range is None:
            raise InputError(
                "of is 'gain', and the log declares no range of the return (return_range), without which no gain can "
                "be shown."
            )
    elif of is not None:
        kind = Question.parse(of, log).kind
        if algorithm == "most_provable" and kind != "probability":
            raise InputError(f"of is {of!r}, expected 'probability:NAME' or 'gain'.")
    if algorithm == "most_provable":  # its makers are of this kind, and many
        algorithm, options = "pruned", {}
    maker = make(algorithm, algorithm, options)
    if isinstance(maker, Pruned) and log.n_actions is not None and is_measured(log):
        maker.require_measurable(log)
    else:
        maker(log, seed)
