"""The training part on the device: encoded once, scaled once, laid out so that one index draws one transition."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from groundschool.algorithms.config import AlgorithmConfig, BCConfig, CQLConfig
from groundschool.algorithms.types import Algorithm, Batch
from groundschool.data import Dataset
from groundschool.data.transitions import known_finals
from groundschool.errors import InputError
from groundschool.policies.encoding import Encoder, fit_encoder, id_codes
from groundschool.policies.support import Support, fit_support, is_discrete

_LEAST = 1e-30  # no smaller propensity keeps its logarithm in single precision


class DeviceData(NamedTuple):
    """What the compiled loop draws from.

    The first ``n_transitions`` rows of ``features`` are the observations of the usable transitions, in order; behind
    them come observations that only ever follow, then padding that is never drawn, so that logs of about the same
    size share one compiled program. Where few observations are distinct, ``features`` has one row for each of those
    instead, and ``code`` maps the rows above to them.
    """

    n_transitions: Int[Array, ""]
    features: Float[Array, "rows inputs"]
    code: Int[Array, " rows"] | None
    action: Int[Array, " transitions"]
    reward: Float[Array, " transitions"]
    next_row: Int[Array, " transitions"]
    terminated: Float[Array, " transitions"]
    mask: Bool[Array, "transitions actions"] | None
    next_mask: Bool[Array, "transitions actions"] | None
    propensity: Float[Array, " transitions"] | None = None

    def draw(self, key: PRNGKeyArray, batch_size: int) -> Batch:
        """Draw transitions uniformly with replacement."""
        index = jax.random.randint(key, (batch_size,), 0, self.n_transitions)
        row, next_row = self._feature_row(index), self._feature_row(self.next_row[index])
        few = self.code is not None and self.features.shape[0] <= batch_size
        return Batch(
            features=self.features if few else self.features[row],
            action=self.action[index],
            reward=self.reward[index],
            next_features=self.features if few else self.features[next_row],
            terminated=self.terminated[index],
            mask=None if self.mask is None else self.mask[index],
            next_mask=None if self.next_mask is None else self.next_mask[index],
            row=row if few else None,
            next_row=next_row if few else None,
            propensity=None if self.propensity is None else self.propensity[index],
        )

    def _feature_row(self, row: Int[Array, " batch"]) -> Int[Array, " batch"]:
        return row if self.code is None else self.code[row]


class Prepared(NamedTuple):
    """Device data, and what the policy must carry because it was fitted here."""

    data: DeviceData
    encoder: Encoder
    n_actions: int
    reward_scale: float
    support: Support | None
    notes: tuple[str, ...]


def prepare(log: Dataset, algorithm: Algorithm, config: AlgorithmConfig, device: jax.Device) -> Prepared:
    """Fit encoder, reward scale and support on the training part and put it on the device.

    Raises
    ------
    InputError
        If actions are not discrete, there is only one, or an observation is infinite, or blank with no imputation
        declared.
    """
    if not log.is_discrete or log.n_actions is None:
        raise InputError(
            f"{algorithm.name} learns discrete actions; this log's actions are {log.actions.dtype} vectors"
        )
    if log.n_actions < 2:
        raise InputError(f"{algorithm.name}: the log has one action; say n_actions if there are more than were taken")
    last = log.starts[1:] - 1
    # The rule of Dataset.transitions: no target where what follows a truncation, or what it allows, is unknown.
    known = known_finals(log)
    unusable = np.zeros(log.n_steps, dtype=np.bool_)
    if algorithm.bootstraps:
        unusable[last] = ~log.terminated[last] & ~known
    usable, left_out = np.flatnonzero(~unusable), np.flatnonzero(unusable)
    if not usable.size:
        raise InputError(f"no usable transition: every episode is one truncated step without {_missing(log)}")

    encoder = fit_encoder(
        log.observations, config.encoding, frequencies=config.frequencies, n_ids=_final_ids(log), features=log.features
    )

    # Rows on the device: usable transitions, left-out ones (they still follow others), then final observations.
    row_of = np.empty(log.n_steps + 1, dtype=np.int32)
    row_of[usable] = np.arange(len(usable))
    row_of[left_out] = len(usable) + np.arange(len(left_out))
    next_row = row_of[np.minimum(np.arange(log.n_steps) + 1, log.n_steps - 1)]
    next_row[last] = row_of[:-1][last]
    observations = log.observations[np.concatenate([usable, left_out])]
    if log.final_observations is not None:
        next_row[last] = log.n_steps + np.arange(log.n_episodes)
        bootstrapped = known & ~log.terminated[last] & algorithm.bootstraps
        observations = np.concatenate([observations, _finals(log, encoder, bootstrapped)])
    features, code = _encode(encoder, encoder.impute(observations), config.batch_size)
    scale = _reward_scale(log, config)
    support = _fit_support(log, config)
    mask, next_mask = _masks(log, support, observations, usable, next_row[usable])
    rows: dict[str, Any] = {
        "features": features,
        "code": code,
        "action": log.actions[usable].astype(np.int32),
        "reward": (log.rewards[usable] / scale).astype(np.float32),
        "next_row": next_row[usable],
        "terminated": log.terminated[usable].astype(np.float32),
        "mask": mask,
        "next_mask": next_mask,
        "propensity": _propensities(log, usable, config),
    }
    arrays = {name: _padded(array) for name, array in rows.items()}
    arrays["n_transitions"] = np.asarray(len(usable), np.int32)
    notes = [f"Inputs: {encoder.describe()}.", *_describe_blanks(log, encoder)]
    if left_out.size:
        notes.append(
            f"{left_out.size} of {log.n_steps} transitions left out: truncated episodes without {_missing(log)}."
        )
    if algorithm.bootstraps:
        notes.append(f"Rewards divided by {scale:.6g} while learning.")
        notes.append(_describe_support(support, config))
    return Prepared(DeviceData(**jax.device_put(arrays, device)), encoder, log.n_actions, scale, support, tuple(notes))


def _propensities(log: Dataset, usable: NDArray[np.int64], config: AlgorithmConfig) -> NDArray[np.float32] | None:
    """Return logged propensities where the learner is asked to come near them.

    Raises
    ------
    InputError
        If there are none.
    """
    if not isinstance(config, BCConfig) or not config.propensity_weight:
        return None
    if log.propensities is None:
        raise InputError(
            "bc option 'propensity_weight' is above 0, and the log has no propensities, the logger's probability of "
            "each logged action. Name their column (propensity=), or leave the option out."
        )
    return np.maximum(log.propensities[usable], _LEAST).astype(np.float32)


def _missing(log: Dataset) -> str:
    masks_lost = log.action_masks is not None and log.final_action_masks is None
    return "a final action mask" if masks_lost and log.final_observations is not None else "a final observation"


def _final_ids(log: Dataset) -> int | None:
    """Return one more than the largest final state id, None where there are none."""
    if log.final_observations is None or log.observations.ndim > 1:
        return None
    return int(log.final_observations.max()) + 1


def _describe_blanks(log: Dataset, encoder: Encoder) -> list[str]:
    """Say which figures replace how many blanks."""
    if log.features is None or not any(column.impute is not None for column in encoder.columns):
        return []
    blank = np.isnan(log.observations.reshape(log.n_steps, -1)).sum(axis=0)
    parts = [
        f"{column.name} {column.impute:.6g} in {count:,} rows"
        for column, count in zip(encoder.columns, blank.tolist(), strict=True)
        if column.impute is not None and count
    ]
    if not parts:
        return ["Blanks would be imputed; the training part has none."]
    more = f"; and {len(parts) - 10} more" if len(parts) > 10 else ""
    return [f"Blanks imputed, of {log.n_steps:,} rows: {'; '.join(parts[:10])}{more}."]


def _finals(log: Dataset, encoder: Encoder, bootstrapped: NDArray[np.bool_]) -> NDArray[Any]:
    """Return final observations; the last one logged stands in for one with blanks that nothing is bootstrapped on."""
    finals = np.asarray(log.final_observations)
    if not encoder.columns:
        return np.where(finals < 0, log.observations[log.starts[1:] - 1], finals)
    blank = np.isnan(finals.reshape(len(finals), -1))
    lost = np.flatnonzero((blank & [column.impute is None for column in encoder.columns]).any(axis=1) & bootstrapped)
    if lost.size:
        raise InputError(
            f"final_observations: {lost.size} of {len(finals)} hold NaN after a truncated episode and nothing replaces "
            f"it (first: episode {log.episode_ids[lost[0]]}). Declare impute= for those columns in gs.Columns, or "
            "exclude those episodes before training."
        )
    # 0 * NaN is NaN.
    stands_in = blank.any(axis=1) & ~bootstrapped
    return np.where(stands_in.reshape(-1, *[1] * (finals.ndim - 1)), log.observations[log.starts[1:] - 1], finals)


def _padded(array: NDArray[Any] | None) -> NDArray[Any] | None:
    """Repeat the last row until the length has at most four leading bits: at most an eighth is padding."""
    if array is None:
        return None
    grain = 1 << max((len(array) - 1).bit_length() - 4, 0)
    extra = -len(array) % grain
    return np.concatenate([array, np.repeat(array[-1:], extra, axis=0)])


def _encode(encoder: Encoder, observations: NDArray[Any], batch_size: int) -> tuple[Any, Any]:
    """Return features and, where rows of them are few, which row each observation has."""
    if not encoder.columns:
        return id_codes(encoder.n_ids), observations.astype(np.int32)
    if is_discrete(observations):
        distinct, code = np.unique(observations.reshape(len(observations), -1), axis=0, return_inverse=True)
        if len(distinct) <= batch_size:
            return encoder(distinct.reshape(-1, *observations.shape[1:])), code.reshape(-1).astype(np.int32)
    return encoder(observations), None


def _reward_scale(log: Dataset, config: AlgorithmConfig) -> float:
    if not isinstance(config, CQLConfig):
        return 1.0
    if config.reward_scale != "auto":
        return float(config.reward_scale)
    for spread in (float(np.std(log.returns)), float(np.std(log.rewards)), float(np.max(np.abs(log.rewards)))):
        if spread > 1e-8:
            return spread
    return 1.0


def _fit_support(log: Dataset, config: AlgorithmConfig) -> Support | None:
    if not isinstance(config, CQLConfig) or config.support == "none" or log.n_actions is None:
        return None
    if config.support == "auto" and not is_discrete(log.observations):
        return None
    return fit_support(
        log.observations,
        log.actions,
        log.n_actions,
        min_count=config.support_min_count,
        min_share=config.support_min_share,
    )


def _describe_support(support: Support | None, config: AlgorithmConfig) -> str:
    if support is None or not isinstance(config, CQLConfig):
        return "Actions are not restricted to those the log supports."
    share = 1.0 - float(support.allowed.mean())
    return (
        f"Support: {len(support.allowed)} distinct observations; {share:.1%} of their actions excluded "
        f"(logged fewer than {config.support_min_count} times, or under {config.support_min_share:g} of the most "
        "frequent one)."
    )


def _masks(
    log: Dataset,
    support: Support | None,
    observations: NDArray[Any],
    usable: NDArray[np.int64],
    next_row: NDArray[np.int32],
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Return what the environment allowed now, and what it allowed and the log supports next."""
    allowed = log.action_masks
    supported = None if support is None else support(observations)[next_row]
    if allowed is None:
        return None, supported
    following = np.roll(allowed, -1, axis=0)
    ends = log.starts[1:] - 1
    following[ends] = True if log.final_action_masks is None else log.final_action_masks
    following = following[usable]
    if supported is None:
        return allowed[usable], following
    both = following & supported
    return allowed[usable], np.where(both.any(axis=1, keepdims=True), both, following)
