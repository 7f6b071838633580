"""What operators do to campaigns: drafts, tests, orders, pauses, and what each refuses."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from service.domain.campaigns import Resolution
from service.domain.outcomes import Phase
from service.domain.words import CampaignStatus, DeliveryStatus, Lane, Language, Layout, MailKind, Purpose
from service.errors import Kind, ServiceError
from service.ports import Hint
from service.store.reports import get_campaign_report, list_campaign_reports
from service.store.schema import Campaign, Delivery, Digest, MailedArticle, Revision, Run
from service.store.transaction import Transaction, TransactionFactory
from service.usecases import campaigning
from service.usecases.dispatching import send_due
from tests.builders import a_campaign, a_list, a_reader, delivery_of, statuses
from tests.conftest import FrozenClock, HintList
from tests.usecases.sending import a_sender, accepted_by, campaign_status, ordered, try_out


def create(tx: Transaction, **changes: str) -> int:
    a_list(tx)
    values = {
        "list_slug": "training",
        "name": "Spring sale",
        "subject": "New shoes",
        "body": "They are *here*.",
    } | changes
    return campaigning.create_campaign(tx, purpose=Purpose.OFFERS, by="ada", **values)


def test_a_draft_is_kept_as_written(tx: Transaction) -> None:
    campaign_id = create(tx, name="  Spring sale ", subject=" New shoes ")
    row = tx.session.get_one(Campaign, campaign_id)
    assert (row.name, row.subject, row.body, row.status) == ("Spring sale", "New shoes", "They are *here*.", "draft")
    report = get_campaign_report(tx, campaign_id)
    assert report is not None
    assert (report.kind, report.list_slug, report.purpose, report.changed_by) == (
        "campaign",
        "training",
        "offers",
        "ada",
    )
    assert set(report.buckets.values()) == {0}
    assert report.oldest_due_at is None


@pytest.mark.parametrize(
    ("changes", "kind", "field"),
    [
        ({"list_slug": "nowhere"}, Kind.NOT_FOUND, "list"),
        ({"name": " "}, Kind.INVALID, "name"),
        ({"name": "x" * 201}, Kind.INVALID, "name"),
        ({"name": "two\nlines"}, Kind.INVALID, "name"),
        ({"subject": ""}, Kind.INVALID, "subject"),
        ({"subject": "Re: your order"}, Kind.INVALID, "subject"),
        ({"subject": "x\r\nBcc: everybody@example.org"}, Kind.INVALID, "subject"),
        ({"body": " \n"}, Kind.INVALID, "body"),
        ({"body": "x" * 100_001}, Kind.INVALID, "body"),
        ({"body": "a\x00b"}, Kind.INVALID, "body"),
    ],
)
def test_a_draft_that_cannot_be_sent_is_refused(
    tx: Transaction, changes: dict[str, str], kind: Kind, field: str
) -> None:
    with pytest.raises(ServiceError) as refusal:
        create(tx, **changes)
    assert (refusal.value.kind, refusal.value.field) == (kind, field)
    assert tx.session.scalar(select(func.count()).select_from(Campaign)) == 0


def test_a_test_send_takes_nobodys_place_and_needs_no_consent(
    transaction: TransactionFactory, clock: FrozenClock, queue: HintList
) -> None:
    with transaction() as tx:
        a_reader(tx, "ada@example.org", state=None)
        campaign_id = create(tx)
    delivery_id = try_out(transaction, campaign_id, "Ada@example.org", Language.DE)
    assert queue.hints == [(Hint.SEND_DUE, Lane.INTERACTIVE, ())]
    with transaction() as tx:
        row = delivery_of(tx, delivery_id)
        assert (row.campaign_id, row.subscriber_id, row.kind) == (None, None, MailKind.CAMPAIGN)
        report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert (report.audience, report.status) == (0, CampaignStatus.DRAFT)
    seen = []
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    write = sender.write
    sender.write = lambda letter, now: seen.append(letter) or write(letter, now)  # type: ignore[func-returns-value]
    send_due(sender)
    assert accepted_by(sender) == ["Ada@example.org"]
    (letter,) = seen
    assert (letter.test, letter.language, letter.subject, letter.campaign_id) == (True, "de", "New shoes", campaign_id)
    assert (letter.subscriber_id, letter.first_name, letter.given_at, letter.purpose) == (None, None, None, "offers")


def test_what_is_ordered_is_frozen(tx: Transaction, transaction: TransactionFactory) -> None:
    campaign_id = create(tx)
    tx.session.flush()
    try_out(transaction, campaign_id)
    try_out(transaction, campaign_id, language=Language.DE)
    campaigning.order_campaign(tx, campaign_id, by="grace")
    revisions = tx.session.scalars(select(Revision)).all()
    assert len(revisions) == 1, "tested and sent: the very same words"
    row = tx.session.get_one(Campaign, campaign_id)
    assert (row.revision_id, row.status, row.changed_by, row.ordered_at) == (
        revisions[0].id,
        "planning",
        "grace",
        tx.now,
    )
    assert (Hint.PLAN_CAMPAIGN, Lane.BULK, (campaign_id,)) in tx.hints


def test_an_edit_makes_a_new_revision(tx: Transaction, transaction: TransactionFactory) -> None:
    campaign_id = create(tx)
    try_out(transaction, campaign_id)
    tx.session.get_one(Campaign, campaign_id).body = "They are **still** here."
    campaigning.order_campaign(tx, campaign_id, by="ada")
    assert [row.body for row in tx.session.scalars(select(Revision).order_by(Revision.id))] == [
        "They are *here*.",
        "They are **still** here.",
    ]


def test_another_layout_is_another_revision_and_is_what_is_mailed(
    transaction: TransactionFactory, clock: FrozenClock
) -> None:
    with transaction() as tx:
        campaign_id = create(tx, layout=Layout.PLAIN)
    try_out(transaction, campaign_id)
    with transaction() as tx:
        tx.session.get_one(Campaign, campaign_id).layout = Layout.CARD
    try_out(transaction, campaign_id)
    seen = []
    sender = a_sender(transaction, clock, lane=Lane.INTERACTIVE)
    write = sender.write
    sender.write = lambda letter, now: seen.append(letter.layout) or write(letter, now)  # type: ignore[func-returns-value]
    send_due(sender)
    assert seen == [Layout.PLAIN, Layout.CARD]
    with transaction() as tx:
        assert [row.layout for row in tx.session.scalars(select(Revision).order_by(Revision.id))] == ["plain", "card"]


def test_planning_is_repeatable_and_adds_nobody_twice(tx: Transaction) -> None:  # invariant 4
    for name in ("one", "two"):
        a_reader(tx, f"{name}@example.org")
    campaign_id = create(tx)
    campaigning.order_campaign(tx, campaign_id, by="ada")
    assert campaigning.plan_campaign(tx, campaign_id) == 2
    assert campaigning.plan_campaign(tx, campaign_id) == 0, "it is not in planning any more"
    a_reader(tx, "late@example.org")
    tx.session.execute(text("UPDATE campaigns SET status = 'planning'"))
    tx.session.expire_all()
    assert campaigning.plan_campaign(tx, campaign_id) == 1, "as after a crash in mid planning: only who is missing"
    assert statuses(tx, campaign_id) == dict.fromkeys(
        ("one@example.org", "two@example.org", "late@example.org"), "queued"
    )
    assert campaign_status(tx, campaign_id) is CampaignStatus.SENDING


def a_digests_campaign(tx: Transaction) -> int:
    digest = Digest(slug="weekly", list_id=a_list(tx), names={}, min_items=1, max_items=5, max_age_days=30)
    tx.session.add(digest)
    tx.session.flush()
    run = Run(digest_id=digest.id, cutoff_at=tx.now)
    tx.session.add(run)
    tx.session.flush()
    campaign_id = a_campaign(tx, status=CampaignStatus.PLANNING)
    campaign = tx.session.get_one(Campaign, campaign_id)
    campaign.run_id, campaign.subject, campaign.body = run.id, None, None
    tx.session.flush()
    return campaign_id


def test_a_runs_campaign_is_not_an_operators(tx: Transaction, transaction: TransactionFactory) -> None:
    campaign_id = a_digests_campaign(tx)
    assert campaigning.plan_campaign(tx, campaign_id) == 0
    assert campaign_status(tx, campaign_id) is CampaignStatus.PLANNING
    with pytest.raises(ServiceError, match="made by a run"):
        campaigning.order_campaign(tx, campaign_id, by="ada")
    with pytest.raises(ServiceError, match="made by a run"):
        try_out(transaction, campaign_id)
    assert [report.kind for report in list_campaign_reports(tx)] == ["digest"]


@pytest.mark.parametrize("act", ["order", "pause", "resume", "cancel"])
def test_a_campaign_that_is_not_there(tx: Transaction, act: str) -> None:
    with pytest.raises(ServiceError) as refusal:
        getattr(campaigning, f"{act}_campaign")(tx, 4711, by="ada")
    assert refusal.value.kind is Kind.NOT_FOUND


def test_who_paused_it_and_why_stands_in_the_report(tx: Transaction) -> None:
    a_reader(tx, "r@example.org")
    campaign_id = ordered(tx)
    campaigning.pause_campaign(tx, campaign_id, by="grace", reason="wrong subject")
    report = get_campaign_report(tx, campaign_id)
    assert report is not None
    assert (report.status, report.changed_by, report.reason) == (CampaignStatus.PAUSED, "grace", "wrong subject")
    assert report.oldest_due_at == tx.now
    campaigning.resume_campaign(tx, campaign_id, by="ada")
    report = get_campaign_report(tx, campaign_id)
    assert report is not None
    assert (report.status, report.changed_by, report.reason) == (CampaignStatus.SENDING, "ada", None)
    assert (Hint.SEND_DUE, Lane.BULK, ()) in tx.hints


def uncertain(tx: Transaction, status: CampaignStatus) -> int:
    a_reader(tx, "lost@example.org")
    campaign_id = ordered(tx)
    tx.session.execute(text("UPDATE deliveries SET status = 'uncertain'"))
    tx.session.execute(text("UPDATE campaigns SET status = :s"), {"s": status.value})
    tx.session.expire_all()
    return campaign_id


@pytest.mark.parametrize(
    ("status", "resent_in"),
    [
        (CampaignStatus.SENDING, CampaignStatus.SENDING),
        (CampaignStatus.PAUSED, CampaignStatus.PAUSED),
        (CampaignStatus.SENT, CampaignStatus.SENDING),
    ],
)
def test_resending_reopens_only_what_was_closed(
    tx: Transaction, status: CampaignStatus, resent_in: CampaignStatus
) -> None:
    campaign_id = uncertain(tx, status)
    assert campaigning.resolve_uncertain(tx, campaign_id, Resolution.RESEND, by="grace") == 1
    assert campaign_status(tx, campaign_id) is resent_in
    assert tx.session.get_one(Campaign, campaign_id).changed_by == ("ada" if status is resent_in else "grace")
    assert statuses(tx, campaign_id) == {"lost@example.org": "queued"}


def test_nothing_of_a_cancelled_campaign_is_resent(tx: Transaction) -> None:
    campaign_id = uncertain(tx, CampaignStatus.CANCELLED)
    with pytest.raises(ServiceError) as refusal:
        campaigning.resolve_uncertain(tx, campaign_id, Resolution.RESEND, by="ada")
    assert refusal.value.kind is Kind.CONFLICT
    assert campaigning.resolve_uncertain(tx, campaign_id, Resolution.CLOSE, by="ada") == 1


# Articles of digests: given back when they certainly did not leave, kept when they may have (invariant 7)


def with_article(tx: Transaction, delivery_id: int) -> None:
    source = tx.session.scalar(
        text(
            "INSERT INTO sources (slug, list_id, location) SELECT 's', list_id, 'file' FROM deliveries WHERE id = :id "
            "RETURNING id"
        ),
        {"id": delivery_id},
    )
    article = tx.session.scalar(
        text(
            "INSERT INTO articles (source_id, guid, canonical_url, url_key, title, summary, language, published_at) "
            "VALUES (:s, 'g', 'https://hub.example/a', 'hub.example/a', 'A', 'a', 'en', now()) RETURNING id"
        ),
        {"s": source},
    )
    tx.session.execute(
        text(
            "INSERT INTO mailed_articles (subscriber_id, article_id, delivery_id) "
            "SELECT subscriber_id, :a, id FROM deliveries WHERE id = :id"
        ),
        {"a": article, "id": delivery_id},
    )


@pytest.mark.parametrize(
    ("answer", "then", "kept"),
    [
        ((Phase.EOM, 250, None, "ok"), None, True),
        ((Phase.RCPT, 550, "5.1.1", "no such user"), None, False),
        ((Phase.RCPT, 451, None, "later"), None, True),
        ((Phase.RCPT, 451, None, "later"), "cancel", False),
        ((Phase.EOM, None, None, "closed"), None, True),
        ((Phase.EOM, None, None, "closed"), "close", True),
        ((Phase.EOM, None, None, "closed"), "resend, refused", True),
        (None, "unsubscribe", False),
        (None, "cancel", False),
        (None, "pause", True),
    ],
)
def test_articles_are_given_back_only_if_they_cannot_have_arrived(
    transaction: TransactionFactory, clock: FrozenClock, answer: tuple | None, then: str | None, kept: bool
) -> None:
    with transaction() as tx:
        a_reader(tx, "r@example.org")
        campaign_id = ordered(tx)
        delivery_id = tx.session.scalars(select(Delivery.id)).one()
        with_article(tx, delivery_id)
    sender = a_sender(transaction, clock, script={"r@example.org": answer} if answer else {})
    if answer:
        send_due(sender)
    with transaction() as tx:
        match then:
            case "cancel":
                campaigning.cancel_campaign(tx, campaign_id, by="ada")
            case "pause":
                campaigning.pause_campaign(tx, campaign_id, by="ada")
            case "close":
                campaigning.resolve_uncertain(tx, campaign_id, Resolution.CLOSE, by="ada")
            case "resend, refused":
                campaigning.resolve_uncertain(tx, campaign_id, Resolution.RESEND, by="ada")
                sender.transport.script["r@example.org"] = (Phase.RCPT, 550, "5.1.1", "no")  # type: ignore[attr-defined]
            case "unsubscribe":
                tx.session.execute(text("UPDATE subscriptions SET state = 'unsubscribed'"))
    send_due(sender)
    with transaction() as tx:
        assert (tx.session.scalar(select(func.count()).select_from(MailedArticle)) == 1) is kept


def test_numbers_of_a_campaign_in_the_middle(transaction: TransactionFactory, clock: FrozenClock) -> None:
    with transaction() as tx:
        for name in ("ok", "busy", "lost", "later"):
            a_reader(tx, f"{name}@example.org")
        campaign_id = ordered(tx)
        tx.session.execute(
            text(
                "UPDATE deliveries SET due_at = :at WHERE subscriber_id = "
                "(SELECT id FROM subscribers WHERE address = 'later@example.org')"
            ),
            {"at": tx.now + timedelta(hours=1)},
        )
    script = {
        "busy@example.org": (Phase.RCPT, 451, None, "later"),
        "lost@example.org": (Phase.EOM, None, None, "closed"),
    }
    send_due(a_sender(transaction, clock, script=script))
    with transaction() as tx:
        report = get_campaign_report(tx, campaign_id)
        assert report is not None
        assert report.audience == sum(report.buckets.values()) == 4
        assert report.buckets[DeliveryStatus.QUEUED] == 2
        assert report.buckets[DeliveryStatus.ACCEPTED] == report.buckets[DeliveryStatus.UNCERTAIN] == 1
        assert report.attempts == 3
        assert report.oldest_due_at == tx.now + timedelta(minutes=15)
        assert list_campaign_reports(tx, limit=1) == [report]
        assert get_campaign_report(tx, 4711) is None
