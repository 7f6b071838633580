"""`milepost privacy erase`, `forget-again`, `requests`, `rotate-address-key`: what people ask for, and its keys."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import access_export, privacy_reports
from service.cli.console import ExitCode, Json, note, say, show_json, show_table
from service.cli.opening import opened, opened_to_act, operator_name

if TYPE_CHECKING:
    from service.usecases.erasing import Ask, Forgotten, NobodyThere, ToErase, Waiting

LEFT = (
    "A reader who had this address has {} now and is not touched: somebody else may read this mailbox. If it is the "
    "same person, erase them by the address that they have now."
)
app = typer.Typer(help="What people may ask about their data, how long it is kept, and what has to be shown.")
app.add_typer(access_export.app)
app.add_typer(privacy_reports.app)

Reason = Annotated[str, typer.Option(help="Why; it stands in the audit log, without addresses.", show_default=False)]
OperatorName = Annotated[str | None, typer.Option(help="Who does it. Default: your name on this machine.")]


@app.command()
def erase(
    address: Annotated[str, typer.Argument(help="The person's address.", show_default=False)],
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this, show what would be erased.")] = False,
    operator: OperatorName = None,
    json: Json = False,
) -> None:
    """Forget a person for good: profile, send log, queued mail, the keys of the proofs. A keyed fingerprint stays.

    Without --yes nothing is changed. With it, the output names the processors that have to be asked as well.
    """
    from service.usecases.erasing import list_to_ask, look_up, order_erasure

    with opened_to_act() as container:
        with container.transaction() as tx:
            found = look_up(tx, container.keys, address)
        if not yes:
            _show_plan(found, json=json)
            return
        done = order_erasure(
            container.transaction,
            container.keys,
            container.erasure_log,
            address,
            actor=operator or operator_name(),
            reason=reason,
        )
        to_ask = list_to_ask(container.processors)
    _show_done(found, done, to_ask, json=json)


def _show_plan(found: "ToErase", *, json: bool) -> None:
    if json:
        moved_to = {"has_now": found.masked_now} if found.masked_now else {}
        show_json({"erased": False, "subscriber_id": found.subscriber_id, "held": found.held} | moved_to)
        return
    if found.masked_now:
        note(LEFT.format(found.masked_now))
    show_table(("what", "rows"), [(what.replace("_", " "), n) for what, n in found.held.items() if n], empty="")
    note("Nothing was erased. Say it again with --yes; it cannot be undone.")


def _show_done(found: "ToErase", done: "Forgotten | Waiting | NobodyThere", to_ask: "list[Ask]", *, json: bool) -> None:
    from service.usecases.erasing import Forgotten, Waiting

    number = done.number if isinstance(done, Forgotten) else None
    workers = list(done.workers) if isinstance(done, Waiting) else []
    if json:
        show_json(
            {
                "erased": number is not None,
                "number": number,
                "subscriber_id": found.subscriber_id,
                "waits_for_workers": workers,
                "processors_to_ask": to_ask,
            }
        )
    elif number is not None:
        say(f"Erased; number {number} in the erasure log.")
    elif workers:
        then = "is erased when" if found.subscriber_id is not None else "can be erased by the same command when"
        say(
            f"Nothing is sent to this person any more. Mail is on the wire: the rest {then} worker "
            f"{', '.join(map(str, workers))} is done with it."
        )
    if not json:
        if found.masked_now:
            note(LEFT.format(found.masked_now))
        for each in to_ask:
            whose = "your own" if each.self_operated else f"ask {each.contact}"
            note(f"Also erase the address at {each.name} ({whose}; its logs are kept for {each.log_days} days).")


@app.command("forget-again")
def forget_again(
    reason: Reason,
    operator: OperatorName = None,
    json: Json = False,
) -> None:
    """After a backup was put back: erase everybody whom the erasure log names and the backup brought back.

    Web, workers and beat do not start before this. Repeating it changes nothing.
    """
    from service.store import audit
    from service.usecases.forgetting_again import forget_again as again

    with opened() as container:
        with container.transaction() as tx:
            audit.note(tx, actor=operator or operator_name(), act="forgotten_again", reason=reason)
        number = again(container.transaction, container.keys.ledger, container.erasure_log)
    if json:
        show_json({"forgotten_again": number})
    else:
        say(f"{number} erasures were done again. Web, workers and beat may start.")


@app.command()
def requests(json: Json = False) -> None:
    """Show what people asked for and still wait for. Exits with 1 if an answer is overdue."""
    from service.usecases.reporting_privacy import list_requests

    with opened() as container, container.transaction() as tx:
        waiting = list_requests(tx)
    if json:
        show_json(waiting)
    else:
        show_table(
            ("id", "what", "subscriber", "asked by", "asked", "due", ""),
            (
                (r.id, r.kind, r.subscriber_id, r.asked_by, r.asked_at, r.due_at, "OVERDUE" if r.overdue else "")
                for r in waiting
            ),
            empty="Nobody waits for an answer.",
        )
    if any(request.overdue for request in waiting):
        raise typer.Exit(ExitCode.REFUSED)


@app.command("rotate-address-key")
def rotate_address_key(reason: Reason, operator: OperatorName = None, json: Json = False) -> None:
    """Wrap every stored fingerprint of an address in the newest of MILEPOST_ADDRESS_KEYS. Stop everything else first.

    Suppressions go on matching, also of addresses that nobody knows any more.
    """
    from service.usecases.rotating import rotate_address_key as rotate

    with opened() as container, container.transaction() as tx:
        wrapped = rotate(tx, container.keys, actor=operator or operator_name(), reason=reason)
        version = container.keys.address_version
    if json:
        show_json({"version": version, "wrapped": wrapped})
    else:
        say(f"{sum(wrapped.values())} fingerprints are of version {version} now. Web, workers and beat may start.")
