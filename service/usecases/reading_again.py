"""A past digest or campaign, read again as a page by whom it was mailed to."""

from dataclasses import dataclass
from datetime import datetime

from service.domain.letters import LetterArticle
from service.domain.words import DeliveryStatus, Language, MailKind
from service.store import deliveries, letters
from service.store.transaction import Transaction

READABLE = (DeliveryStatus.ACCEPTED, DeliveryStatus.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class PastMail:
    kind: MailKind
    sent_at: datetime
    list_name: str
    language: Language
    subject: str | None
    articles: tuple[LetterArticle, ...]
    body: str | None
    """A campaign's words, in Markdown."""


def get_past_mail(tx: Transaction, subscriber_id: int, delivery_id: int) -> PastMail | None:
    """None for what was not mailed to this reader, or is no digest and no campaign. Changes nothing."""
    delivery = deliveries.find_delivery(tx, delivery_id)
    if delivery is None or delivery.subscriber_id != subscriber_id or delivery.status not in READABLE:
        return None
    if delivery.kind not in (MailKind.DIGEST, MailKind.CAMPAIGN):
        return None
    [letter] = letters.read_letters(tx, [delivery_id])
    return PastMail(
        kind=letter.kind,
        sent_at=delivery.finished_at or delivery.created_at,
        list_name=letter.list_name,
        language=letter.language,
        subject=letter.subject,
        articles=letter.articles,
        body=letter.body,
    )
