"""A column map drafted from a log: what names and values show is filled in, the rest is asked, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundschool.data import roles
from groundschool.data.columns import OPEN
from groundschool.data.draft_episodes import FLAGS, draft_episodes
from groundschool.data.draft_text import Entries, listing, quoted, text_of
from groundschool.data.roles import Sample
from groundschool.data.source import Source
from groundschool.data.validation import Array

MANY_LABELS = 50


@dataclass(frozen=True)
class Draft:
    """A drafted column map.

    Attributes
    ----------
    text : str
        TOML, as `groundschool.data.columns.Columns.load` reads it once every ``"?"`` is answered.
    questions : mapping from key to str
        What only a person can answer, by the key that is open.
    """

    text: str
    questions: Mapping[str, str]


def draft(source: Source) -> str:
    """Return the TOML text of a column map for `source`, drafted from its first rows; see `sketch`."""
    return sketch(source).text


def sketch(source: Source) -> Draft:
    """Draft a column map from a source's names, kinds and first rows.

    What the format itself says is taken over. A role is filled in where a column's name and its values agree, with the
    reason as a comment. Where a person has to say it, the entry is ``"?"`` below its question and the choices, and the
    map cannot be loaded before it is answered. Costs are never invented.

    Raises
    ------
    InputError
        If the source has no rows, or cannot be read.
    """
    sample, entries = roles.look(source), Entries()
    for name in source.kinds:
        if not name.strip() or not name.isprintable() or name == OPEN:
            entries.leave(name, "a name that cannot be used: rename the column")
    _of_format(entries, source)
    sample, begins = draft_episodes(entries, sample)
    twins = _next_observations(entries, sample)
    _group_and_time(entries, sample, begins)
    _reward(entries, sample)
    _action(entries, sample)
    _propensity(entries, sample)
    _mask(entries, sample)
    _costs(entries, sample, declared=source.columns is not None)
    _observations(entries, sample, twins)
    return Draft(text_of(entries, source, sample), entries.questions)


def _of_format(entries: Entries, source: Source) -> None:
    """Take over what the format itself says."""
    said = {} if source.columns is None else source.columns.to_json()
    why = f"as {source.format} says"
    for name, value in said.pop("costs", {}).items():
        entries.costs[name] = value, why
        entries.used.update(_columns_in(value, source.kinds))
    for key, value in said.items():
        entries.say(key, value, why, *_columns_in(value, source.kinds))


def _columns_in(value: Any, kinds: Mapping[str, str]) -> list[str]:
    """Return the columns that an entry of a map names, within an expression too."""
    if isinstance(value, str):
        inside = [name for name in kinds if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", value)]
        return [value] if value in kinds else inside
    return [name for name in value if name in kinds] if isinstance(value, list) else []


def _named(entries: Entries, sample: Sample, role: str, *kinds: str) -> list[str]:
    return entries.free(sample.named(role, kinds=kinds))


def _numeric(entries: Entries, sample: Sample) -> list[str]:
    return [name for name in entries.free(sample.columns) if sample.numeric(name)]


def _next_observations(entries: Entries, sample: Sample) -> dict[str, str]:
    """Find what was seen afterwards, as a list column; or return the twin ``next_X`` of every X that has one."""
    if {"next_observations", "observations"} & set(entries.values):
        return {}
    if lists := _named(entries, sample, "next_observations", "list"):
        entries.say("next_observations", lists[0], "by its name; it holds lists", lists[0])
        return {}
    by_name = {roles.plain(name): name for name in _numeric(entries, sample)}
    stems = {stem: stem.removeprefix("next_") for stem in by_name if stem.startswith("next_")}
    twins = {by_name[stem]: by_name[later] for later, stem in stems.items() if stem in by_name}
    entries.used.update(twins.values())
    return twins


def _group_and_time(entries: Entries, sample: Sample, begins: Array) -> None:
    within = np.ones(sample.n, np.bool_)
    within[begins] = False
    for name in _named(entries, sample, "group", "integer", "text"):
        column = sample.columns[name]
        constant = not (column[1:] != column[:-1])[within[1:]].any() and not roles.blank(column).any()
        if "group" not in entries.values and constant and len(begins) > 1:
            entries.say("group", name, "constant within each episode; a group stays on one side of a split", name)
    stamps = [name for name in sample.columns if sample.kinds[name] == "time"]
    for name in entries.free([*sample.named("time", kinds=("time", "integer", "number")), *stamps]):
        column = sample.columns[name]
        if "time" not in entries.values and not roles.blank(column).any() and roles.rises(column, begins):
            entries.say("time", name, "never falls within an episode; that of its first row is the episode's", name)


def _reward(entries: Entries, sample: Sample) -> None:
    if "reward" in entries.values:
        return
    if named := _named(entries, sample, "reward", "number", "integer", "flag"):
        entries.say("reward", named[0], f"by its name; {roles.span(sample.columns[named[0]])}", named[0])
        return
    numbers = _numeric(entries, sample)
    entries.ask(
        "reward",
        "What is the reward of a row, the consequence of its action? No column of numbers is called that.",
        "a column, or an expression of columns" + (f"; there are {listing(numbers)}" if numbers else ""),
        *(sample.remarks[name] for name in sample.named("reward", kinds=("text",)) if name in sample.remarks),
    )


def _action(entries: Entries, sample: Sample) -> None:
    if "action" in entries.values:
        return
    if named := _named(entries, sample, "action", "integer", "flag", "number", "text", "list"):
        entries.say("action", named[0], _about_action(entries, sample, named[0]), named[0])
        return
    for stem, names in roles.families(_numeric(entries, sample)).items():
        if stem in roles.NAMES["action"]:
            entries.say("action", names, "by their names; one number each of a continuous action", *names)
            return
    whole = [name for name in entries.free(sample.columns) if sample.kinds[name] in ("integer", "flag", "text")]
    entries.ask(
        "action",
        "Which column is the action: integers from 0, labels, or floats where actions are continuous?",
        *([f"there are {listing(whole)}"] if whole else []),
    )


def _about_action(entries: Entries, sample: Sample, name: str) -> str:
    """Say what goes with an action column of its kind, and return what it looks like."""
    kind, there = sample.kinds[name], roles.seen(sample.columns[name])
    if kind == "list":
        return "by its name; lists of numbers, a continuous action"
    if name in sample.remarks:
        entries.above["action"] = [f"Are these labels? {sample.remarks[name]}"]
    if kind == "text":
        labels = sorted({str(value) for value in there.tolist()})
        if len(labels) <= MANY_LABELS:
            entries.say("action_labels", labels, "those seen, by alphabet; they count from 0: put them right")
        else:
            entries.ask("action_labels", f"Which labels can {quoted(name)} hold? {len(labels):,} were seen.")
        return f"by its name; {len(labels):,} labels"
    about = f"by its name; {roles.span(sample.columns[name])}"
    if kind != "number":
        low, high = (int(there.min()), int(there.max())) if len(there) else (0, 0)
        if low < 0:
            return f"{about}: actions count from 0, so this will be refused"
        return f"{about}: {high + 1} actions from 0 on, unless you say n_actions"
    fractions = there[there != np.floor(there)]
    if len(fractions):
        entries.say("action_kind", "continuous", f"it holds fractions, such as {fractions[0]:.4g}")
    else:
        entries.ask(
            "action_kind",
            f"{quoted(name)} holds whole numbers, as floats ({roles.span(sample.columns[name])}). What are they?",
            '"discrete": each is an action of its own, counted from 0',
            '"continuous": how much of something',
        )
    return about


def _discrete_actions(entries: Entries, sample: Sample) -> Array | None:
    """Return the actions as integers, -1 where blank; None where they are not discrete or not known yet."""
    name = entries.values.get("action")
    if not isinstance(name, str) or name not in sample.columns:
        return None
    column = sample.columns[name]
    if sample.kinds[name] == "text" and isinstance(labels := entries.values.get("action_labels"), list):
        code = {label: i for i, label in enumerate(labels)}
        return np.array([code.get(value, -1) for value in column.tolist()], np.int64)
    if sample.kinds[name] in ("integer", "flag"):
        return np.nan_to_num(column.astype(np.float64), nan=-1.0).astype(np.int64)
    return None


def _propensity(entries: Entries, sample: Sample) -> None:
    actions = _discrete_actions(entries, sample)
    for name in entries.free(sample.columns):
        surely = roles.plain(name) in roles.PROPENSITY or roles.words(name) & roles.PROBABILITY
        there = roles.seen(sample.columns[name])
        if sample.kinds[name] not in ("number", "integer") or len(there) == 0:
            continue
        p = _Probability(sample.columns[name], actions)
        about = roles.span(sample.columns[name])
        if surely and "propensity" in entries.values:
            entries.leave(name, "by its name another probability")
        elif surely and roles.words(name) & roles.LOGARITHM and (there <= 0).all():
            entries.say("propensity", name, f"by its name; {about}", name)
            entries.say("propensity_is", "log_probability", "called a logarithm, and never above 0")
        elif p.valid and (surely or (roles.plain(name).startswith(("p_", "pi_")) and p.fits)):
            entries.say("propensity", name, f"by its name; within (0, 1]: {about}", name)
            if p.n_actions == 2 and not (there == 0.5).all():
                _ask_probability_of_what(entries, name, p)
            elif p.n_actions:
                mean = f"{p.inverse:.3g}, to be near the number of actions, {p.n_actions}"
                entries.why["propensity"] += f"; 1/p averages {mean}"


class _Probability:
    """What a column would be as the propensity of the logged action, or as P(action = 1).

    Over logged actions 1 / P(logged action) averages the number of actions, wherever all of them are possible.
    """

    def __init__(self, column: Array, actions: Array | None) -> None:
        known = ~roles.blank(column)
        self.p, logged = column[known], None if actions is None else actions[known]
        self.n_actions = 0 if logged is None else int(logged.max(initial=-1)) + 1
        positive = self.p > 0 if self.n_actions != 2 else self.p >= 0
        self.valid = bool((positive & (self.p <= 1)).all())
        with np.errstate(divide="ignore", invalid="ignore"):
            self.inverse = float((1 / self.p).mean())
            self.ones = 0.0 if logged is None else float((logged == 1).mean())
            self.inverse_of_1 = float((1 / np.where(logged == 1, self.p, 1 - self.p)).mean())
        self.fits = bool(self.n_actions) and any(
            abs(mean / self.n_actions - 1) < 0.25
            for mean in (self.inverse, self.inverse_of_1 if self.n_actions == 2 else np.inf)
        )


def _ask_probability_of_what(entries: Entries, name: str, p: _Probability) -> None:
    """Ask, of two actions: such a column is as often P(action = 1) as it is P(the logged action)."""
    entries.ask(
        "propensity_is",
        f"Is {quoted(name)} the probability of the action that was logged, or of action 1 whatever was logged?",
        f'"probability": of the logged one; its inverse should average about 2: it is {p.inverse:.3g}',
        f'"probability_of_1": of action 1; the inverse of p, or 1 - p, averages {p.inverse_of_1:.3g}',
        f"(action 1 is {p.ones:.1%} of those logged, and p averages {float(p.p.mean()):.3g})",
    )


def _mask(entries: Entries, sample: Sample) -> None:
    if "action_mask" in entries.values:
        return
    for name in _named(entries, sample, "mask", "list"):
        if roles.is_flag(sample.columns[name].ravel()):
            entries.say("action_mask", name, "by its name; lists of flags, one an action", name)
            return
    flags = [name for name in _numeric(entries, sample) if roles.is_flag(sample.columns[name])]
    for stem, names in roles.families(flags).items():
        if stem in roles.NAMES["mask"]:
            entries.say("action_mask", names, "by their names; flags, one an action", *names)
            return


def _costs(entries: Entries, sample: Sample, *, declared: bool) -> None:
    for name in _numeric(entries, sample):
        there = roles.seen(sample.columns[name])
        if not roles.words(name) & roles.COST or roles.words(name) & roles.BEFORE or len(there) == 0:
            continue
        if there.min() < 0:
            entries.leave(name, "named like a cost, but falls below 0, which a cost must not")
            continue
        short = re.sub(r"^costs?[_./:](?=.)", "", name.rsplit("/", 1)[-1])
        entries.costs[name if short in entries.costs else short] = (
            name,
            f"by its name; {roles.span(sample.columns[name])}",
        )
        entries.used.add(name)
    if entries.costs and "cost_at" not in entries.values and not declared:
        entries.ask(
            "cost_at",
            "Whose consequence is the cost of a row?",
            '"action": of the action in the same row',
        )
    sources = {name: value for name, (value, _) in entries.costs.items()}
    sources |= {role: entries.values[role] for role in FLAGS if role in entries.values}
    blanks = [
        role for role, name in sources.items() if name in sample.columns and roles.blank(sample.columns[name]).any()
    ]
    if blanks and "blank" not in entries.values:
        entries.ask(
            "blank",
            f"What does a blank mean in {listing(blanks)}?",
            '"no event": nothing happened there',
            '"censored": unknown from there on; the episode is cut before that row',
            '"exclude": the episode is left out',
        )
        entries.values["blank"] = dict.fromkeys(blanks, OPEN)
        question = entries.questions.pop("blank")
        entries.questions |= {f"blank.{role}": question for role in blanks}


def _observations(entries: Entries, sample: Sample, twins: Mapping[str, str]) -> None:
    if "observations" in entries.values:
        return
    named = _named(entries, sample, "observations", "list", "integer")
    if named and sample.kinds[named[0]] == "list":
        width = int(np.prod(sample.columns[named[0]].shape[1:]))
        entries.say("observations", named[0], f"by its name; lists of {width:,} numbers", named[0])
        return
    rest = _may_be_observed(entries, sample)
    if rest and rest == named:
        name = named[0]
        entries.say(
            "observations", name, f"ids of states, {roles.span(sample.columns[name])}; [{quoted(name)}] for a number"
        )
    elif rest:
        entries.say("observations", rest, "numbers without another role: take out what is not known before the action")
    else:
        entries.ask("observations", "What is observed before the action? No column of numbers is left for it.")
    entries.used.update(rest)
    if rest and all(name in twins for name in rest):
        entries.say("next_observations", [twins[name] for name in rest], "the next_ of each observation")
        return
    for name in twins.values():
        entries.leave(name, "by its name known only after the action")


def _may_be_observed(entries: Entries, sample: Sample) -> list[str]:
    """Return the columns of numbers that may be observed; set the others aside."""
    rest = []
    for name in _numeric(entries, sample):
        column = sample.columns[name]
        there, about = roles.seen(column), roles.span(column)
        identity = roles.words(name) & roles.IDENTITY or (len(roles.starts(column)) > 2 and roles.labels_runs(column))
        if len(there) == 0:
            entries.leave(name, about)
        elif sample.kinds[name] == "integer" and identity:
            entries.leave(name, f"looks like an identity or a counter, {about}")
        elif roles.words(name) & roles.AFTERWARDS:
            entries.leave(name, "by its name known only after the action")
        elif there.min() == there.max():
            entries.leave(name, f"constant, {there[0]:.4g}: there is nothing to learn from it")
        else:
            rest.append(name)
    return rest
