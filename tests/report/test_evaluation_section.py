"""The part of the report that judges policies from the log alone: its numbers, its words, its pictures."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from test_report import Page, unexplained

from groundschool.errors import InputError
from groundschool.evaluation.answers import Answers
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.tabular import ExactValue
from groundschool.report import plot
from groundschool.report.build import compose
from groundschool.report.evaluation_reading import sentences, shortly
from groundschool.report.evaluation_section import heading, section
from groundschool.report.facts import PolicyFacts
from groundschool.report.support_figures import rows_of

HOSTILE = "<img src=x onerror=alert(1)> $x_{$"
POSSIBLE = {"return": (-math.inf, math.inf), "probability": (0.0, 1.0), "cost": (0.0, math.inf)}
WEIGHTS = {
    "ess": 41.5,
    "mean": 0.94,
    "largest_share": 0.062,
    "by_step": {"step": [1, 2, 3], "mean": [1.0, 0.97, 0.94], "standard_error": [0.01, 0.05, None]},
}
SUPPORT = {
    "by_expected": [
        {"from": 0.0, "to": 1.0, "share": 0.07, "excess": 0.03},
        {"from": 1.0, "to": 3.0, "share": 0.13, "excess": 0.02},
        {"from": 3.0, "to": None, "share": 0.8, "excess": 0.11},
    ]
}
SELF_TEST = {"verdict": "passed", "observed": 0.207, "reproduced": 0.199, "z": -0.31, "p_value": 0.76}
UNTESTED = {"tested": False, "found": False, "why": "too few rows"}
HISTORY = {
    "observation": {"tested": True, "found": True, "gain": 0.043, "p_value": 0.0012, "history": "the step before"},
    "action": UNTESTED,
}
MARKS = {"weights": WEIGHTS, "support": SUPPORT, "self_test": SELF_TEST, "history": HISTORY}
REASON = "Visits that the logger was expected to show less than once are 7.1 % of the target's, more than 1 %."


def answer(of, value, lower, upper, *, method="marginal_dr", reasons=(), **more):
    """An estimate as `groundschool.evaluate` gives it: not trusted where there are reasons."""
    possible = POSSIBLE[of.partition(":")[0]]
    shown = possible if reasons else (lower, upper)
    marks = {"claimed": {"lower": lower, "upper": upper}, **more.pop("diagnostics", MARKS)}
    fields = {
        "of": of, "policy": "BC", "method": method, "value": value, "lower": shown[0], "upper": shown[1],
        "standard_error": 1.0, "confidence": 0.95, "assurance": "asymptotic", "interval": "influence t",
        "discount": 1.0, "horizon": 80, "n_episodes": 200, "ess": 41.5, "trusted": not reasons,
        "reasons": tuple(reasons), "notes": ("No sign of a hidden state was found.",), "diagnostics": marks,
        "possible": possible, "bounds": lambda tail: shown if tail < 0.04 else (shown[0] + 0.01, shown[1] - 0.01),
    }  # fmt: skip
    return Estimate(**{**fields, **more})


def logged(of, value, lower, upper):
    return answer(of, value, lower, upper, method="logged", diagnostics={}, ess=200.0)


LOGGED = (
    logged("return", -6.5, -13.0, 0.04),
    logged("probability:hazard", 0.15, 0.1036, 0.2071),
    logged("cost:hazard", 0.15, 0.1, 0.2),
)
FOUND = (
    answer("return", 17.23, 15.11, 19.34),
    answer("return", 9.87, -400.0, 390.0, method="wis", reasons=("Only 3.1 effective episodes.",), ess=3.1),
    answer("probability:hazard", 0.041, 0.012, 0.069),
    answer("probability:hazard", 0.038, 0.0, 0.097, method="betting", assurance="finite-sample"),
    answer("cost:hazard", 0.053, 0.012, math.inf),
)
DOUBTED = (
    answer("return", 31.7, 28.3, 35.1, reasons=(REASON,)),
    answer("probability:hazard", 0.004, 0.0, 0.011, reasons=(REASON,)),
)


@pytest.fixture(scope="module")
def judged(data):
    """The study of the other tests, two of its policies judged offline."""
    policies = list(data.policies)
    policies[1] = replace(policies[1], offline=Answers(FOUND, LOGGED, ("method 'rejection': no cap is known.",)))
    policies[3] = replace(policies[3], offline=Answers(DOUBTED, LOGGED))
    return replace(data, policies=tuple(policies), evaluated_on="200 episodes logged afresh")


@pytest.fixture(scope="module")
def report(judged):
    return compose(judged)


def policy(found=FOUND, **more):
    return PolicyFacts("BC", offline=Answers(tuple(found), LOGGED), **more)


def question(found, **more):
    return section(policy((found,), **more))["questions"][0]


class TestNumbers:
    def test_they_are_those_of_the_estimates(self, report):
        shown = report.json["policies"][1]["offline"]["questions"]
        assert [one["of"] for one in shown] == ["return", "probability:hazard", "cost:hazard"]
        pairs = zip(FOUND, [one for each in shown for one in each["estimates"]], strict=True)
        for estimate, facts in pairs:
            for key, value in estimate.to_json().items():
                assert facts[key] == value
        assert [each["logged"]["value"] for each in shown] == [-6.5, 0.15, 0.15]

    def test_the_bound_is_on_the_side_that_matters(self):
        reward, hazard = question(FOUND[0])["main"]["bound"], question(FOUND[2])["main"]["bound"]
        assert (reward["side"], reward["value"]) == ("lower", FOUND[0].lower_bound(0.95))
        assert (hazard["side"], hazard["value"]) == ("upper", FOUND[2].upper_bound(0.95))
        assert question(FOUND[4])["main"]["bound"]["value"] is None

    def test_all_on_the_page_are_in_the_json(self, report):
        assert unexplained(report.html, report.json) == []

    def test_the_head_says_what_holds_for_all(self, report):
        head = report.json["offline"]
        assert (head["episodes"], head["horizon"], head["confidence"], head["discount"]) == (200, 80, 0.95, 1.0)
        assert (head["n_estimates"], head["n_untrusted"]) == (7, 3)
        assert set(head["assurances"]) == {"finite-sample", "asymptotic"}
        assert [note["text"] for note in head["notes"]] == ["No sign of a hidden state was found."]
        assert [test["of"] for test in head["self_tests"]] == ["return", "probability:hazard", "cost:hazard"]
        assert head["self_tests"][0]["reproduced"] == SELF_TEST["reproduced"]
        assert [test["found"] for test in head["history"]] == [True, False]

    def test_reasons_are_said_once_with_what_they_are_about(self):
        doubted = section(policy(DOUBTED))["reasons"]
        assert [(one["text"], one["about"]) for one in doubted] == [(REASON, ["return", "any “hazard”"])]
        other = section(policy())["other_reasons"]
        assert [(one["about"], one["by"]) for one in other] == [(["return"], ["wis"])]

    def test_a_sum_that_repeats_its_probability_is_drawn_once(self):
        same = answer("cost:hazard", FOUND[2].value, 0.012, 0.07)
        assert [one["repeats"] for one in section(policy((FOUND[2], same)))["questions"]] == [False, True]
        assert [one["repeats"] for one in section(policy((FOUND[2], FOUND[4])))["questions"]] == [False, False]

    @pytest.mark.parametrize(
        ("exact", "found", "inside"),
        [
            (17.0, FOUND[0], True),
            (15.0, FOUND[0], False),
            (15.0, DOUBTED[0], None),
            (17.0, replace(FOUND[0], discount=0.9), None),
        ],
        ids=["inside", "outside", "not trusted", "discounted"],
    )
    def test_whether_the_interval_holds_the_truth(self, exact, found, inside):
        assert question(found, exact=ExactValue(exact, 30.0, {}, {}, {}))["inside"] is inside

    def test_a_study_without_evaluation_has_no_such_part(self, data):
        assert heading(data) is None
        assert section(data.policies[1]) is None


class TestWords:
    def test_a_bound_with_its_confidence_and_the_logger_beside_it(self):
        assert sentences(question(FOUND[2])) == (
            "It would meet “hazard” in 4.1\u202f% of episodes: at most 5.9\u202f% with 95\u202f% confidence "
            "(asymptotic). The logger’s own rate there: 15.0\u202f% [10.4, 20.7]; "
            "the policy’s is lower (intervals apart)."
        )
        assert sentences(question(FOUND[0])) == (
            "It would earn 17.2 an episode: at least 15.1 with 95\u202f% confidence (asymptotic). "
            "The logger earned −6.5 [−13.0, 0.0] there; the policy’s is higher (intervals apart)."
        )

    def test_what_is_not_trusted_is_said_to_be_unknown(self):
        assert sentences(question(DOUBTED[1])) == (
            "How often it would meet “hazard” cannot be told from these episodes: "
            "only 0\u202f% to 100\u202f% may be relied on. The method’s own figure, 0.4\u202f%, is not "
            "to be relied on. The logger’s own rate there: 15.0\u202f% [10.4, 20.7]."
        )
        assert "no bound may be relied on" in sentences(question(DOUBTED[0]))

    def test_an_undefined_figure_is_not_quoted(self):
        text = sentences(question(replace(DOUBTED[0], value=math.nan)))
        assert "own figure" not in text
        assert "nan" not in text

    def test_a_side_that_nothing_bounds(self):
        text = sentences(question(FOUND[4]))
        assert "the data do not bound it upwards (asymptotic)" in text
        assert "cannot be told apart" in text

    def test_the_truth_where_it_is_known(self, data):
        exact = ExactValue(15.0, 30.0, {}, {}, {})
        assert sentences(question(FOUND[0], exact=exact)).endswith("Exactly, in the model: 15.0, outside the interval.")
        rolled = data.policies[1].rollout
        assert "In 60 rollouts: " in sentences(question(FOUND[0], rollout=rolled))

    def test_the_head_of_the_report(self, report):
        assert shortly(section(policy())) == (
            "From the log alone: return 17.2, at least 15.1; hazard 4.1\u202f%, at most 5.9\u202f%."
        )
        assert shortly(section(policy(DOUBTED))) == "From the log alone: return cannot be told; hazard cannot be told."
        reading = {line["about"]: line["text"] for line in report.json["reading"]}
        assert reading["BC"].startswith("From the log alone: return 17.2")


class TestPage:
    def test_what_a_reviewer_looks_for_is_there(self, report):
        text = " ".join(Page(report.html).words.split())
        for words in (
            "Judged from the log alone", "200 episodes logged afresh", "Of 7 estimates here, 3 are not trusted",
            "Why it is not trusted", REASON, "Why other methods are not trusted", "Only 3.1 effective episodes.",
            "finite-sample", "marginal doubly robust", "weighted importance sampling", "predicted by the step before",
            "not tested", "What could not be estimated", "method 'rejection': no cap is known.",
            "The logger, as logged",
        ):  # fmt: skip
            assert words in text

    def test_it_stands_before_the_rollouts(self, report):
        assert report.html.index('<section id="offline">') < report.html.index('<section id="rollouts">')
        assert 'href="#offline"' in report.html

    def test_its_pictures(self, report):
        names = [figure["name"] for figure in report.json["figures"]]
        expected = ["estimates"] + [f"{kind}_{at}" for at in (1, 3) for kind in ("estimates", "support", "weights")]
        assert [name for name in names if name.startswith(("estimates", "support", "weights"))] == expected
        for name in expected:
            assert f'id="figure-{name}"' in report.html
        alts = {figure["name"]: figure["alt"] for figure in report.json["figures"]}
        assert "not trusted" in alts["estimates_3"]
        assert "17.2 [15.1, 19.3], at least 15.1" in alts["estimates_1"]

    def test_it_is_well_formed(self, report):
        page = Page(report.html)
        identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(identities) == len(set(identities))
        labels = {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
        assert labels <= set(identities)
        assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
        assert "None" not in page.words
        assert "nan" not in page.words.split()

    def test_json_is_json(self, report):
        json.dumps(report.json, allow_nan=False)

    def test_hostile_names_are_words(self, data):
        of = f"probability:{HOSTILE}"
        found = (answer(of, 0.04, 0.01, 0.07, reasons=(f"Because {HOSTILE}.",), method=HOSTILE, interval=HOSTILE),)
        offline = Answers(found, (logged(of, 0.1, 0.0, 0.2),), (f"method {HOSTILE}: no.",))
        hostile = replace(data.policies[1], name=HOSTILE, offline=offline)
        report = compose(replace(data, policies=(hostile,), evaluated_on=HOSTILE))
        assert {attributes.get("src") for tag, attributes in Page(report.html).tags if tag == "img"} & {"x"} == set()
        assert HOSTILE in Page(report.html).words


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


class TestPictures:
    def test_a_row_a_method_and_a_panel_a_question(self):
        figure = plot.estimates(FOUND, LOGGED)
        rows = [[label.get_text().replace("\n", " ") for label in axes.get_yticklabels()] for axes in figure.axes]
        assert rows == [
            ["the log itself", "marginal doubly robust", "weighted importance sampling"],
            ["the log itself", "marginal doubly robust", "betting"],
            ["the log itself", "marginal doubly robust"],
        ]
        assert [axes.get_title(loc="left") for axes in figure.axes] == [
            "Return of an episode", "Any “hazard” in an episode", "Sum of “hazard” in an episode",
        ]  # fmt: skip

    def test_what_is_not_trusted_is_hollow_and_says_so(self):
        axes = plot.estimates(FOUND[:2], LOGGED).axes[0]
        faces = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"]
        assert faces.count("white") == 1
        assert "(9.87)  not trusted" in texts(axes.figure)
        assert "rely on nothing" in texts(axes.figure)

    def test_a_wild_claim_does_not_flatten_the_rest(self):
        low, high = plot.estimates(FOUND[:2], LOGGED).axes[0].get_xlim()
        assert high - low < 4 * (19.34 + 13.0)
        assert low < -13.0
        assert high > 19.34

    @pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
    def test_shares_stay_within_sight_of_0_and_100(self, value):
        found = answer("probability:hazard", value, value, value)
        low, high = plot.estimates([found]).axes[0].get_xlim()
        assert -2.0 <= low < 100 * value + 1e-9
        assert 100 * value - 1e-9 < high <= 102.0

    @pytest.mark.parametrize(
        "found",
        [
            [replace(DOUBTED[0], value=math.nan, diagnostics={"claimed": {"lower": -math.inf, "upper": math.inf}})],
            [answer("return", 3.0, 3.0, 3.0)],
            [answer("cost:hazard", 0.0, 0.0, math.inf)],
        ],
        ids=["undefined", "a point", "half bounded"],
    )
    def test_anything_can_be_drawn(self, found, tmp_path):
        plot.estimates(found).savefig(tmp_path / "figure.png", dpi=40)

    def test_several_policies_are_not_one_picture(self):
        with pytest.raises(InputError, match=r"of 2 policies \(BC, CQL\): draw one"):
            plot.estimates([FOUND[0], replace(FOUND[0], policy="CQL")])
        with pytest.raises(InputError, match="none given"):
            plot.estimates([])

    def test_support_is_drawn_as_given(self):
        axes = plot.support(FOUND[0]).axes[0]
        heights = [bar.get_height() for bar in axes.patches]
        np.testing.assert_allclose(heights, [7.0, 13.0, 80.0, 3.0, 2.0, 11.0])
        assert [label.get_text() for label in axes.get_xticklabels()] == ["< 1", "1 to 3", "≥ 3"]
        assert rows_of({"from": 10.0, "to": 30.0}) == "10 to 30"

    def test_weights_are_drawn_as_given(self):
        axes = plot.weights(FOUND[0]).axes[0]
        np.testing.assert_allclose(axes.lines[0].get_ydata(), WEIGHTS["by_step"]["mean"])
        assert "41.5 effective episodes; the heaviest has 6\u202f% of all weight" in texts(axes.figure)
        nothing = {**WEIGHTS, "ess": 0.0, "largest_share": 0.0}
        figure = plot.weights(replace(FOUND[0], diagnostics={"weights": nothing}))
        assert "no whole episode has any weight" in texts(figure)

    @pytest.mark.parametrize("draw", [plot.support, plot.weights])
    def test_what_was_not_measured_is_not_drawn(self, draw):
        with pytest.raises(InputError, match="'logged' has no"):
            draw(LOGGED[0])
