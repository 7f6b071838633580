"""How often and at which hour a reader wants digests is honoured by the planning of each run."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, text, update

from service.domain.words import DeliveryStatus, Rhythm, SkipReason
from service.store.schema import Delivery, Subscriber
from service.store.transaction import Transaction
from tests.conftest import FrozenClock
from tests.usecases.test_digesting import Hub


@pytest.fixture(scope="module")
def shared_engine(empty_engine: Engine) -> Engine:
    """These have lists of their own."""
    return empty_engine


@pytest.fixture
def hub(tx: Transaction) -> Hub:
    return Hub(tx)


def prefers(tx: Transaction, reader: int, **choices: object) -> None:
    tx.session.execute(update(Subscriber).where(Subscriber.id == reader).values(**choices))


def days_mailed(hub: Hub, clock: FrozenClock, reader: int, days: int, *, minutes_off: int = 0) -> list[int]:
    """On which of so many days with a run and a new article each the reader is mailed."""
    mailed = []
    for day in range(days):
        hub.tx.now = clock.now() + timedelta(days=day, minutes=minutes_off * (-1) ** day)
        hub.article(f"article {day}", published=0.1, seen=0.1)
        campaign, planned = hub.run()
        assert planned.audience == planned.queued + sum(planned.skipped.values()), "every reader is in one bucket"
        if hub.issue_of(campaign, reader) is SkipReason.RHYTHM:
            continue
        assert not isinstance(hub.issue_of(campaign, reader), SkipReason)
        mailed.append(day)
    return mailed


@pytest.mark.parametrize(
    ("rhythm", "days"),
    [
        (Rhythm.DAILY, list(range(33))),
        (Rhythm.WEEKLY, [0, 7, 14, 21, 28]),
        (Rhythm.FORTNIGHTLY, [0, 14, 28]),
        (Rhythm.MONTHLY, [0, 31]),  # 2 March, 2 April
    ],
)
def test_at_most_one_digest_per_rhythm_of_daily_runs(hub: Hub, clock: FrozenClock, rhythm: Rhythm, days: list) -> None:
    reader = hub.reader("r@a.example")
    prefers(hub.tx, reader, rhythm=rhythm)
    assert days_mailed(hub, clock, reader, 33, minutes_off=20) == days, "also where runs are some minutes off"


def test_monthly_takes_the_first_of_every_month(hub: Hub) -> None:
    reader = hub.reader("r@a.example")
    prefers(hub.tx, reader, rhythm=Rhythm.MONTHLY)
    for month in range(1, 7):
        hub.tx.now = datetime(2027, month, 1, 7, month % 3, tzinfo=UTC)
        hub.article(f"article {month}", published=1, seen=1)
        campaign, _ = hub.run()
        assert not isinstance(hub.issue_of(campaign, reader), SkipReason), f"month {month}, February has 28 days"


def test_what_waited_is_in_the_next_digest(hub: Hub, clock: FrozenClock) -> None:
    reader = hub.reader("r@a.example")
    prefers(hub.tx, reader, rhythm=Rhythm.WEEKLY)
    assert days_mailed(hub, clock, reader, 7) == [0]
    hub.set_bounds(most=10)
    hub.tx.now = clock.now() + timedelta(days=7)
    campaign, _ = hub.run()
    assert len(hub.issue_of(campaign, reader)) == 6


@pytest.mark.parametrize(("status", "counts"), [("uncertain", True), ("accepted", True), ("failed", False)])
def test_only_what_may_have_arrived_counts(hub: Hub, status: str, counts: bool) -> None:
    reader = hub.reader("r@a.example")
    prefers(hub.tx, reader, rhythm=Rhythm.WEEKLY)
    hub.article("one")
    first, _ = hub.run()
    hub.tx.session.execute(text("UPDATE deliveries SET status = :status"), {"status": status})
    hub.article("two")
    hub.tx.now += timedelta(days=1)
    second, planned = hub.run()
    assert (hub.issue_of(second, reader) is SkipReason.RHYTHM) == counts
    assert planned.skipped == ({SkipReason.RHYTHM: 1} if counts else {})
    assert first != second


def test_a_pause_is_said_before_the_rhythm(hub: Hub) -> None:
    reader = hub.reader("r@a.example")
    prefers(hub.tx, reader, rhythm=Rhythm.MONTHLY)
    hub.article("one")
    hub.run()
    prefers(hub.tx, reader, paused_until=hub.tx.now + timedelta(days=9))
    hub.article("two")
    campaign, _ = hub.run()
    assert hub.issue_of(campaign, reader) is SkipReason.PAUSED


def due(hub: Hub, reader: int, now: str, hour: int | None, zone: str | None) -> str:
    """When a digest planned at `now` (UTC) is due, in UTC."""
    hub.tx.now = datetime.fromisoformat(now).replace(tzinfo=UTC)
    prefers(hub.tx, reader, local_hour=hour, time_zone=zone)
    hub.article(f"article {now} {hour}", published=0.01, seen=0.01)
    campaign, _ = hub.run()
    row = hub.tx.session.scalars(
        select(Delivery).where(Delivery.campaign_id == campaign, Delivery.subscriber_id == reader)
    ).one()
    assert (row.status, row.created_at) == (DeliveryStatus.QUEUED, hub.tx.now)
    return f"{row.due_at.astimezone(UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("now", "hour", "zone", "expected"),
    [
        ("2026-03-02 09:00", None, "Europe/Oslo", "2026-03-02 09:00"),
        ("2026-03-02 09:00", 18, None, "2026-03-02 18:00"),
        ("2026-03-02 09:00", 7, None, "2026-03-03 07:00"),
        ("2026-03-02 09:40", 10, "Europe/Oslo", "2026-03-02 09:40"),  # it is ten there now
        ("2026-03-02 09:40", 9, "Europe/Oslo", "2026-03-03 08:00"),
        ("2026-03-02 20:00", 7, "Asia/Tokyo", "2026-03-02 22:00"),
        ("2026-03-02 09:00", 0, "America/New_York", "2026-03-03 05:00"),
        # Spring, 29 March 2026: 02:00 becomes 03:00 in Oslo.
        ("2026-03-28 12:00", 7, "Europe/Oslo", "2026-03-29 05:00"),
        ("2026-03-28 12:00", 2, "Europe/Oslo", "2026-03-29 01:00"),  # leapt over: three o'clock
        ("2026-03-29 12:00", 2, "Europe/Oslo", "2026-03-30 00:00"),
        # Autumn, 25 October 2026: 03:00 becomes 02:00.
        ("2026-10-24 12:00", 7, "Europe/Oslo", "2026-10-25 06:00"),
        ("2026-10-25 00:30", 2, "Europe/Oslo", "2026-10-25 00:30"),  # the first of two
        ("2026-10-25 00:30", 7, "Europe/Oslo", "2026-10-25 06:00"),
        ("2026-10-24 20:00", 3, "Europe/Oslo", "2026-10-25 02:00"),
        # A gap at midnight, and half an hour's difference.
        ("2026-04-23 12:00", 0, "Africa/Cairo", "2026-04-23 22:00"),
        ("2026-03-02 09:00", 18, "Asia/Kolkata", "2026-03-02 12:30"),
        ("2026-03-02 09:00", 18, "Nowhere/Atall", "2026-03-02 18:00"),
    ],
)
def test_due_at_the_readers_hour(hub: Hub, now: str, hour: int | None, zone: str | None, expected: str) -> None:
    assert due(hub, hub.reader("r@a.example"), now, hour, zone) == expected


def test_every_hour_of_a_day_comes_within_a_day(hub: Hub) -> None:
    """Also on the days when clocks are changed: never in the past, never later than an hour more than a day."""
    for number, (now, zone) in enumerate(
        [
            ("2026-03-28 23:30", "Europe/Oslo"),
            ("2026-10-24 23:30", "Europe/Oslo"),
            ("2026-03-08 06:30", "America/New_York"),
        ]
    ):
        for hour in range(24):
            reader = hub.reader(f"{number}-{hour}@a.example")
            prefers(hub.tx, reader, local_hour=hour, time_zone=zone)
        hub.tx.now = datetime.fromisoformat(now).replace(tzinfo=UTC)
        hub.article(f"article {number}", published=0.01, seen=0.01)
        campaign, planned = hub.run()
        waits = hub.tx.session.scalars(
            select(Delivery.due_at - hub.tx.now).where(Delivery.campaign_id == campaign, Delivery.status == "queued")
        ).all()
        assert planned.queued == len(waits) >= 24
        assert all(timedelta() <= wait <= timedelta(hours=25) for wait in waits)


def test_two_thousand_rhythms_are_planned_in_seconds(hub: Hub) -> None:
    """Each reader's last digest is found by the reader's own rows, whatever the planner knows of the table."""
    values = {"list": hub.list_id, "now": hub.tx.now}
    hub.tx.session.execute(
        text(
            """
            WITH reader AS (
                INSERT INTO subscribers (address, dedupe_key, address_hmac, language, rhythm, local_hour, time_zone)
                SELECT n || '@a.example', n || '@a.example', sha256(n::text::bytea), 'en', 'monthly', n % 24,
                       'Asia/Tokyo'
                FROM generate_series(1, 2000) n RETURNING id
            ), subscribed AS (
                INSERT INTO subscriptions (subscriber_id, list_id, purpose, state, event_id)
                SELECT id, :list, 'digest', 'active', 0 FROM reader
            )
            INSERT INTO deliveries (lane, kind, subscriber_id, list_id, purpose, status, skip_reason, due_at,
                                    created_at)
            SELECT 'bulk', 'digest', r.id, :list, 'digest', CASE WHEN mailed THEN 'accepted' ELSE 'skipped' END,
                   CASE WHEN NOT mailed THEN 'rhythm' END, :now, CAST(:now AS timestamptz) - ago * interval '1 day'
            FROM reader r, generate_series(1, 40) ago, LATERAL (SELECT ago % 40 = r.id % 40 AS mailed) m
            """
        ),
        values,
    )
    hub.article("one")
    start = time.perf_counter()
    _, planned = hub.run()
    assert time.perf_counter() - start < 10
    assert planned.audience == 2000 == planned.queued + planned.skipped[SkipReason.RHYTHM]
    assert planned.queued == 2000 * 13 / 40, "a month ago or more: 28 to 40 days, 28 of February"
