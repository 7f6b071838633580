"""Sealing: every event under a signed checkpoint, in the database first and in the file after that."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from service.demo.servers import Postgres
from service.domain import checkpoints
from service.domain.event_records import record_of
from service.domain.faults import FaultKind
from service.domain.ledger import LedgerKeys, event_hash
from service.domain.merkle import Frontier, leaf, root_of_path
from service.domain.words import Channel, ConsentState, Language, Purpose
from service.errors import ServiceError
from service.store import consent, contexts, seals, wordings
from service.store.consent import NewEvent
from service.store.standing import Standing, compare
from service.usecases import sealing
from tests.builders import a_reader
from tests.usecases.ledgers import KEYS, Ledger, a_ledger


@pytest.fixture
def ledger(fresh_database: tuple[str, str], postgres: Postgres, tmp_path: Path) -> Iterator[Ledger]:
    with a_ledger(fresh_database, postgres.url(), tmp_path) as ledger:
        yield ledger


def in_file(ledger: Ledger) -> list[checkpoints.Checkpoint]:
    return [checkpoints.read_checkpoint(checkpoints.read_line(line)[0]) for line in ledger.file.lines()]


def hashes(ledger: Ledger) -> list[bytes]:
    with ledger.transaction() as tx:
        found = tx.session.scalars(
            text("SELECT e.hash FROM event_seals s JOIN consent_events e ON e.id = s.event_id ORDER BY position")
        )
        return list(found)


def standing(ledger: Ledger) -> Standing:
    with ledger.transaction() as tx:
        return compare(tx, ledger.file)


def backup(ledger: Ledger) -> dict[str, list]:
    """The tables of the ledger as they are now."""
    with ledger.superuser() as connection:
        return {table: connection.execute(text(f"SELECT * FROM {table}")).mappings().all() for table in TABLES}


def put_back(ledger: Ledger, saved: dict[str, list]) -> None:
    with ledger.superuser() as connection:
        for table in TABLES:
            connection.execute(text(f"DELETE FROM {table}"))
            for row in saved[table]:
                columns = ", ".join(row)
                values = ", ".join(f":{column}" for column in row)
                connection.execute(
                    text(f"INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values})"), dict(row)
                )


TABLES = ("consent_events", "event_seals", "checkpoints", "subscriptions")


@pytest.mark.requirement("D-01")
def test_a_checkpoint_is_signed_over_every_event(ledger: Ledger) -> None:
    first, second = ledger.reader(), ledger.reader()
    ledger.seal()
    (checkpoint,) = in_file(ledger)
    assert (checkpoint.number, checkpoint.size, checkpoint.previous) == (1, 6, checkpoints.BEGINNING)
    assert checkpoint.root == Frontier().grown(map(leaf, hashes(ledger))).root()
    assert checkpoints.is_by(KEYS.ledger.public_key, checkpoint.text)
    assert not checkpoints.is_by(LedgerKeys("somebody else's").public_key, checkpoint.text)
    line = json.loads(ledger.file.last() or "")
    assert line["events"] == " ".join(
        f"{reader}.{seq}.{ledger.event(reader, seq).id}" for reader in (first, second) for seq in (1, 2, 3)
    )
    assert set(checkpoint.new_wordings) == {f"statements/{ledger.statement_id}"}


def test_every_checkpoint_vouches_for_the_one_before(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.reader(ConsentState.GIVEN)
        ledger.seal()
    lines = in_file(ledger)
    assert [(c.number, c.size) for c in lines] == [(1, 1), (2, 2), (3, 3)]
    assert [c.previous for c in lines[1:]] == [c.digest for c in lines[:-1]]
    assert [len(c.new_wordings) for c in lines] == [1, 0, 0], "a wording stands in one checkpoint"


def test_nothing_is_written_when_there_is_nothing_new(ledger: Ledger) -> None:
    ledger.seal()
    assert not ledger.file.exists()
    ledger.reader()
    ledger.seal()
    ledger.seal()
    assert len(in_file(ledger)) == 1


def test_sets_are_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "LARGEST_SET", 2)
    for _ in range(3):
        ledger.reader()
    assert sealing.seal_new(ledger.transaction, KEYS.ledger, ledger.file, at_most=2), "there is more to do"
    assert not sealing.seal_new(ledger.transaction, KEYS.ledger, ledger.file)
    assert [c.size for c in in_file(ledger)] == [2, 4, 6, 8, 9]
    assert in_file(ledger)[-1].root == Frontier().grown(map(leaf, hashes(ledger))).root()


@pytest.mark.requirement("D-02")
def test_one_event_is_proven_without_another_ones_record(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path holds hashes of hashes; the checkpoint holds no event but its count."""
    monkeypatch.setattr(seals, "LARGEST_SET", 4)
    readers = [ledger.reader() for _ in range(3)]
    ledger.seal()
    ids = [ledger.event(reader, seq).id for reader in readers for seq in (1, 2, 3)]
    unsealed = ledger.append(readers[0], ConsentState.REAFFIRMED)
    with ledger.transaction() as tx:
        found = seals.find_inclusion(tx, [*ids, unsealed])
    assert set(found) == set(ids)
    by_position = hashes(ledger)
    for inclusion in found.values():
        checkpoint = checkpoints.read_checkpoint(inclusion.line)
        assert checkpoints.is_by(KEYS.ledger.public_key, inclusion.line)
        event_leaf = leaf(by_position[inclusion.position])
        assert root_of_path(event_leaf, inclusion.position, inclusion.size, inclusion.path) == checkpoint.root
        assert checkpoint.size == inclusion.size
        assert "events" not in json.loads(inclusion.line)
        assert not set(inclusion.path) & set(by_position)


