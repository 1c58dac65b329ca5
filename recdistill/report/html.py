"""`index.html`: the whole report in one file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from recdistill.report.background import background
from recdistill.report.cautions import cautions
from recdistill.report.figures.drawing import PALETTE, UNPRINTABLE
from recdistill.report.opening import Card, cards
from recdistill.report.parts import Section
from recdistill.report.sections import evidence
from recdistill.report.words import counted_seeds, percent

if TYPE_CHECKING:
    from jinja2 import Environment

TITLE = "Does transfer help here?"


def html(result: dict[str, Any]) -> str:
    """The page of a result: the answer, the figures and tables it rests on, and how it was made.

    Args:
        result: as in `report.json`; what it does not hold is left out.
    """
    shares = ", ".join(percent(pooled["labels"]) for pooled in result["pooled"])
    seeds = counted_seeds(len(result["pooled"][0]["seeds"]))
    return document(
        TITLE,
        source="report.json",
        name=data_name(result["config"]["data"]),
        about=f"{shares} of the labels, {seeds}, {result['pooled'][0]['enough']['test_rows']:,} test rows",
        cards=cards(result),
        cautions=cautions(result),
        chapters=[*evidence(result), *background(result)],
        command=result["command"],
    )


def document(
    title: str,
    *,
    source: str,
    name: str,
    about: str,
    cards: Sequence[Card],
    cautions: Sequence[str],
    chapters: Sequence[Section],
    command: str,
) -> str:
    """A page in one file.

    Every value is escaped. The page's policy allows its own style sheet and its one script, which sorts tables, by
    their hashes, and nothing else: no other script, no style of an element, no request.

    Args:
        title: its heading.
        source: the file beside it that holds every figure.
        name: of what it is about.
        about: what that is made of.
        cards: the answer.
        cautions: what makes it weaker than it looks.
        chapters: what it rests on; the command stands in the one called "making".
        command: that made it.
    """
    templates = _templates()
    style = templates.get_template("page.css").render(palette=PALETTE)
    script = templates.get_template("page.js").render()
    return templates.get_template("page.html").render(
        style=Markup(style),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704  # our own file
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'",
        title=title,
        source=source,
        name=name,
        about=about,
        cards=cards,
        cautions=cautions,
        chapters=chapters,
        command=command,
    )


def data_name(data: dict[str, Any]) -> str:
    """What the data are called; of files, their names.

    Args:
        data: as the configuration has them.
    """
    files = [Path(str(file)).name for side in ("source", "target") if (file := data.get("arguments", {}).get(side))]
    return " → ".join(files) if data.get("name") == "files" and files else str(data.get("name", ""))


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
