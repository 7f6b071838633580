"""What a proof is made of: a subject's events and what they name, and the confirmation mail with the relay's answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import exists, select, text
from sqlalchemy.dialects.postgresql import insert

from service.domain.confirming import Confirmation, Copy
from service.domain.confirming import place_of as place_of  # noqa: PLC0414 - known by this name elsewhere
from service.domain.event_records import record_of
from service.domain.ledger import LedgerKeys, encrypt, spell_time
from service.domain.words import MailKind
from service.store.consent import find_subject_key, list_events
from service.store.contexts import add_mail_template
from service.store.schema import (
    ConfirmationMail,
    ConsentEvent,
    Context,
    Form,
    FormSnapshot,
    List,
    MailTemplate,
    Notice,
    Statement,
)
from service.store.transaction import Transaction


def keep_confirmation_mails(
    tx: Transaction, ledger: LedgerKeys, template_source: Callable[[MailKind], str], copies: Sequence[Copy]
) -> None:
    """Keep what was handed to the relay, encrypted for its readers; of several attempts the last.

    Nothing is kept of a reader whose key is destroyed.
    """
    kinds = {copy.kind for copy in copies}
    template_ids = {kind: add_mail_template(tx, kind, template_source(kind)) for kind in kinds}
    for copy in copies:
        key = find_subject_key(tx, ledger, copy.subscriber_id)
        if key is None:
            continue
        values = {
            "template_id": template_ids[copy.kind],
            "sealed": encrypt(key, copy.data, place_of(copy.delivery_id)),
            "sha256": sha256(copy.data).digest(),
            "written_at": tx.now,
        }
        tx.session.execute(
            insert(ConfirmationMail)
            .values(delivery_id=copy.delivery_id, subscriber_id=copy.subscriber_id, **values)
            .on_conflict_do_update(
                index_elements=[ConfirmationMail.delivery_id],
                set_=values,
                # Once the button was pressed an event names the copy by its hash: that one stays.
                where=~exists().where(
                    ConsentEvent.subscriber_id == copy.subscriber_id, ConsentEvent.delivery_id == copy.delivery_id
                ),
            )
        )


def find_confirmation(tx: Transaction, signup_id: int) -> Confirmation | None:
    """What asked the address of a sign-up."""
    return _find_question(tx, "d.signup_id = :id AND d.kind IN ('confirmation', 'repermission')", signup_id)


def find_question(tx: Transaction, change_id: int) -> Confirmation | None:
    """What asked a new address about a change."""
    return _find_question(tx, "d.address_change_id = :id AND d.kind = 'address_change'", change_id)


def _find_question(tx: Transaction, which: str, number: int) -> Confirmation | None:
    row = tx.session.execute(text(f"{_QUESTION} WHERE {which} ORDER BY d.id DESC LIMIT 1"), {"id": number})
    found = row.mappings().one_or_none()
    return Confirmation(**found) if found else None


_QUESTION = """
SELECT d.id AS delivery_id, d.message_id, d.status = 'sending' AS on_its_way, a.at AS accepted_at, a.relay, a.code,
       a.enhanced, a.text, m.sha256 AS copy_sha256, t.sha256 AS template_sha256
FROM deliveries d
LEFT JOIN LATERAL (SELECT * FROM attempts WHERE delivery_id = d.id AND fate = 'accepted' ORDER BY id DESC LIMIT 1) a
    ON true
