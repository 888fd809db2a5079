"""Rollouts that stop: the counts by hand, the words, the intervals, and what is refused before any episode."""

from __future__ import annotations

import json
import math

import gymnasium as gym
import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.data.features import Feature
from groundschool.errors import InputError
from groundschool.policies.intake import Intake
from groundschool.policies.third_party import wrap
from groundschool.safety.sequential import lower_bound, upper_bound
from groundschool.safety.stopping import StoppingRule
from wards import POLICY, Ward

LIMIT = gs.Constraint("cost", limit=0.05)


def run(env, **options):
    return gs.campaign(env, POLICY, **{"constraint": LIMIT, "max_episodes": 200, **options})


def test_a_clean_campaign_stops_when_clean_episodes_suffice():
    env = Ward(0.0)
    result = run(env)
    assert (result.decision, result.episodes, result.events, result.censored) == ("safe", 74, 0, 0)
    assert env.episodes == 74  # nobody was exposed after the decision
    assert result.upper == pytest.approx(upper_bound(0, 74, 0.05))
    assert result.lower == 0.0
    assert result.reasons == (
        "0 of 74 episodes had cost: its probability is below the limit of 0.05 (at most "
        f"{upper_bound(0, 74, 0.05):.4g} at 0.95 confidence, a bound that holds although it was looked at after every "
        "episode).",
    )


def test_harm_every_time_stops_it_at_once():
    env = Ward(1.0)
    result = run(env)
    assert (result.decision, result.episodes, result.events) == ("harm", 4, 4)
    assert env.episodes == 4
    assert result.lower == pytest.approx(lower_bound(4, 4, 0.05))
    assert "above the limit of 0.05" in result.reasons[0]
    assert str(result).startswith("HARM: probability of any cost at most 0.05.\n- 4 of 4 episodes had cost")


def test_the_cap_is_undecided_and_says_what_would_decide():
    env = Ward(1.0, says=lambda harm: {"cost": harm if env.episodes % 7 == 0 else 0.0})
    result = run(env, max_episodes=100, constraint=gs.Constraint("cost", limit=0.15))
    assert (result.decision, result.episodes, result.events) == ("undecided", 100, 14)
    assert result.lower < 0.15 < result.upper
    needed = StoppingRule(0.15, 0.95, 100).would_decide(result.events / 100)
    assert f"a new campaign of {needed:,} episodes would decide in four of five cases" in result.reasons[1]


def test_fixed_decides_at_its_number_and_ends_early_for_harm_alone():
    clean = run(Ward(0.0), design="fixed", max_episodes=100)
    assert (clean.decision, clean.episodes) == ("safe", 100)
    assert clean.interval.upper == pytest.approx(stats.binomtest(0, 100).proportion_ci(0.95).high)
    assert clean.interval.method == "Clopper-Pearson"
    least = next(x for x in range(101) if stats.binomtest(x, 100, 0.05, "greater").pvalue <= 0.05)
    harmed = run(Ward(1.0), design="fixed", max_episodes=100)
    assert (harmed.decision, harmed.episodes) == ("harm", least)
    assert f"The {100 - least} episodes left of the 100 planned were not run" in harmed.reasons[1]


def test_the_rule_is_asked_after_every_episode_of_a_real_campaign():
    """Against the boundaries and the outcomes of the same episodes: it ends at the first that is crossed."""
    safe_to, harm_from = StoppingRule(0.2, 0.95, 150).boundaries
    for seed in range(12):
        result = run(Ward(0.2), seed=seed, max_episodes=150, constraint=gs.Constraint("cost", limit=0.2))
        counts = (result.dataset.cost_sums("cost") > 0).cumsum()
        n = np.arange(1, result.episodes + 1)
        crossed = (counts <= safe_to[n]) | (counts >= harm_from[n])
        assert not crossed[:-1].any()
        assert crossed[-1] == (result.decision != "undecided")


@pytest.mark.slow
def test_real_campaigns_at_the_limit_are_wrong_no_more_often_than_they_may():
    """300 campaigns of up to 60 episodes, each decision allowed 5 % (the tolerance is the binomial's at 1 in 1,000)."""
    limit = gs.Constraint("cost", limit=0.2)
    said = [run(Ward(0.2), seed=seed, max_episodes=60, constraint=limit).decision for seed in range(300)]
    for wrong in ("harm", "safe"):
        assert said.count(wrong) <= stats.binom.isf(1e-3, 300, 0.05)
    assert said.count("undecided") < 300


