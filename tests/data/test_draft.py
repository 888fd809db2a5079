"""Drafted column maps: what is evident is said with why, what is not is asked, and nothing is guessed."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundschool.data.columns import OPEN, Columns
from groundschool.data.draft import draft, sketch
from groundschool.data.source import Source
from groundschool.errors import InputError

E, T = 12, 10
N = E * T
EPISODE, STEP = np.repeat(np.arange(E), T), np.tile(np.arange(T), E)
LAST = STEP == T - 1


def table(held_columns, *, rows=50, **more):
    """A source of arrays, handed out in batches."""
    held = {}
    for name, values in held_columns.items():
        array = np.asarray(values)
        held[name] = array.astype(object) if array.dtype.kind == "U" else array
    letters = {"i": "integer", "f": "number", "b": "flag", "O": "text", "M": "time"}
    kinds = {n: "list" if a.ndim > 1 else letters[a.dtype.kind] for n, a in held.items()} | more.pop("kinds", {})

    def batches(names):
        for start in range(0, len(held[names[0]]), rows):
            yield {name: held[name][start : start + rows] for name in names}

    return Source(more.pop("name", "ward.csv"), more.pop("format", "csv"), kinds, batches, **more)


def plain(**more):
    """A table with nothing left to ask but how episodes end."""
    rng = np.random.default_rng(7)
    columns = {
        "episode": EPISODE, "t": STEP, "glucose": rng.normal(100, 20, N), "insulin": rng.normal(size=N),
        "action": rng.integers(0, 3, N), "reward": rng.normal(size=N),
    }  # fmt: skip
    return {name: values for name, values in {**columns, **more}.items() if values is not None}


def said(held_columns, **more):
    """What a draft says, as TOML reads it, after checking that it asks what it leaves open and loads when answered."""
    drafted = sketch(table(held_columns, **more))
    values = tomllib.loads(drafted.text)
    is_open = [key for key, value in values.items() if value == OPEN]
    is_open += [f"{key}.{name}" for key, value in values.items() if isinstance(value, dict)
                for name, one in value.items() if one == OPEN]  # fmt: skip
    assert sorted(is_open) == sorted(drafted.questions)
    for key in is_open[:1]:
        with pytest.raises(InputError, match=rf"{key} is still '\?'"):
            Columns.from_mapping({k: v for k, v in values.items() if k == key.split(".")[0]})
    if not is_open:
        Columns.from_mapping(values)
    return values


class TestWhatIsEvident:
    def test_roles_by_name_and_values(self):
        assert said(plain()) == {
            "observations": ["glucose", "insulin"], "action": "action", "reward": "reward", "episode": "episode",
            "step": "t", "last_row": OPEN, "costs": {},
        }  # fmt: skip

    def test_every_assumption_says_why(self):
        lines = draft(table(plain())).splitlines()
        for line in lines:
            if " = " in line and not line.startswith("#") and OPEN not in line:
                assert "  # " in line, line
        assert 'step = "t"  # rises by one within each episode' in lines

    @pytest.mark.parametrize("name", ["episode", "stay_id", "epsID", "Traj-Id", "mdp_id"])
    def test_names_of_episodes(self, name):
        assert said(plain(**{"episode": None, name: EPISODE}))["episode"] == name

    def test_an_episode_column_whose_values_come_back_is_not_believed(self):
        values = said(plain(episode=EPISODE % 3, t=None))
        assert values["episode"] == OPEN

    def test_a_step_that_does_not_count_is_no_step(self):
        values = said(plain(t=STEP * 2))
        assert "step" not in values
        assert "t" in values["observations"]

    def test_shuffled_rows_are_sorted(self):
        order = np.random.default_rng(0).permutation(N)
        values = said({name: column[order] for name, column in plain().items()})
        assert (values["episode"], values["step"], values["sort"]) == ("episode", "t", True)

    def test_flags_end_episodes(self):
        values = said(plain(terminated=LAST, truncated=np.zeros(N, bool)))
        assert (values["terminated"], values["truncated"]) == ("terminated", "truncated")
        assert "last_row" not in values

    def test_group_and_time(self):
        values = said(plain(patient_id=EPISODE // 2, when=np.datetime64("2020-01-01", "us") + np.arange(N)))
        assert (values["group"], values["time"]) == ("patient_id", "when")
        assert "group" not in said(plain(patient_id=STEP // 5))

    def test_labels_of_actions(self):
        values = said(plain(action=np.array(["up", "down"])[STEP % 2]))
        assert values["action_labels"] == ["down", "up"]

    def test_continuous_actions(self):
        assert said(plain(action=np.linspace(0, 1, N)))["action_kind"] == "continuous"
        pair = {"action": None, "action_0": np.linspace(0, 1, N), "action_1": np.linspace(1, 2, N)}
        assert said(plain(**pair))["action"] == ["action_0", "action_1"]
        assert said(plain(action=np.ones((N, 2))))["action"] == "action"

    def test_lists(self):
        wide = {"glucose": None, "insulin": None, "obs": np.ones((N, 4)), "new_obs": np.ones((N, 4))}
        values = said(plain(**wide, action_mask=np.ones((N, 3), bool)))
        assert (values["observations"], values["next_observations"], values["action_mask"]) == (
            "obs", "new_obs", "action_mask",
        )  # fmt: skip

    def test_twins_are_next_observations(self):
        later = {"next_glucose": np.arange(N) * 0.5, "next_insulin": np.arange(N) * 0.25}
        values = said(plain(**later))
        assert values["next_observations"] == ["next_glucose", "next_insulin"]
        assert values["observations"] == ["glucose", "insulin"]
        alone = said(plain(next_glucose=np.arange(N) * 0.5))
        assert "next_observations" not in alone
        assert alone["observations"] == ["glucose", "insulin"]

    def test_ids_of_states(self):
        values = said(plain(glucose=None, insulin=None, state=np.random.default_rng(0).integers(0, 9, N)))
        assert values["observations"] == "state"

    def test_what_the_format_says_is_taken_over(self):
        own = Columns(observations="o", action="a", reward="r", terminated="end", costs={"hit": "o2 > 3"})
        columns = {"o": np.ones((N, 2)), "a": STEP, "r": STEP * 1.0, "end": LAST, "o2": STEP * 1.0, "more": STEP}
        text = draft(table(columns, columns=own, format="d4rl"))
        assert Columns.from_mapping(tomllib.loads(text)) == own
        assert 'observations = "o"  # as d4rl says' in text
        assert '"more"' in text.split("# Without a role:")[1]

    def test_costs_beside_what_the_format_says(self):
        own = Columns(observations="o", action="a", reward="r", terminated="end")
        columns = {"o": np.ones((N, 2)), "a": STEP, "r": STEP * 1.0, "end": LAST, "infos/cost": STEP * 1.0}
        values = said({**columns, "infos_before/cost": STEP * 1.0}, columns=own, format="minari")
        assert values["costs"] == {"cost": "infos/cost"}
        assert "cost_at" not in values

    def test_last_rows_that_are_no_decisions(self):
        values = said(plain(action=np.where(LAST, np.nan, STEP % 3), reward=np.where(LAST, np.nan, 1.0)))
        assert values["final_rows"] is True
        assert "final_rows" not in said(plain(reward=np.where(LAST & (EPISODE > 3), np.nan, 1.0)))


class TestWhatIsAsked:
    def test_how_episodes_end(self):
        drafted = sketch(table(plain(died=LAST & (EPISODE % 2 == 0))))
        assert list(drafted.questions) == ["last_row"]
        assert 'if the process ended there, add terminated = "died"' in drafted.text
        assert "died" not in tomllib.loads(drafted.text)["observations"]
        assert "have 10 rows, the most: a time limit truncates" in drafted.text

    def test_ends_that_flags_leave_open(self):
        assert said(plain(terminated=LAST & (EPISODE > 3)))["last_row"] == OPEN

    def test_the_end_of_the_sample_is_no_end_of_an_episode(self):
        long = {name: np.concatenate([column] * 200) for name, column in plain(terminated=LAST).items()}
        long["episode"] = np.repeat(np.arange(200 * E // 4), T * 4)[: 200 * N]
        long["t"] = np.tile(np.arange(T * 4), 200 * E // 4)
        long["terminated"] = long["t"] == T * 4 - 1
        assert len(long["t"]) > 20_000
        assert "last_row" not in said(long)

    def test_a_bare_done(self):
        values = said(plain(done=LAST))
        assert values["terminated"] == OPEN
        assert "done" not in values["observations"]
        with_cut = sketch(table(plain(done=LAST, timeout=LAST & (EPISODE > 5))))
        assert 'terminated = "done and not timeout"' in with_cut.text
        assert tomllib.loads(with_cut.text)["truncated"] == "timeout"

    def test_done_beside_terminated_is_set_aside(self):
        values = said(plain(done=LAST, terminated=LAST))
        assert values["terminated"] == "terminated"
        assert "done" not in values["observations"]

    def test_rows_as_rlds_has_them(self):
        values = said(plain(is_first=STEP == 0, is_last=LAST, is_terminal=LAST & (EPISODE > 2)))
        assert values["terminated"] == "is_terminal"
        assert values["last_row"] == values["final_rows"] == OPEN
        assert values["observations"] == ["glucose", "insulin"]

    def test_episodes_without_a_label(self):
        drafted = sketch(table(plain(episode=None, ward=EPISODE)))
        assert "episode" in drafted.questions
        assert '"ward": 12 runs of equal values, and none comes back' in drafted.text
        assert '"t" starts over 11 times' in drafted.text
        assert "ward" not in tomllib.loads(drafted.text)["observations"]

    def test_flags_alone_need_no_label(self):
        values = said(plain(episode=None, terminals=LAST))
        assert "episode" not in values
        assert "truncated" in draft(table(plain(episode=None, terminals=LAST)))

    def test_reward_action_and_observations(self):
        values = said(plain(reward=None, action=None, glucose=None, insulin=None, name=np.full(N, "x")))
        assert (values["reward"], values["action"], values["observations"]) == (OPEN, OPEN, OPEN)

    def test_a_reward_that_does_not_parse(self):
        remark = "'reward' is text: 'n/k' at row 3 is no number."
        text = draft(table(plain(reward=np.full(N, "n/k")), remarks={"reward": remark}))
        assert tomllib.loads(text)["reward"] == OPEN
        assert text.count(remark) == 2

    def test_whole_floats_as_actions(self):
        assert said(plain(action=(STEP % 3).astype(float)))["action_kind"] == OPEN

    @pytest.mark.parametrize(
        ("name", "called"),
        [("cost", "cost"), ("hazard", "hazard"), ("n_collisions", "n_collisions"), ("cost_ice", "ice")],
    )
    def test_costs(self, name, called):
        values = said(plain(**{name: (STEP == 3).astype(float)}))
        assert values["costs"] == {called: name}
        assert values["cost_at"] == OPEN
        assert "blank" not in values

    def test_blanks_in_costs_and_flags(self):
        blank = np.where(STEP == 4, np.nan, 0.0)
        values = said(plain(cost=blank, terminated=np.where(LAST, 1.0, blank)))
        assert values["blank"] == {"cost": OPEN, "terminated": OPEN}

    def test_a_cost_below_0_is_none(self):
        values = said(plain(cost=np.linspace(-1, 1, N)))
        assert values["costs"] == {}
        assert "cost" not in values["observations"]

    def test_costs_are_not_invented(self):
        text = draft(table(plain()))
        example = next(line for line in text.splitlines() if line.startswith("# low_glucose = "))
        assert tomllib.loads(text)["costs"] == {}
        shown = tomllib.loads(example.removeprefix("# "))
        assert shown["low_glucose"].startswith("glucose < ")


class TestPropensities:
    """Of two actions such a column may be P(action = 1): the figures beside the question tell which it is."""

    p1 = np.random.default_rng(3).uniform(0.2, 0.8, N)
    actions = (np.random.default_rng(4).uniform(size=N) < p1).astype(int)

    def test_of_two_actions_it_is_asked(self):
        values = said(plain(action=self.actions, behavior_prob=self.p1))
        assert (values["propensity"], values["propensity_is"]) == ("behavior_prob", OPEN)

    def test_the_figures_are_those_of_the_definitions(self):
        text = draft(table(plain(action=self.actions, behavior_prob=self.p1)))
        taken = np.where(self.actions == 1, self.p1, 1 - self.p1)
        assert f"it is {np.mean(1 / self.p1):.3g}" in text
        assert f"averages {np.mean(1 / taken):.3g}" in text

    def test_of_more_actions_it_is_not(self):
        values = said(plain(behavior_prob=np.full(N, 1 / 3)))
        assert values["propensity"] == "behavior_prob"
        assert "propensity_is" not in values

    def test_even_odds_are_the_same_either_way(self):
        assert "propensity_is" not in said(plain(action=self.actions, prob=np.full(N, 0.5)))

    def test_logarithms(self):
        values = said(plain(action_logp=np.log(self.p1)))
        assert (values["propensity"], values["propensity_is"]) == ("action_logp", "log_probability")

    @pytest.mark.parametrize("values", [[0.0, 0.5], [0.5, 1.5]])
    def test_what_is_no_probability_is_none(self, values):
        assert "propensity" not in said(plain(prob=np.resize(values, N)))

    def test_a_faint_name_needs_values_that_fit(self):
        assert said(plain(p_dose=np.full(N, 1 / 3)))["propensity"] == "p_dose"
        assert "p_dose" in said(plain(p_dose=np.linspace(0.8, 1.0, N)))["observations"]

    def test_a_second_one_is_set_aside(self):
        values = said(plain(action_prob=np.full(N, 0.25), action_logp=np.full(N, np.log(0.25))))
        assert values["propensity"] == "action_prob"
        assert "action_logp" not in values["observations"]


class TestWhatIsNotObserved:
    @pytest.mark.parametrize(
        ("name", "column", "why"),
        [
            ("row", np.arange(N), "identity"),
            ("admission_code", EPISODE * 17 + 3, "identity"),
            ("nurse_id", STEP % 4, "identity"),
            ("site", np.full(N, 3.0), "constant, 3"),
            ("empty", np.full(N, np.nan), "blank in every row"),
            ("return_to_go", np.linspace(0, 1, N), "only after the action"),
            ("ward", np.array(["a", "b"])[STEP % 2], 'text ("a", "b")'),
            ("ts\n", np.linspace(0, 1, N), "cannot be used"),
            ("?", np.linspace(0, 1, N), "cannot be used"),
        ],
    )
    def test_it_is_listed_with_why(self, name, column, why):
        text = draft(table(plain(**{name: column})))
        assert tomllib.loads(text)["observations"] == ["glucose", "insulin"]
        line = next(line for line in text.split("# Without a role:")[1].splitlines() if why in line)
        assert line.startswith("#   ")

    def test_blanks_are_said(self):
        text = draft(table(plain(glucose=np.where(STEP == 2, np.nan, STEP * 1.0 + EPISODE))))
        assert "blank in 10.0% of the rows" in text
        assert '# forward_fill = ["glucose"]' in text


def test_answering_makes_it_load(tmp_path):
    text = draft(table(plain(cost=np.where(STEP == 3, np.nan, 0.0), action=STEP % 2, prob=np.linspace(0.1, 0.9, N))))
    path = tmp_path / "map.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"map\.toml: .* is still '\?'\. Only a person can say it"):
        Columns.load(path)
    for key, answer in [
        ("last_row", "truncated"), ("propensity_is", "probability_of_1"), ("cost_at", "action"), ("cost", "exclude"),
    ]:  # fmt: skip
        assert f'{key} = "?"' in text
        text = text.replace(f'{key} = "?"', f'{key} = "{answer}"')
    path.write_text(text, encoding="utf-8")
    columns = Columns.load(path)
    assert columns.blank == {"cost": "exclude"}
    assert columns.last_row == "truncated"


def test_only_the_first_rows_are_looked_at():
    def batches(names):
        for start in range(0, 10**9, 8_000):
            assert start < 30_000, "read on after the sample"
            yield {"x": np.arange(start, start + 8_000) * 0.5}

    text = draft(Source("endless", "csv", {"x": "number"}, batches))
    assert "its first 20,000 rows" in text


def test_no_rows():
    with pytest.raises(InputError, match=r"ward\.csv: holds no rows"):
        draft(table({"x": np.zeros(0)}))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6, unique=True), st.text(max_size=20))
def test_whatever_columns_are_called_it_is_toml(names, file):
    columns = {name: np.random.default_rng(i).normal(size=N) for i, name in enumerate(names)}
    text = draft(table({"episode": EPISODE, **columns}, name=file, notes=("a note\nof two lines",)))
    values = tomllib.loads(text)
    taken = {value for value in values.values() if isinstance(value, str)} | set(values["costs"].values())
    observed = values["observations"] if isinstance(values["observations"], list) else []
    assert set(observed) <= set(names)
    assert not set(observed) & taken
