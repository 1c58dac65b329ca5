"""How every picture is drawn: one style, colours that follow the page's, and SVG that is safe inside it."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Per name the colour on white and on the dark page. The hues are those of Okabe and Ito (2008), which colour-blind
# readers tell apart, darker or lighter until each has a contrast of 3 : 1 and more to its page.
PALETTE = {
    "ink": ("#1d2329", "#e7eaee"),
    "muted": ("#5a6672", "#9aa7b4"),
    "rule": ("#d9dee4", "#333d47"),
    "blue": ("#0067a8", "#62b2f0"),
    "orange": ("#c25700", "#f39a4a"),
    "green": ("#00795a", "#3cc79c"),
    "purple": ("#a2477f", "#e59ac8"),
    "brown": ("#86651a", "#d9b650"),
}
INK, MUTED, RULE = (PALETTE[name][0] for name in ("ink", "muted", "rule"))
BLUE, ORANGE, GREEN, PURPLE, BROWN = (PALETTE[name][0] for name in ("blue", "orange", "green", "purple", "brown"))
NAMES = {light: name for name, (light, _) in PALETTE.items()}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "recdistill",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.edgecolor": RULE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "font.size": 12,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11.5,
    "ytick.labelsize": 11.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "xtick.major.pad": 7,
    "ytick.major.pad": 6,
}
DROPPED = {"style", "font-family", "id", "version", "stroke-linejoin", "stroke-dashoffset"}
UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # by XML 1.0
REFERENCE = re.compile(r"#([mpC]\w*[0-9a-f]{10})\b")  # to what matplotlib draws again
WIDTH, HEIGHT, GAP = 440, 320, 17  # pixels; the gap is between two labels


@dataclass
class Drawing:
    """A picture on its way: its axes, and once it is done its SVG."""

    axes: Axes
    svg: Markup = field(default_factory=Markup)


@contextmanager
def drawn(
    title: str,
    *,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    margins: tuple[int, int, int, int] = (14, 14, 50, 56),
) -> Iterator[Drawing]:
    """A picture to draw into; its `svg` is there when the block ends.

    Args:
        title: what a reader hears who cannot see it.
        size: width and height in pixels, when the page is wide enough.
        margins: around the axes in pixels: top, right, bottom, left.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    (width, height), (top, right, bottom, left) = size, margins
    with rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's fonts draw the text
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)  # so that a point is a pixel
        box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
        picture = Drawing(figure.add_axes(box))
        yield picture
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    picture.svg = inline(written.getvalue(), title)


def inline(svg: str, title: str) -> Markup:
    """An SVG file as an element of a page.

    Its colours become classes, so that they follow the page's, and its styles attributes, which a page without inline
    styles can show. Only ids that something refers to are kept.

    Args:
        svg: as matplotlib wrote it.
        title: what a reader hears who cannot see it.
    """
    root = ElementTree.fromstring(svg)  # noqa: S314  # matplotlib's, which escapes what it is told to write
    key = f"p{zlib.crc32((title + svg).encode()):08x}"
    for parent in list(root.iter()):
        for child in [c for c in parent if _local(c.tag) in ("metadata", "style")]:
            parent.remove(child)
    found = {name for element in root.iter() for value in element.attrib.values() for name in REFERENCE.findall(value)}
    names = {name: f"{key}-{number}" for number, name in enumerate(sorted(found))}
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = _attributes(element, names)
        element.text, element.tail = (element.text or "").strip() if element.tag == "text" else "", ""
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {"viewBox": root.attrib["viewBox"], "width": width, "height": height}
    root.attrib |= {"class": "picture", "role": "img", "aria-label": printable(title)}
    _flatten(root)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704  # escaped by the writer


def printable(text: str, most: int = 0) -> str:
    """A line of text without control characters; of a long one the start and the end.

    Args:
        text: of anyone's.
        most: how many characters to keep; 0 for all.

    >>> printable("adapted_calibrated_all_warm", 15)
    'adapted…ll_warm'
    """
    clean = " ".join(UNPRINTABLE.sub("\ufffd", text).split())
    if not most or len(clean) <= most:
        return clean
    return f"{clean[: most // 2]}…{clean[len(clean) - (most - 1 - most // 2) :]}"


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places for labels near where they are wanted, at least `gap` from each other.

    Args:
        wanted: where they would stand by themselves.
        gap: between two.
        low, high: the first and the last place there is.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    before = low - gap
    for i in order:
        before = places[i] = max(wanted[i], before + gap)
    after = high + gap
    for i in reversed(order):
        after = places[i] = min(places[i], after - gap)
    return places


def name_lines(picture: Drawing, ends: dict[str, tuple[float, str]]) -> None:
    """Names at the right edge of a picture, moved apart where they would overlap.

    Args:
        picture: with everything drawn, so that its limits are known.
        ends: per name the height of its last point and its colour.
    """
    axes = picture.axes
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    height = axes.get_window_extent().height
    places = [height * (value - low) / (high - low) for value, _ in ends.values()]
    where: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 11.5, "va": "center"}
    for (name, (_, colour)), place in zip(ends.items(), apart(places, GAP, 0, height), strict=True):
        axes.text(1.02, place / height, printable(name, 17), color=colour, **where)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _attributes(element: ElementTree.Element, names: dict[str, str]) -> dict[str, str]:
    """An element's own attributes and those of its style; colours of the palette as classes."""
    found = {_local(name): value for name, value in element.attrib.items()}
    identity = names.get(found.get("id", ""))
    styles = (pair.partition(":") for pair in found.get("style", "").split(";") if pair.strip())
    found |= {name.strip(): value.strip() for name, _, value in styles}
    classes = [f"{what}-{NAMES[found[what]]}" for what in ("fill", "stroke") if found.get(what) in NAMES]
    found = {n: v for n, v in found.items() if n not in DROPPED and not (n in ("fill", "stroke") and v in NAMES)}
    if "rotate(-0 " in found.get("transform", ""):
        del found["transform"]
    for name in ("d", "x", "y", "width", "height"):
        if name in found:
            found[name] = re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.2f}", " ".join(found[name].split()))
    if "font-size" in found:
        found["font-size"] = found["font-size"].removesuffix("px")
    found = {n: REFERENCE.sub(lambda name: f"#{names[name[1]]}", v) for n, v in found.items()}
    return found | ({"class": " ".join(classes)} if classes else {}) | ({"id": identity} if identity else {})


def _flatten(parent: ElementTree.Element) -> None:
    """Take out groups that say nothing."""
    children: list[ElementTree.Element] = []
    for child in parent:
        _flatten(child)
        children += list(child) if child.tag in ("g", "a") and not child.attrib else [child]
    parent[:] = children
