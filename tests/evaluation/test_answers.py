"""Every question that a log allows, asked of policies by several methods."""

from __future__ import annotations

import numpy as np
import pytest

import groundschool as gs
from groundschool.errors import InputError
from groundschool.evaluation import answers as module
from groundschool.evaluation.answers import Answers, answers, checked_methods, questions
from groundschool.evaluation.diagnostics.support_shares import by_expected

ALL = ("return", "probability:hazard", "cost:hazard")


@pytest.fixture(scope="module")
def log():
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    return gs.collect(grid, grid.logger(), 40, 0)


class Uniform:
    name, n_actions = "uniform", 4

    def probabilities(self, observations, *, masks=None):
        return np.full((len(observations), 4), 0.25)


def test_everything_is_asked_unless_said(log):
    assert questions(log) == ALL
    assert questions(log, ["cost:hazard", "return", "return"]) == ("cost:hazard", "return")


@pytest.mark.parametrize(
    ("of", "sentence"),
    [("hazard", "expected 'return', 'cost:NAME' or 'probability:NAME'"), ("cost:hazrd", "Did you mean 'hazard'?")],
)
def test_a_question_that_the_log_cannot_answer(log, of, sentence):
    with pytest.raises(InputError) as caught:
        questions(log, [of])
    assert sentence in str(caught.value)


def test_methods_are_known_and_asked_once():
    assert checked_methods(["auto", "wis", "auto"]) == ("auto", "wis")
    with pytest.raises(InputError, match="Did you mean 'wis'"):
        checked_methods(["auto", "wiss"])


def test_each_policy_and_the_logger_beside_it(log):
    found = answers(log, {"one": Uniform(), "two": Uniform()}, methods=("pdis", "wis"), confidence=0.9)
    assert list(found) == ["one", "two"]
    for one in found.values():
        assert [(e.of, e.method) for e in one.estimates] == [(of, m) for of in ALL for m in ("pdis", "wis")]
        assert [(e.of, e.method) for e in one.logged] == [(of, "logged") for of in ALL]
        assert {e.confidence for e in (*one.estimates, *one.logged)} == {0.9}
        assert one.problems == ()
    alone = gs.evaluate(log, Uniform(), of="cost:hazard", method="wis", confidence=0.9)
    assert found["one"].estimates[-1].to_json() == alone.to_json()


def test_a_probability_is_never_discounted(log):
    found = answers(log, {"one": Uniform()}, methods=("pdis",), discount=0.9)["one"]
    assert [e.discount for e in found.estimates] == [0.9, 1.0, 0.9]


def stub(monkeypatch, chooses, refuses=()):
    """Replace the evaluator by one whose "auto" chooses a method, and that refuses some."""
    real = module.Evaluator.evaluate

    def evaluate(self, policy, *, of, method, confidence):
        if method in refuses:
            raise InputError(f"method {method!r} does not apply to {of}.")
        return real(self, policy, of=of, method=chooses if method == "auto" else method, confidence=confidence)

    monkeypatch.setattr(module.Evaluator, "evaluate", evaluate)


def test_what_auto_chose_is_not_repeated(log, monkeypatch):
    stub(monkeypatch, "pdis")
    found = answers(log, {"one": Uniform()}, of=["return"], methods=("auto", "pdis", "wis"))["one"]
    assert [e.method for e in found.estimates] == ["pdis", "wis"]


def test_a_method_that_does_not_apply_leaves_a_sentence(log, monkeypatch):
    stub(monkeypatch, "pdis", refuses=("is",))
    found = answers(log, {"one": Uniform()}, of=["return"], methods=("auto", "is"))["one"]
    assert found.problems == ("method 'is' does not apply to return.",)
    assert isinstance(found, Answers)


def test_nothing_that_applies_is_an_error(log, monkeypatch):
    stub(monkeypatch, "pdis", refuses=("is",))
    with pytest.raises(InputError, match="does not apply to return"):
        answers(log, {"one": Uniform()}, methods=("is",))


def test_support_by_expected_rows_by_hand():
    expected = np.array([[0.5, 1.0], [2.9, 400.0]])
    target = np.array([[1.0, 2.0], [3.0, 4.0]])
    shares = by_expected(expected, target, target / 2)
    assert [(one["from"], one["to"], one["share"]) for one in shares] == [
        (0.0, 1.0, 0.1), (1.0, 3.0, 0.5), (3.0, 10.0, 0.0), (10.0, 30.0, 0.0), (30.0, 100.0, 0.0), (100.0, None, 0.4),
    ]  # fmt: skip
    assert [one["excess"] for one in shares] == [0.05, 0.25, 0.0, 0.0, 0.0, 0.2]


def test_support_of_a_target_that_goes_nowhere():
    assert {one["share"] for one in by_expected(np.ones((2, 2)), np.zeros((2, 2)), np.zeros((2, 2)))} == {0.0}
