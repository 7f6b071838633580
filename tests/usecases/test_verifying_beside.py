"""Verification finds what is changed beside the events: ids, keys, mails, addresses, and what no column should hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service.demo.servers import Postgres
from service.domain.confirming import Confirmation, Copy, describe_press
from service.domain.faults import Fault, FaultKind
from service.domain.retention import PROFILE_ENDED
from service.domain.words import Channel, ConsentState, Language, MailKind, Purpose
from service.store import consent, contexts, proofs, seals, wordings
from service.store.consent import NewEvent
from service.usecases import sealing
from service.usecases.retaining import retain
from tests.builders import a_reader
from tests.usecases.ledgers import KEYS, Ledger, a_ledger
from tests.usecases.test_retaining import RULES

pytestmark = [pytest.mark.requirement("D-01"), pytest.mark.long]
GIVEN = (ConsentState.REQUESTED, ConsentState.GIVEN)


@pytest.fixture
def ledger(
    fresh_database: tuple[str, str], postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ledger]:
    """Three readers with active subscriptions, sealed two events at a time, and one event that is under nothing."""
    monkeypatch.setattr(seals, "LARGEST_SET", 2)
    with a_ledger(fresh_database, postgres.url(), tmp_path) as ledger:
        for _ in range(3):
            ledger.reader(*GIVEN)
        ledger.seal()
        ledger.append(ledger.readers[2], ConsentState.REAFFIRMED)
        assert ledger.verify().intact
        yield ledger


def found(ledger: Ledger) -> list[FaultKind]:
    return [fault.kind for fault in named(ledger)]


def named(ledger: Ledger) -> tuple[Fault, ...]:
    report = ledger.verify()
    assert not report.intact
    assert all(len(fault.meaning) > 50 and fault.describe() for fault in report.kept)
    return report.kept


NO_EVENT_CAN_SAY = {
    "occurred_at": ("'infinity'", "'-infinity'", "'0044-03-15 BC'", "'12026-01-01'", "NULL"),
    "recorded_at": ("'infinity'", "'0044-03-15 BC'", "NULL"),
    **dict.fromkeys(("seq", "subscriber_id", "record_id", "list_id", "purpose", "state", "channel"), ("NULL",)),
    **dict.fromkeys(("personal", "prev_hash", "hash", "mac", "actor", "suspect_scanner"), ("NULL",)),
}


@contextmanager
def changed(ledger: Ledger, table: str, where: tuple[str, int], column: str, value: str) -> Iterator[None]:
    """One cell, for as long as this lasts. Constraints are the superuser's to lift."""
    key, row = where
    with ledger.superuser() as connection:
        connection.execute(text(f"ALTER TABLE {table} ALTER {column} DROP NOT NULL"))
        connection.execute(text(f"CREATE TABLE kept AS SELECT * FROM {table} WHERE {key} = {row}"))
    ledger.tamper(f"UPDATE {table} SET {column} = {value} WHERE {key} = {row}")
    yield
    ledger.tamper(f"UPDATE {table} t SET {column} = kept.{column} FROM kept WHERE t.{key} = kept.{key}")
    with ledger.superuser() as connection:
        connection.execute(text("DROP TABLE kept"))


@pytest.mark.parametrize("column", NO_EVENT_CAN_SAY)
def test_what_no_event_can_say_is_named(ledger: Ledger, column: str) -> None:
    for value in NO_EVENT_CAN_SAY[column]:
        for reader, seq in ((ledger.readers[0], 2), (ledger.readers[2], 3)):  # sealed, and the newest of all
            event = ledger.event(reader, seq)
            with changed(ledger, "consent_events", ("id", event.id), column, value):
                fault = next(fault for fault in named(ledger) if fault.event_id == event.id)
                assert fault.kind is (FaultKind.EVENT_FORGED if column == "mac" else FaultKind.EVENT_CHANGED), value
    assert ledger.verify().intact


