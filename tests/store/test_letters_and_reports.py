"""What a digest's letter says, in the reader's language and topics; and the counts of an installation."""

from datetime import UTC, datetime

from service.domain.words import CampaignStatus, DeliveryStatus, Lane, Language, MailKind, Purpose
from service.store import reports
from service.store.letters import read_letters
from service.store.schema import (
    Article,
    ArticleTopic,
    Delivery,
    Digest,
    Issue,
    MailedArticle,
    Run,
    Source,
    SubscriberTopic,
    Topic,
)
from service.store.transaction import Transaction
from tests.builders import a_campaign, a_list, a_reader, a_suppression

SEEN = datetime(2026, 2, 20, 8, 0, tzinfo=UTC)


def an_article(tx: Transaction, source: Source, slug: str, *topics: Topic) -> int:
    article = Article(
        source_id=source.id,
        guid=slug,
        canonical_url=f"https://hub.example/{slug}",
        url_key=f"hub.example/{slug}",
        title=slug.title(),
        summary=f"About {slug}.",
        author="Kari",
        image_url=None,
        image_alt=None,
        language=Language.DE,
        published_at=SEEN,
        first_seen_at=SEEN,
        updated_at=SEEN,
    )
    tx.session.add(article)
    tx.session.flush()
    tx.session.add_all(ArticleTopic(article_id=article.id, topic_id=topic.id) for topic in topics)
    tx.session.flush()
    return article.id


def test_a_digests_letter_shows_the_issue_in_order_with_the_topics_that_the_reader_chose(tx: Transaction) -> None:
    list_id = a_list(tx)
    topics = [
        Topic(list_id=list_id, slug="injury", names={"en": "Injury", "de": "Verletzung"}, position=2),
        Topic(list_id=list_id, slug="racing", names={"en": "Racing", "de": "Wettkampf"}, position=1),
        Topic(list_id=list_id, slug="gear", names={"en": "Gear"}, position=0),
    ]
    source = Source(slug="hub", list_id=list_id, location="https://hub.example/feed", topic_map={})
    digest = Digest(slug="weekly", list_id=list_id, names={}, min_items=1, max_items=5, max_age_days=30)
    tx.session.add_all([*topics, source, digest])
    tx.session.flush()
    injury, racing, gear = topics
    shoes = an_article(tx, source, "shoes", gear, racing)
    knees = an_article(tx, source, "knees", injury, racing, gear)
    run = Run(digest_id=digest.id, cutoff_at=tx.now)
    tx.session.add(run)
    tx.session.flush()
    issue = Issue(run_id=run.id, language=Language.DE, article_ids=[knees, shoes])
    tx.session.add(issue)
    campaign_id = a_campaign(tx, status=CampaignStatus.SENDING)
    readers = []
    for address, chosen in (("a@example.org", [injury, racing]), ("b@example.org", [gear])):
        reader = a_reader(tx, address, purpose=Purpose.DIGEST, language=Language.DE, first_name="Anna")
        tx.session.add_all(SubscriberTopic(subscriber_id=reader, topic_id=topic.id) for topic in chosen)
        tx.session.flush()
        delivery = Delivery(
            lane=Lane.BULK,
            kind=MailKind.DIGEST,
            subscriber_id=reader,
            list_id=list_id,
            purpose=Purpose.DIGEST,
            campaign_id=campaign_id,
            issue_id=issue.id,
            status=DeliveryStatus.QUEUED,
            due_at=tx.now,
            message_id="1@h.example",
            created_at=tx.now,
        )
        tx.session.add(delivery)
        tx.session.flush()
        readers.append(delivery.id)

    second, first = read_letters(tx, readers[::-1])
    assert (first.delivery_id, second.delivery_id) == tuple(readers)
    assert [article.id for article in first.articles] == [knees, shoes]
    assert [article.topics for article in first.articles] == [("Wettkampf", "Verletzung"), ("Wettkampf",)]
    assert [article.topics for article in second.articles] == [("gear",), ("gear",)], "no German name: the slug"
    assert (first.language, first.first_name, first.list_name) == ("de", "Anna", "Training (de)")
    assert (first.subject, first.body, first.signup, first.test) == (None, None, None, False)
    assert first.given_at is not None
    knee = first.articles[0]
    assert (knee.title, knee.url) == ("Knees", "https://hub.example/knees")
    assert (knee.author, knee.published_at) == ("Kari", SEEN)


def test_the_overview_counts_and_names_nobody(tx: Transaction) -> None:
    empty = reports.get_overview(tx)
    assert empty["subscribers"] == 0
    assert empty["deliveries"] == {}
    reader = a_reader(tx, "a@example.org")
    a_reader(tx, "b@example.org", state=None)
    a_suppression(tx, "b@example.org")
    a_suppression(tx, "a@example.org", lifted=True)
    a_campaign(tx)
    source = Source(slug="hub", list_id=a_list(tx), location="file", topic_map={})
    tx.session.add(source)
    tx.session.flush()
    tx.session.add(MailedArticle(subscriber_id=reader, article_id=an_article(tx, source, "shoes"), delivery_id=None))
    tx.session.flush()
    overview = reports.get_overview(tx)
    assert overview == {
        "lists": 1,
        "subscribers": 2,
        "subscriptions": {"active": 1},
        "signups": {},
        "consent_events": 0,
        "campaigns": {"draft": 1},
        "deliveries": {},
        "attempts": 0,
        "suppressions": 1,
        "mailed_articles": 1,
    }
