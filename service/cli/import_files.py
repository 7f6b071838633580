"""`milepost import check|run FILE`: what another system's file would do, and doing it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.console import ExitCode, Json, note, say, show_json, show_table
from service.cli.opening import opened_to_act, operator_name
from service.domain.import_rows import Field, Standing
from service.domain.words import ImportVerdict, Language, Purpose

if TYPE_CHECKING:
    from service.content.tables import Table
    from service.domain.import_plans import Plan
    from service.domain.imports import Tally

app = typer.Typer()

NUMBERS = {
    ImportVerdict.MAILABLE: "can be mailed",
    ImportVerdict.NEEDS_CONFIRMING: "need confirming",
    ImportVerdict.SUPPRESSED: "will be suppressed",
    ImportVerdict.UNREADABLE: "are unreadable",
}
UNCHANGED = "change nothing: readers here already, or told by another line"

File = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file with a header, in UTF-8.", show_default=False)]
ListSlug = Annotated[str, typer.Option("--list", help="The list that these people were told of.", show_default=False)]
Maps = Annotated[
    list[str],
    typer.Option(
        "--map",
        metavar="FIELD=COLUMN",
        help=f"Which column holds what; repeat it. Fields: {', '.join(Field)}.",
        show_default=False,
    ),
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status", metavar="WORD=STATE", help=f"What a word of the status column means: {', '.join(Standing)}."
    ),
]
AllAre = Annotated[Standing | None, typer.Option(help="Without a status column: how all of these people stood.")]
Purposes = Annotated[
    list[Purpose] | None, typer.Option("--purpose", help="What they agreed to, where no column says; repeat it.")
]
DefaultLanguage = Annotated[Language, typer.Option(help="Where no column names one of ours.")]
DateFormat = Annotated[str | None, typer.Option(help="Of dates, like %d.%m.%Y. Default: ISO 8601. No zone: UTC.")]
Source = Annotated[str | None, typer.Option(help="Where and how they agreed, where no column says.")]
StatementFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="A text file with the words that they agreed to.")
]
ConfirmedOnly = Annotated[
    bool, typer.Option("--confirmed-only", help="Mail only who confirmed there (double opt-in); ask the others.")
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Lines that are broken or have no status hold no opt-out: you looked.")
]
Delimiter = Annotated[str | None, typer.Option(help="comma, semicolon, tab or one character. Default: as the header.")]
AttestationFile = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the affirmation.")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the audit log, without addresses.", show_default=False)]
OperatorName = Annotated[str | None, typer.Option(help="Who vouches for it. Default: your name on this machine.")]


@app.command()
def check(
    file: File,
    *,
    list_slug: ListSlug,
    maps: Maps,
    statuses: Statuses = None,
    all_are: AllAre = None,
    purposes: Purposes = None,
    language: DefaultLanguage = Language.EN,
    date_format: DateFormat = None,
    consent_source: Source = None,
    statement_file: StatementFile = None,
    confirmed_only: ConfirmedOnly = False,
    skip_unreadable: SkipUnreadable = False,
    delimiter: Delimiter = None,
    json: Json = False,
) -> None:
    """Dry run: say in four numbers what an import of this file would do. Nothing is stored.

    Exits with 4 if `run` would refuse the file: a status is not understood, or lines cannot be read.
    """
    from service.usecases.importing import check_import

    plan = _plan(
        list_slug=list_slug,
        maps=maps,
        statuses=statuses,
        all_are=all_are,
        purposes=purposes,
        language=language,
        date_format=date_format,
        consent_source=consent_source,
        statement_file=statement_file,
        confirmed_only=confirmed_only,
        skip_unreadable=skip_unreadable,
    )
    with opened_to_act() as container, _read(file, delimiter) as reading, container.transaction() as tx:
        reserved = container.settings.is_demo
        tally = check_import(tx, container.keys, plan, reading.table, reserved=reserved, on_batch=reading.move)
    _show(plan, reading.table, tally, json=json)
    if tally.unknown_statuses or (tally.doubtful() and not skip_unreadable):
        raise typer.Exit(ExitCode.UNFINISHED)


@app.command()
def run(
    file: File,
    *,
    list_slug: ListSlug,
    maps: Maps,
    source_system: Annotated[str, typer.Option(help="The system that the file is from.", show_default=False)],
    reason: Reason,
    statuses: Statuses = None,
    all_are: AllAre = None,
    purposes: Purposes = None,
    language: DefaultLanguage = Language.EN,
    date_format: DateFormat = None,
    consent_source: Source = None,
    statement_file: StatementFile = None,
    confirmed_only: ConfirmedOnly = False,
    skip_unreadable: SkipUnreadable = False,
    delimiter: Delimiter = None,
    attest: Annotated[str | None, typer.Option(help="The affirmation, word for word. Default: you are asked.")] = None,
    attestation_file: AttestationFile = None,
    operator: OperatorName = None,
    json: Json = False,
) -> None:
    """Take the file's opt-outs, bounces and complaints over and put everybody else into quarantine: nobody is mailed.

    You affirm where the addresses come from; without --attest the words are shown. Then `admit` and `ask`.
    """
    from service.usecases.importing import run_import

    plan = _plan(
        list_slug=list_slug,
        maps=maps,
        statuses=statuses,
        all_are=all_are,
        purposes=purposes,
        language=language,
        date_format=date_format,
        consent_source=consent_source,
        statement_file=statement_file,
        confirmed_only=confirmed_only,
        skip_unreadable=skip_unreadable,
    )
    affirmed = _affirmed(attest, attestation_file)
    with opened_to_act() as container, _read(file, delimiter) as reading, container.transaction() as tx:
        done = run_import(
            tx,
            container.keys,
            plan,
            reading.table,
            source_system=source_system,
            affirmed=affirmed,
            operator=operator or operator_name(),
            reason=reason,
            reserved=container.settings.is_demo,
            on_batch=reading.move,
        )
    more = {"import_id": done.import_id, "suppressed": done.suppressed, "withdrawn": done.withdrawn}
    _show(plan, reading.table, done.tally, json=json, **more)


@dataclass(frozen=True)
class _Reading:
    table: "Table"
    move: Any
    """Call it when the bar should move."""


@contextmanager
def _read(path: Path, delimiter: str | None) -> Iterator[_Reading]:
    """The file with a bar on a terminal's stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from service.content.tables import Table

    named = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t"}
    sign = named.get(delimiter, delimiter) if delimiter is not None else None
    if sign is not None and len(sign) != 1:
        raise typer.BadParameter("--delimiter is comma, semicolon, tab or one character.")
    bar = Progress(
        TextColumn(path.name),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with Table(path, sign) as table, bar:
        task = bar.add_task("", total=table.size)
        yield _Reading(table, lambda: bar.update(task, completed=table.position))


def _plan(
    *,
    list_slug: str,
    maps: list[str],
    statuses: list[str] | None,
    all_are: Standing | None,
    purposes: list[Purpose] | None,
    language: Language,
    date_format: str | None,
    consent_source: str | None,
    statement_file: Path | None,
    confirmed_only: bool,
    skip_unreadable: bool,
) -> "Plan":
    from service.domain.import_plans import Plan

    return Plan(
        list_slug=list_slug,
        columns={Field(name): column for name, column in _pairs("--map", maps, Field)},
        statuses={word: Standing(state) for state, word in _pairs("--status", statuses or [], Standing, last=True)},
        all_are=all_are,
        purposes=tuple(dict.fromkeys(purposes or ())),
        language=language,
        date_format=date_format,
        consent_source=consent_source,
        statement_text=_text(statement_file) if statement_file else None,
        confirmed_only=confirmed_only,
        skip_unreadable=skip_unreadable,
    )


def _pairs(
    option: str, given: list[str], words: type[Field] | type[Standing], *, last: bool = False
) -> Iterator[tuple[str, str]]:
    """(word of ours, word of the file). Ours stands first, or with `last` behind the last sign of equality."""
    for pair in given:
        left, equal, right = pair.rpartition("=") if last else pair.partition("=")
        ours, theirs = (right, left) if last else (left, right)
        ours = ours.strip().lower().replace("-", "_")
        if not equal or not theirs.strip() or ours not in set(words):
            raise typer.BadParameter(f"{option} {pair!r} is not understood; there are {', '.join(words)}.")
        yield ours, theirs


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} cannot be read as UTF-8 text: {error}.") from None


