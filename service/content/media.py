"""The alternative texts of images in Media RSS, taken out of a feed before it is parsed.

feedparser takes a description of an image for one of the item, and an item's summary would be "A runner on a hill".
"""

import re
from xml.parsers import expat

_NAME = re.compile(rb"[^\s/>]+")
_MEDIA = "http://search.yahoo.com/mrss/"


def take_alternatives(document: bytes) -> tuple[bytes, dict[str, str]]:
    """The document without the titles and descriptions within media:content, and the descriptions by address.

    Those of a whole media:group or item stay: they do describe the item.
    """
    if _MEDIA.encode() not in document:
        return document, {}
    parser = expat.ParserCreate("utf-8", " ")
    search = _Search(parser, document)
    parser.StartElementHandler = search.start
    parser.EndElementHandler = search.end
    parser.CharacterDataHandler = search.text
    parser.Parse(document, True)
    left, rest = bytearray(), 0
    for start, end in search.cuts:
        left += document[rest:start]
        rest = end
    return bytes(left + document[rest:]), search.alternatives


class _Search:
    def __init__(self, parser: expat.XMLParserType, document: bytes) -> None:
        self._parser = parser
        self._document = document
        self.cuts: list[tuple[int, int]] = []
        self.alternatives: dict[str, str] = {}
        self._media: list[str] = []
        """The addresses of the media:content elements that are open."""
        self._open: tuple[str, int] | None = None
        """The element to be cut that is open, and where it starts."""
        self._text = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == f"{_MEDIA} content":
            self._media.append(attributes.get("url", ""))
        elif self._media and self._open is None and name in (f"{_MEDIA} description", f"{_MEDIA} title"):
            self._open, self._text = (name, self._parser.CurrentByteIndex), ""

    def text(self, text: str) -> None:
        if self._open:
            self._text += text

    def end(self, name: str) -> None:
        if self._open and name == self._open[0]:
            start, here = self._open[1], self._parser.CurrentByteIndex
            tag = _NAME.match(self._document, start + 1)
            # expat says of <media:title/> that it ends where the next tag begins; there is nothing to cut.
            if tag and self._document.startswith(b"</" + tag[0], here):
                self.cuts.append((start, self._document.index(b">", here) + 1))
            if name.endswith(" description") and self._text.strip():
                self.alternatives.setdefault(self._media[-1], self._text)
            self._open = None
        elif name == f"{_MEDIA} content":
            self._media.pop()
