"""Templates into the subject, text and HTML of a mail, in the reader's language.

A folder of templates/emails/ holds subject.txt, body.txt, body.mjml and sample.toml; that of campaigns also plain.html,
for those without a frame, that of digests article.html and article.txt, for each of its articles. MJML becomes HTML
once per process, with the Jinja2 in it untouched; what varies per reader is filled in afterwards by the sandbox.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, FileSystemLoader, StrictUndefined, Template
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mjml import mjml2html

from service.domain.words import Language, Layout, MailKind
from service.mail.slimming import slim
from service.mail.slots import computed, used_at_all
from service.texts import Catalogue, day, minute

TEXT_WIDTH = 72
_PLAIN, _ARTICLE = "plain", "article"
_INCLUDE = re.compile(r'<mj-include path="([^"]+)" />')
_XMLNS = ' xmlns="http://www.w3.org/1999/xhtml"'
"""HTML needs no namespace, and no mail names a host that is not ours (invariant 6)."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a reader sees of a mail, before it is encoded."""

    subject: str
    text: str
    html: str


class Renderer:
    """Every mail's templates, compiled. Building one raises what Jinja2 or MJML say about a faulty template."""

    def __init__(self, templates: Path, catalogue: Catalogue) -> None:
        self._emails = emails = templates / "emails"
        self._catalogue = catalogue
        html = {kind.value: _compile_mjml(emails, kind.value) for kind in MailKind}
        html[_ARTICLE] = (emails / MailKind.DIGEST.value / "article.html").read_text(encoding="utf-8")
        html[_PLAIN] = (emails / MailKind.CAMPAIGN.value / "plain.html").read_text(encoding="utf-8").strip()
        self._texts = text_environment = _environment(FileSystemLoader(emails), autoescape=False)
        self._htmls = html_environment = _environment(DictLoader(html), autoescape=True)
        self._subject = {kind: text_environment.get_template(f"{kind.value}/subject.txt") for kind in MailKind}
        self._text = {kind: text_environment.get_template(f"{kind.value}/body.txt") for kind in MailKind}
        self._html: dict[MailKind, Template] = {kind: html_environment.get_template(kind.value) for kind in MailKind}
        self._plain = html_environment.get_template(_PLAIN)
        self._article_html = html_environment.get_template(_ARTICLE)
        self._article_text = text_environment.get_template(f"{MailKind.DIGEST.value}/article.txt")

    def render(
        self, kind: MailKind, language: Language, values: Mapping[str, Any], layout: Layout = Layout.CARD
    ) -> Rendered:
        """All three parts. A value that the template names and `values` lacks raises jinja2.UndefinedError.

        A subject that is among the values is not rendered again.
        """
        context = self._context(language, values)
        subject = values["subject"] if "subject" in values else self._subject[kind].render(context)
        template = self._plain if layout is Layout.PLAIN else self._html[kind]
        html = template.render(context | {"subject": subject})
        return Rendered(subject, _settled(self._text[kind].render(context)).strip("\n") + "\n", html)

    def subject(self, kind: MailKind, language: Language, values: Mapping[str, Any]) -> str:
        """The subject alone."""
        return self._subject[kind].render(self._context(language, values))

    def article(self, language: Language, article: Mapping[str, Any], *, lead: bool) -> tuple[str, str]:
        """HTML and text of one article of a digest, from what it says and where it stands, and nothing else."""
        context = self._context(language, {"article": article, "lead": lead})
        text = _settled(self._article_text.render(context))
        return self._article_html.render(context).strip(), text.strip()

    def _context(self, language: Language, values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **values,
            "language": language.value,
            "t": partial(self._catalogue.text, language),
            "day": partial(day, language),
            "minute": partial(minute, language),
        }

    def computed(self, kind: MailKind, paths: Iterable[str]) -> frozenset[str]:
        """Those of `paths` that this mail's templates do more with than print them in a body."""
        paths = frozenset(paths)
        return frozenset(
            used_at_all(self._texts, f"{kind.value}/subject.txt", paths) | self.computed_in_bodies(kind, paths)
        )

    def computed_in_bodies(self, kind: MailKind, paths: Iterable[str]) -> frozenset[str]:
        """The same, whatever the subject does with them."""
        paths = frozenset(paths)
        return frozenset(
            computed(self._texts, f"{kind.value}/body.txt", paths)
            | computed(self._htmls, kind.value, paths)
            | (computed(self._htmls, _PLAIN, paths) if kind is MailKind.CAMPAIGN else frozenset())
        )

    def names_in_subject(self, kind: MailKind) -> frozenset[str]:
        """What the subject's template needs to be given."""
        source = (self._emails / kind.value / "subject.txt").read_text(encoding="utf-8")
        return frozenset(find_undeclared_variables(self._texts.parse(source)))


def _settled(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text)


def _environment(loader: FileSystemLoader | DictLoader, *, autoescape: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=loader,
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
    )
    environment.filters["wrap"] = wrap
    return environment


def _compile_mjml(emails: Path, name: str) -> str:
    def read(path: str) -> str:
        # Put in place here, because MJML's own include lets go of the width of the page around it.
        return _INCLUDE.sub(lambda found: read(found[1]), (emails / path).read_text(encoding="utf-8"))

    # No fonts: MJML would link a font host for families that it knows (design §7).
    html = mjml2html(read(f"{name}/body.mjml"), fonts={}, disable_comments=True)
    return slim(html.replace(_XMLNS, ""))


def wrap(text: str, width: int = TEXT_WIDTH, indent: str = "") -> str:
    """Each line of `text` wrapped at blanks. A link is never broken: it would stop working."""
    return _wrapped(str(text), width, indent)


@lru_cache(maxsize=1024)
def _wrapped(text: str, width: int, indent: str) -> str:
    return "\n".join(
        textwrap.fill(
            line.strip(),
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.strip().splitlines()
    )


def listing(names: Sequence[str], conjunction: str) -> str:
    """ "Running, Strength and Injury": as people write it."""
    if len(names) <= 1:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"
