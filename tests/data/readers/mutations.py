"""Ways in which a file goes wrong, and workers that read what came of it."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

HOSTILE = [
    b"", b"NaN", b"nan", b"inf", b"-inf", b"1e999", b"-0", b"1e-400", b"9" * 400, b"0x1f", b"1,5", b"1_000", b"'", b'"',
    b'"""', b"\\N", b"NULL", b"None", b"true", b"TRUE", b"\x00", b"\xff\xfe", b"\xed\xa0\x80",
    "\u202e\U0001f4a5".encode(),
    b"=cmd|' /C calc'!A0", b"__import__('os')", b"${jndi}", b"../../etc/passwd", b"%s%s%n", b"\r", b"\n", b";", b"\t",
    b"-1", b"9223372036854775808", b"18446744073709551616", b"1970-01-01", b"[1, 2]", b"{}", b"a" * 70_000,
]  # fmt: skip


def mutate(data, rng):
    """Return `data` (bytes) damaged in one to three places."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if not data:
            break
        kind = rng.integers(8)
        at = int(rng.integers(len(data)))
        size = int(min(rng.integers(1, 65), len(data) - at))
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            data[at : at + size] = rng.bytes(size)
        elif kind == 3:
            data[at : at + size] = bytes([int(rng.choice([0, 255]))]) * size
        elif kind == 4:
            del data[at : at + size]
        elif kind == 5:
            data[at:at] = data[at : at + size] * int(rng.integers(1, 4))
        elif kind == 6:
            data[at : at + size] = HOSTILE[int(rng.integers(len(HOSTILE)))]
        else:  # a whole number, which may be a length or a shape, becomes huge or negative
            value = int(rng.choice([-1, 2**31 - 1, 2**40, 2**62, -(2**63)]))
            data[at : at + 8] = np.int64(value).tobytes()[: len(data[at : at + 8])]
    return bytes(data)


def mutate_text(data, rng):
    """Return a table of text (bytes) with cells, columns or lines damaged, or damaged as any file."""
    if rng.random() < 0.3:
        return mutate(data, rng)
    rows = [line.split(b",") for line in data.split(b"\n") if line]
    for _ in range(int(rng.integers(1, 4))):
        kind, row = rng.integers(7), int(rng.integers(len(rows)))
        column = int(rng.integers(len(rows[row])))
        if kind <= 2:
            rows[row][column] = HOSTILE[int(rng.integers(len(HOSTILE)))]
        elif kind == 3:
            order = rng.permutation(len(rows[0]))
            start = int(rng.integers(2))  # with the header or without it
            rows[start:] = [[cells[i] if i < len(cells) else b"" for i in order] for cells in rows[start:]]
        elif kind == 4:
            rows[row] = rows[row][:column]
        elif kind == 5:
            rows[row].insert(column, b"1")
        else:
            order = rng.permutation(len(rows) - 1) + 1
            rows[1:] = [rows[i] for i in order]
    return b"\n".join(b",".join(cells) for cells in rows) + b"\n"


def mutate_arrays(arrays, rng):
    """Return named arrays with one or two of them renamed, retyped, reshaped, emptied, or filled with nonsense."""
    arrays = dict(arrays)
    for _ in range(int(rng.integers(1, 3))):
        name = list(arrays)[int(rng.integers(len(arrays)))]
        array, kind = np.array(arrays[name]), rng.integers(9)
        if kind == 0:
            del arrays[name]
        elif kind == 1:
            arrays[name + "x"] = arrays.pop(name)
        elif kind == 2:
            dtypes = [np.int8, np.uint64, np.float16, np.complex64, np.bool_, "S8", np.int64]
            with np.errstate(all="ignore"):
                arrays[name] = np.nan_to_num(np.asarray(array)).astype(dtypes[int(rng.integers(len(dtypes)))])
        elif kind == 3:
            arrays[name] = array[: int(rng.integers(len(array) + 1))]
        elif kind == 4:
            arrays[name] = array[..., None] if array.ndim < 3 else array[0]
        elif kind == 5:
            arrays[name] = array.reshape(-1)
        elif kind == 6:
            arrays[name] = np.full(array.shape, rng.choice([np.nan, np.inf, -1e308, -1.0, 2.0**62]))
        elif kind == 7:
            arrays[name] = array[rng.permutation(len(array))]
        else:
            arrays[name] = np.zeros((0, *array.shape[1:]))
        if not arrays:
            break
    return arrays


class Reader:
    """A process that converts files, one a line, and is replaced when it crashes or takes too long."""

    def __init__(self, columns, limit=20.0):
        self.columns, self.limit, self.process = columns, limit, None

    def __call__(self, path, target):
        """Return 'read', 'refused: ...', or what should not happen."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", __file__, str(self.columns)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
            )  # fmt: skip
        self.process.stdin.write(f"{path}\t{target}\n")
        self.process.stdin.flush()
        import select

        ready, _, _ = select.select([self.process.stdout], [], [], self.limit)
        answer = self.process.stdout.readline().rstrip("\n") if ready else ""
        if answer:
            return answer
        code = self.process.poll() if ready else None
        self.close()
        return f"crash: {signal.Signals(-code).name if code is not None and code < 0 else code}" if ready else "hang"

    def close(self):
        """Stop the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def serve(columns):
    """Convert what is asked for until the input ends."""
    import resource
    import warnings

    from groundschool.data import convert
    from groundschool.errors import InputError

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))  # a huge shape must not be allocated
    for line in sys.stdin:
        path, target = line.rstrip("\n").split("\t")
        mapped = columns if Path(path).name.startswith("mapped") else None
        try:
            convert(path, target, columns=mapped)
            answer = "read"
        except InputError as error:
            answer = f"refused: {error}"
        except BaseException as error:  # noqa: BLE001  (whatever it is, it is what is looked for)
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            answer = f"traceback: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        sys.stdout.write(answer.replace("\n", " ").encode("utf-8", "replace").decode()[:2_000] + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", errors="replace", line_buffering=True)
    serve(sys.argv[1])
