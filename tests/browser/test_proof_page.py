"""A proof's page as somebody opens it years later: it asks nobody for anything (D-02)."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from service.looks.proofs import render_proof
from service.store.transaction import TransactionFactory
from tests.conftest import FrozenClock
from tests.usecases.test_proof_page import with_images
from tests.usecases.test_proving import proof_of, reader, seal

__all__ = ["seal"]


@pytest.mark.requirement("D-02")
def test_the_page_asks_nobody(
    transaction: TransactionFactory,
    clock: FrozenClock,
    seal: Callable[[], None],
    browser: Browser,
    tmp_path: Path,
) -> None:
    reader(transaction, clock)
    seal()
    file = tmp_path / "proof.html"
    file.write_text(render_proof(with_images(proof_of(transaction))), encoding="utf-8")
    context = browser.new_context()
    page = context.new_page()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri(), wait_until="load")
    page.wait_for_timeout(500)
    assert [url for url in asked if not url.startswith(("file:", "about:"))] == []
    assert page.locator("main").evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(255, 255, 255)"
    form = page.frame_locator("iframe").first.locator("form")
    assert form.count() == 1, "the form is shown"
    context.close()
