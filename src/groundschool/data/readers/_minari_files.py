"""The files of a Minari dataset: arrays of each episode, in HDF5, Arrow or Parquet, read in windows of rows.

Observations and infos have one row more than there are steps. A window of k steps therefore holds k + 1 of their rows:
the first k go with the steps, the last k came after them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from groundschool.data.readers import _hdf5, _heap
from groundschool.data.readers._batches import BATCH_ROWS, Converter, kinds_of, sound
from groundschool.data.readers._minari_spaces import Space
from groundschool.data.readers._names import keeps_width
from groundschool.data.readers._rows import kind_of, lengths_agree, rows_at_once, tidy
from groundschool.data.readers._stored import Stored
from groundschool.data.validation import Array
from groundschool.errors import InputError

STEPS = ("actions", "rewards", "terminations", "truncations")
MAIN = "main_data.hdf5"


@dataclass(frozen=True)
class Leaf:
    """An array that every episode has, by the first one.

    Attributes
    ----------
    place : str
        Its path within an episode, as it is stored.
    kind : str
        Of the column that it becomes.
    tail : tuple of int
        Shape of one stored row.
    extra : int
        How many rows there are beyond one a step: 0 or 1.
    row_bytes : int
    image : shape of the image that a row is a JPEG of, or None
    """

    place: str
    kind: str
    tail: tuple[int, ...]
    extra: int
    row_bytes: int
    image: tuple[int, ...] | None = None


class Files(Protocol):
    """The episodes of a dataset, whatever they are stored as."""

    leaves: dict[str, Leaf]
    has_seeds: bool

    def opened(self) -> AbstractContextManager[Any]:
        """Open what all episodes share."""
        ...

    def windows(self, file: Any, episode: int, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Yield windows of an episode's rows, without a gap, for the leaves `names`."""
        ...


