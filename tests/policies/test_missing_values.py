"""Missing values from the log to the decision: fitted on the training part, shipped, and the same at the bedside."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import groundschool as gs
from groundschool.data import Dataset
from groundschool.data.blanks import treat_blanks
from groundschool.data.columns import Columns
from groundschool.data.features import Feature
from groundschool.errors import InputError
from groundschool.policies import NetworkPolicy
from groundschool.policies.encoding import Encoder, fit_encoder
from groundschool.policies.intake import Intake
from groundschool.policies.support import fit_support, is_discrete

NAN = np.nan
HR, BP, AGE = "heart rate", "bp", "age"
DECLARED = Columns(forward_fill=[HR, AGE], indicators=[BP, HR], impute={HR: "mean", BP: "median", AGE: 50})


def raw_ward(seed=0, episodes=30, share=0.4, dtype=np.float32):
    """Readings of three columns with blanks, episodes of 1 to 5 rows, and one reading after each."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate([[0], np.cumsum(rng.integers(1, 6, episodes))])

    def readings(n):
        values = np.column_stack([rng.normal(80, 9, n), rng.normal(120, 30, n), rng.integers(20, 90, n)])
        values[rng.random((n, 3)) < share] = NAN
        return values.astype(dtype)

    finals = readings(episodes)
    finals[0] = NAN
    return readings(int(starts[-1])), finals, starts


def ward(declared=DECLARED, **more):
    """The raw readings, and the log that is made of them."""
    raw, finals, starts = raw_ward(**more)
    rows, after, features = treat_blanks(raw, finals, starts, (HR, BP, AGE), declared)
    rng = np.random.default_rng(1)
    ended = np.zeros(len(raw), bool)
    ended[starts[1:] - 1] = True
    log = Dataset.from_arrays(
        rows, rng.integers(0, 2, len(raw)), rng.normal(size=len(raw)), np.zeros(len(raw), bool), ended,
        final_observations=after, features=features, n_actions=2,
    )  # fmt: skip
    return raw, finals, log


def trained(log, algorithm="bc", **options):
    return gs.train(log, algorithm, steps=20, hidden=(8,), batch_size=16, device="cpu", **options)


# The encoder


@pytest.mark.parametrize(("impute", "value"), [("mean", 4.0), ("median", 2.0), (-1.5, -1.5), (0, 0.0)])
def test_what_is_imputed_by_hand(impute, value):
    x = np.array([[1.0], [NAN], [2.0], [9.0], [NAN]])
    encoder = fit_encoder(x, "standardize", features=[Feature("hr", impute=impute)])
    (column,) = encoder.columns
    assert column.impute == value
    # Figures of the three values that are there: mean 4, variance (9 + 4 + 25) / 3.
    assert column.center == 4.0
    np.testing.assert_allclose(column.scale, np.sqrt(38 / 3))
    np.testing.assert_allclose(encoder([[NAN], [9.0]])[:, 0], [(value - 4) / column.scale, 5 / column.scale], rtol=1e-6)


def test_only_the_training_part_is_looked_at():
    _, _, log = ward()
    half = log.select(range(15))
    part = log.observations[: int(log.starts[15])].astype(np.float64)
    encoder = trained(half).encoder
    assert encoder.columns[0].impute == np.nanmean(part[:, 0])
    assert encoder.columns[1].impute == np.nanmedian(part[:, 1])
    assert encoder.columns[2].impute == 50.0
    assert encoder.columns[0].impute != np.nanmean(log.observations[:, 0].astype(np.float64))
    assert [column.impute for column in encoder.columns[3:]] == [None, None]


def test_whole_numbers_stay_so_among_blanks():
    x = np.array([[0.0], [NAN], [4.0], [3.0]])
    features = [Feature("stage", impute="median")]
    fourier = fit_encoder(x, features=features)
    assert (fourier.columns[0].kind, fourier.columns[0].low, fourier.columns[0].high) == ("fourier", 0.0, 4.0)
    one_hot = fit_encoder(x, "one-hot", features=features)
    # The median 3 is the second value.
    np.testing.assert_array_equal(one_hot([[NAN], [3.0], [0.0]]), [[0, 1, 0], [0, 1, 0], [1, 0, 0]])


