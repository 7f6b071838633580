"""An editor's Markdown into the HTML and the text of a campaign: the same words, the same links, nothing executed.

Raw HTML in the Markdown is shown as the characters that were typed. Styles stand on the elements, as mail clients
need it; classes carry the colours of dark mode (templates/emails/_base/head.mjml).
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from service.domain.words import Layout
from service.mail.render import TEXT_WIDTH, wrap

BODY_WIDTH = 536
"""Pixels inside the card (templates/emails/_base)."""
IMAGE_RATIO = 1200 / 630

_TEXT = "font-size:17px;line-height:27px;color:#1b2420"
_TITLE = "font-family:Georgia,'Times New Roman',serif;font-weight:700;color:#1b2420"
_STYLES = {
    "h1": ("ink", f"margin:0 0 16px;{_TITLE};font-size:30px;line-height:37px"),
    "h2": ("ink", f"margin:32px 0 12px;{_TITLE};font-size:22px;line-height:29px"),
    "h3": ("ink", f"margin:24px 0 8px;{_TEXT};font-weight:700"),
    "p": ("ink", f"margin:0 0 16px;{_TEXT}"),
    "ul": ("ink", f"margin:0 0 16px;padding:0 0 0 24px;{_TEXT}"),
    "ol": ("ink", f"margin:0 0 16px;padding:0 0 0 24px;{_TEXT}"),
    "li": ("", "margin:0 0 8px"),
    "blockquote": ("mark", "margin:0 0 16px;padding:0 0 0 16px;border-left:3px solid #0b6b53"),
    "a": ("brand", "color:#0b6b53;text-decoration:underline"),
    "code": ("ink", "white-space:pre-wrap;font-family:Consolas,Menlo,monospace;font-size:15px;color:#1b2420"),
    "hr": ("rule", "margin:24px 0;border:0;border-top:1px solid #dde2dd"),
    "img": ("", "display:block;width:100%;max-width:536px;height:auto;border:0;border-radius:6px"),
}
_ATTRIBUTES = {tag: {"style", "class"} for tag in _STYLES}
_ATTRIBUTES["a"] |= {"href"}
_ATTRIBUTES["img"] |= {"src", "alt", "width", "height"}
_ATTRIBUTES["ol"] |= {"start"}

_PARSER = MarkdownIt("commonmark", {"html": False})


class MarkdownError(ValueError):
    """The text cannot be mailed as it is. The message is for the editor."""


@dataclass(frozen=True, slots=True)
class Body:
    """A campaign's body, ready for both parts."""

    html: str
    text: str
    links: frozenset[str]
    """What the editor linked: the only foreign hosts that the mail may name (invariant 6)."""
    has_title: bool
    """Whether it brings a heading of the first level; if not, the subject stands above it."""


