"""Writing a report: ``report.html``, ``report.json`` and ``figures/*.png``."""

from __future__ import annotations

import json
import os
from pathlib import Path

from groundschool.report.build import compose
from groundschool.report.facts import ReportData
from groundschool.report.style import style


def export(data: ReportData, directory: str | os.PathLike[str], *, dpi: int = 160) -> Path:
    """Write the page, its numbers and its figures into a directory, each file at once; return the page's path.

    Parameters
    ----------
    data
        The facts.
    directory
        Made if missing. Files of an earlier report are replaced.
    dpi
        Resolution of the PNG figures, in dots per inch.

    Raises
    ------
    InputError
        If the facts do not fit together; then nothing is written.
    """
    report = compose(data)
    target = Path(directory)
    figures = target / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    for drawing in report.drawings:
        with style():
            drawing.figure.savefig(
                figures / f".{drawing.name}.tmp", format="png", dpi=dpi, metadata={"Description": drawing.alt}
            )
        os.replace(figures / f".{drawing.name}.tmp", figures / f"{drawing.name}.png")
    _write(target / "report.json", json.dumps(report.json, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _write(target / "report.html", report.html)
    return target / "report.html"


def _write(path: Path, text: str) -> None:
    waiting = path.with_name(f".{path.name}.tmp")
    waiting.write_text(text, encoding="utf-8")
    os.replace(waiting, path)
