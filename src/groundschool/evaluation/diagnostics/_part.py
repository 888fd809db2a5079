"""The rows that the self-test looks at, and the bets on them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.diagnostics._claims import BoolArray, FloatArray, IntArray, Rows, features_of, gaps
from groundschool.evaluation.diagnostics._wager import log_evidence, log_mean_exp
from groundschool.evaluation.pose import Behavior
from groundschool.evaluation.states import count_states

ALPHA = 0.001
LEAST_EVIDENCE = math.log(2.0 / ALPHA)
MATERIAL = 0.03
_ROWS, _ROWS_REGRESSED = 40_000, 8_000


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Rows of whole units of a log, which unit each belongs to, and how many episodes they are."""

    rows: Rows
    units: IntArray
    n_episodes: int
    seed: int
    points: FloatArray | None  # observations, where they are not counted

    @property
    def exact(self) -> bool:
        """Whether all that propensities claim is known."""
        return self.rows.code is not None or self.rows.table is not None

    @classmethod
    def of(cls, log: Dataset, behavior: Behavior, signal: FloatArray, kept: BoolArray, seed: int) -> Part | None:
        assert log.n_actions is not None
        of_episode = np.arange(log.n_episodes)
        if log.groups is not None:
            of_episode = np.unique(log.groups, return_inverse=True)[1].reshape(-1)
        if log.n_actions < 2 or of_episode.max() == 0:
            return None
        rng = np.random.default_rng(seed)
        order = rng.permutation(int(of_episode.max()) + 1)
        size = np.bincount(of_episode, weights=log.lengths).astype(np.int64)
        at = _rows_of(log, of_episode, order, size, _ROWS) & kept
        masks = log.action_masks
        counted = count_states(log.observations[at], None if masks is None else masks[at])
        if counted is None:
            at = _rows_of(log, of_episode, order, size, _ROWS_REGRESSED) & kept
        total = np.cumsum(signal)
        to_go = np.repeat(total[log.starts[1:] - 1], log.lengths) - total + signal
        p, actions = behavior.propensities[at], log.actions[at]
        table = None if behavior.table is None else behavior.table[at]
        some = None if masks is None else masks[at]
        features = points = None
        if counted is None:
            if table is None and log.n_actions == 2:
                table = np.where(np.arange(2) == actions[:, None], p[:, None], 1.0 - p[:, None])
            features = features_of(log.observations[at], some, seed)
            points = log.observations[at].reshape(len(actions), -1).astype(np.float64)
        code = None if counted is None else counted[0]
        rows = Rows(actions, p, table, code, features, some, to_go[at], log.n_actions)
        units = np.repeat(of_episode, log.lengths)[at]
        return cls(rows, units, len(np.unique(log.episode_index[at])), seed, points)


def _rows_of(log: Dataset, units: IntArray, order: IntArray, size: IntArray, rows: int) -> BoolArray:
    """Return which rows are of the first units in the order, as many as reach a number of rows, but two at least."""
    enough = max(int(np.searchsorted(np.cumsum(size[order]), rows)) + 1, 2)
    chosen = np.zeros(len(order), np.bool_)
    chosen[order[:enough]] = True
    return np.asarray(np.repeat(chosen[units], log.lengths))


@dataclasses.dataclass(frozen=True)
class Test:
    """What bets on the gaps have won, and how large the gaps are.

    Attributes
    ----------
    balance, reproduction : float
        Logarithms of what was won on the surplus and on the advantage.
    imbalance : float
        Root mean square of what is claimed too much or too little for an action.
    difference, standard_error, z : float
        What the logger got, minus what is claimed; over units.
    """

    balance: float
    imbalance: float
    reproduction: float
    difference: float
    standard_error: float
    z: float

    @property
    def unbalanced(self) -> bool:
        """Whether actions were taken more, or less, often than claimed: beyond chance, and by enough to matter."""
        return self.balance >= LEAST_EVIDENCE and self.imbalance >= MATERIAL

    @property
    def missed(self) -> bool:
        """Whether a logger with the claimed probabilities would have got something else."""
        return self.reproduction >= LEAST_EVIDENCE

    @classmethod
    def of(cls, part: Part) -> Test:
        units = np.unique(part.units, return_inverse=True)[1]
        half = (np.random.default_rng(part.seed).permutation(int(units.max()) + 1) % 2)[units]
        balance, reproduction, surplus = [], [0.0], 0.0
        advantage = np.zeros(len(units))
        for own in (0, 1):
            judge = np.flatnonzero(half == own)
            found = gaps(part.rows, np.flatnonzero(half != own), judge)
            balance.append(log_evidence(2.0 * found.surplus))
            surplus += float(found.surplus.sum())
            advantage[judge] = found.advantage
            if found.span > 0:
                share = 2.0 * found.advantage / found.span
                reproduction += [log_evidence(share), log_evidence(-share)]
        by_unit = np.bincount(units, weights=advantage)
        error = math.sqrt(float(np.square(by_unit).sum()))
        return cls(
            balance=log_mean_exp(np.array(balance)),
            imbalance=math.sqrt(max(surplus / len(units), 0.0)),
            reproduction=log_mean_exp(np.array(reproduction)),
            difference=float(by_unit.sum()) / part.n_episodes,
            standard_error=error / part.n_episodes,
            z=float(by_unit.sum()) / error if error > 0 else 0.0,
        )
