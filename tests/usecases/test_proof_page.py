"""The printable page of a proof: it loads nothing, says what is in force, and whose page it was (D-02)."""

import base64
import html
import json
import re
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from service.domain.proof_checks import check_proof
from service.domain.words import Channel
from service.looks.proofs import render_proof
from service.store import subscribers
from service.store.transaction import TransactionFactory
from service.usecases import unsubscribing
from tests.conftest import FrozenClock
from tests.usecases.builders import BUTTON_EVIDENCE, KEYS, PUBLISHER, unsubscribe_token
from tests.usecases.test_proving import proof_of, reader, seal
from tests.usecases.test_proving_moved import NEXT, move

__all__ = ["seal"]
pytestmark = pytest.mark.requirement("D-02")
Proof = dict[str, Any]
ELSEWHERE = "https://pixel.example.org/seen.png"
NOTICE = """# Notice

![a flag](URL) ![](URL 'and') ![ref][r] <img src=URL>

[r]: URL
"""


@pytest.fixture
def proof(transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]) -> Proof:
    reader(transaction, clock)
    seal()
    return proof_of(transaction)


def with_images(proof: Proof, url: str = ELSEWHERE) -> Proof:
    """As of a publisher who put images into notice and form."""
    for notice in proof["exhibits"]["notices"].values():
        notice["body"] = NOTICE.replace("URL", url)
    for form in proof["exhibits"]["forms"].values():
        for language, look in form["snapshots"].items():
            looks = json.loads(look)
            image = f'<img src="{url}"><link rel="stylesheet" href="{url}">'
            more = {name: each.replace("<form", image + "<form") for name, each in looks.items() if name != "format"}
            form["snapshots"][language] = json.dumps(looks | more)
    return proof


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def policy_of(page: str) -> str:
    [policy] = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    return html.unescape(policy)


def test_the_page_loads_nothing_from_anywhere(proof: Proof) -> None:
    page = render_proof(with_images(proof))
    tags = Tags(page)
    assert not {"img", "link", "script", "base", "object"} & {tag for tag, _ in tags.found}
    assert [tag for tag, attrs in tags.found if {"src", "srcset", "data", "background"} & set(attrs)] == []
    assert f"[a flag: {ELSEWHERE}]" in page, "what was there is said"
    policy = policy_of(page)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>"), "before what it is about"


def test_the_policy_lets_every_style_hold_that_the_page_and_its_form_bring(proof: Proof) -> None:
    page = render_proof(proof)
    framed = "".join(attrs["srcdoc"] or "" for tag, attrs in Tags(page).found if tag == "iframe")
    assert framed
    own = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    inside = re.findall(r"<style>(.*?)</style>", framed, re.DOTALL)
    assert len(own) == 1
    for style in own + inside:
        assert base64.b64encode(sha256(style.encode()).digest()).decode() in policy_of(page)
    assert not any("style" in attrs for tag, attrs in Tags(page).found)


@pytest.mark.parametrize(
    ("page_url", "said"),
    [
        (f"{PUBLISHER.public_url}/subscribe", "on Milepost’s own page"),
        ("HTTP://LOCALHOST:8025/subscribe?form=hub", "on Milepost’s own page"),
        (f"{PUBLISHER.public_url}.example.org/", "as given to the publisher’s site"),
        ("http://localhost:80251/", "as given to the publisher’s site"),
        ("http://localhost:8025@example.org/", "as given to the publisher’s site"),
        ("https://localhost:8025/subscribe", "as given to the publisher’s site"),
        ("http://localhost/subscribe", "as given to the publisher’s site"),
        ("HTTPS://fjell.no/hub", "as given to the publisher’s site"),
        ("not recorded", "where it was used is not recorded"),
    ],
)
def test_whose_page_the_form_stood_on(proof: Proof, page_url: str, said: str) -> None:
    for consent in proof["subjects"][0]["consents"]:
        consent["fields"]["8"]["value"]["page"] = page_url
    page = render_proof(proof)
    assert said in page
    assert page.count("The form as it looked</h2>") == 1


def test_a_path_of_ours_is_more_than_a_prefix(proof: Proof) -> None:
    [sha] = proof["exhibits"]["contexts"]
    context = json.loads(proof["exhibits"]["contexts"][sha])
    proof["exhibits"]["contexts"][sha] = json.dumps(context | {"service": "https://fjell.no/news"})
    for page_url, ours in (("https://fjell.no/newsletter", False), ("https://fjell.no/news/a", True)):
        for consent in proof["subjects"][0]["consents"]:
            consent["fields"]["8"]["value"]["page"] = page_url
        assert ("on Milepost’s own page" in render_proof(proof)) is ours


def summary(page: str) -> str:
    """What stands under the heading of the digest."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", "", page.split("digest –", 1)[1].split("<blockquote", 1)[0]))


def test_an_undone_withdrawal_is_in_force(
    transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]
) -> None:
    subscriber_id = reader(transaction, clock)
    seal()
    assert "led to. In force when this was made." in summary(render_proof(proof_of(transaction)))
    clock.advance(days=1)
    with transaction() as tx:
        list_id = subscribers.list_subscriptions(tx, subscriber_id)[0].list_id
        token = unsubscribe_token(subscriber_id, list_id)
        done = unsubscribing.unsubscribe(tx, KEYS, token, Channel.ONE_CLICK, BUTTON_EVIDENCE)
        assert isinstance(done, unsubscribing.Unsubscribed)
    seal()
    taken = "Taken back on 3 March 2026, 09:02:20 UTC, by one click"
    proof = proof_of(transaction)
    assert f"{taken}. Not in force when this was made." in summary(render_proof(proof))
    assert proof["subjects"][0]["consents"][0]["fields"]["14"]["value"]["still_in_force"] is True
    clock.advance(minutes=5)
    with transaction() as tx:
        unsubscribing.undo(tx, KEYS, done.undo_token or "", BUTTON_EVIDENCE)
    seal()
    proof = proof_of(transaction)
    again = "given again on 3 March 2026, 09:07:20 UTC, by undo. In force when this was made."
    assert f"{taken}; {again}" in summary(render_proof(proof))
    record = proof["subjects"][0]["consents"][0]["record"]
    assert [(event["event_type"], event["validity_duration"].partition(":")[0]) for event in record["events"]] == [
        ("request", "none"),
        ("explicit", "until withdrawn"),
        ("withdrawal", "none"),
        ("explicit", "until withdrawn"),
    ]
    check_proof(proof)


def test_who_moved(transaction: TransactionFactory, clock: FrozenClock, seal: Callable[[], None]) -> None:
    subscriber_id = reader(transaction, clock)
    move(transaction, clock, subscriber_id, NEXT)
    seal()
    left = render_proof(proof_of(transaction))
    assert "had this address until 4 March 2026" in left
    assert "The reader left this address on 4 March 2026" in summary(left)
    now = summary(render_proof(proof_of(transaction, NEXT)))
    assert "said again from a new address on 4 March 2026" in now
    assert "In force when this was made" in now