def test_episodes_are_a_log_with_propensities_and_ids():
    log = run(Ward(0.0), seed=9).dataset
    assert log.episode_ids[:2].tolist() == ["9-0", "9-1"]
    table = POLICY.probabilities(log.observations)
    assert np.array_equal(log.propensities, table[np.arange(log.n_steps), log.actions])
    assert log.horizon == 3
    assert log.n_actions == 2
    assert log.final_observations.tolist() == [0] * 74


def test_episodes_depend_on_seed_and_index_alone():
    short, long, other = (run(Ward(0.05), max_episodes=n, seed=s) for n, s in ((74, 1), (150, 1), (74, 2)))
    shared = min(short.episodes, long.episodes)
    assert short.dataset.episode_hashes[:shared].tolist() == long.dataset.episode_hashes[:shared].tolist()
    assert short.dataset.actions.tolist() != other.dataset.actions.tolist()


def test_policy_and_environment_draw_from_streams_of_their_own():
    """The environment's first draw of an episode and the policy's: correlated were the streams the same."""
    draws = []

    class Drawing(Ward):
        def reset(self, *, seed=None, options=None):
            seen = super().reset(seed=seed)
            draws.append(np.random.Generator(np.random.PCG64(seed)).random())
            return seen

    log = run(Drawing(0.0), min_episodes=200, max_episodes=200).dataset
    first = log.actions[log.starts[:-1]]
    assert abs(np.corrcoef(draws, first)[0, 1]) < 4.0 / math.sqrt(200)


def test_cut_episodes_count_as_harm_where_safety_is_shown():
    result = run(Ward(0.0, cut=0.2), max_episodes=150)
    assert result.decision == "undecided"
    assert result.events == 0
    assert result.censored > 10
    assert result.upper == pytest.approx(upper_bound(result.censored, 150, 0.05))
    assert f"and {result.censored} more were cut before it could be known" in result.reasons[0]
    assert any("cut before the time limit of 3 steps" in note for note in result.notes)


def test_an_environment_without_a_time_limit_is_said():
    class Endless(Ward):
        horizon = None

    result = run(Endless(0.0))
    assert result.dataset.horizon == 3
    assert any("declares no time limit" in note for note in result.notes)
    assert not any("no time limit" in note for note in run(Ward(0.0)).notes)


def test_the_mean_return_has_an_interval_only_where_one_is_due():
    plain, ranged, wrong = (run(Ward(0.0), return_range=each) for each in (None, (0, 3), (0, 2)))
    assert not math.isfinite(plain.return_.lower)
    assert "is a description" in plain.notes[0]
    assert 0.0 <= ranged.return_.lower < ranged.return_.value < ranged.return_.upper <= 3.0
    assert ranged.return_.assurance == "finite-sample"
    assert not math.isfinite(wrong.return_.upper)
    assert "outside the declared range [0, 2]" in wrong.notes[0]


def test_several_costs_and_expressions():
    env = Ward(1.0, says=lambda harm: {"cost": {"fall": harm, "alarm": 0.0}, "pulse": 40.0 + 50.0 * harm, "who": "A"})
    found = run(env, constraint=gs.Constraint("fall", limit=0.05))
    assert (found.decision, sorted(found.dataset.costs)) == ("harm", ["alarm", "fall"])
    assert run(env, constraint=gs.Constraint("alarm", limit=0.05)).decision == "safe"
    racing = run(env, constraint=gs.Constraint("racing", limit=0.05), cost="pulse > 80 and reward >= 0")
    assert racing.decision == "harm"
    assert np.array_equal(racing.dataset.costs["racing"], racing.dataset.costs["fall"])
    many = run(env, constraint=gs.Constraint("far", limit=0.05), cost={"far": "observation == 2", "half": "reward / 2"})
    assert many.dataset.costs["far"].tolist()[:3] == [0.0, 1.0, 0.0]  # arrival at 1, 2, and 0 again
    assert set(many.dataset.costs) == {"fall", "alarm", "far", "half"}


def test_an_episode_that_begins_with_the_cost_is_said():
    result = run(Ward(0.0), constraint=gs.Constraint("low", limit=0.05), cost="observation == 0")
    assert result.decision == "harm"
    assert "4 of 4 episodes began with low: that is no consequence of an action, and by itself is not counted." in (
        result.notes
    )


def test_features_are_known_by_the_names_of_the_policy():
    policy = wrap(lambda seen: np.tile([0.5, 0.5], (len(seen), 1)), n_actions=2, name="by hand")
    policy.intake = Intake((Feature("bg"), Feature("meal")), (2,), "float32")

    class Sugar(Ward):
        observation_space = gym.spaces.Box(0.0, 300.0, (2,))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.array([100.0, 0.0], np.float32), {}

        def step(self, action):
            _, *rest = super().step(action)
            return np.array([50.0 if self.at == 2 else 90.0, 0.0], np.float32), *rest

    result = gs.campaign(
        Sugar(), policy.greedy(), constraint=gs.Constraint("hypo", limit=0.1), max_episodes=50, cost="bg < 54"
    )
    assert (result.decision, result.dataset.costs["hypo"][:3].tolist()) == ("harm", [0.0, 1.0, 0.0])
    assert [feature.name for feature in result.dataset.features] == ["bg", "meal"]


