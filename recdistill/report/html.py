"""`index.html`: the whole report in one file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from recdistill.report.background import background
from recdistill.report.cautions import cautions
from recdistill.report.figures.drawing import PALETTE, UNPRINTABLE
from recdistill.report.opening import cards
from recdistill.report.sections import evidence
from recdistill.report.words import percent

if TYPE_CHECKING:
    from jinja2 import Environment


def html(result: dict[str, Any]) -> str:
    """The page of a result: the answer, the figures and tables it rests on, and how it was made.

    Every value is escaped. The page's policy allows its own style sheet and its one script, which sorts tables, by
    their hashes, and nothing else: no other script, no style of an element, no request.

    Args:
        result: as in `report.json`; what it does not hold is left out.
    """
    templates = _templates()
    style = templates.get_template("page.css").render(palette=PALETTE)
    script = templates.get_template("page.js").render()
    shares = ", ".join(percent(pooled["labels"]) for pooled in result["pooled"])
    return templates.get_template("page.html").render(
        style=Markup(style),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704  # our own file
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'",
        name=_name(result),
        about=f"{shares} of the labels, {_seeds(result)}, {result['pooled'][0]['enough']['test_rows']:,} test rows",
        cards=cards(result),
        cautions=cautions(result),
        chapters=[*evidence(result), *background(result)],
        command=result["command"],
    )


def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("recdistill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: UNPRINTABLE.sub("\ufffd", value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["breakable"] = _breakable
    templates.filters["coded"] = _coded
    return templates


def _breakable(name: str) -> Markup:
    """A name that a narrow column breaks after an underscore, if it must."""
    return Markup("_<wbr>").join(UNPRINTABLE.sub("\ufffd", name).split("_"))


def _coded(line: str) -> Markup:
    """A line whose words between backticks are code."""
    parts = UNPRINTABLE.sub("\ufffd", line).split("`")
    if len(parts) % 2 == 0:  # one of them is a letter of a name
        return escape("`".join(parts))
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _hash(text: str) -> str:
    """As a content security policy writes it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _name(result: dict[str, Any]) -> str:
    """Of the data; of files, their names."""
    data = result["config"]["data"]
    files = [Path(str(file)).name for side in ("source", "target") if (file := data.get("arguments", {}).get(side))]
    return " → ".join(files) if data.get("name") == "files" and files else str(data.get("name", ""))


def _seeds(result: dict[str, Any]) -> str:
    count = len(result["pooled"][0]["seeds"])
    return f"{count} seed{'s' if count > 1 else ''}"
