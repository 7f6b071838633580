"""What people do about their mail, and what the law says of it afterwards."""

from contextlib import suppress
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from sqlalchemy import select

from service.domain.addresses import parse_address
from service.domain.tokens import Token, TokenKind, purpose_flag
from service.domain.words import (
    Channel,
    ConsentState,
    Purpose,
    SignupState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.store import consent
from service.store.consent import NewEvent
from service.store.schema import AddressChange, Signup
from service.usecases import (
    changing_address,
    erasing,
    preferences,
    private,
    subscribing,
    unsubscribing,
)
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, confirm_token, decided, sign_up
from tests.usecases.gate.house import House
from tests.usecases.gate.law import LIFTED_BY_THE_BUTTON, Question, Reader, Subject

PEOPLE = ("anna@fjell.no", "ben@fjell.no", "cleo@fjell.no")
ADDRESSES = (*PEOPLE, "anna@dal.no", "ben@dal.no")
people = st.sampled_from(PEOPLE)
addresses = st.sampled_from(ADDRESSES)
purposes = st.sampled_from(Purpose)
which = st.integers(0, 7)
"""Which of what there is, counted round: an index shrinks, a token does not."""


class People(House):
    """Three people with five addresses."""

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
        self.law.readers[reader].refused |= gone
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
