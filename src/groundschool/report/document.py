"""The report as JSON: every number the page shows, at full precision; the page is made of this alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from groundschool.evaluation.tabular import ExactValue
from groundschool.report import evaluation_section, verdict_section
from groundschool.report.data_section import section
from groundschool.report.facts import LogFacts, PolicyFacts, ReportData
from groundschool.report.outcomes import event_names
from groundschool.report.reading import read

if TYPE_CHECKING:
    from groundschool.policies.record import TrainingRecord
    from groundschool.report.figures import Drawing

FORMAT = "groundschool.report"
VERSION = 1


def document(data: ReportData, drawings: Sequence[Drawing]) -> dict[str, Any]:
    """Return everything the page shows as JSON-ready values; what is infinite or undefined is None, its key present."""
    policies = [_policy(policy) for policy in data.policies]
    facts: dict[str, Any] = {
        "format": FORMAT,
        "format_version": VERSION,
        "title": data.title,
        "created": data.created,
        "command": data.command,
        "question": data.question,
        "verdict": verdict_section.section(data.outcome),
        "log": _log(data.log),
        "environment": data.environment,
        "online_episodes": sum(policy.rollout.episodes for policy in data.policies if policy.rollout is not None),
        "diagnosed_on": data.diagnosed_on,
        "offline": evaluation_section.heading(data),
        "events": _events(data),
        "policies": policies,
        "figures": [
            {"file": f"figures/{d.name}.png", **{key: value for key, value in d._asdict().items() if key != "figure"}}
            for d in drawings
        ],
        "timings": {
            "stages": [{"stage": stage, "seconds": float(wall)} for stage, wall in data.timings.items()],
            "total_seconds": float(sum(data.timings.values())),
        },
        "config": data.config,
        "versions": dict(data.versions),
        "device": data.device,
        "threads": data.threads,
        "seeds": dict(data.seeds),
        "fingerprints": dict(data.fingerprints),
        "notes": list(data.notes),
    }
    facts["reading"] = read(facts)
    cleaned: dict[str, Any] = jsonable(facts)
    return cleaned


def _events(data: ReportData) -> list[str]:
    """Return the costs and ends that policies are compared by, in the order they first appear."""
    shown = event_names([o for policy in data.policies for o in (policy.rollout, policy.exact) if o is not None])
    answered = [one.of for policy in data.policies if policy.offline is not None for one in policy.offline.estimates]
    costs = [of.partition(":")[2] for of in answered if of.startswith("probability:")]
    return list(dict.fromkeys([*shown, *costs]))


def jsonable(value: Any) -> Any:
    """Return nested values as JSON has them: arrays are lists, infinite and undefined numbers are None."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _log(log: LogFacts) -> dict[str, Any]:
    dataset = log.dataset
    total = sum(log.action_counts)
    names = [log.action_names[i] if i < len(log.action_names) else "" for i in range(len(log.action_counts))]
    return {
        "behavior": log.behavior,
        "episodes": dataset.n_episodes,
        "steps": dataset.n_steps,
        "horizon": dataset.horizon,
        "observation": _observation(dataset.observations),
        "n_actions": dataset.n_actions,
        "propensities": dataset.propensities is not None,
        "final_observations": dataset.final_observations is not None,
        "fingerprint": dataset.fingerprint,
        "return": log.return_.to_json(),
        "return_std": log.return_std,
        "length_mean": log.length_mean,
        "costs": {name: interval.to_json() for name, interval in log.costs.items()},
        "probabilities": {name: interval.to_json() for name, interval in log.probabilities.items()},
        "end_rates": {name: interval.to_json() for name, interval in log.end_rates.items()},
        "parts": dict(log.parts),
        "actions": [
            {"action": i, "name": name, "count": int(count), "share": count / total if total else None}
            for i, (name, count) in enumerate(zip(names, log.action_counts, strict=True))
        ],
        "dropped_transitions": log.dropped_transitions,
        "notes": list(log.notes),
        "checked": section(log),
    }


def _observation(observations: np.ndarray) -> str:
    if observations.ndim == 1:
        return "state ids"
    return " × ".join(str(size) for size in observations.shape[1:]) + f" numbers ({observations.dtype})"


def _policy(policy: PolicyFacts) -> dict[str, Any]:
    return {
        "name": policy.name,
        "role": policy.role,
        "color": policy.color,
        "encoding": policy.encoding,
        "rollout": None if policy.rollout is None else policy.rollout.summary(),
        "exact": None if policy.exact is None else _exact(policy.exact),
        "offline": evaluation_section.section(policy),
        "mismatch": None if policy.mismatch is None else policy.mismatch.summary(),
        "sanity": None if policy.sanity is None else policy.sanity.summary(),
        "calibration": None if policy.calibration is None else policy.calibration.summary(),
        "training": None if policy.training is None else _training(policy.training),
        "notes": list(policy.notes),
    }


def _exact(value: ExactValue) -> dict[str, Any]:
    facts = asdict(value)
    return {"return": facts.pop("return_"), **facts}


def _training(record: TrainingRecord) -> dict[str, Any]:
    facts = record.to_json()
    # The hashes stand for single episodes: their number is enough here, the bundle keeps them.
    facts["episodes"] = len(facts.pop("episode_hashes"))
    del facts["content_hashes"]
    facts["steps_per_second"] = record.steps / record.seconds if record.seconds > 0 else None
    facts["final"] = {name: curve[-1] for name, curve in record.curves.items() if curve and name != "step"}
    return facts
