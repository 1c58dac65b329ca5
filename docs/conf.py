"""The pages of this folder as a site, by Sphinx with MyST: `make docs`."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "recdistill"
version = release = installed("recdistill")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
default_role = "literal"  # docstrings put code between single backticks, as the pages do
# A site is built without the network: what other packages define is named and not linked; nor are type variables.
nitpick_ignore_regex = [("py:.*", r"(?!recdistill\b).*"), ("py:class", r"recdistill\..*\.(Item|Result)")]

myst_heading_anchors = 3

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "recdistill"
html_copy_source = False
html_show_copyright = False
