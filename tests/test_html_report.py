"""The report's page: values are text, nothing is asked of the network, figures have words, tables are whole."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import reports
from reports import COMMITTED, committed, full, renamed

from recdistill import report

ALERT = "<script>alert(1)</script>"
PAYLOAD = (
    f"""{ALERT}"><img src=x onerror=alert(1)></style></title><svg onload='alert(1)'>$x^2 {{{{ 7*7 }}}}\x00\ud800"""
)
MOST_BYTES = 2_000_000
LOADING = {"src", "srcset", "href", "xlink:href", "action", "data", "poster", "background", "formaction", "ping"}
EMPTY = {"meta", "br", "hr", "img", "input", "link", "base", "wbr"}


class Page(HTMLParser):
    """What a page holds, as a browser would read it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.within: list[str] = []
        self.contents: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self.within.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.within.pop() == tag, f"</{tag}> closes what it opened"

    def handle_data(self, data: str) -> None:
        self.contents.setdefault(self.within[-1] if self.within else "", []).append(data)
        if not {"script", "style"} & set(self.within):
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of a name."""
        return [attributes for name, attributes in self.tags if name == tag]


@cache
def rendered(name: str) -> str:
    """A committed report's page."""
    return report.html(committed(name))


@pytest.fixture(scope="module")
def whole() -> str:
    return report.html(full())


@pytest.fixture(scope="module")
def page(whole: str) -> Page:
    return Page(whole)


def test_names_appear_as_text_and_as_nothing_else(page: Page) -> None:
    hostile = Page(report.html(renamed(full(), _hostile)))
    tags = [Counter(tag for tag, _ in of.tags if tag != "wbr") for of in (hostile, page)]
    assert tags[0] == tags[1]
    names = [{name for _, attributes in of.tags for name in attributes} for of in (hostile, page)]
    assert names[0] <= names[1]
    shown = PAYLOAD.replace("\ud800", "\ufffd").replace("\x00", "\ufffd")
    assert "".join(hostile.text).count(shown) > 60
    assert hostile.contents["script"] == page.contents["script"]


def _hostile(name: str) -> str:
    """Names of a user's own: arms, columns, segments, notes, findings, packages, the command."""
    own = ("adapted_all", "source_all", "item_id", "country", "group 3", "popularity", "torch", "synthetic")
    return PAYLOAD + name if name in own or name.startswith(("recdistill run", "dwell", "Population:")) else name


def test_nothing_is_loaded(whole: str, page: Page) -> None:
    for tag, attributes in page.tags:
        for name in LOADING & set(attributes):
            assert attributes[name].startswith("#"), f"{tag} {name}={attributes[name]}"
    assert not {"link", "img", "iframe", "object", "embed", "base", "form", "audio", "video"} & {
        t for t, _ in page.tags
    }
    assert "@import" not in whole
    assert all(found.startswith("#") for found in re.findall(r"url\(['\"]?([^)'\"]*)", whole))
    assert not any("style" in attributes or "onclick" in attributes for _, attributes in page.tags)


