"""Forgetting a person, row by row (D-15): what goes, what stays, what a crash leaves, and what a backup brings back."""

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from service.content.tables import Table
from service.domain.addresses import parse_address
from service.domain.erasures import read_log
from service.domain.import_plans import Plan
from service.domain.import_rows import Field
from service.domain.ledger import encrypt
from service.domain.words import (
    CampaignStatus,
    Channel,
    ConsentState,
    DeliveryStatus,
    ImportReason,
    ImportStatus,
    ImportVerdict,
    Lane,
    Language,
    MailKind,
    PrivacyRequestKind,
    Purpose,
    SignupState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.ports import Hint
from service.store import consent, histories, subscribers, suppressions
from service.store.append_only import AppendOnlyFile
from service.store.reports import get_campaign_report
from service.store.schema import (
    AddressChange,
    Base,
    ConfirmationMail,
    Delivery,
    Erasure,
    Import,
    ImportRow,
    PrivacyRequest,
    Signup,
    SubjectKey,
    Subscriber,
    Suppression,
)
from service.store.transaction import Transaction, TransactionFactory
from service.usecases import subscribing
from service.usecases.dispatching import send_due
from service.usecases.erasing import (
    Forgotten,
    NobodyThere,
    Waiting,
    erase,
    erase_address,
    erase_due,
    request_erasure,
    wake,
)
from service.usecases.forgetting_again import forget_again
from service.usecases.importing import check_import
from service.usecases.steps.erasure_log import Standing, compare
from tests.builders import a_campaign, delivery_of
from tests.conftest import FrozenClock, HintList
from tests.traces import find_traces
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, a_reader, confirm_token, decided, sign_up
from tests.usecases.sending import a_sender, write_plainly

ADDRESS = "Zoe.Quillfeather+Trail@Fjell.no"
OTHER = "ben@fjell.no"


@pytest.fixture
def file(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "erasures.jsonl")


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


@pytest.mark.requirement("D-15")
def test_after_an_erasure_no_table_holds_the_address_in_any_spelling(transaction, connection, clock, file):
    with transaction() as tx:
        known = everywhere(tx, clock.now())
        key = consent.find_subject_key(tx, KEYS.ledger, known.subscriber_id)
    assert len(traces(connection)) > 3, "the search finds what is there"
    assert b"quillfeather.example" in dump(connection)
    assert erase(transaction, KEYS, file, known.subscriber_id, asked_by="subscriber") == Forgotten(1)
    assert traces(connection) == []
    assert b"Quillfeather" not in dump(connection)
    assert key is not None
    assert key.hex().encode() not in dump(connection)
    with transaction() as tx:
        for gone in (Subscriber.id, SubjectKey.subscriber_id):
            assert tx.session.scalar(select(gone).where(gone == known.subscriber_id)) is None
        assert subscribers.find_by_dedupe_key(tx, OTHER) is not None


@pytest.mark.requirement("D-15")
def test_queued_mail_is_cancelled_and_the_report_still_adds_up(transaction, clock, file):
    with transaction() as tx:
        known = everywhere(tx, clock.now())
    erase(transaction, KEYS, file, known.subscriber_id, asked_by="subscriber")
    with transaction() as tx:
        buckets = get_campaign_report(tx, known.campaign_id).buckets
        row = tx.session.scalars(
            select(Delivery).where(Delivery.campaign_id == known.campaign_id, Delivery.subscriber_id.is_(None))
        ).one()
    assert (buckets[DeliveryStatus.CANCELLED], buckets[DeliveryStatus.ACCEPTED]) == (1, 1)
    assert (row.status, row.erased_at) == (DeliveryStatus.CANCELLED, clock.now())


@pytest.mark.requirement("D-15")
@pytest.mark.requirement("D-16")
def test_the_order_not_to_mail_stays_under_the_fingerprint_with_reason_date_and_scope(transaction, clock, file):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    with transaction() as tx:
        order = tx.session.scalars(select(Suppression)).one()
    assert order.address_hmac == KEYS.address_hmac(parse_address(ADDRESS).dedupe_key)
    assert (order.reason, order.list_id, order.created_at, order.lifted_at) == (
        SuppressionReason.ERASED,
        None,
        clock.now(),
        None,
    )
    assert order.address_version == KEYS.address_version


@pytest.mark.requirement("D-15")
def test_the_chain_stays_whole_and_ends_with_the_withdrawal(transaction, file):
    """Every purpose in force gets a last event; nothing of the person in it can be opened any more."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS, purposes=("digest", "offers"))
        before = [event.record_id for event in consent.list_events(tx, reader)]
    erase(transaction, KEYS, file, reader, asked_by="ada")
    with transaction() as tx:
        events = consent.list_events(tx, reader)
        assert consent.find_subject_key(tx, KEYS.ledger, reader) is None
    assert [event.record_id for event in events][: len(before)] == before
    last = events[len(before) :]
    assert {(e.state, e.channel, e.actor, e.purpose) for e in last} == {
        (ConsentState.WITHDRAWN, Channel.ERASURE, "ada", purpose) for purpose in Purpose
    }
    assert [event.prev_hash for event in events[1:]] == [event.hash for event in events[:-1]]
    assert {e.address_hmac for e in last} == {KEYS.address_hmac(parse_address(ADDRESS).dedupe_key)}


@pytest.mark.requirement("D-15")
def test_the_log_names_ids_only(transaction, clock, file):
    with transaction() as tx:
        known = everywhere(tx, clock.now())
        signups = tx.session.scalars(select(Signup.id).where(Signup.subscriber_id == known.subscriber_id)).all()
    erase(transaction, KEYS, file, known.subscriber_id, asked_by="subscriber")
    (line,) = file.lines()
    assert find_traces(line.encode(), ADDRESS) == []
    record = json.loads(line)
    assert (record["subscriber"], record["signups"], record["import_rows"]) == (
        known.subscriber_id,
        list(signups),
        [[known.import_id, 2]],
    )
    assert the_standing(transaction, file) is Standing.AGREE


def test_a_request_is_due_in_a_month_hints_a_worker_and_is_answered(transaction, clock, queue: HintList, file):
    """D-13: the deadline is tracked. Asking twice is asking once."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
    with transaction() as tx:
        request_erasure(tx, reader, asked_by="subscriber")
        request_erasure(tx, reader, asked_by="ada")
    assert (Hint.ERASE_DUE, Lane.INBOUND, ()) in queue.hints
    with transaction() as tx:
        request = tx.session.scalars(select(PrivacyRequest)).one()
        assert (request.kind, request.asked_by, request.done_at) == (PrivacyRequestKind.ERASE, "subscriber", None)
        assert request.due_at == clock.now().replace(month=4)
    assert erase_due(transaction, KEYS, file) == 1
    with transaction() as tx:
        assert tx.session.scalars(select(PrivacyRequest.done_at)).one() == clock.now()
    assert erase_due(transaction, KEYS, file) == 0


def test_who_comes_second_is_told_that_it_is_done(transaction, file):
    """An operator's command and the worker that its request woke: both say the same number."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
    for _ in range(2):
        assert erase(transaction, KEYS, file, reader, asked_by="ada") == Forgotten(1)
    assert erase(transaction, KEYS, file, 4711, asked_by="ada") == NobodyThere()


def test_the_sweep_finds_what_no_hint_led_to(transaction, queue: HintList, file):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
        request_erasure(tx, reader, asked_by="subscriber")
    queue.hints.clear()
    with transaction() as tx:
        wake(tx)
    assert (Hint.ERASE_DUE, Lane.INBOUND, ()) in queue.hints
    erase_due(transaction, KEYS, file)
    queue.hints.clear()
    with transaction() as tx:
        wake(tx)
    assert queue.hints == []


def test_while_mail_is_on_the_wire_nothing_more_is_sent_and_the_rest_waits(transaction, clock: FrozenClock, file):
    """What is being sent finishes; then the person is forgotten, the relay's answer included."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS, purposes=("offers",))
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        campaign_id = a_campaign(tx, list_id=list_id, status=CampaignStatus.SENDING)
        later = a_campaign(tx, list_id=list_id, status=CampaignStatus.PAUSED, name="Later")
        for campaign in (campaign_id, later):
            mail = a_delivery(
                clock.now(), list_id, campaign_id=campaign, subscriber_id=reader, status=DeliveryStatus.QUEUED
            )
            tx.session.add(mail)
        tx.session.flush()
        mail_id = mail.id - 1
    seen: list[object] = []

    def write(letter, now):
        # The worker holds the mail and is about to hand it over.
        seen.append(erase(transaction, KEYS, file, reader, asked_by="subscriber"))
        return write_plainly(letter, now)

    sender = a_sender(transaction, clock, write=write)
    send_due(sender)
    assert seen == [Waiting((sender.worker_id,))]
    with transaction() as tx:
        assert delivery_of(tx, mail_id).status is DeliveryStatus.ACCEPTED
        assert delivery_of(tx, mail_id + 1).status is DeliveryStatus.CANCELLED
        assert consent.get_active_purposes(tx, reader, list_id) == frozenset()
    assert erase(transaction, KEYS, file, reader, asked_by="subscriber") == Forgotten(1)


def test_words_of_a_relay_that_come_after_the_erasure_are_not_kept(transaction, clock, file):
    """A crash may let a mail leave while its reader is being forgotten: the answer counts, its words do not."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS, purposes=("offers",))
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        campaign_id = a_campaign(tx, list_id=list_id, status=CampaignStatus.SENDING)
        mail = a_delivery(
            clock.now(), list_id, campaign_id=campaign_id, subscriber_id=reader, status=DeliveryStatus.QUEUED
        )
        tx.session.add(mail)

    def write(letter, now):
        with transaction() as tx:
            tx.session.execute(
                text("UPDATE deliveries SET subscriber_id = NULL, erased_at = :now WHERE subscriber_id = :id"),
                {"now": now, "id": reader},
            )
        return write_plainly(letter, now)

    send_due(a_sender(transaction, clock, write=write))
    with transaction() as tx:
        answers = tx.session.execute(text("SELECT code, text FROM attempts WHERE fate = 'accepted'")).all()
    assert [(row.code, row.text) for row in answers] == [(250, "")]


@pytest.mark.requirement("D-15")
def test_signing_up_again_by_the_person_ends_the_order_and_nothing_else_does(transaction, clock: FrozenClock, file):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    clock.advance(days=2)
    hmac = KEYS.address_hmac(parse_address(ADDRESS).dedupe_key)
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, hmac), "what an import looks at"
        again = sign_up(tx, ADDRESS)
        assert decided(tx, again).state is SignupState.ASKED
        assert suppressions.is_suppressed(tx, hmac), "a form alone proves nothing"
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE))
    with transaction() as tx:
        status = select(Delivery.status).where(Delivery.signup_id == again)
        assert tx.session.scalars(status).one() is DeliveryStatus.ACCEPTED
        subscribing.confirm_subscription(tx, KEYS, confirm_token(again), BUTTON_EVIDENCE)
        assert not suppressions.is_suppressed(tx, hmac)
        new = subscribers.find_by_dedupe_key(tx, parse_address(ADDRESS).dedupe_key)
    assert new is not None
    assert new.id != reader


@pytest.mark.requirement("D-15")
def test_a_file_that_names_the_person_again_brings_nobody_back(transaction, tmp_path, file):
    """Whatever evidence it claims to have (E-11)."""
    rows = tmp_path / "old.csv"
    rows.write_text(f"mail,status\n{ADDRESS.upper()},subscribed\nkari@fjell.no,subscribed\n")
    plan = Plan("hub", {Field.ADDRESS: "mail", Field.STATUS: "status"}, {}, purposes=(Purpose.DIGEST,))
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    with transaction() as tx, Table(rows) as table:
        said = check_import(tx, KEYS, plan, table)
    assert said.lines == 2
    assert said.counts[ImportVerdict.SUPPRESSED] == {ImportReason.ERASED: 1}


def test_an_address_that_is_no_subscribers_is_forgotten_too(transaction, connection, file):
    """In a sign-up that nobody has decided about, and in the quarantine of an import."""
    address = parse_address(ADDRESS)
    with transaction() as tx:
        sign_up(tx, ADDRESS)
        list_id = tx.session.scalars(text("SELECT id FROM lists LIMIT 1")).one()
        an_import(tx, list_id, KEYS.address_hmac(address.dedupe_key))
    assert traces(connection)
    assert erase_address(transaction, KEYS, file, address) == Forgotten(1)
    assert traces(connection) == []
    with transaction() as tx:
        assert subscribing.process_signups(tx, KEYS.ledger, timedelta(hours=72)) == 0
        assert tx.session.scalars(select(Signup.state)).all() == [SignupState.EXPIRED]
        assert tx.session.scalars(select(ImportRow.verdict)).all() == [ImportVerdict.SUPPRESSED]
        assert suppressions.is_suppressed(tx, KEYS.address_hmac(address.dedupe_key))
    assert erase_address(transaction, KEYS, file, parse_address("nobody@fjell.no")) == NobodyThere()
    assert the_standing(transaction, file) is Standing.AGREE


class CrashError(Exception):
    """Power goes out after the line is on disk and before the database commits."""


@pytest.fixture
def dying(transaction: TransactionFactory):
    @contextmanager
    def begin():
        with transaction() as tx:
            yield tx
            raise CrashError

    return begin


@pytest.mark.requirement("D-15")
def test_an_erasure_that_a_crash_cut_short_is_finished_by_the_next_worker(transaction, connection, dying, file):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
        other = a_reader(tx, OTHER)
        request_erasure(tx, reader, asked_by="subscriber")
    with pytest.raises(CrashError):
        erase(dying, KEYS, file, reader, asked_by="subscriber")
    assert len(list(file.lines())) == 1
    assert traces(connection)
    assert the_standing(transaction, file) is Standing.CUT_SHORT
    assert erase_due(transaction, KEYS, file) == 1
    assert traces(connection) == []
    assert the_standing(transaction, file) is Standing.AGREE
    assert erase(transaction, KEYS, file, other, asked_by="subscriber") == Forgotten(2)
    assert [line.erased.subscriber_id for line in read_log(KEYS.ledger, file.lines())] == [reader, other]


def test_somebody_elses_erasure_finishes_it_first(transaction, dying, file):
    with transaction() as tx:
        reader, other = a_reader(tx, ADDRESS), a_reader(tx, OTHER)
    with pytest.raises(CrashError):
        erase(dying, KEYS, file, reader, asked_by="subscriber")
    assert erase(transaction, KEYS, file, other, asked_by="subscriber") == Forgotten(2)
    with transaction() as tx:
        assert subscribers.find_subscriber(tx, reader) is None
    assert the_standing(transaction, file) is Standing.AGREE


def restored(connection: Connection):
    """The database of now, put back later."""
    return connection.begin_nested()


@pytest.mark.requirement("D-15")
def test_a_backup_that_is_put_back_forgets_again(transaction, connection, clock: FrozenClock, file):
    with transaction() as tx:
        known = everywhere(tx, clock.now())
    backup = restored(connection)
    clock.advance(hours=1)
    with transaction() as tx:
        later = a_reader(tx, "later@fjell.no")
    for subject in (known.subscriber_id, later):
        erase(transaction, KEYS, file, subject, asked_by="subscriber")
    backup.rollback()
    assert traces(connection)
    assert the_standing(transaction, file) is Standing.DATABASE_OLDER
    with transaction() as tx:
        request_erasure(tx, known.subscriber_id, asked_by="ada")
    with pytest.raises(ServiceError) as refused:
        erase_due(transaction, KEYS, file)
    assert refused.value.code == "erasure_database_older"
    clock.advance(hours=1)
    assert forget_again(transaction, KEYS.ledger, file) == 2
    assert traces(connection) == []
    assert the_standing(transaction, file) is Standing.AGREE
    assert forget_again(transaction, KEYS.ledger, file) == 0
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, KEYS.address_hmac(parse_address(ADDRESS).dedupe_key))
        assert {row.subscriber_id for row in tx.session.scalars(select(Erasure))} == {known.subscriber_id, later}
        fresh = a_reader(tx, "fresh@fjell.no")
    assert fresh > later, "a number that was somebody else's is not given again"


def test_a_sign_up_that_a_backup_brings_back_undecided_is_emptied_by_its_number(transaction, connection, clock, file):
    """At the time of the backup nobody had looked at the form: no subscriber leads to it."""
    with transaction() as tx:
        signup = sign_up(tx, ADDRESS)
    backup = restored(connection)
    with transaction() as tx:
        reader = decided(tx, signup).subscriber_id
    assert reader is not None
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    backup.rollback()
    assert traces(connection)
    assert forget_again(transaction, KEYS.ledger, file) == 1
    assert traces(connection) == []
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, KEYS.address_hmac(parse_address(ADDRESS).dedupe_key))


def test_a_number_that_was_given_to_somebody_else_is_not_erased(transaction, clock: FrozenClock, file):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    clock.advance(days=1)
    with transaction() as tx:
        tx.session.execute(text("DELETE FROM erasures"))
        tx.session.execute(
            text(
                "INSERT INTO subscribers (id, address, dedupe_key, address_hmac, language, created_at) "
                "OVERRIDING SYSTEM VALUE VALUES (:id, 'x@fjell.no', 'x@fjell.no', '\\x01', 'en', :now)"
            ),
            {"id": reader, "now": clock.now()},
        )
    with pytest.raises(ServiceError, match="given to somebody else"):
        forget_again(transaction, KEYS.ledger, file)
    with transaction() as tx:
        assert subscribers.find_subscriber(tx, reader) is not None


@pytest.mark.parametrize("how", ["missing", "older", "spoilt", "cut in the middle"])
@pytest.mark.requirement("D-15")
def test_a_log_that_lacks_what_the_database_knows_is_refused(transaction, tmp_path, file, how):
    with transaction() as tx:
        readers = [a_reader(tx, f"reader{number}@fjell.no") for number in range(4)]
    for reader in readers[:3]:
        erase(transaction, KEYS, file, reader, asked_by="subscriber")
    lines = list(file.lines())
    left = {
        "missing": [],
        "older": lines[:2],
        "spoilt": [lines[0], lines[1], lines[2].replace('"subscriber":', '"subscriber":1')],
        "cut in the middle": [lines[0], lines[2]],
    }[how]
    file.path.write_text("".join(line + "\n" for line in left))
    expected = {
        "missing": Standing.LOG_MISSING,
        "older": Standing.LOG_OLDER,
        "spoilt": Standing.LOG_BROKEN,
        "cut in the middle": Standing.LOG_BROKEN,
    }[how]
    assert the_standing(transaction, file) is expected
    with pytest.raises(ServiceError):
        forget_again(transaction, KEYS.ledger, file)
    if how != "cut in the middle":  # the newest line alone looks well; the start looks at all of them
        with pytest.raises(ServiceError):
            erase(transaction, KEYS, file, readers[3], asked_by="subscriber")
        with transaction() as tx:
            assert subscribers.find_subscriber(tx, readers[3]) is not None
