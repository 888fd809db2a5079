"""Why a candidate was chosen, in sentences that a safety reviewer can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from groundschool.safety.candidates import LOGGER
from groundschool.safety.constraints import Constraint
from groundschool.safety.ranking import Standing


def explain(
    chosen: Standing,
    standings: Sequence[Standing],
    constraints: Sequence[Constraint] = (),
    *,
    episodes: int,
    confidence: float,
) -> tuple[str, ...]:
    """Say why.

    Parameters
    ----------
    chosen : Standing
    standings : sequence of Standing
        Everybody, in order.
    constraints : sequence of Constraint
    episodes : int
        That the smallest split judged on.
    confidence : float
        One-sided.
    """
    return (
        *_verdict(chosen, standings, constraints),
        *(_kept(chosen, limit) for limit in constraints if chosen.status != "untrusted"),
        *_out_of_reach(constraints, episodes, confidence),
        *_others(standings),
        *_caution(chosen),
    )


def _verdict(chosen: Standing, standings: Sequence[Standing], constraints: Sequence[Constraint]) -> Iterator[str]:
    logger = next(standing for standing in standings if standing.candidate == LOGGER)
    feasible = sum(standing.status == "feasible" for standing in standings)
    figures = f"{chosen.cautious:.4g} (estimate {chosen.value:.4g})"
    if chosen.status == "untrusted":
        yield "No estimate can be relied on, not even the logger's own outcomes: keep the logger's policy and log more."
    elif chosen.status == "infeasible" and chosen.candidate == LOGGER:
        yield "None of the candidates meets the limits; the least violating is the logger's own policy: keep it."
    elif chosen.status == "infeasible":
        yield f"None of the candidates meets the limits; the least violating is {chosen.candidate!r}."
    elif chosen.candidate == LOGGER:
        others = "no candidate that meets the limits" if constraints else "no candidate to rely on"
        yield f"Keep the logger's policy: {others} has a cautious return above the logger's, {figures}."
    else:
        among = f" among the {feasible} that meet the limits" if constraints else ""
        yield f"{chosen.candidate!r} has the largest cautious return{among}: {figures}."
        if logger.status != "untrusted":
            yield f"The logger's own is {logger.cautious:.4g} (mean {logger.value:.4g}) in the same episodes."


def _kept(chosen: Standing, limit: Constraint) -> str:
    average = chosen.answers[limit.of]
    kept = "is kept" if limit.met_by(average.upper) else "is not shown to be kept"
    return f"The limit, {limit}, {kept}: the upper bound is {average.upper:.4g} (estimate {average.value:.4g})."


def _out_of_reach(constraints: Sequence[Constraint], episodes: int, confidence: float) -> Iterator[str]:
    for limit in constraints:
        least = limit.smallest_provable(episodes, confidence)
        if limit.limit < least:
            yield (
                f"The limit, {limit}, cannot be shown with {episodes:,} episodes to judge on, even if none had an "
                f"event (smallest provable: {least:.4g} at {confidence:.0%}): log more, or raise it."
            )


def _others(standings: Sequence[Standing]) -> Iterator[str]:
    candidates = [standing for standing in standings if standing.candidate != LOGGER]
    doubted = [standing for standing in candidates if standing.status == "untrusted"]
    beyond = sum(standing.status == "infeasible" for standing in candidates)
    if beyond:
        yield f"{beyond} of {len(candidates)} candidates are not shown to keep the limits."
    if doubted:
        first = doubted[0]
        told = f" {first.candidate!r}, for one: {first.reasons[0]}" if first.reasons else ""
        yield (
            f"The estimates of {len(doubted)} of {len(candidates)} candidates cannot be relied on in most splits; they "
            f"stand behind all others.{told}"
        )


def _caution(chosen: Standing) -> Iterator[str]:
    if chosen.candidate == LOGGER:
        return
    splits = chosen.answers["return"].splits
    if chosen.status != "untrusted" and not chosen.trusted:
        yield (
            f"Its estimate is trusted in {chosen.answers['return'].trusted} of {splits} splits; elsewhere few logged "
            f"episodes speak for it: {chosen.reasons[0]} It may take a larger log to certify it."
        )
    yield (
        f"Bounds are averages over {splits} split{'s' * (splits > 1)}, and the best of several is no longer a bound: "
        "evaluate the chosen policy on episodes that had no part in this."
    )
