"""The command line: one thin verb a file."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of ``groundschool``."""
    from groundschool.cli.app import app

    app()
