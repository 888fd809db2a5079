"""The column map: which column of a table means what, and what its blanks mean. Nothing in it is guessed."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from groundschool.errors import InputError, suggest

End = Literal["terminated", "truncated"]
CostAt = Literal["action", "arrival"]
Blank = Literal["no event", "censored", "exclude"]
PropensityIs = Literal["probability", "log_probability", "probability_of_1"]
ActionKind = Literal["discrete", "continuous"]

OPEN = "?"  # what `groundschool init` writes where only a person can answer


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column of a table means what. Everything is optional here; a reader asks for what it cannot do without.

    A *column* below is the name of a column. Where an *expression* is allowed too, it is one of the closed grammar of
    `groundschool.data.expressions`, over the table's columns, such as ``"bg_mgdl < 54"``; a text that is the name of a
    column is that column. Expressions see the values as they are logged, blanks unfilled.

    Parameters
    ----------
    observations : column, or list of columns
        A list: numeric columns, one feature each. A single name: a column of lists (one feature an entry), of
        integers (a discrete state id), or of floats (one feature). ``["x"]`` makes a feature of an integer column.
    action : column, or list of columns
        Integers from 0; labels, together with `action_labels`; a list column or a list of columns of floats for
        continuous actions. One float column is ambiguous: say `action_kind`.
    reward : column or expression
    episode : column, optional
        Labels episodes by integers or text; the rows of one stand together. Without it an episode ends where
        `terminated` or `truncated` says so.
    step : column, optional
        Counts the steps of an episode, rising by one.
    terminated, truncated : column or expression, optional
        The process ended at this row; we stopped looking after this row.
    last_row : "terminated" or "truncated", optional
        What the last row of an episode is where neither flag says so.
    final_rows : bool
        The last row of each episode holds only what was seen after the last action: its action and reward mean nothing,
        and its end flags belong to the row before.
    costs : mapping from name to column or expression
        Finite and >= 0. True counts as 1.
    cost_at : "action" or "arrival", or mapping from cost name to either
        Whether a cost belongs to the action of its own row, or is read off the observation there and so belongs to the
        action before ("arrival"). Asked for where a cost is an expression of observations.
    blank : "no event", "censored" or "exclude", or mapping from cost name, ``"terminated"`` or ``"truncated"`` to one
        What a blank means: no event; unknown from there on, so that the episode is cut before that row; or that the
        episode is left out.
    propensity : column, optional
    propensity_is : "probability", "log_probability" or "probability_of_1"
        The propensity column holds the probability of the logged action (unless another is said), its logarithm
        (natural), or, of two actions, the probability of action 1 whatever was logged.
    action_mask : column of lists, or list of columns, optional
        True where an action was allowed, one entry an action.
    action_labels : list of text, optional
        The vocabulary of a label column; action i is the i-th.
    action_kind : "discrete" or "continuous", optional
        Whether a column of floats counts actions or measures them.
    n_actions : int, optional
        Without it: the labels, the width of the mask, or the largest action logged plus one.
    next_observations : as `observations`, optional
        What was seen after the action of the same row; the last of an episode is its final observation.
    next_action_mask : as `action_mask`, optional
        What was allowed after the action of the same row.
    group : column, optional
        The unit that must stay on one side of a split, such as a patient; constant within an episode.
    time : column, optional
        Time stamp (or any number that rises with time) of the row; that of its first row is the episode's.
    forward_fill, indicators : True, or list of observation columns
        Blanks among these take the last value seen in the episode; blanks among these are marked in a further feature.
    impute : "mean", "median" or a number, or mapping from observation column to one
        What replaces blanks that are left; fitted on the training part and shipped with the policy.
    horizon : int, optional
        The longest an episode can be.
    return_range : (low, high), optional
        The possible range of an episode's undiscounted return.
    sort : bool
        Put rows in order of (episode, step) first. Needs `episode` and `step`, and the whole log in memory.

    Raises
    ------
    InputError
        If an entry has the wrong kind of value, or contradicts another.
    """

    observations: str | Sequence[str] | None = None
    action: str | Sequence[str] | None = None
    reward: str | None = None
    episode: str | None = None
    step: str | None = None
    terminated: str | None = None
    truncated: str | None = None
    last_row: End | None = None
    final_rows: bool = False
    costs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cost_at: CostAt | Mapping[str, CostAt] | None = None
    blank: Blank | Mapping[str, Blank] | None = None
    propensity: str | None = None
    propensity_is: PropensityIs | None = None
    action_mask: str | Sequence[str] | None = None
    action_labels: Sequence[str] | None = None
    action_kind: ActionKind | None = None
    n_actions: int | None = None
    next_observations: str | Sequence[str] | None = None
    next_action_mask: str | Sequence[str] | None = None
    group: str | None = None
    time: str | None = None
    forward_fill: bool | Sequence[str] = False
    indicators: bool | Sequence[str] = False
    impute: str | float | Mapping[str, str | float] | None = None
    horizon: int | None = None
    return_range: tuple[float, float] | None = None
    sort: bool = False

    def __post_init__(self) -> None:
        for name in ("reward", "episode", "step", "terminated", "truncated", "propensity", "group", "time"):
            _check_text(name, getattr(self, name))
        for name in ("observations", "action", "action_mask", "next_observations", "next_action_mask"):
            value = getattr(self, name)
            if isinstance(value, str) or value is None:
                _check_text(name, value)
            else:
                object.__setattr__(self, name, _names(name, value))
        if self.action_labels is not None:
            object.__setattr__(self, "action_labels", _names("action_labels", self.action_labels))
        for name in ("forward_fill", "indicators"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                object.__setattr__(self, name, _names(name, value, empty=True))
        _check_word("last_row", self.last_row, get_args(End))
        _check_word("propensity_is", self.propensity_is, get_args(PropensityIs))
        _check_word("action_kind", self.action_kind, get_args(ActionKind))
        object.__setattr__(self, "costs", _mapping("costs", self.costs))
        for name, source in self.costs.items():
            _check_text(f"costs.{name}", source)
        for name, words in (("cost_at", get_args(CostAt)), ("blank", get_args(Blank))):
            value = getattr(self, name)
            if isinstance(value, Mapping):
                object.__setattr__(self, name, _mapping(name, value))
                for key, word in value.items():
                    _check_word(f"{name}.{key}", word, words)
            else:
                _check_word(name, value, words)
        self._check_impute()
        if self.n_actions is not None and (type(self.n_actions) is not int or self.n_actions < 1):
            raise _bad("n_actions", self.n_actions, "an integer of at least 1")
        if self.horizon is not None and (type(self.horizon) is not int or self.horizon < 1):
            raise _bad("horizon", self.horizon, "an integer of at least 1")
        if self.return_range is not None:
            object.__setattr__(self, "return_range", _range(self.return_range))
        for name in ("sort", "final_rows"):
            if not isinstance(getattr(self, name), bool):
                raise _bad(name, getattr(self, name), "true or false")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], source: str = "columns") -> Columns:
        """Return the map that plain values (a TOML table, JSON) describe; an unknown key is an error.

        Raises
        ------
        InputError
            Naming `source`, the key, and the nearest valid one; or an entry that `groundschool init` left open.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for key, value in values.items():
            if key not in known:
                raise InputError(
                    f"{source}: {key!r} is not part of a column map.{suggest(key, known)} Known: {', '.join(known)}."
                )
            asked = [key] if value == OPEN else []
            if isinstance(value, Mapping):
                asked += [f"{key}.{name}" for name, one in value.items() if one == OPEN]
            if asked:
                raise InputError(
                    f"{source}: {asked[0]} is still {OPEN!r}. Only a person can say it: answer it there, or remove the "
                    "line if the log has no such thing."
                )
        try:
            columns = cls(**dict(values))
            if columns.observations is not None and columns.action is not None:  # not only a few words over another's
                columns.require_consistent()
            return columns
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Columns:
        """Read a map from a TOML file, such as `groundschool init` drafts; InputError names the file and the key."""
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}). Expected a column map in TOML.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: not valid TOML: {error}.") from None
        return cls.from_mapping(values, str(path))

    def to_json(self) -> dict[str, Any]:
        """Return every entry that differs from its default, JSON-ready; `from_mapping` of it is an equal map."""
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            default = {} if field.name == "costs" else field.default
            if value != default:
                found[field.name] = _plain(value)
        return found

    def over(self, other: Columns | None) -> Columns:
        """Return `other` with the entries that this map says in place of its own."""
        if other is None:
            return self
        return Columns.from_mapping(other.to_json() | self.to_json())

    def require_consistent(self) -> None:
        """Raise InputError where one entry needs another; asked of a whole map, after `over`."""
        self._check_keys("cost_at", self.costs)
        self._check_keys("blank", [*self.costs, "terminated", "truncated"])
        if self.sort and (self.episode is None or self.step is None):
            raise InputError("sort needs episode and step, which say the order.")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as plain values: workers get their column map that way."""
        return type(self).from_mapping, (self.to_json(),)

    def cost_timing(self, name: str) -> CostAt | None:
        """Return whether the cost `name` belongs to its own row's action or to the one before; None where not said."""
        return self.cost_at.get(name) if isinstance(self.cost_at, Mapping) else self.cost_at

    def blank_meaning(self, name: str) -> Blank | None:
        """Return what a blank in a cost, in ``"terminated"`` or in ``"truncated"`` means; None where not said."""
        return self.blank.get(name) if isinstance(self.blank, Mapping) else self.blank

    def imputation(self, name: str) -> str | float | None:
        """Return what replaces blanks in the observation column `name`."""
        return self.impute.get(name) if isinstance(self.impute, Mapping) else self.impute

    def _check_keys(self, name: str, valid: Any) -> None:
        value = getattr(self, name)
        for key in value if isinstance(value, Mapping) else ():
            if key not in valid:
                raise InputError(
                    f"{name}: {key!r} is not one of {', '.join(valid) or 'no costs'}.{suggest(key, valid)}"
                )

    def _check_impute(self) -> None:
        values = self.impute.values() if isinstance(self.impute, Mapping) else [self.impute]
        for value in values:
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not (value is None or number or value in ("mean", "median")):
                raise _bad("impute", value, "'mean', 'median' or a number")
        if isinstance(self.impute, Mapping):
            object.__setattr__(self, "impute", _mapping("impute", self.impute))


def _check_text(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise _bad(name, value, "the name of a column")


def _check_word(name: str, value: object, words: Sequence[str]) -> None:
    if value is not None and value not in words:
        hint = suggest(value, words) if isinstance(value, str) else ""
        raise InputError(f"{name}: {value!r} is not valid. Expected one of {', '.join(map(repr, words))}.{hint}")


def _names(name: str, value: object, *, empty: bool = False) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not (value or empty):
        raise _bad(name, value, "a list of names")
    names = tuple(value)
    for one in names:
        _check_text(name, one if one is not None else 0)
    if len(set(names)) < len(names):
        twice = next(one for one, count in Counter(names).items() if count > 1)
        raise InputError(f"{name}: {twice!r} is named twice.")
    return names


def _mapping(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or any(not isinstance(key, str) or not key.isprintable() for key in value):
        raise _bad(name, value, "a mapping by name")
    return MappingProxyType(dict(value))


def _range(value: object) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise _bad("return_range", value, "(low, high)") from None
    return low, high


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _bad(name: str, value: object, expected: str) -> InputError:
    return InputError(f"{name}: {value!r} is not valid. Expected {expected}.")
