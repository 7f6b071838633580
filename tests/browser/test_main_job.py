"""The main job as a reader sees it: sign up, confirm from the mail, read a digest, unsubscribe."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.domain.words import Language
from tests.browser.reader import Person
from tests.house import House


class Camera:
    """Takes screenshots for the README, light and dark; of the whole page, or of what fits the window."""

    def __init__(self, screens: Path) -> None:
        self.screens = screens

    def __call__(self, page: Page, name: str, *, whole: bool = True) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            picture = self.screens / f"{name}{'' if scheme == 'light' else '-dark'}.png"
            page.screenshot(path=picture, full_page=whole)
            assert picture.stat().st_size > 5_000, f"{picture} shows nothing"
        page.emulate_media(color_scheme="light")


@pytest.fixture
def shoot(screens: Path) -> Camera:
    return Camera(screens)


def mail_link(house: House, mail_id: int, pattern: str) -> str:
    """The link that a reader would press in this mail."""
    import httpx

    links = httpx.get(f"{house.catcher_url}/api/mails/{mail_id}").json()["links"]
    found = [link for link in links if re.search(pattern, link)]
    assert found, f"no link like {pattern} in {links}"
    return found[0]


def test_from_the_form_to_silence(house: House, page: Page, shoot: Camera) -> None:
    address = "ada.lindqvist@readers.example"

    page.goto(f"{house.public_url}/subscribe")
    shoot(page, "signup")
    page.get_by_role("textbox", name="E-mail address").fill(address)
    page.get_by_role("textbox", name="First name").fill("Ada")
    for box in page.locator("input[type=checkbox][name=topics]").all():
        box.check()
    page.locator("input[type=checkbox][name=purposes][value=digest]").check()
    page.wait_for_timeout(3200)  # a person needs longer than this to fill in the form (E-06)
    page.locator("form button[type=submit]").first.click()
    expect(page.locator("h1")).to_be_visible()
    assert page.url.startswith(f"{house.public_url}/subscribe"), page.url
    assert address not in page.url
    shoot(page, "check-inbox")

    confirmation = house.wait_for_mail(address)[0]
    page.goto(f"{house.catcher_url}/mails/{confirmation['id']}")
    shoot(page, "confirmation-mail")

    page.goto(mail_link(house, confirmation["id"], "/confirm/"))
    shoot(page, "confirm")
    page.locator("form button[type=submit]").first.click()
    shoot(page, "confirmed")
    welcome = house.wait_for_mail(address, 2)
    assert {m["id"] for m in welcome} > {confirmation["id"]}

    run = house.milepost("digest", "send", "hub")
    assert run
    digest = max(house.wait_for_mail(address, 3), key=lambda m: m["id"])
    page.goto(house.catcher_url)
    shoot(page, "catcher", whole=False)
    page.goto(f"{house.catcher_url}/mails/{digest['id']}")
    expect(page.locator("iframe")).to_be_visible()
    page.goto(f"{house.catcher_url}/mails/{digest['id']}/html")
    shoot(page, "digest")

    page.goto(mail_link(house, digest["id"], "/c/"))
    shoot(page, "control")
    page.goto(mail_link(house, digest["id"], "/u/"))
    shoot(page, "unsubscribe")
    page.locator("form button[type=submit]").first.click()
    shoot(page, "unsubscribed")

    before = len(house.mails(address))
    house.milepost("digest", "send", "hub")
    assert len(house.mails(address)) == before, "no mail after unsubscribing"


@pytest.mark.requirement("D-08")
def test_from_a_mail_to_silence_in_two_actions(house: House, page: Page) -> None:
    """A link and a button: no login, nothing to fill in, no reason asked for."""
    person = Person(house, page, Language.EN, "two-actions@readers.example")
    person.sign_up()
    person.open(person.link("/confirm/"))
    person.press()
    for pattern in ("/u/", "/c/"):  # the control page leads there too, with one action more
        person.open(person.link(pattern))
        if pattern == "/c/":
            page.locator("a[href^='/u/']").first.click()
        form = page.locator("main form", has=page.locator("button[value=unsubscribe]"))
        expect(form.locator("input, select, textarea")).to_have_count(0)
    actions = ["follow the link in the mail"]
    person.open(person.link("/u/"))
    actions.append("press the button")
    form.locator("button").first.click()
    expect(page.locator("h1")).to_have_text("You are unsubscribed")
    assert len(actions) <= 2
    person.open(person.link("/u/"))
    expect(page.locator("main")).to_contain_text("unsubscribed from this already")


def test_the_box_on_the_publishers_page_leads_to_the_filled_in_form(house: House, page: Page, shoot: Camera) -> None:
    """A static page has no fresh token, so its readers press one more button, on our page (E-06)."""
    address = "tomas.berg@readers.example"
    page.goto(house.hub_url)
    shoot(page, "hub", whole=False)
    box = page.locator("form", has=page.locator("input[name=address]"))
    box.locator("input[name=address]").fill(address)
    box.locator("input[type=checkbox][name=purposes][value=digest]").check()
    box.locator("button[type=submit]").click()
    assert page.url.startswith(house.public_url)
    expect(page.locator("input[name=address]")).to_have_value(address)
    expect(page.locator("input[type=checkbox][name=purposes][value=digest]")).to_be_checked()
    assert house.mails(address) == [], "nothing is mailed before the button"
    page.wait_for_timeout(1200)  # a filled-in form needs a person only this long (E-06)
    page.locator("form button[type=submit]").first.click()
    assert house.wait_for_mail(address)


@pytest.mark.parametrize("path", ["/", "/subscribe", "/subscribe?language=de", "/help", "/privacy", "/imprint"])
@pytest.mark.parametrize("width", [360, 1280])
def test_public_pages_fit_phone_and_desktop(house: House, browser: Browser, path: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    response = page.goto(house.public_url + path)
    assert response is not None
    assert response.status == 200
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    assert errors == [], "the page broke its own content security policy, or asked for something that is not there"
    context.close()
