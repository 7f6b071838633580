"""Small feeds for tests, written plainly."""

from collections.abc import Iterable

NAMESPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/" '
    'xmlns:content="http://purl.org/rss/1.0/modules/content/"'
)


def an_item(number: int = 1, more: str = "", **parts: str | None) -> str:
    """One RSS item; a part that is None is left out, others may hold markup."""
    values: dict[str, str | None] = {
        "title": f"Article {number}",
        "link": f"https://hub.example/a{number}",
        "guid": f"guid-{number}",
        "pubDate": "Sun, 01 Mar 2026 08:00:00 GMT",
        "category": "Running",
        "description": f"Summary {number}",
    } | parts
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items() if value is not None)
    inner = inner.replace("<guid>", '<guid isPermaLink="false">')
    return f"<item>{inner}{more}</item>"


def an_rss(items: Iterable[str] | str, language: str | None = "en-GB", head: str = '<?xml version="1.0"?>') -> bytes:
    channel = "<title>Hub</title><link>https://hub.example/</link><description>d</description>"
    if language:
        channel += f"<language>{language}</language>"
    whole = "".join(items)
    return f'{head}<rss version="2.0" {NAMESPACES}><channel>{channel}{whole}</channel></rss>'.encode()


def an_atom(entries: str, attributes: str = 'xml:lang="en"') -> bytes:
    head = "<id>urn:feed</id><title>Hub</title><updated>2026-03-01T00:00:00Z</updated>"
    return f'<feed xmlns="http://www.w3.org/2005/Atom" {attributes}>{head}{entries}</feed>'.encode()