@lru_cache(maxsize=32)
def convert(markdown: str, own_hosts: frozenset[str], layout: Layout = Layout.CARD) -> Body:
    """In a plain letter only images have styles.

    Raises `MarkdownError` for nothing to read, an image from elsewhere, or a link that is not http(s) or mailto."""
    tokens = _PARSER.parse(markdown)
    tree = SyntaxTreeNode(tokens)
    _check_words(tree)
    text = "\n\n".join(_blocks(tree, TEXT_WIDTH))
    if not text.strip():
        raise MarkdownError("The body is empty. Write something for readers to read.")
    has_title = _settle_headings(tokens)
    links = set()
    for token in _all(tokens):
        if token.type == "link_open":
            links.add(_check_link(str(token.attrs["href"])))
            token.attrs.pop("title", None)
        elif token.type == "image":
            _settle_image(token, own_hosts)
        if token.tag in _STYLES and token.nesting >= 0 and (layout is Layout.CARD or token.tag == "img"):
            css_class, style = _STYLES[token.tag]
            token.attrs |= {"style": style} | ({"class": css_class} if css_class else {})
    # The second fence: even a fault of the parser lets through only these elements.
    html = nh3.clean(
        _PARSER.renderer.render(tokens, _PARSER.options, {}),
        tags={*_STYLES, "strong", "em", "br", "pre"},
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    return Body(html, text, frozenset(links), has_title)


def _check_words(tree: SyntaxTreeNode) -> None:
    """A heading or a link without words says nothing to who listens to a mail (A-40)."""
    for node in tree.walk():
        if node.type == "heading" and not _words(node).strip():
            raise MarkdownError("A heading is empty. Write its words, or remove its #.")
        if node.type == "link" and not _words(node).strip():
            raise MarkdownError(f"The link to {node.attrs['href']!r} has no words. Write some between its brackets.")


def _settle_headings(tokens: list[Token]) -> bool:
    """One h1 at most, nothing deeper than h3 (A-40). Says whether there is an h1."""
    has_title, level = False, ""
    for token in tokens:
        if token.type == "heading_open":
            first = token.tag == "h1" and not has_title
            has_title = has_title or first
            level = "h1" if first else "h2" if token.tag <= "h2" else "h3"
        if token.type in ("heading_open", "heading_close"):
            token.tag = level
    return has_title


def _check_link(href: str) -> str:
    parts = urlsplit(href)
    if parts.scheme == "mailto" or (parts.scheme in ("http", "https") and parts.hostname):
        return href
    raise MarkdownError(
        f"The link {href!r} leads nowhere from a mail. Write it whole, like https://www.example.org/page."
    )


def _settle_image(token: Token, own_hosts: frozenset[str]) -> None:
    src = str(token.attrs["src"])
    parts = urlsplit(src)
    if parts.scheme not in ("http", "https") or parts.hostname not in own_hosts:
        raise MarkdownError(
            f"The image {src!r} is not on a host of yours, so its host would learn who opens the mail. "
            "Put it on your own site and name that host in MILEPOST_OWN_HOSTS."
        )
    if parts.query:
        raise MarkdownError(
            f"The image {src!r} is asked for with a query (?{parts.query}), which could tell who opens the mail. "
            "Give the image an address of its own."
        )
    token.attrs.pop("title", None)
    # Clients that know CSS keep the image's own ratio; the others get that of a preview image.
    token.attrs |= {"width": str(BODY_WIDTH), "height": str(round(BODY_WIDTH / IMAGE_RATIO))}


def _all(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])


def _blocks(node: SyntaxTreeNode, width: int) -> Iterator[str]:
    """The text part: wrapped for reading, each link on a line of its own below its paragraph."""
    for child in node.children:
        match child.type:
            case "paragraph" | "heading":
                if block := _paragraph(child, width):
                    yield block
            case "bullet_list" | "ordered_list":
                yield _list(child, width)
            case "blockquote":
                yield textwrap.indent("\n\n".join(_blocks(child, width - 2)), "> ", lambda _: True)
            case "fence" | "code_block":
                yield textwrap.indent(child.content.rstrip("\n"), "    ")
            case "hr":
                yield "* * *"


def _paragraph(node: SyntaxTreeNode, width: int) -> str:
    inline = node.children[0]
    text = wrap(_words(inline), width)
    if node.type == "heading" and node.tag in ("h1", "h2"):
        text += "\n" + ("=" if node.tag == "h1" else "-") * max(map(len, text.splitlines()))
    links = [
        (_words(link), str(link.attrs["href"]).removeprefix("mailto:")) for link in inline.walk() if link.type == "link"
    ]
    lines = [text]
    for label, href in links:
        if label == href and text != href:
            lines.append(href)
        elif label != href:
            lines += [href] if label == _words(inline) else [f"→ {label}", f"  {href}"]
    return "\n".join(lines)


def _list(node: SyntaxTreeNode, width: int) -> str:
    first = int(node.attrs.get("start", 1))
    items = []
    for number, item in enumerate(node.children, first):
        bullet = "- " if node.type == "bullet_list" else f"{number}. "
        body = "\n".join(_blocks(item, width - len(bullet)))
        items.append(bullet + textwrap.indent(body, " " * len(bullet)).lstrip(" "))
    return "\n".join(items)


def _words(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "code_inline":
            return node.content
        case "softbreak":
            return " "
        case "hardbreak":
            return "\n"
        case "image":
            return f"[{node.content}]" if node.content else ""
    return "".join(_words(child) for child in node.children)
