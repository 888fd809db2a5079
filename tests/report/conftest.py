"""A small synthetic study: a real log and real rollouts on a real grid, hand-made policies, no training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from groundschool.envs import HazardGrid
from groundschool.evaluation.calibration import calibration
from groundschool.evaluation.intervals import clopper_pearson, mean_t
from groundschool.evaluation.mismatch import mismatch
from groundschool.evaluation.rollout import rollout
from groundschool.evaluation.sanity import QSanity
from groundschool.policies.policy import DiscretePolicy
from groundschool.policies.record import TrainingRecord
from groundschool.report.facts import LogFacts, PolicyFacts, ReportData


class CellPolicy(DiscretePolicy):
    """Reads a table by cell (x, y)."""

    n_actions = 4

    def __init__(self, env, table, name):
        self.env, self.table, self.name = env, table, name

    def probabilities(self, observations, *, masks=None):
        return self.table[self.env.layout.states(observations)]


def record(algorithm, steps, seed=0):
    step = np.linspace(steps / 20, steps, 20)
    noise = np.random.default_rng(seed).normal(1.0, 0.03, 20)
    curves = {"step": step.tolist(), "loss": (noise * (0.9 + np.exp(-step / steps * 6))).tolist()}
    if algorithm == "cql":
        curves["td"] = (noise * 0.02 * (1 + 400 * np.exp(-step / steps * 9))).tolist()
        curves["conservative_gap"] = (noise * (0.3 + np.exp(-step / steps * 4))).tolist()
    config = {"batch_size": 256, "learning_rate": 1e-3, "hidden": [64, 64], "schedule": {"kind": "cosine"}}
    notes = ("Observations: two low-cardinality columns, one-hot.",)
    hashes = tuple(f"{i:032x}" for i in range(300))
    return TrainingRecord(
        algorithm, config, steps, seed, 1.94, 0.62, "cpu:0", {"jax": "0.10.2"}, "ab" * 16, hashes, curves, notes
    )


def study(*, env=None, episodes=120, rollouts=60, names=("BC", "BC (greedy)", "CQL")) -> ReportData:
    env = env or HazardGrid()
    model, logger = env.model(), env.logger(0.22)
    log = env.simulate(logger, episodes, 42).dataset
    plan = model.optimal()
    blurred = 0.85 * logger.table + 0.15 * env.logger(0.0).table
    bc = CellPolicy(env, blurred, names[0])
    greedy = replace_name(bc.greedy(), names[1])
    cql = CellPolicy(env, plan.table[20], names[2])

    def tabled(policy):
        return model.evaluate(policy.probabilities(env.observations))

    def facts(policy, name, color, algorithm=None, **more):
        return PolicyFacts(
            name=name,
            color=color,
            policy=policy,
            rollout=rollout(env, policy, episodes=rollouts, seed=1_000),
            exact=tabled(policy),
            mismatch=mismatch(log, policy, sample=2_000, behavior=logger),
            training=None if algorithm is None else record(algorithm, 10_000),
            **more,
        )

    sanity = QSanity(names[2], 0.99, rollouts, 1_700, 0, 12.31, 14.02, -1.71, 0.22, 9.4, 0.83, 3.1, 7.7)
    returns = log.returns
    hazard = log.cost_sums("hazard") > 0
    goal = log.terminated[log.starts[1:] - 1] & ~hazard
    n = log.n_episodes

    def share(happened):
        return clopper_pearson(int(happened.sum()), n)

    log_facts = LogFacts(
        dataset=log,
        behavior="Written by a hazard-avoiding policy that acts at random in 22 % of its steps (ε = 0.22).",
        return_=mean_t(returns),
        return_std=float(returns.std(ddof=1)),
        length_mean=float(log.lengths.mean()),
        costs={"hazard": mean_t(log.cost_sums("hazard"))},
        probabilities={"hazard": share(hazard)},
        end_rates={"goal": share(goal), "hazard": share(hazard), "timeout": share(~goal & ~hazard)},
        parts={"training": n * 3 // 5, "selection": n // 5, "holdout": n // 5},
        action_counts=tuple(np.bincount(log.actions, minlength=4).tolist()),
        action_names=("+y", "+x", "−y", "−x"),
        notes=("Episodes cut at the horizon are truncated, not ended: learners bootstrap there.",),
    )
    policies = (
        PolicyFacts("Logger", "logger", 0, logger, rollout(env, logger, rollouts, 1_000), tabled(logger)),
        facts(bc, names[0], 1, "bc", calibration=calibration(bc, log), encoding="One-hot of x and of y."),
        facts(greedy, names[1], 2),
        facts(cql, names[2], 3, "cql", sanity=sanity, mapped=True, encoding="Fourier features of x and y."),
        PolicyFacts(name="Optimum", role="optimum", color=4, exact=plan.value),
    )  # fmt: skip
    policies = tuple(replace(p, mapped=p.name in (names[0], names[2])) for p in policies)
    return ReportData(
        title="Hazard grid: from the tutorial's log",
        created="2025-01-01T12:00:00+00:00",
        command="groundschool demo --budget quick",
        log=log_facts,
        policies=policies,
        timings={"collect": 0.031, "train bc": 1.94, "train cql": 3.02, "rollouts": 0.42, "report": 1.7},
        config={
            "data": {"episodes": episodes, "seed": 42, "logger": {"epsilon": 0.22}},
            "candidates": [{"algorithm": "bc"}, {"algorithm": "cql", "hidden": [64, 64], "steps": None}],
            "resume": False,
        },
        versions={"groundschool": "0.1.0", "numpy": "2.4.6", "jax": "0.10.2"},
        device="cpu:0 (2 cores)",
        threads=2,
        seeds={"data": 42, "training": 0, "rollouts": 1_000},
        fingerprints={"config": "cd" * 16},
        grid=env,
        environment="HazardGrid, 15 × 15 cells, slip 0.05, at most 80 steps.",
        diagnosed_on="the whole log, training episodes included",
        notes=("The test study of the report; its policies are tables made by hand.",),
    )


def replace_name(policy, name):
    policy.name = name
    return policy


@pytest.fixture(scope="session")
def data() -> ReportData:
    return study()
