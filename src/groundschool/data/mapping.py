"""A stretch of whole episodes, from named columns to a raw log, as the column map says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from groundschool.data.blanks import treat_blanks
from groundschool.data.columns import Columns
from groundschool.data.cutting import shortened
from groundschool.data.decoding import Decoder, Where, listed
from groundschool.data.expressions import Expression
from groundschool.data.features import Feature
from groundschool.data.raw import RawLog
from groundschool.data.source import Batch, Source
from groundschool.data.validation import Array
from groundschool.errors import InputError, suggest

_ENDS = ("terminated", "truncated")
_LABELS = {
    "episode": ("integer", "number", "text", "flag", "time"),
    "group": ("integer", "number", "text", "flag"),
    "step": ("integer", "number", "time"),
}
_DECLARED = ("n_actions", "horizon", "return_range", "action_labels")
_PLAIN = ("episode", "step", "propensity", "group", "time", "action_mask", "next_observations", "next_action_mask")
_ASK_END = (
    "how episodes end is not said, and it is never guessed: name a column or an expression as terminated= or "
    'truncated=, or say last_row="truncated" (we stopped looking there) or last_row="terminated" (the process ended '
    "there)"
)


class Mapper:
    """Applies a column map to stretches of a source's rows.

    Parameters
    ----------
    source : Source
    columns : Columns
    ask : bool
        Whether the map must say how episodes end.

    Raises
    ------
    InputError
        If the map names columns that are not there, or leaves open what nobody but a person can say.
    """

    def __init__(self, source: Source, columns: Columns, *, ask: bool = True) -> None:
        self.source, self.columns = source, columns
        self.decoder = Decoder(source, columns, lenient=not ask)
        try:
            columns.require_consistent()
        except InputError as error:
            self._fail(str(error))
        self.observations = self._required("observations")
        self.action = self._required("action")
        self.reward = self._resolve("reward", str(self._required("reward")))
        self.flags = {role: self._resolve(role, text) for role in _ENDS if (text := getattr(columns, role)) is not None}
        self.costs = {name: self._resolve(f"costs.{name}", text) for name, text in columns.costs.items()}
        self.others = [name for role in _PLAIN for name in listed(getattr(columns, role)) if self._column(role, name)]
        for role, kinds in _LABELS.items():
            name = getattr(columns, role)
            if name is not None and source.kinds[name] not in kinds:
                self._fail(f"{role} column {name!r} holds {source.kinds[name]}. Expected {' or '.join(kinds)}.")
        if columns.episode is None and not self.flags:
            self._fail(
                f"nothing tells episodes apart. Name the column that labels them: episode=...; and {_ASK_END}. "
                'Where every row is an episode of its own, say terminated="1 == 1" alone.'
            )
        if ask and columns.episode is not None and not self.flags and columns.last_row is None:
            self._fail(f"{_ASK_END}.")
        self.arrivals = {name for name in self.costs if self._timing(name) == "arrival"}
        meanings = [columns.blank_meaning(name) for name in (*self.costs, *_ENDS)]
        self.has_finals = columns.next_observations is not None or columns.final_rows or "censored" in meanings

    @cached_property
    def wanted(self) -> tuple[str, ...]:
        """Every column that the map reads, once."""
        expressions = (self.reward, *self.flags.values(), *self.costs.values())
        computed = [name for expression in expressions for name in expression.names]
        return tuple(dict.fromkeys([*listed(self.observations), *listed(self.action), *computed, *self.others]))

    def boundaries(self, before: Batch | None, batch: Batch) -> Array:
        """Return the positions (0 and the length of `batch` among them) where an episode begins or has just ended."""
        if self.columns.episode is None:
            return np.flatnonzero(self._ended(batch)) + 1
        labels = batch[self.columns.episode]
        changed = np.flatnonzero(labels[1:] != labels[:-1]) + 1
        if before is not None and before[self.columns.episode][-1] != labels[0]:
            changed = np.concatenate([np.zeros(1, changed.dtype), changed])
        return changed

    def map(self, rows: Batch, first_row: int, kept: Array | None = None) -> RawLog:
        """Return the raw log of a stretch of whole episodes that begins at `first_row` of the source."""
        columns, decode = self.columns, self.decoder
        starts = self._starts(rows)
        last = starts[1:] - 1

        def where(row: int) -> int:
            return first_row + int(row if kept is None else kept[row])

        tally: dict[str, int] = {}
        ends = {role: self._flag(role, rows, where) for role in _ENDS}
        excluded, cut = self._read_blanks(ends, starts, tally, where)
        self._end(ends, last, tally)
        costs = {name: self._cost(name, rows, starts, tally) for name in self.costs}
        left_out, cut_by_cost = self._read_blanks(costs, starts, tally, where)
        excluded |= left_out
        cut = np.minimum(cut, cut_by_cost)
        seen, following = self._seen(rows)
        finals = self._finals(seen, following, last)
        declared = self._declared_features
        names = decode.feature_names(self.observations, rows) if declared is None else tuple(declared)
        observations, finals, features = treat_blanks(seen, finals, starts, names, columns)
        if declared is not None:
            features = tuple(_merged(feature, declared.get(feature.name)) for feature in features)
        no_decision = np.zeros(len(seen), np.bool_)
        no_decision[last] = columns.final_rows
        actions = decode.actions(self.action, rows, where, no_decision)
        masks = None
        if columns.action_mask is not None:
            masks = decode.mask("action_mask", columns.action_mask, rows, where, no_decision)
        raw = RawLog(
            observations=observations,
            actions=actions,
            rewards=self.reward.evaluate(rows).astype(np.float64, copy=False),
            terminated=ends["terminated"] > 0,
            truncated=ends["truncated"] > 0,
            starts=starts,
            costs=costs,
            propensities=None if columns.propensity is None else decode.propensities(columns.propensity, rows, actions),
            action_masks=masks,
            final_observations=finals,
            final_action_masks=self._final_masks(masks, rows, last, ends["terminated"] > 0, where),
            steps=None if columns.step is None else decode.steps(columns.step, rows),
            next_observations=following if observations is seen else None,
            groups=None if columns.group is None else decode.labels("group", columns.group, rows, starts, where),
            times=None if columns.time is None else decode.times(columns.time, rows, starts),
            episode_ids=(
                None if columns.episode is None else decode.labels("episode", columns.episode, rows, starts, where)
            ),
            features=None if self._nameless else features,
            arrivals=tuple(name for name in costs if name in self.arrivals),
            first_row=first_row,
            kept=kept,
            names=self._names,
            tally=tally,
            notes=self.source.notes,
            source=self.source.name,
            **self._declared,
        )
        if not excluded.any() and (cut == starts[1:]).all() and not columns.final_rows:
            return raw
        return shortened(raw, excluded, cut, final_rows=columns.final_rows)

    def _starts(self, rows: Batch) -> Array:
        n = _length(rows)
        begins = self.boundaries(None, rows)
        begins = begins[begins < n].astype(np.int64)
        return np.concatenate([np.zeros(1, np.int64), begins, np.full(1, n, np.int64)])

    def _ended(self, rows: Batch) -> Array:
        """Return where a flag ends an episode, (n,) bool; a blank ends none."""
        ended = np.zeros(_length(rows), np.bool_)
        for role in self.flags:
            ended |= self._flag(role, rows, int) > 0
        return ended

    def _flag(self, role: str, rows: Batch, where: Where) -> Array:
        """Return an end flag as 0, 1 and NaN where blank, (n,) float64; zeros where the map has none."""
        if role not in self.flags:
            return np.zeros(_length(rows))
        values = self.flags[role].evaluate(rows).astype(np.float64)
        wrong = ~((values == 0) | (values == 1) | np.isnan(values))
        if wrong.any():
            row, text = int(np.argmax(wrong)), str(self.flags[role])
            self._fail(
                f"{role} ({text}): values are neither 0 nor 1 (the first is {values[row]:g}, at row {where(row)}). "
                f'Expected flags; say what the values mean in an expression, such as {role}="{text} == 2".'
            )
        return values

    def _end(self, ends: Mapping[str, Array], last: Array, tally: dict[str, int]) -> None:
        """Give last rows without an end the one that the map says."""
        said = self.columns.last_row
        if said is not None:
            silent = last[(ends["terminated"][last] == 0) & (ends["truncated"][last] == 0)]
            ends[said][silent] = 1.0
            tally[f"ends said to be {said} by last_row"] = len(silent)

    def _cost(self, name: str, rows: Batch, starts: Array, tally: dict[str, int]) -> Array:
        """Return a cost as the consequence of its row's action, (n,) float64, NaN where blank."""
        values = self.costs[name].evaluate(rows).astype(np.float64, copy=False)
        if name not in self.arrivals:
            return values
        last = starts[1:] - 1
        arrived = np.empty_like(values)
        arrived[:-1] = values[1:]
        arrived[last] = self._final_cost(name, rows, last)
        tally[f"episodes that begin with cost {name}, which no logged action caused"] = int(
            (values[starts[:-1]] > 0).sum()
        )
        return arrived

    def _final_cost(self, name: str, rows: Batch, last: Array) -> Array:
        """Return the cost read off the observation after each last action, (E,); NaN where the log has none."""
        own, following = listed(self.observations), listed(self.columns.next_observations)
        after = dict(zip(own, following, strict=True)) if len(own) == len(following) else {}
        names = self.costs[name].names
        if any(one not in after for one in names):
            return np.full(len(last), np.nan)
        return self.costs[name].evaluate({one: rows[after[one]][last] for one in names}).astype(np.float64)

    def _read_blanks(
        self, columns: Mapping[str, Array], starts: Array, tally: dict[str, int], where: Where
    ) -> tuple[Array, Array]:
        """Fill blanks that mean no event; return which episodes are left out and the row before which each is cut."""
        excluded = np.zeros(len(starts) - 1, np.bool_)
        cut = starts[1:].copy()
        for name, values in columns.items():
            blank = np.flatnonzero(np.isnan(values))
            if self.columns.final_rows and name not in _ENDS:  # they are no decisions, and cost nothing
                blank = np.setdiff1d(blank, starts[1:] - 1, assume_unique=True)
            meaning = self.columns.blank_meaning(name)
            if len(blank) == 0:
                continue
            if meaning == "no event":
                values[blank] = 0.0
                tally[f"blanks in {name} read as no event"] = len(blank)
            elif meaning is not None:
                episode = np.searchsorted(starts, blank, side="right") - 1
                if meaning == "exclude":
                    excluded[episode] = True
                else:
                    np.minimum.at(cut, episode, blank)
            elif name in _ENDS:
                self._fail(
                    f"{name} ({self.flags[name]}): values are blank (first at row {where(int(blank[0]))}). Say what a "
                    'blank means: blank="no event" | "censored" | "exclude".'
                )
        return excluded, cut

    def _seen(self, rows: Batch) -> tuple[Array, Array | None]:
        """Return observations, and those after each action where there are columns of them, in one type of number."""
        observations = self.decoder.observations(self.observations, rows)
        if self.columns.next_observations is None:
            return observations, None
        following = self.decoder.observations(self.columns.next_observations, rows)
        if observations.ndim == 1 and following.shape[1:] == (1,) and np.isnan(following).all():
            following = np.full(len(following), -1, observations.dtype)  # state ids, none of which is known
        if following.shape != observations.shape:
            self._fail(
                f"next_observations: each has shape {following.shape[1:]}, but observations have "
                f"{observations.shape[1:]}. Name the columns of both in the same order."
            )
        dtype = np.result_type(observations, following)
        return observations.astype(dtype, copy=False), following.astype(dtype, copy=False)

    def _finals(self, observations: Array, following: Array | None, last: Array) -> Array | None:
        if not self.has_finals:
            return None
        if following is not None:
            return following[last]
        unknown = -1 if observations.dtype.kind == "i" else np.nan
        return np.full((len(last), *observations.shape[1:]), unknown, observations.dtype)

    def _final_masks(
        self, masks: Array | None, rows: Batch, last: Array, terminated: Array, where: Where
    ) -> Array | None:
        """Return what was allowed after each episode, (E, A); nothing where that is not known (yet)."""
        chosen = self.columns.next_action_mask
        if chosen is not None:
            return self.decoder.mask("next_action_mask", chosen, rows, where, terminated)[last]
        if masks is None or not self.has_finals or self.columns.next_observations is not None:
            return None
        return np.zeros((len(last), masks.shape[1]), np.bool_)

    @cached_property
    def _declared_features(self) -> dict[str, Feature] | None:
        """The features that the format itself declares, where the map leaves its observations alone."""
        declared = self.source.declared.get("features")
        own = None if self.source.columns is None else self.source.columns.observations
        if declared is None or own != self.columns.observations:
            return None
        features = (Feature(one) if isinstance(one, str) else one for one in declared)
        return {feature.name: feature for feature in features}

    @cached_property
    def _nameless(self) -> bool:
        """Whether the format says that the log names no features, and the map treats none."""
        said = (self.columns.forward_fill, self.columns.indicators, self.columns.impute)
        return self.source.declared.get("features", ()) is None and said == (False, False, None)

    @cached_property
    def _declared(self) -> dict[str, Any]:
        said = {name: getattr(self.columns, name) for name in _DECLARED}
        return {name: self.source.declared.get(name) if value is None else value for name, value in said.items()}

    @cached_property
    def _names(self) -> dict[str, str]:
        roles = {
            "observations": self.observations,
            "actions": self.action,
            "rewards": self.columns.reward,
            "terminated": self.columns.terminated,
            "truncated": self.columns.truncated,
            "propensities": self.columns.propensity,
            "action_masks": self.columns.action_mask,
            "next_observations": self.columns.next_observations,
            "steps": self.columns.step,
            "groups": self.columns.group,
            "times": self.columns.time,
            "episode_ids": self.columns.episode,
        }
        named = {role: ", ".join(listed(value)) for role, value in roles.items() if value is not None}
        return named | {f"costs[{name!r}]": name for name in self.costs}

    def _timing(self, name: str) -> str:
        said = self.columns.cost_timing(name)
        seen = sorted(set(self.costs[name].names) & set(listed(self.observations)))
        if said is None and seen:
            self._fail(
                f"costs.{name} is read off the observation ({', '.join(seen)}). Say whose consequence that is: "
                'cost_at="arrival" (of the action before, which led there) or cost_at="action" (of the action of the '
                "same row)."
            )
        return said or "action"

    def _required(self, role: str) -> str | Sequence[str]:
        value: str | Sequence[str] | None = getattr(self.columns, role)
        if value is None:
            have = ", ".join(self.source.kinds)
            draft = " groundschool init drafts one." if self.source.columns is None else ""
            self._fail(f"{role} is not said. Name it in the column map: {role}=... (the columns are: {have}).{draft}")
        for name in listed(value) if role != "reward" else ():
            self._column(role, name)
        return value

    def _column(self, role: str, name: str) -> bool:
        if name not in self.source.kinds:
            known = ", ".join(self.source.kinds) or "none"
            hint = suggest(name, self.source.kinds)
            self._fail(f"{role}: there is no column {name!r}.{hint} The columns are: {known}.")
        return True

    def _resolve(self, role: str, text: str) -> Expression:
        """Return a column, or an expression over columns."""
        if text in self.source.kinds:
            return Expression.parse("`" + text.replace("`", "``") + "`")
        expression = Expression.parse(text)
        for name in expression.names:
            self._column(role, name)
        return expression

    def _fail(self, message: str) -> NoReturn:
        self.decoder.fail(message)


def _merged(said: Feature, declared: Feature | None) -> Feature:
    """Return a feature as the user says, over what the format declares."""
    if declared is None:
        return said
    return Feature(
        said.name,
        forward_fill=said.forward_fill or declared.forward_fill,
        impute=declared.impute if said.impute is None else said.impute,
        indicator_of=said.indicator_of or declared.indicator_of,
    )


def _length(rows: Batch) -> int:
    return len(next(iter(rows.values())))
