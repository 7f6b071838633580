"""Every page that a reader can see, in the order in which one reader sees them.

A new page is a new `Step`: its name, the routes that it shows, and what the reader does to get there from the step
before. test_accessibility.py walks it in every language and fails if a public route is on no step.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from service.demo.seed import FEEDS
from tests.browser.reader import SECOND_LOOK_MS, Person

NO_PAGES = {
    "GET /robots.txt": "plain text, for robots",
    "GET /subscribe/token": "JSON, for scripts on the publisher's own pages",
    "GET /r/{token}.json": "the receipt for programs",
    "GET /p/{token}/data.json": "a download",
    "GET /p/{token}/data.zip": "a download",
}
"""Public routes that answer with something else than a page."""


class Step(NamedTuple):
    name: str
    routes: tuple[str, ...]
    go: Callable[[Person], None]
    status: int = 200


def _make_mistakes(person: Person) -> None:
    person.open_in_my_language("/subscribe")
    person.page.locator("input[name=address]").fill("anna@")
    person.press()


def _be_too_fast(person: Person) -> None:
    # A mistake before would have made it the second step of two already.
    person.fill_in_the_form()
    person.press()


def _go_on(person: Person) -> None:
    person.page.wait_for_timeout(SECOND_LOOK_MS)
    person.press()
    assert "/subscribe/sent" in person.page.url


def _open_the_confirmation(person: Person) -> None:
    person.kept["confirm"] = person.link("/confirm/")
    person.open(person.kept["confirm"])


def _confirm(person: Person) -> None:
    person.open(person.kept["confirm"])
    person.press()


def _open_the_control_page(person: Person) -> None:
    person.kept["control"] = person.link("/c/")
    person.kept["unsubscribe"] = person.link("/u/")
    person.open(person.kept["control"])


def _want_no_topics(person: Person) -> None:
    for box in person.page.locator("input[name=topics]").all():
        box.uncheck()
    person.press("button[value=save]")


def _save(person: Person) -> None:
    person.open(person.kept["control"])
    person.press("button[value=save]")


def _pause(person: Person) -> None:
    person.open(person.kept["control"])
    person.press("button[value=pause]")


def _ask_for_the_fresh_link(person: Person) -> None:
    person.open(person.kept["control"])
    person.press("button[value=link]")


def _open_the_fresh_link(person: Person) -> None:
    person.kept["private"] = person.link("/p/")
    person.open(person.kept["private"])
    for more in person.page.locator("details").all():
        more.evaluate("details => { details.open = true }")  # axe sees what a reader sees


def _want_an_address_that_is_none(person: Person) -> None:
    person.page.locator("#address").fill("walker@")
    person.press("form[action$='/address'] button")


def _want_another_address(person: Person) -> None:
    person.page.locator("#address").fill(f"moved-{person.address}")
    person.press("form[action$='/address'] button")


def _read_a_past_mail(person: Person) -> None:
    """A digest where there are articles in the reader's language, else a campaign."""
    if person.language in FEEDS:
        person.house.milepost("digest", "send", "hub")
    else:
        words = ("--name", f"For {person.language}", "--subject", "Storm 3", "--body", "# Storm 3\n\n- one\n- two")
        made = person.house.milepost("campaign", "create", "--list", "hub", "--purpose", "offers", *words)
        person.house.milepost("campaign", "send", str(made["id"]))
    person.open(person.kept["private"])
    person.press(f"a[href^='{urlsplit(person.kept['private']).path}/mail/']")


def _see_a_receipt(person: Person) -> None:
    person.open(person.kept["private"])
    person.press("a[href^='/r/']")


def _open_the_question_to_the_new_address(person: Person) -> None:
    person.open(person.link("/a/", to=f"moved-{person.address}"))


def _ask_from_the_new_address(person: Person) -> None:
    _ask_for_the_fresh_link(person)
    person.open(person.link("/p/", to=f"moved-{person.address}"))
    person.press("a[href$='/erase']")


def _press_nothing_known(person: Person) -> None:
    """A mail client or a proxy that mangles the form gets the page again, and nothing is done."""
    person.open(person.kept["unsubscribe"])
    person.page.locator("main form button").first.evaluate("button => { button.value = 'mangled' }")
    person.press()


def _unsubscribe(person: Person) -> None:
    person.open(person.kept["unsubscribe"])
    person.press("button[value=unsubscribe]")


