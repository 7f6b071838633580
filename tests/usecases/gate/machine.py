"""Random histories of what people and operators do; each mail that waits is held against the law before it leaves."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from service.domain.addresses import parse_address
from service.domain.campaigns import Resolution
from service.domain.outcomes import Phase
from service.domain.tokens import Token, TokenKind, purpose_flag
from service.domain.words import (
    CampaignStatus,
    Channel,
    ConsentState,
    DeliveryStatus,
    Lane,
    Language,
    MailKind,
    Purpose,
    SignupState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.store import consent, deliveries, lists, suppressions
from service.store.append_only import AppendOnlyFile
from service.store.consent import NewEvent
from service.store.schema import AddressChange, Article, Campaign, Delivery, List, Signup, Source
from service.store.transaction import Transaction
from service.usecases import (
    admitting,
    asking,
    campaigning,
    changing_address,
    digesting,
    dispatching,
    erasing,
    preferences,
    private,
    subscribing,
    undoing_imports,
    unsubscribing,
    wording,
)
from tests.conftest import FrozenClock
from tests.usecases import import_files
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, PUBLISHER, THREE_DAYS, confirm_token, decided, sign_up
from tests.usecases.gate.law import LIFTED_BY_THE_BUTTON, Law, Mail, Question, Reader, Subject
from tests.usecases.import_files import ORDER, a_file, a_row, rows_of
from tests.usecases.sending import a_sender

PEOPLE = ("anna@fjell.no", "ben@fjell.no", "cleo@fjell.no")
ADDRESSES = (*PEOPLE, "anna@dal.no", "ben@dal.no")
people = st.sampled_from(PEOPLE)
addresses = st.sampled_from(ADDRESSES)
purposes = st.sampled_from(Purpose)
which = st.integers(0, 7)
"""Which of what there is, counted round: an index shrinks, a token does not."""


class Gate(RuleBasedStateMachine):
    """Two lists, two purposes, three people with five addresses, and senders that are watched."""

    connection: Connection
    directory: Path

    def __init__(self) -> None:
        super().__init__()
        self.undone = self.connection.begin_nested()
        self.clock = FrozenClock()
        self.law = Law()
        self.undos: list[tuple[str, int, set[Subject]]] = []
        self.imports: dict[int, int] = {}
        """Import → the reader whom it brought or asked."""
        self.script: dict[str, tuple[Phase, int | None, str | None, str]] = {}
        self.allowed = 0
        self.erasure_log = AppendOnlyFile(self.directory / f"erasures-{id(self)}.jsonl")
        with self.transaction() as tx:
            wording.publish(tx, PUBLISHER)
            other = List(slug="other", names=dict.fromkeys(Language, "Other"), list_id="other.news.example")
            tx.session.add(other)
            tx.session.flush()
            self.lists = (lists.get_list(tx, "hub").id, other.id)
            source = Source(slug="gate", list_id=self.lists[0], location="https://hub.example/gate", topic_map={})
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
        """What still waits is judged, too."""
        try:
            self.audiences_are_planned()
            self.mail_goes_out()
        finally:
            self.undone.rollback()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.clock.advance(seconds=1)  # no two acts are of one moment
        with Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            tx = Transaction(session, self.clock.now())
            with session.begin():
                yield tx

    def some_reader(self, index: int) -> int:
        return sorted(self.law.readers)[index % len(self.law.readers)]

    def holder_of(self, address: str) -> int | None:
        return next((number for number, r in self.law.readers.items() if r.address == address), None)

    # What people do.

    @initialize(members=st.sets(people, min_size=1))
    def some_have_joined(self, members: set[str]) -> None:
        for person in sorted(members):
            self.joins(person, set(Purpose))

    @rule(address=addresses, ticked=st.sets(purposes, min_size=1))
    def signs_up(self, address: str, ticked: set[Purpose]) -> None:
        with self.transaction() as tx:
            self._note_signup(decided(tx, sign_up(tx, address, purposes=sorted(ticked))), address, ticked)

    def _note_signup(self, signup: Signup, address: str, ticked: set[Purpose]) -> None:
        if signup.state is not SignupState.ASKED or signup.subscriber_id is None:
            return
        subjects = frozenset((self.lists[0], purpose) for purpose in ticked)
        reader = self.law.readers.setdefault(signup.subscriber_id, Reader(address))
        reader.left -= subjects  # it waits again
        self.law.signups[signup.id] = Question(signup.subscriber_id, address, signup.expires_at, subjects)

    @precondition(lambda self: self.law.signups)
    @rule(index=which)
    def presses_the_button(self, index: int) -> None:
        self._press(sorted(self.law.signups)[index % len(self.law.signups)])

    def _press(self, signup: int) -> None:
        question = self.law.signups[signup]
        with self.transaction() as tx:
            done = subscribing.confirm_subscription(tx, KEYS, confirm_token(signup), BUTTON_EVIDENCE)
        if isinstance(done, subscribing.Confirmed):
            assert question.is_open(self.clock.now())
            assert not self.law.orders_on(question.address, self.lists[0]) - LIFTED_BY_THE_BUTTON
            question.answered = True
            self.law.give(question.reader, question.subjects)
            self.law.orders = {
                order
                for order in self.law.orders
                if order[0] != question.address or order[1] not in LIFTED_BY_THE_BUTTON
            }

    @rule(address=people, ticked=st.sets(purposes, min_size=1))
    def joins(self, address: str, ticked: set[Purpose]) -> None:
        """Signs up and confirms, later than any limit."""
        self.clock.advance(days=31)
        known = set(self.law.signups)
        self.signs_up(address, ticked)
        for signup in set(self.law.signups) - known:
            self._press(signup)

    @precondition(lambda self: self.law.readers)
    @rule(index=which, purpose=purposes)
    def agrees_on_the_other_list(self, index: int, purpose: Purpose) -> None:
        self._happens(self.some_reader(index), (self.lists[1], purpose), ConsentState.GIVEN, Channel.CONTROL)

    @precondition(lambda self: self.law.readers)
    @rule(index=which, on=st.integers(0, 1), purpose=purposes)
    def consent_is_invalidated(self, index: int, on: int, purpose: Purpose) -> None:
        reader, subject = self.some_reader(index), (self.lists[on], purpose)
        if subject in self.law.readers[reader].force:
            self._happens(reader, subject, ConsentState.INVALIDATED, Channel.OPERATOR)

    def _happens(self, reader: int, subject: Subject, state: ConsentState, channel: Channel) -> None:
        with self.transaction() as tx:
            event = NewEvent(
                subscriber_id=reader, list_id=subject[0], purpose=subject[1], state=state, channel=channel, actor="ada"
            )
            consent.append(tx, KEYS.ledger, event)
        (self.law.give if state is ConsentState.GIVEN else self.law.take)(reader, {subject})

    @precondition(lambda self: self.law.readers)
    @rule(
        index=which,
        on=st.integers(0, 1),
        purpose=purposes,
        everything=st.booleans(),
        channel=st.sampled_from([Channel.ONE_CLICK, Channel.PAGE]),
    )
    def unsubscribes(self, index: int, on: int, purpose: Purpose, everything: bool, channel: Channel) -> None:
        reader = self.some_reader(index)
        with self.transaction() as tx:
            token = KEYS.seal(Token(TokenKind.UNSUBSCRIBE, reader, 1, self.lists[on], purpose_flag(purpose)))
            done = unsubscribing.unsubscribe(tx, KEYS, token, channel, BUTTON_EVIDENCE, everything=everything)
        assert isinstance(done, unsubscribing.Unsubscribed)
        force = self.law.readers[reader].force
        gone = set(force) if everything else force & {(self.lists[on], purpose)}
        assert sorted(done.purposes) == sorted(purpose for _, purpose in gone)
        self.law.take(reader, gone)
        if done.undo_token:
            self.undos.append((done.undo_token, reader, gone))

    @precondition(lambda self: self.undos)
    @rule()
    def takes_it_back(self) -> None:
        token, reader, gone = self.undos.pop()
        with self.transaction() as tx:
            done = unsubscribing.undo(tx, KEYS, token, BUTTON_EVIDENCE)
            in_force = {(on, each) for on in self.lists for each in consent.get_active_purposes(tx, reader, on)}
        if isinstance(done, unsubscribing.Undone):
            before = self.law.readers[reader].force
            assert before <= in_force <= before | gone, "nothing else comes back"
            self.law.give(reader, in_force)

    @precondition(lambda self: self.law.readers)
    @rule(index=which, days=st.sampled_from([None, 1, 30]))
    def pauses_or_goes_on(self, index: int, days: int | None) -> None:
        reader = self.some_reader(index)
        with self.transaction() as tx:
            until = None if days is None else tx.now + timedelta(days=days)
            preferences.pause(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, reader)), until)
        self.law.readers[reader].paused_until = until

    @precondition(lambda self: self.law.readers)
    @rule(index=which)
    def asks_for_the_private_link(self, index: int) -> None:
        with self.transaction() as tx:
            private.ask_private_link(tx, KEYS, KEYS.seal(Token(TokenKind.CONTROL, self.some_reader(index))))

    @precondition(lambda self: self.law.readers)
    @rule(index=which, address=addresses)
    def wants_another_address(self, index: int, address: str) -> None:
        reader = self.some_reader(index)
        self.clock.advance(days=1)
        with self.transaction() as tx, suppress(ServiceError):  # it is the address already
            changing_address.ask_change(tx, KEYS, reader, parse_address(address))
        with self.transaction() as tx:
            waiting = select(AddressChange.id, AddressChange.expires_at).where(
                AddressChange.subscriber_id == reader, AddressChange.address == address
            )
            for number, expires_at in tx.session.execute(waiting):
                if number not in self.law.changes:
                    self._end_changes_of(reader)
                    self.law.changes[number] = Question(reader, address, expires_at)

    @precondition(lambda self: self.law.changes)
    @rule(index=which)
    def confirms_another_address(self, index: int) -> None:
        number = sorted(self.law.changes)[index % len(self.law.changes)]
        change = self.law.changes[number]
        with self.transaction() as tx:
            token = KEYS.seal(Token(TokenKind.ADDRESS_CHANGE, number))
            done = changing_address.confirm_change(tx, KEYS, token, BUTTON_EVIDENCE)
        if isinstance(done, changing_address.Changed):
            assert change.is_open(self.clock.now())
            assert not self.law.orders_on(change.address)
            reader = self.law.readers[change.reader]
            reader.former = (reader.former | {reader.address}) - {change.address}
            reader.address = change.address
            self._end_changes_of(change.reader)
            self._close_signups(lambda question: question.reader == change.reader)

    def _end_changes_of(self, reader: int) -> None:
        for change in self.law.changes.values():
            change.answered |= change.reader == reader

    def _close_signups(self, those) -> None:
        for question in self.law.signups.values():
            question.answered |= those(question)

    @precondition(lambda self: self.law.readers)
    @rule(index=which)
    def is_erased(self, index: int) -> None:
        number = self.some_reader(index)
        done = erasing.erase(self.transaction, KEYS, self.erasure_log, number, asked_by="subscriber")
        assert isinstance(done, erasing.Forgotten)
        reader = self.law.readers.pop(number)
        gone = {reader.address} | {each for each in reader.former if not self.law.has_agreed_with(each)}
        self.law.orders |= {(address, SuppressionReason.ERASED, None) for address in gone}
        self._close_signups(lambda question: question.reader == number or question.address in gone)
        self._end_changes_of(number)
        for change in self.law.changes.values():
            change.answered |= change.address in gone
        self.undos = [undo for undo in self.undos if undo[1] != number]

    @rule(hours=st.sampled_from([1, 25, 80]))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)
        with self.transaction() as tx:
            subscribing.expire_signups(tx)

    # What operators and events do.

    @rule(address=addresses, reason=st.sampled_from(SuppressionReason), on=st.sampled_from([None, 0, 1]))
    def is_suppressed(self, address: str, reason: SuppressionReason, on: int | None) -> None:
        list_id = None if on is None else self.lists[on]
        with self.transaction() as tx:
            hmac = KEYS.address_hmac(address)
            suppressions.add_suppression(tx, address_hmac=hmac, reason=reason, source="test", list_id=list_id)
        self.law.orders.add((address, reason, list_id))

    @rule(address=addresses)
    def orders_are_lifted(self, address: str) -> None:
        with self.transaction() as tx:
            for reason in SuppressionReason:
                suppressions.lift(tx, KEYS.address_hmac(address), reason)
        self.law.orders = {order for order in self.law.orders if order[0] != address}

    @rule(address=addresses, has_evidence=st.booleans())
    def is_imported(self, address: str, has_evidence: bool) -> None:
        """With evidence a reader is let in; without, asked once."""
        self.clock.advance(days=31)
        subject = (self.lists[0], Purpose.DIGEST)
        with self.transaction() as tx:
            row = a_row(address) if has_evidence else a_row(address, joined="")
            number = import_files.run(tx, a_file(self.directory, [row])).import_id
        with self.transaction() as tx:
            if has_evidence:
                done = admitting.admit(tx, KEYS, number, ORDER).done
            else:
                done = asking.ask(tx, KEYS, number, ORDER, THREE_DAYS).done
            [row_there] = rows_of(tx, number)
            if not done:
                return
            assert not self.law.orders_on(address, self.lists[0])
            reader, signup = row_there.subscriber_id, row_there.signup_id
            assert reader is not None
            self.law.readers.setdefault(reader, Reader(address))
            assert self.law.readers[reader].address == address
            self.imports[number] = reader
            if signup is None:
                assert subject not in self.law.readers[reader].left
                self.law.give(reader, {subject})
            else:
                question = tx.session.get_one(Signup, signup)
                self.law.signups[signup] = Question(reader, address, question.expires_at, frozenset({subject}))

    @precondition(lambda self: self.imports)
    @rule(index=which)
    def import_is_undone(self, index: int) -> None:
        """Who has acted by themselves stays, as far as they acted; of nobody is more in force than before."""
        number = sorted(self.imports)[index % len(self.imports)]
        reader = self.imports.pop(number)
        with self.transaction() as tx:
            undoing_imports.undo_import(tx, KEYS, number, operator="ada", reason="a wrong file")
            for signup in self.law.signups:
                state = tx.session.scalar(select(Signup.state).where(Signup.id == signup))
                self.law.signups[signup].answered |= state is not SignupState.ASKED
            if reader in self.law.readers:
                force = self.law.readers[reader].force
                kept = {(on, each) for on in self.lists for each in consent.get_active_purposes(tx, reader, on)}
                assert kept <= force
                self.law.take(reader, force - kept)

    @rule(on=st.integers(0, 1), purpose=purposes, planned=st.booleans())
    def campaign_is_ordered(self, on: int, purpose: Purpose, planned: bool) -> None:
        with self.transaction() as tx:
            campaign = campaigning.create_campaign(
                tx,
                list_slug=("hub", "other")[on],
                purpose=purpose,
                name="News",
                subject="News",
                body="**New**",
                by="ada",
            )
            campaigning.order_campaign(tx, campaign, by="ada")
            if planned:
                self._plan(tx, campaign)

    def _plan(self, tx: Transaction, campaign: int) -> None:
        campaigning.plan_campaign(tx, campaign)
        found = tx.session.get_one(Campaign, campaign, populate_existing=True)
        if found.run_id is None:
            audience = set(tx.session.scalars(select(Delivery.subscriber_id).where(Delivery.campaign_id == campaign)))
            assert self.law.may_have((found.list_id, found.purpose), tx.now) <= audience, "nobody is forgotten"

    @rule(on=st.integers(0, 1), purpose=purposes, address=addresses)
    def campaign_is_tried_out(self, on: int, purpose: Purpose, address: str) -> None:
        with self.transaction() as tx:
            campaign = campaigning.create_campaign(
                tx,
                list_slug=("hub", "other")[on],
                purpose=purpose,
                name="Draft",
                subject="News",
                body="**New**",
                by="ada",
            )
        with suppress(ServiceError):  # refused already when it is ordered
            campaigning.send_test(
                self.transaction, KEYS, campaign, address=address, language=Language.EN, by="ada", per_day=1000
            )

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
        self.clock.advance(minutes=1)
        with self.transaction() as tx, suppress(ServiceError):  # the last run is still being planned
            digesting.start_run(tx, "gate", by="ada")

    @rule()
    def audiences_are_planned(self) -> None:
        with self.transaction() as tx:
            waiting = tx.session.scalars(select(Campaign.id).where(Campaign.status == CampaignStatus.PLANNING)).all()
            for campaign in waiting:
                self._plan(tx, campaign)
                digesting.plan_run(tx, campaign)

    @precondition(lambda self: self.law.readers)
    @rule(index=which, on=st.integers(0, 1), purpose=purposes)
    def welcome_is_queued_by_mistake(self, index: int, on: int, purpose: Purpose) -> None:
        """Whoever queues list mail, for whomever: the claim is the gate."""
        with self.transaction() as tx:
            deliveries.add_interactive(
                tx,
                kind=MailKind.WELCOME,
                subscriber_id=self.some_reader(index),
                list_id=self.lists[on],
                purpose=purpose,
            )

    @rule(
        address=addresses,
        answer=st.sampled_from([None, (Phase.EOM, None, None, "cut off"), (Phase.RCPT, 451, "4.3.0", "later")]),
    )
    def relay_answers(self, address: str, answer: tuple[Phase, int | None, str | None, str] | None) -> None:
        self.script.pop(address, None)
        if answer:
            self.script[address] = answer

    @rule()
    def uncertain_ones_are_sent_again(self) -> None:
        with self.transaction() as tx:
            sending = select(Campaign.id).where(Campaign.status.in_([CampaignStatus.SENDING, CampaignStatus.SENT]))
            for campaign in tx.session.scalars(sending).all():
                campaigning.resolve_uncertain(tx, campaign, Resolution.RESEND, by="ada")

    @rule()
    def mail_goes_out(self) -> None:
        self.clock.advance(minutes=10)
        for lane in self.senders:
            self._send(lane)

    def _send(self, lane: Lane) -> None:
        """What waits leaves if the law lets it, and only then; whatever left had waited."""
        sender = self.senders[lane]
        with self.transaction() as tx:
            dispatching.sweep(tx)
            waiting = {row.id: _mail(row) for row in tx.session.execute(text(_WAITING), {"lane": lane, "now": tx.now})}
        before = len(sender.transport.accepted)
        dispatching.send_due(sender)
        now = self.clock.now()
        left = {message.delivery_id: message.rcpt_to for message in sender.transport.accepted[before:]}
        assert left.keys() <= waiting.keys(), "nothing leaves that did not wait"
        with self.transaction() as tx:
            status = dict(
                tx.session.execute(select(Delivery.id, Delivery.status).where(Delivery.id.in_(waiting))).all()
            )
        for number, mail in waiting.items():
            if not self.law.may(mail, now):
                assert number not in left, f"{mail} left for {left[number]}"
                assert status[number] is DeliveryStatus.SKIPPED, f"{mail} was not skipped but is {status[number]}"
                continue
            self.allowed += 1
            address = self.law.address_of(mail)
            assert left.get(number, address) == address, f"{mail} went to {left[number]} instead of {address}"
            if address not in self.script:
                assert number in left, f"{mail} may leave, but is {status[number]}"


_WAITING = """
SELECT d.id, d.kind, d.list_id, d.purpose, d.subscriber_id, d.test_address, d.signup_id, d.address_change_id
FROM deliveries d LEFT JOIN campaigns c ON c.id = d.campaign_id
WHERE d.lane = :lane AND d.status = 'queued' AND d.due_at <= :now
  AND (d.test_address IS NOT NULL OR c.id IS NULL OR c.status = 'sending')
"""


def _mail(row) -> Mail:
    purpose = Purpose(row.purpose) if row.purpose else None
    return Mail(
        MailKind(row.kind),
        row.list_id,
        purpose,
        row.subscriber_id,
        row.test_address,
        row.signup_id,
        row.address_change_id,
    )
