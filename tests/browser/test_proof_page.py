"""A proof's page as somebody opens it years later: it asks nobody for anything (D-02)."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser

from service.looks.proofs import render_proof
from service.store.transaction import TransactionFactory
from tests.conftest import FrozenClock
from tests.usecases.test_proof_page import with_images
from tests.usecases.test_proving import proof_of, reader, seal

__all__ = ["seal"]


class Elsewhere(HTTPServer):
    """Whoever is asked for an image. A real server: what a sandboxed frame asks for is not reported otherwise."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Elsewhere)
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with Elsewhere() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.requirement("D-02")
def test_the_page_asks_nobody(
    transaction: TransactionFactory,
    clock: FrozenClock,
    seal: Callable[[], None],
    browser: Browser,
    elsewhere: Elsewhere,
    tmp_path: Path,
) -> None:
    reader(transaction, clock)
    seal()
    url = f"http://127.0.0.1:{elsewhere.server_port}/seen.png"
    shown = render_proof(with_images(proof_of(transaction), url))
    assert shown.count(url) > 3
    file = tmp_path / "proof.html"
    file.write_text(shown, encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri(), wait_until="load")
    page.locator("iframe").first.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    assert elsewhere.asked == []
    assert page.locator("main").evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(255, 255, 255)"
    assert page.frame_locator("iframe").first.locator("form").count() == 1, "the form is shown"
    context.close()
