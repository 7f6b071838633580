"""Somebody from outside: a browser, a mail client and an operator's script, through public interfaces only."""

import time
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import httpx

PATIENCE_SECONDS = 90.0
LOOK_EVERY_SECONDS = 0.1


class StepFailedError(Exception):
    """What did not hold, for people."""


class Form:
    """The first form of a page that posts, as a browser would send it untouched."""

    def __init__(self, page_url: str, html: str) -> None:
        parser = _FormParser()
        parser.feed(html)
        if parser.action is None:
            raise StepFailedError(f"the page {_short(page_url)} has no form with a button")
        self.action = urljoin(page_url, parser.action)
        self.hidden = parser.hidden
        self.choices = parser.choices
        """Name → the values of its boxes."""


class Visitor:
    """Looks, types, clicks and waits. `pause` waits for seconds and raises if somebody wants to stop."""

    def __init__(self, web_url: str, catcher_url: str, token: str, pause: Callable[[float], None]) -> None:
        self.web_url = web_url
        self.catcher_url = catcher_url
        self.pause = pause
        self._browser = httpx.Client(timeout=30, headers={"User-Agent": "Milepost-demo/1.0", "Accept-Language": "en"})
        self._api = httpx.Client(base_url=f"{web_url}/api/v1", timeout=30, headers={"Authorization": f"Bearer {token}"})

    def close(self) -> None:
        self._browser.close()
        self._api.close()

    # Pages

    def open(self, url: str) -> httpx.Response:
        return self._browser.get(url, follow_redirects=True)

    def look(self, url: str, method: str) -> int:
        """The status of a GET or HEAD, redirects not followed: what a scanner of links does."""
        return self._browser.request(method, url).status_code

    def post(self, url: str, fields: Mapping[str, Any]) -> httpx.Response:
        return self._browser.post(url, data=dict(fields))

    # The mailbox

    def wait_for_mail(self, address: str, after: int, what: str) -> dict[str, Any]:
        """The next mail to `address`, opened."""
        mails: list[dict[str, Any]] = []

        def arrived() -> bool:
            mails[:] = self.mails(address, after)
            return bool(mails)

        self.wait_until(arrived, f"the {what} did not arrive in the catcher")
        mail: dict[str, Any] = self._browser.get(f"{self.catcher_url}/api/mails/{mails[0]['id']}").json()
        return mail

    def mails(self, address: str, after: int = 0) -> list[dict[str, Any]]:
        answer = self._browser.get(f"{self.catcher_url}/api/mails", params={"to": address, "after": after})
        found: list[dict[str, Any]] = answer.json()
        return found

    # The operator's API

    def get(self, path: str) -> dict[str, Any]:
        return self._answer(self._api.get(path), path)

    def order(self, path: str) -> dict[str, Any]:
        return self._answer(self._api.post(path), path)

    def _answer(self, answer: httpx.Response, path: str) -> dict[str, Any]:
        if answer.is_error:
            raise StepFailedError(f"/api/v1{path} answered {answer.status_code}: {answer.text[:300]}")
        document: dict[str, Any] = answer.json()
        return document

    # Waiting

    def wait_until(self, holds: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > end:
                raise StepFailedError(f"{otherwise} within {PATIENCE_SECONDS:.0f} s")
            self.pause(LOOK_EVERY_SECONDS)


def header(mail: Mapping[str, Any], name: str) -> str:
    """The one header of this name; raises StepFailedError if there is none or there are several."""
    found = [str(value) for key, value in mail["headers"] if key.lower() == name.lower()]
    if len(found) != 1:
        raise StepFailedError(f"the mail “{mail['subject']}” has {len(found)} {name} headers instead of one")
    return found[0]


class _FormParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.hidden: dict[str, str] = {}
        self.choices: dict[str, list[str]] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = self.action is None and given.get("method", "").lower() == "post"
            if self._inside:
                self.action = given.get("action", "")
        elif tag in ("input", "button") and self._inside and given.get("name"):
            kind = given.get("type", "text")
            if kind == "hidden":
                self.hidden[given["name"]] = given.get("value", "")
            elif kind in ("checkbox", "radio"):
                self.choices.setdefault(given["name"], []).append(given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


def _short(url: str) -> str:
    """Without what acts for a reader."""
    return url if len(url) < 60 else f"{url[:50]}…"  # noqa: PLR2004
