"""`milepost demo --once`: the main job from sign-up to one-click unsubscribe, as a stranger would do it, and a verdict.

Uses a demo that runs, else starts one and stops it afterwards. Any number of times in a row: each has its own address.
"""

import json
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from service.demo.house import House, StoppedError, say_on_stderr
from service.demo.seed import DIGEST
from service.demo.state import DemoState
from service.demo.supervisor import stopping_on_signals
from service.demo.visitor import Form, StepFailedError, Visitor, header
from service.errors import ConfigurationError

T = TypeVar("T")

HOLDS, DOES_NOT_HOLD = 0, 4
"""Exit codes, as in `milepost --help`."""
LOOK_AGAIN_SECONDS = 0.1
QUIET_SECONDS = 0.5
QUIET_WITH_QUEUE_SECONDS = 8.0
"""Something is queued: a sweep every five seconds finds it, unless it belongs to a paused campaign."""
COUNTED = ("subscriptions", "signups", "consent_events", "deliveries", "suppressions", "mailed_articles")
"""What no GET may change."""


@dataclass
class Figures:
    """The JSON object. What must hold stands beside each figure in `_verdict`."""

    ok: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)
    signed_up: int = 0
    confirmed: int = 0
    digest_sent: int = 0
    digest_skipped_empty: int = 0
    skip_reasons: dict[str, int] = field(default_factory=dict)
    first_digest_articles: int = 0
    second_digest_articles: int = 0
    second_run_repeats: int = 0
    unsubscribed_one_click: int = 0
    mails_after_unsubscribe: int = 0
    links_checked: int = 0
    links_broken: int = 0
    links_that_changed_state_on_get: int = 0
    failed: str | None = None


def run_once(state: DemoState, *, as_json: bool) -> int:
    """Returns the exit code: 0 only if everything holds."""
    figures = Figures()
    try:
        with _running(state) as (visitor, hub_url):
            MainJob(visitor, hub_url, figures).run()
        figures.ok = True
    except (StepFailedError, httpx.HTTPError, ConfigurationError) as error:
        figures.failed = figures.failed or str(error)
    except StoppedError:
        figures.failed = "it was stopped by a signal"
    if as_json:
        sys.stdout.write(json.dumps(vars(figures), indent=2, ensure_ascii=False) + "\n")
    else:
        _tell(figures)
    if figures.failed:
        say_on_stderr(f"The main job did not hold: {figures.failed}. Logs: {state.logs}")
    return HOLDS if figures.ok else DOES_NOT_HOLD


@contextmanager
def _running(state: DemoState) -> Iterator[tuple[Visitor, str]]:
    """A visitor to the demo that runs in this directory, or to one that is started for it and stopped again."""
    if state.environment() is not None:
        ports = state.kept_ports()
        yield from _visit(state, f"http://localhost:{ports['web']}", ports, time.sleep)
        return
    state.prepare()
    if not state.acquire():
        raise ConfigurationError(
            f"Process {state.holder()} is just starting or stopping the demo; nothing was done. Try again in a moment."
        )
    house = House(state, say_on_stderr)
    with stopping_on_signals(house.stop_asked):
        try:
            house.start()
            yield from _visit(state, house.web_url, house.ports, house.pause)
        finally:
            house.stop()
            state.release()


def _visit(
    state: DemoState, web_url: str, ports: dict[str, int], pause: Callable[[float], None]
) -> Iterator[tuple[Visitor, str]]:
    visitor = Visitor(web_url, f"http://localhost:{ports['catcher']}", state.secret("api_token"), pause)
    try:
        yield visitor, f"http://localhost:{ports['hub']}"
    finally:
        visitor.close()


