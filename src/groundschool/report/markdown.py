"""Markdown whose every word from the data stays a word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def gap(what: str) -> str:
    """Return the mark of what only a person can fill in."""
    return f"**[to be filled in: {what}]**"


def bullets(*lines: str) -> str:
    """Return a list."""
    return "\n".join(f"- {line}" for line in lines)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escaped(text: object) -> str:
    """Return text from the data as plain words: no markup, no HTML, no line break."""
    plain = "".join(c if c.isprintable() else " " for c in str(text))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = "".join(f"\\{c}" if c in "\\`*_[]|#~!$" else c for c in plain).strip()
    # Addresses would become links by themselves.
    return plain.replace("://", "\\://").replace("www.", "www\\.").replace("@", "\\@")
