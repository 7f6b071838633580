"""`milepost import …`: people from another system, with the evidence that they agreed."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import import_files
from service.cli.console import Json, note, say, show_json, show_table
from service.cli.import_files import OperatorName, Reason
from service.cli.opening import opened, opened_to_act, operator_name
from service.domain.imports import DAY_LIMIT, SLICE, SliceOrder

if TYPE_CHECKING:
    from service.domain.imports import Slice
    from service.store.imports import RowCount
    from service.store.schema import Import

LARGEST_ID = 2**63 - 1
app = typer.Typer(help="People from another system, with evidence that they agreed.", no_args_is_help=True)
app.add_typer(import_files.app)

ImportId = Annotated[
    int, typer.Argument(min=1, max=LARGEST_ID, metavar="ID", help="The import's number.", show_default=False)
]
Size = Annotated[int, typer.Option("--slice", min=1, max=100_000, help="How many rows at most.")]
NoDailyLimit = Annotated[
    bool, typer.Option("--no-daily-limit", help=f"More than {DAY_LIMIT} rows a day: your relay knows this volume.")
]


@app.command()
def admit(
    import_id: ImportId,
    reason: Reason,
    size: Size = SLICE,
    no_daily_limit: NoDailyLimit = False,
    operator: OperatorName = None,
    json: Json = False,
) -> None:
    """Let the next rows in that can be mailed: they become readers on the consent of the file. Nobody is mailed now."""
    _act("admit", import_id, reason, size, no_daily_limit, operator, json, "are readers now")


@app.command()
def ask(
    import_id: ImportId,
    reason: Reason,
    size: Size = SLICE,
    no_daily_limit: NoDailyLimit = False,
    operator: OperatorName = None,
    json: Json = False,
) -> None:
    """Ask the next rows that need confirming whether they agree: one plain mail to an address, ever."""
    _act("ask", import_id, reason, size, no_daily_limit, operator, json, "are asked; their mails leave one a second")


def _act(
    act: str,
    import_id: int,
    reason: str,
    size: int,
    no_daily_limit: bool,
    operator: str | None,
    json: bool,
    done: str,
) -> None:
    from service.usecases import admitting, asking

    with opened_to_act() as container:
        order = SliceOrder(size, operator or operator_name(), reason, no_daily_limit)
        lifetime = timedelta(hours=container.settings.confirmation_hours)
        if act == "admit":
            result = admitting.admit_slice(container.transaction, container.keys, import_id, order)
        else:
            result = asking.ask_slice(container.transaction, container.keys, import_id, order, lifetime)
    _show_slice(result, done, json=json)


def _show_slice(result: "Slice", done: str, *, json: bool) -> None:
    if json:
        show_json(result)
        return
    say(f"{result.done} {done}; {result.left} wait for the same.")
    for why, number in result.settled.items():
        note(f"{number} are out of the question since the file was read: {why.replace('_', ' ')}.")
    if result.later:
        note(f"{result.later} are left for later: their mailbox has had its share of mails, or changes just now.")


@app.command()
def undo(
    import_id: ImportId,
    reason: Reason,
    suppressions_too: Annotated[
        bool, typer.Option("--suppressions-too", help="Lift the standing orders too that the import made.")
    ] = False,
    operator: OperatorName = None,
    json: Json = False,
) -> None:
    """Take an import back: its readers are mailed no more, unless they did something themselves since.

    Rows in quarantine are shredded, questions that have not left are cancelled. Standing orders stay: they are safer.
    """
    from service.usecases.undoing_imports import undo_import

    with opened_to_act() as container, container.transaction() as tx:
        done = undo_import(
            tx,
            container.keys,
            import_id,
            operator=operator or operator_name(),
            reason=reason,
            suppressions_too=suppressions_too,
        )
    if json:
        show_json(done)
        return
    say(f"{done.ended} readers are mailed no more; {done.kept} did something themselves since and stay.")
    say(f"{done.rows_shredded} rows in quarantine are shredded, {done.mails_cancelled} questions did not leave.")
    if suppressions_too:
        say(f"{done.orders_lifted} standing orders are lifted.")
    else:
        note("Standing orders that the import made stay in force; --suppressions-too would have lifted them.")
    note("Consents that the file's opt-outs ended stay ended: only the persons themselves can give them again.")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20, json: Json = False
) -> None:
    """Show the newest imports and how far they are."""
    from service.store.imports import count_rows, list_imports

    with opened() as container, container.transaction() as tx:
        found = [(each, count_rows(tx, each.id)) for each in list_imports(tx, limit)]
    if json:
        show_json([_document(each, counts) for each, counts in found])
        return
    show_table(
        ("id", "from", "by", "at", "status", "rows", "readers", "asked", "waiting"),
        (
            (
                each.id,
                each.source_system,
                each.operator,
                each.created_at,
                each.status.value,
                sum(c.rows for c in counts),
                sum(c.admitted for c in counts if c.verdict == "mailable"),
                sum(c.admitted for c in counts if c.verdict == "needs_confirming"),
                sum(c.waiting for c in counts),
            )
            for each, counts in found
        ),
        empty="There is no import yet. `milepost import check FILE …` looks at a file.",
    )


@app.command()
def show(import_id: ImportId, json: Json = False) -> None:
    """Show an import: where it came from, who vouched for it, what became of its rows."""
    from service.store.imports import count_rows, get_import

    with opened() as container, container.transaction() as tx:
        found = get_import(tx, import_id)
        counts = count_rows(tx, import_id)
    if json:
        show_json(_document(found, counts) | {"attestation": found.attestation, "rules": found.rules})
        return
    say(f"Import {found.id} from {found.source_system}: {found.status.value}")
    say(f"By {found.operator} on {found.created_at:%Y-%m-%d %H:%M} UTC; SHA-256 of the file {found.file_sha256.hex()}")
    say(f"Columns: {', '.join(f'{name} = {column}' for name, column in found.mapping.items())}\n")
    show_table(
        ("rows", "verdict", "why", "let in or asked", "waiting"),
        ((c.rows, c.verdict.replace("_", " "), c.reason.replace("_", " "), c.admitted, c.waiting) for c in counts),
        empty="The file had no rows.",
    )


def _document(found: "Import", counts: "list[RowCount]") -> dict[str, Any]:
    return {
        "id": found.id,
        "source_system": found.source_system,
        "operator": found.operator,
        "created_at": found.created_at,
        "undone_at": found.undone_at,
        "status": found.status.value,
        "file_sha256": found.file_sha256,
        "columns": found.mapping,
        "as_read": found.counts,
        "rows": counts,
    }
