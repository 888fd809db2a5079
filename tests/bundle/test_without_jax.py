"""A bundle decides where nothing but numpy and safetensors is installed."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import groundschool as gs
from groundschool.policies import NetworkPolicy
from groundschool.policies.avoiding import AvoidingPolicy
from groundschool.policies.critic import Critic
from groundschool.policies.encoding import fit_encoder
from groundschool.policies.tempered import TemperedPolicy

ROOT = Path(__file__).resolve().parents[2]
ALONE = ("numpy", "numpy.libs", "safetensors")
SCRIPT = """
import json, sys
import groundschool as gs
policy = gs.load(sys.argv[1])
import numpy as np
rows = np.load(sys.argv[2])
decisions = [policy.decide(row, np.random.default_rng(i)) for i, row in enumerate(rows)]
print(json.dumps({
    "probabilities": policy.probabilities(rows).tolist(),
    "decisions": [[d.action, d.reason.value] for d in decisions],
    "loaded": sorted({name.partition(".")[0] for name in sys.modules}),
    "from": gs.__file__,
}))
"""
MISSING = "import importlib.util as u; print([n for n in %r if u.find_spec(n)])"
HEAVY = (
    "jax",
    "equinox",
    "optax",
    "scipy",
    "pyarrow",
    "pydantic",
    "matplotlib",
    "gymnasium",
    "rich",
    "typer",
    "jinja2",
)


def site(folder: Path) -> Path:
    """Make a folder of links to numpy and safetensors and to nothing else."""
    folder.mkdir()
    for name in ALONE:
        spec = importlib.util.find_spec(name) if "." not in name else None
        home = Path(spec.origin).parent if spec is not None else Path(np.__file__).parent.parent / name
        if home.exists():
            (folder / name).symlink_to(home)
    return folder


def run(code: str, path: list[Path], *arguments: object) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-S", "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A guarded network with a guarded everything: its bundle, observations, and what it says of them."""
    grid = gs.HazardGrid(size=6, hazards=[(2, 2)], horizon=20)
    log = gs.collect(grid, grid.logger(0.3), episodes=80, seed=0)
    train, selection, _ = gs.split(log, seed=0)
    encoder = fit_encoder(train.observations)
    rng = np.random.default_rng(0)
    layers = tuple(
        (rng.normal(size=(2, i, o)).astype(np.float32), rng.normal(size=(2, 1, o)).astype(np.float32))
        for i, o in ((encoder.width, 16), (16, 4))
    )
    network = NetworkPolicy("net", 4, encoder, layers, "softmax")
    rule = gs.Rule("x0 == 1 and x1 == 2", forbid=1)
    guarded = gs.guard(train, selection, network, rules=[rule], harm={"hazard": 0.5}, limits=[gs.Limit(0.9, 50)])
    folder = tmp_path_factory.mktemp("bundle")
    guarded.save(folder / "policy", attach={"verdict.json": {"decision": "GO"}})
    rows = np.concatenate([grid.observations, [[0.5, 0.5], [np.nan, 0.0], [99.0, 0.0]]]).astype(np.float32)
    np.save(folder / "rows.npy", rows)
    return folder, rows, guarded


def check(found: str, rows, guarded, home: Path) -> None:
    found = json.loads(found)
    np.testing.assert_allclose(found["probabilities"], guarded.probabilities(rows), rtol=1e-6)
    again = [guarded.decide(row, np.random.default_rng(i)) for i, row in enumerate(rows)]
    assert found["decisions"] == [[decision.action, decision.reason.value] for decision in again]
    assert not set(found["loaded"]) & set(HEAVY)
    assert Path(found["from"]).is_relative_to(home)


def test_sources_beside_numpy_and_safetensors_alone(bundle, tmp_path):
    folder, rows, guarded = bundle
    only = site(tmp_path / "site")
    (only / "groundschool").symlink_to(Path(gs.__file__).parent)
    assert run(MISSING % (HEAVY,), [only]) == "[]\n"
    check(run(SCRIPT, [only], folder / "policy", folder / "rows.npy"), rows, guarded, only)


def test_a_policy_that_avoids_what_critics_fear(tmp_path):
    encoder = fit_encoder(np.random.default_rng(0).normal(size=(50, 2)))
    rng = np.random.default_rng(1)

    def layers(networks):
        return tuple(
            (rng.normal(size=(networks, i, o)).astype(np.float32), rng.normal(size=(networks, 1, o)).astype(np.float32))
            for i, o in ((2, 16), (16, 4))
        )

    logger = TemperedPolicy("clone", NetworkPolicy("net", 4, encoder, layers(2), "softmax"), 1.3, 0.1, np.full(4, 0.25))
    critic = Critic("probability:harm", encoder, layers(3), 0.2)
    policy = AvoidingPolicy("careful", logger, [(critic, 0.1)], 4.0)
    policy.save(tmp_path / "policy")
    rows = rng.normal(size=(40, 2))
    np.save(tmp_path / "rows.npy", rows)
    only = site(tmp_path / "site")
    (only / "groundschool").symlink_to(Path(gs.__file__).parent)
    script = SCRIPT.replace("[policy.decide(row, np.random.default_rng(i)) for i, row in enumerate(rows)]", "[]")
    found = json.loads(run(script, [only], tmp_path / "policy", tmp_path / "rows.npy"))
    np.testing.assert_allclose(found["probabilities"], policy.probabilities(rows), rtol=1e-6)
    assert policy.changes(rows).any()
    assert not set(found["loaded"]) & set(HEAVY)


@pytest.mark.slow
def test_a_wheel_without_its_dependencies(bundle, tmp_path):
    folder, rows, guarded = bundle
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path / "wheel", ROOT], capture_output=True, text=True)
    if built.returncode:
        pytest.skip(f"no wheel can be built here: {built.stderr.strip().splitlines()[-1]}")
    (wheel,) = (tmp_path / "wheel").glob("groundschool-*.whl")
    home = tmp_path / "installed"
    subprocess.run([*pip, "install", "--no-deps", "--target", home, wheel], check=True, capture_output=True)
    path = [home, site(tmp_path / "site")]
    check(run(SCRIPT, path, folder / "policy", folder / "rows.npy"), rows, guarded, home)
