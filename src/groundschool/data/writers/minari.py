"""Minari datasets (https://minari.farama.org), in HDF5, written with Minari's own storage.

The target is the dataset's own directory, and its name the dataset's id: with ``MINARI_DATASETS_PATH`` at the parent
directory, ``minari.load_dataset("ward-v0")`` loads what was written to ``.../ward-v0``. Costs and propensities are
infos that came back after an action, (T + 1, 1) with nothing in the first; action masks are infos that go with an
observation. What Minari has no field for is in ``data/groundschool.hdf5``, which groundschool reads back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from groundschool.data.columns import Columns
from groundschool.data.dataset import Dataset, Episode
from groundschool.data.placing import final_path
from groundschool.data.readers import minari as reader
from groundschool.data.readers._minari_files import MAIN
from groundschool.data.readers._ours import FINAL_IDS
from groundschool.data.readers.minari import EPISODE, MARKS, METADATA
from groundschool.data.validation import Array
from groundschool.data.writers import _hdf5
from groundschool.data.writers._summary import Notes, Summary, has_finals, in_words
from groundschool.errors import InputError

NAME = "minari"
SUFFIXES: tuple[str, ...] = ()
ID = re.compile(r"[-_\w]+-v\d+", re.ASCII)


def write(parts: Iterable[Dataset], target: Path, *, notes: Notes | None = None) -> tuple[str, ...]:
    """Write the parts of a log to the directory `target`; return what Minari cannot hold, a sentence each."""
    name = final_path(target).name
    if not ID.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for a Minari dataset: letters, digits, - and _, and a version at the end. Write to "
            f"{re.sub(r'[^-_0-9A-Za-z]', '-', name.removesuffix('.minari')).strip('-') or 'log'}-v0."
        )
    h5py = _hdf5.import_h5py(target)
    storage_class, version = _import_minari(target)
    folder = target / "data"
    folder.mkdir(parents=True)
    summary = Summary()
    storage = None
    with h5py.File(folder / MARKS, "w") as marks:
        for part in parts:
            summary.add(part)
            if storage is None:
                storage = storage_class.new(
                    folder,
                    observation_space=_observation_space(summary),
                    action_space=_action_space(summary),
                    jpeg_encoding=False,
                )
                storage.update_metadata({"dataset_id": name, "minari_version": version})
            storage.update_episodes(_buffers(part))
            _hdf5.append_episodes(marks, part, finals=FINAL_IDS if part.observations.ndim == 1 else "")
        columns = _columns(summary.log) | _hdf5.label_columns(summary)
        _hdf5.write_marks(marks, summary.marks(Columns(**columns), notes))
    _finish(folder / METADATA, summary, summary.told(notes))
    return _losses(summary)


def replaceable(path: Path) -> bool:
    """Return whether the directory `path` holds a Minari dataset in HDF5, laid out as here, and nothing else."""
    data = path / "data"
    if data.is_symlink() or not reader.recognise(path) or [one.name for one in path.iterdir()] != [data.name]:
        return False
    files = {one.name for one in data.iterdir() if one.is_file()}
    whole = len(files) == sum(1 for _ in data.iterdir())
    return whole and {METADATA, MAIN} <= files <= {METADATA, MAIN, MARKS}


def _import_minari(target: Path) -> tuple[Any, str]:
    try:
        import minari
        from minari.dataset.minari_storage import MinariStorage
    except ImportError:
        raise InputError(
            f"{target}: writing Minari datasets needs minari. Install it: pip install 'groundschool[minari]'"
        ) from None
    return MinariStorage, str(minari.__version__)


def _info_keys(log: Dataset) -> dict[str, str]:
    """Return the name of each cost among the infos: without what HDF5 takes for a path, and all different."""
    keys: dict[str, str] = {}
    for name in log.costs:
        key = "cost_" + re.sub(r"[^\w.-]", "_", name)
        while key in keys.values():
            key += "_"
        keys[name] = key
    return keys


def _columns(log: Dataset) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "observations": "observations",
        "action": "actions",
        "reward": "rewards",
        "episode": EPISODE,
        "terminated": "terminations",
        "truncated": "truncations",
        "costs": {name: f"infos/{key}" for name, key in _info_keys(log).items()},
    }
    if log.final_observations is not None:
        columns["next_observations"] = "next_observations"
    if log.propensities is not None:
        columns["propensity"] = "infos/propensity"
    if log.action_masks is not None:
        columns["action_mask"] = "infos_before/action_mask"
    if log.final_action_masks is not None:
        columns["next_action_mask"] = "infos/action_mask"
    return columns


def _buffers(part: Dataset) -> Iterator[Any]:
    """Yield Minari's buffers of the episodes of a part."""
    from minari.data_collector import EpisodeBuffer

    keys = _info_keys(part)
    # A state id that is unknown would be none of the space; NaN says so itself.
    known = has_finals(part) | (part.final_observations is not None and part.observations.ndim > 1)
    for e, episode in enumerate(part.episodes()):
        rows = slice(int(part.starts[e]), int(part.starts[e + 1]))
        final = episode.final_observation if known[e] else episode.observations[-1]
        infos = {keys[name]: _arrived(0.0, cost) for name, cost in episode.costs.items()}
        if episode.propensities is not None:
            infos["propensity"] = _arrived(np.nan, episode.propensities)
        if episode.action_masks is not None:
            infos["action_mask"] = np.concatenate([episode.action_masks, _final_mask(episode)[None]])
        yield EpisodeBuffer(
            observations=np.concatenate([episode.observations, np.asarray(final)[None]]),
            actions=episode.actions,
            rewards=episode.rewards,
            terminations=part.terminated[rows],
            truncations=part.truncated[rows],
            infos=infos or None,
        )


