"""The publisher's site of the demo: a training hub with articles, feeds, images and a sign-up box of Milepost.

Fjellsko Sport AS is fictional. The site knows nothing of Milepost but the static snippet that any site would use.
"""

import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

from service.demo.articles import HubArticle, read_articles, topics
from service.demo.feeds import atom, rss
from service.demo.http import Answer, Request, Site, not_found, page, page_file, templates
from service.demo.state import DemoState, checkout
from service.domain.words import Language
from service.errors import ConfigurationError
from service.texts import day

if TYPE_CHECKING:
    from service.bootstrap import Container

FORM = "hub-one-box"
"""The box under articles; the hosted page asks everything."""

Snippet = Callable[[Language, str], str | None]
"""The sign-up box in a language, for the page with this URL; None while Milepost is not ready."""

# The languages that the hub has articles in; readers can choose from more.
TEXTS = {
    Language.EN: {
        "claim": "Training that fits your week",
        "lead": "Plain advice for people who run in hills and weather: from the gym floor to race day.",
        "newest": "New articles",
        "by": "by {author}",
        "all": "All articles",
        "more": "More on this",
        "signup": "The best of the hub, in your inbox",
        "fallback": "Sign up for the training digest",
        "other": "Deutsch",
        "fiction": "Fjellsko Sport is made up for the demo of Milepost. The articles are its own.",
    },
    Language.DE: {
        "claim": "Training, das in Ihre Woche passt",
        "lead": "Klarer Rat für alle, die bergauf und bei Wetter laufen: vom Kraftraum bis zum Wettkampftag.",
        "newest": "Neue Artikel",
        "by": "von {author}",
        "all": "Alle Artikel",
        "more": "Mehr dazu",
        "signup": "Das Beste aus dem Hub, in Ihr Postfach",
        "fallback": "Den Trainings-Digest bestellen",
        "other": "English",
        "fiction": "Fjellsko Sport ist für die Demo von Milepost erfunden. Die Artikel sind ihre eigenen.",
    },
}


def hub_site(articles: list[HubArticle], images: Path, base: str, milepost_url: str, snippet: Snippet) -> Site:
    """The routes. `base` is the hub's own URL, `milepost_url` where its form posts to; both without a slash."""
    pages = _Pages(articles, images, base, milepost_url, snippet)
    return Site(
        {
            r"/": lambda request: pages.home(Request("/en/", request.query, request.headers, ("en",))),
            r"/(en|de)/": pages.home,
            r"/(en|de)/topics/([a-z-]+)": pages.topic,
            r"/(en|de)/articles/([a-z0-9-]+)": pages.article,
            r"/feeds/en\.rss": pages.english_feed,
            r"/feeds/de\.atom": pages.german_feed,
            r"/images/([a-z0-9-]+\.png)": pages.image,
            r"/(hub\.css|icon\.svg)": lambda request: page_file(request.arguments[0]),
            r"/health/live": lambda _: Answer(b"ok\n", "text/plain; charset=utf-8"),
        }
    )


class _Pages:
    def __init__(
        self, articles: list[HubArticle], images: Path, base: str, milepost_url: str, snippet: Snippet
    ) -> None:
        self._articles = {language: [a for a in articles if a.language is language] for language in TEXTS}
        self._images = images
        self._base = base
        self._milepost_url = milepost_url
        self._snippet = snippet
        self._markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        self._templates = templates()
        # Made once: ElementTree's prefixes are global, requests come in threads.
        self._feeds = {
            Language.EN: rss(self._articles[Language.EN], base),
            Language.DE: atom(self._articles[Language.DE], base),
        }

    def home(self, request: Request) -> Answer:
        language = Language(request.arguments[0])
        return self._render("hub_home.html", language, articles=self._articles[language], topic=None)

    def topic(self, request: Request) -> Answer:
        language = Language(request.arguments[0])
        slug = request.arguments[1]
        if slug not in topics():
            return not_found("topic")
        articles = [article for article in self._articles[language] if slug in article.topics]
        return self._render("hub_home.html", language, articles=articles, topic=slug)

    def article(self, request: Request) -> Answer:
        language = Language(request.arguments[0])
        found = next((a for a in self._articles[language] if a.slug == request.arguments[1]), None)
        if found is None:
            return not_found("article")
        others = [a for a in self._articles[language] if a is not found and set(a.topics) & set(found.topics)][:3]
        body = Markup(self._markdown.render(found.body))  # noqa: S704  our own Markdown, raw HTML off
        return self._render("hub_article.html", language, path=found.path, article=found, body=body, others=others)

    def english_feed(self, _: Request) -> Answer:
        return self._feed(Language.EN, "application/rss+xml; charset=utf-8")

    def german_feed(self, _: Request) -> Answer:
        return self._feed(Language.DE, "application/atom+xml; charset=utf-8")

    def image(self, request: Request) -> Answer:
        path = self._images / request.arguments[0]
        if not path.is_file():
            return not_found("image")
        return Answer(path.read_bytes(), "image/png", cacheable=True, headers={"Cache-Control": "max-age=86400"})

    def _feed(self, language: Language, content_type: str) -> Answer:
        newest = max((a.published_at for a in self._articles[language]), default=None)
        return Answer(self._feeds[language], content_type, cacheable=True, changed_at=newest)

    def _render(self, name: str, language: Language, *, path: str = "", **values: object) -> Answer:
        box = self._snippet(language, f"{self._base}{path or f'/{language}/'}")
        text = self._templates.get_template(name).render(
            language=language,
            other=Language.DE if language is Language.EN else Language.EN,
            texts=TEXTS[language],
            topics={slug: names[language] for slug, names in topics().items()},
            milepost_url=self._milepost_url,
            box=Markup(box) if box else None,  # noqa: S704  written by Milepost for exactly this place
            day=lambda at: day(language, at),
            **values,
        )
        # A sign-up ends on Milepost's page, so the form may go there.
        policy = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action {self._milepost_url}"
        )
        return page(text, policy=policy)


def serve(state: DemoState, port: int, milepost_url: str) -> None:
    """Run until SIGTERM or SIGINT. Raises ConfigurationError if there are no articles or the port is taken."""
    root = checkout() / "demo"
    articles = read_articles(root / "articles", state.first_started_at())
    base = f"http://localhost:{port}"
    site = hub_site(articles, root / "images", base, milepost_url, snippet_from_milepost())
    try:
        server = site.server("127.0.0.1", port)
    except OSError as error:
        raise ConfigurationError(
            f"The hub cannot listen on port {port} ({error.strerror}); nothing was started. Choose --port."
        ) from None
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: threading.Thread(target=server.shutdown).start())
    sys.stderr.write(f"The hub is on {base}\n")
    sys.stderr.flush()
    server.serve_forever()
    server.server_close()


def snippet_from_milepost() -> Snippet:
    """What `milepost form snippet` prints, for a site that lives beside Milepost; kept once it was there."""
    from sqlalchemy.exc import SQLAlchemyError

    from service.errors import ServiceError

    @cache
    def container() -> "Container":
        from service.bootstrap import build_container  # at the first page, so that feeds are there at once

        return build_container(process="hub")

    @cache
    def kept(language: Language, page_url: str) -> str:
        from service.looks.forms import render_snippet
        from service.usecases.wording import get_form

        with container().transaction() as tx:
            return render_snippet(container().publisher, get_form(tx, FORM, language), page_url)

    def snippet(language: Language, page_url: str) -> str | None:
        try:
            return kept(language, page_url)
        except (SQLAlchemyError, ServiceError):  # not migrated yet, or PostgreSQL restarts: the link stands in
            return None

    return snippet
