"""What a backup brings back, and what a crash leaves (D-15): found by the numbers in the log."""

from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from service.domain.addresses import parse_address
from service.domain.erasures import read_log
from service.domain.words import (
    DeliveryStatus,
    Lane,
    Language,
    MailKind,
)
from service.errors import ServiceError
from service.store import subscribers, suppressions
from service.store.append_only import AppendOnlyFile
from service.store.schema import (
    Erasure,
    Import,
    ImportRow,
)
from service.store.transaction import TransactionFactory
from service.usecases import erasing, subscribing
from service.usecases.dispatching import send_due
from service.usecases.erasing import (
    Forgotten,
    Waiting,
    erase,
    erase_address,
    erase_due,
    order_erasure,
    request_erasure,
)
from service.usecases.forgetting_again import forget_again
from service.usecases.retaining import retain
from service.usecases.steps.erasure_log import Standing
from tests.builders import delivery_of
from tests.conftest import FrozenClock
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, a_reader, confirm_token, decided, sign_up
from tests.usecases.erasures import ADDRESS, OTHER, a_delivery, an_import, everywhere, the_standing, traces
from tests.usecases.sending import a_sender, write_plainly
from tests.usecases.test_changing_address import ask
from tests.usecases.test_retaining import RULES

HMAC = KEYS.address_hmac(parse_address(ADDRESS).dedupe_key)


@pytest.fixture
def file(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "erasures.jsonl")


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


@pytest.mark.requirement("D-15")
def test_a_sign_up_that_retention_had_emptied_is_emptied_again(transaction, connection, clock: FrozenClock, file):
    """At the time of the backup nobody had confirmed it, and no subscriber of the backup leads to it."""
    with transaction() as tx:
        signup = sign_up(tx, ADDRESS)
    backup = restored(connection)
    with transaction() as tx:
        reader = decided(tx, signup).subscriber_id
        subscribing.confirm_subscription(tx, KEYS, confirm_token(signup), BUTTON_EVIDENCE)
    clock.advance(days=8)
    retain(transaction, KEYS.ledger, RULES, all_rules=True)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    backup.rollback()
    assert traces(connection)
    assert forget_again(transaction, KEYS.ledger, file) == 1
    assert traces(connection) == []
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, HMAC)


@pytest.mark.requirement("D-15")
def test_a_row_that_was_settled_meanwhile_is_emptied_again(transaction, connection, file):
    with transaction() as tx:
        reader = a_reader(tx, OTHER)
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        import_id = an_import(tx, list_id, HMAC)
    backup = restored(connection)
    with transaction() as tx:
        tx.session.execute(text("UPDATE import_rows SET sealed = NULL, verdict = 'unchanged'"))
        signed_up = a_reader(tx, ADDRESS)
    erase(transaction, KEYS, file, signed_up, asked_by="subscriber")
    backup.rollback()
    forget_again(transaction, KEYS.ledger, file)
    with transaction() as tx:
        row = tx.session.get(ImportRow, (import_id, 2), populate_existing=True)
        assert (row.sealed, row.address_hmac, row.reason) == (None, None, "erased")
        assert suppressions.is_suppressed(tx, HMAC)
        assert tx.session.get(Import, import_id) is not None


@pytest.mark.requirement("D-15")
def test_what_only_a_test_mail_or_somebody_elses_change_held_is_emptied_again(transaction, connection, clock, file):
    with transaction() as tx:
        other = a_reader(tx, OTHER)
        list_id = subscribers.list_subscriptions(tx, other)[0].list_id
        test_mail = a_delivery(
            clock.now(), list_id, test_address=ADDRESS, test_language=Language.EN, status=DeliveryStatus.QUEUED
        )
        tx.session.add(test_mail)
        assert ask(tx, other, ADDRESS) is not None
        tx.session.execute(
            text(
                "INSERT INTO attempts (delivery_id, at, phase, code, text, fate, scope, relay) "
                "SELECT id, :now, 'rcpt', 450, '<' || :to || '> later', 'retry', 'recipient', 'r' FROM deliveries "
                "WHERE test_address IS NOT NULL OR address_change_id IS NOT NULL"
            ),
            {"now": clock.now(), "to": ADDRESS},
        )
        tx.session.flush()
        mail_id = test_mail.id
    backup = restored(connection)
    assert order_erasure(transaction, KEYS, file, ADDRESS, actor="ada", reason="a letter") == Forgotten(1)
    assert traces(connection) == []
    backup.rollback()
    assert traces(connection)
    assert the_standing(transaction, file) is Standing.DATABASE_OLDER
    forget_again(transaction, KEYS.ledger, file)
    assert traces(connection) == []
    with transaction() as tx:
        assert delivery_of(tx, mail_id).status is DeliveryStatus.CANCELLED
        assert suppressions.is_suppressed(tx, HMAC)
        assert subscribers.find_subscriber(tx, other) is not None
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE))
    with transaction() as tx:
        kinds = text("SELECT kind FROM deliveries WHERE status = 'accepted'")
        assert MailKind.ADDRESS_CHANGE not in set(tx.session.scalars(kinds))


