"""What a study is: frozen, fully checked, read from TOML and written back resolved as JSON."""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from groundschool.errors import InputError, suggest
from groundschool.explain import elsewhere, explain, nested, unknown
from groundschool.gate_config import NAMED_BASELINES, GateConfig, GuardConfig
from groundschool.sections import Count, Flag, Name, Section, Seed, Share, WithOptions

HAZARD_GRID = "groundschool/HazardGrid-v0"
BUDGETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "tutorial": {
        "bc": {"steps": 25_000, "hidden": [256, 256], "batch_size": 256, "learning_rate": 3e-4},
        "cql": {"steps": 80_000, "hidden": [256, 256], "batch_size": 256, "learning_rate": 3e-4, "networks": 1},
    }
}
GREEDY = frozenset({"cql"})
PATHS: Mapping[str, tuple[str, ...]] = {"data": ("path", "columns"), "gate": ("baseline",)}


class EnvironmentConfig(WithOptions):
    """A Gymnasium environment by id; further keys are its parameters."""

    id: str = HAZARD_GRID

    @model_validator(mode="after")
    def _resolve_options(self) -> Self:
        if self.id != HAZARD_GRID:
            return self
        from groundschool.envs import HazardGrid

        known = {
            name: parameter.default
            for name, parameter in inspect.signature(HazardGrid).parameters.items()
            if name != "render_mode"
        }
        for name in self.options:
            if name not in known:
                raise elsewhere(name, unknown(name, ["id", *known]))
        if "hazards" in self.options:
            for name in ("n_hazards", "hazard_seed"):
                if name in self.options:
                    raise elsewhere(name, "does not apply where hazards are given: leave one of the two out.")
        HazardGrid(**self.options)  # its errors are sentences already
        defaults = {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}
        if "hazards" in self.options:
            del defaults["n_hazards"], defaults["hazard_seed"]
        resolved = {name: self.options.get(name, value) for name, value in {**self.options, **defaults}.items()}
        self.options.clear()
        self.options.update({name: value for name, value in resolved.items() if value is not None})
        return self


class DataConfig(Section):
    """A log in any format; of a table, ``columns`` says which column means what: a map, or the path of one in TOML.

    A resolved config holds the map itself.
    """

    path: str
    format: str = "auto"
    columns: dict[str, Any] | None = None

    @field_validator("columns", mode="before")
    @classmethod
    def _map(cls, raw: Any) -> Any:
        """Check the map, and read it where its path is given."""
        from groundschool.data.columns import Columns

        if raw is None:
            return None
        if not isinstance(raw, str | Mapping):
            raise elsewhere(
                "", f"is {raw!r}, expected a table of keys and values, or the path of a column map in TOML."
            )
        try:
            return (Columns.load(raw) if isinstance(raw, str) else Columns.from_mapping(raw, "")).to_json()
        except InputError as error:
            raise elsewhere("", f": {str(error).removeprefix(': ')}") from None


class LoggingConfig(Section):
    """How the environment's own logger writes the log; epsilon is its chance of a uniformly random action."""

    episodes: Count = 500
    epsilon: Annotated[float, Field(ge=0, le=1, strict=True)] = 0.22
    seed: Seed = 42


class HoldoutConfig(Section):
    """Episodes nobody trains on, for off-policy evaluation and the calibration of behavior models.

    ``episodes`` freshly logged ones with their own seed where an environment writes the log; a ``fraction`` of the
    episodes (of the groups, where there are groups) where the log is given. ``by`` and ``stratify`` say how it is
    split, as in `groundschool.split`.
    """

    episodes: Count | None = None
    fraction: Share | None = None
    by: Literal["auto", "episode", "group", "time"] | None = None
    stratify: str | None = None
    seed: Seed = 1_042


class CandidateConfig(WithOptions):
    """A policy to make; further keys are the algorithm's options, ``steps`` of those that are trained among them.

    ``pruned``, ``spibb`` and ``most_provable`` are made from the log at once, to be certified. ``greedy`` judges its
    greedy version as one more policy. A ``seed`` left out is the study's.
    """

    name: Name
    algorithm: str
    seed: Seed | None = None
    greedy: Flag = False

    @model_validator(mode="after")
    def _resolve_options(self) -> Self:
        from groundschool.algorithms.config import CONFIGS
        from groundschool.safety.makers import MAKERS, options_of

        known = (*CONFIGS, *MAKERS)
        if self.algorithm not in known:
            hint = suggest(self.algorithm, known) or f" Known: {', '.join(known)}."
            raise ValueError(f"algorithm {self.algorithm!r} is not known.{hint}")
        model: type[BaseModel] = CONFIGS[self.algorithm] if self.trained else options_of(self.algorithm)
        try:
            resolved = model.model_validate(self.options).model_dump(mode="json", exclude_none=not self.trained)
        except ValidationError as error:
            own = [name for name in type(self).model_fields if name != "options"]
            raise nested(error, model, also_valid=own, hints=getattr(model, "HINTS", {})) from None
        if not self.trained:
            self._check_maker(resolved)
        if self.greedy and self.algorithm in GREEDY:
            raise ValueError(f"greedy = true is for policies that sample: {self.algorithm} is greedy by itself")
        self.options.clear()
        self.options.update(resolved)
        return self

    def _check_maker(self, options: Mapping[str, Any]) -> None:
        """Raise where a maker refuses a value, at the path of its option."""
        from groundschool.safety.makers import make

        try:
            make(self.algorithm, self.name, options)
        except InputError as error:
            place, _, problem = str(error).partition(" ")
            raise elsewhere(place, problem) from None

    @property
    def trained(self) -> bool:
        """Whether a network is trained, in steps; else the policy is made from the log at once."""
        from groundschool.algorithms.config import CONFIGS

        return self.algorithm in CONFIGS