def test_a_column_blank_throughout():
    x = np.array([[1.0, NAN], [2.0, NAN]])
    for impute in ("mean", "median"):
        with pytest.raises(InputError, match=rf"'lactate' is blank in every row of the training part.*no {impute}"):
            fit_encoder(x, features=[Feature("hr"), Feature("lactate", impute=impute)])
    encoder = fit_encoder(x, features=[Feature("hr"), Feature("lactate", impute=2.5)])
    assert np.isfinite(encoder([[1.0, NAN], [1.0, 7.0]])).all()
    np.testing.assert_array_equal(encoder([[1.0, NAN]]), encoder([[1.0, 2.5]]))


def test_the_encoder_ships_its_imputation():
    x = np.random.default_rng(0).normal(size=(40, 2))
    x[::3, 0] = NAN
    encoder = fit_encoder(x, features=[Feature("hr", impute="mean"), Feature("bp")])
    facts = json.loads(json.dumps(encoder.to_json()))
    again = Encoder.from_json(facts)
    assert again == encoder
    assert again(x).tobytes() == encoder(x).tobytes()
    assert encoder.describe() == "2 columns (2 standardize) as 2 inputs, blanks of 1 imputed"
    for column in facts["columns"]:
        del column["impute"], column["name"]  # as version 0.1.0 wrote them
    old = Encoder.from_json(facts)
    assert old(x[1:3]).tobytes() == encoder(x[1:3]).tobytes()
    with pytest.raises(InputError, match="NaN"):
        old(x[:1])


def test_observations_without_blanks_are_encoded_as_ever():
    x = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    plain, named = fit_encoder(x), fit_encoder(x, features=[Feature("a", impute="mean"), Feature("b")])
    assert plain(x).tobytes() == named(x).tobytes()
    assert plain.impute(x) is x


@pytest.mark.parametrize(
    ("x", "features", "message"),
    [
        (
            [[1, NAN, 0], [NAN, NAN, 0], [0, 0, 0]],
            [Feature("hr"), Feature("bp"), Feature("age")],
            r"2 of 3 rows hold NaN in 'bp' \(2\), 'hr' \(1\), first at row 0, and nothing replaces it. Say in "
            r"gs.Columns what does: impute={'bp': \"median\"} .*forward_fill=\['bp'\].*indicators=\['bp'\]",
        ),
        ([[1, NAN], [2, NAN]], [Feature("hr", impute=0), Feature("bp")], r"NaN in 'bp' \(2\), first at row 0"),
        ([[1, NAN]], None, r"1 of 1 rows hold NaN in column 1 \(1\)"),
        ([[NAN] * 7], None, r"column 4 \(1\) and 2 more columns"),
        ([[0.0], [np.inf]], [Feature("hr", impute=0)], r"1 of 2 rows hold infinite values \(first at row 1\)"),
        ([[0.0], [-np.inf]], None, "infinite"),
        ([[0.0]], [Feature("a"), Feature("b")], "2 for observations of 1 numbers"),
    ],
)
def test_what_cannot_be_fitted(x, features, message):
    with pytest.raises(InputError, match=message):
        fit_encoder(np.array(x), features=features)


def test_what_cannot_be_decided_on():
    encoder = fit_encoder(np.array([[0.0, 1.0], [NAN, 2.0]]), features=[Feature("hr", impute=0), Feature("bp")])
    with pytest.raises(InputError, match=r"1 of 2 rows hold NaN in 'bp' \(1\), first at row 1.*Pass a value"):
        encoder([[NAN, 1.0], [0.0, NAN]])
    with pytest.raises(InputError, match="infinite"):
        encoder([[np.inf, 1.0]])


# Support


def test_a_blank_is_a_state_of_its_own_whatever_its_bits():
    quiet, other = np.array([0x7FF8000000000000, 0xFFF8000000000123], np.uint64).view(np.float64)
    x = np.array([[quiet, 1.0], [other, 1.0], [0.0, 1.0]])
    support = fit_support(x, [0, 1, 1], 2, min_count=1, min_share=0.5)
    np.testing.assert_array_equal(support([[other, 1.0], [0.0, 1.0]]), [[True, True], [False, True]])
    assert is_discrete(np.tile(x, (4, 1)))


