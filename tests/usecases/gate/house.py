"""Two lists, a digest and senders that are watched: each mail that waits is held against the law before it leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis.stateful import RuleBasedStateMachine, rule
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from service.domain.outcomes import Phase
from service.domain.words import (
    CampaignStatus,
    DeliveryStatus,
    Lane,
    Language,
    MailKind,
    Purpose,
)
from service.store import lists
from service.store.append_only import AppendOnlyFile
from service.store.schema import Campaign, Delivery, List, Source
from service.store.transaction import Transaction
from service.usecases import (
    campaigning,
    digesting,
    dispatching,
    wording,
)
from tests.conftest import FrozenClock
from tests.usecases.builders import PUBLISHER
from tests.usecases.gate.law import Law, Mail, Subject
from tests.usecases.sending import a_sender


class House(RuleBasedStateMachine):
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

    @rule()
    def audiences_are_planned(self) -> None:
        with self.transaction() as tx:
            waiting = tx.session.scalars(select(Campaign.id).where(Campaign.status == CampaignStatus.PLANNING)).all()
            for campaign in waiting:
                self._plan(tx, campaign)
                digesting.plan_run(tx, campaign)

    def _plan(self, tx: Transaction, campaign: int) -> None:
        campaigning.plan_campaign(tx, campaign)
        found = tx.session.get_one(Campaign, campaign, populate_existing=True)
        if found.run_id is None:
            audience = set(tx.session.scalars(select(Delivery.subscriber_id).where(Delivery.campaign_id == campaign)))
            assert self.law.may_have((found.list_id, found.purpose), tx.now) <= audience, "nobody is forgotten"

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
        while dispatching.send_due(sender):  # each transaction takes a second here, and a turn ends after sixty
            pass
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
