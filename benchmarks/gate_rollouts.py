"""Rollouts that stop: wrong decisions, and episodes needed, against Wald's test.

Question: an event is truly 1 % against a limit of 5 %, truly 10 % against 5 %, or at the limit. How often does a
campaign decide wrongly, and how many episodes does it take?

Ours is the stopping rule of ``gs.campaign`` (``groundschool.safety.stopping.StoppingRule``, the boundaries that a
campaign compares its count with after every episode), design "sequential", confidence 95 %, cap 5,000 episodes, both
decisions possible after every one. Beside it stands Wald's sequential probability ratio test (Wald 1945,
doi:10.1214/aoms/1177731118) with both of his errors at 5 %, boundaries log(.95 / .05) and log(.05 / .95), of the limit
against the one alternative that is true: 5 % against 1 %, and 5 % against 10 %. Wald's test has to be told that
alternative beforehand; ours is not told. The design "fixed" stands beside, at the least number of episodes that decides
both cases in 95 % of campaigns.

Each world has simulated campaigns, and the exact figures by recursion over the number of events. Bars: wrong decisions
at most 5 % by a one-sided binomial test at family-wise 5 % (Holm's first step: 5 % over the number of tests); mean
episodes at most 1.4 times Wald's.

    python benchmarks/gate_rollouts.py --json benchmarks/results/gate_rollouts.json
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from machine import record, write
from numpy.typing import NDArray
from scipy import stats

from groundschool.safety.stopping import StoppingRule

LIMIT, DELTA, CAP, BAR = 0.05, 0.05, 5_000, 1.4
WORLDS = {"1 % against 5 %": (0.01, "safe"), "10 % against 5 %": (0.10, "harm"), "5 %, the limit": (0.05, None)}

Boundaries = tuple[NDArray[np.int64], NDArray[np.int64]]


def wald(alternative: float) -> Boundaries:
    """Return for each number of episodes the most events that say safe, and the least that say harm."""
    n = np.arange(CAP + 1)
    event, none = math.log(alternative / LIMIT), math.log((1.0 - alternative) / (1.0 - LIMIT))
    level = math.log((1.0 - DELTA) / DELTA)
    # x events among n: the ratio is x * event + (n - x) * none, for the alternative where it is large.
    for_it, against = (level - n * none) / (event - none), (-level - n * none) / (event - none)
    safe, harm = (for_it, against) if alternative < LIMIT else (against, for_it)
    return np.floor(safe + 1e-9).astype(np.int64), np.ceil(harm - 1e-9).astype(np.int64)


def simulated(
    boundaries: Boundaries, p: float, campaigns: int, seed: int
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the decision of each campaign, and its episodes."""
    rng = np.random.default_rng(seed)
    decisions, episodes = np.full(campaigns, "undecided"), np.full(campaigns, CAP)
    safe_to, harm_from = boundaries
    events, going = np.zeros(campaigns, np.int64), np.arange(campaigns)
    for n in range(1, CAP + 1):
        events[going] += rng.random(len(going)) < p
        harm, safe = events[going] >= harm_from[n], events[going] <= safe_to[n]
        for word, ended in (("harm", harm), ("safe", safe & ~harm)):
            decisions[going[ended]], episodes[going[ended]] = word, n
        going = going[~(harm | safe)]
        if not len(going):
            break
    return decisions, episodes


def exact(boundaries: Boundaries, p: float) -> dict[str, float]:
    """Return the probabilities of the decisions, and the mean number of episodes."""
    safe_to, harm_from = boundaries
    alive, count = np.zeros(CAP + 2), np.arange(CAP + 2)
    alive[0], mean, harm, safe = 1.0, 0.0, 0.0, 0.0
    for n in range(1, CAP + 1):
        mean += float(alive.sum())
        alive = alive * (1.0 - p) + p * np.concatenate([[0.0], alive[:-1]])
        bad, good = count >= harm_from[n], count <= safe_to[n]
        harm, safe = harm + float(alive[bad].sum()), safe + float(alive[good & ~bad].sum())
        alive[bad | good] = 0.0
    return {"harm": harm, "safe": safe, "undecided": float(alive.sum()), "mean_episodes": mean}


def summary(decisions: NDArray[np.str_], episodes: NDArray[np.int64]) -> dict[str, Any]:
    shares = {word: float((decisions == word).mean()) for word in ("harm", "safe", "undecided")}
    quantiles = {f"episodes_{q}%": float(np.quantile(episodes, q / 100)) for q in (50, 95)}
    error = float(episodes.std(ddof=1) / math.sqrt(len(episodes)))
    return {**shares, "mean_episodes": float(episodes.mean()), "mean_episodes_se": error, **quantiles}


