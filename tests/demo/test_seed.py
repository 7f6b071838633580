"""The seeded readers: every state, each with the evidence for it, the same ones every time."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from service.demo import seed
from service.demo.readers import NUMBER, SHARES, Fate, fictional_readers
from service.demo.servers import Postgres
from service.demo.state import DemoState
from service.domain.addresses import parse_address
from service.domain.letters import Publisher
from service.domain.tokens import Keys
from service.domain.words import ConsentState, Language, Purpose, Role, SubscriptionState
from service.store import consent, suppressions
from service.store import engine as store_engine
from service.store.schema import Article, ConsentEvent, Delivery, MailedArticle, Source, Subscriber, Subscription
from service.store.transaction import Transaction
from service.usecases import wording
from service.usecases.access import find_operator
from tests.conftest import database_copy
from tests.usecases.builders import personal

TOPICS = ("running", "gym", "injury", "nutrition", "race-day", "gear")
PUBLISHER = Publisher(
    name="Fjellsko Sport AS",
    postal_address="Løypa 1, 0000 Fjellby, Norway",
    contact="privacy@fjellsko.example",
    site_url="http://localhost:8027",
    public_url="http://localhost:8025",
    sender_name="Fjellsko Training Hub",
    sender_address="training@fjellsko.example",
    reply_to=None,
    bounce_domain="bounces.fjellsko.example",
    own_hosts=frozenset({"localhost"}),
)
KEYS = Keys("b7Q2xk9ZpL4vT1mWc8RdYh3NfJs6AeGu")


@pytest.fixture(scope="module")
def seeded(postgres: Postgres, template: tuple[str, str]) -> Iterator[Transaction]:
    """Seeded once for all these tests, in a database of its own; nothing is committed."""
    with database_copy(postgres, template) as (_, app):
        engine = store_engine.create(app, "tests")
        with Session(engine, expire_on_commit=False) as session:
            tx = Transaction(session, datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
            _add_articles(tx)
            assert seed._add_readers(tx, KEYS) == NUMBER
            yield tx
            session.rollback()
        engine.dispose()


def _add_articles(tx: Transaction) -> None:
    wording.publish(tx, PUBLISHER)
    list_id = wording.get_form(tx, "hub", Language.EN).list_id
    source = Source(slug="s", list_id=list_id, location="x", topic_map={})
    tx.session.add(source)
    tx.session.flush()
    for language in Language:
        for number, days_ago in enumerate((1, 60)):
            tx.session.add(
                Article(
                    source_id=source.id,
                    guid=f"{language}{number}",
                    canonical_url=f"http://localhost/{language}/{number}",
                    url_key=f"localhost/{language}/{number}",
                    title="T",
                    summary="S",
                    language=language,
                    published_at=tx.now - timedelta(days=days_ago),
                )
            )
    tx.session.flush()


def reader_ids(tx: Transaction, fate: Fate) -> list[int]:
    addresses = [r.address for r in fictional_readers(TOPICS) if r.fate is fate]
    return list(tx.session.scalars(select(Subscriber.id).where(Subscriber.address.in_(addresses))))


def states(tx: Transaction, fate: Fate) -> set[SubscriptionState]:
    ids = reader_ids(tx, fate)
    assert ids
    return set(tx.session.scalars(select(Subscription.state).where(Subscription.subscriber_id.in_(ids))))


def test_the_same_readers_every_time_in_each_language_of_the_hub_from_every_domain() -> None:
    readers = list(fictional_readers(TOPICS))
    assert readers == list(fictional_readers(TOPICS))
    assert len({r.address for r in readers}) == len(readers) == NUMBER
    assert {r.language for r in readers} == set(seed.FEEDS)
    assert {topic for r in readers for topic in r.topics} == set(TOPICS)
    assert all(r.address.endswith((".example", ".test")) for r in readers)
    assert all(parse_address(r.address, reserved=True).dedupe_key == r.address for r in readers)
    counted = Counter(r.fate for r in readers)
    assert all(counted[fate] == share for fate, share in SHARES)
    assert counted[Fate.ACTIVE] > 200


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        (Fate.ACTIVE, SubscriptionState.ACTIVE),
        (Fate.KNOWS_ALL, SubscriptionState.ACTIVE),
        (Fate.PAUSED, SubscriptionState.ACTIVE),
        (Fate.BOUNCED, SubscriptionState.ACTIVE),
        (Fate.UNSUBSCRIBED, SubscriptionState.UNSUBSCRIBED),
        (Fate.UNCONFIRMED, SubscriptionState.PENDING),
    ],
)
def test_every_fate_has_its_subscriptions(seeded: Transaction, fate: Fate, expected: SubscriptionState) -> None:
    assert states(seeded, fate) == {expected}


def test_every_state_follows_from_events_with_evidence_and_words(seeded: Transaction) -> None:
    (reader,) = reader_ids(seeded, Fate.UNSUBSCRIBED)[:1]
    events = [e for e in consent.list_events(seeded, reader) if e.purpose is Purpose.DIGEST]
    assert [e.state for e in events] == [ConsentState.REQUESTED, ConsentState.GIVEN, ConsentState.WITHDRAWN]
    assert sorted(e.occurred_at for e in events) == [e.occurred_at for e in events]
    assert events[0].occurred_at < seeded.now - timedelta(days=1)
    for event in events[:2]:
        assert event.statement_id
        assert event.notice_id
        assert event.form_id
        assert event.signup_id
    requested, given = (personal(seeded, event) for event in events[:2])
    assert "ip" not in requested
    assert given["ip"] == given["request"]["ip"] == "203.0.113.7"


def test_bounced_and_paused_readers(seeded: Transaction) -> None:
    bounced = seeded.session.scalars(select(Subscriber).where(Subscriber.id.in_(reader_ids(seeded, Fate.BOUNCED))))
    list_id = wording.get_form(seeded, "hub", Language.EN).list_id
    assert all(suppressions.list_reasons(seeded, reader.address_hmac, list_id) for reader in bounced)
    paused = seeded.session.scalars(select(Subscriber).where(Subscriber.paused_until > seeded.now)).all()
    assert {reader.id for reader in paused} == set(reader_ids(seeded, Fate.PAUSED))


def test_histories(seeded: Transaction) -> None:
    def known(fate: Fate) -> set[int]:
        rows = seeded.session.execute(
            select(MailedArticle.subscriber_id, func.count())
            .where(MailedArticle.subscriber_id.in_(reader_ids(seeded, fate)), MailedArticle.delivery_id.is_(None))
            .group_by(MailedArticle.subscriber_id)
        )
        return {count for _, count in rows}

    assert known(Fate.KNOWS_ALL) == {2}, "both articles in their language"
    assert known(Fate.KNOWS_SOME) == {1}, "the old one"
    assert known(Fate.ACTIVE) == set()


def test_nobody_is_mailed_by_it_and_repeating_adds_nothing(seeded: Transaction) -> None:
    assert seeded.session.scalar(select(func.count()).select_from(Delivery)) == 0
    assert seeded.hints == []
    before = seeded.session.scalar(select(func.count()).select_from(ConsentEvent))
    assert seed._add_readers(seeded, KEYS) == 0
    assert seeded.session.scalar(select(func.count()).select_from(ConsentEvent)) == before


def test_the_token_of_a_demo_that_an_older_version_made_is_replaced(tx: Transaction, tmp_path: Path) -> None:
    state = DemoState(tmp_path)
    seed._add_token(tx, state)
    first = state.secret("api_token")
    seed._add_token(tx, state)
    assert state.secret("api_token") == first
    tx.session.execute(text("UPDATE api_tokens SET roles = '{}'"))
    tx.session.expire_all()
    seed._add_token(Transaction(tx.session, tx.now + timedelta(days=1)), state)
    operator = find_operator(tx, state.secret("api_token"))
    assert operator is not None
    assert operator.roles == {Role.CAMPAIGN}
