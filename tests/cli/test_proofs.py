"""`milepost consent prove|check|key`, as an operator runs them."""

import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from service.bootstrap import Container, build_container
from service.domain.forms import SignupRequest, Submission, check_submission
from service.domain.tokens import Token, TokenKind
from service.domain.words import Lane, Language
from service.settings import Settings
from service.store import audit
from service.usecases import subscribing, wording
from service.usecases.dispatching import send_due
from service.usecases.sealing import seal_new
from tests.cli.conftest import Milepost
from tests.conftest import FrozenClock
from tests.usecases.builders import BUTTON_EVIDENCE, FORM_EVIDENCE
from tests.usecases.sending import a_sender

ADDRESS = "anna@fjell.no"
REASON = "court order 12/26"
pytestmark = pytest.mark.requirement("D-02")


@pytest.fixture
def container(house: Settings) -> Iterator[Container]:
    built = build_container(house)
    yield built
    built.engine.dispose()


@pytest.fixture
def reader(container: Container, clock: FrozenClock) -> str:
    """Signed up on the form, mailed, confirmed, sealed; all committed."""
    keys = container.keys
    with container.transaction() as tx:
        view = wording.get_form(tx, "hub", Language.FR)
        request = check_submission(Submission(address=ADDRESS, purposes=("digest",), language="fr"), view)
        assert isinstance(request, SignupRequest)
        signup_id = subscribing.receive_signup(tx, keys, request, FORM_EVIDENCE)
    with container.transaction() as tx:
        subscribing.process_signups(tx, keys.ledger, timedelta(hours=72))
    sender = a_sender(container.transaction, clock, lane=Lane.INTERACTIVE, write=container.writer.write)
    send_due(sender)
    with container.transaction() as tx:
        token = keys.seal(Token(TokenKind.CONFIRM, signup_id))
        subscribing.confirm_subscription(tx, keys, token, BUTTON_EVIDENCE)
    seal_new(container.transaction, keys.ledger, container.checkpoint_file)
    return ADDRESS


class Page(HTMLParser):
    """What a printed page would load or lead to, and the languages it names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.languages: set[str] = set()
        self.loads: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "action", "background", "data"):
                self.loads.append(value or "")
            if name == "lang":
                self.languages.add(value or "")


def test_prove_and_check(milepost: Milepost, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D-02: one command, both documents; the second command needs the file alone."""
    monkeypatch.chdir(tmp_path)
    ran = milepost("consent", "prove", reader, "--reason", REASON)
    assert (ran.code, ran.err) == (0, "")
    html, document = (Path(line) for line in ran.out.split())
    assert re.fullmatch(r"consent-proof-\d+\.html", html.name)
    assert html.stat().st_mode & 0o777 == document.stat().st_mode & 0o777 == 0o600
    public_key = milepost("consent", "key").out.strip()
    for name in list(os.environ):
        if name.startswith("MILEPOST_"):
            monkeypatch.delenv(name)
    checked = milepost("consent", "check", document, "--public-key", public_key)
    assert checked.code == 0, checked.err
    assert "The proof holds: 2 events of 1 subject(s), 1 checkpoint(s)." in checked.out
    by_itself = milepost("consent", "check", document)
    assert by_itself.code == 0
    assert public_key in by_itself.err


def test_check_names_what_does_not_hold(milepost: Milepost, reader: str, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    assert milepost("consent", "prove", reader, "--reason", REASON, "--out", file).code == 0
    file.write_text(file.read_text().replace("203.0.113.8", "203.0.113.9"))
    ran = milepost("consent", "check", file)
    assert ran.code == 1
    assert "The proof does not hold. What event 2 of subject" in ran.err
    ran = milepost("consent", "check", file, "--json")
    assert (ran.code, ran.document["holds"]) == (1, False)
    assert milepost("consent", "check", tmp_path / "none.json").code == 1
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    assert milepost("consent", "check", tmp_path / "binary.json").code == 1


def test_the_page_stands_by_itself_and_shows_everything(milepost: Milepost, reader: str, tmp_path: Path) -> None:
    """D-02: printable; no script, nothing loaded, words in their own language."""
    file = tmp_path / "proof.html"
    assert milepost("consent", "prove", reader, "--reason", REASON, "--out", file).code == 0
    html = file.read_text()
    page = Page(html)
    assert not page.tags & {"script", "link", "img", "object", "embed", "form", "input"}
    assert page.loads == []
    assert {"en", "fr"} <= page.languages
    for shown in (
        ADDRESS,
        "Sélection d’articles d’entraînement",
        "Nous ne communiquons jamais vos données personnelles",
        "politique de confidentialité",
        "The form as it looked",
        "The confirmation mail",
        "[token withheld]",
        "Checkpoint 1",
    ):
        assert shown in html, shown
    assert "@media print" in html
    framed = html.split('srcdoc="', 1)[1].split('"', 1)[0]
    assert "type=&#34;checkbox&#34;" in framed
    assert "<script" not in framed.lower()


def test_json_goes_to_stdout_and_no_file_is_written(
    milepost: Milepost, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "empty"
    directory.mkdir()
    monkeypatch.chdir(directory)
    ran = milepost("consent", "prove", reader, "--reason", REASON, "--json")
    assert ran.document["format"] == "milepost-consent-proof/2"
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody@fjell.no", "--reason", REASON), "no record of this address"),
        ((ADDRESS, "--reason", "x"), "needs a reason"),
        ((ADDRESS,), "needs a reason"),
        ((ADDRESS, "--reason", REASON, "--out", "proof.pdf"), "neither .html nor .json"),
    ],
)
def test_refusals_write_nothing(
    milepost: Milepost,
    reader: str,
    container: Container,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    ran = milepost("consent", "prove", *arguments)
    assert ran.code == 1
    assert said in ran.err
    assert {path.name for path in tmp_path.iterdir()} == before
    with container.transaction() as tx:
        assert audit.list_entries(tx) == []


def test_an_unsealed_proof_says_so(milepost: Milepost, reader: str, house: Settings, tmp_path: Path) -> None:
    owner = create_engine(house.owner_database_url or "")
    with owner.begin() as connection:
        connection.execute(text("UPDATE event_seals SET position = NULL"))
    owner.dispose()
    file = tmp_path / "proof.json"
    ran = milepost("consent", "prove", reader, "--reason", REASON, "--out", file)
    assert ran.code == 0
    assert "2 event(s) are not sealed yet" in ran.err
    assert json.loads(file.read_text())["checkpoints"] == {}
    assert "was not sealed when the proof was made" in milepost("consent", "check", file).err