class EvaluationConfig(Section):
    """What each policy would do, judged on the holdout alone, before any rollout.

    ``methods`` are those of `groundschool.evaluate`; the first is the one that the report speaks of. ``of`` is what is
    asked, by default everything: the return, and of each cost its probability and its expected sum.
    """

    enabled: Flag = True
    methods: Annotated[tuple[str, ...], Field(min_length=1)] = ("auto", "dr", "wis", "betting")
    of: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    confidence: Annotated[float, Field(ge=0.5, lt=1, strict=True)] = 0.95
    discount: Annotated[float, Field(gt=0, le=1, strict=True)] = 1.0
    seed: Seed = 0

    @field_validator("methods")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from groundschool.evaluation.estimators import METHODS

        known = ("auto", *METHODS)
        for name in names:
            if name not in known:
                raise elsewhere("", f"names {name!r}, expected methods: {', '.join(known)}.{suggest(name, known)}")
        return names

    @field_validator("of")
    @classmethod
    def _asked(cls, asked: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for one in asked or ():
            kind, _, name = one.partition(":")
            if one != "return" and (kind not in ("cost", "probability") or not name):
                raise elsewhere("", f"asks {one!r}, expected 'return', 'cost:NAME' or 'probability:NAME'.")
        return asked


class RolloutConfig(Section):
    """The controlled online phase: seeded episodes of each policy."""

    episodes: Annotated[int, Field(ge=2, strict=True)] = 200
    seed: Seed = 0
    confidence: Share = 0.95


class MismatchConfig(Section):
    """How many logged states the action mismatch is measured on."""

    sample: Count = 7_000
    seed: Seed = 1


class ReportConfig(Section):
    """What the report says at its head, which policies its map shows, and which groups must not go unseen.

    ``groups``: features of the observation, or conditions over them, as they are when an episode begins; "group" for
    the log's own column of groups, where it holds kinds and not persons.
    """

    title: str | None = None
    maps: tuple[str, ...] | None = None
    groups: Annotated[tuple[str, ...], Field(min_length=1)] | None = None


class StudyConfig(Section):
    """A whole study: where the log comes from, what is trained on it, how it is judged.

    Either ``environment`` (its logger writes the log, and policies are rolled out in it) or ``data`` (a given log), or
    both: the log from ``data``, the rollouts in ``environment``.
    """

    name: Name
    seed: Seed = 0
    device: Annotated[
        str, Field(pattern=r"^(auto|cpu|gpu|cuda|tpu)(:\d+)?$", description="'auto', 'cpu', 'gpu' or 'gpu:1'")
    ] = "auto"
    environment: EnvironmentConfig | None = None
    data: DataConfig | None = None
    logging: LoggingConfig | None = None
    holdout: HoldoutConfig | None = None
    candidates: Annotated[tuple[CandidateConfig, ...], Field(min_length=1)]
    evaluation: EvaluationConfig = EvaluationConfig()
    gate: GateConfig | None = None
    guard: GuardConfig | None = None
    rollouts: RolloutConfig | None = None
    mismatch: MismatchConfig = MismatchConfig()
    report: ReportConfig = ReportConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, raw: Any) -> Any:
        """Give the sections that follow from others their defaults, so that a resolved config says all of it."""
        if not isinstance(raw, dict):
            return raw
        raw = {key: value for key, value in raw.items() if value is not None}
        if "environment" in raw:
            raw.setdefault("rollouts", {})
            if "data" not in raw:
                raw.setdefault("logging", {})
        if "gate" in raw:
            raw.setdefault("guard", {})
        holdout = raw.setdefault("holdout", {})
        if isinstance(holdout, dict):
            default = {"fraction": 0.2, "by": "auto"} if "data" in raw else {"episodes": 200}
            raw["holdout"] = {**default, **holdout}
        return raw

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.environment is None and self.data is None:
            raise ValueError(
                "no log: give [environment], whose logger writes one, or [data] with the path of a saved one"
            )
        if self.data is not None and self.logging is not None:
            raise ValueError("[data] and [logging] exclude each other: the log is either given or written")
        if self.environment is None and self.rollouts is not None:
            raise ValueError("[rollouts] needs an [environment] to run in")
        if self.environment is None and self.logging is not None:
            raise ValueError("[logging] needs an [environment] to log in")
        assert self.holdout is not None
        wrong, right = (("episodes",), "fraction") if self.data else (("fraction", "by", "stratify"), "episodes")
        for key in wrong:
            if getattr(self.holdout, key) is not None:
                source = "a given log ([data])" if self.data else "a log written by the environment"
                raise ValueError(f"holdout.{key} does not apply to {source}: use holdout.{right}")
        if self.logging and self.logging.seed == self.holdout.seed:
            raise ValueError(
                f"holdout.seed is {self.holdout.seed}, the seed of the log: the same episodes are no holdout"
            )
        if self.report.groups is not None and self.gate is None:
            raise elsewhere("report.groups", "needs a [gate]: it tells who is among the episodes that judge there.")
        if self.guard is not None and self.gate is None:
            raise ValueError("[guard] needs a [gate]: what is guarded is what is taken there")
        if self.guard is not None and self.guard.fallback == "clone" and not self._clones():
            raise elsewhere("guard.fallback", 'is "clone", and no candidate is cloned: add one with algorithm = "bc".')
        self._check_names()
        return self

    def _clones(self) -> list[str]:
        return [candidate.name for candidate in self.candidates if candidate.algorithm == "bc"]

    def _check_names(self) -> None:
        seen: dict[str, int] = {}  # lower case: some file systems ignore it, and each name is a directory
        known: list[str] = []
        for index, candidate in enumerate(self.candidates):
            names = [candidate.name] + ([f"{candidate.name}-greedy"] if candidate.greedy else [])
            known += names
            for name in names:
                if (before := seen.setdefault(name.lower(), index)) != index:
                    raise ValueError(f"candidates[{before}] and candidates[{index}] would both be saved as {name!r}")
        for name in self.report.maps or ():
            if name not in known:
                raise elsewhere("report.maps", f"names {name!r}, expected candidates: {', '.join(known)}.")

    def resolved(self) -> dict[str, Any]:
        """Return every key with its value, JSON-ready; ``StudyConfig.model_validate`` of it gives an equal config."""
        return self.model_dump(mode="json", exclude_none=True)

    def with_budget(self, budget: Literal["tutorial"]) -> StudyConfig:
        """Return this study with the steps, network and batch of a named budget."""
        if budget not in BUDGETS:
            raise InputError(f"budget {budget!r} is not known. Known: {', '.join(BUDGETS)}.")
        raw = self.resolved()
        raw["candidates"] = [one | BUDGETS[budget].get(one["algorithm"], {}) for one in raw["candidates"]]
        raw["name"] = f"{self.name}-full"
        return StudyConfig.model_validate(raw)


