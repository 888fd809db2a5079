"""Train one policy, or a population of them, from a fixed log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from groundschool.algorithms.config import AlgorithmConfig, configure
from groundschool.algorithms.registry import ALGORITHMS
from groundschool.algorithms.types import Algorithm, Spec
from groundschool.data import Dataset, content
from groundschool.data.raw import RawLog
from groundschool.errors import InputError
from groundschool.policies.intake import Intake
from groundschool.policies.network import NetworkPolicy
from groundschool.policies.record import TrainingRecord
from groundschool.training import checkpoint as checkpoints
from groundschool.training import divergence, loop
from groundschool.training.data import Prepared, prepare
from groundschool.training.device import describe_device, resolve_device
from groundschool.training.progress import progress_bar

_LIBRARIES = ("groundschool", "jax", "equinox", "optax", "numpy")


def train(
    log: Dataset,
    algorithm: str,
    *,
    steps: int | None = None,
    seed: int = 0,
    name: str | None = None,
    device: str = "auto",
    progress: bool = False,
    checkpoint: str | Path | None = None,
    **options: Any,
) -> NetworkPolicy:
    """Train a policy from a log alone.

    Parameters
    ----------
    log : Dataset
        The training part.
    algorithm : str
        ``"bc"`` or ``"cql"``.
    steps : int, optional
        Gradient steps; the algorithm's own default if left out. Every one is taken.
    seed : int
        Of the first weights and of the batches. Same inputs, same weights, bit for bit, on one machine.
    name : str, optional
        The policy's label.
    device : str
        ``auto``, ``cpu``, ``gpu``, ``gpu:1`` …
    progress : bool
        Show a progress bar on stderr.
    checkpoint : path, optional
        A directory for checkpoints at chunk ends. Where it holds one of the same run, training goes on from there and
        ends in exactly the weights of an uninterrupted run.
    **options
        The algorithm's own, by name: see ``BCConfig`` and ``CQLConfig``.

    Returns
    -------
    NetworkPolicy
        BC's is stochastic (``.greedy()`` is another policy); CQL's takes its best supported action.

    Raises
    ------
    InputError
        If an option is unknown or out of range, or the log cannot be learned from.
    DivergenceError
        If training left the range of possible values.
    """
    (policy,) = train_population(
        log,
        algorithm,
        seeds=(seed,),
        settings=(options,),
        steps=steps,
        names=None if name is None else (name,),
        device=device,
        progress=progress,
        checkpoint=checkpoint,
    )
    return policy


def train_population(
    log: Dataset,
    algorithm: str,
    *,
    seeds: Sequence[int] = (0,),
    settings: Sequence[Mapping[str, Any]] = ({},),
    steps: int | None = None,
    names: Sequence[str] | None = None,
    device: str = "auto",
    progress: bool = False,
    checkpoint: str | Path | None = None,
) -> list[NetworkPolicy]:
    """Train seeds × settings side by side in one compiled program.

    Settings may differ in the options an algorithm traces (learning rate, weight decay, discount, conservative
    weight, …) without another compilation; those that differ in anything else (widths, batch size, …) are refused:
    train them one population each.

    Parameters
    ----------
    log, algorithm, steps, device, progress, checkpoint
        As in ``train``.
    seeds : sequence of int
    settings : sequence of mappings
        Options by name, one mapping a setting.
    names : sequence of str, optional
        One label a member, settings outermost.

    Returns
    -------
    list of NetworkPolicy
        Settings outermost: all seeds of the first setting first.
    """
    learner, members = _members(algorithm, seeds, settings, steps)
    labels = list(names) if names is not None else _labels(algorithm, members)
    if len(labels) != len(members):
        raise InputError(f"names: expected {len(members)} (settings x seeds), got {len(labels)}")
    where = resolve_device(device)
    prepared = prepare(log, learner, members[0].config, where)
    started = time.perf_counter()
    with jax.default_device(where):
        training = _Training(log, learner, members, prepared, where, checkpoint)
        label = labels[0] if len(labels) == 1 else f"{algorithm.upper()} x {len(labels)}"
        with progress_bar(label, members[0].config.steps, shown=progress) as report:
            for chunk in training.chunks():
                report(chunk)
    return training.policies(labels, time.perf_counter() - started)


def check(log: Dataset, algorithm: str, *, seed: int = 0, device: str = "auto", **options: Any) -> None:
    """Raise what ``train`` would raise before its first step, and train nothing.

    Raises
    ------
    InputError
        If an option, the device or the log cannot be used.
    """
    learner, members = _members(algorithm, (seed,), (options,), None)
    prepare(log, learner, members[0].config, resolve_device(device))


def snapshots(
    log: Dataset, algorithm: str, *, steps: int | None = None, seed: int = 0, device: str = "auto", **options: Any
) -> Iterator[tuple[int, NetworkPolicy]]:
    """Train one policy and yield ``(step, policy)`` at every chunk end, the last being what ``train`` returns.

    For looking at how stable learning is. Picking among these by rollouts would be learning online.
    """
    learner, members = _members(algorithm, (seed,), (options,), steps)
    where = resolve_device(device)
    prepared = prepare(log, learner, members[0].config, where)
    started = time.perf_counter()
    with jax.default_device(where):
        training = _Training(log, learner, members, prepared, where, None)
        for chunk in training.chunks():
            yield chunk.step, training.policies([algorithm.upper()], time.perf_counter() - started)[0]


class _Training:
    """One population's way from its first state, or a checkpoint, to policies."""

    def __init__(
        self,
        log: Dataset,
        algorithm: Algorithm,
        members: list[loop.Member],
        prepared: Prepared,
        device: jax.Device,
        checkpoint: str | Path | None,
    ) -> None:
        self.log, self.algorithm, self.members, self.prepared, self.device = log, algorithm, members, prepared, device
        self.directory = None if checkpoint is None else Path(checkpoint)
        self.steps = members[0].config.steps
        self.compile_seconds, self.earlier_seconds = 0.0, 0.0
        self.curves: list[dict[str, list[float]]] = [{"step": []} for _ in members]
        self.program = loop.build(algorithm, members, prepared.data, device)
        self.state = self.program.start(Spec(prepared.encoder.width, prepared.n_actions))
        self.owner = checkpoints.identity(self._facts())

    def chunks(self) -> Iterator[loop.Chunk]:
        """Train, keep curves and checkpoints, and yield every chunk's end; ``state`` is current at each."""
        first, started = self._resume(), time.perf_counter()
        limits = [divergence.value_limit(self.log, m.config, self.prepared.reward_scale) for m in self.members]
        self.state, _ = self.program.advance(self.state, first, first)
        self.compile_seconds = time.perf_counter() - started
        for chunk in loop.run(self.program, self.state, self.steps, first):
            self.state = chunk.state
            divergence.check(chunk, self.members, limits)
            for index, curve in enumerate(self.curves):
                curve["step"].append(chunk.step)
                for name, values in chunk.metrics.items():
                    curve.setdefault(name, []).append(float(values[index]))
            if self.directory is not None:
                spent = self.earlier_seconds + time.perf_counter() - started
                checkpoints.save(
                    self.directory, checkpoints.Checkpoint(chunk.step, self.state, self.curves, spent), self.owner
                )
            yield chunk

    def policies(self, names: list[str], seconds: float) -> list[NetworkPolicy]:
        """Read every member's policy off the current state."""
        networks = jax.tree.map(np.asarray, self.algorithm.networks(self.state))
        hashes = tuple(str(digest) for digest in self.log.episode_hashes)
        contents = tuple(f"{digest:016x}" for digest in content.episode_hashes(RawLog.of(self.log)).tolist())
        return [
            NetworkPolicy(
                name=name,
                n_actions=self.prepared.n_actions,
                encoder=self.prepared.encoder,
                layers=tuple((w[index], b[index]) for w, b in zip(networks.weights, networks.biases, strict=True)),
                head=self.algorithm.head,
                value_scale=self.prepared.reward_scale,
                support=self.prepared.support,
                intake=Intake.of(self.log),
                training=TrainingRecord(
                    algorithm=self.algorithm.name,
                    config=member.config.model_dump(mode="json"),
                    steps=int(self.curves[index]["step"][-1]),
                    seed=member.seed,
                    seconds=self.earlier_seconds + seconds,
                    compile_seconds=self.compile_seconds,
                    device=describe_device(self.device),
                    versions=_versions(),
                    fingerprint=self.log.fingerprint,
                    episode_hashes=hashes,
                    curves={metric: list(values) for metric, values in self.curves[index].items()},
                    notes=self.prepared.notes,
                    content_hashes=contents,
                ),
            )
            for index, (name, member) in enumerate(zip(names, self.members, strict=True))
        ]

    def _resume(self) -> int:
        if self.directory is None:
            return 0
        found = checkpoints.load(self.directory, self.state, self.owner)
        if found is None:
            return 0
        self.state, self.curves = jax.device_put(found.state, self.device), found.curves
        self.earlier_seconds = found.seconds
        return found.step

    def _facts(self) -> dict[str, Any]:
        return {
            "algorithm": self.algorithm.name,
            "members": [[member.seed, member.config.model_dump(mode="json")] for member in self.members],
            "data": self.log.fingerprint,
            "versions": _versions(),
            "platform": self.device.platform,
        }


