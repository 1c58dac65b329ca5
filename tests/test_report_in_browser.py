"""The report's page in a real browser: quiet, alone, sortable, and no wider than a phone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import reports

from recdistill import report

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which(CHROMIUM), reason=f"needs Chromium: there is no {CHROMIUM}"),
    pytest.mark.skipif(not shutil.which(DRIVER), reason=f"needs Chromium's driver: there is no {DRIVER}"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with a page of many rankers, long names, and everything that a report may hold."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(report.html(reports.crowded()))
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*QUIET, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service(DRIVER))
    driver.get((folder / "index.html").as_uri())
    yield driver
    driver.quit()


def test_nothing_is_asked_of_the_network_and_nothing_complains(browser: Any) -> None:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # The browser's own first tab loads its own files.
    asked = [of["request"]["url"] for of in sent if not of["documentURL"].startswith(("chrome:", "chrome-untrusted:"))]
    assert asked == [browser.current_url]
    assert browser.get_log("browser") == []


def test_a_header_sorts_its_table(browser: Any) -> None:
    for order, descending in (("ascending", False), ("descending", True)):
        shown = browser.execute_script(
            """
            const table = document.querySelector("#rankers table");
            const header = [...table.tHead.rows[0].cells].find((cell) => cell.textContent === "bytes");
            header.querySelector("button").click();
            const cells = [...table.tBodies[0].rows].map((row) => row.cells[header.cellIndex].textContent);
            return [header.getAttribute("aria-sort"), cells];
            """
        )
        assert shown[0] == order
        known = [int(cell.replace(",", "")) for cell in shown[1] if cell]
        assert known == sorted(known, reverse=descending)
        assert len(known) > 30
        assert shown[1][len(known) :] == [""] * (len(shown[1]) - len(known)), "what is not known comes last"


def test_every_table_can_be_sorted_from_the_keyboard(browser: Any) -> None:
    headers, buttons = browser.execute_script(
        """
        const all = (what) => document.querySelectorAll(what).length;
        return [all("thead th"), all("thead th > button[type=button]")];
        """
    )
    assert headers == buttons > 100


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone(browser: Any, theme: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    )
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    wide = browser.execute_script(
        """
        const inside = (box) => box.closest(".scroll") || box.closest("svg") || box.closest(".skip, .unseen");
        const over = [...document.body.querySelectorAll("*")].filter(
          (box) => !inside(box) && box.getBoundingClientRect().right > 390.5,
        );
        return [document.documentElement.scrollWidth, over.map((box) => box.outerHTML.slice(0, 80))];
        """
    )
    assert wide == [390, []]
