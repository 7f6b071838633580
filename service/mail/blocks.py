"""Digests from ready blocks: an article is rendered, looked at and encoded once per language and choice of topics.

An issue that only one reader gets then costs little more than its place in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from markupsafe import Markup

from service.domain.letters import Letter, LetterArticle, Publisher
from service.domain.words import Language, MailKind
from service.mail import headers
from service.mail.lint import check_block
from service.mail.merge_fields import article_fields, digest_fields
from service.mail.render import Renderer
from service.mail.slots import Words, quoted, ready_words, room_for_break
from service.texts import Catalogue

TOGETHER = ("preheader", "preheader_lines", "intro", "intro_lines")
"""What a digest says about its articles together."""
OF_ISSUE = ("subject", *TOGETHER, "articles_html", "articles_text")
"""What differs from issue to issue of a run."""
_FOR_SUBJECTS = {"t", "day", "minute", "language", "list_name", "articles", *TOGETHER}
_MOST_BLOCKS = 4_096


def articles_of(renderer: Renderer, language: Language, articles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All articles of a digest, for both bodies."""
    parts = [renderer.article(language, fields, lead=not place) for place, fields in enumerate(articles)]
    return {
        "articles_html": Markup("\n".join(html for html, _ in parts)),  # noqa: S704 - rendered with escaping
        "articles_text": "\n\n".join(text for _, text in parts),
    }


@dataclass(frozen=True, slots=True)
class _Block:
    fields: dict[str, Any]
    html: bytes
    text: bytes
    html_size: int


@dataclass(frozen=True, slots=True)
class Issue:
    """What fills the frame of a digest for all readers of one issue."""

    filled: dict[str, Sequence[bytes]]
    html_sizes: dict[str, int]


class Blocks:
    """One per writer. What it keeps has bounds."""

    def __init__(self, publisher: Publisher, catalogue: Catalogue, renderer: Renderer) -> None:
        self._publisher = publisher
        self._catalogue = catalogue
        self._renderer = renderer
        self._words: dict[tuple[Language, str, str], Words] = {}
        self._kept: dict[tuple[LetterArticle, Language, str, bool], _Block] = {}
        self.is_for_templates = not renderer.computed_in_bodies(
            MailKind.DIGEST, (*OF_ISSUE, "articles")
        ) and renderer.names_in_subject(MailKind.DIGEST).issubset(_FOR_SUBJECTS)
        """Whether the templates only print what differs from issue to issue. If not, each issue is a variant."""

    def issue(self, letter: Letter) -> Issue:
        """Raises ValueError for what would not come out the same in blocks."""
        blocks = [self._block(article, letter, lead=not place) for place, article in enumerate(letter.articles)]
        together = digest_fields(letter, self._catalogue)
        values = {**together, "list_name": letter.list_name, "articles": [block.fields for block in blocks]}
        try:
            subject = self._renderer.subject(letter.kind, letter.language, values)
        except TemplateError as error:
            raise ValueError("the subject cannot be made by itself") from error
        words = self._together(letter.language, together)
        of_subject = ready_words({"subject": subject})
        return Issue(
            {
                **{name: (value,) for name, value in (words.filled | of_subject.filled).items()},
                "subject": (headers.unstructured("Subject", subject).removeprefix(b"Subject: ").removesuffix(b"\r\n"),),
                "articles_html.html": _joined([block.html for block in blocks], b"\r\n"),
                "articles_text.text": _joined([block.text for block in blocks], b"\r\n\r\n"),
            },
            words.html_sizes
            | of_subject.html_sizes
            | {"articles_html": sum(block.html_size + 1 for block in blocks) - 1},
        )

    def _together(self, language: Language, values: Mapping[str, str]) -> Words:
        """Many issues have as many articles on the same topics."""
        key = (language, values["preheader"], values["intro"])
        if (found := self._words.get(key)) is None:
            found = ready_words({name: values[name] for name in TOGETHER})
            if len(self._words) >= _MOST_BLOCKS:
                self._words.clear()
            self._words[key] = found
        return found

    def _block(self, article: LetterArticle, letter: Letter, *, lead: bool) -> _Block:
        key = (article, letter.language, letter.list_name, lead)
        if (found := self._kept.get(key)) is None:
            found = self._make(article, letter, lead=lead)
            if len(self._kept) >= _MOST_BLOCKS:
                self._kept.clear()
            self._kept[key] = found
        return found

    def _make(self, article: LetterArticle, letter: Letter, *, lead: bool) -> _Block:
        fields = article_fields(article, letter, self._publisher, self._catalogue)
        try:
            html, text = self._renderer.article(letter.language, fields, lead=lead)
        except TemplateError as error:
            raise ValueError("an article cannot be rendered by itself") from error
        if not html or not text or "\0" in html + text:
            raise ValueError("an article has nothing to show, or holds NUL")
        check_block(html, self._publisher.own_hosts, [self._publisher.site_url, article.url])
        return _Block(fields, _encoded(html), _encoded(text), len(html.encode()))


def _encoded(part: str) -> bytes:
    return quoted(part.replace("\r\n", "\n").replace("\r", "\n"))


def _joined(blocks: Sequence[bytes], between: bytes) -> Sequence[bytes]:
    pieces = [piece for block in blocks for piece in (block, between)][:-1]
    return (*pieces[:-1], room_for_break(pieces[-1]))
