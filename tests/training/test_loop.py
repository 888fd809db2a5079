"""The loop: every step is taken, chunks and companions change nothing, one program serves many runs."""

from __future__ import annotations

import numpy as np
import pytest

import groundschool as gs
from groundschool.errors import InputError
from groundschool.training import loop, snapshots
from learners import SMALL, assert_same_weights, walk_log

LOG = walk_log(episodes=20)


def train(log=LOG, steps=21, **changes):
    return gs.train(log, "cql", steps=steps, **{**SMALL, **changes})


def compilations():
    return loop._advance._cache_size()


@pytest.mark.parametrize("steps", [1, 7, 20, 21, 61])
def test_every_step_is_taken(steps):
    policy = train(steps=steps)
    curve = policy.training.curves["step"]
    assert curve[-1] == steps == policy.training.steps
    assert curve == sorted(set(curve))
    assert all(len(values) == len(curve) for values in policy.training.curves.values())


@pytest.mark.parametrize(("steps", "first"), [(1, 0), (7, 0), (21, 0), (21, 7), (10_000, 0), (10**6, 3), (40, 40)])
def test_chunks_cover_all_steps(steps, first):
    ends = loop.chunk_ends(steps, first)
    assert ends == sorted(set(ends))
    assert all(first < end <= steps for end in ends)
    assert ends == [] if first == steps else ends[-1] == steps
    assert max(np.diff([first, *ends]), default=0) <= loop.LARGEST_CHUNK
    # a run that goes on from a chunk's end has the chunks of the whole run
    assert set(ends) == {end for end in loop.chunk_ends(steps) if end > first}


def test_the_state_counts_the_steps(monkeypatch):
    seen = []
    real = loop.run

    def watched(*args):
        for chunk in real(*args):
            seen.append((chunk.step, np.asarray(chunk.state.step).tolist()))
            yield chunk

    monkeypatch.setattr(loop, "run", watched)
    train(steps=21)
    assert seen[-1] == (21, [21])
    assert all(counted == [step] for step, counted in seen)


@pytest.mark.parametrize("chunks", [1, 3, 21])
def test_chunk_ends_change_nothing(monkeypatch, chunks):
    expected = train()
    monkeypatch.setattr(loop, "CHUNKS", chunks)
    result = train()
    assert_same_weights(result, expected)
    assert len(result.training.curves["step"]) != len(expected.training.curves["step"])
    # the mean over chunks is the mean over steps
    mean = [
        np.average(p.training.curves["td"], weights=np.diff([0, *p.training.curves["step"]]))
        for p in (result, expected)
    ]
    np.testing.assert_allclose(mean[0], mean[1], rtol=1e-5)


def test_same_inputs_same_weights():
    first = train(seed=5)
    assert_same_weights(train(seed=5), first)
    for other in (train(seed=6), train(seed=5, learning_rate=0.011), train(walk_log(episodes=20, seed=1), seed=5)):
        assert not np.array_equal(other.layers[0][0], first.layers[0][0])


def test_first_weights_and_batches_both_depend_on_the_seed():
    """With a rate of next to nothing the weights are those drawn, the losses those of the batches."""
    one, two = (train(steps=1, seed=seed, learning_rate=1e-12) for seed in (1, 2))
    assert not np.array_equal(one.layers[0][0], two.layers[0][0])
    same, other = (train(steps=2, seed=1, learning_rate=1e-12).training.curves["loss"] for _ in range(2))
    assert same == other
    assert same[0] != same[1]  # each step has its own batch


def test_members_of_a_population_are_solo_runs():
    settings = [SMALL, {**SMALL, "conservative_weight": 2.0, "learning_rate": 0.003}]
    population = gs.train_population(LOG, "cql", seeds=(3, 4), settings=settings, steps=21)
    assert [policy.name for policy in population] == ["CQL 0", "CQL 1", "CQL 2", "CQL 3"]
    order = [(setting, seed) for setting in settings for seed in (3, 4)]
    for member, (setting, seed) in zip(population, order, strict=True):
        solo = gs.train(LOG, "cql", seed=seed, steps=21, **setting)
        assert (member.training.seed, member.training.config) == (seed, solo.training.config)
        assert member.training.curves["step"] == solo.training.curves["step"]
        for name in ("loss", "td", "conservative_gap", "gradient_norm"):
            np.testing.assert_allclose(member.training.curves[name], solo.training.curves[name], rtol=1e-3)
        for ours, theirs in zip(member.layers, solo.layers, strict=True):
            np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-3, atol=1e-5)
    # and they differ from each other by far more than that
    assert np.abs(population[0].layers[0][0] - population[2].layers[0][0]).max() > 1e-2


