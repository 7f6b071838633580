"""What the templates of a mail may name, per kind: nothing else about the reader is within their reach.

A template that names more fails (StrictUndefined), so no text that a stranger typed can stand in a mail that is sent
before the address is confirmed (E-09): `confirmation`, `repermission`, `already_subscribed` and `address_change` have
no field of the reader at all.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

from service.domain.letters import Letter, LetterArticle, Publisher
from service.domain.private_access import PRIVATE_FOR
from service.domain.words import LIST_MAIL, MailKind, Purpose
from service.mail.links import Links, host_of
from service.mail.markdown import convert
from service.mail.render import listing, wrap
from service.texts import Catalogue, day, minute

LONGEST_NAME = 60
TOPICS_NAMED = 3
"""In the one line above a digest; every article names its own."""
_LIKE_A_LINK = re.compile(r"[@/\\<>\x00-\x1f]|www\.|\.\w\w", re.IGNORECASE)
"""A client would turn it into a link; such a "name" is not printed."""

Text = Callable[..., str]


def merge_fields(
    letter: Letter, publisher: Publisher, links: Links, catalogue: Catalogue, now: datetime
) -> dict[str, Any]:
    """Raises ValueError where the letter lacks what its kind needs, MarkdownError for a campaign's body."""

    def text(key: str, **values: object) -> str:
        return catalogue.text(letter.language, key, **values)

    values: dict[str, Any] = {
        "list_name": letter.list_name,
        "links": links,
        "publisher": {
            "name": publisher.name,
            "postal_address": publisher.postal_address,
            "contact": publisher.contact,
            "host": urlsplit(publisher.public_url).hostname,
        },
    }
    if letter.kind in LIST_MAIL:
        why = reason(letter, publisher, catalogue)
        values |= {
            "sent_at": now.date(),
            "greeting": greeting(letter, catalogue),
            "reason": why,
            "reason_lines": wrap(why),
        }
    match letter.kind:
        case MailKind.CONFIRMATION | MailKind.REPERMISSION:
            values |= _confirmation(letter)
        case MailKind.PRIVATE_LINK:
            values |= {"until": now + PRIVATE_FOR}
        case MailKind.ADDRESS_CHANGE:
            values |= _address_change(letter)
        case MailKind.WELCOME:
            values |= _welcome(letter, text)
        case MailKind.DIGEST:
            values |= digest_fields(letter, catalogue)
            values["articles"] = [article_fields(each, letter, publisher, catalogue) for each in letter.articles]
        case MailKind.CAMPAIGN:
            values |= _campaign(letter, publisher, text)
        case MailKind.OPERATOR_NOTICE:
            values |= {"notice": _notice(letter, publisher, text)}
    return values


def greeting(letter: Letter, catalogue: Catalogue) -> str:
    """By name, if there is one that is no more than a name."""
    text = partial(catalogue.text, letter.language)
    name = " ".join((letter.first_name or "").split())
    if not name or len(name) > LONGEST_NAME or _LIKE_A_LINK.search(name):
        return text("greeting.plain")
    return text("greeting.named", name=name)


def reason(letter: Letter, publisher: Publisher, catalogue: Catalogue) -> str:
    """Why the reader has this mail (A-45)."""
    text = partial(catalogue.text, letter.language)
    if letter.given_at is None:
        return text("footer.test")
    date = day(letter.language, letter.given_at)
    if letter.imported:
        return text("footer.taken_over", date=date, publisher=publisher.name)
    host = urlsplit(publisher.public_url).hostname
    return text("footer.signed_up", date=date, host=host)


def _confirmation(letter: Letter) -> dict[str, Any]:
    if letter.signup is None or not letter.signup.purposes:
        raise ValueError("a confirmation needs the sign-up that it asks about, and its purposes")
    signup = letter.signup
    return {
        "signup": {
            "requested_at": signup.requested_at,
            "expires_at": signup.expires_at,
            "purposes": _values(signup.purposes),
        }
    }