ODD = {
    "checkpoints": {
        "frontier": ("NULL", "ARRAY[NULL]::bytea[]"),
        "size": ("NULL",),
        "line": ("NULL",),
        "members": ("NULL", "'1'", "'1.2.3.4'"),
        "sealed_at": ("NULL", "'infinity'", "sealed_at + interval '1 second'"),
    },
    "subject_keys": {"wrapped": ("NULL", "''")},
    "subscriptions": {
        "given_at": ("NULL", "'infinity'", "given_at - interval '1 year'"),
        "state": ("NULL",),
        "event_id": ("NULL",),
    },
    "statements": {"body": ("NULL",), "sha256": ("NULL",)},
    "subscribers": {"address": ("NULL", "'eve@fjell.example'")},
}
KIND = {
    "checkpoints": FaultKind.CHECKPOINT_CHANGED,
    "subject_keys": FaultKind.KEY_CHANGED,
    "subscriptions": FaultKind.SUBSCRIPTION_DIFFERS,
    "statements": FaultKind.WORDING_CHANGED,
    "subscribers": FaultKind.READER_DIFFERS,
}


@pytest.mark.parametrize("table", ODD)
def test_what_stands_beside_the_events_is_changed(ledger: Ledger, table: str) -> None:
    where = {
        "checkpoints": ("number", 2),
        "statements": ("id", ledger.statement_id),
        "subscribers": ("id", ledger.readers[1]),
    }.get(table, ("subscriber_id", ledger.readers[1]))
    for column, values in ODD[table].items():
        for value in values:
            with changed(ledger, table, where, column, value):
                assert KIND[table] in found(ledger), (column, value)
    assert ledger.verify().intact