def _affirmed(attest: str | None, file: Path | None) -> str:
    from service.domain.imports import AFFIRMATION, POLICY

    if attest is not None and file is not None:
        raise typer.BadParameter("give either --attest or --attestation-file.")
    if file is not None:
        return _text(file)
    if attest is None and sys.stdin.isatty():
        note(f"{POLICY}\n\nIf it is so, type these words:\n{AFFIRMATION}")
        return str(typer.prompt("", prompt_suffix="> ", err=True))
    return attest or ""


def _show(plan: "Plan", table: "Table", tally: "Tally", *, json: bool, **more: int) -> None:
    """The four numbers; with `more` of an import that was run."""
    unmapped = [
        column for column in table.header if column.casefold() not in {c.casefold() for c in plan.columns.values()}
    ]
    if json:
        show_json(
            {
                **more,
                "rows": tally.lines,
                **{verdict.value: tally.total(verdict) for verdict in ImportVerdict},
                "reasons": tally.reasons(),
                "example_lines": {reason.value: lines for reason, lines in tally.examples.items() if lines},
                "not_understood": dict(tally.left_out),
                "unknown_statuses": tally.shown_statuses(),
                "unmapped_columns": unmapped,
                "file_sha256": table.sha256,
            }
        )
        return
    for verdict, says in NUMBERS.items():
        say(f"{tally.total(verdict):>9} {says}")
    say(f"{tally.total(ImportVerdict.UNCHANGED):>9} {UNCHANGED}")
    say(f"{tally.lines:>9} rows in all\n")
    show_table(
        ("rows", "verdict", "why", "for example lines"),
        (
            (number, verdict.replace("_", " "), reason.replace("_", " "), _lines(tally, reason))
            for verdict, reasons in tally.reasons().items()
            for reason, number in reasons.items()
        ),
        empty="The file has no rows.",
    )
    if unmapped:
        note(f"Columns that nothing is read from: {', '.join(unmapped)}. They stay in the evidence of each reader.")
    for name, number in tally.left_out.most_common():
        note(f"{number} cells of {name} are not understood and left out; --map {name}=… may name the wrong column.")
    _advise(plan, tally, **more)


