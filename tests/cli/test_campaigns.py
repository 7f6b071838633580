"""`milepost campaign …` and `digest …`: from draft to report, watching it, and what is refused."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.bootstrap import SystemClock
from service.cli import following
from service.domain.words import Language, Purpose
from service.settings import Settings
from service.store import engine as store_engine
from service.store.campaigns import lock_campaign
from service.store.transaction import Transaction, TransactionFactory, factory
from service.usecases import digesting, dispatching
from service.usecases.campaigning import plan_campaign
from tests.builders import a_reader
from tests.cli.conftest import Milepost
from tests.conftest import HintList

CREATE = ("campaign", "create", "--list", "hub", "--purpose", "offers", "--subject", "Warm feet", "--body", "# Hello")


@pytest.fixture
def transaction(house: Settings) -> Iterator[TransactionFactory]:
    engine = store_engine.create(house.database_url, "test")
    yield factory(engine, SystemClock(), HintList())
    engine.dispose()


@pytest.fixture
def readers(transaction: TransactionFactory) -> int:
    """Three who agreed to offers."""
    from service.store.lists import get_list

    with transaction() as tx:
        list_id = get_list(tx, "hub").id
        for name in ("ada", "bea", "cem"):
            a_reader(tx, f"{name}@readers.example", list_id=list_id, purpose=Purpose.OFFERS)
    return 3


@contextmanager
def worker(
    monkeypatch: pytest.MonkeyPatch, transaction: TransactionFactory, *turns: Callable[[Transaction], object]
) -> Iterator[None]:
    """Between two looks at the report a worker has one turn; no test waits."""
    waiting = list(turns)

    def turn(_seconds: float) -> None:
        act = waiting.pop(0)
        with transaction() as tx:
            act(tx)

    monkeypatch.setattr(following.time, "sleep", turn)
    yield
    assert not waiting, "the watching ended too early"


def plan(tx: Transaction) -> None:
    (campaign_id,) = tx.session.scalars(text("SELECT id FROM campaigns WHERE status = 'planning'"))
    plan_campaign(tx, campaign_id)
    digesting.plan_run(tx, campaign_id)


def accept_everything(tx: Transaction) -> None:
    tx.session.execute(text("UPDATE deliveries SET status = 'accepted', finished_at = now() WHERE status = 'queued'"))
    dispatching.sweep(tx)


def made(milepost: Milepost) -> int:
    ran = milepost(*CREATE, "--json")
    assert ran.code == 0, ran.err
    return int(ran.document["id"])


def test_a_draft_is_shown_and_listed(milepost: Milepost, house: Settings) -> None:
    assert "no campaign yet" in milepost("campaign", "list").err
    campaign_id = made(milepost)
    shown = milepost("campaign", "show", campaign_id, "--json").document
    assert (shown["subject"], shown["body"], shown["status"], shown["changed_by"]) == (
        "Warm feet", "# Hello", "draft", "ada",
    )  # fmt: skip
    assert shown["audience"] == sum(shown["buckets"].values()) == 0
    assert len(shown["buckets"]) == 7
    assert [c["id"] for c in milepost("campaign", "list", "--json").document] == [campaign_id]
    assert "Warm feet" in milepost("campaign", "list").out
    assert shown["layout"] == "card"
    plain = milepost(*CREATE, "--layout", "plain", "--json").document["id"]
    assert milepost("campaign", "show", plain, "--json").document["layout"] == "plain"
    sale = milepost(*CREATE, "--expire-after", "48", "--json").document["id"]
    assert milepost("campaign", "show", sale, "--json").document["expire_after"] == 48
    said = milepost("campaign", "show", campaign_id).out
    assert "Subject: Warm feet" in said
    assert "draft" in said


def test_looking_at_a_campaign_waits_for_nobody(
    milepost: Milepost, house: Settings, transaction: TransactionFactory
) -> None:
    campaign_id = made(milepost)
    with transaction() as tx:
        lock_campaign(tx, campaign_id)
        assert milepost("campaign", "show", campaign_id, "--json").document["subject"] == "Warm feet"
    assert "no campaign 4711" in milepost("campaign", "show", 4711).err


def test_the_text_comes_from_a_file_or_a_pipe(
    milepost: Milepost, house: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    file = tmp_path / "body.md"
    file.write_text("Größe 42\n", encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    for source, body in ((str(file), "Größe 42\n"), ("-", "from a pipe")):
        campaign_id = milepost(*CREATE[:-2], "--body-file", source, "--json").document["id"]
        assert milepost("campaign", "show", campaign_id, "--json").document["body"] == body


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("--subject", "Warm\r\nBcc: everybody@example.org"),
        ("--subject", "Warm\u2028feet"),
        ("--subject", "x" * 5000),
        ("--subject", " "),
        ("--name", "two\nlines"),
        ("--body", " "),
        ("--body", "![a stranger](https://elsewhere.test/a.png)"),
        ("--body", "x" * 100_001),
        ("--list", "nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_mailed_is_refused_and_not_kept(
    milepost: Milepost, house: Settings, field: str, value: str
) -> None:
    arguments = {"--list": "hub", "--purpose": "offers", "--subject": "Warm", "--body": "Text", "--name": "n"}
    ran = milepost("campaign", "create", *[x for pair in (arguments | {field: value}).items() for x in pair], "--json")
    assert ran.code == 1, ran.out
    assert "nothing was" in ran.document["error"]["message"].lower()
    assert milepost("campaign", "list", "--json").document == []


def test_sending_is_followed_to_its_end(
    milepost: Milepost, readers: int, transaction: TransactionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign_id = made(milepost)
    with worker(monkeypatch, transaction, plan, accept_everything):
        ran = milepost("campaign", "send", campaign_id, "--json")
    assert ran.code == 0
    assert (ran.document["status"], ran.document["audience"]) == ("sent", 3)
    assert ran.document["buckets"]["accepted"] == 3
    said = milepost("campaign", "status", campaign_id)
    assert "3 accepted" in said.out
    assert "3 in all" in said.out


def test_without_waiting_it_returns_at_once(milepost: Milepost, readers: int) -> None:
    ran = milepost("campaign", "send", made(milepost), "--no-wait", "--json")
    assert ran.code == 0
    assert ran.document["status"] == "planning"


def test_ctrl_c_stops_only_the_watching(
    milepost: Milepost, readers: int, transaction: TransactionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_tx: Transaction) -> None:
        raise KeyboardInterrupt

    campaign_id = made(milepost)
    with worker(monkeypatch, transaction, plan, interrupt):
        ran = milepost("campaign", "send", campaign_id, "--json")
    assert ran.code == 4
    assert ran.document["status"] == "sending"
    assert f"Stopped watching; sending goes on. `milepost campaign status {campaign_id}`" in ran.err


def test_when_nobody_sends_it_says_so_once(
    milepost: Milepost, readers: int, transaction: TransactionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def long_ago(tx: Transaction) -> None:
        tx.session.execute(text("UPDATE campaigns SET ordered_at = now() - interval '1 minute'"))

    def nothing(_tx: Transaction) -> None:
        pass

    with worker(monkeypatch, transaction, long_ago, nothing, nothing, plan, accept_everything):
        ran = milepost("campaign", "send", made(milepost))
    assert ran.code == 0
    assert ran.err.count("is `milepost worker --lane bulk` running?") == 1


def test_a_pause_ends_the_watching_with_4(
    milepost: Milepost, readers: int, transaction: TransactionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.usecases.campaigning import pause_campaign

    campaign_id = made(milepost)
    with worker(monkeypatch, transaction, plan, lambda tx: pause_campaign(tx, campaign_id, by="bea", reason="typo")):
        ran = milepost("campaign", "send", campaign_id)
    assert ran.code == 4
    assert "paused, typo" in ran.out


def test_from_pause_to_resume_to_cancel(milepost: Milepost, readers: int, transaction: TransactionFactory) -> None:
    campaign_id = made(milepost)
    milepost("campaign", "send", campaign_id, "--no-wait")
    with transaction() as tx:
        plan(tx)
    assert milepost("campaign", "pause", campaign_id, "--reason", "typo", "--json").document["reason"] == "typo"
    refused = milepost("campaign", "pause", campaign_id, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (1, "campaign_paused")
    assert milepost("campaign", "resume", campaign_id, "--json").document["status"] == "sending"
    ended = milepost("campaign", "cancel", campaign_id, "--json").document
    assert (ended["status"], ended["buckets"]["cancelled"], ended["audience"]) == ("cancelled", 3, 3)


@pytest.mark.parametrize(("choice", "bucket"), [("--resend", "queued"), ("--close", "failed")])
def test_uncertain_ones_are_for_a_person_to_decide(
    milepost: Milepost, readers: int, transaction: TransactionFactory, choice: str, bucket: str
) -> None:
    campaign_id = made(milepost)
    milepost("campaign", "send", campaign_id, "--no-wait")
    with transaction() as tx:
        plan(tx)
        tx.session.execute(text("UPDATE deliveries SET status = 'uncertain', finished_at = now()"))
        dispatching.sweep(tx)
    said = milepost("campaign", "status", campaign_id)
    assert f"`milepost campaign resolve {campaign_id} --resend`" in said.err
    document = milepost("campaign", "resolve", campaign_id, choice, "--json").document
    assert (document["resolved"], document["buckets"][bucket], document["buckets"]["uncertain"]) == (3, 3, 0)
    assert "0 uncertain" in milepost("campaign", "resolve", campaign_id, "--close").out


def test_a_test_mail_is_queued_for_the_operator(milepost: Milepost, house: Settings) -> None:
    campaign_id = made(milepost)
    document = milepost("campaign", "test", campaign_id, "--to", "ada@fjellsko.example", "--language", "de", "--json")
    assert document.document["delivery_id"] > 0
    assert "queued as delivery" in milepost("campaign", "test", campaign_id, "--to", "ada@fjellsko.example").out
    refused = milepost("campaign", "test", campaign_id, "--to", "ada@", "--json")
    assert refused.code == 1
    acts = [(entry["actor"], entry["act"]) for entry in milepost("audit", "--json").document]
    assert acts == [("ada", "test_mail"), ("ada", "test_mail")]


@pytest.mark.parametrize("act", ["show", "status", "send", "pause", "resume", "cancel"])
def test_a_campaign_that_is_not_there(milepost: Milepost, house: Settings, act: str) -> None:
    ran = milepost("campaign", act, 2**63 - 1, "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "campaign_unknown")


# Digests


@pytest.fixture
def digest(transaction: TransactionFactory, readers: int) -> str:
    with transaction() as tx:
        digesting.add_digest(
            tx, slug="weekly", list_slug="hub", names={Language.EN: "Weekly", Language.DE: "Wöchentlich"}
        )
    return "weekly"


def test_a_run_is_followed_to_its_end(
    milepost: Milepost, digest: str, transaction: TransactionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "has not been run yet" in milepost("digest", "runs", digest).err
    with worker(monkeypatch, transaction, plan, accept_everything):
        ran = milepost("digest", "send", digest, "--json")
    assert ran.code == 0, ran.err
    assert (ran.document["kind"], ran.document["status"]) == ("digest", "sent")
    assert ran.document["run_id"] > 0
    assert [r["id"] for r in milepost("digest", "runs", digest, "--json").document] == [ran.document["campaign_id"]]
    assert "sent" in milepost("digest", "runs", digest).out


def test_digests_are_listed(milepost: Milepost, digest: str) -> None:
    (listed,) = milepost("digest", "list", "--json").document
    assert (listed["slug"], listed["names"]["de"]) == ("weekly", "Wöchentlich")
    assert "Weekly" in milepost("digest", "list").out


def test_a_second_run_waits_for_the_first(milepost: Milepost, digest: str) -> None:
    first = milepost("digest", "send", digest, "--no-wait", "--json").document
    assert first["status"] == "planning"
    refused = milepost("digest", "send", digest, "--no-wait", "--json")
    assert (refused.code, refused.document["error"]["code"]) == (1, "run_in_planning")


@pytest.mark.parametrize("arguments", [("send", "nowhere"), ("runs", "nowhere")])
def test_a_digest_that_is_not_there(milepost: Milepost, house: Settings, arguments: tuple[str, ...]) -> None:
    ran = milepost("digest", *arguments, "--json")
    assert ran.code == 1
    assert "nowhere" in ran.document["error"]["message"]


def test_the_document_has_one_shape(milepost: Milepost, readers: int) -> None:
    """Scripts read these names; a change is a change for them."""
    ran = milepost(*CREATE, "--json")
    document: dict[str, Any] = json.loads(ran.out)
    assert set(document) == {
        "id", "name", "kind", "list_slug", "purpose", "status", "reason", "changed_by", "audience", "buckets",
        "skipped", "attempts", "oldest_due_at", "lost_leases", "created_at", "ordered_at", "planned_at", "finished_at",
        "per_second", "seconds_left", "held", "said",
    }  # fmt: skip