def _come_too_late(person: Person) -> None:
    """Somebody else, whose sign-up is made old."""
    late = replace(person, address=f"late-{person.address}")
    late.sign_up()
    link = late.link("/confirm/")
    late.age_the_signup(hours=1000)
    late.open(link)


STEPS = (
    Step("landing", ("GET /",), lambda person: person.open_in_my_language("/")),
    Step("help", ("GET /help",), lambda person: person.open_in_my_language("/help")),
    Step("imprint", ("GET /imprint",), lambda person: person.open_in_my_language("/imprint")),
    Step("processors", ("GET /processors",), lambda person: person.open_in_my_language("/processors")),
    Step("notice", ("GET /privacy",), lambda person: person.open_in_my_language("/privacy")),
    Step("one box", ("GET /subscribe",), lambda person: person.open_in_my_language("/subscribe?form=hub-one-box")),
    Step("form", ("GET /subscribe",), lambda person: person.open_in_my_language("/subscribe")),
    Step("notice as shown", ("GET /privacy/{notice_id}",), lambda person: person.press("a[href^='/privacy/']")),
    Step("form with mistakes", ("POST /subscribe",), _make_mistakes, 422),
    Step("second step of two", ("POST /subscribe",), _be_too_fast),
    Step("check the inbox", ("POST /subscribe", "GET /subscribe/sent"), _go_on),
    Step("question", ("GET /confirm/{token}",), _open_the_confirmation),
    Step("confirmed", ("POST /confirm/{token}",), _confirm),
    Step("confirmed before", ("GET /confirm/{token}",), lambda person: person.open(person.kept["confirm"])),
    Step("receipt", ("GET /r/{token}",), lambda person: person.open(person.link("/r/"))),
    Step("control", ("GET /c/{token}",), _open_the_control_page),
    Step("control with a mistake", ("POST /c/{token}",), _want_no_topics, 422),
    Step("control saved", ("POST /c/{token}", "GET /c/{token}"), _save),
    Step("link asked for", ("POST /c/{token}", "GET /c/{token}"), _ask_for_the_fresh_link),
    Step("what we hold", ("GET /p/{token}",), _open_the_fresh_link),
    Step("past mail", ("GET /p/{token}/mail/{delivery_id}",), _read_a_past_mail),
    Step("receipt from what we hold", ("GET /r/{token}",), _see_a_receipt),
    Step("what we hold, with mails", ("GET /p/{token}",), lambda person: person.open(person.kept["private"])),
    Step("no address", ("POST /p/{token}/address",), _want_an_address_that_is_none, 422),
    Step("new address", ("POST /p/{token}/address", "GET /p/{token}"), _want_another_address),
    Step("question to the new address", ("GET /a/{token}",), _open_the_question_to_the_new_address),
    Step("moved", ("POST /a/{token}",), lambda person: person.press()),
    Step("link from before", ("GET /p/{token}",), lambda person: person.open(person.kept["private"]), 410),
    Step("control paused", ("POST /c/{token}", "GET /c/{token}"), _pause),
    Step("unsubscribe", ("GET /u/{token}",), lambda person: person.open(person.kept["unsubscribe"])),
    Step("unsubscribe mangled", ("POST /u/{token}",), _press_nothing_known, 422),
    Step("unsubscribed", ("POST /u/{token}",), lambda person: person.press("button[value=unsubscribe]")),
    Step("undone", ("POST /u/{token}/undo",), lambda person: person.press("form[action$='/undo'] button")),
    Step("unsubscribed again", ("POST /u/{token}",), _unsubscribe),
    Step("unsubscribed before", ("GET /u/{token}",), lambda person: person.open(person.kept["unsubscribe"])),
    Step("erasing explained", ("GET /p/{token}/erase",), _ask_from_the_new_address),
    Step("erasing ordered", ("POST /p/{token}/erase",), lambda person: person.press()),
    Step("link of nobody's", ("GET /c/{token}",), lambda person: person.open_in_my_language("/c/nobodys"), 404),
    Step("no such page", (), lambda person: person.open_in_my_language("/nowhere"), 404),
    Step("no such form", ("GET /subscribe",), lambda person: person.open_in_my_language("/subscribe?form=x"), 404),
    Step("not that way", (), lambda person: person.open(person.kept["unsubscribe"] + "/undo"), 405),
    Step("question too late", ("GET /confirm/{token}",), _come_too_late, 410),
)
