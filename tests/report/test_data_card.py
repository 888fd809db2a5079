"""The card of a log: measured where it can be, gaps where only a person knows, and nobody's own values."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from groundschool.data import Dataset
from groundschool.data.check import check
from groundschool.data.checks.finding import Finding
from groundschool.data.coverage import coverage
from groundschool.data.features import Feature
from groundschool.data.raw import RawLog
from groundschool.report.data_card import data_card
from groundschool.report.markdown import escaped, table

SECTIONS = ["Motivation", "Composition", "Collection", "Preprocessing", "Uses", "Distribution", "Maintenance"]
HOSTILE = '<script>x</script> | `a` [b](http://c) *d*\n# e "f" ü'


def log_of(n=6_000, **more):
    rng = np.random.default_rng(0)
    end = np.arange(n) % 20 == 19
    more = {
        "observations": np.column_stack([rng.normal(80, 20, n), np.where(rng.random(n) < 0.1, np.nan, rng.random(n))]),
        "features": [Feature("hr"), Feature("map", forward_fill=True, impute="median")],
        "actions": rng.integers(0, 3, n),
        "costs": {"hypo": (np.arange(n) % 200 == 0) * 1.0},
        "n_actions": 3,
    } | more
    observations, actions = more.pop("observations"), more.pop("actions")
    if actions.ndim == 2:
        more["n_actions"] = None
    return Dataset.from_arrays(observations, actions, rng.normal(size=n), end & (np.arange(n) < n / 2), end, **more)


def found(*findings):
    return SimpleNamespace(findings=findings, ran={"a": "", "b": "no steps"}, false_alarm=0.004, n_episodes=1, n_rows=1)


def finding(check="cost-timing", severity="warning", where="hypo", what="12 rows.", **more):
    return Finding(check, severity, where, what, "Why.", "Do.", **more)


def rows_of(card, first):
    """Cells of the table row that begins with `first`."""
    line = next(line for line in card.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_the_sections_of_a_datasheet_are_there_in_order():
    assert re.findall(r"^## (.*)$", data_card(log_of()), re.M) == SECTIONS


@pytest.mark.parametrize(
    "title", ["Ward 7", 'a: "b" # c', "", "naïve \u2028 line", "- x\n---\nlicense: mit", "'%@`{[]}"]
)
def test_the_front_matter_is_yaml(title):
    yaml = pytest.importorskip("yaml")
    card = data_card(log_of(), title=title)
    assert card.startswith("---\n")
    facts = yaml.safe_load(card.split("\n---\n", 1)[0])
    assert facts == {
        "pretty_name": "".join(c for c in title if c.isprintable()) or None,
        "license": None,
        "task_categories": ["reinforcement-learning"],
        "size_categories": ["1K<n<10K"],
        "tags": ["offline-reinforcement-learning", "decision-log", "groundschool"],
    }


def test_the_front_matter_reads_without_a_parser():
    lines = data_card(log_of(), title="Ward").split("\n---\n", 1)[0].splitlines()
    assert lines[0] == "---"
    assert all(re.fullmatch(r"[a-z_]+:( .*)?|- [\w<>-]+", line) for line in lines[1:])
    assert 'pretty_name: "Ward"' in lines
    assert "license:  # to be filled in by whoever may license the data" in lines


@pytest.mark.parametrize(("n", "size"), [(20, "n<1K"), (980, "n<1K"), (1_000, "1K<n<10K"), (20_000, "10K<n<100K")])
def test_sizes_are_in_the_words_of_the_hub(n, size):
    assert f"\n- {size}\n" in data_card(log_of(n))


def test_what_only_a_person_knows_is_a_marked_gap():
    card = data_card(log_of())
    gaps = re.findall(r"\*\*\[to be filled in: ([^\]]+)\]\*\*", card)
    assert len(gaps) >= 12
    for section in re.split(r"^## ", card, flags=re.M)[1:]:
        assert "**[to be filled in:" in section
    assert "license" in " ".join(gaps)
    assert any("what each action means" in gap for gap in gaps)
    assert "what each action means" not in data_card(log_of(action_labels=["a", "b", "c"]))


def test_what_can_be_measured_is_filled_in():
    log = log_of(propensities=np.full(6_000, 1 / 3), notes=("Rows left out: 3.",), horizon=25)
    card = data_card(log)
    assert rows_of(card, "Episodes")[1] == "300"
    assert rows_of(card, "Rows")[1] == "6,000"
    assert rows_of(card, "Horizon, rows")[1] == "25"
    assert rows_of(card, "Propensities")[1] == "recorded"
    assert rows_of(card, "Fingerprint (SHA-256)")[1] == f"`{log.fingerprint}`"
    count = int((log.actions == 1).sum())
    assert rows_of(card, "1")[2:] == [f"{count:,}", f"{100 * count / 6_000:.1f}\u202f%"]
    # 30 of 300 episodes have an event: 10 %, Clopper-Pearson by scipy.stats.beta 6.8 to 14.0.
    assert rows_of(card, "Any cost “hypo”, of episodes") == [
        "Any cost “hypo”, of episodes", "10.0\u202f% [6.8, 14.0], 30 episodes", "Clopper-Pearson, exact",
    ]  # fmt: skip
    assert rows_of(card, "Terminated (the process ended), of episodes")[1].startswith("50.0")
    assert "- Rows left out: 3." in card


def test_features_show_percentiles_blanks_and_what_becomes_of_them():
    log = log_of()
    hr, blood = rows_of(data_card(log), "hr"), rows_of(data_card(log), "map")
    # 1 % of 6,000 rows lie below the first figure and above the last.
    ordered = np.sort(log.observations[:, 0])
    assert hr[1:] == ["0", *(f"{ordered[i]:.3g}" for i in (60, 3_000, 5_939)), "left blank"]
    assert blood[1] == f"{int(np.isnan(log.observations[:, 1]).sum())}"
    assert blood[5] == "filled with the last value seen, then replaced by the median"


def test_nobodys_own_value_is_told():
    values = np.round(np.random.default_rng(1).normal(80, 20, 6_000), 3)
    values[5] = 3_141.592
    log = log_of(observations=values[:, None], features=["hr"])
    card = data_card(log, check(log), coverage(log), title="Ward")
    assert "3,14" not in card
    own = {f"{value:g}" for value in values}
    assert not [number for number in re.findall(r"\d+\.\d{3}", card.split("### Rewards")[0]) if number in own]


def test_of_few_values_none_is_told():
    card = data_card(log_of(20))
    assert rows_of(card, "hr")[2:5] == ["withheld"] * 3
    assert rows_of(card, "Rows an episode")[1] == "withheld: there are too few"


@pytest.mark.parametrize(
    ("names", "checks", "hidden"),
    [
        (["hr", "patient_id"], (), {"patient_id"}),
        (["hr", "b"], (finding("identity-by-value", where="b"),), {"b"}),
        (["hr", "b"], (finding("identity-by-value", where="12 more columns"),), {"hr", "b"}),
        (["hr", "b"], (finding("blank-observations", where="b"),), set()),
    ],
)
def test_columns_that_tell_who_somebody_is_show_no_values(names, checks, hidden):
    card = data_card(log_of(features=names), found(*checks))
    for name in names:
        told = rows_of(card, escaped(name))
        assert (told[2:5] == ["withheld"] * 3) == (name in hidden)
    assert ("shown without values" in card) == bool(hidden)


def test_figures_of_a_telling_column_stay_out_of_its_findings_too():
    outlier = finding("outlying-values", where="patient_id", what="The largest is 4711.")
    card = data_card(log_of(features=["hr", "patient_id"]), found(outlier))
    assert "4711" not in card
    assert "Figures are withheld: the column may tell who somebody is." in card


def test_of_a_log_with_groups_small_counts_are_not_told():
    groups = [f"person-{i // 2}" for i in range(300)]
    cost = np.zeros(6_000)
    cost[:60] = 1  # three episodes
    actions = np.where(np.arange(6_000) < 7, 2, np.arange(6_000) % 2)
    log = log_of(groups=groups, costs={"hypo": cost}, actions=actions, episode_ids=[f"stay-{i}" for i in range(300)])
    result = check(log)
    card = data_card(log, result, coverage(log))
    assert rows_of(card, "Any cost “hypo”, of episodes")[1] == "fewer than 11 episodes"
    assert rows_of(card, "2")[2:] == ["fewer than 11", ""]
    # Two of three counts would give the third away.
    assert sorted([rows_of(card, "0")[2], rows_of(card, "1")[2]])[1] == "withheld"
    assert "Rows belong to 150 groups." in card
    assert "person-" not in card
    assert "stay-" not in card
    assert "3 of 300" not in card
    assert "3 of 300" in data_card(replace(log, groups=None), check(replace(log, groups=None)))


def test_findings_are_told_and_change_what_the_log_is_fit_for():
    card = data_card(
        log_of(), found(finding("broken", "error", first_episode="stay 9", what="At stay 9."), finding("not-markov"))
    )
    assert rows_of(card, r"\*\*error\*\* broken".replace("\\", ""))[1:] == ["hypo", "At ….", "Why.", "Do."]
    assert "**Not fit for use as it stands:** the findings above hold 1 error." in card
    assert "what came before it predicts what comes next" in card
    assert "1 check ran, 1 did not apply." in card
    assert "at most 0.4\u202f%" in card
    assert "Not fit for use" not in data_card(log_of(), found())
    assert "They found nothing to report." in data_card(log_of(), found())
    assert "**[to be filled in: what a check of the log found" in data_card(log_of())


def test_hostile_names_are_words():
    log = log_of(features=[HOSTILE.replace("\n", " "), "b"], action_labels=[HOSTILE, "b", "c"], notes=(HOSTILE,))
    card = data_card(log, found(finding(where=HOSTILE, what=HOSTILE)), coverage(log), title=HOSTILE)
    body = card.split("\n---\n", 1)[1]
    assert "<script" not in body
    assert not re.search(r"(?<!\\)[\[\]]\(|http://", body)
    assert "# e" not in re.sub(r"\\#", "", body)
    widths = {}
    for line in body.splitlines():
        if line.startswith("|"):
            widths.setdefault(len(re.split(r"(?<!\\)\|", line)), []).append(line)
    assert sum(map(len, widths.values())) == body.count("\n| ") + body.startswith("| ")
    heads = [line for line in body.splitlines() if re.match(r"#+ ", line)]
    assert len(heads) == 1 + len(SECTIONS) + 6


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a|b", r"a\|b"),
        ("a\nb", "a b"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("x_1*", r"x\_1\*"),
        ("\\|", r"\\\|"),
        ("$x$", r"\$x\$"),
        ("http://www.a.b c@d.e", r"http\://www\.a.b c\@d.e"),
    ],
)
def test_markup_is_escaped(text, plain):
    assert escaped(text) == plain
    assert table(("a",), [(escaped(text),)]).count("\n") == 2


def test_times_are_told_by_month_and_without_the_first_and_last():
    times = np.datetime64("2019-01-15") + np.arange(300) * np.timedelta64(10, "D")
    # Ten episodes lie beyond either end: 2019-01-15 + 100 days, and 100 days before 2027-03-24.
    assert "from 2019-04 to 2026-12 (1st" in data_card(log_of(times=times))
    assert "Episodes began" not in data_card(log_of(times=np.arange(300)))


def test_a_raw_log_with_faults_has_a_card_too():
    log = RawLog.of(log_of())
    rewards = log.rewards.copy()
    rewards[0] = np.nan
    costs = {"hypo": np.where(np.arange(6_000) == 3, np.nan, log.costs["hypo"])}
    observations = log.observations.copy()
    observations[7, 0] = np.inf
    broken = replace(
        log, rewards=rewards, costs=costs, observations=observations, terminated=np.zeros(6_000, bool),
        truncated=np.zeros(6_000, bool), features=None, n_actions=None, tally={"rows without an action": 3},
    )  # fmt: skip
    card = data_card(broken, check(broken), fingerprint="ab12")
    assert rows_of(card, "Without an end flag, of episodes")[1].startswith("100.0")
    assert rows_of(card, "Cost “hypo” blank")[1] == "in 1 of the rows"
    assert rows_of(card, r"observations\[0\]")[1] == "1"
    assert "- rows without an action: 3." in card
    assert "`ab12`" in card
    assert "Not fit for use" in card


@pytest.mark.parametrize(
    "log",
    [
        log_of(observations=np.arange(6_000) % 7, features=None),
        log_of(observations=np.zeros((6_000, 2, 3)), features=None),
        log_of(observations=np.zeros((6_000, 130)), features=None),
        log_of(actions=np.random.default_rng(0).normal(size=(6_000, 2))),
        log_of(20),
        log_of(actions=np.zeros(6_000, int), n_actions=500),
    ],
    ids=["ids", "images", "wide", "continuous", "one episode", "many actions"],
)
def test_any_log_has_a_card(log):
    card = data_card(log, check(log), coverage(log))
    assert re.findall(r"^## (.*)$", card, re.M) == SECTIONS
    assert "nan" not in card.split("### Known")[0]


def test_an_empty_log_has_a_card():
    none = np.empty(0)
    empty = RawLog(np.empty((0, 2)), none.astype(int), none, none.astype(bool), none.astype(bool), np.zeros(1, int))
    assert rows_of(data_card(empty, check(empty)), "Rows")[1] == "0"
