"""What closes the loop of a double opt-in, as evidence: the mail, the relay's answer, the button (D1 #11, #12)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from service.domain.deliveries import Result
from service.domain.ledger import spell_time
from service.domain.letters import Letter
from service.domain.outcomes import Message, Phase
from service.domain.tokens import Keys, Token, TokenKind
from service.domain.words import MailKind
from service.mail.sources import template_source
from service.mail.withholding import withhold_token
from service.store import contexts, proofs
from service.store.schema import Signup
from service.store.transaction import Transaction

NOBODY_READS_SO_FAST = timedelta(seconds=5)
"""E-08: a button pressed sooner after the relay took the mail was hardly pressed by its reader."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A confirmation as it was given to the wire."""

    letter: Letter
    message: Message


def keep_copies(tx: Transaction, keys: Keys, handed: Iterable[Handed], results: Iterable[Result]) -> None:
    """Keep, without their tokens, those that reached the relay. Call it where the results are recorded."""
    reached = {result.outcome.delivery_id for result in results if result.outcome.phase is Phase.EOM}
    kept = [each for each in handed if each.letter.delivery_id in reached]
    if not kept:
        return
    template_id = contexts.add_mail_template(tx, MailKind.CONFIRMATION, template_source(MailKind.CONFIRMATION))
    for each in kept:
        if each.letter.signup is None or each.letter.subscriber_id is None:
            continue
        token = keys.seal(Token(TokenKind.CONFIRM, each.letter.signup.id))
        proofs.keep_confirmation_mail(
            tx,
            keys.ledger,
            delivery_id=each.letter.delivery_id,
            subscriber_id=each.letter.subscriber_id,
            template_id=template_id,
            copy=withhold_token(each.message.data, token),
        )


@dataclass(frozen=True, slots=True)
class Pressed:
    """What the press of the button says beyond who pressed it."""

    delivery_id: int | None
    personal: dict[str, Any]
    suspect_scanner: bool


def describe_press(tx: Transaction, signup: Signup) -> Pressed:
    """For the *given* events of this sign-up, now. Encrypted with them."""
    mail = proofs.find_confirmation(tx, signup.id)
    personal: dict[str, Any] = {
        "address_as_entered": signup.entered,
        "post": {"method": "POST", "at": spell_time(tx.now), "token": f"sign-up {signup.id}"},
    }
    if mail is None:
        return Pressed(None, personal, suspect_scanner=False)
    personal["confirmation_mail"] = {
        "delivery": mail.delivery_id,
        "message_id": mail.message_id,
        "sent_at": spell_time(mail.accepted_at) if mail.accepted_at else None,
        "relay": mail.relay,
        "code": mail.code,
        "enhanced": mail.enhanced,
        "text": mail.text,
        "sha256": mail.copy_sha256.hex() if mail.copy_sha256 else None,
    }
    # The relay's answer is recorded a moment after it came: who presses before that cannot have read the mail.
    at_once = mail.on_its_way or (mail.accepted_at is not None and tx.now - mail.accepted_at < NOBODY_READS_SO_FAST)
    return Pressed(mail.delivery_id, personal, at_once)


def describe_request(signup: Signup) -> dict[str, Any]:
    """For the *requested* events: what the form sent (D1 #2, #6, #8)."""
    return {
        "address_as_entered": signup.entered,
        "form_sent": {
            "ticked": list(signup.purposes),
            "state_before": "every box unticked",
            "language": signup.language.value,
            "method": "POST",
        },
    }
