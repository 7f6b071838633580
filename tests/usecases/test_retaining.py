"""Retention by the clock: what each rule acts on and leaves, counted beforehand (D-18, D-19, D-20, D-12)."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from service.domain.evidence import Evidence
from service.domain.retention import PROFILE_ENDED, parse_retention
from service.domain.words import (
    CampaignStatus,
    Channel,
    ConsentState,
    DeliveryStatus,
    ImportVerdict,
    Lane,
    Language,
    PrivacyRequestKind,
    Purpose,
    SignupState,
    SubscriptionState,
)
from service.mail.writer import Writer
from service.store import consent, privacy_requests, subscribers, suppressions
from service.store import retention as store_retention
from service.store.append_only import AppendOnlyFile
from service.store.consent import NewEvent
from service.store.reports import get_campaign_report
from service.store.schema import (
    Article,
    Attempt,
    ConfirmationMail,
    Delivery,
    Erasure,
    Import,
    ImportRow,
    MailedArticle,
    Signup,
    Source,
)
from service.texts import templates_dir
from service.usecases import holding, proving, subscribing, unsubscribing
from service.usecases.dispatching import send_due
from service.usecases.holding import render_json
from service.usecases.retaining import retain
from service.usecases.steps.retention_state import get_retention, get_silent
from tests.builders import a_campaign
from tests.conftest import FrozenClock
from tests.traces import find_traces
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    KEYS,
    PUBLISHER,
    a_reader,
    a_request,
    confirm_token,
    decided,
    personal,
    sign_up,
    unsubscribe_token,
)
from tests.usecases.erasures import a_delivery, an_import, dump
from tests.usecases.sending import a_sender

RULES = parse_retention((templates_dir() / "privacy" / "retention.toml").read_text(encoding="utf-8")).rules
ADDRESS = "Zoe.Quillfeather+Trail@Fjell.no"


def run(transaction) -> dict[str, int]:
    """One round of every rule; what the dry run said before is what was done."""
    with transaction() as tx:
        said = {state.id: state.due for state in get_retention(tx, RULES)}
    done = retain(transaction, KEYS.ledger, RULES, all_rules=True)
    assert {rule: n for rule, n in done.items() if n} == {rule: n for rule, n in said.items() if n}
    return {rule: n for rule, n in done.items() if n}


@pytest.mark.requirement("D-18")
@pytest.mark.requirement("D-19")
def test_an_unconfirmed_sign_up_is_gone_after_seven_days(transaction, connection, clock: FrozenClock):
    """Form, subscriber, key: nothing that could be matched stays but counters, and these for a month."""
    with transaction() as tx:
        signup = sign_up(tx, ADDRESS, first_name="Zoe Quillfeather")
        reader = decided(tx, signup).subscriber_id
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE))
    clock.advance(days=6)
    assert run(transaction) == {}
    assert find_traces(dump(connection), ADDRESS)
    clock.advance(days=1)
    with transaction() as tx:
        said = {state.id: state.due for state in get_retention(tx, RULES)}
    assert (said["unconfirmed_signups"], said["unconfirmed_readers"]) == (1, 1)
    retain(transaction, KEYS.ledger, RULES)
    assert find_traces(dump(connection), ADDRESS) == []
    assert b"Quillfeather" not in dump(connection)
    with transaction() as tx:
        assert consent.find_subject_key(tx, KEYS.ledger, reader) is None
        events = consent.list_events(tx, reader)
        assert [(e.state, e.channel, e.address_hmac) for e in events] == [
            (ConsentState.REQUESTED, Channel.FORM, None),
            (ConsentState.EXPIRED, Channel.SWEEP, None),
        ]
        assert not suppressions.is_suppressed(tx, KEYS.address_hmac(ADDRESS.lower())), "nobody asked for silence"
        assert tx.session.scalar(select(func.count()).select_from(Erasure)) == 0
        counter = tx.session.scalars(select(Signup)).one()
        assert (counter.state, counter.mailed) == (SignupState.EXPIRED, True)
        assert counter.abuse_hmac == KEYS.address_hmac("zoe.quillfeather@fjell.no"), "still counted (E-05)"
        assert subscribing.confirm_subscription(
            tx, KEYS, confirm_token(signup), BUTTON_EVIDENCE
        ) == subscribing.ConfirmationExpired(Language.EN)
    clock.advance(days=23)
    assert run(transaction) == {"signup_counters": 1}
    with transaction() as tx:
        assert tx.session.scalars(select(Signup)).all() == []


@pytest.mark.requirement("D-18")
def test_who_confirmed_keeps_what_the_proof_needs_and_nothing_more(transaction, clock: FrozenClock):
    """The sign-up's own fields go all the same; the consent events hold them, encrypted."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS, first_name="Zoe")
    clock.advance(days=8)
    assert run(transaction) == {"unconfirmed_signups": 1}
    with transaction() as tx:
        signup = tx.session.scalars(select(Signup)).one()
        assert (signup.address, signup.entered, signup.ip, signup.state) == (None, None, None, SignupState.CONFIRMED)
        assert consent.find_subject_key(tx, KEYS.ledger, reader) is not None
        subscriber = subscribers.find_subscriber(tx, reader)
        assert (subscriber.address, subscriber.first_name) == (ADDRESS.replace("Fjell", "fjell"), "Zoe")


