"""What stops web, workers and beat: a backup that has not forgotten again, a log that is lost, keys that do not fit."""

from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from service.domain.addresses import parse_address
from service.domain.tokens import Keys
from service.domain.words import ConsentState, Lane, SuppressionReason
from service.errors import ConfigurationError, ServiceError
from service.store import subscribers, suppressions, worker_processes
from service.store.append_only import AppendOnlyFile
from service.store.schema import ConsentEvent, Signup, Subscriber, Suppression
from service.usecases import sealing
from service.usecases.erasing import erase, request_erasure
from service.usecases.forgetting_again import forget_again
from service.usecases.rotating import rotate_address_key
from service.usecases.starting import check_may_serve
from tests.conftest import FrozenClock
from tests.usecases.builders import KEYS, a_reader

SECOND = "9fQm2LxZr7TnVb4KdYw8HsJc3PgAe6Ru"


@pytest.fixture
def file(tmp_path: Path) -> AppendOnlyFile:
    return AppendOnlyFile(tmp_path / "erasures.jsonl")


@pytest.fixture
def may_serve(transaction, tmp_path: Path, file: AppendOnlyFile):
    """Asks; raises what the start would."""

    def ask(keys: Keys = KEYS) -> None:
        with transaction() as tx:
            check_may_serve(tx, keys, erasure_file=file, checkpoint_file=AppendOnlyFile(tmp_path / "checkpoints.jsonl"))

    return ask


def test_a_fresh_installation_and_one_that_has_erased_may_serve(transaction, may_serve, file):
    may_serve()
    with transaction() as tx:
        reader = a_reader(tx)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    may_serve()


@pytest.mark.requirement("D-15")
def test_a_restored_backup_may_serve_only_after_it_has_forgotten_again(transaction, connection, may_serve, file):
    with transaction() as tx:
        reader = a_reader(tx)
    backup = connection.begin_nested()
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    backup.rollback()
    with pytest.raises(ConfigurationError, match="milepost privacy forget-again"):
        may_serve()
    forget_again(transaction, KEYS.ledger, file)
    may_serve()
    with transaction() as tx:
        assert subscribers.find_subscriber(tx, reader) is None


@pytest.mark.requirement("D-15")
def test_without_the_erasure_log_nothing_is_served(transaction, may_serve, file):
    with transaction() as tx:
        readers = [a_reader(tx), a_reader(tx, "ben@fjell.no")]
    erase(transaction, KEYS, file, readers[0], asked_by="subscriber")
    older = file.path.read_bytes()
    erase(transaction, KEYS, file, readers[1], asked_by="subscriber")
    whole = file.path.read_bytes()
    file.path.unlink()
    with pytest.raises(ConfigurationError, match="missing or empty"):
        may_serve()
    file.path.write_bytes(older)
    with pytest.raises(ConfigurationError, match="older than the database"):
        may_serve()
    file.path.write_bytes(whole.replace(b'"number":1', b'"number":7'))
    with pytest.raises(ConfigurationError, match=r"did not write.*\(line 1\)"):
        may_serve()
    file.path.write_bytes(whole)
    may_serve()


def test_an_erasure_that_a_crash_cut_short_is_no_restore(transaction, connection, may_serve, file):
    """Its request is still open: serving goes on, and the next worker finishes it."""
    with transaction() as tx:
        reader = a_reader(tx)
        request_erasure(tx, reader, asked_by="subscriber")
    crash = connection.begin_nested()
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    crash.rollback()
    may_serve()


def test_a_database_older_than_its_checkpoints_is_not_served(
    transaction, connection, clock: FrozenClock, may_serve, tmp_path
):
    checkpoints = AppendOnlyFile(tmp_path / "checkpoints.jsonl")
    with transaction() as tx:
        a_reader(tx)
    backup = connection.begin_nested()
    sealing.seal_new(transaction, KEYS.ledger, checkpoints)
    may_serve()
    backup.rollback()
    with pytest.raises(ConfigurationError, match="milepost consent restored"):
        may_serve()


