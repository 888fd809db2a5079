"""When to stop counting harm: the rule that a campaign follows, and that a benchmark can follow without any episode.

Two designs. "sequential" looks after every episode: evidence from a beta mixture (`sequential.py`) against "the
probability is at least the limit" stops for success, against "at most the limit" for harm. "fixed" decides once, at a
number of episodes said beforehand, by the bounds of Clopper & Pearson 1934 (doi:10.1093/biomet/26.4.404); it ends
early only where the events seen already make "harm" certain whatever the rest would show, so that its decision is
that of the full number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from groundschool.errors import InputError, suggest
from groundschool.safety import sequential
from groundschool.safety.further import POWER, rolled_out_episodes

IntArray = NDArray[np.int64]

Decision = Literal["harm", "safe", "undecided"]
Design = Literal["sequential", "fixed"]

NEVER_SAFE = -1
MOST_EPISODES = 100_000  # nobody plans for more rollouts than this
_STEPS = 400  # numbers of episodes looked at when it is said how many more would decide


@dataclass(frozen=True)
class StoppingRule:
    """Whether an event is less probable than a limit, or more, from one episode after the other.

    Parameters
    ----------
    limit : float
        In (0, 1).
    confidence : float
        From 0.5 to below 1. "safe" is said with probability ``1 - confidence`` at most where the probability is at
        least the limit, "harm" with at most that where it is at most the limit.
    max_episodes : int
        The cap; in the design "fixed", the number at which is decided.
    min_episodes : int
        "safe" is not said before; harm stops at any time.
    design : "sequential" or "fixed"

    Raises
    ------
    InputError
        For values outside their ranges, and where not even a campaign without any event could end in "safe".
    """

    limit: float
    confidence: float
    max_episodes: int
    min_episodes: int = 1
    design: Design = "sequential"

    def __post_init__(self) -> None:
        if self.design not in get_args(Design):
            hint = suggest(self.design, get_args(Design)) if isinstance(self.design, str) else ""
            raise InputError(f"design is {self.design!r}, expected 'sequential' or 'fixed'.{hint}")
        if not 0.0 < self.limit < 1.0:
            raise InputError(f"limit is {self.limit!r}, expected a probability above 0 and below 1.")
        if isinstance(self.confidence, bool) or not 0.5 <= self.confidence < 1.0:
            raise InputError(f"confidence is {self.confidence!r}, expected a number from 0.5 to below 1, such as 0.95.")
        if not 1 <= self.min_episodes <= self.max_episodes <= MOST_EPISODES:
            raise InputError(
                f"min_episodes is {self.min_episodes} and max_episodes {self.max_episodes}, expected "
                f"1 <= min_episodes <= max_episodes <= {MOST_EPISODES:,}."
            )
        if self.max_episodes < self.clean_needed:
            needed = "more" if math.isinf(self.clean_needed) else f"{int(self.clean_needed):,}"
            raise InputError(
                f"a limit of {self.limit:g} cannot be shown with {self.max_episodes:,} episodes at confidence "
                f"{self.confidence:g}, even if none had an event: that takes {needed}. "
                "Raise max_episodes, or the limit."
            )

    @property
    def tail(self) -> float:
        """How often each wrong decision may be made, at most."""
        return 1.0 - self.confidence

    @cached_property
    def clean_needed(self) -> float:
        """The least number of episodes that end in "safe" if none has an event."""
        if self.design == "fixed":
            # (1 - limit) ** n <= tail, with room for the rounding of a quotient that is whole.
            return float(math.ceil(math.log(self.tail) / math.log1p(-self.limit) - 1e-9))
        low, high = 0, 1
        while not self._shown(sequential.evidence_below, 0, high):
            if high > MOST_EPISODES:
                return math.inf
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._shown(sequential.evidence_below, 0, middle) else (middle, high)
        return float(max(high, self.min_episodes))

    @cached_property
    def boundaries(self) -> tuple[IntArray, IntArray]:
        """Where it stops: after n episodes, with at most ``safe_to[n]`` events, or at least ``harm_from[n]``.

        Returns
        -------
        safe_to, harm_from : (max_episodes + 1,) int64
            ``NEVER_SAFE`` where no number of events says safe, n + 1 or more where none says harm.
        """
        return self._boundaries(self.max_episodes)

    def decide(self, events: int, possible: int, episodes: int) -> Decision | None:
        """Return what is decided after an episode; None to go on.

        Parameters
        ----------
        events : int
            Episodes that certainly had the event.
        possible : int
            Those, and the ones that were cut before it could be known. Harm is said by the first number, safety by
            the second.
        episodes : int
        """
        safe_to, harm_from = self.boundaries
        if events >= harm_from[episodes]:
            return "harm"
        if possible <= safe_to[episodes]:
            return "safe"
        return "undecided" if episodes >= self.max_episodes else None

    def bounds(self, events: int, possible: int, episodes: int, tail: float) -> tuple[float, float]:
        """Return the least and the largest probability that the count leaves possible where the rule has stopped.

        Parameters
        ----------
        events, possible, episodes : int
            As in `decide`.
        tail : float
            How often each bound may miss, at most.
        """
        if self.design == "sequential":
            return sequential.lower_bound(events, episodes, tail), sequential.upper_bound(possible, episodes, tail)
        # Whatever the episodes not run would have shown, it lies between none of them with an event and all of them.
        n = self.max_episodes
        most = possible + n - episodes
        lower = float(special.betaincinv(events, n - events + 1, tail)) if events else 0.0
        upper = float(special.betaincinv(most + 1, n - most, 1.0 - tail)) if most < n else 1.0
        return lower, upper

    def would_decide(self, rate: float) -> int | None:
        """Return how many episodes let a new campaign decide, in four of five cases, if events come at this rate.

        Returns
        -------
        int or None
            None where that is more than anybody plans for.
        """
        if rate == self.limit:
            return None
        if self.design == "fixed":
            n = rolled_out_episodes(rate, self.limit, self.tail)
            return None if n is None or n > MOST_EPISODES else max(n, self.min_episodes)
        for step in np.unique(np.geomspace(1, MOST_EPISODES, _STEPS).astype(np.int64)):
            n = int(step)
            if rate < self.limit and self._shown(sequential.evidence_below, int(stats.binom.ppf(POWER, n, rate)), n):
                return max(n, self.min_episodes)
            if rate > self.limit and self._shown(sequential.evidence_above, int(stats.binom.isf(POWER, n, rate)), n):
                return n
        return None

    def _shown(self, evidence: object, events: int, n: int) -> bool:
        assert callable(evidence)
        return bool(evidence(events, n, self.limit) >= -math.log(self.tail))

    def _boundaries(self, most: int) -> tuple[IntArray, IntArray]:
        n = np.arange(most + 1, dtype=np.int64)
        if self.design == "fixed":
            counts = np.arange(most + 1, dtype=np.int64)
            safe = np.flatnonzero(special.bdtr(counts, most, self.limit) <= self.tail)
            harm = np.flatnonzero(special.bdtrc(counts - 1, most, self.limit)[1:] <= self.tail) + 1
            safe_to = np.full(most + 1, NEVER_SAFE, np.int64)
            safe_to[most] = safe[-1] if len(safe) else NEVER_SAFE
            return safe_to, np.full(most + 1, harm[0] if len(harm) else most + 1, np.int64)
        # Evidence falls, or rises, with the events among n episodes: one bisection for all n at once.
        level = -math.log(self.tail)
        safe_to = _last(n, lambda events: sequential.evidence_below(events, n, self.limit) >= level)
        harm_from = 1 + _last(n, lambda events: sequential.evidence_above(events, n, self.limit) < level)
        safe_to[: self.min_episodes] = NEVER_SAFE
        return safe_to, harm_from


def _last(n: IntArray, holds: object) -> IntArray:
    """Return for each n the last number of events from 0 to n at which something holds that then never does again."""
    assert callable(holds)
    low, high = np.full_like(n, -1), n + 1
    while (open_ := high - low > 1).any():
        middle = np.where(open_, (low + high) // 2, np.clip(low, 0, n))
        held = holds(middle)
        low, high = np.where(open_ & held, middle, low), np.where(open_ & ~held, middle, high)
    return low
