"""`milepost privacy …`, as an operator runs it: erase, forget again, retention, records, breach, requests, report."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from service.bootstrap import Container, build_container
from service.domain.words import PrivacyRequestKind
from service.errors import ConfigurationError
from service.settings import Settings
from service.store import privacy_requests, subscribers
from service.store.schema import AuditEntry, Base, Subscriber
from service.texts import templates_dir
from service.usecases import subscribing
from service.web.app import from_environment
from tests.cli.conftest import Milepost
from tests.usecases.builders import BUTTON_EVIDENCE, FORM_EVIDENCE, KEYS, a_request, confirm_token

REASON = "letter of 2 March"


@pytest.fixture
def container(house: Settings) -> Iterator[Container]:
    built = build_container(house)
    yield built
    built.engine.dispose()


@pytest.fixture
def reader(container: Container) -> int:
    return a_reader(container, "anna@fjell.no")


def a_reader(container: Container, address: str) -> int:
    with container.transaction() as tx:
        signup_id = subscribing.receive_signup(tx, KEYS, a_request(tx, address), FORM_EVIDENCE)
    with container.transaction() as tx:
        subscribing.process_signups(tx, KEYS.ledger, timedelta(hours=72))
    with container.transaction() as tx:
        subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)
        return tx.session.scalars(select(Subscriber.id).where(Subscriber.dedupe_key == address)).one()


def acts(container: Container) -> list[tuple[str, str, str]]:
    with container.transaction() as tx:
        return [(e.actor, e.act, e.reason) for e in tx.session.scalars(select(AuditEntry).order_by(AuditEntry.id))]


@pytest.mark.requirement("D-15")
def test_erase_shows_first_and_does_it_when_told_so(milepost: Milepost, container: Container, reader: int) -> None:
    shown = milepost("privacy", "erase", "Anna@FJELL.no", "--reason", REASON, "--json")
    assert shown.code == 0, shown.err
    assert shown.document["erased"] is False
    assert shown.document["held"]["profile"] == 1
    assert shown.document["held"]["queued_mails"] == 2
    assert acts(container) == []
    said = milepost("privacy", "erase", "anna@fjell.no", "--reason", REASON)
    assert "Nothing was erased" in said.err
    done = milepost("privacy", "erase", "anna@fjell.no", "--reason", REASON, "--yes", "--json")
    assert done.code == 0, done.err
    assert (done.document["erased"], done.document["number"], done.document["subscriber_id"]) == (True, 1, reader)
    assert acts(container) == [("ada", "erasure_ordered", REASON)]
    with container.transaction() as tx:
        assert subscribers.find_subscriber(tx, reader) is None
        assert privacy_requests.list_open(tx) == []
    again = milepost("privacy", "erase", "anna@fjell.no", "--reason", REASON, "--yes", "--json")
    assert (again.code, again.document["error"]["code"]) == (1, "nobody_known")


@pytest.mark.requirement("D-15")
def test_erase_names_the_processors_that_have_to_be_asked(milepost: Milepost, reader: int) -> None:
    done = milepost("privacy", "erase", "anna@fjell.no", "--reason", REASON, "--yes")
    assert "number 1" in done.out
    assert "Also erase the address at Mail catcher of the demo (your own" in done.err


@pytest.mark.parametrize("reason", ["", "x", "anna@fjell.no asked"])
def test_erasing_without_a_reason_is_refused_and_nothing_happens(
    milepost: Milepost, container: Container, reader: int, reason: str
) -> None:
    ran = milepost("privacy", "erase", "anna@fjell.no", "--reason", reason, "--yes", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "reason_missing")
    with container.transaction() as tx:
        assert subscribers.find_subscriber(tx, reader) is not None
        assert privacy_requests.list_open(tx) == []


def test_forget_again_says_how_much_there_was_to_do(milepost: Milepost, container: Container, reader: int) -> None:
    milepost("privacy", "erase", "anna@fjell.no", "--reason", REASON, "--yes")
    with container.transaction() as tx:
        tx.session.execute(text("DELETE FROM erasures"))  # a database that does not know
    refused = milepost("web")
    assert refused.code == 3
    assert "milepost privacy forget-again" in refused.err
    assert milepost("worker", "--lane", "bulk").code == 3
    assert milepost("beat").code == 3
    with pytest.raises(ConfigurationError, match="forget-again"):
        from_environment()  # what a web server starts, however it is started
    ran = milepost("privacy", "forget-again", "--reason", "backup of Monday", "--json")
    assert ran.document == {"forgotten_again": 1}
    assert milepost("privacy", "forget-again", "--reason", "backup of Monday", "--json").document == {
        "forgotten_again": 0
    }


@pytest.mark.requirement("D-13")
def test_requests_show_what_is_due_and_fail_when_it_is_overdue(
    milepost: Milepost, container: Container, reader: int
) -> None:
    assert "Nobody waits" in milepost("privacy", "requests").err
    with container.transaction() as tx:
        privacy_requests.add_request(tx, PrivacyRequestKind.ACCESS, reader, asked_by="letter")
    waiting = milepost("privacy", "requests", "--json")
    assert waiting.code == 0
    assert [(r["kind"], r["subscriber_id"], r["overdue"]) for r in waiting.document] == [("access", reader, False)]
    with container.transaction() as tx:
        tx.session.execute(text("UPDATE privacy_requests SET due_at = due_at - interval '40 days'"))
    late = milepost("privacy", "requests")
    assert late.code == 1
    assert "OVERDUE" in late.out
    findings = {f["check"]: f for f in milepost("doctor", "--json").document["findings"]}
    assert findings["privacy requests"]["verdict"] == "fault"


@pytest.mark.requirement("D-19")
def test_retention_is_shown_with_counts_and_enforced_when_told_so(
    milepost: Milepost, container: Container, reader: int
) -> None:
    with container.transaction() as tx:
        tx.session.execute(text("UPDATE signups SET created_at = created_at - interval '8 days'"))
    shown = milepost("privacy", "retention", "--json").document
    due = {rule["id"]: rule["due"] for rule in shown["rules"]}
    assert due["unconfirmed_signups"] == 1
    assert {kept["id"] for kept in shown["kept"]} >= {"article_histories", "suppressions", "web_access_log"}
    table = milepost("privacy", "retention").out
    assert "unconfirmed_signups" in table
    done = milepost("privacy", "retention", "--enforce", "--json").document["acted_on"]
    assert done["unconfirmed_signups"] == 1
    assert milepost("privacy", "retention", "--json").document["rules"][0]["due"] == 0


@pytest.mark.requirement("D-21")
def test_the_record_of_processing_activities_is_whole(milepost: Milepost, house: Settings) -> None:
    """GDPR 30(1) (a) to (g), with the processors of Art. 28 and notes for Art. 35."""
    records = milepost("privacy", "records", "--json").document
    assert records["controller"]["name"] == "Fjellsko Sport AS"
    for activity in records["activities"]:
        assert all(activity[key] for key in ("name", "purpose", "legal_basis", "subjects", "data", "recipients"))
        assert activity["retention"]
    (processor,) = records["processors"]
    assert (processor["reuse_of_data"], processor["contract"]) == ("none", "self-operated")
    assert processor["sees"] == ["addresses", "content of mails"]
    assert len(records["security_measures"]) > 5
    assert all(risk["measure"] and risk["left"] for risk in records["impact_assessment"]["risks"])
    page = milepost("privacy", "records", "--markdown").out
    assert page.startswith("# Record of processing activities")
    for activity in records["activities"]:
        assert f"## {activity['name']}" in page
    assert "Mail catcher of the demo" in page


NOT_PERSONAL = {
    "article_topics", "articles", "campaign_watches", "campaigns", "contexts", "digests", "form_snapshots", "forms",
    "issues", "lists", "mail_templates", "notices", "operator_mails", "operator_notices", "relay_troubles",
    "retention_runs", "revisions", "runs", "sending_rate", "sources", "statements", "topics", "worker_processes",
}  # fmt: skip


@pytest.mark.requirement("D-21")
def test_every_table_is_in_the_record_or_holds_nothing_personal(container: Container) -> None:
    named = {table for activity in container.activities.activities for table in activity.tables}
    assert named.isdisjoint(NOT_PERSONAL)
    assert named | NOT_PERSONAL == set(Base.metadata.tables), "Say in templates/privacy/activities.toml what it is for."
    rules = {rule for activity in container.activities.activities for rule in activity.retention}
    retention = container.retention
    assert rules == {rule.id for rule in retention.rules} | {kept.id for kept in retention.kept}


@pytest.mark.requirement("D-23")
def test_whom_a_breach_concerns_by_what_operators_did(milepost: Milepost, container: Container, reader: int) -> None:
    """The audit log of a window gives the exact set; 72 hours run from when it was known."""
    readers = [a_reader(container, f"reader{n}@fjell.no") for n in range(4)]
    with container.transaction() as tx:
        for at, actor, act, details in (
            ("2026-03-01 10:00+00", "eve", "access_export", {"subscriber_id": readers[0]}),
            ("2026-03-01 11:00+00", "eve", "consent_proof", {"subjects": [readers[1], reader]}),
            ("2026-03-01 12:00+00", "ada", "access_export", {"subscriber_id": readers[2]}),
            ("2026-03-05 10:00+00", "eve", "access_export", {"subscriber_id": readers[3]}),
        ):
            tx.session.execute(
                text(
                    "INSERT INTO audit_entries (at, actor, act, reason, details) VALUES (:at, :actor, :act, 'why', :d)"
                ),
                {"at": at, "actor": actor, "act": act, "d": json.dumps(details)},
            )
    window = ("--since", "2026-03-01", "--until", "2026-03-02", "--reason", "stolen token")
    known = ("--known-at", "2024-03-02T09:00")
    by_eve = milepost("privacy", "affected", *window, *known, "--touched-by", "eve", "--json").document
    assert by_eve["subjects"] == sorted([readers[0], readers[1], reader])
    assert by_eve["authority_due_at"] == "2024-03-05T09:00:00+00:00"
    by_all = milepost("privacy", "affected", *window, "--touched-by", "anybody", "--json").document
    assert by_all["subjects"] == sorted([readers[0], readers[1], readers[2], reader])
    assert [act for _, act, _ in acts(container)][-1] == "breach_list"


@pytest.mark.requirement("D-23")
@pytest.mark.parametrize(
    ("window", "known", "code"),
    [
        (("2026-03-01", "2026-03-02"), "9999-12-31", "known_in_future"),
        (("2026-03-01", "2026-03-02"), "9999-01-01T00:00:00", "known_in_future"),
        (("2026-03-02", "2026-03-01"), "2024-03-02", "window_reversed"),
    ],
)
def test_times_of_a_breach_that_cannot_be_are_refused(
    milepost: Milepost, container: Container, window: tuple[str, str], known: str, code: str
) -> None:
    since, until = window
    ran = milepost(
        *("privacy", "affected", "--since", since, "--until", until),
        *("--known-at", known, "--reason", "stolen token", "--json"),
    )
    assert (ran.code, ran.document["error"]["code"]) == (1, code)
    assert "breach_list" not in [act for _, act, _ in acts(container)]


@pytest.mark.requirement("D-23")
def test_a_breach_of_all_time_can_be_asked_about(milepost: Milepost, reader: int) -> None:
    window = ("--since", "0001-01-01", "--until", "9999-12-31T23:59:59")
    found = milepost("privacy", "affected", *window, "--known-at", "0001-01-01", "--reason", "stolen token", "--json")
    assert (found.code, found.document["subjects"]) == (0, [reader])


@pytest.mark.requirement("D-23")
def test_whom_a_copy_of_the_database_concerns(milepost: Milepost, container: Container, reader: int) -> None:
    """Everybody held at some moment of the window: also who is erased by now, not who was erased before it."""
    gone, stays = a_reader(container, "gone@fjell.no"), a_reader(container, "stays@fjell.no")
    milepost("privacy", "erase", "gone@fjell.no", "--reason", REASON, "--yes")
    with container.transaction() as tx:
        tx.session.execute(
            text("UPDATE subscribers SET created_at = now() + interval '2 days' WHERE id = :i"), {"i": stays}
        )
    today = container.clock.now()
    window = ("--since", f"{today - timedelta(days=1):%Y-%m-%d}", "--until", f"{today + timedelta(days=1):%Y-%m-%d}")
    shown = milepost("privacy", "affected", *window, "--reason", "disk lost", "--addresses", "--json").document
    assert shown["subjects"] == [{"id": reader, "address": "anna@fjell.no"}, {"id": gone, "address": None}]
    assert "anna" not in milepost("privacy", "affected", *window, "--reason", "disk lost").out
    tomorrow = f"{today + timedelta(days=1):%Y-%m-%d}"
    shown = milepost("privacy", "affected", "--since", tomorrow, "--until", tomorrow, "--reason", "disk lost", "--json")
    assert shown.document["subjects"] == [reader]


def test_the_report_is_one_page(milepost: Milepost, container: Container, reader: int) -> None:
    milepost("privacy", "erase", "anna@fjell.no", "--reason", REASON, "--yes")
    report = milepost("privacy", "report", "--json").document
    assert report["held"]["erasures"] == 1
    assert report["held"]["readers"] == 0
    assert report["suppressions"] == {"erased": 1}
    assert report["erasure_log"] == "agree"
    assert report["requests"] == []
    assert report["ledger"]["events_since"] == 3
    assert report["acts_of_30_days"] == {"erasure_ordered": 1}
    assert {rule["id"] for rule in report["retention"]} == {rule.id for rule in container.retention.rules}
    page = milepost("privacy", "report").out
    for words in ("readers", "erased", "Erasures: 1; log and database agree", "no checkpoint yet", "Mail catcher"):
        assert words in page


def test_rotating_the_key_of_fingerprints(
    milepost: Milepost, container: Container, reader: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = milepost("privacy", "rotate-address-key", "--reason", "yearly rotation", "--json")
    assert (refused.code, refused.document["error"]["code"]) == (1, "address_key_current")
    monkeypatch.setenv("MILEPOST_ADDRESS_KEYS", "9fQm2LxZr7TnVb4KdYw8HsJc3PgAe6Ru")
    assert milepost("web").code == 3
    done = milepost("privacy", "rotate-address-key", "--reason", "yearly rotation", "--json")
    assert done.code == 0, done.err
    assert done.document["version"] == 2
    erased = milepost("privacy", "erase", "anna@fjell.no", "--reason", REASON, "--yes", "--json")
    assert erased.document["subscriber_id"] == reader


@pytest.mark.parametrize("keys", ["q7Rw", "a" * 40, ",".join(["9fQm2LxZr7TnVb4KdYw8HsJc3PgAe6Ru"] * 2)])
def test_keys_that_are_no_keys_stop_the_start(milepost: Milepost, house: Settings, monkeypatch, keys: str) -> None:
    monkeypatch.setenv("MILEPOST_ADDRESS_KEYS", keys)
    ran = milepost("privacy", "report")
    assert ran.code == 3
    assert "MILEPOST_ADDRESS_KEYS" in ran.err
    assert keys not in ran.err


def test_templates_of_privacy_are_in_the_package() -> None:
    assert {path.name for path in (templates_dir() / "privacy").iterdir()} == {"activities.toml", "retention.toml"}
