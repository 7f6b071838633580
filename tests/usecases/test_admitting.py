"""Out of quarantine: readers on the consent of the file, with its evidence in the ledger; never who is protected."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from service.domain.evidence import Evidence
from service.domain.imports import ATTESTATION, DAY_LIMIT
from service.domain.proof_checks import check_proof
from service.domain.words import (
    Channel,
    ConsentState,
    ImportStatus,
    Language,
    LawfulBasis,
    Purpose,
    SubscriptionState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.looks.proofs import render_proof
from service.mail.writer import Writer
from service.store import audit, consent, imports, subscribers, suppressions
from service.store.append_only import AppendOnlyFile
from service.store.schema import ConsentEvent, Subscriber
from service.store.transaction import Transaction, TransactionFactory
from service.usecases import admitting, holding, proving, subscribing, unsubscribing, wording
from service.usecases.dispatching import send_due
from service.usecases.erasing import Forgotten, erase
from service.usecases.sealing import seal_new
from service.usecases.undoing_imports import undo_import
from tests.builders import a_list, statuses
from tests.conftest import FrozenClock
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    KEYS,
    NOBODY_ERASED,
    PUBLISHER,
    a_reader,
    confirm_token,
    decided,
    mails,
    personal,
    sign_up,
    unsubscribe_token,
)
from tests.usecases.import_files import ORDER, PLAN, a_file, a_row, rows_of, run, states, verdicts
from tests.usecases.sending import a_sender, ordered

JOINED = datetime(2021, 5, 4, 8, 0, tzinfo=UTC)


def admit_all(tx: Transaction, directory: Path, *rows: tuple[str, ...], plan=PLAN) -> int:
    done = run(tx, a_file(directory, rows), plan)
    admitting.admit(tx, KEYS, done.import_id, ORDER)
    return done.import_id


def reader_of(tx: Transaction, address: str) -> int:
    return tx.session.scalars(select(Subscriber.id).where(Subscriber.dedupe_key == address)).one()


@pytest.mark.requirement("E-11")
def test_a_reader_stands_on_the_consent_of_the_file(tx: Transaction, tmp_path: Path) -> None:
    row = a_row("Anna@Fjell.no", first_name="Anna", language="de", topics="Laufen; race-day", confirmed="2021-05-05")
    admit_all(tx, tmp_path, row)
    reader = subscribers.find_subscriber(tx, reader_of(tx, "anna@fjell.no"))
    assert reader is not None
    assert (reader.address, reader.first_name, reader.language) == ("Anna@fjell.no", "Anna", "de")
    assert reader.created_at == tx.now
    assert len(subscribers.list_topic_ids(tx, reader.id)) == 2
    [subscription] = subscribers.list_subscriptions(tx, reader.id)
    assert (subscription.state, subscription.purpose) == (SubscriptionState.ACTIVE, Purpose.DIGEST)
    assert subscription.given_at == JOINED
    [event] = consent.list_events(tx, reader.id)
    assert (event.state, event.channel, event.lawful_basis) == (
        ConsentState.GIVEN,
        Channel.IMPORT,
        LawfulBasis.IMPORTED,
    )
    assert (event.occurred_at, event.recorded_at, event.actor) == (JOINED, tx.now, "ada")
    assert (event.statement_id, event.notice_id, event.form_id, event.signup_id) == (None, None, None, None)
    assert mails(tx) == [], "nobody is mailed about it"


@pytest.mark.requirement("E-11", "D-20")
def test_the_evidence_is_in_the_personal_part_of_the_event(tx: Transaction, tmp_path: Path) -> None:
    """D1 #18: source system, who, when, the file's hash, the original data; encrypted for the reader alone."""
    path = a_file(tmp_path, [a_row("Anna@Fjell.no", confirmed="2021-05-05T08:00:00Z", words="Send me the letter")])
    import_id = run(tx, path).import_id
    admitting.admit(tx, KEYS, import_id, ORDER)
    [event] = consent.list_events(tx, reader_of(tx, "anna@fjell.no"))
    said = personal(tx, event)
    assert said["address_as_entered"] == "Anna@Fjell.no"
    evidence = said["import"]
    assert (evidence["id"], evidence["line"], evidence["source_system"]) == (import_id, 2, "Old Letters")
    assert (evidence["imported_by"], evidence["imported_at"]) == ("ada", "2026-03-02T09:00:00.000000Z")
    assert evidence["file_sha256"] == imports.get_import(tx, import_id).file_sha256.hex()
    assert evidence["attestation"] == ATTESTATION
    assert evidence["original_row"]["Joined"] == "2021-05-04T08:00:00Z"
    assert evidence["original_row"]["Words"] == "Send me the letter"
    assert evidence["read"]["consent_at"] == "2021-05-04T08:00:00.000000Z"
    assert evidence["read"]["confirmed_at"] == "2021-05-05T08:00:00.000000Z"
    assert evidence["read"]["consent_source"] == "form at the old shop"
    assert b"Old Letters" not in event.personal


