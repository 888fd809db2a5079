"""Drafting which rows belong together, in what order, and how they end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from groundschool.data import roles
from groundschool.data.draft_text import Entries, quoted, spelled
from groundschool.data.roles import Sample
from groundschool.data.validation import Array

FLAGS = ("terminated", "truncated")
KINDS = ("integer", "flag", "number", "text")
_ENDS = (
    '"terminated": the process ended there, and nothing comes after',
    '"truncated": we stopped looking there, and it went on',
)


def draft_episodes(entries: Entries, sample: Sample) -> tuple[Sample, Array]:
    """Fill in, or ask for, episode, step, sort and how episodes end.

    Returns
    -------
    sample : Sample
        Its rows in the order that the log will be put in.
    begins : (e,) int64
        Where the episodes in it begin.
    """
    sample = _labels(entries, sample)
    label = entries.values.get("episode")
    named = isinstance(label, str) and label in sample.columns
    begins = roles.starts(sample.columns[label]) if named else np.zeros(1, np.int64)  # type: ignore[index]
    if named and "step" not in entries.values:
        for name in _named(entries, sample, "step", "integer", "number"):
            if "step" not in entries.values and roles.rises_by_one(sample.columns[name], begins):
                entries.say("step", name, "rises by one within each episode", name)
    begins = _ends(entries, sample, begins if named else None)
    _final_rows(entries, sample, begins)
    return sample, begins


def _named(entries: Entries, sample: Sample, role: str, *kinds: str) -> list[str]:
    return entries.free(sample.named(role, kinds=kinds))


def _labels(entries: Entries, sample: Sample) -> Sample:
    if {"episode", *FLAGS} & set(entries.values):
        return sample
    named = _named(entries, sample, "episode", "integer", "text")
    steps = _named(entries, sample, "step", "integer", "number", "time")
    for name in named:
        if roles.labels_runs(sample.columns[name]):
            count = len(roles.starts(sample.columns[name]))
            runs = f"{count:,} run{'s' if count > 1 else ''} of equal values in {sample.n:,} rows"
            entries.say("episode", name, f"by its name; {runs}, and none comes back", name)
            return sample
    for step in steps if named else []:
        if _tell_apart(sample.columns[named[0]], sample.columns[step]):
            entries.say("episode", named[0], "by its name; its rows do not stand together, hence sort", named[0])
            entries.say("step", step, f"by its name; with {quoted(named[0])} it tells every row apart", step)
            entries.say("sort", True, "puts rows in order of episode and step, with the whole log in memory")
            return _sorted(sample, named[0], step)
    if not any(_flags(entries, sample, role) for role in (*FLAGS, "done")):
        _ask_episode(entries, sample, named, steps)
    return sample


def _tell_apart(episode: Array, step: Array) -> bool:
    if roles.blank(episode).any() or roles.blank(step).any():
        return False
    codes = [np.unique(column.astype(np.str_), return_inverse=True)[1] for column in (episode, step)]
    return len(np.unique(np.stack(codes, axis=1), axis=0)) == len(episode)


def _sorted(sample: Sample, episode: str, step: str) -> Sample:
    labels = sample.columns[episode].astype(np.str_)
    order = np.lexsort((sample.columns[step], labels))
    whole = {name: column for name, column in sample.columns.items() if len(column) == len(order)}
    return replace(sample, columns={**sample.columns, **{name: column[order] for name, column in whole.items()}})


def _ask_episode(entries: Entries, sample: Sample, named: Sequence[str], steps: Sequence[str]) -> None:
    hints = [f"{quoted(name)} comes back after other values: its rows do not stand together" for name in named]
    for name in entries.free(sample.columns):
        if sample.kinds[name] in ("integer", "text") and name not in named:
            runs = len(roles.starts(sample.columns[name]))
            if 1 < runs < sample.n and roles.labels_runs(sample.columns[name]):
                hints.append(f"{quoted(name)}: {runs:,} runs of equal values, and none comes back")
    for name in steps:
        falls = int((sample.columns[name][1:] < sample.columns[name][:-1]).sum())
        if falls:
            hints.append(f"{quoted(name)} starts over {falls:,} times in {sample.n:,} rows, without saying whose rows")
    entries.ask("episode", "Which column labels episodes (rows that belong together, in order of time)?", *hints)


def _flags(entries: Entries, sample: Sample, role: str) -> list[str]:
    named = _named(entries, sample, role, "flag", "integer", "number")
    return [name for name in named if roles.is_flag(sample.columns[name])]


def _ends(entries: Entries, sample: Sample, begins: Array | None) -> Array:
    for role in FLAGS:
        if role not in entries.values and (flags := _flags(entries, sample, role)):
            entries.say(role, flags[0], f"by its name; {roles.span(sample.columns[flags[0]])}", flags[0])
    said = [entries.values[role] for role in FLAGS if role in entries.values]
    done = _flags(entries, sample, "done")
    if "terminated" in entries.values:
        for name in done:
            entries.leave(name, f"by its name an end, and {quoted(entries.values['terminated'])} says that")
    done = [] if "terminated" in entries.values else done[:1]
    ended = np.zeros(sample.n, np.bool_)
    for name in [*said, *done]:
        if name in sample.columns:
            ended |= sample.columns[name] == 1
    labelled = begins is not None
    if begins is None:
        begins = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(ended[:-1]) + 1])
    if done:
        entries.used.add(done[0])
        _ask_done(entries, done[0], begins)
    last = np.append(begins[1:], sample.n) - 1
    if not sample.whole:
        last = last[:-1]  # where the sample stops is not where the episode does
    silent = int((~ended[last]).sum())
    expressions = any(name not in sample.columns for name in said)
    if "last_row" in entries.values or expressions:
        return begins
    if not said and not done:
        _ask_last_row(entries, sample, begins, last)
    elif silent:
        entries.ask(
            "last_row",
            f"What is the last row of an episode where {' or '.join(map(quoted, [*said, *done]))} does not say "
            f"({silent:,} of {len(last):,} looked at)?",
            *_ENDS,
        )
    elif len(said) == 1 and not done and not labelled:
        role, other = FLAGS if FLAGS[0] in entries.values else FLAGS[::-1]
        entries.above[role] = [
            f"Only {quoted(said[0])} says where an episode ends: one that ended otherwise runs into the next.",
            f"If some did, name the column or the expression that says so as {other}.",
        ]
    return begins


def _ask_done(entries: Entries, name: str, begins: Array) -> None:
    cut = entries.values.get("truncated")
    if cut is not None:
        entries.ask(
            "terminated",
            f"Does {quoted(name)} say that the process ended there, or is it every end, those of {quoted(cut)} too?",
            f"it ended, and nothing comes after:  terminated = {quoted(name)}",
            f"every end:                          terminated = {quoted(f'{spelled(name)} and not {spelled(cut)}')}",
        )
        return
    limit = _limit(begins)
    late = f"{spelled(entries.values.get('step', 't'))} < {limit[0] - 1 if limit else 199}"
    entries.ask(
        "terminated",
        f"Does {quoted(name)} say that the process ended there, or that we stopped looking?",
        f"it ended, and nothing comes after:  terminated = {quoted(name)}",
        f"we stopped looking, and it went on: truncated = {quoted(name)}, in place of terminated",
        f"now this, now that:                 an expression each, terminated = {quoted(f'{spelled(name)} and {late}')}",
        *_limit_hint(begins),
    )


def _ask_last_row(entries: Entries, sample: Sample, begins: Array, last: Array) -> None:
    hints = list(_limit_hint(begins))
    for name in _only_on(last, begins, entries, sample):
        hints.append(
            f"{quoted(name)} is 1 on last rows only: if the process ended there, add terminated = {quoted(name)}"
        )
        entries.leave(name, "1 on last rows only: it looks like an end, not like an observation")
    entries.ask(
        "last_row",
        "How do episodes end? No column says so, and what may be learned depends on it.",
        *_ENDS,
        "now this, now that: a flag column or an expression as terminated = or truncated =, and this for the others",
        *hints,
    )


def _only_on(last: Array, begins: Array, entries: Entries, sample: Sample) -> Iterator[str]:
    """Yield the flags that are set on last rows of episodes and nowhere else."""
    if len(begins) < 3:
        return
    elsewhere = np.ones(sample.n, np.bool_)
    elsewhere[last] = False
    elsewhere[-1] = False  # where the sample stops
    for name in entries.free(sample.columns):
        if sample.numeric(name) and roles.is_flag(sample.columns[name]):
            set_ = sample.columns[name] == 1
            if set_[last].any() and not set_[elsewhere].any():
                yield name


def _final_rows(entries: Entries, sample: Sample, begins: Array) -> None:
    """Find whether last rows are no decisions: their action or reward is blank, and no other one is."""
    firsts = [
        name
        for name in _flags(entries, sample, "first")
        if np.array_equal(sample.columns[name] == 1, _at(begins, sample))
    ]
    for name in firsts:
        entries.leave(name, "1 on first rows, and nowhere else")
    if "final_rows" in entries.values or len(begins) < 2:
        return
    last = _at(np.append(begins[1:], sample.n) - 1, sample)
    for name in [*sample.named("action", kinds=KINDS), *sample.named("reward", kinds=KINDS)]:
        blank = roles.blank(sample.columns[name])
        if blank[last][:-1].all() and not blank[~last].any():
            entries.say("final_rows", True, f"{quoted(name)} is blank on last rows, and nowhere else")
            return
    if firsts:
        entries.ask(
            "final_rows",
            f"{quoted(firsts[0])} marks first rows, as in RLDS: does the last row hold only what was seen last?",
            "true: its action and its reward mean nothing, and its flags belong to the row before",
            "false: it is a decision like the others",
        )


def _at(rows: Array, sample: Sample) -> Array:
    where = np.zeros(sample.n, np.bool_)
    where[rows] = True
    return where


def _limit(begins: Array) -> tuple[int, float] | None:
    """Return the greatest length, and how many share it, where that looks like a limit."""
    lengths = np.diff(begins)  # without the last episode, which the sample may have cut
    if len(lengths) < 5 or (share := float((lengths == lengths.max()).mean())) < 0.1:
        return None
    return int(lengths.max()), share


def _limit_hint(begins: Array) -> Iterable[str]:
    if limit := _limit(begins):
        yield f"({limit[1]:.0%} of the episodes looked at have {limit[0]:,} rows, the most: a time limit truncates)"
