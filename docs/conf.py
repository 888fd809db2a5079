"""Sphinx builds these pages with MyST: ``make docs``."""

from groundschool import __version__

project = "groundschool"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
autodoc_typehints = "none"