# The policy that ships


def test_a_policy_learns_from_blanks_and_decides_the_same_after_loading(tmp_path):
    _, _, log = ward()
    assert np.isnan(log.observations).any()
    policy = trained(log)
    path = policy.save(tmp_path / "policy")
    again = gs.load(path)
    assert isinstance(again, NetworkPolicy)
    assert again.features == policy.features == log.features
    assert again.encoder == policy.encoder
    assert again.intake == policy.intake
    assert again.probabilities(log.observations).tobytes() == policy.probabilities(log.observations).tobytes()
    assert policy.training is not None
    (note,) = [note for note in policy.training.notes if note.startswith("Blanks imputed")]
    blank = np.isnan(log.observations).sum(axis=0)
    assert f"of {log.n_steps:,} rows: {HR} {policy.encoder.columns[0].impute:.6g} in {blank[0]:,} rows; {BP} " in note


def test_a_value_learner_learns_from_blanks():
    _, finals, log = ward()
    policy = trained(log, "cql", support="counts")
    assert np.isfinite(policy.values(log.observations)).all()
    assert policy.training is not None
    unknown = int(np.isnan(finals).all(axis=1).sum())
    assert unknown == log.transitions().dropped > 0
    assert (
        f"{unknown} of {log.n_steps} transitions left out: truncated episodes without a final observation."
        in policy.training.notes
    )


def replay(policy, raw, finals, log):
    """Every observation and final observation again, one raw reading after the other."""
    rows, after = [], []
    for e in range(log.n_episodes):
        previous = None
        for row in range(log.starts[e], log.starts[e + 1]):
            reading = dict(zip((HR, BP, AGE), raw[row].tolist(), strict=True))
            if row % 2:
                reading = {name: None if np.isnan(value) else value for name, value in reading.items()}
            if row % 3 == 0:
                reading = {name: value for name, value in reading.items() if value is not None and value == value}
            previous = policy.observe(reading, previous)
            rows.append(previous)
        after.append(policy.observe(dict(zip((HR, BP, AGE), finals[e], strict=True)), previous))
    return np.array(rows), np.array(after)


def bits(array):
    return np.where(np.isnan(array), np.nan, array).tobytes()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    share=st.sampled_from([0.0, 0.3, 0.8]),
    dtype=st.sampled_from([np.float32, np.float64]),
    filled=st.sets(st.sampled_from([HR, BP, AGE])),
    marked=st.sets(st.sampled_from([HR, BP, AGE])),
)
def test_replaying_an_episode_gives_the_observations_of_the_log(seed, share, dtype, filled, marked):
    declared = Columns(forward_fill=sorted(filled), indicators=sorted(marked), impute=0.0)
    raw, finals, log = ward(declared, seed=seed, episodes=6, share=share, dtype=dtype)
    intake = Intake.of(log)
    assert intake is not None
    again = Intake.from_json(json.loads(json.dumps(intake.to_json())))
    assert again == intake
    rows, after = replay(again, raw, finals, log)
    assert rows.dtype == log.observations.dtype
    assert bits(rows) == bits(log.observations)
    known = ~np.isnan(finals).all(axis=1)
    assert bits(after[known]) == bits(log.final_observations[known])


def test_a_replayed_log_gets_the_probabilities_of_the_log(tmp_path):
    raw, finals, log = ward()
    policy = gs.load(trained(log).save(tmp_path / "policy"))
    rows, _ = replay(policy, raw, finals, log)
    assert policy.probabilities(rows).tobytes() == policy.probabilities(log.observations).tobytes()
    one = policy.observe({HR: 80.0})
    # bp and age have no value yet; what that means to the network is in the encoder.
    np.testing.assert_array_equal(one, np.array([80, NAN, NAN, 0, 1], np.float32))
    filled = one.copy()
    filled[1:3] = [policy.encoder.columns[1].impute, 50.0]
    np.testing.assert_allclose(policy.probabilities(one[None]), policy.probabilities(filled[None]), rtol=1e-5)