def _arrived(first: float, values: Array) -> Array:
    """Return what came back after each of T actions as (T + 1, 1), with `first` where none had been taken."""
    return np.concatenate([np.full(1, first), values])[:, None]


def _final_mask(episode: Episode) -> Array:
    assert episode.action_masks is not None
    unknown = np.ones_like(episode.action_masks[-1])
    return unknown if episode.final_action_mask is None else episode.final_action_mask


def _observation_space(summary: Summary) -> Any:
    from gymnasium import spaces

    observations = summary.log.observations
    if observations.ndim == 1:
        return spaces.Discrete(summary.largest_id + 1)
    return spaces.Box(-np.inf, np.inf, observations.shape[1:], observations.dtype.type)


def _action_space(summary: Summary) -> Any:
    from gymnasium import spaces

    actions = summary.log.actions
    if summary.log.is_discrete:
        return spaces.Discrete(summary.n_actions)
    return spaces.Box(-np.inf, np.inf, actions.shape[1:], actions.dtype.type)


def _finish(path: Path, summary: Summary, notes: list[str]) -> None:
    """Write the spaces anew, now that all parts have shown how many states and actions there are, and the notes."""
    from minari.serialization import serialize_space

    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["observation_space"] = serialize_space(_observation_space(summary))
    metadata["action_space"] = serialize_space(_action_space(summary))
    if notes:
        metadata["description"] = " ".join(notes)
    path.write_text(json.dumps(metadata), encoding="utf-8")


def _losses(summary: Summary) -> tuple[str, ...]:
    log = summary.log
    named = {"propensities", "action masks", "the number of actions"}
    apart = in_words([what for what in summary.kept_apart() if what not in named])
    losses = [
        f"Minari has no field for {apart}: in data/{MARKS}, which groundschool reads back and other tools pass over."
    ]
    infos = [*(f"cost {name!r}" for name in log.costs)]
    infos += ["propensities"] if log.propensities is not None else []
    infos += ["action masks"] if log.action_masks is not None else []
    if infos:
        losses.append(f"Minari keeps {in_words(infos)} as infos, which other tools know by name only.")
    if log.final_observations is None:
        losses.append(
            "Minari needs an observation after the last action; the log has none, so the last one is repeated."
        )
    return tuple(losses)