@pytest.mark.requirement("E-11", "D-02")
def test_the_proof_of_an_imported_consent_says_where_it_is_from(
    transaction: TransactionFactory, tmp_path: Path
) -> None:
    with transaction() as tx:
        admit_all(tx, tmp_path, a_row("anna@fjell.no", words="Send me the letter", language="fr"))
    seal_new(transaction, KEYS.ledger, AppendOnlyFile(tmp_path / "checkpoints.jsonl"))
    with transaction() as tx:
        proof = proving.prove(tx, KEYS, NOBODY_ERASED, "anna@fjell.no", actor="ada", reason="a court asks").proof
        held = holding.get_held(tx, KEYS, reader_of(tx, "anna@fjell.no"))
    [one] = proof["subjects"][0]["consents"]
    fields = {number: field["value"] for number, field in one["fields"].items()}
    assert fields["5"]["basis"] == "imported"
    assert fields["6"] == {"text": "Send me the letter", "origin": "import from Old Letters"}
    assert fields["18"]["import"]["source_system"] == "Old Letters"
    assert fields["18"]["import"]["original_row"]["Email"] == "anna@fjell.no"
    assert one["language"] == "fr"
    assert check_proof(proof, KEYS.ledger.public_key.hex()).events == 1
    page = render_proof(proof)
    assert "Old Letters" in page
    assert '<blockquote lang="fr">Send me the letter</blockquote>' in page
    assert held is not None
    assert [row.source_system for row in held.imports] == ["Old Letters"]
    assert held.consent_events[0].personal["import"]["line"] == 2


def test_words_that_were_published_here_are_named(tx: Transaction, tmp_path: Path) -> None:
    a_reader(tx)  # publishes the words
    view = wording.get_form(tx, "hub", Language.EN)
    [digest] = [statement for statement in view.statements if statement.purpose is Purpose.DIGEST]
    plan = replace(PLAN, statement_text=digest.body, purposes=(Purpose.DIGEST, Purpose.OFFERS))
    admit_all(tx, tmp_path, a_row("ben@fjell.no"), plan=plan)
    events = {event.purpose: event.statement_id for event in consent.list_events(tx, reader_of(tx, "ben@fjell.no"))}
    assert events == {Purpose.DIGEST: digest.id, Purpose.OFFERS: None}


@pytest.mark.requirement("E-11")
def test_slices_in_the_order_of_the_file(tx: Transaction, tmp_path: Path) -> None:
    rows = [a_row(f"r{number}@fjell.no") for number in range(5)]
    import_id = run(tx, a_file(tmp_path, rows)).import_id
    first = admitting.admit(tx, KEYS, import_id, replace(ORDER, number=2))
    assert (first.done, first.left) == (2, 3)
    assert sorted(states(tx)) == ["r0@fjell.no", "r1@fjell.no"]
    assert imports.get_import(tx, import_id).status is ImportStatus.ADMITTING
    rest = admitting.admit(tx, KEYS, import_id, ORDER)
    assert (rest.done, rest.left) == (3, 0)
    assert imports.get_import(tx, import_id).status is ImportStatus.DONE
    assert admitting.admit(tx, KEYS, import_id, ORDER).done == 0
    noted = [entry.details["rows"] for entry in audit.list_entries(tx) if entry.act == "import_admitted"]
    assert noted == [0, 3, 2]


@pytest.mark.requirement("E-11")
def test_a_day_lets_in_no_more_than_its_share(
    transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path
) -> None:
    with transaction() as tx:
        import_id = run(tx, a_file(tmp_path, [a_row(f"r{number}@fjell.no") for number in range(20)])).import_id
        admitting.admit(tx, KEYS, import_id, replace(ORDER, number=10))
    with pytest.raises(ServiceError, match="10 of this import were let in") as refused, transaction() as tx:
        admitting.admit(tx, KEYS, import_id, replace(ORDER, number=DAY_LIMIT - 9))
    assert refused.value.code == "import_day_limit"
    with transaction() as tx:
        assert len(states(tx)) == 10
        admitting.admit(tx, KEYS, import_id, replace(ORDER, number=1))
    clock.advance(hours=24, seconds=1)
    with transaction() as tx:
        assert admitting.admit(tx, KEYS, import_id, replace(ORDER, number=DAY_LIMIT)).done == 9


