"""The gate: whatever happens in whatever order, list mail leaves only while consent for its purpose is in force.

The model knows nothing of tables: it is told what people and operators do, and keeps who has agreed to what.
"""

from contextlib import contextmanager, suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from service.domain.campaigns import Resolution
from service.domain.outcomes import Phase
from service.domain.tokens import Token, TokenKind, purpose_flag
from service.domain.words import (
    LIST_MAIL,
    CampaignStatus,
    Channel,
    ConsentState,
    Lane,
    Language,
    MailKind,
    Purpose,
    SignupState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.store import consent, deliveries, lists, subscribers, suppressions
from service.store.consent import NewEvent
from service.store.schema import Article, Campaign, Delivery, Source
from service.store.transaction import Transaction
from service.usecases import campaigning, digesting, dispatching, subscribing, unsubscribing, wording
from tests.conftest import FrozenClock
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, PUBLISHER, confirm_token, decided, sign_up
from tests.usecases.sending import a_sender

PEOPLE = ("anna@fjell.no", "ben@fjell.no", "cleo@fjell.no")
people = st.sampled_from(PEOPLE)
purposes = st.sampled_from(Purpose)
channels = st.sampled_from([Channel.ONE_CLICK, Channel.PAGE])
answers = st.sampled_from([None, (Phase.EOM, None, None, "cut off"), (Phase.RCPT, 451, "4.3.0", "later")])


class Gate(RuleBasedStateMachine):
    """What people agreed to (`force`), what forbids mailing them (`barred`), and a sender that is watched."""

    connection: Connection

    def __init__(self) -> None:
        super().__init__()
        self.undone = self.connection.begin_nested()
        self.clock = FrozenClock()
        self.force: dict[str, set[Purpose]] = {person: set() for person in PEOPLE}
        self.barred: set[str] = set()
        self.links: dict[str, tuple[str, set[Purpose]]] = {}
        self.undos: list[tuple[str, str, set[Purpose]]] = []
        self.script: dict[str, tuple[Phase, int | None, str | None, str]] = {}
        self.seen = 0
        with self.transaction() as tx:
            wording.publish(tx, PUBLISHER)
            self.list_id = lists.get_list(tx, "hub").id
            source = Source(slug="gate", list_id=self.list_id, location="https://hub.example/gate", topic_map={})
            tx.session.add(source)
            tx.session.flush()
            self.source_id = source.id
            names = dict.fromkeys(Language, "Digest")
            digesting.add_digest(tx, slug="gate", list_slug="hub", names=names, min_items=1, max_items=3)
        self.senders = {
            lane: a_sender(self.transaction, self.clock, lane=lane, script=self.script)
            for lane in (Lane.BULK, Lane.INTERACTIVE)
        }
        for sender in self.senders.values():
            sender.transport.script = self.script

    def teardown(self) -> None:
        self.undone.rollback()

    @contextmanager
    def transaction(self):
        with Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            tx = Transaction(session, self.clock.now())
            with session.begin():
                yield tx

    def id_of(self, tx: Transaction, person: str) -> int | None:
        found = subscribers.find_by_dedupe_key(tx, person)
        return found.id if found else None

    # What people do.

    @rule(person=people, ticked=st.sets(purposes, min_size=1))
    def signs_up(self, person: str, ticked: set[Purpose]) -> None:
        with self.transaction() as tx:
            signup = decided(tx, sign_up(tx, person, purposes=sorted(ticked)))
            if signup.state is SignupState.ASKED:
                self.links[confirm_token(signup.id)] = (person, ticked)

    @precondition(lambda self: self.links)
    @rule(data=st.data())
    def presses_the_button(self, data: st.DataObject) -> None:
        self._press(data.draw(st.sampled_from(sorted(self.links))))

    def _press(self, token: str) -> None:
        person, ticked = self.links[token]
        with self.transaction() as tx:
            done = subscribing.confirm_subscription(tx, KEYS, token, BUTTON_EVIDENCE)
        if isinstance(done, subscribing.Confirmed):
            assert person not in self.barred
            self.force[person] |= ticked
            self.undos = [undo for undo in self.undos if undo[1] != person]

    @initialize(members=st.sets(people, min_size=1))
    def some_have_joined(self, members: set[str]) -> None:
        for person in sorted(members):
            self.joins(person, set(Purpose))

    @rule(person=people, ticked=st.sets(purposes, min_size=1))
    def joins(self, person: str, ticked: set[Purpose]) -> None:
        """Signs up and confirms, later than any limit."""
        self.clock.advance(days=31)
        known = set(self.links)
        self.signs_up(person, ticked)
        for token in set(self.links) - known:
            self._press(token)

    @rule(
        person=people,
        purpose=purposes,
        everything=st.booleans(),
        channel=st.sampled_from([Channel.ONE_CLICK, Channel.PAGE]),
    )
    def unsubscribes(self, person: str, purpose: Purpose, everything: bool, channel: Channel) -> None:
        with self.transaction() as tx:
            reader = self.id_of(tx, person)
            if reader is None:
                return
            token = KEYS.seal(Token(TokenKind.UNSUBSCRIBE, reader, 1, self.list_id, purpose_flag(purpose)))
            done = unsubscribing.unsubscribe(tx, KEYS, token, channel, BUTTON_EVIDENCE, everything=everything)
        assert isinstance(done, unsubscribing.Unsubscribed)
        gone = self.force[person] & (set(Purpose) if everything else {purpose})
        assert set(done.purposes) == gone
        self.force[person] -= gone
        if done.undo_token:
            self.undos.append((done.undo_token, person, gone))

    @precondition(lambda self: self.undos)
    @rule()
    def takes_it_back(self) -> None:
        token, person, _ = self.undos.pop()
        with self.transaction() as tx:
            done = unsubscribing.undo(tx, KEYS, token, BUTTON_EVIDENCE)
        if isinstance(done, unsubscribing.Undone):
            self.force[person] |= set(done.purposes)

    @rule(hours=st.sampled_from([1, 25, 80]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)
        with self.transaction() as tx:
            subscribing.expire_signups(tx)

    # What operators and events do.

    @rule(person=people, reason=st.sampled_from([SuppressionReason.MANUAL, SuppressionReason.COMPLAINT]))
    def is_suppressed(self, person: str, reason: SuppressionReason) -> None:
        with self.transaction() as tx:
            suppressions.add_suppression(tx, address_hmac=KEYS.address_hmac(person), reason=reason, source="test")
        self.barred.add(person)

    @rule(person=people)
    def order_is_lifted(self, person: str) -> None:
        with self.transaction() as tx:
            for reason in SuppressionReason:
                suppressions.lift(tx, KEYS.address_hmac(person), reason)
        self.barred.discard(person)

    @rule(person=people, purpose=purposes)
    def consent_is_invalidated(self, person: str, purpose: Purpose) -> None:
        with self.transaction() as tx:
            reader = self.id_of(tx, person)
            if reader is None:
                return
            event = NewEvent(
                subscriber_id=reader,
                list_id=self.list_id,
                purpose=purpose,
                state=ConsentState.INVALIDATED,
                channel=Channel.OPERATOR,
                actor="ada",
            )
            consent.append(tx, KEYS.ledger, event)
        self.force[person].discard(purpose)

    @rule(purpose=purposes, planned=st.booleans())
    def campaign_is_ordered(self, purpose: Purpose, planned: bool) -> None:
        with self.transaction() as tx:
            campaign = campaigning.create_campaign(
                tx, list_slug="hub", purpose=purpose, name="News", subject="News", body="**New**", by="ada"
            )
            campaigning.order_campaign(tx, campaign, by="ada")
            if planned:
                campaigning.plan_campaign(tx, campaign)

    @rule()
    def article_appears_and_digest_runs(self) -> None:
        with self.transaction() as tx:
            number = len(tx.session.scalars(select(Article.id)).all())
            tx.session.add(
                Article(
                    source_id=self.source_id,
                    guid=f"gate-{number}",
                    canonical_url=f"https://hub.example/gate/{number}",
                    url_key=f"hub.example/gate/{number}",
                    title="Hills",
                    summary="",
                    language=Language.EN,
                    published_at=tx.now,
                    first_seen_at=tx.now,
                )
            )
            tx.session.flush()
        self.clock.advance(minutes=1)
        with self.transaction() as tx, suppress(ServiceError):  # the last run is still being planned
            digesting.start_run(tx, "gate", by="ada")

    @rule()
    def audiences_are_planned(self) -> None:
        with self.transaction() as tx:
            waiting = tx.session.scalars(select(Campaign.id).where(Campaign.status == CampaignStatus.PLANNING)).all()
            for campaign in waiting:
                campaigning.plan_campaign(tx, campaign)
                digesting.plan_run(tx, campaign)

    @rule(person=people)
    def welcome_is_queued_by_mistake(self, person: str) -> None:
        """Whoever queues list mail, for whomever: the claim is the gate."""
        with self.transaction() as tx:
            reader = self.id_of(tx, person)
            if reader is not None:
                deliveries.add_interactive(
                    tx, kind=MailKind.WELCOME, subscriber_id=reader, list_id=self.list_id, purpose=Purpose.OFFERS
                )

    @rule(
        person=people,
        answer=st.sampled_from([None, (Phase.EOM, None, None, "cut off"), (Phase.RCPT, 451, "4.3.0", "later")]),
    )
    def relay_answers(self, person: str, answer: tuple[Phase, int | None, str | None, str] | None) -> None:
        self.script.pop(person, None)
        if answer:
            self.script[person] = answer

    @rule()
    def uncertain_ones_are_sent_again(self) -> None:
        with self.transaction() as tx:
            sending = select(Campaign.id).where(Campaign.status.in_([CampaignStatus.SENDING, CampaignStatus.SENT]))
            for campaign in tx.session.scalars(sending).all():
                campaigning.resolve_uncertain(tx, campaign, Resolution.RESEND, by="ada")

    @rule()
    def mail_goes_out(self) -> None:
        for lane in self.senders:
            self._send(lane)

    def _send(self, lane: Lane) -> None:
        sender = self.senders[lane]
        before = len(sender.transport.accepted)
        self.clock.advance(minutes=10)
        with self.transaction() as tx:
            dispatching.sweep(tx)
        dispatching.send_due(sender)
        with self.transaction() as tx:
            for message in sender.transport.accepted[before:]:
                delivery = tx.session.get(Delivery, message.delivery_id)
                person = message.rcpt_to
                assert person not in self.barred, f"{delivery.kind} to a suppressed address"
                if delivery.kind in LIST_MAIL:
                    self.seen += 1
                    assert delivery.purpose in self.force[person], f"{delivery.kind} without consent in force"


@pytest.mark.requirement("D-03")
@pytest.mark.parametrize("histories", [12, pytest.param(40, marks=pytest.mark.long)])
def test_no_sending_path_mails_without_consent_in_force(connection: Connection, histories: int) -> None:
    """D-03, invariant 2: campaigns, digests and welcomes against a model, over random histories."""
    mailed = 0

    class Watched(Gate):
        def teardown(self) -> None:
            nonlocal mailed
            mailed += self.seen
            super().teardown()

    Watched.connection = connection
    run_state_machine_as_test(
        Watched,
        settings=settings(
            max_examples=histories, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    assert mailed > histories // 3, "the histories must also contain mail that was allowed, or nothing was shown"
