"""What the loop draws from is exactly the log's transitions."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data.random_logs import arrays
from groundschool.algorithms import configure
from groundschool.algorithms.registry import ALGORITHMS
from groundschool.algorithms.types import Spec
from groundschool.data import Dataset
from groundschool.data.features import Feature
from groundschool.errors import InputError
from groundschool.policies.support import fit_support
from groundschool.training.data import DeviceData, prepare
from learners import hyper_of, pairs_log, walk_log

CPU = jax.devices("cpu")[0]


def prepared(log, algorithm="cql", **options):
    defaults = {"reward_scale": 2.0, "support": "none"} if algorithm == "cql" else {}
    return prepare(log, ALGORITHMS[algorithm], configure(algorithm, {**defaults, **options}), CPU)


def all_rows(data: DeviceData):
    """Every drawable transition once, as `draw` reads them."""
    n = int(data.n_transitions)
    rows = jax.tree.map(np.asarray, data)
    code = np.arange(len(rows.features)) if rows.code is None else rows.code
    first = lambda column: None if column is None else column[:n]  # noqa: E731
    return {
        "features": rows.features[code[:n]],
        "action": first(rows.action),
        "reward": first(rows.reward),
        "next_features": rows.features[code[rows.next_row[:n]]],
        "terminated": first(rows.terminated),
        "mask": first(rows.mask),
        "next_mask": first(rows.next_mask),
    }


def row_by_row(batch):
    """The same batch with one row of features a transition."""
    if batch.row is None:
        return batch
    return batch._replace(
        features=batch.features[batch.row], next_features=batch.next_features[batch.next_row], row=None, next_row=None
    )


@settings(max_examples=150, deadline=None)
@given(arrays(), st.sampled_from(["bc", "cql"]))
def test_rows_are_the_transitions_of_the_log(columns, algorithm):
    assume(np.issubdtype(columns["actions"].dtype, np.integer))
    for name in ("observations", "final_observations"):
        if name in columns:  # missing values are another test
            columns[name] = np.nan_to_num(columns[name], nan=2.0)
    log = Dataset.from_arrays(**columns)
    expected = log.transitions()
    if algorithm == "cql" and not len(expected.rows):
        with pytest.raises(InputError, match="no usable transition"):
            prepared(log)
        return
    encoding = "auto" if log.observations.ndim == 1 else "raw"
    result = prepared(log, algorithm, encoding=encoding)
    rows = all_rows(result.data)
    if algorithm == "bc":  # nothing is bootstrapped: no row is lost
        np.testing.assert_array_equal(rows["features"], result.encoder(log.observations))
        np.testing.assert_array_equal(rows["action"], log.actions)
        if log.action_masks is not None:
            np.testing.assert_array_equal(rows["mask"], log.action_masks)
        return
    np.testing.assert_array_equal(rows["features"], result.encoder(expected.observations))
    np.testing.assert_array_equal(rows["action"], expected.actions)
    np.testing.assert_allclose(rows["reward"], expected.rewards / 2.0, rtol=1e-6)
    np.testing.assert_array_equal(rows["terminated"], expected.terminated)
    goes_on = ~expected.terminated
    np.testing.assert_array_equal(rows["next_features"][goes_on], result.encoder(expected.next_observations[goes_on]))
    assert np.isfinite(rows["next_features"]).all()
    if log.action_masks is None:
        assert rows["mask"] is None
        assert rows["next_mask"] is None
    else:
        np.testing.assert_array_equal(rows["mask"], expected.action_masks)
        np.testing.assert_array_equal(rows["next_mask"][goes_on], expected.next_action_masks[goes_on])
    assert any("left out" in note for note in result.notes) == (expected.dropped > 0)


@pytest.fixture(scope="module")
def drawn():
    """A log without final observations, its rows on the device, and a large batch of them."""
    log = walk_log(episodes=9, finals=False)
    assert log.transitions().dropped > 0
    data = prepared(log).data
    batch = jax.tree.map(np.asarray, jax.jit(lambda d, key: d.draw(key, 4_096))(data, jax.random.key(0)))
    return log, all_rows(data), row_by_row(batch)


@pytest.mark.parametrize("algorithm", ["bc", "cql"])
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "columns"])
def test_few_observations_are_evaluated_once_and_change_nothing(algorithm, ids):
    """Updates on the table of distinct observations are those on one row a transition."""
    log = walk_log(episodes=40)
    if not ids:
        log = Dataset.from_arrays(
            np.column_stack([log.observations % 2, log.observations // 2]).astype(float),
            log.actions,
            log.rewards,
            log.terminated,
            log.truncated,
            final_observations=np.column_stack([log.final_observations % 2, log.final_observations // 2]).astype(float),
            n_actions=2,
        )
    options = {"hidden": (8,), "networks": 2, "steps": 20}
    config, learner = configure(algorithm, options), ALGORITHMS[algorithm]
    result = prepared(log, algorithm, **options)
    tables = states = learner.init(jax.random.key(1), Spec(result.encoder.width, 2), config)
    for step in range(5):
        batch = result.data.draw(jax.random.key(step), 64)
        assert batch.row is not None
        assert len(batch.features) < 64
        tables, _ = learner.update(tables, batch, hyper_of(config), config)
        states, _ = learner.update(states, row_by_row(batch), hyper_of(config), config)
    for one, other in zip(jax.tree.leaves(tables), jax.tree.leaves(states), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_many_observations_are_gathered():
    log = walk_log(episodes=9)
    batch = prepared(log).data.draw(jax.random.key(0), 2)
    assert batch.row is None
    assert batch.features.shape[0] == 2


def test_one_draw_is_one_row(drawn):
    """Everything in a batch comes from the same transition."""
    _, rows, batch = drawn
    names = [name for name in rows if rows[name] is not None]
    table = {tuple(np.concatenate([np.ravel(rows[name][i]) for name in names])) for i in range(len(rows["action"]))}
    for i in range(len(batch.action)):
        assert tuple(np.concatenate([np.ravel(getattr(batch, name)[i]) for name in names])) in table


def test_draws_are_uniform_over_usable_transitions_only(drawn):
    log, _, batch = drawn
    kept = log.transitions()
    for state in range(4):
        for action in range(2):
            share = np.mean((kept.observations == state) & (kept.actions == action))
            drawn_share = np.mean((batch.features.argmax(axis=1) == state) & (batch.action == action))
            # five standard deviations of a binomial share
            assert abs(drawn_share - share) < 5 * np.sqrt(share * (1 - share) / 4_096)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 31, 33, 100, 1_000, 4_097])
def test_padding_is_small(n):
    log = Dataset.from_arrays(
        np.zeros((n, 1)), np.zeros(n, int), np.zeros(n), np.ones(n, bool), np.zeros(n, bool), n_actions=2
    )
    data = prepared(log, encoding="raw").data
    assert int(data.n_transitions) == n
    assert n <= len(data.action) <= n + n / 8
    size = len(data.action)
    assert (size // (size & -size)).bit_length() <= 4  # few sizes, so that logs share a program


def test_a_left_out_row_still_follows_the_one_before_it():
    x = np.array([[10.0], [11.0], [12.0], [20.0], [21.0]])
    flags = np.array([0, 0, 1, 0, 1], bool)
    log = Dataset.from_arrays(x, [0, 1, 0, 1, 0], np.arange(5.0), ~flags & False, flags)
    rows = all_rows(prepared(log, encoding="raw").data)
    np.testing.assert_array_equal(rows["features"][:, 0], [10, 11, 20])
    np.testing.assert_array_equal(rows["next_features"][:, 0], [11, 12, 21])


def test_next_masks_are_allowed_and_supported_or_else_allowed():
    # state 0 -> 1 -> 2, ended; in state 1 action 0 was logged, in state 2 action 1
    masks = np.array([[True, True, True], [True, True, False], [False, True, True]])
    log = Dataset.from_arrays(
        [0, 1, 2], [0, 0, 1], [0.0, 0.0, 0.0], [0, 0, 1], [0, 0, 0], action_masks=masks, final_observations=[0],
        final_action_masks=[[True] * 3],
    )  # fmt: skip
    options = {"support": "counts", "support_min_count": 1, "support_min_share": 0.0}
    result = prepared(log, **options)
    np.testing.assert_array_equal(all_rows(result.data)["mask"], masks)
    np.testing.assert_array_equal(all_rows(result.data)["next_mask"][:2], [[True, False, False], [False, True, False]])


def test_where_all_that_is_supported_is_forbidden_what_is_allowed_counts():
    # state 1 is reached three times; action 0 is logged twice there and action 1, when 0 is forbidden, once
    free, other = [True, False, False], [False, True, True]
    log = Dataset.from_arrays(
        [0, 1] * 3, [0, 0, 0, 0, 0, 1], np.zeros(6), [0, 1] * 3, [0] * 6, final_observations=[0, 0, 0],
        action_masks=[[True] * 3, free, [True] * 3, free, [True] * 3, other], final_action_masks=[[True] * 3] * 3,
    )  # fmt: skip
    support = fit_support(log.observations, log.actions, 3, min_count=2, min_share=0.0)
    np.testing.assert_array_equal(support([1]), [free])
    rows = all_rows(prepared(log, support="counts", support_min_count=2, support_min_share=0.0).data)
    np.testing.assert_array_equal(rows["next_mask"][::2], [free, free, other])


def test_auto_support_only_where_states_come_back():
    rng = np.random.default_rng(0)
    ends = np.ones(40, bool)
    discrete = Dataset.from_arrays(rng.integers(0, 3, (40, 1)) * 1.0, rng.integers(0, 2, 40), ends * 1.0, ends, ~ends)
    continuous = Dataset.from_arrays(rng.normal(size=(40, 1)), rng.integers(0, 2, 40), ends * 1.0, ends, ~ends)
    assert prepared(discrete, support="auto").support is not None
    assert prepared(continuous, support="auto").support is None
    assert prepared(continuous, support="counts").support is not None
    assert prepared(discrete, support="none").support is None
    assert prepared(discrete, "bc").support is None


@pytest.mark.parametrize(
    ("rewards", "scale"),
    [
        ([1.0, 2.0, 5.0, 8.0], 5.0),  # returns 3 and 13
        ([1.0, 2.0, 0.0, 3.0], np.std([1, 2, 0, 3])),  # returns alike: spread of the rewards
        ([-4.0, -4.0, -4.0, -4.0], 4.0),  # all alike: their size
        ([0.0, 0.0, 0.0, 0.0], 1.0),
    ],
)
def test_automatic_reward_scale(rewards, scale):
    log = Dataset.from_arrays([0, 1, 0, 1], [0, 1, 1, 0], rewards, [0, 1, 0, 1], [0, 0, 0, 0])
    result = prepared(log, reward_scale="auto")
    np.testing.assert_allclose(result.reward_scale, scale)
    np.testing.assert_allclose(all_rows(result.data)["reward"], np.array(rewards) / scale, rtol=1e-6)


def test_final_ids_beyond_the_logged_ones_are_known():
    log = Dataset.from_arrays([0, 1], [0, 1], [0.0, 0.0], [0, 0], [0, 1], final_observations=[7])
    result = prepared(log)
    assert result.encoder.n_ids == 8
    np.testing.assert_array_equal(all_rows(result.data)["next_features"], np.eye(8)[[1, 7]])


def with_finals(finals, last_flag="terminated"):
    ended = np.array([1, 1], bool)
    flags = (ended, ~ended) if last_flag == "terminated" else (~ended, ended)
    return Dataset.from_arrays([[0.5], [1.5]], [0, 1], [0.0, 1.0], *flags, final_observations=finals)


def partly_blank_finals():
    cut = np.array([1, 1], bool)
    finals = [[np.nan, 1.0], [3.0, 4.0]]
    return Dataset.from_arrays([[0.5, 1], [1.5, 2]], [0, 1], [0.0, 1.0], ~cut, cut, final_observations=finals)


def test_a_final_observation_blank_throughout_is_unknown():
    log = with_finals([[np.nan], [3.0]], "truncated")
    result = prepared(log, encoding="raw")
    assert int(result.data.n_transitions) == 1 == log.n_steps - log.transitions().dropped
    np.testing.assert_array_equal(all_rows(result.data)["next_features"], [[3.0]])
    assert "1 of 2 transitions left out: truncated episodes without a final observation." in result.notes
    assert int(prepared(log, "bc").data.n_transitions) == 2


def test_blanks_in_observations_and_finals_are_imputed_alike():
    cut = np.array([0, 1, 1], bool)
    log = Dataset.from_arrays(
        [[np.nan, 1.0], [2.0, 2.0], [6.0, 3.0]], [0, 1, 0], np.zeros(3), ~cut & False, cut,
        final_observations=[[np.nan, 5.0], [7.0, 8.0]], features=[Feature("hr", impute="mean"), Feature("bp")],
    )  # fmt: skip
    rows = all_rows(prepared(log, encoding="raw").data)
    # The mean of 2 and 6: those of final observations are no decisions.
    np.testing.assert_array_equal(rows["features"], [[4, 1], [2, 2], [6, 3]])
    np.testing.assert_array_equal(rows["next_features"], [[2, 2], [4, 5], [7, 8]])


def test_cloning_looks_at_no_final_observation():
    assert int(prepared(partly_blank_finals(), "bc").data.n_transitions) == 2


def test_an_unrecorded_terminal_observation_does_no_harm():
    rows = all_rows(prepared(with_finals([[np.nan], [3.0]])).data)
    assert np.isfinite(rows["next_features"]).all()


@pytest.mark.parametrize(
    ("log", "algorithm", "message"),
    [
        (partly_blank_finals, "cql", r"1 of 2 hold NaN .*first: episode 0"),
        (
            lambda: Dataset.from_arrays([[0.5], [np.nan]], [0, 1], [0, 0], [1, 1], [0, 0]),
            "bc",
            r"observations: 1 of 2 rows hold NaN .*first at row 1",
        ),
        (lambda: Dataset.from_arrays([0], [[0.5]], [0.0], [1], [0]), "bc", "learns discrete actions"),
        (lambda: Dataset.from_arrays([0], [0], [0.0], [1], [0]), "cql", "the log has one action"),
        (
            lambda: Dataset.from_arrays([0, 1], [0, 1], [0, 0], [0, 0], [1, 1]),
            "cql",
            "no usable transition: .*without a final observation",
        ),
        (
            lambda: Dataset.from_arrays(
                [0, 1], [0, 1], [0, 0], [0, 0], [1, 1], action_masks=np.ones((2, 2), bool), final_observations=[1, 0]
            ),
            "cql",
            "no usable transition: .*without a final action mask",
        ),
    ],
)
def test_logs_that_cannot_be_learned_from(log, algorithm, message):
    with pytest.raises(InputError, match=message):
        prepared(log(), algorithm)


def test_cloning_needs_no_final_observation():
    assert int(prepared(pairs_log(), "bc").data.n_transitions) == 8
    log = Dataset.from_arrays([0, 1], [0, 1], [0, 0], [0, 0], [1, 1])
    assert int(prepared(log, "bc").data.n_transitions) == 2


def test_many_ids_are_coded():
    ids = np.arange(3_000)
    log = Dataset.from_arrays(ids, ids % 2, ids * 1.0, ids >= 0, ids < 0)
    result = prepared(log)
    assert result.encoder.width == all_rows(result.data)["features"].shape[1]
    np.testing.assert_array_equal(all_rows(result.data)["features"], result.encoder(ids))


def test_propensities_are_there_where_they_are_asked_for():
    bare = walk_log()
    with pytest.raises(InputError, match="'propensity_weight' is above 0, and the log has no propensities"):
        prepared(bare, "bc", propensity_weight=1.0)
    shares = np.random.default_rng(0).uniform(0.1, 1.0, bare.n_steps)
    log = Dataset.from_arrays(
        bare.observations, bare.actions, bare.rewards, bare.terminated, bare.truncated, propensities=shares,
        final_observations=bare.final_observations, n_actions=bare.n_actions,
    )  # fmt: skip
    found = prepared(log, "bc", propensity_weight=1.0).data
    np.testing.assert_allclose(np.asarray(found.propensity)[: log.n_steps], shares, rtol=1e-6)
    assert prepared(log, "bc").data.propensity is None