def test_an_operator_may_lift_the_days_share(tx: Transaction, tmp_path: Path) -> None:
    import_id = run(tx, a_file(tmp_path, [a_row("anna@fjell.no")])).import_id
    order = replace(ORDER, number=DAY_LIMIT + 1, no_daily_limit=True)
    assert admitting.admit(tx, KEYS, import_id, order).done == 1
    assert audit.list_entries(tx)[0].details["no_daily_limit"] is True


@pytest.mark.requirement("E-11")
def test_what_happened_since_the_file_was_read_counts(tx: Transaction, tmp_path: Path) -> None:
    addresses = ["complained", "signed-up", "waiting", "left", "fine"]
    import_id = run(tx, a_file(tmp_path, [a_row(f"{name}@fjell.no") for name in addresses])).import_id
    suppressions.add_suppression(
        tx,
        address_hmac=KEYS.address_hmac("complained@fjell.no"),
        reason=SuppressionReason.COMPLAINT,
        source="test",
    )
    a_reader(tx, "signed-up@fjell.no", purposes=("offers",))
    decided(tx, sign_up(tx, "waiting@fjell.no"))
    left = a_reader(tx, "left@fjell.no")

    [subscription] = subscribers.list_subscriptions(tx, left)
    unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(left, subscription.list_id), Channel.PAGE, Evidence())
    result = admitting.admit(tx, KEYS, import_id, ORDER)
    assert (result.done, result.left, result.later) == (1, 0, 0)
    assert result.settled == {"suppressed_here": 1, "reader_here": 1, "waiting_here": 1, "withdrawn_here": 1}
    assert verdicts(tx, import_id)[0] == (2, "suppressed", "suppressed_here")
    assert [row.line for row in rows_of(tx, import_id) if row.sealed] == [6]
    assert states(tx)["fine@fjell.no"] == "active"
    assert states(tx)["left@fjell.no"] == "unsubscribed"


@pytest.mark.requirement("E-11", "D-15")
def test_who_was_erased_is_refused_from_quarantine_and_from_later_files(
    transaction: TransactionFactory, tmp_path: Path
) -> None:
    file = AppendOnlyFile(tmp_path / "erasures.jsonl")
    with transaction() as tx:
        waiting = run(tx, a_file(tmp_path, [a_row("anna@fjell.no")])).import_id
        reader = a_reader(tx, "Anna@fjell.no")
    assert isinstance(erase(transaction, KEYS, file, reader, asked_by="subscriber"), Forgotten)
    with transaction() as tx:
        assert [(row.reason, row.sealed) for row in rows_of(tx, waiting)] == [("erased", None)]
        assert admitting.admit(tx, KEYS, waiting, ORDER).done == 0
        again = run(tx, a_file(tmp_path, [a_row("ANNA@fjell.no")]))
        assert verdicts(tx, again.import_id) == [(2, "suppressed", "erased")]
        assert admitting.admit(tx, KEYS, again.import_id, ORDER).done == 0
        assert states(tx) == {}


@pytest.mark.requirement("D-15", "E-11")
def test_erasing_an_imported_reader_leaves_nothing_of_the_row(transaction: TransactionFactory, tmp_path: Path) -> None:
    file = AppendOnlyFile(tmp_path / "erasures.jsonl")
    with transaction() as tx:
        import_id = admit_all(tx, tmp_path, a_row("anna@fjell.no"), a_row("ben@fjell.no"))
        reader = reader_of(tx, "anna@fjell.no")
        assert rows_of(tx, import_id)[0].sealed, "kept until then, so that a restored backup finds it to forget"
    assert isinstance(erase(transaction, KEYS, file, reader, asked_by="subscriber"), Forgotten)
    with transaction() as tx:
        assert [row.sealed is None for row in rows_of(tx, import_id)] == [True, False]
        assert consent.find_subject_key(tx, KEYS.ledger, reader) is None
        assert len(consent.list_events(tx, reader)) == 2, "given by import, withdrawn by erasing: the chain stays"
        assert undo_import(tx, KEYS, import_id, operator="ada", reason="wrong column").ended == 1


def test_a_reader_of_another_list_keeps_their_profile(tx: Transaction, tmp_path: Path) -> None:
    a_list(tx, "elsewhere")
    reader = a_reader(tx, "anna@fjell.no", first_name="Anna")
    plan = replace(PLAN, list_slug="elsewhere")
    admit_all(tx, tmp_path, a_row("ANNA@fjell.no", first_name="Nobody", language="de"), plan=plan)
    found = subscribers.find_subscriber(tx, reader)
    assert found is not None
    assert (found.address, found.first_name, found.language) == ("anna@fjell.no", "Anna", "en")
    assert states(tx) == {"anna@fjell.no": "active"}
    assert len(subscribers.list_subscriptions(tx, reader)) == 2
    assert len(consent.list_events(tx, reader)) == 3


