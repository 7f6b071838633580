"""Sign-up to consent: what is stored, what is mailed, and what an address is never told."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import func, select, update

from service.domain.addresses import parse_address
from service.domain.subscriptions import NotOurs
from service.domain.words import (
    Channel,
    ConsentState,
    Lane,
    Language,
    MailKind,
    Purpose,
    SignupState,
    SubscriptionState,
    SuppressionReason,
)
from service.ports import Hint
from service.store import consent, engine, letters, lists, signups, subscribers, suppressions
from service.store.schema import ConsentEvent, Delivery, Signup, Statement, Subscriber
from service.store.transaction import factory
from service.usecases import dispatching, subscribing, unsubscribing
from service.usecases.subscribing import AlreadyConfirmed, ConfirmationAsked, ConfirmationExpired, Confirmed
from tests.conftest import FrozenClock, HintList
from tests.usecases.builders import (
    BUTTON_EVIDENCE,
    FORM_EVIDENCE,
    KEYS,
    THREE_DAYS,
    a_reader,
    a_request,
    confirm_token,
    decided,
    mails,
    personal,
    sign_up,
    unsubscribe_token,
)


def later(tx, clock: FrozenClock, **delta: float) -> None:
    clock.advance(**delta)
    tx.now = clock.now()


def subscriptions(tx, subscriber_id: int) -> dict[Purpose, SubscriptionState]:
    return {s.purpose: s.state for s in subscribers.list_subscriptions(tx, subscriber_id)}


def confirm(tx, signup_id: int):
    return subscribing.confirm_subscription(tx, KEYS, confirm_token(signup_id), BUTTON_EVIDENCE)


class TestReceiving:
    @pytest.mark.requirement("E-04")
    def test_nothing_is_looked_up_and_nobody_is_made(self, tx):
        """E-04: the web only stores and hints."""
        sign_up(tx)
        assert tx.session.scalars(select(Signup.state)).all() == [SignupState.RECEIVED]
        assert tx.session.scalar(select(func.count()).select_from(Subscriber)) == 0
        assert mails(tx) == []
        assert (Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE, ()) in tx.hints


class TestDeciding:
    def test_a_new_address_is_asked_once(self, tx):
        signup = decided(tx, sign_up(tx, purposes=("digest", "offers")))
        assert (signup.state, signup.mailed) == (SignupState.ASKED, True)
        assert signup.expires_at == tx.now + THREE_DAYS
        assert subscriptions(tx, signup.subscriber_id) == {
            Purpose.DIGEST: SubscriptionState.PENDING,
            Purpose.OFFERS: SubscriptionState.PENDING,
        }
        assert mails(tx) == [MailKind.CONFIRMATION]

    def test_the_requested_event_is_bound_to_words_form_and_page(self, tx):
        signup = decided(tx, sign_up(tx))
        [event] = consent.list_events(tx, signup.subscriber_id)
        assert (event.state, event.channel) == (ConsentState.REQUESTED, Channel.FORM)
        assert (event.statement_id, event.notice_id, event.form_id) == (
            signup.statement_ids[0],
            signup.notice_id,
            signup.form_id,
        )
        assert event.occurred_at == signup.created_at
        assert personal(tx, event) == {"address": "anna@fjell.no"}, "who asked may be a stranger (D-18)"
        assert (str(signup.ip), signup.user_agent, signup.page_url) == (
            FORM_EVIDENCE.ip,
            FORM_EVIDENCE.user_agent,
            FORM_EVIDENCE.page_url,
        )

    @pytest.mark.requirement("E-09")
    def test_an_unconfirmed_form_says_nothing_about_the_reader(self, tx):
        """E-09, and nobody may change another's choices by filling in a form."""
        signup = decided(tx, sign_up(tx, first_name="https://evil.example", topics=("gear",)))
        reader = subscribers.find_subscriber(tx, signup.subscriber_id)
        assert reader.first_name is None
        assert subscribers.list_topic_ids(tx, reader.id) == frozenset()

    def test_an_active_reader_is_told_and_keeps_everything(self, tx, clock):
        subscriber_id = a_reader(tx, first_name="Anna", topics=("running",))
        topics = subscribers.list_topic_ids(tx, subscriber_id)
        later(tx, clock, days=2)
        signup = decided(tx, sign_up(tx, first_name="Mallory", topics=("gear",), language=Language.DE))
        assert signup.state is SignupState.ALREADY_ACTIVE
        assert mails(tx)[-1] is MailKind.ALREADY_SUBSCRIBED
        reader = subscribers.find_subscriber(tx, subscriber_id)
        assert (reader.first_name, reader.language) == ("Anna", Language.EN)
        assert subscribers.list_topic_ids(tx, subscriber_id) == topics
        assert len(consent.list_events(tx, subscriber_id)) == 2

    def test_asking_for_more_leaves_what_is_in_force(self, tx, clock):
        subscriber_id = a_reader(tx)
        later(tx, clock, days=2)
        signup = decided(tx, sign_up(tx, purposes=("digest", "offers"), language=Language.DE))
        assert signup.state is SignupState.ASKED
        assert subscriptions(tx, subscriber_id) == {
            Purpose.DIGEST: SubscriptionState.ACTIVE,
            Purpose.OFFERS: SubscriptionState.PENDING,
        }
        assert subscribers.find_subscriber(tx, subscriber_id).language is Language.EN

    def test_the_form_chooses_the_language_of_its_confirmation_and_no_more(self, tx, clock):
        """Anybody can fill in a form; what is stored of a reader changes by the button only."""
        first = decided(tx, sign_up(tx))
        later(tx, clock, days=2)
        second = decided(tx, sign_up(tx, language=Language.DE))
        tx.session.expire_all()
        assert subscribers.find_subscriber(tx, first.subscriber_id).language is Language.EN
        mail = tx.session.scalars(select(Delivery).where(Delivery.signup_id == second.id)).one()
        mail.message_id = "2.c@localhost"
        tx.session.flush()
        assert letters.read_letters(tx, [mail.id])[0].language is Language.DE
        confirm(tx, second.id)
        tx.session.expire_all()
        assert subscribers.find_subscriber(tx, first.subscriber_id).language is Language.DE

    @pytest.mark.parametrize(
        ("reason", "state"),
        [
            (SuppressionReason.COMPLAINT, SignupState.SUPPRESSED),
            (SuppressionReason.MANUAL, SignupState.SUPPRESSED),
            (SuppressionReason.IMPORTED, SignupState.SUPPRESSED),
            (SuppressionReason.UNSUBSCRIBE_ALL, SignupState.ASKED),
            (SuppressionReason.ERASED, SignupState.ASKED),
            (SuppressionReason.PERMANENT_BOUNCE, SignupState.ASKED),
        ],
    )
    def test_suppressed_addresses(self, tx, reason, state):
        """Who bounced, or wished to hear no more, may be asked again (C-16, D-15); however it is spelt (D-17)."""
        suppressions.add_suppression(tx, address_hmac=KEYS.address_hmac("anna@fjell.no"), reason=reason, source="test")
        assert decided(tx, sign_up(tx, "ANNA@fjell.no")).state is state
        assert bool(mails(tx)) == (state is SignupState.ASKED)

    @pytest.mark.requirement("D-17")
    @pytest.mark.parametrize(
        ("suppressed", "typed"),
        [
            ("User@EXÄMPLE.de", "user@xn--exmple-cua.de"),
            ("user@xn--exmple-cua.de", "USER@exämple.DE"),
            ("User@exa\u0308mple.de", "uSER@EXÄMPLE.de"),
            ("anna@ｆｊｅｌｌ.no", "Anna@fjell.NO"),
        ],
    )
    def test_a_suppressed_address_is_known_in_every_spelling(self, tx, suppressed, typed):
        key = parse_address(suppressed).dedupe_key
        reason = SuppressionReason.COMPLAINT
        suppressions.add_suppression(tx, address_hmac=KEYS.address_hmac(key), reason=reason, source="test")
        assert decided(tx, sign_up(tx, typed)).state is SignupState.SUPPRESSED
        assert decided(tx, sign_up(tx, f"other.{typed}")).state is SignupState.ASKED
        assert mails(tx) == [MailKind.CONFIRMATION]

    @pytest.mark.requirement("D-17")
    def test_a_tag_is_another_mailbox_and_not_suppressed_with_it(self, tx):
        """Only limits look through +tags (E-02): who complained about one address may keep another."""
        hmac = KEYS.address_hmac("anna@fjell.no")
        suppressions.add_suppression(tx, address_hmac=hmac, reason=SuppressionReason.COMPLAINT, source="test")
        assert decided(tx, sign_up(tx, "anna+news@fjell.no")).state is SignupState.ASKED

    def test_a_suppression_for_another_list_does_not_count(self, tx):
        other = lists.add_list(tx, "club", {Language.EN: "Club", Language.DE: "Club"}, "club.lists.fjell.no")
        suppressions.add_suppression(
            tx,
            address_hmac=KEYS.address_hmac("anna@fjell.no"),
            reason=SuppressionReason.MANUAL,
            source="test",
            list_id=other,
        )
        assert decided(tx, sign_up(tx)).state is SignupState.ASKED

    @pytest.mark.requirement("E-05")
    def test_one_mail_a_day_and_three_in_thirty_days(self, tx, clock):
        """E-05, by the clock."""
        states = []
        for _ in range(5):
            states.append(decided(tx, sign_up(tx)).state)
            states.append(decided(tx, sign_up(tx, "anna+again@fjell.no")).state)
            later(tx, clock, hours=25)
        asked, limited = SignupState.ASKED, SignupState.LIMITED
        assert states == [asked, limited] * 3 + [limited] * 4
        later(tx, clock, days=30)
        assert decided(tx, sign_up(tx)).state is asked
        assert mails(tx) == [MailKind.CONFIRMATION] * 4

    @pytest.mark.requirement("E-02")
    def test_tags_and_dots_are_one_victim_but_several_readers(self, tx):
        """E-02: the abuse key limits; it never merges people."""
        typed = ["anna@gmail.com", "an.na@gmail.com", "anna+x@gmail.com", "a.n.n.a+y@googlemail.com"]
        ids = [sign_up(tx, address) for address in typed]
        states = [decided(tx, signup_id).state for signup_id in ids]
        assert states == [SignupState.ASKED] + [SignupState.LIMITED] * 3
        assert tx.session.scalars(select(Subscriber.address)).all() == ["anna@gmail.com"]

    def test_nothing_is_decided_twice(self, tx):
        signup_id = sign_up(tx)
        assert subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS) == 1
        assert subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS) == 0
        assert decided(tx, signup_id).state is SignupState.ASKED
        assert mails(tx) == [MailKind.CONFIRMATION]

    @pytest.mark.parametrize("limit", [1, 2, 50])
    def test_one_that_cannot_be_decided_holds_up_nobody(self, tx, clock, limit):
        """Not those of its own batch, and not those that come when it is the oldest."""
        bad = sign_up(tx, "bad@fjell.no", purposes=("digest", "offers"))
        # Words that do not exist: an error after the subscriber was added.
        tx.session.execute(update(Signup).where(Signup.id == bad).values(statement_ids=[987_654]))
        tx.session.expire_all()
        good = [sign_up(tx, f"reader{number}@fjell.no") for number in range(3)]
        for _ in range(5):
            later(tx, clock, minutes=1)
            tx.hints.clear()
            subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS, limit)
        assert tx.hints == [], "no hint for what failed a moment ago"
        tx.session.expire_all()
        assert [signups.find_signup(tx, signup_id).state for signup_id in good] == [SignupState.ASKED] * 3
        assert signups.find_signup(tx, bad).state is SignupState.RECEIVED
        assert mails(tx) == [MailKind.CONFIRMATION] * 3
        assert subscribers.find_by_dedupe_key(tx, "bad@fjell.no") is None, "nothing of it was done"
        assert signups.has_received(tx, clock.now()), "it is tried again"

    def test_a_full_batch_asks_to_be_called_again(self, tx):
        for number in range(3):
            sign_up(tx, f"reader{number}@fjell.no")
        tx.hints.clear()
        assert subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS, 2) == 2
        assert (Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE, ()) in tx.hints
        tx.hints.clear()
        assert subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS, 2) == 1
        assert (Hint.PROCESS_SIGNUPS, Lane.INTERACTIVE, ()) not in tx.hints


