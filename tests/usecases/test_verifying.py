"""Verification finds what a database superuser does to the ledger, and names it. The superuser has no key."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from service.demo.servers import Postgres
from service.domain import checkpoints
from service.domain.event_records import record_of
from service.domain.faults import Fault, FaultKind
from service.domain.ledger import LedgerKeys, encrypt, event_hash
from service.domain.words import ConsentState, Language
from service.store import seals, wordings
from service.store.append_only import AppendOnlyFile
from service.store.standing import Standing, compare
from service.usecases import sealing
from service.usecases.verifying import Report
from tests.conftest import database_copy
from tests.usecases.ledgers import KEYS, STATES, Ledger, a_ledger

pytestmark = pytest.mark.requirement("D-01")
SOMEBODY = LedgerKeys("a key that the superuser made up")


@pytest.fixture(scope="module")
def original(
    postgres: Postgres, template: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[tuple[str, str], Path, Ledger]]:
    """Five readers with three events each, under four checkpoints and one event under none. Copied for each test."""
    directory = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch, database_copy(postgres, template) as urls:
        patch.setattr(seals, "LARGEST_SET", 5)
        with a_ledger(urls, postgres.url(), directory) as ledger:
            for _ in range(5):
                ledger.reader()
            ledger.seal()
            ledger.append(ledger.readers[1], ConsentState.REAFFIRMED)
            ledger.seal()
            ledger.append(ledger.readers[2], ConsentState.REAFFIRMED)
        yield urls, directory, ledger


@pytest.fixture
def ledger(
    original: tuple[tuple[str, str], Path, Ledger], postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ledger]:
    monkeypatch.setattr(seals, "LARGEST_SET", 5)
    of, directory, like = original
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True)
    with database_copy(postgres, of) as urls, a_ledger(urls, postgres.url(), tmp_path, like=like) as ledger:
        yield ledger


def check(ledger: Ledger, keys: LedgerKeys = KEYS.ledger) -> Report:
    return ledger.verify(keys)


def first(ledger: Ledger) -> Fault:
    report = check(ledger)
    assert not report.intact
    assert report.first is not None
    assert len(report.first.meaning) > 50
    return report.first


def names(fault: Fault, kind: FaultKind, event: object) -> None:
    """The fault is of this kind and names exactly this record."""
    assert fault.kind is kind, fault.describe()
    found = (fault.event_id, fault.record_id, fault.subject, fault.seq, fault.position)
    assert found == (event.id, event.record_id, event.subscriber_id, event.seq, event.position)


def test_what_nobody_touched_is_intact(ledger: Ledger) -> None:
    report = check(ledger)
    assert report.intact, [fault.describe() for fault in report.kept]
    assert (report.events, report.subjects, report.checkpoints) == (17, 5, 4)
    assert (report.sealed, report.unsealed, report.oldest_unsealed_at) == (16, 1, ledger.clock.now())
    assert (report.kept, report.first, report.restored) == ((), None, ())
    assert report.wordings == 1


def test_an_empty_ledger_is_intact(fresh_database: tuple[str, str], postgres: Postgres, tmp_path: Path) -> None:
    with a_ledger(fresh_database, postgres.url(), tmp_path) as ledger:
        assert check(ledger) == Report(wordings=1)


def test_events_of_one_reader_that_come_at_once_make_one_chain(ledger: Ledger) -> None:
    """Whoever waited for the other sees what the other wrote."""
    reader = ledger.readers[0]
    with ThreadPoolExecutor(4) as several:
        for made in [several.submit(ledger.append, reader) for _ in range(40)]:
            assert made.result()
    assert ledger.event(reader, 43).id
    assert check(ledger).intact


BYTE = "set_byte({0}, 0, get_byte({0}, 0) # 1)"
CHANGES = {
    "state": "'given'",
    "channel": "'operator'",
    "purpose": "'offers'",
    "lawful_basis": "'imported'",
    "occurred_at": "occurred_at - interval '1 microsecond'",
    "recorded_at": "recorded_at + interval '1 year'",
    "list_id": "list_id + 1",
    "signup_id": "1",
    "statement_id": "NULL",
    "notice_id": "7",
    "delivery_id": "3",
    "actor": "'subscribes'",
    "suspect_scanner": "true",
    "address_hmac": BYTE,
    "address_version": "2",
    "personal": BYTE,
    "record_id": "gen_random_uuid()",
    "prev_hash": BYTE,
    "hash": BYTE,
    "mac": BYTE,
    "subscriber_id": "4711",
}


@pytest.mark.parametrize("column", CHANGES)
def test_one_byte_of_an_event_is_changed(ledger: Ledger, column: str) -> None:
    reader = ledger.readers[2]
    number = ledger.event(reader, 3).id
    value = CHANGES[column].format(column)
    ledger.tamper(f"UPDATE consent_events SET {column} = {value} WHERE id = :id", id=number)
    fault = next(fault for fault in check(ledger).kept if fault.event_id == number)
    assert fault.kind is (FaultKind.EVENT_FORGED if column == "mac" else FaultKind.EVENT_CHANGED)
    if column not in ("subscriber_id", "record_id"):
        names(first(ledger), fault.kind, ledger.event(reader, 3))


def test_every_column_is_covered() -> None:
    with_others = {"id", "seq", "form_id", "context_id"}
    """The position in the sequence, the chain's number (below), and ids that stand for hashes as statement_id does."""
    from service.store.schema import ConsentEvent

    assert set(CHANGES) | with_others == set(ConsentEvent.__table__.columns.keys())


