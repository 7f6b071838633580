"""What a proof needs beyond the events: the confirmation mail as it went out, and the relay's answer to it."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from service.domain.ledger import LedgerKeys, encrypt
from service.store.consent import find_subject_key
from service.store.schema import ConfirmationMail
from service.store.transaction import Transaction


def keep_confirmation_mail(
    tx: Transaction, ledger: LedgerKeys, *, delivery_id: int, subscriber_id: int, template_id: int, copy: bytes
) -> None:
    """Keep what was handed to the relay, encrypted for its reader; of several attempts the last.

    Nothing is kept of a reader whose key is destroyed.
    """
    key = find_subject_key(tx, ledger, subscriber_id)
    if key is None:
        return
    values = {
        "template_id": template_id,
        "sealed": encrypt(key, copy, place_of(delivery_id)),
        "sha256": sha256(copy).digest(),
        "written_at": tx.now,
    }
    tx.session.execute(
        insert(ConfirmationMail)
        .values(delivery_id=delivery_id, subscriber_id=subscriber_id, **values)
        .on_conflict_do_update(index_elements=[ConfirmationMail.delivery_id], set_=values)
    )


def place_of(delivery_id: int) -> bytes:
    """What a kept mail is bound to."""
    return f"confirmation mail {delivery_id}".encode()


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The mail that carried the link of a sign-up, and what the relay said when it took it."""

    delivery_id: int
    message_id: str | None
    on_its_way: bool
    """Handed over, with nothing recorded yet."""
    accepted_at: datetime | None
    relay: str | None
    code: int | None
    enhanced: str | None
    text: str | None
    copy_sha256: bytes | None


def find_confirmation(tx: Transaction, signup_id: int) -> Confirmation | None:
    row = tx.session.execute(text(_CONFIRMATION), {"signup": signup_id}).mappings().one_or_none()
    return Confirmation(**row) if row else None


_CONFIRMATION = """
SELECT d.id AS delivery_id, d.message_id, d.status = 'sending' AS on_its_way, a.at AS accepted_at, a.relay, a.code,
       a.enhanced, a.text, m.sha256 AS copy_sha256
FROM deliveries d
LEFT JOIN LATERAL (SELECT * FROM attempts WHERE delivery_id = d.id AND fate = 'accepted' ORDER BY id DESC LIMIT 1) a
    ON true
LEFT JOIN confirmation_mails m ON m.delivery_id = d.id
WHERE d.signup_id = :signup AND d.kind = 'confirmation'
ORDER BY d.id DESC LIMIT 1
"""
