"""The ensemble of fitted Q evaluation: each member's own sample, the same answer again, and when it is at rest."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from groundschool.algorithms.fqe import Horizon, knots
from groundschool.training import fqe
from groundschool.training.fqe_data import Transitions, prepare

CPU = jax.devices("cpu")[0]
STEPS = knots(3, 10)
WIDE = Horizon.of(STEPS, np.full(3, -50.0), np.full(3, 50.0), np.zeros(3), 1.0)


def plan(**changes):
    options = {
        "steps": 2_000, "least": 100, "tolerance": 0.25, "learning_rate": 0.02, "target_rate": 0.2,
        "batch_size": 64, "hidden": (),
    }  # fmt: skip
    return fqe.Plan(**{**options, **changes})


def chain(episodes=200, seed=0, observations=None):
    """Episodes of three steps through states 0, 1, 2; each step pays a normal number about the state's.

    Of the two actions, which the policy takes alike, the second pays 1 more.
    """
    rng = np.random.default_rng(seed)
    n = 3 * episodes
    state, action = np.tile([0, 1, 2], episodes), rng.integers(2, size=n)
    last = state == 2
    next_row = np.where(last, np.arange(n), np.arange(n) + 1)
    return Transitions(
        observations=state if observations is None else observations(state),
        row=np.arange(n),
        next_row=next_row,
        action=action,
        signal=state + action + rng.normal(size=n),
        next_policy=np.where(last[:, None], 0.0, 0.5) * np.ones((n, 2)),
        weight=np.ones(n),
        unit=np.repeat(np.arange(episodes), 3),
        first=np.arange(0, n, 3),
        first_policy=np.full((episodes, 2), 0.5),
        first_unit=np.arange(episodes),
        n_units=episodes,
    )


def fit(log, members=4, seed=0, horizon=WIDE, **changes):
    data, _ = prepare(log, 1.0, members, seed, CPU)
    return fqe.fit(data, horizon, plan(**changes), seed=seed)


def test_the_value_of_a_chain():
    # Three steps that pay 0, 1, 2 and one half each: 4.5. Each mean of about 100 normal numbers is off by .1: three
    # states and two actions, weighed by a half, by .12; four of it.
    found = fit(chain())
    assert found.converged
    assert found.values.mean() == pytest.approx(4.5, abs=0.5)
    assert 0.03 < found.values.std(ddof=1) < 0.4


def test_the_same_inputs_give_the_same_bits_and_other_seeds_others():
    first, again, other = fit(chain()), fit(chain()), fit(chain(), seed=1)
    assert first.values.tobytes() == again.values.tobytes()
    assert first.curve == again.curve
    assert not np.array_equal(first.values, other.values)


def test_a_member_draws_only_its_own_sample():
    log = chain(episodes=20)
    data, _ = prepare(log, 1.0, 5, 0, CPU)
    pool, sizes, weights = (np.asarray(x) for x in (data.pool, data.pool_size, data.first_weight))
    for member in range(5):
        counts = np.bincount(log.unit[pool[member, : sizes[member]]], minlength=20) / 3
        np.testing.assert_array_equal(counts, weights[member, :20])  # whole episodes, as often as their starts count
        assert counts.sum() == 20
    assert not np.array_equal(weights[0], weights[1])
    assert not weights[:, 20:].any()  # padding counts nothing


def test_long_samples_are_cut_to_what_can_be_drawn(monkeypatch):
    monkeypatch.setattr("groundschool.training.fqe_data._POOL", 30)
    data, _ = prepare(chain(episodes=20), 1.0, 3, 0, CPU)
    assert np.asarray(data.pool_size).tolist() == [30] * 3


def test_a_scale_divides_the_signal():
    log = chain()
    data, _ = prepare(log, 4.0, 2, 0, CPU)
    np.testing.assert_allclose(np.asarray(data.signal)[:600], log.signal / 4.0, rtol=1e-6)


def test_nothing_beyond_what_is_possible_is_answered():
    tight = WIDE._replace(high=np.array([1.0, 1.5, 2.0], np.float32))
    assert (fit(chain(), horizon=tight).values <= 2.0).all()


def test_starts_are_looked_at_in_blocks(monkeypatch):
    whole = fit(chain(), steps=100)
    monkeypatch.setattr(fqe, "_STARTS", 16)
    # Training does not depend on what is looked at, nor the answer on how the starts are cut.
    np.testing.assert_allclose(fit(chain(), steps=100).values, whole.values, rtol=1e-5)


def test_what_is_not_at_rest_is_not_called_converged():
    found = fit(chain(), steps=60)
    assert not found.converged
    assert found.curve["step"][-1] == 60
    assert found.moved > 0.25


@pytest.mark.parametrize("steps", [1, 7, 99, 100, 101, 450])
def test_no_more_updates_than_allowed_and_all_of_them_where_needed(steps):
    curve = fit(chain(), steps=steps, tolerance=1e-9).curve
    assert curve["step"][-1] == steps
    assert curve["step"] == sorted(set(curve["step"]))
    assert len({len(column) for column in curve.values()}) == 1


def test_it_does_not_rest_before_it_could_know():
    assert fit(chain(), least=1_000, tolerance=1e9).curve["step"][-1] == 1_500  # and half as many for the fall


def test_blanks_become_the_mean_and_mark_themselves():
    def holed(state):
        columns = np.stack(
            [state * 1.5, np.where(state == 1, np.nan, state * 0.25), np.full(len(state), np.nan)], axis=1
        )
        return columns

    data, encoder = prepare(chain(observations=holed), 1.0, 2, 0, CPU)
    features = np.asarray(data.features)[:3]
    assert np.isfinite(features).all()
    assert features.shape[1] == 4
    assert features[1, 1] == pytest.approx(0.0, abs=1e-6)  # the mean, standardised
    assert features[1, 3] != features[0, 3] == features[2, 3]
    assert "4 columns" in encoder.describe()


def test_one_program_serves_logs_of_about_the_same_size():
    fit(chain(episodes=200), steps=10)
    before = fqe._advance._cache_size()
    fit(chain(episodes=199, seed=5), steps=10)
    assert fqe._advance._cache_size() == before
