"""The gate: rules on numbers, and verdicts on logs whose truth is known."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.evaluation.estimate import Estimate
from groundschool.safety.advice import needed
from groundschool.safety.criteria import Criteria
from groundschool.safety.gate import _decision, _difference, _finding, decide, judge
from groundschool.safety.verdict import EXIT_CODES

HARM = gs.Constraint("harm", limit=0.1)
FIRST = (1, math.nan)  # look, and no spread of returns


def estimate(of="probability:harm", value=0.05, width=0.02, *, trusted=True, assurance="asymptotic", reasons=()):
    """Bounds whose distance grows with the normal quantile, `width` at a tail of 0.05."""
    scale = width / stats.norm.isf(0.05)
    possible = (0.0, 1.0) if of.startswith("probability") else (-math.inf, math.inf)

    def bounds(tail):
        return (value - scale * stats.norm.isf(tail), value + scale * stats.norm.isf(tail)) if trusted else possible

    return Estimate(
        of=of, policy="p", method="marginal_dr", value=value, lower=0.0, upper=1.0, standard_error=scale,
        confidence=0.95, assurance=assurance, interval="", discount=1.0, horizon=5, n_episodes=400, ess=400.0,
        trusted=trusted, reasons=reasons, notes=(), diagnostics={}, possible=possible, bounds=bounds,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("of", "value", "width", "threshold", "status"),
    [
        ("probability:harm", 0.05, 0.02, 0.10, "shown"),
        ("probability:harm", 0.08, 0.02, 0.10, "shown"),  # the bound is the limit
        ("probability:harm", 0.09, 0.02, 0.10, "undecided"),
        ("probability:harm", 0.121, 0.02, 0.10, "undecided"),  # shown against at 0.05, and NO-GO shares that
        ("probability:harm", 0.13, 0.02, 0.10, "violated"),
        ("gain", 3.0, 2.0, 0.0, "shown"),
        ("gain", 2.0, 2.0, 0.0, "shown"),
        ("gain", 1.0, 2.0, 0.0, "undecided"),
        ("gain", -2.1, 2.0, 0.0, "undecided"),
        ("gain", -3.0, 2.0, 0.0, "violated"),
        ("gain", 3.0, 2.0, 2.0, "undecided"),
        ("cost:harm", 1.0, 0.5, 2.0, "shown"),
        ("return", 1.0, 0.5, 2.0, "violated"),
    ],
)
def test_a_bound_shows_or_violates_a_criterion(of, value, width, threshold, status):
    limit = None if of in ("gain", "return") else HARM
    criteria = Criteria((HARM,))
    assert _finding("it", threshold, estimate(of, value, width), criteria, *FIRST, limit).status == status


@pytest.mark.parametrize(
    ("found", "required", "status"),
    [
        (estimate(trusted=False, reasons=("unsupported.",)), "asymptotic", "undecided"),
        (estimate(value=0.5, trusted=False, reasons=("unsupported.",)), "asymptotic", "undecided"),
        (estimate(assurance="heuristic"), "asymptotic", "undecided"),  # nothing heuristic ever shows anything
        (estimate(assurance="asymptotic"), "finite-sample", "undecided"),
        (estimate(assurance="finite-sample"), "asymptotic", "shown"),
        (estimate(value=0.5, assurance="heuristic"), "asymptotic", "violated"),
    ],
)
def test_what_is_not_trusted_decides_nothing_and_what_is_weak_shows_nothing(found, required, status):
    finding = _finding("it", 0.1, found, Criteria((HARM,), assurance=required), *FIRST, HARM)
    assert finding.status == status
    assert all(sentence.endswith((".", ".)")) for sentence in finding.reasons)
    if not found.trusted:
        assert "The estimate cannot be relied on: unsupported." in finding.reasons


@pytest.mark.parametrize("baseline", [None, "logger"])
def test_bounds_that_show_have_all_that_may_be_missed_and_those_against_share_it(baseline):
    criteria = Criteria((HARM,), baseline, confidence=0.9)
    estimates = {"probability:harm": estimate(), "gain": estimate("gain", 3.0, 2.0)}
    verdict = decide(bandit(50, 0), ALWAYS_1, estimates, criteria)
    shared = 0.1 / len(verdict.findings)
    for finding in verdict.findings:
        show, against = (1, 0) if finding.is_cost else (0, 1)
        assert finding.bound == pytest.approx(estimates[finding.of].bounds(0.1)[show])
        assert finding.against == pytest.approx(estimates[finding.of].bounds(shared)[against])


@pytest.mark.parametrize(
    ("statuses", "decision"),
    [
        (("shown",), "GO"),
        (("shown", "shown"), "GO"),
        (("shown", "undecided"), "INSUFFICIENT EVIDENCE"),
        (("undecided", "violated"), "NO-GO"),
        (("shown", "violated"), "NO-GO"),
    ],
)
def test_all_must_be_shown_and_one_violation_is_enough(statuses, decision):
    values = {"shown": 0.01, "undecided": 0.1, "violated": 0.5}
    criteria = Criteria((HARM,))
    findings = [_finding("it", 0.1, estimate(value=values[one]), criteria, *FIRST, HARM) for one in statuses]
    assert tuple(one.status for one in findings) == statuses
    assert _decision(findings) == decision


def test_advice_is_what_is_needed_for_all_or_for_one_violation_that_seems_near():
    criteria = Criteria((HARM,))
    near, nearer = (_finding("it", 0.1, estimate(value=value), criteria, *FIRST, HARM) for value in (0.095, 0.09))
    above = _finding("it", 0.1, estimate(value=0.115), criteria, *FIRST, HARM)
    shown = _finding("it", 0.1, estimate(value=0.01), criteria, *FIRST, HARM)
    assert near.logged > nearer.logged
    assert needed([near, nearer, shown])[0] == near.logged
    assert needed([near, above])[0] == above.logged
    assert needed([shown]) == (None, None)
    unsupported = _finding("it", 0.1, estimate(trusted=False, reasons=("x.",)), criteria, *FIRST, HARM)
    assert needed([near, unsupported])[0] is None


@pytest.mark.parametrize(
    ("ends", "advised"),
    [((0.01, 0.9), False), ((0.02, 0.09), True), ((0.11, 0.9), True)],
)
def test_what_cut_episodes_leave_open_no_further_ones_decide(ends, advised):
    least, most = (estimate(value=end) for end in ends)
    found = dataclasses.replace(
        most,
        value=sum(ends) / 2,
        bounds=lambda tail: (least.bounds(tail)[0], most.bounds(tail)[1]),
        diagnostics={"censored": {"episodes": 7, "value_if_least": ends[0], "value_if_most": ends[1]}},
    )
    finding = _finding("it", 0.1, found, Criteria((HARM,)), *FIRST, HARM)
    assert finding.status == "undecided"
    assert (finding.logged is not None, finding.rolled_out is not None) == (advised, advised)
    told = " ".join(finding.reasons)
    assert ("7 episodes were cut before the horizon: what is estimated lies between 0.01 and 0.9" in told) != advised


def test_a_limit_that_no_such_log_can_show_is_told():
    limit = gs.Constraint("harm", limit=0.001)
    finding = _finding("it", 0.001, estimate(value=0.0005), Criteria((limit,)), *FIRST, limit)
    told = finding.reasons[-1]
    assert "cannot be shown with 400 episodes, even if none had an event" in told
    # Clopper-Pearson without events: 1 - 0.05 ** (1 / n) <= 0.001
    assert f"at least {math.ceil(math.log(0.05) / math.log(0.999)):,}" in told


def test_the_difference_of_two_policies_takes_half_of_what_may_be_missed_from_each():
    ours, theirs = estimate("return", 5.0, 1.0), estimate("return", 3.0, 2.0, assurance="finite-sample")
    found = _difference(ours, theirs)
    low, high = found.bounds(0.1)
    assert found.value == pytest.approx(2.0)
    assert low == pytest.approx(ours.bounds(0.05)[0] - theirs.bounds(0.05)[1])
    assert high == pytest.approx(ours.bounds(0.05)[1] - theirs.bounds(0.05)[0])
    assert (found.assurance, found.of) == ("asymptotic", "gain")


GRID = gs.HazardGrid()
HOLDOUT = gs.collect(GRID, GRID.logger(0.22), 800, 3)


@pytest.fixture(scope="module")
def verdicts():
    sure = gs.Constraint("hazard", limit=0.25)
    uniform = gs.wrap(lambda x: np.full((len(x), 4), 0.25), n_actions=4, outputs="probabilities", name="uniform")
    return {
        "GO": gs.gate(HOLDOUT, GRID.logger(0.1), constraints=[sure]),
        "NO-GO": gs.gate(HOLDOUT, GRID.logger(0.4), constraints=[sure]),
        "INSUFFICIENT EVIDENCE": gs.gate(HOLDOUT, uniform, constraints=[sure]),
    }


@pytest.mark.parametrize("decision", list(EXIT_CODES))
def test_a_milder_logger_goes_a_wilder_one_does_not_and_of_who_never_was_there_nobody_knows(verdicts, decision):
    verdict = verdicts[decision]
    assert verdict.decision == decision
    assert verdict.exit_code == {"GO": 0, "NO-GO": 3, "INSUFFICIENT EVIDENCE": 4}[decision]
    assert all(reason.endswith((".", ".)")) for reason in verdict.reasons)
    told = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert told["decision"] == decision
    assert str(verdict).startswith(f"{decision}\n- ")
    assert (verdict.logged is None) or decision == "INSUFFICIENT EVIDENCE"


def test_an_infeasible_limit_is_never_go():
    verdict = gs.gate(HOLDOUT, GRID.logger(0.1), constraints=[gs.Constraint("hazard", limit=0.001)], baseline=None)
    assert verdict.decision != "GO"


def test_a_log_without_propensities_never_yields_go_and_says_so():
    bare = gs.Dataset.from_arrays(
        HOLDOUT.observations, HOLDOUT.actions, HOLDOUT.rewards, HOLDOUT.terminated, HOLDOUT.truncated,
        costs=HOLDOUT.costs, n_actions=4, horizon=HOLDOUT.horizon, final_observations=HOLDOUT.final_observations,
    )  # fmt: skip
    verdict = gs.gate(bare, GRID.logger(0.22), constraints=[gs.Constraint("hazard", limit=0.95)], baseline=-1e6)
    assert verdict.decision == "INSUFFICIENT EVIDENCE"
    assert any("On such a log nothing can be GO" in one for one in verdict.assumptions)


def test_who_studied_the_holdout_is_not_judged_on_it():
    studied = gs.train(HOLDOUT, "bc", steps=20, seed=0, progress=False)
    with pytest.raises(gs.InputError, match=r"In-sample: policy .* A gate opens on no others\."):
        gs.gate(HOLDOUT, studied)
    with pytest.raises(gs.InputError, match="In-sample"):
        gs.gate(HOLDOUT, GRID.logger(0.1), baseline=studied)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"constraints": [gs.Constraint("hazzard", limit=0.1)]}, "no such cost .* Did you mean 'hazard'"),
        ({"assurance": "finite-sample", "discount": 0.9}, "no range is declared for discounted returns"),
        ({"look": 2}, "but one look is planned"),
    ],
)
def test_a_gate_that_cannot_be_opened_is_one_sentence(settings, says):
    with pytest.raises(gs.InputError, match=says):
        gs.gate(HOLDOUT, GRID.logger(0.1), **settings)


def bandit(n, seed, harm=0.1):
    """One decision in one of two situations; the harm of action 1 is `harm`, of action 0 twice that."""
    rng = np.random.default_rng(seed)
    state, action = rng.integers(0, 2, n), rng.integers(0, 2, n)
    harmed = rng.random(n) < np.where(action == 1, harm, 2.0 * harm)
    return gs.Dataset.from_arrays(
        state, action, np.where(harmed, -1.0, 0.0), np.ones(n, bool), np.zeros(n, bool),
        costs={"harm": harmed.astype(float)}, propensities=np.full(n, 0.5), n_actions=2,
        final_observations=state, return_range=(-1.0, 0.0), horizon=1,
    )  # fmt: skip


ALWAYS_1 = gs.TabularPolicy([[0.0, 1.0], [0.0, 1.0]], name="always 1")


@pytest.mark.slow
@pytest.mark.parametrize("assurance", ["asymptotic", "finite-sample"])
def test_at_the_limit_a_go_is_as_rare_as_promised(assurance):
    """The truth is the limit: each GO is false. Of 300 logs, at most the 0.999 quantile of Binomial(300, 0.05)."""
    logs, limit = 300, gs.Constraint("harm", limit=0.1)
    goes = sum(
        gs.gate(bandit(300, seed), ALWAYS_1, constraints=[limit], baseline=None, assurance=assurance).decision == "GO"
        for seed in range(logs)
    )
    allowed = 0.05 if assurance == "finite-sample" else 0.075
    assert goes <= stats.binom.ppf(0.999, logs, allowed)


@pytest.mark.parametrize("assurance", ["asymptotic", "finite-sample"])
def test_what_is_good_goes_once_there_is_enough_of_it(assurance):
    verdict = gs.gate(bandit(6_000, 0), ALWAYS_1, constraints=[gs.Constraint("harm", limit=0.15)], assurance=assurance)
    assert verdict.decision == "GO"
    assert {finding.estimate.assurance for finding in verdict.findings} == {assurance}


def test_what_bounds_of_a_policy_made_from_the_logger_assume_is_among_the_assumptions():
    log = gs.collect(GRID, GRID.logger(0.22), 200, 11)
    studied, rest = log.select(np.arange(70)), log.select(np.arange(70, 200))
    said = "The logger's probabilities depend on the observation alone."
    for policy, expected in ((gs.Pruned()(studied), True), (GRID.logger(0.1), False)):
        verdict = gs.gate(rest, policy, assurance="finite-sample")
        assert any(one.startswith(said) for one in verdict.assumptions) == expected


def test_a_later_look_has_less_to_miss():
    criteria = Criteria((gs.Constraint("harm", limit=0.15),), looks=3)
    log = bandit(800, 1)
    bounds = [judge(log, ALWAYS_1, criteria, look=look).findings[0].bound for look in (1, 2, 3)]
    assert bounds[0] < bounds[1] < bounds[2]