@pytest.mark.parametrize("seq", [1, 2, 3])
@pytest.mark.parametrize("seal_too", [False, True])
def test_an_event_is_deleted(ledger: Ledger, seq: int, *, seal_too: bool) -> None:
    reader = ledger.readers[3]
    gone = ledger.event(reader, seq)
    ledger.tamper("DELETE FROM consent_events WHERE id = :id", id=gone.id)
    if seal_too:
        ledger.tamper("DELETE FROM event_seals WHERE event_id = :id", id=gone.id)
    found = next(fault for fault in check(ledger).kept if fault.event == (reader, seq))
    assert found.kind in (FaultKind.EVENT_MISSING, FaultKind.SEAL_WITHOUT_EVENT)
    assert (found.position, found.checkpoint) == (gone.position, gone.position // 5 + 1)


def test_an_event_is_deleted_and_the_sequence_renumbered(ledger: Ledger) -> None:
    reader = ledger.readers[3]
    gone = ledger.event(reader, 3)
    ledger.tamper(
        "DELETE FROM consent_events WHERE id = :id",
        "DELETE FROM event_seals WHERE event_id = :id",
        "UPDATE event_seals SET position = -position WHERE position > :position",
        "UPDATE event_seals SET position = -position - 1 WHERE position < 0",
        id=gone.id,
        position=gone.position,
    )
    fault = first(ledger)
    assert (fault.kind, fault.event) == (FaultKind.EVENT_MISSING, (reader, 3))
    assert (fault.position, fault.checkpoint) == (gone.position, 3)


def test_two_events_of_a_reader_change_places(ledger: Ledger) -> None:
    reader = ledger.readers[1]
    before = ledger.event(reader, 2)
    ledger.tamper(
        "UPDATE consent_events SET seq = -seq WHERE subscriber_id = :reader AND seq IN (2, 3)",
        "UPDATE consent_events SET seq = 5 + seq WHERE subscriber_id = :reader AND seq < 0",
        reader=reader,
    )
    fault = first(ledger)
    assert (fault.kind, fault.event) == (FaultKind.EVENT_CHANGED, (reader, 2))
    assert fault.event_id == ledger.event(reader, 2).id != before.id
    assert fault.position == before.position, "where number 2 of the chain was sealed"
    assert f"found there: event {before.id}" in (fault.detail or "")


def test_two_positions_change_places(ledger: Ledger) -> None:
    one, other = ledger.event(ledger.readers[0], 2), ledger.event(ledger.readers[4], 1)
    ledger.tamper(
        "UPDATE event_seals SET position = -1 WHERE event_id = :one",
        "UPDATE event_seals SET position = :one_at WHERE event_id = :other",
        "UPDATE event_seals SET position = :other_at WHERE event_id = :one",
        one=one.id,
        other=other.id,
        one_at=one.position,
        other_at=other.position,
    )
    faults = check(ledger).kept
    assert [(fault.kind, fault.event_id, fault.position) for fault in faults] == [
        (FaultKind.EVENT_MOVED, one.id, one.position),
        (FaultKind.EVENT_MOVED, other.id, other.position),
    ]
    assert f"event {other.id}" in (faults[0].detail or "")


def rewrite_chain(ledger: Ledger, reader: int, keys: LedgerKeys, change: Callable[[dict], None]) -> None:
    """Change a reader's events and make every hash and MAC fit again, as well as the superuser can."""
    with ledger.superuser() as connection:
        rows = connection.execute(
            text("SELECT * FROM consent_events WHERE subscriber_id = :reader ORDER BY seq"), {"reader": reader}
        ).mappings()
        sha = connection.scalar(text("SELECT sha256 FROM statements"))
        head = None
        for row in map(dict, rows):
            change(row)
            row["prev_hash"] = head or row["prev_hash"]
            shas = {"statement": sha if row["statement_id"] else None, "notice": None, "form": None, "context": None}
            head = row["hash"] = event_hash(record_of(row, shas))
            row["mac"] = keys.mac(head)
            columns = ", ".join(f"{name} = :{name}" for name in row if name != "id")
            connection.execute(text(f"UPDATE consent_events SET {columns} WHERE id = :id"), row)


def test_a_whole_chain_is_recomputed_without_the_key(ledger: Ledger) -> None:
    reader = ledger.readers[0]
    rewrite_chain(ledger, reader, SOMEBODY, lambda row: row.update(occurred_at=row["occurred_at"] - timedelta(days=9)))
    report = check(ledger)
    assert report.first
    names(report.first, FaultKind.EVENT_FORGED, ledger.event(reader, 1))
    assert report.first.checkpoint == 1
    forged = [fault.event for fault in report.kept if fault.kind is FaultKind.EVENT_FORGED]
    assert forged == [(reader, 1), (reader, 2), (reader, 3)]


def test_even_with_the_key_of_the_macs_what_was_sealed_stays_sealed(ledger: Ledger) -> None:
    """The chain alone would fit; the checkpoint does not."""
    rewrite_chain(
        ledger, ledger.readers[0], KEYS.ledger, lambda row: row.update(recorded_at=row["recorded_at"] - timedelta(9))
    )
    fault = first(ledger)
    assert (fault.kind, fault.checkpoint) == (FaultKind.ROOT_DIFFERS, 1)
    assert check(ledger).faults == 1, "a checkpoint that does not fit does not spoil those after it"


def test_a_whole_reader_is_deleted(ledger: Ledger) -> None:
    reader = ledger.readers[2]
    position = ledger.event(reader, 1).position
    delete_reader(ledger, reader)
    report = check(ledger)
    assert report.first
    assert (report.first.kind, report.first.event) == (FaultKind.EVENT_MISSING, (reader, 1))
    assert (report.first.position, report.first.checkpoint) == (position, 2)
    assert [fault.event for fault in report.kept] == [(reader, 1), (reader, 2), (reader, 3)]


def test_a_whole_reader_is_deleted_and_the_sequence_renumbered(ledger: Ledger) -> None:
    reader = ledger.readers[2]
    position = ledger.event(reader, 1).position
    delete_reader(ledger, reader)
    ledger.tamper(
        "UPDATE event_seals SET position = -position WHERE position > :position",
        "UPDATE event_seals SET position = -position - 3 WHERE position < 0",
        position=position,
    )
    fault = first(ledger)
    assert (fault.kind, fault.event) == (FaultKind.EVENT_MISSING, (reader, 1))
    assert (fault.position, fault.checkpoint) == (position, 2)


def test_a_genuine_event_is_said_twice(ledger: Ledger) -> None:
    """Every hash and MAC of the copy is right; only its number was there before."""
    reader = ledger.readers[1]
    with ledger.superuser() as connection:
        for name in connection.scalars(
            text("SELECT conname FROM pg_constraint WHERE conrelid = 'consent_events'::regclass AND contype = 'u'")
        ).all():
            connection.execute(text(f"ALTER TABLE consent_events DROP CONSTRAINT {name}"))
        connection.execute(
            text(
                "CREATE TEMPORARY TABLE copy AS SELECT * FROM consent_events WHERE subscriber_id = :reader AND seq = 2"
            ),
            {"reader": reader},
        )
        connection.execute(text("UPDATE copy SET id = (SELECT max(id) + 1 FROM consent_events)"))
        connection.execute(text("INSERT INTO consent_events OVERRIDING SYSTEM VALUE SELECT * FROM copy"))
        connection.execute(text("INSERT INTO event_seals (event_id) SELECT id FROM copy"))
    assert (FaultKind.CHAIN_BROKEN, (reader, 2)) in [(fault.kind, fault.event) for fault in check(ledger).kept]


def delete_reader(ledger: Ledger, reader: int) -> None:
    ledger.tamper(
        "DELETE FROM event_seals WHERE event_id IN (SELECT id FROM consent_events WHERE subscriber_id = :reader)",
        *(
            f"DELETE FROM {table} WHERE subscriber_id = :reader"
            for table in ("consent_events", "subject_keys", "subscriptions")
        ),
        "DELETE FROM subscribers WHERE id = :reader",
        reader=reader,
    )


@pytest.mark.parametrize("seal", [None, "NULL", "(SELECT max(position) + 1 FROM event_seals)"])
def test_an_event_is_forged(ledger: Ledger, seal: str | None) -> None:
    """Copied from a real one, with a hash that fits and a MAC that nobody could make."""
    reader = ledger.readers[4]
    with ledger.superuser() as connection:
        row = dict(
            connection.execute(
                text("SELECT * FROM consent_events WHERE subscriber_id = :reader AND seq = 3"), {"reader": reader}
            )
            .mappings()
            .one()
        )
        sha = connection.scalar(text("SELECT sha256 FROM statements"))
        row |= {"seq": 4, "state": "given", "prev_hash": row["hash"], "personal": encrypt(bytes(32), b"{}", b"")}
        row["record_id"] = connection.scalar(text("SELECT gen_random_uuid()"))
        row["hash"] = event_hash(record_of(row, {"statement": sha, "notice": None, "form": None, "context": None}))
        row["mac"] = SOMEBODY.mac(row["hash"])
        del row["id"]
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        number = connection.scalar(text(f"INSERT INTO consent_events ({columns}) VALUES ({values}) RETURNING id"), row)
        connection.execute(
            text(
                "UPDATE subscriptions SET state = 'active', event_id = :id, given_at = :at "
                "WHERE subscriber_id = :reader"
            ),
            {"id": number, "reader": reader, "at": row["occurred_at"]},
        )
        if seal is not None:
            connection.execute(text(f"INSERT INTO event_seals VALUES (:id, {seal})"), {"id": number})
    names(first(ledger), FaultKind.EVENT_FORGED, ledger.event(reader, 4))
    uncovered = [fault.kind for fault in check(ledger).kept]
    assert uncovered == [FaultKind.EVENT_FORGED], "one event is one fault"


def test_a_real_event_comes_in_by_another_door(ledger: Ledger) -> None:
    """Nothing about it is forged, but no seal stands for it."""
    event = ledger.event(ledger.readers[2], 4)
    ledger.tamper("DELETE FROM event_seals WHERE event_id = :id", id=event.id)
    names(first(ledger), FaultKind.EVENT_UNCOVERED, ledger.event(ledger.readers[2], 4))


GIVEN_BEFORE = (
    "UPDATE subscriptions SET given_at = (SELECT occurred_at FROM consent_events e "
    "WHERE e.subscriber_id = subscriptions.subscriber_id AND seq = 2)"
)


def test_the_newest_events_are_deleted_with_their_checkpoint(ledger: Ledger) -> None:
    reader = ledger.readers[1]
    gone = ledger.event(reader, 4)
    ledger.tamper(
        "DELETE FROM event_seals WHERE position IS NULL OR position >= :position",
        "DELETE FROM consent_events WHERE id >= :id",
        "DELETE FROM checkpoints WHERE size > :position",
        "UPDATE subscriptions SET state = 'unsubscribed', event_id = (SELECT id FROM consent_events e "
        "WHERE e.subscriber_id = subscriptions.subscriber_id AND seq = 3)",
        GIVEN_BEFORE,
        position=gone.position,
        id=gone.id,
    )
    report = check(ledger)
    assert report.first
    assert (report.first.kind, report.first.event) == (FaultKind.EVENT_MISSING, (reader, 4))
    assert (report.first.position, report.first.checkpoint) == (gone.position, 4)
    assert [(fault.kind, fault.checkpoint) for fault in report.kept if fault.event is None] == [
        (FaultKind.CHECKPOINT_MISSING, 4)
    ]
    with ledger.transaction() as tx:
        assert compare(tx, ledger.file) is Standing.DATABASE_BEHIND


def test_the_words_that_were_shown_are_changed_with_their_hash(ledger: Ledger) -> None:
    changed = "Yes, send me the digest and sell my address."
    ledger.tamper(
        "UPDATE statements SET body = :body, sha256 = :sha", body=changed, sha=sha256(changed.encode()).digest()
    )
    report = check(ledger)
    assert [(fault.kind, fault.wording) for fault in report.kept] == [
        (FaultKind.WORDING_CHANGED, f"statements/{ledger.statement_id}")
    ]


def test_the_words_that_were_shown_are_changed_without_their_hash(ledger: Ledger) -> None:
    ledger.tamper("UPDATE statements SET body = body || '!'")
    fault = first(ledger)
    assert (fault.kind, fault.wording) == (FaultKind.WORDING_CHANGED, f"statements/{ledger.statement_id}")


def test_every_kind_of_wording_is_checked(ledger: Ledger) -> None:
    publish_others(ledger)
    ledger.append(ledger.readers[0])
    ledger.seal()
    assert check(ledger).intact
    for table in ("contexts", "form_snapshots", "mail_templates", "notices"):
        ledger.tamper(f"UPDATE {table} SET body = 'We sell.', sha256 = sha256('We sell.'::bytea)")
        fault = first(ledger)
        # Which number it has depends on what rolled back before in the database that this one was copied from.
        assert (fault.kind, fault.wording.partition("/")[0]) == (FaultKind.WORDING_CHANGED, table)
        ledger.tamper(f"UPDATE {table} SET body = 'We never share.', sha256 = sha256('We never share.'::bytea)")
    ledger.tamper('UPDATE forms SET definition = \'{"purposes": ["offers"]}\'')
    assert first(ledger).wording.partition("/")[0] == "forms"


def publish_others(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        wordings.add_notice(tx, Language.EN, "We never share.")
        form = wordings.add_form(tx, "hub", ledger.list_id, {"purposes": ["digest"]})
        for table, columns, values in (
            ("contexts", "", ""),
            ("mail_templates", ", kind", ", 'confirmation'"),
            ("form_snapshots", ", form_id, language", f", {form}, 'en'"),
        ):
            tx.session.execute(
                text(
                    f"INSERT INTO {table} (body, sha256{columns}) "
                    f"VALUES ('We never share.', sha256('We never share.'::bytea){values})"
                )
            )


def test_words_are_deleted_or_slipped_in(ledger: Ledger) -> None:
    ledger.tamper("ALTER TABLE statements ALTER id DROP IDENTITY", "UPDATE statements SET id = id - 1")
    assert {(fault.kind, fault.wording) for fault in check(ledger).kept if fault.wording} == {
        (FaultKind.WORDING_MISSING, f"statements/{ledger.statement_id}"),
        (FaultKind.WORDING_SLIPPED_IN, f"statements/{ledger.statement_id - 1}"),
    }


def test_a_subscription_is_switched_on_behind_the_ledgers_back(ledger: Ledger) -> None:
    reader = ledger.readers[0]
    ledger.tamper("UPDATE subscriptions SET state = 'active' WHERE subscriber_id = :reader", reader=reader)
    fault = first(ledger)
    assert (fault.kind, fault.subject) == (FaultKind.SUBSCRIPTION_DIFFERS, reader)
    assert "the events make it unsubscribed" in (fault.detail or "")


def test_a_subscription_without_any_event(ledger: Ledger) -> None:
    ledger.tamper(
        "INSERT INTO subscriptions SELECT 4711, list_id, purpose, 'active', event_id, given_at "
        "FROM subscriptions LIMIT 1"
    )
    fault = first(ledger)
    assert (fault.kind, fault.subject) == (FaultKind.SUBSCRIPTION_DIFFERS, 4711)


def test_an_active_subscription_is_removed(ledger: Ledger) -> None:
    reader = ledger.readers[1]
    ledger.tamper("DELETE FROM subscriptions WHERE subscriber_id = :reader", reader=reader)
    fault = first(ledger)
    assert (fault.kind, fault.subject) == (FaultKind.SUBSCRIPTION_DIFFERS, reader)


def test_a_key_is_exchanged_or_destroyed_without_an_erasure(ledger: Ledger) -> None:
    one, other = ledger.readers[:2]
    ledger.tamper(
        "UPDATE subject_keys SET wrapped = (SELECT wrapped FROM subject_keys WHERE subscriber_id = :other) "
        "WHERE subscriber_id = :one",
        one=one,
        other=other,
    )
    assert (first(ledger).kind, first(ledger).subject) == (FaultKind.KEY_CHANGED, one)
    ledger.tamper("DELETE FROM subject_keys WHERE subscriber_id = :one", one=one)
    assert (first(ledger).kind, first(ledger).subject) == (FaultKind.KEY_LOST, one)


@pytest.mark.requirement("D-15")
def test_an_erased_reader_is_no_fault(ledger: Ledger) -> None:
    """What is encrypted is covered by the hash of its ciphertext: destroying the key leaves the chain whole."""
    ledger.erase(ledger.readers[0])
    ledger.erase(None)  # an address that was never a reader's
    report = check(ledger)
    assert report.intact, [fault.describe() for fault in report.kept]


def test_a_request_that_was_forgotten_is_no_fault(ledger: Ledger) -> None:
    """D-18: nobody confirmed; nothing of it is left but an event that names nobody."""
    reader = ledger.reader(ConsentState.REQUESTED, ConsentState.EXPIRED)
    for table in ("subject_keys", "subscriptions"):
        ledger.tamper(f"DELETE FROM {table} WHERE subscriber_id = :reader", reader=reader)
    assert check(ledger).intact


def test_a_checkpoint_is_rewritten_in_the_database(ledger: Ledger) -> None:
    ledger.tamper("UPDATE checkpoints SET line = replace(line, 'checkpoint', 'Checkpoint') WHERE number = 2")
    assert (first(ledger).kind, first(ledger).checkpoint) == (FaultKind.CHECKPOINT_CHANGED, 2)


def test_what_the_next_checkpoint_builds_on_is_rewritten(ledger: Ledger) -> None:
    ledger.tamper("UPDATE checkpoints SET frontier[1] = sha256('x') WHERE number = 4")
    assert (first(ledger).kind, first(ledger).checkpoint) == (FaultKind.CHECKPOINT_CHANGED, 4)


def test_a_checkpoint_that_the_file_does_not_have_yet_is_read_from_the_database(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert sealing.seal(tx, KEYS.ledger, ledger.file) == 5
    report = check(ledger)
    assert report.intact, report.first
    assert (report.checkpoints, report.unsealed) == (5, 0)
    ledger.tamper("UPDATE checkpoints SET line = replace(line, '\"number\"', '\"Number\"') WHERE number = 5")
    assert FaultKind.CHECKPOINT_CHANGED in {fault.kind for fault in check(ledger).kept}


def spoil(file: AppendOnlyFile, change: Callable[[list[str]], object]) -> None:
    lines = list(file.lines())
    change(lines)
    file.path.write_text("".join(f"{line}\n" for line in lines))


def replaced(number: int, old: str, new: str) -> Callable[[list[str]], object]:
    return lambda lines: lines.__setitem__(number - 1, lines[number - 1].replace(old, new, 1))


@pytest.mark.parametrize("line", [1, 2, 4])
def test_the_file_is_changed(ledger: Ledger, line: int) -> None:
    spoil(ledger.file, replaced(line, '"size":', '"size":1'))
    found = [(fault.kind, fault.line) for fault in check(ledger).kept]
    assert (FaultKind.LINE_CHANGED, line) in found
    assert {number for kind, number in found if kind is FaultKind.LINE_CHANGED} == {line}


def test_the_list_of_events_in_the_file_is_changed(ledger: Ledger) -> None:
    spoil(ledger.file, replaced(1, '"events":"', '"events":"9.9 '))
    report = check(ledger)
    assert [(fault.kind, fault.line) for fault in report.kept] == [(FaultKind.LINE_CHANGED, 1)]


def test_a_line_is_taken_out_of_the_file(ledger: Ledger) -> None:
    spoil(ledger.file, lambda lines: lines.pop(1))
    assert (FaultKind.LINE_MISSING, 2) in {(fault.kind, fault.line) for fault in check(ledger).kept}


def test_a_line_that_cannot_be_read(ledger: Ledger) -> None:
    spoil(ledger.file, lambda lines: lines.__setitem__(1, "nothing"))
    assert (FaultKind.LINE_CHANGED, 2) in {(fault.kind, fault.line) for fault in check(ledger).kept}


def test_the_file_is_missing(ledger: Ledger) -> None:
    ledger.file.path.unlink()
    assert [fault.kind for fault in check(ledger).kept] == [FaultKind.FILE_MISSING]


def test_another_secret_key_is_said_once(ledger: Ledger) -> None:
    report = check(ledger, LedgerKeys("another secret of the settings"))
    assert [fault.kind for fault in report.kept] == [FaultKind.ANOTHER_KEY]


def test_a_lawful_restore_is_accepted_and_reported(ledger: Ledger) -> None:
    before = json.loads(ledger.file.last() or "")["checkpoint"]["number"]
    ledger.seal()
    ledger.tamper(
        "DELETE FROM event_seals WHERE event_id IN (SELECT max(id) FROM consent_events)",
        "DELETE FROM consent_events WHERE id IN (SELECT max(id) FROM consent_events)",
        "DELETE FROM checkpoints WHERE number > :before",
        "UPDATE subscriptions SET state = 'unsubscribed', event_id = (SELECT max(id) FROM consent_events e "
        "WHERE e.subscriber_id = subscriptions.subscriber_id) WHERE subscriber_id = :reader",
        f"{GIVEN_BEFORE} WHERE subscriber_id = :reader",
        before=before,
        reader=ledger.readers[2],
    )
    assert not check(ledger).intact
    with ledger.transaction() as tx:
        sealing.record_restored(tx, KEYS.ledger, ledger.file, reason="The disk died.", operator="ada")
    report = check(ledger)
    assert report.intact, [fault.describe() for fault in report.kept]
    ledger.append(ledger.readers[2], ConsentState.GIVEN)
    ledger.seal()
    report = check(ledger)
    assert report.intact, [fault.describe() for fault in report.kept]
    (restored,) = report.restored
    assert restored.restored
    assert (restored.restored.from_size, restored.size, restored.restored.reason) == (17, 16, "The disk died.")


def test_faults_are_counted_and_the_first_are_named(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.usecases.verifying.KEPT", 3)
    ledger.tamper("UPDATE consent_events SET mac = hash")
    report = check(ledger)
    assert (report.faults, len(report.kept)) == (17, 3)
    assert report.first
    names(report.first, FaultKind.EVENT_FORGED, ledger.event(ledger.readers[0], 1))


def test_members_stand_in_the_file_and_not_in_what_is_signed(ledger: Ledger) -> None:
    line = checkpoints.read_line(ledger.file.last() or "")
    assert line[1] == f"{ledger.readers[1]}.{len(STATES) + 1}.{ledger.event(ledger.readers[1], 4).id}"
    assert line[1] not in line[0]
