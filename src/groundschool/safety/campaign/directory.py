"""A campaign on disk: each episode is there, whole, before the next one begins.

``campaign.json`` holds the plan, its hash, and in the end the result. While the campaign runs, ``episodes/000017`` is
the log of one episode, and ``episodes/000017.begun`` stands where one was begun and has not come to its end. At the
end all episodes are the log ``log``, and ``episodes`` is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from groundschool.data import Dataset, lock
from groundschool.data.placing import token_of
from groundschool.errors import InputError
from groundschool.safety.campaign.plan import Plan

FORMAT = "groundschool campaign"
FORMAT_VERSION = 1
RECORD, EPISODES, LOG = "campaign.json", "episodes", "log"
_HALF = f".{RECORD}.part"


class CampaignDirectory:
    """An open directory of one campaign; nobody else can open it meanwhile.

    Attributes
    ----------
    path : Path
    record : dict
        What ``campaign.json`` holds.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path, self.record = path, record

    @property
    def finished(self) -> bool:
        """Whether the result stands."""
        return bool(self.record["status"] == "finished")

    @property
    def kept(self) -> bool:
        """Whether any episode is there."""
        return self.finished or any(entry.is_dir() for entry in self._folder().iterdir())

    @property
    def broken_off(self) -> list[int]:
        """Episodes, counted from 0, that were begun and did not come to their end; one entry an attempt."""
        return list(self.record["broken_off"])

    def load(self) -> list[Dataset]:
        """Return the episodes that are there, in order, one log each or all in one.

        Raises
        ------
        InputError
            If one of them is damaged, or missing before a later one.
        """
        if self.finished:
            log = Dataset.load(self.path / LOG)
            if log.fingerprint != self.record["result"]["fingerprint"]:
                raise InputError(f"{self.path / LOG} is not the log that {RECORD} tells of. Restore it from a copy.")
            return [log]
        folder = self._folder()
        for entry in folder.iterdir():
            if token_of(entry) is not None:  # half an episode, left by a kill
                shutil.rmtree(entry, ignore_errors=True)
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        for i, name in enumerate(names):
            if name != _name(i):
                raise InputError(f"{self.path}: episode {_name(i)} is missing. Restore it from a copy, or begin anew.")
            self._begun(i).unlink(missing_ok=True)
        return [Dataset.load(folder / name) for name in names]

    def begin(self, index: int) -> None:
        """Say that an episode begins; one that was begun before, and is not there, is remembered as broken off."""
        marker = self._begun(index)
        with _writing(self.path):
            if marker.exists():
                self._write(broken_off=[*self.broken_off, index])
            else:
                marker.touch()

    def append(self, index: int, episode: Dataset) -> None:
        """Keep an episode; when this returns it is there for good."""
        place = self.path / EPISODES / _name(index)
        with _writing(self.path):
            episode.save(place)
            _sync(place)
            self._begun(index).unlink(missing_ok=True)

    def finish(self, log: Dataset, result: Mapping[str, Any]) -> None:
        """Put all episodes into one log, then write the result, then remove the single episodes."""
        if not self.finished:
            with _writing(self.path):
                shutil.rmtree(self.path / LOG, ignore_errors=True)  # from an end that was interrupted
                log.save(self.path / LOG)
                _sync(self.path / LOG)
                self._write(status="finished", result=dict(result))
        shutil.rmtree(self.path / EPISODES, ignore_errors=True)

    def _folder(self) -> Path:
        folder = self.path / EPISODES
        folder.mkdir(exist_ok=True)
        return folder

    def _begun(self, index: int) -> Path:
        return self.path / EPISODES / f"{_name(index)}.begun"

    def _write(self, **facts: Any) -> None:
        record = {**self.record, **facts}
        _write_record(self.path, record)
        self.record = record


@contextlib.contextmanager
def open_campaign(path: Path, plan: Plan) -> Iterator[CampaignDirectory]:
    """Make the directory of a campaign, or take up the one that is there, if its plan is the same.

    Raises
    ------
    InputError
        If something else is there, another plan, or another process at work on it.
    """
    path = path.absolute()
    fresh = {"format": FORMAT, "format_version": FORMAT_VERSION, "status": "running", "plan_sha256": plan.sha256}
    fresh |= {"plan": plan.to_json(), "broken_off": [], "result": None}
    inspect(path, plan)
    made = [place for place in (path, *path.parents) if not place.exists()]
    with _writing(path):
        path.mkdir(parents=True, exist_ok=True)
        held = lock.take(path, "runs this campaign")
    directory = None
    try:
        record = inspect(path, plan)
        if record is None:
            with _writing(path):
                _write_record(path, fresh)
        directory = CampaignDirectory(path, record or fresh)
        yield directory
    except InputError:
        if made and (directory is None or not directory.kept):  # bad input leaves nothing behind
            shutil.rmtree(path, ignore_errors=True)
            for parent in made[1:]:
                with contextlib.suppress(OSError):
                    parent.rmdir()
        raise
    finally:
        lock.give_back(path, held)


def inspect(path: Path, plan: Plan) -> dict[str, Any] | None:
    """Return the record of a campaign with this plan, None where there is none and one may begin.

    Raises
    ------
    InputError
        As `open_campaign`.
    """
    if not path.exists():
        return None
    if not path.is_dir():
        raise InputError(f"{path} is a file. Expected a new directory, or that of a campaign.")
    if not (path / RECORD).exists():
        others = sorted({entry.name for entry in path.iterdir()} - {lock.LOCK, _HALF})
        if others:
            raise InputError(
                f"{path} exists and holds {others[0]!r}, but no {RECORD}: it is no campaign. Choose another place."
            )
        return None
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
        if record["format"] != FORMAT or record["format_version"] != FORMAT_VERSION:
            raise ValueError("another format")
        before, told = record["plan"], (record["plan_sha256"], record["status"], record["broken_off"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path / RECORD} cannot be read ({error}). Restore it from a copy, or begin anew.") from None
    if told[0] != plan.sha256 or before != plan.to_json():
        raise InputError(
            f"{path} holds a campaign with another plan ({_difference(before, plan.to_json())}). A plan is not changed "
            "once episodes are seen: go on with the same one, or begin a new campaign elsewhere."
        )
    return dict(record)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the file system says into a sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}). Whatever episodes are there stay: run the same "
            "campaign again to go on, or choose a writable place."
        ) from error


def _difference(before: Any, now: Mapping[str, Any]) -> str:
    if not isinstance(before, dict):
        return "it cannot be read"
    names = [name for name in now if before.get(name) != now[name]] or ["its hash"]
    name = names[0]
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    old, new = before.get(name), now.get(name)
    if isinstance(old, dict) and isinstance(new, dict):
        inner = next(key for key in {**old, **new} if old.get(key) != new.get(key))
        name, old, new = f"{name}.{inner}", old.get(inner), new.get(inner)
    return f"{name} was {_short(old)}, is {_short(new)}{more}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _name(index: int) -> str:
    return f"{index:06d}"


def _write_record(path: Path, record: Mapping[str, Any]) -> None:
    half = path / _HALF
    with half.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(half, path / RECORD)


def _sync(folder: Path) -> None:
    """Ask that what is in a directory, and its place in the one above, survive a loss of power."""
    if sys.platform == "win32":
        return
    for place in (*folder.iterdir(), folder, folder.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
