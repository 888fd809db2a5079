"""A whole study in one call: log, train, judge, report, in a directory that can be resumed."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundschool.config import StudyConfig, load_config
from groundschool.data import Dataset
from groundschool.evaluation.disagreement import disagreements
from groundschool.gate_directory import markdown
from groundschool.gate_stages import (
    Certified,
    certify,
    check_gate,
    check_groups,
    check_guard,
    choose,
    criteria_of,
    guard_in_words,
    open_gate,
    put_behind_guard,
    represent,
)
from groundschool.machine import versions
from groundschool.policies import DiscretePolicy, NetworkPolicy, Policy, load
from groundschool.report.export import export
from groundschool.report.facts import Outcome, Represented
from groundschool.report.model_card import model_card
from groundschool.run_directory import RunDirectory, inspect, open_run, write_json, write_text
from groundschool.safety.identity import fingerprint
from groundschool.stages import (
    Judgement,
    World,
    check_candidates,
    check_evaluation,
    check_log,
    evaluate_offline,
    judge,
    judge_references,
    open_world,
    train_candidate,
    work_in_words,
)
from groundschool.study_report import report_data, seeds

if TYPE_CHECKING:
    from groundschool.data.check import Findings
    from groundschool.evaluation.answers import Answers
    from groundschool.safety.ranking import Standing
    from groundschool.safety.verdict import Verdict


@dataclasses.dataclass(frozen=True, eq=False)
class Study:
    """What a finished run leaves in the hand; everything in it is in its directory too.

    Attributes
    ----------
    config : StudyConfig
    directory : Path
        Everything the run wrote.
    log, holdout : Dataset
        What was logged, and the episodes that no candidate saw.
    policies : dict of str to Policy
        By name; the greedy version of a candidate is one of its own, as ``NAME-greedy``.
    judgements : dict of str to Judgement
        By the same names: rollout, exact value, mismatch, Q sanity and calibration.
    report : Path
        ``report.html``; ``report.json`` beside it has every number.
    answers : dict of str to Answers
        What the held-out episodes say of each policy, by the same names: ``answers["CQL"].estimates``.
    verdict : Verdict or None
        Of the gate, on the policy that stood best; None without a ``[gate]``, and where the logger stood best.
    standings : tuple of Standing
        Everybody in order, the logger among them; empty without a ``[gate]``.
    policy : Policy or None
        What was taken to the gate.
    certified : Certified or None
        The policy that was made to be certified, with what can be shown of it; None unless ``gate.certify``.
    """

    config: StudyConfig
    directory: Path
    log: Dataset
    holdout: Dataset
    policies: dict[str, Policy]
    judgements: dict[str, Judgement]
    report: Path
    answers: dict[str, Answers] = dataclasses.field(default_factory=dict)
    verdict: Verdict | None = None
    standings: tuple[Standing, ...] = ()
    policy: Policy | None = None
    certified: Certified | None = None

    @property
    def exit_code(self) -> int:
        """0 for GO, 3 for NO-GO, 4 for INSUFFICIENT EVIDENCE, and where the logger's policy is to be kept."""
        return 4 if self.verdict is None else self.verdict.exit_code

    def summary(self) -> dict[str, Any]:
        """Return ``report.json``: every number of the report, JSON-ready."""
        facts: dict[str, Any] = json.loads((self.directory / "report.json").read_text(encoding="utf-8"))
        return facts


def run(
    config: StudyConfig | str | Path,
    *,
    out: str | Path | None = None,
    force: bool = False,
    progress: bool = True,
    command: str | None = None,
) -> Study:
    """Run a study: log, train every candidate, judge every policy from the log alone and in rollouts, report.

    Parameters
    ----------
    config : StudyConfig or path of a TOML file
    out : path, optional
        The run directory; ``runs/NAME`` by default.
    force : bool
        Replace a run that is there already. Without it, a finished one is refused, and an unfinished one of the same
        config is taken up where it stopped; what was trained already is not trained again.
    progress : bool
        Report each stage on stderr.
    command : str, optional
        What the report names as its origin.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        For a config, an environment, a log or a directory that cannot be used; nothing has been written then.
    DivergenceError
        If training diverged. The directory keeps what was done.
    """
    config = config if isinstance(config, StudyConfig) else load_config(config)
    path = _run_path(config, out)
    inspect(path, config.resolved(), force=force)  # before any work
    began = time.perf_counter()
    world = open_world(config)
    timings, began = {"log": _seconds_since(began)}, time.perf_counter()
    checked = check_log(world, config)
    timings["check"] = _seconds_since(began)
    check_candidates(world, config)
    check_evaluation(world, config)
    check_gate(world, config)
    check_guard(world, config)
    check_groups(world, config)
    with open_run(path, config.resolved(), force=force) as directory:
        stage = _Stages(directory, progress)
        directory.require_versions(versions())
        directory.record(versions=versions(), seeds=seeds(config), timings=timings)
        _write_log(world, checked, directory, stage)
        policies = _train(world, config, directory, stage, progress=progress)
        answers, problem = _evaluate(policies, world, config, stage)
        standings, chosen, verdict = _gate(policies, world, config, directory, stage)
        certified = _certify(chosen, world, config, directory, stage)
        guard = () if chosen is None else guard_in_words(chosen, world)
        departures = () if chosen is None else disagreements(world.train, chosen)
        represented = None if chosen is None else _represent(chosen, world, config, stage)
        judgements = _judge(policies, world, config, stage)
        with stage("references"):
            references = judge_references(world, config)
        data = report_data(
            config,
            world,
            checked,
            policies,
            judgements,
            references,
            answers,
            problem,
            Outcome(standings, verdict, certified, guard, departures, represented) if standings else None,
            timings=directory.manifest["timings"],
            command=command or f"groundschool.run({str(path / 'config.json')!r})",
        )
        with stage("report"):
            report = export(data, directory.path)
            _ship(chosen, verdict, directory, report)
        shutil.rmtree(directory / "checkpoints", ignore_errors=True)
    return Study(
        config,
        path,
        world.log,
        world.holdout,
        policies,
        judgements,
        report,
        answers,
        verdict,
        standings,
        chosen,
        certified,
    )