class MainJob:
    """The steps, in order. Each raises StepFailedError if what it expects does not hold."""

    def __init__(self, visitor: Visitor, hub_url: str, figures: Figures) -> None:
        self.visitor = visitor
        self.hub_url = hub_url
        self.figures = figures
        self._control_page = ""
        self.address = f"once-{int(time.time())}-{secrets.token_hex(3)}@reader.example"
        self.last_mail = 0
        self._links: set[str] = set()

    def run(self) -> None:
        self._step("sign up by the form", self.sign_up)
        confirmation = self._step("read the confirmation mail", lambda: self.next_mail("confirmation mail"))
        self._step("look at every link of it", lambda: self.look_at_links(confirmation))
        self._step("confirm by the button", lambda: self.confirm(confirmation))
        welcome = self._step("read the welcome mail", lambda: self.next_mail("welcome mail"))
        self._step("look at every link of it", lambda: self.look_at_links(welcome))
        report = self._step("run the digest", self.run_digest)
        self._count(report)
        first = self._step("read the digest", lambda: self.next_mail("digest"))
        self._step("look at every link of it", lambda: self.look_at_links(first))
        self._step("run it again", self.run_digest)
        second = self._step("compare the two", lambda: self.compare(first))
        self._step("unsubscribe by one click", lambda: self.unsubscribe(second or first))
        self._step("run it a third time", self.run_digest)
        self._step("look for mail after the unsubscribe", self.count_mails_after)
        self._verdict()

    # The steps

    def sign_up(self) -> None:
        page_url = f"{self.visitor.web_url}/subscribe?language=en"
        page = self.visitor.open(page_url)
        form = Form(page_url, page.text)
        boxes = {name: values for name, values in form.choices.items() if name == "topics"}
        # As slow as a person, who reads what is asked (E-06).
        patience = self.visitor.open(f"{self.visitor.web_url}/subscribe/token").json()["seconds_to_wait"]
        self.visitor.pause(patience + 0.2)
        sent = self.visitor.post(
            form.action, {**form.hidden, **boxes, "address": self.address, "first_name": "Ada", "purposes": "digest"}
        )
        if sent.status_code != httpx.codes.SEE_OTHER:
            raise StepFailedError(f"the form answered {sent.status_code} instead of leading on")
        self.figures.signed_up = 1

    def next_mail(self, what: str) -> dict[str, Any]:
        mail = self.visitor.wait_for_mail(self.address, self.last_mail, what)
        self.last_mail = mail["id"]
        return mail

    def look_at_links(self, mail: dict[str, Any]) -> None:
        """GET and HEAD every link, also those in headers; nothing may change by it (invariant 5)."""
        links = [link for link in mail["links"] if link.startswith(("http://", "https://"))]
        links += re.findall(r"<(https?://[^>]+)>", " ".join(v for k, v in mail["headers"] if k.startswith("List-")))
        self._control_page = next((link for link in links if "/c/" in link), self._control_page)
        self._wait_for_quiet()
        before = self._state()
        for link in dict.fromkeys(links):
            statuses = [self.visitor.look(link, method) for method in ("GET", "HEAD")]
            after = self._state()
            self.figures.links_checked += link not in self._links
            self.figures.links_broken += any(status >= httpx.codes.BAD_REQUEST for status in statuses)
            self.figures.links_that_changed_state_on_get += after != before
            self._links.add(link)
            before = after

    def confirm(self, mail: dict[str, Any]) -> None:
        link = next((link for link in mail["links"] if "/confirm/" in link), None)
        if link is None:
            raise StepFailedError("the confirmation mail has no link to confirm by")
        form = Form(link, self.visitor.open(link).text)
        answer = self.visitor.post(form.action, form.hidden)
        if answer.is_error:
            raise StepFailedError(f"the button answered {answer.status_code}")
        self.figures.confirmed = 1

    def run_digest(self) -> dict[str, Any]:
        """Order a run and wait until everybody has been mailed or skipped; returns the report."""
        campaign = self.visitor.order(f"/digests/{DIGEST}/runs")["campaign_id"]
        report: dict[str, Any] = {}

        def is_sent() -> bool:
            report.update(self.visitor.get(f"/campaigns/{campaign}"))
            return bool(report["status"] == "sent")

        self.visitor.wait_until(is_sent, "the run of the digest was not finished")
        if sum(report["buckets"].values()) != report["audience"]:
            raise StepFailedError(f"the report does not add up: {report['buckets']} of {report['audience']}")
        return report

    def compare(self, first: dict[str, Any]) -> dict[str, Any] | None:
        """Read the second digest, if something was left for it, and count what it repeats."""
        mails = self.visitor.mails(self.address, self.last_mail)
        earlier = self._articles(first)
        self.figures.first_digest_articles = len(earlier)
        if not mails:
            return None
        second = self.next_mail("second digest")
        self.look_at_links(second)
        later = self._articles(second)
        self.figures.second_digest_articles = len(later)
        self.figures.second_run_repeats = len(earlier & later)
        return second

    def unsubscribe(self, mail: dict[str, Any]) -> None:
        """What a mail client does (RFC 8058): POST to the header's URL, nothing else."""
        if header(mail, "List-Unsubscribe-Post") != "List-Unsubscribe=One-Click":
            raise StepFailedError("the digest has no List-Unsubscribe-Post: List-Unsubscribe=One-Click")
        found = re.search(r"<(https?://[^>]+)>", header(mail, "List-Unsubscribe"))
        if found is None:
            raise StepFailedError("the digest's List-Unsubscribe names no web address")
        before = self._wait_for_quiet()["subscriptions"].get("unsubscribed", 0)
        answer = self.visitor.post(found[1], {"List-Unsubscribe": "One-Click"})
        if answer.status_code != httpx.codes.OK:
            raise StepFailedError(f"one-click unsubscribe answered {answer.status_code}")
        self.figures.unsubscribed_one_click = self._counts()["subscriptions"].get("unsubscribed", 0) - before

    def count_mails_after(self) -> None:
        self._wait_for_quiet()
        self.figures.mails_after_unsubscribe = len(self.visitor.mails(self.address, self.last_mail))

    # What they share

    def _step(self, name: str, act: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return act()
        except (StepFailedError, httpx.HTTPError) as error:
            raise StepFailedError(f"“{name}”: {error or type(error).__name__}") from error
        finally:
            self.figures.steps.append({"name": name, "ms": round((time.monotonic() - began) * 1000)})

    def _state(self) -> tuple[dict[str, Any], str]:
        """What a link could have changed: everything that is counted, and what the reader has chosen."""
        return self._counts(), self.visitor.open(self._control_page).text if self._control_page else ""

    def _counts(self) -> dict[str, Any]:
        overview = self.visitor.get("/overview")
        return {name: overview[name] for name in COUNTED}

    def _wait_for_quiet(self) -> dict[str, Any]:
        """The counts, once the workers have stopped changing them."""
        counts = self._counts()
        since = time.monotonic()

        def quiet() -> bool:
            nonlocal counts, since
            self.visitor.pause(LOOK_AGAIN_SECONDS)
            before, counts = counts, self._counts()
            if before != counts:
                since = time.monotonic()
            waiting = counts["deliveries"].get("queued", 0) + counts["deliveries"].get("sending", 0)
            return time.monotonic() - since > (QUIET_WITH_QUEUE_SECONDS if waiting else QUIET_SECONDS)

        self.visitor.wait_until(quiet, "the workers did not come to rest")
        return counts

    def _articles(self, mail: dict[str, Any]) -> set[str]:
        return {link for link in mail["links"] if link.startswith(self.hub_url) and "/articles/" in link}

    def _count(self, report: dict[str, Any]) -> None:
        self.figures.digest_sent = report["buckets"]["accepted"]
        self.figures.skip_reasons = dict(report["skipped"])
        self.figures.digest_skipped_empty = report["skipped"].get("nothing_new", 0)

    def _verdict(self) -> None:
        """Raises StepFailedError that names every figure which is not as it must be."""
        figures = self.figures
        exactly = {
            "signed_up": 1,
            "confirmed": 1,
            "second_run_repeats": 0,
            "unsubscribed_one_click": 1,
            "mails_after_unsubscribe": 0,
            "links_broken": 0,
            "links_that_changed_state_on_get": 0,
        }
        at_least_one = ("digest_sent", "digest_skipped_empty", "first_digest_articles", "links_checked")
        wrong = [
            f"{name} is {getattr(figures, name)}, not {n}" for name, n in exactly.items() if getattr(figures, name) != n
        ]
        wrong += [f"{name} is 0" for name in at_least_one if getattr(figures, name) < 1]
        if wrong:
            raise StepFailedError("; ".join(wrong))


def _tell(figures: Figures) -> None:
    for step in figures.steps:
        print(f"  {step['ms']:>6} ms  {step['name']}")
    for name, value in vars(figures).items():
        if name not in ("steps", "failed"):
            print(f"  {name}: {value}")
