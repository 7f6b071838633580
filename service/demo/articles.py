"""The hub's articles: Markdown files with a few lines of front matter under demo/articles/<language>/."""

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from service.domain.words import Language
from service.errors import ConfigurationError
from service.texts import templates_dir

LIST = "hub"
REQUIRED = ("slug", "title", "summary", "topics", "author", "published", "image")


@dataclass(frozen=True, slots=True)
class HubArticle:
    slug: str
    language: Language
    title: str
    summary: str
    topics: tuple[str, ...]
    author: str
    published_at: datetime
    image: str
    """File name under demo/images/."""
    image_alt: str
    body: str
    """Markdown."""

    @property
    def path(self) -> str:
        return f"/{self.language}/articles/{self.slug}"


@cache
def topics() -> dict[str, dict[Language, str]]:
    """The topics of the demo's list and their names: the same file that Milepost publishes them from."""
    described = tomllib.loads((templates_dir() / "wording" / "forms.toml").read_text(encoding="utf-8"))
    return {
        slug: {language: names[language] for language in Language}
        for slug, names in described["lists"][LIST]["topics"].items()
    }


def read_articles(directory: Path, first_started_at: datetime) -> list[HubArticle]:
    """Every article, newest first. `published` counts in days before `first_started_at`. Raises ConfigurationError."""
    found = [
        _read(path, language, first_started_at)
        for language in Language
        for path in sorted((directory / language).glob("*.md"))
    ]
    if not found:
        raise ConfigurationError(
            f"There are no articles in {directory}; nothing was started. The demo runs in a checkout of Milepost: "
            "change to its directory first."
        )
    return sorted(found, key=lambda article: article.published_at, reverse=True)


def _read(path: Path, language: Language, first_started_at: datetime) -> HubArticle:
    head, _, body = path.read_text(encoding="utf-8").removeprefix("---\n").partition("\n---\n")
    pairs = (line.partition(":") for line in head.splitlines() if line.strip())
    values = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
    missing = [name for name in REQUIRED if not values.get(name)]
    if missing:
        raise ConfigurationError(f"{path} lacks {', '.join(missing)} between its --- lines.")
    named = tuple(topic.strip() for topic in values["topics"].strip("[]").split(","))
    unknown = set(named) - topics().keys()
    if unknown:
        raise ConfigurationError(f"{path} names unknown topics: {', '.join(sorted(unknown))}.")
    return HubArticle(
        slug=values["slug"],
        language=language,
        title=values["title"],
        summary=values["summary"],
        topics=named,
        author=values["author"],
        published_at=first_started_at - timedelta(days=float(values["published"])),
        image=values["image"],
        image_alt=values.get("image_alt", ""),
        body=body.strip(),
    )
