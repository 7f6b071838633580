"""Forgetting a person, row by row (D-15): what goes, what stays, and what brings nobody back."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from service.content.tables import Table
from service.domain.addresses import parse_address
from service.domain.import_plans import Plan
from service.domain.import_rows import Field
from service.domain.words import (
    CampaignStatus,
    Channel,
    ConsentState,
    DeliveryStatus,
    ImportReason,
    ImportVerdict,
    Lane,
    PrivacyRequestKind,
    Purpose,
    SignupState,
    SuppressionReason,
)
from service.ports import Hint
from service.store import consent, subscribers, suppressions
from service.store.append_only import AppendOnlyFile
from service.store.reports import get_campaign_report
from service.store.schema import (
    Delivery,
    ImportRow,
    PrivacyRequest,
    Signup,
    SubjectKey,
    Subscriber,
    Suppression,
)
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
from service.usecases.importing import check_import
from service.usecases.steps.erasure_log import Standing
from tests.builders import a_campaign, delivery_of
from tests.conftest import FrozenClock, HintList
from tests.traces import find_traces
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, a_reader, confirm_token, decided, sign_up
from tests.usecases.erasures import (
    ADDRESS,
    OTHER,
    a_delivery,
    an_import,
    dump,
    everywhere,
    the_standing,
    traces,
)
from tests.usecases.sending import a_sender, write_plainly


@pytest.fixture
def file(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "erasures.jsonl")


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
