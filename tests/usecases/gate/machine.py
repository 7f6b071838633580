"""Random histories of what people and operators do (D-03)."""

from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import select

from service.domain.campaigns import Resolution
from service.domain.outcomes import Phase
from service.domain.words import (
    CampaignStatus,
    Language,
    MailKind,
    Purpose,
    SignupState,
    SubscriptionState,
    SuppressionReason,
)
from service.errors import ServiceError
from service.store import consent, deliveries, subscribers, suppressions
from service.store.schema import Article, Campaign, Signup
from service.store.transaction import Transaction
from service.usecases import (
    admitting,
    asking,
    campaigning,
    digesting,
    undoing_imports,
)
from tests.usecases import import_files
from tests.usecases.builders import KEYS, THREE_DAYS
from tests.usecases.gate.law import Question, Reader
from tests.usecases.gate.people import People, addresses, purposes, which
from tests.usecases.import_files import ORDER, a_file, a_row, rows_of


class Gate(People):
    """And what operators do, and other systems."""

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
                assert subject not in self.law.readers[reader].refused
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
                # Who was asked and is asked no longer has not agreed either: not even a test mail tries it again.
                self.law.readers[reader].left |= {
                    (each.list_id, each.purpose)
                    for each in subscribers.list_subscriptions(tx, reader)
                    if each.state is SubscriptionState.UNSUBSCRIBED
                }

    @rule(on=st.integers(0, 1), purpose=purposes, planned=st.booleans())
    def campaign_is_ordered(self, on: int, purpose: Purpose, planned: bool) -> None:
        with self.transaction() as tx:
            campaign = self._draft(tx, on, purpose)
            campaigning.order_campaign(tx, campaign, by="ada")
            if planned:
                self._plan(tx, campaign)

    @rule(on=st.integers(0, 1), purpose=purposes, address=addresses)
    def campaign_is_tried_out(self, on: int, purpose: Purpose, address: str) -> None:
        with self.transaction() as tx:
            campaign = self._draft(tx, on, purpose)
        with suppress(ServiceError):  # refused already when it is ordered
            campaigning.send_test(
                self.transaction, KEYS, campaign, address=address, language=Language.EN, by="ada", per_day=1000
            )

    def _draft(self, tx: Transaction, on: int, purpose: Purpose) -> int:
        slug = ("hub", "other")[on]
        words = {"name": "News", "subject": "News", "body": "**New**"}
        return campaigning.create_campaign(tx, list_slug=slug, purpose=purpose, by="ada", **words)

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