def test_the_audience_of_a_campaign_is_whom_it_let_in(transaction: TransactionFactory, tmp_path: Path) -> None:
    with transaction() as tx:
        rows = [a_row("anna@fjell.no"), a_row("ben@fjell.no", "bounced"), a_row("cleo@fjell.no", joined="")]
        admit_all(tx, tmp_path, *rows, plan=replace(PLAN, purposes=(Purpose.OFFERS,)))
        list_id = subscribers.list_subscriptions(tx, reader_of(tx, "anna@fjell.no"))[0].list_id
        campaign_id = ordered(tx, list_id)
        assert statuses(tx, campaign_id) == {"anna@fjell.no": "queued"}


def test_nothing_is_let_in_without_a_reason(transaction: TransactionFactory, tmp_path: Path) -> None:
    with transaction() as tx:
        import_id = run(tx, a_file(tmp_path, [a_row("anna@fjell.no")])).import_id
    with pytest.raises(ServiceError, match="reason"), transaction() as tx:
        admitting.admit(tx, KEYS, import_id, replace(ORDER, reason=""))
    with transaction() as tx:
        assert tx.session.scalars(select(ConsentEvent)).all() == []
    with pytest.raises(ServiceError, match="no import 999"), transaction() as tx:
        admitting.admit(tx, KEYS, 999, ORDER)


def test_unsubscribing_and_taking_it_back_stays_an_imported_consent(tx: Transaction, tmp_path: Path) -> None:
    admit_all(tx, tmp_path, a_row("anna@fjell.no"))
    reader = reader_of(tx, "anna@fjell.no")
    [subscription] = subscribers.list_subscriptions(tx, reader)
    gone = unsubscribing.unsubscribe(
        tx, KEYS, unsubscribe_token(reader, subscription.list_id), Channel.ONE_CLICK, Evidence()
    )
    assert isinstance(gone, unsubscribing.Unsubscribed)
    assert gone.undo_token
    unsubscribing.undo(tx, KEYS, gone.undo_token, Evidence())
    assert consent.list_events(tx, reader)[-1].lawful_basis is LawfulBasis.IMPORTED


def test_a_fresh_sign_up_of_an_imported_reader_is_one_of_their_own(tx: Transaction, tmp_path: Path) -> None:
    admit_all(tx, tmp_path, a_row("anna@fjell.no"))
    signup = decided(tx, sign_up(tx, "anna@fjell.no", purposes=("digest", "offers")))
    subscribing.confirm_subscription(tx, KEYS, confirm_token(signup.id), BUTTON_EVIDENCE)
    assert states(tx) == {"anna@fjell.no": "active"}
    assert consent.list_events(tx, signup.subscriber_id or 0)[-1].lawful_basis is LawfulBasis.CONSENT_DOI


def test_their_mail_says_that_they_were_taken_over(
    transaction: TransactionFactory, clock: FrozenClock, tmp_path: Path
) -> None:
    with transaction() as tx:
        admit_all(tx, tmp_path, a_row("anna@fjell.no"), plan=replace(PLAN, purposes=(Purpose.OFFERS,)))
        list_id = subscribers.list_subscriptions(tx, reader_of(tx, "anna@fjell.no"))[0].list_id
        ordered(tx, list_id)
    sender = a_sender(transaction, clock, write=Writer(PUBLISHER, KEYS).write)
    send_due(sender)
    [message] = sender.transport.accepted  # type: ignore[attr-defined]
    plain = message.data.replace(b"=\r\n", b"").replace(b"\r\n", b" ")
    assert b"signed up on 4 May 2021. Fjellsko Sport AS took your subscription over" in plain


@pytest.mark.requirement("D-15")
def test_of_an_erased_reader_the_import_keeps_a_count(transaction: TransactionFactory, tmp_path: Path) -> None:
    with transaction() as tx:
        import_id = admit_all(tx, tmp_path, a_row("anna@fjell.no"), a_row("ANNA@fjell.no", joined=""))
        reader = tx.session.scalars(select(Subscriber.id)).one()
    erase(transaction, KEYS, AppendOnlyFile(tmp_path / "erasures.jsonl"), reader, asked_by="subscriber")
    with transaction() as tx:
        assert [(row.sealed, row.address_hmac, row.subscriber_id) for row in rows_of(tx, import_id)] == [
            (None, None, None)
        ] * 2
        assert [why for _, _, why in verdicts(tx, import_id)] == ["evidence", "duplicate"]