def _address_change(letter: Letter) -> dict[str, Any]:
    if letter.change is None:
        raise ValueError("a new address is asked about a change")
    return {"until": letter.change.expires_at}


def _welcome(letter: Letter, text: Text) -> dict[str, Any]:
    asked = letter.signup.purposes if letter.signup else ()
    purposes = asked or ((letter.purpose,) if letter.purpose else ())
    if not purposes:
        raise ValueError("a welcome needs the purposes that were agreed to")
    return {"preheader": text("welcome.preheader"), "purposes": _values(purposes)}


def digest_fields(letter: Letter, catalogue: Catalogue) -> dict[str, Any]:
    """What a digest says about all its articles together. Raises ValueError if there are none."""
    text = partial(catalogue.text, letter.language)
    if not letter.articles:
        raise ValueError("a digest is never empty")
    count = len(letter.articles)
    form = "one" if count == 1 else "many"
    topics = list(dict.fromkeys(topic for article in letter.articles for topic in article.topics))
    if len(topics) > TOPICS_NAMED:
        topics = [*topics[:TOPICS_NAMED], text("words.more")]
    about = listing(topics, text("words.and")) or letter.list_name
    preheader = text(f"digest.preheader_{form}", count=count, topics=about)
    intro = text(f"digest.intro_{form}", count=count)
    return {
        "preheader": preheader,
        "preheader_lines": wrap(preheader),
        "intro": intro,
        "intro_lines": wrap(intro),
    }


def article_fields(
    article: LetterArticle, letter: Letter, publisher: Publisher, catalogue: Catalogue
) -> dict[str, Any]:
    """What a digest says about an article; follows from the article, the language, and the list's name."""
    text = partial(catalogue.text, letter.language)
    published = day(letter.language, article.published_at)
    topics = listing(article.topics, text("words.and"))
    # An image from elsewhere would tell its host who opens the mail (invariant 6); one with a query might (D-24).
    own_image = article.image_url and host_of(article.image_url) in publisher.own_hosts and "?" not in article.image_url
    return {
        "title": article.title,
        "summary": article.summary,
        "url": article.url,
        "byline": f"{article.author} · {published}" if article.author else published,
        "why": text("digest.why", topics=topics) if topics else text("digest.why_plain", list=letter.list_name),
        "image_url": article.image_url if own_image else None,
        "image_alt": article.image_alt or "",
    }


def _campaign(letter: Letter, publisher: Publisher, text: Text) -> dict[str, Any]:
    if not letter.subject or letter.body is None:
        raise ValueError("a campaign needs a subject and a body")
    purpose = letter.purpose or Purpose.DIGEST
    body = convert(letter.body, publisher.own_hosts, letter.layout)
    return {
        "preheader": text(f"campaign.{purpose.value}", list=letter.list_name),
        "campaign": {
            "subject": letter.subject,
            "html": Markup(body.html),  # noqa: S704 - sanitised by nh3
            "text": body.text,
            "has_title": body.has_title,
        },
    }


def _notice(letter: Letter, publisher: Publisher, text: Text) -> dict[str, Any]:
    """What happened, what was not done, what to do; when it is over, only that."""
    if letter.notice is None:
        raise ValueError("an operator is told of something")
    notice = letter.notice
    about, kind = notice.facts["about"], notice.facts["kind"]
    values: dict[str, Any] = {**notice.facts, "at": minute(letter.language, notice.began_at)}

    def say(key: str) -> str:
        return text(f"operator_notice.{about}_{key}", **values)

    title = say("over_title" if notice.is_over else "title")
    if notice.is_over:
        values["until"] = minute(letter.language, notice.ended_at or notice.began_at)
        lines, command = [say("over")], ""
    else:
        said = [text("operator_notice.said", said=values["said"])] if values.get("said") else []
        lines, command = [say(str(kind)), *said, say("spared"), say("todo")], say("command")
    return {"subject": f"{publisher.name}: {title}", "title": title, "lines": lines, "command": command}


def _values(purposes: Iterable[Purpose]) -> list[str]:
    return [purpose.value for purpose in purposes]
