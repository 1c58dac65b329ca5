"""The pages of this folder as a site, by Sphinx with MyST: `make docs`."""

from __future__ import annotations

import re
from importlib.metadata import version as installed
from typing import Any

from recdistill.settings import Settings

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
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "recdistill"
html_copy_source = False
html_show_copyright = False


def mend(app: Any, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """A docstring before its sections are told apart."""
    # The name of a metric is not an address to write to.
    lines[:] = [re.sub(r'"([\w:]+@\w+)"', r"`\1`", line) for line in lines]
    if what in ("property", "attribute"):
        # What stands before a colon in the first line would be taken for its type: an empty comment stands first.
        lines[:0] = ["..", ""]


def sign(app: Any, what: str, name: str, of: Any, options: Any, signature: str, returns: str) -> tuple[str, str] | None:
    """Settings as they are written, without all that is set by default in the groups within."""
    if not (isinstance(of, type) and issubclass(of, Settings)):
        return None
    shown = []
    for field, info in of.model_fields.items():
        annotation = next(cls.__annotations__[field] for cls in of.__mro__ if field in cls.__annotations__)
        nested = "Settings(" in repr(info.default) or "Trial(" in repr(info.default)
        default = "" if info.is_required() else f" = {'...' if nested else repr(info.default)}"
        shown.append(f"{field}: {annotation}{default}")
    return f"(*, {', '.join(shown)})", ""


def setup(app: Any) -> None:
    """Have both asked about each object."""
    app.connect("autodoc-process-docstring", mend, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", sign)
