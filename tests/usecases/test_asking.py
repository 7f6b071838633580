"""One question to an imported address, ever: a plain mail, a button, and silence if it is not pressed (E-11, D-06)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from service.domain.proof_checks import check_proof
from service.domain.retention import parse_retention
from service.domain.surges import Ceilings
from service.domain.words import (
    Channel,
    ConsentState,
    DeliveryStatus,
    ImportVerdict,
    Lane,
    LawfulBasis,
    MailKind,
    Purpose,
    SignupState,
    SkipReason,
    SuppressionReason,
)
from service.mail.writer import Writer
from service.store import consent, subscribers, suppressions
from service.store.append_only import AppendOnlyFile
from service.store.schema import ConfirmationMail, Delivery, MailTemplate, Signup, Subscriber
from service.store.transaction import Transaction, TransactionFactory
from service.texts import templates_dir
from service.usecases import asking, proving, retaining, subscribing
from service.usecases.dispatching import send_due
from service.usecases.sealing import seal_new
from service.usecases.subscribing import AlreadyConfirmed, ConfirmationAsked, ConfirmationExpired, Confirmed
from tests.conftest import FrozenClock
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    KEYS,
    NOBODY_ERASED,
    PUBLISHER,
    confirm_token,
    decided,
    mails,
    personal,
    sign_up,
)
from tests.usecases.import_files import LIFETIME, ORDER, PLAN, a_file, a_row, rows_of, run, states, verdicts
from tests.usecases.sending import a_sender, accepted_by

UNDATED = {"joined": ""}


def ask(tx: Transaction, import_id: int, number: int = 500) -> int:
    return asking.ask(tx, KEYS, import_id, replace(ORDER, number=number), LIFETIME).done


def asked(tx: Transaction, directory: Path, *addresses: str, **cells: str) -> int:
    rows = [a_row(address, **(UNDATED | cells)) for address in addresses]
    import_id = run(tx, a_file(directory, rows)).import_id
    assert ask(tx, import_id) == len(addresses)
    return import_id


def newest_signup(tx: Transaction) -> Signup:
    newest = select(Signup).order_by(Signup.id.desc()).limit(1).execution_options(populate_existing=True)
    return tx.session.scalars(newest).one()


Send = Callable[[], list[str]]


@pytest.fixture
def send(transaction: TransactionFactory, clock: FrozenClock) -> Send:
    """Let the interactive lane send what is due; whom it mailed."""

    def run_once() -> list[str]:
        sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=Writer(PUBLISHER, KEYS).write)
        send_due(sender)
        return accepted_by(sender)

    return run_once


@pytest.mark.requirement("E-11")
def test_one_question_and_consent_by_the_button(
    transaction: TransactionFactory, clock: FrozenClock, send: Send, tmp_path: Path
) -> None:
    with transaction() as tx:
        asked(tx, tmp_path, "Anna@Fjell.no", first_name="Anna", language="de", topics="running")
        assert states(tx) == {"Anna@fjell.no": "pending"}
        assert mails(tx) == [MailKind.REPERMISSION]
    assert send() == ["Anna@fjell.no"]
    clock.advance(hours=1)
    with transaction() as tx:
        signup = newest_signup(tx)
        found = subscribing.get_confirmation(tx, KEYS, confirm_token(signup.id))
        assert isinstance(found, ConfirmationAsked)
        assert found.language == "de"
        assert states(tx) == {"Anna@fjell.no": "pending"}, "looking changes nothing"
        pressed = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup.id), BUTTON_EVIDENCE)
        assert isinstance(pressed, Confirmed)
        assert states(tx) == {"Anna@fjell.no": "active"}
        reader = subscribers.find_subscriber(tx, signup.subscriber_id or 0)
        assert reader is not None
        assert (reader.first_name, len(subscribers.list_topic_ids(tx, reader.id))) == ("Anna", 1)
        request, given = consent.list_events(tx, reader.id)
        assert (request.state, request.channel, request.actor) == (ConsentState.REQUESTED, Channel.IMPORT, "ada")
        assert "original_row" not in personal(tx, request)["import"], "evidence with the button, and not before (D-18)"
        assert personal(tx, given)["import"]["original_row"]["Email"] == "Anna@Fjell.no"
        assert personal(tx, given)["import"]["source_system"] == personal(tx, request)["import"]["source_system"]
        assert "request" not in personal(tx, given), "no form was sent"
        assert (given.state, given.channel, given.lawful_basis) == (
            ConsentState.GIVEN,
            Channel.CONFIRMATION,
            LawfulBasis.CONSENT_DOI,
        )
        assert given.occurred_at == tx.now
        assert given.statement_id is not None
        assert personal(tx, given)["confirmation_mail"]["delivery"] == given.delivery_id
        again = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup.id), BUTTON_EVIDENCE)
        assert isinstance(again, AlreadyConfirmed)


@pytest.mark.requirement("E-11", "D-07")
def test_nobody_is_asked_twice_whatever_is_imported(
    transaction: TransactionFactory, clock: FrozenClock, send: Send, tmp_path: Path
) -> None:
    with transaction() as tx:
        first = asked(tx, tmp_path, "anna@fjell.no")
        assert ask(tx, first) == 0
    assert len(send()) == 1
    for days in (1, 40, 400):
        clock.advance(days=days)
        with transaction() as tx:
            subscribing.expire_signups(tx)
        rules = parse_retention((templates_dir() / "privacy/retention.toml").read_text(encoding="utf-8")).rules
        retaining.retain(transaction, KEYS.ledger, rules, all_rules=True)
        with transaction() as tx:
            again = run(tx, a_file(tmp_path, [a_row("ANNA@fjell.no", **UNDATED)])).import_id
            assert ask(tx, again) == 0
            with_evidence = run(tx, a_file(tmp_path, [a_row("anna@fjell.no")])).import_id
            expected = "waiting_here" if days == 1 else "asked_before"
            assert [verdicts(tx, number)[0][2] for number in (again, with_evidence)] == [expected] * 2
        assert send() == [], "no reminder"
    with transaction() as tx:
        assert tx.session.scalars(select(Subscriber)).all() == [], "who did not answer is forgotten after a week"
        row = rows_of(tx, first)[0]
        assert row.address_hmac == KEYS.address_hmac("anna@fjell.no")
        assert (row.subscriber_id, row.signup_id, row.sealed) == (None, None, None), "nothing leads to the events"


@pytest.mark.requirement("D-18", "E-11")
def test_the_row_of_a_question_that_a_reader_never_answered_is_gone_after_a_week(
    transaction: TransactionFactory, clock: FrozenClock, send: Send, tmp_path: Path
) -> None:
    """Whoever became a reader otherwise meanwhile keeps the key that their events are encrypted with."""
    with transaction() as tx:
        import_id = asked(tx, tmp_path, "Anna@Fjell.no")
        question = newest_signup(tx).id
    send()
    clock.advance(days=2)
    with transaction() as tx:
        own = decided(tx, sign_up(tx, "anna@fjell.no", purposes=("offers",)))
        subscribing.confirm_subscription(tx, KEYS, confirm_token(own.id), BUTTON_EVIDENCE)
        assert rows_of(tx, import_id)[0].sealed is not None
    clock.advance(days=6)
    rules = parse_retention((templates_dir() / "privacy/retention.toml").read_text(encoding="utf-8")).rules
    retaining.retain(transaction, KEYS.ledger, rules, all_rules=True)
    with transaction() as tx:
        assert rows_of(tx, import_id)[0].sealed is None
        events = consent.list_events(tx, own.subscriber_id or 0)
        assert [(e.purpose, e.state) for e in events] == [
            (Purpose.DIGEST, ConsentState.REQUESTED),
            (Purpose.OFFERS, ConsentState.REQUESTED),
            (Purpose.OFFERS, ConsentState.GIVEN),
            (Purpose.DIGEST, ConsentState.EXPIRED),
        ]
        assert not any("original_row" in personal(tx, event).get("import", {}) for event in events)
        pressed = subscribing.confirm_subscription(tx, KEYS, confirm_token(question), BUTTON_EVIDENCE)
        assert isinstance(pressed, ConfirmationExpired)


@pytest.mark.requirement("E-11", "D-02")
def test_the_proof_of_an_answered_question_shows_the_row(
    transaction: TransactionFactory, clock: FrozenClock, send: Send, tmp_path: Path
) -> None:
    with transaction() as tx:
        asked(tx, tmp_path, "Anna@Fjell.no")
        signup_id = newest_signup(tx).id
    send()
    clock.advance(hours=1)
    with transaction() as tx:
        pending = proving.prove(tx, KEYS, NOBODY_ERASED, "anna@fjell.no", actor="ada", reason="a court asks").proof
        subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
    seal_new(transaction, KEYS.ledger, AppendOnlyFile(tmp_path / "checkpoints.jsonl"))
    with transaction() as tx:
        proof = proving.prove(tx, KEYS, NOBODY_ERASED, "anna@fjell.no", actor="ada", reason="a court asks").proof
    before, after = (document["subjects"][0]["consents"][0]["fields"] for document in (pending, proof))
    assert before["18"]["value"]["actor"] == after["18"]["value"]["actor"] == "ada"
    assert before["18"]["value"]["import"]["source_system"] == "Old Letters"
    assert "original_row" not in before["18"]["value"]["import"]
    assert after["18"]["value"]["import"]["original_row"]["Email"] == "Anna@Fjell.no"
    assert after["18"]["value"]["address_as_entered"] == after["2"]["value"]["address_as_entered"] == "Anna@Fjell.no"
    assert check_proof(proof, KEYS.ledger.public_key.hex()).events == 2


@pytest.mark.requirement("E-11")
def test_the_database_itself_refuses_a_second_question(tx: Transaction, tmp_path: Path) -> None:
    asked(tx, tmp_path, "anna@fjell.no")
    second = run(tx, a_file(tmp_path, [a_row("ben@fjell.no", **UNDATED)])).import_id
    with pytest.raises(IntegrityError, match="ix_import_rows_asked_once"), tx.savepoint():
        tx.session.execute(
            text("UPDATE import_rows SET address_hmac = :hmac, admitted_at = :now WHERE import_id = :id"),
            {"hmac": KEYS.address_hmac("anna@fjell.no"), "now": tx.now, "id": second},
        )


def test_two_files_in_quarantine_and_one_question(tx: Transaction, tmp_path: Path) -> None:
    one = run(tx, a_file(tmp_path, [a_row("anna@fjell.no", **UNDATED)])).import_id
    two = run(tx, a_file(tmp_path, [a_row("anna@fjell.no", **UNDATED)])).import_id
    assert (ask(tx, one), ask(tx, two)) == (1, 0)
    assert verdicts(tx, two) == [(2, "unchanged", "waiting_here")]


@pytest.mark.requirement("E-11")
def test_whom_an_order_protects_since_is_not_asked(
    transaction: TransactionFactory, clock: FrozenClock, send: Send, tmp_path: Path
) -> None:
    """Not when the slice is taken, and not when the mail is claimed."""
    with transaction() as tx:
        import_id = run(
            tx, a_file(tmp_path, [a_row("a@fjell.no", **UNDATED), a_row("b@fjell.no", **UNDATED)])
        ).import_id
        order = {"reason": SuppressionReason.UNSUBSCRIBE_ALL, "source": "test"}
        suppressions.add_suppression(tx, address_hmac=KEYS.address_hmac("a@fjell.no"), **order)  # type: ignore[arg-type]
        assert ask(tx, import_id) == 1
        suppressions.add_suppression(tx, address_hmac=KEYS.address_hmac("b@fjell.no"), **order)  # type: ignore[arg-type]
    assert send() == []
    with transaction() as tx:
        [delivery] = tx.session.scalars(select(Delivery)).all()
        assert (delivery.status, delivery.skip_reason) == (DeliveryStatus.SKIPPED, SkipReason.SUPPRESSED)


def test_the_question_expires(transaction: TransactionFactory, clock: FrozenClock, send: Send, tmp_path: Path) -> None:
    with transaction() as tx:
        asked(tx, tmp_path, "anna@fjell.no")
        signup_id = newest_signup(tx).id
    clock.advance(hours=72)
    with transaction() as tx:
        pressed = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
        assert isinstance(pressed, ConfirmationExpired)
    assert send() == [], "a mail whose link is dead is not sent"


@pytest.mark.requirement("D-06", "E-09")
def test_the_mail_says_nothing_of_the_file(transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path) -> None:
    with transaction() as tx:
        asked(tx, tmp_path, "anna@fjell.no", first_name="http://prize.example/", language="fr")
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=Writer(PUBLISHER, KEYS).write)
    send_due(sender)
    [message] = sender.transport.accepted  # type: ignore[attr-defined]
    assert b"prize" not in message.data
    assert b"Old Letters" not in message.data
    assert b"Content-Language: fr" in message.data
    assert b"List-Unsubscribe" not in message.data
    with transaction() as tx:
        kept = tx.session.scalars(select(ConfirmationMail)).one()
        kind = tx.session.scalars(select(MailTemplate.kind).where(MailTemplate.id == kept.template_id)).one()
        assert kind is MailKind.REPERMISSION, "kept as evidence with the template that it was made from"


def test_questions_leave_one_by_one(
    transaction: TransactionFactory, clock: FrozenClock, send: Send, tmp_path: Path
) -> None:
    with transaction() as tx:
        asked(tx, tmp_path, *(f"r{number}@fjell.no" for number in range(3)))
        decided(tx, sign_up(tx, "waits@fjell.no"))
    assert send() == ["r0@fjell.no", "waits@fjell.no"], "whoever waits is served first"
    clock.advance(seconds=1)
    assert send() == ["r1@fjell.no"]
    clock.advance(seconds=1)
    assert send() == ["r2@fjell.no"]


@pytest.mark.requirement("E-05", "E-11")
def test_a_mailbox_that_had_its_share_waits(tx: Transaction, tmp_path: Path) -> None:
    assert decided(tx, sign_up(tx, "a.nna@gmail.com")).state is SignupState.ASKED
    rows = [a_row(address, **UNDATED) for address in ("anna+x@gmail.com", "ben+1@fjell.no", "ben+2@fjell.no")]
    import_id = run(tx, a_file(tmp_path, rows)).import_id
    result = asking.ask(tx, KEYS, import_id, ORDER, LIFETIME)
    assert (result.done, result.later, result.left) == (1, 2, 2)
    assert [row.admitted_at is not None for row in rows_of(tx, import_id)] == [False, True, False]


@pytest.mark.requirement("E-05")
def test_a_slice_is_no_surge_of_sign_ups(tx: Transaction, tmp_path: Path) -> None:
    """Nobody who signs up meanwhile, at the same provider and by the same form, is held back."""
    asked(tx, tmp_path, *(f"r{number}@fjell.no" for number in range(40)))
    signup_id = sign_up(tx, "anna@fjell.no")
    subscribing.process_signups(tx, KEYS.ledger, LIFETIME, ceilings=Ceilings(5, 5))
    assert newest_signup(tx).id == signup_id
    assert newest_signup(tx).state is SignupState.ASKED


def test_one_purpose_at_a_time_and_only_words_that_a_form_has(tx: Transaction, tmp_path: Path) -> None:
    plan = replace(PLAN, purposes=(Purpose.DIGEST, Purpose.OFFERS))
    import_id = run(tx, a_file(tmp_path, [a_row("anna@fjell.no", **UNDATED)]), plan).import_id
    assert ask(tx, import_id) == 1
    signup = newest_signup(tx)
    assert signup.purposes == ["digest", "offers"]
    assert len(set(signup.statement_ids)) == 2
    events = consent.list_events(tx, signup.subscriber_id or 0)
    assert [event.statement_id for event in events] == signup.statement_ids


def test_a_slice_of_questions(tx: Transaction, tmp_path: Path) -> None:
    rows = [a_row(f"r{number}@fjell.no", **UNDATED) for number in range(5)] + [a_row("evidence@fjell.no")]
    import_id = run(tx, a_file(tmp_path, rows)).import_id
    result = asking.ask(tx, KEYS, import_id, replace(ORDER, number=2), LIFETIME)
    assert (result.done, result.left) == (2, 3)
    assert tx.session.scalar(select(func.count()).select_from(Delivery)) == 2
    assert [row.verdict for row in rows_of(tx, import_id) if row.admitted_at] == [ImportVerdict.NEEDS_CONFIRMING] * 2