@pytest.mark.requirement("D-15")
def test_an_erasure_of_no_subscriber_that_a_crash_cut_short_is_finished(transaction, connection, file):
    """It looks like a crash, not like a backup that was put back."""
    with transaction() as tx:
        sign_up(tx, ADDRESS)
    begun = []

    @contextmanager
    def power_goes_out_at_the_second():
        begun.append(1)
        with transaction() as tx:
            yield tx
            if len(begun) == 2:
                raise CrashError

    with pytest.raises(CrashError):
        erase_address(power_goes_out_at_the_second, KEYS, file, parse_address(ADDRESS))
    assert len(list(file.lines())) == 1
    assert traces(connection)
    assert the_standing(transaction, file) is Standing.CUT_SHORT
    erase_due(transaction, KEYS, file)
    assert traces(connection) == []
    assert the_standing(transaction, file) is Standing.AGREE
    erase_due(transaction, KEYS, file)
    with transaction() as tx:
        assert tx.session.scalars(text("SELECT count(*) FROM privacy_requests WHERE done_at IS NULL")).one() == 0


def test_who_became_a_reader_meanwhile_is_forgotten_as_one(transaction, connection, file, monkeypatch):
    """A worker decided about the form between the look-up and the erasure."""
    with transaction() as tx:
        signup = sign_up(tx, ADDRESS)
    plain = erasing.look_up

    def look_up_then_a_worker_comes(tx, *args):
        found = plain(tx, *args)
        decided(tx, signup)
        return found

    monkeypatch.setattr(erasing, "look_up", look_up_then_a_worker_comes)
    assert order_erasure(transaction, KEYS, file, ADDRESS, actor="ada", reason="a letter") == Forgotten(1)
    assert traces(connection) == []
    with transaction() as tx:
        assert tx.session.scalars(text("SELECT count(*) FROM subscribers")).one() == 0


def test_a_question_to_the_address_that_is_on_the_wire_is_waited_for(transaction, connection, clock, file):
    """What the relay says of it would quote the address after everything else is gone."""
    with transaction() as tx:
        other = a_reader(tx, OTHER)
        ask(tx, other, ADDRESS)
    seen = []

    def write(letter, now):
        if letter.kind is MailKind.ADDRESS_CHANGE:
            seen.append(erase_address(transaction, KEYS, file, parse_address(ADDRESS)))
        return write_plainly(letter, now)

    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=write)
    send_due(sender)
    assert seen == [Waiting((sender.worker_id,))]
    assert erase_address(transaction, KEYS, file, parse_address(ADDRESS)) == Forgotten(1)
    assert traces(connection) == []


@pytest.mark.requirement("D-15")
def test_after_a_restore_nobody_else_is_silenced(transaction, connection, clock: FrozenClock, file):
    """Whom the person had only asked to become, and who has agreed with an address that they left."""
    with transaction() as tx:
        reader, friend = a_reader(tx, ADDRESS), a_reader(tx, OTHER)
    clock.advance(days=2)
    with transaction() as tx:
        ask(tx, reader, OTHER)
    backup = restored(connection)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    backup.rollback()
    assert forget_again(transaction, KEYS.ledger, file) == 1
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, HMAC)
        assert not suppressions.is_suppressed(tx, KEYS.address_hmac(OTHER))
        assert subscribers.find_subscriber(tx, friend) is not None


def test_an_erasure_of_no_subscriber_that_failed_before_its_line_stays_asked_for(transaction, connection, file):
    with transaction() as tx:
        sign_up(tx, ADDRESS)
    begun = []

    @contextmanager
    def the_database_goes_away_at_the_second():
        begun.append(1)
        with transaction() as tx:
            if len(begun) == 2:
                raise CrashError
            yield tx

    with pytest.raises(CrashError):
        erase_address(the_database_goes_away_at_the_second, KEYS, file, parse_address(ADDRESS))
    assert list(file.lines()) == []
    waiting = text("SELECT count(*) FROM privacy_requests WHERE done_at IS NULL")
    for expected in (1, 0):
        erase_due(transaction, KEYS, file)
        with transaction() as tx:
            assert tx.session.scalars(waiting).one() == expected
        erase_address(transaction, KEYS, file, parse_address(ADDRESS))
    assert traces(connection) == []
