"""The plain sentences: directions come from the numbers, and doubt is said."""

import pytest

from groundschool.report.reading import read


def interval(value, lower, upper):
    return {"value": value, "lower": lower, "upper": upper, "confidence": 0.95}


def rollout(reward, hazard):
    return {
        "episodes": 200,
        "return": interval(*reward),
        "probabilities": {"hazard": interval(*hazard)},
        "end_rates": {"timeout": interval(0.0, 0.0, 0.018)},
    }


def exact(reward, hazard):
    return {"return": reward, "probabilities": {"hazard": hazard}, "ends": {"hazard": hazard, "goal": 1 - hazard}}


OVERLAP = "cannot be told apart (intervals overlap)"
LOG = {"episodes": 500, "steps": 16_769, "return": interval(-13.72, -18.41, -9.03), **{
    "probabilities": {"hazard": interval(0.208, 0.1733, 0.2463)}, "end_rates": {}}}  # fmt: skip
LOGGER = rollout((-14, -20, -8), (0.2, 0.15, 0.26))


def sentences(ours, theirs, ours_exact=None, theirs_exact=None):
    policies = [
        {"name": "Logger", "role": "logger", "rollout": theirs, "exact": theirs_exact},
        {"name": "CQL", "role": "learned", "rollout": ours, "exact": ours_exact},
    ]
    return {line["about"]: line["text"] for line in read({"log": LOG, "events": ["hazard"], "policies": policies})}


def test_the_log_is_said_with_intervals():
    text = sentences(None, None)["The log"]
    assert text == (
        "500 episodes, 16,769 steps: return −13.7 [−18.4, −9.0] an episode; "
        "hazard in 20.8\u202f% [17.3, 24.6] of episodes."
    )


def test_exact_and_sampled_stand_side_by_side():
    text = sentences(rollout((21.2, 21.0, 21.4), (0.0, 0.0, 0.0183)), LOGGER, exact(21.5, 0.0003), exact(-13.9, 0.2))
    assert "hazard 0.0\u202f% [0.0, 1.8] in 200 rollouts" in text["CQL"]
    assert "hazard 0.030\u202f%" in text["CQL"]
    assert text["CQL"].endswith("Against Logger, by exact values: higher return, lower hazard.")


@pytest.mark.parametrize(
    ("reward", "hazard", "words"),
    [
        ((21, 20, 22), (0.0, 0.0, 0.018), "higher return (intervals apart), lower hazard (intervals apart)"),
        ((-30, -40, -21), (0.5, 0.43, 0.57), "lower return (intervals apart), higher hazard (intervals apart)"),
        ((-9, -14, -4), (0.0, 0.0, 0.018), f"return {OVERLAP}, lower hazard (intervals apart)"),
        ((21, None, None), (0.2, 0.1, 0.3), f"return {OVERLAP}, hazard {OVERLAP}"),
    ],
)  # fmt: skip
def test_without_a_model_overlap_decides_what_may_be_said(reward, hazard, words):
    assert sentences(rollout(reward, hazard), LOGGER)["CQL"].endswith(f"Against Logger, by these rollouts: {words}.")


@pytest.mark.parametrize(("ours", "theirs"), [(None, LOGGER), (rollout((1, 0, 2), (0, 0, 0.1)), None)])
def test_nothing_is_compared_with_nothing(ours, theirs):
    assert "Against" not in sentences(ours, theirs).get("CQL", "")