def test_observe_by_hand():
    _, _, log = ward()
    policy = trained(log)
    first = policy.observe({HR: 71, BP: None, AGE: NAN})
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, [71, NAN, NAN, 0, 1])  # marks in the order of the columns: hr, then bp
    second = policy.observe({AGE: True, BP: np.float32(0.1)}, first)
    np.testing.assert_array_equal(second, np.array([71, 0.1, 1, 1, 0], np.float32))
    third = policy.observe({}, second)
    np.testing.assert_array_equal(third, np.array([71, NAN, 1, 1, 1], np.float32))  # bp is not carried forward
    np.testing.assert_array_equal(policy.observe({}, None), [NAN, NAN, NAN, 1, 1])
    np.testing.assert_array_equal(policy.greedy().observe({AGE: True}, first), policy.observe({AGE: True}, first))
    with pytest.raises(InputError, match="does not know its readings by name"):
        gs.TabularPolicy(np.eye(2)).greedy().observe({AGE: 1.0})


@pytest.mark.parametrize(
    ("reading", "previous", "message"),
    [
        ({"heart_rate": 1.0}, None, r"'heart_rate' is not a feature. Did you mean 'heart rate'\? The features are"),
        ({f"missing:{BP}": 1.0}, None, "'missing:bp' is not a feature"),
        ({BP: "high"}, None, "'bp' is 'high'. Expected a number, or None"),
        ({BP: [1.0, 2.0]}, None, "'bp' is .* Expected a number"),
        ({BP: np.inf}, None, "'bp' is infinite"),
        ({BP: 1e300}, None, "'bp' is 1e.300, too large for the float32"),
        ({BP: 10**400}, None, "'bp' is .* Expected a number"),
        ({BP: 1.0}, np.zeros(3), r"previous: expected the observation of the step before, shape \(5,\), got \(3,\)"),
    ],
)
def test_readings_that_are_refused(reading, previous, message):
    _, _, log = ward()
    intake = Intake.of(log)
    assert intake is not None
    with pytest.raises(InputError, match=message):
        intake.observe(reading, previous)


def test_state_ids_and_other_shapes():
    ids = Intake((Feature("cell"),), (), "int64")
    assert ids.observe({"cell": 3.0}) == 3
    assert ids.observe({"cell": 3}).dtype == np.int64
    for bad in ({}, {"cell": 2.5}):
        with pytest.raises(InputError, match=r"'cell' is a state id\. Expected a whole number"):
            ids.observe(bad)
    image = Intake(tuple(Feature(f"p[{i}]", forward_fill=True) for i in range(4)), (2, 2), "float64")
    before = image.observe({f"p[{i}]": i for i in range(4)})
    np.testing.assert_array_equal(before, [[0, 1], [2, 3]])
    np.testing.assert_array_equal(image.observe({"p[3]": 9}, before), [[0, 1], [2, 9]])


def test_a_mark_of_nothing():
    with pytest.raises(InputError, match=re.escape("marks blanks of 'hrr', which is no feature of the log. Did you")):
        Intake((Feature("hr"), Feature("missing:hrr", indicator_of="hrr")), (2,), "float32")


def test_a_policy_of_a_log_without_names(tmp_path):
    log = Dataset.from_arrays(np.arange(8.0)[:, None] / 3, [0, 1] * 4, np.zeros(8), np.ones(8, bool), np.zeros(8, bool))
    policy = gs.load(trained(log).save(tmp_path / "policy"))
    assert policy.features is None
    with pytest.raises(InputError, match="does not name its features"):
        policy.observe({"x": 1.0})


def test_a_bundle_written_before_there_were_features(tmp_path):
    _, _, log = ward()
    policy = trained(log)
    tensors, facts = policy.describe()
    del facts["intake"]
    from groundschool.bundle import format as bundle

    again = gs.load(bundle.write(tmp_path / "old", tensors, {"policy": facts}))
    assert again.features is None
    assert again.probabilities(log.observations).tobytes() == policy.probabilities(log.observations).tobytes()
