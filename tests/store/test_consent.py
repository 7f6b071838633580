"""The ledger: `append` writes the event and what follows from it, and nothing else writes either."""

import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from service.domain.evidence import Evidence
from service.domain.ledger import decrypt
from service.domain.subscriptions import state_after
from service.domain.words import Channel, ConsentState, Language, Purpose, SubscriptionState
from service.store import consent, lists, subscribers
from service.store.consent import NewEvent
from service.store.schema import ConsentEvent, Subscription
from service.store.transaction import Transaction
from tests.conftest import FrozenClock
from tests.usecases.builders import KEYS


def a_list(tx: Transaction, slug: str = "training") -> int:
    return lists.add_list(tx, slug, {Language.EN: slug, Language.DE: slug}, f"{slug}.lists.fjell.no")


def a_subscriber(tx: Transaction, name: str = "anna") -> int:
    return subscribers.add_subscriber(
        tx,
        address=f"{name}@fjell.no",
        dedupe_key=f"{name}@fjell.no",
        address_hmac=name.encode(),
        language=Language.EN,
    )


def rebuild(tx: Transaction) -> dict[tuple[int, int, Purpose], tuple[SubscriptionState, int]]:
    """What the subscriptions have to be, from the events alone."""
    states: dict[tuple[int, int, Purpose], tuple[SubscriptionState, int]] = {}
    for event in tx.session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)):
        key = (event.subscriber_id, event.list_id, event.purpose)
        before = states[key][0] if key in states else None
        states[key] = (state_after(event.state, before), event.id)
    return states


def stored(tx: Transaction) -> dict[tuple[int, int, Purpose], tuple[SubscriptionState, int]]:
    rows = tx.session.scalars(select(Subscription).execution_options(populate_existing=True))
    return {(s.subscriber_id, s.list_id, s.purpose): (s.state, s.event_id) for s in rows}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["anna", "ben"]),
            st.sampled_from(["training", "club"]),
            st.sampled_from(Purpose),
            st.sampled_from(ConsentState),
        ),
        max_size=12,
    )
)
def test_subscriptions_follow_from_events(tx, moves):
    """D-01: the state is derived. Any sequence of events, rebuilt from nothing, gives the stored subscriptions."""
    for reader, of_list, purpose, state in moves:
        consent.append(
            tx,
            KEYS.ledger,
            NewEvent(
                subscriber_id=a_subscriber(tx, reader),
                list_id=a_list(tx, of_list),
                purpose=purpose,
                state=state,
                channel=Channel.FORM,
            ),
        )
    assert stored(tx) == rebuild(tx)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(Purpose), st.sampled_from(ConsentState)), max_size=8))
def test_pasts_appended_at_once_follow_the_same_rule(tx, clock, moves):
    """As one by one: states, the event each follows from, and when consent was last given."""
    list_id = a_list(tx)
    one_by_one, at_once = (a_subscriber(tx, f"reader{len(stored(tx))}-{tx.now.timestamp()}{x}") for x in "ab")
    pasts = []
    for number, (purpose, state) in enumerate(moves):
        event = {"list_id": list_id, "purpose": purpose, "state": state, "channel": Channel.FORM}
        event["occurred_at"] = clock.now() + timedelta(minutes=number)
        consent.append(tx, KEYS.ledger, NewEvent(subscriber_id=one_by_one, **event))
        pasts.append(NewEvent(subscriber_id=at_once, **event))
    consent.append_many(tx, KEYS.ledger, pasts)
    assert stored(tx) == rebuild(tx)
    given = [
        {s.purpose: (s.state, s.given_at) for s in subscribers.list_subscriptions(tx, reader)}
        for reader in (one_by_one, at_once)
    ]
    assert given[0] == given[1]
    clock.advance(hours=1)
    tx.now = clock.now()


def test_given_at_is_the_last_time_it_was_given(tx, clock: FrozenClock):
    event = {"subscriber_id": a_subscriber(tx), "list_id": a_list(tx), "purpose": Purpose.DIGEST}
    consent.append(tx, KEYS.ledger, NewEvent(**event, state=ConsentState.REQUESTED, channel=Channel.FORM))
    subscription = tx.session.scalars(select(Subscription)).one()
    assert subscription.given_at is None
    given_at = tx.now = clock.now()
    consent.append(tx, KEYS.ledger, NewEvent(**event, state=ConsentState.GIVEN, channel=Channel.CONFIRMATION))
    clock.advance(hours=1)
    tx.now = clock.now()
    consent.append(tx, KEYS.ledger, NewEvent(**event, state=ConsentState.WITHDRAWN, channel=Channel.PAGE))
    tx.session.refresh(subscription)
    assert (subscription.state, subscription.given_at) == (SubscriptionState.UNSUBSCRIBED, given_at)


def test_history_may_be_dated_back(tx, clock: FrozenClock):
    """What a form sent is dated by the form, whenever a worker gets to it."""
    clock.advance(days=-3)
    consent.append(
        tx,
        KEYS.ledger,
        NewEvent(
            subscriber_id=a_subscriber(tx),
            list_id=a_list(tx),
            purpose=Purpose.OFFERS,
            state=ConsentState.GIVEN,
            channel=Channel.OPERATOR,
            occurred_at=clock.now(),
            evidence=Evidence("2001:db8::7", "Mozilla/5.0", "https://fjell.no/hub"),
            actor="ada",
        ),
    )
    event = tx.session.scalars(select(ConsentEvent)).one()
    assert event.occurred_at == clock.now()
    assert event.actor == "ada"
    key = consent.find_subject_key(tx, KEYS.ledger, event.subscriber_id)
    assert json.loads(decrypt(key, event.personal, event.record_id.bytes)) == {
        "address": "anna@fjell.no",
        "ip": "2001:db8::7",
        "user_agent": "Mozilla/5.0",
        "page_url": "https://fjell.no/hub",
    }


@pytest.mark.parametrize("statement", ["UPDATE consent_events SET actor = 'x'", "DELETE FROM consent_events"])
def test_nobody_who_serves_can_change_the_past(tx, statement):
    """Invariant 3."""
    with pytest.raises(ProgrammingError, match="permission denied"), tx.session.begin_nested():
        tx.session.execute(text(statement))