def test_one_program_serves_swept_options_seeds_steps_and_logs_of_about_one_size():
    train()
    before = compilations()
    train(steps=50, seed=9)
    for name, value in [
        ("learning_rate", 0.02), ("weight_decay", 0.1), ("discount", 0.5), ("conservative_weight", 3.0),
        ("target_rate", 0.5),
    ]:  # fmt: skip
        changed = train(**{name: value})
        assert not np.array_equal(changed.layers[-1][0], train().layers[-1][0]), f"{name} has no effect"
    logs = [walk_log(episodes=20, seed=seed) for seed in range(30)]
    # up to 64 rows are padded to a multiple of 4
    alike = [log for log in logs if (log.n_steps - 1) // 4 == (LOG.n_steps - 1) // 4]
    assert len({log.n_steps for log in alike}) > 1
    for log in alike:
        train(log)
    assert compilations() == before
    train(batch_size=9)
    assert compilations() == before + 1


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"batch_size": 9}, "batch_size"),
        ({"hidden": (5,)}, "hidden"),
        ({"reward_scale": 3.0}, "reward_scale"),
        ({"support": "counts"}, "support"),
        ({"steps": 9}, "steps"),
    ],
)
def test_settings_of_another_program_are_refused(change, name):
    settings = [{**SMALL, "steps": 8}, {**SMALL, "steps": 8, **change}]
    with pytest.raises(InputError, match=f"may differ only in .*these differ in {name}: train them as separate"):
        gs.train_population(LOG, "cql", settings=settings)


@pytest.mark.parametrize("steps", [0, -1, 7.5, True])
def test_steps_that_are_none(steps):
    with pytest.raises(InputError, match="'steps'"):
        train(steps=steps)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "1", None])
def test_seeds_that_are_none(seed):
    with pytest.raises(InputError, match="seed: expected a whole number from 0 to"):
        train(seed=seed)


def test_the_largest_seed_is_one():
    assert_same_weights(train(seed=np.int64(2**32 - 1)), train(seed=2**32 - 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": ()}, "at least one seed and one setting"),
        ({"settings": ()}, "at least one seed and one setting"),
        ({"settings": ({},), "seeds": (1, 2), "names": ("a",)}, r"names: expected 2 \(settings x seeds\), got 1"),
    ],
)
def test_populations_of_nobody(arguments, message):
    with pytest.raises(InputError, match=message):
        gs.train_population(LOG, "cql", steps=1, **arguments)


def test_names_and_record():
    policy = train(name="mine")
    record = policy.training
    assert policy.name == "mine"
    assert record.algorithm == "cql"
    assert record.config["hidden"] == []
    assert record.config["discount"] == 0.8
    assert record.fingerprint == LOG.fingerprint
    assert record.episode_hashes == tuple(LOG.episode_hashes)
    assert record.device.startswith(("cpu:", "gpu:"))
    assert 0 <= record.compile_seconds <= record.seconds
    assert {"step", "loss", "td", "conservative_gap", "gradient_norm"} <= record.curves.keys()


def test_values_are_in_units_of_reward():
    """Ten times the rewards are the same problem: the scale takes them up, and gives them back."""
    one = train()
    ten = train(walk_log(episodes=20, reward_scale=10.0))
    ids = np.arange(4)
    np.testing.assert_allclose(ten.values(ids), 10 * one.values(ids), rtol=1e-4)
    np.testing.assert_allclose(ten.value_scale, 10 * one.value_scale)
    np.testing.assert_allclose(one.value_scale, np.std(LOG.returns))


def test_snapshots_stay_what_they_were():
    taken, kept = [], []
    for step, policy in snapshots(LOG, "cql", steps=21, **SMALL):
        taken.append((step, policy))
        kept.append([weight.copy() for weight, _ in policy.layers])
    assert [step for step, _ in taken] == loop.chunk_ends(21)
    for (step, policy), copies in zip(taken, kept, strict=True):
        assert policy.training.steps == step
        assert policy.training.curves["step"][-1] == step
        for (weight, _), copy in zip(policy.layers, copies, strict=True):
            np.testing.assert_array_equal(weight, copy)
    assert_same_weights(taken[-1][1], train())
    assert not np.array_equal(kept[0][0], kept[-1][0])
