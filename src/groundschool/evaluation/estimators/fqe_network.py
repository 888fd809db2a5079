"""Fitted Q evaluation by an ensemble of networks: a problem as the trainer wants it, and what came of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from groundschool.algorithms.fqe import Horizon, knots
from groundschool.errors import DivergenceError, InputError
from groundschool.evaluation.problem import FloatArray, Problem
from groundschool.policies.encoding import Encoder
from groundschool.policies.network import Layers
from groundschool.training import fqe
from groundschool.training.device import resolve_device
from groundschool.training.fqe_data import Transitions, prepare

KNOTS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """What the members say.

    Attributes
    ----------
    values : (M,) float64
    facts : dict
        JSON-ready; ``curve`` shows how the answer came to rest.
    converged : bool
    networks : tuple of (weight (M, in, out), bias (M, 1, out))
        Outputs are actions times knots, in units of ``facts["scale"]``, added to `start`.
    start : (K,) float64
    encoder : Encoder
        What the networks are given.
    """

    values: FloatArray
    facts: dict[str, Any]
    converged: bool
    networks: Layers
    start: FloatArray
    encoder: Encoder


def fit(problem: Problem, members: int, seed: int, device: str, **plan: Any) -> Ensemble:
    """Train an ensemble on bootstrap samples of a problem's units.

    Parameters
    ----------
    problem : Problem
    members, seed : int
    device : str
    **plan
        What `groundschool.training.fqe.Plan` holds, ``least`` aside.

    Raises
    ------
    InputError
        If the log has no transition of which both ends are known.
    DivergenceError
        If the networks' errors are not finite.
    """
    log, left_out = transitions(problem)
    scale = _scale(problem)
    horizon = _horizon(problem, scale)
    data, encoder = prepare(log, scale, members, seed, resolve_device(device))
    # An ending must be able to come back to the start of the longest episode, a step behind by each target network.
    least = round(min(int(problem.lengths.max()) / plan["target_rate"], plan["steps"] / 2))
    found = fqe.fit(data, horizon, fqe.Plan(least=least, **plan), seed=seed)
    if not np.isfinite([*found.values, found.curve["td"][-1]]).all():  # values are cut to what is possible, errors not
        raise DivergenceError(
            f"fitted Q evaluation diverged within {int(found.curve['step'][-1])} updates: errors are not finite. Lower "
            f"learning_rate (now {plan['learning_rate']:g})."
        )
    in_units = {"value", "spread", "td_mean"}
    curve = {name: [x * scale if name in in_units else x for x in column] for name, column in found.curve.items()}
    curve["td"] = [x * scale**2 for x in curve["td"]]
    facts = {
        "model": "network",
        "inputs": encoder.describe(),
        "scale": scale,
        "knots": knots(problem.horizon, KNOTS).tolist(),
        "updates": int(curve["step"][-1]),
        "converged": found.converged,
        "moved": found.moved,
        "td_error": float(np.sqrt(curve["td"][-1])),
        "curve": curve,
        "rows_of_unknown_end": left_out,
    }
    start = np.asarray(horizon.start, np.float64)
    return Ensemble(found.values * scale, facts, found.converged, found.networks, start, encoder)


def transitions(problem: Problem) -> tuple[Transitions, int]:
    """Lay a problem out as transitions.

    A row that went on, nobody knows where, has no target: it is left out, and the rows that went on to what is known
    weigh more for it, so that endings do not look more frequent than they were.

    Returns
    -------
    Transitions
    int
        How many rows are left out.
    """
    n, E = problem.n_rows, problem.n_episodes
    last = problem.last
    following, known_end = np.zeros((n, problem.n_actions)), np.zeros(E, np.bool_)
    following[:-1] = problem.target[1:]
    following[last] = 0.0
    if problem.final_target is not None:
        known_end = np.isfinite(problem.final_target).all(axis=1) & ~problem.ended[last]
        following[last[known_end]] = problem.final_target[known_end]
    following[problem.ended] = 0.0
    lost = np.zeros(n, np.bool_)
    lost[last] = ~problem.ended[last] & ~known_end
    used = np.flatnonzero(~lost)
    if not len(used):
        raise InputError(
            f"no transition of the {n} has a known end: every episode is one step long and cut there without a final "
            "observation. Give final_observations, or longer episodes."
        )
    next_row = np.minimum(np.arange(n) + 1, n - 1)
    next_row[last] = last
    observations = problem.observations
    if problem.final_observations is not None:
        observations = np.concatenate([observations, problem.final_observations[known_end]])
        next_row[last[known_end]] = n + np.arange(int(known_end.sum()))
    goes_on = ~problem.ended
    weight = np.where(goes_on, goes_on.sum() / max(int((goes_on & ~lost).sum()), 1), 1.0)
    begins = problem.starts[:-1]
    return Transitions(
        observations=observations,
        row=used,
        next_row=next_row[used],
        action=problem.actions[used],
        signal=problem.signal[used],
        next_policy=following[used],
        weight=weight[used],
        unit=problem.units[problem.episode][used],
        first=begins,
        first_policy=problem.target[begins],
        first_unit=problem.units,
        n_units=problem.n_units,
    ), int(lost.sum())


def possible_sums(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest sum over 1 ... H steps, (H,) each, that logged signals and the range allow.

    A process goes on with signals between those seen where it went on, and may end, after any number of steps, with
    one between those seen where it ended.
    """
    on, end = problem.signal[~problem.ended], problem.signal[problem.ended]
    powers = problem.discount ** np.arange(problem.horizon, dtype=np.float64)
    sums = np.cumsum(powers)

    def furthest(extreme: Any, so_far: Any) -> FloatArray:
        reached = [] if not len(on) else [extreme(on) * sums]
        if len(end):
            before = extreme(on) * (sums - powers) if len(on) else np.zeros(problem.horizon)
            # where nothing ever went on, all ends after one step
            ended = before + (powers if len(on) else 1.0) * extreme(end)
            reached.append(so_far(ended))
        return np.asarray(extreme(np.stack(reached), axis=0))

    low, high = furthest(np.min, np.minimum.accumulate), furthest(np.max, np.maximum.accumulate)
    # What is left of a sum is within its range where nothing before can have gone the other way.
    if (problem.signal >= 0).all():
        high = np.minimum(high, problem.high)
    if (problem.signal <= 0).all():
        low = np.maximum(low, problem.low)
    return low, high


def _horizon(problem: Problem, scale: float) -> Horizon:
    steps = knots(problem.horizon, KNOTS)
    low, high = possible_sums(problem)
    return Horizon.of(
        steps, low[steps - 1] / scale, high[steps - 1] / scale, _means(problem, steps) / scale, problem.discount
    )


def _means(problem: Problem, steps: Any) -> FloatArray:
    """Return the mean over rows of what the logger got in the next steps, for each number of them, (K,)."""
    summed = np.concatenate([np.zeros(1), np.cumsum(problem.signal * problem.discounts)])
    rows = np.flatnonzero(problem.discounts > 1e-6)  # later ones are lost in rounding
    ends = problem.starts[1:][problem.episode[rows]]
    return np.array(
        [((summed[np.minimum(rows + k, ends)] - summed[rows]) / problem.discounts[rows]).mean() for k in steps]
    )


def _scale(problem: Problem) -> float:
    for size in (np.std(problem.returns), np.std(problem.signal), np.max(np.abs(problem.signal))):
        if size > 1e-8:
            return float(size)
    return 1.0
