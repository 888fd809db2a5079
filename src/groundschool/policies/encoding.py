"""How observations become network inputs: fitted on the training part, shipped with the policy.

The encoding decides more than the network does. A column of a few whole numbers (a position, a stage, a count) carries
local exceptions that a network of raw coordinates smooths away; Fourier features (Tancik et al. 2020,
arXiv:2006.10739) or one-hot columns keep them apart. Columns on a continuous scale are standardised.

A blank (NaN) is replaced where the log's features say by what; the figure is fitted on the training part and ships.
Anywhere else a blank is refused: nothing is acted on that nobody thought of.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundschool.data.features import Feature
from groundschool.errors import InputError
from groundschool.policies.imputation import refuse_blanks, refuse_infinite, replacement

Encoding = Literal["auto", "standardize", "one-hot", "fourier", "raw"]
Float32Array = NDArray[np.float32]

LOW_CARDINALITY = 64
ONE_HOT_IDS = 2_048
ID_CODE_WIDTH = 256


@dataclasses.dataclass(frozen=True)
class Column:
    """One fitted column: ``kind`` and the numbers it needs.

    ``center`` and ``scale`` standardise; ``values`` are the sorted values seen (one-hot); ``frequencies`` is the
    number of cosine and sine pairs (Fourier) over ``[low, high]``. ``impute`` replaces a blank (None: a blank is
    refused); ``name`` is the feature's, where the log has names.
    """

    kind: str
    center: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 1.0
    frequencies: int = 0
    values: tuple[float, ...] = ()
    impute: float | None = None
    name: str = ""

    @property
    def width(self) -> int:
        """How many features the column becomes."""
        return {"one-hot": len(self.values), "fourier": 1 + 2 * self.frequencies}.get(self.kind, 1)


class Layout(NamedTuple):
    """Which number of an observation becomes which network input, for all columns at once.

    Who acts encodes one observation at a time, where a step for each column costs more than the arithmetic.

    Attributes
    ----------
    width : int
        Network inputs.
    scaled, center, scale : array, shape (S,)
        Columns that are standardised; ``scaled_to`` are their inputs.
    waved, low, span, order : array, shape (F,)
        Columns of Fourier features, one entry for each frequency; ``cosine_to`` and ``sine_to`` are their inputs.
    flagged, value : array, shape (V,)
        Columns of one-hot features, one entry for each value; ``flag_to`` are their inputs.
    """

    width: int
    scaled: NDArray[np.int64]
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    scaled_to: NDArray[np.int64]
    waved: NDArray[np.int64]
    low: NDArray[np.float64]
    span: NDArray[np.float64]
    order: NDArray[np.int64]
    cosine_to: NDArray[np.int64]
    sine_to: NDArray[np.int64]
    flagged: NDArray[np.int64]
    value: NDArray[np.float64]
    flag_to: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Layout:
        """Return the layout of columns whose inputs stand side by side."""
        scaled: list[tuple[int, float, float, int]] = []
        waves: list[tuple[int, float, float, int, int, int]] = []
        flags: list[tuple[int, float, int]] = []
        start = 0
        for index, column in enumerate(columns):
            if column.kind == "one-hot":
                flags += [(index, value, start + place) for place, value in enumerate(column.values)]
            else:
                scaled.append((index, column.center, column.scale, start))
            if column.kind == "fourier":
                many, span = column.frequencies, column.high - column.low
                waves += [(index, column.low, span, k, start + k, start + many + k) for k in range(1, many + 1)]
            start += column.width
        return cls(start, *_arrays(scaled, "iffi"), *_arrays(waves, "iffiii"), *_arrays(flags, "ifi"))

    def encode(self, flat: NDArray[np.float64]) -> Float32Array:
        """Return network inputs, shape (N, width), for values, shape (N, d). An unseen one-hot value is all zeros."""
        standardised = (flat[:, self.scaled] - self.center) / self.scale
        if len(self.scaled) == self.width:
            return standardised.astype(np.float32)
        out = np.empty((len(flat), self.width), dtype=np.float32)
        out[:, self.scaled_to] = standardised
        if len(self.waved):
            # Half a period spans the range: the two ends of a scale are different places.
            phase = np.pi * ((flat[:, self.waved] - self.low) / self.span) * self.order
            out[:, self.cosine_to], out[:, self.sine_to] = np.cos(phase), np.sin(phase)
        if len(self.flagged):
            out[:, self.flag_to] = flat[:, self.flagged] == self.value
        return out


def _arrays(rows: Sequence[tuple[float, ...]], kinds: str) -> list[NDArray[Any]]:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(kinds)
    types = {"i": np.int64, "f": np.float64}
    return [np.array(column, types[kind]) for column, kind in zip(columns, kinds, strict=True)]


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Observations to network inputs.

    Attributes
    ----------
    shape : tuple of int
        Shape of one observation; ``()`` for integer state ids.
    columns : tuple of Column
        One a flattened observation entry; empty for ids.
    n_ids : int
        How many ids are known (ids only).
    """

    shape: tuple[int, ...]
    columns: tuple[Column, ...] = ()
    n_ids: int = 0

    @property
    def width(self) -> int:
        """How many features an observation becomes."""
        if self.columns:
            return sum(column.width for column in self.columns)
        return self.n_ids if self.n_ids <= ONE_HOT_IDS else ID_CODE_WIDTH

    def __call__(self, observations: ArrayLike) -> Float32Array:
        """Encode observations.

        Parameters
        ----------
        observations : array, shape (N, *shape), or (N,) integer ids

        Returns
        -------
        array of float32, shape (N, width)

        Raises
        ------
        InputError
            If the shape or the kind of number is another than the encoder was fitted on, a value is infinite, or one
            is blank that nothing replaces.
        """
        x = self.impute(observations)
        if not self.columns:
            return self._encode_ids(x)
        return self._layout.encode(x.reshape(len(x), len(self.columns)).astype(np.float64))

    @functools.cached_property
    def _layout(self) -> Layout:
        return Layout.of(self.columns)

    def impute(self, observations: ArrayLike) -> NDArray[Any]:
        """Return observations with their blanks replaced: float64 where there were any, else as they came.

        Raises as calling the encoder does.
        """
        x = np.asarray(observations)
        if x.shape[1:] != self.shape or x.ndim != 1 + len(self.shape):
            expected = f"(N, {', '.join(map(str, self.shape))})" if self.shape else "(N,) integer ids"
            raise InputError(f"observations: expected shape {expected}, got {x.shape} of {x.dtype}")
        if not self.columns:
            return x
        flat = x.reshape(len(x), len(self.columns))
        if np.isfinite(flat).all():
            return x
        refuse_infinite(flat)
        replacements = [np.nan if column.impute is None else column.impute for column in self.columns]
        names, advice = [column.name for column in self.columns], "Pass a value there, or train a policy with impute=."
        refuse_blanks(flat, names, np.isfinite(replacements).tolist(), advice)
        return np.where(np.isnan(flat), replacements, flat.astype(np.float64)).reshape(x.shape)

    def _encode_ids(self, ids: NDArray[Any]) -> Float32Array:
        if not np.issubdtype(ids.dtype, np.integer):
            raise InputError(f"observations: expected integer ids, got {ids.dtype}")
        known = (ids >= 0) & (ids < self.n_ids)
        codes = id_codes(self.n_ids)
        return codes[np.where(known, ids, 0)] * known[:, None].astype(np.float32)

    def describe(self) -> str:
        """Say in words what the network is given."""
        if not self.columns:
            kind = "one-hot" if self.n_ids <= ONE_HOT_IDS else f"fixed random codes of width {ID_CODE_WIDTH}"
            return f"{self.n_ids} state ids, {kind}"
        kinds = [column.kind for column in self.columns]
        parts = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
        imputed = sum(column.impute is not None for column in self.columns)
        blanks = f", blanks of {imputed} imputed" if imputed else ""
        return f"{len(kinds)} columns ({', '.join(parts)}) as {self.width} inputs{blanks}"

    def to_json(self) -> dict[str, Any]:
        """Return the encoder as JSON-ready values (floats survive exactly)."""
        return {
            "shape": list(self.shape),
            "n_ids": self.n_ids,
            "columns": [dataclasses.asdict(column) for column in self.columns],
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Encoder:
        """Rebuild an encoder written by ``to_json``."""
        columns = tuple(Column(**{**column, "values": tuple(column["values"])}) for column in facts["columns"])
        return cls(tuple(facts["shape"]), columns, facts["n_ids"])


@functools.lru_cache(maxsize=4)
def id_codes(n_ids: int) -> Float32Array:
    """Return one row of features an id: one-hot, or fixed random codes where there are very many ids."""
    if n_ids <= ONE_HOT_IDS:
        codes = np.eye(n_ids, dtype=np.float32)
    else:
        codes = np.random.default_rng(0).standard_normal((n_ids, ID_CODE_WIDTH), dtype=np.float32)
        codes /= np.float32(np.sqrt(ID_CODE_WIDTH))
    codes.flags.writeable = False
    return codes


def fit_encoder(
    observations: ArrayLike,
    encoding: Encoding = "auto",
    *,
    frequencies: int | None = None,
    n_ids: int | None = None,
    features: Sequence[Feature] | None = None,
) -> Encoder:
    """Fit an encoder on the observations of the training part.

    Parameters
    ----------
    observations : array, shape (N, d...) of floats, or (N,) integer ids
        NaN where blank, and only where `features` say what replaces it.
    encoding : str
        ``auto`` gives Fourier features to columns of 3 to 64 distinct whole numbers and standardises the rest;
        the other names force one treatment on every column. Ids are always one-hot (or codes).
    frequencies : int, optional
        Cosine and sine pairs of a Fourier column; half as many as whole numbers in its range (at most 32) if left out,
        which tells every value from its neighbors.
    n_ids : int, optional
        Declared number of ids; the largest seen plus one otherwise.
    features : sequence of Feature, optional
        One for each number of an observation. Means and medians to impute are those of the values that are there; so
        are all the other figures of a column.

    Raises
    ------
    InputError
        If an observation is infinite, or blank in a column without imputation; or a column is blank throughout that
        is to take its own mean or median.
    """
    x = np.asarray(observations)
    if x.ndim == 1:
        return Encoder((), n_ids=max(int(x.max()) + 1, n_ids or 0))
    flat = x.reshape(len(x), -1)
    declared = [Feature(f"column {index}") for index in range(flat.shape[1])] if features is None else list(features)
    if len(declared) != flat.shape[1]:
        raise InputError(
            f"features: {len(declared)} for observations of {flat.shape[1]} numbers. Expected one for each."
        )
    names = [""] * len(declared) if features is None else [feature.name for feature in declared]
    if not np.isfinite(flat).all():
        refuse_infinite(flat)
        refuse_blanks(flat, names, [feature.impute is not None for feature in declared])
    columns = []
    for index, feature in enumerate(declared):
        values = flat[:, index].astype(np.float64)
        present = values[~np.isnan(values)]
        impute = replacement(feature, present)
        fitted = _fit_column(present if present.size else np.array([impute]), encoding, frequencies)
        columns.append(dataclasses.replace(fitted, impute=impute, name=names[index]))
    return Encoder(x.shape[1:], tuple(columns))


def _fit_column(x: NDArray[np.float64], encoding: Encoding, frequencies: int | None) -> Column:
    if encoding == "raw":
        return Column("raw")
    values = few_whole_numbers(x)
    kind: str = encoding
    if encoding == "auto":
        kind = "fourier" if values is not None and len(values) > 2 else "standardize"
    if kind in ("one-hot", "fourier") and values is None:
        raise InputError(
            f"encoding {kind!r} needs columns of at most {LOW_CARDINALITY} distinct whole numbers; "
            'use encoding "auto" or "standardize"'
        )
    if kind == "one-hot" and values is not None:
        return Column("one-hot", values=tuple(values.tolist()))
    center, scale = float(x.mean()), float(x.std())
    scale = scale if scale > 1e-12 * max(1.0, abs(center)) else 1.0
    if kind == "fourier" and values is not None and len(values) > 1:
        low, high = float(values[0]), float(values[-1])
        most = min(int(high - low + 1) // 2, 32)
        return Column("fourier", center, scale, low, high, frequencies=min(frequencies or most, most))
    return Column("standardize", center, scale)


def few_whole_numbers(x: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the sorted distinct values, blanks aside, if they are at most 64 whole numbers, else None."""
    x = x[~np.isnan(x)]
    head = np.unique(x[:10_000])
    if len(head) > LOW_CARDINALITY or not np.array_equal(head, np.round(head)):
        return None
    values = np.unique(x)
    return values if len(values) <= LOW_CARDINALITY and np.array_equal(values, np.round(values)) else None
