"""A drafted column map as text: TOML, with every reason and every question as a comment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groundschool.data import roles
from groundschool.data.columns import OPEN
from groundschool.data.roles import Sample
from groundschool.data.source import Source

ORDER = (
    "observations", "action", "action_labels", "action_kind", "reward", "episode", "step", "sort", "terminated",
    "truncated", "last_row", "final_rows", "group", "time", "propensity", "propensity_is", "action_mask",
    "next_observations", "next_action_mask", "cost_at", "blank",
)  # fmt: skip
WIDTH = 118


@dataclass
class Entries:
    """A column map in the making.

    Attributes
    ----------
    values : mapping from key to value
        `OPEN` where it is asked.
    why : mapping from key to a reason
    above : mapping from key to the lines of its question, or of what to know about it
    questions : mapping from key to its question
    costs : mapping from cost name to (column or expression, reason)
    used : names of the columns that have a role, or are known to have none
    aside : mapping from column to why it has none
    """

    values: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    above: dict[str, list[str]] = field(default_factory=dict)
    questions: dict[str, str] = field(default_factory=dict)
    costs: dict[str, tuple[str, str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    aside: dict[str, str] = field(default_factory=dict)

    def say(self, key: str, value: Any, why: str, *columns: str) -> None:
        """Fill in a key, and mark the columns it uses."""
        self.values[key], self.why[key] = value, why
        self.used.update(columns)

    def ask(self, key: str, question: str, *choices: str) -> None:
        """Leave a key open under its question and the possible answers."""
        self.values[key] = OPEN
        self.above[key] = [question, *(f"  {choice}" for choice in choices)]
        self.questions[key] = question

    def leave(self, name: str, why: str) -> None:
        """Set a column aside."""
        self.aside[name] = why
        self.used.add(name)

    def free(self, names: Iterable[str]) -> list[str]:
        """Return the columns among `names` that have no role yet."""
        return [name for name in names if name not in self.used]


def text_of(entries: Entries, source: Source, sample: Sample) -> str:
    """Return the map as TOML."""
    seen = f"its {sample.n:,} rows" if sample.whole else f"its first {sample.n:,} rows"
    lines = [
        f"# Column map of {quoted(source.name)} ({source.format}), drafted from {seen}.",
        f'# Read every line. "{OPEN}" is what only a person can say: the log is not read before it is answered.',
        '# Flags, reward and costs can be expressions of columns, such as terminated = "code == 2".',
        *(f"# {note}" for note in source.notes),
    ]
    values = entries.values
    for key in [*(key for key in ORDER if key in values), *(key for key in values if key not in ORDER)]:
        above = [f"# {line}" for line in entries.above.get(key, [])]
        lines += ["", *above] if above or key == "observations" else []
        listed = key == "observations" and not isinstance(values[key], str)
        write = _observations if listed else _entry
        lines += write(key, values[key], entries.why.get(key, ""), sample)
        lines += [""] if above or listed else []
    lines += _asides(entries, source, sample)
    lines += _costs(entries, sample)
    kept = [line for i, line in enumerate(lines) if line or lines[i - 1]]
    return "".join(f"{_printable(line)}\n" for line in kept)


def _entry(key: str, value: Any, why: str, sample: Sample) -> list[str]:
    line = f"{key} = {toml(value)}"
    if not why:
        return [line]
    return [f"{line}  # {why}"] if len(line) + len(why) + 4 <= WIDTH else [f"# {why}:", line]


def _observations(key: str, names: Sequence[str], why: str, sample: Sample) -> list[str]:
    known = [name for name in names if name in sample.columns and sample.numeric(name)]
    lines = [f"{key} = [" + (f"  # {why}" if why else "")]
    for name in names:
        about = roles.span(sample.columns[name]) if name in known else ""
        lines.append(f"    {quoted(name)}," + (f"  # {about}" if about else ""))
    lines.append("]")
    blanks = [name for name in known if roles.blank(sample.columns[name]).any()]
    if blanks:
        lines += [
            "# Blanks stay blank, and training refuses them, unless you say what becomes of them:",
            f"# forward_fill = {toml(blanks)}  # the last value seen in the episode",
            f"# indicators = {toml(blanks)}  # one more feature each: whether it was blank",
            '# impute = "median"  # of the training part, for what is still blank then',
        ]
    return lines


def _asides(entries: Entries, source: Source, sample: Sample) -> list[str]:
    left = entries.aside | {name: _why_left(name, source, sample) for name in entries.free(source.kinds)}
    return ["", "# Without a role:", *(f"#   {quoted(name)}: {why}" for name, why in left.items())] if left else []


def _why_left(name: str, source: Source, sample: Sample) -> str:
    kind = source.kinds[name]
    if name in source.remarks:
        return source.remarks[name]
    if kind == "text" and name in sample.columns:
        labels = sorted({str(value) for value in roles.seen(sample.columns[name]).tolist()})
        count = listing(labels) if len(labels) <= 8 else f"{len(labels):,} different"
        return f"text ({count}); to observe it, make it numbers first, such as one flag a label"
    return {"number": "numbers", "integer": "integers", "flag": "flags", "list": "lists", "time": "times"}.get(
        kind, kind
    )


def _costs(entries: Entries, sample: Sample) -> list[str]:
    lines = ["", "[costs]  # what must not happen: a column or an expression each, never below 0"]
    if entries.costs:
        return lines + [f"{_key(name)} = {quoted(value)}  # {why}" for name, (value, why) in entries.costs.items()]
    observed = entries.values.get("observations")
    names = [name for name in observed if name in sample.columns] if isinstance(observed, list) else []
    numbers = [name for name in names if not roles.is_flag(sample.columns[name])]
    if not numbers:
        return [*lines, "# None is invented here. Such as:", '# harm = "column < 54"']
    low = float(f"{np.quantile(roles.seen(sample.columns[numbers[0]]), 0.01):.2g}")
    name = "low_" + re.sub(r"\W", "_", roles.plain(numbers[0]))
    return [
        *lines,
        "# None is invented here. Such as (the number is only one that about 1 row in 100 falls below):",
        f"# {name} = {quoted(f'{spelled(numbers[0])} < {low:g}')}",
        "# A cost read off an observation follows from the action before. Say so above [costs], and what it means that",
        '# nothing was observed after the last action: cost_at = "arrival", and blank = "censored" or "no event".',
    ]


def toml(value: Any) -> str:
    """Return a value of a map as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, Sequence):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return repr(value)


def quoted(value: str) -> str:
    """Return a text as a basic string of TOML."""
    return '"' + _printable(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def spelled(name: str) -> str:
    """Return a column as it stands in an expression."""
    plain = re.fullmatch(r"[^\W\d]\w*", name) and name not in ("and", "or", "not")
    return name if plain else "`" + name.replace("`", "``") + "`"


def listing(names: Sequence[str]) -> str:
    """Return names for a sentence, the first dozen of them."""
    return ", ".join(quoted(name) for name in names[:12]) + (", ..." if len(names) > 12 else "")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def _printable(text: str) -> str:
    """Escape what may stand neither in a string of TOML nor in a comment, and whatever could not be seen there."""
    return "".join(
        c if c.isprintable() else f"\\u{ord(c):04X}" if ord(c) < 1 << 16 else f"\\U{ord(c):08X}" for c in text
    )
