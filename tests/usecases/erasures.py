"""A reader whose address stands everywhere, and what is left of it anywhere: for tests of forgetting (D-15)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, text

from service.domain.addresses import parse_address
from service.domain.ledger import encrypt
from service.domain.words import (
    CampaignStatus,
    DeliveryStatus,
    ImportStatus,
    ImportVerdict,
    Lane,
    Language,
    MailKind,
    Purpose,
)
from service.store import consent, histories, subscribers
from service.store.append_only import AppendOnlyFile
from service.store.schema import (
    AddressChange,
    Base,
    ConfirmationMail,
    Delivery,
    Import,
    ImportRow,
)
from service.store.transaction import Transaction, TransactionFactory
from service.usecases.steps.erasure_log import Standing, compare
from tests.builders import a_campaign
from tests.traces import find_traces
from tests.usecases.builders import KEYS, a_reader

ADDRESS = "Zoe.Quillfeather+Trail@Fjell.no"
OTHER = "ben@fjell.no"


@dataclass
class Traces:
    subscriber_id: int
    campaign_id: int
    import_id: int


def everywhere(tx: Transaction, now: datetime) -> Traces:
    """A reader whose address stands in every table that can hold one."""
    reader = a_reader(tx, ADDRESS, first_name="Zoe Quillfeather", purposes=("digest", "offers"))
    other = a_reader(tx, OTHER)
    subscriber = subscribers.find_subscriber(tx, reader)
    list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
    address = parse_address(ADDRESS)
    # Every mail so far was accepted, with words that quote the address; one confirmation is kept as evidence.
    tx.session.execute(text("UPDATE deliveries SET status = 'accepted', finished_at = :now"), {"now": now})
    tx.session.execute(
        text(
            "INSERT INTO attempts (delivery_id, at, phase, code, text, fate, scope, relay) "
            "SELECT d.id, :now, 'eom', 250, 'queued for <' || s.address || '>', 'accepted', 'message', 'relay' "
            "FROM deliveries d JOIN subscribers s ON s.id = d.subscriber_id"
        ),
        {"now": now},
    )
    confirmation = tx.session.scalars(
        select(Delivery.id).where(Delivery.subscriber_id == reader, Delivery.kind == MailKind.CONFIRMATION)
    ).one()
    key = consent.find_subject_key(tx, KEYS.ledger, reader)
    assert key is not None
    tx.session.add(
        ConfirmationMail(
            delivery_id=confirmation,
            subscriber_id=reader,
            sealed=encrypt(key, f"To: {ADDRESS}".encode(), b"a place"),
            sha256=b"-",
            written_at=now,
        )
    )
    # One campaign: one mail has left, another is queued; and an operator once tested with this address.
    campaign_id = a_campaign(tx, list_id=list_id, status=CampaignStatus.SENDING)
    for to, status in ((reader, DeliveryStatus.QUEUED), (other, DeliveryStatus.ACCEPTED)):
        tx.session.add(a_delivery(now, list_id, campaign_id=campaign_id, subscriber_id=to, status=status))
    tx.session.add(a_delivery(now, list_id, test_address=ADDRESS.upper(), test_language=Language.EN))
    # The reader wants to move; somebody else wants to move to the reader's address.
    for who, to in ((reader, "zoe@quillfeather.example"), (other, ADDRESS)):
        change = AddressChange(
            subscriber_id=who,
            address=to,
            dedupe_key=to.lower(),
            address_hmac=KEYS.address_hmac(to.lower()),
            abuse_hmac=b"-",
            expires_at=now + timedelta(hours=1),
        )
        tx.session.add(change)
        tx.session.flush()
        asked = a_delivery(now, list_id, kind=MailKind.ADDRESS_CHANGE, subscriber_id=who, address_change_id=change.id)
        tx.session.add(asked)
        tx.session.flush()
        tx.session.execute(
            text(
                "INSERT INTO attempts (delivery_id, at, phase, code, text, fate, scope, relay) "
                "VALUES (:id, :now, 'eom', 250, :text, 'accepted', 'message', 'relay')"
            ),
            {"id": asked.id, "now": now, "text": f"queued for <{to}>"},
        )
    histories.add_history(tx, [reader], now)
    import_id = an_import(tx, list_id, KEYS.address_hmac(address.dedupe_key))
    assert subscriber is not None
    return Traces(reader, campaign_id, import_id)


def a_delivery(now: datetime, list_id: int, **values: object) -> Delivery:
    fixed = {
        "lane": Lane.BULK if values.get("campaign_id") else Lane.INTERACTIVE,
        "kind": MailKind.CAMPAIGN,
        "status": DeliveryStatus.ACCEPTED,
        "list_id": list_id,
        "purpose": Purpose.OFFERS,
        "due_at": now,
        "created_at": now,
    }
    return Delivery(**(fixed | values))


def an_import(tx: Transaction, list_id: int, address_hmac: bytes) -> int:
    file = Import(
        list_id=list_id,
        source_system="old",
        file_sha256=b"-",
        mapping={},
        operator="ada",
        attestation="they asked",
        status=ImportStatus.ADMITTING,
    )
    tx.session.add(file)
    tx.session.flush()
    tx.session.add(
        ImportRow(
            import_id=file.id,
            line=2,
            verdict=ImportVerdict.MAILABLE,
            reason="ok",
            address_hmac=address_hmac,
            sealed=ADDRESS.encode(),
        )
    )
    tx.session.flush()
    return file.id


def dump(connection: Connection) -> bytes:
    """Every row of every table as text; bytea as hexadecimal."""
    rows = []
    for table in Base.metadata.sorted_tables:
        rows += [f"{table.name}: {row}" for row in connection.scalars(text(f"SELECT t::text FROM {table.name} t"))]
    return "\n".join(rows).encode()


def traces(connection: Connection) -> list[str]:
    return find_traces(dump(connection), ADDRESS)


def the_standing(transaction: TransactionFactory, file: AppendOnlyFile) -> Standing:
    with transaction() as tx:
        return compare(tx, KEYS.ledger, file).standing
