"""Readers in the state a test needs, made the way readers get there: by forms, confirmations and buttons."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from service.domain.evidence import Evidence
from service.domain.forms import SignupRequest, Submission, check_submission
from service.domain.ledger import decrypt
from service.domain.letters import Publisher
from service.domain.tokens import Keys, Token, TokenKind, purpose_flag
from service.domain.words import Language, MailKind, Purpose
from service.store import consent, wordings
from service.store.append_only import AppendOnlyFile
from service.store.schema import ConsentEvent, Delivery, Signup
from service.store.transaction import Transaction
from service.usecases import subscribing, wording

KEYS = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")
NOBODY_ERASED = AppendOnlyFile(Path("/nonexistent/erasures.jsonl"))
"""An erasure log without a line."""
THREE_DAYS = timedelta(hours=72)
FORM_EVIDENCE = Evidence("203.0.113.7", "Firefox", "https://fjell.no/hub")
BUTTON_EVIDENCE = Evidence("203.0.113.8", "Safari", "http://localhost:8025/confirm")

PUBLISHER = Publisher(
    name="Fjellsko Sport AS",
    postal_address="Løypa 1, 0000 Fjellby, Norway",
    contact="privacy@fjellsko.example",
    site_url="http://localhost:8026",
    public_url="http://localhost:8025",
    sender_name="Fjellsko Training Hub",
    sender_address="training@fjellsko.example",
    reply_to=None,
    bounce_domain="fjellsko.example",
    own_hosts=frozenset({"localhost"}),
)


def personal(tx: Transaction, event: ConsentEvent, keys: Keys = KEYS) -> dict[str, Any]:
    """What the event says about a person, decrypted."""
    key = consent.find_subject_key(tx, keys.ledger, event.subscriber_id)
    assert key is not None
    return json.loads(decrypt(key, event.personal, event.record_id.bytes))


def a_request(
    tx: Transaction,
    address: str = "anna@fjell.no",
    *,
    purposes: Sequence[str] = ("digest",),
    topics: Sequence[str] = ("running",),
    language: Language = Language.EN,
    first_name: str = "",
    form: str = "hub",
) -> SignupRequest:
    if wordings.find_form(tx, form) is None:
        wording.publish(tx, PUBLISHER)
    view = wording.get_form(tx, form, language)
    sent = Submission(
        address=address, purposes=tuple(purposes), topics=tuple(topics), language=language, first_name=first_name
    )
    request = check_submission(sent, view)
    assert isinstance(request, SignupRequest), request
    return request


def sign_up(tx: Transaction, address: str = "anna@fjell.no", **choices: object) -> int:
    """A form was sent; nobody has looked at it. Returns the sign-up's id."""
    request = a_request(tx, address, **choices)  # type: ignore[arg-type]
    return subscribing.receive_signup(tx, KEYS, request, FORM_EVIDENCE)


def decided(tx: Transaction, signup_id: int) -> Signup:
    subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS)
    return tx.session.scalars(
        select(Signup).where(Signup.id == signup_id).execution_options(populate_existing=True)
    ).one()


def a_reader(tx: Transaction, address: str = "anna@fjell.no", **choices: object) -> int:
    """Signed up and confirmed. Returns the subscriber's id."""
    signup_id = sign_up(tx, address, **choices)
    subscriber_id = decided(tx, signup_id).subscriber_id
    confirmed = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
    assert isinstance(confirmed, subscribing.Confirmed)
    assert subscriber_id is not None
    return subscriber_id


def confirm_token(signup_id: int) -> str:
    return KEYS.seal(Token(TokenKind.CONFIRM, signup_id))


def unsubscribe_token(
    subscriber_id: int, list_id: int, purpose: Purpose | None = Purpose.DIGEST, delivery_id: int = 99
) -> str:
    return KEYS.seal(Token(TokenKind.UNSUBSCRIBE, subscriber_id, delivery_id, list_id, purpose_flag(purpose)))


def mails(tx: Transaction) -> list[MailKind]:
    return list(tx.session.scalars(select(Delivery.kind).order_by(Delivery.id)))
