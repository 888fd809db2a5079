"""Several logs of one logger as one: nothing is lost, and what does not fit is refused in a sentence."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from random_logs import assert_identical, logs

import groundschool as gs

DECLARED = ("features", "action_labels", "notes")


def ward(seed, *, episodes=8, first=0, **changes):
    """Measured stays of three hours, with every column that a log can have."""
    rng = np.random.default_rng(seed)
    n = 3 * episodes
    masks = rng.random((n, 3)) < 0.5
    actions = rng.integers(0, 3, n)
    masks[np.arange(n), actions] = True
    columns = {
        "observations": rng.normal(size=(n, 2)),
        "actions": actions,
        "rewards": rng.normal(size=n),
        "terminated": np.tile([False, False, True], episodes),
        "truncated": np.zeros(n, bool),
        "costs": {"hypo": rng.random(n), "fall": rng.random(n)},
        "propensities": 1 - rng.random(n),
        "action_masks": masks,
        "final_observations": rng.normal(size=(episodes, 2)),
        "final_action_masks": np.ones((episodes, 3), bool),
        "groups": np.arange(episodes) // 2,
        "episode_ids": first + np.arange(episodes),
        "n_actions": 3,
        "horizon": 5,
        "return_range": (-100.0, 100.0),
        "features": ["map", gs.Feature("lactate", impute="mean")],
        "action_labels": ["none", "low", "high"],
        "times": np.arange(episodes, dtype=float),
        "notes": [f"Read from part {seed}."],
    }
    return gs.Dataset.from_arrays(**{name: changes.get(name, column) for name, column in columns.items()})


def bandit(seed, episodes=600):
    """Episodes of one step, of which there are four kinds."""
    rng = np.random.default_rng(seed)
    ids = [f"{seed}-{i}" for i in range(episodes)]
    ends, none = np.ones(episodes, bool), np.zeros(episodes, bool)
    actions, rewards = rng.integers(0, 2, episodes), rng.integers(0, 2, episodes)
    return gs.Dataset.from_arrays(np.zeros(episodes, int), actions, rewards, ends, none, n_actions=2, episode_ids=ids)


def refused(*parts, **options):
    with pytest.raises(gs.InputError) as error:
        gs.join(parts, **options)
    return str(error.value)


@given(logs())
def test_the_parts_of_a_log_are_the_log_again(log):
    cut = log.n_episodes // 2
    order = np.arange(log.n_episodes)
    parts = [log.select(part) for part in (order[:cut], order[cut:]) if len(part)]
    assert_identical(gs.join(parts), log)


def test_nothing_is_lost():
    whole = ward(0, episodes=9)
    joined = gs.join([whole.select(np.arange(4)), whole.select([4]), whole.select(np.arange(5, 9))])
    assert_identical(joined, whole)
    assert joined.times.tolist() == whole.times.tolist()
    for name in DECLARED:
        assert getattr(joined, name) == getattr(whole, name)
    assert joined.fingerprint == whole.fingerprint


def test_the_notes_of_all_are_told_once():
    joined = gs.join([ward(1), ward(2, first=8), ward(3, first=16, notes=["Read from part 1."])])
    assert joined.notes == ("Read from part 1.", "Read from part 2.")


def test_one_log_is_itself():
    assert_identical(gs.join([ward(1)]), ward(1))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"propensities": None}, "propensities: float64 in log 1 and not there in log 2."),
        ({"costs": {"hypo": np.zeros(24)}}, "cost:fall: float64 in log 1 and not there in log 2."),
        ({"observations": np.zeros((24, 2), np.float32)}, "observations: float64 of shape (2,) in log 1 and float32"),
        ({"episode_ids": [f"e{i}" for i in range(8)]}, "episode_ids: int64 in log 1 and text in log 2."),
        ({"action_labels": ["none", "high", "low"]}, "action labels: 'low' (number 1) in log 1 and 'high' in log 2."),
        ({"horizon": 4}, "horizon: 5 in log 1 and 4 in log 2."),
        ({"return_range": None}, "return range: (-100.0, 100.0) in log 1 and none in log 2."),
        ({"features": None}, "features: "),
        ({"features": ["map", "lactate"]}, "features: "),
    ],
)
def test_logs_of_another_kind_are_refused(changes, sentence):
    finals = {"final_observations": np.zeros((8, 2), np.float32)} if "observations" in changes else {}
    assert refused(ward(1), ward(2, **({"episode_ids": np.arange(8, 16)} | changes | finals))).startswith(sentence)


def test_another_number_of_actions_is_refused():
    bare = {"action_masks": None, "final_action_masks": None, "action_labels": None}
    said = refused(ward(1, **bare), ward(2, first=8, **bare, n_actions=4))
    assert said == (
        "number of actions: 3 in log 1 and 4 in log 2. Declare n_actions, the same in each: an undeclared number is a "
        "guess."
    )


def test_what_is_said_for_the_whole_holds():
    parts = [ward(1), ward(2, first=8, horizon=3, return_range=None)]
    joined = gs.join(parts, horizon=7, return_range=(-50.0, 50.0))
    assert (joined.horizon, joined.return_range) == (7, (-50.0, 50.0))
    with pytest.raises(gs.InputError, match="longer than horizon=2"):
        gs.join(parts, horizon=2, return_range=(-50.0, 50.0))


def test_an_episode_that_is_in_both_is_refused():
    log = ward(1)
    assert refused(log.select([0, 1, 2]), log.select([5, 6]), log.select([2, 7, 1])) == (
        "log 3: 2 of its 3 episodes are in log 1 too, by id and by rows (first: 2). "
        "Leave what is there twice out of one of the two: log.select(...)."
    )


def test_ids_that_clash_are_refused_or_numbered_anew():
    first, more = ward(1), ward(2, first=6)
    assert refused(first, more) == (
        "log 2: 2 of its 8 episodes have ids that other episodes have in log 1 (first: 6). "
        "Number all episodes anew: renumber=True (--renumber)."
    )
    joined = gs.join([first, more], renumber=True)
    assert joined.episode_ids.tolist() == list(range(16))
    assert joined.groups.tolist() == [*first.groups, *more.groups]


@pytest.mark.parametrize("renumber", [False, True])
def test_a_copy_under_another_id_is_refused(renumber):
    first, more = ward(1, episodes=30), ward(2, episodes=30, first=30)
    rows = {name: np.array(getattr(more, name)) for name in ("observations", "actions", "rewards", "action_masks")}
    for name, column in rows.items():
        column[12:15] = getattr(first, name)[3:6]
    more = ward(2, episodes=30, first=30, **rows)
    said = refused(first, more, names=["a.csv", "b.csv"], renumber=renumber)
    assert said.startswith(f"b.csv: 1 of its 30 episodes is in a.csv too, row by row (first: {4 if renumber else 34}).")


def test_episodes_that_repeat_by_chance_are_no_copies():
    first, more = (bandit(seed) for seed in (1, 2))
    rows = [list(zip(log.actions, log.rewards, strict=True)) for log in (first, more)]
    assert set(rows[0]) == set(rows[1])  # every episode is in both
    assert gs.join([first, more]).n_episodes == 1_200
    with pytest.raises(gs.InputError, match=r"600 of its 600 episodes are in log 1 too, by id and by rows"):
        gs.join([first, bandit(1)])


def test_the_logs_are_a_list_of_logs():
    for wrong in (ward(1), [ward(1), "more.csv"], "logs"):
        with pytest.raises(gs.InputError, match="expected a list of logs"):
            gs.join(wrong)
    with pytest.raises(gs.InputError, match="no log was given"):
        gs.join([])


def test_the_logs_stay_as_they_were():
    parts = [ward(1), ward(2, first=8)]
    before = [part.fingerprint for part in parts]
    joined = gs.join(parts)
    assert [dataclasses.replace(part).fingerprint for part in parts] == before
    with pytest.raises(ValueError, match="read-only"):
        joined.rewards[0] = 1.0
