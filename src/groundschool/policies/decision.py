"""One decision of a guarded policy: the action, and in one word and one sentence why it is that one."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Reason(enum.StrEnum):
    """Why an action was taken. All but ``POLICY`` are interventions; where several apply, the first found is named."""

    POLICY = "policy"
    """The policy decided, and nothing spoke against it."""
    SUSPENDED = "suspended"
    """The guard intervened more often than its limits allow: the fallback acts until somebody resets it."""
    UNREADABLE = "unreadable_observation"
    """The observation has another shape or type than those of the log."""
    NOT_FINITE = "blank_or_infinite"
    """A value is infinite, or blank where nothing replaces a blank."""
    OUT_OF_RANGE = "out_of_range"
    """A value is outside the range declared for it, or far outside the range logged."""
    NOVEL = "novel_observation"
    """The observation is unlike those of the log."""
    RULE = "rule"
    """A rule demands the fallback, or forbids the action that the policy proposed."""
    HARM = "logged_harm"
    """The log shows that the proposed action was followed by harm there."""
    UNUSABLE_MASK = "unusable_mask"
    """The action mask is no array of flags, one an action, or it allows nothing."""
    MASKED = "masked_action"
    """The policy proposed an action that the mask forbids."""
    UNSUPPORTED = "unsupported_action"
    """The proposed action was not logged often enough there."""
    POLICY_FAILED = "policy_failed"
    """The policy raised an error, or answered with something that is no distribution over the actions."""
    FALLBACK_FAILED = "fallback_failed"
    """The fallback was to act, and failed or proposed only forbidden actions: the last resort acted."""
    NOTHING_ALLOWED = "nothing_allowed"
    """Rules forbid every action that the mask allows: the last resort acted, among what the mask allows."""
    GUARD_FAILED = "guard_failed"
    """The guard itself failed: the last resort acted. Please report it."""


REASONS = tuple(Reason)
INDEX = {reason: index for index, reason in enumerate(REASONS)}


class Decision(NamedTuple):
    """What to do now.

    Attributes
    ----------
    action : int
    reason : Reason
        A string, such as ``"policy"`` or ``"novel_observation"``.
    intervened : bool
        Whether anybody but the policy decided.
    detail : str
        A sentence for a log of decisions; empty where the policy decided.
    """

    action: int
    reason: Reason
    intervened: bool
    detail: str = ""
