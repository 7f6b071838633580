"""Reading a file: the dry run stores nothing, opt-outs are taken over, consents wait in quarantine (E-11)."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from service.domain.evidence import Evidence
from service.domain.import_rows import Field
from service.domain.imports import ATTESTATION
from service.domain.ledger import decrypt
from service.domain.words import (
    CampaignStatus,
    Channel,
    ConsentState,
    ImportReason,
    ImportStatus,
    ImportVerdict,
    MailKind,
    Purpose,
    SuppressionReason,
)
from service.errors import ServiceError
from service.store import audit, consent, deliveries, imports, subscribers, suppressions
from service.store.schema import Base, Campaign, ConsentEvent, Import, List, Subscriber, Suppression
from service.store.transaction import Transaction
from service.usecases import unsubscribing
from tests.builders import a_campaign, statuses
from tests.usecases.builders import KEYS, a_reader, decided, mails, personal, sign_up, unsubscribe_token
from tests.usecases.import_files import PLAN, a_file, a_row, check, rows_of, run, states, verdicts


def reasons(tx: Transaction, address: str) -> frozenset[SuppressionReason]:
    list_id = tx.session.scalars(select(List.id).where(List.slug == "hub")).one()
    return suppressions.list_reasons(tx, KEYS.address_hmac(address), list_id)


def count_all(tx: Transaction) -> dict[str, int | None]:
    tables = Base.metadata.sorted_tables
    return {table.name: tx.session.scalar(select(func.count()).select_from(table)) for table in tables}


ALL_KINDS = [
    a_row("anna@fjell.no"),
    a_row("ben@fjell.no", joined=""),
    a_row("cleo@fjell.no", "unsubscribed"),
    a_row("dora@fjell.no", "bounced"),
    a_row("emil@fjell.no", "complained"),
    a_row("finn@fjell.no", "blocked"),
    a_row("gina@fjell.no", "pending"),
    a_row("no address"),
    a_row("ANNA@fjell.no", joined=""),
]


@pytest.mark.requirement("E-11")
def test_the_dry_run_says_four_numbers_and_stores_nothing(tx: Transaction, tmp_path: Path) -> None:
    path = a_file(tmp_path, ALL_KINDS)
    check(tx, a_file(tmp_path, [], "nobody.csv"))  # publishes the words
    before = count_all(tx)
    tally = check(tx, path)
    assert count_all(tx) == before
    assert [tally.total(verdict) for verdict in ImportVerdict] == [1, 1, 5, 1, 1]
    assert tally.lines == 9
    assert tally.reasons()["suppressed"] == dict.fromkeys(
        ("unsubscribed", "bounced", "complained", "blocked", "never_confirmed"), 1
    )
    assert tally.examples[ImportReason.ADDRESS_INVALID] == [9]


@pytest.mark.requirement("E-11")
def test_opt_outs_become_orders_and_nobody_becomes_mailable(tx: Transaction, tmp_path: Path) -> None:
    done = run(tx, a_file(tmp_path, ALL_KINDS))
    assert (done.suppressed, done.withdrawn) == (4, 0)
    assert reasons(tx, "cleo@fjell.no") == {SuppressionReason.UNSUBSCRIBE_ALL}
    assert reasons(tx, "dora@fjell.no") == {SuppressionReason.PERMANENT_BOUNCE}
    assert reasons(tx, "emil@fjell.no") == {SuppressionReason.COMPLAINT}
    assert reasons(tx, "finn@fjell.no") == {SuppressionReason.IMPORTED}
    assert reasons(tx, "gina@fjell.no") == frozenset()
    assert states(tx) == {}
    assert mails(tx) == []
    assert verdicts(tx, done.import_id) == [
        (2, "mailable", "evidence"),
        (3, "needs_confirming", "no_date"),
        (4, "suppressed", "unsubscribed"),
        (5, "suppressed", "bounced"),
        (6, "suppressed", "complained"),
        (7, "suppressed", "blocked"),
        (8, "suppressed", "never_confirmed"),
        (9, "unreadable", "address_invalid"),
        (10, "unchanged", "duplicate"),
    ]


@pytest.mark.requirement("E-11")
def test_a_merge_reaches_nobody_in_quarantine(tx: Transaction, tmp_path: Path) -> None:
    """Without the evidence looked at and let in, an audience of everybody is empty."""
    run(tx, a_file(tmp_path, [a_row("anna@fjell.no"), a_row("ben@fjell.no", joined="")]))
    list_id = tx.session.scalars(select(List.id).where(List.slug == "hub")).one()
    campaign_id = a_campaign(tx, list_id=list_id, status=CampaignStatus.PLANNING)
    for purpose in Purpose:
        tx.session.execute(text("UPDATE campaigns SET purpose = :p"), {"p": purpose.value})
        campaign = tx.session.get_one(Campaign, campaign_id, populate_existing=True)
        assert deliveries.plan_audience(tx, campaign, after=0, limit=10) == (0, None)
    assert statuses(tx, campaign_id) == {}


@pytest.mark.requirement("E-11")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"affirmed": "they asked, honestly"}, "not_affirmed"),
        ({"source_system": " "}, "source_system_missing"),
        ({"source_system": "zoe@fjell.no"}, "source_system_missing"),
        ({"reason": "x"}, "reason_missing"),
    ],
)
def test_without_evidence_of_the_file_nothing_is_imported(
    transaction, tmp_path: Path, changes: dict[str, str], code: str
) -> None:
    with pytest.raises(ServiceError) as refused, transaction() as tx:
        run(tx, a_file(tmp_path, ALL_KINDS), **changes)
    assert refused.value.code == code
    with transaction() as tx:
        assert tx.session.scalars(select(Import)).all() == []
        assert tx.session.scalars(select(Suppression)).all() == []


def test_an_unknown_word_for_a_state_stops_the_import(transaction, tmp_path: Path) -> None:
    path = a_file(tmp_path, [a_row("anna@fjell.no"), a_row("ben@fjell.no", "frozen"), a_row("c@fjell.no", "frozen")])
    with pytest.raises(ServiceError, match=r"2 lines .* \(frozen\)") as refused, transaction() as tx:
        run(tx, path)
    assert refused.value.code == "status_unknown"
    with transaction() as tx:
        assert tx.session.scalars(select(Import)).all() == []


@pytest.mark.requirement("E-11")
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('zoe@fjell.no,"Zoe "Zo" Q",unsubscribed,,,,,,', "line_broken"),
        ("zoe@fjell.no,Zoe,,,,,,,", "status_missing"),
        ("zoe@fjell.no,Zoe", "status_missing"),
    ],
)
def test_a_line_that_may_be_an_opt_out_stops_the_import(transaction, tmp_path: Path, line: str, reason: str) -> None:
    """Another line about the same person would make them mailable."""
    path = a_file(tmp_path, [a_row("zoe@fjell.no"), (line,)])
    says = "1 lines are broken or have no status, for example 3;"
    with pytest.raises(ServiceError, match=says) as refused, transaction() as tx:
        run(tx, path)
    assert refused.value.code == "lines_unreadable"
    with transaction() as tx:
        assert tx.session.scalars(select(Import)).all() == []
        done = run(tx, path, replace(PLAN, skip_unreadable=True))
        assert verdicts(tx, done.import_id) == [(2, "mailable", "evidence"), (3, "unreadable", reason)]
        assert imports.get_import(tx, done.import_id).rules["skip_unreadable"] is True


@pytest.mark.requirement("E-11")
def test_nobodys_address_becomes_the_name_of_a_column(transaction, tmp_path: Path) -> None:
    """A file without a header would put one person's line into the evidence of all others, for ever."""
    path = tmp_path / "headless.csv"
    path.write_text("zoe@fjell.no,subscribed\nben@fjell.no,subscribed\n")
    plan = replace(PLAN, columns={Field.ADDRESS: "zoe@fjell.no", Field.STATUS: "subscribed"})
    with pytest.raises(ServiceError) as refused, transaction() as tx:
        run(tx, path, plan)
    assert refused.value.code == "header_missing"
    with transaction() as tx:
        assert tx.session.scalars(select(Import)).all() == []


