"""From batches of named columns to whole episodes: what each entry of the column map does."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sources import raw, source

from groundschool.data import Columns, Feature
from groundschool.data.assemble import assemble
from groundschool.data.gather import gather
from groundschool.data.vouch import vouch
from groundschool.errors import InputError

# Two episodes of three and two rows; glucose falls below 54 on arrival at rows 2 and 4.
TABLE = {
    "stay": np.array([7, 7, 7, 9, 9]),
    "hour": np.array([0, 1, 2, 0, 1]),
    "bg": np.array([90.0, 60.0, 50.0, 80.0, 40.0]),
    "dose": np.array([0, 1, 2, 1, 0]),
    "gain": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "left": np.array([0, 0, 1, 0, 1]),
}
MAP = {"episode": "stay", "step": "hour", "observations": ["bg"], "action": "dose", "reward": "gain"}


def log(table=TABLE, size=2, **said):
    return vouch(raw(table, size, **{**MAP, **said}))


def test_plain_columns():
    read = log(truncated="left")
    assert read.observations.tolist() == [[90.0], [60.0], [50.0], [80.0], [40.0]]
    assert read.actions.tolist() == [0, 1, 2, 1, 0]
    assert read.rewards.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert read.starts.tolist() == [0, 3, 5]
    assert read.episode_ids.tolist() == [7, 9]
    assert read.truncated.tolist() == [False, False, True, False, True]
    assert not read.terminated.any()
    assert [feature.name for feature in read.features] == ["bg"]
    assert read.final_observations is None


def test_how_episodes_end_is_asked_for_and_never_guessed():
    with pytest.raises(InputError, match=r'table: how episodes end is not said.*last_row="truncated"'):
        log()
    assert log(last_row="truncated").truncated.tolist() == [False, False, True, False, True]
    both = log(terminated="bg < 45", last_row="truncated")
    assert both.terminated.tolist() == [False] * 4 + [True]
    assert both.truncated.tolist() == [False, False, True, False, False]
    with pytest.raises(InputError, match="table: nothing tells episodes apart"):
        vouch(raw(TABLE, observations=["bg"], action="dose", reward="gain"))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_flags_alone_cut_episodes(size):
    read = vouch(raw(TABLE, size, observations=["bg"], action="dose", reward="gain", truncated="left"))
    assert read.starts.tolist() == [0, 3, 5]
    assert read.episode_ids.tolist() == [0, 1]


def test_a_cost_on_arrival_belongs_to_the_action_before():
    said = {"costs": {"severe": "bg < 54"}, "truncated": "left"}
    with pytest.raises(InputError, match=r'costs.severe is read off the observation \(bg\).*cost_at="arrival"'):
        log(**said)
    assert log(**said, cost_at="action").costs["severe"].tolist() == [0, 0, 1, 0, 1]
    with pytest.raises(InputError, match=r"2 of 2 episodes are without the cost of the last action.*final_rows=True"):
        log(**said, cost_at="arrival")
    # Nobody saw what followed rows 2 and 4.
    assert log(**said, cost_at="arrival", blank="no event").costs["severe"].tolist() == [0, 1, 0, 1, 0]


def test_censored_blanks_cut_the_episode_before_them():
    read = log(costs={"severe": "bg < 54"}, cost_at="arrival", blank="censored", truncated="left")
    assert read.costs["severe"].tolist() == [0, 1, 1]
    assert read.starts.tolist() == [0, 2, 3]
    assert read.truncated.tolist() == [False, True, True]
    assert read.final_observations.tolist() == [[50.0], [40.0]]
    assert "episodes cut before a blank: 2." in read.notes
    assert "rows left out: 2." in read.notes


def test_an_episode_censored_in_its_first_row_is_left_out_and_counted():
    table = TABLE | {"harm": np.array([0.0, 1.0, np.nan, np.nan, 0.0])}
    read = log(table, costs={"harm": "harm"}, blank="censored", truncated="left")
    assert read.episode_ids.tolist() == [7]
    assert read.costs["harm"].tolist() == [0, 1]
    assert "episodes left out because no row of theirs is known: 1." in read.notes


def test_blanks_exclude_an_episode_or_mean_no_event_by_name():
    table = TABLE | {"a": np.array([0, np.nan, 0, 0, 0]), "b": np.array([0, 0, 0, np.nan, 1])}
    said = {"costs": {"a": "a", "b": "b"}, "truncated": "left"}
    assert log(table, **said, blank={"a": "exclude", "b": "no event"}).costs["b"].tolist() == [0, 1]
    with pytest.raises(InputError, match=r"^table: b: 1 of 5 values"):
        log(table, **said, blank={"a": "no event"})
    with pytest.raises(InputError, match="no episode is left"):
        log(table, **said, blank="exclude")


def test_final_rows_are_no_decisions():
    table = TABLE | {"died": np.array([0, 0, 0, 0, 1]), "gain": np.array([1.0, 2.0, np.nan, 4.0, np.nan])}
    read = log(table, terminated="died", truncated="left", final_rows=True, costs={"low": "bg < 54"}, cost_at="arrival")
    assert read.rewards.tolist() == [1.0, 2.0, 4.0]
    assert read.terminated.tolist() == [False, False, True]
    assert read.truncated.tolist() == [False, True, True]
    assert read.costs["low"].tolist() == [0, 1, 1]
    assert read.final_observations.tolist() == [[50.0], [40.0]]


def test_next_observations_give_the_final_one_and_its_cost():
    table = TABLE | {"next": np.array([60.0, 50.0, 45.0, 40.0, 70.0])}
    read = log(table, truncated="left", next_observations=["next"], costs={"low": "bg < 54"}, cost_at="arrival")
    assert read.final_observations.tolist() == [[45.0], [70.0]]
    assert read.costs["low"].tolist() == [0, 1, 1, 1, 0]


def test_labels_are_actions_in_the_order_declared():
    table = TABLE | {"dose": np.array(["none", "high", "low", "low", "none"], object)}
    with pytest.raises(InputError, match=r"holds text \('high', 'low', 'none'\).*action_labels"):
        log(table, truncated="left")
    read = log(table, truncated="left", action_labels=["none", "low", "high", "extreme"])
    assert read.actions.tolist() == [0, 2, 1, 1, 0]
    assert read.n_actions == 4
    assert read.action_labels == ("none", "low", "high", "extreme")
    with pytest.raises(InputError, match=r"not in action_labels, such as 'high' \(first at row 1\)"):
        log(table, truncated="left", action_labels=["none", "low"])


def test_floats_count_or_measure_as_said():
    table = TABLE | {"dose": TABLE["dose"].astype(float)}
    with pytest.raises(InputError, match='action_kind="discrete"'):
        log(table, truncated="left")
    assert log(table, truncated="left", action_kind="discrete").actions.dtype == np.int64
    assert log(table, truncated="left", action_kind="continuous").actions.shape == (5, 1)
    assert log(table, truncated="left", action=["dose", "bg"]).actions.shape == (5, 2)
    table["dose"][3] = 0.5
    with pytest.raises(InputError, match=r"not whole numbers \(first at row 3\)"):
        log(table, truncated="left", action_kind="discrete")


def test_what_a_propensity_column_holds():
    table = TABLE | {"dose": np.array([0, 1, 1, 0, 1]), "p": np.array([0.25, 0.5, 0.75, 0.5, 0.125])}
    said = {"truncated": "left", "propensity": "p"}
    assert log(table, **said).propensities.tolist() == table["p"].tolist()
    assert log(table, **said, propensity_is="probability_of_1").propensities.tolist() == [0.75, 0.5, 0.75, 0.5, 0.125]
    logs = table | {"p": np.log(table["p"])}
    read = log(logs, **said, propensity_is="log_probability")
    np.testing.assert_allclose(read.propensities, table["p"])
    with pytest.raises(InputError, match="is for two actions"):
        log(TABLE | {"p": table["p"]}, **said, propensity_is="probability_of_1")


def test_masks_groups_and_times():
    table = TABLE | {
        "allowed": np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1]]),
        "patient": np.array(["a", "a", "a", "b", "b"], object),
        "when": np.array(["2020-01-02", "2020-01-03", "2020-01-04", "2019-05-01", "2019-05-02"], "datetime64[us]"),
    }
    read = log(table, truncated="left", action_mask="allowed", group="patient", time="when")
    assert read.action_masks.tolist() == (table["allowed"] == 1).tolist()
    assert read.groups.tolist() == ["a", "b"]
    assert read.times.tolist() == table["when"][[0, 3]].tolist()
    table["patient"][2] = "b"
    with pytest.raises(InputError, match=r"group column 'patient': values are different.*\(first at row 2\)"):
        log(table, truncated="left", group="patient")


def test_one_name_of_integers_is_a_state_id_and_a_list_of_one_a_feature():
    assert log(observations="dose", truncated="left").observations.tolist() == [0, 1, 2, 1, 0]
    assert log(observations=["dose"], truncated="left").observations.shape == (5, 1)
    wide = TABLE | {"x": np.arange(10.0).reshape(5, 2)}
    assert log(wide, observations="x", truncated="left").observations.shape == (5, 2)
    both = log(wide, observations=["x", "bg"], truncated="left")
    assert [feature.name for feature in both.features] == ["x[0]", "x[1]", "bg"]
    with pytest.raises(InputError, match="beyond 2\\*\\*53"):
        log(TABLE | {"bg": np.arange(5) + 2**60}, truncated="left")


def test_rows_out_of_order_are_refused_or_sorted():
    order = np.array([3, 1, 0, 4, 2])
    mixed = {name: column[order] for name, column in TABLE.items()}
    with pytest.raises(InputError, match="sort"):
        log(mixed, last_row="truncated")
    read = log(mixed, last_row="truncated", sort=True)
    assert read.episode_ids.tolist() == [9, 7]
    assert read.rewards.tolist() == [4.0, 5.0, 1.0, 2.0, 3.0]


def test_rows_named_in_errors_are_those_of_the_source():
    table = TABLE | {"harm": np.array([np.nan, 0.0, 0.0, 0.0, -1.0])}
    with pytest.raises(InputError, match="first at row 4"):
        log(table, costs={"harm": "harm"}, blank="exclude", truncated="left")


def test_an_end_inside_an_episode_is_refused():
    with pytest.raises(InputError, match="row 0"):
        log(TABLE | {"left": np.array([1, 0, 1, 0, 1])}, truncated="left")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"reward": None}, "reward is not said"),
        ({"observations": None}, "observations is not said"),
        ({"action": "does"}, "action: there is no column 'does'. Did you mean 'dose'"),
        ({"costs": {"c": "bgg < 3"}}, "costs.c: there is no column 'bgg'. Did you mean 'bg'"),
        ({"group": "patient"}, "group: there is no column 'patient'"),
        ({"terminated": "dose"}, r"terminated \(dose\)|`dose`.*neither 0 nor 1"),
        ({"next_observations": ["bg", "gain"]}, "next_observations: each has shape"),
    ],
)
def test_bad_maps(said, message):
    with pytest.raises(InputError, match=message):
        log(**{"truncated": "left", **said})


def test_no_rows():
    with pytest.raises(InputError, match="holds no rows"):
        log({name: column[:0] for name, column in TABLE.items()}, truncated="left")


def test_outcomes_on_rows_that_are_no_decisions_are_told():
    table = TABLE | {"harm": np.array([0, 0, 1, 0, 0])}
    read = log(table, truncated="left", final_rows=True, costs={"harm": "harm"})
    assert "final rows with a reward, which is not read: 2." in read.notes
    assert "final rows with an event, which is not read, of cost harm: 1." in read.notes
    assert not read.costs["harm"].any()


def test_a_blank_flag_of_a_final_row_is_a_blank_flag():
    table = TABLE | {"died": np.array([0, 0, np.nan, 0, 1])}
    said = {"terminated": "died", "truncated": "left", "final_rows": True}
    with pytest.raises(InputError, match=r"terminated .*values are blank \(first at row 2\)"):
        log(table, **said)
    assert log(table, **said, blank="exclude").episode_ids.tolist() == [9]
    censored = log(table, **said, blank="censored")
    assert censored.truncated.tolist() == [False, True, True]
    assert censored.terminated.tolist() == [False, False, True]


def test_a_flag_that_is_blank_for_no_ends_before_last_row_is_asked():
    table = TABLE | {"died": np.array([np.nan, np.nan, 1, np.nan, np.nan])}
    read = log(table, terminated="died", blank="no event", last_row="truncated")
    assert read.terminated.tolist() == [False, False, True, False, False]
    assert read.truncated.tolist() == [False, False, False, False, True]


def test_a_termination_that_is_cut_off_is_told():
    table = TABLE | {"died": np.array([0, 0, 1, 0, 1])}
    read = log(table, terminated="died", costs={"low": "bg < 54"}, cost_at="arrival", blank="censored")
    assert not read.terminated.any()
    assert "episodes that terminated after they were cut, and count as truncated: 2." in read.notes


def test_final_rows_may_hold_any_action_and_mask():
    table = TABLE | {
        "dose": np.array(["a", "b", "none", "a", "none"], object),
        "allowed": np.array([[1, 1], [1, 1], [np.nan, np.nan], [1, 0], [0, 1]]),
    }
    said = {"action_labels": ["a", "b"], "action_mask": "allowed", "truncated": "left", "final_rows": True}
    read = log(table, **said)
    assert read.actions.tolist() == [0, 1, 0]
    # What was allowed after the first episode is not known, after the second it is.
    assert read.final_action_masks.tolist() == [[False, False], [False, True]]
    assert read.transitions().rows.tolist() == [0, 2]
    assert read.transitions().dropped == 1


def test_state_ids_keep_the_final_ones_that_are_known():
    table = TABLE | {"next": np.array([1, 2, 4, 0, np.nan])}
    said = {"observations": "dose", "next_observations": "next", "truncated": "left"}
    opened = source(table, 2)
    opened.kinds["next"] = "integer"
    read = vouch(gather(assemble(opened, Columns(**MAP | said)), opened.n_rows))
    assert read.final_observations.tolist() == [4, -1]
    assert read.transitions().dropped == 1
    assert read.transitions().next_observations.tolist() == [1, 2, 4, 0]


@pytest.mark.parametrize("size", [1, 2, 100])
def test_the_type_of_a_column_does_not_depend_on_blanks_in_a_batch(size):
    table = TABLE | {"on": np.array([True, False, True, True, False])}
    blank = TABLE | {"on": np.array([1.0, 0.0, 1.0, np.nan, 0.0])}
    said = {"observations": ["on"], "truncated": "left"}
    opened = source(blank, size)
    opened.kinds["on"] = "flag"
    part_types = {part.observations.dtype for part in assemble(opened, Columns(**MAP | said))}
    assert part_types == {log(table, **said).observations.dtype} == {np.dtype(np.float32)}


def test_whole_times_stay_whole_beside_a_blank():
    table = TABLE | {"when": np.array([5, np.nan, 7, 8, 9])}
    opened = source(table, 100)
    opened.kinds["when"] = "integer"
    read = vouch(gather(assemble(opened, Columns(**MAP, truncated="left", time="when")), opened.n_rows))
    assert read.times.dtype == np.int64
    assert read.times.tolist() == [5, 8]


def test_a_step_that_is_no_time_is_refused():
    stamps = np.array(["2020-01-01", "2020-01-02", "NaT", "2020-01-01", "2020-01-02"], "datetime64[us]")
    with pytest.raises(InputError, match="hour"):
        log(TABLE | {"hour": stamps}, truncated="left")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"episode": "x"}, "episode column 'x' holds list"),
        ({"step": "x"}, "step column 'x' holds list"),
        ({"step": "word", "sort": True}, "step column 'word' holds text"),
        ({"blank": {"low": "exclude"}}, "blank: 'low' is not one of terminated, truncated"),
        ({"action": "odd", "action_kind": "discrete"}, r"not whole numbers \(first at row 1\)"),
    ],
)
def test_columns_of_the_wrong_kind(said, message):
    table = TABLE | {
        "x": np.zeros((5, 2)),
        "word": np.array(["a", None, "b", "c", "d"], object),
        "odd": np.array([0, np.inf, 0, 0, 0]),
    }
    with pytest.raises(InputError, match=message):
        log(table, **{"truncated": "left", **said})


def test_rows_named_after_sorting_are_those_of_the_source():
    table = TABLE | {"stay": np.array(["a", None, "a", "b", "b"], object)}
    with pytest.raises(InputError, match="episode column 'stay': values are blank \\(first at row 1\\)"):
        log(table, truncated="left", sort=True)


def test_what_a_format_declares_is_under_what_the_user_says():
    table = TABLE | {"bg": np.array([[90.0], [np.nan], [50.0], [80.0], [40.0]])}
    features = (Feature("glucose", impute=100.0),)
    opened = source(table, columns=Columns(**MAP | {"observations": "bg"}), declared={"features": features})
    for said, expected in (
        (Columns(truncated="left"), Feature("glucose", impute=100.0)),
        (Columns(truncated="left", forward_fill=["glucose"]), Feature("glucose", forward_fill=True, impute=100.0)),
        (Columns(truncated="left", impute="median"), Feature("glucose", impute="median")),
    ):
        read = vouch(gather(assemble(opened, said), opened.n_rows))
        assert read.features == (expected,)
        assert np.isnan(read.observations).any() != expected.forward_fill


def test_maps_can_be_copied_and_said_over_another():
    said = Columns(**MAP, costs={"low": "bg < 54"}, cost_at={"low": "arrival"}, blank={"low": "censored"})
    assert copy.deepcopy(said) == said
    over = Columns(blank={"low": "exclude"}, propensity_is="probability").over(
        Columns(**MAP, costs={"low": "bg < 54"}, propensity_is="log_probability")
    )
    assert over.blank_meaning("low") == "exclude"
    assert over.propensity_is == "probability"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 30), st.booleans(), st.randoms())
def test_batches_do_not_matter(lengths, size, known, random):
    rng = np.random.default_rng(random.randrange(2**32))
    n = sum(lengths)
    table = {
        "stay": np.repeat(np.arange(len(lengths)), lengths),
        "bg": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        "dose": rng.integers(0, 3, n),
        "gain": rng.normal(size=n),
        "harm": np.where(rng.random(n) < 0.1, np.nan, rng.random(n) < 0.3),
    }
    said = {
        "episode": "stay",
        "observations": ["bg"],
        "action": "dose",
        "reward": "gain",
        "costs": {"harm": "harm"},
        "blank": "censored",
        "forward_fill": True,
        "indicators": True,
        "last_row": "truncated",
    }
    whole, parts = raw(table, 10_000, **said), raw(table, size, n_rows=known, **said)
    for name in ("observations", "actions", "rewards", "terminated", "truncated", "starts", "final_observations"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert [whole.row(i) for i in range(whole.n_rows)] == [parts.row(i) for i in range(parts.n_rows)]
    assert dict(whole.tally) == dict(parts.tally)
    naive = []
    for start, end in zip(np.cumsum([0, *lengths])[:-1], np.cumsum(lengths), strict=True):
        blank = np.flatnonzero(np.isnan(table["harm"][start:end]))
        naive += list(range(start, start + int(blank[0]) if len(blank) else end))
    assert [whole.row(i) for i in range(whole.n_rows)] == naive


def test_nothing_but_an_unfinished_episode_is_carried_over():
    n = 10_000
    table = {
        "stay": np.repeat(np.arange(n // 10), 10),
        "x": np.arange(n, dtype=float),
        "a": np.zeros(n, int),
        "r": np.zeros(n),
    }
    said = Columns(episode="stay", observations=["x"], action="a", reward="r", last_row="truncated")
    parts = list(assemble(source(table, 64), said))
    assert max(part.n_rows for part in parts) <= 64 + 10
    assert sum(part.n_rows for part in parts) == n
