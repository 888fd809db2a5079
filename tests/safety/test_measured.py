"""Policies made to be certified from measured observations: what is deleted, shown, kept and refused."""

import numpy as np
import pytest
from scipy import stats

import groundschool as gs
from groundschool.config import parse_config
from groundschool.evaluation import criticize
from groundschool.evaluation.behavior import logged_behavior
from groundschool.evaluation.pose import pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.recall import recall_logger
from groundschool.evaluation.sampling import Sampler
from groundschool.evaluation.weights import episode_log_weights
from groundschool.pipeline import run
from groundschool.policies.policy import DiscretePolicy, sample_actions
from groundschool.policies.tempered import TemperedPolicy
from groundschool.safety.candidates import Candidates

HARM = "probability:harm"
GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41), indexing="ij"), -1).reshape(-1, 2)


class Smooth(DiscretePolicy):
    """A softmax of linear scores."""

    name, n_actions = "smooth", 3

    def probabilities(self, observations, *, masks=None):
        x = np.asarray(observations, dtype=np.float64)
        logits = np.stack([0.8 * x[:, 0], 0.5 * x[:, 1], -0.6 * x[:, 0]], axis=1)
        weight = np.exp(logits) * (1.0 if masks is None else masks)
        return weight / weight.sum(axis=1, keepdims=True)


def harm(x, action):
    """Harm is likely after the third action on the right, and rare elsewhere."""
    return np.where((action == 2) & (x[:, 0] > 0.2), 0.8, 0.03)


