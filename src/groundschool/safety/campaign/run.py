"""The controlled online phase: one episode after the other, each kept before the next begins, until a rule stops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import gymnasium as gym

from groundschool.data import Dataset
from groundschool.data.join import concatenated
from groundschool.errors import InputError
from groundschool.evaluation.estimate import Estimate
from groundschool.evaluation.simulate import single_episode
from groundschool.policies.policy import Policy
from groundschool.safety.campaign.directory import CampaignDirectory, open_campaign
from groundschool.safety.campaign.plan import Plan, make_plan
from groundschool.safety.campaign.result import Campaign, conclude, count
from groundschool.safety.constraints import Constraint
from groundschool.safety.stopping import Decision, Design


def campaign(
    env: gym.Env[Any, Any],
    policy: Policy,
    *,
    constraint: Constraint,
    max_episodes: int,
    min_episodes: int = 1,
    confidence: float = 0.95,
    design: Design = "sequential",
    seed: int = 0,
    out: str | PathLike[str] | None = None,
    predicted: Estimate | Mapping[str, Any] | Sequence[Estimate | Mapping[str, Any]] | None = None,
    cost: str | Mapping[str, str] | None = None,
    return_range: tuple[float, float] | None = None,
    max_steps: int = 100_000,
) -> Campaign:
    """Run a policy until its episodes show harm, or safety, or a cap is reached.

    Episodes run one at a time, and after each of them it is decided whether another one may begin. Episode i depends on
    the seed and i alone, so that a campaign that was interrupted goes on exactly.

    Parameters
    ----------
    env : gymnasium.Env
        As in `simulate`. ``info["cost"]`` is a number, or a mapping of names to numbers.
    policy : Policy
    constraint : Constraint
        Of kind "probability": the limit on P(any cost > 0 in an episode).
    max_episodes : int
        The cap; in the design "fixed" the number at which is decided.
    min_episodes : int
        "safe" is not said before; harm stops at any time.
    confidence : float
        From 0.5 to below 1. "harm" and "safe" are each said with probability ``1 - confidence`` at most where they are
        not true.
    design : "sequential" or "fixed"
        "sequential": a beta-binomial confidence sequence (Robbins 1970, doi:10.1214/aoms/1177696786), looked at after
        every episode. "fixed": Clopper & Pearson 1934 (doi:10.1093/biomet/26.4.404) at `max_episodes`, ended early only
        where "harm" is certain already.
    seed : int
    out : path, optional
        A directory where every episode is kept as it ends. The same call takes up an interrupted campaign there, and
        shows a finished one without running anything; a call with another plan is refused.
    predicted : Estimate, mapping, or several, optional
        Offline estimates of ``probability:NAME`` and of ``return``, to hold against what is seen. They are part of the
        plan: a prediction is made beforehand.
    cost : str or mapping of names to expressions, optional
        Costs as expressions of a step's arrival, such as ``"bg_mgdl < 54"``; one alone is the constraint's. Names:
        ``reward``, the observation's numbers, numbers in ``info``.
    return_range : (low, high), optional
        The possible range of an episode's return. Without it the mean return has no interval.
    max_steps : int
        An episode longer than this is an error.

    Returns
    -------
    Campaign

    Raises
    ------
    InputError
        For bad input, before the first episode; where an episode cannot be used (a cost that is not there, an episode
        without end); where `out` holds something else. Whatever is raised, the episodes before it are kept in `out`.

    Examples
    --------
    >>> import groundschool as gs
    >>> grid = gs.HazardGrid()
    >>> limit = gs.Constraint("hazard", limit=0.05)
    >>> gs.campaign(grid, grid.logger(0.22), constraint=limit, max_episodes=500).decision
    'harm'
    """
    plan = make_plan(
        env,
        policy,
        constraint,
        confidence=confidence,
        max_episodes=max_episodes,
        min_episodes=min_episodes,
        seed=seed,
        design=design,
        predicted=predicted,
        cost=cost,
        return_range=return_range,
        max_steps=max_steps,
    )
    if out is None:
        decision, parts = _run(env, policy, plan, [], None)
        return conclude(plan, _joined(parts, plan), decision)
    with open_campaign(Path(out), plan) as directory:
        decision, parts = _run(env, policy, plan, directory.load(), directory)
        result = conclude(plan, _joined(parts, plan), decision, directory.broken_off, directory.path)
        directory.finish(result.dataset, result.to_json())
        return result


def _joined(parts: Sequence[Dataset], plan: Plan) -> Dataset:
    """Return the episodes of a campaign as one log."""
    if len(parts) == 1 and parts[0].n_episodes > 1:
        return parts[0]
    horizon = plan.horizon or max(part.horizon for part in parts)
    return concatenated(parts, horizon=horizon, features=plan.feature_names or None)


def _run(
    env: gym.Env[Any, Any], policy: Policy, plan: Plan, parts: list[Dataset], directory: CampaignDirectory | None
) -> tuple[Decision, list[Dataset]]:
    """Go on from the episodes that are there until the rule stops it."""
    events = possible = n = 0
    for part in parts:
        more, may = count(plan, part)
        events, possible, n = events + more, possible + may, n + part.n_episodes
    while (decision := plan.rule.decide(events, possible, n)) is None:
        if directory is not None:
            directory.begin(n)
        episode = single_episode(
            env,
            policy,
            plan.seed,
            n,
            costs=plan.expressions,
            required=(plan.constraint.name,),
            feature_names=plan.feature_names,
            max_steps=plan.max_steps,
        )
        if parts and list(episode.costs) != list(parts[0].costs):
            raise InputError(
                f"episode {n} has the costs {list(episode.costs)}, those before {list(parts[0].costs)}. "
                "The environment must give the same ones in every episode."
            )
        if directory is not None:
            directory.append(n, episode)
        parts.append(episode)
        more, may = count(plan, episode)
        events, possible, n = events + more, possible + may, n + 1
    return decision, parts
