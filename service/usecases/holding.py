"""What is held about one person: collected once, for page, downloads and an operator's export (D-13)."""

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, get_args, get_type_hints
from uuid import UUID

from service.domain.held import Held, HeldConfirmationMail, HeldEvent
from service.domain.ledger import decrypt, spell_time
from service.domain.letters import Publisher
from service.domain.processors import describe_to_reader
from service.domain.tokens import Keys
from service.store import consent, held
from service.store.proofs import place_of
from service.store.transaction import Transaction

FORMAT = "milepost-held-1"
_LINES = ("\t", "\r", "\n")
_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With what a formula begins in a spreadsheet, the full-width signs of East Asian ones too."""


def get_held(tx: Transaction, keys: Keys, subscriber_id: int, language: str | None = None) -> Held | None:
    """Everything, with the evidence decrypted; None if there is no such subscriber. Changes nothing.

    Lists and topics are named in `language`, by default the subscriber's.
    """
    profile = held.find_profile(tx, subscriber_id, language)
    if profile is None:
        return None
    language = language or profile.language
    key = consent.find_subject_key(tx, keys.ledger, subscriber_id)
    return Held(
        profile=profile,
        subscriptions=held.list_subscriptions(tx, subscriber_id, language),
        consent_events=tuple(_event(row, key) for row in held.list_events(tx, subscriber_id, language)),
        signups=held.list_signups(tx, subscriber_id),
        mails=held.list_mails(tx, subscriber_id),
        confirmation_mails=tuple(
            _confirmation_mail(row, key) for row in held.list_confirmation_mails(tx, subscriber_id) if key
        ),
        articles=held.list_articles(tx, subscriber_id),
        suppressions=held.list_suppressions(tx, subscriber_id),
        imports=held.list_import_rows(tx, subscriber_id),
        address_changes=held.list_address_changes(tx, subscriber_id),
        former_addresses=held.list_former_addresses(tx, subscriber_id),
        privacy_requests=held.list_privacy_requests(tx, subscriber_id),
        looks=held.list_looks(tx, subscriber_id),
    )


def render_json(found: Held, publisher: Publisher, processors: Iterable[Any], now: datetime) -> bytes:
    """One document: who holds the data, who else processes it, and everything that is held."""
    document = {
        "format": FORMAT,
        "made_at": now,
        "controller": {
            "name": publisher.name,
            "postal_address": publisher.postal_address,
            "contact": publisher.contact,
        },
        "processors": [describe_to_reader(processor) for processor in processors],
        **asdict(found),
    }
    return json.dumps(document, default=_plain, ensure_ascii=False, indent=2).encode() + b"\n"


def render_csv(found: Held, processors: Iterable[Any]) -> bytes:
    """A ZIP with one CSV file for each part, in UTF-8 with a mark, so that spreadsheets read it; times are UTC.

    What has parts of its own stands as JSON in its cell. An empty part is a file with a head only.
    """
    kinds = get_type_hints(Held)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as into:
        for part in fields(Held):
            value = getattr(found, part.name)
            rows = value if isinstance(value, tuple) else (value,)
            kind = get_args(kinds[part.name])[0] if isinstance(value, tuple) else kinds[part.name]
            head = [column.name for column in fields(kind)]
            _write_part(into, part.name, head, [asdict(row) for row in rows])
        described = [describe_to_reader(processor) for processor in processors]
        _write_part(into, "processors", list(described[0]) if described else [], described)
    return archive.getvalue()


def _event(row: dict[str, Any], key: bytes | None) -> HeldEvent:
    sealed = row.pop("sealed")
    personal = json.loads(decrypt(key, sealed, UUID(row["record_id"]).bytes)) if key else {}
    return HeldEvent(**row, personal=personal)


def _confirmation_mail(row: dict[str, Any], key: bytes) -> HeldConfirmationMail:
    message = decrypt(key, row["sealed"], place_of(row["delivery_id"]))
    return HeldConfirmationMail(row["delivery_id"], row["written_at"], message.decode(errors="replace"))


def _write_part(into: zipfile.ZipFile, name: str, head: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    sheet = io.StringIO(newline="")
    writer = csv.writer(sheet)
    writer.writerow(head)
    writer.writerows([_cell(row[column]) for column in head] for row in rows)
    # A fixed date: the same data makes the same bytes.
    into.writestr(zipfile.ZipInfo(f"{name}.csv"), sheet.getvalue().encode("utf-8-sig"), zipfile.ZIP_DEFLATED)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=_plain, ensure_ascii=False) if value else ""
    text = _plain(value) if isinstance(value, datetime) else str(value)
    # A spreadsheet would compute what somebody typed into a form.
    return f"'{text}" if text.startswith(_LINES) or text.lstrip().startswith(_SIGNS) else text


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return spell_time(value)
    raise TypeError(f"{type(value).__name__} has no place in an export")
