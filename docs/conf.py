"""Sphinx configuration; `make docs` builds into docs/_build/html, warnings as errors and without the network."""

from importlib import metadata

project = "groundschool"
author = "groundschool contributors"
copyright = "groundschool contributors, Apache-2.0"
release = version = metadata.version("groundschool")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
suppress_warnings = ["config.cache"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the docstrings say shapes and units, which types do not
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # "a, b : type" stays one entry
napoleon_use_rtype = False

html_theme = "alabaster"
html_title = f"groundschool {release}"
html_static_path = ["_static"]
html_css_files = ["groundschool.css"]
html_show_sourcelink = False
html_theme_options = {
    "description": "From a fixed log of past decisions to judged policies.",
    "fixed_sidebar": True,
    "page_width": "1080px",
    "sidebar_width": "230px",
    "font_family": "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
    "head_font_family": "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
    "font_size": "16px",
    "code_font_size": "14px",
    "link": "#0b5cad",
    "show_powered_by": False,
}