def test_the_policy_allows_the_pages_own_style_and_script_alone(page: Page) -> None:
    (policy,) = (of["content"] for of in page.named("meta") if of.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for part in ("style", "script"):
        (text,) = page.contents[part]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{part}-src 'sha256-{digest}'" in policy


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert max(ids.values()) == 1
    wanted = [attributes["href"][1:] for _, attributes in page.tags if "href" in attributes]
    wanted += [name for _, of in page.tags for name in re.findall(r"url\(#([^)]+)\)", " ".join(of.values()))]
    wanted += [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(wanted) <= set(ids)


def test_it_can_be_read_without_seeing_it(page: Page) -> None:
    pictures = page.named("svg")
    assert len(pictures) == len(page.named("figure")) == len(page.named("figcaption")) > 20
    assert all(of["role"] == "img" and of["aria-label"] for of in pictures)
    assert len({of["aria-label"] for of in pictures}) == len(pictures)
    assert page.named("html") == [{"lang": "en"}]
    assert [len(page.named(tag)) for tag in ("main", "header", "footer", "nav", "h1")] == [1] * 5
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.named("caption")) == len(page.named("table"))
    assert all(of.get("scope") in ("col", "row") for of in page.named("th"))
    regions = [of for tag, of in page.tags if of.get("role") == "region"]
    assert all(of["tabindex"] == "0" and of["aria-label"] for of in regions)


def test_it_says_what_the_report_says(page: Page) -> None:
    text = " ".join("".join(page.text).split())
    result = full()
    for line in [line for pooled in result["pooled"] for line in report.answer(pooled)] + report.cautions(result):
        assert line in text
    for pooled in result["pooled"]:
        for comparison in pooled["comparisons"]:
            assert report.signed(comparison) in text
    assert "DeLong, clustered by user_id" in text
    assert "dwell alone tells the label (AUC 0.99)." in text
    assert "Calibrate the teacher on the labelled rows." in text


def test_every_difference_has_its_interval_and_method() -> None:
    for name in COMMITTED:
        for line in re.findall(r"<tr>(.*?)</tr>", rendered(name), flags=re.DOTALL):
            cells = re.findall(r">([^<>]*)</t[dh]>", line)
            if any(re.match(r"[-+]0\.\d{4}", cell) for cell in cells):
                assert all(re.match(r"[-+]0\.\d{4} \[.*\]", c) for c in cells if re.match(r"[-+]0\.\d{4}", c)), cells


LATER = ("curves", "reliability", "segments", "fidelity", "histories", "folders")  # what pooled shares came to hold


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_reports_are_whole_pages(name: str) -> None:
    text = rendered(name)
    assert Page(text).within == []
    assert len(text.encode()) < MOST_BYTES


@pytest.mark.parametrize("name", COMMITTED)
def test_reports_of_earlier_versions_are_whole_pages(name: str) -> None:
    result = {key: value for key, value in committed(name).items() if key != "shift"}
    result["pooled"] = [{k: v for k, v in pooled.items() if k not in LATER} for pooled in result["pooled"]]
    text = report.html(result)
    assert Page(text).within == []
    assert 'id="shift"' not in text
    assert 'id="segments"' not in text


def test_the_same_report_gives_the_same_bytes(whole: str) -> None:
    assert report.html(full()) == whole
    assert len(whole.encode()) < MOST_BYTES


def test_it_stands_beside_the_report(tmp_path: Path) -> None:
    result = committed("criteo_few_rows")
    report.write(result, tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        *("MODEL_CARD.md", "index.html", "manifest.json", "report.json", "report.md"),
    }
    assert (tmp_path / "report" / "index.html").read_text() == report.html(result)


@pytest.mark.parametrize("absent", ["note", "command", "seeds"])
def test_what_a_report_does_not_say_is_left_out(absent: str) -> None:
    result: dict[str, Any] = committed("criteo_few_rows")
    result["command"] = "" if absent == "command" else result["command"]
    result["config"]["data"]["note"] = "" if absent == "note" else "Times are not known."
    text = report.html(result)
    assert ('class="command"' in text) == (absent != "command")
    assert ("Times are not known." in text) == (absent != "note")


def test_many_rankers_with_long_names_are_all_in_the_table() -> None:
    text = report.html(reports.crowded()).replace("<wbr>", "")
    assert len(text.encode()) < MOST_BYTES
    for number in range(30):
        assert f"embedding_dim_{number:02d}_with_hidden" in text


def test_names_are_text_in_markdown_too() -> None:
    """No tag of a name is left as one, but in code, where it is text; the page's own words have none."""
    page = re.sub(r"^    .*$", "", report.page(renamed(full(), _hostile)), flags=re.MULTILINE)
    assert not re.search(r"(?<!\\)<(script|img|svg|/)", page)
    assert "\\<script" in page