@pytest.mark.requirement("E-05")
def test_twenty_sign_ups_of_one_victim_are_one_mail(fresh_database, clock):
    """E-05 with two workers at once on committed data: spellings and networks differ, the victim is one."""
    _, app = fresh_database
    database = engine.create(app, "test")
    transaction = factory(database, clock, HintList())
    with transaction() as tx:
        for number in range(20):
            local = "anna" if number % 2 else "Anna"
            sign_up(tx, f"{local}+{number}@gmail.com" if number % 3 else f"{local}@googlemail.com")
    together = Barrier(2)

    def work(_: int) -> int:
        together.wait(timeout=30)
        total = 0
        while True:
            with transaction() as tx:
                done = subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS, 3)
            total += done
            if not done:
                return total

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(work, range(2))) == 20
    with transaction() as tx:
        states = dict(tx.session.execute(select(Signup.state, func.count()).group_by(Signup.state)).all())
        assert states == {SignupState.ASKED: 1, SignupState.LIMITED: 19}
        assert tx.session.scalar(select(func.count()).select_from(Delivery)) == 1
    database.dispose()


class TestConfirming:
    def test_the_button_gives_consent_on_the_words_shown(self, tx, clock):
        signup = decided(tx, sign_up(tx, purposes=("digest", "offers"), first_name="Anna", topics=("gear",)))
        later(tx, clock, hours=1)
        confirmed = confirm(tx, signup.id)
        assert isinstance(confirmed, Confirmed)
        assert confirmed.purposes == (Purpose.DIGEST, Purpose.OFFERS)
        given = [e for e in consent.list_events(tx, signup.subscriber_id) if e.state is ConsentState.GIVEN]
        assert [e.purpose for e in given] == [Purpose.DIGEST, Purpose.OFFERS]
        confirmation = tx.session.scalars(select(Delivery.id).where(Delivery.kind == MailKind.CONFIRMATION)).one()
        for event, statement_id in zip(given, signup.statement_ids, strict=True):
            assert (event.channel, event.signup_id, event.delivery_id) == (
                Channel.CONFIRMATION,
                signup.id,
                confirmation,
            )
            assert (event.statement_id, event.notice_id, event.form_id) == (
                statement_id,
                signup.notice_id,
                signup.form_id,
            )
            said = personal(tx, event)
            assert (said["ip"], said["user_agent"], said["page_url"]) == (
                BUTTON_EVIDENCE.ip,
                BUTTON_EVIDENCE.user_agent,
                BUTTON_EVIDENCE.page_url,
            )
            sent = said["request"]
            assert (sent["ip"], sent["user_agent"], sent["page_url"]) == (
                FORM_EVIDENCE.ip,
                FORM_EVIDENCE.user_agent,
                FORM_EVIDENCE.page_url,
            )
            assert event.occurred_at == tx.now
        assert set(subscriptions(tx, signup.subscriber_id).values()) == {SubscriptionState.ACTIVE}

    def test_choices_take_effect_and_one_welcome_goes_out(self, tx):
        subscriber_id = a_reader(
            tx, purposes=("digest", "offers"), first_name="Anna", topics=("gear", "running"), language=Language.DE
        )
        tx.session.expire_all()
        reader = subscribers.find_subscriber(tx, subscriber_id)
        assert (reader.first_name, reader.language) == ("Anna", Language.DE)
        assert len(subscribers.list_topic_ids(tx, subscriber_id)) == 2
        assert mails(tx) == [MailKind.CONFIRMATION, MailKind.WELCOME]

    @pytest.mark.parametrize("before", [("gear",), ("gear", "running")])
    def test_a_form_that_does_not_ask_leaves_the_topics(self, tx, clock, before):
        subscriber_id = a_reader(tx, purposes=("offers",), topics=before)
        chosen = subscribers.list_topic_ids(tx, subscriber_id)
        later(tx, clock, days=2)
        a_reader(tx, form="hub-one-box", topics=())
        assert subscribers.list_topic_ids(tx, subscriber_id) == chosen != frozenset()
        assert set(subscriptions(tx, subscriber_id).values()) == {SubscriptionState.ACTIVE}

    @pytest.mark.requirement("E-07")
    def test_a_second_press_changes_nothing(self, tx):
        """E-07."""
        signup = decided(tx, sign_up(tx))
        confirm(tx, signup.id)
        events = len(consent.list_events(tx, signup.subscriber_id))
        assert isinstance(confirm(tx, signup.id), AlreadyConfirmed)
        assert len(consent.list_events(tx, signup.subscriber_id)) == events
        assert mails(tx) == [MailKind.CONFIRMATION, MailKind.WELCOME]

    def test_a_used_link_does_not_bring_back_who_left(self, tx):
        signup = decided(tx, sign_up(tx))
        confirm(tx, signup.id)
        token = unsubscribe_token(signup.subscriber_id, signup.list_id)
        unsubscribing.unsubscribe(tx, KEYS, token, Channel.PAGE, BUTTON_EVIDENCE)
        assert isinstance(confirm(tx, signup.id), AlreadyConfirmed)
        assert set(subscriptions(tx, signup.subscriber_id).values()) == {SubscriptionState.UNSUBSCRIBED}

    @pytest.mark.parametrize(("hours", "works"), [(71.9, True), (72, False), (500, False)])
    @pytest.mark.requirement("E-07")
    def test_the_link_works_for_72_hours(self, tx, clock, hours, works):
        signup = decided(tx, sign_up(tx))
        later(tx, clock, hours=hours)
        asked = subscribing.get_confirmation(tx, KEYS, confirm_token(signup.id))
        assert isinstance(asked, ConfirmationAsked if works else ConfirmationExpired)
        assert isinstance(confirm(tx, signup.id), Confirmed if works else ConfirmationExpired)

    def test_who_complained_meanwhile_is_not_signed_up(self, tx):
        signup = decided(tx, sign_up(tx))
        suppressions.add_suppression(
            tx, address_hmac=signup.address_hmac, reason=SuppressionReason.COMPLAINT, source="test"
        )
        assert confirm(tx, signup.id) == ConfirmationExpired(Language.EN)
        assert set(subscriptions(tx, signup.subscriber_id).values()) == {SubscriptionState.PENDING}

    def test_a_mailbox_that_works_again_lifts_its_bounce(self, tx):
        """C-16: a new double opt-in by the person, and nothing else."""
        hmac = KEYS.address_hmac("anna@fjell.no")
        suppressions.add_suppression(tx, address_hmac=hmac, reason=SuppressionReason.PERMANENT_BOUNCE, source="test")
        signup = decided(tx, sign_up(tx))
        assert suppressions.list_reasons(tx, hmac, signup.list_id)
        confirm(tx, signup.id)
        assert not suppressions.list_reasons(tx, hmac, signup.list_id)

    @pytest.mark.parametrize("token", ["", "x", "a" * 52, "ä" * 52, "!" * 52])
    def test_forged_tokens(self, tx, token):
        assert subscribing.get_confirmation(tx, KEYS, token) == NotOurs()
        assert subscribing.confirm_subscription(tx, KEYS, token, BUTTON_EVIDENCE) == NotOurs()

    def test_a_token_for_something_else_confirms_nothing(self, tx):
        signup = decided(tx, sign_up(tx))
        token = unsubscribe_token(signup.id, signup.list_id)
        assert subscribing.confirm_subscription(tx, KEYS, token, BUTTON_EVIDENCE) == NotOurs()

    def test_a_sign_up_that_was_purged(self, tx):
        assert confirm(tx, 123_456) == ConfirmationExpired(None)
        assert subscribing.get_confirmation(tx, KEYS, confirm_token(123_456)) == ConfirmationExpired(None)

    def test_a_limited_sign_up_has_no_link_that_works(self, tx):
        decided(tx, sign_up(tx))
        limited = decided(tx, sign_up(tx))
        assert isinstance(confirm(tx, limited.id), ConfirmationExpired)

    def test_the_page_shows_the_words_that_were_ticked(self, tx):
        signup = decided(tx, sign_up(tx, purposes=("offers",)))
        asked = subscribing.get_confirmation(tx, KEYS, confirm_token(signup.id))
        assert isinstance(asked, ConfirmationAsked)
        [statement] = asked.statements
        assert statement == tx.session.get(Statement, signup.statement_ids[0]).body
        assert asked.purposes == (Purpose.OFFERS,)