def fixed_number() -> int:
    """Return the least number at which Clopper-Pearson decides both off-limit worlds in 95 % of campaigns."""
    for n in range(59, CAP):
        counts = np.arange(n + 1)
        safe = np.flatnonzero(stats.binom.cdf(counts, n, LIMIT) <= DELTA).max(initial=-1)
        harm = np.flatnonzero(stats.binom.sf(counts - 1, n, LIMIT) <= DELTA).min(initial=n + 1)
        if stats.binom.cdf(safe, n, 0.01) >= 0.95 and stats.binom.sf(harm - 1, n, 0.10) >= 0.95:
            return n
    raise AssertionError("no number of episodes within the cap")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaigns", type=int, default=20_000, help="in each world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = record("rollouts that stop: wrong decisions, and episodes needed, against Wald's test")
    result |= {"limit": LIMIT, "delta": DELTA, "cap": CAP, "bar": BAR, "campaigns": options.campaigns, "worlds": {}}

    n_fixed = fixed_number()
    rules = {"sequential": StoppingRule(LIMIT, 1.0 - DELTA, CAP).boundaries}
    fixed = StoppingRule(LIMIT, 1.0 - DELTA, n_fixed, design="fixed")
    padded = np.full((2, CAP + 1), [[-1], [CAP + 1]])
    padded[:, : n_fixed + 1] = fixed.boundaries
    padded[0, n_fixed] = padded[1, n_fixed] - 1  # the end: what is not harm stops there too
    tests = 2 * len(WORLDS)
    for index, (world, (p, right)) in enumerate(WORLDS.items()):
        found: dict[str, Any] = {"probability": p}
        decisions, episodes = simulated(rules["sequential"], p, options.campaigns, options.seed + index)
        ours = {**summary(decisions, episodes), "exact": exact(rules["sequential"], p)}
        found["ours"] = ours
        wrong = [word for word in ("harm", "safe") if word != right]
        found["wrong"] = {}
        for word in wrong:
            count = int((decisions == word).sum())
            chance = float(stats.binom.sf(count - 1, options.campaigns, DELTA))
            found["wrong"][word] = {"campaigns": count, "p_value": chance, "kept": chance > DELTA / tests}
        for alternative in (0.01, 0.10) if right is None else (p,):
            boundaries = wald(alternative)
            theirs = {**summary(*simulated(boundaries, p, options.campaigns, options.seed + 100 + index))}
            theirs["exact"] = exact(boundaries, p)
            found[f"Wald, 5 % against {alternative:.0%}".replace("%", " %").replace("  ", " ")] = theirs
        if right is not None:
            found["ratio"] = ours["mean_episodes"] / theirs["mean_episodes"]
            found["ratio_exact"] = ours["exact"]["mean_episodes"] / theirs["exact"]["mean_episodes"]
            found["ratio_kept"] = found["ratio"] <= BAR and found["ratio_exact"] <= BAR
            n, (safe_to, harm_from) = n_fixed, fixed.boundaries
            found["fixed"] = {
                "episodes": n,
                "safe": float(stats.binom.cdf(safe_to[n], n, p)),
                "harm": float(stats.binom.sf(harm_from[n] - 1, n, p)),
                "mean_episodes": exact((padded[0], padded[1]), p)["mean_episodes"],
            }
        result["worlds"][world] = found
        errors = ", ".join(f"{word} {ours[word]:.2%} (exact {ours['exact'][word]:.2%})" for word in wrong)
        ratio = f", {found['ratio']:.2f} times Wald's" if right is not None else ""
        print(
            f"{world}: wrong: {errors}; undecided {ours['undecided']:.2%}; episodes {ours['mean_episodes']:.1f}{ratio}"
        )
        if right is not None:
            print(f"  {right} {ours[right]:.2%}; Wald {theirs['mean_episodes']:.1f} episodes; fixed {found['fixed']}")
    every = [one["kept"] for found in result["worlds"].values() for one in found["wrong"].values()]
    every += [found["ratio_kept"] for found in result["worlds"].values() if "ratio_kept" in found]
    result["all_bars_kept"] = all(every)
    print(f"all bars kept: {result['all_bars_kept']}")
    write(result, options.json)


if __name__ == "__main__":
    main()
