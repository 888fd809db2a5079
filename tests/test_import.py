"""Starting costs little: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import groundschool

HEAVY = ("jax", "numpy", "pydantic", "matplotlib", "gymnasium", "scipy", "pyarrow", "rich")
LIGHT = ("typer", "click", "shellingham", "annotated_doc", "typing_extensions", "colorama")  # a help text needs them


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


@pytest.mark.parametrize(
    "verb", ["demo", "init", "check", "convert", "join", "run", "train", "evaluate", "gate", "rollout", "doctor"]
)
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
    "code",
    [
        "import groundschool",
        "import runpy; sys.argv = ['groundschool', '--help']\n"
        "try: runpy.run_module('groundschool', run_name='__main__')\nexcept SystemExit: pass",
    ],
    ids=["import", "help"],
)
def test_starting_imports_little(code):
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint('imported:', *(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split()[1:])
    assert "groundschool" in imported
    packages = {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert packages <= {"groundschool", *LIGHT}
    ours = {name for name in imported if name.startswith("groundschool.")}
    assert {name for name in ours if not name.startswith("groundschool.cli")} <= {
        "groundschool.errors",
        "groundschool.__main__",
    }


def test_every_public_name_is_there():
    for name in groundschool.__all__:
        assert getattr(groundschool, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        groundschool.trian  # noqa: B018