def load_config(path: str | Path, **overrides: Any) -> StudyConfig:
    """Read a study from a TOML file (or from the ``config.json`` a run left).

    Parameters
    ----------
    path : str or Path
        Relative paths in it (``data.path``, ``data.columns``, ``gate.baseline``) count from the file's own directory.
    **overrides
        Top-level keys that replace the file's; None leaves them alone.

    Raises
    ------
    InputError
        Naming the file, the key's path, its value, what was expected and the nearest valid key.
    """
    path = Path(path)
    raw = _parse(path)
    raw |= {key: value for key, value in overrides.items() if value is not None}
    for section, keys in PATHS.items():
        given = raw.get(section)
        if isinstance(given, dict):
            paths = {key: given[key] for key in keys if isinstance(given.get(key), str)}
            found = {key: str((path.parent / value).resolve()) for key, value in paths.items() if _is_path(value)}
            raw[section] = {**given, **found}
    return parse_config(raw, str(path))


def parse_config(raw: Mapping[str, Any], source: str = "config") -> StudyConfig:
    """Check a config that is already a mapping; ``source`` is named in errors.

    Raises
    ------
    InputError
        As `load_config`.
    """
    try:
        return StudyConfig.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{source}: {explain(error, StudyConfig)}") from None


def _is_path(text: str) -> bool:
    return text != "" and text not in NAMED_BASELINES


def tutorial_config() -> Path:
    """Return the path of the demo's config: in the package when installed, in ``examples/`` in a checkout."""
    here = Path(__file__).parent
    installed = here / "examples" / "tutorial.toml"
    return installed if installed.is_file() else here.parents[1] / "examples" / "tutorial.toml"


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        parsed = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist: expected a study's TOML file, such as examples/tutorial.toml."
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): expected a study's TOML file.") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise InputError(f"{path} is not valid {kind}: {error}.") from None
    if not isinstance(parsed, dict):
        raise InputError(f"{path} holds a {type(parsed).__name__}, expected a table of keys and values.")
    return parsed
