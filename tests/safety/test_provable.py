"""Choosing the policy of which most can be shown, on the studied part alone."""

import numpy as np
import pytest

import groundschool as gs
from groundschool.evaluation.bounds.betting import Wager, betting_lower, forecast_lower
from groundschool.evaluation.sampling import Sampler
from groundschool.safety.candidates import Candidates

GRID = gs.HazardGrid(size=6, hazards=[(2, 2), (3, 1)], horizon=20)
HARM = "probability:hazard"


def grid_log(n, seed):
    return Sampler.of(GRID.model(), GRID.logger(0.4)).log(n, seed)


def test_the_better_of_two_is_made_from_the_whole_log():
    idle, useful = gs.Pruned({HARM: 50.0}), gs.Pruned({HARM: 0.3})
    log = grid_log(300, 1)
    policy = gs.MostProvable([idle, useful])(log)
    assert policy.name == "most provable"
    assert np.array_equal(policy.kept, useful(log).kept)
    assert len(policy.training.episode_hashes) == 300
    assert "Chosen out of 2 on the studied episodes alone" in policy.training.notes[-1]


def test_of_equals_the_first_is_taken():
    made = []

    def maker(name):
        def make(log, seed):
            made.append(name)
            return gs.Pruned(name=name)(log, seed)

        return make

    gs.MostProvable([maker("a"), maker("b")], folds=2)(grid_log(100, 2))
    assert made == ["a", "a", "b", "b", "a"]


def test_a_policy_whose_weights_explode_is_not_chosen():
    everything = gs.Spibb(least_count=1, threshold=0.0, of=HARM, largest_ratio=50.0)
    log = grid_log(200, 3)
    policy = gs.MostProvable([everything, gs.Pruned()])(log)
    assert np.array_equal(policy.kept, gs.Pruned()(log).kept)


def test_the_gain_can_be_aimed_at_where_its_range_is_declared():
    log = grid_log(200, 4)
    with pytest.raises(gs.InputError, match="declares no range of the return"):
        gs.MostProvable(of="gain")(log)
    log = gs.Dataset.from_arrays(
        log.observations, log.actions, log.rewards, log.terminated, log.truncated, costs=log.costs,
        propensities=log.propensities, n_actions=4, horizon=20, return_range=(-119.0, 41.0),
    )  # fmt: skip
    assert "gain at least" in gs.MostProvable(of="gain")(log).training.notes[-1]


def test_a_forecast_is_near_what_betting_gives():
    rng = np.random.default_rng(0)
    seen, fresh = rng.random(400), rng.random(4_000)
    forecast = forecast_lower([Wager(seen, np.ones(400))], 0.05, 4_000)
    bound = betting_lower([Wager(fresh, np.ones(4_000))], 0.05, ceiling=1.0)
    assert forecast == pytest.approx(bound, abs=4 * seen.std() / np.sqrt(400))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"makers": []}, "at least one callable"),
        ({"folds": 1}, "at least 2"),
        ({"confidence": 1.0}, "from 0.5 to below 1"),
        ({"fold": 3}, "most_provable has no option 'fold'. Did you mean 'folds'"),
    ],
)
def test_bad_options(options, said):
    with pytest.raises(gs.InputError, match=said):
        Candidates({"a": ("most_provable", options)})


def test_bad_aim():
    with pytest.raises(gs.InputError, match="expected 'probability:NAME' or 'gain'"):
        gs.MostProvable(of="return")(grid_log(50, 0))
