"""The directory of one run: made at once, resumable until complete, replaced only on request."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from groundschool.data import lock
from groundschool.errors import InputError

FORMAT = "groundschool run"
FORMAT_VERSION = 1
MANIFEST, CONFIG = "manifest.json", "config.json"

State = Literal["new", "resume", "replace"]


class RunDirectory:
    """An open run directory.

    Attributes
    ----------
    path : Path
    manifest : dict
        What ``manifest.json`` holds; its ``status`` is "running", "interrupted" or "complete".
    state : {"new", "resume", "replace"}
        How it was found.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], state: State) -> None:
        self.path, self.manifest, self.state = path, manifest, state

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def record(self, **facts: Any) -> None:
        """Add facts to the manifest; a mapping is merged into the one that is there."""
        for key, value in facts.items():
            old = self.manifest.get(key)
            self.manifest[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
        write_json(self / MANIFEST, self.manifest)

    def require_versions(self, versions: Mapping[str, str]) -> None:
        """Refuse to go on where the run began with other versions: its numbers would come from both."""
        before = self.manifest.get("versions", versions)
        changed = [name for name in versions if before.get(name) != versions[name]]
        if changed:
            name = changed[0]
            raise InputError(
                f"{self.path}: this unfinished run began with {name} {before.get(name)}, and {versions[name]} is here "
                "now. Bring the old one back, or start over with --force."
            )

    def remember(self, name: str, value: str, what: str) -> None:
        """Record a fingerprint, or refuse to go on where the run began with another one."""
        before = self.manifest.get("fingerprints", {}).get(name, value)
        if before != value:
            raise InputError(
                f"{self.path}: {what} is not the one this unfinished run began with (fingerprint {value[:12]}, "
                f"then {before[:12]}). Bring the old one back, or start over with --force."
            )
        self.record(fingerprints={name: value})


def inspect(path: Path, config: Mapping[str, Any], *, force: bool = False) -> State:
    """Return what opening a run directory would do, without touching it.

    Raises
    ------
    InputError
        Where it may not be opened: a finished run, an unfinished one of another config, something that is no run.
    """
    if path.is_dir() and not any(path.iterdir()):
        return "new"
    if not path.exists():
        return "new"
    manifest = _manifest(path)
    if manifest is None:
        raise InputError(
            f"{path} exists and is no run of groundschool (it has no {MANIFEST} of one), so it is never replaced, "
            "not even by --force. Write elsewhere with --out."
        )
    if force:
        return "replace"
    if manifest["status"] == "complete":
        raise InputError(f"{path} holds a finished run. Replace it with --force, or write elsewhere with --out.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise InputError(f"{path} was begun by another version of groundschool. Start over with --force.")
    before = _read_json(path / CONFIG)
    if before != config:
        raise InputError(
            f"{path} holds an unfinished run of another config ({_difference(before, config)}). "
            "Finish it with its own config, replace it with --force, or write elsewhere with --out."
        )
    return "resume"


@contextlib.contextmanager
def open_run(path: Path, config: Mapping[str, Any], *, force: bool = False) -> Iterator[RunDirectory]:
    """Make a run directory, or take up an unfinished one of the same config.

    While open no other process can open it. Leaving by an exception, Ctrl-C included, marks the run "interrupted".

    Parameters
    ----------
    path : Path
    config : mapping
        Resolved and JSON-ready: equal configs are what makes a run the same run.
    force : bool
        Start over where a run is there already.
    """
    path = path.resolve()
    state = inspect(path, config, force=force)
    if state == "replace":
        lock.give_back(path, _hold(path))  # refused while another process is at it
    if state != "resume":
        _create(path, config)
    held = _hold(path)
    try:
        directory = RunDirectory(path, _manifest(path) or {}, state)
        directory.record(status="running")
        try:
            yield directory
        except BaseException:
            directory.record(status="interrupted")
            raise
        directory.record(status="complete")
    finally:
        lock.give_back(path, held)


def interrupted(path: Path) -> bool:
    """Tell whether a directory holds a run that can be taken up."""
    manifest = _manifest(path)
    return manifest is not None and manifest["status"] != "complete"


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of either."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_json` does."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _create(path: Path, config: Mapping[str, Any]) -> None:
    """Put a fresh run in place in one step, the old one moved away first and deleted last."""
    fresh = path.with_name(f".{path.name}.new-{os.getpid()}")
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.mkdir()
        write_json(fresh / CONFIG, config)
        write_json(fresh / MANIFEST, {"format": FORMAT, "format_version": FORMAT_VERSION, "status": "running"})
        if path.is_dir() and any(path.iterdir()):
            os.rename(path, old)
        elif path.is_dir():
            path.rmdir()
        os.rename(fresh, path)
    except OSError as error:
        raise InputError(f"{path} cannot be made ({error.strerror}). Choose a writable place with --out.") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _manifest(path: Path) -> dict[str, Any] | None:
    if not path.is_dir():
        return None
    manifest = _read_json(path / MANIFEST)
    ours = isinstance(manifest, dict) and manifest.get("format") == FORMAT and "status" in manifest
    return manifest if ours else None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _difference(before: Any, now: Mapping[str, Any]) -> str:
    old, new = _flat(before), _flat(now)
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if not isinstance(before, dict) or not names:
        return f"its {CONFIG} cannot be read"
    name = names[0]
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{name} was {old.get(name, 'not there')}, is {new.get(name, 'not there')}{more}"


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {k: v for key, inner in value.items() for k, v in _flat(inner, f"{path}.{key}".lstrip(".")).items()}
    if isinstance(value, list):
        return {k: v for i, inner in enumerate(value) for k, v in _flat(inner, f"{path}[{i}]").items()}
    return {path: value}


def _hold(path: Path) -> IO[str] | None:
    try:
        return lock.take(path, "is running it")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}). Choose a writable place with --out.") from None
