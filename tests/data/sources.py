"""Tables in memory as sources, in batches of any size."""

import numpy as np

from groundschool.data.assemble import assemble
from groundschool.data.columns import Columns
from groundschool.data.gather import gather
from groundschool.data.source import Source

KINDS = {"b": "flag", "i": "integer", "u": "integer", "f": "number", "O": "text", "M": "time"}


def source(columns, size=7, /, **more):
    """Return a `Source` of named arrays, handed out in batches of `size` rows."""
    columns = {name: np.asarray(values) for name, values in columns.items()}
    n = len(next(iter(columns.values())))

    def batches(names):
        for start in range(0, n, size):
            yield {name: columns[name][start : start + size] for name in names}

    kinds = {name: "list" if c.ndim > 1 else KINDS[c.dtype.kind] for name, c in columns.items()}
    return Source("table", "memory", kinds, batches, **{"n_rows": n, **more})


def raw(columns, size=7, *, n_rows=True, **said):
    """Return the raw log of named arrays under the column map `said`."""
    opened = source(columns, size)
    return gather(assemble(opened, Columns(**said)), opened.n_rows if n_rows else None)
