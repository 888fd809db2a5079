"""Stop when learning has left the range of possible values, and say why."""

from __future__ import annotations

import numpy as np

from groundschool.algorithms.config import AlgorithmConfig, CQLConfig
from groundschool.data import Dataset
from groundschool.errors import DivergenceError
from groundschool.training.loop import Chunk, Member

SLACK = 10.0


def value_limit(log: Dataset, config: AlgorithmConfig, reward_scale: float) -> float:
    """Return the largest size an action value may reach before training is stopped: ten times what rewards allow.

    No discounted return exceeds the largest reward times ``1 / (1 - discount)``. The horizon is no bound: past a
    truncation values go on. Without discounting there is no other.
    """
    if not isinstance(config, CQLConfig):
        return float("inf")
    span = 1.0 / (1.0 - config.discount) if config.discount < 1.0 else float(log.horizon)
    return SLACK * max(float(np.max(np.abs(log.rewards))) / reward_scale * span, 1.0)


def check(chunk: Chunk, members: list[Member], limits: list[float]) -> None:
    """Raise for the first member that diverged.

    Raises
    ------
    DivergenceError
        With the metric, the step and the likely remedies.
    """
    for index, (member, limit) in enumerate(zip(members, limits, strict=True)):
        broken = [name for name, values in chunk.metrics.items() if not np.isfinite(values[index])]
        size = float(chunk.metrics["largest_value"][index]) if "largest_value" in chunk.metrics else 0.0
        if not broken and size <= limit:
            continue
        what = f"{broken[0]} is not finite" if broken else f"action values reached {size:.3g} reward scales"
        if not broken:
            what += f", over ten times the {limit / SLACK:.3g} that rewards and discount allow"
        raise DivergenceError(
            f"training (seed {member.seed}) diverged by step {chunk.step}: {what}. {_remedy(member.config)}"
        )


def _remedy(config: AlgorithmConfig) -> str:
    remedies = [f"lower learning_rate (now {config.learning_rate:g})"]
    if config.gradient_clip is None:
        remedies.append("set gradient_clip (for example 10)")
    if isinstance(config, CQLConfig):
        if config.target_every is None:
            remedies.append(f"lower target_rate (now {config.target_rate:g})")
        if config.reward_scale != "auto":
            remedies.append(f'set reward_scale="auto" (now {config.reward_scale:g})')
        remedies.append(f"raise conservative_weight (now {config.conservative_weight:g})")
    return f"Try, in this order: {'; '.join(remedies)}."
