"""The reader's receipt: what was agreed to, with whom, how to end it; nobody is named (D-10, D-11)."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from service.bootstrap import Container
from service.domain.letters import Letter
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import ConsentState, Language, MailKind, Purpose
from service.store import letters
from service.store.schema import ConsentEvent, Delivery
from service.texts import Catalogue
from service.usecases import campaigning, wording
from service.usecases.receipts import receipt_token
from tests.conftest import FrozenClock
from tests.json_schema import find_faults
from tests.web.conftest import ANNA, Reader

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "consent-receipt.schema.json").read_text(encoding="utf-8"))
PAGES = Catalogue("pages")


def signed_up(reader: Reader, **fields: Any) -> str:
    """Signed up and confirmed; the token of the receipt."""
    reader.sign_up(**fields)
    reader.process()
    assert reader.confirm(fields.get("address", ANNA["address"])).status_code == 200
    return receipt_token(reader.container.keys, newest_given(reader.container))


def newest_given(container: Container) -> int:
    with container.transaction() as tx:
        return tx.session.scalars(
            select(ConsentEvent.id).where(ConsentEvent.state == ConsentState.GIVEN).order_by(ConsentEvent.id.desc())
        ).first()  # type: ignore[return-value]


@pytest.mark.requirement("D-10")
@pytest.mark.parametrize("language", Language)
def test_the_document_follows_its_schema(reader: Reader, client: httpx.Client, language: Language) -> None:
    """D-10: JSON-schema validation; the policy's address is of one version and stays."""
    token = signed_up(reader, language=language.value)
    answer = client.get(f"/r/{token}.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert find_faults(SCHEMA, document) == []
    assert document["language"] == language
    assert document["notAsked"] == ["offers"]
    [service] = document["services"]
    [purpose] = service["purposes"]
    assert (purpose["purpose"], purpose["state"], purpose["inForce"]) == ("digest", "given", True)
    policy = document["policyUrl"]
    before = client.get(policy).text
    with reader.container.transaction() as tx:
        wording.publish(tx, dataclasses.replace(reader.container.publisher, name="Fjellsko Trail AS"))
    assert client.get(f"/r/{token}.json").json()["policyUrl"] == policy
    said = client.get(policy).text
    assert "Fjellsko Sport AS" in said
    assert (
        re.search(r"<article.*?</article>", said, re.DOTALL)[0]
        == re.search(  # type: ignore[index]
            r"<article.*?</article>", before, re.DOTALL
        )[0]
    )


def test_the_schema_refuses_what_it_should(reader: Reader, client: httpx.Client) -> None:
    document = client.get(f"/r/{signed_up(reader)}.json").json()
    for spoilt in (
        {name: value for name, value in document.items() if name != "policyUrl"},
        document | {"sensitive": True},
        document | {"consentTimestamp": "now"},
        document | {"address": "anna@fjellsko.example"},
        document | {"services": []},
    ):
        assert find_faults(SCHEMA, spoilt) != []


@pytest.mark.requirement("D-10")
@pytest.mark.parametrize("language", Language)
def test_the_page_says_everything_and_names_nobody(reader: Reader, client: httpx.Client, language: Language) -> None:
    token = signed_up(reader, language=language.value, first_name="Annbjørg", address="annbjorg@fjellsko.example")
    answer = client.get(f"/r/{token}?language={language}")
    assert answer.status_code == 200
    page = answer.text
    for shown in ("receipt.title", "receipt.state_given", "receipt.state_not_asked", "receipt.rights", "receipt.how"):
        assert PAGES.text(language, shown) in page.replace("&#39;", "'"), shown
    assert "Fjellsko Sport AS" in page
    assert f'lang="{language}"' in page
    assert re.search(r'href="/privacy/\d+"', page)
    for personal in ("annbjorg@", "Annbjørg", "testclient", "python-httpx"):
        assert personal not in page
        assert personal not in client.get(f"/r/{token}.json").text
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers


@pytest.mark.requirement("D-11")
def test_a_purpose_that_was_never_asked_is_not_agreed_to(reader: Reader, client: httpx.Client) -> None:
    """D-11: a purpose comes to a list whose readers were asked for another: not asked, and its audience is empty."""
    token = signed_up(reader, form="hub-one-box", topics=[])
    page = client.get(f"/r/{token}").text
    assert PAGES.text(Language.EN, "receipt.state_not_asked") in page
    with reader.container.transaction() as tx:
        campaign_id = campaigning.create_campaign(
            tx, list_slug="hub", purpose=Purpose.OFFERS, name="New", subject="New shoes", body="Here.", by="ada"
        )
        campaigning.order_campaign(tx, campaign_id, by="ada")
        campaigning.plan_campaign(tx, campaign_id)
        planned = tx.session.scalars(select(Delivery).where(Delivery.campaign_id == campaign_id)).all()
        assert planned == []
        digest_id = campaigning.create_campaign(
            tx, list_slug="hub", purpose=Purpose.DIGEST, name="Old", subject="New articles", body="Here.", by="ada"
        )
        campaigning.order_campaign(tx, digest_id, by="ada")
        campaigning.plan_campaign(tx, digest_id)
        assert len(tx.session.scalars(select(Delivery).where(Delivery.campaign_id == digest_id)).all()) == 1


@pytest.mark.requirement("D-11")
def test_asking_again_for_more_is_the_same_form_and_leaves_the_old_consent_on_its_words(
    reader: Reader, client: httpx.Client, clock: FrozenClock
) -> None:
    """D-11: re-consent exists: signing up again for the other purpose adds to it, on the words of today."""
    signed_up(reader)
    clock.advance(days=2)
    token = signed_up(reader, purposes=["digest", "offers"])
    document = client.get(f"/r/{token}.json").json()
    states = {purpose["purpose"]: purpose["state"] for purpose in document["services"][0]["purposes"]}
    assert states == {"digest": "given", "offers": "given"}
    assert document["notAsked"] == []


def test_the_receipt_shows_how_things_stand(reader: Reader, client: httpx.Client, keys: Keys) -> None:
    token = signed_up(reader)
    with reader.container.transaction() as tx:
        subscriber = tx.session.scalar(text("SELECT max(id) FROM subscribers"))
        list_id = tx.session.scalar(text("SELECT max(list_id) FROM subscriptions"))
    unsubscribe = keys.seal(Token(TokenKind.UNSUBSCRIBE, subscriber, 0, list_id, 0))
    client.post(f"/u/{unsubscribe}", data={"action": "unsubscribe"})
    assert PAGES.text(Language.EN, "receipt.state_withdrawn") in client.get(f"/r/{token}").text
    [purpose] = client.get(f"/r/{token}.json").json()["services"][0]["purposes"]
    assert (purpose["state"], purpose["inForce"]) == ("withdrawn", False)


def test_links_that_lead_to_no_receipt(reader: Reader, client: httpx.Client, keys: Keys) -> None:
    token = signed_up(reader)
    with reader.container.transaction() as tx:
        requested = tx.session.scalars(
            select(ConsentEvent.id).where(ConsentEvent.state == ConsentState.REQUESTED)
        ).first()
    for path, status in (
        ("/r/nobodys", 404),
        (f"/r/{keys.seal(Token(TokenKind.CONTROL, 1))}", 404),
        (f"/r/{keys.seal(Token(TokenKind.RECEIPT, 0))}", 200),
        (f"/r/{keys.seal(Token(TokenKind.RECEIPT, requested or 0))}", 200),
        (f"/r/{keys.seal(Token(TokenKind.RECEIPT, 987_654))}.json", 200),
    ):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert "receipt" not in answer.text.lower(), path
    assert client.get(f"/r/{token}").status_code == 200
    assert client.head(f"/r/{token}").status_code == 200
    assert client.post(f"/r/{token}").status_code == 405


@pytest.mark.requirement("D-10")
@pytest.mark.parametrize("language", Language)
def test_the_welcome_links_the_receipt_and_the_confirmation_does_not(
    reader: Reader, client: httpx.Client, container: Container, clock: FrozenClock, language: Language
) -> None:
    signed_up(reader, language=language.value)
    with container.transaction() as tx:
        tx.session.execute(text("UPDATE deliveries SET message_id = id || '@localhost'"))
        ids = list(tx.session.scalars(select(Delivery.id).order_by(Delivery.id)))
        found = {letter.kind: letter for letter in letters.read_letters(tx, ids)}

    def linked(letter: Letter) -> list[str]:
        rendered = container.writer.preview(letter, clock.now())
        assert ("/r/" in rendered.text) == ("/r/" in rendered.html)
        return re.findall(r"http://localhost:8025(/r/\w+)", rendered.text)

    [path] = linked(found[MailKind.WELCOME])
    assert PAGES.text(language, "receipt.title") in client.get(path).text
    assert linked(found[MailKind.CONFIRMATION]) == []
    assert ANNA["address"] == found[MailKind.WELCOME].address
