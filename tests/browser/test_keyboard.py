"""The main job with Tab, Space and Enter only: sign-up, confirmation, control page, unsubscribe (WCAG 2.1.1, 2.4.7).

At each stop on the way the focus is visible, on the screen, and on something with a name.
"""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from service.domain.words import Language
from tests.browser.reader import FIRST_LOOK_MS, Person
from tests.house import House

PATIENCE = 60
"""Stops from one thing to the next; more than any page of ours has."""
FOCUS = """() => {
    const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
    const above = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return {
        what: at.outerHTML.slice(0, 120),
        name: (at.labels?.length ? at.labels[0].textContent : at.getAttribute("aria-label") || at.textContent).trim(),
        where: [box.x, box.y, box.right, box.bottom, innerWidth, innerHeight].map(Math.round),
        body: at === document.body,
        trapped: at.closest("[aria-hidden=true]") !== null,
        outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
        colour: style.outlineColor,
        onScreen: Math.min(box.top, box.left, innerHeight - box.bottom, innerWidth - box.right) >= 4, // the outline too
        covered: !(at === above || at.contains(above) || above?.contains(at)),
    };
}"""
IS_AT = "(selector) => document.activeElement.matches(selector)"


class Keyboard:
    """Hands on the keys. The mouse is never touched."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.stops = 0

    def tab_to(self, selector: str) -> None:
        """Tab until the focus is on the first thing that matches; every stop on the way has to be seen."""
        for _ in range(PATIENCE):
            self.page.keyboard.press("Tab")
            self.look_at_the_focus()
            if self.page.evaluate(IS_AT, selector):
                return
        raise AssertionError(f"{selector} cannot be reached by Tab on {self.page.url}")

    def look_at_the_focus(self) -> None:
        focus = self.page.evaluate(FOCUS)
        for _ in range(40):  # the browser scrolls to it in its next frame
            if focus["onScreen"]:
                break
            self.page.wait_for_timeout(25)
            focus = self.page.evaluate(FOCUS)
        assert not focus["body"], f"the focus is nowhere on {urlsplit(self.page.url).path}: the page has no more stops"
        assert not focus["trapped"], f"the field for robots was reached: {focus}"
        assert focus["outline"] >= 2, f"nothing shows where the focus is: {focus}"
        assert focus["colour"] not in ("rgba(0, 0, 0, 0)", "transparent"), focus
        assert focus["onScreen"], f"the focus is off the screen: {focus}"
        assert not focus["covered"], f"something covers the focus: {focus}"
        assert focus["name"], f"what has the focus has no name: {focus}"
        self.stops += 1

    def type(self, words: str) -> None:
        self.page.keyboard.type(words)

    def space(self) -> None:
        self.page.keyboard.press("Space")

    def enter(self) -> None:
        """Follows a link, presses a button, sends a form."""
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def jump(self) -> None:
        """Follows a link within the page."""
        self.page.keyboard.press("Enter")


@pytest.fixture
def keys(page: Page) -> Keyboard:
    return Keyboard(page)


@pytest.fixture
def person(house: House, page: Page) -> Person:
    return Person(house, page, Language.EN, "keys@readers.example")


def test_the_main_job_without_a_mouse(person: Person, keys: Keyboard) -> None:
    person.open("/subscribe?language=en")
    _sign_up(person, keys)

    person.open(person.link("/confirm/"))
    keys.tab_to("main form button")
    keys.enter()
    expect(person.page.locator("h1")).to_have_text("You are signed up")
    keys.tab_to("main a[href^='/c/']")
    keys.enter()
    _change_the_control_page(person, keys)

    person.open(person.link("/u/"))
    keys.tab_to("main form button[value=unsubscribe]")
    keys.enter()
    expect(person.page.locator("h1")).to_have_text("You are unsubscribed")
    assert keys.stops > 60, "all of that was looked at"


def _sign_up(person: Person, keys: Keyboard) -> None:
    """With a mistake first: the summary leads to the field, by keyboard too."""
    page = person.page
    keys.tab_to(".skip")
    keys.jump()
    assert page.evaluate(IS_AT, "main"), "the first stop leads past the head of the page"
    keys.tab_to("#address")
    keys.type("keys@")
    keys.enter()

    expect(page.locator("[role=alert]")).to_be_visible()
    keys.tab_to(".summary a[href='#address']")
    keys.jump()
    keys.look_at_the_focus()
    assert page.evaluate(IS_AT, "#address[aria-invalid=true]")
    assert page.evaluate(
        "document.getElementById(document.activeElement.getAttribute('aria-describedby').trim()) != null"
    )
    page.keyboard.press("Control+A")
    keys.type(person.address)
    _go_back_to_the_summary(person, keys, "#purposes")

    keys.tab_to("input[name=purposes][value=digest]")
    keys.space()
    keys.tab_to("input[name=purposes][value=offers]")
    keys.space()
    keys.tab_to("input[name=topics][value=running]")
    keys.space()
    keys.tab_to("input[name=language]")
    keys.tab_to("main form button[type=submit]")
    page.wait_for_timeout(FIRST_LOOK_MS)
    keys.enter()
    assert "/subscribe/sent" in page.url


def _go_back_to_the_summary(person: Person, keys: Keyboard, field: str) -> None:
    """A problem of a group of boxes is reached from the summary as well."""
    page = person.page
    page.locator(f".summary a[href='{field}']").focus()
    keys.jump()
    assert page.evaluate(IS_AT, field)
    keys.look_at_the_focus()


def _change_the_control_page(person: Person, keys: Keyboard) -> None:
    page = person.page
    keys.tab_to("input[name=topics][value=gear]")
    keys.space()
    keys.tab_to("input[name=language]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    keys.tab_to("button[value=save]")
    keys.enter()
    expect(page.locator("[role=status]")).to_be_visible()
    expect(page.locator("input[name=topics][value=gear]")).to_be_checked()
    keys.tab_to("button[value=pause]")
    keys.enter()
    keys.tab_to("button[value=resume]")
    keys.enter()
    expect(page.locator("button[value=resume]")).to_have_count(0)
