"""The public list of processors: what readers are told of each, in every language, from the register alone."""

import dataclasses
from html import unescape

import pytest

from service.domain.processors import Processor
from service.domain.words import Language
from service.web.app import create_app
from tests.web.conftest import make_client

RELAY = Processor(
    name="Fjellpost & Co AS",
    purpose="Hands our mail to mailboxes",
    hosts=("smtp.inner.fjellpost.example",),
    sees=("addresses", "content of mails"),
    country="Norway",
    third_country=False,
    reuse_of_data="none",
    log_days=14,
    contract="DPA 2026-03",
    contact="privacy@fjellpost.example",
)
OWN = dataclasses.replace(
    RELAY, name="Own machine", contract="self-operated", self_operated=True, log_days=0, third_country=True
)


@pytest.mark.requirement("D-21", "D-34")
@pytest.mark.parametrize("language", Language)
def test_every_processor_is_told_in_every_language(container, language) -> None:
    app = create_app(dataclasses.replace(container, processors=(RELAY, OWN)))
    texts = app.state.pages.texts
    with make_client(app) as client:
        page = client.get(f"/processors?language={language}")
        assert client.head("/processors").status_code == 200
    said = unescape(page.text)
    assert page.status_code == 200
    for value in (RELAY.name, RELAY.purpose, "addresses", "content of mails", RELAY.country, "DPA 2026-03"):
        assert value in said
    for key in ("reuse_none", "third_country", "no_third_country", "log_none"):
        assert texts.text(language, f"processors.{key}") in said
    assert texts.text(language, "processors.log_days", days=14) in said
    assert texts.text(language, "processors.self_operated", publisher=container.publisher.name) in said
    assert "inner" not in said, "the names of machines are nobody's business"


@pytest.mark.parametrize("language", Language)
def test_it_is_linked_from_every_page_and_from_the_notice(client, language) -> None:
    link = f'href="/processors?language={language}"'
    assert link in client.get(f"/help?language={language}").text
    notice = client.get(f"/privacy?language={language}").text
    assert notice.count(f"/processors?language={language}") == 2, "in the text, and at the foot"