@pytest.mark.requirement("D-18")
def test_what_a_stranger_asked_in_a_readers_name_is_gone_after_seven_days_too(
    transaction, connection, clock: FrozenClock
):
    """The reader's own key lives on, so nothing of the stranger may be encrypted with it."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=Writer(PUBLISHER, KEYS).write))
    clock.advance(days=30)
    run(transaction)
    stranger = Evidence("198.51.100.66", "Strangerfox/7", "https://strange.example/page")
    with transaction() as tx:
        request = a_request(tx, ADDRESS.swapcase(), purposes=("offers",))
        signup = decided(tx, subscribing.receive_signup(tx, KEYS, request, stranger))
        assert signup.state is SignupState.ASKED
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=Writer(PUBLISHER, KEYS).write))
    with transaction() as tx:
        [mail] = tx.session.scalars(select(ConfirmationMail)).all()
    clock.advance(days=6)
    assert run(transaction) == {}
    clock.advance(days=1)
    assert run(transaction) == {"unconfirmed_signups": 1, "unconfirmed_requests": 1}
    clock.advance(days=7)
    assert run(transaction) == {}, "once"
    with transaction() as tx:
        said = json.dumps([personal(tx, event) for event in consent.list_events(tx, reader)])
        exported = render_json(holding.get_held(tx, KEYS, reader), PUBLISHER, (), now=tx.now).decode()
        assert [(e.purpose, e.state, e.channel, e.actor) for e in consent.list_events(tx, reader)][2:] == [
            (Purpose.OFFERS, ConsentState.REQUESTED, Channel.FORM, "subscriber"),
            (Purpose.OFFERS, ConsentState.EXPIRED, Channel.SWEEP, "retention"),
        ]
        assert {s.purpose: s.state for s in subscribers.list_subscriptions(tx, reader)} == {
            Purpose.DIGEST: SubscriptionState.ACTIVE,
            Purpose.OFFERS: SubscriptionState.UNSUBSCRIBED,
        }
        assert tx.session.get(ConfirmationMail, mail.delivery_id) is None, "a mail that nobody answered proves nothing"
    for trace in ("198.51.100.66", "Strangerfox", "strange.example", ADDRESS.swapcase()):
        assert trace not in said + exported
        assert trace.encode() not in dump(connection)


@pytest.mark.requirement("D-18")
def test_the_confirmation_that_was_answered_stays_with_the_proof(transaction, clock: FrozenClock):
    with transaction() as tx:
        signup = decided(tx, sign_up(tx, ADDRESS))
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE, write=Writer(PUBLISHER, KEYS).write))
    with transaction() as tx:
        subscribing.confirm_subscription(tx, KEYS, confirm_token(signup.id), BUTTON_EVIDENCE)
    clock.advance(days=8)
    assert run(transaction) == {"unconfirmed_signups": 1}
    with transaction() as tx:
        assert len(tx.session.scalars(select(ConfirmationMail)).all()) == 1


def test_who_left_and_never_confirmed_coming_back_is_no_longer_waited_for(transaction, clock: FrozenClock):
    """Nor does a younger question end with an older one."""
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(reader, list_id), Channel.PAGE, BUTTON_EVIDENCE)
    clock.advance(days=2)
    with transaction() as tx:
        decided(tx, sign_up(tx, ADDRESS))
    clock.advance(days=3)
    with transaction() as tx:
        decided(tx, sign_up(tx, ADDRESS, purposes=("offers",)))
    clock.advance(days=4)
    assert run(transaction) == {"unconfirmed_signups": 2, "unconfirmed_requests": 1}
    with transaction() as tx:
        assert {s.purpose: s.state for s in subscribers.list_subscriptions(tx, reader)} == {
            Purpose.DIGEST: SubscriptionState.UNSUBSCRIBED,
            Purpose.OFFERS: SubscriptionState.PENDING,
        }
    clock.advance(days=3)
    assert run(transaction) == {"unconfirmed_signups": 1, "unconfirmed_requests": 1}


@pytest.mark.requirement("D-19")
def test_the_dry_run_is_right_also_when_rounds_were_missed(transaction, clock: FrozenClock):
    """What ends a person empties rows that other rules count: each acts on what it said it would."""
    with transaction() as tx:
        reader = a_reader(tx, "ben@fjell.no")
        decided(tx, sign_up(tx, ADDRESS))
    send_due(a_sender(transaction, clock, lane=Lane.INTERACTIVE))
    clock.advance(days=1)
    with transaction() as tx:
        tx.session.execute(text("UPDATE attempts SET text = 'Ok: queued'"))
        decided(tx, sign_up(tx, "ben@fjell.no", purposes=("offers",)))
    clock.advance(days=120)
    assert run(transaction) == {
        "unconfirmed_signups": 3,
        "unconfirmed_readers": 1,
        "unconfirmed_requests": 1,
        "signup_counters": 3,
        "relay_texts": 2,
        "send_log": 3,
    }
    with transaction() as tx:
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(reader, list_id), Channel.PAGE, BUTTON_EVIDENCE)
        decided(tx, sign_up(tx, "ben@fjell.no", purposes=("offers",)))
    clock.advance(days=1500)
    said = run(transaction)
    assert (said["unconfirmed_requests"], said.get("consent_proof")) == (1, None)


def test_asking_again_starts_the_week_anew(transaction, clock: FrozenClock):
    with transaction() as tx:
        reader = decided(tx, sign_up(tx, ADDRESS)).subscriber_id
    clock.advance(days=5)
    with transaction() as tx:
        decided(tx, sign_up(tx, ADDRESS))
    clock.advance(days=3)
    assert run(transaction) == {"unconfirmed_signups": 1}
    with transaction() as tx:
        assert subscribers.find_subscriber(tx, reader) is not None
    clock.advance(days=4)
    assert run(transaction) == {"unconfirmed_signups": 1, "unconfirmed_readers": 1}


@pytest.mark.requirement("D-19")
def test_the_send_log_forgets_its_readers_and_never_an_article_or_a_count(transaction, clock: FrozenClock):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS, purposes=("digest", "offers"))
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        campaign_id = a_campaign(tx, list_id=list_id, status=CampaignStatus.SENDING)
        mail = a_delivery(
            clock.now(), list_id, campaign_id=campaign_id, subscriber_id=reader, status=DeliveryStatus.QUEUED
        )
        test = a_delivery(clock.now(), list_id, test_address="ada@fjellsko.example", test_language=Language.EN)
        tx.session.add_all([mail, test])
        tx.session.flush()
        mail_id = mail.id
        an_article_by(tx, reader, mail_id)
    send_due(a_sender(transaction, clock))
    with transaction() as tx:
        tx.session.execute(text("UPDATE attempts SET text = 'queued for zoe@fjell.no'"))
        before = get_campaign_report(tx, campaign_id).buckets
    clock.advance(days=28)
    assert "relay_texts" not in run(transaction)
    clock.advance(days=2)
    assert run(transaction)["relay_texts"] == 1
    with transaction() as tx:
        attempt = tx.session.scalars(select(Attempt)).one()
        assert (attempt.text, attempt.code) == ("", 250)
    clock.advance(days=58)
    assert "send_log" not in run(transaction)
    clock.advance(days=2)
    assert run(transaction)["send_log"] == 2
    with transaction() as tx:
        row = tx.session.scalars(select(Delivery).where(Delivery.id == mail_id)).one()
        assert (row.subscriber_id, row.status) == (None, DeliveryStatus.ACCEPTED)
        assert tx.session.scalars(select(Delivery.test_address).where(Delivery.test_address.is_not(None))).all() == []
        assert get_campaign_report(tx, campaign_id).buckets == before
        known = tx.session.scalars(select(MailedArticle)).one()
        assert (known.subscriber_id, known.delivery_id) == (reader, None), "never twice outlives the send log"


def an_article_by(tx, reader: int, delivery_id: int) -> None:
    list_id = tx.session.scalars(text("SELECT id FROM lists LIMIT 1")).one()
    source = Source(slug="hub", list_id=list_id, location="http://localhost/feed")
    tx.session.add(source)
    tx.session.flush()
    article = Article(
        source_id=source.id,
        guid="a",
        canonical_url="http://localhost/a",
        url_key="localhost/a",
        title="A",
        summary="",
        language=Language.EN,
        published_at=tx.now,
    )
    tx.session.add(article)
    tx.session.flush()
    tx.session.add(MailedArticle(subscriber_id=reader, article_id=article.id, delivery_id=delivery_id))


def test_mail_that_has_not_left_is_not_forgotten_however_old(transaction, clock: FrozenClock):
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        campaign_id = a_campaign(tx, list_id=list_id, status=CampaignStatus.PAUSED)
        tx.session.add(
            a_delivery(
                clock.now(), list_id, campaign_id=campaign_id, subscriber_id=reader, status=DeliveryStatus.QUEUED
            )
        )
    clock.advance(days=200)
    run(transaction)
    with transaction() as tx:
        assert tx.session.scalars(select(Delivery.subscriber_id).where(Delivery.campaign_id == campaign_id)).all() == [
            reader
        ]


@pytest.mark.requirement("D-19")
@pytest.mark.requirement("D-20")
def test_the_proof_goes_three_years_after_the_consent_at_the_end_of_the_year(
    transaction, connection, clock: FrozenClock, tmp_path: Path
):
    """With it the network address and the browser, which nothing else holds (D-20)."""
    erasure_log = AppendOnlyFile(tmp_path / "erasures.jsonl")
    with transaction() as tx:
        reader = a_reader(tx, ADDRESS)
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        living = a_reader(tx, "ben@fjell.no")
    clock.advance(days=30)
    with transaction() as tx:
        unsubscribing.unsubscribe(tx, KEYS, unsubscribe_token(reader, list_id), Channel.PAGE, BUTTON_EVIDENCE)
    clock.advance(days=(clock.now().replace(year=2029, month=12, day=31) - clock.now()).days)
    run(transaction)
    with transaction() as tx:
        assert consent.find_subject_key(tx, KEYS.ledger, reader) is not None
    clock.advance(days=1)
    assert run(transaction) == {"consent_proof": 1}
    assert find_traces(dump(connection), ADDRESS) == []
    with transaction() as tx:
        assert consent.find_subject_key(tx, KEYS.ledger, reader) is None
        assert [e.state for e in consent.list_events(tx, reader)] == [
            ConsentState.REQUESTED,
            ConsentState.GIVEN,
            ConsentState.WITHDRAWN,
            ConsentState.EXPIRED,
        ]
        assert consent.list_events(tx, reader)[-1].actor == PROFILE_ENDED
        assert consent.find_subject_key(tx, KEYS.ledger, living) is not None, "while the consent lives"
        made = proving.prove(tx, KEYS, erasure_log, ADDRESS, actor="ada", reason="a letter years later")
    [subject] = made.proof["subjects"]
    assert subject["shredded"].startswith("The time for which the proof of this consent is kept was over")
    assert subject["events"][-1]["record"]["actor"] == PROFILE_ENDED


@pytest.mark.requirement("D-20")
def test_evidence_stands_nowhere_in_clear_but_in_a_fresh_sign_up(transaction, connection, clock: FrozenClock):
    """The event's copy is encrypted with the subject's key; a superuser who reads every table finds no address of a
    network."""
    with transaction() as tx:
        a_reader(tx, ADDRESS)
    clock.advance(days=8)
    run(transaction)
    for evidence in (b"203.0.113.7", b"203.0.113.8", b"Firefox", b"Safari"):
        assert evidence not in dump(connection)


@pytest.mark.requirement("D-19")
def test_quarantine_and_answered_requests_end_too(transaction, clock: FrozenClock):
    with transaction() as tx:
        reader = a_reader(tx)
        list_id = subscribers.list_subscriptions(tx, reader)[0].list_id
        an_import(tx, list_id, b"somebody")
        tx.session.execute(text("UPDATE imports SET created_at = :now"), {"now": tx.now})
        privacy_requests.add_request(tx, PrivacyRequestKind.ACCESS, reader, asked_by="subscriber")
        privacy_requests.mark_done(tx, reader)
    clock.advance(days=180)
    assert run(transaction)["import_rows"] == 1
    with transaction() as tx:
        assert tx.session.execute(select(ImportRow.sealed, ImportRow.address_hmac)).all() == [(None, None)]
        assert len(tx.session.scalars(select(Import)).all()) == 1
    clock.advance(days=365 * 4)
    assert run(transaction)["privacy_requests"] == 1


def test_a_time_that_is_over_takes_nobody_out_of_an_import(transaction, clock: FrozenClock):
    """Whoever never confirmed a form may still wait in the quarantine of an import: nobody asked to be forgotten."""
    with transaction() as tx:
        decided(tx, sign_up(tx, ADDRESS))
        list_id = tx.session.scalars(text("SELECT id FROM lists LIMIT 1")).one()
        an_import(tx, list_id, KEYS.address_hmac(ADDRESS.lower()))
        tx.session.execute(text("UPDATE imports SET created_at = :now"), {"now": tx.now})
    clock.advance(days=8)
    assert run(transaction) == {"unconfirmed_signups": 1, "unconfirmed_readers": 1}
    with transaction() as tx:
        row = tx.session.scalars(select(ImportRow)).one()
        assert (row.verdict, row.sealed is None) == (ImportVerdict.MAILABLE, False)


def test_more_than_one_batch(transaction, clock: FrozenClock, monkeypatch):
    monkeypatch.setattr(store_retention, "BATCH", 2)
    with transaction() as tx:
        for number in range(5):
            decided(tx, sign_up(tx, f"reader{number}@fjell.no"))
    clock.advance(days=8)
    assert run(transaction) == {"unconfirmed_signups": 5, "unconfirmed_readers": 5}


def test_each_rule_has_its_round_and_says_when_it_last_ran(transaction, clock: FrozenClock):
    assert set(retain(transaction, KEYS.ledger, RULES)) == {rule.id for rule in RULES}
    assert retain(transaction, KEYS.ledger, RULES) == {}
    clock.advance(hours=1)
    assert set(retain(transaction, KEYS.ledger, RULES)) == {rule.id for rule in RULES if rule.every_hours == 1}
    with transaction() as tx:
        by_id = {state.id: state for state in get_retention(tx, RULES)}
    assert by_id["signup_counters"].last_run_at == clock.now()
    assert by_id["send_log"].last_run_at == clock.now() - timedelta(hours=1)


@pytest.mark.requirement("D-12")
def test_silent_readers_are_named_after_24_and_36_months_and_nothing_is_done_to_them(transaction, clock: FrozenClock):
    with transaction() as tx:
        silent, alive = a_reader(tx), a_reader(tx, "ben@fjell.no")
        list_id = subscribers.list_subscriptions(tx, silent)[0].list_id
    clock.advance(days=700)
    with transaction() as tx:
        assert list(get_silent(tx).review) == []
        signs = NewEvent(
            subscriber_id=alive,
            list_id=list_id,
            purpose=Purpose.OFFERS,
            state=ConsentState.GIVEN,
            channel=Channel.CONFIRMATION,
        )
        consent.append(tx, KEYS.ledger, signs)
    clock.advance(days=32)
    with transaction() as tx:
        found = get_silent(tx)
        assert (list(found.review), list(found.ended)) == ([silent], [])
    clock.advance(days=366)
    with transaction() as tx:
        assert list(get_silent(tx).ended) == [silent]
        assert consent.get_active_purposes(tx, silent, list_id) == {Purpose.DIGEST}
        assert tx.session.scalar(select(func.count()).select_from(Delivery).where(Delivery.created_at == tx.now)) == 0
