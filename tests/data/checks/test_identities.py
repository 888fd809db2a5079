"""Columns that tell who somebody is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from planted_structural import found, one, sound

from groundschool.data.checks.identities import names_identity
from groundschool.data.features import Feature

TELLING = [
    "email", "patient id", "e-mail", "user.email", "contact_mail", "mrn", "MRN", "ssn", "patient_id", "PatientID",
    "patientid", "subject_id", "subjectId", "SUBJECT_ID", "hadm_id", "stay_id", "icustay_id", "visit_id",
    "encounter_id", "customer_no", "account_number", "AccountNumber", "record-number", "chart_no", "national_id",
    "phone", "PhoneNumber", "home_phone", "fax", "dob", "DOB", "birth_date", "BirthDate", "date_of_birth",
    "birthdate", "name", "last_name", "LastName", "firstname", "patient_name", "surname", "initials", "address",
    "home_address", "street", "zip", "zip_code", "postcode", "postal_code", "passport", "iban", "credit_card",
    "social_security", "id", "ID", "username", "uuid",
]  # fmt: skip
SAYING_NOTHING = [
    "heart_rate", "map", "age", "sex", "weight", "x", "y", "velocity", "lactate", "SpO2", "visit_number",
    "admission_no", "episode_step", "n_patients", "number_of_visits", "user_count", "file_size", "id_ratio", "humid",
    "acid", "lipid", "fluid", "covid", "grid_x", "steroid", "thyroid", "filename", "rename", "hour", "day", "step",
    "position[0]", "observations[12]", "addressable", "emailed", "pid", "uid_hash", "birth_weight", "names_count",
    "mapping", "phonetic", "missing:lactate",
]  # fmt: skip


@pytest.mark.parametrize("name", TELLING)
def test_names_that_tell(name):
    assert names_identity(name)


@pytest.mark.parametrize("name", SAYING_NOTHING)
def test_names_that_do_not(name):
    assert not names_identity(name)


def test_by_name_in_the_log():
    raw = sound(np.random.default_rng(0), 30)
    features = (*raw.features[:2], Feature("Patient ID"), Feature("missing:Patient ID", indicator_of="Patient ID"))
    finding = one("identity-by-name", replace(raw, features=features))
    assert (finding.severity, finding.where) == ("warning", "Patient ID")
    assert found("identity-by-name", replace(raw, features=None)) == []


def numbered(values, size=40, **changes):
    """A log whose third column has one value an episode."""
    raw = sound(np.random.default_rng(0), size)
    observations = raw.observations.astype(float)
    observations[:, 2] = np.repeat(np.asarray(values, float), raw.lengths)
    return replace(raw, observations=observations, next_observations=None, **changes)


def test_numbers_given_out_by_episode_or_group():
    rng = np.random.default_rng(1)
    by_episode = numbered(rng.permutation(40) + 1000)
    assert one("identity-by-value", by_episode).where == "lactate"
    by_group = numbered(np.arange(60) // 2 * 7, size=60, groups=np.arange(60) // 2)
    assert "every group" in one("identity-by-value", by_group).what
    assert found("identity-by-value", replace(by_group, groups=None)) == []


def test_a_few_that_meet_are_no_proof_of_a_measurement():
    values = np.arange(40)
    values[[3, 4]] = values[[5, 6]]
    assert found("identity-by-value", numbered(values)) != []
    values[0] = 20  # 37 of 40 are distinct
    assert found("identity-by-value", numbered(values)) == []


def test_some_may_be_blank():
    values = np.arange(40.0)
    values[[3, 9]] = np.nan
    assert one("identity-by-value", numbered(values)).where == "lactate"


def test_measurements_are_no_numbers_given_out():
    rng = np.random.default_rng(1)
    assert found("identity-by-value", numbered(rng.normal(80, 10, 40))) == []  # a weight, with fractions
    assert found("identity-by-value", numbered(rng.integers(18, 90, 40))) == []  # an age: many meet
    assert found("identity-by-value", numbered(np.arange(12), size=12)) == []  # too few to tell
    moving = numbered(np.arange(40))
    observations = moving.observations.copy()
    observations[5, 2] += 1
    assert found("identity-by-value", replace(moving, observations=observations)) == []


def test_single_rows_are_always_constant_and_prove_nothing():
    raw = sound(np.random.default_rng(0), 60)
    n = raw.n_rows
    observations = raw.observations.astype(float)
    observations[:, 2] = np.random.default_rng(1).permutation(n)  # an amount in cents, say
    rows = replace(raw, observations=observations, starts=np.arange(n + 1), groups=None, episode_ids=None)
    assert found("identity-by-value", rows) == []


def test_no_value_is_repeated_in_the_finding():
    finding = one("identity-by-value", numbered(np.arange(40) + 777_000))
    assert "777" not in " ".join([finding.what, finding.why, finding.do])