class Hdf5Files:
    """A dataset whose episodes are groups of one HDF5 file.

    Parameters
    ----------
    folder : Path
        The ``data`` directory.
    n_episodes : int
        As its metadata says.
    spaces : mapping from name to Space
        Of the leaves of observations and actions.
    """

    def __init__(self, folder: Path, n_episodes: int, spaces: Mapping[str, Space]) -> None:
        self.path, self.spaces = folder / MAIN, spaces
        with self.opened() as file:
            there = sum(name.startswith("episode_") for name in file)
            if there != n_episodes:
                raise InputError(
                    f"{self.path}: holds {there:,} episodes, but metadata.json says {n_episodes:,}. It is damaged or "
                    "was not written to its end."
                )
            _hdf5.dataset_at(file, "episode_0/rewards", self.path)
            group = file["episode_0"]
            arrays, _ = _hdf5.tree(group, self.path)
            steps = arrays["rewards"].shape[0]
            self.has_seeds = any(name == "seed" or name.startswith("options/") for name in group.attrs)
            self.leaves: dict[str, Leaf] = {}
            for place, dataset in arrays.items():
                extra = dataset.shape[0] - steps if dataset.shape else -1
                if extra in (0, 1):
                    self.leaves[place.replace("_index_", "")] = self._leaf(place, dataset, extra)

    def opened(self) -> AbstractContextManager[Any]:
        """Open the file."""
        return _hdf5.opened(self.path)

    def windows(self, file: Any, episode: int, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Yield windows of an episode's rows; see `Files`."""
        group = _hdf5.group_at(file, f"episode_{episode}", self.path)
        arrays = {name: self._array(group, episode, name) for name in {"rewards": None, **dict.fromkeys(names)}}
        lengths = {f"episode_{episode}/{n}": one.shape[0] - self.leaves[n].extra for n, one in arrays.items()}
        steps = lengths_agree(f"{self.path} (beyond one more of observations and infos)", lengths)
        step = rows_at_once(sum(self.leaves[name].row_bytes for name in names))
        for first in range(0, steps, step):
            end = min(first + step, steps)
            yield {name: self._rows(arrays[name], name, first, end) for name in names}

    def _leaf(self, place: str, dataset: Stored, extra: int) -> Leaf:
        name = place.replace("_index_", "")
        space = self.spaces.get(name)
        if space is not None and space.image and dataset.shape[1:] != space.shape:
            return Leaf(place, "list", dataset.shape[1:], extra, math.prod(space.shape), space.shape)
        field = _hdf5.field_of(dataset, self.path, name)
        return Leaf(place, field.kind, dataset.shape[1:], extra, field.row_bytes)

    def _array(self, group: Any, episode: int, name: str) -> Stored:
        leaf = self.leaves[name]
        dataset = _hdf5.dataset_at(group, leaf.place, self.path, f"episode_{episode}/{leaf.place}")
        varies = leaf.image is not None  # in how many bytes it takes
        readable = dataset.dtype.kind != "O" or _heap.is_readable(dataset.id)
        if not dataset.shape or not readable or (dataset.shape[1:] != leaf.tail and not varies):
            raise InputError(
                f"{self.path}: 'episode_{episode}/{leaf.place}' has shape {dataset.shape}, unlike that of episode 0."
            )
        return dataset

    def _rows(self, dataset: Stored, name: str, first: int, end: int) -> Array:
        leaf = self.leaves[name]
        count = end - first + leaf.extra
        if leaf.kind == "text":
            return tidy(name, _hdf5.texts(dataset, self.path, first, first + count), "text", count)
        if leaf.image is not None and dataset.dtype.kind == "O":
            return images(_heap.values(dataset.id, self.path, first, first + count), leaf.image, name)
        rows = dataset.rows(first, first + count)
        if leaf.image is not None:
            return images([row.tobytes() for row in np.asarray(rows, dtype=np.uint8)], leaf.image, name)
        return tidy(name, rows, leaf.kind, count)


class ArrowFiles:
    """A dataset with a directory of Arrow or Parquet files for each episode; see `Hdf5Files`."""

    def __init__(self, folder: Path, n_episodes: int, spaces: Mapping[str, Space], format: str) -> None:
        self.folder, self.spaces, self.format = folder, spaces, format
        there = sum(one.name.isdecimal() for one in folder.iterdir())
        if there != n_episodes:
            raise InputError(
                f"{folder}: holds {there:,} episodes, but metadata.json says {n_episodes:,}. It is damaged or was not "
                "written to its end."
            )
        self.has_seeds = False
        facts = folder / "0" / "metadata.json"
        if facts.is_file():
            self.has_seeds = b'"seed"' in facts.read_bytes()[:BATCH_ROWS]
        self.leaves: dict[str, Leaf] = {}
        first = next(self._batches(0), None)
        if first is None or first.num_rows == 0:
            raise InputError(f"{folder / '0'}: holds no steps. Expected at least one in every episode.")
        with sound(str(folder)):
            schema = first.schema
            for name, kind in kinds_of(schema, str(folder)).items():
                self._look(name, kind, first.slice(0, 2))

    def opened(self) -> AbstractContextManager[Any]:
        """Open nothing: each episode has its files."""
        return nullcontext()

    def windows(self, file: Any, episode: int, names: Sequence[str]) -> Iterator[dict[str, Array]]:
        """Yield windows of an episode's rows; see `Files`."""
        held: dict[str, Array] | None = None
        some = False
        for batch in self._batches(episode):
            with sound(str(self.folder / str(episode))):
                read = self._read(batch, names, episode)
            if held is not None:
                read = {name: np.concatenate([held[name], rows]) for name, rows in read.items()}
            n = len(next(iter(read.values()))) if names else 0
            # The last row waits for the next: it may be the padded one, which is no step.
            held = {name: rows[-1:] for name, rows in read.items()}
            if n > 1:
                some = True
                yield {name: rows if self.leaves[name].extra else rows[:-1] for name, rows in read.items()}
        if names and not some:
            raise InputError(f"{self.folder / str(episode)}: holds no steps. Expected at least one in every episode.")

    def _batches(self, episode: int) -> Iterator[Any]:
        """Yield the flattened record batches of an episode."""
        folder = self.folder / str(episode)
        found = folder.glob(f"*.{self.format}") if folder.is_dir() else ()
        files = sorted(found, key=lambda path: (len(path.name), path.name))  # part-2 before part-10
        if not files:
            raise InputError(f"{folder}: holds no .{self.format} file. The dataset is damaged or not complete.")
        for path in files:
            with sound(str(path)):
                if self.format == "parquet":
                    with pq.ParquetFile(path) as parquet:
                        yield from map(_flat, parquet.iter_batches(BATCH_ROWS))
                    continue
                with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as reader:
                    for index in range(reader.num_record_batches):
                        batch = reader.get_batch(index)
                        batch.validate(full=True)  # offsets in the file are not to be trusted
                        for start in range(0, batch.num_rows, BATCH_ROWS):
                            yield _flat(batch.slice(start, BATCH_ROWS))

    def _look(self, name: str, kind: str, sample: Any) -> None:
        space = self.spaces.get(name)
        extra = 0 if name.split("/")[0] in STEPS else 1
        if space is not None and space.image and pa.types.is_binary(sample.schema.field(name).type):
            self.leaves[name] = Leaf(name, "list", space.shape, extra, math.prod(space.shape), space.shape)
        elif kind in ("text", "other", "time"):
            self.leaves[name] = Leaf(name, kind, (), extra, 64)
        else:
            array = self._shaped(name, Converter(str(self.folder), sample.schema, [name])(sample)[name], sample.schema)
            if kind == "list":
                kind = kind_of(array.dtype, array.shape, keep_width=keeps_width(name, array.dtype.kind))
            self.leaves[name] = Leaf(name, kind, array.shape[1:], extra, array[:1].nbytes)

    def _read(self, batch: Any, names: Sequence[str], episode: int) -> dict[str, Array]:
        plain = [name for name in names if self.leaves[name].image is None]
        found = Converter(f"{self.folder / str(episode)}", batch.schema, plain)(batch)
        read = {}
        for name in names:
            leaf = self.leaves[name]
            if leaf.image is not None:
                read[name] = images(batch.column(name).to_pylist(), leaf.image, name)
            elif leaf.kind in ("text", "time"):
                read[name] = found[name]
            else:
                array = self._shaped(name, found[name], batch.schema)
                if array.shape[1:] != leaf.tail:
                    raise InputError(
                        f"{self.folder / str(episode)}: {name!r} has rows of shape {array.shape[1:]}, unlike 0."
                    )
                read[name] = tidy(name, array, leaf.kind, len(array))
        return read

    def _shaped(self, name: str, array: Array, schema: Any) -> Array:
        """Return a list column in the shape that its space, or its field in the file, says."""
        space = self.spaces.get(name)
        shape = space.shape if space is not None else array.shape[1:]
        said = (schema.field(name).metadata or {}).get(b"shape")
        if space is None and said:
            shape = tuple(int(length) for length in said.split(b","))
        if array.ndim > 1 and math.prod(shape) == math.prod(array.shape[1:]):
            return array.reshape(len(array), *shape)
        return array


def images(encoded: Sequence[bytes], shape: tuple[int, ...], name: str) -> Array:
    """Return JPEG images (n, height, width, ...) uint8; InputError where one has another shape."""
    from PIL import Image, UnidentifiedImageError

    decoded = np.empty((len(encoded), *shape), np.uint8)
    for i, one in enumerate(encoded):
        try:
            with Image.open(io.BytesIO(one), formats=["JPEG"]) as image:
                if image.size != (shape[1], shape[0]):  # before it is decoded: a header may promise anything
                    raise InputError(f"{name}: an image is {image.size[::-1]}, its space says {shape}.")
                decoded[i] = np.asarray(image).reshape(shape)
        except InputError:
            raise
        except (
            UnidentifiedImageError,
            OSError,
            ValueError,
            TypeError,
            SyntaxError,
            Image.DecompressionBombError,
        ) as error:
            raise InputError(f"{name}: an image cannot be decoded ({error}).") from None
    return decoded


def _flat(batch: Any) -> Any:
    """Return a record batch whose records are columns of their own, ``observations/position``."""
    columns: list[Any] = []
    fields: list[Any] = []
    stack = [(field, column) for field, column in zip(batch.schema, batch.columns, strict=True)][::-1]
    while stack:
        field, column = stack.pop()
        if pa.types.is_struct(field.type):
            inner = [field.type.field(i) for i in range(field.type.num_fields)]
            named = [one.with_name(f"{field.name}/{one.name}") for one in inner]
            stack += list(zip(named, column.flatten(), strict=True))[::-1]
        else:
            fields.append(field)
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