def plan(config: StudyConfig | str | Path, *, out: str | Path | None = None, force: bool = False) -> dict[str, Any]:
    """Return what `run` would do, JSON-ready, after checking everything that it checks; writes nothing.

    Parameters and errors are those of `run`.
    """
    config = config if isinstance(config, StudyConfig) else load_config(config)
    path = _run_path(config, out)
    state = inspect(path, config.resolved(), force=force)
    world = open_world(config)
    checked = check_log(world, config)
    check_candidates(world, config)
    check_evaluation(world, config)
    check_gate(world, config)
    check_guard(world, config)
    check_groups(world, config)
    return {
        "name": config.name,
        "directory": str(path),
        "state": state,
        "log": {"episodes": world.log.n_episodes, "steps": world.log.n_steps, "fingerprint": world.log.fingerprint},
        "check": checked.to_json()["counts"],
        "holdout": {"episodes": world.holdout.n_episodes, "steps": world.holdout.n_steps},
        "candidates": [
            {
                "name": candidate.name,
                "algorithm": candidate.algorithm,
                "steps": candidate.options.get("steps"),
                "trained": state == "resume" and (path / "policies" / candidate.name).is_dir(),
            }
            for candidate in config.candidates
        ],
        "evaluation": list(config.evaluation.methods) if config.evaluation.enabled else [],
        "gate": None
        if world.gated is None
        else {"episodes": world.gated.n_episodes, "criteria": criteria_of(config, world).to_json()},
        "rollouts": 0 if config.rollouts is None else config.rollouts.episodes,
        "config": config.resolved(),
    }


class _Stages:
    """Times each stage into the manifest, and says on stderr what is going on."""

    def __init__(self, directory: RunDirectory, progress: bool) -> None:
        self.directory, self.progress = directory, progress
        if directory.state == "resume":
            self.say(f"resuming {_short(directory.path)}")

    def say(self, text: str) -> None:
        if self.progress:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    @contextlib.contextmanager
    def __call__(self, name: str, announce: str = "") -> Iterator[None]:
        if announce:
            self.say(announce)
        began, before = time.perf_counter(), self.directory.manifest.get("timings", {}).get(name, 0.0)
        try:
            yield
        finally:  # an interrupted stage counts too: its time is added to that of the sitting that finishes it
            self.directory.record(timings={name: round(before + _seconds_since(began), 3)})


def _seconds_since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def _run_path(config: StudyConfig, out: str | Path | None) -> Path:
    return (Path("runs") / config.name if out is None else Path(out)).resolve()


def _write_log(world: World, checked: Findings, directory: RunDirectory, stage: _Stages) -> None:
    directory.remember("log", world.log.fingerprint, "the log")
    directory.remember("holdout", world.holdout.fingerprint, "the holdout")
    if world.baseline is not None:
        directory.remember("baseline", fingerprint(world.baseline), "the gate's baseline")
    stage.say(f"log: {world.log.n_episodes:,} episodes, {world.log.n_steps:,} steps")
    for finding in checked.warnings:
        stage.say(f"warning: {finding.where}: {finding.what}")
    with stage("save log"):
        if not (directory / "log").is_dir():
            world.log.save(directory / "log")


def _train(
    world: World, config: StudyConfig, directory: RunDirectory, stage: _Stages, *, progress: bool
) -> dict[str, Policy]:
    """Train what is not trained yet; each finished policy is a bundle before the next begins."""
    policies: dict[str, Policy] = {}
    for candidate in config.candidates:
        bundle = directory / "policies" / candidate.name
        if bundle.is_dir():
            stage.say(f"{candidate.name}: already trained")
            policy = load(bundle)
        else:
            checkpoint = directory / "checkpoints" / candidate.name
            with stage(f"train {candidate.name}", f"{candidate.name}: {work_in_words(candidate)}"):
                policy = train_candidate(world.train, candidate, config, checkpoint=checkpoint, progress=progress)
            policy.save(bundle)
            shutil.rmtree(checkpoint, ignore_errors=True)
        policies[candidate.name] = policy
        if candidate.greedy:
            greedy = policy.greedy()
            assert isinstance(greedy, DiscretePolicy)
            policies[f"{candidate.name}-greedy"] = greedy
            if not (directory / "policies" / f"{candidate.name}-greedy").is_dir():
                greedy.save(directory / "policies" / f"{candidate.name}-greedy")
        _write_metrics(policies, directory)
    return policies