def test_the_import_keeps_who_when_and_which_file(tx: Transaction, tmp_path: Path) -> None:
    path = a_file(tmp_path, ALL_KINDS)
    done = run(tx, path)
    found = imports.get_import(tx, done.import_id)
    assert (found.source_system, found.operator, found.attestation) == ("Old Letters", "ada", ATTESTATION)
    assert found.file_sha256 == sha256(path.read_bytes()).digest()
    assert (found.status, found.mapping["address"], found.rules["purposes"]) == (
        ImportStatus.CHECKED,
        "Email",
        ["digest"],
    )
    [entry] = audit.list_entries(tx)
    assert (entry.actor, entry.act, entry.reason) == ("ada", "import_run", "moving house")
    assert entry.details == {"import_id": done.import_id, "lines": 9, "suppressed": 4, "withdrawn": 0}


def test_only_what_waits_is_kept_and_only_encrypted(tx: Transaction, tmp_path: Path) -> None:
    done = run(tx, a_file(tmp_path, ALL_KINDS))
    assert [row.line for row in rows_of(tx, done.import_id) if row.sealed] == [2, 3]
    tables = [table.name for table in Base.metadata.sorted_tables]
    dumped = "".join(str(row) for name in tables for row in tx.session.scalars(text(f"SELECT t::text FROM {name} t")))
    assert "anna" not in dumped.lower()
    assert b"anna@fjell.no".hex() not in dumped
    first = rows_of(tx, done.import_id)[0]
    found = imports.get_import(tx, done.import_id)
    assert first.sealed is not None
    assert found.wrapped is not None
    key = KEYS.ledger.unwrap_import(done.import_id, found.wrapped)
    assert b'"Email": "anna@fjell.no"' in decrypt(key, first.sealed, f"import {done.import_id} line 2".encode())
    with pytest.raises(ValueError, match="not encrypted"):
        decrypt(key, first.sealed, f"import {done.import_id} line 3".encode())


