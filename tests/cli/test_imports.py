"""`milepost import`: the example of the guide from dry run to undo, and what is refused."""

from pathlib import Path

import pytest

from service.domain.imports import AFFIRMATION
from service.domain.words import ImportVerdict
from service.settings import Settings
from tests.cli.conftest import Milepost, Ran

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/readers.csv"
MAP = (
    *("--list", "hub", "--purpose", "digest", "--map", "address=Email", "--map", "first_name=First name"),
    *("--map", "status=State", "--map", "consent_at=Joined", "--map", "consent_source=Where"),
    *("--map", "confirmed_at=Confirmed", "--map", "consent_ip=Confirmed IP", "--map", "language=Language"),
    *("--map", "topics=Topics"),
)
REASON = ("--reason", "moving house")
VOUCH = ("--source-system", "Old Letters", "--attest", AFFIRMATION, *REASON)


def check(milepost: Milepost, *more: object, file: Path = EXAMPLE) -> Ran:
    return milepost("import", "check", file, *MAP, *more)


def run(milepost: Milepost, *more: object, file: Path = EXAMPLE) -> Ran:
    return milepost("import", "run", file, *MAP, *more)


def imported(milepost: Milepost) -> int:
    ran = run(milepost, *VOUCH, "--json")
    assert ran.code == 0, ran.err
    return int(ran.document["import_id"])


@pytest.mark.requirement("E-11")
def test_four_numbers_with_reasons_lines_and_what_to_do(milepost: Milepost, house: Settings) -> None:
    ran = check(milepost)
    assert ran.code == 0, ran.err
    numbers = [line.split(maxsplit=1) for line in ran.out.splitlines()[:6]]
    assert numbers == [
        ["2", "can be mailed"],
        ["1", "need confirming"],
        ["4", "will be suppressed"],
        ["1", "are unreadable"],
        ["1", "change nothing: readers here already, or told by another line"],
        ["9", "rows in all"],
    ]
    assert [line.split() for line in ran.out.splitlines() if "complained" in line] == [
        ["1", "suppressed", "complained", "7"]
    ]
    assert "Nothing was stored" in ran.err
    assert "@" not in ran.out + ran.err, "line numbers, no addresses"
    assert milepost("import", "list", "--json").document == []


def test_the_same_as_json(milepost: Milepost, house: Settings) -> None:
    document = check(milepost, "--json").document
    assert document["rows"] == 9
    assert [document[verdict.value] for verdict in ImportVerdict] == [2, 1, 4, 1, 1]
    assert document["reasons"]["mailable"] == {"confirmed_there": 1, "evidence": 1}
    assert document["example_lines"]["no_date"] == [4]
    assert (document["unmapped_columns"], document["unknown_statuses"]) == ([], [])


@pytest.mark.requirement("E-11")
def test_from_dry_run_to_undo(milepost: Milepost, house: Settings) -> None:
    def readers() -> int:
        return int(milepost("privacy", "report", "--json").document["held"]["readers_with_consent_in_force"])

    import_id = imported(milepost)
    assert readers() == 0
    admitted = milepost("import", "admit", import_id, *REASON, "--json")
    assert admitted.document == {"done": 2, "settled": {}, "later": 0, "left": 0}
    assert readers() == 2
    asked = milepost("import", "ask", import_id, *REASON)
    assert asked.out.startswith("1 are asked; their mails leave one a second; 0 wait")
    [shown] = milepost("import", "list", "--json").document
    assert (shown["id"], shown["status"], shown["source_system"], shown["operator"]) == (
        import_id,
        "done",
        "Old Letters",
        "ada",
    )
    assert "Old Letters: done" in milepost("import", "show", import_id).out
    assert AFFIRMATION in milepost("import", "show", import_id, "--json").document["attestation"]
    undone = milepost("import", "undo", import_id, *REASON)
    assert undone.out.startswith("3 readers are mailed no more; 0 did something themselves")
    assert "stay in force" in undone.err
    assert readers() == 0
    again = milepost("import", "admit", import_id, *REASON, "--json")
    assert (again.code, again.document["error"]["code"]) == (1, "import_undone")