def draw(episodes, seed, *, propensities=True, costs=True):
    """Episodes of two steps at places drawn anew; each step that does no harm pays 1 and goes on."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1.0, 1.0, (2 * episodes, 2))
    chances = Smooth().probabilities(x)
    actions = sample_actions(chances, rng)
    harmed = rng.random(2 * episodes) < harm(x, actions)
    lived = np.ones(2 * episodes, bool)
    lived[1::2] = ~harmed[0::2]
    ended = harmed.copy()
    ended[1::2] = True
    x, actions, harmed, ended = x[lived], actions[lived], harmed[lived], ended[lived]
    return gs.Dataset.from_arrays(
        x, actions, 1.0 - harmed, ended, np.zeros(len(x), bool), n_actions=3, horizon=2, return_range=(0.0, 2.0),
        costs={"harm": harmed.astype(float)} if costs else None,
        propensities=chances[lived][np.arange(len(x)), actions] if propensities else None,
    )  # fmt: skip


def hazard(policy):
    """The probability of harm in an episode, by a fine grid of places."""
    chances = policy.probabilities(GRID)
    once = np.mean(sum(chances[:, a] * harm(GRID, np.full(len(GRID), a)) for a in range(3)))
    return 1.0 - (1.0 - once) ** 2


@pytest.fixture(scope="module")
def log():
    return draw(400, 1)


@pytest.fixture(scope="module")
def policy(log):
    with pytest.MonkeyPatch.context() as patch:  # enough for a place this simple
        patch.setattr("groundschool.evaluation.criticize._PLAN", {**criticize._PLAN, "steps": 800})
        return gs.Pruned()(log)


def test_the_dangerous_region_is_deleted_and_nothing_else(policy):
    right, left = GRID[GRID[:, 0] > 0.4], GRID[GRID[:, 0] < 0.0]
    assert (policy.probabilities(right)[:, 2] < 0.01).mean() > 0.75
    assert not policy.changes(left).any()
    assert hazard(policy) < 0.5 * hazard(Smooth())


def test_the_hazard_that_is_shown_beats_the_loggers(policy):
    found = gs.evaluate(draw(1_500, 2), policy, of=HARM, method="betting")
    assert found.trusted
    assert found.assurance == "finite-sample"
    assert hazard(policy) <= found.upper_bound(0.95) < hazard(Smooth())


def test_the_recalled_logger_is_near_and_says_how_near(policy):
    fresh = draw(1_000, 3)
    logs = episode_log_weights(pose(fresh, policy.policy, Question("return"), logged_behavior(fresh)))
    assert logs.std() < 0.05
    assert "off by a factor of 1.0" in policy.training.notes[1]
    assert 0.1 < policy.changes(fresh.observations).mean() < 0.6


def test_it_remembers_what_it_studied_and_decides_the_same_from_disk(policy, log, tmp_path):
    policy.save(tmp_path / "bundle")
    again = gs.load(tmp_path / "bundle")
    assert np.array_equal(again.probabilities(GRID), policy.probabilities(GRID))
    assert again.training == policy.training
    assert again.training.config["thresholds"] == {HARM: 0.3}
    found = gs.evaluate(log, again, of=HARM, method="betting")
    assert not found.trusted
    assert "In-sample" in found.reasons[0]


def test_the_ratio_to_the_recalled_logger_is_bounded(policy):
    assert (policy.probabilities(GRID) <= 4.0 * policy.policy.probabilities(GRID) + 1e-9).all()
    assert policy.probabilities(GRID).sum(axis=1) == pytest.approx(np.ones(len(GRID)))


def test_blanks_are_refused(policy):
    with pytest.raises(gs.InputError, match="NaN"):
        policy.probabilities(np.array([[np.nan, 0.0]]))


def test_rows_cannot_be_counted(log):
    with pytest.raises(gs.InputError, match="have no counts"):
        gs.Pruned(least_count=3)(log)
    with pytest.raises(gs.InputError, match="Spibb counts how often"):
        gs.Spibb()(log)


def test_blanks_in_the_log_are_named():
    bare = draw(50, 4)
    x = bare.observations.copy()
    x[7, 1] = np.nan
    holed = gs.Dataset.from_arrays(
        x, bare.actions, bare.rewards, bare.terminated, bare.truncated, n_actions=3, propensities=bare.propensities,
        costs=bare.costs,
    )  # fmt: skip
    with pytest.raises(gs.InputError, match="hold NaN"):
        gs.Pruned()(holed)


@pytest.mark.slow
def test_the_logger_at_hand_is_used_as_it_is(log, tmp_path):
    policy = gs.Pruned(behavior=Smooth())(log)
    assert np.array_equal(policy.policy.probabilities(GRID), Smooth().probabilities(GRID))
    assert not any("recalled" in note for note in policy.training.notes)
    assert policy.usual_weight is not None  # all its probabilities are known, and so is how large a weight can be
    assert hazard(policy) < 0.5 * hazard(Smooth())
    with pytest.raises(gs.InputError, match="wraps code"):
        policy.save(tmp_path / "bundle")


@pytest.mark.slow
def test_without_propensities_the_logger_is_cloned_and_nothing_is_promised():
    policy = gs.Pruned()(draw(400, 5, propensities=False))
    assert isinstance(policy.policy, TemperedPolicy)
    assert np.abs(policy.policy.probabilities(GRID) - Smooth().probabilities(GRID)).mean() < 0.08
    assert "no propensities to hold it to" in policy.training.notes[1]
    assert hazard(policy) < 0.5 * hazard(Smooth())
    found = gs.evaluate(draw(400, 6, propensities=False), policy, of=HARM)
    assert found.assurance == "heuristic"


@pytest.mark.slow
def test_poor_actions_go_where_there_are_no_costs():
    policy = gs.Pruned({"return": 0.5})(draw(600, 7, costs=False))
    assert hazard(policy) < 0.5 * hazard(Smooth())
    assert policy.changes(GRID[GRID[:, 0] < 0.0]).mean() < 0.02


@pytest.mark.slow
def test_the_best_of_several_thresholds_shares_its_networks(monkeypatch, log):
    from groundschool.safety import measured

    trained = []
    real = measured.criticize
    monkeypatch.setattr(measured, "criticize", lambda *a, **k: trained.append(1) or real(*a, **k))
    policy = gs.MostProvable(folds=2)(log)
    assert len(trained) == 3  # one for each fold, whatever the thresholds, and one for all
    assert policy.name == "most provable"
    assert "Chosen out of 4" in policy.training.notes[-1]
    assert hazard(policy) < 0.5 * hazard(Smooth())


@pytest.mark.slow
def test_the_bound_misses_as_rarely_as_it_says(policy):
    replicates = 100
    truth = hazard(policy)
    bounds = [
        gs.evaluate(draw(300, 1_000 + seed), policy, of=HARM, method="betting").upper_bound(0.95)
        for seed in range(replicates)
    ]
    assert sum(bound < truth - 1e-3 for bound in bounds) <= stats.binom.isf(1e-4, replicates, 0.05)


@pytest.mark.slow
def test_counted_observations_with_a_little_noise_are_pruned_alike():
    grid = gs.HazardGrid(size=6, hazards=[(2, 2), (3, 1)], horizon=20)
    model, logger = grid.model(), grid.logger(0.4)
    log = Sampler.of(model, logger).log(600, 1)
    noise = np.random.default_rng(0)
    measured = gs.Dataset.from_arrays(
        log.observations + noise.normal(0.0, 0.02, log.observations.shape), log.actions, log.rewards, log.terminated,
        log.truncated, costs=log.costs, propensities=log.propensities, n_actions=4, horizon=20,
    )  # fmt: skip
    by_counts, by_networks = gs.Pruned()(log), gs.Pruned()(measured)
    cells = log.observations[:3_000]
    base = by_counts.policy.probabilities(cells)
    gone = [np.maximum(base - one.probabilities(cells), 0.0) for one in (by_counts, by_networks)]
    assert np.minimum(*gone).sum() > 0.6 * gone[0].sum()
    hazards = [model.evaluate(one).probabilities["hazard"] for one in (logger, by_counts, by_networks)]
    assert hazards[2] < 0.5 * hazards[0]
    assert hazards[2] < hazards[1] + 0.1 * hazards[0]
    assert isinstance(recall_logger(measured).n_actions, int)


@pytest.mark.slow
def test_a_study_certifies_from_a_measured_log(tmp_path):
    log = draw(900, 8)
    log.save(tmp_path / "log")
    config = parse_config(
        {
            "name": "measured",
            "data": {"path": str(tmp_path / "log")},
            "holdout": {"fraction": 0.4, "seed": 0},
            "candidates": [{"name": "BC", "algorithm": "bc", "steps": 60, "hidden": [8], "greedy": True}],
            "gate": {
                "constraints": [{"name": "harm", "kind": "probability", "limit": 0.3}],
                "baseline": "none",
                "certify": True,
            },
            "guard": {"enabled": False},
            "mismatch": {"sample": 50},
        }
    )
    study = run(config, out=tmp_path / "runs" / "measured", progress=False)
    assert study.certified.policy.name == "pruned"
    assert study.certified.verdict.decision == "GO"
    again = gs.load(study.directory / "certified")
    assert np.array_equal(again.probabilities(GRID), study.certified.policy.probabilities(GRID))


@pytest.mark.slow
def test_select_makes_them_by_name():
    named = Candidates({"a": ("pruned", {"thresholds": {HARM: 0.2}})})
    assert named.train(draw(200, 9), 0)["a"].training.config["thresholds"] == {HARM: 0.2}
