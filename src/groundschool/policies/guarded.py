"""A policy behind its guard: the whole that is evaluated, gated and shipped.

The policy proposes, the guard disposes. In this order: an observation that is no observation of the log's kind, or
unlike those logged, is not shown to the policy; a rule may demand the fallback; then the policy proposes an action, and
where rules, the mask, or the log's support speak against it, the fallback acts in its place. The fallback is bound by
mask and rules too: what it would do is conditioned on what they permit, and where nothing is left of it, the last
resort acts, a fixed ranking of the actions.

`probabilities` is the exact distribution of all that, for evaluation; `decide` does it for one observation, with a
reason, and raises nothing. They agree while the guard is not suspended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.data.dataset import Dataset
from groundschool.errors import InputError
from groundschool.policies import schema as schemas
from groundschool.policies.asking import ask, ask_one, draw
from groundschool.policies.decision import INDEX, REASONS, Decision, Reason
from groundschool.policies.guard import Guard
from groundschool.policies.interventions import Interventions, interventions
from groundschool.policies.monitor import Monitor
from groundschool.policies.novelty import Counted, Measured
from groundschool.policies.policy import BoolArray, DiscretePolicy, FloatArray, Policy, check_masks, one_hot
from groundschool.policies.record import TrainingRecord

_BY_FAULT = {schemas.NOT_FINITE: Reason.NOT_FINITE, schemas.OUT_OF_RANGE: Reason.OUT_OF_RANGE}


class Composite(NamedTuple):
    """What a guarded policy does in each of N observations.

    Attributes
    ----------
    probabilities : array, shape (N, n_actions)
    reasons : array, shape (N, len(REASONS))
        The probability of each reason, in the order of `REASONS`; rows sum to 1.
    """

    probabilities: FloatArray
    reasons: FloatArray


class GuardedPolicy(DiscretePolicy):
    """A policy, its guard and its fallback; made by `groundschool.guard`.

    Parameters
    ----------
    policy : Policy
        Who proposes.
    guard : Guard
    fallback : Policy
        Who acts where the guard intervenes.
    name : str, optional
    training : TrainingRecord, optional
        Of the episodes that the guard and the fallback were fitted on.

    Attributes
    ----------
    monitor : Monitor
        Counts of decisions by reason, of this object since it was made.

    Raises
    ------
    InputError
        If the three are not about the same actions.
    """

    def __init__(
        self,
        policy: Policy,
        guard: Guard,
        fallback: Policy,
        *,
        name: str | None = None,
        training: TrainingRecord | None = None,
    ) -> None:
        for one, what in ((policy, "policy"), (fallback, "fallback")):
            if int(one.n_actions) != guard.n_actions:
                raise InputError(f"{what} {one.name!r} has {one.n_actions} actions, its guard {guard.n_actions}.")
        self.policy = policy
        self.guard = guard
        self.fallback = fallback
        self.name = name or f"{policy.name} guarded"
        self.n_actions = guard.n_actions
        self.training = training
        self.monitor = Monitor(guard.limits)
        self._everything = np.ones(self.n_actions, np.bool_)
        self._everything.flags.writeable = False
        self._counted = guard.novelty if isinstance(guard.novelty, Counted) else None
        self._measured = guard.novelty if isinstance(guard.novelty, Measured) else None

    def observe(self, reading: Mapping[str, float | None], previous: NDArray[Any] | None = None) -> NDArray[Any]:
        """Turn one raw reading into an observation, as the policy does."""
        if not hasattr(self.policy, "observe"):
            raise InputError(f"policy {self.policy.name!r} does not know its readings by name. Pass it arrays.")
        observation: NDArray[Any] = self.policy.observe(reading, previous)
        return observation

    def probabilities(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> FloatArray:
        """Return the composite's action probabilities, shape (N, n_actions).

        Values that are blank, infinite, out of range or novel are no error here: they are the fallback's, or the last
        resort's, as they are in `decide`.

        Parameters
        ----------
        observations : array, shape (N, d...) or (N,) integer ids
        masks : bool array, shape (N, n_actions), optional

        Raises
        ------
        InputError
            For observations or masks of another shape or type.
        """
        return self.compose(observations, masks=masks).probabilities

    def compose(self, observations: ArrayLike, *, masks: ArrayLike | None = None) -> Composite:
        """Return what `probabilities` does, with the probability of each reason."""
        x = self.guard.schema.read(observations)
        shape = (len(x), self.n_actions)
        allowed = np.ones(shape, np.bool_) if masks is None else check_masks(masks, shape)
        table = np.zeros(shape)
        reasons = np.zeros((len(x), len(REASONS)))
        faults = self.guard.schema.faults(x)
        for fault, reason in _BY_FAULT.items():
            reasons[faults == fault, INDEX[reason]] = 1.0
        rows = np.flatnonzero(faults != schemas.FINE)
        if len(rows):
            _, ruled = self.guard.rules.many(self.guard.schema.flat(x[rows]))
            permitted = allowed[rows] & ~ruled
            nothing = ~np.any(permitted, axis=1, keepdims=True)
            table[rows] = self._last_resort(np.where(nothing, allowed[rows], permitted))
        rows = np.flatnonzero(faults == schemas.FINE)
        if len(rows):
            table[rows], reasons[rows] = self._readable(x[rows], allowed[rows], masked=masks is not None)
        return Composite(table, reasons)

    @property
    def usual_weight(self) -> float | None:
        """That of the policy: the guard seldom steps in."""
        weight: float | None = getattr(self.policy, "usual_weight", None)
        return weight

    def coarse_ratios(
        self, observations: ArrayLike, actions: ArrayLike, propensities: ArrayLike, *, masks: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray] | None:
        """Return what `ReweightedPolicy.coarse_ratios` does, of the composite; None around another policy."""
        inner = getattr(self.policy, "coarse_ratios", None)
        if inner is None:
            return None
        now = self.probabilities(observations, masks=masks)
        found: tuple[FloatArray, FloatArray] | None = inner(observations, actions, propensities, masks=masks, now=now)
        return found

    def interventions(self, log: Dataset) -> Interventions:
        """Work out how often, and why, the guard would step in at the observations of a log.

        They are those that the logger met. Who follows the guarded policy meets others.

        Raises
        ------
        InputError
            If the log holds other observations or actions.
        """
        if log.n_actions != self.n_actions:
            raise InputError(f"the log has {log.n_actions} actions, policy {self.name!r} has {self.n_actions}.")
        return interventions(log, self.compose(log.observations, masks=log.action_masks).reasons)

    def _readable(self, x: NDArray[Any], allowed: BoolArray, *, masked: bool) -> Composite:
        flat = self.guard.schema.flat(x)
        places = None if self._counted is None else self._counted.locate(x)
        novel = self._measured.novel(flat) if self._measured is not None else np.asarray(places) < 0
        demanded, ruled = self.guard.rules.many(flat)
        permitted = allowed & ~ruled
        nothing = ~np.any(permitted, axis=1)
        harmless = self._known(self.guard.harmless, places, allowed.shape)
        harmful = ~harmless & np.any(permitted & harmless, axis=1, keepdims=True)
        permitted = np.where(nothing[:, None], allowed, permitted & ~harmful)
        supported = self._known(self.guard.supported, places, allowed.shape)
        masks = allowed if masked else None
        likely = None
        if self.guard.likeness > 0.0:
            likely = ask(self.fallback, x, masks, self.n_actions)
            supported = supported & self._likely(likely[0])

        reasons = np.zeros((len(x), len(REASONS)))
        proposed = np.zeros(allowed.shape)
        asked = np.flatnonzero(~(novel | demanded | nothing))
        answers, sound = ask(self.policy, x[asked], None if masks is None else masks[asked], self.n_actions)
        proposed[asked] = answers
        failed = np.zeros(len(x), np.bool_)
        failed[asked] = ~sound
        accepted = proposed * (permitted & supported)
        against = (
            (Reason.RULE, ruled),
            (Reason.HARM, harmful),
            (Reason.MASKED, ~allowed),
            (Reason.UNSUPPORTED, ~supported),
        )
        left = proposed.copy()
        for reason, actions in against:
            reasons[:, INDEX[reason]] = (left * actions).sum(axis=1)
            left[actions] = 0.0
        for reason, where in ((Reason.NOVEL, novel), (Reason.RULE, demanded & ~novel), (Reason.POLICY_FAILED, failed)):
            reasons[where, INDEX[reason]] = 1.0
        refused = reasons.sum(axis=1)
        reasons[:, INDEX[Reason.POLICY]] = accepted.sum(axis=1)
        falling = np.flatnonzero((refused > 0.0) & ~nothing)
        if likely is None:
            answers, sound = ask(self.fallback, x[falling], None if masks is None else masks[falling], self.n_actions)
        else:
            answers, sound = likely[0][falling], likely[1][falling]
        instead, able = self._instead(answers, sound, permitted[falling])
        accepted[falling] += refused[falling, None] * instead
        unable = falling[~able]
        reasons[unable] = reasons[unable] * (np.arange(len(REASONS)) == INDEX[Reason.POLICY])
        reasons[unable, INDEX[Reason.FALLBACK_FAILED]] = refused[unable]
        reasons[nothing] = 0.0
        reasons[nothing, INDEX[Reason.NOTHING_ALLOWED]] = 1.0
        accepted[nothing] = self._last_resort(allowed[nothing])
        return Composite(accepted, reasons)

    def _known(self, table: BoolArray | None, places: NDArray[np.int64] | None, shape: tuple[int, ...]) -> BoolArray:
        """Return the rows of a table over logged observations; all True where there is none, or nothing was logged."""
        if table is None or places is None:
            return np.ones(shape, np.bool_)
        return table[np.maximum(places, 0)] | (places < 0)[:, None]

    def _likely(self, table: FloatArray) -> BoolArray:
        """Return the actions that the fallback takes often enough, in rows or in one row of its probabilities."""
        return np.asarray((table > 0.0) & (table >= self.guard.likeness * table.max(axis=-1, keepdims=True)))

    def _instead(self, answers: FloatArray, sound: BoolArray, permitted: BoolArray) -> tuple[FloatArray, BoolArray]:
        """Return what the fallback does among permitted actions, and whether it could say: else the last resort."""
        kept = answers * permitted
        total = kept.sum(axis=1)
        able = sound & (total > 0.0)
        kept = np.where(able[:, None], kept / np.where(able, total, 1.0)[:, None], self._last_resort(permitted))
        return kept, able

    def _last_resort(self, allowed: BoolArray) -> FloatArray:
        ranking = self.guard.ranking
        first = ranking[np.argmax(allowed[:, ranking], axis=1)]
        return one_hot(first, self.n_actions)

    def decide(self, observation: Any, rng: np.random.Generator, *, mask: Any = None) -> Decision:
        """Decide for one observation, whatever it is, and count the decision.

        It raises nothing, and never takes an action that the mask or a rule forbids while another one is left. Where
        rules forbid all that the mask allows, the mask is kept (reason ``nothing_allowed``).

        Parameters
        ----------
        observation : array, shape (d...), or an integer id
        rng : numpy.random.Generator
        mask : bool array, shape (n_actions,), optional
            True where an action is allowed.
        """
        try:
            decision = self._decide(observation, rng, mask)
        except Exception as error:  # noqa: BLE001 - who asks for an action gets one
            detail = f"The guard failed ({type(error).__name__}). The last resort acts."
            decision = Decision(self._emergency(observation, mask), Reason.GUARD_FAILED, True, detail)
        self.monitor.note(decision.reason)
        return decision

    def _decide(self, observation: Any, rng: np.random.Generator, mask: Any) -> Decision:
        guard = self.guard
        allowed = self._everything if mask is None else self._usable(mask)
        usable = allowed is not None
        if allowed is None:
            allowed = self._everything
        x = guard.schema.read_one(observation)
        values: list[float] | None = None if x is None else x.reshape(-1).tolist()
        if x is not None and values is not None:
            fault = guard.schema.fault(values)
            if fault == schemas.FINE:
                return self._decide_readable(x, values, rng, allowed, usable=usable)
            cause = _BY_FAULT[fault]
            why = guard.schema.outside(x) if cause is Reason.OUT_OF_RANGE else "a value is blank or infinite"
        else:
            cause = Reason.UNREADABLE
            why = f"it is not of shape {guard.schema.shape} and a kind of number that the log holds"
        action = self._unseeing(values, allowed)
        if self.monitor.suspended is not None:
            cause = Reason.SUSPENDED
        return Decision(action, cause, True, f"The observation cannot be used: {why}. The last resort acts.")

    def _unseeing(self, values: list[float] | None, allowed: BoolArray) -> int:
        """Return the last resort for an observation that cannot be used; what a rule cannot know, it forbids."""
        ruled = self.guard.rules.any if values is None else self.guard.rules.one(values)[1]
        permitted = allowed if ruled is None else allowed & ~ruled
        return self._first(permitted if permitted.any() else allowed)

    def _decide_readable(
        self, x: NDArray[Any], values: list[float], rng: np.random.Generator, allowed: BoolArray, *, usable: bool
    ) -> Decision:
        guard = self.guard
        place = -1 if self._counted is None else self._counted.locate_one(values)
        novel = place < 0 if self._measured is None else self._measured.novel_one(values)
        demanding, ruled = guard.rules.one(values)
        permitted = allowed if ruled is None else allowed & ~ruled
        if ruled is not None and not permitted.any():
            detail = "Rules forbid every action that the mask allows. The last resort acts, among those."
            return Decision(self._first(allowed), Reason.NOTHING_ALLOWED, True, detail)
        harmful = None if guard.harmless is None or place < 0 else ~guard.harmless[place]
        if harmful is not None:
            harmless = permitted & ~harmful
            if harmless.any():
                permitted = harmless
            else:
                harmful = None
        masks = None if allowed is self._everything else allowed[None]
        instead = None
        if self.monitor.suspended is not None:
            cause, why = Reason.SUSPENDED, f"Suspended after {self.monitor.suspended}"
        elif novel:
            cause, why = Reason.NOVEL, f"The observation is {guard.novelty.describe()}"
        elif demanding >= 0:
            cause, why = Reason.RULE, f"The rule {guard.rules.rules[demanding].label!r} demands it"
        elif not usable:
            cause, why = Reason.UNUSABLE_MASK, f"The mask is not {self.n_actions} flags of which one is true"
        else:
            row = ask_one(self.policy, x, masks, self.n_actions)
            if row is None:
                cause, why = Reason.POLICY_FAILED, "The policy failed"
            else:
                action = draw(row, rng)
                supported = guard.supported is None or place < 0 or bool(guard.supported[place, action])
                if supported and guard.likeness > 0.0:
                    instead = ask_one(self.fallback, x, masks, self.n_actions)
                    supported = instead is not None and bool(self._likely(instead)[action])
                if permitted[action] and supported:
                    return Decision(action, Reason.POLICY, False)
                cause, why = self._against(action, ruled, harmful, allowed, values)
        if instead is None:
            instead = ask_one(self.fallback, x, masks, self.n_actions)
        if instead is not None:
            kept = instead * permitted
            total = kept.sum()
            if total > 0.0:
                return Decision(draw(kept / total, rng), cause, True, f"{why}. The fallback acts.")
        detail = f"{why}. The fallback failed or proposed only what is forbidden, so the last resort acts."
        return Decision(self._first(permitted), Reason.FALLBACK_FAILED, True, detail)

    def _against(
        self, action: int, ruled: BoolArray | None, harmful: BoolArray | None, allowed: BoolArray, values: list[float]
    ) -> tuple[Reason, str]:
        if ruled is not None and ruled[action]:
            return Reason.RULE, f"The rule {self.guard.rules.forbidding(values, action)!r} forbids action {action}"
        if harmful is not None and harmful[action]:
            return Reason.HARM, f"The log shows action {action} followed by harm there"
        if not allowed[action]:
            return Reason.MASKED, f"The mask forbids action {action}"
        return Reason.UNSUPPORTED, f"Action {action} was not taken often enough there"

    def _emergency(self, observation: Any, mask: Any) -> int:
        usable = self._usable(mask)
        allowed = self._everything if usable is None else usable
        x = self.guard.schema.read_one(observation)
        return self._unseeing(None if x is None else x.reshape(-1).tolist(), allowed)

    def _usable(self, mask: Any) -> BoolArray | None:
        """Return a mask as flags, None where it is none, or allows nothing."""
        try:
            flags = np.asarray(mask)
            shape, kind = flags.shape, flags.dtype
            if isinstance(mask, np.ma.MaskedArray) or shape != (self.n_actions,) or kind != np.bool_:
                return None
            if flags.all():
                return self._everything
            return flags if flags.any() else None
        except Exception:  # noqa: BLE001 - whatever an object that is no array does when it is made one
            return None

    def _first(self, allowed: BoolArray) -> int:
        ranking = self.guard.ranking
        return int(ranking[int(np.argmax(allowed[ranking]))])

    def describe(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the tensors and facts of policy, fallback and guard, from which ``groundschool.load`` rebuilds it."""
        tensors = {f"guard.{name}": tensor for name, tensor in self.guard.tensors().items()}
        facts: dict[str, Any] = {
            "kind": "guarded",
            "name": self.name,
            "n_actions": self.n_actions,
            "guard": self.guard.to_json(),
            "training": None if self.training is None else self.training.to_json(),
        }
        for role, policy in (("policy", self.policy), ("fallback", self.fallback)):
            if not isinstance(policy, DiscretePolicy):
                raise InputError(f"{role} {policy.name!r} is a {type(policy).__name__}, which no bundle can hold.")
            parts, facts[role] = policy.describe()
            tensors |= {f"{role}.{name}": tensor for name, tensor in parts.items()}
        return tensors, facts