@pytest.mark.requirement("D-16")
def test_after_a_rotation_everything_is_found_as_before(transaction, may_serve):
    """Also suppressions of addresses that nobody knows any more; events keep the version that they were made with."""
    newer = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", [SECOND])
    with transaction() as tx:
        reader = a_reader(tx)
        unknown = KEYS.address_hmac("gone@fjell.no")
        suppressions.add_suppression(tx, address_hmac=unknown, reason=SuppressionReason.COMPLAINT, source="a complaint")
    with pytest.raises(ConfigurationError, match="rotate-address-key"):
        may_serve(newer)
    with transaction() as tx:
        done = rotate_address_key(tx, newer, actor="ada", reason="yearly rotation")
    assert done["subscribers.address_hmac"] == 1
    assert done["suppressions.address_hmac"] == 1
    assert done["signups.abuse_hmac"] == 1
    may_serve(newer)
    with pytest.raises(ConfigurationError, match="Put back"):
        may_serve(KEYS)
    with transaction() as tx:
        assert suppressions.is_suppressed(tx, newer.address_hmac("gone@fjell.no"))
        assert not suppressions.is_suppressed(tx, unknown)
        stored = tx.session.scalars(select(Subscriber).where(Subscriber.id == reader)).one()
        assert (stored.address_hmac, stored.address_version) == (newer.address_hmac("anna@fjell.no"), 2)
        signup = tx.session.scalars(select(Signup)).one()
        assert signup.address_hmac == newer.address_hmac("anna@fjell.no")
        assert signup.domain_hmac == newer.domain_hmac("fjell.no")
        given = tx.session.scalars(select(ConsentEvent).where(ConsentEvent.state == ConsentState.GIVEN)).one()
        assert given.address_hmac == newer.address_hmac("anna@fjell.no", given.address_version)
        assert tx.session.scalars(select(Suppression.address_version)).all() == [2]


def test_what_is_written_after_a_rotation_says_its_version(transaction):
    newer = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", [SECOND])
    with transaction() as tx:
        rotate_address_key(tx, newer, actor="ada", reason="yearly rotation")
        a_new_one = subscribers.add_subscriber(
            tx, address="x@fjell.no", dedupe_key="x@fjell.no", address_hmac=b"x", language="en"
        )
        order = suppressions.add_suppression(tx, address_hmac=b"x", reason=SuppressionReason.MANUAL, source="a letter")
    with transaction() as tx:
        assert tx.session.get(Subscriber, a_new_one).address_version == 2
        assert tx.session.get(Suppression, order).address_version == 2


@pytest.mark.parametrize("keys", [KEYS, Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", [SECOND])])
def test_rotating_for_nothing_is_refused(transaction, keys):
    with transaction() as tx:
        newer = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", [SECOND])
        rotate_address_key(tx, newer, actor="ada", reason="yearly rotation")
        with pytest.raises(ServiceError) as refused:
            rotate_address_key(tx, keys, actor="ada", reason="yearly rotation")
    assert refused.value.code == ("address_keys_missing" if keys is KEYS else "address_key_current")


def test_rotating_waits_for_workers_to_stop(transaction, clock: FrozenClock):
    newer = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu", [SECOND])
    with transaction() as tx:
        worker_processes.add_worker_process(tx, uuid4(), lane=Lane.BULK, host="a-host", pid=1)
        with pytest.raises(ServiceError, match="1 worker processes are at work"):
            rotate_address_key(tx, newer, actor="ada", reason="yearly rotation")


@pytest.mark.requirement("D-16")
def test_a_dictionary_without_the_key_matches_nothing(transaction, file):
    """Who has a dump of the database and a list of addresses, but not our secret, finds nobody."""
    with transaction() as tx:
        reader = a_reader(tx)
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    with transaction() as tx:
        stored = set(tx.session.scalars(text("SELECT address_hmac FROM suppressions")))
    guesses = {
        sha256(b"anna@fjell.no").digest(),
        Keys("another secret of another house!").address_hmac("anna@fjell.no"),
    }
    assert stored == {KEYS.address_hmac("anna@fjell.no")}
    assert stored.isdisjoint(guesses)


@pytest.mark.requirement("D-17")
def test_a_suppression_is_found_by_every_spelling_that_a_form_takes(transaction, file):
    """`User@EXÄMPLE.de` suppresses `user@xn--exmple-cua.de`."""
    with transaction() as tx:
        reader = a_reader(tx, "User@EXÄMPLE.no")
    erase(transaction, KEYS, file, reader, asked_by="subscriber")
    with transaction() as tx:
        for spelling in ("user@xn--exmple-cua.no", "USER@exämple.no", "User@EXÄMPLE.NO"):
            assert suppressions.is_suppressed(tx, KEYS.address_hmac(parse_address(spelling).dedupe_key)), spelling
        assert not suppressions.is_suppressed(tx, KEYS.address_hmac(parse_address("user@example.no").dedupe_key))
