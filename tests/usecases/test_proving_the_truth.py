"""A proof is refused where the ledger does not vouch for what it would show; what was lost is said (D-02)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from service.demo.servers import Postgres
from service.domain.ledger import event_hash
from service.domain.proof_checks import check_proof
from service.errors import Kind, ServiceError
from service.store import audit, consent, proofs
from service.store.append_only import AppendOnlyFile
from service.store.schema import ConfirmationMail
from service.store.transaction import TransactionFactory
from service.usecases import proving
from service.usecases.erasing import erase
from tests.conftest import FrozenClock
from tests.usecases.builders import KEYS, NOBODY_ERASED
from tests.usecases.ledgers import Ledger, a_ledger
from tests.usecases.test_proving import ADDRESS, REASON, log, proof_of, reader, seal

__all__ = ["log", "seal"]
pytestmark = pytest.mark.requirement("D-01", "D-02")


@pytest.fixture
def ledger(fresh_database: tuple[str, str], postgres: Postgres, tmp_path: Path, clock: FrozenClock) -> Iterator[Ledger]:
    with a_ledger(fresh_database, postgres.url(), tmp_path, clock) as ledger:
        yield ledger


@pytest.fixture
def transaction(ledger: Ledger) -> TransactionFactory:
    return ledger.transaction


def refused(transaction: TransactionFactory, log: AppendOnlyFile = NOBODY_ERASED) -> ServiceError:
    with pytest.raises(ServiceError) as caught, transaction() as tx:
        proving.prove(tx, KEYS, log, ADDRESS, actor="ada", reason=REASON)
    assert caught.value.kind is Kind.CONFLICT
    assert "nothing was exported" in caught.value.message
    with transaction() as tx:
        assert [entry.act for entry in audit.list_entries(tx)] == [], "nothing was noted either"
    return caught.value


FORGERIES = {
    "a state": "UPDATE consent_events SET state = 'withdrawn' WHERE seq = 3",
    "a word that there is not": "ALTER TABLE consent_events DROP CONSTRAINT ck_consent_events_consentstate;"
    "UPDATE consent_events SET state = 'agreed' WHERE seq = 3",
    "a time": "UPDATE consent_events SET occurred_at = occurred_at - interval '1 day' WHERE seq = 2",
    "what it says about the person": "UPDATE consent_events SET personal = personal || '\\x00' WHERE seq = 4",
    "the MAC": "UPDATE consent_events SET mac = '\\x00' WHERE seq = 4",
    "an event left out": "DELETE FROM consent_events WHERE seq = 2",
    "the first event left out": "DELETE FROM consent_events WHERE seq = 1",
    "what it follows from": "UPDATE consent_events SET prev_hash = hash WHERE seq = 2",
    "the hash of the words": "UPDATE statements SET sha256 = sha256(sha256)",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_changed_history_is_not_exported(
    transaction: TransactionFactory, clock: FrozenClock, ledger: Ledger, forgery: str
) -> None:
    reader(transaction, clock)
    ledger.tamper(*FORGERIES[forgery].split(";"))
    error = refused(transaction)
    assert error.code == "history_changed"
    assert error.message == (
        "The history of this reader was changed; nothing was exported; run `milepost consent verify`."
    )


def test_an_event_forged_with_a_hash_that_fits_is_not_exported(
    transaction: TransactionFactory, clock: FrozenClock, ledger: Ledger
) -> None:
    """Only the MAC tells: its key is not in the database."""
    subscriber_id = reader(transaction, clock)
    with transaction() as tx:
        evidence = proofs.read_evidence(tx, subscriber_id)
        record = proofs.spell_event(evidence.events[-1], evidence) | {"actor": "somebody else"}
    ledger.tamper(
        "UPDATE consent_events SET actor = 'somebody else', hash = :hash WHERE seq = 4",
        hash=event_hash(record),
    )
    assert refused(transaction).code == "history_changed"


def test_other_words_under_the_old_hash_are_not_exported(
    transaction: TransactionFactory, clock: FrozenClock, ledger: Ledger
) -> None:
    reader(transaction, clock)
    ledger.tamper("UPDATE statements SET body = 'I agree to everything.'")
    assert refused(transaction).code == "exhibit_changed"


def test_a_key_that_nobody_erased_is_not_an_erasure(
    transaction: TransactionFactory, clock: FrozenClock, ledger: Ledger, log: AppendOnlyFile
) -> None:
    subscriber_id = reader(transaction, clock)
    other = reader(transaction, clock, "kari@fjell.no")
    erase(transaction, KEYS, log, other, asked_by="subscriber")
    ledger.tamper("DELETE FROM subject_keys WHERE subscriber_id = :id", id=subscriber_id)
    assert refused(transaction, log).code == "subject_key_lost"
    log.path.write_text(log.path.read_text().replace(f'"subscriber":{other}', f'"subscriber":{subscriber_id}'))
    assert refused(transaction, log).code == "erasure_log_broken"


@pytest.mark.parametrize("spoilt", ["its wrapping", "the key inside"])
def test_a_spoilt_key_is_a_refusal_with_a_name(
    transaction: TransactionFactory, clock: FrozenClock, ledger: Ledger, spoilt: str
) -> None:
    subscriber_id = reader(transaction, clock)
    _, another = KEYS.ledger.new_subject_key(subscriber_id)
    wrapped = b"\0" * 60 if spoilt == "its wrapping" else another
    ledger.tamper("UPDATE subject_keys SET wrapped = :wrapped", wrapped=wrapped)
    assert refused(transaction).code == "subject_key_spoilt"


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM confirmation_mails",
        "UPDATE confirmation_mails SET sealed = sealed || '\\x00'",
        "UPDATE confirmation_mails SET delivery_id = delivery_id + 1000",
    ],
)
def test_a_confirmation_mail_that_is_gone_or_another_is_said_to_be_missing(
    transaction: TransactionFactory,
    clock: FrozenClock,
    ledger: Ledger,
    seal: Callable[[], None],
    change: str,
) -> None:
    reader(transaction, clock)
    seal()
    ledger.tamper(change)
    proof = proof_of(transaction)
    [subject] = proof["subjects"]
    bound = subject["consents"][0]["fields"]["11"]["value"]
    assert subject["confirmation_mails"] == []
    assert subject["missing_mails"] == [{"delivery": bound["delivery"], "sha256": bound["sha256"]}]
    check_proof(proof)


def test_a_mail_that_the_events_do_not_name_is_not_shown_as_theirs(
    transaction: TransactionFactory, clock: FrozenClock, ledger: Ledger, seal: Callable[[], None]
) -> None:
    """Encrypted by somebody who had the key, or of another attempt."""
    from hashlib import sha256

    from service.domain.ledger import encrypt

    subscriber_id = reader(transaction, clock)
    seal()
    with transaction() as tx:
        key = consent.find_subject_key(tx, KEYS.ledger, subscriber_id)
        kept = tx.session.scalars(select(ConfirmationMail)).one()
        assert key is not None
        forged = encrypt(key, b"Subject: I agree", proofs.place_of(kept.delivery_id))
    ledger.tamper(
        "UPDATE confirmation_mails SET sealed = :sealed, sha256 = :sha",
        sealed=forged,
        sha=sha256(b"Subject: I agree").digest(),
    )
    proof = proof_of(transaction)
    assert "I agree" not in json.dumps(proof["subjects"][0]["confirmation_mails"])
    assert len(proof["subjects"][0]["missing_mails"]) == 1
    check_proof(proof)
