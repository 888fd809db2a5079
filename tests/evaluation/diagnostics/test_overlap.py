"""Nobody is judged on what they studied: by the hashes of episodes, and by those of their rows."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from groundschool.data import Dataset, content
from groundschool.data.raw import RawLog
from groundschool.envs import HazardGrid
from groundschool.evaluation.diagnostics.overlap import overlap
from groundschool.evaluation.simulate import collect
from groundschool.policies.record import TrainingRecord
from groundschool.policies.tabular import TabularPolicy
from groundschool.training import train

GRID = HazardGrid()


def numbers(seed, n=60):
    rng = np.random.default_rng(seed)
    last = np.arange(n * 5) % 5 == 4
    return Dataset.from_arrays(
        rng.normal(size=(n * 5, 2)), rng.integers(0, 2, n * 5), rng.normal(size=n * 5), last, np.zeros(n * 5, bool)
    )


def studied(log, *, contents=True):
    """A policy that was trained on a log."""
    policy = TabularPolicy([[0.5, 0.5]], name="pupil")
    hashes = [f"{one:016x}" for one in content.episode_hashes(RawLog.of(log)).tolist()] if contents else []
    policy.training = SimpleNamespace(episode_hashes=tuple(log.episode_hashes.tolist()), content_hashes=tuple(hashes))
    return policy


def renamed(log):
    return dataclasses.replace(log, episode_ids=log.episode_ids + 1_000_000)


@pytest.mark.parametrize("nested", [False, True])
def test_episodes_that_were_studied_are_counted(nested):
    log = numbers(0)
    policy = studied(log.select(np.arange(40)))
    found = overlap(log.select(np.arange(30, 60)), policy.greedy() if nested else policy)
    assert found.facts == {"trained": True, "episodes": 30, "shared": 10, "copied": 0}
    (reason,) = found.reasons
    assert reason.startswith("In-sample: policy 'pupil")
    assert "10 of the 30 episodes" in reason


def test_fresh_episodes_are_no_overlap():
    found = overlap(numbers(1), studied(numbers(0)))
    assert (found.reasons, found.notes) == ((), ())
    assert found.facts["trained"]


def test_copies_under_other_ids_are_known_again():
    log = numbers(0)
    found = overlap(renamed(log), studied(log.select(np.arange(20))))
    assert found.facts == {"trained": True, "episodes": 60, "shared": 0, "copied": 20}
    assert "row by row copies, under other ids, of 20 of the 60 episodes" in found.reasons[0]
    # Older records know their episodes by name only.
    assert overlap(renamed(log), studied(log, contents=False)).reasons == ()


@pytest.mark.parametrize("epsilon", [0.0, 0.22])
def test_in_a_small_world_episodes_repeat_by_chance(epsilon):
    logger = GRID.logger(epsilon)
    one, other = collect(GRID, logger, 300, seed=0), collect(GRID, logger, 300, seed=10_000)
    assert overlap(other, studied(one)).reasons == ()
    copy = dataclasses.replace(one, episode_ids=np.array([f"copy-{i}" for i in range(300)]))
    found = overlap(copy, studied(one))
    assert found.facts["shared"] == 0
    if epsilon:  # wandering ways do not come twice; the one straight way does
        assert found.facts["copied"] > 100


def test_a_policy_without_a_record_is_noted():
    found = overlap(numbers(0), TabularPolicy([[0.5, 0.5]], name="table"))
    assert found.reasons == ()
    assert found.notes == (
        "Policy 'table' carries no record of training: it is judged as not trained on these episodes.",
    )
    module = SimpleNamespace(name="torch", training=True)  # a flag of a torch module, no record
    assert not overlap(numbers(0), module).facts["trained"]


def test_trained_policies_carry_both_hashes():
    log = numbers(0)
    policy = train(log, "bc", steps=1, hidden=(2,), batch_size=4)
    assert overlap(log, policy).facts["shared"] == 60
    assert overlap(renamed(log), policy.greedy()).facts["copied"] == 60
    record = policy.training
    assert TrainingRecord.from_json(record.to_json()) == record
    older = {key: value for key, value in record.to_json().items() if key != "content_hashes"}
    assert TrainingRecord.from_json(older).content_hashes == ()
