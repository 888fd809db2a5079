"""The directory of a gate: criteria frozen before the holdout is opened, a ledger of looks, and the last verdict.

The ledger is discipline, not security: whoever deletes the directory, or judges elsewhere, has looked in secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self

from groundschool.data import Dataset, lock
from groundschool.errors import InputError
from groundschool.run_directory import write_json, write_text
from groundschool.safety.criteria import Criteria, hash_of
from groundschool.safety.verdict import EXIT_CODES, Verdict

LEDGER, VERDICT = "gate.json", "verdict.json"
FORMAT, FORMAT_VERSION = "groundschool gate", 1


class GateDirectory:
    """One policy's way through one gate; from `open` to `record` no other process can look there.

    A context manager, which gives the directory back however a look ends. The system does so where a process dies.

    Parameters
    ----------
    path : Path
        It need not exist; nothing is written before a look is opened.

    Raises
    ------
    InputError
        If something else is there, or its ledger cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held: IO[str] | None = None
        if path.exists() and not (path / LEDGER).is_file() and (not path.is_dir() or _holds_anything(path)):
            raise InputError(
                f"{path} exists and holds no ledger of a gate (no {LEDGER}), so that it is left as it is. Choose "
                "another place with --out."
            )
        self.ledger = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes look; `record` has done so already where a look came to its verdict."""
        held, self._held = self._held, None
        lock.give_back(self.path, held)

    @property
    def looks(self) -> list[dict[str, Any]]:
        """What was opened so far: look, log, episodes and decision (None where it was not reached)."""
        found: list[dict[str, Any]] = [] if self.ledger is None else self.ledger["looks"]
        return found

    def open(
        self,
        criteria: Criteria,
        policy_fingerprint: str,
        holdout: Dataset,
        *,
        seed: int = 0,
        behavior_fingerprint: str | None = None,
    ) -> int:
        """Record that a holdout is opened, and return which look that is.

        A look that was opened before on the same episodes and left without a verdict, by a crash, is taken up. One that
        has its verdict is the same look again: it gives the same verdict, since all that it depends on is fixed.

        Parameters
        ----------
        criteria : Criteria
        policy_fingerprint : str
        holdout : Dataset
        seed : int
            Of folds and bets: the best of several seeds is no bound.
        behavior_fingerprint : str, optional
            Of the policy that is said to have written the log.

        Raises
        ------
        InputError
            If anything of this but the holdout is not what the ledger has, no look is left, or another process looks.
        """
        self._take()
        try:
            return self._open(criteria, policy_fingerprint, holdout, seed, behavior_fingerprint)
        except BaseException:
            self.close()
            raise

    def _open(
        self,
        criteria: Criteria,
        policy_fingerprint: str,
        holdout: Dataset,
        seed: int,
        behavior_fingerprint: str | None,
    ) -> int:
        self.ledger = self._read()  # another process may have looked since
        ledger = self.ledger or {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "criteria": criteria.to_json(),
            "criteria_fingerprint": criteria.fingerprint,
            "policy_fingerprint": policy_fingerprint,
            "behavior_fingerprint": behavior_fingerprint,
            "seed": seed,
            "looks": [],
        }
        self._require_same(ledger, criteria, policy_fingerprint)
        self._require_same_means(ledger, seed, behavior_fingerprint)
        looks = ledger["looks"]
        for entry in looks:
            if entry["log"] == holdout.fingerprint:
                return int(entry["look"])
        look = len(looks) + 1
        if look > criteria.looks:
            planned = "one look was" if criteria.looks == 1 else f"{criteria.looks} looks were"
            raise InputError(
                f"{self.path}: {planned} planned, and taken, on {looks[-1]['episodes']:,} episodes. Another look at "
                "more of them is another chance to be wrong: a plan of several is declared before the first (--looks)."
            )
        criteria.tail(look)
        entry = {"look": look, "log": holdout.fingerprint, "episodes": holdout.n_episodes, "decision": None}
        self._write({**ledger, "looks": [*looks, entry]})
        return look

    def record(self, verdict: Verdict) -> None:
        """Write a verdict, and that its look was decided.

        Raises
        ------
        InputError
            If the look was decided otherwise before, as another version of groundschool may do, or nothing can be
            written.
        """
        assert self.ledger is not None
        before = next(entry["decision"] for entry in self.looks if entry["look"] == verdict.look)
        if before not in (None, verdict.decision):
            raise InputError(
                f"{self.path}: look {verdict.look} was decided, {before}, and now gives {verdict.decision}. The first "
                "stands. Did the version of groundschool change in between?"
            )
        try:
            write_json(self.path / VERDICT, verdict.to_json())
            write_text(self.path / "verdict.md", markdown(verdict))
        except OSError as error:
            raise self._unwritable(error) from None
        looks = [
            {**entry, "decision": verdict.decision} if entry["look"] == verdict.look else entry
            for entry in self.ledger["looks"]
        ]
        self._write({**self.ledger, "looks": looks})
        self.close()

    def _take(self) -> None:
        if self._held is not None:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._held = lock.take(self.path, "is looking at this gate")
        except OSError as error:
            raise self._unwritable(error) from None

    def _require_same(self, ledger: Mapping[str, Any], criteria: Criteria, policy_fingerprint: str) -> None:
        if ledger["criteria_fingerprint"] != criteria.fingerprint:
            before, now = ledger["criteria"], criteria.to_json()
            name = next((key for key in now if before.get(key) != now[key]), "baseline")
            raise InputError(
                f"{self.path}: criteria are fixed before the first look, and these are others ({name} was "
                f"{_short(before.get(name))}, is {_short(now[name])}). Use those, or open another gate, on other "
                "episodes, with --out."
            )
        if ledger["policy_fingerprint"] != policy_fingerprint:
            raise InputError(
                f"{self.path}: another policy was taken to this gate, and a holdout is opened for one. Judge this one "
                "on episodes that were not looked at, with another --out."
            )

    def _require_same_means(self, ledger: Mapping[str, Any], seed: int, behavior_fingerprint: str | None) -> None:
        if ledger["seed"] != seed:
            raise InputError(
                f"{self.path}: the seed was {ledger['seed']}, is {seed}. Each seed gives a bound that holds, and the "
                "best of several none: use the first one."
            )
        if ledger["behavior_fingerprint"] != behavior_fingerprint:
            raise InputError(
                f"{self.path}: who wrote the log (--behavior) was fixed before the first look, and this "
                "is another policy. Use the same one, or none if none was given."
            )

    def _read(self) -> dict[str, Any] | None:
        if not (self.path / LEDGER).is_file():
            return None
        try:
            found = json.loads((self.path / LEDGER).read_text(encoding="utf-8"))
            good = _is_ledger(found)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            good = False
        if not good:
            raise InputError(
                f"{self.path / LEDGER} cannot be read as a ledger of this version. Restore it; without it nobody knows "
                "how often the holdout was looked at."
            )
        ledger: dict[str, Any] = found
        return ledger

    def _write(self, ledger: dict[str, Any]) -> None:
        try:
            write_json(self.path / LEDGER, ledger)
        except OSError as error:
            raise self._unwritable(error) from None
        self.ledger = ledger

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"{self.path} cannot be written ({error.strerror}). Choose a writable place with --out.")


def _is_ledger(found: Any) -> bool:
    """Whether what was read is a whole ledger of this version, its criteria those of its hash, its looks in order."""
    if found["format"] != FORMAT or found["format_version"] != FORMAT_VERSION:
        return False
    looks, seed, behavior = found["looks"], found["seed"], found["behavior_fingerprint"]
    entries = [(one["look"], type(one["log"]), type(one["episodes"]), one["decision"]) for one in looks]
    return (
        found["criteria_fingerprint"] == hash_of(found["criteria"])
        and isinstance(found["policy_fingerprint"], str)
        and isinstance(behavior, str | None)
        and type(seed) is int
        and bool(looks)
        and [look for look, *_ in entries] == list(range(1, len(looks) + 1))
        and all(kinds == [str, int] and decision in (None, *EXIT_CODES) for _, *kinds, decision in entries)
    )


def markdown(verdict: Verdict) -> str:
    """Return a verdict as a page of Markdown."""
    lines = [f"# {verdict.decision}: {verdict.policy}", ""]
    lines += [f"- {reason}" for reason in verdict.reasons]
    lines += ["", "## What this rests on", "", *(f"- {one}" for one in verdict.assumptions)]
    lines += [
        "",
        "GO means that the stated criteria held under these assumptions. It is no clearance by any regulator.",
        "",
        f"Look {verdict.look} of {verdict.criteria.looks}, on {verdict.episodes:,} episodes (log "
        f"`{verdict.log[:12]}`), criteria `{verdict.criteria.fingerprint[:12]}`, policy "
        f"`{verdict.policy_fingerprint[:12] or 'code'}`.",
        "",
    ]
    return "\n".join(lines)


def _holds_anything(folder: Path) -> bool:
    """Whether anything is there besides what a process leaves that was killed before its first look."""
    return any(entry.name != lock.LOCK and not entry.name.startswith(f".{LEDGER}.") for entry in folder.iterdir())


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