def _write_metrics(policies: Mapping[str, Policy], directory: RunDirectory) -> None:
    """Write every training curve as lines of JSON, one a chunk."""
    lines = []
    for name, policy in policies.items():
        if isinstance(policy, NetworkPolicy) and policy.training is not None:
            curves = policy.training.curves
            rows = (dict(zip(curves, row, strict=True)) for row in zip(*curves.values(), strict=True))
            lines += [json.dumps({"policy": name, **row}) for row in rows]
    write_text(directory / "metrics.jsonl", "".join(f"{line}\n" for line in lines))


def _evaluate(
    policies: Mapping[str, Policy], world: World, config: StudyConfig, stage: _Stages
) -> tuple[dict[str, Answers], str]:
    """Judge every policy from the log alone; a log that cannot be evaluated on costs a warning, not the study."""
    if not config.evaluation.enabled:
        return {}, ""
    announce = f"evaluating offline on {world.holdout.n_episodes:,} held-out episodes"
    with stage("evaluate", announce):
        answers, problem = evaluate_offline(policies, world, config)
    if problem:
        stage.say(f"warning: not evaluated offline: {problem}")
    return answers, problem


def _gate(
    policies: Mapping[str, Policy], world: World, config: StudyConfig, directory: RunDirectory, stage: _Stages
) -> tuple[tuple[Standing, ...], Policy | None, Verdict | None]:
    """Compare candidates, and take the best to the gate; its episodes are opened for nobody else, and once."""
    if config.gate is None:
        return (), None, None
    from groundschool.safety.candidates import LOGGER
    from groundschool.safety.comparison import best

    assert world.gated is not None
    with stage("choose", f"choosing on {world.holdout.n_episodes:,} held-out episodes"):
        standings = choose(policies, world, config)
    chosen = best(standings).candidate
    if chosen == LOGGER:
        stage.say("the logger's own policy stands best: nothing is taken to the gate")
        return standings, None, None
    with stage("guard", f"{chosen}: behind a guard"):
        whole = put_behind_guard(chosen, policies, world, config)
    # Before the gate's episodes are opened: a run that is taken up again may not ask them anything else.
    directory.remember("criteria", criteria_of(config, world).fingerprint, "what the gate asks")
    directory.remember("gated episodes", world.gated.fingerprint, "the gate's holdout")
    directory.remember("taken to the gate", fingerprint(whole) or chosen, "what was taken to the gate")
    with stage("gate", f"gate: {whole.name}, on {world.gated.n_episodes:,} episodes that nothing else looked at"):
        verdict = open_gate(whole, world, config)
    write_json(directory / "verdict.json", verdict.to_json())
    write_text(directory / "verdict.md", markdown(verdict))
    stage.say(verdict.decision)
    return standings, whole, verdict


def _ship(chosen: Policy | None, verdict: Verdict | None, directory: RunDirectory, report: Path) -> None:
    """Leave what passed as one bundle: the composite as it was judged, its verdict and the report."""
    if verdict is None or verdict.decision != "GO" or not isinstance(chosen, DiscretePolicy):
        return
    facts = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    told = {
        "MODEL_CARD.md": model_card(facts),
        "verdict.json": verdict.to_json(),
        "verdict.md": markdown(verdict),
        "report.html": report,
    }
    chosen.save(directory / "bundle", force=(directory / "bundle").is_dir(), attach=told)


def _certify(
    chosen: Policy | None, world: World, config: StudyConfig, directory: RunDirectory, stage: _Stages
) -> Certified | None:
    """Make what can be certified from the training part alone, and keep it as a bundle."""
    if config.gate is None or not config.gate.certify:
        return None
    with stage("certify", "certifying: a policy made for it, with bounds that hold at every number of episodes"):
        found = certify(chosen, world, config)
    stage.say(f"{found.policy.name}: {found.verdict.decision}")
    if isinstance(found.policy, DiscretePolicy) and not (directory / "certified").is_dir():
        found.policy.save(directory / "certified")
    return found


def _represent(chosen: Policy, world: World, config: StudyConfig, stage: _Stages) -> Represented:
    with stage("represent"):
        return represent(chosen, world, config)


def _judge(policies: Mapping[str, Policy], world: World, config: StudyConfig, stage: _Stages) -> dict[str, Judgement]:
    judgements = {}
    for name, policy in policies.items():
        with stage(f"judge {name}", f"{name}: judging"):
            judgements[name] = judge(policy, world, config)
    return judgements


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