def test_json_survives_and_holds_the_plan():
    result = run(Ward(0.0), predicted={"value": 0.01, "lower": 0.0, "upper": 0.03})
    facts = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert facts["plan"]["constraint"] == {"name": "cost", "kind": "probability", "limit": 0.05}
    assert facts["plan_sha256"] == result.plan.sha256
    assert len(facts["plan"]["policy"]["sha256"]) == 64
    assert facts["return"]["lower"] is None
    assert facts["fingerprint"] == result.dataset.fingerprint
    assert facts["comparisons"][0]["agreement"] == "inside"


def test_a_policy_that_wraps_code_is_said_to_have_no_fingerprint():
    policy = wrap(lambda seen: np.tile([0.5, 0.5], (len(seen), 1)), n_actions=2, name="by hand")
    result = gs.campaign(Ward(0.0), policy, constraint=LIMIT, max_episodes=100)
    assert any("wraps code" in note for note in result.notes)


ROWS = [
    ({"constraint": "cost"}, "expected a Constraint"),
    ({"constraint": gs.Constraint("cost", kind="expected", limit=1.0)}, 'kind="probability"'),
    ({"constraint": gs.Constraint("cost", limit=0.001)}, "constraint 'cost': a limit of 0.001 cannot be shown with"),
    ({"confidence": 95}, "confidence is 95"),
    ({"confidence": "high"}, "confidence is 'high', expected a number"),
    ({"max_episodes": 2.5}, "max_episodes is 2.5"),
    ({"max_episodes": True}, "max_episodes is True"),
    ({"min_episodes": 0}, "min_episodes is 0"),
    ({"seed": -1}, "seed is -1"),
    ({"max_steps": 0}, "max_steps is 0"),
    ({"design": "fix"}, "Did you mean 'fixed'?"),
    ({"cost": "pulse >"}, "cost 'cost': expression 'pulse >': it ends"),
    ({"cost": 3}, "cost is 3"),
    ({"cost": {"a": 3}}, "cost 'a': expression 3: expected text"),
    ({"return_range": (1, 0)}, "return_range"),
    ({"return_range": 3}, "return_range"),
    ({"predicted": "0.01"}, "predicted is str '0.01'"),
    ({"predicted": {"value": 0.1}}, "predicted: 'lower' is missing"),
]


@pytest.mark.parametrize(("change", "sentence"), ROWS)
def test_bad_input_is_refused_before_any_episode(change, sentence, tmp_path):
    env = Ward(0.0)
    with pytest.raises(InputError) as error:
        run(env, out=tmp_path / "out", **change)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert env.episodes == 0
    assert list(tmp_path.iterdir()) == []


EPISODE_ROWS = [
    ({"says": lambda harm: {}}, {}, "gives no cost 'cost' at step 0 (it gives: none)"),
    ({"says": lambda harm: {"cost": "much"}}, {}, "info['cost'] is 'much'"),
    ({"says": lambda harm: {"cost": -1.0}}, {}, "3 of 3 rows are negative"),
    ({}, {"constraint": gs.Constraint("costs", limit=0.05)}, "Did you mean 'cost'?"),
    ({}, {"cost": "reward > 0"}, "gives a cost of that name too"),
    ({}, {"cost": {"far": "observaton > 0"}}, "Did you mean 'observation'?"),
    ({}, {"cost": {"far": "1 / (reward - reward)"}}, "is blank at step 0"),
    ({}, {"cost": {"far": "0 - 1"}}, "is -1 at step 0"),
    ({"says": lambda harm: {"cost": harm, "reward": 7.0}}, {"cost": {"far": "reward > 3"}}, "Rename one of them"),
    ({}, {"max_steps": 2}, "did not end within 2 steps"),
]


@pytest.mark.parametrize(("ward", "change", "sentence"), EPISODE_ROWS)
def test_what_only_an_episode_shows_ends_it_within_the_first(ward, change, sentence, tmp_path):
    env = Ward(0.0, **ward)
    with pytest.raises(InputError) as error:
        run(env, out=tmp_path / "a" / "out", **change)
    assert sentence in str(error.value)
    assert env.episodes == 1
    assert list(tmp_path.iterdir()) == []  # nothing half written
