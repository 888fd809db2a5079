"""Processes small enough to write every episode down, and logs put as problems, for tests of off-policy evaluation."""

from __future__ import annotations

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.question import Question
from groundschool.evaluation.tabular import TabularModel
from groundschool.policies.tabular import TabularPolicy

# Three states and an end, two actions, at most three steps; a cost that ends nothing, and one of 2 on the way out.
_TO = np.zeros((4, 2, 4))
_TO[0, 0], _TO[0, 1] = [0.0, 0.7, 0.3, 0.0], [0.2, 0.0, 0.5, 0.3]
_TO[1, 0], _TO[1, 1] = [0.0, 0.4, 0.0, 0.6], [0.5, 0.0, 0.5, 0.0]
_TO[2, 0], _TO[2, 1] = [0.0, 0.0, 0.1, 0.9], [0.6, 0.4, 0.0, 0.0]
_REWARD = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25], [0.0, 0.0]])[:, :, None] + np.array([0.0, 0.5, -1.0, 4.0])
_COST = np.zeros((4, 2, 4))
_COST[2, 1, 0], _COST[1, 0, 3] = 1.0, 2.0
END = np.array([False, False, False, True])
MODEL = TabularModel(_TO, _REWARD, {"harm": _COST}, END, np.array([0.6, 0.4, 0.0, 0.0]), 3)
LOGGER = np.array([[0.7, 0.3], [0.4, 0.6], [0.55, 0.45], [0.5, 0.5]])
TARGETS = {
    "logger": LOGGER,
    "stochastic": np.array([[0.2, 0.8], [0.9, 0.1], [0.35, 0.65], [0.5, 0.5]]),
    "deterministic": np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]),
}


def put(log, table, of="return", *, discount=1.0, known=True, censoring="open"):
    """Pose a question about a table of action probabilities by state id."""
    behavior = Behavior(np.asarray(log.propensities), None, known)
    return pose(log, TabularPolicy(table), Question.parse(of, log), behavior, discount=discount, censoring=censoring)


def every_episode(model=MODEL, logger=LOGGER, masks=None):
    """Return each episode that can happen as one of a log, and the probability of each under the logger."""
    done, paths = [], [(p, s, []) for s, p in enumerate(model.initial) if p > 0]
    while paths:
        chance, state, rows = paths.pop()
        for action, how in enumerate(logger[state]):
            for then, goes in enumerate(model.transitions[state, action]):
                if how * goes > 0:
                    path = (chance * how * goes, then, [*rows, (state, action, then)])
                    (done if model.terminal[then] or len(path[2]) == model.horizon else paths).append(path)
    rows = np.array([row for _, _, some in done for row in some])
    lengths = np.array([len(some) for _, _, some in done])
    state, action, then = rows.T
    last = np.zeros(len(rows), bool)
    last[np.cumsum(lengths) - 1] = True
    log = Dataset.from_arrays(
        state,
        action,
        model.rewards[state, action, then],
        model.terminal[then],
        last & ~model.terminal[then],
        costs={name: cost[state, action, then] for name, cost in model.costs.items()},
        propensities=logger[state, action],
        action_masks=None if masks is None else masks[state],
        final_observations=then[last],
        final_action_masks=None if masks is None else masks[then[last]],
        n_actions=model.n_actions,
        horizon=model.horizon,
    )
    return log, np.array([chance for chance, _, _ in done])


def exact(table, of="return", discount=1.0, model=MODEL):
    """Return the exact answer, from tables alone."""
    if of == "return":
        return float(model.initial @ (table * model.action_values(table, discount)).sum(axis=1))
    kind, _, name = of.partition(":")
    if kind == "probability":
        return model.evaluate(table).probabilities[name]
    paid = TabularModel(model.transitions, model.costs[name], {}, model.terminal, model.initial, model.horizon)
    return float(model.initial @ (table * paid.action_values(table, discount)).sum(axis=1))


def hand_log(**more):
    """Three episodes of at most two steps, whose numbers fit on the back of an envelope."""
    return Dataset.from_arrays(
        np.array([0, 1, 0, 0, 1]),
        np.array([0, 1, 1, 0, 0]),
        np.array([1.0, 2.0, 0.0, 1.0, 5.0]),
        np.array([False, True, True, False, False]),
        np.array([False, False, False, False, True]),
        propensities=np.array([0.5, 0.25, 0.5, 0.5, 0.75]),
        costs={"harm": np.array([0.0, 1.0, 0.0, 0.0, 0.0])},
        n_actions=2,
        horizon=2,
        **more,
    )


# Ratios 1.6, 2 | 0.4 | 1.6, 2/3, so that running weights are 1.6, 3.2 | 0.4 | 1.6, 16/15.
HAND_TARGET = np.array([[0.8, 0.2], [0.5, 0.5]])
