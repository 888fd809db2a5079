"""Damaged files in every format: read or refused in a sentence, never a traceback, a hang or half a result.

HDF5 and the others are read in processes of their own, with a time limit: a crash of a C library would show.
"""

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mutations
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from groundschool.data import Dataset, convert

h5py = pytest.importorskip("h5py")

EPISODES, STEPS = 6, 5
MAP = """
episode = "stay"
step = "hour"
observations = ["x", "y"]
action = "dose"
reward = "gain"
costs = { harm = "harm" }
propensity = "p"
terminated = "died"
truncated = "left"
"""


def table(rng):
    """Return a table that `MAP` fits."""
    n = EPISODES * STEPS
    last = np.arange(n) % STEPS == STEPS - 1
    died = last & (rng.random(n) < 0.5)
    return {
        "stay": np.repeat(np.arange(EPISODES), STEPS),
        "hour": np.tile(np.arange(STEPS), EPISODES),
        "x": rng.normal(size=n),
        "y": rng.normal(size=n),
        "dose": rng.integers(0, 3, n),
        "gain": rng.normal(size=n),
        "harm": (rng.random(n) < 0.2).astype(float),
        "p": rng.uniform(0.1, 1.0, n),
        "died": died,
        "left": last & ~died,
    }


def arrays(rng):
    """Return the arrays of a log as D4RL and DSRL name them."""
    t = table(rng)
    return {
        "observations": np.stack([t["x"], t["y"]], axis=1),
        "actions": t["dose"],
        "rewards": t["gain"],
        "costs": t["harm"],
        "terminals": t["died"],
        "timeouts": t["left"],
    }


def log(rng):
    t = table(rng)
    return Dataset.from_arrays(
        np.stack([t["x"], t["y"]], axis=1),
        t["dose"],
        t["gain"],
        t["died"],
        t["left"],
        costs={"harm": t["harm"]},
        propensities=t["p"],
        n_actions=3,
    )


def write_hdf5(path, columns):
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            file[name] = values


def make(folder, rng):
    """Write one sound file of every format, and return them by format."""
    columns = table(rng)
    frame = pa.table(columns)
    pyarrow.csv.write_csv(frame, folder / "mapped.csv")
    with pa.CompressedOutputStream(folder / "mapped.csv.gz", "gzip") as stream:
        pyarrow.csv.write_csv(frame, stream)
    pq.write_table(frame, folder / "mapped.parquet")
    pyarrow.feather.write_feather(frame, folder / "mapped.feather")
    pyarrow.feather.write_feather(frame, folder / "mapped-plain.arrow", compression="uncompressed")
    with pa.ipc.new_stream(folder / "mapped-stream.arrows", frame.schema) as writer:
        writer.write_table(frame)
    np.savez(folder / "log.npz", **arrays(rng))
    np.savez_compressed(folder / "packed.npz", **arrays(rng))
    write_hdf5(folder / "d4rl.hdf5", {name: a for name, a in arrays(rng).items() if name != "costs"})
    own = log(rng)
    own.save(folder / "saved")
    for name, target in (("dsrl", "dsrl.hdf5"), ("d3rlpy", "d3rlpy.h5"), ("minari", "minari/set-v0")):
        (folder / target).parent.mkdir(exist_ok=True)
        convert(folder / "saved", folder / target, to=name)
    return [*sorted(path for path in folder.iterdir() if path.name != "minari"), folder / "minari" / "set-v0"]


def damaged(sound, target, rng):
    """Write a damaged copy of the file or directory `sound` to `target`."""
    if sound.is_dir():
        shutil.copytree(sound, target)
        files = sorted(path for path in target.rglob("*") if path.is_file())
        victim = files[int(rng.integers(len(files)))]
        victim.write_bytes(mutations.mutate(victim.read_bytes(), rng))
    elif sound.suffix == ".csv":
        target.write_bytes(mutations.mutate_text(sound.read_bytes(), rng))
    elif sound.suffix == ".npz" and rng.random() < 0.5:
        np.savez(target, **mutations.mutate_arrays(arrays(rng), rng))
    elif sound.suffix == ".hdf5" and rng.random() < 0.5:
        write_hdf5(target, mutations.mutate_arrays(arrays(rng), rng))
    elif sound.suffix == ".parquet" and rng.random() < 0.5:
        columns = mutations.mutate_arrays(table(rng), rng)
        if len({len(column) for column in columns.values()}) != 1 or any(c.ndim > 1 for c in columns.values()):
            target.write_bytes(mutations.mutate(sound.read_bytes(), rng))
        else:
            columns = {name: c.astype(str) if c.dtype.kind in "cS" else c for name, c in columns.items()}
            pq.write_table(pa.table(columns), target)
    else:
        target.write_bytes(mutations.mutate(sound.read_bytes(), rng))


def outcomes(folder, count, seed):
    """Return what happened to `count` damaged files, by format, with the file where it should not have."""
    sound = make(folder / "sound", np.random.default_rng(seed))
    (folder / "map.toml").write_text(MAP)
    jobs = [(i, sound[i % len(sound)]) for i in range(count)]
    found = {}

    def work(share):
        reader = mutations.Reader(folder / "map.toml")
        for i, path in share:
            rng = np.random.default_rng([seed, i])
            victim = folder / f"{path.name.split('.')[0]}-{i}{''.join(path.suffixes)}"
            out = folder / f"out-{i}"
            damaged(path, victim, rng)
            answer = reader(victim, out)
            left = [p.name for p in folder.iterdir() if p.name == out.name or p.name.startswith(f".{out.name}.")]
            if answer == "read":
                good = left == [out.name] and Dataset.load(out).n_steps > 0
            else:
                good = answer.startswith("refused: ") and len(answer) > 30 and not left
            if good:
                for one in (victim, out):
                    shutil.rmtree(one, ignore_errors=True) if one.is_dir() else one.unlink(missing_ok=True)
            found[i] = (path.name, answer if good or answer != "read" else f"partial: {left}", good)
        reader.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [jobs[::2], jobs[1::2]]))
    return [found[i] for i in sorted(found)]


def test_sound_files_are_read(tmp_path):
    sound = make(Path(tmp_path) / "sound", np.random.default_rng(0)) if (tmp_path / "sound").mkdir() is None else []
    (tmp_path / "map.toml").write_text(MAP)
    reader = mutations.Reader(tmp_path / "map.toml")
    answers = {path.name: reader(path, tmp_path / f"out-{i}") for i, path in enumerate(sound)}
    reader.close()
    assert set(answers.values()) == {"read"}, answers


@pytest.mark.parametrize("count", [300, pytest.param(12_000, marks=pytest.mark.slow)])
def test_damaged_files_are_read_or_refused(tmp_path, count):
    (tmp_path / "sound").mkdir()
    results = outcomes(tmp_path, count, seed=count)
    bad = [f"{name}: {answer}" for name, answer, good in results if not good]
    assert not bad, f"{len(bad)} of {count}: " + "\n".join(itertools.islice(dict.fromkeys(bad), 20))
    for name in {name for name, _, _ in results}:
        kinds = {answer.split(":")[0] for format, answer, _ in results if format == name}
        assert "refused" in kinds, f"{name}: no damage was ever noticed, so nothing was tested"