@pytest.mark.requirement("E-11", "D-17")
def test_who_is_suppressed_here_stays_so(tx: Transaction, tmp_path: Path) -> None:
    for address in ("user@xn--exmple-cua.de", "manual@fjell.no"):
        suppressions.add_suppression(
            tx, address_hmac=KEYS.address_hmac(address), reason=SuppressionReason.MANUAL, source="test"
        )
    suppressions.add_suppression(
        tx, address_hmac=KEYS.address_hmac("erased@fjell.no"), reason=SuppressionReason.ERASED, source="test"
    )
    done = run(tx, a_file(tmp_path, [a_row("User@EXÄMPLE.de"), a_row("Manual@fjell.no"), a_row("erased@fjell.no")]))
    assert verdicts(tx, done.import_id) == [
        (2, "suppressed", "suppressed_here"),
        (3, "suppressed", "suppressed_here"),
        (4, "suppressed", "erased"),
    ]
    assert done.suppressed == 0
    assert not any(row.sealed for row in rows_of(tx, done.import_id))


def test_readers_here_are_not_changed(tx: Transaction, tmp_path: Path) -> None:
    reader = a_reader(tx, "anna@fjell.no", first_name="Anna")
    decided(tx, sign_up(tx, "waits@fjell.no"))
    left = a_reader(tx, "left@fjell.no")
    [subscription] = subscribers.list_subscriptions(tx, left)
    token = unsubscribe_token(left, subscription.list_id)
    unsubscribing.unsubscribe(tx, KEYS, token, Channel.PAGE, Evidence())
    done = run(
        tx,
        a_file(
            tmp_path,
            [
                a_row("Anna@fjell.no", first_name="Someone", language="de"),
                a_row("waits@fjell.no"),
                a_row("left@fjell.no"),
            ],
        ),
    )
    assert verdicts(tx, done.import_id) == [
        (2, "unchanged", "reader_here"),
        (3, "unchanged", "waiting_here"),
        (4, "suppressed", "withdrawn_here"),
    ]
    found = subscribers.find_subscriber(tx, reader)
    assert found is not None
    assert (found.address, found.first_name, found.language) == ("anna@fjell.no", "Anna", "en")


