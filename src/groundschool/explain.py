"""One sentence for what pydantic found: the key's path, the value, what was expected, the nearest valid key."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from groundschool.errors import suggest

_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_ELSEWHERE = "explained_elsewhere"


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first problem as ``path is value, expected what.``, with the count of the others.

    Parameters
    ----------
    error : pydantic.ValidationError
    model : type
        The model that was validated: ranges and valid keys are read from its fields.
    """
    details = _in_order(error)
    sentence = _sentence(details[0], model)
    others = len(details) - 1
    return f"{sentence} ({others} more problem{'s' if others > 1 else ''} after this one.)" if others else sentence


def nested(
    error: ValidationError,
    model: type[BaseModel],
    *,
    also_valid: Sequence[str] = (),
    hints: Mapping[str, str] | None = None,
) -> PydanticCustomError:
    """Return an error for a validator to raise when a model inside it, chosen at run time, refused its keys.

    ``also_valid`` are keys beside that model's own, for suggestions; ``hints`` are the names that other libraries use.
    """
    details = _in_order(error)[0]
    path, problem = _parts(details, model, also_valid)
    called = (hints or {}).get(str(details["loc"][-1])) if details["loc"] else None
    if details["type"] == "extra_forbidden" and called:
        problem = f"is not a known key: it is called {called!r} here."
    return elsewhere(path, problem)


def elsewhere(path: str, problem: str) -> PydanticCustomError:
    """Return an error for a validator to raise about a key further down: its path from here, and what is wrong."""
    return PydanticCustomError(_ELSEWHERE, "{problem}", {"path": path, "problem": problem})


def unknown(name: str, valid: Iterable[str]) -> str:
    """Return what follows the path of an unknown key: the nearest valid one, or all of them."""
    valid = list(valid)
    return "is not a known key." + (suggest(name, valid) or f" Known keys: {', '.join(valid)}.")


def dotted(loc: Sequence[int | str]) -> str:
    """Return a location as it is written in TOML: ``candidates[1].steps``."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _in_order(error: ValidationError) -> list[ErrorDetails]:
    """Return the problems, misspelled keys first: they explain the missing ones."""
    return sorted(error.errors(include_url=False), key=lambda details: details["type"] != "extra_forbidden")


def _sentence(details: ErrorDetails, model: type[BaseModel]) -> str:
    path, problem = _parts(details, model, ())
    return f"{path}{'' if problem.startswith(':') or not path else ' '}{problem}"


def _parts(details: ErrorDetails, model: type[BaseModel], also_valid: Sequence[str]) -> tuple[str, str]:
    """Return the path of a problem and the words that follow it."""
    kind, context = details["type"], details.get("ctx", {})
    loc = details["loc"] if kind == "extra_forbidden" else _without_tags(details["loc"], model)
    path = dotted(loc)
    if kind == _ELSEWHERE:
        inner = context["path"]
        joint = "" if not path or not inner or inner.startswith("[") else "."
        return path + joint + inner, context["problem"]
    if kind == "extra_forbidden":
        valid = [*also_valid, *(_model_at(model, loc[:-1]) or model).model_fields]
        return path, unknown(str(loc[-1]), valid)
    if kind == "missing":
        return path, "is missing."
    if kind == "value_error":
        return path, _ended(f": {context['error']}" if path else str(context["error"]))
    return path, f"is {_shown(details['input'])}, expected {_expected(details, _field_at(model, loc))}."


def _expected(details: ErrorDetails, field: FieldInfo | None) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in ("literal_error", "enum"):
        return f"one of {context['expected']}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "a table of keys and values"
    if kind in ("list_type", "tuple_type"):
        return "a list"
    if kind in ("too_short", "too_long"):
        word = "at least" if kind == "too_short" else "at most"
        return f"{word} {context.get('min_length', context.get('max_length'))} entries"
    plain = next((text for base, text in _KINDS.items() if field and base in _bases(field.annotation)), None)
    if field is None or plain is None:
        return details["msg"][:1].lower() + details["msg"][1:]
    limits = _limits(field)
    words = [repr(word) for word in _bases(field.annotation) if isinstance(word, str)]
    description = f": {field.description}" if field.description else ""
    return " or ".join([plain + (f" {' and '.join(limits)}" if limits else ""), *words]) + description


def _without_tags(loc: Sequence[int | str], model: type[BaseModel]) -> tuple[int | str, ...]:
    """Return a location without the names pydantic gives to the arms of a union."""
    kept: list[int | str] = []
    for part in loc:
        owner = _model_at(model, kept)
        if isinstance(part, str) and (owner is None or part not in owner.model_fields):
            break
        kept.append(part)
    return tuple(kept)


def _limits(field: FieldInfo) -> list[str]:
    metadata = [*field.metadata, *(m for extra in _annotations(field.annotation) for m in extra)]
    found = {
        name: getattr(item, name) for item in metadata for name in _BOUNDS if getattr(item, name, None) is not None
    }
    return [f"{sign} {found[name]:g}" for name, sign in _BOUNDS.items() if name in found]


def _annotations(annotation: Any) -> list[tuple[Any, ...]]:
    """Return the metadata of every Annotated inside an annotation, e.g. of the items of a tuple."""
    here: list[tuple[Any, ...]] = [annotation.__metadata__] if hasattr(annotation, "__metadata__") else []
    here = [tuple(m for item in group for m in (item, *getattr(item, "metadata", ()))) for group in here]
    return here + [found for inner in typing.get_args(annotation) for found in _annotations(inner)]


def _bases(annotation: Any) -> list[Any]:
    inner = typing.get_args(annotation)
    return [base for item in inner for base in _bases(item)] if inner else [annotation]


def _model_at(model: type[BaseModel], loc: Sequence[int | str]) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if current else None
        bases = _bases(field.annotation) if field else []
        current = next((base for base in bases if isinstance(base, type) and issubclass(base, BaseModel)), None)
    return current


def _field_at(model: type[BaseModel], loc: Sequence[int | str]) -> FieldInfo | None:
    names = [part for part in loc if isinstance(part, str)]
    owner = _model_at(model, names[:-1])
    return owner.model_fields.get(names[-1]) if owner and names else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
