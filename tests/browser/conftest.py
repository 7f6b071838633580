"""One demo and one Chromium for all browser tests; requests to anybody else's host fail the test.

The demo ends with the last browser test, so that the fault tests have the machine for themselves.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from tests.house import ROOT, House, demo

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in Path(item.fspath).parts:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with demo(tmp_path_factory.mktemp("house") / "demo") as house:
        yield house


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Ends with the last browser test: while it is there, its event loop is the one that runs in this thread."""
    assert Path(CHROMIUM).exists(), "these tests need Debian's chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: to docs/screens for `make screens`, else nowhere that is kept."""
    folder = ROOT / "docs" / "screens" if os.environ.get("SCREENS") else tmp_path_factory.mktemp("screens")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A reader's browser: JavaScript off, so every page must work without it."""
    context = browser.new_context(java_script_enabled=False, locale="en-GB", viewport={"width": 1100, "height": 900})
    page = context.new_page()
    foreign: list[str] = []

    def note(request: Request) -> None:
        if urlsplit(request.url).hostname not in (None, "localhost", "127.0.0.1"):
            foreign.append(request.url)

    page.on("request", note)
    yield page
    context.close()
    assert foreign == [], "no page may ask anybody else's host (invariant 6)"
