"""Observation columns that tell who somebody is, by their name or by their values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np

from groundschool.data.checks.finding import Check, Finding
from groundschool.data.checks.saying import few, made
from groundschool.data.checks.scan import codes, rows_where, thinned
from groundschool.data.checks.view import View
from groundschool.data.validation import Array

_LEAST_UNITS = 20
_NEARLY = 0.95

_WHY = "A policy can learn who it was instead of what to do, and whoever holds its inputs holds records of persons."

# Words, pairs of words, and (further down) numbers of persons and ids of their records.
_WORDS = {
    "email", "mail", "mrn", "ssn", "nhs", "passport", "iban", "phone", "telephone", "fax", "dob", "birthdate",
    "birthday", "surname", "forename", "firstname", "lastname", "fullname", "username", "address", "street", "zip",
    "zipcode", "postcode", "initials", "imei", "url", "uuid", "guid",
}  # fmt: skip
_PAIRS = {
    ("e", "mail"), ("first", "name"), ("last", "name"), ("full", "name"), ("family", "name"), ("given", "name"),
    ("maiden", "name"), ("user", "name"), ("patient", "name"), ("customer", "name"), ("client", "name"),
    ("birth", "date"), ("date", "birth"), ("of", "birth"), ("birth", "day"), ("postal", "code"), ("zip", "code"),
    ("license", "plate"), ("social", "security"), ("credit", "card"), ("card", "number"),
}  # fmt: skip
_PERSONS = {
    "patient", "subject", "person", "people", "customer", "client", "user", "member", "employee", "driver",
    "participant", "student", "citizen", "account", "record", "chart", "insurance", "policyholder", "medical",
    "national", "tax",
}  # fmt: skip
_RECORDS = {"hadm", "stay", "icustay", "admission", "encounter", "visit", "case", "episode", "trajectory"}
_NUMBERS = {"id", "ids", "no", "nr", "number", "num", "key", "identifier"}


def identities_by_name(view: View) -> Iterator[Finding]:
    """Columns with a name such as ``patient_id``, ``e-mail``, ``MRN`` or ``birth_date``."""
    raw = view.raw
    if raw.features is None:
        return
    yield from few(
        made(
            Finding(
                check="identity-by-name",
                severity="warning",
                where=feature.name,
                what="Its name says that it tells who somebody is.",
                why=_WHY,
                do="Leave it out of observations; name it as group= where episodes of one person must stay together.",
                rows=raw.n_rows,
            )
            for feature in raw.features
            if feature.indicator_of is None and names_identity(feature.name)
        )
    )


def names_identity(name: str) -> bool:
    """Return whether a column's name says that it identifies a person or a record."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    text = [word for word in words if word.isalpha()]
    pairs = set(itertools.pairwise(text))
    if _WORDS & set(text) or _PAIRS & pairs or text in (["name"], ["id"]):
        return True
    # "visit number" counts visits; "visit id" names one.
    if any((one in _PERSONS and other in _NUMBERS) or (one in _RECORDS and other == "id") for one, other in pairs):
        return True
    return any(word.endswith("id") and word[:-2] in _PERSONS | _RECORDS for word in text)


def identities_by_value(view: View) -> Iterator[Finding]:
    """Columns of whole numbers, the same in every row of an episode (or group) and another one in nearly every other.

    Asked of columns with at least 19 in 20 distinct values over at least 20 episodes, or over at least 20 groups, of
    which at least half have two rows or more.
    """
    raw = view.raw
    if raw.observations.ndim > 2 or raw.n_rows == 0:
        return
    units = [("episode", raw.starts, np.arange(raw.n_episodes))]
    if raw.groups is not None:
        units.append(("group", raw.starts, codes(raw.groups)))
    names = raw.feature_names()
    sample = thinned(view.sampled_rows, view.flat.shape[1])
    found = []
    for j in range(view.flat.shape[1]):
        seen = view.flat[sample, j]
        seen = seen[np.isfinite(seen)]
        if not len(seen) or view.ranges.constant[j] or (seen != np.floor(seen)).any():
            continue
        unit = next((name for name, starts, owner in units if _tells(view.flat[:, j], starts, owner)), None)
        if unit is not None:
            found.append((j, unit))
    yield from few(
        made(
            Finding(
                check="identity-by-value",
                severity="warning",
                where=names[j],
                what=f"Whole numbers, constant within every {unit} and different in nearly all {unit}s.",
                why=_WHY,
                do="Leave it out of observations if it is a number that was given out, and not a measurement.",
                rows=raw.n_rows,
            )
            for j, unit in found
        )
    )


def _tells(column: Array, starts: Array, owner: Array) -> bool:
    """Return whether the values of a column (N,) tell the owners of its episodes (E,) apart, and nothing else."""
    rows = np.bincount(owner, weights=np.diff(starts)).astype(np.int64)
    n_units = len(rows)
    if n_units < _LEAST_UNITS or np.count_nonzero(rows >= 2) < n_units / 2:
        return False
    firsts = np.asarray(column[starts[:-1]])
    inside = np.isfinite(firsts)
    value = np.full(n_units, np.nan)
    value[owner[inside]] = firsts[inside]
    if not np.array_equal(value[owner[inside]], firsts[inside]):
        return False
    known = value[np.isfinite(value)]
    if len(known) < _LEAST_UNITS or (known != np.floor(known)).any() or len(np.unique(known)) < _NEARLY * len(known):
        return False
    changes = rows_where(lambda a, b: (a != b) & ~((a != a) & (b != b)), column[:-1], column[1:]) + 1
    return bool(np.isin(changes, starts[:-1], assume_unique=True).all())


CHECKS: tuple[Check, ...] = (
    Check("identity-by-name", "observation columns named like a person's data", identities_by_name),
    Check("identity-by-value", "observation columns that number persons or records", identities_by_value),
)
