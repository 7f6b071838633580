"""Readers' texts are set as somebody at home in the language would set them, and dates are written as people do."""

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from service.domain.words import Language
from service.texts import day, minute, templates_dir

NARROW, WIDE = "\u202f", "\u00a0"


def texts(language: Language) -> dict[str, str]:
    """Both catalogues and the words that readers agree to."""
    found = {}
    for kind in ("pages", "mail"):
        path = templates_dir() / "locale" / f"{kind}.{language}.toml"
        found |= {f"{kind}: {key}": text for key, text in _flat(tomllib.loads(path.read_text(encoding="utf-8")))}
    wording = templates_dir() / "wording"
    return found | {path.name: path.read_text(encoding="utf-8") for path in wording.glob(f"*.{language}.*")}


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def complaints(language: Language, rules: dict[str, str]) -> list[str]:
    """The texts in which a pattern is found that must not be; addresses and Markdown's stars left out."""
    return [
        f"{key}: {why}: …{text[max(0, found.start() - 30) : found.end() + 10]}…"
        for key, text in texts(language).items()
        for pattern, why in rules.items()
        if (found := re.search(pattern, re.sub(r"https?://\S+|\]\(\S+\)|\*\*", "", text)))
    ]


def test_french_punctuation_has_its_spaces_and_apostrophes() -> None:
    """A colon after a no-break space, the other high marks after a narrow one, quotation marks with both."""
    rules = {
        r"\w'\w": "the apostrophe is ’",
        rf"[^{WIDE}\d]:": "a no-break space before a colon",
        rf"[^{NARROW}?!][;?!]": "a narrow no-break space before ; ? !",
        rf"«[^{WIDE}]|[^{WIDE}]»": "a no-break space within « »",
        r'["“”]': "quotation marks are « »",
    }
    assert not complaints(Language.FR, rules)


def test_spanish_questions_and_calls_open_as_they_close() -> None:
    rules = {
        r"^[^¿]*\?|¿[^?]*$|\?[^¿]*\?": "¿ … ?",
        r"^[^¡]*!|¡[^!]*$": "¡ … !",
        rf"[ {WIDE}{NARROW}][:;?!,.]": "no space before a mark",
        r'["“”]': "quotation marks are « »",
    }
    assert not complaints(Language.ES, rules)


def test_german_quotation_marks_open_below() -> None:
    assert not complaints(Language.DE, {r'["”«»]|“[^“„]*“': "quotation marks are „ “", r"\w'\w": "the apostrophe is ’"})


@pytest.mark.parametrize("language", Language)
def test_no_text_looks_typed_in_haste(language: Language) -> None:
    assert not complaints(
        language, {r"[^\n]  ": "two spaces", r"\.\.\.": "an ellipsis is one sign", " \\n": "a blank end"}
    )


@pytest.mark.parametrize(
    ("language", "first", "other"),
    [
        (Language.EN, "1 March 2026", "31 December 2026, 22:05 UTC"),
        (Language.DE, "1. März 2026", "31. Dezember 2026, 22:05 Uhr UTC"),
        (Language.FR, "1er mars 2026", "31 décembre 2026 à 22:05 UTC"),
        (Language.ES, "1 de marzo de 2026", "31 de diciembre de 2026, 22:05 UTC"),
    ],
)
def test_dates_are_written_as_people_write_them(language: Language, first: str, other: str) -> None:
    assert day(language, datetime(2026, 3, 1, tzinfo=UTC)) == first
    assert minute(language, datetime(2027, 1, 1, 0, 5, tzinfo=timezone(timedelta(hours=2)))) == other