def _members(
    algorithm: str, seeds: Sequence[int], settings: Sequence[Mapping[str, Any]], steps: int | None
) -> tuple[Algorithm, list[loop.Member]]:
    if not seeds or not settings:
        raise InputError("a population needs at least one seed and one setting")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
            raise InputError(f"seed: expected a whole number from 0 to 2**32 - 1, got {seed!r}")
    budget = {} if steps is None else {"steps": steps}
    configs: list[AlgorithmConfig] = [configure(algorithm, {**setting, **budget}) for setting in settings]
    first = loop.static_part(configs[0])
    for config in configs:
        if loop.static_part(config) != first or config.steps != configs[0].steps:
            static = loop.static_part(config).model_dump()
            different = [key for key, value in first.model_dump().items() if static[key] != value] or ["steps"]
            raise InputError(
                f"settings of one population may differ only in {', '.join(config.TRACED)}; these differ in "
                f"{', '.join(different)}: train them as separate populations"
            )
    return ALGORITHMS[algorithm], [loop.Member(int(seed), config) for config in configs for seed in seeds]


def _labels(algorithm: str, members: list[loop.Member]) -> list[str]:
    if len(members) == 1:
        return [algorithm.upper()]
    return [f"{algorithm.upper()} {index}" for index in range(len(members))]


def _versions() -> dict[str, str]:
    return {library: version(library) for library in _LIBRARIES}
