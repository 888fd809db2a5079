"""The rows that the self-test looks at, and the bets on them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from groundschool.data import Dataset
from groundschool.evaluation.diagnostics._claims import (
    BoolArray,
    FloatArray,
    IntArray,
    Rows,
    features_of,
    gaps,
    scattered,
)
from groundschool.evaluation.diagnostics._wager import log_evidence, log_mean_exp
from groundschool.evaluation.pose import Behavior
from groundschool.evaluation.states import count_states
from groundschool.evaluation.units import units_of

ALPHA = 0.001
LEAST_EVIDENCE = math.log(2.0 / ALPHA)
LEAST_EVIDENCE_SCATTERED = math.log(20.0)  # no logger that looks at the observation alone gets there at all
MATERIAL = 0.03
BLOCKS, BLOCKS_REGRESSED = 8, 4
_ENOUGH_UNITS = 200
_ROWS, _ROWS_REGRESSED = 40_000, 8_000


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Rows of whole units of a log, and which unit and episode each belongs to."""

    rows: Rows
    units: IntArray
    episodes: IntArray
    seed: int
    points: FloatArray | None  # observations, where they are not counted

    @property
    def exact(self) -> bool:
        """Whether all that propensities claim is known."""
        return self.rows.code is not None or self.rows.table is not None

    @classmethod
    def of(cls, log: Dataset, behavior: Behavior, signal: FloatArray, kept: BoolArray, seed: int) -> Part | None:
        assert log.n_actions is not None
        of_episode = units_of(log)
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
        return cls(rows, units, log.episode_index[at], seed, points)


def _rows_of(log: Dataset, units: IntArray, order: IntArray, size: IntArray, rows: int) -> BoolArray:
    """Return which rows are of the first units in the order, as many as reach a number of rows, but two at least."""
    enough = max(int(np.searchsorted(np.cumsum(size[order]), rows)) + 1, 2)
    chosen = np.zeros(len(order), np.bool_)
    chosen[order[:enough]] = True
    return np.asarray(np.repeat(chosen[units], log.lengths))


@dataclasses.dataclass(frozen=True)
class Test:
    """What bets on the gaps have won, and how large the gaps are.

    Units are dealt into blocks. What to bet on in one is learned from those before it, so that the winnings of all
    multiply.

    Attributes
    ----------
    balance, reproduction : float
        Logarithms of what was won on the surplus and on the advantage.
    imbalance : float
        Root mean square of what is claimed too much or too little for an action.
    difference, standard_error, z : float
        What the logger got, minus what is claimed; over units.
    scattered : bool
        Whether propensities vary as much in the same state and for the same action as they do overall, in a log that is
        large enough for it to say something.
    """

    balance: float
    imbalance: float
    reproduction: float
    difference: float
    standard_error: float
    z: float
    scattered: bool

    @property
    def unbalanced(self) -> bool:
        """Whether actions were taken more, or less, often than claimed: beyond chance, and by enough to matter."""
        least = LEAST_EVIDENCE_SCATTERED if self.scattered else LEAST_EVIDENCE
        return self.balance >= least and self.imbalance >= MATERIAL

    @property
    def missed(self) -> bool:
        """Whether a logger with the claimed probabilities would have got something else."""
        return self.reproduction >= LEAST_EVIDENCE

    @classmethod
    def of(cls, part: Part) -> Test:
        units = np.unique(part.units, return_inverse=True)[1]
        n_units = int(units.max()) + 1
        blocks = min(BLOCKS if part.rows.code is not None else BLOCKS_REGRESSED, n_units)
        block = (np.random.default_rng(part.seed).permutation(n_units) * blocks // n_units)[units]
        surplus, advantage, share = (np.zeros(len(units)) for _ in range(3))
        for later in range(1, blocks):
            judge = np.flatnonzero(block == later)
            found = gaps(part.rows, np.flatnonzero(block < later), judge)
            surplus[judge], advantage[judge] = found.surplus, found.advantage
            share[judge] = found.advantage / found.span if found.span > 0 else 0.0
        judged = block > 0
        by_unit = np.bincount(units, weights=advantage)
        error = math.sqrt(float(np.square(by_unit).sum()))
        episodes = max(len(np.unique(part.episodes[judged])), 1)
        return cls(
            balance=log_evidence(2.0 * surplus[judged]),
            imbalance=math.sqrt(max(float(surplus[judged].mean()), 0.0)),
            reproduction=log_mean_exp(np.array([log_evidence(way * share[judged]) for way in (-2.0, 2.0)])),
            difference=float(by_unit.sum()) / episodes,
            standard_error=error / episodes,
            z=float(by_unit.sum()) / error if error > 0 else 0.0,
            scattered=part.rows.code is not None and n_units >= _ENOUGH_UNITS and scattered(part.rows),
        )
