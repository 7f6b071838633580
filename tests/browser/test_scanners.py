"""Nobody's scanner signs anybody up or off: all links of all mails and pages are followed, and no row changes.

By HEAD, by GET, and in a browser with JavaScript that stays on every page for half a minute (E-07, invariant 5).
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from service.domain.imports import AFFIRMATION
from service.domain.words import Language, MailKind
from tests.browser.reader import SECOND_LOOK_MS, Person
from tests.browser.scanner import Crawl, Mail, hosts, is_settled, kinds_of, read_mails, state_of, without_language
from tests.house import House, wait_until

STAY_SECONDS = 30
WATCH = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", event => violations.push(event.violatedDirective));
"""
EDITORS_LINK = "https://shop.fjellsko.example/winter"


@pytest.fixture(scope="module")
def visitor(browser: Browser) -> Iterator[Page]:
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


@pytest.fixture(scope="module")
def pending(house: House, visitor: Page) -> dict[Language, Person]:
    """In each language somebody who has been asked, and has not pressed the button."""
    return {language: _asked(house, visitor, language, f"pending-{language}") for language in Language}


@pytest.fixture(scope="module")
def mails(house: House, visitor: Page, pending: dict[Language, Person]) -> list[Mail]:
    """Mails of every kind, and a house in which nothing is left to do."""
    known = _asked(house, visitor, Language.FR, "known")
    known.open(known.link("/confirm/"))
    known.press()
    known.open(known.link("/c/"))
    known.press("button[value=link]")
    known.open(known.link("/p/"))
    known.page.locator("input[name=address]").fill("known-elsewhere@readers.example")
    known.press("form[action$='/address'] button")
    house.wait_for_mail("known-elsewhere@readers.example")
    _import_somebody(house)
    once = house.milepost("demo", "--once", "--dir", str(house.directory))
    assert once["ok"], once
    campaign = house.milepost(
        *("campaign", "create", "--list", "hub", "--purpose", "offers", "--name", "Winter", "--subject", "Warm feet"),
        *("--body", f"# Warm feet\n\nA note, and [a link]({EDITORS_LINK})."),
    )
    house.milepost("campaign", "send", str(campaign["id"]))
    known.age_the_signup(hours=25)  # one such mail a day (E-05)
    _sign_up(known)
    house.wait_for_mail(known.address, 5)
    wait_until(lambda: is_settled(house), "the house did not come to rest", 120)
    assert kinds_of(house) == set(MailKind) - {MailKind.OPERATOR_NOTICE}, "no reader gets that one"
    return read_mails(house)


@pytest.mark.requirement("E-07", "D-29")
@pytest.mark.timeout(600)
def test_every_link_of_every_mail_and_page_by_head_and_get(house: House, mails: list[Mail]) -> None:
    before = state_of(house)
    assert before["consent_events"] != "0 "
    own = hosts([house.public_url])
    links = {link for mail in mails for link in mail.links if hosts([link]) == own}
    assert len(links) > 1000
    with httpx.Client(timeout=30) as client:

        def look(link: str) -> set[int]:
            return {client.head(link).status_code, client.get(link).status_code}

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(look, sorted(links)))
    assert set().union(*answers) <= {200, 410}, (
        "every link of every mail leads somewhere, if only to say that it is over"
    )

    crawl = Crawl(house)
    crawl.run([*_one_of_each(house, mails), house.public_url])
    assert len({without_language(page) for page in crawl.pages}) > 20
    assert set(crawl.pages.values()) == {200}, {page: s for page, s in crawl.pages.items() if s != 200}
    assert hosts(crawl.loaded) == own, "D-29: a page loads from its own host and sends forms there"
    abroad = hosts([house.hub_url, EDITORS_LINK])
    assert hosts(crawl.linked) <= own | abroad, "and links only to the publisher's site and what an editor typed"
    assert state_of(house) == before