def _lines(tally: "Tally", reason: str) -> str:
    from service.domain.words import ImportReason

    return ", ".join(map(str, tally.examples.get(ImportReason(reason), [])))


def _advise(
    plan: "Plan", tally: "Tally", import_id: int | None = None, suppressed: int = 0, withdrawn: int = 0
) -> None:
    if tally.unknown_statuses:
        words = ", ".join(tally.shown_statuses()) or "another column's text, it seems"
        note(f"Nobody here knows these states: {words}. Say what each means: --status WORD=unsubscribed.")
    elif tally.doubtful() and not plan.skip_unreadable:
        note(
            f"{tally.doubtful()} lines are broken or have no status; they may say that somebody wants no mail, so "
            "`run` will refuse the file. Mend them, or look at them and add --skip-unreadable."
        )
    elif import_id is None:
        note("Nothing was stored. `milepost import run` with the same options takes the opt-outs over and puts the "
             "others into quarantine.")  # fmt: skip
    else:
        say(f"Import {import_id}: {suppressed} new standing orders, {withdrawn} consents here ended.")
        note(
            f"Nobody is mailed yet. `milepost import admit {import_id} --reason …` lets in who can be mailed, slice by "
            f"slice; `milepost import ask {import_id} --reason …` asks who needs confirming, once; "
            f"`milepost import undo {import_id} --reason …` takes it all back."
        )