LEFT JOIN confirmation_mails m ON m.delivery_id = d.id
LEFT JOIN mail_templates t ON t.id = m.template_id
"""


def find_subjects(tx: Transaction, dedupe_key: str, fingerprints: Sequence[bytes]) -> list[int]:
    """Everybody whom the address is or was: by name, and by fingerprint for who was erased. Oldest first."""
    return list(
        tx.session.scalars(
            text(
                """
                SELECT id FROM subscribers s
                WHERE dedupe_key = :key AND EXISTS (SELECT FROM consent_events WHERE subscriber_id = s.id)
                UNION SELECT subscriber_id FROM consent_events WHERE address_hmac = ANY(:fingerprints)
                ORDER BY 1
                """
            ),
            {"key": dedupe_key, "fingerprints": list(fingerprints)},
        )
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """The raw evidence about one subject: every event with the hashes that its record holds, and the kept mails."""

    events: Sequence[ConsentEvent]
    shas: Mapping[int, Mapping[str, bytes | None]]
    """Event id → kind of wording → hash."""
    mails: Sequence[ConfirmationMail]


def read_evidence(tx: Transaction, subscriber_id: int) -> Evidence:
    events = list_events(tx, subscriber_id)
    shas = {
        row.id: {"statement": row.statement, "notice": row.notice, "form": row.form, "context": row.context}
        for row in tx.session.execute(text(_SHAS), {"subscriber": subscriber_id})
    }
    mails = tx.session.scalars(
        select(ConfirmationMail)
        .where(ConfirmationMail.subscriber_id == subscriber_id)
        .order_by(ConfirmationMail.delivery_id)
    ).all()
    return Evidence(events, shas, mails)


_SHAS = """
SELECT e.id, s.sha256 AS statement, n.sha256 AS notice, f.sha256 AS form, c.sha256 AS context
FROM consent_events e
LEFT JOIN statements s ON s.id = e.statement_id
LEFT JOIN notices n ON n.id = e.notice_id
LEFT JOIN forms f ON f.id = e.form_id
LEFT JOIN contexts c ON c.id = e.context_id
WHERE e.subscriber_id = :subscriber
"""


def spell_event(event: ConsentEvent, evidence: Evidence) -> dict[str, Any]:
    """The event as it was hashed."""
    row = {column.name: getattr(event, column.name) for column in ConsentEvent.__table__.columns}
    return dict(record_of(row, evidence.shas[event.id]))


def read_exhibits(tx: Transaction, evidence: Iterable[Evidence]) -> dict[str, Any]:
    """Everything that the events name, whole, by its hash (lists by their ids)."""
    events = [event for one in evidence for event in one.events]
    mails = [mail for one in evidence for mail in one.mails]

    def named(table: type[Any], ids: Iterable[int | None]) -> Sequence[Any]:
        wanted = sorted({found for found in ids if found is not None})
        return tx.session.scalars(select(table).where(table.id.in_(wanted)).order_by(table.id)).all()

    forms = named(Form, (event.form_id for event in events))
    looks: dict[int, dict[str, str]] = {form.id: {} for form in forms}
    for look in tx.session.scalars(select(FormSnapshot).where(FormSnapshot.form_id.in_(looks))):
        looks[look.form_id][look.language.value] = look.body
    return {
        "lists": {str(row.id): row.names for row in named(List, (event.list_id for event in events))},
        "statements": {
            row.sha256.hex(): {"purpose": row.purpose.value} | _wording(row)
            for row in named(Statement, (event.statement_id for event in events))
        },
        "notices": {row.sha256.hex(): _wording(row) for row in named(Notice, (event.notice_id for event in events))},
        "forms": {
            row.sha256.hex(): {
                "slug": row.slug,
                "list": row.list_id,
                "definition": row.definition,
                "published_at": spell_time(row.published_at),
                "snapshots": looks[row.id],
            }
            for row in forms
        },
        "contexts": {row.sha256.hex(): row.body for row in named(Context, (event.context_id for event in events))},
        "mail_templates": {
            row.sha256.hex(): row.body for row in named(MailTemplate, (mail.template_id for mail in mails))
        },
    }


def find_template_shas(tx: Transaction, mails: Iterable[ConfirmationMail]) -> dict[int, str]:
    """Template id → hash."""
    ids = [mail.template_id for mail in mails if mail.template_id is not None]
    rows = tx.session.execute(select(MailTemplate.id, MailTemplate.sha256).where(MailTemplate.id.in_(ids)))
    return {row.id: row.sha256.hex() for row in rows}


def _wording(row: Statement | Notice) -> dict[str, str]:
    return {"language": row.language.value, "body": row.body, "published_at": spell_time(row.published_at)}
