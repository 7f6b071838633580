"""The hub's feeds as a content publisher writes them: RSS 2.0 for English, Atom for German."""

from collections.abc import Sequence
from datetime import UTC
from email.utils import format_datetime
from xml.etree import ElementTree as ET

from service.demo.articles import HubArticle, topics

ATOM = "http://www.w3.org/2005/Atom"
MEDIA = "http://search.yahoo.com/mrss/"
DC = "http://purl.org/dc/elements/1.1/"
NAME = "Fjellsko Training Hub"
AUTHORITY = "fjellsko.example,2026"
"""Of tag URIs (RFC 4151): they name an article whatever port the demo has today."""


def rss(articles: Sequence[HubArticle], base: str) -> bytes:
    """RSS 2.0 with Dublin Core authors and Media RSS images; `base` is the hub's URL without a slash."""
    for prefix, uri in (("atom", ATOM), ("media", MEDIA), ("dc", DC)):
        ET.register_namespace(prefix, uri)
    root = ET.Element("rss", version="2.0")
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", NAME)
    _add(channel, "link", f"{base}/en/")
    _add(channel, "description", "Training for people who run in hills and weather.")
    _add(channel, "language", "en")
    ET.SubElement(channel, f"{{{ATOM}}}link", rel="self", type="application/rss+xml", href=f"{base}/feeds/en.rss")
    if articles:
        _add(channel, "lastBuildDate", format_datetime(articles[0].published_at.astimezone(UTC), usegmt=True))
    for article in articles:
        item = ET.SubElement(channel, "item")
        _add(item, "title", article.title)
        _add(item, "link", base + article.path)
        _add(item, "guid", _tag(article)).set("isPermaLink", "false")
        _add(item, "pubDate", format_datetime(article.published_at.astimezone(UTC), usegmt=True))
        _add(item, f"{{{DC}}}creator", article.author)
        for topic in article.topics:
            _add(item, "category", topics()[topic][article.language])
        _add(item, "description", f"<p>{_escaped(article.summary)}</p>")
        image = ET.SubElement(item, f"{{{MEDIA}}}content", url=_image(article, base), medium="image", type="image/png")
        if article.image_alt:
            _add(image, f"{{{MEDIA}}}description", article.image_alt)
    return _document(root)


def atom(articles: Sequence[HubArticle], base: str) -> bytes:
    """Atom 1.0 (RFC 4287); images as Media RSS."""
    ET.register_namespace("", ATOM)
    ET.register_namespace("media", MEDIA)
    root = ET.Element(f"{{{ATOM}}}feed", {"{http://www.w3.org/XML/1998/namespace}lang": "de"})
    _add(root, f"{{{ATOM}}}title", NAME)
    _add(root, f"{{{ATOM}}}id", f"tag:{AUTHORITY}:feed:de")
    if articles:
        _add(root, f"{{{ATOM}}}updated", articles[0].published_at.astimezone(UTC).isoformat())
    ET.SubElement(root, f"{{{ATOM}}}link", rel="self", type="application/atom+xml", href=f"{base}/feeds/de.atom")
    ET.SubElement(root, f"{{{ATOM}}}link", rel="alternate", type="text/html", href=f"{base}/de/")
    for article in articles:
        entry = ET.SubElement(root, f"{{{ATOM}}}entry")
        _add(entry, f"{{{ATOM}}}title", article.title)
        _add(entry, f"{{{ATOM}}}id", _tag(article))
        ET.SubElement(entry, f"{{{ATOM}}}link", rel="alternate", type="text/html", href=base + article.path)
        _add(entry, f"{{{ATOM}}}published", article.published_at.astimezone(UTC).isoformat())
        _add(entry, f"{{{ATOM}}}updated", article.published_at.astimezone(UTC).isoformat())
        _add(ET.SubElement(entry, f"{{{ATOM}}}author"), f"{{{ATOM}}}name", article.author)
        for topic in article.topics:
            ET.SubElement(entry, f"{{{ATOM}}}category", term=topic, label=topics()[topic][article.language])
        _add(entry, f"{{{ATOM}}}summary", article.summary).set("type", "text")
        image = ET.SubElement(entry, f"{{{MEDIA}}}content", url=_image(article, base), medium="image", type="image/png")
        if article.image_alt:
            _add(image, f"{{{MEDIA}}}description", article.image_alt)
    return _document(root)


def _add(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = text
    return element


def _tag(article: HubArticle) -> str:
    return f"tag:{AUTHORITY}:{article.language}/{article.slug}"


def _image(article: HubArticle, base: str) -> str:
    return f"{base}/images/{article.image}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _document(root: ET.Element) -> bytes:
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document
