"""An import taken back: its readers end, those who acted themselves stay, opt-outs stay, nothing is left to decrypt."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import select, text

from service.demo.servers import Postgres
from service.domain.evidence import Evidence
from service.domain.retention import parse_retention
from service.domain.tokens import Token, TokenKind
from service.domain.words import (
    Channel,
    ConsentState,
    DeliveryStatus,
    ImportStatus,
    Lane,
    LawfulBasis,
    Rhythm,
    SignupState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.store import audit, consent, imports, signups, subscribers, suppressions
from service.store.schema import Delivery, Signup, Subscriber
from service.store.transaction import Transaction, TransactionFactory
from service.texts import templates_dir
from service.usecases import admitting, asking, preferences, subscribing, unsubscribing
from service.usecases.dispatching import send_due
from service.usecases.retaining import retain
from service.usecases.undoing_imports import Undone, undo_import
from tests.builders import statuses
from tests.conftest import FrozenClock
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    KEYS,
    a_reader,
    confirm_token,
    decided,
    personal,
    sign_up,
    unsubscribe_token,
)
from tests.usecases.import_files import LIFETIME, ORDER, a_file, a_row, rows_of, run, states, verdicts
from tests.usecases.ledgers import Ledger, a_ledger
from tests.usecases.sending import a_sender, accepted_by, ordered

RULES = parse_retention((templates_dir() / "privacy/retention.toml").read_text(encoding="utf-8")).rules


def undo(tx: Transaction, import_id: int, **changes: bool) -> Undone:
    return undo_import(tx, KEYS, import_id, operator="ada", reason="wrong column", **changes)


def brought(tx: Transaction, directory: Path, *addresses: str) -> int:
    import_id = run(tx, a_file(directory, [a_row(address) for address in addresses])).import_id
    admitting.admit(tx, KEYS, import_id, ORDER)
    return import_id


def reader_of(tx: Transaction, address: str) -> int:
    return tx.session.scalars(select(Subscriber.id).where(Subscriber.dedupe_key == address)).one()


@pytest.mark.requirement("E-11")
def test_whoever_it_brought_is_mailed_no_more(
    transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path
) -> None:
    with transaction() as tx:
        import_id = brought(tx, tmp_path, "anna@fjell.no", "ben@fjell.no")
        own = a_reader(tx, "own@fjell.no")
        list_id = subscribers.list_subscriptions(tx, own)[0].list_id
    clock.advance(hours=1)
    with transaction() as tx:
        campaign_id = ordered(tx, list_id)
        tx.session.execute(Delivery.__table__.update().values(purpose="digest"))
        done = undo(tx, import_id)
        assert (done.ended, done.kept) == (2, 0)
        assert states(tx) == {"anna@fjell.no": "unsubscribed", "ben@fjell.no": "unsubscribed", "own@fjell.no": "active"}
        given, ended = consent.list_events(tx, reader_of(tx, "anna@fjell.no"))
        assert (ended.state, ended.channel, ended.actor) == (ConsentState.INVALIDATED, Channel.IMPORT, "ada")
        assert ended.lawful_basis is LawfulBasis.IMPORTED
        assert ended.occurred_at == tx.now > given.recorded_at
        assert personal(tx, ended)["import"]["id"] == import_id
        [entry, *_] = audit.list_entries(tx)
        assert (entry.act, entry.reason, entry.details["import_id"]) == ("import_undone", "wrong column", import_id)
    sender = a_sender(transaction, clock)
    send_due(sender)
    assert "anna@fjell.no" not in accepted_by(sender)
    with transaction() as tx:
        assert not set(statuses(tx, campaign_id).values()) & {"accepted"}


@pytest.mark.requirement("E-11")
def test_who_acted_by_themselves_stays(transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path) -> None:
    with transaction() as tx:
        names = ("quiet", "typed-in", "monthly", "german", "signed-up", "left")
        import_id = brought(tx, tmp_path, *(f"{name}@fjell.no" for name in names))
        list_id = imports.get_import(tx, import_id).list_id
    clock.advance(hours=1)
    with transaction() as tx:

        def control(name: str) -> str:
            return KEYS.seal(Token(TokenKind.CONTROL, reader_of(tx, f"{name}@fjell.no")))

        preferences.change_preferences(tx, KEYS, control("monthly"), rhythm=Rhythm.MONTHLY)
        preferences.change_preferences(tx, KEYS, control("german"), language="de")  # type: ignore[arg-type]
        a_reader(tx, "signed-up@fjell.no", purposes=("offers",))
        decided(tx, sign_up(tx, "typed-in@fjell.no", purposes=("offers",)))  # whoever it was
        token = unsubscribe_token(reader_of(tx, "left@fjell.no"), list_id)
        unsubscribing.unsubscribe(tx, KEYS, token, Channel.ONE_CLICK, Evidence())
    clock.advance(hours=1)
    with transaction() as tx:
        done = undo(tx, import_id)
        assert (done.ended, done.kept) == (2, 4)
        assert states(tx) == {
            "quiet@fjell.no": "unsubscribed",
            "typed-in@fjell.no": "unsubscribed pending",
            "monthly@fjell.no": "active",
            "german@fjell.no": "active",
            "signed-up@fjell.no": "active",
            "left@fjell.no": "unsubscribed",
        }


@pytest.mark.requirement("E-11", "D-19")
def test_a_week_later_nothing_is_held_of_whoever_it_brought(
    transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path
) -> None:
    with transaction() as tx:
        import_id = brought(tx, tmp_path, *(f"{name}@fjell.no" for name in ("quiet", "typed-in", "monthly", "again")))
        a_reader(tx, "own@fjell.no")
    clock.advance(hours=1)
    with transaction() as tx:
        monthly = KEYS.seal(Token(TokenKind.CONTROL, reader_of(tx, "monthly@fjell.no")))
        preferences.change_preferences(tx, KEYS, monthly, rhythm=Rhythm.MONTHLY)
        undo(tx, import_id)
    clock.advance(days=1)
    with transaction() as tx:
        typed_in = decided(tx, sign_up(tx, "typed-in@fjell.no")).subscriber_id
        a_reader(tx, "again@fjell.no")
    clock.advance(days=6)
    assert retain(transaction, KEYS.ledger, RULES, all_rules=True)["undone_imports"] == 1
    clock.advance(days=2)
    assert retain(transaction, KEYS.ledger, RULES, all_rules=True)["undone_imports"] == 1
    with transaction() as tx:
        assert states(tx) == dict.fromkeys(("monthly@fjell.no", "again@fjell.no", "own@fjell.no"), "active")
        assert consent.find_subject_key(tx, KEYS.ledger, typed_in or 0) is None
        assert consent.list_events(tx, typed_in or 0)[-1].state is ConsentState.EXPIRED
        bound = [(row.subscriber_id is None, row.address_hmac) for row in rows_of(tx, import_id)]
        assert bound == [(True, None), (True, None), (False, None), (False, None)]
    clock.advance(days=400)
    assert retain(transaction, KEYS.ledger, RULES, all_rules=True)["undone_imports"] == 0


@pytest.mark.requirement("E-11")
def test_questions_that_have_not_left_do_not_leave(
    transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path
) -> None:
    with transaction() as tx:
        rows = [a_row(f"{name}@fjell.no", joined="") for name in ("pressed", "mailed", "queued")]
        import_id = run(tx, a_file(tmp_path, rows)).import_id
        assert asking.ask(tx, KEYS, import_id, ORDER, LIFETIME).done == 3
        signup_ids = list(tx.session.scalars(select(Signup.id).order_by(Signup.id)))
    clock.advance(seconds=1)
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE))
    with transaction() as tx:
        subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_ids[0]), BUTTON_EVIDENCE)
    clock.advance(minutes=1)
    with transaction() as tx:
        done = undo(tx, import_id)
        assert (done.ended, done.kept, done.mails_cancelled) == (2, 1, 1)
        assert states(tx) == {
            "pressed@fjell.no": "active",
            "mailed@fjell.no": "unsubscribed",
            "queued@fjell.no": "unsubscribed",
        }
        asked = tx.session.scalars(select(Signup).order_by(Signup.id).execution_options(populate_existing=True)).all()
        assert [signup.state for signup in asked] == [
            SignupState.CONFIRMED,
            SignupState.EXPIRED,
            SignupState.EXPIRED,
        ]
        for signup_id in signup_ids[1:]:
            found = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
            assert isinstance(found, subscribing.ConfirmationExpired)
        queued = tx.session.scalars(select(Delivery).where(Delivery.signup_id == signup_ids[2])).one()
        assert queued.status is DeliveryStatus.CANCELLED
        again = run(tx, a_file(tmp_path, rows))
        assert [reason for _, _, reason in verdicts(tx, again.import_id)] == ["reader_here", "asked_before", "no_date"]


@pytest.fixture
def committed(
    fresh_database: tuple[str, str], postgres: Postgres, tmp_path: Path, clock: FrozenClock
) -> Iterator[Ledger]:
    with a_ledger(fresh_database, postgres.url(), tmp_path, clock) as ledger:
        yield ledger


def test_undo_waits_for_who_is_just_pressing_the_button(committed: Ledger, tmp_path: Path) -> None:
    """Both lock the sign-up first, then the reader: neither is the victim of a deadlock."""
    with committed.transaction() as tx:
        import_id = run(tx, a_file(tmp_path, [a_row("anna@fjell.no", joined="")])).import_id
        asking.ask(tx, KEYS, import_id, ORDER, LIFETIME)
        signup_id = tx.session.scalars(select(Signup.id)).one()

    def undo_there() -> Undone:
        with committed.transaction() as tx:
            return undo(tx, import_id)

    with ThreadPoolExecutor(1) as pool:
        with committed.transaction() as tx:
            signups.lock_signup(tx, signup_id)
            undone = pool.submit(undo_there)
            _wait_until_blocked(tx)
            confirmed = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
        assert isinstance(confirmed, subscribing.Confirmed)
        assert (undone.result().ended, undone.result().kept) == (0, 1)
    with committed.transaction() as tx:
        assert states(tx) == {"anna@fjell.no": "active"}


def _wait_until_blocked(tx: Transaction) -> None:
    until = monotonic() + 20
    while not tx.session.scalar(text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")):
        assert monotonic() < until, "nobody waits for a lock"


@pytest.mark.requirement("E-11")
def test_orders_stay_unless_asked_otherwise(tx: Transaction, tmp_path: Path) -> None:
    reader = a_reader(tx, "reader@fjell.no")
    suppressions.add_suppression(
        tx, address_hmac=KEYS.address_hmac("own@fjell.no"), reason=SuppressionReason.MANUAL, source="test"
    )
    rows = [a_row("reader@fjell.no", "unsubscribed"), a_row("gone@fjell.no", "bounced")]
    first = run(tx, a_file(tmp_path, rows)).import_id
    assert undo(tx, first).orders_lifted == 0
    assert suppressions.is_suppressed(tx, KEYS.address_hmac("gone@fjell.no"))
    second = run(tx, a_file(tmp_path, [*rows, a_row("third@fjell.no", "spam")])).import_id
    assert undo(tx, second, suppressions_too=True).orders_lifted == 3, "its own, also where another says the same"
    assert suppressions.is_suppressed(tx, KEYS.address_hmac("gone@fjell.no"))
    assert not suppressions.is_suppressed(tx, KEYS.address_hmac("third@fjell.no"))
    assert suppressions.is_suppressed(tx, KEYS.address_hmac("own@fjell.no"))
    assert consent.get_active_purposes(tx, reader, imports.get_import(tx, first).list_id) == frozenset()


@pytest.mark.requirement("E-11")
def test_what_another_import_says_too_stays_ordered(tx: Transaction, tmp_path: Path) -> None:
    left = [a_row("gone@fjell.no", "unsubscribed")]
    first, second = (run(tx, a_file(tmp_path, left)) for _ in range(2))
    assert (first.suppressed, second.suppressed) == (1, 0)
    undo(tx, first.import_id, suppressions_too=True)
    third = run(tx, a_file(tmp_path, [a_row("gone@fjell.no")])).import_id
    assert verdicts(tx, third) == [(2, "suppressed", "suppressed_here")]
    undo(tx, second.import_id, suppressions_too=True)
    assert not suppressions.is_suppressed(tx, KEYS.address_hmac("gone@fjell.no"))


@pytest.mark.requirement("E-11")
def test_the_quarantine_is_shredded_with_its_key(tx: Transaction, tmp_path: Path) -> None:
    import_id = run(tx, a_file(tmp_path, [a_row("anna@fjell.no"), a_row("ben@fjell.no", joined="")])).import_id
    assert undo(tx, import_id).rows_shredded == 2
    found = imports.get_import(tx, import_id)
    assert (found.status, found.wrapped, found.undone_at) == (ImportStatus.UNDONE, None, tx.now)
    assert [(row.sealed, row.address_hmac) for row in rows_of(tx, import_id)] == [(None, None)] * 2
    for act in (
        lambda: admitting.admit(tx, KEYS, import_id, ORDER),
        lambda: asking.ask(tx, KEYS, import_id, ORDER, LIFETIME),
        lambda: undo(tx, import_id),
    ):
        with pytest.raises(ServiceError, match="was undone") as refused:
            act()
        assert refused.value.code == "import_undone"


def test_the_same_people_can_be_imported_again_rightly(tx: Transaction, tmp_path: Path) -> None:
    first = brought(tx, tmp_path, "anna@fjell.no")
    undo(tx, first)
    reader = reader_of(tx, "anna@fjell.no")
    second = brought(tx, tmp_path, "anna@fjell.no")
    assert verdicts(tx, second) == [(2, "mailable", "evidence")]
    assert states(tx) == {"anna@fjell.no": "active"}
    assert [event.state for event in consent.list_events(tx, reader)] == [
        ConsentState.GIVEN,
        ConsentState.INVALIDATED,
        ConsentState.GIVEN,
    ]
    assert undo(tx, second).ended == 1


def test_undo_needs_a_reason(transaction: TransactionFactory, tmp_path: Path) -> None:
    with transaction() as tx:
        import_id = brought(tx, tmp_path, "anna@fjell.no")
    with pytest.raises(ServiceError, match="reason"), transaction() as tx:
        undo_import(tx, KEYS, import_id, operator="ada", reason="")
    with transaction() as tx:
        assert states(tx) == {"anna@fjell.no": "active"}
