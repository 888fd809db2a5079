"""Which policy it was: alike where they decide alike, and not otherwise."""

import numpy as np

import groundschool as gs
from groundschool.safety.identity import fingerprint

TABLE = [[0.5, 0.5], [0.1, 0.9]]


def test_what_decides_alike_is_one_policy(tmp_path):
    policy = gs.TabularPolicy(TABLE, name="half")
    policy.save(tmp_path / "bundle")
    assert (
        fingerprint(gs.load(tmp_path / "bundle"))
        == fingerprint(policy)
        == fingerprint(gs.TabularPolicy(TABLE, name="half"))
    )
    others = [gs.TabularPolicy(TABLE, name="other"), gs.TabularPolicy(TABLE[::-1], name="half"), policy.greedy()]
    assert len({fingerprint(one) for one in (policy, *others)}) == 4


def test_training_twice_alike_gives_one_policy_whatever_the_clock_says():
    grid = gs.HazardGrid(size=5, n_hazards=1, horizon=20)
    log = gs.collect(grid, grid.logger(), 20, 0)
    first, second = (gs.train(log, "bc", steps=20, hidden=(8,), seed=0, progress=False) for _ in range(2))
    assert first.training.seconds != second.training.seconds
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(gs.train(log, "bc", steps=20, hidden=(8,), seed=1, progress=False)) != fingerprint(first)


def test_what_wraps_code_has_none():
    assert fingerprint(gs.wrap(lambda x: np.full((len(x), 2), 0.5), n_actions=2, outputs="probabilities")) == ""
