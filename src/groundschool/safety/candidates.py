"""Candidates: what could be trained on a log, by name, and training all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from groundschool.algorithms.config import AlgorithmConfig, configure
from groundschool.data import Dataset
from groundschool.errors import DivergenceError, InputError
from groundschool.safety.makers import MAKERS, Maker, make

Recipe = tuple[str, Mapping[str, Any]]
Candidate = Maker | Recipe

LOGGER = "logger"
"""The row of whoever wrote the log; no candidate may be called so."""


class _Learner(NamedTuple):
    algorithm: str
    config: AlgorithmConfig
    options: Mapping[str, Any]
    seed: int | None


class Candidates:
    """Named ways to make a policy from a log, checked before anything is trained.

    Parameters
    ----------
    candidates : mapping of str to (callable or (algorithm, options))
        A callable gets a Dataset and a seed and returns a policy. Options are those of `groundschool.train`, its
        ``steps`` and ``seed`` among them; of "pruned", "spibb" and "most_provable" those of `Pruned`, `Spibb` and
        `MostProvable`.

    Raises
    ------
    InputError
        If there are none, or a name, an algorithm or an option is not valid.
    """

    def __init__(self, candidates: Mapping[str, Candidate]) -> None:
        if not isinstance(candidates, Mapping) or not candidates:
            raise InputError(
                "candidates: expected at least one, as a mapping from a name to a callable(log, seed) or to "
                f"(algorithm, options); got {type(candidates).__name__} {_short(candidates)}."
            )
        self._makers: dict[str, Maker] = {}
        self._learners: dict[str, _Learner] = {}
        for name, candidate in candidates.items():
            if not isinstance(name, str) or not name or name == LOGGER:
                raise InputError(
                    f"candidates: {name!r} cannot be the name of one. Expected text other than {LOGGER!r}, which is "
                    "the row of whoever wrote the log."
                )
            if callable(candidate):
                self._makers[name] = candidate
            elif (algorithm := _pair(name, candidate)[0]) in MAKERS:
                self._makers[name] = _maker(name, algorithm, _pair(name, candidate)[1])
            else:
                self._learners[name] = _learner(name, candidate)
        self.names = tuple(candidates)

    def train(self, log: Dataset, seed: int, *, only: str | None = None) -> dict[str, Any]:
        """Make every candidate's policy from a log, or that of one.

        Candidates of one algorithm that differ only in what it traces are trained as one population. One that diverges
        leaves the others as they are.

        Parameters
        ----------
        log : Dataset
        seed : int
            Of every candidate whose options do not say another.
        only : str, optional

        Returns
        -------
        dict of str to (Policy or DivergenceError)
            In the order of ``names``.
        """
        names = self.names if only is None else (only,)
        found: dict[str, Any] = {}
        for name in names:
            if name in self._makers:
                found[name] = _made(name, self._makers[name], log, seed)
        for members in self._populations([name for name in names if name in self._learners], seed):
            found.update(self._population(members, log, seed))
        return {name: found[name] for name in names}

    def _populations(self, names: list[str], seed: int) -> list[list[str]]:
        """Group learners that one compiled program can train."""
        groups: dict[str, list[str]] = {}
        for name in names:
            algorithm, config, _, own = self._learners[name]
            static = config.model_dump_json(exclude=set(config.TRACED))
            groups.setdefault(f"{algorithm} {seed if own is None else own} {static}", []).append(name)
        return list(groups.values())

    def _population(self, names: list[str], log: Dataset, seed: int) -> dict[str, Any]:
        from groundschool.training import train_population

        algorithm, _, _, own = self._learners[names[0]]
        settings = [self._learners[name].options for name in names]
        try:
            policies = train_population(
                log, algorithm, seeds=(seed if own is None else own,), settings=settings, names=names
            )
        except DivergenceError as error:
            if len(names) == 1:
                return {names[0]: error}
            return {key: value for name in names for key, value in self._population([name], log, seed).items()}
        return dict(zip(names, policies, strict=True))


def _maker(name: str, algorithm: str, options: Mapping[str, Any]) -> Maker:
    try:
        return make(algorithm, name, options)
    except InputError as error:
        raise InputError(f"candidate {name!r}: {error}") from None


def _pair(name: str, candidate: object) -> tuple[str, Mapping[str, Any]]:
    pair = tuple(candidate) if isinstance(candidate, tuple | list) else ()
    if len(pair) != 2 or not isinstance(pair[0], str) or not isinstance(pair[1], Mapping):
        raise InputError(
            f"candidate {name!r}: expected a callable(log, seed) that returns a policy, or a pair (algorithm, options) "
            f'such as ("cql", {{"steps": 5000}}); got {type(candidate).__name__} {_short(candidate)}.'
        )
    return pair


def _learner(name: str, candidate: object) -> _Learner:
    algorithm, options = _pair(name, candidate)
    own = options.get("seed")
    rest = {key: value for key, value in options.items() if key != "seed"}
    if own is not None and (isinstance(own, bool) or not isinstance(own, int) or not 0 <= own < 2**32):
        raise InputError(f"candidate {name!r}: seed is {own!r}, expected a whole number from 0 to 2**32 - 1.")
    try:
        return _Learner(algorithm, configure(algorithm, rest), rest, own)
    except InputError as error:
        raise InputError(f"candidate {name!r}: {error}") from None


def _made(name: str, maker: Maker, log: Dataset, seed: int) -> Any:
    try:
        policy = maker(log, seed)
    except DivergenceError as error:
        return error
    except Exception as error:
        error.add_note(f"candidate {name!r} was being trained")
        raise
    if not callable(getattr(policy, "probabilities", None)):
        raise InputError(
            f"candidate {name!r}: it made a {type(policy).__name__} without probabilities(observations, masks=None). "
            "Wrap it: gs.wrap(policy)."
        )
    return policy


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
