"""The tutorial's notebook runs from top to bottom, and what is stored in it is what such a run gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).resolve().parent.parent / "examples" / "tutorial.ipynb"
STRICT = "import warnings\nwarnings.simplefilter('error')"
STEPS = "STEPS = None"


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def execute(directory: Path, steps: str) -> Any:
    """Return the notebook executed in an empty directory, warnings as errors, by this interpreter's kernel."""
    notebook = nbformat.read(PATH, as_version=4)
    found = [cell for cell in code_cells(notebook) if STEPS in cell.source]
    assert len(found) == 1, f"one cell says {STEPS!r}"
    found[0].source = found[0].source.replace(STEPS, steps)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(directory)}}
    )
    return client.execute()


@pytest.mark.filterwarnings("default")  # of the client that drives the kernel; the kernel itself is strict
def test_it_runs_with_few_steps_and_leaves_nothing_behind(tmp_path):
    executed = execute(tmp_path, "STEPS = 40")
    assert all(cell.execution_count for cell in code_cells(executed))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_its_story_holds_with_the_defaults(tmp_path):
    executed = execute(tmp_path, STEPS)
    printed = "".join(output.get("text", "") for cell in code_cells(executed) for output in cell.outputs)
    exact = {
        line.split("  ")[0].strip(): float(line.split("exact")[1].split()[0])
        for line in printed.splitlines()
        if line.count("exact") == 2
    }
    assert exact["CQL"] > exact["BC greedy"] > exact["BC"]  # far apart: 21, 18 and -15
    assert exact["CQL"] > 19


def test_its_outputs_are_stored_in_order_and_without_errors():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "execute_result", "display_data"}
    assert all(output.get("name") != "stderr" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 8
    assert PATH.stat().st_size < 1_000_000
