"""From facts to the page: figures, JSON, HTML, in that order; the HTML is rendered from the JSON."""

from __future__ import annotations

import base64
import io
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from groundschool.report import evaluation_reading, words
from groundschool.report.document import document
from groundschool.report.facts import ReportData
from groundschool.report.figures import Drawing, draw
from groundschool.report.style import look, style

_MARKERS = {
    "s": "M2.5 2.5h9v9h-9z",
    "o": "M7 2a5 5 0 1 1 0 10a5 5 0 1 1 0-10z",
    "^": "M7 2l5.2 9.6H1.8z",
    "D": "M7 1.2L12.8 7L7 12.8L1.2 7z",
    "v": "M7 12L1.8 2.4h10.4z",
    "P": "M5.2 2h3.6v3.2H12v3.6H8.8V12H5.2V8.8H2V5.2h3.2z",
    "X": "M4.6 2L7 4.4L9.4 2L12 4.6L9.6 7L12 9.4L9.4 12L7 9.6L4.6 12L2 9.4L4.4 7L2 4.6z",
}


class Report(NamedTuple):
    """A finished report: the page, its numbers, and its figures."""

    html: str
    json: dict[str, Any]
    drawings: list[Drawing]


def build(data: ReportData) -> tuple[str, dict[str, Any]]:
    """Return the page as HTML and every number in it as a JSON-ready dict.

    Parameters
    ----------
    data
        The facts.

    Raises
    ------
    InputError
        If the log does not lie on the cells of the grid.
    """
    report = compose(data)
    return report.html, report.json


def compose(data: ReportData) -> Report:
    """Return the page, its JSON and its figures; see :func:`build`."""
    drawings = draw(data)
    facts = document(data, drawings)
    return Report(render(facts, {drawing.name: svg(drawing.figure) for drawing in drawings}), facts, drawings)


def render(facts: dict[str, Any], images: dict[str, str]) -> str:
    """Render the page from its JSON and from SVG images by figure name."""
    environment = Environment(
        loader=PackageLoader("groundschool.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(words.FILTERS | evaluation_reading.FILTERS)
    sources = {name: base64.b64encode(image.encode()).decode() for name, image in images.items()}
    looks = {policy["name"]: look(policy["color"]) for policy in facts["policies"]}
    keys = {name: (chosen.color, _MARKERS[chosen.marker]) for name, chosen in looks.items()}
    return environment.get_template("report.html.j2").render(facts=facts, images=sources, keys=keys)


def svg(figure: Figure) -> str:
    """Return a figure as an SVG document; the same figure gives the same bytes."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
