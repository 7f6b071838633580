"""`milepost consent verify` and `restored`: whether the ledger is whole, and saying that a backup was put back."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.console import ExitCode, Json, note, say, show_json
from service.cli.opening import opened, operator_name
from service.cli.proofs import app

if TYPE_CHECKING:
    from service.domain.faults import Fault
    from service.usecases.verifying import Report

SHOWN = 10
"""Faults that a person is shown; --json has more."""


@app.command()
def verify(
    progress: Annotated[bool, typer.Option(help="Say on stderr how far it is.")] = False,
    json: Json = False,
) -> None:
    """Check every event, chain, wording and checkpoint against the checkpoint file; name what is wrong.

    Exits with 1 if anything is. Changes nothing, and may run while Milepost serves.
    """
    from service.usecases.verifying import verify as verify_ledger

    def tell(what: str, done: int) -> None:
        note(f"{done:,} {what}")

    with opened() as container:
        report = verify_ledger(
            container.transaction,
            container.keys.ledger,
            container.checkpoint_file,
            erasure_file=container.erasure_log,
            **({"progress": tell} if progress else {}),
        )
    if json:
        show_json(_document(report))
    else:
        _show(report)
    if not report.intact:
        raise typer.Exit(ExitCode.REFUSED)


@app.command()
def restored(
    reason: Annotated[str, typer.Option(help="Why a backup was put back; stands in the ledger for good.")],
    operator: Annotated[str | None, typer.Option(help="Who says so. Default: your name on this machine.")] = None,
    json: Json = False,
) -> None:
    """Say, signed, that a backup was put back on purpose: the ledger goes on from there, and keeps that it did.

    Also when the checkpoint file itself was lost: it is made again from the database.
    """
    from service.usecases.sealing import record_restored

    with opened() as container, container.transaction() as tx:
        checkpoint = record_restored(
            tx, container.keys.ledger, container.checkpoint_file, reason=reason, operator=operator or operator_name()
        )
    said = checkpoint.restored
    assert said is not None
    if json:
        show_json({"checkpoint": checkpoint.number, "from_size": said.from_size, "to_size": checkpoint.size})
        return
    say(
        f"Checkpoint {checkpoint.number}: the ledger goes on from {checkpoint.size} events; "
        f"the file knew {said.from_size}."
    )
    note("Now `milepost consent verify` says whether those are whole.")


def _document(report: "Report") -> dict[str, Any]:
    return {
        "intact": report.intact,
        "events": report.events,
        "subjects": report.subjects,
        "wordings": report.wordings,
        "checkpoints": report.checkpoints,
        "sealed": report.sealed,
        "unsealed": report.unsealed,
        "oldest_unsealed_at": report.oldest_unsealed_at,
        "restored": [
            {"checkpoint": c.number, "at": c.stated_at, "size": c.size, "restored": c.restored} for c in report.restored
        ],
        "faults": report.faults,
        "first": _fault(report.first) if report.first else None,
        "named": [_fault(fault) for fault in report.kept],
    }


def _fault(fault: "Fault") -> dict[str, Any]:
    fields = ("kind", "subject", "seq", "event_id", "record_id", "position", "checkpoint", "wording", "line", "detail")
    return {field: getattr(fault, field) for field in fields} | {"meaning": fault.meaning}


def _show(report: "Report") -> None:
    say(
        f"{report.events:,} events of {report.subjects:,} readers, {report.wordings:,} wordings, "
        f"{report.checkpoints:,} checkpoints over {report.sealed:,} events."
    )
    if report.unsealed:
        since = f" since {report.oldest_unsealed_at:%Y-%m-%d %H:%M:%SZ}" if report.oldest_unsealed_at else ""
        say(f"{report.unsealed:,} events wait for the next checkpoint{since}.")
    for checkpoint in report.restored:
        if said := checkpoint.restored:
            say(
                f"Checkpoint {checkpoint.number}, {checkpoint.stated_at}: {said.operator} put the ledger back from "
                f"{said.from_size:,} to {checkpoint.size:,} events: {said.reason}"
            )
    if report.first is None:
        say("Intact: nothing was changed, forged, left out or reordered.")
        return
    say(f"NOT INTACT: {report.faults:,} faults. The first:")
    say(f"  {report.first.describe()}")
    say(f"  {report.first.meaning}")
    others = [fault for fault in report.kept if fault is not report.first]
    for fault in others[:SHOWN]:
        say(f"  {fault.describe()}")
    if report.faults > SHOWN + 1:
        say(f"  and {report.faults - SHOWN - 1:,} more; --json shows the first {len(report.kept)}.")