def test_a_withdrawal_is_not_forgotten_behind_a_request_that_ran_out(tx: Transaction, tmp_path: Path) -> None:
    left = a_reader(tx, "left@fjell.no")
    [subscription] = subscribers.list_subscriptions(tx, left)
    unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(left, subscription.list_id), Channel.PAGE, Evidence())
    for state in (ConsentState.REQUESTED, ConsentState.EXPIRED):
        event = consent.NewEvent(left, subscription.list_id, Purpose.DIGEST, state, Channel.FORM)
        consent.append(tx, KEYS.ledger, event)
    done = run(tx, a_file(tmp_path, [a_row("left@fjell.no")]))
    assert verdicts(tx, done.import_id) == [(2, "suppressed", "withdrawn_here")]


@pytest.mark.requirement("E-11")
def test_an_opt_out_in_the_file_ends_a_consent_here(tx: Transaction, tmp_path: Path) -> None:
    reader = a_reader(tx, "anna@fjell.no", purposes=("digest", "offers"))
    other = a_reader(tx, "ben@fjell.no")
    done = run(tx, a_file(tmp_path, [a_row("anna@fjell.no"), a_row("ANNA@fjell.no", "complained")]))
    assert (done.suppressed, done.withdrawn) == (1, 2)
    assert states(tx) == {"anna@fjell.no": "unsubscribed", "ben@fjell.no": "active"}
    assert reasons(tx, "anna@fjell.no") == {SuppressionReason.COMPLAINT}
    events = consent.list_events(tx, reader)[-2:]
    assert {(e.state, e.channel, e.actor) for e in events} == {(ConsentState.WITHDRAWN, Channel.IMPORT, "ada")}
    said = personal(tx, events[0])["import"]
    assert (said["source_system"], said["line"], said["order"]) == ("Old Letters", 3, "complaint")
    assert len(consent.list_events(tx, other)) == 2
    again = run(tx, a_file(tmp_path, [a_row("anna@fjell.no", "complained")]))
    assert (again.suppressed, again.withdrawn) == (0, 0), "the same order is not given twice"


def test_what_lets_an_import_through_is_stricter_than_spelling(tx: Transaction, tmp_path: Path) -> None:
    """Two mailboxes of one provider are two people for an import; limits alone see one (E-02)."""
    done = run(tx, a_file(tmp_path, [a_row("a.nna@gmail.com"), a_row("anna+news@gmail.com")]))
    assert [row.verdict for row in rows_of(tx, done.import_id)] == [ImportVerdict.MAILABLE] * 2


def test_an_unknown_list(tx: Transaction, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="no list 'elsewhere'"):
        run(tx, a_file(tmp_path, []), replace(PLAN, list_slug="elsewhere"))


def test_many_rows_in_several_batches(tx: Transaction, tmp_path: Path) -> None:
    rows = [a_row(f"r{number}@fjell.no", "unsubscribed" if number % 10 == 0 else "active") for number in range(2_500)]
    seen = []
    done = run(tx, a_file(tmp_path, [*rows, a_row("R2499@fjell.no", "spam")]), on_batch=lambda: seen.append(1))
    assert len(seen) == 3
    assert done.suppressed == 251
    assert done.tally.total(ImportVerdict.MAILABLE) == 2_249
    assert len([row for row in rows_of(tx, done.import_id) if row.sealed]) == 2_249
    assert tx.session.scalars(select(Subscriber)).all() == []
    assert tx.session.scalars(select(ConsentEvent)).all() == []
    assert MailKind.REPERMISSION not in mails(tx)
