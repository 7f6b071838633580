"""One person in front of a browser, in one language: signs up, reads the mails in the catcher, presses buttons."""

import re
from dataclasses import dataclass, field

import httpx
from playwright.sync_api import Page
from sqlalchemy import create_engine, text

from service.domain.words import Language
from tests.house import House, wait_until

FIRST_LOOK_MS = 3200
"""A person needs longer than this to fill in the form (E-06)."""
SECOND_LOOK_MS = 1200
"""And this long for the second step of two."""


@dataclass
class Person:
    house: House
    page: Page
    language: Language
    address: str
    kept: dict[str, str] = field(default_factory=dict)
    """Links that a step wants to come back to."""

    def open(self, address: str) -> None:
        """A page of Milepost, by its path or whole address."""
        self.page.goto(address if "://" in address else self.house.public_url + address)

    def open_in_my_language(self, path: str) -> None:
        self.open(f"{path}{'&' if '?' in path else '?'}language={self.language}")

    def press(self, selector: str = "main form button[type=submit]") -> None:
        self.page.locator(selector).first.click()

    def fill_in_the_form(self, purposes: tuple[str, ...] = ("digest", "offers")) -> None:
        self.open_in_my_language("/subscribe")
        self.page.locator("input[name=address]").fill(self.address)
        for purpose in purposes:
            self.page.locator(f"input[name=purposes][value={purpose}]").check()

    def sign_up(self) -> None:
        """Up to the page that says to look into the inbox."""
        self.fill_in_the_form()
        self.page.wait_for_timeout(FIRST_LOOK_MS)
        self.press()
        assert "/subscribe/sent" in self.page.url, self.page.url

    def age_the_signup(self, hours: int) -> None:
        """As if it had been made so much earlier: the only thing here that no button does."""
        older = f"interval '{hours} hours'"
        engine = create_engine(self.house.environment["MILEPOST_DATABASE_URL"])
        with engine.begin() as connection:
            aged = connection.execute(
                text(
                    f"UPDATE signups SET created_at = created_at - {older}, decided_at = decided_at - {older}, "
                    f"expires_at = expires_at - {older} WHERE address = :address"
                ),
                {"address": self.address},
            )
            assert aged.rowcount == 1
        engine.dispose()

    def link(self, pattern: str, to: str = "") -> str:
        """A link like this in the newest mail that has one, to this person or to another address; waits for it."""
        found: list[str] = []

        def arrived() -> bool:
            for mail in sorted(self.house.mails(to or self.address), key=lambda mail: -mail["id"]):
                links = httpx.get(f"{self.house.catcher_url}/api/mails/{mail['id']}").json()["links"]
                found.extend(link for link in links if re.search(pattern, link))
                if found:
                    return True
            return False

        wait_until(arrived, f"no mail to {to or self.address} has a link like {pattern}")
        return found[0]
