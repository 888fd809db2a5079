"""A card of what passed the gate: what it is, what was shown of it, and what only a person knows, marked as a gap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from groundschool.report.markdown import bullets, escaped, gap, table
from groundschool.report.words import number, percent


def model_card(facts: Mapping[str, Any]) -> str:
    """Return a model card (Mitchell et al. 2019, arXiv:1810.03993) in Markdown, from a report's JSON.

    Parameters
    ----------
    facts : mapping
        Of a study with a verdict. No row of the log and no id of an episode is in it.
    """
    verdict = facts["verdict"]
    parts = [
        f"# {escaped(verdict['policy'])}",
        f"**{verdict['decision']}.** {escaped(verdict['claim'])}",
        "GO means that the stated criteria held under the assumptions below. It is no clearance by any regulator.",
        "## What it is",
        bullets(*_details(facts)),
        "## Intended use",
        bullets(
            gap("for whom it decides, where, and who answers for it"),
            gap("what it must not be used for"),
        ),
        "## What it learned from",
        bullets(*_data(facts["log"])),
        "## What was shown, on episodes that nothing else looked at",
        _shown(verdict),
    ]
    if verdict["guard"]:
        parts += ["## The guard that ships with it", bullets(*(escaped(one) for one in verdict["guard"]))]
    parts += [
        "## What this rests on, and what would break it",
        bullets(*(escaped(one) for one in verdict["assumptions"])),
        "## What is not known",
        bullets(
            *_represented(verdict["represented"]),
            gap("how the policy is watched once it acts, and who can stop it"),
        ),
        "## Using it",
        '```python\nimport groundschool as gs\n\npolicy = gs.load("bundle")  # NumPy and safetensors are enough\n```',
        "## Fingerprints and versions",
        table(
            ("of", "value"),
            [
                *((f"{escaped(name)}", f"`{value[:16]}`") for name, value in verdict["fingerprints"].items() if value),
                *((escaped(name), escaped(version)) for name, version in facts["versions"].items()),
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _details(facts: Mapping[str, Any]) -> Iterator[str]:
    verdict = facts["verdict"]
    name = verdict["policy"].removesuffix(", guarded")
    policy = next((one for one in facts["policies"] if one["name"] == name), None)
    yield f"Study: {escaped(facts['title'])}, {escaped(facts['created'][:10])}"
    if policy is not None and policy["training"]:
        trained = policy["training"]
        how = f"Trained by {escaped(trained['algorithm'])}, {number(trained['steps'])} steps"
        if not trained["steps"]:
            how = f"Counted from the log by {escaped(trained['algorithm'])}"
        yield f"{how}, seed {trained['seed']}, on {number(trained['episodes'])} episodes of the log"
    if policy is not None and policy["encoding"]:
        yield f"Observations enter as {escaped(policy['encoding'])}"


def _data(log: Mapping[str, Any]) -> Iterator[str]:
    steps, horizon = number(log["steps"]), number(log["horizon"])
    yield f"{number(log['episodes'])} episodes, {steps} steps, at most {horizon} an episode"
    yield f"Who wrote it: {escaped(log['behavior'])}"
    yield f"Propensities: {'recorded' if log['propensities'] else 'not recorded'}"
    for name, share in log["probabilities"].items():
        yield f"{escaped(name)} in {percent(share['value'])} of its episodes"


def _represented(found: Mapping[str, Any] | None) -> Iterator[str]:
    """Say who is hardly among the judged episodes; what nobody declared is a gap for a person to fill."""
    if found is None or not found["groupings"]:
        yield gap("groups that the log holds too few of")
    if found is None:
        return
    yield from (escaped(one) for one in found["sentences"])
    for grouping in found["groupings"]:
        counts = "; ".join(f"{group['name']}: {group['judged']}" for group in grouping["groups"])
        yield escaped(f"Judged episodes by {grouping['by']}: {counts}.")
    yield escaped(found["regions"])


def _shown(verdict: Mapping[str, Any]) -> str:
    rows = []
    for one in verdict["arguments"]:
        side = "at most" if one["is_cost"] else "at least"
        bound = "none" if one["bound"] is None else f"{side} {number(one['bound'], 3)}"
        rows.append((escaped(one["criterion"]), one["status"], number(one["value"], 3), bound, one["assurance"]))
    level = percent(verdict["confidence"], 1)
    head = ("criterion", "found", "estimate", f"bound, {level} one-sided", "assurance")
    return f"{number(verdict['episodes'])} held-out episodes.\n\n{table(head, rows)}"