def test_expired_sign_ups_are_closed(tx, clock):
    open_, done = decided(tx, sign_up(tx)), decided(tx, sign_up(tx, "ben@fjell.no"))
    confirm(tx, done.id)
    assert subscribing.expire_signups(tx) == 0
    later(tx, clock, hours=72)
    assert subscribing.expire_signups(tx) == 1
    assert subscribing.expire_signups(tx) == 0
    tx.session.expire_all()
    assert signups.find_signup(tx, open_.id).state is SignupState.EXPIRED
    assert signups.find_signup(tx, done.id).state is SignupState.CONFIRMED
    assert isinstance(confirm(tx, open_.id), ConfirmationExpired)


@pytest.mark.requirement("D-07")
def test_one_confirmation_and_no_reminder(tx, clock):
    """Seven days of the timetable later it is still the one mail."""
    signup = decided(tx, sign_up(tx))
    for _ in range(8):
        later(tx, clock, hours=24)
        subscribing.process_signups(tx, KEYS.ledger, THREE_DAYS)
        subscribing.expire_signups(tx)
        dispatching.sweep(tx)
    assert mails(tx) == [MailKind.CONFIRMATION]
    assert tx.session.get(Delivery, tx.session.scalar(select(Delivery.id))).signup_id == signup.id


@pytest.mark.requirement("E-02")
def test_every_sign_up_of_the_one_address_is_one_reader(tx, clock):
    """The case of the local part is the reader's; who it is, is not (E-02)."""
    first = a_reader(tx, "Anna@fjell.no")
    later(tx, clock, days=2)
    second = decided(tx, sign_up(tx, "anna@FJELL.no", purposes=("offers",)))
    assert second.subscriber_id == first
    assert subscribers.find_subscriber(tx, first).address == "Anna@fjell.no"
    assert a_request(tx, "anna@fjell.no").address.address == "anna@fjell.no"
    assert tx.session.scalar(select(func.count()).select_from(ConsentEvent)) == 3
