"""History's gain where observations and actions repeat: in log-likelihood, by counting."""

from __future__ import annotations

import numpy as np

from groundschool.data.checks._gain import FOLDS, LEAST_ROWS, MATERIAL_LOSS, MATERIAL_NATS, HistoryGain, Rows
from groundschool.data.checks._prediction import tabulate
from groundschool.data.checks._sample import codes, folds
from groundschool.data.checks._statistics import mean_above
from groundschool.data.validation import Array

_ROWS_A_CONTEXT = 20
_STEPS = (2, 4, 8, 16, 32)
_SIGNED = 4


def by_table(rows: Rows, at: Array, ids: bool, seed: int) -> HistoryGain | None:
    """Return the gain in log-likelihood, None where contexts hardly repeat."""
    if rows.target == "observation":
        at = at[np.isfinite(rows.then[at]).all(axis=1)]
    if len(at) < LEAST_ROWS:
        return None
    seen, before, action, acted = rows.seen[at], rows.seen[at - 1], rows.actions[at], rows.actions[at - 1]
    if rows.target == "action":
        context, results = codes(seen), {"the action": action}
    else:
        context = codes(np.column_stack([seen, action]))
        results = {"the next observation": codes(rows.then[at]), "the outcome of the step": rows.outcome[at]}
        results = {name: result for name, result in results.items() if np.ptp(result) > 0}
    if not results or len(at) < _ROWS_A_CONTEXT * (int(context.max()) + 1):
        return None
    unit = np.unique(rows.unit[at], return_inverse=True)[1].reshape(-1)
    fold = folds(unit, FOLDS, seed)
    histories = _histories(seen, before, acted, rows.step[at], ids)
    found = []
    for name, result in results.items():
        table = tabulate(result, context, list(histories.values()), fold)
        gains = table.history - table.base
        gain, without = float(gains.mean()), float(table.base.mean())
        found.append(
            HistoryGain(
                target=rows.target,
                method="table",
                gain=gain,
                threshold=max(MATERIAL_NATS, -MATERIAL_LOSS * without),
                without=without,
                with_history=without + gain,
                judged_gain=gain,
                p_value=min(1.0, len(results) * mean_above(np.bincount(unit, weights=gains))),
                history=list(histories)[int(table.shares.argmax())],
                predicted=name,
                feature=None,
                n_rows=len(at),
                n_units=int(unit.max()) + 1,
            )
        )
    return max(found, key=lambda one: (one.found, one.gain / one.threshold))


def _histories(seen: Array, before: Array, acted: Array, step: Array, ids: bool) -> dict[str, list[Array]]:
    """Return what to know besides, by name, coarse before fine."""
    fine = [codes(np.column_stack([before, acted]))]
    if not ids and seen.shape[1] <= _SIGNED:
        signs = np.sign(seen - before)
        fine = [codes(signs), codes(np.column_stack([signs, acted])), *fine]
    times = [_boxes(step, count) for count in _STEPS]
    both = [codes(np.column_stack([fine[0], time])) for time in times[1:3]]
    return {
        "the step before": fine,
        "the time in the episode": times,
        "the step before, with the time in the episode,": [fine[0], *both],
    }


def _boxes(step: Array, count: int) -> Array:
    """Return steps in at most `count` boxes of about the same number of rows."""
    edges = np.unique(np.quantile(step, np.linspace(0.0, 1.0, count + 1)[1:-1]))
    return np.asarray(np.searchsorted(edges, step, side="left"))