def test_a_crash_between_commit_and_file_is_made_up_for(ledger: Ledger) -> None:
    ledger.reader()
    with ledger.transaction() as tx:
        assert sealing.seal(tx, KEYS.ledger, ledger.file) == 1
    assert not ledger.file.exists()
    assert standing(ledger) is Standing.FILE_BEHIND
    ledger.seal()
    assert [c.number for c in in_file(ledger)] == [1]
    assert standing(ledger) is Standing.CURRENT


def test_two_sealers_at_once_make_one_checkpoint(ledger: Ledger) -> None:
    ledger.reader()
    with ledger.transaction() as one, ledger.transaction() as other:
        assert sealing.seal(one, KEYS.ledger, ledger.file) == 1
        assert sealing.seal(other, KEYS.ledger, ledger.file) is None


def test_a_file_that_is_missing_is_not_made_again_in_silence(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.reader()
        ledger.seal()
    lines = list(ledger.file.lines())
    ledger.file.path.unlink()
    assert standing(ledger) is Standing.FILE_LOST
    ledger.reader()
    with pytest.raises(ServiceError, match="missing or empty"):
        ledger.seal()
    with ledger.transaction() as tx:
        sealing.record_restored(tx, KEYS.ledger, ledger.file, reason="The disk died.", operator="ada")
    ledger.seal()
    assert list(ledger.file.lines())[:2] == lines
    assert [(c.number, c.size, c.restored is not None) for c in in_file(ledger)[2:]] == [(3, 6, True), (4, 9, False)]


def test_an_older_copy_of_the_file_is_brought_up_to_date(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.reader()
        ledger.seal()
    lines = list(ledger.file.lines())
    ledger.file.path.write_text(lines[0] + "\n")
    assert standing(ledger) is Standing.FILE_BEHIND
    ledger.seal()
    assert list(ledger.file.lines()) == lines


def test_a_checkpoint_that_nobody_here_signed_is_not_published(ledger: Ledger) -> None:
    ledger.reader()
    ledger.seal()
    ledger.tamper(
        "INSERT INTO checkpoints SELECT 2, size, frontier, replace(line, :one, :two), members, sealed_at "
        "FROM checkpoints",
        one='"number":1',
        two='"number":2',
    )
    with pytest.raises(ServiceError, match="Checkpoint 2 in the database was not signed here"):
        ledger.seal()
    assert len(in_file(ledger)) == 1


def test_a_database_that_is_older_than_its_file_seals_nothing(ledger: Ledger) -> None:
    ledger.reader()
    ledger.seal()
    saved = backup(ledger)
    ledger.reader()
    ledger.seal()
    put_back(ledger, saved)
    assert standing(ledger) is Standing.DATABASE_BEHIND
    ledger.append(ledger.readers[0], ConsentState.REAFFIRMED)
    with pytest.raises(ServiceError, match="older than the file"):
        ledger.seal()
    assert len(in_file(ledger)) == 2


def test_after_a_lawful_restore_the_tree_goes_on_from_there(ledger: Ledger) -> None:
    ledger.reader()
    ledger.seal()
    saved = backup(ledger)
    for _ in range(2):
        ledger.reader()
        ledger.seal()
    put_back(ledger, saved)
    with ledger.transaction() as tx:
        sealing.record_restored(tx, KEYS.ledger, ledger.file, reason="The disk died.", operator="ada")
    again = ledger.append(ledger.readers[0], ConsentState.REAFFIRMED)
    ledger.seal()
    lines = in_file(ledger)
    assert [(c.number, c.size) for c in lines] == [(1, 3), (2, 6), (3, 9), (4, 3), (5, 4)]
    assert lines[3].restored == checkpoints.Restored(3, 9, 1, "The disk died.", "ada")
    assert lines[3].root == lines[0].root
    assert standing(ledger) is Standing.CURRENT
    with ledger.transaction() as tx:
        (inclusion,) = seals.find_inclusion(tx, [again]).values()
        noted = tx.session.execute(text("SELECT actor, act, reason FROM audit_entries")).all()
    assert checkpoints.read_checkpoint(inclusion.line).number == 5
    assert noted == [("ada", "ledger_restored", "The disk died.")]


def test_a_restore_that_was_not_committed_is_recorded_again(ledger: Ledger) -> None:
    """The file knows already, the database does not."""
    ledger.reader()
    ledger.seal()
    ledger.reader()
    saved = backup(ledger)
    ledger.seal()
    put_back(ledger, saved)
    with ledger.transaction() as tx:
        sealing.record_restored(tx, KEYS.ledger, ledger.file, reason="The disk died.", operator="ada")
        tx.session.rollback()
    assert standing(ledger) is Standing.DATABASE_BEHIND
    with ledger.transaction() as tx:
        sealing.record_restored(tx, KEYS.ledger, ledger.file, reason="The disk died.", operator="ada")
    ledger.seal()
    assert [(c.number, c.size) for c in in_file(ledger)] == [(1, 3), (2, 6), (3, 3), (4, 3), (5, 6)]


def test_nothing_is_recorded_as_restored_that_was_not(ledger: Ledger) -> None:
    ledger.reader()
    ledger.seal()
    with ledger.transaction() as tx, pytest.raises(ServiceError, match="nothing was recorded"):
        sealing.record_restored(tx, KEYS.ledger, ledger.file, reason="The disk died.", operator="ada")


def test_another_database_is_no_earlier_state(ledger: Ledger) -> None:
    ledger.reader()
    ledger.seal()
    other = checkpoints.read_line(ledger.file.last() or "")
    ledger.file.path.unlink()
    ledger.file.append(checkpoints.file_line(other[0].replace('"size":3', '"size":4'), other[1]))
    with ledger.transaction() as tx, pytest.raises(ServiceError, match="no earlier state"):
        sealing.record_restored(tx, KEYS.ledger, ledger.file, reason="The disk died.", operator="ada")


def test_a_file_whose_end_is_not_a_checkpoint_stops_the_sealing(ledger: Ledger) -> None:
    ledger.reader()
    ledger.seal()
    ledger.file.append("{}")
    assert standing(ledger) is Standing.FILE_SPOILT
    with pytest.raises(ServiceError, match="cannot be read"):
        ledger.seal()


def test_an_event_that_is_gone_before_it_was_sealed_stops_no_sealing(ledger: Ledger) -> None:
    """`verify` names it; those that are there get their checkpoint all the same."""
    ledger.seal()
    reader = ledger.reader()
    gone = ledger.event(reader, 2).id
    with ledger.superuser() as connection:
        connection.execute(text("DELETE FROM consent_events WHERE id = :id"), {"id": gone})
    ledger.seal()
    ledger.append(reader, ConsentState.REAFFIRMED)
    ledger.seal()
    assert ledger.event(reader, 4).position is not None
    report = ledger.verify()
    assert (FaultKind.EVENT_MISSING, (reader, 2)) in [(fault.kind, fault.event) for fault in report.kept]


def forge(ledger: Ledger, reader: int) -> int:
    """What the superuser can write without the key: everything fits but the MAC."""
    with ledger.superuser() as connection:
        row = dict(
            connection.execute(
                text("SELECT * FROM consent_events WHERE subscriber_id = :reader AND seq = 3"), {"reader": reader}
            )
            .mappings()
            .one()
        )
        sha = connection.scalar(text("SELECT sha256 FROM statements"))
        row |= {"seq": 4, "state": "given", "prev_hash": row["hash"], "record_id": uuid4()}
        row["hash"] = event_hash(record_of(row, {"statement": sha, "notice": None, "form": None, "context": None}))
        row["mac"] = LedgerKeys("somebody else's").mac(row["hash"])
        del row["id"]
        columns, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        number = connection.scalar(text(f"INSERT INTO consent_events ({columns}) VALUES ({values}) RETURNING id"), row)
        connection.execute(text("INSERT INTO event_seals (event_id) VALUES (:id)"), {"id": number})
    assert isinstance(number, int)
    return number


def stranger(ledger: Ledger) -> str | None:
    with ledger.transaction() as tx:
        return sealing.find_stranger(tx, KEYS.ledger)


@pytest.mark.requirement("D-01")
def test_a_forged_event_gets_no_checkpoint(ledger: Ledger) -> None:
    """Nor does what came after it, until it is cleared up; what came before does."""
    reader = ledger.reader()
    number = forge(ledger, reader)
    later = ledger.reader(ConsentState.GIVEN)
    with pytest.raises(ServiceError, match=f"Event {number} .record .*, reader {reader}, number 4 ") as refused:
        ledger.seal()
    assert refused.value.code == "event_not_ours"
    assert [c.size for c in in_file(ledger)] == [3]
    assert ledger.event(reader, 4).position is ledger.event(later, 1).position is None
    assert str(number) in (stranger(ledger) or "")
    assert (FaultKind.EVENT_FORGED, (reader, 4)) in [(fault.kind, fault.event) for fault in ledger.verify().kept]
    ledger.tamper(
        "DELETE FROM event_seals WHERE event_id = :id", "DELETE FROM consent_events WHERE id = :id", id=number
    )
    assert stranger(ledger) is None
    ledger.seal()
    assert [c.size for c in in_file(ledger)] == [3, 4]
    assert ledger.verify().intact


@pytest.mark.parametrize(
    "change", ["state = 'withdrawn'", "personal = sha256('x')", "occurred_at = 'infinity'", "statement_id = 4711"]
)
def test_an_event_that_was_changed_before_its_checkpoint_gets_none(ledger: Ledger, change: str) -> None:
    reader = ledger.reader(ConsentState.GIVEN, ConsentState.REAFFIRMED)
    ledger.tamper(f"UPDATE consent_events SET {change} WHERE subscriber_id = :reader AND seq = 1", reader=reader)
    with pytest.raises(ServiceError, match=f"reader {reader}, number 1 "):
        ledger.seal()
    assert not ledger.file.exists()


def test_every_event_names_its_wordings_when_it_is_sealed(ledger: Ledger) -> None:
    """Notice, form and context are hashed as well."""
    with ledger.transaction() as tx:
        notice = wordings.add_notice(tx, Language.EN, "We never share.")
        form = wordings.add_form(tx, "hub", ledger.list_id, {"purposes": ["digest"]})
        contexts.add_context(tx, {"controller": "Fjellsko"})
        event = NewEvent(
            subscriber_id=a_reader(tx, "ada@fjell.example", state=None),
            list_id=ledger.list_id,
            purpose=Purpose.DIGEST,
            state=ConsentState.GIVEN,
            channel=Channel.CONFIRMATION,
            statement_id=ledger.statement_id,
            notice_id=notice,
            form_id=form,
        )
        consent.append(tx, KEYS.ledger, event)
    ledger.seal()
    assert [c.size for c in in_file(ledger)] == [1]
    assert ledger.verify().intact


@pytest.mark.parametrize("position", [3, 4, -1])
def test_a_place_that_no_checkpoint_gave_is_named(ledger: Ledger, position: int) -> None:
    """Without that the next one to get it would fail in the database's words."""
    reader = ledger.reader()
    ledger.seal()
    number = ledger.append(reader, ConsentState.REAFFIRMED)
    ledger.append(reader, ConsentState.REAFFIRMED)
    ledger.tamper("UPDATE event_seals SET position = :at WHERE event_id = :id", at=position, id=number)
    with pytest.raises(ServiceError, match=f"Event {number} has a place"):
        ledger.seal()
    assert (FaultKind.EVENT_UNCOVERED, (reader, 4)) in [(fault.kind, fault.event) for fault in ledger.verify().kept]