@pytest.mark.requirement("D-29")
def test_the_hosts_of_every_mail(house: House, mails: list[Mail]) -> None:
    ours = hosts([house.public_url, house.hub_url])
    for mail in mails:
        assert hosts(mail.links) <= ours | hosts([EDITORS_LINK])
        loaded = re.findall(r"(?:src|background|poster)=[\"'](http[^\"']+)|url\([\"']?(http[^\"')]+)", mail.html)
        assert hosts(address for pair in loaded for address in pair if address) <= ours


@pytest.mark.requirement("E-07", "D-30")
@pytest.mark.timeout(600)
def test_a_browser_with_javascript_stays_on_every_page(
    house: House, browser: Browser, visitor: Page, mails: list[Mail], pending: dict[Language, Person]
) -> None:
    before = state_of(house)
    links = {without_language(link): link for link in _one_of_each(house, mails)}
    links |= {link: pending[language].link("/confirm/") for language, link in zip(Language, "abcd", strict=True)}
    foreign: list[str] = []
    with browser.new_context(java_script_enabled=True) as context:
        context.add_init_script(WATCH)
        own = hosts([house.public_url])
        context.on("request", lambda asked: foreign.append(asked.url) if hosts([asked.url]) != own else None)
        tabs = [context.new_page() for _ in links]
        for tab, link in zip(tabs, links.values(), strict=True):
            tab.goto(link)
        tabs[0].wait_for_timeout(STAY_SECONDS * 1000)
        assert state_of(house) == before
        assert [tab.url for tab in tabs] == list(links.values()), "no page goes anywhere by itself"
        assert context.cookies() == [], "D-30"
        assert foreign == [], "D-29"
        for tab in tabs:
            assert tab.evaluate("violations") == [], f"{tab.url} breaks its own content security policy"
            assert tab.evaluate("document.scripts.length") == 0, "nothing is submitted by a script"
        tabs[0].evaluate("document.head.append(Object.assign(document.createElement('style'), {textContent: 'p{}'}))")
        tabs[0].wait_for_function("violations.length > 0")  # a violation would have been seen

    _only_the_button_confirms(house, pending[Language.ES])


def _import_somebody(house: House) -> None:
    """From another system, without a date: asked once whether they agree (E-11)."""
    file = house.directory.parent / "people.csv"
    file.write_text("email,lang\nknown-before@readers.example,fr\n", encoding="utf-8")
    done = house.milepost(
        *("import", "run", str(file), "--list", "hub", "--map", "address=email", "--map", "language=lang"),
        *(
            "--all-are",
            "subscribed",
            "--purpose",
            "digest",
            "--source-system",
            "Old system",
            "--reason",
            "They moved here",
        ),
        *("--attest", AFFIRMATION),
    )
    house.milepost("import", "ask", str(done["import_id"]), "--reason", "They moved here")
    house.wait_for_mail("known-before@readers.example")


def _only_the_button_confirms(house: House, person: Person) -> None:
    before = state_of(house)
    person.open(person.link("/confirm/"))
    assert state_of(house) == before
    person.press()
    expect(person.page.locator("h1")).to_have_text("Su suscripción está activa")
    person.link("/c/")
    wait_until(lambda: is_settled(house), "the welcome did not leave", 120)
    confirmed = state_of(house)
    assert confirmed["consent_events"] != before["consent_events"]
    assert httpx.post(person.link("/confirm/")).status_code == 200
    assert state_of(house) == confirmed, "a second press does nothing more"


def _asked(house: House, page: Page, language: Language, name: str) -> Person:
    person = Person(house, page, language, f"{name}@readers.example")
    _sign_up(person)
    person.link("/confirm/")
    return person


def _sign_up(person: Person) -> None:
    """By the second step of two, which needs less time."""
    person.fill_in_the_form()
    person.press()
    person.page.wait_for_timeout(SECOND_LOOK_MS)
    person.press()
    assert "/subscribe/sent" in person.page.url


def _one_of_each(house: House, mails: list[Mail]) -> list[str]:
    """The links of all mails to a few people who together got every kind, in every language."""
    people = ("pending-", "known", "once-")
    chosen = [mail for mail in mails if mail.to.startswith(people)]
    assert len(chosen) > 8
    own = hosts([house.public_url])
    return list(dict.fromkeys(link for mail in chosen for link in mail.links if hosts([link]) == own))
