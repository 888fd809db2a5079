"""A critic of a policy at measured observations: fitted Q evaluation on a log, as networks that NumPy evaluates."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundschool.data import Dataset
from groundschool.evaluation.pose import Behavior, pose
from groundschool.evaluation.problem import FloatArray, Problem
from groundschool.evaluation.question import Question
from groundschool.policies.critic import Critic
from groundschool.policies.encoding import Encoder, fit_encoder
from groundschool.policies.network import Layers

# The plan of `groundschool.evaluate(..., method="fqe")`, with as many networks as a mean needs and not an interval.
MEMBERS = 8
_PLAN: dict[str, Any] = {
    "steps": 4_000, "batch_size": 128, "hidden": (64, 64), "learning_rate": 3e-3, "target_rate": 0.1, "tolerance": 0.25
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Criticism:
    """A critic, and what came of its training.

    Attributes
    ----------
    critic : Critic
    start : float
        The policy's expected sum, by the critic.
    updates : int
    converged : bool
    """

    critic: Critic
    start: float
    updates: int
    converged: bool


def criticize(
    log: Dataset, policy: Any, question: Question, behavior: Behavior, *, seed: int, members: int = MEMBERS
) -> Criticism:
    """Return how much each action adds to a question's answer while a policy goes on afterwards.

    Values with k steps to go are averaged over the steps that are left where the log comes by, so that one number
    stands for an action at an observation. Nothing is known
    outside of the range that each number of the observation had in the rows it learned from (those before the first
    event, where an event is asked for). The mean over members is taken: asking that they agree (their mean less their
    spread) finds less of the danger at the same share of actions.

    Parameters
    ----------
    log : Dataset
    policy : Policy
        What is evaluated, and goes on.
    question : Question
    behavior : Behavior
    seed, members : int

    Raises
    ------
    InputError
        If observations hold blanks that nothing replaces.
    """
    from groundschool.evaluation.estimators import fqe_network  # JAX, only where it is needed

    own = fit_encoder(log.observations, "standardize", features=log.features)
    problem = _without_blanks(pose(log, policy, question, behavior), own)
    fitted = fqe_network.fit(problem, members, seed, "auto", **_PLAN)
    knots = np.array(fitted.facts["knots"])
    share = _shares(problem.horizon - problem.step, knots)
    # Blanks are filled in as in the log, and a critic must say of its own accord what it does not read.
    columns = tuple(
        dataclasses.replace(column, impute=asked.impute, name=asked.name)
        for column, asked in zip(fitted.encoder.columns, own.columns, strict=True)
    )
    sign = -1.0 if question.higher_is_better else 1.0
    critic = Critic(
        str(question),
        Encoder(log.observations.shape[1:], columns),
        averaged(fitted.networks, fitted.start, share),
        sign * fitted.facts["scale"],
        *_range(problem),
    )
    return Criticism(critic, float(fitted.values.mean()), fitted.facts["updates"], fitted.converged)


def _range(problem: Problem) -> tuple[FloatArray, FloatArray]:
    flat = np.asarray(problem.observations, np.float64).reshape(problem.n_rows, -1)
    return flat.min(axis=0), flat.max(axis=0)


def averaged(layers: Layers, start: FloatArray, share: FloatArray) -> Layers:
    """Return networks whose outputs, one an action, are the weighted mean of those for each knot.

    Parameters
    ----------
    layers : tuple of (weight (M, in, out), bias (M, 1, out))
        The last has an output for each action and knot.
    start : (K,) float64
        What is added to outputs.
    share : (K,) float64
        What each knot counts for.
    """
    *hidden, (weight, bias) = layers
    M, width, _ = weight.shape
    last = weight.reshape(M, width, -1, len(share)) @ share
    offset = (bias.reshape(M, 1, -1, len(share)) + start) @ share
    return (*hidden, (last.astype(np.float32), offset.astype(np.float32)))


def _shares(left: NDArray[np.int64], knots: NDArray[np.int64]) -> FloatArray:
    """Return what each knot counts for where values over so many steps are interpolated and averaged, (K,).

    Nothing is had over 0 steps.
    """
    at = np.concatenate([[0], knots]).astype(np.float64)
    return np.array([np.interp(left, at, np.eye(len(at))[k + 1]).mean() for k in range(len(knots))])


def _without_blanks(problem: Problem, encoder: Encoder) -> Problem:
    """Fill in blanks as a policy would; a final observation's others, which none may need, by the mean."""
    finals = problem.final_observations
    if finals is not None and np.isnan(finals).any():
        flat = finals.reshape(len(finals), -1).astype(np.float64)
        usual = [column.center if column.impute is None else column.impute for column in encoder.columns]
        # Rows that are blank throughout are unknown and are not asked for.
        flat = np.where(np.isnan(flat), usual, flat)
        finals = flat.reshape(finals.shape)
    return dataclasses.replace(problem, observations=encoder.impute(problem.observations), final_observations=finals)
