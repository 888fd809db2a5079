"""A card of a log: what was measured, filled in, and what only a person knows, marked as a gap."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from groundschool.data.checks.identities import names_identity
from groundschool.data.coverage import SMALL_CELL, SUPPORTED, Coverage
from groundschool.data.raw import RawLog
from groundschool.data.vouch import told
from groundschool.report.card_tables import MOST_LISTED, actions, observations, outcomes, sizes
from groundschool.report.data_section import anonymous, counted
from groundschool.report.markdown import bullets, escaped, gap, table
from groundschool.report.words import number, percent

if TYPE_CHECKING:
    from groundschool.data.checks.finding import Finding
    from groundschool.data.dataset import Dataset

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "n>10B")


class Checked(Protocol):
    """What `groundschool.check` returns, as far as a card needs it."""

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found."""

    @property
    def ran(self) -> Mapping[str, str]:
        """Every check: empty where it ran, else why it does not apply."""

    @property
    def false_alarm(self) -> float:
        """At most how likely any false warning is."""


def data_card(
    log: Dataset | RawLog,
    result: Checked | None = None,
    coverage: Coverage | None = None,
    *,
    title: str = "",
    fingerprint: str = "",
) -> str:
    """Return a card of a log in Markdown, with the front matter of a Hugging Face dataset card.

    The sections are those of a datasheet (Gebru et al. 2018, arXiv:1803.09010). What can be measured is filled in;
    what only a person knows stands as **[to be filled in: ...]**. No row, no id of an episode and no group is in it.
    Ranges run from the 1st to the 99th percentile, with at least ten values beyond either end; columns that tell who
    somebody is show no values; and where the log names groups, counts from 1 to 10 are not told.

    Parameters
    ----------
    log : Dataset or RawLog
    result, optional
        What `groundschool.check` found.
    coverage : Coverage, optional
    title : str
        The name of the log.
    fingerprint : str
        Of the log; a `Dataset` knows its own.
    """
    raw = log if isinstance(log, RawLog) else RawLog.of(log)
    own = fingerprint if isinstance(log, RawLog) else log.fingerprint
    findings = () if result is None else tuple(result.findings)
    hidden = _telling_columns(raw, findings)
    parts = [
        _front_matter(raw, title),
        f"# {escaped(title) or gap('the name of the log')}",
        "Figures were measured by groundschool on the log itself. What only a person knows is marked "
        "**[to be filled in: …]**; a card with such gaps is a draft.",
        *_motivation(),
        *_composition(raw, own, hidden),
        *_supported(coverage),
        *_findings(raw, result, findings, hidden),
        *_collection(raw),
        *_preprocessing(raw),
        *_uses(findings),
        *_distribution(),
        *_maintenance(own),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(raw: RawLog, title: str) -> str:
    # A double-quoted YAML scalar is a JSON string, once everything unprintable is gone.
    name = json.dumps("".join(c for c in title if c.isprintable()), ensure_ascii=False) if title else ""
    size = _SIZES[int(np.searchsorted(10.0 ** np.arange(3, 11), raw.n_rows, side="right"))]
    lines = [
        f"pretty_name: {name}".rstrip() + ("" if name else "  # to be filled in"),
        "license:  # to be filled in by whoever may license the data",
        "task_categories:",
        "- reinforcement-learning",
        "size_categories:",
        f"- {size}",
        "tags:",
        "- offline-reinforcement-learning",
        "- decision-log",
        "- groundschool",
    ]
    return "\n".join(["---", *lines, "---"])


def _motivation() -> Iterator[str]:
    yield "## Motivation"
    yield bullets(
        gap("for what purpose the log was kept, and whether learning from it was one"),
        gap("who kept it, on whose behalf, and who paid for it"),
    )


def _composition(raw: RawLog, fingerprint: str, hidden: Mapping[str, str]) -> Iterator[str]:
    yield "## Composition"
    yield (
        "A row is one decision: what was observed, the action taken, and the reward and costs that followed from it. "
        "Rows of one course of events make an episode."
    )
    yield table(("What", "How much"), sizes(raw, fingerprint))
    yield "### Observations"
    yield from observations(raw, hidden)
    yield "### Actions"
    yield from actions(raw)
    yield "### Rewards, costs and ends"
    yield table(("Quantity", "Value [95 % interval]", "Method"), outcomes(raw))
    yield "### Persons"
    groups = 0 if raw.groups is None else len(np.unique(raw.groups))
    telling = "; ".join(f"{escaped(name)} ({reason})" for name, reason in hidden.items())
    yield bullets(
        f"Rows belong to {counted(groups, 'group')}." if groups else "The log names no groups.",
        *([f"These columns may tell who somebody is, and are shown without values: {telling}."] if hidden else []),
        gap("whether rows concern persons, what about them is sensitive, and what they consented to"),
    )


def _supported(coverage: Coverage | None) -> Iterator[str]:
    if coverage is None:
        return
    yield "### What the log supports"
    yield coverage.describe()
    facts = coverage.to_json()
    rows = [(escaped(row["action"]), percent(row["supported_share"])) for row in facts["actions"][:MOST_LISTED]]
    yield table(("Action", f"Places where it occurs {SUPPORTED} times or more"), rows)


def _findings(
    raw: RawLog, result: Checked | None, findings: Sequence[Finding], hidden: Mapping[str, str]
) -> Iterator[str]:
    yield "### Known problems"
    if result is None:
        yield gap("what a check of the log found; groundschool check says it")
        return
    ran = sum(not reason for reason in result.ran.values())
    yield (
        f"{counted(ran, 'check')} ran, {number(len(result.ran) - ran)} did not apply. The chance that any of them "
        f"warns of a fault that is not there is at most {percent(result.false_alarm)}."
    )
    if not findings:
        yield "They found nothing to report."
        return
    rows = []
    for finding in findings:
        what = anonymous(finding.what, finding)
        if finding.where in hidden and not finding.check.startswith("identity"):
            what = "Figures are withheld: the column may tell who somebody is."
        elif raw.groups is not None and 0 < finding.episodes < SMALL_CELL:
            what = f"Figures are withheld: fewer than {SMALL_CELL} episodes are concerned."
        said = (finding.where, what, anonymous(finding.why, finding), anonymous(finding.do, finding))
        rows.append((f"**{finding.severity}** {escaped(finding.check)}", *map(escaped, said)))
    yield table(("Finding", "Where", "What", "Why it matters", "What to do"), rows)


def _collection(raw: RawLog) -> Iterator[str]:
    yield "## Collection"
    lines = []
    if raw.times is not None and raw.times.dtype.kind == "M" and raw.n_episodes >= 2 * SMALL_CELL:
        beyond = max(raw.n_episodes // 100, SMALL_CELL - 1)
        ordered = np.sort(raw.times)
        first, last = (ordered[i].astype("datetime64[M]") for i in (beyond, -1 - beyond))
        lines.append(f"Episodes began from {first} to {last} (1st to 99th percentile, by month).")
    lines.append(
        "The probability of each logged action was recorded with it."
        if raw.propensities is not None
        else "With which probability the actions were chosen was not recorded."
    )
    yield bullets(
        *lines,
        gap("who or what chose the actions, and by what rule: persons, a protocol, an earlier policy, chance"),
        gap("how, where and by what instruments the rows were recorded, and how episodes were selected"),
        gap("whether an ethics board reviewed it, and whether those concerned were told and could object"),
    )


def _preprocessing(raw: RawLog) -> Iterator[str]:
    yield "## Preprocessing"
    notes = told(raw.notes, raw.tally)
    yield bullets(
        *map(escaped, notes),
        *([] if notes else ["Nothing was done to the rows on the way in that the log knows of."]),
        gap("what was done to the data before it became this log, and whether the raw data are kept"),
    )


def _uses(findings: Sequence[Finding]) -> Iterator[str]:
    yield "## Uses"
    lines = []
    errors = sum(finding.severity == "error" for finding in findings)
    if errors:
        lines.append(f"**Not fit for use as it stands:** the findings above hold {counted(errors, 'error')}.")
    if any(finding.check == "not-markov" for finding in findings):
        lines.append(
            "The observation does not carry all that matters: what came before it predicts what comes next. Methods "
            "that treat it as the state can be wrong on this log."
        )
    lines.append(
        "A policy learned here was never tried. Where the log lacks support (see above) nothing can be said of it, and "
        "nothing on this card is a clearance to deploy one."
    )
    yield bullets(
        *lines, gap("what the log is meant for, what it has been used for"), gap("what it must not be used for")
    )


def _distribution() -> Iterator[str]:
    yield "## Distribution"
    yield bullets(
        gap("who may have the log, how, and from when"),
        gap("license, fees, export or other restrictions; set license in the front matter to the same"),
    )


def _maintenance(fingerprint: str) -> Iterator[str]:
    yield "## Maintenance"
    lines = [f"This card is about the log with the fingerprint `{fingerprint}`; another one needs a card of its own."]
    yield bullets(
        *(lines if fingerprint else []),
        gap("who maintains the log, and how to reach them"),
        gap("whether it will be corrected or extended, how that is announced, and how long it is kept"),
    )


def _telling_columns(raw: RawLog, findings: Iterable[Finding]) -> dict[str, str]:
    """Return the columns that show no values, with the reason."""
    names = raw.feature_names() if raw.observations.ndim > 1 else ()
    hidden = {}
    for finding in findings:
        if finding.check.startswith("identity"):
            if finding.where in names:
                hidden[finding.where] = "by its name" if finding.check.endswith("name") else "by its values"
            else:  # findings on many columns are pooled, and not each is named
                hidden |= {name: "possibly, among many" for name in names if name not in hidden}
    own = raw.features or ()
    hidden |= {f.name: "by its name" for f in own if f.indicator_of is None and names_identity(f.name)}
    return hidden