def test_a_checkpoint_that_the_file_has_not_yet_is_nothing(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        number = sealing.seal(tx, KEYS.ledger, ledger.file)
    for column in ("line", "members", "sealed_at", "frontier", "size"):
        with changed(ledger, "checkpoints", ("number", number), column, "NULL"):
            assert FaultKind.CHECKPOINT_CHANGED in found(ledger), column


@pytest.mark.parametrize("pair", [((0, 1), (0, 2)), ((0, 1), (1, 1)), ((0, 2), (2, 1))])
def test_two_events_exchange_their_ids(ledger: Ledger, pair: tuple[tuple[int, int], tuple[int, int]]) -> None:
    """With everything that names them: the seals, and the subscriptions."""
    (one_reader, one_seq), (other_reader, other_seq) = pair
    one = ledger.event(ledger.readers[one_reader], one_seq)
    other = ledger.event(ledger.readers[other_reader], other_seq)
    statements = []
    for table, column in (("consent_events", "id"), ("event_seals", "event_id"), ("subscriptions", "event_id")):
        identity = table == "consent_events"
        if identity:
            statements.append("ALTER TABLE consent_events ALTER id DROP IDENTITY")
        statements.append(
            f"UPDATE {table} SET {column} = - (CASE {column} WHEN :one THEN CAST(:other AS bigint) ELSE :one END) "
            f"WHERE {column} IN (:one, :other)"
        )
        statements.append(f"UPDATE {table} SET {column} = -{column} WHERE {column} < 0")
    with ledger.superuser() as connection:
        for statement in statements:
            connection.execute(text(statement), {"one": one.id, "other": other.id} if ":one" in statement else {})
    faults = named(ledger)
    assert [(fault.kind, fault.event, fault.event_id) for fault in faults] == [
        (FaultKind.EVENT_RENUMBERED, (one.subscriber_id, one.seq), other.id),
        (FaultKind.EVENT_RENUMBERED, (other.subscriber_id, other.seq), one.id),
    ]
    assert f"with the id {one.id}" in (faults[0].detail or "")


@pytest.mark.parametrize(("reader", "seq"), [(2, 3), (0, 2)])
def test_the_newest_event_of_a_reader_is_gone_and_its_seal_stands(ledger: Ledger, reader: int, seq: int) -> None:
    """Before it got a place, and after; with the subscription put back as well as may be."""
    gone = ledger.event(ledger.readers[reader], seq)
    ledger.tamper(
        "DELETE FROM consent_events WHERE id = :id",
        "UPDATE subscriptions s SET event_id = e.id, given_at = CASE WHEN e.state = 'given' THEN e.occurred_at END, "
        "state = CASE WHEN e.state = 'given' THEN 'active' ELSE 'pending' END "
        "FROM consent_events e WHERE s.event_id = :id AND e.subscriber_id = s.subscriber_id AND e.seq = :before",
        id=gone.id,
        before=seq - 1,
    )
    (fault,) = named(ledger)
    assert (fault.kind, fault.event_id) == (FaultKind.SEAL_WITHOUT_EVENT, gone.id)


@pytest.mark.requirement("D-15")
def test_an_erasure_that_the_log_does_not_have(ledger: Ledger) -> None:
    """The key is destroyed, and the table says that it was an erasure."""
    reader = ledger.readers[0]
    ledger.erase(ledger.readers[1])
    assert ledger.verify().intact
    ledger.tamper(
        "DELETE FROM subject_keys WHERE subscriber_id = :reader",
        "DELETE FROM subscriptions WHERE subscriber_id = :reader",
        "DELETE FROM subscribers WHERE id = :reader",
        "INSERT INTO erasures SELECT 2, :reader, erased_at, line_sha256 FROM erasures",
        reader=reader,
    )
    assert [(fault.kind, fault.subject) for fault in named(ledger)] == [
        (FaultKind.ERASURE_UNLOGGED, reader),
        (FaultKind.KEY_LOST, reader),
    ]


@pytest.mark.requirement("D-19")
def test_a_reader_whose_profile_a_rule_ended_is_no_fault(ledger: Ledger) -> None:
    """Years after the withdrawal the key is destroyed; the chain itself says why, and nothing else is believed."""
    reader = ledger.readers[0]
    ledger.append(reader, ConsentState.WITHDRAWN)
    ledger.clock.advance(days=5 * 366)
    assert retain(ledger.transaction, KEYS.ledger, RULES, all_rules=True)["consent_proof"] == 1
    assert (ledger.event(reader, 4).actor, ledger.verify().intact) == (PROFILE_ENDED, True)
    ledger.tamper("UPDATE consent_events SET actor = 'retention' WHERE subscriber_id = :r AND seq = 4", r=reader)
    assert set(found(ledger)) == {FaultKind.EVENT_CHANGED, FaultKind.KEY_LOST}


@pytest.mark.requirement("D-15")
def test_a_row_of_erasures_is_pointed_at_somebody_else(ledger: Ledger) -> None:
    ledger.erase(ledger.readers[1])
    ledger.tamper("UPDATE erasures SET subscriber_id = :reader", reader=ledger.readers[0])
    assert [(fault.kind, fault.subject) for fault in named(ledger)] == [(FaultKind.ERASURE_UNLOGGED, ledger.readers[0])]


def test_a_line_of_the_erasure_log_is_made_up(ledger: Ledger) -> None:
    reader = ledger.readers[0]
    ledger.erase(ledger.readers[1])
    ledger.tamper("DELETE FROM subject_keys WHERE subscriber_id = :reader", reader=reader)
    ledger.erasure_file.append((ledger.erasure_file.last() or "").replace('"number":1', '"number":2'))
    assert found(ledger) == [FaultKind.ERASURE_LOG_CHANGED, FaultKind.KEY_LOST]


def confirmed(ledger: Ledger, address: str) -> tuple[int, int]:
    """A reader who pressed the button of a mail that is kept: (reader, delivery)."""
    data = f"To: {address}\r\n\r\nPress the button.".encode()
    with ledger.transaction() as tx:
        reader = a_reader(tx, address, state=None)
        delivery = 1000 + reader
    ledger.readers.append(reader)
    ledger.append(reader, ConsentState.REQUESTED)
    with ledger.superuser() as connection:  # the delivery itself is no part of this
        connection.execute(text(f"ALTER TABLE confirmation_mails DROP CONSTRAINT IF EXISTS {FOREIGN}"))
    with ledger.transaction() as tx:
        copy = Copy(MailKind.CONFIRMATION, delivery, reader, data)
        proofs.keep_confirmation_mails(tx, KEYS.ledger, lambda kind: f"the sources of {kind}", [copy])
        template = tx.session.scalar(
            text(
                "SELECT t.sha256 FROM confirmation_mails m JOIN mail_templates t ON t.id = m.template_id "
                "WHERE m.delivery_id = :delivery"
            ),
            {"delivery": delivery},
        )
        mail = Confirmation(
            delivery_id=delivery,
            message_id="<1@fjell.example>",
            on_its_way=False,
            accepted_at=None,
            relay="relay",
            code=250,
            enhanced=None,
            text="ok",
            copy_sha256=sha256(data).digest(),
            template_sha256=template,
        )
        pressed = describe_press(mail, signup_id=1, request={}, now=tx.now)
        event = NewEvent(
            subscriber_id=reader,
            list_id=ledger.list_id,
            purpose=Purpose.DIGEST,
            state=ConsentState.GIVEN,
            channel=Channel.CONFIRMATION,
            statement_id=ledger.statement_id,
            delivery_id=pressed.delivery_id,
            personal=pressed.personal,
        )
        consent.append(tx, KEYS.ledger, event)
    return reader, delivery


FOREIGN = "fk_confirmation_mails_delivery_id"


@pytest.fixture
def mailed(ledger: Ledger) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two readers with their kept mails."""
    two = confirmed(ledger, "ada@fjell.example"), confirmed(ledger, "ben@fjell.example")
    report = ledger.verify()
    assert report.intact, [fault.describe() for fault in report.kept]
    return two


ANOTHERS = "SELECT sealed FROM confirmation_mails WHERE subscriber_id = :other"
Mailed = tuple[tuple[int, int], tuple[int, int]]


@pytest.mark.requirement("D-02")
def test_a_kept_mail_is_deleted(ledger: Ledger, mailed: Mailed) -> None:
    reader, delivery = mailed[0]
    ledger.tamper("DELETE FROM confirmation_mails WHERE delivery_id = :delivery", delivery=delivery)
    (fault,) = named(ledger)
    assert (fault.kind, fault.event) == (FaultKind.CONFIRMATION_MISSING, (reader, 2))
    assert str(delivery) in (fault.detail or "")


@pytest.mark.requirement("D-02")
@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        (
            "subscriber_id = :other WHERE delivery_id = :delivery",
            {FaultKind.CONFIRMATION_MISSING, FaultKind.CONFIRMATION_CHANGED},
        ),
        (
            "delivery_id = - :delivery WHERE delivery_id = :delivery",
            {FaultKind.CONFIRMATION_MISSING, FaultKind.CONFIRMATION_CHANGED},
        ),
        ("template_id = NULL WHERE delivery_id = :delivery", {FaultKind.CONFIRMATION_CHANGED}),
        ("sha256 = sha256('x') WHERE delivery_id = :delivery", {FaultKind.CONFIRMATION_CHANGED}),
        ("sealed = sha256('x') WHERE delivery_id = :delivery", {FaultKind.CONFIRMATION_CHANGED}),
        (f"sealed = ({ANOTHERS}) WHERE delivery_id = :delivery", {FaultKind.CONFIRMATION_CHANGED}),
    ],
)
def test_a_kept_mail_is_pointed_elsewhere_or_exchanged(
    ledger: Ledger, mailed: Mailed, change: str, kinds: set[FaultKind]
) -> None:
    (_, delivery), (other, _) = mailed
    values = {"delivery": delivery, "other": other}
    ledger.tamper(
        f"UPDATE confirmation_mails SET {change}", **{name: values[name] for name in values if f":{name}" in change}
    )
    assert set(found(ledger)) == kinds


def test_the_mail_that_an_event_names_stays_when_it_is_sent_again(ledger: Ledger, mailed: Mailed) -> None:
    reader, delivery = mailed[0]
    with ledger.transaction() as tx:
        copy = Copy(MailKind.CONFIRMATION, delivery, reader, b"another date")
        proofs.keep_confirmation_mails(tx, KEYS.ledger, lambda kind: f"the sources of {kind}", [copy])
    assert ledger.verify().intact


@pytest.mark.requirement("D-15")
def test_the_mail_of_an_erased_reader_is_missed_by_nobody(ledger: Ledger, mailed: Mailed) -> None:
    reader, delivery = mailed[0]
    ledger.tamper("DELETE FROM confirmation_mails WHERE delivery_id = :delivery", delivery=delivery)
    ledger.erase(reader)
    assert ledger.verify().intact


def test_a_template_waits_for_whoever_else_publishes(ledger: Ledger) -> None:
    """Its id would else be lower than one that a checkpoint already knows."""
    with ledger.transaction() as publishing, ledger.transaction() as sending:
        wordings.lock_wordings(publishing)
        sending.session.execute(text("SET LOCAL lock_timeout = '100ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            contexts.add_mail_template(sending, MailKind.CONFIRMATION, "new sources")
        sending.session.rollback()


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("statements", "purpose = 'offers'", "filed under en offers"),
        ("statements", "language = 'de'", "filed under de digest"),
        ("notices", "language = 'fr'", "filed under fr"),
    ],
)
def test_a_text_is_filed_under_another_purpose_or_language(ledger: Ledger, table: str, change: str, said: str) -> None:
    """The form that shows it is hashed with what it shows it as."""
    with ledger.transaction() as tx:
        notice = wordings.add_notice(tx, Language.EN, "We never share.")
        shows = {"statements": {"en": {"digest": ledger.statement_id}}, "notices": {"en": notice}}
        wordings.add_form(tx, "hub", ledger.list_id, {"purposes": ["digest"], **shows})
    assert ledger.verify().intact
    ledger.tamper(f"UPDATE {table} SET {change}")
    (fault,) = named(ledger)
    assert (fault.kind, (fault.wording or "").partition("/")[0]) == (FaultKind.WORDING_CHANGED, table)
    assert said in (fault.detail or "")


def test_the_newest_part_is_cut_off_database_and_file(ledger: Ledger) -> None:
    """What docs/consent.md says of it: only a copy of the file shows it, whose beginning the file is no longer."""
    reader, before = ledger.readers[2], ledger.verify()
    ledger.append(reader, ConsentState.WITHDRAWN)
    event = ledger.event(reader, 3)
    ledger.seal()
    copy = ledger.file.path.read_text()
    ledger.tamper(
        "DELETE FROM event_seals WHERE event_id >= :id",
        "DELETE FROM consent_events WHERE id >= :id",
        "DELETE FROM checkpoints WHERE number > :number",
        "UPDATE subscriptions s SET event_id = e.id, given_at = e.occurred_at, state = 'active' "
        "FROM consent_events e WHERE e.subscriber_id = :reader AND e.seq = 2 AND s.subscriber_id = :reader",
        id=event.id,
        number=before.checkpoints,
        reader=reader,
    )
    assert FaultKind.CHECKPOINT_MISSING in found(ledger), "with the file as it was"
    lines = list(ledger.file.lines())[: before.checkpoints]
    ledger.file.path.write_text("".join(f"{line}\n" for line in lines))
    assert ledger.verify().intact, "a true earlier state"
    ledger.append(reader, ConsentState.REAFFIRMED)
    ledger.seal()
    assert ledger.verify().intact
    assert not ledger.file.path.read_text().startswith(copy)