@pytest.mark.requirement("E-11")
def test_nothing_without_the_affirmation(milepost: Milepost, house: Settings, tmp_path: Path) -> None:
    ran = run(milepost, "--source-system", "Old Letters", *REASON)
    assert ran.code == 1
    assert "Never addresses that were bought, rented" in ran.err
    assert AFFIRMATION in ran.err
    words = tmp_path / "words.txt"
    words.write_text(AFFIRMATION + "\n")
    assert run(milepost, "--source-system", "Old Letters", *REASON, "--attestation-file", words).code == 0


def test_a_column_that_is_not_there(milepost: Milepost, house: Settings) -> None:
    ran = check(milepost, "--map", "statement_text=Wording", "--json")
    assert ran.code == 1
    assert "no column 'Wording'. Its columns: Email, First name, State" in ran.document["error"]["message"]


def test_words_that_nobody_knows(milepost: Milepost, house: Settings, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(EXAMPLE.read_text(encoding="utf-8").replace("pending", "frozen"), encoding="utf-8")
    ran = check(milepost, file=file)
    assert ran.code == 4
    assert "frozen. Say what each means: --status WORD=unsubscribed" in ran.err
    assert run(milepost, *VOUCH, file=file).code == 1
    known = run(milepost, *VOUCH, "--status", "frozen=unsubscribed", "--json", file=file)
    assert known.document["reasons"]["suppressed"]["unsubscribed"] == 2


def test_lines_that_may_be_opt_outs(milepost: Milepost, house: Settings, tmp_path: Path) -> None:
    file = tmp_path / "file.csv"
    file.write_text(
        EXAMPLE.read_text(encoding="utf-8") + 'zoe@inbox.test;"Zo" e;unsubscribed;;;;;;\n', encoding="utf-8"
    )
    ran = check(milepost, file=file)
    assert ran.code == 4
    assert "1 lines are broken or have no status" in ran.err
    assert run(milepost, *VOUCH, "--json", file=file).document["error"]["code"] == "lines_unreadable"
    assert check(milepost, "--skip-unreadable", file=file).code == 0
    assert run(milepost, *VOUCH, "--skip-unreadable", file=file).code == 0


def test_the_operator_says_delimiter_dates_and_words(milepost: Milepost, house: Settings, tmp_path: Path) -> None:
    file, words = tmp_path / "file.csv", tmp_path / "words.txt"
    file.write_text("E-mail|Date\nada@post.example|04.05.2021\n", encoding="utf-8")
    words.write_text("Send me the letter", encoding="utf-8")
    ran = milepost(
        *(
            "import",
            "check",
            file,
            "--list",
            "hub",
            "--purpose",
            "digest",
            "--all-are",
            "subscribed",
            "--delimiter",
            "|",
        ),
        *("--map", "address=e-mail", "--map", "consent_at=date", "--date-format", "%d.%m.%Y"),
        *("--consent-source", "desk", "--statement-file", words, "--json"),
    )
    assert ran.document["mailable"] == 1, ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--map", "phone=Phone"), "--map 'phone=Phone' is not understood"),
        (("--map", "Email"), "--map 'Email' is not understood"),
        (("--status", "frozen=gone"), "--status 'frozen=gone' is not understood"),
        (("--delimiter", "both"), "--delimiter is comma"),
    ],
)
def test_wrong_usage(milepost: Milepost, house: Settings, arguments: tuple[str, ...], says: str) -> None:
    ran = check(milepost, *arguments)
    assert ran.code == 2
    assert says in ran.err


def test_an_import_that_is_not_there(milepost: Milepost, house: Settings) -> None:
    for act in ("admit", "ask", "undo"):
        ran = milepost("import", act, 99, *REASON)
        assert (ran.code, "There is no import 99" in ran.err) == (1, True)


def test_a_reason_is_noted(milepost: Milepost, house: Settings) -> None:
    import_id = imported(milepost)
    assert milepost("import", "admit", import_id, "--reason", "x").code == 1
    milepost("import", "admit", import_id, *REASON, "--operator", "grace")
    entries = milepost("audit", "--json").document
    assert [(e["actor"], e["act"], e["reason"]) for e in entries][:2] == [
        ("grace", "import_admitted", "moving house"),
        ("ada", "import_run", "moving house"),
    ]
