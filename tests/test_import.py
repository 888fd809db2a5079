"""Starting costs milliseconds: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

import groundschool

HEAVY = ("jax", "numpy", "pydantic", "matplotlib", "gymnasium", "scipy", "pyarrow", "rich")
SECONDS = 0.4


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split()) & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    [
        "import groundschool",
        "import groundschool.cli.app",
        "from groundschool.cli import main; sys.argv = ['groundschool', '--version']\n"
        "try: main()\nexcept SystemExit: pass",
        "from groundschool.cli import main; sys.argv = ['groundschool', '--help']\n"
        "try: main()\nexcept SystemExit: pass",
    ],
    ids=["import", "app", "version", "help"],
)
def test_nothing_heavy_is_imported(code):
    assert loaded_after(code) == set()


@pytest.mark.parametrize("verb", ["demo", "init", "check", "convert", "run", "train", "evaluate", "rollout", "doctor"])
def test_help_of_a_verb_needs_neither_jax_nor_numpy(verb):
    code = (
        f"from groundschool.cli import main; sys.argv = ['groundschool', {verb!r}, '--help']\n"
        "try: main()\nexcept SystemExit: pass"
    )
    assert not loaded_after(code) & {"jax", "numpy"}


def test_a_policy_is_loaded_with_numpy_alone():
    assert loaded_after("import groundschool; groundschool.load; groundschool.Rule") == {"numpy"}


def test_a_config_is_checked_without_jax():
    assert "jax" not in loaded_after(
        "from groundschool.config import load_config, tutorial_config; load_config(tutorial_config())"
    )


@pytest.mark.parametrize(
    "command", [[sys.executable, "-c", "import groundschool"], [sys.executable, "-m", "groundschool", "--help"]]
)
def test_starting_is_quick(command):
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        return time.perf_counter() - began

    seconds()  # the first one compiles bytecode
    assert min(seconds() for _ in range(4)) < SECONDS  # the least disturbed one


def test_every_public_name_is_there():
    for name in groundschool.__all__:
        assert getattr(groundschool, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        groundschool.trian  # noqa: B018
